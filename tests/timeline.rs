//! `logchain timeline`: every change of a row, as the workloads made it, from nothing and from the end of the logs alone.

#[path = "timeline/back.rs"]
mod back;
mod common;

use common::{document, exit, run, stderr, stdout};
use ese_format::hex;
use ese_testkit::fixtures;
use ese_testkit::logs::{ATTACH_LIST, seal_header};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use tempfile::TempDir;

/// Sets whose logs do not go back to the creation of their databases.
const WITHOUT_CREATION: [&str; 2] = ["backup-p8k", "circ-p4k"];
/// The set of which the last two logs were taken away.
const CUT_SHORT: &str = "lossy-p8k";

fn timeline(arguments: &[&OsStr]) -> Vec<Value> {
    timeline_with(arguments, 0)
}

fn output(arguments: &[&OsStr]) -> Output {
    let fixed: [&OsStr; 3] = ["timeline".as_ref(), "--format".as_ref(), "jsonl".as_ref()];
    run("logchain", fixed.iter().chain(arguments))
}

fn changes(output: &Output) -> Vec<Value> {
    let lines = stdout(output).lines();
    lines
        .map(|line| serde_json::from_str(line).expect("a line is a document"))
        .collect()
}

/// Changes, and the exit code.
fn answered(arguments: &[&OsStr]) -> (Vec<Value>, i32) {
    let output = output(arguments);
    (changes(&output), exit(&output))
}

fn timeline_with(arguments: &[&OsStr], code: i32) -> Vec<Value> {
    let output = output(arguments);
    assert_eq!(exit(&output), code, "{arguments:?}: {}", stderr(&output));
    changes(&output)
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

fn is_of_row(change: &Value) -> bool {
    ["insert", "update", "delete"].contains(&text(change, "operation"))
}

fn is_committed_row(change: &Value) -> bool {
    text(change, "status") == "committed" && is_of_row(change)
}

/// The bytes that a value of ours may stand for.
fn bytes_of(ours: &Value, raw: Option<&Value>) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    if let Some(text) = ours.as_str() {
        all.extend(hex::decode(text));
        all.push(text.encode_utf16().flat_map(u16::to_le_bytes).collect());
        all.push(text.bytes().collect());
        if let Some(digits) = hex::decode(&text.replace('-', "")).filter(|guid| guid.len() == 16) {
            let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
            all.push(order.iter().map(|place| digits[*place]).collect());
        }
    }
    if let Some(number) = ours.as_f64() {
        all.push(number.to_le_bytes().to_vec());
        all.push((number as f32).to_le_bytes().to_vec());
    }
    let bits = raw.and_then(Value::as_str);
    let bits = bits.and_then(|raw| u64::from_str_radix(raw.trim_start_matches("0x"), 16).ok());
    all.extend(bits.map(|bits| bits.to_le_bytes().to_vec()));
    all
}

/// Whether a value of the timeline is the one that a workload wrote down.
fn is_same(theirs: &Value, ours: &Value, raw: Option<&Value>) -> bool {
    let hash = |bytes: &Vec<u8>| json!(hex::encode(Sha256::digest(bytes)));
    match theirs {
        Value::Array(theirs) => ours.as_array().is_some_and(|ours| {
            let pairs = theirs.iter().zip(ours);
            theirs.len() == ours.len() && pairs.into_iter().all(|(a, b)| is_same(a, b, None))
        }),
        // A list of one value is written down as the value.
        theirs if ours.as_array().is_some_and(|ours| ours.len() == 1) => {
            is_same(theirs, &ours[0], None)
        }
        Value::Object(long) if ours.is_object() => {
            long["len"] == ours["length"] && long["sha256"] == ours["sha256"]
        }
        Value::Object(long) => bytes_of(ours, raw)
            .iter()
            .any(|bytes| long["len"] == json!(bytes.len()) && long["sha256"] == hash(bytes)),
        Value::String(theirs) if theirs.starts_with("x:") => {
            let theirs = hex::decode(&theirs[2..]).expect("hexadecimal");
            bytes_of(ours, raw).contains(&theirs)
        }
        theirs => theirs == ours,
    }
}

fn assert_row(theirs: &Value, ours: &Value, of: &str) {
    let (theirs, ours) = (theirs.as_object().unwrap(), ours.as_object().unwrap());
    let names = |row: &Map<String, Value>| -> Vec<String> {
        let names = row.keys().filter(|name| !name.ends_with("_raw"));
        names.cloned().collect()
    };
    assert_eq!(names(theirs), names(ours), "{of}");
    for (name, value) in theirs {
        let raw = ours.get(&format!("{name}_raw"));
        assert!(
            is_same(value, &ours[name], raw),
            "{of}: {name} is {}, not {value}",
            ours[name]
        );
    }
}

/// The rows that a set's workload changed, by transaction, in the order of their commits. A `put` that leaves a row as it
/// was is left out: the engine logs nothing for it (an escrow column to which zero is added).
fn committed(set: &Path) -> Vec<Vec<Value>> {
    let text_of_set = fs::read_to_string(set.join("transactions.jsonl")).unwrap();
    let mut transactions: Vec<Vec<Value>> = Vec::new();
    let mut rows: HashMap<(String, String, String), Value> = HashMap::new();
    let mut last = Value::Null;
    for line in text_of_set.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        if line["tx"] != last {
            last = line["tx"].clone();
            transactions.push(Vec::new());
        }
        let word = |name: &str| text(&line, name).to_owned();
        let place = (word("db"), word("table"), word("bm"));
        match text(&line, "op") {
            "put" if rows.get(&place) == Some(&line["row"]) => continue,
            "put" => drop(rows.insert(place, line["row"].clone())),
            "del" => drop(rows.remove(&place)),
            "droptable" => {
                rows.retain(|(db, table, _), _| *db != place.0 || *table != place.1);
                continue;
            }
            _ => continue,
        }
        transactions.last_mut().unwrap().push(line);
    }
    transactions.retain(|changes| !changes.is_empty());
    transactions
}

/// The committed changes of rows of users' tables, by transaction. An update after which a row is as before is left out
/// here, too.
fn told(changes: &[Value]) -> Vec<Vec<&Value>> {
    let mut transactions: Vec<Vec<&Value>> = Vec::new();
    let mut last = &Value::Null;
    for change in changes.iter().filter(|change| is_committed_row(change)) {
        if &change["transaction"]["end"] != last {
            last = &change["transaction"]["end"];
            transactions.push(Vec::new());
        }
        if text(change, "operation") != "update" || change["before"] != change["after"] {
            transactions.last_mut().unwrap().push(change);
        }
    }
    transactions.retain(|changes| !changes.is_empty());
    transactions
}

fn from_nothing(set: &Path) -> Vec<Value> {
    timeline(&[set.join("state").as_os_str()])
}

#[test]
fn from_nothing_every_committed_transaction_is_told_in_order() {
    let (mut transactions, mut rows) = (0, 0);
    for name in fixtures::engine_set_names() {
        if WITHOUT_CREATION.contains(&name.as_str()) {
            continue;
        }
        let set = fixtures::engine_set(&name);
        let changes = from_nothing(&set);
        let (expected, found) = (committed(&set), told(&changes));
        if name == CUT_SHORT {
            assert!(found.len() > 100 && found.len() < expected.len(), "{name}");
        } else {
            assert_eq!(found.len(), expected.len(), "{name}: transactions");
        }
        for (number, (expected, found)) in expected.iter().zip(&found).enumerate() {
            assert_eq!(expected.len(), found.len(), "{name}: transaction {number}");
            for (expected, found) in expected.iter().zip(found) {
                let of = format!("{name}: {expected}");
                for (theirs, ours) in [("db", "database"), ("table", "table"), ("bm", "bookmark")] {
                    assert_eq!(expected[theirs], found[ours], "{of}");
                }
                match text(expected, "op") {
                    "put" => assert_row(&expected["row"], &found["after"], &of),
                    _ => assert_eq!(text(found, "operation"), "delete", "{of}"),
                }
                rows += 1;
            }
            transactions += 1;
        }
        for change in changes.iter().filter(|change| is_of_row(change)) {
            let states = (text(change, "before_state"), text(change, "after_state"));
            let expected = match text(change, "operation") {
                "insert" => ("absent", "complete"),
                "update" => ("complete", "complete"),
                _ => ("complete", "absent"),
            };
            assert_eq!(states, expected, "{name}: {change}");
        }
    }
    let expected = fixtures::either((16_280, 101_888), (2_772, 19_000));
    assert!(
        transactions >= expected.0 && rows >= expected.1,
        "{transactions} transactions, {rows} changes"
    );
    println!("{transactions} transactions, {rows} changes of rows");
}

/// Copies of the logs of a set with those that its recovery wrote, and its recovered databases.
fn recovered(set: &Path, into: &Path) -> Vec<PathBuf> {
    let mut databases = BTreeMap::new();
    for folder in ["state", "recovered"] {
        let Ok(entries) = fs::read_dir(set.join(folder)) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_owned();
            match path.extension().and_then(OsStr::to_str) {
                Some("log" | "jtx") => drop(fs::copy(&path, into.join(&name)).unwrap()),
                Some("edb") => drop(databases.insert(name, path)),
                _ => {}
            }
        }
    }
    databases.into_values().collect()
}

/// The names of the logs in a folder, oldest first.
fn logs_in(folder: &Path) -> Vec<PathBuf> {
    let mut logs: Vec<PathBuf> = fixtures::files_below(folder);
    logs.retain(|log| log.file_stem().is_some_and(|stem| stem.len() > 3));
    logs.sort();
    logs
}

/// Changes of rows by where they are.
fn by_place(changes: &[Value]) -> BTreeMap<(String, String), &Value> {
    let rows = changes.iter().filter(|change| is_of_row(change));
    rows.map(|change| {
        let place = text(&change["source"], "lgpos").to_owned();
        ((text(change, "database").to_owned(), place), change)
    })
    .collect()
}

/// Asserts that nothing that is said of changes differs from the truth; gives how many are complete.
fn assert_nothing_wrong(name: &str, truth: &[Value], found: &[Value]) -> (usize, usize) {
    let (truth, found) = (by_place(truth), by_place(found));
    let mut known = 0;
    for (place, found) in &found {
        let of = || format!("{name}: {place:?}: {found}");
        let truth = truth.get(place).unwrap_or_else(|| panic!("{}", of()));
        for field in ["operation", "table", "source"] {
            assert_eq!(truth[field], found[field], "{}", of());
        }
        if text(found, "status") != "end_not_known" {
            assert_eq!(truth["status"], found["status"], "{}", of());
        }
        for field in ["bookmark", "key"] {
            let value = &found[field];
            assert!(value.is_null() || *value == truth[field], "{}", of());
        }
        let unknown = found["unknown_columns"].as_object();
        for (side, state) in [("before", "before_state"), ("after", "after_state")] {
            if text(found, state) == "unknown" {
                assert!(found[side].is_null(), "{}", of());
                continue;
            }
            assert_eq!(truth[side].is_null(), found[side].is_null(), "{}", of());
            let Some(row) = truth[side].as_object() else {
                continue;
            };
            let found = found[side].as_object().unwrap();
            for column in row.keys().chain(found.keys()) {
                let plain = column.strip_suffix("_raw").unwrap_or(column);
                if unknown.is_none_or(|unknown| !unknown.contains_key(plain)) {
                    assert_eq!(row.get(column), found.get(column), "{}, {column}", of());
                }
            }
        }
        let states = ["before_state", "after_state"].map(|state| text(found, state));
        let is_known = |state: &&str| ["complete", "absent"].contains(state);
        known += usize::from(states.iter().all(is_known));
    }
    (known, found.len())
}

/// The arguments that name the logs of a folder and databases.
fn arguments(folder: &Path, databases: &[PathBuf]) -> Vec<OsString> {
    let databases = databases.iter();
    let databases = databases.flat_map(|database| ["--db".into(), database.clone().into()]);
    std::iter::once(folder.as_os_str().to_owned())
        .chain(databases)
        .collect()
}

fn words(arguments: &[OsString]) -> Vec<&OsStr> {
    arguments.iter().map(OsString::as_os_str).collect()
}

#[test]
fn from_nothing_a_missing_log_is_said() {
    let set = fixtures::testdata_set("crash-p8k");
    let folder = TempDir::new().unwrap();
    recovered(&set, folder.path());
    let truth = timeline(&[folder.path().as_os_str()]);
    let mut statuses = BTreeMap::new();
    for missing in &logs_in(folder.path())[5..10] {
        let aside = missing.with_extension("aside");
        fs::rename(missing, &aside).unwrap();
        let found = timeline_with(&[folder.path().as_os_str()], 1);
        let (known, told) = assert_nothing_wrong("crash-p8k", &truth, &found);
        assert!(known == told && told > 100, "{known} of {told}");
        for change in &found {
            *statuses
                .entry(text(change, "status").to_owned())
                .or_insert(0) += 1;
        }
        fs::rename(&aside, missing).unwrap();
    }
    assert!(statuses.contains_key("end_not_known"), "{statuses:?}");
    assert!(!statuses.contains_key("open_at_end"), "{statuses:?}");
}

#[test]
fn records_of_a_database_that_no_log_names_are_counted() {
    let set = fixtures::testdata_set("crash-p8k");
    let folder = TempDir::new().unwrap();
    let databases = recovered(&set, folder.path());
    let logs = logs_in(folder.path());
    fs::remove_file(&logs[0]).unwrap();
    for path in &logs[1..] {
        let mut log = fs::read(path).unwrap();
        log[ATTACH_LIST].fill(0);
        seal_header(&mut log);
        fs::write(path, log).unwrap();
    }
    let given = arguments(folder.path(), &databases);
    let output = run(
        "logchain",
        std::iter::once("timeline".as_ref()).chain(words(&given)),
    );
    assert_eq!(exit(&output), 1);
    let said = stderr(&output);
    assert!(
        said.contains("records are of a database that no log"),
        "{said}"
    );
    // The life of a row, told from the same logs, says the same.
    let words = ["--table", "Items", "--key", "id=1"].map(OsStr::new);
    let of_row = [
        "history".as_ref(),
        databases[0].as_os_str(),
        "--with-logs".as_ref(),
        folder.path().as_os_str(),
    ];
    let output = run("edbtool", of_row.into_iter().chain(words));
    assert_eq!(exit(&output), 1);
    let said = stderr(&output);
    assert!(
        said.contains("records are of a database that no log"),
        "{said}"
    );
}

#[test]
fn an_older_copy_with_all_logs_leaves_nothing_out() {
    let (name, copy) = ("efv8520-oldcopy-p4k", "db.edb.old1");
    let set = fixtures::testdata_set(name);
    let state = set.join("state");
    let folder = TempDir::new().unwrap();
    recovered(&set, folder.path());
    let truth = timeline(&[folder.path().as_os_str()]);
    fs::remove_file(&logs_in(folder.path())[0]).unwrap();
    let copy = state.join(copy);
    let found = timeline(&words(&arguments(folder.path(), &[copy])));
    let late = |change: &&Value| !text(&change["source"], "lgpos").starts_with("00000001:");
    let late: Vec<Value> = truth.iter().filter(late).cloned().collect();
    let (known, count) = assert_nothing_wrong(name, &truth, &found);
    assert_eq!(count, by_place(&late).len());
    assert!(known as f64 > 0.95 * count as f64);
}

#[test]
fn the_order_of_the_log_holds_the_same_changes() {
    let set = fixtures::testdata_set("crash-p8k");
    let state = set.join("state");
    let mut by_commit = from_nothing(&set);
    let by_log = timeline(&["--order".as_ref(), "log".as_ref(), state.as_os_str()]);
    let place = |change: &Value| text(&change["source"], "lgpos").to_owned();
    assert!(by_log.is_sorted_by_key(place) && !by_commit.is_sorted_by_key(place));
    by_commit.sort_by_key(place);
    assert_eq!(by_commit, by_log);
}

#[test]
fn long_values_become_files_that_have_their_hashes_as_names() {
    let folder = TempDir::new().unwrap();
    let state = fixtures::testdata_set("crash-p8k").join("state");
    let to = folder.path().join("long");
    let changes = timeline(&[
        "--inline-limit".as_ref(),
        "500".as_ref(),
        "--blobs".as_ref(),
        to.as_os_str(),
        state.as_os_str(),
    ]);
    let mut values = 0;
    for change in &changes {
        let rows = [&change["before"], &change["after"]].map(Value::as_object);
        let columns = rows.into_iter().flatten().flat_map(Map::values);
        let all =
            columns.flat_map(|value| value.as_array().cloned().unwrap_or(vec![value.clone()]));
        for value in all.filter(Value::is_object) {
            let bytes = fs::read(to.join(text(&value, "file"))).unwrap();
            assert_eq!(value["length"], json!(bytes.len()));
            assert_eq!(text(&value, "sha256"), hex::encode(Sha256::digest(&bytes)));
            assert!(bytes.len() > 500 && text(&value, "file").ends_with(text(&value, "sha256")));
            values += 1;
        }
    }
    assert!(values > 100, "{values}");
}

#[test]
fn the_pages_of_changes_are_those_before_and_after() {
    let folder = TempDir::new().unwrap();
    let set = fixtures::testdata_set("crash-p8k");
    let state = set.join("state");
    let to = folder.path().join("pages");
    let asked: [&OsStr; 7] = [
        "--table".as_ref(),
        "Items".as_ref(),
        "--op".as_ref(),
        "delete".as_ref(),
        "--save-pages".as_ref(),
        to.as_os_str(),
        state.as_os_str(),
    ];
    let changes = timeline(&asked);
    assert_eq!(fs::read_dir(&to).unwrap().count(), 2 * changes.len());
    for change in &changes {
        let place = text(&change["source"], "lgpos").replace(':', "-");
        let pgno = change["source"]["page"].as_u64().unwrap();
        let page = |when: &str| {
            let bytes = fs::read(to.join(format!("{place}-page-{pgno}-{when}.bin"))).unwrap();
            let page = ese_checksum::PageBytes::new(&bytes).unwrap();
            let verdict = ese_checksum::verify_page(page, pgno as u32);
            assert!(
                matches!(verdict, ese_checksum::ChecksumVerdict::Good),
                "{change}"
            );
            bytes
        };
        let (before, after) = (page("before"), page("after"));
        // Every page says when it was last changed (`PGHDR`, `inc/cpage.hxx`).
        let dbtime = |page: &[u8]| u64::from_le_bytes(page[8..16].try_into().unwrap());
        assert_eq!(json!(dbtime(&after)), change["source"]["dbtime"]);
        assert!(dbtime(&before) < dbtime(&after));
    }
    let again = [&["timeline".as_ref()], &asked[..]].concat();
    assert_eq!(exit(&run("logchain", again)), 3, "files are not replaced");
}

/// The answer in some format, as text.
fn answer(format: &str, state: &Path) -> Vec<u8> {
    let words: [&OsStr; 4] = [
        "timeline".as_ref(),
        "--format".as_ref(),
        format.as_ref(),
        state.as_os_str(),
    ];
    let output = run("logchain", words);
    assert_eq!(exit(&output), 0, "{}", stderr(&output));
    output.stdout
}

#[test]
fn every_format_says_the_same() {
    let set = fixtures::testdata_set("crash-p8k");
    let state = set.join("state");
    let changes = from_nothing(&set);
    let lines = |format: &str| -> Vec<Value> {
        let answer = answer(format, &state);
        let lines = str::from_utf8(&answer).unwrap().lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let timesketch = lines("timesketch");
    assert_eq!(timesketch.len(), changes.len());
    for (line, change) in timesketch.iter().zip(&changes) {
        assert_eq!(line["datetime"], change["time"]["earliest"]);
        let time: jiff::Timestamp = text(line, "datetime").parse().unwrap();
        assert_eq!(line["timestamp"], json!(time.as_microsecond()));
        assert_eq!(line["data_type"], "windows:ese:change");
        for name in ["operation", "status", "table"] {
            assert_eq!(line[name], change[name]);
        }
        assert!(
            text(line, "message").contains(text(change, "table"))
                && !text(line, "timestamp_desc").is_empty()
        );
        if is_of_row(change) {
            assert_eq!(line["changed"], change["changed"]);
        }
        let after = text(line, "after");
        if !after.is_empty() {
            assert_eq!(
                serde_json::from_str::<Value>(after).unwrap(),
                change["after"]
            );
        }
    }
    let rows: Vec<&Value> = changes.iter().filter(|change| is_of_row(change)).collect();
    let debezium = lines("debezium");
    assert_eq!(debezium.len(), rows.len());
    for (line, change) in debezium.iter().zip(&rows) {
        for name in ["before", "after"] {
            assert_eq!(line[name], change[name]);
        }
        let op = match text(change, "operation") {
            "insert" => "c",
            "update" => "u",
            _ => "d",
        };
        assert_eq!(line["op"], op);
        for name in ["table", "db"] {
            let own = if name == "db" { "database" } else { name };
            assert_eq!(line["source"][name], change[own]);
        }
        assert!(line["ts_ms"].as_i64().unwrap() > 0 && line["transaction"]["id"].is_string());
    }
    let text_lines = answer("text", &state);
    assert_eq!(
        str::from_utf8(&text_lines).unwrap().lines().count(),
        changes.len()
    );
    let csv = answer("csv", &state);
    let csv = str::from_utf8(&csv).unwrap();
    assert!(csv.starts_with("earliest,latest,operation,status,database,table,"));
    assert_eq!(csv.lines().count(), changes.len() + 1);
    let mut csv = csv::Reader::from_reader(csv.as_bytes());
    let place = csv
        .headers()
        .unwrap()
        .iter()
        .position(|name| name == "changed");
    for (row, change) in csv.records().zip(&changes) {
        let row = row.unwrap();
        let names = &row[place.unwrap()];
        let expected = (change["changed"].as_array()).filter(|names| !names.is_empty());
        let expected = expected.map_or(String::new(), |names| json!(names).to_string());
        assert_eq!(names, expected);
    }
    let parquet = answer("parquet", &state);
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
}

#[test]
fn the_life_of_a_row_is_told_from_its_insert_on() {
    let set = fixtures::testdata_set("crash-p8k");
    let (state, database) = (set.join("state"), set.join("state/db.edb"));
    let all = from_nothing(&set);
    let mut lives: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for change in all
        .iter()
        .filter(|change| is_of_row(change) && change["table"] == "Items")
    {
        lives
            .entry(text(change, "bookmark").to_owned())
            .or_default()
            .push(change);
    }
    let (bookmark, life) = lives.iter_mut().max_by_key(|(_, life)| life.len()).unwrap();
    life.sort_by_key(|change| text(&change["source"], "lgpos"));
    assert!(life.len() > 3);
    let by_column = format!("id={}", life[0]["after"]["id"]);
    for key in [bookmark, &by_column] {
        let words: [&OsStr; 9] = [
            "history".as_ref(),
            database.as_os_str(),
            "--with-logs".as_ref(),
            state.as_os_str(),
            "--table".as_ref(),
            "items".as_ref(),
            "--key".as_ref(),
            key.as_ref(),
            "--json".as_ref(),
        ];
        let output = run("edbtool", words);
        assert_eq!(exit(&output), 0, "{}", stderr(&output));
        let found = common::documents(&output);
        assert_eq!(found.len(), life.len());
        for (found, expected) in found.iter().zip(life.iter()) {
            assert_eq!(found["source"]["lgpos"], expected["source"]["lgpos"]);
            assert_eq!(found["after"], expected["after"]);
        }
        let shown = run("edbtool", &words[..8]);
        let shown = stdout(&shown);
        assert_eq!(
            shown.lines().filter(|line| !line.starts_with(' ')).count(),
            life.len(),
            "{shown}"
        );
        assert!(shown.contains("    ver: 0 -> 1\n"), "{shown}");
    }
}

#[test]
fn statistics_count_what_is_told() {
    let state = fixtures::testdata_set("crash-p8k").join("state");
    let changes = from_nothing(&fixtures::testdata_set("crash-p8k"));
    let stats = run(
        "logchain",
        [
            "timeline".as_ref(),
            "--stats".as_ref(),
            "--json".as_ref(),
            state.as_os_str(),
        ],
    );
    let stats = document(&stats);
    assert_eq!(stats["schema"], "edbkit.timeline-stats/1");
    assert_eq!(stats["changes"], json!(changes.len()));
    let mut counted: BTreeMap<(String, String, String), u64> = BTreeMap::new();
    for change in &changes {
        let word = |name: &str| text(change, name).to_owned();
        *counted
            .entry((word("table"), word("operation"), word("status")))
            .or_default() += 1;
    }
    let rows = stats["tables"].as_array().unwrap();
    assert_eq!(rows.len(), counted.len());
    for row in rows {
        let word = |name: &str| text(row, name).to_owned();
        let kind = (word("table"), word("operation"), word("status"));
        assert_eq!(row["changes"], json!(counted[&kind]), "{kind:?}");
    }
}

#[test]
fn filters_take_what_they_say_and_nothing_else() {
    let set = fixtures::testdata_set("crash-p8k");
    let state = set.join("state");
    let all = from_nothing(&set);
    let one = all.iter().find(|change| is_committed_row(change)).unwrap();
    let session = one["transaction"]["session"].to_string();
    let id = one["transaction"]["id"].to_string();
    let page = one["source"]["page"].to_string();
    let row = format!("id={}", one["after"]["id"]);
    let place = text(&one["source"], "lgpos");
    let kept = |wanted: &dyn Fn(&Value) -> bool| -> Vec<Value> {
        all.iter()
            .filter(|change| wanted(change))
            .cloned()
            .collect()
    };
    let is_with = |row: &Value| row["id"] == one["after"]["id"];
    let cases: [(Vec<&str>, Vec<Value>); 9] = [
        (
            vec!["--table", "items"],
            kept(&|change| change["table"] == "Items"),
        ),
        (
            vec!["--op", "delete"],
            kept(&|change| change["operation"] == "delete"),
        ),
        (
            vec!["--committed"],
            kept(&|change| change["status"] == "committed"),
        ),
        (
            vec!["--session", &session],
            kept(&|change| change["transaction"]["session"] == one["transaction"]["session"]),
        ),
        (
            vec!["--page", &page],
            kept(&|change| change["source"]["page"] == one["source"]["page"]),
        ),
        (
            vec!["--where", &row],
            kept(&|change| is_with(&change["before"]) || is_with(&change["after"])),
        ),
        (
            vec!["--key", &row],
            kept(&|change| is_with(&change["before"]) || is_with(&change["after"])),
        ),
        (
            vec!["--since", place, "--until", place],
            kept(&|change| change["source"]["lgpos"] == place),
        ),
        (
            vec!["--key", text(one, "bookmark")],
            kept(&|change| change["bookmark"] == one["bookmark"]),
        ),
    ];
    for (words, expected) in cases {
        assert!(
            !expected.is_empty() && expected.len() < all.len(),
            "{words:?}"
        );
        let mut arguments: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
        arguments.push(state.as_os_str());
        assert_eq!(timeline(&arguments), expected, "{words:?}");
    }
    let of_one: Vec<&OsStr> = ["--transaction", &id].map(OsStr::new).into_iter().collect();
    let of_one = [of_one, vec![state.as_os_str()]].concat();
    assert!(timeline(&of_one).contains(one));
}
