//! What is left of a stream after accidents, told from its bytes alone, and what follows from that.
//!
//! The stream is compared with what it was. Nothing here knows which accident happened, or asks the chain: so several
//! accidents together are judged as one alone. What cannot be known without the engine is left open.
//!
//! ```text
//! generation   4 5 6 7 8 9        needs 5-8
//! of the log   = = / = = =        = as it was   / other from some byte on   x not there, or another
//!                  ^ recovery cannot come further
//! ```

use super::scene::{Scene, SceneDatabase, files_in};
use crate::ledger::{Commit, Ledger};
use ese_format::log::{HEADER_SIZE, LogHeader};
use ese_format::{Generation, Lgpos};
use ese_log::{FileRole, LogFileName};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Bytes that have one checksum in the newer layout, and that a log is compared by.
const BLOCK: usize = 4096;
/// Where a header has its checksum and its version.
const VERSION: [std::ops::Range<usize>; 3] = [0..4, 32..44, 648..652];
/// The most bytes that one checksum covers in the older layout.
const WRITE_MOST: usize = 1 << 16;

/// A log of a stream in order.
#[derive(Debug, Clone)]
pub struct LogFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its generation.
    pub generation: Generation,
    /// The block after the last one that holds records.
    pub used: usize,
    /// The byte after the last one that was written to it.
    pub end: usize,
    /// Whether its blocks have checksums that put single bits right.
    pub corrects_bits: bool,
}

impl LogFile {
    /// Reads the log at `path`.
    pub fn read(path: &Path) -> Self {
        let bytes = fs::read(path).expect("a fixture can be read");
        let image = ese_log::LogImage::from_bytes(path, bytes).expect("a log in order");
        LogFile {
            path: path.to_owned(),
            generation: image.header.generation,
            used: image.body.end.div_ceil(BLOCK),
            end: image.body.end,
            corrects_bits: image.layout == ese_format::log::Layout::Segments,
        }
    }
}

/// What is left of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogRemains {
    /// All that it holds.
    Whole,
    /// What is before the first byte; from there on it is other than it was. Up to the second byte, an engine may
    /// still read it: from the copy of the last block, or where one checksum covers more or less than a block.
    Until(usize, usize),
    /// Nothing: the file that the engine would take for it has not its header or its size.
    Nothing,
    /// There is no file that the engine would take for it.
    Gone,
}

/// What is left of a stream.
#[derive(Debug)]
pub struct Truth {
    /// What is left of each log that there was.
    pub logs: BTreeMap<Generation, LogRemains>,
    /// Whether a file is where an engine would look for the log after the last one, and is not that.
    pub in_the_way: bool,
    /// Logs whose headers say another version; what an engine makes of that is for it to say.
    pub other_versions: BTreeSet<Generation>,
}

/// What a recovery must come to; of several databases, the last of these counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expected {
    /// It succeeds, and nothing that was committed is missing.
    Ready,
    /// Only that all programs agree, and that success is true.
    Open,
    /// It succeeds only if the loss of committed work is accepted, or fails.
    NotWhole,
    /// It fails: required logs are not there.
    Refused,
}

impl Truth {
    /// Compares what is in `folder`, under the base name `base`, with the stream of `scene`.
    pub fn of(scene: &Scene, folder: &Path, base: &str) -> Self {
        let files = Candidates::find(folder, base);
        let mut other_versions = BTreeSet::new();
        let logs = scene.files.iter().map(|(generation, log)| {
            let found = files.logs.get(generation);
            let left = found.map_or(LogRemains::Gone, |path| {
                let (left, other_version) = left(log, path);
                if other_version {
                    other_versions.insert(*generation);
                }
                left
            });
            (*generation, left)
        });
        let logs: BTreeMap<Generation, LogRemains> = logs.collect();
        let beyond = Generation(scene.newest().0 + 1)..;
        Truth {
            in_the_way: files.current_is_odd || files.logs.range(beyond).next().is_some(),
            logs,
            other_versions,
        }
    }

    fn whole(&self, generation: Generation) -> bool {
        self.logs.get(&generation) == Some(&LogRemains::Whole)
            && !self.other_versions.contains(&generation)
    }

    /// Whether every log is as it was, under its name.
    pub fn all_whole(&self) -> bool {
        self.logs.keys().all(|generation| self.whole(*generation)) && !self.in_the_way
    }

    /// Whether the log of this generation is as it was, under its name.
    pub fn is_whole(&self, generation: Generation) -> bool {
        self.whole(generation)
    }

    /// The newest log of which anything is left.
    pub fn newest(&self) -> Option<Generation> {
        let mut left = self.logs.iter().rev();
        let newest = left.find(|(_, left)| !matches!(left, LogRemains::Nothing | LogRemains::Gone));
        newest.map(|(generation, _)| *generation)
    }

    /// How many transactions have to be in the database after a recovery that says that nothing is missing: at least and
    /// at most.
    pub fn committed(&self, given: &SceneDatabase) -> (usize, usize) {
        let told = given.header.max_committed.max(given.header.max_required);
        // A clean database holds what was committed before.
        self.committed_after(&given.ledger, told, given.header.last_consistent)
    }

    /// The same of a database that is made from the logs.
    pub fn committed_from_nothing(&self, ledger: &Ledger) -> (usize, usize) {
        self.committed_after(ledger, Generation(0), Lgpos::NULL)
    }

    fn committed_after(&self, ledger: &Ledger, told: Generation, own: Lgpos) -> (usize, usize) {
        let newest = self.newest().unwrap_or_default();
        let (least, most) = match self.logs.get(&newest) {
            Some(LogRemains::Until(least, most)) if newest >= told => (*least, *most),
            _ => (usize::MAX, usize::MAX),
        };
        let last = newest.max(told);
        let count = |until: usize| {
            ledger.committed(|commit: &Commit| {
                let generation = commit.begin.generation;
                commit.begin < own
                    || generation < last
                    || generation == last && commit.last_byte < until
            })
        };
        (count(least), count(most))
    }

    /// What must come of making databases from the logs.
    pub fn expected_from_nothing(&self, scene: &Scene) -> Expected {
        // What was deleted before they were created is not asked for.
        let first = match scene.kind {
            "created again" => {
                let ledgers = scene.made.iter().map(|made| made.ledger.commits());
                let first = ledgers
                    .filter_map(|commits| commits.first())
                    .min_by_key(|one| one.begin);
                first.map_or(scene.oldest(), |first| first.begin.generation)
            }
            _ => scene.oldest(),
        };
        let mut needed = (first.0..=scene.newest().0).map(Generation);
        let Some(broken) = needed.find(|generation| !self.whole(*generation)) else {
            return match self.in_the_way || first != scene.oldest() {
                true => Expected::Open,
                false => Expected::Ready,
            };
        };
        let mendable = matches!(
            self.logs.get(&broken),
            Some(LogRemains::Until(_, usize::MAX))
        );
        let in_the_middle = self.newest().is_some_and(|newest| broken < newest);
        match in_the_middle && !mendable && !self.other_versions.contains(&broken) {
            true => Expected::NotWhole,
            false => Expected::Open,
        }
    }

    /// What a recovery of this database must come to.
    pub fn expected(&self, scene: &Scene, given: &SceneDatabase) -> Expected {
        let header = &given.header;
        if header.log_signature.is_null() {
            return Expected::Open;
        }
        let last = scene.newest().max(header.max_committed);
        let Some(first) = given.first_needed() else {
            // Clean, and no log goes on with it; but that can be known only of a log that can be read, and not where
            // one is missing before later ones.
            let later = self.logs.range(header.last_consistent.generation..);
            let newest = self.newest();
            let mut damaged = later.filter(|(generation, left)| match left {
                LogRemains::Whole => false,
                LogRemains::Gone => newest.is_some_and(|newest| **generation < newest),
                _ => true,
            });
            let other_version = !self.other_versions.is_empty();
            return match damaged.next().is_some() || self.in_the_way || other_version {
                true => Expected::Open,
                false => Expected::Ready,
            };
        };
        // A clean copy is looked for in the log in which it became clean, needed or not.
        let own = header.last_consistent.generation;
        let is_there = !matches!(self.logs.get(&own), None | Some(LogRemains::Gone));
        if own < first && is_there && !self.whole(own) {
            return Expected::Open;
        }
        let mut needed = (first.0..=last.0).map(Generation);
        let Some(broken) = needed.find(|generation| !self.whole(*generation)) else {
            return match self.in_the_way {
                true => Expected::Open,
                false => Expected::Ready,
            };
        };
        if self.other_versions.contains(&broken) {
            return Expected::Open;
        }
        // What stands in for its last block may be as good.
        if let Some(LogRemains::Until(_, usize::MAX)) = self.logs.get(&broken) {
            return Expected::Open;
        }
        let in_the_middle = self.newest().is_some_and(|newest| broken < newest);
        let left = self.logs.get(&broken);
        let gone = left.is_none_or(|left| matches!(left, LogRemains::Nothing | LogRemains::Gone));
        if !header.state.needs_recovery() {
            return match in_the_middle {
                true => Expected::NotWhole,
                false => Expected::Open,
            };
        }
        match (broken <= header.max_required, gone) {
            (true, true) => Expected::Refused,
            (true, false) if in_the_middle => Expected::Refused,
            (false, true) if in_the_middle || broken <= header.max_committed => Expected::NotWhole,
            (false, false) if in_the_middle => Expected::NotWhole,
            _ => Expected::Open,
        }
    }
}

/// The file that the engine opens for each generation: that with its number, or else the current log.
#[derive(Default)]
struct Candidates {
    logs: BTreeMap<Generation, PathBuf>,
    /// Whether there is a current log that cannot be read, or that is there under its number, too.
    current_is_odd: bool,
}

impl Candidates {
    fn find(folder: &Path, base: &str) -> Self {
        let mut found = Candidates::default();
        let mut current = None;
        for path in files_in(folder) {
            let name = path.file_name().and_then(|name| name.to_str());
            let Some(name) = name.and_then(LogFileName::parse) else {
                continue;
            };
            if !name.base.eq_ignore_ascii_case(base) {
                continue;
            }
            match name.role {
                FileRole::Generation { generation, .. } => {
                    found.logs.insert(generation, path);
                }
                FileRole::Current => current = Some(path),
                _ => {}
            }
        }
        let Some(path) = current else { return found };
        let header = fs::read(&path).ok();
        let header = header.and_then(|bytes| LogHeader::read(&bytes).ok());
        let generation = header.and_then(|header| Some(header.trusted()?.generation));
        match generation {
            Some(generation) if !found.logs.contains_key(&generation) => {
                found.logs.insert(generation, path);
            }
            _ => found.current_is_odd = true,
        }
        found
    }
}

/// What is left of a log, and whether its header says another version.
fn left(log: &LogFile, path: &Path) -> (LogRemains, bool) {
    let was = fs::read(&log.path).expect("a fixture can be read");
    let is = fs::read(path).unwrap_or_default();
    if was.len() != is.len() {
        return (LogRemains::Nothing, false);
    }
    let is_version = |at: &usize| VERSION.iter().any(|place| place.contains(at));
    let other: Vec<usize> = (0..HEADER_SIZE).filter(|at| was[*at] != is[*at]).collect();
    if !other.iter().all(is_version) {
        return (LogRemains::Nothing, false);
    }
    let other_version = !other.is_empty();
    // In the older layout, what fills the rest tells nothing.
    let written = match log.corrects_bits {
        true => was.len(),
        false => log.end,
    };
    let (was_written, is_written) = (was[..written].chunks(BLOCK), is[..written].chunks(BLOCK));
    let blocks = was_written.zip(is_written).enumerate();
    let differs = |(was, is): (&[u8], &[u8])| {
        let bits = was.iter().zip(is).map(|(was, is)| (was ^ is).count_ones());
        // A blank block has no checksum that could put one right.
        let corrected = log.corrects_bits && was.iter().any(|byte| *byte != 0);
        bits.sum::<u32>() > u32::from(corrected)
    };
    let mut other = blocks.skip(1).filter(|(_, blocks)| differs(*blocks));
    // The first block is looked at even where nothing was written to it.
    let looked_at = log.used.max(2);
    let Some((block, _)) = other.next().filter(|(block, _)| *block < looked_at) else {
        // What fills the rest of an older log shows whether it ended there.
        let left = match was[written..] == is[written..] {
            true => LogRemains::Whole,
            false => LogRemains::Until(written, usize::MAX),
        };
        return (left, other_version);
    };
    // After the last block stands its copy.
    let copy = log.used * BLOCK..(log.used + 1) * BLOCK;
    let has_copy = copy.end <= was.len() && was[copy.clone()] == is[copy];
    let start = block * BLOCK;
    let left = match log.corrects_bits {
        true if block + 1 == log.used && has_copy => LogRemains::Until(start, usize::MAX),
        true => LogRemains::Until(start, start),
        false => LogRemains::Until(start.saturating_sub(WRITE_MOST), start + BLOCK),
    };
    (left, other_version)
}
