//! The chain of logs: is it complete, genuine and undamaged, and is it what a database needs?
//!
//! [`verify`] reads every log of a stream once and returns *all* [`ChainFinding`]s, where the reference's own check
//! (`eseutil /ml`) reports the first problem of each log. [`verdict`] then says, for one database, whether recovery
//! would succeed. What a database needs and how far recovery would come is decided in [`ranges`] alone; whether a closed
//! log is complete, in [`prove`] alone.

mod advice;
pub mod attached;
mod finding;
mod follow;
mod link;
mod names;
mod proof;
pub mod ranges;
mod survey;
mod verdict;

pub use finding::{ChainFinding, ChainFindingKind, Geometry, Severity};
pub use follow::{DatabaseEvent, DatabaseEventKind, TransactionsAt};
pub(crate) use proof::Outline;
pub use proof::{ChecksumMismatch, Ending, Incomplete, Opening, Proof, Unproved, prove};
pub use survey::{CheckpointReport, LogContent, LogReport};
pub use verdict::{DatabaseVerdict, Loss, Readiness, verdict, verdict_until};

use crate::error::LogError;
use crate::folder::{StreamFile, StreamFiles};
use crate::limit::Until;
use crate::name::Naming;
use ese_format::log::Checkpoint;
use ese_format::{Generation, Progress};
use rayon::prelude::*;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Logs that are surveyed before their records are followed: enough for all threads, few enough for memory.
const LOGS_AT_ONCE: usize = 64;

/// What a whole stream is like.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct ChainReport {
    /// The folder.
    pub folder: PathBuf,
    /// How the stream spells its names.
    pub naming: Naming,
    /// Finished logs by the generation in their name, then the current log.
    pub logs: Vec<LogReport>,
    /// The checkpoint, if one was found or named.
    pub checkpoint: Option<CheckpointReport>,
    /// Everything that was found, in the order of generation, file and position.
    pub findings: Vec<ChainFinding>,
    /// Logs by names of this stream in folders within the folder: not read, but they may be those that are missing.
    #[serde(skip)]
    pub nearby: Vec<StreamFile>,
}

impl ChainReport {
    /// Findings of this severity or worse.
    pub fn count(&self, severity: Severity) -> usize {
        let found = self.findings.iter();
        found.filter(|finding| finding.severity >= severity).count()
    }

    /// The checkpoint, if it can be trusted.
    pub fn trusted_checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()?.current()
    }
}

/// Reads every log of the stream once, in parallel, and reports all that is found. `checkpoint` replaces the
/// checkpoint file beside the logs.
///
/// Only what keeps the folder itself from being read is an error; `None` says that `progress` asked to stop.
pub fn verify(
    files: &StreamFiles,
    checkpoint: Option<&Path>,
    progress: &dyn Progress,
) -> Result<Option<ChainReport>, LogError> {
    verify_from(
        files,
        checkpoint,
        Generation(0),
        &Until::default(),
        progress,
    )
}

/// The same, with transactions followed from the generation `from` on, up to a limit.
pub fn verify_from(
    files: &StreamFiles,
    checkpoint: Option<&Path>,
    from: Generation,
    until: &Until,
    progress: &dyn Progress,
) -> Result<Option<ChainReport>, LogError> {
    let in_order: Vec<_> = files.in_order().collect();
    let sizes = in_order
        .iter()
        .filter_map(|file| evidence::length_of(&file.path));
    let bytes = sizes.sum();
    progress.begin(bytes, 0);
    let mut logs: Vec<LogReport> = Vec::with_capacity(in_order.len());
    let mut follower = follow::Follower::new(from);
    for window in in_order.chunks(LOGS_AT_ONCE) {
        let survey = |buffer: &mut Vec<u8>, file: &&_| {
            if progress.should_stop() {
                return None;
            }
            let report = survey::survey(file, until, buffer);
            progress.advance(report.size);
            Some(report)
        };
        let surveyed = window.par_iter().map_init(Vec::new, survey);
        let surveyed: Option<Vec<LogReport>> = surveyed.collect();
        let Some(mut surveyed) = surveyed else {
            return Ok(None);
        };
        surveyed.iter_mut().for_each(|log| follower.take(log));
        logs.append(&mut surveyed);
    }
    prove_each(&mut logs);
    let path = checkpoint.or_else(|| Some(&*files.checkpoints.first()?.path));
    let checkpoint = path.map(CheckpointReport::read);
    let mut findings = link::compare(files, &logs, checkpoint.as_ref());
    findings.extend(logs.iter().flat_map(LogReport::findings));
    findings.sort_by(|a, b| a.order().cmp(&b.order()));
    let nearby = files.nearby();
    for finding in &mut findings {
        let wanted = nearby.iter().filter(|file| finding.wants(file.role));
        finding.nearby = wanted
            .map(|file| file.path.clone())
            .take(NEARBY_MAX)
            .collect();
    }
    Ok(Some(ChainReport {
        folder: files.folder.clone(),
        naming: files.naming.clone(),
        logs,
        checkpoint,
        findings,
        nearby,
    }))
}

/// The most files in other folders that are named for one finding.
const NEARBY_MAX: usize = 5;

/// Proves each log by the one that the engine would open after it.
fn prove_each(logs: &mut [LogReport]) {
    let highest = logs.iter().filter_map(LogReport::generation).max();
    let proofs: Vec<(Proof, Option<String>)> =
        logs.iter().map(|log| prove_one(logs, log)).collect();
    for (log, (proof, next)) in logs.iter_mut().zip(proofs) {
        log.is_followed = log.generation() < highest;
        log.proof = proof;
        log.next = next;
    }
}

fn prove_one(logs: &[LogReport], log: &LogReport) -> (Proof, Option<String>) {
    let Ok(content) = &log.content else {
        return (Proof::Damaged, None);
    };
    let generation = content.header.generation;
    let next = generation.0.checked_add(1).map(Generation);
    let next = next.and_then(|next| ranges::find(logs, next));
    let opening = next.and_then(|next| Some(&next.content.as_ref().ok()?.opening));
    let proof = match opening {
        None if log.fatal_damage().is_some() => Proof::Damaged,
        None => Proof::None,
        // A file that the engine does not open for this generation is not what the next log was begun after.
        Some(_)
            if !ranges::find(logs, generation).is_some_and(|found| std::ptr::eq(found, log)) =>
        {
            Proof::None
        }
        Some(opening) => prove(&content.ending, Some(opening)),
    };
    let next = next.filter(|_| opening.is_some());
    (proof, next.map(|next| next.name.clone()))
}
