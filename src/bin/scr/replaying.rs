//! The half of the service that replays and deletes logs, on a thread of its own: a long step must not keep logs waiting
//! at their sources.

use console::interrupted;
use ese_format::Progress;
use standby::clock::SystemClock;
use standby::config::Configuration;
use standby::service::{Replaying, SharedReplayer};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::Duration;
use tracing::error;

/// How long the thread rests when there is nothing to replay.
const REST: Duration = Duration::from_millis(200);

/// Ends with Ctrl-C.
pub(crate) struct UntilInterrupted;

impl Progress for UntilInterrupted {
    fn advance(&self, _bytes: u64) {}

    fn should_stop(&self) -> bool {
        interrupted()
    }
}

/// What both halves of the service know.
#[derive(Default)]
pub(crate) struct Shared {
    work: Mutex<Work>,
    stop: AtomicBool,
}

#[derive(Default)]
struct Work {
    configuration: Option<Arc<Configuration>>,
    replayers: Vec<SharedReplayer>,
}

impl Shared {
    /// Says what is to be served from now on.
    pub(crate) fn set(&self, configuration: &Arc<Configuration>, replayers: Vec<SharedReplayer>) {
        let mut work = self.work();
        work.configuration = Some(Arc::clone(configuration));
        work.replayers = replayers;
    }

    /// Lets the thread end after what it is doing.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// What the thread does.
    pub(crate) fn replay_until_stopped(&self, mut replaying: Replaying) {
        while !self.should_stop() {
            let (configuration, replayers) = {
                let work = self.work();
                (work.configuration.clone(), work.replayers.clone())
            };
            let Some(configuration) = configuration else {
                sleep(REST);
                continue;
            };
            match replaying.round(&configuration, &replayers, &SystemClock, self) {
                Ok(true) => {}
                Ok(false) => sleep(REST),
                Err(problem) => {
                    error!("{problem}");
                    sleep(REST);
                }
            }
        }
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Shared {
    fn advance(&self, _bytes: u64) {}

    fn should_stop(&self) -> bool {
        self.stop.load(Ordering::SeqCst) || interrupted()
    }
}
