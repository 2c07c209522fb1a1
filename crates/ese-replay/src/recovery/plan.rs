//! What a recovery will do, before anything is changed.
//!
//! What a database needs and how far recovery comes is decided by [`ese_log::chain`], which `logchain verify --db`
//! asks too.

use super::{DatabaseFile, RecoveryError, Until};
use ese_format::log::LogHeader;
use ese_format::page::PageSize;
use ese_format::{DatabaseHeader, Generation, JetError, Lgpos, Progress};
use ese_log::chain::ranges::{Reach, first_position, reach, replay_files, replay_start};
use ese_log::chain::{
    ChainReport, CheckpointReport, DatabaseVerdict, LogReport, Readiness, verdict_from, verify,
};
use ese_log::{FileRole, StreamFile, StreamFiles, StreamRecords};
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// What a recovery will do.
#[derive(Debug, Serialize)]
pub struct Plan {
    /// Where it starts, and how far the logs go; none if there is nothing to replay.
    pub reach: Option<Reach>,
    /// Bytes of the logs that are read.
    pub log_bytes: u64,
    /// The logs in order.
    pub logs: Vec<PathBuf>,
    /// One for each database, in the order given.
    pub databases: Vec<DatabasePlan>,
    #[serde(skip)]
    files: Vec<StreamFile>,
    /// Page size of the stream's databases.
    #[serde(skip)]
    page_size: Option<PageSize>,
}

/// What a recovery will do to one database.
#[derive(Debug, Serialize)]
pub struct DatabasePlan {
    /// The database.
    pub path: PathBuf,
    /// What is needed and what will be lost.
    pub verdict: DatabaseVerdict,
}

impl DatabasePlan {
    /// Whether recovery is impossible.
    pub fn is_blocked(&self) -> bool {
        self.verdict.readiness == Readiness::NotReady
    }

    /// Whether recovery gives up committed work, so that it must be allowed to.
    pub fn is_lossy(&self) -> bool {
        self.verdict.readiness == Readiness::ReadyWithLoss
    }
}

impl Plan {
    /// The records that are to be replayed.
    pub fn records(&self) -> StreamRecords {
        StreamRecords::new(self.files.iter().cloned())
    }

    /// The last generation that will be read.
    pub fn last(&self) -> Option<Generation> {
        self.reach.as_ref()?.last
    }

    /// Page size of the databases that the logs create.
    pub fn page_size(&self) -> Option<PageSize> {
        self.page_size
    }
}

/// Plans the recovery of `databases` with the logs of a stream; without a database, the replay of the whole stream.
pub fn plan(
    files: &StreamFiles,
    checkpoint: Option<&Path>,
    databases: &[DatabaseFile],
    until: &Until,
    progress: &dyn Progress,
) -> Result<Plan, RecoveryError> {
    let needed = needed_files(files, checkpoint, databases, until);
    let report = verify(&needed, checkpoint, progress)?.ok_or(RecoveryError::Interrupted)?;
    let starts: Vec<Option<Lgpos>> = (databases.iter())
        .map(|database| replay_start(&report, &database.header))
        .collect();
    let lowest = || {
        let generations = report.logs.iter().filter_map(LogReport::generation);
        generations
            .min()
            .map(|lowest| first_position(&report, lowest))
    };
    let start = match databases {
        [] => lowest(),
        _ => starts.iter().flatten().min().copied(),
    };
    let reach = start.map(|start| reach(&report, start));
    let files = reach
        .as_ref()
        .map(|reach| replay_files(&report, &needed, reach))
        .unwrap_or_default();
    let paths: HashSet<&Path> = files.iter().map(|file| &*file.path).collect();
    let log_bytes = (report.logs.iter().zip(needed.in_order()))
        .filter(|(_, file)| paths.contains(&*file.path))
        .map(|(log, _)| log.size)
        .sum();
    let headers = report.logs.iter().filter_map(LogReport::header);
    let page_size = headers.map(LogHeader::page_size).next();
    let plans = databases.iter().zip(starts);
    let plans = plans.map(|(database, start)| plan_one(&report, database, start, until));
    Ok(Plan {
        databases: plans.collect(),
        reach,
        log_bytes,
        logs: files.iter().map(|file| file.path.clone()).collect(),
        files,
        page_size: page_size.and_then(PageSize::new),
    })
}

fn plan_one(
    report: &ChainReport,
    database: &DatabaseFile,
    start: Option<Lgpos>,
    until: &Until,
) -> DatabasePlan {
    let mut verdict = verdict_from(report, &database.header, start);
    let path = database.path().to_owned();
    // A clean copy becomes no worse by logs that end early, but it stays behind.
    if verdict.readiness == Readiness::ReadyWithoutReplay
        && let Some(start) = start
        && report
            .logs
            .iter()
            .filter_map(LogReport::header)
            .any(|log| log.signature == database.header.log_signature)
    {
        let reach = reach(report, start);
        let wanted = until.generation.unwrap_or(Generation(u32::MAX));
        if let Some(stop) = &reach.stop
            && stop.generation <= wanted
            && (reach.last.is_some() || stop.is_corruption)
        {
            verdict.readiness = Readiness::ReadyWithLoss;
            verdict.jet = Some(stop.jet);
            verdict.reasons.push(format!(
                "the logs end at generation {0} ({0:#x}): {1}",
                stop.generation, stop.reason
            ));
        }
        if let Some((reason, jet)) = attached_before(report, &database.header, &reach) {
            verdict.readiness = Readiness::ReadyWithLoss;
            verdict.jet = Some(jet);
            verdict.reasons.push(reason);
        }
        verdict.reach = Some(reach);
    }
    // What lies after a limit is not lost but left out.
    let last = verdict.reach.as_ref().and_then(|reach| reach.last);
    let limit = until
        .generation
        .or(until.lgpos.map(|lgpos| lgpos.generation));
    if let Some(limit) = limit {
        verdict.limit_to(limit);
    }
    if verdict.readiness == Readiness::ReadyWithLoss && limit.is_some() && limit <= last {
        verdict.readiness = Readiness::Ready;
        verdict.jet = None;
        verdict.loss = None;
    }
    DatabasePlan { path, verdict }
}

/// Why the logs hold nothing for a clean copy although they change its database: the first of them finds it attached
/// already, later than the copy knows, so that what was logged in between is missing. The engine stops there
/// (`ErrLGRICheckRedoAttachDb`, `ese/_log/logredo.cxx`).
fn attached_before(
    report: &ChainReport,
    header: &DatabaseHeader,
    reach: &Reach,
) -> Option<(String, JetError)> {
    let first = reach.start.generation;
    let consistent = header.last_consistent;
    let mut headers = report.logs.iter().filter_map(LogReport::header);
    let log = headers.find(|log| log.generation == first)?;
    let mut attached = log.attachments.databases.iter();
    let attached = attached.find(|found| found.database_signature == header.signature)?;
    if first <= consistent.generation || attached.last_attach <= consistent {
        return None;
    }
    let jet = match attached.last_consistent.cmp(&consistent) {
        Ordering::Less => return None,
        Ordering::Equal => JetError::ATTACHED_DATABASE_MISMATCH,
        Ordering::Greater => JetError::CONSISTENT_TIME_MISMATCH,
    };
    let reason = format!(
        "the logs begin with generation {first} ({first:#x}), but the database was attached at {0}: those from {1} ({1:#x}) \
         on are missing",
        attached.last_attach, consistent.generation
    );
    Some((reason, jet))
}

/// The files that can matter: none before what the databases need.
fn needed_files(
    files: &StreamFiles,
    checkpoint: Option<&Path>,
    databases: &[DatabaseFile],
    until: &Until,
) -> StreamFiles {
    let mut needed = files.clone();
    let floor = databases
        .iter()
        .map(|database| match database.header.state.needs_recovery() {
            true => database.header.min_required,
            false => database.header.last_consistent.generation,
        });
    let Some(floor) = floor.min() else {
        return needed;
    };
    let path = checkpoint.or_else(|| Some(&*files.checkpoints.first()?.path));
    let checkpoint = path.map(CheckpointReport::read);
    let checkpoint = checkpoint.as_ref().and_then(|report| report.current());
    let floor = checkpoint.map_or(floor, |checkpoint| {
        floor.min(checkpoint.checkpoint.generation)
    });
    let required = databases
        .iter()
        .map(|database| database.header.max_required)
        .max();
    let ceiling = until
        .generation
        .map(|last| last.max(required.unwrap_or_default()));
    let ceiling = ceiling.unwrap_or(Generation(u32::MAX));
    needed.logs.retain(|file| match file.role {
        FileRole::Generation { generation, .. } => generation >= floor && generation <= ceiling,
        _ => true,
    });
    needed
}

/// The error to end with when the plan cannot be carried out, and the database it is about.
impl Plan {
    /// What keeps the recovery from being run: a database that cannot become consistent, or, unless `lossy`, one that
    /// would lose committed work.
    pub fn obstacle(&self, lossy: bool) -> Option<(&DatabasePlan, JetError)> {
        let plans = self.databases.iter();
        let mut blocked = plans.filter(|plan| plan.is_blocked() || (plan.is_lossy() && !lossy));
        let first = blocked.next()?;
        let jet = first
            .verdict
            .jet
            .unwrap_or(JetError::REQUIRED_LOG_FILES_MISSING);
        Some((first, jet))
    }
}
