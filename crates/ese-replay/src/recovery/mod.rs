//! Recovery: from databases and a log stream to consistent databases.
//!
//! ```text
//! plan       which logs, from where on, whether that suffices, what is lost      nothing is changed
//! recover    redo of every record, up to the end or to a limit; checks;          pages change
//!            undo and a clean header, or a dirty header with its range
//! trial      a recovery whose result is thrown away                              nothing is changed
//! ```
//!
//! Nothing here knows where changed pages go: that is the affair of the [`PageFile`](crate::pages::PageFile) that each
//! database is offered with.

mod cut_off;
mod finish;
mod plan;
mod recover;
mod replay;
mod source;
mod trial;

pub use cut_off::LostEnd;
pub(crate) use cut_off::headers_of;
pub use ese_log::{Interval, Until};
pub(crate) use plan::LogEnd;
pub use plan::{
    CreatedDatabase, DatabasePlan, NeededDatabase, PlanRefusal, RecoveryPlan, plan, plan_of,
};
pub use recover::{
    AfterRedo, EmptyFile, GivenDatabase, RecoverOptions, Recovered, RecoveredDatabase, Timing,
    recover,
};
pub use replay::{ReplaySummary, replay};
pub use source::{DatabaseFile, SourcePages};
pub use trial::{TrialResult, trial, try_out};

use crate::error::{Problem, ReplayError};
use ese_format::explain::{advice_on, advise, jet_of};
use ese_format::{Class, Explain, Generation, JetError, Lgpos, Signature};
use ese_log::LogError;
use ese_log::chain::attached::LostAttach;
use evidence::EvidenceError;
use std::borrow::Cow;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why a recovery ends without a result.
#[derive(Debug, Error)]
pub enum RecoveryError {
    /// A log cannot be read.
    #[error("{0}")]
    Log(#[from] LogError),
    /// A record cannot be applied.
    #[error("{0}")]
    Replay(#[from] ReplayError),
    /// Something is wrong at the end of the logs.
    #[error("after the last log: {0}")]
    End(Problem),
    /// A file cannot be read.
    #[error("{0}")]
    Evidence(#[from] EvidenceError),
    /// A file is not a database.
    #[error("{}: {reason}", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
        /// The engine's error.
        jet: JetError,
    },
    /// The logs do not allow it, or not without loss.
    #[error("{}: {}", .0.path.display(), .0.reasons)]
    Refused(Box<PlanRefusal>),
    /// A record that attached the database again is not in the logs.
    #[error("{}: {lost}", path.display())]
    LostAttach {
        /// The database.
        path: PathBuf,
        /// Its signature.
        signature: Signature,
        /// What is known of the record.
        lost: LostAttach,
    },
    /// The logs hold records for the database after its place, but do not attach it.
    #[error("{}: the logs hold {records} records for this database after {known}, from {first} on, but nothing attaches it there", path.display())]
    PassedOver {
        /// The database.
        path: PathBuf,
        /// The place up to which it holds everything.
        known: Lgpos,
        /// The first record after that.
        first: Lgpos,
        /// How many there are.
        records: u64,
    },
    /// The file was cut off, and the logs do not hold all that was lost.
    #[error("{0}")]
    CutOff(Box<LostEnd>),
    /// The logs end before the database is consistent.
    #[error("{}: the logs end with generation {last} ({last:#x}); the database needs all up to {needed} ({needed:#x})", path.display())]
    TooShort {
        /// The database.
        path: PathBuf,
        /// The last generation that was replayed.
        last: Generation,
        /// Its highest required generation.
        needed: Generation,
    },
    /// Temporary pages cannot be kept.
    #[error("temporary pages: {0}")]
    Temporary(io::Error),
    /// The caller asked to stop.
    #[error("stopped as asked")]
    Interrupted,
    /// The logs change databases that are not there.
    #[error("the logs change {} that {} not given: {}", if names.len() == 1 { "a database" } else { "databases" }, if names.len() == 1 { "was" } else { "were" }, names.join(", "))]
    Missing {
        /// Their names on the machine that wrote the logs.
        names: Vec<String>,
    },
    /// A database that needs logs was never attached in them.
    #[error("{}: the logs from generation {from} ({from:#x}) on do not attach this database", path.display())]
    NeverAttached {
        /// The database.
        path: PathBuf,
        /// Where the replay started.
        from: Generation,
    },
    /// A limit ends the replay before the database can be consistent.
    #[error("{}: it is consistent only at the end of generation {needed} ({needed:#x}) or later; the limit is before that", path.display())]
    LimitTooEarly {
        /// The database.
        path: PathBuf,
        /// Its highest required generation.
        needed: Generation,
    },
    /// A limit lies before the place where a clean database was last consistent: nothing takes it back there.
    #[error("{}: it was last consistent at {consistent}, and nothing takes it back from there; the limit is before that", path.display())]
    LimitBeforeConsistent {
        /// The database.
        path: PathBuf,
        /// Where it was last consistent.
        consistent: Lgpos,
    },
}

impl Explain for RecoveryError {
    fn class(&self) -> Class {
        match self {
            // Nothing comes of a recovery whose logs or database are damaged: that is more than a finding.
            RecoveryError::Log(error) => match error.class() {
                Class::Finding => Class::Refused,
                class => class,
            },
            RecoveryError::Replay(error) => error.class(),
            RecoveryError::End(problem) => problem.class(),
            RecoveryError::Evidence(error) => error.class(),
            RecoveryError::NotADatabase { jet, .. } => match *jet {
                JetError::READ_VERIFY_FAILURE => Class::Refused,
                _ => Class::NotEse,
            },
            RecoveryError::Temporary(_) => Class::Io,
            RecoveryError::Interrupted => Class::Interrupted,
            RecoveryError::Refused(_)
            | RecoveryError::LostAttach { .. }
            | RecoveryError::PassedOver { .. }
            | RecoveryError::CutOff(_)
            | RecoveryError::TooShort { .. }
            | RecoveryError::Missing { .. }
            | RecoveryError::NeverAttached { .. }
            | RecoveryError::LimitTooEarly { .. }
            | RecoveryError::LimitBeforeConsistent { .. } => Class::Refused,
        }
    }

    fn jet(&self) -> Option<JetError> {
        match self {
            RecoveryError::Log(error) => error.jet(),
            RecoveryError::Replay(error) => Explain::jet(error),
            RecoveryError::End(problem) => Some(problem.jet()),
            RecoveryError::Evidence(error) => error.jet(),
            RecoveryError::Temporary(error) => Some(jet_of(error.kind())),
            RecoveryError::NotADatabase { jet, .. } => Some(*jet),
            RecoveryError::Interrupted | RecoveryError::LimitBeforeConsistent { .. } => None,
            RecoveryError::Refused(refusal) => Some(refusal.jet),
            RecoveryError::LostAttach { lost, .. } => Some(lost.jet),
            RecoveryError::Missing { .. }
            | RecoveryError::NeverAttached { .. }
            | RecoveryError::PassedOver { .. } => Some(JetError::ATTACHED_DATABASE_MISMATCH),
            RecoveryError::CutOff(_) => Some(JetError::FILE_IO_BEYOND_EOF),
            RecoveryError::LimitTooEarly { .. } | RecoveryError::TooShort { .. } => {
                Some(JetError::REQUIRED_LOG_FILES_MISSING)
            }
        }
    }

    fn advice(&self) -> Option<Cow<'static, str>> {
        match self {
            RecoveryError::Log(error) => error.advice(),
            RecoveryError::Evidence(error) => error.advice(),
            RecoveryError::Temporary(error) => advice_on(error.kind()),
            RecoveryError::Refused(refusal) if refusal.is_lossy => advise(
                "find the logs first; --lossy gives up what they hold, and that cannot be undone",
            ),
            RecoveryError::Refused(refusal) => match &refusal.advice[..] {
                [] => None,
                advice => Some(advice.join("; ").into()),
            },
            RecoveryError::Missing { .. } => {
                advise("name those databases too, or leave them out with --ignore-missing")
            }
            RecoveryError::NotADatabase { jet, .. } => match *jet {
                JetError::FILE_INVALID_TYPE => {
                    advise("name the database; --logs names the folder of its logs")
                }
                JetError::READ_VERIFY_FAILURE => {
                    advise("use another copy of the database with the same logs")
                }
                _ => None,
            },
            RecoveryError::Replay(error) => error.advice(),
            RecoveryError::End(problem) => problem.advice(),
            RecoveryError::NeverAttached { .. } => {
                advise("look for the logs of this database's stream")
            }
            RecoveryError::LostAttach { .. } => advise(
                "find an undamaged copy of the log that held the record, or use a newer copy",
            ),
            RecoveryError::PassedOver { .. } => advise(
                "the logs went on from another state of this database: use the copy that they belong to",
            ),
            RecoveryError::CutOff(_) => advise(
                "use another copy of the database with the same logs; `edbreplay run --lossy` recovers what is left of this one",
            ),
            RecoveryError::TooShort { .. } => advise("find the logs that follow"),
            RecoveryError::LimitTooEarly { .. } => advise(
                "raise the limit, begin with an older copy of the database, or add --until-undo",
            ),
            RecoveryError::LimitBeforeConsistent { .. } => advise(
                "begin with an older copy of the database, which the same logs bring forward, or raise the limit",
            ),
            RecoveryError::Interrupted => advise("nothing was written; run the same command again"),
        }
    }
}
