//! Which way a timeline is made, and the one that goes forward only: a recovery that is watched.

use crate::history::history;
use crate::sink::ChangeSink;
use crate::told::{TellError, Told};
use crate::watcher::{Hashes, Timeline, TimelineOptions};
use ese_format::record::Record;
use ese_format::{Lgpos, LogTime, ObjId, Progress, Signature};
use ese_log::chain::Readiness;
use ese_log::{FileRole, LogImage, StreamFile, StreamFiles};
use ese_replay::recovery::{
    DatabaseFile, RecoverOptions, RecoveryError, RecoveryPlan, Until, plan, trial,
};
use ese_replay::redo::{Interest, NodeChange, RedoObserver};
use ese_replay::{Problem, ReplayDatabase};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of the largest page.
const PAGE_MOST: usize = 32 << 10;

/// Tells `sink` every change of rows that the logs of a stream hold, for `databases`, or without any for those that the
/// logs create. Up to `memory` bytes of changed pages stay in memory.
///
/// A database that the logs bring forward from before their start is watched while they do. One that has changes of the
/// logs in its pages already is followed backwards; then some rows may not be known.
pub fn tell(
    stream: &StreamFiles,
    databases: &[DatabaseFile],
    memory: usize,
    mut options: TimelineOptions,
    sink: Box<dyn ChangeSink>,
    progress: &dyn Progress,
) -> Result<Told, TellError> {
    let signatures: Vec<Signature> = (databases.iter())
        .map(|database| database.header.signature)
        .collect();
    let older = std::mem::take(&mut options.older);
    let is_other = |copy: &&DatabaseFile| !signatures.contains(&copy.header.signature);
    if let Some(other) = older.iter().find(is_other) {
        let path = other.path().to_owned();
        return Err(TellError::NotACopy { path });
    }
    // Logs that go back to the creation of the databases know everything without them.
    let whole = plan(stream, None, &[], &Until::default(), progress)?;
    let made = |signature: &Signature| {
        let mut created = whole.created().iter();
        created.any(|created| created.signature == *signature)
    };
    let obstacle = whole.obstacle(false);
    if signatures.iter().all(made) && (obstacle.is_none() || databases.is_empty()) {
        let told = forward(&whole, &[], &signatures, memory, options, sink, progress)?;
        let stops = obstacle.filter(|_| told.problem.is_none());
        return Ok(Told {
            reasons: stops.map(|refusal| refusal.reasons).into_iter().collect(),
            ..told
        });
    }
    let plan = plan(stream, None, databases, &Until::default(), progress)?;
    let goes_back = has_logs_behind_it(databases, stream);
    let mut reasons = Vec::new();
    for (database, planned) in databases.iter().zip(&plan.databases) {
        let verdict = &planned.verdict;
        let needs_nothing = goes_back && !database.header.state.needs_recovery();
        let is_lacking = matches!(
            verdict.readiness,
            Readiness::NotReady | Readiness::ReadyWithLoss
        );
        if is_lacking && !needs_nothing {
            reasons.extend(verdict.reasons.iter().cloned());
        }
    }
    if !goes_back {
        let told = forward(&plan, databases, &[], memory, options, sink, progress)?;
        return Ok(Told { reasons, ..told });
    }
    if options.pages.is_some() {
        return Err(TellError::NoPages);
    }
    let (mut ended, problem) = at_end(&plan, databases, memory, progress)?;
    for file in databases {
        let signature = file.header.signature;
        let is_it = |ended: &ReplayDatabase| ended.header.signature == signature;
        if !ended.iter().any(is_it) {
            // Where its logs do not bring it to their end, its pages still say what they were.
            ended.push(file.database(Box::new(file.pages()), memory / PAGE_MOST));
        }
    }
    let files: Vec<StreamFile> = stream.in_order().cloned().collect();
    // A database that was shut down has all up to there in its pages, a dirty one may have all that it requires.
    let reached = databases.iter().map(|database| {
        let header = &database.header;
        match header.state.needs_recovery() {
            true => Lgpos::new(header.max_required.0, 0, 0),
            false => header.last_consistent,
        }
    });
    let reached = reached.max().unwrap_or_default();
    let mut told = history(&files, ended, &older, reached, options, sink, progress)?;
    for file in databases {
        if told.unnamed.contains(&file.header.signature) {
            reasons.push(format!(
                "no log names {}: nothing is known of what happened to it",
                file.path().display()
            ));
        }
    }
    told.reasons.extend(reasons);
    told.problem = problem;
    Ok(told)
}

/// Whether pages of the databases hold changes of the logs already.
fn has_logs_behind_it(databases: &[DatabaseFile], stream: &StreamFiles) -> bool {
    let generations = stream.logs.iter().filter_map(|log| match log.role {
        FileRole::Generation { generation, .. } => Some(generation),
        _ => None,
    });
    let first = generations.min();
    databases.iter().any(|database| {
        let header = &database.header;
        header.state.needs_recovery()
            || first.is_some_and(|first| first < header.last_consistent.generation)
            || first.is_none() && !header.last_consistent.is_null()
    })
}

/// The timeline of a plan, watched while it brings its databases forward; of those with the signatures that are wanted, if any
/// are named.
fn forward(
    plan: &RecoveryPlan,
    databases: &[DatabaseFile],
    wanted: &[Signature],
    memory: usize,
    options: TimelineOptions,
    sink: Box<dyn ChangeSink>,
    progress: &dyn Progress,
) -> Result<Told, TellError> {
    let hashes = Hashes::default();
    let back = Arc::new(Mutex::new(None));
    let failed = Arc::new(AtomicBool::new(false));
    let recover = RecoverOptions {
        lossy: true,
        accept_cut_off: true,
        read_ahead: true,
        observer: Some(hashes.observer()),
        changes: Some(Box::new(Watcher {
            timeline: Some(Timeline::new(options, wanted, sink, hashes)),
            back: Arc::clone(&back),
            failed: Arc::clone(&failed),
        })),
        ..RecoverOptions::default()
    };
    let stopping = Stopping { progress, failed };
    let recovered = trial(plan, databases, memory, recover, &stopping);
    let timeline = back.lock().unwrap_or_else(PoisonError::into_inner).take();
    // Where more logs should follow, they say how transactions ended.
    let is_cut = recovered.is_err() || plan.obstacle(false).is_some();
    let summary = timeline.map(|mut timeline: Timeline| timeline.finish(is_cut));
    Ok(Told {
        summary: summary.transpose()?.unwrap_or_default(),
        problem: recovered.err(),
        ..Told::default()
    })
}

/// The databases of `plan` as redo leaves them at the end of its logs, with nothing rolled back, as far as it comes there;
/// and why it does not.
fn at_end(
    plan: &RecoveryPlan,
    databases: &[DatabaseFile],
    memory: usize,
    progress: &dyn Progress,
) -> Result<(Vec<ReplayDatabase>, Option<RecoveryError>), RecoveryError> {
    let mut ended: Vec<ReplayDatabase> = Vec::new();
    let options = RecoverOptions {
        lossy: true,
        accept_cut_off: true,
        ignore_missing: true,
        read_ahead: true,
        after_redo: Some(Box::new(|databases| {
            ended.extend(std::mem::take(databases).into_values());
        })),
        ..RecoverOptions::default()
    };
    let recovered = trial(plan, databases, memory, options, progress);
    match recovered {
        // Those that the logs leave attached were taken away; the others ended before.
        Ok(recovered) => {
            let others = recovered.databases.into_iter().map(|recovered| {
                let header = recovered.header().clone();
                ReplayDatabase::new(header, recovered.into_pages())
            });
            ended.extend(others);
            Ok((ended, None))
        }
        Err(RecoveryError::Interrupted) => Err(RecoveryError::Interrupted),
        // What comes after redo has nothing to do without the databases that were taken away.
        Err(problem) => {
            let problem = ended.is_empty().then_some(problem);
            Ok((ended, problem))
        }
    }
}

/// The timeline, as long as the replay has it; after that it is `back`.
struct Watcher {
    timeline: Option<Timeline>,
    back: Arc<Mutex<Option<Timeline>>>,
    failed: Arc<AtomicBool>,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut back = self.back.lock().unwrap_or_else(PoisonError::into_inner);
        *back = self.timeline.take();
    }
}

impl RedoObserver for Watcher {
    fn log_begins(&mut self, image: &LogImage) {
        if let Some(timeline) = &mut self.timeline {
            timeline.log_begins(image);
        }
    }

    fn segment_begins(&mut self, lgpos: Lgpos, time: LogTime) {
        if let Some(timeline) = &mut self.timeline {
            timeline.segment_begins(lgpos, time);
            if timeline.failure.is_some() {
                self.failed.store(true, Ordering::Relaxed);
            }
        }
    }

    fn record(&mut self, lgpos: Lgpos, record: &Record<'_>) {
        if let Some(timeline) = &mut self.timeline {
            timeline.record(lgpos, record);
        }
    }

    fn asks_for_pages(&self) -> bool {
        let timeline = self.timeline.as_ref();
        timeline.is_some_and(RedoObserver::asks_for_pages)
    }

    fn wants(&self, dbid: u8, objid: ObjId) -> Interest {
        let timeline = self.timeline.as_ref();
        timeline.map_or(Interest::Nothing, |timeline| timeline.wants(dbid, objid))
    }

    fn changed(
        &mut self,
        change: &NodeChange<'_>,
        database: &mut ReplayDatabase,
    ) -> Result<(), Problem> {
        match &mut self.timeline {
            Some(timeline) => timeline.changed(change, database),
            None => Ok(()),
        }
    }

    fn attached(&mut self, dbid: u8, name: &str, database: &mut ReplayDatabase) {
        if let Some(timeline) = &mut self.timeline {
            timeline.attached(dbid, name, database);
        }
    }
}

/// Progress that stops the replay when nobody takes what is told.
struct Stopping<'p> {
    progress: &'p dyn Progress,
    failed: Arc<AtomicBool>,
}

impl Progress for Stopping<'_> {
    fn begin(&self, bytes: u64, done: u64) {
        self.progress.begin(bytes, done);
    }

    fn advance(&self, bytes: u64) {
        self.progress.advance(bytes);
    }

    fn should_stop(&self) -> bool {
        self.failed.load(Ordering::Relaxed) || self.progress.should_stop()
    }
}
