//! The clock of the machine with the copies. Who waits by it lets the service go on meanwhile.

use jiff::{SignedDuration, Timestamp};
use standby::clock::Clock;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What goes on while somebody waits.
type Meanwhile = dyn FnMut(&SimClock) + Send;

/// A clock that stands still but for what the simulation adds, for waits, and for what is slow.
pub struct SimClock {
    now: Mutex<Timestamp>,
    /// Earliest and latest time shown since the last look.
    shown: Mutex<(Timestamp, Timestamp)>,
    /// By how much delays have moved it since the last look.
    delayed: Mutex<SignedDuration>,
    meanwhile: Mutex<Option<Box<Meanwhile>>>,
}

impl SimClock {
    /// A clock that shows `now`.
    pub fn new(now: Timestamp) -> Self {
        SimClock {
            now: Mutex::new(now),
            shown: Mutex::new((now, now)),
            delayed: Mutex::new(SignedDuration::ZERO),
            meanwhile: Mutex::new(None),
        }
    }

    /// What others do while somebody waits.
    pub fn set_meanwhile(&self, act: impl FnMut(&SimClock) + Send + 'static) {
        *lock(&self.meanwhile) = Some(Box::new(act));
    }

    /// Moves the hands, backwards too.
    pub fn advance(&self, by: SignedDuration) {
        let mut now = lock(&self.now);
        *now = now.saturating_add(by).unwrap_or(*now);
        let mut shown = lock(&self.shown);
        *shown = (shown.0.min(*now), shown.1.max(*now));
    }

    /// Something takes so long.
    pub fn delay(&self, by: SignedDuration) {
        *lock(&self.delayed) += by;
        self.advance(by);
    }

    /// How long what was slow has taken since this was asked last.
    pub fn delayed(&self) -> SignedDuration {
        std::mem::take(&mut *lock(&self.delayed))
    }

    /// Earliest and latest time shown since this was asked last.
    pub fn shown(&self) -> (Timestamp, Timestamp) {
        let now = *lock(&self.now);
        std::mem::replace(&mut *lock(&self.shown), (now, now))
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        *lock(&self.now)
    }

    fn rest(&self, time: Duration) {
        self.advance(SignedDuration::try_from(time).unwrap_or_default());
        // Whoever goes on meanwhile and waits, too, waits alone.
        if let Ok(mut meanwhile) = self.meanwhile.try_lock()
            && let Some(act) = &mut *meanwhile
        {
            act(self);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
