//! Whether closed logs are complete: no false alarm on any stream that an engine wrote, and no cut that goes unseen.

use ese_log::chain::{Ending, Opening, Proof, Unproved, prove};
use ese_log::{LogImage, StreamFiles};
use ese_testkit::fixtures;
use ese_testkit::logs::{keep_no_checksum, repack};
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
        for file in fixtures::files_below(&fixtures::engine_set(&set).unwrap()) {
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

/// Closed logs, each with the one after it, of which the first is `change`d before it is read.
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

#[test]
fn no_closed_log_that_the_engine_wrote_is_called_incomplete() {
    let (mut headers, mut fills) = (Vec::new(), Vec::new());
    for folder in engine_folders() {
        for [log, next] in pairs(&folder) {
            headers.push(name(prove(&Ending::of(&log), Some(&Opening::of(&next)))));
            let next = without_checksum(&next);
            let fill = prove(&Ending::of(&log), Some(&Opening::of(&next)));
            if !matches!(fill, Proof::Full) {
                println!("{}: {fill}", log.path.display());
            }
            fills.push(name(fill));
        }
    }
    let (headers, fills) = (count(headers), count(fills));
    println!("by the headers: {headers:?}\nwithout them: {fills:?}");
    if fixtures::shared().is_some() {
        let expected = |list: &[(&str, usize)]| -> BTreeMap<String, usize> {
            let list = list.iter();
            list.map(|(name, count)| ((*name).to_owned(), *count))
                .collect()
        };
        assert_eq!(headers, expected(&[("next_header", 0)]));
        assert_eq!(fills, expected(&[("full", 0)]));
    }
}

#[test]
fn no_cut_off_end_is_taken_for_complete() {
    let counts: Vec<BTreeMap<String, usize>> = engine_folders()
        .par_iter()
        .map(|folder| count(cuts(folder)))
        .collect();
    let mut total: BTreeMap<String, usize> = BTreeMap::new();
    for counts in counts {
        for (name, count) in counts {
            *total.entry(name).or_default() += count;
        }
    }
    println!("{total:?}");
}

fn cuts(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for [log, next] in pairs(folder) {
        let next = Opening::of(&without_checksum(&next));
        let bytes = fs::read(&log.path).unwrap();
        let used = log.body.end / SEGMENT;
        for from in 1..used {
            let mut bytes = bytes.clone();
            bytes[from * SEGMENT..].fill(0);
            let cut = LogImage::from_bytes(&log.path, bytes).unwrap();
            let proof = prove(&Ending::of(&cut), Some(&next));
            if matches!(proof, Proof::Full) {
                println!("{}: cut from {from} of {used} on", log.path.display());
            }
            found.push(name(proof));
        }
    }
    found
}
