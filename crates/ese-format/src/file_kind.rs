//! Which kind of ESE file some bytes are, by what is in them and never by the name.
//!
//! Databases, logs, checkpoints and flush maps name their type at the same offset (667), and each has a checksum or a
//! magic number as well. One damaged field must not hide what a file is, so any of these marks decides.

use crate::database::{HEADERS_MAX, looks_like_database};
use crate::flush_map::FlushMapHeader;
use crate::foreign::looks_like;
use crate::log::{FILE_TYPE_CHECKPOINT, FILE_TYPE_LOG, FILE_TYPE_OFFSET, HEADER_SIZE};
use ese_checksum::{header_checksum, is_blank, stored_header_checksum};
use serde::Serialize;
use std::fmt;

/// Bytes from the start of a file that [`FileKind::detect`] can make use of.
pub const DETECT_BYTES: usize = HEADERS_MAX;

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A database.
    Database,
    /// A log file.
    Log,
    /// A checkpoint.
    Checkpoint,
    /// A flush map.
    FlushMap,
    /// A revert snapshot, which edbkit does not read.
    RevertSnapshot,
    /// Nothing but zeros: a reserve log, a log prepared but never written, or a file whose content is lost.
    Blank,
    /// No bytes at all.
    Empty,
    /// Nothing that ESE writes.
    Unknown,
}

impl FileKind {
    /// The kind of the file that starts with `start`: [`DETECT_BYTES`] bytes, or all if there are fewer.
    pub fn detect(start: &[u8]) -> Self {
        if start.is_empty() {
            return FileKind::Empty;
        }
        if is_blank(start) {
            return FileKind::Blank;
        }
        if let Some(kind) = named_kind(start) {
            return kind;
        }
        if looks_like_database(start) {
            return FileKind::Database;
        }
        // A checkpoint has a second copy after the first.
        match start.get(HEADER_SIZE..).and_then(named_kind) {
            Some(FileKind::Checkpoint) => FileKind::Checkpoint,
            _ if is_old_log(start) => FileKind::Log,
            _ => FileKind::Unknown,
        }
    }
}

impl FileKind {
    /// Why the file of this kind that starts with `start` cannot be read as a database.
    pub fn why_no_database(self, start: &[u8]) -> String {
        match self {
            FileKind::Empty => "the file is empty".to_owned(),
            FileKind::Blank => "it holds nothing but zeros".to_owned(),
            FileKind::Database | FileKind::Unknown => looks_like(start).map_or_else(
                || "neither copy of the header is one of a database".to_owned(),
                |what| format!("it looks like {what}"),
            ),
            kind => format!("it is a {kind}"),
        }
    }
}

/// The kind that the bytes name themselves, with a second mark to confirm it.
fn named_kind(bytes: &[u8]) -> Option<FileKind> {
    let name = u32_at(bytes, FILE_TYPE_OFFSET)?;
    match name {
        FILE_TYPE_LOG => Some(FileKind::Log),
        FILE_TYPE_CHECKPOINT => Some(FileKind::Checkpoint),
        FlushMapHeader::FILE_TYPE => Some(FileKind::FlushMap),
        10 => header_fits(bytes, 8192).then_some(FileKind::RevertSnapshot),
        _ => None,
    }
}

/// A log of a time or a damage in which it does not name its type: the header's checksum fits, and the version is
/// one that logs have.
fn is_old_log(bytes: &[u8]) -> bool {
    let major = u32_at(bytes, 28);
    header_fits(bytes, HEADER_SIZE) && matches!(major, Some(7 | 8))
}

fn header_fits(bytes: &[u8], size: usize) -> bool {
    bytes
        .get(..size)
        .is_some_and(|header| header_checksum(header) == stored_header_checksum(header))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let bytes = bytes.get(offset..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileKind::Database => "database",
            FileKind::Log => "log",
            FileKind::Checkpoint => "checkpoint",
            FileKind::FlushMap => "flush map",
            FileKind::RevertSnapshot => "revert snapshot",
            FileKind::Blank => "blank file",
            FileKind::Empty => "empty file",
            FileKind::Unknown => "not an ESE file",
        })
    }
}
