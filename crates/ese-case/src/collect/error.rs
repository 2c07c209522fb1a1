//! Why a case was not made.

use ese_export::ExportError;
use ese_format::explain::advise;
use ese_format::{Class, Explain, JetError};
use evidence::EvidenceError;
use std::borrow::Cow;
use std::path::PathBuf;
use thiserror::Error;

/// A collection that did not come to its end. What is wrong with one database is none of these: that is in the case.
#[derive(Debug, Error)]
pub enum CollectError {
    /// A file of the case could not be written, the folder holds something else, or the caller wanted to stop.
    #[error(transparent)]
    Write(#[from] ExportError),
    /// No database was found.
    #[error("there is no database to collect")]
    Nothing,
    /// The folder holds a case of other sources, or one that was made with other options.
    #[error("{} holds a case of other paths, or with other options", path.display())]
    OtherCase {
        /// The folder.
        path: PathBuf,
    },
    /// A source is not what it was when its rows were written.
    #[error("{source_path} is not what it was when the case was begun: {what}")]
    SourceChanged {
        /// The source.
        source_path: String,
        /// What differs.
        what: String,
    },
    /// A source whose rows were written is not found any more.
    #[error("{source_path} was collected into this case, and is not found now")]
    SourceGone {
        /// The source.
        source_path: String,
    },
    /// The folder of the case lies within what is collected.
    #[error("{} lies within {}, which is collected", path.display(), within.display())]
    WithinSource {
        /// The folder.
        path: PathBuf,
        /// The path that was given.
        within: PathBuf,
    },
    /// Another run writes the case.
    #[error("{} is being written by another run", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
}

impl Explain for CollectError {
    fn class(&self) -> Class {
        match self {
            CollectError::Write(error) => error.class(),
            CollectError::Nothing => Class::NotEse,
            CollectError::OtherCase { .. }
            | CollectError::SourceChanged { .. }
            | CollectError::SourceGone { .. }
            | CollectError::WithinSource { .. }
            | CollectError::Locked { .. } => Class::Refused,
        }
    }

    fn jet(&self) -> Option<JetError> {
        match self {
            CollectError::Write(error) => error.jet(),
            _ => None,
        }
    }

    fn advice(&self) -> Option<Cow<'static, str>> {
        match self {
            CollectError::Write(ExportError::NotEmpty { .. }) => {
                advise("choose another folder: a case has one of its own")
            }
            CollectError::Write(error) => error.advice(),
            CollectError::Nothing => advise("`edbtool find` says what is there"),
            CollectError::OtherCase { .. } => advise(
                "give the same paths and options to go on, or choose another folder, or add --force to replace the case",
            ),
            CollectError::SourceChanged { .. } | CollectError::SourceGone { .. } => advise(
                "give back the source as it was, or collect into another folder; --force replaces the case",
            ),
            CollectError::WithinSource { .. } => {
                advise("choose a folder elsewhere: nothing is written beside evidence")
            }
            CollectError::Locked { .. } => advise("wait until it ends"),
        }
    }
}

impl From<EvidenceError> for CollectError {
    fn from(error: EvidenceError) -> Self {
        CollectError::Write(ExportError::Database(error.into()))
    }
}
