//! Reading no faster than asked.

use ese_format::Progress;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Longest sleep before Ctrl-C and a changed rate are looked at again.
const NAP: Duration = Duration::from_millis(100);

/// Hands out bytes at a steady rate, shared by all threads of an operation. The rate can be changed meanwhile.
#[derive(Debug)]
pub struct RateLimit {
    /// 0 is "no limit".
    bytes_per_second: AtomicU64,
    /// When the bytes handed out so far will have been paid for.
    paid_until: Mutex<Instant>,
}

impl RateLimit {
    /// A limit of `bytes_per_second`.
    pub fn new(bytes_per_second: NonZeroU64) -> Self {
        let limit = Self::unlimited();
        limit.set(Some(bytes_per_second));
        limit
    }

    /// No limit, until one is set.
    pub fn unlimited() -> Self {
        RateLimit {
            bytes_per_second: AtomicU64::new(0),
            paid_until: Mutex::new(Instant::now()),
        }
    }

    /// Changes the rate, for bytes handed out from now on; `None` lifts the limit. Those who wait for bytes at the
    /// old rate wait no longer.
    pub fn set(&self, bytes_per_second: Option<NonZeroU64>) {
        let rate = bytes_per_second.map_or(0, NonZeroU64::get);
        if self.bytes_per_second.swap(rate, Ordering::Relaxed) != rate {
            *self.lock() = Instant::now();
        }
    }

    /// The rate in force.
    pub fn get(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.bytes_per_second.load(Ordering::Relaxed))
    }

    /// Takes `bytes`, and returns when they may be read, or when `progress` says to stop. Sleeps in short naps, so
    /// that Ctrl-C is answered soon.
    pub fn wait(&self, bytes: u64, progress: &dyn Progress) {
        let Some(rate) = self.get() else { return };
        let start = self.take(bytes, rate);
        while !progress.should_stop() && self.get() == Some(rate) {
            let left = start.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(NAP));
        }
    }

    fn take(&self, bytes: u64, rate: NonZeroU64) -> Instant {
        let cost = Duration::from_secs_f64(bytes as f64 / rate.get() as f64);
        let mut paid_until = self.lock();
        let start = (*paid_until).max(Instant::now());
        *paid_until = start + cost;
        start
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Instant> {
        // A thread that panicked while it held the lock left a valid time behind.
        self.paid_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
