//! Recovery: from databases and a log stream to consistent databases.
//!
//! ```text
//! plan      which logs, from where on, whether that suffices, what is lost      nothing is changed
//! replay    redo of every record, up to the end or to a limit                    pages change
//! finish    undo of what is open, and a clean header                             or: a dirty header with the range
//! ```
//!
//! Nothing here knows where changed pages go: that is the affair of the [`PageFile`](crate::pages::PageFile) that each
//! database is opened with.

mod finish;
mod plan;
mod replay;
mod source;
mod survey;

pub use finish::{Finished, finish_clean, finish_dirty};
pub use plan::{DatabasePlan, Plan, plan};
pub use replay::{Ran, Until, replay};
pub use source::{DatabaseFile, SourcePages};
pub use survey::{OpenTransaction, Survey, survey};

use crate::error::{Problem, ReplayError};
use ese_format::{Generation, JetError};
use ese_log::LogError;
use evidence::EvidenceError;
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
}

impl RecoveryError {
    /// The error the engine would end with.
    pub fn jet(&self) -> Option<JetError> {
        match self {
            RecoveryError::Log(error) => error.jet(),
            RecoveryError::Replay(error) => Some(error.problem.jet()),
            RecoveryError::End(problem) => Some(problem.jet()),
            RecoveryError::Evidence(_) => Some(JetError::DISK_IO),
            RecoveryError::NotADatabase { jet, .. } => Some(*jet),
            RecoveryError::Interrupted => None,
            RecoveryError::Missing { .. } | RecoveryError::NeverAttached { .. } => {
                Some(JetError::ATTACHED_DATABASE_MISMATCH)
            }
            RecoveryError::LimitTooEarly { .. } => Some(JetError::REQUIRED_LOG_FILES_MISSING),
        }
    }
}
