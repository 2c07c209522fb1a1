//! Why an export did not end.

use ese_db::DbError;
use ese_format::explain::{advice_on, advise, jet_of, said};
use ese_format::{Class, Explain, JetError};
use std::borrow::Cow;
use std::path::PathBuf;
use thiserror::Error;

/// An export that could not be done.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The database cannot be read at all.
    #[error(transparent)]
    Database(#[from] DbError),
    /// A table was asked for that is not there.
    #[error("there is no table {name:?}")]
    NoTable {
        /// Its name.
        name: String,
    },
    /// The destination holds something already.
    #[error("{} is not empty", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The destination holds an export of something else that was stopped.
    #[error("{} holds an export that was stopped, of another database, another state of it, or with other options", path.display())]
    OtherUnfinished {
        /// The folder.
        path: PathBuf,
    },
    /// A file could not be written.
    #[error("{}: {}", path.display(), said(source))]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system gives no threads.
    #[error(transparent)]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// The caller wanted to stop.
    #[error("stopped before the end")]
    Stopped,
}

impl ExportError {
    /// A failure to write `path`.
    pub(crate) fn write(path: impl Into<PathBuf>, source: impl Into<std::io::Error>) -> Self {
        ExportError::Write {
            path: path.into(),
            source: source.into(),
        }
    }
}

impl Explain for ExportError {
    fn class(&self) -> Class {
        match self {
            ExportError::Database(error) => error.class(),
            ExportError::NoTable { .. } => Class::Usage,
            ExportError::NotEmpty { .. } | ExportError::OtherUnfinished { .. } => Class::Refused,
            ExportError::Write { .. } | ExportError::Threads(_) => Class::Io,
            ExportError::Stopped => Class::Interrupted,
        }
    }

    fn jet(&self) -> Option<JetError> {
        match self {
            ExportError::Database(error) => error.jet(),
            ExportError::NoTable { .. } => Some(JetError::OBJECT_NOT_FOUND),
            ExportError::Write { source, .. } => Some(jet_of(source.kind())),
            ExportError::NotEmpty { .. }
            | ExportError::OtherUnfinished { .. }
            | ExportError::Threads(_)
            | ExportError::Stopped => None,
        }
    }

    fn advice(&self) -> Option<Cow<'static, str>> {
        match self {
            ExportError::Database(error) => error.advice(),
            ExportError::NoTable { .. } => advise("`edbtool tables` lists them"),
            ExportError::NotEmpty { .. } | ExportError::OtherUnfinished { .. } => {
                advise("choose another folder, or add --force to replace files of the same name")
            }
            ExportError::Write { source, .. } => advice_on(source.kind()),
            ExportError::Threads(_) => None,
            ExportError::Stopped => advise("the same command goes on with what is not there yet"),
        }
    }
}
