//! Why a standby's configuration or state cannot be used.
//!
//! What goes wrong with a copy while it is served is not an error but its [`Trouble`](crate::trouble::Trouble): it is
//! kept, shown and acted on.

use ese_format::explain::{advice_on, advise, jet_of, said};
use ese_format::{Class, Explain, JetError};
use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// What the commands of a standby end with.
#[derive(Debug, Error)]
pub enum StandbyError {
    /// The operating system refused.
    #[error("{}: {}", path.display(), said(source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The configuration is not of its form.
    #[error("{}: {problem}", path.display())]
    Configuration {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        problem: String,
    },
    /// The configuration makes no sense.
    #[error("copy {name:?}: {problem}")]
    Copy {
        /// The copy.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// There is no such copy.
    #[error("there is no copy {name:?}; the configuration has {}", list(known))]
    NoCopy {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// There is one of this name.
    #[error("there is a copy {name:?} already")]
    Exists {
        /// The name.
        name: String,
    },
    /// A state file is not ours, or of a later version.
    #[error("{}: not a state that this program knows: {problem}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Another service works on the copy.
    #[error("copy {name:?} is served by another process, which holds {}", lock.display())]
    Served {
        /// The copy.
        name: String,
        /// The lock.
        lock: PathBuf,
    },
    /// The copy is not in a state for this.
    #[error("copy {name:?} {problem}")]
    NotNow {
        /// The copy.
        name: String,
        /// Why not.
        problem: &'static str,
    },
}

impl Explain for StandbyError {
    fn class(&self) -> Class {
        match self {
            StandbyError::Io { .. } => Class::Io,
            StandbyError::Configuration { .. }
            | StandbyError::Copy { .. }
            | StandbyError::NoCopy { .. } => Class::Usage,
            StandbyError::Exists { .. }
            | StandbyError::State { .. }
            | StandbyError::Served { .. }
            | StandbyError::NotNow { .. } => Class::Refused,
        }
    }

    fn jet(&self) -> Option<JetError> {
        match self {
            StandbyError::Io { source, .. } => Some(jet_of(source.kind())),
            _ => None,
        }
    }

    fn advice(&self) -> Option<Cow<'static, str>> {
        advise(match self {
            StandbyError::Io { source, .. } => return advice_on(source.kind()),
            StandbyError::Configuration { .. } | StandbyError::Copy { .. } => {
                "`scr help configuration` describes it"
            }
            StandbyError::NoCopy { .. } => "`scr status` lists the copies; `scr enable` adds one",
            StandbyError::Exists { .. } => "choose another name, or disable that copy first",
            StandbyError::State { .. } => {
                "a later version may have written it; move it away to start over; logs and database stay"
            }
            StandbyError::Served { .. } => "stop `scr run` first; two cannot work on one copy",
            StandbyError::NotNow { .. } => return None,
        })
    }
}

fn list(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}

/// Names the file an operation failed on.
pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> StandbyError {
    move |source| StandbyError::Io {
        path: path.to_owned(),
        source,
    }
}
