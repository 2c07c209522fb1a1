//! Reading no faster than asked.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Hands out bytes at a steady rate, shared by all threads of a scan.
#[derive(Debug)]
pub struct RateLimit {
    bytes_per_second: u64,
    /// When the bytes handed out so far will have been paid for.
    paid_until: Mutex<Instant>,
}

impl RateLimit {
    /// A limit of `bytes_per_second`, which must not be 0.
    pub fn new(bytes_per_second: std::num::NonZeroU64) -> Self {
        RateLimit {
            bytes_per_second: bytes_per_second.get(),
            paid_until: Mutex::new(Instant::now()),
        }
    }

    /// Takes `bytes`, and says how long to wait before reading them.
    pub(crate) fn take(&self, bytes: u64) -> Duration {
        let cost = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        let now = Instant::now();
        // A thread that panicked while it held the lock left a valid time behind.
        let mut paid_until = self
            .paid_until
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let start = (*paid_until).max(now);
        *paid_until = start + cost;
        start - now
    }
}
