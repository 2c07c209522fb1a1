//! The chain of logs: is it complete, genuine and undamaged, and is it what a database needs?
//!
//! [`verify`] reads every log of a stream once and returns *all* [`Finding`]s, where the reference's own check
//! (`eseutil /ml`) reports the first problem of each log. [`verdict`] then says, for one database, whether recovery
//! would succeed. What a database needs and how far recovery would come is decided in [`ranges`] alone.

pub mod attached;
mod finding;
mod follow;
mod link;
pub mod ranges;
mod survey;
mod text;
mod verdict;

pub use finding::{Finding, FindingKind, Severity};
pub use follow::{DatabaseEvent, DatabaseEventKind, TransactionsAt};
pub use survey::{CheckpointReport, LogContent, LogReport};
pub use verdict::{DatabaseVerdict, Loss, Readiness, verdict};

use crate::error::LogError;
use crate::folder::StreamFiles;
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
    pub findings: Vec<Finding>,
}

impl ChainReport {
    /// Findings of this severity or worse.
    pub fn count(&self, severity: Severity) -> usize {
        let found = self.findings.iter();
        found.filter(|finding| finding.severity >= severity).count()
    }

    /// The checkpoint, if it can be believed.
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
    let sizes = in_order.iter().map(|file| file.path.metadata());
    let bytes = sizes.map(|size| size.map_or(0, |size| size.len())).sum();
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
    let path = checkpoint.or_else(|| Some(&*files.checkpoints.first()?.path));
    let checkpoint = path.map(CheckpointReport::read);
    let mut findings = link::compare(files, &logs, checkpoint.as_ref());
    findings.extend(logs.iter().flat_map(LogReport::findings));
    findings.sort_by(|a, b| a.order().cmp(&b.order()));
    Ok(Some(ChainReport {
        folder: files.folder.clone(),
        naming: files.naming.clone(),
        logs,
        checkpoint,
        findings,
    }))
}
