//! Trying again what may succeed later.

use crate::{ReadError, ReadErrorKind};
use std::time::{Duration, Instant};

/// Longest wait between two tries.
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// Longest sleep before Ctrl-C is looked at again.
const NAP: Duration = Duration::from_millis(100);

/// How a read that failed is tried again.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// How often an error that may pass is tried again.
    pub retries: u32,
    /// Wait before the first of these tries; it doubles from one to the next, up to half a minute.
    pub backoff: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Retry {
            retries: 5,
            backoff: Duration::from_millis(500),
        }
    }
}

impl Retry {
    /// Calls `attempt` until it succeeds, fails for good, was tried often enough, or `should_stop` says so.
    pub fn persist<T>(
        &self,
        should_stop: &dyn Fn() -> bool,
        mut attempt: impl FnMut() -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let mut failures = 0;
        loop {
            let error = match attempt() {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            failures += 1;
            let again = error.kind == ReadErrorKind::Passing && failures <= self.retries;
            if !again || should_stop() {
                return Err(error);
            }
            self.back_off(failures, should_stop);
        }
    }

    /// Waits after so many failures in a row.
    pub fn back_off(&self, failures: u32, should_stop: &dyn Fn() -> bool) {
        let doublings = failures.saturating_sub(1).min(16);
        let wait = self.backoff.saturating_mul(1 << doublings);
        let until = Instant::now() + wait.min(MAX_BACKOFF);
        while !should_stop() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(NAP));
        }
    }
}
