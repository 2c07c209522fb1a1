//! The list of attached databases in log headers and checkpoints.
//!
//! Up to 2048 bytes of entries, one after the other; a zero byte where the next entry would begin ends the list
//! (`ATTACHINFO`, `inc/log.hxx`; walked as by `LOG::ErrLGLoadFMPFromAttachments`, `ese/_log/log.cxx`):
//!
//! ```text
//! 0      1       2          4        12      16              20            28           36          64
//! | dbid | flags | name     | dbtime | objid | database size | last attach | last con-  | database  | names
//! |      |       | bytes    |        | last  | max, pages    | lgpos       | sistent    | signature | ...
//!   u8     u8      u16        u64      u32     u32             Lgpos         lgpos        28 bytes
//! ```
//!
//! Names end with a zero character. With flag 0x20 they are UTF-16, otherwise bytes of an unknown code page.

use super::fixed_text;
use crate::layout::layout;
use crate::text::utf16_units;
use crate::{Dbtime, FormatError, Lgpos, ObjId, Reader, Signature};
use serde::{Serialize, Serializer};

/// Names are UTF-16 (`fATCHINFOUnicodeNames`).
const UNICODE_NAMES: u8 = 0x20;
/// The database file is sparse (`fATCHINFOSparseEnabledFile`).
const SPARSE_FILE: u8 = 0x40;

layout! {
    /// The start of an entry, before the names.
    RawAttachment [0..64] {
        0 dbid: u8 = "Number of the database in the stream.";
        1 flags: u8 = "Flags.";
        2 name_bytes: u16 = "Bytes of the names.";
        4 dbtime: Dbtime = "Highest dbtime when the list was written.";
        12 objid_last: ObjId = "Last object id given out when the list was written.";
        16 database_size_max: u32 = "Limit on the size of the database, in pages.";
        20 last_attach: Lgpos = "Where the database was last attached.";
        28 last_consistent: Lgpos = "Where the database was last consistent.";
        36 database_signature: Signature = "Signature of the database.";
    }
}

/// One attached database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attachment {
    /// Number by which records of this stream name the database.
    pub dbid: u8,
    /// All flags as stored.
    pub flags: u8,
    /// Highest dbtime when the list was written.
    pub dbtime: Dbtime,
    /// Last object id given out when the list was written.
    pub objid_last: ObjId,
    /// Limit on the size of the database, in pages; 0 for none.
    pub database_size_max: u32,
    /// Where the database was last attached.
    pub last_attach: Lgpos,
    /// Where the database was last consistent.
    pub last_consistent: Lgpos,
    /// Signature of the database.
    pub database_signature: Signature,
    /// Path of the database on the machine that wrote this; never opened.
    pub path: String,
    /// Further names after the path (a streaming file of Exchange 2000 and 2003).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_names: Vec<String>,
}

impl Attachment {
    /// Whether the database file was sparse.
    pub fn is_sparse(&self) -> bool {
        self.flags & SPARSE_FILE != 0
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, FormatError> {
        let fields = reader.array::<{ RawAttachment::SIZE }>("attachment");
        let RawAttachment {
            dbid,
            flags,
            name_bytes,
            dbtime,
            objid_last,
            database_size_max,
            last_attach,
            last_consistent,
            database_signature,
        } = RawAttachment::from_bytes(&fields.map_err(|_| cut_off(reader))?);
        let names = reader.take(usize::from(name_bytes), "attachment names")?;
        let mut names = split_names(names, flags & UNICODE_NAMES != 0).into_iter();
        Ok(Attachment {
            dbid,
            flags,
            dbtime,
            objid_last,
            database_size_max,
            last_attach,
            last_consistent,
            database_signature,
            path: names.next().unwrap_or_default(),
            other_names: names.collect(),
        })
    }
}

/// The error that names the first field of an entry that is not there in full.
fn cut_off(reader: &Reader<'_>) -> FormatError {
    let there = reader.remaining().len();
    let fields = RawAttachment::LAYOUT.fields;
    let index = fields.iter().rposition(|field| field.offset <= there);
    let index = index.unwrap_or(0);
    let field = fields[index];
    FormatError::Truncated {
        what: FIELD_NAMES[index],
        offset: reader.offset() + field.offset as u64,
        needed: field.size as u64,
        available: (there - field.offset) as u64,
    }
}

/// What the fields of an entry are called in errors.
const FIELD_NAMES: [&str; RawAttachment::LAYOUT.fields.len()] = [
    "attachment dbid",
    "attachment flags",
    "attachment name length",
    "attachment dbtime",
    "attachment objid",
    "attachment database size",
    "log position",
    "log position",
    "attachment signature",
];

fn split_names(bytes: &[u8], unicode: bool) -> Vec<String> {
    let mut names: Vec<String> = if unicode {
        let units = utf16_units(bytes);
        let parts = units.split(|unit| *unit == 0);
        parts.map(String::from_utf16_lossy).collect()
    } else {
        bytes.split(|byte| *byte == 0).map(fixed_text).collect()
    };
    while names.last().is_some_and(String::is_empty) {
        names.pop();
    }
    names
}

/// The attached databases, as far as the list can be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AttachList {
    /// The databases in the order of the list.
    pub databases: Vec<Attachment>,
    /// Why the list could not be read to its end, if so.
    #[serde(
        serialize_with = "display_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub problem: Option<FormatError>,
}

fn display_option<S: Serializer>(
    problem: &Option<FormatError>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match problem {
        Some(problem) => serializer.collect_str(problem),
        None => serializer.serialize_none(),
    }
}

impl AttachList {
    /// Bytes reserved for the list (`cbAttach`, `inc/log.hxx`).
    pub const SIZE: usize = 2048;

    /// Reads the list in `bytes`, which is at `offset` of its file.
    pub fn read(bytes: &[u8], offset: u64) -> Self {
        let mut reader = Reader::at(bytes, offset);
        let mut list = AttachList::default();
        while reader.remaining().first().is_some_and(|dbid| *dbid != 0) {
            match Attachment::read(&mut reader) {
                Ok(attachment) => list.databases.push(attachment),
                Err(problem) => {
                    list.problem = Some(problem);
                    break;
                }
            }
        }
        list
    }
}
