//! Replay with lag: redo without undo, going on from what the database has, a few logs at a time.
//!
//! ```text
//! database at the end of A --plan--> logs A to B --survey--> oldest transaction open at B
//!                                                    |
//!                  redo up to where that one began <-+--> journal --> database, dirty, needs logs from there on
//! ```
//!
//! What a still open transaction did is not replayed before it ends: a page on disk does not show what was
//! there before, and the logs need not say it either. So a step counts all logs up to B as replayed, and the header
//! says with `min_required` from which one the next step has to read again. Pages that have a change already are left
//! alone ("Required range" in `docs/concepts.md`). The first step on a database that came from elsewhere must reach the
//! last log that its header requires: its pages may hold changes of all logs up to that one.
//!
//! A step first takes up what an earlier one left, then chooses logs by the rules ([`crate::rules`]), redoes them into the
//! journal of [`InPlace`], lets that bring the database forward, and writes into the state how far it came:
//!
//! | killed | what is left | the next step |
//! |---|---|---|
//! | before the journal is finished | the database from before | drops the journal and does the same |
//! | while the database is written | a mix of old and new pages, a finished journal | finishes what the journal holds |
//! | before the state is written | a header that knows of more logs than the state | redoes them over pages that have them |
//!
//! The state is never ahead of the database, so that truncation counts no log as replayed that is not. An order to
//! suspend, seed or activate ends a step that is still redoing logs, and the database stays as it was.

use crate::birth::{is_to_be_made, make};
use crate::config::{CopyConfig, Service};
use crate::error::StandbyError;
use crate::listing::{Listing, inspected_logs};
use crate::obstacle::{Obstacle, is_due};
use crate::place::{database_header, first_needed, listing_of};
use crate::replay_failure::CACHE_BYTES;
pub use crate::replay_failure::ReplayFailure;
use crate::rules::{ReplayLimit, ReplayWait, replay_limit};
use crate::state::{CopyState, ReachedLog, ServiceLock, StateFile};
use crate::truncate;
use ese_format::database::DatabaseHeader;
use ese_format::{Generation, JetError, Progress};
use ese_log::{LogError, StreamFiles};
use ese_replay::output::{InPlace, RecoveryOutput, Target};
use ese_replay::recovery::{
    DatabaseFile, GivenDatabase, PlanRefusal, RecoverOptions, RecoveryError, RecoveryPlan, Until,
    plan, recover,
};
use jiff::Timestamp;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use target_disk::SharedDisk;
use tracing::{info, warn};

/// The most logs that one step replays beyond what it must, so that orders are obeyed and other copies have their turn.
const LOGS_PER_STEP: u32 = 32;

/// Held as long as logs of a copy are read by replay, or taken away.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogsInUse(Arc<Mutex<()>>);

impl LogsInUse {
    pub(crate) fn lock(&self) -> MutexGuard<'_, ()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The half of a copy that replays logs and deletes those that are not needed any more. It may work on another thread
/// than the half that ships.
pub struct Replayer {
    config: CopyConfig,
    state: StateFile,
    _service: Arc<ServiceLock>,
    logs: LogsInUse,
    truncated: Option<Timestamp>,
    /// Whether what failed before is tried now, however short a time ago that was.
    eager: bool,
}

/// What a step came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplayStep {
    /// The last generation that was replayed now.
    pub replayed: Option<Generation>,
    /// Logs that were deleted.
    pub deleted: u32,
    /// Whether there is more to replay at once.
    pub more: bool,
}

/// What replay came to, to be written into the state.
enum Outcome {
    /// Logs were replayed up to the end of this one.
    Replayed(Generation, ReplayLimit),
    /// There is nothing to replay now.
    Waits(String),
    /// It was asked to stop.
    Stopped,
    /// It cannot go on.
    Blocked(Obstacle),
}

impl Replayer {
    pub(crate) fn new(
        config: CopyConfig,
        state: StateFile,
        service: Arc<ServiceLock>,
        logs: LogsInUse,
    ) -> Self {
        Replayer {
            config,
            state,
            _service: service,
            logs,
            truncated: None,
            eager: false,
        }
    }

    /// Tries at once what failed before and may be tried again.
    #[must_use]
    pub(crate) fn once(mut self) -> Self {
        self.eager = true;
        self
    }

    /// The configuration it works by.
    pub fn config(&self) -> &CopyConfig {
        &self.config
    }

    /// Replays a few of the logs that may be replayed now, and deletes those that may be deleted if that is due.
    /// `exported` is the newest log that all copies made from this one have inspected; none if there is no such copy.
    pub fn step(
        &mut self,
        service: &Service,
        clock: &dyn crate::clock::Clock,
        exported: Option<Generation>,
        progress: &dyn Progress,
    ) -> Result<ReplayStep, StandbyError> {
        let now = clock.now();
        let state = self.state.read()?;
        let mut step = ReplayStep::default();
        let eager = std::mem::take(&mut self.eager);
        let is_due = match &state.replay_trouble {
            Some(trouble) if eager => !trouble.is_final(),
            trouble => is_due(trouble.as_ref(), service, now),
        };
        if state.suspended.is_some() || state.is_out_of_service() || !is_due {
            return Ok(step);
        }
        let in_use = self.logs.clone();
        let _in_use = in_use.lock();
        let progress = UntilOrdered {
            progress,
            state: &self.state,
        };
        let outcome = self.replay(&state, service, now, &progress)?;
        // A step takes its time, and lags begin at its end.
        let now = clock.now();
        self.write(outcome, service, now, &mut step)?;
        let due =
            |last: Timestamp| now < last || now.duration_since(last) >= service.truncate.duration();
        if self.truncated.is_none_or(due) {
            let facts = truncate::facts(&self.config, &state, exported);
            step.deleted = truncate::target(&self.config, &self.state, facts, now)?;
            self.truncated = Some(now);
        }
        Ok(step)
    }

    fn replay(
        &self,
        state: &CopyState,
        service: &Service,
        now: Timestamp,
        progress: &dyn Progress,
    ) -> Result<Outcome, StandbyError> {
        let path = &self.config.target.database;
        let listing = listing_of(&self.config)?;
        if is_to_be_made(&self.config, state, listing.oldest()) {
            return self.make(state, service, now, &listing, progress);
        }
        if !path.exists() {
            return Ok(Outcome::Waits("the database: `scr update`".to_owned()));
        }
        let header = InPlace::resume(&**self.state.disk(), path)
            .map_err(ReplayFailure::from)
            .and_then(|_| Ok(DatabaseFile::open(path)?.header));
        let header = match header {
            Ok(header) => header,
            Err(failure) => return Ok(Outcome::Blocked(failure.obstacle(None))),
        };
        let Some(inspected) = state.inspected.map(|inspected| inspected.generation) else {
            return Ok(Outcome::Waits("the first log".to_owned()));
        };
        let from = first_unreplayed(state, &header);
        let waiting = inspected_logs(&listing, from, inspected);
        let limit = replay_limit(
            waiting,
            inspected,
            self.config.replay_lag,
            service.kept_back,
            now,
        );
        let Some(last) = limit.last.filter(|last| *last >= header.max_required) else {
            return Ok(Outcome::Waits(waits(&limit, &header, inspected)));
        };
        let most = Generation(from.0.saturating_add(LOGS_PER_STEP - 1));
        let last = last.min(most.max(header.max_required));
        if !state.made.replays(path) {
            self.state.update(|state| state.made.begin_replay(path))?;
        }
        let done = stream_here(&self.config)
            .map_err(ReplayFailure::from)
            .and_then(|logs| replay_to(self.state.disk(), path, &logs, last, progress));
        Ok(match done {
            Ok(()) => Outcome::Replayed(last, limit),
            Err(ReplayFailure::Recovery(RecoveryError::Interrupted)) => Outcome::Stopped,
            Err(failure) => Outcome::Blocked(failure.obstacle(Some(from))),
        })
    }

    /// Makes the database of a copy that has the first log of its stream.
    fn make(
        &self,
        state: &CopyState,
        service: &Service,
        now: Timestamp,
        listing: &Listing,
        progress: &dyn Progress,
    ) -> Result<Outcome, StandbyError> {
        let path = &self.config.target.database;
        let Some(inspected) = state.inspected.map(|inspected| inspected.generation) else {
            return Ok(Outcome::Waits("the first log".to_owned()));
        };
        let first = Generation(1);
        let waiting = inspected_logs(listing, first, inspected);
        let (lag, kept) = (self.config.replay_lag, service.kept_back);
        let limit = replay_limit(waiting, inspected, lag, kept, now);
        let Some(last) = limit.last else {
            return Ok(Outcome::Waits(limit.waits.to_string()));
        };
        let made = stream_here(&self.config)
            .map_err(ReplayFailure::from)
            .and_then(|logs| make(self.state.disk(), &self.config, path, &logs, last, progress));
        Ok(match made {
            Ok(true) => {
                // Only now: what is there otherwise is somebody's.
                self.state.update(|state| state.made.begin_replay(path))?;
                Outcome::Replayed(last, limit)
            }
            Ok(false) => {
                Outcome::Waits("the logs that create the database, all of them".to_owned())
            }
            Err(ReplayFailure::Recovery(RecoveryError::Interrupted)) => Outcome::Stopped,
            Err(failure) => Outcome::Blocked(failure.obstacle(Some(first))),
        })
    }

    fn write(
        &self,
        outcome: Outcome,
        service: &Service,
        now: Timestamp,
        step: &mut ReplayStep,
    ) -> Result<(), StandbyError> {
        let copy = &self.config.name;
        let database = &self.config.target.database;
        match outcome {
            Outcome::Stopped => {}
            Outcome::Waits(what) => {
                self.state.update(|state| {
                    state.replay_trouble = None;
                    state.replay_waits = Some(what);
                })?;
            }
            Outcome::Replayed(generation, limit) => {
                step.replayed = Some(generation);
                step.more = limit.last > Some(generation);
                let header = database_header(database);
                self.state.update(|state| {
                    let reached = ReachedLog {
                        generation,
                        at: now,
                    };
                    state.note_replayed(reached, self.config.truncation_lag);
                    if let Some(header) = &header {
                        state.made.set_database(database, header);
                    }
                    state.replay_trouble = None;
                    state.replay_waits = Some(limit.waits.to_string());
                })?;
                info!(copy, last = generation.0, "logs replayed");
            }
            Outcome::Blocked(obstacle) => {
                let message = obstacle.message();
                self.state.update(|state| {
                    let trouble = obstacle.trouble(state.replay_trouble.as_ref(), service, now);
                    state.replay_trouble = Some(trouble);
                    state.replay_waits = None;
                })?;
                warn!(copy, "replay: {message}");
            }
        }
        Ok(())
    }
}

/// Ends a step when an order keeps the copy from going on: an activation does not wait for a long step.
struct UntilOrdered<'a> {
    progress: &'a dyn Progress,
    state: &'a StateFile,
}

impl Progress for UntilOrdered<'_> {
    fn advance(&self, bytes: u64) {
        self.progress.advance(bytes);
    }

    fn begin(&self, total: u64, done: u64) {
        self.progress.begin(total, done);
    }

    fn should_stop(&self) -> bool {
        let stops = |state: CopyState| state.suspended.is_some() || state.is_out_of_service();
        self.progress.should_stop() || self.state.read().is_ok_and(stops)
    }
}

/// The first log that a database needs beyond what was replayed onto it.
fn first_unreplayed(state: &CopyState, header: &DatabaseHeader) -> Generation {
    let first = first_needed(header);
    let replayed = state.replayed.map(|replayed| replayed.generation);
    // A database that does not know of those logs came from elsewhere since.
    let known = replayed.filter(|replayed| match header.state.needs_recovery() {
        true => *replayed <= header.max_required,
        false => *replayed >= header.last_consistent.generation,
    });
    known.map_or(first, |known| first.max(known.next()))
}

fn waits(limit: &ReplayLimit, header: &DatabaseHeader, inspected: Generation) -> String {
    let needed = header.max_required;
    if needed > inspected {
        return format!("generation {needed} ({needed:#x}), which the database needs");
    }
    match limit.waits {
        ReplayWait::Nothing => "the next log".to_owned(),
        ref waits => waits.to_string(),
    }
}

/// The finished logs of the copy: what else lies in their folder is no affair of replay.
fn stream_here(config: &CopyConfig) -> Result<StreamFiles, LogError> {
    let mut files = StreamFiles::find(&config.target.logs, Some(&config.source.base))?;
    files.current.clear();
    files.checkpoints.clear();
    Ok(files)
}

/// Brings `database` forward to the end of generation `last`, or to where the oldest transaction began that is open
/// there. The logs that it needs must all be among `logs`.
pub fn replay_to(
    disk: &SharedDisk,
    database: &Path,
    logs: &StreamFiles,
    last: Generation,
    progress: &dyn Progress,
) -> Result<(), ReplayFailure> {
    let source = DatabaseFile::open(database)?;
    let until = Until {
        generation: Some(last),
        ..Until::default()
    };
    let plan = plan(logs, None, std::slice::from_ref(&source), &until, progress)?;
    check(&plan, last)?;
    let output = RecoveryOutput::begin(disk, &source, &Target::InPlace, false, progress)?;
    let redone = redo(&source, output, &plan, progress);
    if redone.is_err() {
        // The journal goes, unless the database has changed already: then this finishes what it holds, or tries to.
        let _ = InPlace::resume(&**disk, database);
    }
    redone
}

/// All logs up to `last` have to be there, whatever the database requires.
fn check(plan: &RecoveryPlan, last: Generation) -> Result<(), ReplayFailure> {
    if let Some(PlanRefusal { reasons, jet, .. }) = plan.obstacle_to_redo(false) {
        return Err(ReplayFailure::Blocked { reasons, jet });
    }
    let start = plan.reach.as_ref().map(|reach| reach.start.generation);
    if plan.last() >= Some(last) && start <= Some(last) {
        return Ok(());
    }
    let stop = plan.reach.as_ref().and_then(|reach| reach.stop.as_ref());
    let reason = stop.map_or("the logs end before", |stop| &stop.reason);
    let at = stop.map_or(last, |stop| stop.generation);
    Err(ReplayFailure::Blocked {
        reasons: format!("generation {at} ({at:#x}): {reason}"),
        jet: stop.map_or(JetError::MISSING_LOG_FILE, |stop| stop.jet),
    })
}

fn redo(
    source: &DatabaseFile,
    output: RecoveryOutput,
    plan: &RecoveryPlan,
    progress: &dyn Progress,
) -> Result<(), ReplayFailure> {
    let given = GivenDatabase {
        database: source,
        pages: output.pages(),
    };
    let options = RecoverOptions {
        until_undo: true,
        memory: Some(CACHE_BYTES),
        ..RecoverOptions::default()
    };
    let recovered = recover(plan, vec![given], Vec::new(), options, progress)?;
    if let Some(database) = recovered.databases.first() {
        output.commit(database)?;
    }
    Ok(())
}
