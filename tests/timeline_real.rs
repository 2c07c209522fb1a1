//! Timelines of files that Windows left: the last version of every row is the one that the database has after recovery.

mod common;

use common::{edbtool, exit, run, stderr, stdout};
use ese_testkit::fixtures;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

type Row = Map<String, Value>;

/// Rows of every table after recovery, as an export gives them.
fn recovered(database: &Path, logs: &Path) -> HashMap<String, Vec<Row>> {
    let folder = TempDir::new().unwrap();
    let to = folder.path().join("rows");
    let words: [&OsStr; 7] = [
        "export".as_ref(),
        database.as_os_str(),
        "--with-logs".as_ref(),
        logs.as_os_str(),
        "--ignore-missing".as_ref(),
        "--to".as_ref(),
        to.as_os_str(),
    ];
    let output = edbtool(words);
    assert!(exit(&output) <= 1, "{}", stderr(&output));
    let manifest = fs::read_to_string(to.join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let tables = manifest["tables"].as_array().unwrap().iter();
    tables
        .map(|table| {
            let file = to.join(table["file"].as_str().unwrap());
            let text = fs::read_to_string(file).unwrap();
            let rows = text.lines().map(|line| serde_json::from_str(line).unwrap());
            (table["name"].as_str().unwrap().to_owned(), rows.collect())
        })
        .collect()
}

/// How many changes were told, and the last committed one of each row by table and bookmark.
type Changes = (usize, BTreeMap<(String, String), Value>);

fn last_changes(database: &Path, logs: &Path) -> Changes {
    let words: [&OsStr; 8] = [
        "timeline".as_ref(),
        logs.as_os_str(),
        "--db".as_ref(),
        database.as_os_str(),
        "--format".as_ref(),
        "jsonl".as_ref(),
        "--inline-limit".as_ref(),
        "1MiB".as_ref(),
    ];
    let output = run("logchain", words);
    assert!(exit(&output) <= 1, "{}", stderr(&output));
    let mut last = BTreeMap::new();
    let mut count = 0;
    for line in stdout(&output).lines() {
        let change: Value = serde_json::from_str(line).unwrap();
        let word = |name: &str| change[name].as_str().unwrap_or_default().to_owned();
        let is_of_row = ["insert", "update", "delete"].contains(&word("operation").as_str());
        if !is_of_row || word("status") != "committed" {
            continue;
        }
        count += 1;
        assert!(change["bookmark"].is_string(), "{change}");
        last.insert((word("table"), word("bookmark")), change);
    }
    (count, last)
}

/// Compares both; gives how many changes there were, and how many rows were equal.
fn compare(database: &Path, logs: &Path) -> (usize, usize) {
    let rows = recovered(database, logs);
    let (count, last) = last_changes(database, logs);
    let mut equal = 0;
    for ((table, bookmark), change) in last {
        let own = &rows[&table];
        let Some(key) = change["key"].as_object().filter(|key| !key.is_empty()) else {
            continue;
        };
        let has_key = |row: &&Row| {
            let mut columns = key.iter();
            columns.all(|(name, value)| row.get(name).unwrap_or(&Value::Null) == value)
        };
        let found = own.iter().find(has_key);
        let Some(after) = change["after"].as_object() else {
            if change["operation"] == "delete" {
                assert_eq!(found, None, "{table} {bookmark} was deleted last");
            }
            continue;
        };
        assert_eq!(change["after_state"], "complete", "{change}");
        assert_eq!(found, Some(after), "{table} {bookmark}");
        equal += 1;
    }
    (count, equal)
}

#[test]
fn srum_of_windows_11_ends_with_the_rows_after_recovery() {
    let folder = fixtures::real().join("museum/SRUM/Win11/RathbunVM/Dirty");
    let (changes, equal) = compare(&folder.join("SRUDB.dat"), &folder);
    assert!(
        changes >= 300 && equal >= 300,
        "{changes} changes, {equal} rows"
    );
}

mod not_shipped {
    use super::*;

    #[test]
    #[ignore = "needs a stream of Windows XP, which is not shipped"]
    fn the_catalogs_of_windows_xp_end_with_their_rows() {
        let folder = fixtures::windows_xp().expect("../shared/fixtures is there");
        for (guid, least) in [
            ("{F750E6C3-38EE-11D1-85E5-00C04FC295EE}", 4000),
            ("{127D0A1D-4EF2-11D1-8608-00C04FC295EE}", 0),
        ] {
            let (changes, equal) = compare(&folder.join(guid).join("catdb"), &folder);
            assert!(
                changes >= least && equal >= least * 3 / 4,
                "{changes}, {equal}"
            );
        }
    }
}
