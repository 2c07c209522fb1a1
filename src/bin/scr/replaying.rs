//! The half of the service that replays and deletes logs, on a thread of its own: a long step must not keep logs waiting
//! at their sources.

use console::interrupted;
use ese_format::Progress;
use jiff::Timestamp;
use standby::clock::SystemClock;
use standby::config::Configuration;
use standby::{Replayer, StandbyError, truncate};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::Duration;
use tracing::{error, info};

/// How long the thread rests when there is nothing to replay.
const REST: Duration = Duration::from_millis(200);

/// What both halves of the service know.
#[derive(Default)]
pub(crate) struct Shared {
    work: Mutex<Work>,
    stop: AtomicBool,
    truncate_source: bool,
}

#[derive(Default)]
struct Work {
    configuration: Option<Arc<Configuration>>,
    replayers: Vec<Arc<Mutex<Replayer>>>,
}

/// When the logs at the sources were last looked at.
#[derive(Default)]
pub(crate) struct SourcesSeen(Option<Timestamp>);

impl Shared {
    pub(crate) fn new(truncate_source: bool) -> Self {
        Shared {
            truncate_source,
            ..Shared::default()
        }
    }

    /// Says what is to be served from now on.
    pub(crate) fn set(
        &self,
        configuration: &Arc<Configuration>,
        replayers: Vec<Arc<Mutex<Replayer>>>,
    ) {
        let mut work = lock(&self.work);
        work.configuration = Some(Arc::clone(configuration));
        work.replayers = replayers;
    }

    /// Lets the thread end after what it is doing.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst) || interrupted()
    }

    /// What the thread does.
    pub(crate) fn replay_until_stopped(&self) {
        let mut seen = SourcesSeen::default();
        while !self.is_stopped() {
            match self.round(&mut seen) {
                Ok(true) => {}
                Ok(false) => sleep(REST),
                Err(problem) => {
                    error!("{problem}");
                    sleep(REST);
                }
            }
        }
    }

    /// A step for every copy; whether there is more to do at once. What goes wrong with one copy does not keep the
    /// others waiting.
    pub(crate) fn round(&self, seen: &mut SourcesSeen) -> Result<bool, StandbyError> {
        let (configuration, replayers) = {
            let work = lock(&self.work);
            (work.configuration.clone(), work.replayers.clone())
        };
        let Some(configuration) = configuration else {
            return Ok(false);
        };
        let mut more = false;
        let mut problem = None;
        for replayer in &replayers {
            if self.is_stopped() {
                return Ok(false);
            }
            match step(&configuration, &mut lock(replayer), self) {
                Ok(again) => more |= again,
                Err(error) => problem = Some(error),
            }
        }
        self.look_at_sources(&configuration, seen)?;
        problem.map_or(Ok(more), Err)
    }

    fn look_at_sources(
        &self,
        configuration: &Configuration,
        seen: &mut SourcesSeen,
    ) -> Result<(), StandbyError> {
        let now = Timestamp::now();
        let interval = configuration.service.truncate.duration();
        let due = |last: Timestamp| now < last || now.duration_since(last) >= interval;
        if seen.0.is_none_or(due) {
            seen.0 = Some(now);
            let deleted = truncate::sources(configuration, self.truncate_source)?;
            if deleted > 0 {
                info!(logs = deleted, "logs deleted at the sources");
            }
        }
        Ok(())
    }
}

impl Progress for Shared {
    fn advance(&self, _bytes: u64) {}

    fn should_stop(&self) -> bool {
        self.is_stopped()
    }
}

fn step(
    configuration: &Configuration,
    replayer: &mut Replayer,
    progress: &dyn Progress,
) -> Result<bool, StandbyError> {
    let config = replayer.config();
    let exported =
        truncate::inspected_by_all(configuration, &config.target.logs, &config.source.base)?;
    let step = replayer.step(&configuration.service, &SystemClock, exported, progress)?;
    Ok(step.more)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
