//! Rows after our recovery are the committed ones: nothing committed is missing, nothing uncommitted is there.

mod support;

use ese_testkit::{dump, fixtures};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use support::cases::{case, name_of, page_size_of};
use support::recover::{open_recovered, recover};

/// What the workload writes in transactions that never commit, as text and as a dump shows bytes.
const UNCOMMITTED: [&str; 2] = ["UNCOMMITTED", "554e434f4d4d4954544544"];

/// How many transactions the engine keeps of the set whose last logs are gone.
const TRANSACTIONS_KEPT: usize = 133;

#[test]
fn every_set_holds_the_committed_rows() {
    let names = fixtures::engine_set_names();
    let totals = names.par_iter().map(|name| check_set(name));
    let [databases, rows, values, uncommitted] =
        totals.reduce(|| [0; 4], |a, b| std::array::from_fn(|i| a[i] + b[i]));
    println!(
        "{} sets, {databases} databases: {rows} rows, {values} values as committed; \
         uncommitted text in the crashed files: {uncommitted} times, after recovery: none",
        names.len()
    );
    assert!(
        databases >= names.len()
            && rows > fixtures::either(20_000, 5_000)
            && uncommitted > fixtures::either(500, 100)
    );
}

/// Databases, rows and values compared, and how often uncommitted text is in the files that were recovered.
fn check_set(name: &str) -> [usize; 4] {
    let set = fixtures::engine_set(name);
    let case = case(&set, name);
    let recovered = recover(
        &case.databases,
        &case.logs,
        page_size_of(&set),
        case.lossy,
        200,
    );
    let recovered = recovered.unwrap_or_else(|error| panic!("{name}: {error}"));
    let committed = match case.lossy {
        true => rows_of_first_transactions(&set, TRANSACTIONS_KEPT),
        false => fs::read_to_string(set.join("committed-rows.jsonl")).unwrap(),
    };
    let dumped = fs::read_to_string(set.join("recovered-rows.jsonl")).unwrap();
    let mut totals = [0; 4];
    for database in recovered.databases {
        let file = name_of(&set, &database.header);
        let found = dump::dump(&open_recovered(database));
        let place = format!("{name}, {file}");
        dump::compare(&place, &found, &dump::parse(&lines_of(&dumped, &file)));
        let (rows, values) =
            dump::compare_rows(&place, &found, &dump::parse(&lines_of(&committed, &file)));
        for row in found.values().flat_map(|table| &table.rows) {
            let text = row.1.to_string();
            assert!(
                !UNCOMMITTED.iter().any(|word| text.contains(word)),
                "{place}: {text}"
            );
        }
        totals = [totals[0] + 1, totals[1] + rows, totals[2] + values, 0];
    }
    let rows = committed.lines().filter(|line| line.contains("\"row\":"));
    assert_eq!(
        totals[1],
        rows.count(),
        "{name}: every committed row was compared"
    );
    totals[3] = case.databases.iter().map(|path| uncommitted_in(path)).sum();
    totals
}

/// The rows that a workload's first `count` transactions leave, as lines of committed rows.
fn rows_of_first_transactions(set: &Path, count: usize) -> String {
    let text = fs::read_to_string(set.join("transactions.jsonl")).unwrap();
    let (mut seen, mut rows) = (BTreeSet::new(), BTreeMap::new());
    for line in text.lines() {
        let operation: serde_json::Value = serde_json::from_str(line).unwrap();
        seen.insert(operation["tx"].as_u64().unwrap());
        if seen.len() > count {
            break;
        }
        let place = ["db", "table", "bm"].map(|part| operation[part].to_string());
        match operation["op"].as_str().unwrap() {
            "put" => drop(rows.insert(place, &line[line.find("\"db\"").unwrap()..])),
            "del" => drop(rows.remove(&place)),
            other => assert_eq!(other, "createtable"),
        }
    }
    rows.values().map(|row| format!("{{{row}\n")).collect()
}

fn lines_of<'a>(text: &'a str, database: &str) -> Vec<&'a str> {
    let mark = format!("{{\"db\":\"{database}\",");
    text.lines()
        .filter(|line| line.starts_with(&mark))
        .collect()
}

fn uncommitted_in(path: &Path) -> usize {
    let bytes = fs::read(path).unwrap();
    let word = UNCOMMITTED[0].as_bytes();
    bytes
        .windows(word.len())
        .filter(|found| *found == word)
        .count()
}
