//! Which moments a database can be shown at, and which one is shown.
//!
//! ```text
//!   dirty   | min_required ... max_required | later logs ... end |      shown from the end of max_required on
//!   clean      last consistent | later logs .............. end |        shown from where it was last consistent on
//! ```
//!
//! The pages of a file are never older than that, and nothing takes a page back. After the last record that is there nothing is
//! known. A moment outside is refused: no other moment is shown in its place.

use crate::recovery::{DatabaseFile, Interval, LogEnd, Recovered, RecoveryError, RecoveryPlan};
use crate::view::ViewError;
use ese_format::explain::advise;
use ese_format::{Class, Explain, Generation, JetError, Lgpos};
use ese_log::Moment;
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use thiserror::Error;

/// The moment at which a database is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AsOf {
    /// The last record that counts.
    #[serde(flatten)]
    pub place: Place,
    /// Transactions that were open there and are rolled back.
    pub rolled_back: usize,
}

/// `0000000D:0001:0982, logged between TIME and TIME`.
impl fmt::Display for AsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)?;
        match self.rolled_back {
            0 => Ok(()),
            1 => f.write_str("; 1 transaction was open and is rolled back"),
            open => write!(f, "; {open} transactions were open and are rolled back"),
        }
    }
}

/// A record and when it was logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The record.
    pub lgpos: Lgpos,
    /// When.
    #[serde(flatten)]
    pub logged: Interval,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Interval { from, until } = self.logged;
        write!(f, "{}", self.lgpos)?;
        match (from.is_null(), until.is_null()) {
            (true, _) => Ok(()),
            (false, true) => write!(f, ", logged at {} or later", from.shown()),
            (false, false) => write!(f, ", logged between {} and {}", from.shown(), until.shown()),
        }
    }
}

/// Why a database cannot be shown at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AsOfError {
    /// It is dirty, and its pages may hold what came later.
    #[error(
        "{}: it cannot be shown as of {asked}: it is dirty, and its pages may hold changes up to the end of generation {required} ({required:#x}); \
         the earliest moment is {earliest}", path.display()
    )]
    BeforeRequired {
        /// The database.
        path: PathBuf,
        /// What was asked for.
        asked: Moment,
        /// Its highest required generation.
        required: Generation,
        /// The last record of that.
        earliest: Place,
    },
    /// It is clean, and was so only later.
    #[error("{}: it cannot be shown as of {asked}: the earliest moment is where it was last consistent, {consistent}", path.display())]
    BeforeConsistent {
        /// The database.
        path: PathBuf,
        /// What was asked for.
        asked: Moment,
        /// Where it was last consistent.
        consistent: Place,
    },
    /// Nothing is known of that moment.
    #[error("{}: it cannot be shown as of {asked}: what happened until then is not in the logs; the last moment is {last}", path.display())]
    AfterEnd {
        /// The database.
        path: PathBuf,
        /// What was asked for.
        asked: Moment,
        /// The last one that is known.
        last: Place,
    },
    /// The logs have no times that could be compared.
    #[error("{}: it cannot be shown as of {asked}: the logs do not say in UTC when {at} was logged", path.display())]
    NoTime {
        /// The database.
        path: PathBuf,
        /// What was asked for.
        asked: Moment,
        /// The record.
        at: Lgpos,
    },
}

impl Explain for AsOfError {
    fn class(&self) -> Class {
        Class::Refused
    }

    fn jet(&self) -> Option<JetError> {
        match self {
            AsOfError::BeforeRequired { .. } => Some(JetError::REQUIRED_LOG_FILES_MISSING),
            AsOfError::BeforeConsistent { .. }
            | AsOfError::AfterEnd { .. }
            | AsOfError::NoTime { .. } => None,
        }
    }

    fn advice(&self) -> Option<Cow<'static, str>> {
        match self {
            AsOfError::BeforeRequired {
                earliest: Place { lgpos, .. },
                ..
            }
            | AsOfError::BeforeConsistent {
                consistent: Place { lgpos, .. },
                ..
            } => Some(
                format!(
                    "name an older copy of the database, which the same logs bring forward, or ask for the earliest moment of this one: {lgpos}"
                )
                .into(),
            ),
            AsOfError::AfterEnd { last, .. } => Some(
                format!(
                    "find the logs that follow, or ask for the last moment: {}",
                    last.lgpos
                )
                .into(),
            ),
            AsOfError::NoTime { .. } => advise("name a generation or a position instead of a time"),
        }
    }
}

/// A moment that is asked of one database.
pub(crate) struct Question<'q> {
    pub(crate) moment: Moment,
    pub(crate) database: &'q DatabaseFile,
    pub(crate) plan: &'q RecoveryPlan,
}

impl Question<'_> {
    fn path(&self) -> PathBuf {
        self.database.path().to_owned()
    }

    /// Where a clean database is, with its own word for when that was.
    fn consistent(&self) -> Option<Place> {
        let header = &self.database.header;
        let is_clean = !header.state.needs_recovery();
        is_clean.then(|| Place {
            lgpos: header.last_consistent,
            logged: Interval {
                from: header.last_consistent_time,
                ..Interval::default()
            },
        })
    }

    /// Refuses a moment before the pages of the file, which a plan that can be carried out shows.
    pub(crate) fn refuse_early(&self) -> Result<(), ViewError> {
        if self.plan.obstacle(false).is_some() {
            return Ok(());
        }
        let (path, asked) = (self.path(), self.moment);
        if let Some(consistent) = self.consistent() {
            let is_before = asked.last().is_some_and(|last| last < consistent.lgpos);
            let header = &self.database.header;
            return match is_before || self.plan.ends_before_consistent(header) {
                true => Err(AsOfError::BeforeConsistent {
                    path,
                    asked,
                    consistent,
                }
                .into()),
                false => Ok(()),
            };
        }
        let required = self.database.header.max_required;
        let Some(end) = self.plan.end_of(required).map_err(RecoveryError::from)? else {
            return Ok(());
        };
        let begun = end.logged.from.timestamp();
        let asked_and_begun = asked.time().zip(begun);
        let is_early = !self.plan.covers(required)
            || asked_and_begun.is_some_and(|(asked, begun)| asked < begun);
        if !is_early {
            return Ok(());
        }
        let LogEnd { lgpos, logged } = end;
        Err(AsOfError::BeforeRequired {
            path,
            asked,
            required,
            earliest: Place { lgpos, logged },
        }
        .into())
    }

    /// What the recovery shows, unless that is another moment than the one that was asked for.
    pub(crate) fn answer(&self, recovered: &Recovered) -> Result<AsOf, ViewError> {
        let summary = &recovered.summary;
        let consistent = self.consistent();
        // Later logs say what happened to a clean database only if they go on from where it is.
        let goes_on = summary.logs > 0
            && consistent.is_none_or(|place| {
                summary.first <= place.lgpos.generation && summary.end >= place.lgpos
            });
        let last = match consistent {
            Some(place) if !goes_on || place.lgpos >= summary.last_record => place,
            _ if summary.records == 0 => Place {
                lgpos: summary.end,
                logged: Interval::default(),
            },
            _ => Place {
                lgpos: summary.last_record,
                logged: self
                    .plan
                    .logged(summary.last_record)
                    .map_err(RecoveryError::from)?,
            },
        };
        let is_limited = goes_on && summary.limited_before.is_some();
        let is_known = match self.moment {
            Moment::Lgpos(asked) => {
                is_limited
                    || (goes_on && asked < summary.end)
                    || (goes_on && summary.records == 0 && asked == summary.end)
                    || consistent.is_some_and(|place| place.lgpos == asked)
            }
            Moment::Generation(asked) => is_limited || (goes_on && summary.last >= asked),
            Moment::Time(asked) => {
                let begun = match goes_on {
                    true => summary.time,
                    false => last.logged.from,
                };
                let Some(begun) = begun.timestamp() else {
                    return Err(AsOfError::NoTime {
                        path: self.path(),
                        asked: self.moment,
                        at: last.lgpos,
                    }
                    .into());
                };
                is_limited || asked <= begun
            }
        };
        if !is_known {
            return Err(AsOfError::AfterEnd {
                path: self.path(),
                asked: self.moment,
                last,
            }
            .into());
        }
        Ok(AsOf {
            place: last,
            rolled_back: recovered.transactions_undone,
        })
    }
}
