//! Why an export did not end.

use ese_db::DbError;
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
    /// A file could not be written.
    #[error("{}: {source}", path.display())]
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
