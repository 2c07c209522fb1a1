//! The types of log records: number, name, and how long a record of the type is.
//!
//! A record's length follows from its fixed part alone: the fixed size of its type plus the lengths that are in it.
//! [`RECORD_TYPES`] holds that as data, so that a reader steps from record to record without decoding them.
//! Source: `inc/logapi.hxx` (`lrtyp*`), `CbLGFixedSizeOfRec` and `CbLGSizeOfRec` in `ese/_log/logread.cxx`, names in
//! `ese/logapi.cxx` (`SzLrtyp`).

use serde::{Serialize, Serializer};
use std::fmt;

/// A part of a record whose length its fixed part holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// As many bytes as the `u16` at this offset says.
    U16(usize),
    /// As many bytes as the lower 15 bits of the `u16` at this offset say; the upper bit is a flag.
    U15(usize),
    /// As many bytes as the `u32` at this offset says.
    U32(usize),
    /// This many bytes if the byte at `at` has the bit.
    IfBit { at: usize, bit: u8, bytes: usize },
}

/// What [`RECORD_TYPES`] knows of one number.
struct Shape {
    name: &'static str,
    fixed: usize,
    parts: &'static [Part],
}

macro_rules! record_types {
    ($($(#[$meta:meta])* $number:literal $variant:ident $name:literal $fixed:literal [$($part:expr),*];)*) => {
        /// The type of a log record, as the byte that opens it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum RecordType {
            $($(#[$meta])* $variant = $number,)*
        }

        impl RecordType {
            /// Every type, by number.
            pub const ALL: [RecordType; RecordType::COUNT] = [$(RecordType::$variant,)*];
        }

        static RECORD_TYPES: [Shape; RecordType::COUNT] = [
            $(Shape { name: $name, fixed: $fixed, parts: &[$($part),*] },)*
        ];
    };
}

use Part::{IfBit, U15, U16, U32};

record_types! {
    /// Nothing; fills space, one byte each.
    0 Nop "NOP" 1 [];
    /// An engine instance started on this stream; without a time.
    1 Init "Init" 568 [];
    /// An engine instance ended; without a time.
    2 Term "Term" 18 [];
    /// Multi-sector flush of a format older than any reader still accepts.
    3 MultiSectorFlush "MS" 9 [];
    /// End of the log generation.
    4 End "End" 1 [];
    /// A transaction began, not at level 0.
    5 Begin "Begin" 4 [];
    /// A transaction committed to a level above 0.
    6 Commit "Commit" 4 [];
    /// A transaction rolled back some levels.
    7 Rollback "Rollback" 4 [];
    /// A transaction began at level 0.
    8 Begin0 "Begin0" 8 [];
    /// A transaction committed to level 0: it is durable.
    9 Commit0 "Commit0" 8 [];
    /// A session took a new transaction id without ending its transaction.
    10 Refresh "Refresh" 7 [];
    /// A macro operation began: what follows in this session applies at its commit, or never.
    11 MacroBegin "McroBegin" 11 [];
    /// A macro operation is complete.
    12 MacroCommit "McroComit" 11 [];
    /// A macro operation is void.
    13 MacroAbort "McroAbort" 11 [];
    /// A database was created.
    14 CreateDb "CreateDB" 43 [U16(40), IfBit { at: 42, bit: 4, bytes: 4 }];
    /// A database was attached.
    15 AttachDb "AttachDB" 75 [U16(72)];
    /// A database was detached.
    16 DetachDb "DetachDB" 7 [U16(4)];
    /// Recovery went over from redo to undo; without a time.
    17 RecoveryUndo "RcvUndo" 1 [];
    /// Recovery ended; without a time.
    18 RecoveryQuit "RcvQuit" 18 [];
    /// A full backup of the first kind.
    19 FullBackup "FullBkUp" 3 [U16(1)];
    /// An incremental backup of the first kind.
    20 IncrementalBackup "IncBkUp" 3 [U16(1)];
    /// An API call (debug builds only).
    21 JetOp "JetOp" 4 [];
    /// A free text note.
    22 Trace "Trace" 5 [U16(3)];
    /// The instance is about to shut down cleanly.
    23 ShutDownMark "ShutDown" 1 [];
    /// A tree with own space trees was created.
    24 CreateMultipleExtentFdp "Create M" 56 [];
    /// A tree that lives in a single extent was created.
    25 CreateSingleExtentFdp "Create S" 48 [];
    /// A single-extent tree got space trees; older form.
    26 ConvertFdp "Convert" 60 [];
    /// A page was split; without a before image.
    27 Split "Split" 102 [U16(100), U16(96), U16(98)];
    /// A page was merged into a sibling or removed; without a before image.
    28 Merge "Merge" 88 [U16(86)];
    /// A node was inserted.
    29 Insert "Insert" 50 [U16(44), U16(46), U16(48)];
    /// A flag-deleted node came to life again with its old data.
    30 FlagInsert "FInsert" 48 [U16(44), U16(46)];
    /// A flag-deleted node came to life again with new data.
    31 FlagInsertAndReplaceData "FInsertRD" 52 [U16(44), U16(46)];
    /// A node was flagged as deleted.
    32 FlagDelete "FDelete" 44 [];
    /// A node's data was replaced; the record holds the new data.
    33 Replace "Replace" 50 [U15(44)];
    /// A node's data was replaced; the record holds the difference.
    34 ReplaceDelta "ReplaceD" 50 [U15(44)];
    /// A node was removed from its page.
    35 Delete "Delete" 44 [];
    /// The before image of an operation, logged before its page was written.
    36 UndoInfo "UndoInfo" 56 [U16(54), U16(44), U16(46)];
    /// A 32-bit number within a node was added to.
    37 Delta "Delta" 54 [U16(44), U16(46)];
    /// A page's external header was set.
    38 SetExternalHeader "SetExtHdr" 46 [U16(44)];
    /// An operation was undone in a rollback.
    39 Undo "Undo" 51 [U16(44), U16(46)];
    /// Streaming file: page append (no longer decodable).
    40 SlvPageAppend "*UNKNOWN*" 0 [];
    /// Streaming file: space (no longer decodable).
    41 SlvSpace "*UNKNOWN*" 0 [];
    /// The checksum of a flush in the older log layout.
    42 Checksum "Checksum" 22 [];
    /// Streaming file: page move (no longer decodable).
    43 SlvPageMove "*UNKNOWN*" 0 [];
    /// Forced detach (no longer decodable).
    44 ForceDetachDb "*UNKNOWN*" 0 [];
    /// A restore runs as another instance; names of one byte per character.
    45 ExternalRestore "ExtRest" 3 [U16(1)];
    /// A backup step, older form.
    46 Backup "Backup" 5 [U16(3)];
    /// A number that was given up before it was used.
    47 UpgradeDb "*UNKNOWN*" 0 [];
    /// All pages of a tree below its root were freed.
    48 EmptyTree "EmptyTree" 46 [U16(44)];
    /// An engine instance started on this stream.
    49 Init2 "Init" 576 [];
    /// An engine instance ended.
    50 Term2 "Term" 26 [];
    /// Recovery went over from redo to undo.
    51 RecoveryUndo2 "RcvUndo" 9 [];
    /// Recovery ended.
    52 RecoveryQuit2 "RcvQuit" 26 [];
    /// A distributed transaction began.
    53 BeginDistributed "BeginDT" 8 [];
    /// A distributed transaction was prepared.
    54 PrepareCommit "PreCommit" 7 [U32(3)];
    /// A prepared transaction will be rolled back (no reader gives it a size).
    55 PrepareRollback "PreRollbk" 0 [];
    /// A list of databases (no longer decodable).
    56 DbList "*UNKNOWN*" 0 [];
    /// A flush of the log was forced.
    57 ForceWriteLog "FWriteLog" 3 [];
    /// A single-extent tree got space trees.
    58 ConvertFdp2 "Convert" 68 [];
    /// A restore runs as another instance; UTF-16 names.
    59 ExternalRestore2 "ExtRest2" 3 [U16(1)];
    /// A backup step.
    60 Backup2 "Backup2" 35 [U16(33)];
    /// A new log generation was forced.
    61 ForceLogRollover "FRollLog" 5 [U16(3)];
    /// A page was split.
    62 Split2 "Split2" 110 [U16(100), U16(96), U16(98), U32(106)];
    /// A page was merged into a sibling or removed.
    63 Merge2 "Merge2" 96 [U16(86), U32(92)];
    /// Deleted data on a page was overwritten.
    64 Scrub "Scrub" 54 [U16(52)];
    /// A page moved to another place.
    65 PageMove "PageMove" 96 [U32(88), U32(92)];
    /// A page should be patched from another copy of the database.
    66 PagePatchRequest "PagePatch" 46 [];
    /// The pages that a macro operation touched; for database 1.
    67 MacroInfo "McroInfo" 5 [U32(1)];
    /// The database file grew.
    68 ExtendDb "ExtendDB" 5 [U32(1)];
    /// What a client attached to a commit.
    69 CommitContext "CommitCtx" 5 [U32(1)];
    /// A page was scanned; older form.
    70 ScanCheck "ScanCheck" 5 [U32(1)];
    /// Nothing, of any length.
    71 Nop2 "NOP2" 5 [U32(1)];
    /// An attached database goes on into a new generation after recovery kept it attached.
    72 ReAttach "ReAttach" 5 [U32(1)];
    /// The pages that a macro operation touched.
    73 MacroInfo2 "McroInfo2" 5 [U32(1)];
    /// A tree was freed.
    74 FreeFdp "FreeFDP" 5 [U32(1)];
    /// Reserved: to be skipped by readers that do not know it.
    75 Ignored9 "Ignored" 5 [U32(1)];
    /// First piece of a record that crosses segments.
    76 FragmentBegin "FragBegin" 7 [U16(5)];
    /// Further piece of a record that crosses segments.
    77 Fragment "FragContd" 3 [U16(1)];
    /// The database file was cut; first form.
    78 ShrinkDb "ShrinkDB" 10 [];
    /// The creation of a database is complete.
    79 CreateDbFinish "CrDBFinsh" 4 [];
    /// Recovery ended and left its databases attached.
    80 RecoveryQuitKeepAttachments "RcvQKA" 26 [];
    /// A range of the database file was given back to the file system.
    81 TrimDb "TrimDB" 10 [];
    /// Reserved: to be skipped by readers that do not know it.
    82 Ignored10 "Ignored" 5 [U32(1)];
    /// Reserved: to be skipped by readers that do not know it.
    83 Ignored11 "Ignored" 5 [U32(1)];
    /// Reserved: to be skipped by readers that do not know it.
    84 Ignored12 "Ignored" 5 [U32(1)];
    /// Reserved: to be skipped by readers that do not know it.
    85 Ignored13 "Ignored" 5 [U32(1)];
    /// Reserved: to be skipped by readers that do not know it.
    86 Ignored14 "Ignored" 5 [U32(1)];
    /// Reserved: to be skipped by readers that do not know it.
    87 Ignored15 "Ignored" 5 [U32(1)];
    /// Reserved: to be skipped by readers that do not know it.
    88 Ignored16 "Ignored" 5 [U32(1)];
    /// Reserved: to be skipped by readers that do not know it.
    89 Ignored17 "Ignored" 5 [U32(1)];
    /// Reserved: to be skipped by readers that do not know it.
    90 Ignored18 "Ignored" 5 [U32(1)];
    /// Reserved: to be skipped by readers that do not know it.
    91 Ignored19 "Ignored" 5 [U32(1)];
    /// The format version of a database was raised.
    92 SetDbVersion "SetDbVer" 14 [];
    /// A 64-bit number within a node was added to.
    93 Delta64 "Delta64" 58 [U16(44), U16(46)];
    /// The database file was cut; second form.
    94 ShrinkDb2 "ShrinkDB2" 10 [];
    /// A page was taken into use.
    95 NewPage "NewPage" 20 [];
    /// A root page and its space trees moved.
    96 RootPageMove "PageMoveR" 16 [];
    /// The database is attached from here on, as far as redo is concerned.
    97 SignalAttachDb "SAttachDB" 2 [];
    /// A page was scanned.
    98 ScanCheck2 "ScanChk2" 27 [];
    /// The database file was cut.
    99 ShrinkDb3 "ShrinkDB3" 18 [];
    /// An extent was freed; without a dbtime.
    100 ExtentFreed "ExtFreed" 11 [];
    /// An extent was freed.
    101 ExtentFreed2 "ExtFreed2" 19 [];
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
    /// How many types there are; numbers from here on are unknown (`lrtypMax`).
    pub const COUNT: usize = 102;

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
        matches!(self.number(), 67..=75 | 82..=91)
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
        let mut size = shape.fixed as u64;
        for part in shape.parts {
            size += part.length(fixed).ok_or(truncated)?;
        }
        Ok(size)
    }

    fn shape(self) -> &'static Shape {
        &RECORD_TYPES[usize::from(self.number())]
    }
}

impl Part {
    fn length(self, fixed: &[u8]) -> Option<u64> {
        let u16_at = |at: usize| Some(u16::from_le_bytes(*fixed.get(at..)?.first_chunk()?));
        Some(match self {
            U16(at) => u64::from(u16_at(at)?),
            U15(at) => u64::from(u16_at(at)? & 0x7fff),
            U32(at) => u64::from(u32::from_le_bytes(*fixed.get(at..)?.first_chunk()?)),
            IfBit { at, bit, bytes } if fixed.get(at)? & bit != 0 => bytes as u64,
            IfBit { .. } => 0,
        })
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
