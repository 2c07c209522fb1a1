//! Results of a recovery on a faulty disk: the power goes, something fails, or the disk is full, at every call there is.
//!
//! Whatever happens, a result is not there, or the one from before, or complete and right; a database in place is what
//! it was, or what a finished journal makes of it. The next run ends as if nothing had happened, and nothing is left.

mod support;

use ese_log::StreamFiles;
use ese_replay::output::{InPlace, RecoveryOutput, Target, journal_path};
use ese_replay::recovery::{
    DatabaseFile, GivenDatabase, RecoverOptions, RecoveryPlan, Until, plan, recover,
};
use ese_testkit::disk::FaultyDisk;
use ese_testkit::fixtures;
use std::path::{Path, PathBuf};
use support::cases::case;
use target_disk::SharedDisk;

/// Sets of different page sizes; the shrunk one makes the file shorter.
fn sets() -> [&'static str; 4] {
    fixtures::either(
        ["crash-p4k", "lv-p8k", "oldcopy-p32k", "shrink-p8k"],
        [
            "esc64-cctx-p4k",
            "crash-p8k",
            "names8-log-p32k",
            "shrink-p8k",
        ],
    )
}

/// A database, its logs, and where the result goes.
struct Recovery {
    plan: RecoveryPlan,
    source: DatabaseFile,
    database: PathBuf,
    before: Vec<u8>,
    target: Target,
    /// What is under the name of the result before.
    older: Option<Vec<u8>>,
    /// Bytes of pages in memory; few of them have the file read and overwritten during the replay.
    memory: u64,
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

impl Recovery {
    fn path(&self) -> &Path {
        match &self.target {
            Target::NewFile(path) | Target::Overlay(path) => path,
            Target::InPlace => &self.database,
        }
    }

    fn disk(&self, seed: u64) -> FaultyDisk {
        let disk = FaultyDisk::new(seed);
        disk.put(&self.database, self.before.clone());
        if let Some(older) = &self.older {
            disk.put(self.path(), older.clone());
        }
        disk
    }

    /// One run of the program.
    fn run(&self, disk: &FaultyDisk) -> Result<(), String> {
        if self.target == Target::InPlace && InPlace::resume(disk, &self.database).map_err(text)? {
            return Ok(());
        }
        // The programs read it on the real disk, where it is what it was.
        if disk.with(&self.database, |now| now == self.before) != Some(true) {
            return Ok(());
        }
        let shared = SharedDisk::new(disk.clone());
        let output = RecoveryOutput::begin(&shared, &self.source, &self.target, true, &());
        let output = output.map_err(text)?;
        let given = GivenDatabase {
            database: &self.source,
            pages: output.pages(),
        };
        let options = RecoverOptions {
            memory: Some(self.memory),
            ..RecoverOptions::default()
        };
        let recovered = recover(&self.plan, vec![given], Vec::new(), options, &());
        let recovered = recovered.map_err(text)?;
        output.commit(&recovered.databases[0]).map_err(text)?;
        Ok(())
    }

    /// The result of an undisturbed run, and how many calls it took.
    fn undisturbed(&self) -> (Vec<u8>, u64) {
        let disk = self.disk(0);
        self.run(&disk).expect("nothing is in its way");
        (disk.get(self.path()).expect("a result"), disk.calls())
    }

    /// Nothing was harmed: the result is not there, or the older one, or complete.
    #[track_caller]
    fn is_sound(&self, disk: &FaultyDisk, after: &[u8]) {
        let is = |bytes: &[u8]| disk.with(self.path(), |there| there == bytes) == Some(true);
        match (&self.target, &self.older) {
            // A journal that counts says what it will be.
            (Target::InPlace, _) if disk.get(&journal_path(&self.database)).is_some() => {}
            (Target::InPlace, _) => assert!(is(&self.before) || is(after)),
            (_, Some(older)) => assert!(is(older) || is(after)),
            (_, None) => assert!(disk.get(self.path()).is_none() || is(after)),
        }
        if self.target != Target::InPlace {
            let same = disk.with(&self.database, |now| now == self.before);
            assert_eq!(same, Some(true), "the source is only read");
        }
    }

    /// Whether the disk is as it was before the first run, so that the next one is an undisturbed one.
    fn is_as_it_was(&self, disk: &FaultyDisk) -> bool {
        let fresh = self.disk(0);
        disk.paths() == fresh.paths()
            && fresh.paths().iter().all(|path| {
                let now = disk.get(path);
                now == fresh.get(path)
            })
    }

    /// The next run ends as it should, and leaves nothing.
    #[track_caller]
    fn ends_well(&self, disk: &FaultyDisk, after: &[u8], what: &str) {
        if self.is_as_it_was(disk) {
            return;
        }
        self.run(disk)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        let same = disk.with(self.path(), |there| there == after);
        assert_eq!(same, Some(true), "{what}: the result differs");
        let mut expected = vec![self.database.clone(), self.path().to_owned()];
        expected.sort();
        expected.dedup();
        assert_eq!(disk.paths(), expected, "{what}");
    }
}

/// What is done to the disk before the call of this number.
type Fault = fn(&FaultyDisk, u64);

const FAULTS: [(&str, Fault); 3] = [
    ("power", |disk, call| disk.kill_after(call)),
    ("failure", |disk, call| disk.fail_at(call)),
    ("full", |disk, call| disk.full_after(call)),
];

/// Makes each of these faults at every call, and looks what comes of it.
fn every_fault(recovery: &Recovery, faults: &[(&str, Fault)]) -> u64 {
    let (after, calls) = recovery.undisturbed();
    assert_ne!(recovery.before, after);
    for (name, fault) in faults {
        for call in 1..=calls {
            let disk = recovery.disk(call);
            fault(&disk, call);
            let ran = recovery.run(&disk);
            let killed = disk.is_killed();
            assert!(ran.is_err() || !killed, "{name} at call {call} is noticed");
            match killed {
                true => disk.crash(),
                false => disk.full_after(None),
            }
            recovery.is_sound(&disk, &after);
            recovery.ends_well(&disk, &after, &format!("{name} at call {call}"));
        }
    }
    calls
}

/// A recovery of a set, with the result in this form.
fn recovery(set: &str, target: fn(&Path) -> Target, memory: u64) -> Recovery {
    let folder = fixtures::engine_set(set);
    let case = case(&folder, set);
    let database = case.databases[0].clone();
    let source = DatabaseFile::open(&database).unwrap();
    let files = StreamFiles::find(&case.logs, None).unwrap();
    let sources = [source.clone()];
    Recovery {
        plan: plan(&files, None, &sources, &Until::default(), &()).unwrap(),
        source,
        before: std::fs::read(&database).unwrap(),
        target: target(&database.with_file_name("result")),
        database,
        older: None,
        memory,
    }
}

#[test]
fn a_new_file_is_not_there_or_complete_whatever_happens() {
    let set = sets()[0];
    let mut new = recovery(set, |path| Target::NewFile(path.to_owned()), u64::MAX);
    let calls = every_fault(&new, &FAULTS);
    println!("{set}: {calls} calls");
    new.older = Some(b"an older result".to_vec());
    every_fault(&new, &FAULTS[..1]);
}

#[test]
fn an_overlay_is_not_there_or_complete_whatever_happens() {
    let set = sets()[0];
    let overlay = recovery(set, |path| Target::Overlay(path.to_owned()), u64::MAX);
    let calls = every_fault(&overlay, &FAULTS[..1]);
    println!("{set}: {calls} calls");
}

#[test]
fn a_recovery_in_place_goes_on_from_its_journal_whatever_happens() {
    for (index, set) in sets().into_iter().enumerate() {
        let faults = if index == 0 {
            &FAULTS[..]
        } else {
            &FAULTS[..1]
        };
        let in_place = recovery(set, |_| Target::InPlace, u64::MAX);
        let calls = every_fault(&in_place, faults);
        println!("{set}: {calls} calls");
    }
}

#[test]
fn a_recovery_in_place_that_is_interrupted_again_and_again_ends_with_the_same_file() {
    for set in sets() {
        // So few pages in memory that the journal is read and overwritten during the replay.
        let in_place = recovery(set, |_| Target::InPlace, 0);
        let (after, calls) = in_place.undisturbed();
        let finished = |disk: &FaultyDisk| {
            let resumed = InPlace::resume(disk, &in_place.database);
            resumed.is_ok_and(|done| done)
        };
        let mut resumed = 0;
        // The last calls are those that write the database.
        for call in (1..=calls).rev() {
            let disk = in_place.disk(call);
            disk.kill_after(call);
            assert!(in_place.run(&disk).is_err());
            disk.crash();
            // Each run after it gets one call further.
            let mut done = false;
            for calls in 1.. {
                disk.kill_after(calls);
                done |= finished(&disk);
                if !disk.is_killed() {
                    break;
                }
                disk.crash();
            }
            let is = |bytes: &[u8]| disk.with(&in_place.database, |now| now == bytes) == Some(true);
            if !is(&after) {
                assert!(is(&in_place.before) && !done, "{set}: call {call}");
                break;
            }
            resumed += 1;
        }
        assert!(resumed > 10, "{set}: {resumed} interruptions");
    }
}
