//! What the scripts edit: the small sets in `testdata/`, read once.

use ese_db::{Database, MemorySource};
use ese_format::log::SEGMENT_SIZE;
use ese_log::LogImage;
use ese_testkit::fixtures::testdata_set;
use ese_testkit::logs::{records_of, write_segments};
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

/// A database in units: two header pages, then the pages.
pub(crate) struct Seed {
    pub(crate) page_size: usize,
    pub(crate) pages: Vec<Vec<u8>>,
    /// Where the catalog's pages are in `pages`.
    pub(crate) catalog: Vec<usize>,
}

pub(crate) fn database() -> &'static Seed {
    static SEED: OnceLock<Seed> = OnceLock::new();
    SEED.get_or_init(|| {
        let path = testdata_set("clean-p4k").join("state/db.edb");
        let bytes = fs::read(path).expect("testdata");
        let source = MemorySource::new(bytes.clone()).expect("a database");
        let database = Database::new(source);
        let page_size = database.page_size().as_usize();
        let catalog = (1..=database.last_page().0).filter(|pgno| {
            let page = database.page(ese_format::Pgno(*pgno));
            // MSysObjects and its shadow are the objects 2 and 3 of every database.
            page.is_ok_and(|page| matches!(page.view().header().objid().0, 2 | 3))
        });
        Seed {
            page_size,
            catalog: catalog.map(|pgno| pgno as usize + 1).collect(),
            pages: bytes.chunks(page_size).map(<[u8]>::to_vec).collect(),
        }
    })
}

/// The folder of a stream whose first logs create its database, and of that database.
pub(crate) fn stream() -> PathBuf {
    testdata_set("clean-p4k").join("state")
}

/// A log: its bytes, and its records.
pub(crate) struct Log {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) records: Vec<Vec<u8>>,
}

/// The first logs of [`stream`].
pub(crate) fn logs() -> &'static [Log] {
    static LOGS: OnceLock<Vec<Log>> = OnceLock::new();
    LOGS.get_or_init(|| {
        let names = ["edb00001.log", "edb00002.log"];
        let logs = names.map(|name| {
            let path = stream().join(name);
            let mut bytes = fs::read(&path).expect("testdata");
            let image = LogImage::from_bytes(&path, bytes.clone()).expect("a log");
            let records = records_of(&image);
            // Twice the size, so that there is room for edits.
            bytes.resize(2 * bytes.len(), 0);
            let segments = u16::try_from(bytes.len() / SEGMENT_SIZE).expect("a small log");
            bytes[12..14].copy_from_slice(&segments.to_le_bytes());
            Log {
                name,
                bytes: write_segments(&bytes, &records),
                records,
            }
        });
        logs.into()
    })
}
