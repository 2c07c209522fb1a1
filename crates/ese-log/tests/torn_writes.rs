//! A machine that stops while it writes leaves a torn last write. Recovery repairs it, so reading must too, and must
//! tell it from damage.

use ese_format::log::{ChecksumRecord, LogHeader, fill_pattern};
use ese_log::{Damage, LogImage};
use ese_testkit::fixtures;
use ese_testkit::logs::{End, SECTOR, records_of, write_checksum_records};
use std::fs;
use std::path::Path;

const SEGMENT: usize = 4096;

fn current_log() -> Vec<u8> {
    let state = fixtures::engine_set("crash-p8k").join("state");
    fs::read(state.join("edb.log")).unwrap()
}

fn image(bytes: &[u8]) -> LogImage {
    LogImage::from_bytes(Path::new("edb.log"), bytes.to_vec()).unwrap()
}

/// The same log in the older layout.
fn older(log: &[u8]) -> Vec<u8> {
    write_checksum_records(log, &records_of(&image(log)), 280, End::Current)
}

/// Offsets of the checksum records of a log in the older layout.
fn writes(log: &[u8]) -> Vec<usize> {
    let mut found = vec![SEGMENT];
    loop {
        let at = found[found.len() - 1];
        match ChecksumRecord::read(log, at).unwrap().next {
            0 => return found,
            next => found.push(at + ChecksumRecord::SIZE + next as usize),
        }
    }
}

fn torn(image: &LogImage) -> Vec<bool> {
    let torn = image.body.damage.iter().map(|damage| match damage {
        Damage::Torn {
            only_in_current_log,
            ..
        } => *only_in_current_log,
        other => panic!("{other:?}"),
    });
    torn.collect()
}

#[test]
fn the_shadow_of_the_last_segment_stands_in_for_it() {
    let log = current_log();
    let whole = image(&log);
    let last = whole.body.end - SEGMENT;
    let mut bytes = log.clone();
    bytes[last + 100..last + 600].fill(0xee);
    let repaired = image(&bytes);
    assert_eq!(torn(&repaired), [false]);
    assert_eq!(records_of(&repaired), records_of(&whole));
    assert_eq!(
        repaired.body.accumulated_checksum,
        whole.body.accumulated_checksum
    );
    // Without its shadow the same segment is lost.
    bytes[last + SEGMENT + 300] ^= 1;
    bytes[last + SEGMENT + 301] ^= 1;
    let lost = image(&bytes);
    assert!(lost.body.damage.iter().any(|damage| damage.is_fatal(true)));
    assert!(records_of(&lost).len() < records_of(&whole).len());
}

#[test]
fn the_shadow_of_the_last_sector_stands_in_for_it() {
    let log = current_log();
    let log = older(&log);
    let whole = image(&log);
    assert_eq!(whole.body.damage, []);
    let last = *writes(&log).last().unwrap();
    let mut bytes = log.clone();
    bytes[last + 3] ^= 0x10;
    let repaired = image(&bytes);
    assert_eq!(
        torn(&repaired),
        [true],
        "recovery repairs this in the current log only"
    );
    assert_eq!(records_of(&repaired), records_of(&whole));
}

#[test]
fn a_write_that_never_reached_the_disk_ends_the_log() {
    let log = current_log();
    let log = older(&log);
    let whole = records_of(&image(&log));
    let pattern = fill_pattern();
    // From the sector of the last write on there is nothing but the fill pattern.
    let last = *writes(&log).last().unwrap();
    let mut bytes = log.clone();
    for sector in bytes[last - last % SECTOR..].chunks_mut(SECTOR) {
        sector.copy_from_slice(&pattern);
    }
    let short = image(&bytes);
    assert_eq!(torn(&short), [false]);
    let records = records_of(&short);
    assert!(!records.is_empty() && records.len() <= whole.len());
    assert_eq!(records, whole[..records.len()]);
    // Anything else after it makes it damage.
    let end = bytes.len();
    bytes[end - 100] ^= 1;
    let damaged = image(&bytes);
    assert!(
        damaged
            .body
            .damage
            .iter()
            .any(|damage| damage.is_fatal(true))
    );
}

#[test]
fn the_first_sector_of_a_torn_write_of_several_counts() {
    let log = current_log();
    let log = older(&log);
    let pattern = fill_pattern();
    // The last write that covers at least three sectors.
    let at = *writes(&log)
        .iter()
        .rfind(|at| ChecksumRecord::read(&log, **at).unwrap().forwards as usize > 3 * SECTOR)
        .unwrap();
    let second = at - at % SECTOR + SECTOR;
    let mut bytes = log.clone();
    for sector in bytes[second..].chunks_mut(SECTOR) {
        sector.copy_from_slice(&pattern);
    }
    let short = image(&bytes);
    assert_eq!(torn(&short), [false]);
    assert_eq!(short.body.end, second);
    let records = records_of(&short);
    let whole = records_of(&image(&log));
    assert_eq!(records, whole[..records.len()]);
}

#[test]
fn a_log_that_was_never_written_to_is_empty() {
    let log = current_log();
    let generation = LogHeader::read(&log).unwrap().as_read().generation;
    let blank = [log[..SEGMENT].to_vec(), vec![0; log.len() - SEGMENT]].concat();
    let empty = image(&blank);
    assert_eq!(empty.body.damage, []);
    assert_eq!(empty.end().generation, generation);
    assert_eq!(records_of(&empty), [[0u8; 0]; 0]);
}
