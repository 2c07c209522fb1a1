//! Which logs may be replayed and which may be deleted: the documented rules, as functions of facts.
//!
//! Facts: "Enabling Standby Continuous Replication" and "Standby Continuous Replication" (Exchange 2007 SP1).
//!
//! ```text
//! oldest                                                     newest inspected
//! |------------------------|=====================|-----------------|
//!   older than the lag       too young             the newest 50
//!   may be replayed          waits for the clock   wait for newer logs
//! ```
//!
//! Both delays hold at once, so that the larger of both decides. A log's age counts from its inspection at the target,
//! by the target's clock: the one time that is always known.

use crate::clock::age;
use crate::lag::Lag;
use ese_format::Generation;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How many of the newest logs are never replayed, whatever the lag. A source that fails over and loses its newest logs
/// writes others in their place; what was not replayed can be fetched again.
pub const KEPT_BACK: u32 = 50;

/// A log at the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inspected {
    /// Its generation.
    pub generation: Generation,
    /// When its inspection was done.
    pub at: Timestamp,
}

/// What replay waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ReplayWait {
    /// There is no log that was not replayed.
    Nothing,
    /// The next log is young: it may be replayed from this time on.
    Lag {
        /// That time.
        until: Timestamp,
    },
    /// The next log is among the newest: so many logs have to come first.
    KeptBack {
        /// How many.
        logs: u32,
    },
}

/// How far replay may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayLimit {
    /// The last generation that may be replayed; none if no log may be.
    pub last: Option<Generation>,
    /// What the one after it waits for.
    pub waits: ReplayWait,
}

/// How far the logs `waiting`, which are those not yet replayed in ascending order, may be replayed now.
pub fn replay_limit(
    waiting: impl IntoIterator<Item = Inspected>,
    newest: Generation,
    lag: Lag,
    kept_back: u32,
    now: Timestamp,
) -> ReplayLimit {
    let mut last = None;
    for log in waiting {
        let newer = newest.0.saturating_sub(log.generation.0);
        let waits = if newer < kept_back {
            ReplayWait::KeptBack {
                logs: kept_back - newer,
            }
        } else if age(log.at, now) < lag.duration() {
            let until = log
                .at
                .saturating_add(lag.duration())
                .unwrap_or(Timestamp::MAX);
            ReplayWait::Lag { until }
        } else {
            last = Some(log.generation);
            continue;
        };
        return ReplayLimit { last, waits };
    }
    ReplayLimit {
        last,
        waits: ReplayWait::Nothing,
    }
}
