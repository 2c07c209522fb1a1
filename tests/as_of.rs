//! `--as-of`: a database is shown as it was at a moment of its logs, or it is said why not and which moments there are.

mod common;

use common::{document, edbtool, exit, run, stderr, stdout};
use ese_testkit::fixtures;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use tempfile::TempDir;

/// A set with a copy of its database that was taken early.
const SET: &str = "efv8520-oldcopy-p4k";

fn old_copy() -> (PathBuf, PathBuf) {
    let state = fixtures::testdata_set(SET).join("state");
    let files = fixtures::files_below(&state);
    let old = files
        .iter()
        .find(|path| path.to_string_lossy().ends_with(".old1"));
    (old.expect("an old copy").clone(), state)
}

/// `edbtool COMMAND DATABASE --with-logs LOGS --as-of MOMENT` and more words.
fn as_of(command: &str, database: &Path, logs: &Path, moment: &str, more: &[&str]) -> Output {
    let words = [
        command.as_ref(),
        database.as_os_str(),
        "--with-logs".as_ref(),
        logs.as_os_str(),
        "--as-of".as_ref(),
        moment.as_ref(),
    ];
    let more = more.iter().map(OsStr::new);
    edbtool(words.into_iter().chain(more))
}

/// A refusal: its message and its advice.
#[track_caller]
fn refused(output: &Output) -> String {
    assert_eq!(exit(output), 5, "{}", stderr(output));
    assert!(output.stdout.is_empty());
    stderr(output)
}

/// The moment that a refusal offers.
fn offered(said: &str) -> String {
    let (_, rest) = said
        .split_once("or ask for the ")
        .expect("a moment is offered");
    let (_, rest) = rest.split_once(": ").expect("a moment is offered");
    rest.split([';', '\n']).next().unwrap().trim().to_owned()
}

/// Rows of all tables, by file name.
fn exported(words: &[&OsStr]) -> Vec<(String, String)> {
    let folder = TempDir::new().unwrap();
    let to = folder.path().join("rows");
    let fixed: [&OsStr; 4] = [
        "export".as_ref(),
        "--no-hash".as_ref(),
        "--to".as_ref(),
        to.as_os_str(),
    ];
    let output = edbtool(fixed.iter().chain(words));
    assert_eq!(exit(&output), 0, "{}", stderr(&output));
    let files = fixtures::files_below(&to).into_iter();
    files
        .filter(|file| file.extension() == Some("jsonl".as_ref()))
        .map(|file| {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(file).unwrap())
        })
        .collect()
}

/// Positions of the commits in the logs, with the times between which they were logged.
fn commits(logs: &Path) -> Vec<Value> {
    let words: [&OsStr; 5] = [
        "records".as_ref(),
        logs.as_os_str(),
        "--type".as_ref(),
        "Commit0".as_ref(),
        "--json".as_ref(),
    ];
    let output = run("logchain", words);
    assert_eq!(exit(&output), 0, "{}", stderr(&output));
    let lines = stdout(&output).lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_moment_shows_what_a_recovery_up_to_there_leaves() {
    let (old, state) = old_copy();
    let commits = commits(&state);
    let commit = &commits[commits.len() * 3 / 4];
    let lgpos = commit["lgpos"].as_str().unwrap();
    let before = fs::read(&old).unwrap();

    let folder = TempDir::new().unwrap();
    let recovered = folder.path().join("recovered.edb");
    let words: [&OsStr; 8] = [
        "run".as_ref(),
        old.as_os_str(),
        "--logs".as_ref(),
        state.as_os_str(),
        "--until-lgpos".as_ref(),
        lgpos.as_ref(),
        "--to".as_ref(),
        recovered.as_os_str(),
    ];
    let made = run("edbreplay", words);
    assert_eq!(exit(&made), 0, "{}", stderr(&made));
    let expected = exported(&[recovered.as_os_str()]);
    let view = |moment: &str| -> Vec<(String, String)> {
        exported(&[
            old.as_os_str(),
            "--with-logs".as_ref(),
            state.as_os_str(),
            "--as-of".as_ref(),
            moment.as_ref(),
        ])
    };
    assert_eq!(view(lgpos), expected);
    let at_end: [&OsStr; 3] = [old.as_os_str(), "--with-logs".as_ref(), state.as_os_str()];
    assert_ne!(exported(&at_end), expected, "later logs change rows");

    let shown = as_of("tables", &old, &state, lgpos, &["--json"]);
    assert_eq!(exit(&shown), 0, "{}", stderr(&shown));
    let shown = document(&shown);
    assert_eq!(shown["as_of"]["lgpos"], lgpos);
    assert_eq!(shown["as_of"]["from"]["time"], commit["earliest"]);
    assert_eq!(shown["as_of"]["until"]["time"], commit["latest"]);

    let earliest = commit["earliest"].as_str().unwrap();
    let by_time = document(&as_of("tables", &old, &state, earliest, &["--json"]));
    assert!(
        by_time["as_of"]["lgpos"].as_str() >= Some(lgpos),
        "{by_time}"
    );
    assert_eq!(by_time["as_of"]["from"]["time"], earliest);

    for command in ["schema", "space", "verify"] {
        let seen = as_of(command, &old, &state, lgpos, &["--json"]);
        assert_eq!(document(&seen)["as_of"]["lgpos"], lgpos, "{command}");
    }
    let page = document(&as_of("page", &old, &state, lgpos, &["4", "--json"]));
    assert_eq!(page["as_of"]["lgpos"], lgpos);
    let said = stderr(&as_of("tables", &old, &state, lgpos, &[]));
    assert!(
        said.contains(&format!("as of {lgpos}, logged between {earliest} and ")),
        "{said}"
    );
    assert_eq!(fs::read(&old).unwrap(), before, "the database is only read");
}

#[test]
fn no_other_moment_is_shown_in_place_of_one_that_cannot_be_had() {
    let (old, state) = old_copy();
    let early = refused(&as_of("tables", &old, &state, "1", &[]));
    assert!(
        early.contains("the earliest moment is") && early.contains("older copy"),
        "{early}"
    );
    let earliest = offered(&early);
    let shown = document(&as_of("tables", &old, &state, &earliest, &["--json"]));
    assert_eq!(shown["as_of"]["lgpos"], *earliest);
    let commits = commits(&state);
    let mut before = commits
        .iter()
        .map(|commit| commit["lgpos"].as_str().unwrap());
    let before = before.rfind(|lgpos| *lgpos < earliest.as_str()).unwrap();
    let just_before = refused(&as_of("tables", &old, &state, before, &[]));
    assert_eq!(offered(&just_before), earliest);

    for late in ["0xFFFF", "0000FFFF:0001:0000", "2999-01-01T00:00:00Z"] {
        let said = refused(&as_of("rows", &old, &state, late, &["Items"]));
        assert!(said.contains("the last moment is"), "{said}");
        let last = offered(&said);
        let shown = document(&as_of("tables", &old, &state, &last, &["--json"]));
        assert_eq!(shown["as_of"]["lgpos"], *last);
    }
    let early = refused(&as_of("tables", &old, &state, "1999-01-01T00:00:00Z", &[]));
    assert_eq!(offered(&early), earliest);
}

#[test]
fn a_clean_database_is_shown_only_where_its_logs_say_what_came_after() {
    let state = fixtures::testdata_set("clean-p4k").join("state");
    let database = state.join("db.edb");
    let said = refused(&as_of("tables", &database, &state, "2", &[]));
    assert!(said.contains("last consistent"), "{said}");
    let consistent = offered(&said);

    let none = TempDir::new().unwrap();
    for logs in [&*state, none.path()] {
        let shown = as_of("tables", &database, logs, &consistent, &["--json"]);
        assert_eq!(exit(&shown), 0, "{}", stderr(&shown));
        let shown = document(&shown)["as_of"]["lgpos"].clone();
        assert!(shown.as_str() >= Some(&consistent), "{shown}");
        let late = refused(&as_of(
            "tables",
            &database,
            logs,
            "2999-01-01T00:00:00Z",
            &[],
        ));
        assert!(late.contains("the last moment is"), "{late}");
        refused(&as_of("tables", &database, logs, "0xFFFF", &[]));
    }
}

/// The database that a recovery of the old copy left clean at the end of this generation, and how many transactions it
/// rolled back.
fn clean_at_the_end_of(generation: u32, folder: &Path) -> (PathBuf, u64) {
    let (old, state) = old_copy();
    let (until, clean) = (generation.to_string(), folder.join("clean.edb"));
    let words: [&OsStr; 9] = [
        "run".as_ref(),
        old.as_os_str(),
        "--logs".as_ref(),
        state.as_os_str(),
        "--until".as_ref(),
        until.as_ref(),
        "--to".as_ref(),
        clean.as_os_str(),
        "--json".as_ref(),
    ];
    let made = run("edbreplay", words);
    assert_eq!(exit(&made), 0, "{}", stderr(&made));
    let undone = document(&made)["transactions_undone"].as_u64();
    (clean, undone.unwrap())
}

#[test]
fn a_time_before_a_clean_database_is_refused_though_the_lowest_logs_are_missing() {
    const LAST: u32 = 12;
    let folder = TempDir::new().unwrap();
    let (clean, undone) = clean_at_the_end_of(LAST, folder.path());
    assert!(undone > 0, "a transaction is open there");
    let (_, state) = old_copy();
    let commits = commits(&state);
    let before = format!("{LAST:08X}:");
    let mut before = commits
        .iter()
        .filter(|commit| commit["lgpos"].as_str() < Some(&before));
    let before = before.next_back().unwrap()["earliest"].as_str().unwrap();
    let later = TempDir::new().unwrap();
    for file in fixtures::files_below(&state) {
        let name = file.file_name().unwrap().to_str().unwrap();
        let number = name
            .strip_prefix("edb")
            .and_then(|name| name.strip_suffix(".log"));
        let number = number.and_then(|number| u32::from_str_radix(number, 16).ok());
        if name == "edb.log" || number > Some(LAST + 1) {
            fs::copy(&file, later.path().join(name)).unwrap();
        }
    }
    for logs in [&*state, later.path()] {
        let said = refused(&as_of("tables", &clean, logs, before, &[]));
        assert!(said.contains("last consistent"), "{said}");
        let shown = as_of("tables", &clean, logs, &offered(&said), &["--json"]);
        assert_eq!(exit(&shown), 0, "{}", stderr(&shown));
        // What is open in the logs there is no affair of this database.
        assert_eq!(document(&shown)["as_of"]["rolled_back"], 0);
    }
}

#[test]
fn an_export_of_another_moment_is_another_export() {
    let (old, state) = old_copy();
    let commits = commits(&state);
    let manifest = |back: usize| {
        let moment = commits[commits.len() - back]["lgpos"].as_str().unwrap();
        let folder = TempDir::new().unwrap();
        let to = folder.path().join("rows");
        let more = ["--json", "--no-hash", "--to", to.to_str().unwrap()];
        let made = document(&as_of("export", &old, &state, moment, &more));
        assert_eq!(made["recovery"]["moment"]["lgpos"], moment);
        made["identity"].clone()
    };
    assert!(manifest(40).is_string());
    assert_eq!(manifest(40), manifest(40));
    assert_ne!(manifest(40), manifest(10));
}

#[test]
fn what_is_no_moment_is_a_mistake_of_the_command_line() {
    let (old, state) = old_copy();
    for moment in ["noon", "2024-05-01T12:00:00", "12:34"] {
        let output = as_of("tables", &old, &state, moment, &[]);
        assert_eq!(exit(&output), 2, "{}", stderr(&output));
        assert!(stderr(&output).contains("2024-05-01T12:00:00Z"));
    }
    let alone = edbtool([
        "tables".as_ref(),
        old.as_os_str(),
        "--as-of".as_ref(),
        "3".as_ref(),
    ]);
    assert_eq!(exit(&alone), 2, "{}", stderr(&alone));
}

#[test]
fn logs_after_the_moment_need_not_be_there() {
    let (old, state) = old_copy();
    let commits = commits(&state);
    let commit = &commits[commits.len() * 3 / 4];
    let lgpos = commit["lgpos"].as_str().unwrap();
    let generation = u32::from_str_radix(&lgpos[..8], 16).unwrap();
    let rows = |logs: &Path, moment: &str| {
        exported(&[
            old.as_os_str(),
            "--with-logs".as_ref(),
            logs.as_os_str(),
            "--as-of".as_ref(),
            moment.as_ref(),
        ])
    };
    let time = commit["earliest"].as_str().unwrap();
    let fewer = TempDir::new().unwrap();
    for file in fixtures::files_below(&state) {
        let name = file.file_name().unwrap().to_str().unwrap();
        if !name.contains(&format!("{:05X}.log", generation + 2)) {
            fs::copy(&file, fewer.path().join(name)).unwrap();
        }
    }
    let at_end = edbtool([
        "tables".as_ref(),
        old.as_os_str(),
        "--with-logs".as_ref(),
        fewer.path().as_os_str(),
    ]);
    refused(&at_end);
    for moment in [lgpos, time, &generation.to_string()] {
        assert_eq!(rows(fewer.path(), moment), rows(&state, moment), "{moment}");
    }
    let gap = (generation + 2).to_string();
    refused(&as_of("tables", &old, fewer.path(), &gap, &[]));
}
