//! Why something cannot be read, and whether that passes.

use ese_format::explain::{advice_on, advise, jet_of};
use ese_format::{Class, Explain, JetError};
use std::borrow::Cow;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why a file cannot be read.
#[derive(Debug, Error)]
pub enum EvidenceError {
    /// The operating system says no.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// It is not a regular file.
    #[error("{} is {kind}, not a file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// The file ended before the bytes that were there when it was opened.
    #[error(
        "{} ended at offset {offset:#x} + {available}, {needed} bytes were expected there: it shrank while it was read",
        path.display()
    )]
    Shrank {
        /// The file.
        path: PathBuf,
        /// Where the read began.
        offset: u64,
        /// Bytes that should have been there.
        needed: u64,
        /// Bytes that were.
        available: u64,
    },
}

impl Explain for EvidenceError {
    fn class(&self) -> Class {
        Class::Io
    }

    fn jet(&self) -> Option<JetError> {
        match self {
            EvidenceError::Io { source, .. } => Some(jet_of(source.kind())),
            EvidenceError::NotAFile { .. } => None,
            EvidenceError::Shrank { .. } => Some(JetError::DISK_IO),
        }
    }

    fn advice(&self) -> Option<Cow<'static, str>> {
        match self {
            EvidenceError::Io { source, .. } => advice_on(source.kind()),
            EvidenceError::NotAFile { kind, .. } if *kind == crate::DIRECTORY => {
                advise("name a file in it")
            }
            EvidenceError::NotAFile { .. } => {
                advise("only regular files are read; copy the data to a file first")
            }
            EvidenceError::Shrank { .. } => advise(
                "something writes to the file: work on a copy, or stop the service that uses it",
            ),
        }
    }
}

impl EvidenceError {
    /// What the system or store said of the file or folder at `path`.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |source| EvidenceError::Io { path, source }
    }
}

/// Whether a read that failed may succeed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadErrorKind {
    /// It may: a broken link, a busy server, a disk that did not answer.
    Passing,
    /// It will not: no such file, no permission.
    Permanent,
    /// The source is another one than before.
    Changed,
    /// The source is gone.
    Vanished,
    /// Another program has opened it and lets nobody read it.
    InUse,
}

/// A read that failed. As an [`io::Error`] it keeps what it knows.
#[derive(Debug, Clone, Error)]
#[error("{message}")]
pub struct ReadError {
    /// Whether it may succeed later.
    pub kind: ReadErrorKind,
    /// What happened.
    pub message: String,
}

impl ReadError {
    /// A failed read.
    pub fn new(kind: ReadErrorKind, message: impl Into<String>) -> Self {
        ReadError {
            kind,
            message: message.into(),
        }
    }

    /// What the system or store says, and whether that passes. An input/output error of a disk may come from a network
    /// underneath, so it is tried again.
    pub fn from_io(error: &io::Error) -> Self {
        use io::ErrorKind::{
            BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable,
            Interrupted, NetworkDown, NetworkUnreachable, NotConnected, NotFound, ResourceBusy,
            StaleNetworkFileHandle, TimedOut, WouldBlock,
        };
        const EIO: i32 = 5;
        const SHARING_VIOLATION: i32 = 32;
        const LOCK_VIOLATION: i32 = 33;
        let inner = error.get_ref();
        if let Some(known) = inner.and_then(|inner| inner.downcast_ref::<ReadError>()) {
            return known.clone();
        }
        let raw = error.raw_os_error();
        let kind = match error.kind() {
            NotFound => ReadErrorKind::Vanished,
            BrokenPipe
            | ConnectionAborted
            | ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
            | NotConnected
            | ResourceBusy
            | StaleNetworkFileHandle
            | TimedOut
            | WouldBlock => ReadErrorKind::Passing,
            _ if cfg!(windows) && matches!(raw, Some(SHARING_VIOLATION | LOCK_VIOLATION)) => {
                ReadErrorKind::InUse
            }
            _ if cfg!(unix) && raw == Some(EIO) => ReadErrorKind::Passing,
            _ => ReadErrorKind::Permanent,
        };
        ReadError::new(kind, error.to_string())
    }
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        let kind = match error.kind {
            ReadErrorKind::Passing => io::ErrorKind::HostUnreachable,
            ReadErrorKind::Vanished => io::ErrorKind::NotFound,
            ReadErrorKind::InUse => io::ErrorKind::ResourceBusy,
            ReadErrorKind::Permanent | ReadErrorKind::Changed => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

impl From<EvidenceError> for ReadError {
    fn from(error: EvidenceError) -> Self {
        match &error {
            EvidenceError::Io { source, .. } => ReadError::from_io(source),
            EvidenceError::NotAFile { .. } => {
                ReadError::new(ReadErrorKind::Permanent, error.to_string())
            }
            EvidenceError::Shrank { .. } => {
                ReadError::new(ReadErrorKind::Changed, error.to_string())
            }
        }
    }
}

/// A source that is not what it says: no further try will read it.
pub fn wrong(what: impl Into<String>) -> io::Error {
    ReadError::new(ReadErrorKind::Permanent, what).into()
}
