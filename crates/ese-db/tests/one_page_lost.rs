//! A page that is overwritten costs what is on it and nothing else, and the loss is counted. Every page in turn.

use ese_db::{Database, Losses, MemorySource, TableReader, Value};
use ese_format::Pgno;
use ese_testkit::fixtures;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Where a row stands, and its values by column; `None` for one that could not be read.
type RowRead = (Pgno, Vec<Option<String>>);
type Rows = BTreeMap<(String, Vec<u8>), RowRead>;

fn read_all(bytes: Vec<u8>) -> (Rows, Losses) {
    let db = Database::new(MemorySource::new(bytes).unwrap());
    let catalog = db.catalog().unwrap();
    let mut losses = catalog.losses.clone();
    let mut all = Rows::new();
    for table in &catalog.tables {
        // The tables of the catalog are the subject of its own losses.
        if table.name.starts_with("MSysObjects") {
            continue;
        }
        let reader = TableReader::new(&db, table);
        let mut rows = reader.rows();
        for row in &mut rows {
            let fields = row.fields().unwrap();
            let values = reader.columns().map(|column| match fields.value(column) {
                Value::Undecoded { .. } => {
                    losses.values += 1;
                    None
                }
                value => Some(format!("{value:?}")),
            });
            let values = values.collect();
            let before = all.insert((table.name.clone(), fields.key()), (row.place().0, values));
            assert!(before.is_none(), "{}: a row was read twice", table.name);
        }
        losses.add(rows.losses());
    }
    (all, losses)
}

fn lose_every_page_of(set: &str) {
    let folder = fixtures::engine_set(set);
    let bytes = std::fs::read(folder.join("recovered/db.edb")).unwrap();
    let (whole, none) = read_all(bytes.clone());
    assert_eq!(none, Losses::default());
    let page_size = Database::new(MemorySource::new(bytes.clone()).unwrap())
        .page_size()
        .as_usize();
    let pages = bytes.len() / page_size - 2;
    let lost: (usize, usize) = (1..=pages)
        .into_par_iter()
        .map(|page| {
            let mut damaged = bytes.clone();
            damaged[(page + 1) * page_size..][..page_size].fill(0xee);
            let page = Pgno(page as u32);
            let (rows, losses) = read_all(damaged);
            let gone: Vec<_> = whole
                .keys()
                .filter(|key| !rows.contains_key(*key))
                .collect();
            for key in &gone {
                assert_eq!(
                    whole[*key].0, page,
                    "{set}: {key:?} is lost with page {page}"
                );
            }
            let mut values_lost = 0;
            for (key, (place, values)) in &rows {
                let (known_place, known_values) = &whole[key];
                assert_eq!(place, known_place);
                for (value, known) in values.iter().zip(known_values) {
                    assert!(
                        value.is_none() || value == known,
                        "{set}: {key:?}, page {page}"
                    );
                    values_lost += usize::from(value.is_none());
                }
            }
            assert_eq!(losses.values as usize, values_lost, "{set}: page {page}");
            if !gone.is_empty() {
                assert!(
                    losses.pages.contains_key(&page),
                    "{set}: page {page} is not counted"
                );
            }
            (gone.len(), values_lost)
        })
        .reduce(|| (0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    // Every row is on one page, so losing each page in turn loses each row once.
    let expected = whole
        .values()
        .filter(|(place, _)| place.0 <= pages as u32)
        .count();
    assert_eq!(lost.0, expected, "{set}");
    eprintln!(
        "{set}: {pages} pages lost in turn, {} rows and {} values with them",
        lost.0, lost.1
    );
    assert!(lost.1 > 0, "{set}: some page held long values");
}

#[test]
fn small_pages() {
    lose_every_page_of(fixtures::either("crash-p4k", "esc64-cctx-p4k"));
}

#[test]
fn large_pages() {
    lose_every_page_of(fixtures::either("lv-p32k", "names8-log-p32k"));
}
