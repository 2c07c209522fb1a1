//! A tree that is walked range by range gives the leaves of the whole walk, each once, also where any of its pages is lost.

use ese_db::{Catalog, Database, KeyRange, Losses, MemorySource, OverlaySource, TableReader};
use ese_format::Pgno;
use ese_testkit::fixtures;
use rayon::prelude::*;
use std::collections::HashSet;

fn walk(reader: &TableReader, ranges: &[KeyRange]) -> (Vec<Pgno>, Losses) {
    let mut losses = Losses::default();
    let mut found = Vec::new();
    for range in ranges {
        let mut leaves = reader.leaves_in(range, &KeyRange::default());
        found.extend(leaves.by_ref().map(|leaf| leaf.pgno()));
        losses.add(&leaves.losses);
    }
    (found, losses)
}

fn splits(catalog: &Catalog, db: &Database) -> Vec<(String, Vec<KeyRange>)> {
    let tables = catalog.tables.iter();
    let split = tables.flat_map(|table| {
        [2, 3, 7, 1000].map(|count| (table.name.clone(), table.tree().split(db, count)))
    });
    split.collect()
}

/// Walks the tables in each of these ways; gives how many leaves there were.
fn same_as_whole(catalog: &Catalog, db: &Database, splits: &[(String, Vec<KeyRange>)]) -> usize {
    let mut leaves = 0;
    for (name, ranges) in splits {
        let reader = TableReader::new(db, catalog.table(name).unwrap());
        let (mut whole, lost) = walk(&reader, &[KeyRange::default()]);
        let (mut parts, lost_in_parts) = walk(&reader, ranges);
        leaves += whole.len();
        if !lost.is_empty() {
            // What only links lead to may come with another neighbour.
            (whole, parts) = (sorted(whole), sorted(parts));
        }
        assert_eq!(whole, parts, "{name} in {} parts", ranges.len());
        assert_eq!(lost.pages, lost_in_parts.pages, "{name}");
    }
    leaves
}

fn sorted(mut pages: Vec<Pgno>) -> Vec<Pgno> {
    pages.sort();
    pages
}

#[test]
fn ranges_of_a_tree_give_what_the_whole_walk_gives() {
    let set = fixtures::engine_set(fixtures::either("crash-p4k", "esc64-cctx-p4k"));
    let base = MemorySource::new(std::fs::read(set.join("recovered/db.edb")).unwrap()).unwrap();
    let db = Database::new(base.clone());
    let catalog = db.catalog().unwrap();
    let intact = splits(&catalog, &db);
    let most = intact.iter().map(|(_, ranges)| ranges.len()).max();
    assert!(most > Some(20), "some table has many leaves");
    let leaves = same_as_whole(&catalog, &db, &intact);
    let page_size = db.page_size().as_usize();
    let lost = (1..=db.last_page().0).into_par_iter().map(|page| {
        let mut overlay = OverlaySource::new(base.clone());
        assert!(overlay.put(Pgno(page), vec![0xee; page_size].into()));
        let damaged = Database::new(overlay);
        let own = same_as_whole(&catalog, &damaged, &splits(&catalog, &damaged));
        // Ranges that were made before: nothing comes twice, and what does not come is known to be lost.
        for (name, ranges) in &intact {
            let reader = TableReader::new(&damaged, catalog.table(name).unwrap());
            let (whole, _) = walk(&reader, &[KeyRange::default()]);
            let (parts, lost) = walk(&reader, ranges);
            let distinct: HashSet<&Pgno> = parts.iter().collect();
            assert_eq!(distinct.len(), parts.len(), "{name}");
            assert!(parts.len() == whole.len() || !lost.is_empty(), "{name}");
        }
        usize::from(own < leaves)
    });
    assert!(lost.sum::<usize>() > 20);
}

#[test]
fn parts_are_even() {
    let set = fixtures::engine_set(fixtures::either("crash-p4k", "esc64-cctx-p4k"));
    let db = Database::open(set.join("recovered/db.edb")).unwrap();
    let catalog = db.catalog().unwrap();
    for table in &catalog.tables {
        let reader = TableReader::new(&db, table);
        let leaves = reader.leaves().count();
        for count in [2, 3, 5, 16] {
            let parts = table.tree().split(&db, count);
            if leaves < 10 * count {
                continue;
            }
            assert_eq!(parts.len(), count);
            let sizes = parts
                .iter()
                .map(|part| reader.leaves_in(part, &KeyRange::default()).count());
            let (least, most) = sizes.fold((usize::MAX, 0), |(least, most), size| {
                (least.min(size), most.max(size))
            });
            assert!(most - least <= 3, "{}: {least} to {most}", table.name);
        }
    }
}

/// The keys of all rows, in parts and as a whole: also where a database is dirty, so that its trees do not fit together.
#[test]
fn parts_of_dirty_databases_hold_each_row_once() {
    let rows = |reader: &TableReader, part: &KeyRange| -> Vec<(Vec<u8>, Pgno)> {
        let mut losses = Losses::default();
        let mut keys = Vec::new();
        for leaf in reader.leaves_in(part, &KeyRange::default()) {
            let taken: Result<_, ()> = reader.rows_on(&leaf, 0, false, &mut losses, |_, fields| {
                keys.push((fields.key(), leaf.pgno()));
                Ok(true)
            });
            taken.unwrap();
        }
        keys
    };
    let (mut databases, mut all) = (0, 0);
    for name in fixtures::engine_set_names() {
        let set = fixtures::engine_set(&name);
        for path in ["state/db.edb", "redo-only/db.edb"].map(|path| set.join(path)) {
            let Ok(db) = Database::open(&path) else {
                continue;
            };
            let catalog = db.catalog().unwrap();
            for table in &catalog.tables {
                let reader = TableReader::new(&db, table);
                let mut whole = rows(&reader, &KeyRange::default());
                whole.sort();
                for count in [2, 5, 1000] {
                    let parts = reader.parts(count);
                    let mut parts: Vec<_> =
                        parts.iter().flat_map(|part| rows(&reader, part)).collect();
                    parts.sort();
                    let only = |a: &[(Vec<u8>, Pgno)], b: &[(Vec<u8>, Pgno)]| -> Vec<Pgno> {
                        let mut pages: Vec<Pgno> = a
                            .iter()
                            .filter(|row| b.binary_search(row).is_err())
                            .map(|row| row.1)
                            .collect();
                        pages.dedup();
                        pages
                    };
                    assert!(
                        whole == parts,
                        "{}: {} in {count}: {} and {} rows, only in one: {:?} {:?}",
                        path.display(),
                        table.name,
                        whole.len(),
                        parts.len(),
                        only(&whole, &parts),
                        only(&parts, &whole)
                    );
                }
                all += whole.len();
            }
            databases += 1;
        }
    }
    println!("{all} rows of {databases} databases");
    assert!(databases > 3);
}
