//! Headers of databases, logs and checkpoints; flush maps.

use super::choice;
use crate::{script, seeds};
use ese_checksum::seal_page;
use ese_format::database::{HeaderCopies, looks_like_database};
use ese_format::flush_map::MAP_PAGE_SIZE;
use ese_format::foreign::looks_like;
use ese_format::log::{CheckpointFile, LogHeader};
use ese_format::{Dbtime, FileKind, Pgno};
use ese_scan::FlushMap;
use ese_testkit::logs::seal_header;
use evidence::EvidenceFile;
use std::fs;
use tempfile::TempDir;

/// A seed edited by the rest of the bytes; odd choices leave the checksum wrong.
fn edited(seed: &[u8], bytes: &[u8]) -> Vec<u8> {
    let (choice, script) = choice(bytes);
    let mut units = vec![seed.to_vec()];
    script::run(script, &mut units, choice & 2 == 2);
    let mut edited = units.concat();
    if choice & 1 == 0 {
        for copy in edited.chunks_exact_mut(4096) {
            seal_header(copy);
        }
    }
    edited
}

/// Both copies of a database header.
pub(crate) fn database(bytes: &[u8]) {
    let seed = seeds::database();
    for start in [edited(&seed.pages[..2].concat(), bytes), bytes.to_vec()] {
        FileKind::detect(&start);
        looks_like(&start);
        looks_like_database(&start);
        let copies = HeaderCopies::read(&start);
        let _ = serde_json::to_string(&copies);
        for copy in [&copies.primary, &copies.shadow] {
            let _ = ese_text::database_header(copy).to_string();
        }
    }
}

/// A log header, which is read as a checkpoint, too.
pub(crate) fn log(bytes: &[u8]) {
    let seed = &seeds::logs()[0].bytes[..4096];
    for start in [edited(seed, bytes), bytes.to_vec()] {
        FileKind::detect(&start);
        if let Ok(header) = LogHeader::read(&start) {
            let header = header.as_read();
            let _ = (header.check().is_ok(), header.file_size());
            let _ = serde_json::to_string(header);
            let _ = ese_text::log_header(header, None).to_string();
        }
        let copies = CheckpointFile::read(&start);
        if let Ok((checkpoint, _)) = copies.current() {
            let _ = ese_text::checkpoint(checkpoint).to_string();
        }
    }
}

/// A flush map whose pages were changed, dropped or doubled under right checksums.
pub(crate) fn flush_map(bytes: &[u8]) {
    let (choice, edits) = choice(bytes);
    let seed = seeds::flush_map();
    let mut units: Vec<Vec<u8>> = seed
        .bytes
        .chunks(MAP_PAGE_SIZE)
        .map(<[u8]>::to_vec)
        .collect();
    script::run(edits, &mut units, choice & 1 == 1);
    for (at, page) in units.iter_mut().enumerate() {
        match at.checked_sub(1) {
            None if page.len() == MAP_PAGE_SIZE => seal_header(page),
            None => {}
            Some(number) => drop(seal_page(page, number as u32)),
        }
    }
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("db.jfm");
    fs::write(&path, units.concat()).expect("the folder is writable");
    let file = EvidenceFile::open(&path).expect("it was just written");
    // Larger and smaller databases than the one that the map goes with.
    let last = Pgno(u32::from(choice) << 9);
    let Ok(map) = FlushMap::open(&file, &seed.database, last) else {
        return;
    };
    let _ = (map.damaged_pages(), map.missing_pages());
    for pgno in [0, 1, last.0 / 2, last.0, u32::MAX] {
        let _ = map.expected(Pgno(pgno), Dbtime(u64::from(pgno)));
    }
}
