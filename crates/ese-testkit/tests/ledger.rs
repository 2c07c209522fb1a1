//! Transactions and commits are joined rightly: after all of them, the rows are those that the engine has.

use ese_testkit::fixtures;
use ese_testkit::ledger::Ledger;
use ese_testkit::rows::Rows;
use rayon::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

#[test]
fn every_set_ends_with_the_rows_that_its_commits_leave() {
    let names = fixtures::engine_set_names();
    let counted = names.par_iter().map(|name| {
        let set = fixtures::engine_set(name);
        let ledger = Ledger::read(&set, &set.join("state"));
        let all = ledger.committed(|_| true);
        let mut expected: BTreeMap<String, Rows> = BTreeMap::new();
        // Of the set whose last logs are gone, the engine keeps what is in those that are there up to the required one.
        if name == "lossy-p8k" {
            assert!(ledger.transactions() > all, "{name}: nothing was lost");
            return all;
        }
        let rows = fs::read_to_string(set.join("committed-rows.jsonl")).unwrap();
        for line in rows.lines().filter(|line| line.contains("\"row\":")) {
            let mut line: Value = serde_json::from_str(line).unwrap();
            let word = |name: &str| line[name].as_str().unwrap().to_owned();
            let (database, place) = (word("db"), (word("table"), word("bm")));
            let rows = expected.entry(database).or_default();
            rows.insert(place, line["row"].take());
        }
        assert_eq!(all, ledger.transactions(), "{name}: transactions");
        for (database, expected) in expected {
            assert!(
                *ledger.rows(&database, all) == expected,
                "{name}, {database}: the rows differ"
            );
        }
        all
    });
    let transactions: usize = counted.sum();
    println!("{} sets, {transactions} transactions", names.len());
    assert!(transactions > fixtures::either(16_000, 3_000));
}
