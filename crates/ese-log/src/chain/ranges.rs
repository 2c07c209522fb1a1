//! Which logs a database needs, and how far recovery would come with those that are there.
//!
//! The only place where these rules stand; verdicts and replay plans both ask here. Facts: `ese/_log/logredo.cxx`
//! (`LOG::ErrLGSoftStart` for where redo starts, `ErrLGRedoFill` for the step from log to log,
//! `ErrLGCheckDatabaseGens` and `ErrLGEvaluateDestructiveCorrectiveLogOptions` for what is missing).
//!
//! ```text
//! lowest log there     min required        max required       committed      current
//! |--------------------|===================|------------------|..............|
//!          redo starts at the checkpoint   |<- may be given up with /a       |
//!          or else at the lowest log       |   (committed work is lost)      |
//! ```

use super::{ChainReport, LogReport};
use crate::folder::{StreamFile, StreamFiles};
use crate::name::FileRole;
use ese_format::{DatabaseHeader, Generation, JetError, Lgpos};
use serde::Serialize;
use std::collections::HashSet;
use std::fmt;

/// The logs that a database needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LogNeed {
    /// Lowest generation without which the database cannot become consistent.
    pub min_required: Generation,
    /// Highest generation without which it cannot.
    pub max_required: Generation,
    /// Highest generation with records for it: without those above `max_required` committed work is lost, but the
    /// database becomes consistent.
    pub max_committed: Generation,
}

impl LogNeed {
    /// What the header says; `None` for a database that needs no log. Old headers know no committed generation.
    pub fn of(header: &DatabaseHeader) -> Option<Self> {
        if !header.state.needs_recovery() {
            return None;
        }
        Some(LogNeed {
            min_required: header.min_required,
            max_required: header.max_required,
            max_committed: header.max_committed.max(header.max_required),
        })
    }

    /// What the engine says when recovery has come to the end of `last` and no further (`ErrLGCheckDatabaseGens`).
    pub fn shortfall(&self, last: Option<Generation>) -> Option<JetError> {
        let last = last.unwrap_or_default();
        if self.max_required > last {
            Some(JetError::REQUIRED_LOG_FILES_MISSING)
        } else if self.max_committed > last {
            Some(JetError::COMMITTED_LOG_FILES_MISSING)
        } else {
            None
        }
    }
}

/// Why recovery would not get past a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stop {
    /// The generation that cannot be replayed, or not to its end.
    pub generation: Generation,
    /// File that is in the way; none if it is missing.
    pub file: Option<String>,
    /// In words.
    pub reason: String,
    /// The engine's error.
    pub jet: JetError,
    /// Whether the log is there but damaged.
    pub is_corruption: bool,
}

/// How far recovery would come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reach {
    /// Where redo starts.
    pub start: Lgpos,
    /// The last generation that is replayed to its end; none if not even the first is.
    pub last: Option<Generation>,
    /// Where that ends.
    pub end: Option<Lgpos>,
    /// What is in the way there; none if the stream just ends.
    pub stop: Option<Stop>,
}

/// In one sentence.
impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "recovery stops at generation {0} ({0:#x}): ",
            self.generation
        )?;
        match &self.file {
            Some(file) if !self.reason.contains(file) => write!(f, "{file}: {}", self.reason),
            _ => f.write_str(&self.reason),
        }
    }
}

/// Where the engine would start redo for a database with this need: at the checkpoint if it can be believed and does not leave
/// out what the database needs, otherwise at the lowest generation that is there. Replay from an older place does no
/// harm: pages that have a change already are left alone.
///
/// `None` if no log is there.
pub(super) fn engine_start(report: &ChainReport, need: Option<LogNeed>) -> Option<Lgpos> {
    let numbers = report.logs.iter().filter_map(LogReport::generation);
    let lowest = numbers.min()?;
    Some(usable_checkpoint(report, need).unwrap_or_else(|| first_position(report, lowest)))
}

/// The checkpoint, if it can be believed, is of this stream and does not leave out what the database needs.
fn usable_checkpoint(report: &ChainReport, need: Option<LogNeed>) -> Option<Lgpos> {
    let checkpoint = report.trusted_checkpoint()?;
    let mut headers = report.logs.iter().filter_map(LogReport::header);
    let at = checkpoint.checkpoint;
    let leaves_out = need.is_some_and(|need| at.generation > need.min_required);
    (!leaves_out && headers.any(|header| header.signature == checkpoint.log_signature))
        .then_some(at)
}

/// Where a replay may start for the database with this header, if it need not do as the engine does: at the checkpoint
/// if that leaves nothing out, otherwise at the first generation that the database needs; for a clean database where it
/// was last consistent.
///
/// Always the start of a generation: the list of attached databases stands in its header. `None` without a log, and
/// for a clean database of another stream.
pub fn replay_start(report: &ChainReport, header: &DatabaseHeader) -> Option<Lgpos> {
    let numbers = || report.logs.iter().filter_map(LogReport::generation);
    let (lowest, highest) = (numbers().min()?, numbers().max()?);
    let generation = match LogNeed::of(header) {
        Some(need) => usable_checkpoint(report, Some(need))
            .map_or(need.min_required, |checkpoint| checkpoint.generation),
        None => {
            let mut headers = report.logs.iter().filter_map(LogReport::header);
            headers.find(|log| log.signature == header.log_signature)?;
            header.last_consistent.generation.clamp(lowest, highest)
        }
    };
    Some(first_position(report, generation))
}

/// The first position of a generation.
pub fn first_position(report: &ChainReport, generation: Generation) -> Lgpos {
    let header = find(report, generation).and_then(LogReport::header);
    Lgpos {
        generation,
        segment: header.map_or(1, |header| header.header_sectors),
        byte: 0,
    }
}

/// How far recovery would come from `start`.
pub fn reach(report: &ChainReport, start: Lgpos) -> Reach {
    let mut reach = Reach {
        start,
        last: None,
        end: None,
        stop: None,
    };
    let mut before: Option<&LogReport> = None;
    let mut generation = start.generation;
    loop {
        let Some(log) = find(report, generation) else {
            reach.stop = missing(report, generation, before);
            return reach;
        };
        if let Some(stop) = obstacle(log, generation, before) {
            reach.stop = Some(stop);
            return reach;
        }
        reach.last = Some(generation);
        reach.end = log.content.as_ref().ok().map(|content| content.end);
        if log.is_current() {
            return reach;
        }
        before = Some(log);
        let Some(next) = generation.0.checked_add(1) else {
            return reach;
        };
        generation = Generation(next);
    }
}

/// The logs that can be reached, one for each generation, in order.
pub(super) fn logs_of<'r>(
    report: &'r ChainReport,
    reach: &Reach,
) -> impl Iterator<Item = &'r LogReport> + use<'r> {
    let last = reach.last.unwrap_or_default().0;
    let generations = reach.start.generation.0..=last;
    generations.filter_map(|generation| find(report, Generation(generation)))
}

/// The files that hold what can be reached, one for each generation. `files` are those that `report` is about.
pub fn replay_files(report: &ChainReport, files: &StreamFiles, reach: &Reach) -> Vec<StreamFile> {
    let Some(last) = reach.last else {
        return Vec::new();
    };
    let generations = reach.start.generation.0..=last.0;
    let found = generations.filter_map(|generation| find(report, Generation(generation)));
    let names: HashSet<&str> = found.map(|log| log.name.as_str()).collect();
    let files = files.in_order();
    files
        .filter(|file| names.contains(&*file.name()))
        .cloned()
        .collect()
}

/// The file that the engine opens for a generation: the one with that number, or else the current log if that is its
/// generation.
fn find(report: &ChainReport, generation: Generation) -> Option<&LogReport> {
    // Finished logs are sorted by the generation in their name; the current log comes last.
    let named = |log: &LogReport| match log.role {
        FileRole::Generation { generation, .. } => Some(generation),
        _ => None,
    };
    let is_before = |log: &LogReport| named(log).is_some_and(|found| found < generation);
    let place = report.logs.partition_point(is_before);
    let log = report
        .logs
        .get(place)
        .filter(|log| named(log) == Some(generation));
    let is_it = |log: &&LogReport| {
        let header = log.header();
        log.is_current() && header.is_some_and(|header| header.generation == generation)
    };
    log.or_else(|| report.logs.iter().rev().find(is_it))
}

/// No file for a generation: the end of the stream, unless the current log is there and does not follow.
fn missing(
    report: &ChainReport,
    generation: Generation,
    before: Option<&LogReport>,
) -> Option<Stop> {
    let naming = &report.naming;
    if before.is_none() {
        return Some(Stop {
            generation,
            file: None,
            reason: format!("{} is missing", naming.generation(generation)),
            jet: JetError::MISSING_LOG_FILE,
            is_corruption: false,
        });
    }
    let current = report.logs.iter().find(|log| log.is_current())?;
    let stop = match &current.content {
        Ok(_) => Stop {
            generation,
            file: None,
            reason: format!("{} is missing", naming.generation(generation)),
            jet: JetError::INVALID_LOG_SEQUENCE,
            is_corruption: false,
        },
        Err(problem) => Stop {
            generation,
            file: Some(current.name.clone()),
            reason: problem.to_string(),
            jet: problem.jet().unwrap_or(JetError::LOG_FILE_CORRUPT),
            is_corruption: true,
        },
    };
    Some(stop)
}

/// What keeps the engine from replaying `log` as `generation` after `before`.
fn obstacle(log: &LogReport, generation: Generation, before: Option<&LogReport>) -> Option<Stop> {
    let stop = |reason: String, jet: JetError, is_corruption| {
        Some(Stop {
            generation,
            file: Some(log.name.clone()),
            reason,
            jet,
            is_corruption,
        })
    };
    let content = match &log.content {
        Ok(content) => content,
        Err(problem) => {
            let jet = problem.jet().unwrap_or(JetError::LOG_FILE_CORRUPT);
            return stop(problem.to_string(), jet, true);
        }
    };
    if log.has_wrong_size() {
        let (size, expected) = (log.size, content.header.file_size());
        let reason = format!("the file has {size} bytes, its header says {expected}");
        return stop(reason, JetError::LOG_FILE_SIZE_MISMATCH, true);
    }
    if content.header.generation != generation {
        let found = content.header.generation;
        let reason = format!("the header says generation {found} ({found:#x})");
        return stop(reason, JetError::INVALID_LOG_SEQUENCE, false);
    }
    if let Some(Ok(before)) = before.map(|log| &log.content) {
        if content.header.signature != before.header.signature {
            let reason = "the log belongs to another stream".to_owned();
            return stop(reason, JetError::BAD_LOG_SIGNATURE, false);
        }
        if content.header.previous_created != before.header.created {
            let reason = "the log does not continue the one before it".to_owned();
            return stop(reason, JetError::INVALID_LOG_SEQUENCE, false);
        }
        let sum = content.header.previous_accumulated_checksum;
        if sum != 0 && sum != before.accumulated_checksum {
            let reason = "the log was written after another state of the one before it".to_owned();
            return stop(reason, JetError::LOG_SEQUENCE_CHECKSUM_MISMATCH, false);
        }
    }
    let lgpos = log.fatal_damage()?;
    let reason = format!("the log is damaged at {lgpos}");
    stop(reason, JetError::LOG_FILE_CORRUPT, true)
}
