//! Logs: single records, files, and a folder of them.

use super::choice;
use crate::{script, seeds};
use ese_db::Database;
use ese_format::Record;
use ese_format::RecordFormat;
use ese_log::chain::{verdict, verify};
use ese_log::{LogImage, RecordCursor, StreamFiles};
use ese_testkit::logs::{End, seal_header, seal_segment, write_checksum_records, write_segments};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// A record: measured, decoded, printed, encoded.
pub(crate) fn record(bytes: &[u8]) {
    let (choice, bytes) = choice(bytes);
    let format = RecordFormat {
        has_commit_context_flags: choice & 1 == 0,
    };
    if let Ok((record, _)) = Record::decode(bytes, 0, format) {
        let _ = (ese_text::record(&record).to_string(), record.encode());
        let _ = serde_json::to_string(&record);
    }
}

fn read(bytes: Vec<u8>) {
    let Ok(image) = LogImage::from_bytes(Path::new("log"), bytes) else {
        return;
    };
    for mut cursor in [RecordCursor::new(), RecordCursor::salvage()] {
        // No log has more records than bytes; more steps would be a loop without an end.
        for _ in 0..=image.bytes.len() {
            match cursor.next_record(&image) {
                Ok(None) => break,
                Ok(Some(record)) => drop(
                    record
                        .decode()
                        .map(|record| ese_text::record(&record).to_string()),
                ),
                Err(_) => {}
            }
        }
        assert_eq!(
            cursor.next_record(&image).ok().flatten(),
            None,
            "reading ends"
        );
    }
}

/// A log whose segments were changed under right checksums, in both layouts.
pub(crate) fn image(bytes: &[u8]) {
    let (choice, edits) = choice(bytes);
    let log = &seeds::logs()[usize::from(choice >> 1 & 1)];
    let seed = match choice & 1 {
        0 => log.bytes.clone(),
        _ => write_checksum_records(&log.bytes, &log.records, 512, End::Current),
    };
    let mut units: Vec<Vec<u8>> = seed.chunks(4096).map(<[u8]>::to_vec).collect();
    let before = units.clone();
    script::run(edits, &mut units, false);
    let mut edited = units.concat();
    for (number, unit) in before.iter().enumerate() {
        match number {
            _ if choice & 4 == 4 || edited[number * 4096..].starts_with(unit) => {}
            0 => seal_header(&mut edited[..4096]),
            _ if choice & 1 == 0 && unit.len() == 4096 => seal_segment(&mut edited, number),
            _ => {}
        }
    }
    read(edited);
    read(bytes.to_vec());
}

/// A log whose records were changed, dropped, doubled or moved, in both layouts.
pub(crate) fn records(bytes: &[u8]) {
    let (choice, edits) = choice(bytes);
    let log = &seeds::logs()[usize::from(choice >> 1 & 1)];
    if let Some(log) = rewritten(log, edits, choice & 1 == 1) {
        read(log);
    }
}

/// `log` with its records edited; none if they do not fit into it any more.
pub(crate) fn rewritten(log: &seeds::Log, edits: &[u8], older: bool) -> Option<Vec<u8>> {
    let mut records = log.records.clone();
    script::run(edits, &mut records, true);
    records.retain(|record| !record.is_empty());
    let bytes: usize = records.iter().map(Vec::len).sum();
    if bytes + bytes / 10 + 16 * 4096 > log.bytes.len() {
        return None;
    }
    Some(match older {
        false => write_segments(&log.bytes, &records),
        true => write_checksum_records(&log.bytes, &records, 512, End::Current),
    })
}

/// A folder of logs with edited headers: surveyed, linked, and judged for a database.
pub(crate) fn chain(bytes: &[u8]) {
    let (choice, edits) = choice(bytes);
    let folder = TempDir::new().expect("a temporary folder");
    let checkpoint = fs::read(seeds::stream().join("edb.chk")).expect("testdata");
    let logs = seeds::logs().iter();
    let mut units: Vec<Vec<u8>> = logs.map(|log| log.bytes[..4096].to_vec()).collect();
    units.push(checkpoint);
    script::run(edits, &mut units, false);
    for unit in &mut units {
        if choice & 1 == 0 {
            unit.chunks_exact_mut(4096).for_each(seal_header);
        }
    }
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes);
    write("edb.chk", &units[2]).expect("the folder is writable");
    for (log, header) in seeds::logs().iter().zip(&units) {
        let whole = [header, &log.bytes[4096..]].concat();
        write(log.name, &whole).expect("the folder is writable");
    }
    let Ok(files) = StreamFiles::find(folder.path(), None) else {
        return;
    };
    let Ok(Some(report)) = verify(&files, None, &()) else {
        return;
    };
    let database = Database::open(seeds::stream().join("db.edb")).expect("testdata");
    let headers = database.headers().and_then(|copies| copies.good());
    let header = &headers.expect("testdata").fields;
    let _ = verdict(&report, header);
    let _ = serde_json::to_string(&report.findings);
}
