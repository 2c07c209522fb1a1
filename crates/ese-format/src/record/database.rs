//! Records about databases as a whole: create, attach, detach, format version.
//!
//! Source: `LRCREATEDB`, `LRCREATEDBFINISH`, `LRATTACHDB`, `LRDETACHDB`, `LRREATTACHDB`, `LRSIGNALATTACHDB`,
//! `LRSETDBVERSION` (`inc/logapi.hxx`).

use super::body::{Variable, record};
use super::values::{Ascii, stored_flags};
use crate::layout::{Stored, layout};
use crate::text::{Escaped, utf16_units};
use crate::{Lgpos, ProcId, Signature};
use serde::{Serialize, Serializer};
use std::fmt;

/// File names as a record stores them: one after the other, each ended by a zero.
///
/// The first is the database; engines that knew streaming files may name those after it. Names are what the writing
/// machine called things: data, never a path to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileNames<'a> {
    /// Whether characters are UTF-16 rather than single bytes of an unknown code page.
    pub unicode: bool,
    /// The names as stored.
    pub bytes: &'a [u8],
}

impl FileNames<'_> {
    /// The first name.
    pub fn first(self) -> String {
        self.iter().next().unwrap_or_default()
    }

    /// All names that are not empty.
    pub fn iter(self) -> impl Iterator<Item = String> {
        let texts: Vec<String> = if self.unicode {
            utf16_units(self.bytes)
                .split(|unit| *unit == 0)
                .map(String::from_utf16_lossy)
                .collect()
        } else {
            let names = self.bytes.split(|byte| *byte == 0);
            names.map(|name| Ascii(name).to_string()).collect()
        };
        texts.into_iter().filter(|text| !text.is_empty())
    }
}

/// The mark says whether the names are UTF-16; it is stored elsewhere.
impl<'a> Variable<'a> for FileNames<'a> {
    fn read(found: Option<(&'a [u8], u32)>) -> Self {
        let (bytes, mark) = found.unwrap_or_default();
        FileNames {
            unicode: mark != 0,
            bytes,
        }
    }

    fn append(&self, bytes: &mut Vec<u8>) -> Option<u32> {
        self.bytes.append(bytes)
    }
}

/// The first name.
impl fmt::Display for FileNames<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(&self.first()).fmt(f)
    }
}

/// A list of all names.
impl Serialize for FileNames<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

stored_flags! {
    /// Which parts a [`CreateDb`] has (`fLRCreateDb*`).
    pub struct CreateDbFlags: u8 {
        /// A streaming file was created with it (obsolete).
        const SLV_FILE = 0x01;
        /// No provider served the streaming file (obsolete).
        const SLV_PROVIDER_NOT_ENABLED = 0x02;
        /// The version is there; since 7.3704.8.
        const VERSION_INFO = 0x04;
        /// Names are UTF-16; since 7.3704.9.
        const UNICODE_NAMES = 0x08;
        /// The file may be sparse.
        const SPARSE_FILE = 0x10;
    }
}

layout! {
    /// The format version that a database was created with; not the full one, which its first attach sets.
    #[derive(Copy, Serialize)]
    CreateDbVersion [0..4] {
        0 version: u16 = "Major version (`0x620`).";
        2 update_major: u16 = "Major update.";
    }
}

impl<'a> Variable<'a> for Option<CreateDbVersion> {
    fn read(found: Option<(&'a [u8], u32)>) -> Self {
        found.map(|(bytes, _)| CreateDbVersion::load(bytes))
    }

    fn append(&self, bytes: &mut Vec<u8>) -> Option<u32> {
        self.as_ref()
            .map(|version| bytes.extend(version.to_bytes()))
            .map(|()| 0)
    }
}

record! {
    /// A database was created (`LRCREATEDB`).
    CreateDb<'a> [1..43] {
        1 procid: ProcId = "The session.";
        3 dbid: u8 = "The number that the database has in this log stream from here on.";
        4 grbit: u32 = "Options of the API call (`JET_GRBIT`).";
        8 max_pages: u32 = "Largest size that the database may grow to, in pages; 0 is no limit.";
        12 signature: Signature = "The database's signature.";
        42 create_flags: CreateDbFlags = "Which parts the record has.";
    }
    parts {
        IfBit(42, CreateDbFlags::VERSION_INFO.bits(), 4) version: Option<CreateDbVersion> = "The format version.";
        U16(40) names: FileNames<'a> = "The file.", unicode if create_flags.contains(CreateDbFlags::UNICODE_NAMES);
    }
}

record! {
    /// The creation of a database is complete (`LRCREATEDBFINISH`).
    CreateDbFinish [1..4] {
        1 procid: ProcId = "The session.";
        3 dbid: u8 = "The database.";
    }
}

stored_flags! {
    /// Which parts an [`AttachDb`] has (`fLRAttachDb*`).
    pub struct AttachDbFlags: u8 {
        /// It has a streaming file (obsolete).
        const SLV_FILE = 0x02;
        /// No provider served the streaming file (obsolete).
        const SLV_PROVIDER_NOT_ENABLED = 0x04;
        /// Names are UTF-16; since 7.3704.9.
        const UNICODE_NAMES = 0x08;
        /// The file may be sparse.
        const SPARSE_FILE = 0x10;
    }
}

record! {
    /// A database was attached (`LRATTACHDB`).
    AttachDb<'a> [1..75] {
        1 procid: ProcId = "The session.";
        3 dbid: u8 = "The number that the database has in this log stream from here on.";
        4 max_pages: u32 = "Largest size that the database may grow to, in pages; 0 is no limit.";
        8 lgpos_consistent: Lgpos = "Where the database was last consistent: redo attaches it only if its header says the same.";
        16 db_signature: Signature = "The database's signature.";
        44 log_signature: Signature = "Signature of the log stream that the database was last attached to.";
        74 attach_flags: AttachDbFlags = "Which parts the record has.";
    }
    parts {
        U16(72) names: FileNames<'a> = "The file.", unicode if attach_flags.contains(AttachDbFlags::UNICODE_NAMES);
    }
}

stored_flags! {
    /// How a database was detached (`fLRDetach*`, `fLRForceDetach*`).
    pub struct DetachDbFlags: u8 {
        /// A missing database was detached (obsolete).
        const IGNORE_MISSING = 0x01;
        /// The database was deleted (obsolete).
        const DELETE = 0x02;
        /// The header was set back (obsolete).
        const REVERT_HEADER = 0x04;
        /// Names are UTF-16; since 7.3704.9.
        const UNICODE_NAMES = 0x10;
    }
}

record! {
    /// A database was detached (`LRDETACHDB`).
    DetachDb<'a> [1..7] {
        1 procid: ProcId = "The session.";
        3 dbid: u8 = "The database; its number is free from here on.";
        6 detach_flags: DetachDbFlags = "How it was detached.";
    }
    parts {
        U16(4) names: FileNames<'a> = "The file.", unicode if detach_flags.contains(DetachDbFlags::UNICODE_NAMES);
    }
}

record! {
    /// A database that recovery had kept attached goes on being used (`LRREATTACHDB`).
    ReAttachDb [5..50] {
        5 dbid: u8 = "The database.";
        6 lgpos_attach: Lgpos = "Where it was attached.";
        14 lgpos_consistent: Lgpos = "Where it was last consistent.";
        22 signature: Signature = "Its signature.";
    }
}

record! {
    /// From here on redo must have the database attached, if it put that off (`LRSIGNALATTACHDB`).
    SignalAttachDb [1..2] {
        1 dbid: u8 = "The database.";
    }
}

record! {
    /// The format version of a database was raised (`LRSETDBVERSION`).
    SetDbVersion [1..14] {
        1 dbid: u8 = "The database.";
        2 version: u32 = "Major version (`0x620`).";
        6 update_major: u32 = "Major update.";
        10 update_minor: u32 = "Minor update.";
    }
}
