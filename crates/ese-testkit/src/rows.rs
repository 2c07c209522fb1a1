//! Rows of a database against the transactions that a set committed, in order.

use crate::dump::dump;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Rows by table and key.
pub type Rows = BTreeMap<(String, String), Value>;

/// The rows of the database at `path`.
pub fn rows_of(path: &Path) -> Rows {
    let database = ese_db::Database::open(path).unwrap();
    let tables = dump(&database).into_iter();
    let rows = tables.flat_map(|(table, dump)| {
        let rows = dump.rows.into_iter();
        rows.map(move |(key, row)| ((table.clone(), key), row))
    });
    rows.collect()
}

/// The rows that a set's workload committed by its end.
pub fn committed(set: &Path) -> Rows {
    let text = fs::read_to_string(set.join("committed-rows.jsonl")).unwrap();
    let rows = text.lines().filter(|line| line.contains("\"row\":"));
    let rows = rows.map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        let word = |name: &str| line[name].as_str().unwrap().to_owned();
        ((word("table"), word("bm")), line["row"].take())
    });
    rows.collect()
}

/// The rows after each of a set's transactions that changes rows, from none on.
pub fn history(set: &Path) -> Vec<Rows> {
    let text = fs::read_to_string(set.join("transactions.jsonl")).unwrap();
    let mut history = vec![Rows::new()];
    let mut number = 0;
    for line in text.lines() {
        let mut line: Value = serde_json::from_str(line).unwrap();
        let operation = line["op"].as_str().unwrap().to_owned();
        if operation != "put" && operation != "del" {
            continue;
        }
        if line["tx"].as_u64().unwrap() != number {
            number = line["tx"].as_u64().unwrap();
            history.push(history[history.len() - 1].clone());
        }
        let word = |name: &str| line[name].as_str().unwrap().to_owned();
        let place = (word("table"), word("bm"));
        let rows = history.last_mut().unwrap();
        match operation.as_str() {
            "put" => drop(rows.insert(place, line["row"].take())),
            _ => drop(rows.remove(&place)),
        }
    }
    history
}
