//! `edbreplay run`, killed or failing: whatever it was doing, the next run ends with the same pages, and nothing is left
//! lying about.
//!
//! The full campaign is 500 kills of each kind: `EDBKIT_KILLS=500`.

use ese_format::database::{HEADERS_MAX, HeaderCopies};
use ese_testkit::damage::VARIANTS;
use ese_testkit::fixtures;
use ese_testkit::random::Random;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const DATABASE: &str = "db.edb";
const JOURNAL: &str = "db.edb.edbreplay-journal";
/// Fields of the header that name the time of the run.
const TIMES: [&str; 4] = [
    "checksum",
    "last_consistent_time",
    "last_attach_time",
    "last_detach_time",
];

fn kills_wanted() -> u32 {
    let wanted = std::env::var("EDBKIT_KILLS").ok();
    wanted.map_or(30, |wanted| wanted.parse().expect("a number"))
}

/// A database and the logs that it is recovered with, which no run may change.
struct Case {
    logs: PathBuf,
    database: PathBuf,
    page_size: usize,
}

impl Case {
    fn new(set: &str, database: &str) -> Self {
        let logs = fixtures::engine_set(set).join("state");
        Case {
            database: logs.join(database),
            logs,
            page_size: 8192,
        }
    }

    /// A folder with a copy of the database.
    fn copy(&self) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::copy(&self.database, folder.path().join(DATABASE)).unwrap();
        folder
    }

    fn command(&self, database: &Path, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edbreplay"));
        command
            .arg("run")
            .arg(database)
            .arg("--logs")
            .arg(&self.logs);
        command.args(["--no-hash", "--quiet", "--json"]).args(more);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    fn run(&self, database: &Path, more: &[&str]) -> Output {
        self.command(database, more)
            .output()
            .expect("the program starts")
    }

    /// Runs until a run comes to its end; those before are killed somewhere within `span`. How many were.
    fn run_killed(
        &self,
        database: &Path,
        more: &[&str],
        span: Duration,
        random: &mut Random,
    ) -> u32 {
        let mut kills = 0;
        // Runs that begin with what the one before left are killed, too, but not for ever.
        while kills < 12 {
            let mut child = self
                .command(database, more)
                .spawn()
                .expect("the program starts");
            let after = random.shorter_than(span * 11 / 10);
            if !was_killed(&mut child, after) {
                return kills;
            }
            kills += 1;
        }
        let last = self.run(database, more);
        assert!(
            last.status.success(),
            "{}",
            String::from_utf8_lossy(&last.stderr)
        );
        kills
    }

    /// How long an undisturbed run takes.
    fn span(&self, more: &[&str]) -> Duration {
        let folder = self.copy();
        let start = Instant::now();
        let done = self.run(&folder.path().join(DATABASE), more);
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        start.elapsed()
    }
}

/// Kills a run after some time; whether that was before it had come to its end.
fn was_killed(child: &mut Child, after: Duration) -> bool {
    std::thread::sleep(after);
    child.kill().unwrap();
    let status = child.wait().unwrap();
    if let Some(code) = status.code() {
        let mut words = String::new();
        let mut stderr = child.stderr.take().expect("it is piped");
        std::io::Read::read_to_string(&mut stderr, &mut words).unwrap();
        assert_eq!(code, 0, "{words}");
    }
    !status.success()
}

fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    entries
        .map(|path| (name(&path), fs::read(path).unwrap()))
        .collect()
}

/// The pages, and what the header says apart from times.
fn result(path: &Path, page_size: usize) -> (serde_json::Value, Vec<u8>) {
    let bytes = fs::read(path).unwrap();
    let copies = HeaderCopies::read(&bytes[..HEADERS_MAX.min(bytes.len())]);
    let header = &copies.good().expect("an intact header").fields;
    let mut header = serde_json::to_value(header).unwrap();
    for time in TIMES {
        header.as_object_mut().unwrap().remove(time);
    }
    (header, bytes[2 * page_size..].to_vec())
}

#[test]
fn a_recovery_in_place_that_is_killed_ends_as_an_undisturbed_one() {
    let case = Case::new("crash-p8k", DATABASE);
    let undisturbed = case.copy();
    let database = undisturbed.path().join(DATABASE);
    assert!(case.run(&database, &["--in-place"]).status.success());
    let expected = result(&database, case.page_size);
    let span = case.span(&["--in-place"]);
    let (mut random, mut kills, mut recoveries) = (Random(0x9e37_79b9), 0, 0);
    while kills < kills_wanted() {
        let folder = case.copy();
        let database = folder.path().join(DATABASE);
        kills += case.run_killed(&database, &["--in-place"], span, &mut random);
        recoveries += 1;
        assert!(
            result(&database, case.page_size) == expected,
            "after {kills} kills"
        );
        let left: Vec<String> = contents(folder.path()).into_keys().collect();
        assert_eq!(left, [DATABASE]);
    }
    println!("{kills} kills in {recoveries} recoveries in place");
}

#[test]
fn a_standby_that_is_killed_goes_on_to_the_same_pages() {
    let case = Case::new("exchange-standby-p8k", "db.edb.old1");
    let steps: Vec<Vec<&str>> = ["5", "6", "7", "8", "9", "10"]
        .iter()
        .map(|last| vec!["--in-place", "--until-undo", "--until", last])
        .chain([vec!["--in-place"]])
        .collect();
    let undisturbed = case.copy();
    let database = undisturbed.path().join(DATABASE);
    let mut expected = Vec::new();
    for step in &steps {
        let done = case.run(&database, step);
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        expected.push(result(&database, case.page_size));
    }
    let span = case.span(&steps[2]);
    let (mut random, mut kills, mut runs) = (Random(0x51ed_270b), 0, 0);
    while kills < kills_wanted() {
        let folder = case.copy();
        let database = folder.path().join(DATABASE);
        for (step, expected) in steps.iter().zip(&expected) {
            kills += case.run_killed(&database, step, span, &mut random);
            runs += 1;
            assert!(
                result(&database, case.page_size) == *expected,
                "{step:?} after {kills} kills"
            );
            assert_eq!(contents(folder.path()).len(), 1, "{step:?}");
        }
    }
    println!("{kills} kills in {runs} runs of a standby");
}

#[test]
fn new_files_and_overlays_that_are_killed_leave_nothing_behind_the_next_run() {
    let case = Case::new("crash-p8k", DATABASE);
    for target in ["--to", "--overlay"] {
        let out = tempfile::tempdir().unwrap();
        let place = out.path().join("result");
        let arguments = [target, place.to_str().unwrap(), "--force"];
        assert!(case.run(&case.database, &arguments).status.success());
        let expected = fs::read(&place).unwrap();
        let start = Instant::now();
        assert!(case.run(&case.database, &arguments).status.success());
        let span = start.elapsed();
        let (mut random, mut kills) = (Random(0x2545_f491), 0);
        while kills < kills_wanted() / 3 {
            fs::remove_file(&place).unwrap();
            kills += case.run_killed(&case.database, &arguments, span, &mut random);
            let found = contents(out.path());
            let names: Vec<&String> = found.keys().collect();
            assert_eq!(names, ["result"], "{target}");
            let same = match target {
                "--to" => result(&place, case.page_size).1 == expected[2 * case.page_size..],
                // The header is the last page, and the first names a hash that covers it.
                _ => {
                    let pages = 4096..expected.len() - case.page_size;
                    found["result"][pages.clone()] == expected[pages]
                }
            };
            assert!(same, "{target} after {kills} kills");
        }
        println!("{kills} kills of {target}");
    }
}

/// What `edbtool` says of a database: exit code, answer and remarks.
fn edbtool(database: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let (command, more) = arguments.split_first().unwrap();
    let mut tool = Command::new(env!("CARGO_BIN_EXE_edbtool"));
    let output = tool.arg(command).arg(database).args(more).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    // Where the database lies differs from run to run.
    let folder = database.parent().unwrap().to_str().unwrap();
    (output.status.code(), said.replace(folder, ""))
}

/// Only while a finished journal lies beside it the database is half written. Everything that reads it says so, changes
/// nothing, and can show what the rest of the recovery will make of it.
#[test]
fn a_reader_is_told_of_a_database_that_a_killed_recovery_left_half_written() {
    const SAID: &str = "a recovery in place was interrupted";
    let case = Case::new("crash-p8k", DATABASE);
    let undisturbed = case.copy();
    let recovered = undisturbed.path().join(DATABASE);
    assert!(case.run(&recovered, &["--in-place"]).status.success());
    let reading = [&["tables", "--count"][..], &["schema"], &["space"]];
    let expected = reading.map(|command| edbtool(&recovered, command));
    let mut caught = 0;
    for _ in 0..200 {
        let folder = case.copy();
        let (database, journal) = (folder.path().join(DATABASE), folder.path().join(JOURNAL));
        let finished = || fs::read(&journal).is_ok_and(|bytes| bytes.starts_with(b"edbkit"));
        let mut run = case.command(&database, &["--in-place"]).spawn().unwrap();
        while !finished() && run.try_wait().unwrap().is_none() {}
        run.kill().unwrap();
        run.wait().unwrap();
        let left = contents(folder.path());
        for command in [&["header"][..], &["verify"], &["page", "4"]] {
            let (exit, said) = edbtool(&database, command);
            assert_eq!(said.contains(SAID), finished(), "{command:?}: {said}");
            assert!(exit == Some(1) || !finished(), "{command:?}: {said}");
        }
        let verify = Command::new(env!("CARGO_BIN_EXE_logchain"))
            .arg("verify")
            .arg(&case.logs)
            .arg("--db")
            .arg(&database)
            .output()
            .unwrap();
        let verdict = String::from_utf8_lossy(&verify.stdout).into_owned();
        assert_eq!(verdict.contains(SAID), finished(), "{verdict}");
        assert_eq!(verdict.contains("NOT READY"), finished(), "{verdict}");
        if finished() {
            caught += 1;
            let overlay = ["--overlay", journal.to_str().unwrap()];
            for (command, expected) in reading.iter().zip(&expected) {
                let (exit, said) = edbtool(&database, command);
                assert!(exit == Some(1) && said.contains(SAID), "{said}");
                let through = [command, &overlay[..]].concat();
                assert_eq!(edbtool(&database, &through), *expected);
            }
            let logs = ["tables", "--with-logs", case.logs.to_str().unwrap()];
            assert_eq!(edbtool(&database, &logs).0, Some(5));
        }
        assert!(
            contents(folder.path()) == left,
            "a reader changed something"
        );
        if caught == 3 {
            break;
        }
    }
    assert!(caught > 0, "no kill came at the right moment");
    println!("{caught} databases half written");
}

/// Pages that fail their checksum stop the replay in its middle: every output has been begun by then.
#[test]
fn a_run_that_fails_leaves_nothing() {
    let variant = VARIANTS
        .iter()
        .find(|variant| variant.name == "db-page-many-bits");
    let copy = variant.expect("the variant is there").make();
    let before = contents(copy.path());
    let out = tempfile::tempdir().unwrap();
    let place = out.path().join("result");
    let place = place.to_str().unwrap();
    let case = Case {
        logs: copy.path().to_owned(),
        database: copy.path().join(DATABASE),
        page_size: 8192,
    };
    for target in [&["--to", place][..], &["--overlay", place], &["--in-place"]] {
        let failed = case.run(&case.database, target);
        let words = String::from_utf8_lossy(&failed.stderr).into_owned();
        assert_eq!(failed.status.code(), Some(5), "{target:?}: {words}");
        assert!(words.contains("-1018"), "{target:?}: {words}");
        assert!(contents(copy.path()) == before, "{target:?} left something");
        assert_eq!(contents(out.path()).len(), 0, "{target:?} left something");
    }
}

/// A database whose recovery in place was killed while it was being written is good for nothing but to be finished.
#[test]
fn a_database_half_written_is_refused_by_everything_else() {
    let case = Case::new("crash-p8k", DATABASE);
    let folder = case.copy();
    let database = folder.path().join(DATABASE);
    let journal = folder.path().join(JOURNAL);
    let overlay = case.run(&database, &["--overlay", journal.to_str().unwrap()]);
    assert!(overlay.status.success());
    let out = tempfile::tempdir().unwrap();
    let place = out.path().join("result");
    let refused = case.run(&database, &["--to", place.to_str().unwrap()]);
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(5), "{words}");
    assert!(
        words.contains(JOURNAL) && words.contains("--in-place"),
        "{words}"
    );
    let plan = |database: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edbreplay"));
        let plan = command.arg("plan").arg(database).arg("--logs");
        let plan = plan.arg(&case.logs).output().unwrap();
        assert_eq!(plan.status.code(), Some(1));
        String::from_utf8_lossy(&plan.stderr).into_owned()
    };
    assert!(plan(&database).contains("was interrupted"));
    let rest = fs::read(&journal).unwrap();
    let finished = case.run(&database, &["--in-place"]);
    assert!(finished.status.success());
    assert!(!journal.exists());
    let undisturbed = case.copy();
    let other = undisturbed.path().join(DATABASE);
    assert!(case.run(&other, &["--in-place"]).status.success());
    assert!(result(&database, case.page_size) == result(&other, case.page_size));

    // Beside a database that went on otherwise, the same journal is another matter; and so is one that changed.
    let gone_on = case.copy();
    let other = gone_on.path().join(DATABASE);
    let redone = case.run(&other, &["--in-place", "--until-undo"]);
    assert!(redone.status.success());
    let journal = gone_on.path().join(JOURNAL);
    fs::write(&journal, &rest).unwrap();
    for words in ["another state of the database", "damaged"] {
        assert!(plan(&other).contains(words));
        let (exit, said) = edbtool(&other, &["header"]);
        assert!(exit == Some(1) && said.contains(words), "{said}");
        fs::write(&journal, &rest[..rest.len() - 1]).unwrap();
    }
}
