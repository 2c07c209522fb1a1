//! Log records: what each of the 102 types says, from bytes to named fields.
//!
//! Invariant: decoding looks only at the bytes it is given, allocates nothing, and never claims more bytes than there
//! are. A record either decodes with every field, or there is an error that says where and why.
//!
//! ```text
//! 0      1
//! | type | fixed part, by type | variable parts, by the lengths in the fixed part |
//! ```
//!
//! | room | records |
//! |---|---|
//! | [`kind`] | the table of all types: numbers, names, sizes, structs |
//! | [`body`] | how a struct is declared by its table, read and written |
//! | [`page`] | the head of every record that changes a page |
//! | [`node`] | insert, replace, delete, delta, undo, scrub, ... |
//! | [`diff`] | the difference in a `ReplaceD` record |
//! | [`structure`] | split, merge, emptying, new and moved pages |
//! | [`tree`] | creation, conversion, freeing of trees |
//! | [`space`] | size of the file, use of pages, scans |
//! | [`transaction`] | begin, commit, rollback, macros, commit contexts |
//! | [`database`] | create, attach, detach, version |
//! | [`system`] | start and end, recovery, backup, notes, fragments, filling |
//!
//! Unknown numbers are errors, as in the reference: the numbers from 67 to 75 and 82 to 91 were set aside with a
//! length that any reader understands, and only these may be skipped ([`RecordType::is_ignorable`]). The layouts
//! differ between log versions in one place only, the commit context ([`RecordFormat`]); every other change got a
//! number of its own, or a flag. So the records of the older log layout (7.3704) decode here too.
//!
//! Source: `inc/logapi.hxx`, `ese/_log/logread.cxx` (sizes), history of versions in `inc/daedef.hxx`.

mod body;
pub mod database;
pub mod diff;
pub mod kind;
pub mod node;
pub mod page;
pub mod space;
pub mod structure;
pub mod system;
pub mod transaction;
pub mod tree;
mod values;

pub use database::*;
pub use diff::{Diff, DiffKind, DiffStep};
pub use kind::{Record, RecordType};
pub use node::*;
pub use page::{NodeOp, PageOp, PageOpFlags};
pub use space::*;
pub use structure::*;
pub use system::*;
pub use transaction::*;
pub use tree::*;
pub use values::Ascii;

use crate::layout::LayoutTable;
use crate::{FormatError, JetError, Reader};
use body::Form;
use kind::Unsized;
use thiserror::Error;

/// The tables of all records and of what they have in common.
pub(crate) fn layouts() -> Vec<LayoutTable> {
    let mut tables = vec![
        PageOp::LAYOUT,
        NodeOp::LAYOUT,
        SplitFields::LAYOUT,
        MergeFields::LAYOUT,
        EmptyPage::LAYOUT,
        PageMoveFields::LAYOUT,
        ConvertFdpFields::LAYOUT,
        ConvertFdpExtra::LAYOUT,
        ShrinkDbFields::LAYOUT,
        ExtentFreedFields::LAYOUT,
        CreateDbVersion::LAYOUT,
        BackupFields::LAYOUT,
        TermFields::LAYOUT,
    ];
    let deltas = DELTA_LAYOUTS.into_iter().flatten();
    for table in kind::body_layouts().chain(deltas) {
        if !tables.contains(&table) {
            tables.push(table);
        }
    }
    tables
}

/// What the version of a log decides about the layout of its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordFormat {
    /// Whether a commit context holds a byte of flags.
    pub has_commit_context_flags: bool,
}

impl RecordFormat {
    /// The newest layout.
    pub const NEWEST: RecordFormat = RecordFormat {
        has_commit_context_flags: true,
    };

    /// The layout of logs of the version `8.4000.update_major.update_minor` (or `7.3704...`), as the header says it.
    ///
    /// The rule is the reference's (`FLGVersionNewCommitCtx`, `ese/logapi.cxx`): it does not look at the major
    /// version, and so takes 7.3704.6 and later for new; those versions did not write commit contexts yet.
    pub fn of_log_version(update_major: u32, update_minor: u32) -> Self {
        RecordFormat {
            has_commit_context_flags: match update_major {
                0..=3 => false,
                4 => update_minor >= 8,
                5 => update_minor >= 2,
                6.. => true,
            },
        }
    }
}

/// Why a record does not decode. The reference calls each of these a corrupted log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RecordError {
    /// The number is of no type, and so its length is not known either.
    #[error("log record at offset {offset:#x} has the unknown type {number}; types go up to {}", RecordType::COUNT - 1)]
    UnknownType {
        /// The number.
        number: u8,
        /// Where the record starts.
        offset: u64,
    },
    /// The type was given up before any version that can still be read.
    #[error(
        "log record at offset {offset:#x} has the type {number}, which is obsolete and has no known length"
    )]
    Undecodable {
        /// The number.
        number: u8,
        /// Where the record starts.
        offset: u64,
    },
    /// The bytes are not such a record.
    #[error(transparent)]
    Format(#[from] FormatError),
}

impl RecordError {
    /// The error that the engine ends with.
    pub fn jet(&self) -> JetError {
        JetError::LOG_FILE_CORRUPT
    }
}

/// The type and the size of the record that `bytes` start with, from its fixed part alone.
///
/// `bytes` may go on past the record; it is an error if they end before it does. `offset` is where they stand, for
/// errors. A run of filling (`NOP`) counts as one record.
pub fn measure(bytes: &[u8], offset: u64) -> Result<(RecordType, usize), RecordError> {
    let truncated = |needed: u64| FormatError::Truncated {
        what: "log record",
        offset,
        needed,
        available: bytes.len() as u64,
    };
    let number = *bytes.first().ok_or_else(|| truncated(1))?;
    let record_type =
        RecordType::from_number(number).ok_or(RecordError::UnknownType { number, offset })?;
    let size = record_type.size_in(bytes).map_err(|error| match error {
        Unsized::Truncated { needed } => truncated(needed as u64).into(),
        Unsized::Undecodable => RecordError::Undecodable { number, offset },
    })?;
    match usize::try_from(size) {
        Ok(fits) if fits <= bytes.len() => Ok((record_type, fits)),
        _ => Err(truncated(size).into()),
    }
}

impl<'a> Record<'a> {
    /// The record that `bytes` start with, and its size; `bytes` may go on past it.
    ///
    /// `offset` is where the bytes are in their file (or buffer), for errors. The layout of ignorable records leaves
    /// room to grow: bytes past the fields that are known are part of the record and not looked at, as in the
    /// reference.
    pub fn decode(
        bytes: &'a [u8],
        offset: u64,
        format: RecordFormat,
    ) -> Result<(Self, usize), RecordError> {
        let (record_type, size) = measure(bytes, offset)?;
        let own = bytes.get(..size).unwrap_or(bytes);
        let record = Self::decode_measured(record_type, own, offset, format)?;
        Ok((record, size))
    }

    /// The record that all of `bytes` are, as [`measure`] has found.
    pub fn decode_measured(
        record_type: RecordType,
        bytes: &'a [u8],
        offset: u64,
        format: RecordFormat,
    ) -> Result<Self, RecordError> {
        let mut reader = Reader::at(bytes, offset);
        reader.u8("log record type")?;
        if record_type.is_ignorable() {
            reader.u32("length of an ignorable log record")?;
        }
        let form = Form {
            record_type,
            format,
        };
        Self::read(&mut reader, form, offset)
    }

    /// The change of a page that the record is about, for all types that share that head.
    pub fn page_op(&self) -> Option<&PageOp> {
        self.head()
    }

    /// The same with the tree, for all types that change a node.
    pub fn node_op(&self) -> Option<(&PageOp, &NodeOp)> {
        Some((self.page_op()?, self.head()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_as_long_as_its_struct_reads() {
        for record_type in RecordType::ALL {
            assert_eq!(
                RecordType::from_number(record_type.number()),
                Some(record_type)
            );
            let Some(size) = record_type.fixed_size() else {
                continue;
            };
            let mut bytes = vec![0; size];
            bytes[0] = record_type.number();
            if record_type.is_ignorable() {
                continue;
            }
            let mut reader = Reader::new(&bytes[1..]);
            let form = Form {
                record_type,
                format: RecordFormat::NEWEST,
            };
            let record = Record::read(&mut reader, form, 0).unwrap();
            assert_eq!(record.record_type(), record_type);
            assert!(
                reader.is_empty(),
                "{record_type} leaves bytes of its fixed part unread"
            );
            let (decoded, claimed) = Record::decode(&bytes, 0, RecordFormat::NEWEST).unwrap();
            assert_eq!((decoded, claimed), (record, size));
        }
    }

    #[test]
    fn sizes_include_variable_parts() {
        let mut insert = vec![0; 50 + 1 + 2 + 3];
        insert[0] = 29;
        insert[44] = 2;
        insert[46] = 1;
        insert[48] = 3;
        insert[50..].copy_from_slice(b"pssddd");
        let (record, size) = Record::decode(&insert, 0, RecordFormat::NEWEST).unwrap();
        assert_eq!(size, 56);
        let Record::Insert(record) = record else {
            panic!("{record:?}")
        };
        assert_eq!(
            (record.key_prefix, record.key_suffix, record.data),
            (&b"p"[..], &b"ss"[..], &b"ddd"[..])
        );
        assert!(Record::decode(&insert[..55], 0, RecordFormat::NEWEST).is_err());
    }

    #[test]
    fn unknown_and_obsolete_numbers_are_errors_with_their_place() {
        assert_eq!(
            measure(&[102, 0, 0], 7),
            Err(RecordError::UnknownType {
                number: 102,
                offset: 7
            })
        );
        for number in [40, 41, 43, 44, 47, 55, 56] {
            assert_eq!(
                measure(&[number, 0, 0], 7),
                Err(RecordError::Undecodable { number, offset: 7 })
            );
        }
    }

    #[test]
    fn only_the_versions_with_flags_read_them() {
        let old = RecordFormat::of_log_version(4, 3);
        let new = RecordFormat::of_log_version(5, 14);
        let bytes = [69, 4, 0, 0, 0, 0x34, 0x12, 1, 0xaa];
        let context = |format| match Record::decode(&bytes, 0, format) {
            Ok((Record::CommitContext(context), 9)) => (context.context_flags, context.data),
            other => panic!("{other:?}"),
        };
        assert_eq!(context(old), (None, &[1, 0xaa][..]));
        assert_eq!(
            context(new),
            (Some(CommitContextFlags::CALLBACK_NEEDED), &[0xaa][..])
        );
    }
}
