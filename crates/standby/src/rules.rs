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
//! Both delays hold at once, so that the larger of the two decides. A log's age counts from its inspection at the
//! target, by the target's clock: the one time that is always known.
//!
//! What was replayed may be deleted later, when the database does not need it: the truncation lag begins when a log has
//! been replayed.

use crate::clock::age;
use crate::lag::Lag;
use ese_format::Generation;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

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

/// As `scr status` says what replay waits for.
impl fmt::Display for ReplayWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplayWait::Nothing => f.write_str("the next log"),
            ReplayWait::Lag { until } => {
                write!(f, "the replay lag of the next log to pass, at {until:.0}")
            }
            ReplayWait::KeptBack { logs } => {
                let ending = if *logs == 1 { "" } else { "s" };
                write!(
                    f,
                    "{logs} more log{ending}: the newest ones are not replayed"
                )
            }
        }
    }
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

/// What decides, beside the age of logs, on which of them may be deleted at the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TruncationFacts {
    /// The first generation that the database needs; its checkpoint lies below.
    pub needed: Generation,
    /// The newest inspected log: it stays, because the next one is inspected against it.
    pub newest: Generation,
    /// The newest log that all copies made from this one have inspected; none if there is no such copy.
    pub exported: Option<Generation>,
    /// The newest log that a backup has; none if no backup is waited for.
    pub backed_up: Option<Generation>,
}

/// A log at the target, and when it was replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// Its generation.
    pub generation: Generation,
    /// When its inspection was done.
    pub inspected: Timestamp,
    /// When it was replayed to its end; none if that is not known to have been done.
    pub replayed: Option<Timestamp>,
}

/// The last of `logs`, which are in ascending order, that may be deleted at the target; none if not even the first may.
///
/// A log goes when it lies below the checkpoint, is older than both lags together, the truncation lag is over since it was
/// replayed, and, where there is such a thing, every copy made from this one has inspected it and a backup has it.
pub fn truncation_limit(
    logs: impl IntoIterator<Item = Replayed>,
    facts: TruncationFacts,
    replay_lag: Lag,
    truncation_lag: Lag,
    now: Timestamp,
) -> Option<Generation> {
    let both = replay_lag.duration() + truncation_lag.duration();
    let within = |limit: Option<Generation>, log: &Replayed| {
        limit.is_none_or(|limit| log.generation <= limit)
    };
    let goes = |log: &Replayed| {
        let replayed = |at: Timestamp| age(at, now) >= truncation_lag.duration();
        log.generation < facts.needed
            && log.generation < facts.newest
            && age(log.inspected, now) >= both
            && log.replayed.is_some_and(replayed)
            && within(facts.exported, log)
            && within(facts.backed_up, log)
    };
    let going = logs.into_iter().take_while(goes);
    going.last().map(|log| log.generation)
}

/// What decides on the logs at the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceTruncationFacts {
    /// The newest log that all targets have inspected.
    pub inspected_by_all: Generation,
    /// Where the source's own checkpoint lies.
    pub checkpoint: Generation,
    /// The newest log that a backup has; none if no backup is waited for.
    pub backed_up: Option<Generation>,
}

/// The last log that may be deleted at the source: one that all targets have inspected, that lies below the source's own
/// checkpoint, and that a backup has unless the source works with circular logging.
pub fn source_truncation_limit(facts: SourceTruncationFacts) -> Generation {
    let below = facts.checkpoint.previous();
    let limit = facts.inspected_by_all.min(below);
    facts
        .backed_up
        .map_or(limit, |backed_up| limit.min(backed_up))
}
