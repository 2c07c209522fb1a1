//! A database that a crashed Windows left dirty, with its logs: after our recovery it holds the rows, and is as long, as
//! the engine's own recovery leaves it.

mod support;

use ese_format::Pgno;
use ese_format::database::DatabaseState;
use ese_replay::recovery::DatabaseFile;
use ese_testkit::{dump, fixtures};
use std::collections::BTreeSet;
use support::recover::{open_recovered, recover};

/// Last page of the engine's recovered file: 592 pages, less the two headers.
const LAST: Pgno = Pgno(590);

#[test]
fn the_dirty_srum_recovers_to_the_engine_s_rows() {
    let real = fixtures::real();
    let place = "museum/SRUM/Win11/RathbunVM/Dirty";
    let path = real.join(place).join("SRUDB.dat");
    let dirty = DatabaseFile::open(&path).unwrap();
    assert!(dirty.header.state.needs_recovery());
    let recovered = recover(
        std::slice::from_ref(&path),
        &real.join(place),
        dirty.page_size,
        false,
        200,
    );
    let mut databases = recovered.unwrap().databases;
    let recovered = databases.pop().unwrap();
    assert!(databases.is_empty());
    assert_eq!(recovered.header.state, DatabaseState::CLEAN_SHUTDOWN);
    assert_eq!(recovered.pages.last(), LAST);

    let found = dump::dump(&open_recovered(recovered));
    let expected = real
        .join("expected")
        .join(place)
        .join("recovered/dump.jsonl.zst");
    let expected = String::from_utf8(fixtures::read_zst(&expected)).unwrap();
    let lines: Vec<&str> = expected.lines().collect();
    let (rows, values) = dump::compare("SRUDB.dat", &found, &dump::parse(&lines));

    let before = rows_of(&dump::dump(&ese_db::Database::open(&path).unwrap()));
    let after = rows_of(&found);
    let appeared: Vec<_> = after.difference(&before).collect();
    let vanished: Vec<_> = before.difference(&after).collect();
    println!("{rows} rows, {values} values as the engine recovers them");
    println!("only through the logs: {appeared:?}; gone through them: {vanished:?}");
    // The engine's own recovery changes no page but the headers either: all changes had reached the disk.
    assert!(rows > 0 && appeared.is_empty() && vanished.is_empty());
}

fn rows_of(dump: &dump::Dump) -> BTreeSet<(String, String, String)> {
    let tables = dump.iter();
    let rows = tables.flat_map(|(table, dump)| dump.rows.iter().map(move |row| (table, row)));
    rows.map(|(table, (key, row))| (table.clone(), key.clone(), row.to_string()))
        .collect()
}
