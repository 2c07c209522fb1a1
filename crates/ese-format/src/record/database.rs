//! Records about databases as a whole: create, attach, detach, format version.
//!
//! Source: `LRCREATEDB`, `LRCREATEDBFINISH`, `LRATTACHDB`, `LRDETACHDB`, `LRREATTACHDB`, `LRSIGNALATTACHDB`,
//! `LRSETDBVERSION` (`inc/logapi.hxx`).

use super::layout::{Ascii, Write, Writer, fixed, fixed_layout, stored_flags};
use crate::text::Escaped;
use crate::{FormatError, Lgpos, ProcId, Reader, Signature};
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
            let (units, _) = self.bytes.as_chunks();
            let units: Vec<u16> = units.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
            units
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

fixed_layout! {
    /// The format version that a database was created with; not the full one, which its first attach sets.
    pub struct CreateDbVersion: 4 {
        /// Major version (`0x620`).
        pub version: u16,
        /// Major update.
        pub update_major: u16,
    }
}

/// A database was created (`LRCREATEDB`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CreateDb<'a> {
    /// The session.
    pub procid: ProcId,
    /// The number that the database has in this log stream from here on.
    pub dbid: u8,
    /// Options of the API call (`JET_GRBIT`).
    pub grbit: u32,
    /// Largest size that the database may grow to, in pages; 0 is no limit.
    pub max_pages: u32,
    /// The database's signature.
    pub signature: Signature,
    /// Which parts the record has.
    pub create_flags: CreateDbFlags,
    /// The format version.
    pub version: Option<CreateDbVersion>,
    /// The file.
    pub names: FileNames<'a>,
}

impl<'a> CreateDb<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        let procid = fixed(reader, "CreateDb.procid")?;
        let dbid = reader.u8("CreateDb.dbid")?;
        let grbit = reader.u32("CreateDb.grbit")?;
        let max_pages = reader.u32("CreateDb.max_pages")?;
        let signature = fixed(reader, "CreateDb.signature")?;
        let names = reader.u16("CreateDb.names length")?;
        let create_flags = fixed::<CreateDbFlags>(reader, "CreateDb.create_flags")?;
        let version = create_flags
            .contains(CreateDbFlags::VERSION_INFO)
            .then(|| fixed(reader, "CreateDb.version"))
            .transpose()?;
        Ok(CreateDb {
            procid,
            dbid,
            grbit,
            max_pages,
            signature,
            create_flags,
            version,
            names: FileNames {
                unicode: create_flags.contains(CreateDbFlags::UNICODE_NAMES),
                bytes: reader.take(names.into(), "CreateDb.names")?,
            },
        })
    }
}

impl Write for CreateDb<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.fixed(&self.procid);
        writer.fixed(&self.dbid);
        writer.fixed(&self.grbit);
        writer.fixed(&self.max_pages);
        writer.fixed(&self.signature);
        writer.length::<u16>("length of names.bytes", self.names.bytes.len());
        writer.fixed(&self.create_flags);
        if let Some(version) = &self.version {
            writer.fixed(version);
        }
        writer.bytes(self.names.bytes);
    }
}

fixed_layout! {
    /// The creation of a database is complete (`LRCREATEDBFINISH`).
    pub struct CreateDbFinish: 3 {
        /// The session.
        pub procid: ProcId,
        /// The database.
        pub dbid: u8,
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

/// A database was attached (`LRATTACHDB`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AttachDb<'a> {
    /// The session.
    pub procid: ProcId,
    /// The number that the database has in this log stream from here on.
    pub dbid: u8,
    /// Largest size that the database may grow to, in pages; 0 is no limit.
    pub max_pages: u32,
    /// Where the database was last consistent: redo attaches it only if its header says the same.
    pub lgpos_consistent: Lgpos,
    /// The database's signature.
    pub db_signature: Signature,
    /// Signature of the log stream that the database was last attached to.
    pub log_signature: Signature,
    /// Which parts the record has.
    pub attach_flags: AttachDbFlags,
    /// The file.
    pub names: FileNames<'a>,
}

impl<'a> AttachDb<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        let procid = fixed(reader, "AttachDb.procid")?;
        let dbid = reader.u8("AttachDb.dbid")?;
        let max_pages = reader.u32("AttachDb.max_pages")?;
        let lgpos_consistent = Lgpos::read(reader)?;
        let db_signature = fixed(reader, "AttachDb.db_signature")?;
        let log_signature = fixed(reader, "AttachDb.log_signature")?;
        let names = reader.u16("AttachDb.names length")?;
        let attach_flags = fixed::<AttachDbFlags>(reader, "AttachDb.attach_flags")?;
        Ok(AttachDb {
            procid,
            dbid,
            max_pages,
            lgpos_consistent,
            db_signature,
            log_signature,
            attach_flags,
            names: FileNames {
                unicode: attach_flags.contains(AttachDbFlags::UNICODE_NAMES),
                bytes: reader.take(names.into(), "AttachDb.names")?,
            },
        })
    }
}

impl Write for AttachDb<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.fixed(&self.procid);
        writer.fixed(&self.dbid);
        writer.fixed(&self.max_pages);
        writer.fixed(&self.lgpos_consistent);
        writer.fixed(&self.db_signature);
        writer.fixed(&self.log_signature);
        writer.length::<u16>("length of names.bytes", self.names.bytes.len());
        writer.fixed(&self.attach_flags);
        writer.bytes(self.names.bytes);
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

/// A database was detached (`LRDETACHDB`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DetachDb<'a> {
    /// The session.
    pub procid: ProcId,
    /// The database; its number is free from here on.
    pub dbid: u8,
    /// How it was detached.
    pub detach_flags: DetachDbFlags,
    /// The file.
    pub names: FileNames<'a>,
}

impl<'a> DetachDb<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        let procid = fixed(reader, "DetachDb.procid")?;
        let dbid = reader.u8("DetachDb.dbid")?;
        let names = reader.u16("DetachDb.names length")?;
        let detach_flags = fixed::<DetachDbFlags>(reader, "DetachDb.detach_flags")?;
        Ok(DetachDb {
            procid,
            dbid,
            detach_flags,
            names: FileNames {
                unicode: detach_flags.contains(DetachDbFlags::UNICODE_NAMES),
                bytes: reader.take(names.into(), "DetachDb.names")?,
            },
        })
    }
}

impl Write for DetachDb<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.fixed(&self.procid);
        writer.fixed(&self.dbid);
        writer.length::<u16>("length of names.bytes", self.names.bytes.len());
        writer.fixed(&self.detach_flags);
        writer.bytes(self.names.bytes);
    }
}

fixed_layout! {
    /// A database that recovery had kept attached goes on being used (`LRREATTACHDB`).
    pub struct ReAttachDb: 45 {
        /// The database.
        pub dbid: u8,
        /// Where it was attached.
        pub lgpos_attach: Lgpos,
        /// Where it was last consistent.
        pub lgpos_consistent: Lgpos,
        /// Its signature.
        pub signature: Signature,
    }
}

fixed_layout! {
    /// From here on redo must have the database attached, if it put that off (`LRSIGNALATTACHDB`).
    pub struct SignalAttachDb: 1 {
        /// The database.
        pub dbid: u8,
    }
}

fixed_layout! {
    /// The format version of a database was raised (`LRSETDBVERSION`).
    pub struct SetDbVersion: 13 {
        /// The database.
        pub dbid: u8,
        /// Major version (`0x620`).
        pub version: u32,
        /// Major update.
        pub update_major: u32,
        /// Minor update.
        pub update_minor: u32,
    }
}
