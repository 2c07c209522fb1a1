//! What stops the reading of a log stream.
//!
//! Damage is not an error: it is found, described ([`Damage`](crate::Damage)) and reported in full. Errors are what
//! keeps a file from being read at all, and where a reader of records has to stop.

use crate::chain::Proof;
use ese_format::explain::{advice_on, advise, jet_of};
use ese_format::log::{LogHeader, LogVersion, NEWEST_LOG_VERSION};
use ese_format::{Class, Explain, FormatError, Generation, JetError, Lgpos, RecordError};
use evidence::EvidenceError;
use std::borrow::Cow;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why a log stream, a file of it, or a record cannot be read.
#[derive(Debug, Error)]
pub enum LogError {
    /// The folder cannot be listed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] EvidenceError),
    /// The file is larger than any log can be.
    #[error("{} has {size} bytes, more than a log file can have ({limit})", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// The most that is read.
        limit: u64,
    },
    /// No log stream is there, or not the one asked for.
    #[error("{}: no log stream{}", folder.display(), base.as_ref().map(|base| format!(" with base name {base}")).unwrap_or_default())]
    NoStream {
        /// The folder.
        folder: PathBuf,
        /// The base name that was asked for.
        base: Option<String>,
    },
    /// Several streams are there and none was asked for.
    #[error("{}: several log streams ({}); name one by its base name", folder.display(), bases.join(", "))]
    SeveralStreams {
        /// The folder.
        folder: PathBuf,
        /// Base names of the streams.
        bases: Vec<String>,
    },
    /// The header of a log is damaged or of an unsupported version.
    #[error("{}: {problem}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: Box<HeaderProblem>,
        /// The engine's error.
        jet: JetError,
    },
    /// The next log is missing or does not continue the one before.
    #[error("{}: {}", path.display(), break_of(*expected, *found))]
    Sequence {
        /// The file that does not fit.
        path: PathBuf,
        /// The generation that should follow.
        expected: Generation,
        /// The generation it has.
        found: Generation,
        /// The engine's error.
        jet: JetError,
    },
    /// The log is damaged at a position where records were to be read.
    #[error("{}: log damaged at {lgpos}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first position that cannot be read.
        lgpos: Lgpos,
        /// The engine's error.
        jet: JetError,
    },
    /// The log is not all that was written to it, as the log after it shows.
    #[error("{}: {proof}", path.display())]
    Incomplete {
        /// The file.
        path: PathBuf,
        /// What shows it.
        proof: Proof,
        /// The engine's error.
        jet: JetError,
    },
    /// A record cannot be understood.
    #[error("{}: record at {lgpos}: {problem}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Where the record is.
        lgpos: Lgpos,
        /// What is wrong with it.
        problem: Box<RecordError>,
        /// The engine's error.
        jet: JetError,
    },
}

/// What is wrong with the header of a log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HeaderProblem {
    /// The file ends inside the header, or a field makes no sense.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// Every byte of the header is zero.
    #[error("the header is blank")]
    Blank,
    /// The log is of a version that a newer engine writes.
    #[error("log version {version} is newer than {NEWEST_LOG_VERSION}, the newest that is known")]
    Newer {
        /// The version.
        version: LogVersion,
    },
    /// The checksum does not fit.
    #[error("header checksum is {stored:#010x}, expected {computed:#010x}")]
    Checksum {
        /// What the header says.
        stored: u32,
        /// What its bytes give.
        computed: u32,
        /// The fields as they stand there.
        header: Box<LogHeader>,
    },
}

/// How a log does not continue the one before.
fn break_of(expected: Generation, found: Generation) -> String {
    match found == expected {
        true => format!("generation {found} ({found:#x}) does not continue the log before it"),
        false => format!(
            "generation {expected} ({expected:#x}) has to come next, {found} ({found:#x}) is there"
        ),
    }
}

impl LogError {
    /// A folder that cannot be opened or listed.
    pub(crate) fn unlisted(error: EvidenceError) -> LogError {
        match error {
            EvidenceError::Io { path, source } => LogError::Io { path, source },
            other => LogError::File(other),
        }
    }
}

impl Explain for LogError {
    fn class(&self) -> Class {
        match self {
            LogError::Io { .. } => Class::Io,
            LogError::File(error) => error.class(),
            LogError::TooLarge { .. } | LogError::NoStream { .. } => Class::NotEse,
            LogError::SeveralStreams { .. } => Class::Usage,
            LogError::Header { .. }
            | LogError::Sequence { .. }
            | LogError::Damaged { .. }
            | LogError::Incomplete { .. }
            | LogError::Record { .. } => Class::Finding,
        }
    }

    fn jet(&self) -> Option<JetError> {
        match self {
            LogError::Io { source, .. } => Some(jet_of(source.kind())),
            LogError::File(error) => error.jet(),
            LogError::TooLarge { .. }
            | LogError::NoStream { .. }
            | LogError::SeveralStreams { .. } => None,
            LogError::Header { jet, .. }
            | LogError::Sequence { jet, .. }
            | LogError::Damaged { jet, .. }
            | LogError::Incomplete { jet, .. }
            | LogError::Record { jet, .. } => Some(*jet),
        }
    }

    fn advice(&self) -> Option<Cow<'static, str>> {
        match self {
            LogError::Io { source, .. } if source.kind() == io::ErrorKind::NotADirectory => {
                advise("name the folder that holds the logs, not a file in it")
            }
            LogError::Io { source, .. } => advice_on(source.kind()),
            LogError::File(error) => error.advice(),
            LogError::TooLarge { .. } => advise("this is not a transaction log"),
            LogError::NoStream { .. } => advise(
                "name the folder that holds the logs, as in E0000000001.log; --base takes unusual names",
            ),
            LogError::SeveralStreams { .. } => advise("choose one with --base"),
            LogError::Header { .. } => advise(
                "look for another copy of the log; `logchain verify` shows what else is wrong",
            ),
            LogError::Sequence { .. }
            | LogError::Damaged { .. }
            | LogError::Incomplete { .. }
            | LogError::Record { .. } => {
                advise("what comes before is complete; `logchain verify` shows what follows")
            }
        }
    }
}
