//! What stops a replay.
//!
//! [`Problem`] is what went wrong, [`ReplayError`] adds where in the logs. Every one names the engine's error number, so
//! that an administrator finds it again in event logs and in Microsoft's documentation.

use crate::page_edit::EditError;
use ese_format::explain::{advice_on, advise, jet_of};
use ese_format::{Class, Dbtime, Explain, FormatError, JetError, Lgpos, Pgno, RecordError};
use std::borrow::Cow;
use thiserror::Error;

/// A replay that cannot go on.
#[derive(Debug, Error)]
#[error("log record {record} at {lgpos}: {problem}")]
pub struct ReplayError {
    /// The record that could not be applied.
    pub lgpos: Lgpos,
    /// Its type, as log dumps name it.
    pub record: &'static str,
    /// What was wrong.
    #[source]
    pub problem: Problem,
}

/// What went wrong.
#[derive(Debug, Error)]
pub enum Problem {
    /// The page lacks changes that came before this record.
    #[error("page {pgno} has dbtime {found}, the record expects {before}: it lacks changes")]
    DbtimeTooOld {
        /// The page.
        pgno: Pgno,
        /// What the record expects.
        before: Dbtime,
        /// What the page has.
        found: Dbtime,
        /// What the page would have after.
        after: Dbtime,
    },
    /// The page has changes that the log does not know.
    #[error(
        "page {pgno} has dbtime {found}, between {before} and {after} of the record: it has changes the log lacks"
    )]
    DbtimeTooNew {
        /// The page.
        pgno: Pgno,
        /// What the record expects.
        before: Dbtime,
        /// What the page has.
        found: Dbtime,
        /// What the page would have after.
        after: Dbtime,
    },
    /// The page has the change already, though the database says that it cannot.
    #[error(
        "page {pgno} has dbtime {found} so it has this change ({after}), but the database needs no log as late as this"
    )]
    DbtimeBeyondRequired {
        /// The page.
        pgno: Pgno,
        /// What the page has.
        found: Dbtime,
        /// What the page would have after.
        after: Dbtime,
    },
    /// A page is newer than the logs know of.
    #[error(
        "page {pgno} has dbtime {found}, but the logs know of none above {highest}: the logs lack what changed it"
    )]
    DbtimeBeyondLogs {
        /// The page.
        pgno: Pgno,
        /// What the page has.
        found: Dbtime,
        /// The highest that the logs know of.
        highest: Dbtime,
    },
    /// A page's bytes do not match its checksum.
    #[error("page {pgno} fails its checksum")]
    BadChecksum {
        /// The page.
        pgno: Pgno,
    },
    /// A page that should be in use is blank.
    #[error("page {pgno} is blank")]
    Blank {
        /// The page.
        pgno: Pgno,
    },
    /// A page that a shrink gave up was needed after all.
    #[error("page {pgno} was given up by a shrink, and a record needs it")]
    Shrunk {
        /// The page.
        pgno: Pgno,
    },
    /// A page that should be in use lies beyond the end of the file.
    #[error("page {pgno} is beyond the last page {last}")]
    BehindEnd {
        /// The page.
        pgno: Pgno,
        /// The last page of the file.
        last: Pgno,
    },
    /// A database was last consistent at another place than the log says.
    #[error(
        "the database was last consistent at {found}, the log attaches one that was at {logged}"
    )]
    ConsistentTimeMismatch {
        /// What the database's header says.
        found: Lgpos,
        /// What the log says.
        logged: Lgpos,
    },
    /// A page is not what the record expects.
    #[error("{0}")]
    Edit(#[from] EditError),
    /// The record does not decode.
    #[error("{0}")]
    Record(RecordError),
    /// The record is not what it claims to be.
    #[error("{0}")]
    Format(#[from] FormatError),
    /// A record needs a page as it was before, and neither disk nor log has it.
    #[error("page {pgno} is needed as it was before the record, which does not hold it")]
    NoPageImage {
        /// The page.
        pgno: Pgno,
    },
    /// An image of a page in a record cannot be unpacked.
    #[error("the image of page {pgno} in the record cannot be unpacked: {what}")]
    PageImage {
        /// The page.
        pgno: Pgno,
        /// What is wrong.
        what: &'static str,
    },
    /// A page holds a change of a transaction that is open, and the record of how to undo it is not in the logs.
    #[error(
        "page {pgno} holds a change ({rceid:#x}) of a transaction that is open at the end of the logs, and they do not say how to \
         undo it: the end of the last log is missing"
    )]
    NoUndoInfo {
        /// The page.
        pgno: Pgno,
        /// The id of the change.
        rceid: u32,
    },
    /// A rollback in the log names an operation that no record before it did.
    #[error("the operation {rceid:#x} that is undone was never done")]
    NoVersion {
        /// The id of the operation.
        rceid: u32,
    },
    /// A row that should be rolled back is not in its tree.
    #[error("a row of the tree at page {pgno} that is to be rolled back is not there")]
    NoRow {
        /// The root of the tree.
        pgno: Pgno,
    },
    /// A tree's pages do not hang together.
    #[error("the tree at page {root} is broken at page {pgno}: {what}")]
    Tree {
        /// The root of the tree.
        root: Pgno,
        /// The page.
        pgno: Pgno,
        /// What is wrong.
        what: &'static str,
    },
    /// Records of one macro operation do not belong together.
    #[error("a macro operation is incomplete: {0}")]
    Macro(&'static str),
    /// A record of a form so old that no image of its pages is logged, and that its pages do not hold yet.
    #[error("records of type {0} cannot be applied; the engine refuses them too")]
    Obsolete(&'static str),
    /// A database creation by an engine so old that its unlogged steps are unknown.
    #[error(
        "the database was created by an engine of format {version:#x}, whose creation is not logged in full"
    )]
    CreateVersion {
        /// The version.
        version: u16,
    },
    /// A page compared by the log's scan differs.
    #[error("page {pgno} differs from what the log's scan saw: {what}")]
    Divergence {
        /// The page.
        pgno: Pgno,
        /// How.
        what: &'static str,
    },
    /// The file could not be read or written.
    #[error("{action} page {pgno}: {error}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// The page.
        pgno: Pgno,
        /// What the operating system said.
        error: std::io::Error,
    },
}

impl Problem {
    /// The error the engine would raise.
    pub fn jet(&self) -> JetError {
        match self {
            Problem::DbtimeTooOld { .. } => JetError::DB_TIME_TOO_OLD,
            Problem::DbtimeTooNew { .. } => JetError::DB_TIME_TOO_NEW,
            Problem::DbtimeBeyondRequired { .. } => JetError::DB_TIME_BEYOND_MAX_REQUIRED,
            Problem::DbtimeBeyondLogs { .. } => JetError::DB_TIME_CORRUPTED,
            Problem::BadChecksum { .. } => JetError::READ_VERIFY_FAILURE,
            Problem::Blank { .. } => JetError::PAGE_NOT_INITIALIZED,
            Problem::Shrunk { .. } => JetError::RECOVERY_VERIFY_FAILURE,
            Problem::BehindEnd { .. } => JetError::FILE_IO_BEYOND_EOF,
            Problem::Edit(error) => error.jet(),
            Problem::ConsistentTimeMismatch { .. } => JetError::CONSISTENT_TIME_MISMATCH,
            Problem::Record(error) => error.jet(),
            Problem::Format(_) | Problem::Macro(_) | Problem::PageImage { .. } => {
                JetError::LOG_FILE_CORRUPT
            }
            Problem::NoPageImage { .. } | Problem::NoUndoInfo { .. } => {
                JetError::DATABASE_BUFFER_DEPENDENCIES_CORRUPTED
            }
            Problem::NoVersion { .. } => JetError::LOG_OPERATION_INCONSISTENT_WITH_DATABASE,
            Problem::NoRow { .. } | Problem::Tree { .. } | Problem::Divergence { .. } => {
                JetError::DATABASE_CORRUPTED
            }
            Problem::Obsolete(_) => JetError::BAD_LOG_VERSION,
            Problem::CreateVersion { .. } => JetError::INVALID_CREATE_DB_VERSION,
            Problem::Io { error, .. } => jet_of(error.kind()),
        }
    }

    /// Adds where it happened.
    pub fn at(self, lgpos: Lgpos, record: &'static str) -> ReplayError {
        ReplayError {
            lgpos,
            record,
            problem: self,
        }
    }
}

impl Explain for Problem {
    /// A replay that cannot go on leaves no result, whatever stopped it: that is never a mere finding.
    fn class(&self) -> Class {
        match self {
            Problem::Io { .. } => Class::Io,
            _ => Class::Refused,
        }
    }

    fn jet(&self) -> Option<JetError> {
        Some(Problem::jet(self))
    }

    fn advice(&self) -> Option<Cow<'static, str>> {
        if let Problem::Io { error, .. } = self {
            return advice_on(error.kind());
        }
        let advice = match Problem::jet(self) {
            JetError::DB_TIME_TOO_OLD => {
                "a write to this page was lost, or a log is not whole, or logs are from another copy: check both with `logchain \
                 verify` and `edbtool verify`, or use an older copy of the database"
            }
            JetError::DB_TIME_TOO_NEW => {
                "the page was changed by something that these logs do not hold: look for the right logs"
            }
            JetError::DB_TIME_CORRUPTED | JetError::DATABASE_BUFFER_DEPENDENCIES_CORRUPTED => {
                "the last log is not whole, or it is another one: look for an undamaged copy of it"
            }
            JetError::READ_VERIFY_FAILURE => {
                "it is damaged on disk: use another copy of the database with the same logs"
            }
            JetError::PAGE_NOT_INITIALIZED | JetError::FILE_IO_BEYOND_EOF => {
                "the database is damaged or cut off: use another copy of it with the same logs"
            }
            JetError::CONSISTENT_TIME_MISMATCH => {
                "this is not the copy that the logs continue: use one from before, or the one they name"
            }
            _ => return None,
        };
        advise(advice)
    }
}

impl Explain for ReplayError {
    fn class(&self) -> Class {
        self.problem.class()
    }

    fn jet(&self) -> Option<JetError> {
        Some(self.problem.jet())
    }

    fn advice(&self) -> Option<Cow<'static, str>> {
        self.problem.advice()
    }
}
