//! How a program ends.

use ese_format::JetError;
use evidence::EvidenceError;
use serde::Serialize;
use std::fmt::{self, Display};
use std::io::{self, ErrorKind};
use std::path::Path;

/// The exit codes, the same in every program (`docs/exit-codes.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Exit {
    /// Everything was done and nothing is wrong.
    Clean = 0,
    /// Everything was done, and something is wrong with the data: dirty, a gap, a bad page, rows lost.
    Finding = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The operating system could not read or write.
    Io = 3,
    /// The file is not ESE's, or of a version that is not supported.
    NotEse = 4,
    /// Refused, because doing it would do harm.
    Refused = 5,
    /// Interrupted; the same command goes on from here.
    Interrupted = 6,
}

impl Exit {
    /// The worse of two outcomes for a program that did both. Being interrupted outranks everything else, since the
    /// rest is not known yet; then comes what says most about why data could not be read.
    pub fn and(self, other: Exit) -> Exit {
        self.max(other)
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        std::process::ExitCode::from(exit as u8)
    }
}

/// Why a command could not do its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The exit code that follows.
    pub exit: Exit,
    /// What happened, in one line.
    pub message: String,
    /// What to do about it, in one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// The engine's number for it, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jet: Option<JetError>,
}

impl Failure {
    /// A failure with a message and nothing else.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Failure {
            exit,
            message: message.into(),
            advice: None,
            jet: None,
        }
    }

    /// A file could not be opened, read or written.
    pub fn io(path: &Path, error: &io::Error) -> Self {
        let message = format!("{}: {}", path.display(), plain(error));
        let failure = Failure::new(Exit::Io, message);
        match error.kind() {
            ErrorKind::PermissionDenied => failure
                .jet(JetError::FILE_ACCESS_DENIED)
                .advise("run as a user who may do this, or work on a copy elsewhere"),
            ErrorKind::NotFound => failure
                .jet(JetError::FILE_NOT_FOUND)
                .advise("check the path"),
            ErrorKind::NotADirectory => failure.advise("name a folder"),
            ErrorKind::IsADirectory => failure.advise("name a file in it"),
            ErrorKind::StorageFull => failure.advise("make room"),
            _ => failure,
        }
    }

    /// A source file could not be opened or read.
    pub fn unreadable(error: &EvidenceError) -> Self {
        let failure = Failure::new(Exit::Io, error.to_string());
        match error {
            EvidenceError::Io { path, source } => Failure::io(path, source),
            EvidenceError::NotAFile { path, .. } if path.is_dir() => {
                failure.advise("name a file in it")
            }
            EvidenceError::NotAFile { .. } => {
                failure.advise("only regular files are read; copy the data to a file first")
            }
            EvidenceError::Shrank { .. } => failure.advise(
                "something writes to the file: work on a copy, or stop the service that uses it",
            ),
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Adds the engine's error number.
    #[must_use]
    pub fn jet(mut self, jet: JetError) -> Self {
        self.jet = Some(jet);
        self
    }
}

/// What the operating system said, without the name of a temporary file that nobody asked for (the crate `tempfile` adds
/// it at the end).
fn plain(error: &io::Error) -> String {
    let said = error.to_string();
    let end = said.find(" at path \"").unwrap_or(said.len());
    said[..end].to_owned()
}

/// One line of message with the JET error, one line of advice.
impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(jet) = self.jet {
            write!(f, " [JET {jet}]")?;
        }
        if let Some(advice) = &self.advice {
            write!(f, "\n  {advice}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}
