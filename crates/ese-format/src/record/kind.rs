//! The table of all record types: number, name in dumps, size of the fixed part, and the struct that says the rest.
//!
//! [`RecordType`], [`Record`] and everything that has to know all types follow from this table, without a wildcard: a type
//! that is missing in it, or whose struct does not fit to its size, does not compile. A record's length follows from its
//! fixed part alone, so that a reader steps from record to record without decoding them.
//!
//! ```text
//! records! {
//!     records {
//!         /// What it says.
//!         NUMBER Type "name in dumps" FIXED: Struct;
//!     }
//!     without_fields { ... }      nothing but the type byte
//!     reserved { ... }            readers skip them by the length that they open with
//!     undecodable { ... }         no reader gives them a length any more
//! }
//! ```
//!
//! `FIXED` counts the type byte. Types that share a struct differ in it: the struct's later fields are in those whose
//! fixed part reaches so far ([`body`]).
//!
//! Source: `inc/logapi.hxx` (`lrtyp*`), `CbLGFixedSizeOfRec` and `CbLGSizeOfRec` in `ese/_log/logread.cxx`, names in
//! `ese/logapi.cxx` (`SzLrtyp`).

use super::body::{Body, Form, IGNORABLE_HEAD, Part, Writer};
use super::*;
use crate::layout::LayoutTable;
use serde::{Serialize, Serializer};
use std::fmt;

/// What the table says of one number. A type that is undecodable has no fixed part.
#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    fixed: usize,
    parts: &'static [Part],
}

impl Shape {
    /// The shape of a type with this struct; stops the compiler if they do not go together.
    const fn of<'a, T: Body<'a>>(number: u8, name: &'static str, fixed: usize) -> Shape {
        if is_ignorable(number) {
            let own_length = &[Part::U32(1)];
            assert!(fixed == IGNORABLE_HEAD && T::START == IGNORABLE_HEAD);
            return Shape {
                name,
                fixed,
                parts: own_length,
            };
        }
        let mut end = 0;
        while end < T::ENDS.len() && T::ENDS[end] != fixed {
            end += 1;
        }
        assert!(
            T::START == 1,
            "only an ignorable type opens with its length"
        );
        assert!(end < T::ENDS.len(), "the struct has no form of this size");
        Shape {
            name,
            fixed,
            parts: T::PARTS,
        }
    }
}

/// Whether the number is one of those that the format has kept free since 7.3704.14 with a length that any reader
/// understands.
const fn is_ignorable(number: u8) -> bool {
    matches!(number, 67..=75 | 82..=91)
}

macro_rules! records {
    (
        records {
            $($(#[$doc:meta])* $number:literal $variant:ident $name:literal $fixed:literal: $body:ident $(<$life:lifetime>)?;)*
        }
        without_fields {
            $($(#[$empty_doc:meta])* $empty_number:literal $empty:ident $empty_name:literal;)*
        }
        reserved {
            $($(#[$reserved_doc:meta])* $reserved_number:literal $reserved:ident $reserved_name:literal;)*
        }
        undecodable {
            $($(#[$lost_doc:meta])* $lost_number:literal $lost:ident $lost_name:literal;)*
        }
    ) => {
        /// The type of a log record, as the byte that opens it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum RecordType {
            $($(#[$doc])* $variant = $number,)*
            $($(#[$empty_doc])* $empty = $empty_number,)*
            $($(#[$reserved_doc])* $reserved = $reserved_number,)*
            $($(#[$lost_doc])* $lost = $lost_number,)*
        }

        impl RecordType {
            /// How many types there are; numbers from here on are unknown (`lrtypMax`).
            pub const COUNT: usize = [
                $($number,)* $($empty_number,)* $($reserved_number,)* $($lost_number,)*
            ].len();

            /// Every type, by number.
            pub const ALL: [RecordType; RecordType::COUNT] = {
                let mut all = [RecordType::Nop; RecordType::COUNT];
                $(all[$number] = RecordType::$variant;)*
                $(all[$empty_number] = RecordType::$empty;)*
                $(all[$reserved_number] = RecordType::$reserved;)*
                $(all[$lost_number] = RecordType::$lost;)*
                all
            };
        }

        static SHAPES: [Shape; RecordType::COUNT] = {
            const NOTHING: Shape = Shape { name: "", fixed: 0, parts: &[] };
            let mut shapes = [NOTHING; RecordType::COUNT];
            $(shapes[$number] = Shape::of::<$body>($number, $name, $fixed);)*
            $(shapes[$empty_number] = Shape { name: $empty_name, fixed: 1, parts: &[] };)*
            $(shapes[$reserved_number] =
                Shape::of::<Ignored>($reserved_number, $reserved_name, IGNORABLE_HEAD);)*
            $(shapes[$lost_number] = Shape { name: $lost_name, fixed: 0, parts: &[] };)*
            shapes
        };

        /// A log record of any type.
        ///
        /// Serialized as its struct with a field `type`, the name that dumps give the type.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Record<'a> {
            $($(#[$doc])* $variant($body $(<$life>)?),)*
            $($(#[$empty_doc])* $empty,)*
            /// A record that says nothing and is skipped: one of the reserved types.
            Ignored(Ignored<'a>),
        }

        impl Serialize for Record<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let record_type = self.record_type();
                match self {
                    $(Record::$variant(fields) => Typed { record_type, fields }.serialize(serializer),)*
                    $(Record::$empty)|* => Typed { record_type, fields: () }.serialize(serializer),
                    Record::Ignored(fields) => Typed { record_type, fields }.serialize(serializer),
                }
            }
        }

        impl<'a> Record<'a> {
            /// The record's type.
            pub fn record_type(&self) -> RecordType {
                match self {
                    $(Record::$variant(_) => RecordType::$variant,)*
                    $(Record::$empty => RecordType::$empty,)*
                    Record::Ignored(ignored) => ignored.record_type,
                }
            }

            /// The record's bytes: what [`decode`](Self::decode) reads as this record.
            ///
            /// Fails if a part is longer than its length field can say, or if a field is there, or missing, that the
            /// type does not have, or has.
            pub fn encode(&self) -> Result<Vec<u8>, FormatError> {
                let mut writer = Writer::new(self.record_type());
                match self {
                    $(Record::$variant(record) => record.write(&mut writer),)*
                    $(Record::$empty)|* => {}
                    Record::Ignored(ignored) => ignored.write(&mut writer),
                }
                writer.finish()
            }

            /// Reads the record at `offset` whose bytes after the type (and, where the type has one, after the length of
            /// ignorable records) `reader` holds.
            pub(super) fn read(reader: &mut Reader<'a>, form: Form, offset: u64) -> Result<Self, RecordError> {
                Ok(match form.record_type {
                    $(RecordType::$variant => Record::$variant(Body::read(reader, form)?),)*
                    $(RecordType::$empty => Record::$empty,)*
                    $(RecordType::$reserved)|* => Record::Ignored(Body::read(reader, form)?),
                    $(RecordType::$lost)|* => {
                        let number = form.record_type.number();
                        return Err(RecordError::Undecodable { number, offset });
                    }
                })
            }

            /// The field of this type, where the record has one.
            pub(super) fn head<T: 'static>(&self) -> Option<&T> {
                match self {
                    $(Record::$variant(record) => record.head(),)*
                    $(Record::$empty)|* => None,
                    Record::Ignored(ignored) => ignored.head(),
                }
            }
        }

        /// The fixed layouts of all structs in the table; one that several types share comes several times.
        pub(super) fn body_layouts() -> impl Iterator<Item = LayoutTable> {
            [$(<$body as Body>::LAYOUT),*].into_iter().flatten()
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

const _: () = {
    let mut number = 0;
    while number < RecordType::COUNT {
        assert!(
            RecordType::ALL[number] as usize == number,
            "a number is missing in the table"
        );
        number += 1;
    }
};

records! {
    records {
        /// Nothing; fills space, one byte each.
        0 Nop "NOP" 1: Nop;
        /// An engine instance started on this stream; without a time.
        1 Init "Init" 568: Init<'a>;
        /// An engine instance ended; without a time.
        2 Term "Term" 18: Term;
        /// Multi-sector flush of a format older than any reader still accepts.
        3 MultiSectorFlush "MS" 9: MultiSectorFlush;
        /// A transaction began, not at level 0.
        5 Begin "Begin" 4: Begin;
        /// A transaction committed to a level above 0.
        6 Commit "Commit" 4: Commit;
        /// A transaction rolled back some levels.
        7 Rollback "Rollback" 4: Rollback;
        /// A transaction began at level 0.
        8 Begin0 "Begin0" 8: Begin;
        /// A transaction committed to level 0: it is durable.
        9 Commit0 "Commit0" 8: Commit0;
        /// A session took a new transaction id without ending its transaction.
        10 Refresh "Refresh" 7: Refresh;
        /// A macro operation began: what follows in this session applies at its commit, or never.
        11 MacroBegin "McroBegin" 11: Macro;
        /// A macro operation is complete.
        12 MacroCommit "McroComit" 11: Macro;
        /// A macro operation is void.
        13 MacroAbort "McroAbort" 11: Macro;
        /// A database was created.
        14 CreateDb "CreateDB" 43: CreateDb<'a>;
        /// A database was attached.
        15 AttachDb "AttachDB" 75: AttachDb<'a>;
        /// A database was detached.
        16 DetachDb "DetachDB" 7: DetachDb<'a>;
        /// Recovery went over from redo to undo; without a time.
        17 RecoveryUndo "RcvUndo" 1: RecoveryUndo;
        /// Recovery ended; without a time.
        18 RecoveryQuit "RcvQuit" 18: Term;
        /// A full backup of the first kind.
        19 FullBackup "FullBkUp" 3: BackupNote<'a>;
        /// An incremental backup of the first kind.
        20 IncrementalBackup "IncBkUp" 3: BackupNote<'a>;
        /// An API call (debug builds only).
        21 JetOp "JetOp" 4: JetOp;
        /// A free text note.
        22 Trace "Trace" 5: Trace<'a>;
        /// A tree with own space trees was created.
        24 CreateMultipleExtentFdp "Create M" 56: CreateMultipleExtentFdp;
        /// A tree that lives in a single extent was created.
        25 CreateSingleExtentFdp "Create S" 48: CreateSingleExtentFdp;
        /// A single-extent tree got space trees; older form.
        26 ConvertFdp "Convert" 60: ConvertFdp;
        /// A page was split; without a before image.
        27 Split "Split" 102: Split<'a>;
        /// A page was merged into a sibling or removed; without a before image.
        28 Merge "Merge" 88: Merge<'a>;
        /// A node was inserted.
        29 Insert "Insert" 50: Insert<'a>;
        /// A flag-deleted node came to life again with its old data.
        30 FlagInsert "FInsert" 48: FlagInsert<'a>;
        /// A flag-deleted node came to life again with new data.
        31 FlagInsertAndReplaceData "FInsertRD" 52: FlagInsertAndReplaceData<'a>;
        /// A node was flagged as deleted.
        32 FlagDelete "FDelete" 44: FlagDelete;
        /// A node's data was replaced; the record holds the new data.
        33 Replace "Replace" 50: Replace<'a>;
        /// A node's data was replaced; the record holds the difference.
        34 ReplaceDelta "ReplaceD" 50: ReplaceDelta<'a>;
        /// A node was removed from its page.
        35 Delete "Delete" 44: Delete;
        /// The before image of an operation, logged before its page was written.
        36 UndoInfo "UndoInfo" 56: UndoInfo<'a>;
        /// A 32-bit number within a node was added to.
        37 Delta "Delta" 54: Delta<'a>;
        /// A page's external header was set.
        38 SetExternalHeader "SetExtHdr" 46: SetExternalHeader<'a>;
        /// An operation was undone in a rollback.
        39 Undo "Undo" 51: Undo<'a>;
        /// The checksum of a flush in the older log layout.
        42 Checksum "Checksum" 22: Checksum;
        /// A restore runs as another instance; names of one byte per character.
        45 ExternalRestore "ExtRest" 3: ExternalRestore<'a>;
        /// A backup step, older form.
        46 Backup "Backup" 5: BackupOld<'a>;
        /// All pages of a tree below its root were freed.
        48 EmptyTree "EmptyTree" 46: EmptyTree<'a>;
        /// An engine instance started on this stream.
        49 Init2 "Init" 576: Init<'a>;
        /// An engine instance ended.
        50 Term2 "Term" 26: Term;
        /// Recovery went over from redo to undo.
        51 RecoveryUndo2 "RcvUndo" 9: RecoveryUndo;
        /// Recovery ended.
        52 RecoveryQuit2 "RcvQuit" 26: Term;
        /// A distributed transaction began.
        53 BeginDistributed "BeginDT" 8: Begin;
        /// A distributed transaction was prepared.
        54 PrepareCommit "PreCommit" 7: PrepareCommit<'a>;
        /// A flush of the log was forced.
        57 ForceWriteLog "FWriteLog" 3: ForceWriteLog;
        /// A single-extent tree got space trees.
        58 ConvertFdp2 "Convert" 68: ConvertFdp;
        /// A restore runs as another instance; UTF-16 names.
        59 ExternalRestore2 "ExtRest2" 3: ExternalRestore<'a>;
        /// A backup step.
        60 Backup2 "Backup2" 35: Backup<'a>;
        /// A new log generation was forced.
        61 ForceLogRollover "FRollLog" 5: Trace<'a>;
        /// A page was split.
        62 Split2 "Split2" 110: Split<'a>;
        /// A page was merged into a sibling or removed.
        63 Merge2 "Merge2" 96: Merge<'a>;
        /// Deleted data on a page was overwritten.
        64 Scrub "Scrub" 54: Scrub<'a>;
        /// A page moved to another place.
        65 PageMove "PageMove" 96: PageMove<'a>;
        /// A page should be patched from another copy of the database.
        66 PagePatchRequest "PagePatch" 46: PagePatchRequest;
        /// The pages that a macro operation touched; for database 1.
        67 MacroInfo "McroInfo" 5: MacroInfo<'a>;
        /// The database file grew.
        68 ExtendDb "ExtendDB" 5: ExtendDb;
        /// What a client attached to a commit.
        69 CommitContext "CommitCtx" 5: CommitContext<'a>;
        /// A page was scanned; older form.
        70 ScanCheck "ScanCheck" 5: ScanCheck;
        /// Nothing, of any length.
        71 Nop2 "NOP2" 5: Filling<'a>;
        /// An attached database goes on into a new generation after recovery kept it attached.
        72 ReAttach "ReAttach" 5: ReAttachDb;
        /// The pages that a macro operation touched.
        73 MacroInfo2 "McroInfo2" 5: MacroInfo<'a>;
        /// A tree was freed.
        74 FreeFdp "FreeFDP" 5: FreeFdp;
        /// First piece of a record that crosses segments.
        76 FragmentBegin "FragBegin" 7: FragmentBegin<'a>;
        /// Further piece of a record that crosses segments.
        77 Fragment "FragContd" 3: Fragment<'a>;
        /// The database file was cut; first form.
        78 ShrinkDb "ShrinkDB" 10: ShrinkDb;
        /// The creation of a database is complete.
        79 CreateDbFinish "CrDBFinsh" 4: CreateDbFinish;
        /// Recovery ended and left its databases attached.
        80 RecoveryQuitKeepAttachments "RcvQKA" 26: Term;
        /// A range of the database file was given back to the file system.
        81 TrimDb "TrimDB" 10: TrimDb;
        /// The format version of a database was raised.
        92 SetDbVersion "SetDbVer" 14: SetDbVersion;
        /// A 64-bit number within a node was added to.
        93 Delta64 "Delta64" 58: Delta<'a>;
        /// The database file was cut; second form.
        94 ShrinkDb2 "ShrinkDB2" 10: ShrinkDb;
        /// A page was taken into use.
        95 NewPage "NewPage" 20: NewPage;
        /// A root page and its space trees moved.
        96 RootPageMove "PageMoveR" 16: RootPageMove;
        /// The database is attached from here on, as far as redo is concerned.
        97 SignalAttachDb "SAttachDB" 2: SignalAttachDb;
        /// A page was scanned.
        98 ScanCheck2 "ScanChk2" 27: ScanCheck2;
        /// The database file was cut.
        99 ShrinkDb3 "ShrinkDB3" 18: ShrinkDb;
        /// An extent was freed; without a dbtime.
        100 ExtentFreed "ExtFreed" 11: ExtentFreed;
        /// An extent was freed.
        101 ExtentFreed2 "ExtFreed2" 19: ExtentFreed;
    }
    without_fields {
        /// End of the log generation.
        4 End "End";
        /// The instance is about to shut down cleanly.
        23 ShutDownMark "ShutDown";
    }
    reserved {
        /// Reserved: to be skipped by readers that do not know it.
        75 Ignored9 "Ignored";
        /// Reserved: to be skipped by readers that do not know it.
        82 Ignored10 "Ignored";
        /// Reserved: to be skipped by readers that do not know it.
        83 Ignored11 "Ignored";
        /// Reserved: to be skipped by readers that do not know it.
        84 Ignored12 "Ignored";
        /// Reserved: to be skipped by readers that do not know it.
        85 Ignored13 "Ignored";
        /// Reserved: to be skipped by readers that do not know it.
        86 Ignored14 "Ignored";
        /// Reserved: to be skipped by readers that do not know it.
        87 Ignored15 "Ignored";
        /// Reserved: to be skipped by readers that do not know it.
        88 Ignored16 "Ignored";
        /// Reserved: to be skipped by readers that do not know it.
        89 Ignored17 "Ignored";
        /// Reserved: to be skipped by readers that do not know it.
        90 Ignored18 "Ignored";
        /// Reserved: to be skipped by readers that do not know it.
        91 Ignored19 "Ignored";
    }
    undecodable {
        /// Streaming file: page append (no longer decodable).
        40 SlvPageAppend "*UNKNOWN*";
        /// Streaming file: space (no longer decodable).
        41 SlvSpace "*UNKNOWN*";
        /// Streaming file: page move (no longer decodable).
        43 SlvPageMove "*UNKNOWN*";
        /// Forced detach (no longer decodable).
        44 ForceDetachDb "*UNKNOWN*";
        /// A number that was given up before it was used.
        47 UpgradeDb "*UNKNOWN*";
        /// A prepared transaction will be rolled back (no reader gives it a size).
        55 PrepareRollback "PreRollbk";
        /// A list of databases (no longer decodable).
        56 DbList "*UNKNOWN*";
    }
}

/// Why a record's length cannot be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unsized {
    /// The bytes end before the fixed part does.
    Truncated { needed: usize },
    /// No reader gives records of this type a length.
    Undecodable,
}

impl RecordType {
    /// The type of this number, if it is known.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The byte that opens records of this type.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The name that the reference's log dump prints, without its padding.
    pub fn dump_name(self) -> &'static str {
        self.shape().name
    }

    /// Size of the fixed part with the type byte (`CbLGFixedSizeOfRec`); `None` for types that can no longer be
    /// decoded.
    pub fn fixed_size(self) -> Option<usize> {
        Some(self.shape().fixed).filter(|fixed| *fixed > 0)
    }

    /// Whether readers skip a record of this type when they do not know it: the numbers that the format has kept
    /// free since 7.3704.14 with a length that any reader understands (`LRIGNORED`).
    pub fn is_ignorable(self) -> bool {
        is_ignorable(self.number())
    }

    /// Size of the record that `bytes` start with; they may go on past its end, or end before it does.
    pub(super) fn size_in(self, bytes: &[u8]) -> Result<u64, Unsized> {
        let shape = self.shape();
        if shape.fixed == 0 {
            return Err(Unsized::Undecodable);
        }
        let truncated = Unsized::Truncated {
            needed: shape.fixed,
        };
        let fixed = bytes.get(..shape.fixed).ok_or(truncated)?;
        if self == RecordType::Nop {
            return Ok(bytes.iter().take_while(|byte| **byte == 0).count() as u64);
        }
        let parts = shape.parts.iter();
        let lengths = parts.filter_map(|part| Some(part.find(fixed, 0)?.0 as u64));
        Ok(shape.fixed as u64 + lengths.sum::<u64>())
    }

    fn shape(self) -> &'static Shape {
        &SHAPES[usize::from(self.number())]
    }
}

/// The name that the reference's log dump prints.
impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.dump_name())
    }
}

/// Serialized by [`dump_name`](RecordType::dump_name).
impl Serialize for RecordType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.dump_name())
    }
}
