//! The timeline of a plan: its recovery, watched.

use crate::sink::ChangeSink;
use crate::summary::TimelineSummary;
use crate::watcher::{Timeline, TimelineOptions};
use ese_format::record::Record;
use ese_format::{Lgpos, LogTime, ObjId, Progress};
use ese_log::LogImage;
use ese_replay::recovery::{
    DatabaseFile, RecoverOptions, RecoveryError, RecoveryPlan, ReplaySummary, trial,
};
use ese_replay::redo::{NodeChange, RedoObserver};
use ese_replay::{Problem, ReplayDatabase};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What came of a timeline.
pub struct Told {
    /// What was told.
    pub summary: TimelineSummary,
    /// How far the replay went; none if it failed.
    pub replayed: Option<ReplaySummary>,
    /// Why it ended early; what was told until then stands.
    pub problem: Option<RecoveryError>,
}

/// Tells `sink` every change that the logs of `plan` hold, for `databases` or for those that the logs create. Up to
/// `memory` bytes of changed pages stay in memory. An error is one of the sink.
pub fn timeline(
    plan: &RecoveryPlan,
    databases: &[DatabaseFile],
    memory: usize,
    options: TimelineOptions,
    sink: Box<dyn ChangeSink>,
    progress: &dyn Progress,
) -> io::Result<Told> {
    let watcher = Watcher(Arc::new(Mutex::new(Timeline::new(options, sink))));
    let failed = Arc::new(AtomicBool::new(false));
    let recover = RecoverOptions {
        lossy: true,
        accept_cut_off: true,
        ignore_missing: true,
        read_ahead: true,
        changes: Some(Box::new(Handle {
            watcher: watcher.clone(),
            failed: Arc::clone(&failed),
        })),
        ..RecoverOptions::default()
    };
    let stopping = Stopping { progress, failed };
    let recovered = trial(plan, databases, memory, recover, &stopping);
    let summary = watcher.lock().finish()?;
    Ok(match recovered {
        Ok(recovered) => Told {
            summary,
            replayed: Some(recovered.summary),
            problem: None,
        },
        Err(problem) => Told {
            summary,
            replayed: None,
            problem: Some(problem),
        },
    })
}

/// The databases of `plan` as redo leaves them at the end of its logs, with nothing rolled back.
pub fn at_end(
    plan: &RecoveryPlan,
    databases: &[DatabaseFile],
    memory: usize,
    progress: &dyn Progress,
) -> Result<Vec<ReplayDatabase>, RecoveryError> {
    let mut redone = Vec::new();
    let options = RecoverOptions {
        lossy: true,
        accept_cut_off: true,
        ignore_missing: true,
        read_ahead: true,
        after_redo: Some(Box::new(|databases| {
            redone.extend(std::mem::take(databases).into_values());
        })),
        ..RecoverOptions::default()
    };
    // What comes after redo has nothing to do without the databases.
    let recovered = trial(plan, databases, memory, options, progress);
    if redone.is_empty() {
        recovered?;
    }
    Ok(redone)
}

/// The timeline, seen by the replay and by its owner.
#[derive(Clone)]
struct Watcher(Arc<Mutex<Timeline>>);

impl Watcher {
    fn lock(&self) -> MutexGuard<'_, Timeline> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the replay has of it.
struct Handle {
    watcher: Watcher,
    failed: Arc<AtomicBool>,
}

impl RedoObserver for Handle {
    fn log_begins(&mut self, image: &LogImage) {
        self.watcher.lock().log_begins(image);
    }

    fn segment_begins(&mut self, lgpos: Lgpos, time: LogTime) {
        let mut timeline = self.watcher.lock();
        timeline.segment_begins(lgpos, time);
        if timeline.failure.is_some() {
            self.failed.store(true, Ordering::Relaxed);
        }
    }

    fn record(&mut self, lgpos: Lgpos, record: &Record<'_>) {
        self.watcher.lock().record(lgpos, record);
    }

    fn wants(&self, dbid: u8, objid: ObjId) -> bool {
        self.watcher.lock().wants(dbid, objid)
    }

    fn changed(
        &mut self,
        change: &NodeChange<'_>,
        database: &mut ReplayDatabase,
    ) -> Result<(), Problem> {
        self.watcher.lock().changed(change, database)
    }

    fn attached(&mut self, dbid: u8, name: &str, database: &mut ReplayDatabase) {
        self.watcher.lock().attached(dbid, name, database);
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
