//! `logchain records`: when each record was logged, and which ones are of a table.

mod common;

use common::{document, documents, exit, run, stderr, stdout};
use ese_testkit::{fixtures, logs};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;
use std::process::Output;
use tempfile::TempDir;

#[track_caller]
fn records(state: &Path, more: &[&str]) -> Output {
    let fixed: [&OsStr; 2] = ["records".as_ref(), state.as_os_str()];
    let output = run(
        "logchain",
        fixed.into_iter().chain(more.iter().map(OsStr::new)),
    );
    assert_eq!(exit(&output), 0, "{}", stderr(&output));
    output
}

fn time(record: &Value, name: &str) -> Option<jiff::Timestamp> {
    record[name].as_str().map(|time| time.parse().unwrap())
}

#[test]
fn a_record_was_logged_between_the_beginnings_of_its_segment_and_of_the_next() {
    let state = fixtures::testdata_set("crash-p8k").join("state");
    let all = documents(&records(&state, &["--json"]));
    let segment = |record: &Value| record["lgpos"].as_str().unwrap()[..13].to_owned();
    for pair in all.windows(2) {
        let [one, next] = pair else { unreachable!() };
        assert!(one["earliest"].is_string(), "{one}");
        match segment(one) == segment(next) {
            true => assert_eq!(
                (&one["earliest"], &one["latest"]),
                (&next["earliest"], &next["latest"]),
                "{one} and {next}"
            ),
            // A long record may fill segments in which none begins.
            false => assert!(
                time(one, "latest") <= time(next, "earliest"),
                "{one} and {next}"
            ),
        }
    }
    let first_of_logs = all.windows(2).filter(|pair| {
        let generation = |record: &Value| record["lgpos"].as_str().unwrap()[..8].to_owned();
        generation(&pair[0]) != generation(&pair[1])
    });
    let known = first_of_logs.filter(|pair| pair[0]["latest"].is_string());
    assert_eq!(
        known.count(),
        22,
        "the next log says when the last segment ended"
    );
    assert!(
        all.last().unwrap()["latest"].is_null(),
        "nothing comes after it"
    );

    let fixed: [&OsStr; 4] = [
        "timeline".as_ref(),
        state.as_os_str(),
        "--json".as_ref(),
        "--quiet".as_ref(),
    ];
    let changes = documents(&run("logchain", fixed));
    let logged: BTreeMap<&str, &Value> = all
        .iter()
        .map(|record| (record["lgpos"].as_str().unwrap(), record))
        .collect();
    assert!(changes.len() > 100);
    for change in changes {
        let record = logged[change["source"]["lgpos"].as_str().unwrap()];
        assert_eq!(change["time"]["earliest"], record["earliest"], "{change}");
    }
}

#[test]
fn times_go_before_the_line_of_the_engine() {
    let state = fixtures::testdata_set("crash-p8k").join("state");
    let plain = records(&state, &[]);
    let timed = records(&state, &["--times"]);
    let rest = stdout(&timed).lines().map(|line| {
        // A record may be shown in several lines.
        match line.split_once(" >") {
            Some((times, _)) if times.len() == 49 || times.ends_with(" -") => {
                &line[times.len() + 1..]
            }
            _ => line,
        }
    });
    assert!(stdout(&plain).lines().eq(rest));
    let first = stdout(&timed).lines().next().unwrap();
    assert!(first.starts_with("2026-11-22T04:59:"), "{first}");
}

#[test]
fn moments_bound_a_listing_and_say_when() {
    let state = fixtures::testdata_set("crash-p8k").join("state");
    let all = documents(&records(&state, &["--json"]));
    let middle = all[all.len() / 2]["earliest"].as_str().unwrap();
    let at: jiff::Timestamp = middle.parse().unwrap();
    let since = documents(&records(&state, &["--json", "--since", middle]));
    let expected: Vec<&Value> = all
        .iter()
        .filter(|record| time(record, "latest").is_none_or(|latest| latest >= at))
        .collect();
    assert!(since.iter().eq(expected.iter().copied()));
    assert!(since.len() < all.len());
    let until = documents(&records(&state, &["--json", "--until", middle]));
    let expected: Vec<&Value> = all
        .iter()
        .filter(|record| time(record, "earliest") <= Some(at))
        .collect();
    assert!(until.iter().eq(expected.iter().copied()));
    assert!(until.len() < all.len());
    for (new, old) in [("--since", "--from"), ("--until", "--to")] {
        let ask = |option| stdout(&records(&state, &[option, "17:6:1"])).to_owned();
        assert_eq!(ask(new), ask(old));
    }
}

#[test]
fn the_older_layout_has_the_times_of_logs() {
    let state = fixtures::testdata_set("crash-p8k").join("state");
    let older = TempDir::new().unwrap();
    logs::repack(&state, older.path());
    let all = documents(&records(older.path(), &["--json"]));
    let mut of_log: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    for record in &all {
        let log = record["lgpos"].as_str().unwrap()[..8].to_owned();
        let times = (record["earliest"].to_string(), record["latest"].to_string());
        of_log.entry(log).or_default().insert(times);
    }
    let of_log: Vec<_> = of_log.into_values().collect();
    assert_eq!(of_log.len(), 23);
    for times in of_log.windows(2) {
        let [one, next] = [&times[0], &times[1]].map(|times| times.first().unwrap());
        assert!(times[0].len() == 1 && one.1 == next.0, "{times:?}");
    }
}

#[test]
fn a_table_is_its_rows_long_values_and_indexes_in_one_database() {
    let state = fixtures::testdata_set("multidb-p8k").join("state");
    let all = documents(&records(&state, &["--json"]));
    let mut found = 0;
    for file in fixtures::files_below(&state) {
        if file.extension() != Some("edb".as_ref()) {
            continue;
        }
        let database = file.to_str().unwrap();
        let words = ["schema", database, "--json"];
        let schema = document(&run("edbtool", words));
        let tables = schema["tables"].as_array().unwrap();
        let table = tables
            .iter()
            .find(|table| table["name"] == "Items")
            .unwrap();
        let indexes = table["indexes"].as_array().unwrap().iter();
        let trees = indexes.chain([table, &table["long_values"]]);
        let trees: BTreeSet<u64> = trees.filter_map(|tree| tree["objid"].as_u64()).collect();
        assert!(trees.len() > 2, "{table}");
        let more = ["--json", "--table", "items", "--catalog", database];
        let of_table = documents(&records(&state, &more));
        let dbids: BTreeSet<u64> = of_table
            .iter()
            .filter_map(|record| record["dbid"].as_u64())
            .collect();
        assert_eq!(dbids.len(), 1, "{database}");
        let dbid = *dbids.first().unwrap();
        let expected: Vec<&Value> = all
            .iter()
            .filter(|record| record["dbid"] == dbid)
            .filter(|record| {
                record["objid"]
                    .as_u64()
                    .is_some_and(|objid| trees.contains(&objid))
            })
            .collect();
        assert!(of_table.iter().eq(expected.iter().copied()), "{database}");
        found += of_table.len();
    }
    assert!(found > 100 && found < all.len() / 2, "{found}");
}

#[test]
fn a_table_needs_a_catalog_that_has_it() {
    let state = fixtures::testdata_set("crash-p8k").join("state");
    let ask = |more: &[&str]| {
        let fixed: [&OsStr; 2] = ["records".as_ref(), state.as_os_str()];
        run(
            "logchain",
            fixed.into_iter().chain(more.iter().map(OsStr::new)),
        )
    };
    assert_eq!(exit(&ask(&["--table", "Items"])), 2);
    let database = state.join("db.edb");
    let database = database.to_str().unwrap();
    assert_eq!(
        exit(&ask(&["--table", "Nothing", "--catalog", database])),
        2
    );
    let log = state.join("edb.log");
    let log = log.to_str().unwrap();
    assert_eq!(exit(&ask(&["--table", "Items", "--catalog", log])), 4);
}
