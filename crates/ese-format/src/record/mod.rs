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
//! | [`kind`] | the types: numbers, names, sizes |
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

pub mod database;
pub mod diff;
pub mod kind;
mod layout;
pub mod node;
pub mod page;
pub mod space;
pub mod structure;
pub mod system;
pub mod transaction;
pub mod tree;

pub use database::*;
pub use diff::{Diff, DiffKind, DiffStep};
pub use kind::RecordType;
pub use layout::Ascii;
pub use node::*;
pub use page::{NodeOp, PageOp, PageOpFlags};
pub use space::*;
pub use structure::*;
pub use system::*;
pub use transaction::*;
pub use tree::*;

use crate::layout::Stored;
use crate::{FormatError, JetError, Reader};
use kind::Unsized;
use layout::{Write, Writer};
use serde::{Serialize, Serializer};
use thiserror::Error;

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

macro_rules! records {
    ($($(#[$meta:meta])* $variant:ident($struct:ty) = $read:expr;)*) => {
        /// A log record of any type.
        ///
        /// Serialized as its struct with a field `type`, the name that dumps give the type.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Record<'a> {
            $($(#[$meta])* $variant($struct),)*
            /// End of the log generation.
            End,
            /// The instance is about to shut down cleanly.
            ShutDownMark,
            /// A record that says nothing and is skipped: one of the reserved types.
            Ignored(Ignored<'a>),
        }

        impl Serialize for Record<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let record_type = self.record_type();
                match self {
                    $(Record::$variant(fields) => Typed { record_type, fields }.serialize(serializer),)*
                    Record::End | Record::ShutDownMark => {
                        Typed { record_type, fields: () }.serialize(serializer)
                    }
                    Record::Ignored(fields) => Typed { record_type, fields }.serialize(serializer),
                }
            }
        }

        impl<'a> Record<'a> {
            /// The record's type.
            pub fn record_type(&self) -> RecordType {
                match self {
                    $(Record::$variant(_) => RecordType::$variant,)*
                    Record::End => RecordType::End,
                    Record::ShutDownMark => RecordType::ShutDownMark,
                    Record::Ignored(ignored) => ignored.record_type,
                }
            }

            /// The record's bytes: what [`decode`](Self::decode) reads as this record.
            ///
            /// Fails if a part is longer than its length field can say.
            pub fn encode(&self) -> Result<Vec<u8>, FormatError> {
                let mut writer = Writer::new(self.record_type());
                match self {
                    $(Record::$variant(record) => record.write(&mut writer),)*
                    Record::End | Record::ShutDownMark => {}
                    Record::Ignored(ignored) => ignored.write(&mut writer),
                }
                writer.finish()
            }

            /// Reads the record of `record_type` whose bytes after the type (and, where the type has one, after the
            /// length of ignorable records) `reader` holds.
            fn read(
                reader: &mut Reader<'a>,
                record_type: RecordType,
                format: RecordFormat,
            ) -> Result<Self, FormatError> {
                Ok(match record_type {
                    $(RecordType::$variant => {
                        let read: fn(&mut Reader<'a>, RecordFormat) -> Result<$struct, FormatError> = $read;
                        Record::$variant(read(reader, format)?)
                    })*
                    RecordType::End => Record::End,
                    RecordType::ShutDownMark => Record::ShutDownMark,
                    ignored => Record::Ignored(Ignored::read(reader, ignored)?),
                })
            }
        }
    };
}

/// A record's fields after the name of its type.
#[derive(Serialize)]
struct Typed<T> {
    #[serde(rename = "type")]
    record_type: RecordType,
    #[serde(flatten)]
    fields: T,
}

/// Reads a struct that is nothing but fixed fields.
fn fixed<T: Stored>(reader: &mut Reader<'_>, _: RecordFormat) -> Result<T, FormatError> {
    layout::fixed(reader, "log record")
}

records! {
    /// Filling.
    Nop(Nop) = |reader, _| Nop::read(reader);
    /// An engine instance started; older form.
    Init(Init<'a>) = |reader, _| Init::read_old(reader);
    /// An engine instance ended; older form.
    Term(Term) = |reader, _| Term::read_old(reader);
    /// A flush in a format that no reader accepts any more.
    MultiSectorFlush(MultiSectorFlush) = fixed;
    /// A transaction began, not at level 0.
    Begin(Begin) = |reader, _| Begin::read(reader);
    /// A transaction committed to a level above 0.
    Commit(Commit) = fixed;
    /// A transaction rolled back.
    Rollback(Rollback) = fixed;
    /// A transaction began at level 0.
    Begin0(Begin) = |reader, _| Begin::read_outer(reader);
    /// A transaction committed to level 0.
    Commit0(Commit0) = fixed;
    /// A session took a new transaction id.
    Refresh(Refresh) = fixed;
    /// A macro operation began.
    MacroBegin(Macro) = fixed;
    /// A macro operation is complete.
    MacroCommit(Macro) = fixed;
    /// A macro operation is void.
    MacroAbort(Macro) = fixed;
    /// A database was created.
    CreateDb(CreateDb<'a>) = |reader, _| CreateDb::read(reader);
    /// A database was attached.
    AttachDb(AttachDb<'a>) = |reader, _| AttachDb::read(reader);
    /// A database was detached.
    DetachDb(DetachDb<'a>) = |reader, _| DetachDb::read(reader);
    /// Recovery went over from redo to undo; older form.
    RecoveryUndo(RecoveryUndo) = |_, _| Ok(RecoveryUndo { time: None });
    /// Recovery ended; older form.
    RecoveryQuit(Term) = |reader, _| Term::read_old(reader);
    /// A full backup of the first kind.
    FullBackup(BackupNote<'a>) = |reader, _| BackupNote::read(reader);
    /// An incremental backup of the first kind.
    IncrementalBackup(BackupNote<'a>) = |reader, _| BackupNote::read(reader);
    /// An API call.
    JetOp(JetOp) = fixed;
    /// A note.
    Trace(Trace<'a>) = |reader, _| Trace::read(reader);
    /// A tree with own space trees was created.
    CreateMultipleExtentFdp(CreateMultipleExtentFdp) = fixed;
    /// A tree in a single extent was created.
    CreateSingleExtentFdp(CreateSingleExtentFdp) = fixed;
    /// A single-extent tree got space trees; older form.
    ConvertFdp(ConvertFdp) = |reader, _| ConvertFdp::read_old(reader);
    /// A page was split; older form.
    Split(Split<'a>) = |reader, _| Split::read_old(reader);
    /// A page was merged; older form.
    Merge(Merge<'a>) = |reader, _| Merge::read_old(reader);
    /// A node was inserted.
    Insert(Insert<'a>) = |reader, _| Insert::read(reader);
    /// A flag-deleted node is alive again.
    FlagInsert(FlagInsert<'a>) = |reader, _| FlagInsert::read(reader);
    /// A flag-deleted node is alive again with new data.
    FlagInsertAndReplaceData(FlagInsertAndReplaceData<'a>) = |reader, _| FlagInsertAndReplaceData::read(reader);
    /// A node was flagged as deleted.
    FlagDelete(FlagDelete) = fixed;
    /// A node's data was replaced; new data.
    Replace(Replace<'a>) = |reader, _| Replace::read(reader);
    /// A node's data was replaced; difference.
    ReplaceDelta(ReplaceDelta<'a>) = |reader, _| ReplaceDelta::read(reader);
    /// A node was removed.
    Delete(Delete) = fixed;
    /// The before image of an operation.
    UndoInfo(UndoInfo<'a>) = |reader, _| UndoInfo::read(reader);
    /// A 32-bit number within a node was added to.
    Delta(Delta<'a>) = |reader, _| Delta::read_32(reader);
    /// A page's external header was set.
    SetExternalHeader(SetExternalHeader<'a>) = |reader, _| SetExternalHeader::read(reader);
    /// An operation was undone in a rollback.
    Undo(Undo<'a>) = |reader, _| Undo::read(reader);
    /// The checksum of a flush in the older log layout.
    Checksum(Checksum) = fixed;
    /// A restore runs as another instance; single-byte names.
    ExternalRestore(ExternalRestore<'a>) = |reader, _| ExternalRestore::read(reader, false);
    /// A backup step; older form.
    Backup(BackupOld<'a>) = |reader, _| BackupOld::read(reader);
    /// All pages of a tree but its root were freed.
    EmptyTree(EmptyTree<'a>) = |reader, _| EmptyTree::read(reader);
    /// An engine instance started.
    Init2(Init<'a>) = |reader, _| Init::read(reader);
    /// An engine instance ended.
    Term2(Term) = |reader, _| Term::read(reader);
    /// Recovery went over from redo to undo.
    RecoveryUndo2(RecoveryUndo) = |reader, _| RecoveryUndo::read(reader);
    /// Recovery ended.
    RecoveryQuit2(Term) = |reader, _| Term::read(reader);
    /// A distributed transaction began.
    BeginDistributed(Begin) = |reader, _| Begin::read_outer(reader);
    /// A distributed transaction was prepared.
    PrepareCommit(PrepareCommit<'a>) = |reader, _| PrepareCommit::read(reader);
    /// A flush of the log was forced.
    ForceWriteLog(ForceWriteLog) = fixed;
    /// A single-extent tree got space trees.
    ConvertFdp2(ConvertFdp) = |reader, _| ConvertFdp::read(reader);
    /// A restore runs as another instance; UTF-16 names.
    ExternalRestore2(ExternalRestore<'a>) = |reader, _| ExternalRestore::read(reader, true);
    /// A backup step.
    Backup2(Backup<'a>) = |reader, _| Backup::read(reader);
    /// A new log generation was forced.
    ForceLogRollover(Trace<'a>) = |reader, _| Trace::read(reader);
    /// A page was split.
    Split2(Split<'a>) = |reader, _| Split::read(reader);
    /// A page was merged.
    Merge2(Merge<'a>) = |reader, _| Merge::read(reader);
    /// Deleted data on a page was overwritten.
    Scrub(Scrub<'a>) = |reader, _| Scrub::read(reader);
    /// A page moved.
    PageMove(PageMove<'a>) = |reader, _| PageMove::read(reader);
    /// A damaged page should be patched.
    PagePatchRequest(PagePatchRequest) = fixed;
    /// The pages that a macro touched; older form.
    MacroInfo(MacroInfo<'a>) = |reader, _| MacroInfo::read_old(reader);
    /// The database file grew.
    ExtendDb(ExtendDb) = fixed;
    /// What a client attached to a commit.
    CommitContext(CommitContext<'a>) = CommitContext::read;
    /// A page was scanned; older form.
    ScanCheck(ScanCheck) = fixed;
    /// Filling of any length.
    Nop2(Filling<'a>) = |reader, _| Filling::read(reader);
    /// A kept attachment goes on.
    ReAttach(ReAttachDb) = fixed;
    /// The pages that a macro touched.
    MacroInfo2(MacroInfo<'a>) = |reader, _| MacroInfo::read(reader);
    /// A tree was freed.
    FreeFdp(FreeFdp) = fixed;
    /// First piece of a record that crosses segments.
    FragmentBegin(FragmentBegin<'a>) = |reader, _| FragmentBegin::read(reader);
    /// Further piece of a record that crosses segments.
    Fragment(Fragment<'a>) = |reader, _| Fragment::read(reader);
    /// The database file was cut; first form.
    ShrinkDb(ShrinkDb) = |reader, _| ShrinkDb::read_old(reader);
    /// The creation of a database is complete.
    CreateDbFinish(CreateDbFinish) = fixed;
    /// Recovery ended and left its databases attached.
    RecoveryQuitKeepAttachments(Term) = |reader, _| Term::read(reader);
    /// A range of the database file was given back.
    TrimDb(TrimDb) = fixed;
    /// The format version of a database was raised.
    SetDbVersion(SetDbVersion) = fixed;
    /// A 64-bit number within a node was added to.
    Delta64(Delta<'a>) = |reader, _| Delta::read_64(reader);
    /// The database file was cut; second form.
    ShrinkDb2(ShrinkDb) = |reader, _| ShrinkDb::read_old(reader);
    /// A page was taken into use.
    NewPage(NewPage) = fixed;
    /// The roots of a tree moved.
    RootPageMove(RootPageMove) = fixed;
    /// From here on redo must have the database attached.
    SignalAttachDb(SignalAttachDb) = fixed;
    /// A page was scanned.
    ScanCheck2(ScanCheck2) = fixed;
    /// The database file was cut.
    ShrinkDb3(ShrinkDb) = |reader, _| ShrinkDb::read(reader);
    /// An extent was freed; without a dbtime.
    ExtentFreed(ExtentFreed) = |reader, _| ExtentFreed::read_old(reader);
    /// An extent was freed.
    ExtentFreed2(ExtentFreed) = |reader, _| ExtentFreed::read(reader);
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
        Ok(Self::read(&mut reader, record_type, format)?)
    }

    /// The change of a page that the record is about, for all types that share that head.
    pub fn page_op(&self) -> Option<&PageOp> {
        Some(match self {
            Record::CreateMultipleExtentFdp(record) => &record.page,
            Record::CreateSingleExtentFdp(record) => &record.page,
            Record::ConvertFdp(record) | Record::ConvertFdp2(record) => &record.page,
            Record::Split(record) | Record::Split2(record) => &record.page,
            Record::Merge(record) | Record::Merge2(record) => &record.page,
            Record::PageMove(record) => &record.page,
            _ => return self.node_op().map(|(page, _)| page),
        })
    }

    /// The same with the tree, for all types that change a node.
    pub fn node_op(&self) -> Option<(&PageOp, &NodeOp)> {
        Some(match self {
            Record::Insert(record) => (&record.page, &record.node),
            Record::FlagInsert(record) => (&record.page, &record.node),
            Record::FlagInsertAndReplaceData(record) => (&record.page, &record.node),
            Record::FlagDelete(record) => (&record.page, &record.node),
            Record::Replace(record) => (&record.page, &record.node),
            Record::ReplaceDelta(record) => (&record.page, &record.node),
            Record::Delete(record) => (&record.page, &record.node),
            Record::UndoInfo(record) => (&record.page, &record.node),
            Record::Delta(record) | Record::Delta64(record) => (&record.page, &record.node),
            Record::SetExternalHeader(record) => (&record.page, &record.node),
            Record::Undo(record) => (&record.page, &record.node),
            Record::Scrub(record) => (&record.page, &record.node),
            Record::EmptyTree(record) => (&record.page, &record.node),
            _ => return None,
        })
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
            let record = Record::read(&mut reader, record_type, RecordFormat::NEWEST).unwrap();
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
