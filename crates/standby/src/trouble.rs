//! What keeps a copy from going on.

use ese_format::{Generation, JetError};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What keeps a copy from going on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What kind.
    pub kind: TroubleKind,
    /// What happened, in one line.
    pub reason: String,
    /// The engine's error number, where it has one.
    pub jet: Option<Jet>,
    /// The log it is about.
    pub generation: Option<Generation>,
    /// Since when.
    pub since: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried again; none if a person has to act first.
    pub next_try: Option<Timestamp>,
}

/// A JET error as it is kept and shown: `{"code": -528, "name": "MissingLogFile"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jet {
    /// The number.
    pub code: i32,
    /// Its name without `JET_err`.
    pub name: String,
}

impl From<JetError> for Jet {
    fn from(jet: JetError) -> Self {
        Jet {
            code: jet.code,
            name: jet.name.to_owned(),
        }
    }
}

/// Kinds of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TroubleKind {
    /// The source cannot be listed or read.
    SourceUnreachable,
    /// A log at the source is in use by another program.
    Locked,
    /// The target cannot be written; its disk is full, perhaps.
    TargetWrite,
    /// A log is damaged, cut off or half written.
    Damaged,
    /// A log is missing at the source though there are later ones.
    Gap,
    /// A log belongs to another stream.
    Foreign,
    /// A log does not continue the one before it.
    Diverged,
    /// The database holds changes of logs that the source has lost: only a new seed helps.
    Reseed,
    /// Logs cannot be replayed onto the database.
    Replay,
    /// The current log of the source is missing, damaged or another one.
    CurrentMissing,
    /// A file that the copy did not make has the name of the next log.
    Occupied,
    /// The database of the copy is not there, or cannot be activated as things are.
    Database,
}

impl TroubleKind {
    /// How often it is tried before a person has to act; `None` for what passes by itself.
    pub fn patience(self) -> Option<u32> {
        match self {
            TroubleKind::SourceUnreachable
            | TroubleKind::Locked
            | TroubleKind::TargetWrite
            | TroubleKind::CurrentMissing
            | TroubleKind::Database => None,
            TroubleKind::Damaged
            | TroubleKind::Gap
            | TroubleKind::Foreign
            | TroubleKind::Diverged
            | TroubleKind::Replay => Some(3),
            TroubleKind::Reseed | TroubleKind::Occupied => Some(1),
        }
    }
}

impl Trouble {
    /// Whether a person has to act.
    pub fn is_final(&self) -> bool {
        self.next_try.is_none()
    }
}
