//! Whether closed logs are complete: no false alarm on any stream that an engine wrote, and no cut that goes unseen.

use ese_format::log::fill_pattern;
use ese_log::chain::{Ending, Opening, Proof, Unproved, prove};
use ese_log::{LogImage, StreamFiles};
use ese_testkit::fixtures::{self, either};
use ese_testkit::logs::{SECTOR, keep_no_checksum, repack, seal_header};
use ese_testkit::random::Random;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const SEGMENT: usize = 4096;

/// Every folder with logs of the engine-made sets.
fn engine_folders() -> Vec<PathBuf> {
    let mut folders = BTreeSet::new();
    for set in fixtures::engine_set_names() {
        for file in fixtures::files_below(&fixtures::engine_set(&set)) {
            let kind = file.extension().and_then(|extension| extension.to_str());
            if matches!(kind, Some("log" | "jtx")) {
                folders.insert(file.parent().unwrap().to_owned());
            }
        }
    }
    folders.into_iter().collect()
}

/// The logs of a stream, in order.
fn images(folder: &Path) -> Vec<LogImage> {
    let files = StreamFiles::find(folder, None).unwrap();
    let files = files.in_order();
    files
        .map(|file| LogImage::read(&file.path).unwrap())
        .collect()
}

/// Closed logs, each with the one after it.
fn pairs(folder: &Path) -> Vec<[LogImage; 2]> {
    let mut found = Vec::new();
    let mut logs = images(folder).into_iter().peekable();
    while let Some(log) = logs.next() {
        let Some(next) = logs.peek() else { break };
        if Opening::of(next).continues(&Ending::of(&log)) {
            let next = LogImage::read(&next.path).unwrap();
            found.push([log, next]);
        }
    }
    found
}

/// The same log in a stream whose headers keep nothing of the log before.
fn without_checksum(log: &LogImage) -> LogImage {
    let mut bytes = fs::read(&log.path).unwrap();
    keep_no_checksum(&mut bytes);
    LogImage::from_bytes(&log.path, bytes).unwrap()
}

fn name(proof: Proof) -> String {
    match proof {
        Proof::NotProved(Unproved::Forced(kind)) => format!("forced by {}", kind.dump_name()),
        Proof::NotProved(Unproved::Restart(kind)) => format!("restart with {}", kind.dump_name()),
        Proof::NotProved(why) => format!("{why:?}"),
        other => other.name().to_owned(),
    }
}

fn count(names: impl IntoIterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

/// The same stream in the older layout.
fn repacked(folder: &Path) -> TempDir {
    let to = TempDir::new().unwrap();
    repack(folder, to.path());
    to
}

fn expected(list: &[(&str, usize)]) -> BTreeMap<String, usize> {
    let list = list.iter();
    list.map(|(name, count)| ((*name).to_owned(), *count))
        .collect()
}

fn sum(counts: Vec<BTreeMap<String, usize>>) -> BTreeMap<String, usize> {
    let mut total: BTreeMap<String, usize> = BTreeMap::new();
    for (name, count) in counts.into_iter().flatten() {
        *total.entry(name).or_default() += count;
    }
    total
}

/// What each closed log of all folders is called when `judge` looks at it and the log after it.
fn all(judge: impl Fn(&Path) -> Vec<Proof> + Sync) -> BTreeMap<String, usize> {
    let counts = engine_folders();
    let counts = counts
        .par_iter()
        .map(|folder| count(judge(folder).into_iter().map(name)));
    sum(counts.collect())
}

#[test]
fn no_closed_log_that_the_engine_wrote_is_called_incomplete() {
    let by_headers = all(|folder| {
        let pairs = pairs(folder).into_iter();
        pairs
            .map(|[log, next]| prove(&Ending::of(&log), Some(&Opening::of(&next))))
            .collect()
    });
    // The ten are those of version 8.4000.4.3.
    assert_eq!(
        by_headers,
        expected(&[("full", 10), ("next_header", either(716, 234))])
    );
    let by_records = all(|folder| {
        let pairs = pairs(folder).into_iter();
        pairs
            .map(|[log, next]| {
                let next = Opening::of(&without_checksum(&next));
                prove(&Ending::of(&without_checksum(&log)), Some(&next))
            })
            .collect()
    });
    assert_eq!(
        by_records,
        expected(&[
            ("forced by Backup2", 1),
            ("full", either(724, 242)),
            ("restart with RcvUndo", 1)
        ])
    );
    let older = all(|folder| {
        let older = repacked(folder);
        let pairs = pairs(older.path()).into_iter();
        pairs
            .map(|[log, next]| prove(&Ending::of(&log), Some(&Opening::of(&next))))
            .collect()
    });
    assert_eq!(older, expected(&[("full", either(726, 244))]));
}

#[test]
fn no_cut_off_end_is_taken_for_complete() {
    let newer = all(|folder| {
        let pairs = pairs(folder).into_iter();
        let cuts = pairs.flat_map(|[log, next]| {
            let next = Opening::of(&without_checksum(&next));
            cuts(&without_checksum(&log), SEGMENT, &next, |rest| rest.fill(0))
        });
        cuts.collect()
    });
    println!("newer layout: {newer:?}");
    assert_eq!((newer.get("full"), newer.get("next_header")), (None, None));
    // What is not called incomplete could have come about by writing as well. Most of that lies near the end of a log.
    assert!(newer["incomplete"] * 100 > newer.values().sum::<usize>() * 98);
    let pattern = fill_pattern();
    let older = all(|folder| {
        let older = repacked(folder);
        let pairs = pairs(older.path()).into_iter();
        let cuts = pairs.flat_map(|[log, next]| {
            cuts(&log, SECTOR, &Opening::of(&next), |rest| {
                let sectors = rest.chunks_exact_mut(SECTOR);
                sectors.for_each(|sector| sector.copy_from_slice(&pattern));
            })
        });
        cuts.collect()
    });
    println!("older layout: {older:?}");
    assert_eq!(older.get("full"), None);
    let noticed = older["incomplete"] + older["damaged"];
    assert!(noticed * 100 > older.values().sum::<usize>() * 98);
}

/// Proofs of a log that is cut off before its last write, at one to three places of chance and in the last units. All
/// segments with `EDBKIT_VARIANTS`.
fn cuts(log: &LogImage, unit: usize, next: &Opening, empty: impl Fn(&mut [u8])) -> Vec<Proof> {
    let bytes = &log.bytes;
    let (first, used) = (SEGMENT / unit, log.body.end / unit);
    let mut random = Random(u64::from(log.header.generation.0));
    let mut places: BTreeSet<usize> = (used.saturating_sub(3)..used).collect();
    places.extend((0..3).map(|_| random.below(used)));
    if unit == SEGMENT && std::env::var_os("EDBKIT_VARIANTS").is_some() {
        places = (0..used).collect();
    }
    let places = places.range(first..).map(|place| {
        let mut bytes = bytes.clone();
        empty(&mut bytes[place * unit..]);
        let cut = LogImage::from_bytes(&log.path, bytes).unwrap();
        prove(&Ending::of(&cut), Some(next))
    });
    places.collect()
}

#[test]
fn the_closed_logs_of_windows_are_proved() {
    let real = fixtures::real();
    let proofs = |folder: &str| {
        let pairs = pairs(&real.join(folder)).into_iter();
        count(pairs.map(|[log, next]| name(prove(&Ending::of(&log), Some(&Opening::of(&next))))))
    };
    let museum = "museum/SRUM";
    if fixtures::windows_xp().is_some() {
        assert_eq!(proofs("xp-catroot2"), expected(&[("full", 5)]));
    }
    let win10 = proofs(&format!("{museum}/Win10/APTSimulatorVM/Clean"));
    assert_eq!(win10, expected(&[("next_header", 7)]));
    for state in ["Dirty", "Clean"] {
        let win11 = proofs(&format!("{museum}/Win11/RathbunVM/{state}"));
        assert_eq!(win11, expected(&[("next_header", 3)]));
    }
}

/// What the update minor of the next log says of the checksum in its header decides, whatever the update major.
#[test]
fn the_update_minor_says_what_the_header_keeps() {
    let state = fixtures::testdata_set("crash-p8k").join("state");
    let log = LogImage::read(&state.join("edb00010.log")).unwrap();
    let ending = Ending::of(&log);
    let sum = log.body.accumulated_checksum;
    let last = log.last_segment().unwrap().checksum;
    let proof = |version: [u32; 4], kept: u64| {
        let mut next = fs::read(state.join("edb00011.log")).unwrap();
        for (at, part) in [32, 36, 40, 648].into_iter().zip(version) {
            next[at..at + 4].copy_from_slice(&part.to_le_bytes());
        }
        next[653..661].copy_from_slice(&kept.to_le_bytes());
        seal_header(&mut next);
        let next = LogImage::from_bytes(Path::new("edb00011.log"), next).unwrap();
        prove(&ending, Some(&Opening::of(&next)))
    };
    for major in [0, 4, 5, 130] {
        assert_eq!(proof([8, 4000, major, 13], sum), Proof::NextHeader);
        for wrong in [0, last, sum ^ 1] {
            let jet = proof([8, 4000, major, 13], wrong).jet().unwrap();
            assert_eq!(jet.code, -590, "{major}.13 keeps {wrong:#x}");
        }
        assert_eq!(proof([8, 4000, major, 12], last), Proof::NextHeader);
        for other in [0, sum, 1] {
            assert_eq!(proof([8, 4000, major, 12], other), Proof::Full);
            assert_eq!(proof([8, 4000, major, 11], other), Proof::Full);
            assert_eq!(proof([8, 4000, major, 3], other), Proof::Full);
        }
    }
}

/// A log of the older layout has no sum, and the first one of the newer layout after it keeps none.
#[test]
fn zero_is_right_after_the_older_layout() {
    let set = fixtures::engine_set("crash-p8k");
    let older = repacked(&set.join("state"));
    let log = LogImage::read(&older.path().join("edb00010.log")).unwrap();
    let mut next = fs::read(set.join("state/edb00011.log")).unwrap();
    let proof = |next: &[u8]| {
        let next = LogImage::from_bytes(Path::new("edb00011.log"), next.to_vec()).unwrap();
        prove(&Ending::of(&log), Some(&Opening::of(&next)))
    };
    assert_eq!(proof(&next).jet().map(|jet| jet.code), Some(-590));
    next[653..661].fill(0);
    seal_header(&mut next);
    assert_eq!(proof(&next), Proof::Full);
}
