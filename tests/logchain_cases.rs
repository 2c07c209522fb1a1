//! `logchain verify` on what happened to people: the right culprit, the right advice, and an exit code to go by.

mod common;

use common::{command, exit, stdout};
use ese_format::database::{DatabaseHeader, HeaderCopies};
use ese_format::{Generation, LogTime};
use ese_testkit::cases::{self, Case, case};
use ese_testkit::damage::WorkingCopy;
use ese_testkit::fixtures;
use ese_testkit::logs::{keep_no_checksum, repack, seal_header};
use ese_testkit::random::Random;
use rayon::prelude::*;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const SEGMENT: usize = 4096;
const SECTOR: usize = 512;

/// What the program answered.
#[derive(Debug)]
struct Answer {
    text: String,
    exit: i32,
}

fn run<A: AsRef<OsStr>>(folder: &Path, arguments: impl IntoIterator<Item = A>) -> Answer {
    let output = command("logchain")
        .arg("verify")
        .arg(folder)
        .args(arguments)
        .output()
        .expect("the program starts");
    Answer {
        text: stdout(&output).to_owned(),
        exit: exit(&output),
    }
}

/// The answer about the logs and one database.
fn judge(folder: &Path, database: &str, arguments: &[&str]) -> Answer {
    let database = folder.join(database);
    let first = ["--db".as_ref(), database.as_os_str()];
    run(
        folder,
        first.into_iter().chain(arguments.iter().map(OsStr::new)),
    )
}

impl Answer {
    /// Values of the lines with this label.
    fn field(&self, label: &str) -> Vec<&str> {
        let lines = self.text.lines().map(str::trim);
        lines
            .filter_map(|line| line.strip_prefix(label))
            .map(str::trim)
            .collect()
    }

    /// How each log is that is not OK.
    fn bad_logs(&self) -> Vec<&str> {
        let logs = self.field("Log file: ").into_iter();
        logs.filter(|log| !log.ends_with(" - OK")).collect()
    }

    fn says(&self, what: &str) -> bool {
        self.text.contains(what)
    }
}

fn on(name: &str) -> (Case, Answer) {
    let case = case(name);
    let answer = answer_to(&case, name);
    (case, answer)
}

fn answer_to(case: &Case, name: &str) -> Answer {
    let answer = judge(case.path(), "db.edb", &[]);
    // A place that is none, and promises that nobody can keep.
    assert!(!answer.says("00000000:0000:0000"), "{name}: {answer:?}");
    assert!(!answer.says("takes longer"), "{name}: {answer:?}");
    answer
}

#[test]
fn a_log_whose_end_is_zeroes_is_named_and_not_the_one_after_it() {
    let (_case, answer) = on("zeros-in-closed-log");
    assert_eq!(answer.exit, 1);
    assert_eq!(answer.bad_logs(), ["E0000000008.log - DAMAGED"]);
    assert_eq!(
        answer.field("Verdict: "),
        ["NOT READY [JET -590 (JET_errLogSequenceChecksumMismatch)]"]
    );
    let advice = "find an undamaged E0000000008.log: in backups or on the standby copy";
    assert_eq!(answer.field("Advice: "), [advice]);
    assert_eq!(answer.field("advice: "), [advice]);
    assert_eq!(
        answer.field("Recovery: "),
        ["redo from 00000004:0001:0000 to 00000007:00FE:0000"]
    );
}

#[test]
fn so_is_one_where_the_next_header_keeps_no_checksum() {
    const NOT_READY: &str = "NOT READY [JET -501 (JET_errLogFileCorrupt)]";
    let stored = |name, log, verdict| Some((cases::stored(name)?, log, verdict));
    let found = [
        stored("dirty-closed-tail-v43", "E000000000F.log", Some(NOT_READY)),
        stored("silent-loss-v43", "E0000000003.log", None),
    ];
    // The database needs generations 5 to 11.
    let made = [("edb00008.log", Some(NOT_READY)), ("edb00003.log", None)]
        .map(|(log, verdict)| (cases::half_lost(log), log, verdict));
    for (case, log, verdict) in found.into_iter().flatten().chain(made) {
        let answer = answer_to(&case, log);
        assert_eq!(answer.exit, 1);
        assert_eq!(answer.bad_logs(), [format!("{log} - DAMAGED")]);
        assert!(answer.says("[JET -501 (JET_errLogFileCorrupt)]"));
        let advice = format!("find an undamaged {log}: in backups or on the standby copy");
        assert_eq!(answer.field("advice: ")[0], advice);
        if let Some(verdict) = verdict {
            assert_eq!(answer.field("Verdict: "), [verdict]);
            assert_eq!(answer.field("Advice: "), [&*advice]);
        }
    }
}

/// The case `xp-closed-log-torn`, and the same in a stream that is written in that layout.
#[test]
fn nobody_is_told_that_a_torn_log_lost_nothing_when_others_follow() {
    let older = TempDir::new().unwrap();
    repack(
        &fixtures::engine_set("crash-p8k").join("state"),
        older.path(),
    );
    tear(older.path(), "edb00010.log");
    if let Some(xp) = fixtures::windows_xp() {
        tear(&xp, "edb00080.log");
    }
}

/// A copy of a stream in which all of a closed log after its 65th sector is as it was prepared.
fn tear(stream: &Path, torn: &str) {
    let copy = WorkingCopy::of(stream);
    let pattern = ese_format::log::fill_pattern();
    copy.edit(torn, |bytes| {
        for sector in bytes[0x41 * SECTOR..].chunks_exact_mut(SECTOR) {
            sector.copy_from_slice(&pattern);
        }
    });
    let answer = run(copy.path(), [""; 0]);
    assert_eq!(answer.exit, 1);
    assert_eq!(answer.bad_logs(), [format!("{torn} - DAMAGED")]);
    assert!(!answer.says("nothing that was committed is lost"));
    assert!(answer.says("the last write is torn [JET -501 (JET_errLogFileCorrupt)]"));
    assert!(answer.says("1 error was found."));
    // In the last log of a stream the same is true.
    copy.remove("edb.log");
    for log in closed_logs(copy.path()) {
        let name = log.file_name().unwrap().to_str().unwrap();
        if name > torn {
            copy.remove(name);
        }
    }
    let answer = run(copy.path(), [""; 0]);
    assert!(
        answer.says("nothing that was committed is lost"),
        "{answer:?}"
    );
}

#[test]
fn a_missing_current_log_is_named_as_it_may_be_called() {
    let (_case, answer) = on("e00-missing");
    assert_eq!(answer.exit, 1);
    assert_eq!(
        answer.field("Verdict: "),
        ["NOT READY [JET -543 (JET_errRequiredLogFilesMissing)]"]
    );
    assert_eq!(
        answer.field("Required Logs: "),
        ["E0000000004.log to E000000000B.log (or E00.log)"]
    );
    assert_eq!(
        answer.field("Advice: "),
        [
            "find E000000000B.log: in backups or on the standby copy, or still as E00.log on the source"
        ]
    );
}

#[test]
fn a_prepared_log_in_place_of_the_current_one_is_one_trouble_with_one_advice() {
    let (_case, answer) = on("e00tmp-as-e00");
    assert_eq!(answer.exit, 1);
    assert_eq!(
        answer.field("Verdict: "),
        ["NOT READY [JET -501 (JET_errLogFileCorrupt)]"]
    );
    let advice = answer.field("Advice: ");
    assert_eq!(advice.len(), 1, "{advice:?}");
    assert!(
        advice[0].starts_with("find an undamaged E00.log (or E000000000B.log, once it is closed)")
    );
}

#[test]
fn a_copy_of_the_last_closed_log_is_to_be_taken_away() {
    let (case, answer) = on("last-closed-copied-as-e00");
    assert_eq!(answer.exit, 1);
    assert_eq!(answer.bad_logs(), ["E00.log - COPY"]);
    assert!(answer.says("this is a copy of E000000000A.log [JET -528 (JET_errMissingLogFile)]"));
    assert_eq!(
        answer.field("advice: ")[0],
        "E00.log is a copy of E000000000A.log: take it away"
    );
    // A database that needs logs up to that one lacks nothing but that this be done.
    let set = fixtures::engine_set("lossy-p8k");
    let copy = WorkingCopy::of(&set.join("state"));
    for last in ["edb0000C.log", "edb0000E.log"] {
        copy.write("edb.log", &copy.read(last));
        let answer = judge(copy.path(), "db.edb", &[]);
        if last == "edb0000E.log" {
            let advice = format!("edb.log is a copy of {last}: take it away");
            assert_eq!(
                answer.field("Verdict: "),
                ["NOT READY [JET -515 (JET_errInvalidLogSequence)]"]
            );
            assert_eq!(answer.field("Advice: "), [advice]);
        }
        assert_eq!(answer.exit, 1);
    }
    drop(case);
}

#[test]
fn an_older_state_of_a_log_is_told_from_the_newer_one() {
    let state = fixtures::testdata_set("crash-p8k").join("state");
    let copy = WorkingCopy::of(&state);
    // The last log was copied to its number while it was written, and goes on as the current one.
    let mut early = copy.read("edb.log");
    early[5 * SEGMENT..].fill(0);
    copy.write("edb00017.log", &early);
    let answer = judge(copy.path(), "db.edb", &[]);
    assert_eq!(answer.bad_logs(), ["edb00017.log - COPY"]);
    assert_eq!(
        answer.field("Advice: "),
        ["edb00017.log is an earlier state of edb.log: take it away"]
    );
    assert!(answer.field("Verdict: ")[0].starts_with("NOT READY"));
    // And the other way round.
    copy.write("edb00017.log", &copy.read("edb.log"));
    copy.write("edb.log", &early);
    let answer = judge(copy.path(), "db.edb", &[]);
    assert_eq!(answer.bad_logs(), ["edb.log - COPY"]);
    assert!(answer.says("edb.log is an earlier state of edb00017.log: take it away"));
}

#[test]
fn the_last_log_under_a_wrong_number_is_named_and_not_passed_over() {
    let set = fixtures::engine_set("exchange-standby-p8k");
    let copy = WorkingCopy::of(&set.join("state"));
    fs::rename(
        copy.path().join("E00.log"),
        copy.path().join("E0000000020.log"),
    )
    .unwrap();
    // It is needed in the first, and only holds later work in the second.
    let mut old = copy.read("db.edb");
    set_max_required(&mut old, 10);
    copy.write("needs-less.edb", &old);
    for database in ["db.edb", "needs-less.edb"] {
        let answer = judge(copy.path(), database, &[]);
        assert_eq!(answer.exit, 1, "{answer:?}");
        assert_eq!(answer.bad_logs(), ["E0000000020.log - WRONG NAME"]);
        assert_eq!(
            answer.field("Verdict: "),
            ["NOT READY [JET -528 (JET_errMissingLogFile)]"],
            "{database}"
        );
        assert!(!answer.says("are missing"), "no other log is: {answer:?}");
        assert_eq!(
            answer.field("Advice: "),
            ["rename E0000000020.log to E000000000B.log: the chain holds with it"]
        );
    }
    fs::rename(
        copy.path().join("E0000000020.log"),
        copy.path().join("E000000000B.log"),
    )
    .unwrap();
    assert_eq!(
        judge(copy.path(), "db.edb", &[]).field("Verdict: "),
        ["READY"]
    );
}

/// Changes both copies of the header of a database with pages of 8 KiB.
fn edit_header(database: &mut [u8], edit: impl Fn(&mut DatabaseHeader)) {
    let mut header = HeaderCopies::read(database).primary.fields.clone();
    edit(&mut header);
    for copy in database[..2 * 8192].chunks_exact_mut(8192) {
        ese_format::database::seal_header(&header, copy);
    }
}

/// Makes a database need no log after this generation.
fn set_max_required(database: &mut [u8], generation: u32) {
    edit_header(database, |header| {
        header.max_required = Generation(generation);
        header.max_committed = header.max_required;
        header.max_required_created = LogTime::default();
        header.max_committed_created = LogTime::default();
    });
}

#[test]
fn a_missing_log_is_seen_in_a_folder_within() {
    let (_case, answer) = on("missing-in-subfolder");
    assert_eq!(answer.exit, 1);
    assert_eq!(
        answer.field("Verdict: "),
        ["NOT READY [JET -515 (JET_errInvalidLogSequence)]"]
    );
    let advice = answer.field("Advice: ");
    assert_eq!(advice.len(), 1);
    assert!(
        advice[0].starts_with("find E0000000007.log: "),
        "{advice:?}"
    );
    assert!(advice[0].contains("inspector/E0000000007.log may be what is looked for"));
    assert!(
        !advice[0].contains("E00.log"),
        "that is here, as generation 11"
    );
}

#[test]
fn a_database_is_judged_with_its_own_stream() {
    let (case, answer) = on("two-streams");
    assert_eq!(answer.exit, 0);
    assert_eq!(answer.field("Base name: "), ["E00"]);
    assert_eq!(answer.field("Verdict: "), ["READY"]);
    assert!(answer.says("Other streams in the folder, not verified: edb"));
    let crash = fixtures::engine_set("crash-p8k");
    fs::copy(crash.join("state/db.edb"), case.path().join("other.edb")).unwrap();
    let answer = judge(case.path(), "other.edb", &[]);
    assert_eq!(answer.field("Base name: "), ["edb"]);
    assert_eq!(answer.field("Verdict: "), ["READY"]);
    let both = judge(
        case.path(),
        "db.edb",
        &["--db", case.path().join("other.edb").to_str().unwrap()],
    );
    assert_eq!(both.field("Verdict: "), ["READY", "READY"]);
    assert_eq!(both.exit, 0);
}

#[test]
fn a_database_without_any_log_is_told_which_it_needs() {
    let (case, answer) = on("db-only");
    assert_eq!(answer.exit, 1);
    assert_eq!(
        answer.field("Verdict: "),
        ["NOT READY [JET -543 (JET_errRequiredLogFilesMissing)]"]
    );
    let names = "E0000000004.log to E000000000B.log";
    assert!(answer.field("Required Logs: ")[0].starts_with(names));
    let advice = answer.field("Advice: ");
    assert!(
        advice[0].starts_with(&format!("find {names}: ")),
        "{advice:?}"
    );
    assert!(advice[1].starts_with("edbtool export"));
    let named = judge(case.path(), "db.edb", &["--base", "E07"]);
    assert!(named.says("E0700000004.log to E070000000B.log"));
    // Without a database there is nothing to say of logs that are not there.
    assert_eq!(run(case.path(), [""; 0]).exit, 4);
}

#[test]
fn what_only_looks_strange_is_ready_and_ends_with_zero() {
    for name in [
        "e00-renamed-closed",
        "only-required",
        "prefix-renamed",
        "upper-case",
        "collected-names",
        "chk-other-stream",
    ] {
        let (_case, answer) = on(name);
        assert_eq!(answer.exit, 0, "{name}: {answer:?}");
        assert_eq!(answer.field("Verdict: "), ["READY"], "{name}");
        assert!(!answer.says("DAMAGED"), "{name}");
    }
}

/// A standby copy has neither the current log nor a checkpoint.
#[test]
fn remarks_do_not_close_the_gate() {
    let set = fixtures::engine_set("exchange-standby-p8k");
    let copy = WorkingCopy::of(&set.join("state"));
    copy.write("E000000000B.log", &copy.read("E00.log"));
    for name in ["E00.log", "E00.chk", "E00tmp.log"] {
        copy.remove(name);
    }
    let answer = judge(copy.path(), "db.edb", &[]);
    assert_eq!((answer.exit, answer.field("Verdict: ")), (0, vec!["READY"]));
    assert!(answer.says("WARNING: there is no current log E00.log"));
    assert!(!answer.says("still as E00.log"));
    assert_eq!(
        run(copy.path(), [""; 0]).exit,
        1,
        "nobody asked about a database"
    );
    // A log that nothing needs is missing: that is more than a remark, but not what the gate asks.
    copy.write("E00.chk", &fs::read(set.join("state/E00.chk")).unwrap());
    copy.remove("E0000000002.log");
    assert_eq!(judge(copy.path(), "db.edb", &[]).exit, 1);
    assert_eq!(
        judge(copy.path(), "db.edb", &["--require", "ready"]).exit,
        0
    );
    copy.remove("E0000000005.log");
    for require in ["ready", "ready-with-loss", "proved"] {
        let answer = judge(copy.path(), "db.edb", &["--require", require]);
        assert_eq!(answer.exit, 1, "{require}");
    }
}

#[test]
fn a_script_can_ask_for_more_or_less_than_ready() {
    let lossy = fixtures::engine_set("lossy-p8k");
    let ask = |folder: &Path, require: &str| judge(folder, "db.edb", &["--require", require]).exit;
    let lossy = lossy.join("state");
    assert_eq!(ask(&lossy, "ready"), 1);
    assert_eq!(ask(&lossy, "ready-with-loss"), 0);
    assert_eq!(ask(&lossy, "proved"), 1);
    // A backup begins a new log, and this version keeps no checksum: whether the end is missing cannot be known.
    let set = fixtures::engine_set("backup-p8k");
    let copy = WorkingCopy::of(&set.join("state"));
    for name in fs::read_dir(copy.path()).unwrap() {
        let name = name.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".log") && !name.contains("res") && !name.contains("tmp") {
            copy.edit(&name, |log| keep_no_checksum(log));
        }
    }
    let mut database = copy.read("db.edb");
    edit_header(&mut database, |header| header.min_required = Generation(9));
    copy.write("db.edb", &database);
    copy.remove("edb.chk");
    let answer = judge(copy.path(), "db.edb", &[]);
    assert_eq!((answer.exit, answer.field("Verdict: ")), (0, vec!["READY"]));
    let remark = "not proved complete: edb0000A.log: the next log begins with Backup2";
    assert!(
        answer.field("Reason: ")[0].starts_with(remark),
        "{answer:?}"
    );
    assert_eq!(ask(copy.path(), "ready"), 0);
    assert_eq!(ask(copy.path(), "proved"), 1);
    let json = judge(copy.path(), "db.edb", &["--json"]).text;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        json["databases"][0]["verdict"]["not_proved"][0],
        "edb0000A.log"
    );
    let proofs = json["logs"].as_array().unwrap().iter();
    let proofs: Vec<&str> = proofs.map(|log| log["proof"].as_str().unwrap()).collect();
    assert_eq!(
        proofs
            .iter()
            .filter(|proof| **proof == "not_proved")
            .count(),
        1
    );
    assert_eq!(proofs.iter().filter(|proof| **proof == "full").count(), 15);
    assert_eq!(proofs.last(), Some(&"none"));
    // Where it is not needed it does not matter.
    assert_eq!(ask(&set.join("state"), "proved"), 0);
    // Without a database every log counts, and there is no verdict to ask for.
    assert_eq!(run(copy.path(), ["--require", "proved"]).exit, 1);
    assert_eq!(run(&set.join("state"), ["--require", "proved"]).exit, 0);
    assert_eq!(run(copy.path(), ["--require", "ready"]).exit, 2);
}

#[test]
fn a_current_log_of_another_group_is_not_missing_but_foreign() {
    let other = fixtures::engine_set("names8-log-p32k");
    let set = fixtures::engine_set("exchange-standby-p8k");
    let copy = WorkingCopy::of(&set.join("state"));
    copy.write("E00.log", &fs::read(other.join("state/E00.log")).unwrap());
    let answer = judge(copy.path(), "db.edb", &[]);
    assert_eq!(answer.exit, 1);
    assert_eq!(answer.bad_logs(), ["E00.log - OF ANOTHER STREAM"]);
    assert_eq!(
        answer.field("Verdict: "),
        ["NOT READY [JET -530 (JET_errBadLogSignature)]"]
    );
    assert!(
        answer.field("Advice: ")[0].starts_with("E00.log belongs to another stream: take it away")
    );
    // A foreign log in the middle is named, and the genuine one after it is not.
    let copy = WorkingCopy::of(&set.join("state"));
    copy.edit("E0000000005.log", |log| {
        log[48] ^= 1;
        seal_header(log);
    });
    let answer = judge(copy.path(), "db.edb", &[]);
    assert_eq!(answer.bad_logs(), ["E0000000005.log - OF ANOTHER STREAM"]);
    assert_eq!(
        answer.field("Verdict: "),
        ["NOT READY [JET -530 (JET_errBadLogSignature)]"]
    );
}

#[test]
fn a_log_from_another_life_of_the_stream_is_named_and_its_neighbours_are_not() {
    let copy = WorkingCopy::of(&fixtures::testdata_set("crash-p8k").join("state"));
    copy.edit("edb00010.log", |log| {
        for time in [16, 24] {
            log[time] ^= 1;
        }
        seal_header(log);
    });
    let answer = judge(copy.path(), "db.edb", &[]);
    assert_eq!(answer.bad_logs(), ["edb00010.log - OUT OF SEQUENCE"]);
    assert_eq!(answer.exit, 1);
    assert!(answer.says("1 error was found."));
    assert_eq!(
        answer.field("Verdict: "),
        ["NOT READY [JET -515 (JET_errInvalidLogSequence)]"]
    );
}

#[test]
fn newer_logs_and_databases_are_not_damaged() {
    let copy = WorkingCopy::of(&fixtures::testdata_set("crash-p8k").join("state"));
    for name in ["edb00016.log", "edb.log"] {
        copy.edit(name, |log| {
            log[40..44].copy_from_slice(&999u32.to_le_bytes());
            seal_header(log);
        });
    }
    let answer = judge(copy.path(), "db.edb", &[]);
    assert_eq!(answer.exit, 4);
    assert_eq!(
        answer.bad_logs(),
        ["edb00016.log - TOO NEW", "edb.log - TOO NEW"]
    );
    assert_eq!(
        answer.field("Verdict: "),
        ["NOT READY [JET -514 (JET_errBadLogVersion)]"]
    );
    assert!(!answer.says("undamaged"), "{answer:?}");
    let copy = WorkingCopy::of(&fixtures::testdata_set("crash-p8k").join("state"));
    copy.edit("db.edb", |database| {
        edit_header(database, |header| header.update_major = 999);
    });
    let answer = judge(copy.path(), "db.edb", &[]);
    assert_eq!(answer.exit, 4);
    assert_eq!(
        answer.field("Verdict: "),
        ["NOT READY [JET -1209 (JET_errInvalidDatabaseVersion)]"]
    );
    assert!(answer.says("it is not damaged"));
}

/// A stream of each kind whose headers keep nothing of the log before: what the program says of it, untouched and with
/// the end of one log gone.
fn without_checksums(set: &str, older: bool) -> TempDir {
    let state = fixtures::engine_set(set).join("state");
    let folder = TempDir::new().unwrap();
    if older {
        repack(&state, folder.path());
        return folder;
    }
    for file in fs::read_dir(&state).unwrap() {
        let path = file.unwrap().path();
        if !path.is_file() {
            continue;
        }
        let mut bytes = fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_log = name.ends_with(".log") || name.ends_with(".jtx");
        if is_log && !name.contains("tmp") && !name.contains("res") {
            keep_no_checksum(&mut bytes);
        }
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn closed_logs(folder: &Path) -> Vec<PathBuf> {
    let mut logs: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| {
            let stem = path.file_stem().unwrap().to_str().unwrap();
            let digits = stem.get(3..).unwrap_or_default();
            matches!(digits.len(), 5 | 8) && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
        })
        .collect();
    logs.sort();
    logs
}

#[test]
fn the_end_of_a_log_cannot_go_unseen_in_any_set() {
    let sets = fixtures::engine_set_names();
    let tries: Vec<(String, bool)> = sets
        .iter()
        .flat_map(|set| [(set.clone(), false), (set.clone(), true)])
        .collect();
    let counts: Vec<(usize, usize)> = tries
        .par_iter()
        .map(|(set, older)| try_one(set, *older))
        .collect();
    let (damaged, unproved) = counts
        .into_iter()
        .fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
    println!("{damaged} named as damaged, {unproved} said not to be proved");
    let (tried, least) = fixtures::either((122, 118), (38, 36));
    assert_eq!(damaged + unproved, tried);
    assert!(damaged >= least, "{damaged}");
}

fn try_one(set: &str, older: bool) -> (usize, usize) {
    let folder = without_checksums(set, older);
    let whole = run(folder.path(), [""; 0]);
    let missing_current = set == "lossy-p8k";
    assert_eq!(whole.exit, i32::from(missing_current), "{set}: {whole:?}");
    assert_eq!(whole.bad_logs(), [""; 0], "{set}: {whole:?}");
    let logs = closed_logs(folder.path());
    let mut random = Random(set.len() as u64 + u64::from(older));
    // The last log of a stream without a current one has no witness.
    let count = logs.len() - usize::from(missing_current);
    let log = &logs[random.below(count)];
    let name = log.file_name().unwrap().to_str().unwrap();
    let mut bytes = fs::read(log).unwrap();
    let unit = if older { 512 } else { SEGMENT };
    let used = bytes
        .chunks(unit)
        .rposition(|unit| unit.iter().any(|byte| *byte != 0));
    let used = used.unwrap();
    // What a sudden stop leaves of a log of the older layout is the pattern that it was prepared with.
    let from = SEGMENT / unit + random.below(used - 1 - SEGMENT / unit);
    let pattern = ese_format::log::fill_pattern();
    for rest in bytes[from * unit..].chunks_exact_mut(unit) {
        match older {
            true => rest.copy_from_slice(&pattern),
            false => rest.fill(0),
        }
    }
    fs::write(log, bytes).unwrap();
    let cut = run(folder.path(), [""; 0]);
    let damaged = cut.bad_logs() == [format!("{name} - DAMAGED")];
    let unproved = cut.says(&format!("note: {name}: "))
        && cut.says("not proved complete")
        && run(folder.path(), ["--require", "proved"]).exit == 1;
    assert!(damaged || unproved, "{set} {name} from {from}: {cut:?}");
    (usize::from(damaged), usize::from(!damaged))
}
