//! A database loses one page, each in turn: `edbtool export` gives every row that was not on it, counts what is gone,
//! and says by its exit code that something is.

mod common;

use common::{edbtool, stdout};
use ese_checksum::seal_page;
use ese_db::record::{Field, RawValue};
use ese_db::{Database, MemorySource, TableReader};
use ese_format::hex;
use ese_testkit::fixtures;
use rayon::prelude::*;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;

/// The lines of every table file.
type Lines = BTreeMap<String, Vec<String>>;

struct Export {
    exit: i32,
    lines: Lines,
    manifest: Json,
}

/// Runs the program into `to`.
fn export(database: &Path, to: &Path) -> Export {
    let command = ["-q", "export", "--format", "jsonl", "--to"].map(Path::new);
    let output = edbtool(command.into_iter().chain([to, database]));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    let manifest = fs::read(to.join("manifest.json")).unwrap_or_else(|_| panic!("{error}"));
    let manifest: Json = serde_json::from_slice(&manifest).unwrap();
    let tables = manifest["tables"].as_array().unwrap().iter();
    let lines = tables.map(|table| {
        let text = fs::read_to_string(to.join(table["file"].as_str().unwrap())).unwrap();
        let name = table["name"].as_str().unwrap().to_owned();
        (name, text.lines().map(str::to_owned).collect())
    });
    let rows = manifest["rows"].as_u64().unwrap();
    let summary = stdout(&output);
    let summary = summary.lines().last().unwrap();
    assert!(
        summary.starts_with(&format!("{rows} rows of ")),
        "{summary}"
    );
    Export {
        exit: output.status.code().unwrap(),
        lines: lines.collect(),
        manifest,
    }
}

/// The page of every row, in the order of the export.
fn pages_of_rows(database: &Path) -> BTreeMap<String, Vec<u32>> {
    let db = Database::open(database).unwrap();
    let catalog = db.catalog().unwrap();
    let tables = catalog.tables.iter();
    tables
        .map(|table| {
            let reader = TableReader::new(&db, table);
            let pages = reader.rows().map(|row| row.place().0.0).collect();
            (table.name.clone(), pages)
        })
        .collect()
}

fn number(manifest: &Json, name: &str) -> u64 {
    manifest[name].as_u64().unwrap()
}

fn lose_every_page_of(database: &Path) {
    let bytes = fs::read(database).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let whole = export(database, &folder.path().join("whole"));
    assert_eq!(whole.exit, 0);
    let places = pages_of_rows(database);
    for (table, lines) in &whole.lines {
        assert_eq!(lines.len(), places[table].len(), "{table}");
    }

    const PAGE: usize = 4096;
    let used: Vec<usize> = (1..bytes.len() / PAGE - 1)
        .filter(|page| {
            bytes[(page + 1) * PAGE..][..PAGE]
                .iter()
                .any(|byte| *byte != 0)
        })
        .collect();
    let results: Vec<(u64, u64, i32)> = used
        .par_iter()
        .map(|&page| {
            let place = folder.path().join(page.to_string());
            fs::create_dir(&place).unwrap();
            let damaged = place.join("db.edb");
            let mut content = bytes.clone();
            content[(page + 1) * PAGE..][..PAGE].fill(0xee);
            fs::write(&damaged, &content).unwrap();
            let export = export(&damaged, &place.join("rows"));
            assert!(
                fs::read(&damaged).unwrap() == content,
                "the source is as it was"
            );
            let result = check(page, &export, &whole, &places);
            fs::remove_dir_all(&place).unwrap();
            result
        })
        .collect();

    let lost: u64 = results.iter().map(|(rows, _, _)| rows).sum();
    let values: u64 = results.iter().map(|(_, values, _)| values).sum();
    let found = results.iter().filter(|(_, _, exit)| *exit == 1).count();
    let rows: usize = whole.lines.values().map(Vec::len).sum();
    eprintln!(
        "{}: {} pages lost in turn: {found} exports with a finding, {lost} of {rows} rows and {values} values with them",
        database.display(),
        used.len()
    );
    assert_eq!(lost, rows as u64, "each row is lost with one page");
}

/// Checks one export; returns the rows and values that are gone, and the exit code.
fn check(
    page: usize,
    export: &Export,
    whole: &Export,
    places: &BTreeMap<String, Vec<u32>>,
) -> (u64, u64, i32) {
    let mut gone = 0;
    let mut with_nulls = 0;
    for (table, lines) in &whole.lines {
        let elsewhere = lines
            .iter()
            .zip(&places[table])
            .filter(|(_, place)| **place as usize != page);
        let expected: Vec<&String> = elsewhere.map(|(line, _)| line).collect();
        gone += (lines.len() - expected.len()) as u64;
        let found = &export.lines[table];
        assert_eq!(found.len(), expected.len(), "page {page}: {table}");
        // Rows may come in another order when the way to them is damaged; those with lost values differ.
        let mut known: HashMap<&String, usize> = HashMap::new();
        expected
            .iter()
            .for_each(|line| *known.entry(line).or_default() += 1);
        for line in found {
            match known.get_mut(line) {
                Some(count) if *count > 0 => *count -= 1,
                _ => with_nulls += 1,
            }
        }
    }
    let values = number(&export.manifest, "values_lost");
    assert!(
        with_nulls <= values,
        "page {page}: {with_nulls} rows differ, {values} values are said to be lost"
    );
    assert_eq!(
        number(&export.manifest, "rows_lost"),
        0,
        "rows are lost with their page"
    );
    let pages = export.manifest["pages_lost"].as_array().unwrap();
    let pages: BTreeSet<u64> = pages.iter().map(|page| page.as_u64().unwrap()).collect();
    assert!(
        pages.is_empty() || pages == [page as u64].into(),
        "page {page}: {pages:?}"
    );
    if gone > 0 {
        assert_eq!(pages.len(), 1, "page {page} held rows");
    }
    let finding = !pages.is_empty() || values > 0;
    assert_eq!(export.exit, i32::from(finding), "page {page}");
    (gone, values, export.exit)
}

#[test]
fn every_row_that_is_not_on_the_lost_page_is_exported() {
    for (set, database) in [
        ("clean-p4k", "state/db.edb"),
        ("esc64-cctx-p4k", "recovered/db.edb"),
    ] {
        let set = fixtures::engine_set(set);
        lose_every_page_of(&set.join(database));
    }
}

#[test]
fn a_text_whose_last_character_was_cut_in_two_is_given_as_far_as_it_goes() {
    let set = fixtures::engine_set(fixtures::either("crash-p4k", "esc64-cctx-p4k"));
    let mut bytes = fs::read(set.join("recovered/db.edb")).unwrap();
    let db = Database::new(MemorySource::new(bytes.clone()).unwrap());
    let catalog = db.catalog().unwrap();
    // The first plain text in UTF-16 of two characters or more.
    let texts = catalog.tables.iter().flat_map(|table| {
        let reader = TableReader::new(&db, table);
        let rows: Vec<_> = reader.rows().collect();
        rows.into_iter().flat_map(move |row| {
            let fields = row.fields().unwrap();
            let columns = table
                .columns
                .iter()
                .filter(|column| column.code_page == 1200);
            let found = columns.filter_map(|column| match fields.stored(column) {
                Ok(Field::Single(raw)) if raw == RawValue::plain(raw.bytes) => {
                    let inside =
                        raw.bytes.as_ptr() as usize - row.node().unwrap().data.as_ptr() as usize;
                    let place = (row.place().0, inside, row.node().unwrap().data.to_vec());
                    Some((
                        table.name.clone(),
                        column.name.clone(),
                        place,
                        raw.bytes.to_vec(),
                    ))
                }
                _ => None,
            });
            found.collect::<Vec<_>>()
        })
    });
    let mut texts =
        texts.filter(|(table, _, _, text)| text.len() >= 4 && !table.starts_with("MSys"));
    let (table, column, (pgno, inside, record), text) = texts.next().unwrap();
    let size = db.page_size().as_usize();
    let page = &mut bytes[(pgno.0 as usize + 1) * size..][..size];
    let at = page
        .windows(record.len())
        .position(|bytes| bytes == record)
        .unwrap();
    let end = at + inside + text.len();
    page[end - 2..end].copy_from_slice(&[0x3d, 0xd8]);
    assert!(seal_page(page, pgno.0));
    let raw = hex::encode(&page[end - text.len()..end]);
    let units = text
        .as_chunks::<2>()
        .0
        .iter()
        .map(|unit| u16::from_le_bytes(*unit));
    let whole: Vec<u16> = units.collect();
    let expected = String::from_utf16(&whole[..whole.len() - 1]).unwrap() + "\u{fffd}";

    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("cut.edb");
    fs::write(&database, bytes).unwrap();
    let export = export(&database, &folder.path().join("rows"));
    assert_eq!(
        (export.exit, number(&export.manifest, "values_lost")),
        (0, 0)
    );
    let rows = export.lines[&table].iter();
    let rows = rows.map(|line| serde_json::from_str::<Json>(line).unwrap());
    assert_eq!(rows.filter(|row| row[&column] == *expected).count(), 1);
    let problems = fs::read_to_string(folder.path().join("rows/problems.jsonl")).unwrap();
    let problem: Json = serde_json::from_str(&problems).unwrap();
    assert_eq!(
        (&problem["column"], &problem["cut"], &problem["bytes"]),
        (&Json::from(column), &Json::from(true), &Json::from(raw))
    );
}
