//! Rows read from a database are the rows that Microsoft's engine reads from it: all tables, all columns, every byte.

use ese_db::Database;
use ese_testkit::{dump, fixtures};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Compares one database with the lines of a dump, and returns how many rows and values were equal.
fn compare(database: &Path, expected: &[&str]) -> (usize, usize) {
    let db = Database::open(database).unwrap_or_else(|error| panic!("{error}"));
    let name = database.display().to_string();
    dump::compare(&name, &dump::dump(&db), &dump::parse(expected))
}

/// The databases of a recovered engine set: those in `recovered/`, and those in `state/` that recovery did not touch.
fn recovered_databases(set: &Path) -> Vec<(String, PathBuf)> {
    let named = |folder: &Path| {
        let files = fixtures::files_below(folder).into_iter();
        files
            .filter(|path| path.parent() == Some(folder))
            .filter(|path| path.extension().is_some_and(|extension| extension == "edb"))
            .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path))
            .collect::<Vec<_>>()
    };
    let mut databases = named(&set.join("recovered"));
    for (name, path) in named(&set.join("state")) {
        if !databases.iter().any(|(known, _)| *known == name) {
            databases.push((name, path));
        }
    }
    databases
}

#[test]
fn every_recovered_engine_set() {
    let names = fixtures::engine_set_names();
    let totals = names.par_iter().map(|name| {
        let set = fixtures::engine_set(name);
        let text = std::fs::read_to_string(set.join("recovered-rows.jsonl")).unwrap();
        let mut totals = (0, 0, 0);
        for (database, path) in recovered_databases(&set) {
            let mark = format!("{{\"db\":\"{database}\",");
            let lines: Vec<&str> = text
                .lines()
                .filter(|line| line.starts_with(&mark))
                .collect();
            if lines.is_empty() {
                continue;
            }
            let (rows, values) = compare(&path, &lines);
            totals = (totals.0 + 1, totals.1 + rows, totals.2 + values);
        }
        assert!(totals.0 > 0, "{name}: no database was compared");
        let lines = text
            .lines()
            .filter(|line| line.contains("\"row\":"))
            .count();
        assert_eq!(
            totals.1, lines,
            "{name}: every row of the dump was compared"
        );
        totals
    });
    let (databases, rows, values) =
        totals.reduce(|| (0, 0, 0), |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2));
    eprintln!("{databases} databases, {rows} rows, {values} values are as the engine reads them");
    assert!(rows > fixtures::either(20_000, 5_000));
}

#[test]
fn every_real_database_with_a_dump() {
    let real = fixtures::real();
    let expected = real.join("expected");
    let dumps: Vec<PathBuf> = fixtures::files_below(&expected)
        .into_iter()
        .filter(|path| path.ends_with("dump.jsonl.zst"))
        .collect();
    assert!(dumps.len() >= fixtures::either(27, 25));
    let totals = dumps.par_iter().filter_map(|dump| {
        let place = dump.parent().unwrap().strip_prefix(&expected).unwrap();
        // The result of a recovery: its database is not among the fixtures, replay makes it.
        if place.ends_with("recovered") {
            return None;
        }
        let text = String::from_utf8(fixtures::read_zst(dump)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        Some(compare(&real.join(place), &lines))
    });
    let (rows, values) = totals.reduce(|| (0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    eprintln!("{rows} rows, {values} values of real databases are as the engine reads them");
    assert!(rows > 1000);
}
