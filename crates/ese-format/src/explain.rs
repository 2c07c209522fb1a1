//! What every error of the libraries knows of itself: how a program ends on it, the engine's number, and what to do.
//!
//! It stands beside each error, in the crate that raises it; programs turn it into a message and an exit code in one
//! place. `docs/exit-codes.md` lists all of it.

use crate::JetError;
use std::borrow::Cow;
use std::error::Error;
use std::io::{self, ErrorKind};

/// How a program ends on an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// What was asked for was done as far as the data allows, and something is wrong with them.
    Finding,
    /// What was asked for makes no sense.
    Usage,
    /// The operating system could not read or write.
    Io,
    /// The file is not an ESE file, or of a version that is not supported.
    NotEse,
    /// There is no result, because one would do harm or would not be right.
    Refused,
    /// It was stopped; the same command goes on.
    Interrupted,
}

/// An error that knows its consequences.
pub trait Explain: Error {
    /// How a program ends on it.
    fn class(&self) -> Class;

    /// The engine's number for it, where it has one.
    fn jet(&self) -> Option<JetError> {
        None
    }

    /// Its name for programs, where it has to be distinguished from others.
    fn reason(&self) -> Option<&'static str> {
        None
    }

    /// What to do about it, in one line.
    fn advice(&self) -> Option<Cow<'static, str>> {
        None
    }
}

/// The engine's number for what the operating system said.
pub fn jet_of(kind: ErrorKind) -> JetError {
    match kind {
        ErrorKind::NotFound => JetError::FILE_NOT_FOUND,
        ErrorKind::PermissionDenied => JetError::FILE_ACCESS_DENIED,
        ErrorKind::StorageFull => JetError::DISK_FULL,
        ErrorKind::NotADirectory | ErrorKind::IsADirectory => JetError::INVALID_PATH,
        _ => JetError::DISK_IO,
    }
}

/// What to do about what the operating system said.
pub fn advice_on(kind: ErrorKind) -> Option<Cow<'static, str>> {
    let advice = match kind {
        ErrorKind::NotFound => "check the path",
        ErrorKind::PermissionDenied => "run as a user who may do this, or work on a copy elsewhere",
        ErrorKind::NotADirectory => "name a folder",
        ErrorKind::IsADirectory => "name a file in it",
        ErrorKind::StorageFull => "make room, and run the same command again",
        _ => return None,
    };
    Some(advice.into())
}

/// Wraps a fixed text.
pub fn advise(advice: &'static str) -> Option<Cow<'static, str>> {
    Some(Cow::Borrowed(advice))
}

/// What the operating system said, without the name of a temporary file that nobody asked for (the crate `tempfile` adds it
/// at the end).
pub fn said(error: &io::Error) -> String {
    let said = error.to_string();
    let end = said.find(" at path \"").unwrap_or(said.len());
    said[..end].to_owned()
}
