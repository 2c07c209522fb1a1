//! Every node of every tree after our recovery, space trees included, is the one that the engine dumps after its own.

#[path = "../../ese-db/tests/nodes/mod.rs"]
mod nodes;
mod support;

use ese_db::space::{SpaceMap, TreeKind};
use ese_testkit::fixtures;
use nodes::Versioned;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use support::cases::{case, name_of, page_size_of};
use support::recover::{open_recovered, recover};

/// The engine recovered this set, but its nodes were not dumped.
const NOT_DUMPED: &str = "lossy-p8k";

#[test]
fn every_node_is_as_the_engine_recovers_it() {
    let names = fixtures::engine_set_names();
    let totals = names.par_iter().map(|name| check_set(name));
    let [databases, nodes] = totals.reduce(|| [0; 2], |a, b| [a[0] + b[0], a[1] + b[1]]);
    println!(
        "{} sets, {databases} databases: {nodes} nodes as the engine dumps them",
        names.len()
    );
    assert!(databases >= names.len() - 1 && nodes > fixtures::either(100_000, 30_000));
}

/// Databases and nodes compared. No page of them is lost, and none has two owners.
fn check_set(name: &str) -> [usize; 2] {
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
    let mut totals = [0; 2];
    for database in recovered.databases {
        let file = name_of(&set, &database.header);
        let dumped = set
            .join("expected/recovered")
            .join(format!("mn-{file}.txt"));
        if name == NOT_DUMPED && !dumped.exists() {
            continue;
        }
        let dumped = fs::read_to_string(&dumped).unwrap();
        let db = open_recovered(database);
        let catalog = db.catalog().unwrap();
        let place = format!("{name}, {file}");
        totals[0] += 1;
        totals[1] += nodes::compare(&dumped, &db, &catalog, &place, Versioned::Ignored);
        let map = SpaceMap::read(&db, &catalog);
        assert_eq!(map.leaked(&db), [], "{place}: pages owned by nobody");
        check_owners(&map, &place);
    }
    totals
}

/// Tables own what they got of the database, and indexes and long values what they got of their table: on each of the
/// two levels a page has one owner at most.
fn check_owners(map: &SpaceMap, place: &str) {
    let (mut of_tables, mut of_parts) = (BTreeMap::new(), BTreeMap::new());
    for (owner, space) in &map.trees {
        let owners = match owner.kind {
            TreeKind::Database => continue,
            TreeKind::Table => &mut of_tables,
            TreeKind::Index | TreeKind::LongValues => &mut of_parts,
        };
        for extent in &space.as_ref().unwrap().owned {
            for pgno in extent.last.0 + 1 - extent.pages..=extent.last.0 {
                let other = owners.insert(pgno, owner.objid);
                assert_eq!(other, None, "{place}: page {pgno} of {}", owner.objid);
            }
        }
    }
}
