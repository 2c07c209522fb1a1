//! Hostile bytes: every segment damaged in turn, truncation anywhere, flipped bits, nonsense under a right checksum.
//! Nothing panics or hangs, and nothing damaged is ever called intact.
//!
//! The number of random variants is small by default; `EDBKIT_VARIANTS=10000` makes it what you like.

use ese_log::chain::{Severity, verify};
use ese_log::{LogImage, RecordCursor, StreamFiles};
use ese_testkit::damage::WorkingCopy;
use ese_testkit::fixtures;
use ese_testkit::logs::{repack, seal_segment};
use ese_testkit::random::Random;
use rayon::prelude::*;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const SEGMENT: usize = 4096;

fn variants() -> u64 {
    let asked = std::env::var("EDBKIT_VARIANTS").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(1000)
}

/// What reading a log comes to: whether anything was wrong, and the records that could be read.
fn read(bytes: Vec<u8>) -> (bool, usize) {
    let size = bytes.len() as u64;
    let Ok(image) = LogImage::from_bytes(Path::new("log"), bytes) else {
        return (true, 0);
    };
    let mut wrong = !image.body.damage.is_empty() || image.header.file_size() != size;
    let mut count = 0;
    for mut cursor in [RecordCursor::new(), RecordCursor::salvage()] {
        count = 0;
        // No log has more records than bytes; more steps would be a loop without an end.
        for _ in 0..=size {
            match cursor.next_record(&image) {
                Ok(None) => break,
                Ok(Some(record)) => {
                    count += 1;
                    wrong |= record.decode().is_err();
                }
                Err(_) => wrong = true,
            }
        }
        assert_eq!(
            cursor.next_record(&image).ok().flatten(),
            None,
            "reading ends"
        );
    }
    (wrong, count)
}

/// The same log in both layouts.
fn logs() -> [Vec<u8>; 2] {
    let state = fixtures::engine_set("crash-p8k").join("state");
    let repacked = TempDir::new().unwrap();
    repack(&state, repacked.path());
    let name = "edb00010.log";
    let read = |folder: &Path| fs::read(folder.join(name)).unwrap();
    [read(&state), read(repacked.path())]
}

#[test]
fn a_log_in_order_has_nothing_wrong() {
    let logs = logs();
    for log in logs {
        let (wrong, records) = read(log);
        assert!(!wrong && records > 400, "{records}");
    }
}

/// Where the part of a log ends that holds data. After it stands the shadow of the last write, which is looked at
/// only when that write is bad.
fn end_of_data(log: &[u8]) -> usize {
    let image = LogImage::from_bytes(Path::new("log"), log.to_vec()).unwrap();
    image.body.end
}

#[test]
fn a_flipped_bit_anywhere_is_noticed() {
    let logs = logs();
    for log in &logs {
        let end = end_of_data(log);
        (0..variants()).into_par_iter().for_each(|seed| {
            let mut random = Random(seed);
            let mut bytes = log.clone();
            let bit = random.below(end * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(read(bytes).0, "bit {bit} of a log of {} bytes", log.len());
        });
    }
}

#[test]
fn many_flipped_bits_are_noticed() {
    let logs = logs();
    for log in &logs {
        (0..variants()).into_par_iter().for_each(|seed| {
            let mut random = Random(seed);
            let mut bytes = log.clone();
            for _ in 0..2 + random.below(200) {
                let bit = random.below(log.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            assert!(read(bytes).0, "seed {seed}");
        });
    }
}

#[test]
fn every_place_damaged_in_turn_is_noticed() {
    let logs = logs();
    for log in &logs {
        for start in (0..end_of_data(log)).step_by(512) {
            // The checksum of the header, an exclusive or, is blind to the same word written an even number of times:
            // zeroes and random bytes, then, but not the same byte all over.
            for random in [false, true] {
                let mut bytes = log.clone();
                let mut numbers = Random(start as u64);
                for byte in &mut bytes[start..start + 512] {
                    *byte = if random { numbers.number() as u8 } else { 0 };
                }
                let same = bytes == *log;
                assert!(same || read(bytes).0, "{start:#x}, random: {random}");
            }
        }
    }
}

#[test]
fn a_file_cut_off_anywhere_is_noticed() {
    let logs = logs();
    for log in &logs {
        for length in (0..log.len()).step_by(512).chain([1, 4095, 4097]) {
            assert!(read(log[..length].to_vec()).0, "{length}");
        }
    }
}

/// Random bytes in place of records, under checksums that fit: the reading of records itself is attacked.
#[test]
fn nonsense_under_a_right_checksum_neither_panics_nor_hangs() {
    let [log, _] = logs();
    let segments = log.len() / SEGMENT - 2;
    (0..variants()).into_par_iter().for_each(|seed| {
        let mut random = Random(seed);
        let mut bytes = log.clone();
        for _ in 0..1 + random.below(4) {
            let number = 1 + random.below(segments);
            let start = number * SEGMENT + 40 + random.below(SEGMENT - 44);
            let length = 1 + random.below((number + 1) * SEGMENT - start);
            for byte in &mut bytes[start..start + length] {
                // Small numbers are types; they make the reader go deeper.
                *byte = match random.below(3) {
                    0 => random.below(104) as u8,
                    1 => 0,
                    _ => random.number() as u8,
                };
            }
            seal_segment(&mut bytes, number);
        }
        let _ = read(bytes);
    });
}

#[test]
fn any_bytes_at_all_give_an_answer() {
    let [log, _] = logs();
    (0..variants()).into_par_iter().for_each(|seed| {
        let mut random = Random(seed);
        let mut bytes: Vec<u8> = (0..random.below(20_000))
            .map(|_| random.number() as u8)
            .collect();
        let header = random.below(5).min(1) * bytes.len().min(SEGMENT);
        bytes[..header].copy_from_slice(&log[..header]);
        assert!(read(bytes).0);
    });
}

/// A whole stream in which one log is damaged: the report names it.
#[test]
fn a_damaged_log_is_found_in_its_stream() {
    let set = fixtures::engine_set("crash-p8k");
    let repacked = TempDir::new().unwrap();
    repack(&set.join("state"), repacked.path());
    for folder in [set.join("state"), repacked.path().to_owned()] {
        for seed in 0..20 {
            let copy = WorkingCopy::of(&folder);
            let mut random = Random(seed);
            copy.edit("edb00012.log", |bytes| {
                let at = random.below(bytes.len() - 3 * SEGMENT);
                for byte in &mut bytes[at..at + 40] {
                    *byte ^= 1 + random.below(255) as u8;
                }
            });
            let files = StreamFiles::find(copy.path(), None).unwrap();
            let report = verify(&files, None, &()).unwrap().unwrap();
            let named = report.findings.iter().any(|finding| {
                finding.severity == Severity::Error
                    && finding.file.as_deref() == Some("edb00012.log")
            });
            assert!(named, "seed {seed}: {:#?}", report.findings);
        }
    }
}
