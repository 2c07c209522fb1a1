//! How a program ends.

use ese_format::explain::{advice_on, jet_of, said};
use ese_format::{Class, Explain, JetError, JetSuffix};
use serde::Serialize;
use std::borrow::Cow;
use std::fmt::{self, Display};
use std::io;
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
    /// All of them, in their order.
    pub const ALL: [Exit; 7] = [
        Exit::Clean,
        Exit::Finding,
        Exit::Usage,
        Exit::Io,
        Exit::NotEse,
        Exit::Refused,
        Exit::Interrupted,
    ];

    /// One or two words for it, and what it means.
    pub(crate) fn words(self) -> (&'static str, &'static str) {
        match self {
            Exit::Clean => ("clean", "done, and nothing is wrong"),
            Exit::Finding => ("finding", "done, and something is wrong with the data"),
            Exit::Usage => ("usage", "the command line makes no sense"),
            Exit::Io => ("I/O", "the operating system could not read or write"),
            Exit::NotEse => ("not ESE", "not an ESE file, or of an unsupported version"),
            Exit::Refused => ("refused", "refused, because it would do harm"),
            Exit::Interrupted => ("interrupted", "interrupted; run the same command again"),
        }
    }

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

impl From<Class> for Exit {
    fn from(class: Class) -> Self {
        match class {
            Class::Finding => Exit::Finding,
            Class::Usage => Exit::Usage,
            Class::Io => Exit::Io,
            Class::NotEse => Exit::NotEse,
            Class::Refused => Exit::Refused,
            Class::Interrupted => Exit::Interrupted,
        }
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
    /// Its name for programs, where it has to be distinguished from others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

impl Failure {
    /// A failure with a message and nothing else.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Failure {
            exit,
            message: message.into(),
            advice: None,
            jet: None,
            reason: None,
        }
    }

    /// What a library ended with. This is the only place where an error becomes an exit code.
    pub fn of(error: &dyn Explain) -> Self {
        Failure {
            exit: error.class().into(),
            message: error.to_string(),
            advice: error.advice().map(Cow::into_owned),
            jet: error.jet(),
            reason: error.reason(),
        }
    }

    /// The same, of an error that does not know its file.
    pub fn of_file(path: &Path, error: &dyn Explain) -> Self {
        let mut failure = Failure::of(error);
        failure.message = format!("{}: {}", path.display(), failure.message);
        failure
    }

    /// A file could not be opened, read or written.
    pub fn io(path: &Path, error: &io::Error) -> Self {
        Failure {
            exit: Exit::Io,
            message: format!("{}: {}", path.display(), said(error)),
            advice: advice_on(error.kind()).map(Cow::into_owned),
            jet: Some(jet_of(error.kind())),
            reason: None,
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Adds more to what there is to do about it.
    #[must_use]
    pub fn advise_too(mut self, advice: &str) -> Self {
        self.advice = Some(match self.advice {
            Some(first) => format!("{first}; {advice}"),
            None => advice.to_owned(),
        });
        self
    }

    /// The failure of a command that only looks: that the data cannot give a result is its finding.
    #[must_use]
    pub fn as_finding(mut self) -> Self {
        if self.exit == Exit::Refused {
            self.exit = Exit::Finding;
        }
        self
    }

    /// Adds the engine's error number.
    #[must_use]
    pub fn jet(mut self, jet: JetError) -> Self {
        self.jet = Some(jet);
        self
    }
}

/// One line of message with the JET error, one line of advice.
impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.message, JetSuffix(self.jet))?;
        if let Some(advice) = &self.advice {
            write!(f, "\n  {advice}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}
