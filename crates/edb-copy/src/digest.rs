//! SHA-256 of a file whose chunks several jobs read, with a state that can be kept and taken up again.

use ese_format::hex;
use sha2::Sha256;
use sha2::digest::Digest;
use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// SHA-256 under way.
#[derive(Clone, Default)]
pub(crate) struct Sha256Sum(Sha256);

impl Sha256Sum {
    /// Takes up a state that [`Self::state`] wrote; `None` if it is none.
    pub(crate) fn resume(state: &str) -> Option<Self> {
        let bytes = hex::decode(state)?;
        let state = SerializedState::<Sha256>::try_from(bytes.as_slice()).ok()?;
        Sha256::deserialize(&state).ok().map(Sha256Sum)
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The state, in hexadecimal.
    pub(crate) fn state(&self) -> String {
        hex::encode(self.0.serialize())
    }

    /// The digest, in hexadecimal.
    pub(crate) fn finish(self) -> String {
        hex::encode(self.0.finalize())
    }
}

/// SHA-256 to which jobs add their chunks in the order of the file, each when it is its turn.
pub(crate) struct OrderedSha256 {
    turn: Mutex<OrderedState>,
    changed: Condvar,
}

struct OrderedState {
    next: u64,
    sum: Option<Sha256Sum>,
    ended: bool,
}

impl OrderedSha256 {
    /// Goes on with chunk `next`.
    pub(crate) fn new(next: u64, sum: Sha256Sum) -> Self {
        OrderedSha256 {
            turn: Mutex::new(OrderedState {
                next,
                sum: Some(sum),
                ended: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Adds chunk `number` when it is its turn; returns the state after it, or `None` when its turn will not come.
    pub(crate) fn add(&self, number: u64, bytes: &[u8]) -> Option<String> {
        let mut turn = self.lock();
        while turn.next != number {
            if turn.ended {
                return None;
            }
            turn = self
                .changed
                .wait(turn)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let mut sum = turn.sum.take()?;
        drop(turn);
        sum.update(bytes);
        let state = sum.state();
        let mut turn = self.lock();
        turn.sum = Some(sum);
        turn.next += 1;
        self.changed.notify_all();
        Some(state)
    }

    /// Says that a chunk is missing for good: nobody is to wait for those after it.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// The digest, in hexadecimal.
    pub(crate) fn finish(self) -> Option<String> {
        let turn = self
            .turn
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        turn.sum.map(Sha256Sum::finish)
    }

    fn lock(&self) -> MutexGuard<'_, OrderedState> {
        // Nothing that holds the lock can panic.
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_can_be_taken_up_again() {
        let mut whole = Sha256Sum::default();
        whole.update(b"the first part, and the second");
        let mut first = Sha256Sum::default();
        first.update(b"the first part, ");
        let mut second = Sha256Sum::resume(&first.state()).unwrap();
        second.update(b"and the second");
        assert_eq!(second.finish(), whole.finish());
        for state in ["", "0", "zz", "é", "00ff"] {
            assert!(Sha256Sum::resume(state).is_none(), "{state}");
        }
    }
}
