//! A case whose runs are cut off: the power goes, or the process is killed, at any call to the disk, again and again.
//!
//! Whatever happens, the same command goes on. In the end the files are those of the run that nobody disturbed, nothing else is
//! left, and another loss of power takes nothing of it. How many cases: see `ese_testkit::campaign`.

use ese_case::collect::{CollectOptions, RunRecord, collect};
use ese_case::find::{FindOptions, Found, find};
use ese_export::Format;
use ese_testkit::campaign::{self, cuts_from};
use ese_testkit::disk::FaultyDisk;
use ese_testkit::fixtures;
use ese_testkit::random::Random;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fs;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;
use target_disk::SharedDisk;
use tempfile::TempDir;

const CASE: &str = "/cases/one";

/// Databases and what was found of them.
struct Evidence {
    _folder: TempDir,
    found: Found,
    options: CollectOptions,
}

impl Evidence {
    /// A database that needs its logs, the same once more, and one that is clean.
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let copy = |from: &Path, to: &str| {
            let to = folder.path().join(to);
            fs::create_dir_all(&to).unwrap();
            for file in fixtures::files_below(from) {
                fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
            }
        };
        let dirty = fixtures::testdata_set("crash-p8k").join("state");
        copy(&dirty, "one");
        copy(&dirty, "two");
        copy(&fixtures::testdata_set("clean-p4k").join("state"), "three");
        let paths = vec![folder.path().to_owned()];
        let found = find(&paths, &FindOptions::default(), &()).unwrap();
        let mut options = CollectOptions::new(paths, CASE.into(), "1");
        options.format = Format::Jsonl;
        options.inline_limit = 512;
        Evidence {
            _folder: folder,
            found,
            options,
        }
    }

    /// One run of the program: how many databases it had from before.
    fn run(&self, disk: &FaultyDisk) -> Result<u64, String> {
        let run = RunRecord {
            program: "edbtool".to_owned(),
            version: "1".to_owned(),
            command: Vec::new(),
            started: Timestamp::UNIX_EPOCH,
        };
        let shared = SharedDisk::new(disk.clone());
        // Whoever plays cases would begin another one while it waits for threads of this one.
        let collected = thread::scope(|scope| {
            let run = scope.spawn(|| collect(&self.found, &self.options, run, &shared, &()));
            run.join().unwrap_or_else(|panic| resume_unwind(panic))
        });
        collected
            .map(|collected| collected.from_before)
            .map_err(|error| error.to_string())
    }
}

/// The files of the case; its account without what tells of runs.
fn content(disk: &FaultyDisk) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = disk.paths().into_iter().map(|path| {
        let mut bytes = disk.get(&path).unwrap();
        if path.ends_with("manifest.json") {
            let mut account: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            for of_runs in ["runs", "finished"] {
                account.as_object_mut().unwrap().remove(of_runs);
            }
            bytes = account.to_string().into_bytes();
        }
        (path, bytes)
    });
    files.collect()
}

#[test]
fn a_case_is_the_same_wherever_its_runs_are_cut_off() {
    let evidence = Evidence::new();
    let undisturbed = FaultyDisk::new(0);
    evidence.run(&undisturbed).unwrap();
    let (whole, calls) = (content(&undisturbed), undisturbed.calls());
    assert!(whole.len() > 10, "{:?}", whole.keys());
    let is_value = |path: &&PathBuf| path.starts_with(Path::new(CASE).join("blobs"));
    assert!(whole.keys().filter(is_value).count() > 3);
    // Threads that wait for one of these must not be those that a case is made with.
    let pool = rayon::ThreadPoolBuilder::new().build().unwrap();
    let case = |number| {
        let mut random = Random(number);
        let call = 1 + random.below(calls as usize) as u64;
        let disk = FaultyDisk::new(number);
        let mut losses = 0;
        for cut in cuts_from(call, &mut random) {
            disk.kill_after(cut.call);
            let ended = evidence.run(&disk);
            if !disk.is_killed() {
                ended?;
                disk.calm();
                continue;
            }
            losses += 1;
            match cut.only_killed {
                true => disk.restart(),
                false => disk.crash(),
            }
        }
        evidence.run(&disk)?;
        // Nothing of what is called complete goes with the power, and nothing has to be read again.
        for _ in 0..2 {
            let is = content(&disk);
            let other: Vec<_> = is
                .keys()
                .chain(whole.keys())
                .filter(|path| is.get(*path) != whole.get(*path))
                .collect();
            if !other.is_empty() {
                return Err(format!("after {losses} losses other files: {other:?}"));
            }
            disk.crash();
            let before = evidence.run(&disk)?;
            if before != 3 {
                return Err(format!("{before} databases from before"));
            }
        }
        Ok(losses)
    };
    let losses: i32 = pool.install(|| campaign::play(60, case));
    println!("{losses} losses; an undisturbed run takes {calls} calls");
}
