//! What the scripts edit: the small sets in `testdata/`, read once.

use crate::script;
use ese_db::{Database, MemorySource};
use ese_format::database::{HEADERS_MAX, HeaderCopies};
use ese_format::log::SEGMENT_SIZE;
use ese_format::{DatabaseHeader, Pgno};
use ese_log::LogImage;
use ese_replay::page_files::{BaseMark, Overlay};
use ese_replay::pages::PageFile;
use ese_replay::recovery::DatabaseFile;
use ese_testkit::disk::FaultyDisk;
use ese_testkit::fixtures::{read_zst, repository, testdata_set};
use ese_testkit::logs::{records_of, write_segments};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use target_disk::{Disk, DiskFile};

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
            let page = database.page(Pgno(*pgno));
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

/// A flush map, and the header of the database that it goes with.
pub(crate) struct Map {
    pub(crate) bytes: Vec<u8>,
    pub(crate) database: DatabaseHeader,
}

pub(crate) fn flush_map() -> &'static Map {
    static MAP: OnceLock<Map> = OnceLock::new();
    MAP.get_or_init(|| {
        let folder = testdata_set("crash-p8k").join("recovered");
        let database = fs::read(folder.join("db.edb")).expect("testdata");
        let headers = HeaderCopies::read(&database[..HEADERS_MAX]);
        Map {
            bytes: fs::read(folder.join("db.jfm")).expect("testdata"),
            database: headers.good().expect("testdata").fields.clone(),
        }
    })
}

/// An overlay over the database of [`database`] that holds some of its pages: what is before them, each of them, the
/// index, and the header.
pub(crate) fn overlay() -> &'static [Vec<u8>] {
    static OVERLAY: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    OVERLAY.get_or_init(|| {
        let (disk, path) = (FaultyDisk::new(0), Path::new("overlay"));
        let file: Arc<dyn DiskFile> = Arc::from(disk.create(path).expect("an empty disk"));
        let base = DatabaseFile::open(&stream().join("db.edb")).expect("testdata");
        let (mark, size) = (BaseMark::of(&base.header), base.page_size);
        let last = Pgno(database().pages.len() as u32 - 2);
        let begun = Overlay::create(
            Box::new(file),
            Box::new(base.pages()),
            mark,
            size.bytes(),
            last,
        );
        let mut overlay = begun.expect("there is room");
        let pages = (1..=last.0).step_by(3);
        for pgno in pages.clone() {
            let page = &database().pages[pgno as usize + 1];
            overlay.write_page(Pgno(pgno), page).expect("there is room");
        }
        overlay.finish(&base.header).expect("there is room");
        let bytes = disk.get(path).expect("it was just written");
        let mut bytes = &bytes[..];
        let index = pages.clone().count() * 8;
        let slots = pages.map(|_| size.as_usize());
        let sizes = [4096]
            .into_iter()
            .chain(slots)
            .chain([index, size.as_usize()]);
        let units = sizes.map(|size| bytes.split_off(..size).expect("as long as that").to_vec());
        units.collect()
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

/// A volume, and the parts of it that edits are made to: each of so many bytes.
pub(crate) struct VolumeSeed {
    pub(crate) bytes: Vec<u8>,
    pub(crate) parts: Vec<(usize, usize)>,
}

impl VolumeSeed {
    fn of(name: &str, part: impl Fn(&[u8], usize) -> Option<usize>) -> Self {
        let bytes = read_zst(&repository().join("testdata/images").join(name));
        let parts = (0..bytes.len()).step_by(512);
        let parts = parts
            .filter_map(|at| Some((at, part(&bytes[at..], at)?)))
            .collect();
        VolumeSeed { bytes, parts }
    }

    /// The volume with edits to its parts.
    pub(crate) fn edited(&self, edits: &[u8]) -> Vec<u8> {
        let parts = self.parts.iter();
        let mut units: Vec<_> = parts
            .map(|(at, length)| self.bytes[*at..][..*length].to_vec())
            .collect();
        script::run(edits, &mut units, false);
        let mut bytes = self.bytes.clone();
        for ((at, length), unit) in self.parts.iter().zip(units) {
            bytes[*at..][..*length].copy_from_slice(&unit);
        }
        bytes
    }
}

/// A small NTFS volume, with files in pieces and compressed ones: its boot sector, and the records of `$MFT` and of indexes.
pub(crate) fn volume() -> &'static VolumeSeed {
    static VOLUME: OnceLock<VolumeSeed> = OnceLock::new();
    VOLUME.get_or_init(|| {
        VolumeSeed::of("small.raw.zst", |bytes, at| match &bytes[..4] {
            _ if at == 0 => Some(512),
            b"FILE" => Some(1024),
            b"INDX" => Some(4096),
            _ => None,
        })
    })
}

/// A volume with shadow copies: its header, and what begins with the identifier of their blocks.
pub(crate) fn copies() -> &'static VolumeSeed {
    static COPIES: OnceLock<VolumeSeed> = OnceLock::new();
    COPIES.get_or_init(|| {
        VolumeSeed::of("copies.raw.zst", |bytes, at| {
            let is_block = bytes.starts_with(&[0x6b, 0x87, 0x08, 0x38]);
            let length = if at % 0x4000 == 0 { 0x4000 } else { 512 };
            is_block.then(|| length.min(bytes.len()))
        })
    })
}
