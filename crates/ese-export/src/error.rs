//! Why an export did not finish.

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
        /// Names that may be meant.
        near: Vec<String>,
    },
    /// A column was asked for that the table, as it is exported, does not have.
    #[error("{table:?} has no column {name:?}")]
    NoColumn {
        /// The table.
        table: String,
        /// Its name.
        name: String,
        /// Names that may be meant.
        near: Vec<String>,
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
    pub fn write(path: impl Into<PathBuf>, source: impl Into<std::io::Error>) -> Self {
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
            ExportError::NoTable { .. } | ExportError::NoColumn { .. } => Class::Usage,
            ExportError::NotEmpty { .. } | ExportError::OtherUnfinished { .. } => Class::Refused,
            ExportError::Write { .. } | ExportError::Threads(_) => Class::Io,
            ExportError::Stopped => Class::Interrupted,
        }
    }

    fn jet(&self) -> Option<JetError> {
        match self {
            ExportError::Database(error) => error.jet(),
            ExportError::NoTable { .. } => Some(JetError::OBJECT_NOT_FOUND),
            ExportError::NoColumn { .. } => Some(JetError::COLUMN_NOT_FOUND),
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
            ExportError::NoTable { near, .. } => {
                Some(with_near(near, "`edbtool tables --names` lists them"))
            }
            ExportError::NoColumn { near, .. } => {
                Some(with_near(near, "`edbtool schema` lists them"))
            }
            ExportError::NotEmpty { .. } | ExportError::OtherUnfinished { .. } => {
                advise("choose another folder, or add --force to replace files of the same name")
            }
            ExportError::Write { source, .. } => advice_on(source.kind()),
            ExportError::Threads(_) => None,
            ExportError::Stopped => advise("the same command goes on with what is not there yet"),
        }
    }
}

/// Advice that begins with the names that may be meant.
fn with_near(near: &[String], advice: &'static str) -> Cow<'static, str> {
    if near.is_empty() {
        return advice.into();
    }
    let near: Vec<String> = near.iter().map(|name| format!("{name:?}")).collect();
    format!("near it: {}; {advice}", near.join(", ")).into()
}
