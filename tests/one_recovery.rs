//! One recovery: which databases the results hold and under which names, how far they reach, and that they are the same
//! whenever and wherever they are made. All through `edbreplay` and the programs beside it.

mod common;

use common::{document, exit, run};
use ese_testkit::{fixtures, recreated};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use tempfile::TempDir;

fn told(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&text).into_owned()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// The random number in the signature of each database of a folder.
fn signatures(folder: &Path) -> BTreeMap<String, u32> {
    let signature = |name: &String| {
        let bytes = fs::read(folder.join(name)).unwrap();
        let headers = ese_format::database::HeaderCopies::read(&bytes);
        headers.good().unwrap().fields.signature.random()
    };
    let names = names(folder).into_iter();
    names.map(|name| (name.clone(), signature(&name))).collect()
}

const FIRST: u32 = 0x1111_1111;
const SECOND: u32 = 0x2222_2222;
const THIRD: u32 = 0x3333_3333;

/// A stream with three lives of one database, and the last generation of each.
fn three_lives() -> (TempDir, Vec<u32>) {
    let state = fixtures::testdata_set("clean-p4k").join("state");
    let folder = tempfile::tempdir().unwrap();
    let ends = recreated::write(&state, folder.path(), &[FIRST, SECOND, THIRD]);
    (folder, ends)
}

/// The database of one life, as the logs up to its end leave it.
fn life(logs: &Path, until: u32, to: &Path) {
    let until = until.to_string();
    let arguments: [&OsStr; 7] = [
        "run".as_ref(),
        "--logs".as_ref(),
        logs.as_os_str(),
        "--until".as_ref(),
        until.as_ref(),
        "--to".as_ref(),
        to.as_os_str(),
    ];
    let made = run("edbreplay", arguments);
    assert_eq!(exit(&made), 0, "{}", told(&made));
}

#[test]
fn a_database_that_was_deleted_takes_no_other_one_s_name() {
    let (logs, ends) = three_lives();
    let whole = run("logchain", ["verify".as_ref(), logs.path().as_os_str()]);
    assert!(
        told(&whole).contains("No damaged log files were found"),
        "{}",
        told(&whole)
    );

    // From nothing: only what is alive at the end.
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().join("results");
    let made = run(
        "edbreplay",
        [
            "run",
            "--logs",
            logs.path().to_str().unwrap(),
            "--to",
            folder.to_str().unwrap(),
        ],
    );
    assert_eq!(exit(&made), 0, "{}", told(&made));
    assert_eq!(
        signatures(&folder),
        BTreeMap::from([("db.edb".to_owned(), THIRD)])
    );

    // All of them, if that is asked for.
    let all = out.path().join("all");
    let made = run(
        "edbreplay",
        [
            "run",
            "--logs",
            logs.path().to_str().unwrap(),
            "--deleted",
            "--to",
            all.to_str().unwrap(),
        ],
    );
    assert_eq!(exit(&made), 0, "{}", told(&made));
    let expected = [
        ("db-11111111.edb".to_owned(), FIRST),
        ("db-22222222.edb".to_owned(), SECOND),
        ("db.edb".to_owned(), THIRD),
    ];
    assert_eq!(signatures(&all), BTreeMap::from(expected));

    // A file that is given keeps its own name and signature, whichever life it is of.
    let given = out.path().join("given");
    fs::create_dir(&given).unwrap();
    let rows = |path: &Path| {
        let rows = tempfile::tempdir().unwrap();
        let to = rows.path().join("rows");
        let done = run(
            "edbtool",
            [
                "export".as_ref(),
                path.as_os_str(),
                "--to".as_ref(),
                to.as_os_str(),
            ],
        );
        assert_eq!(exit(&done), 0, "{}", told(&done));
        fs::read(to.join("Items.jsonl")).unwrap()
    };
    for (end, signature) in [(ends[0], FIRST), (ends[1], SECOND), (ends[2], THIRD)] {
        let database = given.join("db.edb");
        let _ = fs::remove_file(&database);
        life(logs.path(), end, &database);
        let to = out.path().join(format!("of-{signature:x}"));
        fs::create_dir(&to).unwrap();
        let arguments: [&OsStr; 6] = [
            "run".as_ref(),
            database.as_os_str(),
            "--logs".as_ref(),
            logs.path().as_os_str(),
            "--to".as_ref(),
            to.as_os_str(),
        ];
        let made = run("edbreplay", arguments);
        assert_eq!(exit(&made), 0, "{}", told(&made));
        assert_eq!(
            signatures(&to),
            BTreeMap::from([("db.edb".to_owned(), signature)])
        );
        assert_eq!(rows(&to.join("db.edb")), rows(&database));
    }
}

#[test]
fn a_limit_ends_the_range_of_a_database_made_from_its_logs() {
    let state = fixtures::testdata_set("crash-p8k").join("state");
    let out = tempfile::tempdir().unwrap();
    for until in [3, 9, 16] {
        let new = out.path().join(format!("{until}.edb"));
        let text = until.to_string();
        let arguments: [&OsStr; 9] = [
            "run".as_ref(),
            "--logs".as_ref(),
            state.as_os_str(),
            "--until".as_ref(),
            text.as_ref(),
            "--until-undo".as_ref(),
            "--json".as_ref(),
            "--to".as_ref(),
            new.as_os_str(),
        ];
        let made = run("edbreplay", arguments);
        assert_eq!(exit(&made), 0, "{}", told(&made));
        let database = &document(&made)["databases"][0];
        assert_eq!(database["max_required"], until, "{database}");
        assert!(
            database["min_required"].as_u64() <= Some(until),
            "{database}"
        );
    }
}

#[test]
fn a_result_is_the_same_whenever_and_wherever_it_is_made() {
    let state = fixtures::testdata_set("crash-p8k").join("state");
    let copy = tempfile::tempdir().unwrap();
    for file in fixtures::files_below(&state) {
        fs::copy(&file, copy.path().join(file.file_name().unwrap())).unwrap();
    }
    let out = tempfile::tempdir().unwrap();
    let mut results: Vec<Vec<u8>> = Vec::new();
    for (number, folder) in [&*state, copy.path()].into_iter().enumerate() {
        let new = out.path().join(format!("{number}.edb"));
        // The logs lie beside the database: they need not be named.
        let database = folder.join("db.edb");
        let arguments: [&OsStr; 4] = [
            "run".as_ref(),
            database.as_os_str(),
            "--to".as_ref(),
            new.as_os_str(),
        ];
        let made = run("edbreplay", arguments);
        assert_eq!(exit(&made), 0, "{}", told(&made));
        assert!(told(&made).contains("Last commit: "), "{}", told(&made));
        assert!(told(&made).contains("-1216"), "{}", told(&made));
        results.push(fs::read(new).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(1100));
    }
    assert!(results[0] == results[1]);
}

/// Logs that lie in several folders are one stream; what is there twice is there once.
#[test]
fn logs_are_taken_from_where_they_lie() {
    let state = fixtures::testdata_set("crash-p8k").join("state");
    let out = tempfile::tempdir().unwrap();
    let (one, other) = (out.path().join("one"), out.path().join("other"));
    fs::create_dir(&one).unwrap();
    fs::create_dir(&other).unwrap();
    for (number, file) in fixtures::files_below(&state).iter().enumerate() {
        let name = file.file_name().unwrap();
        let is_log = file.extension().is_some_and(|end| end == "log");
        if !is_log {
            continue;
        }
        if number % 3 != 0 {
            fs::copy(file, one.join(name)).unwrap();
        }
        if number % 3 != 1 {
            fs::copy(file, other.join(name)).unwrap();
        }
    }
    let database = state.join("db.edb");
    let place = |folder: &PathBuf| ["--logs".into(), folder.clone().into_os_string()];
    let result = |places: &[&PathBuf]| {
        let new = out.path().join("new.edb");
        let mut arguments = vec!["run".into(), database.clone().into_os_string()];
        arguments.extend(places.iter().flat_map(|folder| place(folder)));
        arguments.extend([
            "--force".into(),
            "--to".into(),
            new.clone().into_os_string(),
        ]);
        let made = run("edbreplay", &arguments);
        (exit(&made), told(&made), fs::read(new).unwrap_or_default())
    };
    let (code, text, _) = result(&[&one]);
    assert_eq!(code, 5, "{text}");
    let (code, text, together) = result(&[&one, &other]);
    assert_eq!(code, 0, "{text}");
    let (code, text, alone) = result(&[&state]);
    assert_eq!(code, 0, "{text}");
    assert!(together == alone);
}

/// A dirty database alone: what it needs is said, and that is a finding, not "no ESE file".
#[test]
fn a_database_without_its_logs_is_told_which_it_needs() {
    let state = fixtures::testdata_set("crash-p8k").join("state");
    let out = tempfile::tempdir().unwrap();
    let database = out.path().join("db.edb");
    fs::copy(state.join("db.edb"), &database).unwrap();
    let plan = run("edbreplay", ["plan".as_ref(), database.as_os_str()]);
    assert_eq!(exit(&plan), 1, "{}", told(&plan));
    let text = told(&plan);
    assert!(
        text.contains("NOT READY") && text.contains("0D.log"),
        "{text}"
    );
    let new = out.path().join("new.edb");
    let refused = run(
        "edbreplay",
        [
            "run".as_ref(),
            database.as_os_str(),
            "--to".as_ref(),
            new.as_os_str(),
        ],
    );
    assert_eq!(exit(&refused), 5, "{}", told(&refused));
    assert!(!new.exists());
}

/// What `--lossy` gives up is told, and is a finding: also of logs alone, and of redo without undo.
#[test]
fn what_is_given_up_is_told() {
    let state = fixtures::testdata_set("crash-p8k").join("state");
    let out = tempfile::tempdir().unwrap();
    let logs = out.path().join("logs");
    fs::create_dir(&logs).unwrap();
    for name in names(&state) {
        if name != "db.edb" && name != "edb0000F.log" {
            fs::copy(state.join(&name), logs.join(&name)).unwrap();
        }
    }
    let make = |database: Option<&Path>, options: &[&str], to: &Path| {
        let mut arguments: Vec<&OsStr> = vec!["run".as_ref()];
        arguments.extend(database.map(Path::as_os_str));
        arguments.extend(["--logs".as_ref(), logs.as_os_str()]);
        arguments.extend(options.iter().map(OsStr::new));
        arguments.extend(["--to".as_ref(), to.as_os_str()]);
        run("edbreplay", &arguments)
    };
    let old = out.path().join("old.edb");
    let made = make(None, &["--until", "12", "--until-undo"], &old);
    assert_eq!(exit(&made), 0, "{}", told(&made));
    for (database, options, new) in [
        (None, &["--lossy"][..], "alone.edb"),
        (
            Some(old.as_path()),
            &["--lossy", "--until-undo"],
            "redo.edb",
        ),
    ] {
        let new = out.path().join(new);
        let refused = make(database, &options[1..], &new);
        assert_eq!(exit(&refused), 5, "{}", told(&refused));
        assert!(!new.exists());
        let made = make(database, options, &new);
        let text = told(&made);
        assert_eq!(exit(&made), 1, "{text}");
        assert!(text.contains("LOST: "), "{text}");
        assert!(text.contains("edb0000F.log is missing"), "{text}");
    }
    // What follows a limit is left out, and that was asked for.
    let made = make(None, &["--until", "14"], &out.path().join("limit.edb"));
    assert_eq!(exit(&made), 0, "{}", told(&made));
}

/// A plan without a database names those that the logs create or need.
#[test]
fn a_plan_of_logs_alone_names_their_databases() {
    let state = fixtures::testdata_set("crash-p8k").join("state");
    let plan = run(
        "edbreplay",
        ["plan".as_ref(), "--logs".as_ref(), state.as_os_str()],
    );
    assert_eq!(exit(&plan), 0, "{}", told(&plan));
    assert!(
        told(&plan).contains("The logs create: ") && told(&plan).contains("db.edb"),
        "{}",
        told(&plan)
    );
    let later = tempfile::tempdir().unwrap();
    for file in fixtures::files_below(&state) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".log") && name.as_str() >= "edb00008" || name == "edb.log" {
            fs::copy(&file, later.path().join(name)).unwrap();
        }
    }
    let plan = run(
        "edbreplay",
        ["plan".as_ref(), "--logs".as_ref(), later.path().as_os_str()],
    );
    assert_eq!(exit(&plan), 1, "{}", told(&plan));
    assert!(
        told(&plan).contains("The logs need: ") && told(&plan).contains("-1216"),
        "{}",
        told(&plan)
    );
    let out = later.path().join("out");
    let made = run(
        "edbreplay",
        [
            "run".as_ref(),
            "--logs".as_ref(),
            later.path().as_os_str(),
            "--to".as_ref(),
            out.as_os_str(),
        ],
    );
    assert_eq!(exit(&made), 5, "{}", told(&made));
    assert!(told(&made).contains("-1216") && !out.exists());
}

/// A database whose end was cut off: what comes of it has the rows of the whole one, or there is no result but with
/// `--lossy`.
#[test]
fn a_database_whose_end_was_cut_off_is_whole_again_or_refused() {
    let sets = fixtures::engine_set_names();
    let sets = sets.iter().map(|name| fixtures::engine_set(name));
    let cases = sets.flat_map(|set| {
        let state = set.join("state");
        let files = fs::read_dir(&state)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let is_database = |path: &PathBuf| {
            let end = path.extension().and_then(OsStr::to_str);
            matches!(end, Some("edb" | "old1")) && fs::metadata(path).unwrap().len() < 8 << 20
        };
        let databases = files.filter(is_database).collect::<Vec<_>>();
        databases
            .into_iter()
            .map(move |database| (state.clone(), database))
    });
    let cases: Vec<(PathBuf, PathBuf)> = cases.collect();
    let told = cases
        .into_par_iter()
        .map(|(state, database)| cut_off(&state, &database));
    let told: Vec<[usize; 2]> = told.collect();
    let [whole, refused] = told.iter().fold([0, 0], |[a, b], [c, d]| [a + c, b + d]);
    assert!(
        whole > 0 && refused > 0,
        "{whole} whole again, {refused} refused"
    );
}

/// How many cuts of a database the logs made good, and how many were refused.
fn cut_off(state: &Path, database: &Path) -> [usize; 2] {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let recover = |database: &Path, to: &Path, more: &[&str]| {
        let words = ["run".as_ref(), database.as_os_str(), "--logs".as_ref()];
        let words = words
            .into_iter()
            .chain([state.as_os_str(), "--to".as_ref(), to.as_os_str()]);
        let words = words.chain(["--no-hash", "--ignore-missing"].map(OsStr::new));
        run(
            "edbreplay",
            words.chain(more.iter().map(OsStr::new)).collect::<Vec<_>>(),
        )
    };
    let rows = |database: &Path, to: &Path| {
        run(
            "edbtool",
            [
                "export".as_ref(),
                database.as_os_str(),
                "--to".as_ref(),
                to.as_os_str(),
            ],
        );
        let files = fixtures::files_below(to).into_iter();
        let files = files.filter(|path| !path.ends_with("manifest.json"));
        files
            .map(|path| fs::read(path).unwrap())
            .collect::<Vec<_>>()
    };
    if exit(&recover(database, &at("whole.edb"), &[])) != 0 {
        return [0, 0];
    }
    let expected = rows(&at("whole.edb"), &at("rows"));
    let bytes = fs::read(database).unwrap();
    let (mut whole, mut refused) = (0, 0);
    for percent in [90, 70, 50] {
        let name = format!("cut{percent}.edb");
        fs::write(
            at(&name),
            &bytes[..bytes.len() * percent / 100 / 32768 * 32768],
        )
        .unwrap();
        let result = at(&format!("result{percent}.edb"));
        let made = recover(&at(&name), &result, &[]);
        let what = format!("{} cut to {percent} %: {}", database.display(), told(&made));
        if exit(&made) == 0 {
            whole += 1;
            assert!(
                rows(&result, &at(&format!("rows{percent}"))) == expected,
                "{what}"
            );
            continue;
        }
        refused += 1;
        assert_eq!(exit(&made), 5, "{what}");
        assert!(!result.exists(), "{what}");
        if told(&made).contains("the file is cut off") {
            assert!(told(&made).contains("-4001"), "{what}");
            let left = recover(&at(&name), &result, &["--lossy"]);
            assert_eq!(exit(&left), 1, "{}", told(&left));
            assert!(told(&left).contains("LOST: "), "{}", told(&left));
        }
    }
    [whole, refused]
}

/// A log of another stream that comes after the end of this one is no log of a database that is newer than all of them;
/// nor does it say which databases are to be there.
#[test]
fn a_foreign_log_after_the_end_does_not_hold_up_a_newer_database() {
    let set = fixtures::testdata_set("crash-p8k");
    let other = fixtures::testdata_set("shrink-p8k").join("state");
    let database = set.join("recovered/db.edb");
    let folder = tempfile::tempdir().unwrap();
    for number in 13..=15 {
        let name = format!("edb{number:05X}.log");
        fs::copy(set.join("state").join(&name), folder.path().join(&name)).unwrap();
    }
    let foreign = "edb00010.log";
    fs::copy(other.join(foreign), folder.path().join(foreign)).unwrap();
    let (database, logs) = (database.to_str().unwrap(), folder.path().to_str().unwrap());
    let to = folder.path().join("out.edb");
    for (program, arguments) in [
        (
            "logchain",
            &["verify", logs, "--db", database, "--require", "ready"][..],
        ),
        ("edbreplay", &["plan", database, "--logs", logs]),
        (
            "edbreplay",
            &[
                "run",
                database,
                "--logs",
                logs,
                "--to",
                to.to_str().unwrap(),
            ],
        ),
    ] {
        let output = run(program, arguments);
        assert_eq!(exit(&output), 0, "{program}: {}", told(&output));
    }
}

/// A clean database that a missing log keeps from being brought forward does not hold up another one, which needs later logs
/// only.
#[test]
fn a_clean_database_before_a_gap_does_not_hold_up_a_dirty_one() {
    const PAGE: usize = 8192;
    let set = fixtures::testdata_set("crash-p8k");
    let state = set.join("state");
    let folder = tempfile::tempdir().unwrap();
    for name in names(&state).iter().filter(|name| *name != "edb0000C.log") {
        fs::copy(state.join(name), folder.path().join(name)).unwrap();
    }
    // Another database of the stream, clean since log 11.
    let mut bytes = fs::read(set.join("recovered/db.edb")).unwrap();
    for header in bytes.chunks_mut(PAGE).take(2) {
        header[24..28].copy_from_slice(&FIRST.to_le_bytes());
        header[60..64].copy_from_slice(&11u32.to_le_bytes());
        let sum = ese_checksum::header_checksum(header);
        header[..4].copy_from_slice(&sum.to_le_bytes());
    }
    let (dirty, clean) = (
        folder.path().join("db.edb"),
        folder.path().join("clean.edb"),
    );
    fs::write(&clean, bytes).unwrap();
    let logs = folder.path().to_str().unwrap();
    let (dirty, clean) = (dirty.to_str().unwrap(), clean.to_str().unwrap());
    let output = run(
        "edbreplay",
        ["--json", "plan", dirty, clean, "--logs", logs],
    );
    let plan = document(&output);
    let databases = plan["databases"].as_array().unwrap();
    let readiness = |at: usize| &databases[at]["verdict"]["readiness"];
    assert_eq!(readiness(0), "ready", "{plan}");
    assert_eq!(readiness(1), "ready_with_loss", "{plan}");
    assert_eq!(exit(&output), 1);
}

/// A closed log under the name of the current one: the engine ends with it and leaves out what comes later, in silence. No
/// good word here, and the advice mends it.
#[test]
fn later_logs_are_not_left_out_where_a_closed_log_has_the_name_of_the_current_one() {
    let state = fixtures::testdata_set("crash-p8k").join("state");
    let folder = tempfile::tempdir().unwrap();
    for name in names(&state).iter().filter(|name| name.ends_with(".log")) {
        fs::copy(state.join(name), folder.path().join(name)).unwrap();
    }
    let path = |name: &str| folder.path().join(name);
    fs::rename(path("edb.log"), path("last")).unwrap();
    fs::rename(path("edb00005.log"), path("edb.log")).unwrap();
    let logs = folder.path().to_str().unwrap();
    let to = path("out");
    let run_to = ["run", "--logs", logs, "--to", to.to_str().unwrap()];
    let plan = run("edbreplay", ["plan", "--logs", logs]);
    let made = run("edbreplay", run_to);
    assert_eq!((exit(&plan), exit(&made)), (1, 5), "{}", told(&plan));
    for output in [&plan, &made] {
        let told = told(output);
        assert!(!told.contains("READY.") && told.contains("-528"), "{told}");
        assert!(told.contains("rename edb.log to edb00005.log"), "{told}");
    }
    assert!(!to.exists());
    fs::rename(path("edb.log"), path("edb00005.log")).unwrap();
    fs::rename(path("last"), path("edb.log")).unwrap();
    let made = run("edbreplay", run_to);
    assert_eq!(exit(&made), 0, "{}", told(&made));
}
