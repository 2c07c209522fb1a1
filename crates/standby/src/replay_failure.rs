//! Why logs could not be replayed onto a database of a copy.

use crate::obstacle::{Obstacle, is_locked};
use crate::trouble::TroubleKind;
use ese_format::{Class, Explain, Generation, JetError};
use ese_log::LogError;
use ese_replay::Problem;
use ese_replay::output::OutputError;
use ese_replay::recovery::RecoveryError;
use evidence::EvidenceError;
use std::borrow::Cow;
use std::io;
use thiserror::Error;

/// Memory for pages of the database.
pub(crate) const CACHE_BYTES: u64 = 64 << 20;

/// Why logs could not be replayed.
#[derive(Debug, Error)]
pub enum ReplayFailure {
    /// The logs in the folder and the database do not make a recovery.
    #[error("{reasons}")]
    Blocked {
        /// Why.
        reasons: String,
        /// The error that the engine would end with.
        jet: JetError,
    },
    /// A record or a file is in the way.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The database could not be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl Explain for ReplayFailure {
    fn class(&self) -> Class {
        match self {
            ReplayFailure::Blocked { .. } => Class::Refused,
            ReplayFailure::Recovery(error) => error.class(),
            ReplayFailure::Output(error) => error.class(),
        }
    }

    fn jet(&self) -> Option<JetError> {
        match self {
            ReplayFailure::Blocked { jet, .. } => Some(*jet),
            ReplayFailure::Recovery(error) => error.jet(),
            ReplayFailure::Output(error) => error.jet(),
        }
    }

    fn advice(&self) -> Option<Cow<'static, str>> {
        match self {
            ReplayFailure::Blocked { .. } => None,
            ReplayFailure::Recovery(error) => error.advice(),
            ReplayFailure::Output(error) => error.advice(),
        }
    }
}

impl From<LogError> for ReplayFailure {
    fn from(error: LogError) -> Self {
        RecoveryError::Log(error).into()
    }
}

impl ReplayFailure {
    /// What the operating system said, if it was it that refused.
    fn refused(&self) -> Option<&io::Error> {
        let recovery = match self {
            ReplayFailure::Output(OutputError::Io { error, .. }) => return Some(error),
            ReplayFailure::Output(OutputError::Source(error)) => error,
            ReplayFailure::Recovery(error) => error,
            _ => return None,
        };
        match recovery {
            RecoveryError::Log(LogError::Io { source, .. })
            | RecoveryError::Evidence(EvidenceError::Io { source, .. }) => Some(source),
            RecoveryError::End(Problem::Io { error, .. }) => Some(error),
            RecoveryError::Replay(error) => match &error.problem {
                Problem::Io { error, .. } => Some(error),
                _ => None,
            },
            _ => None,
        }
    }

    pub(crate) fn obstacle(&self, generation: Option<Generation>) -> Obstacle {
        let in_use = matches!(self, ReplayFailure::Output(OutputError::InUse { .. }));
        let kind = match self.refused() {
            _ if in_use => TroubleKind::Locked,
            Some(error) if is_locked(error) => TroubleKind::Locked,
            Some(_) => TroubleKind::TargetWrite,
            None => TroubleKind::Replay,
        };
        Obstacle {
            kind,
            reason: format!("replay: {self}"),
            jet: self.jet(),
            generation,
        }
    }
}
