//! Which logs a database needs, and how far recovery would come with those that are there.
//!
//! The only place for these rules; verdicts and replay plans both ask here. Facts: `ese/_log/logredo.cxx`
//! (`LOG::ErrLGSoftStart` for where redo starts, `ErrLGRedoFill` for the step from log to log,
//! `ErrLGCheckDatabaseGens` and `ErrLGEvaluateDestructiveCorrectiveLogOptions` for what is missing).
//!
//! ```text
//! lowest log there     min required        max required       committed      current
//! |--------------------|===================|------------------|..............|
//!          redo starts at the checkpoint   |<- may be given up with /a       |
//!          or else at the lowest log       |   (committed work is lost)      |
//! ```

use super::advice::PLACES;
use super::finding::ChainFindingKind;
use super::link::right_name;
use super::survey::LogState;
use super::{ChainReport, LogReport};
use crate::folder::{StreamFile, StreamFiles};
use crate::name::FileRole;
use ese_format::{DatabaseHeader, Explain, Generation, JetError, Lgpos, Signature};
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
        // A range that ends before it begins is no engine's: what either end names is needed.
        let max_required = header.max_required.max(header.min_required);
        Some(LogNeed {
            min_required: header.min_required,
            max_required,
            max_committed: header.max_committed.max(max_required),
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
    /// Whether the engine stops here whatever it is allowed to give up, though nothing has to be given up: the advice
    /// mends it.
    pub is_mendable: bool,
    /// What to do about it.
    pub advice: Option<String>,
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

/// Where the engine would start redo for a database with this need: at the checkpoint if it can be trusted and does not
/// leave out what the database needs, otherwise at the lowest generation that is there. Replay from an older place does
/// no harm: pages that have a change already are left alone.
///
/// `None` if no log is there.
pub(super) fn engine_start(report: &ChainReport, need: Option<LogNeed>) -> Option<Lgpos> {
    let numbers = report.logs.iter().filter_map(LogReport::generation);
    let lowest = numbers.min()?;
    Some(usable_checkpoint(report, need).unwrap_or_else(|| first_position(report, lowest)))
}

/// The checkpoint, if it can be trusted, is of this stream and does not leave out what the database needs.
fn usable_checkpoint(report: &ChainReport, need: Option<LogNeed>) -> Option<Lgpos> {
    let checkpoint = report.trusted_checkpoint()?;
    let mut headers = report.logs.iter().filter_map(LogReport::header);
    let at = checkpoint.checkpoint;
    let leaves_out = need.is_some_and(|need| at.generation > need.min_required);
    (!leaves_out && headers.any(|header| header.signature == checkpoint.log_signature))
        .then_some(at)
}

/// Where a replay may start for the database with this header, if it need not do as the engine does: at the checkpoint,
/// if that leaves nothing out and the logs go on from there to what is needed; otherwise at the first generation that the
/// database needs. For a clean database where it was last consistent.
///
/// Always the start of a generation: the list of attached databases is in its header. `None` without a log, and
/// for a clean database of another stream.
pub fn replay_start(report: &ChainReport, header: &DatabaseHeader) -> Option<Lgpos> {
    let numbers = || report.logs.iter().filter_map(LogReport::generation);
    let (lowest, highest) = (numbers().min()?, numbers().max()?);
    let generation = match LogNeed::of(header) {
        Some(need) => {
            let checkpoint = usable_checkpoint(report, Some(need));
            let from = checkpoint.map_or(need.min_required, |checkpoint| checkpoint.generation);
            // What lies between the checkpoint and what this database needs is there for others, or for nobody.
            let stop = reach(report, first_position(report, from)).stop;
            match stop.is_some_and(|stop| stop.generation < need.min_required) {
                true => need.min_required,
                false => from,
            }
        }
        None => {
            let signature = header.log_signature;
            let is_own = |log: &&LogReport| {
                let header = log.header();
                header.is_some_and(|found| found.signature == signature)
            };
            let own = report.logs.iter().filter(is_own);
            let last = own.filter_map(LogReport::generation).max()?;
            let known = header.last_consistent.generation;
            if known > last && highest > last {
                // It is newer than its stream here; what has later numbers belongs to another one.
                return None;
            }
            known.min(last).max(lowest)
        }
    };
    Some(first_position(report, generation))
}

/// The first position of a generation.
pub fn first_position(report: &ChainReport, generation: Generation) -> Lgpos {
    let header = find(&report.logs, generation).and_then(LogReport::header);
    Lgpos {
        generation,
        segment: header.map_or(1, |header| header.header_sectors),
        byte: 0,
    }
}

/// How far recovery would come from `start`.
pub fn reach(report: &ChainReport, start: Lgpos) -> Reach {
    reach_for(report, start, None)
}

/// The same for a database whose stream has this signature: its first log must be of it.
pub(super) fn reach_for(report: &ChainReport, start: Lgpos, signature: Option<Signature>) -> Reach {
    let mut reach = Reach {
        start,
        last: None,
        end: None,
        stop: None,
    };
    let mut before: Option<&LogReport> = None;
    let mut generation = start.generation;
    loop {
        let Some(log) = find(&report.logs, generation) else {
            reach.stop = missing(report, generation, before);
            return reach;
        };
        let foreign = signature.filter(|_| before.is_none());
        let foreign = foreign.and_then(|own| foreign_to(log, generation, own));
        if let Some(stop) = foreign.or_else(|| obstacle(report, log, generation, before)) {
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

/// How far the logs alone would be replayed from `start`, without a database.
pub fn reach_of_all(report: &ChainReport, start: Lgpos) -> Reach {
    let mut reach = reach(report, start);
    if reach.stop.is_none() {
        reach.stop = left_out(report, &reach);
    }
    reach
}

/// Numbered logs of the stream that come after the current log, where a replay ends with it. The engine goes past them in
/// silence; here they are not left out unless a limit says so.
pub(super) fn left_out(report: &ChainReport, reach: &Reach) -> Option<Stop> {
    let last = reach.last?;
    let current = find(&report.logs, last).filter(|log| log.is_current())?;
    let header = current.header()?;
    let is_later = |log: &&LogReport| {
        let own = log.header().map(|found| found.signature) == Some(header.signature);
        own && !log.is_current() && log.generation() > Some(last)
    };
    let highest = report.logs.iter().rfind(is_later)?;
    let next = last.next();
    let goes_on = find(&report.logs, next).and_then(LogReport::header);
    let is_misnamed = goes_on.is_some_and(|next| next.previous_created == header.created);
    let file = &current.name;
    let name = report.naming.generation(last);
    Some(Stop {
        generation: next,
        file: Some(file.clone()),
        reason: format!(
            "it is generation {last} ({last:#x}), and later logs of the stream are there, up to {}",
            highest.name
        ),
        jet: JetError::MISSING_LOG_FILE,
        is_corruption: false,
        is_mendable: is_misnamed,
        advice: Some(match is_misnamed {
            true => format!("rename {file} to {name}: the chain holds with it"),
            false => format!(
                "take {file} away if it is an old copy, and find the one that was written last"
            ),
        }),
    })
}

/// The logs that can be reached, one for each generation, in order.
pub(super) fn logs_of<'r>(
    report: &'r ChainReport,
    reach: &Reach,
) -> impl Iterator<Item = &'r LogReport> + use<'r> {
    let last = reach.last.unwrap_or_default().0;
    let generations = reach.start.generation.0..=last;
    generations.filter_map(|generation| find(&report.logs, Generation(generation)))
}

/// The files that hold what can be reached, one for each generation. `files` are those that `report` is about.
pub fn replay_files(report: &ChainReport, files: &StreamFiles, reach: &Reach) -> Vec<StreamFile> {
    let Some(last) = reach.last else {
        return Vec::new();
    };
    let generations = reach.start.generation.0..=last.0;
    let found = generations.filter_map(|generation| find(&report.logs, Generation(generation)));
    let names: HashSet<&str> = found.map(|log| log.name.as_str()).collect();
    let files = files.in_order();
    files
        .filter(|file| names.contains(&*file.name()))
        .cloned()
        .collect()
}

/// The file that the engine opens for a generation: the one with that number, or else the current log if that is its
/// generation.
pub(super) fn find(logs: &[LogReport], generation: Generation) -> Option<&LogReport> {
    // Finished logs are sorted by the generation in their name; the current log comes last.
    let named = |log: &LogReport| match log.role {
        FileRole::Generation { generation, .. } => Some(generation),
        _ => None,
    };
    let is_before = |log: &LogReport| named(log).is_some_and(|found| found < generation);
    let place = logs.partition_point(is_before);
    let log = logs.get(place).filter(|log| named(log) == Some(generation));
    let is_it = |log: &&LogReport| {
        let header = log.header();
        header.is_some_and(|header| header.generation == generation)
    };
    let mut current = logs.iter().rev().take_while(|log| log.is_current());
    log.or_else(|| current.find(is_it))
}

/// No file for a generation: the end of the stream, unless other logs show that one should be there
/// (`LOG::ErrLGRedoFill`): the current log, which is opened in its place and does not follow, or later ones.
fn missing(
    report: &ChainReport,
    generation: Generation,
    before: Option<&LogReport>,
) -> Option<Stop> {
    let name = report.naming.generation(generation);
    let stop = |reason: String, jet: JetError| Stop {
        generation,
        file: None,
        reason,
        jet,
        is_corruption: false,
        is_mendable: false,
        advice: None,
    };
    let logs = &report.logs;
    let misnamed = logs.iter().find(|log| {
        let header = log.header().map(|header| header.generation);
        header == Some(generation) && right_name(&report.naming, logs, log).is_some()
    });
    let current = logs.iter().find(|log| log.is_current());
    let last_named = logs.iter().rfind(|log| !log.is_current());
    let has_later = last_named.and_then(LogReport::generation) > Some(generation);
    if let Some(misnamed) = misnamed {
        let file = &misnamed.name;
        let jet = match current {
            Some(_) => JetError::INVALID_LOG_SEQUENCE,
            None => JetError::MISSING_LOG_FILE,
        };
        return Some(Stop {
            file: Some(file.clone()),
            is_mendable: true,
            advice: Some(format!("rename {file} to {name}: the chain holds with it")),
            ..stop(
                format!(
                    "its header says generation {generation} ({generation:#x}), which should be called {name}"
                ),
                jet,
            )
        });
    }
    let Some(before) = before else {
        return Some(stop(
            format!("{name} is missing"),
            JetError::MISSING_LOG_FILE,
        ));
    };
    let Some(current) = current else {
        // Here the engine stops even where it may give up logs.
        return has_later.then(|| {
            let reason = format!("{name} is missing, and later logs are there");
            stop(reason, JetError::MISSING_LOG_FILE)
        });
    };
    let file = &current.name;
    let Ok(content) = &current.content else {
        let mut stop = unusable(current, generation);
        stop.advice = stop.advice.map(|_| {
            format!("find an undamaged {file} (or {name}, once it is closed): on the machine that wrote it, {PLACES}")
        });
        return Some(stop);
    };
    let mismatch = JetError::INVALID_LOG_SEQUENCE;
    Some(match current.state_of(before) {
        Some(LogState::Earlier | LogState::Same) => Stop {
            file: Some(file.clone()),
            is_mendable: true,
            advice: Some(format!("{file} is a copy of {}: take it away", before.name)),
            ..stop(format!("it is a copy of {}", before.name), mismatch)
        },
        _ if before
            .header()
            .is_some_and(|log| log.signature != content.header.signature) =>
        {
            Stop {
                file: Some(file.clone()),
                advice: Some(format!(
                    "{file} belongs to another stream: take it away, and find the {file} or {name} of this one"
                )),
                ..stop(
                    "it belongs to another stream".to_owned(),
                    JetError::BAD_LOG_SIGNATURE,
                )
            }
        }
        _ if content.header.generation < generation => {
            let found = content.header.generation;
            Stop {
                file: Some(file.clone()),
                advice: Some(format!(
                    "take {file} away if it is an old copy, and find the one that was written last"
                )),
                ..stop(
                    format!("it is generation {found} ({found:#x}), older than the logs before it"),
                    mismatch,
                )
            }
        }
        _ => stop(format!("{name} is missing"), mismatch),
    })
}

/// Why the first log is not the database's, if it is of another stream.
fn foreign_to(log: &LogReport, generation: Generation, own: Signature) -> Option<Stop> {
    let header = log.header()?;
    if header.signature == own {
        return None;
    }
    let file = &log.name;
    Some(Stop {
        reason: "it belongs to another stream than the database".to_owned(),
        jet: JetError::BAD_LOG_SIGNATURE,
        is_corruption: false,
        advice: Some(format!(
            "take {file} away, and find the {file} of this stream: {PLACES}"
        )),
        ..unusable(log, generation)
    })
}

/// Why nothing of a log can be replayed.
fn unusable(log: &LogReport, generation: Generation) -> Stop {
    let file = &log.name;
    let stop = Stop {
        generation,
        file: Some(file.clone()),
        reason: String::new(),
        jet: JetError::LOG_FILE_CORRUPT,
        is_corruption: true,
        is_mendable: false,
        advice: Some(format!("find an undamaged {file}: {PLACES}")),
    };
    let Err(problem) = &log.content else {
        return stop;
    };
    match log.unusable(problem) {
        kind @ ChainFindingKind::NewerVersion { .. } => Stop {
            reason: kind.to_string(),
            jet: JetError::BAD_LOG_VERSION,
            is_corruption: false,
            advice: kind.advice(file),
            ..stop
        },
        kind => Stop {
            reason: kind.to_string(),
            jet: problem.jet().unwrap_or(JetError::LOG_FILE_CORRUPT),
            ..stop
        },
    }
}

/// What keeps the engine from replaying `log` as `generation` after `before`, to its end.
fn obstacle(
    report: &ChainReport,
    log: &LogReport,
    generation: Generation,
    before: Option<&LogReport>,
) -> Option<Stop> {
    let broken = |reason: String, jet: JetError| Stop {
        reason,
        jet,
        ..unusable(log, generation)
    };
    let Ok(content) = &log.content else {
        return Some(unusable(log, generation));
    };
    let file = &log.name;
    if log.has_wrong_size() {
        let (size, expected) = (log.size, content.header.file_size());
        let reason = format!("the file has {size} bytes, its header says {expected}");
        return Some(broken(reason, JetError::LOG_FILE_SIZE_MISMATCH));
    }
    let strange = |reason: String, jet: JetError, advice: String| Stop {
        is_corruption: false,
        advice: Some(advice),
        ..broken(reason, jet)
    };
    if content.header.generation != generation {
        let found = content.header.generation;
        let reason = format!("the header says generation {found} ({found:#x})");
        let advice =
            format!("take {file} away, and find the log that should have this name: {PLACES}");
        return Some(strange(reason, JetError::INVALID_LOG_SEQUENCE, advice));
    }
    if let Some(Ok(previous)) = before.map(|log| &log.content) {
        if content.header.signature != previous.header.signature {
            let reason = "it belongs to another stream".to_owned();
            let advice = format!("take {file} away, and find the {file} of this stream: {PLACES}");
            return Some(strange(reason, JetError::BAD_LOG_SIGNATURE, advice));
        }
        if content.header.previous_created != previous.header.created {
            let before = before.map(|log| log.name.clone()).unwrap_or_default();
            let reason = format!("it does not continue {before}");
            let advice = format!("take {before} and {file} from the same place");
            return Some(strange(reason, JetError::INVALID_LOG_SEQUENCE, advice));
        }
    }
    if let Some(lgpos) = log.fatal_damage() {
        let reason = format!("the log is damaged at {lgpos}");
        return Some(broken(reason, JetError::LOG_FILE_CORRUPT));
    }
    if let Some(jet) = log.proof.jet() {
        let reason = log.proof.to_string();
        return Some(broken(reason, jet));
    }
    let mut current = report.logs.iter().filter(|log| log.is_current());
    let later = current.find(|current| current.state_of(log) == Some(LogState::Later));
    let later = later.filter(|current| !std::ptr::eq(*current, log))?;
    let reason = format!("it is an earlier state of {}", later.name);
    let advice = format!("{file} is an earlier state of {}: take it away", later.name);
    Some(Stop {
        is_mendable: true,
        ..strange(reason, JetError::LOG_FILE_CORRUPT, advice)
    })
}
