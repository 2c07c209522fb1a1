//! A streaming backup is fuzzy: its pages were copied one after the other while writing went on. With the logs that came
//! with it the database becomes consistent, and with the later ones it becomes the engine's own.

mod support;

use ese_format::page::PageView;
use ese_format::{Generation, Pgno};
use ese_testkit::{dump, fixtures};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use support::cases::{files_in, page_size_of};
use support::compare::{compare_files, difference};
use support::recover::{self, Finished, open_recovered};

/// The last log of the backup.
const LAST: Generation = Generation(0xA);

fn set() -> PathBuf {
    fixtures::engine_set("backup-p8k")
}

/// Recovers the backup with the logs in `logs`.
fn recover(set: &Path, logs: &Path) -> Finished {
    let databases = [set.join("state/bk/db.edb")];
    let finished = recover::recover(&databases, logs, page_size_of(set), false, 200);
    let finished = finished.unwrap_or_else(|error| panic!("{error}"));
    assert!(finished.summary.last >= LAST && finished.counts.total().applied > 0);
    finished
}

#[test]
fn a_backup_with_its_own_logs_holds_the_transactions_up_to_its_end() {
    let set = set();
    let mut finished = recover(&set, &set.join("state/bk"));
    assert_eq!(finished.databases.len(), 1);
    let mut database = finished.databases.remove(0);
    let mut met = 0;
    for file in ["state/db.edb", "recovered/db.edb"] {
        let bytes = fs::read(set.join(file)).unwrap();
        met += compare_same_times(&mut database.pages, &bytes);
    }
    let found = dump::dump(&open_recovered(database));
    let rows: BTreeMap<(String, String), Value> = found
        .into_iter()
        .flat_map(|(table, dump)| {
            let rows = dump.rows.into_iter();
            rows.map(move |(key, row)| ((table.clone(), key), row))
        })
        .collect();
    let ends = transactions_that_leave(&set, &rows);
    println!(
        "{} rows after the first {ends:?} transactions; {met} pages as in the engine's files at the same dbtime",
        rows.len()
    );
    assert!(!ends.is_empty() && !rows.is_empty() && met > 0);
}

/// Compares the pages that have the same dbtime in both: how many.
fn compare_same_times(pages: &mut ese_replay::pages::Pages, engine: &[u8]) -> usize {
    let size = pages.size();
    let mut met = 0;
    for (index, theirs) in engine.chunks_exact(size.as_usize()).enumerate().skip(2) {
        let pgno = Pgno(index as u32 - 1);
        let dbtime = PageView::new(pgno, theirs).unwrap().header().dbtime();
        if let Ok(ours) = pages.get(pgno)
            && ours.dbtime() == dbtime
        {
            assert_eq!(difference(pgno, ours.bytes(), theirs), None, "page {pgno}");
            met += 1;
        }
    }
    met
}

/// After how many of the workload's transactions exactly these rows are there.
fn transactions_that_leave(set: &Path, wanted: &BTreeMap<(String, String), Value>) -> Vec<u64> {
    let text = fs::read_to_string(set.join("transactions.jsonl")).unwrap();
    let mut lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let (mut rows, mut ends) = (BTreeMap::new(), Vec::new());
    let mut next = lines.next();
    while let Some(mut line) = next {
        let word = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let place = (word("table"), word("bm"));
        match line["op"].as_str().unwrap() {
            "put" => drop(rows.insert(place, line["row"].take())),
            "del" => drop(rows.remove(&place)),
            other => assert_eq!(other, "createtable"),
        }
        next = lines.next();
        let transaction = line["tx"].as_u64().unwrap();
        let is_last = next.as_ref().is_none_or(|next| next["tx"] != transaction);
        if is_last && rows == *wanted {
            ends.push(transaction);
        }
    }
    ends
}

/// The logs of the backup, with those that came later; `recovered` are those that the engine's recovery wrote.
fn all_logs(set: &Path, recovered: bool) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let parts = ["state/bk", "state", "recovered"];
    for part in &parts[..if recovered { 3 } else { 2 }] {
        let files = files_in(&set.join(part)).into_iter();
        for file in files.filter(|file| file.extension().is_some_and(|end| end == "log")) {
            let place = folder.path().join(file.file_name().unwrap());
            fs::write(place, fs::read(file).unwrap()).unwrap();
        }
    }
    folder
}

#[test]
fn a_backup_with_all_logs_becomes_the_engine_s_database() {
    let set = set();
    let engine = fs::read(set.join("recovered/db.edb")).unwrap();
    for recovered in [false, true] {
        let logs = all_logs(&set, recovered);
        let mut finished = recover(&set, logs.path());
        // The engine's own logs end with its undo; without them the undo is ours.
        assert_eq!(finished.undone.is_empty(), recovered);
        let (pages, found) = compare_files(&mut finished.databases[0].pages, &engine);
        println!(
            "{pages} pages as the engine recovered them, {} operations undone",
            finished.undone.len()
        );
        assert!(found.is_empty(), "{found:?}");
        assert!(pages > 250);
    }
}
