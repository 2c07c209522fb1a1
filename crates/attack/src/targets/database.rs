//! A whole database whose pages were changed under right checksums.

use super::choice;
use crate::{script, seeds};
use ese_checksum::seal_page;
use ese_db::space::SpaceMap;
use ese_db::{Database, MemorySource, TableReader};
use ese_format::Pgno;

/// Pages of the catalog are changed, and everything is read.
pub(crate) fn catalog(bytes: &[u8]) {
    edit_and_read(bytes, &seeds::database().catalog);
}

/// Any page is changed, and everything is read.
pub(crate) fn everything(bytes: &[u8]) {
    let all: Vec<usize> = (0..seeds::database().pages.len()).collect();
    edit_and_read(bytes, &all);
}

fn edit_and_read(bytes: &[u8], changed: &[usize]) {
    let (choice, edits) = choice(bytes);
    let seed = seeds::database();
    let mut units: Vec<Vec<u8>> = changed.iter().map(|at| seed.pages[*at].clone()).collect();
    script::run(edits, &mut units, false);
    let mut pages = seed.pages.concat();
    for (at, page) in changed.iter().zip(units) {
        let place = &mut pages[at * seed.page_size..][..seed.page_size];
        if page == place {
            continue;
        }
        place.copy_from_slice(&page);
        match at.checked_sub(1) {
            // Units 0 and 1 are the header and its shadow.
            None | Some(0) => ese_testkit::logs::seal_header(place),
            Some(pgno) => drop(seal_page(place, pgno as u32)),
        }
    }
    if choice & 1 == 1 {
        pages.truncate(pages.len() * usize::from(choice) / 256);
    }
    if let Ok(source) = MemorySource::new(pages) {
        read_everything(&Database::new(source));
    }
}

/// Reads all rows, and all that the space trees say.
pub(crate) fn read_everything(db: &Database) {
    let Ok(catalog) = db.catalog() else { return };
    let map = SpaceMap::read(db, &catalog);
    let _ = (map.leaked(db), map.first_unused(), map.owner(Pgno(7)));
    for table in &catalog.tables {
        let reader = TableReader::new(db, table);
        for row in reader.rows_with_deleted() {
            let Ok(fields) = row.fields() else { continue };
            for column in reader.columns() {
                let _ = fields.value(column);
            }
        }
    }
}
