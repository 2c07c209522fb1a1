//! Records about the log stream and the engine itself: start and end, recovery, backup, notes, and the stream's own
//! joints (fragments, checksums, filling).
//!
//! Source: `LRINIT2`, `LRTERMREC2`, `LRRECOVERYUNDO2`, `LRLOGRESTORE`, `LRLOGBACKUP_OBSOLETE`, `LRLOGBACKUP`,
//! `LREXTRESTORE`, `LRTRACE`, `LRJETOP`, `LRMS`, `LRCHECKSUM`, `LRIGNORED`, `LRFRAGMENTBEGIN`, `LRFRAGMENT`
//! (`inc/logapi.hxx`); `BKINFO` (`inc/daedef.hxx`).

use super::RecordType;
use super::body::{Body, FixedPart, Form, IGNORABLE_HEAD, Part, Writer, record};
use super::database::FileNames;
use super::values::{Ascii, hex, stored_choice};
use crate::hex::Hex;
use crate::layout::layout;
use crate::log::{RawSystemParameters, SystemParameters};
use crate::{FormatError, Generation, Lgpos, LogTime, ProcId, Reader};
use serde::{Serialize, Serializer};

/// Filling, one byte each; a run of them is read as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Nop {
    /// How many bytes.
    pub count: u32,
}

impl<'a> Body<'a> for Nop {
    const ENDS: &'static [usize] = &[1];

    fn read(reader: &mut Reader<'a>, _: Form) -> Result<Self, FormatError> {
        let more = reader.remaining().len();
        reader.take(more, "Nop")?;
        Ok(Nop {
            count: u32::try_from(more).unwrap_or(u32::MAX).saturating_add(1),
        })
    }

    fn write(&self, writer: &mut Writer) {
        for _ in 1..self.count {
            writer.value(&RecordType::Nop.number());
        }
    }
}

/// An engine instance started (`LRINIT`, `LRINIT2`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Init<'a> {
    /// What it was started with, as stored.
    #[serde(serialize_with = "system_parameters")]
    pub parameters: &'a [u8; RawSystemParameters::SIZE],
    /// When; `None` in the form before 7.3704.2.
    pub time: Option<LogTime>,
}

fn system_parameters<S: Serializer>(
    parameters: &[u8; RawSystemParameters::SIZE],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    SystemParameters::read(parameters).serialize(serializer)
}

impl Init<'_> {
    const TIME: usize = 1 + RawSystemParameters::SIZE;
}

/// By hand, since the parameters stay where they are: they are longer than any other field.
impl<'a> Body<'a> for Init<'a> {
    const ENDS: &'static [usize] = &[Init::TIME, Init::TIME + LogTime::SIZE];

    fn read(reader: &mut Reader<'a>, form: Form) -> Result<Self, FormatError> {
        let fixed = FixedPart::take::<Self>(reader, form)?;
        Ok(Init {
            parameters: fixed.oldest(),
            time: fixed.later(Init::TIME),
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.fixed_part::<Self>();
        writer.field(1, self.parameters);
        writer.later("time", Init::TIME, self.time.as_ref());
    }
}

layout! {
    /// What all forms of [`Term`] have (`LRTERMREC`).
    #[derive(Copy, Serialize)]
    TermFields [1..18] {
        1 lgpos_undo: Lgpos = "Where the last undo of recovery began.";
        9 lgpos_redo_from: Lgpos = "Where redo of recovery began.";
        17 hard: u8 = "Not 0 after a restore of a backup rather than a soft recovery.";
    }
}

record! {
    /// An engine instance or a recovery ended (`LRTERMREC`, `LRTERMREC2`).
    Term [1..18] {
        #[serde(flatten)]
        1 term: TermFields = "What all forms have.";
    }
    later {
        18 time: LogTime = "When; `None` in the form before 7.3704.2.";
    }
}

record! {
    /// Recovery went over from redo to undo: what follows is its rollback (`LRRECOVERYUNDO`, `LRRECOVERYUNDO2`).
    RecoveryUndo [1..1] {}
    later {
        1 time: LogTime = "When; `None` in the form before 7.3704.2.";
    }
}

record! {
    /// A backup of the first kind was made (`LRLOGRESTORE`).
    BackupNote<'a> [1..3] {}
    parts {
        U16(1) path: Ascii<'a> = "Where to.";
    }
}

stored_choice! {
    /// The step of a [`BackupOld`] (`LRLOGBACKUP_TYPE`).
    pub enum BackupOldType: u8 {
        /// A full backup.
        Full = 0,
        /// An incremental backup.
        Incremental = 1,
        /// A snapshot began.
        SnapshotStart = 2,
        /// A snapshot ended.
        SnapshotStop = 3,
        /// Logs were truncated.
        TruncateLogs = 4,
        /// A full backup by the operating system's snapshots.
        OsSnapshot = 5,
        /// An incremental backup by the operating system's snapshots.
        OsSnapshotIncremental = 6,
    }
}

record! {
    /// A backup step, in the form before 7.3704.10 (`LRLOGBACKUP_OBSOLETE`).
    BackupOld<'a> [1..5] {
        1 backup_type: BackupOldType = "The step.";
        2 reserved: u8 = "Zero.";
    }
    parts {
        U16(3) path: Ascii<'a> = "Where to.";
    }
}

stored_choice! {
    /// How far a backup is (`LRLOGBACKUP_PHASE`).
    pub enum BackupPhase: u8 {
        /// It begins.
        Begin = 1,
        /// It goes over to the logs.
        PrepareLogs = 2,
        /// It truncates the logs.
        Truncate = 3,
        /// The database header says so.
        Update = 4,
        /// It was given up.
        Abort = 5,
        /// It is over.
        Stop = 6,
    }
}

stored_choice! {
    /// How a backup is made (`BKINFOTYPE`).
    pub enum BackupType: u32 {
        /// Streamed through the engine.
        Normal = 0,
        /// By the operating system's snapshots.
        OsSnapshot = 1,
        /// By snapshots of the engine (never used).
        Snapshot = 2,
        /// Made of a copy of this database elsewhere.
        Surrogate = 3,
    }
}

stored_choice! {
    /// What a backup holds (`LRLOGBACKUP_SCOPE`).
    pub enum BackupScope: u8 {
        /// Everything; logs are truncated after.
        Full = 1,
        /// The logs since the last one.
        Incremental = 2,
        /// Everything; nothing is truncated.
        Copy = 5,
        /// The logs since the last full one.
        Differential = 6,
    }
}

layout! {
    /// The fixed fields of a [`Backup`] (`LRLOGBACKUP` with its `BKINFO`).
    #[derive(Copy, Serialize)]
    BackupFields [1..33] {
        1 phase: BackupPhase = "How far it is.";
        2 backup_type: BackupType = "How it is made.";
        6 scope: BackupScope = "What it holds.";
        7 dbid: u8 = "The database.";
        8 lgpos_mark: Lgpos = "The position that names the backup.";
        16 time_mark: LogTime = "When that was logged.";
        24 generation_low: Generation = "First generation that belongs to it.";
        28 generation_high: Generation = "Last generation that belongs to it.";
        32 reserved: u8 = "Zero.";
    }
}

record! {
    /// A backup step (`LRLOGBACKUP`).
    Backup<'a> [1..35] {
        #[serde(flatten)]
        1 backup: BackupFields = "All but the path; what `phase` does not need is zero.";
    }
    parts {
        U16(33) path: Ascii<'a> = "Where to.";
    }
}

/// A restore runs the logs as another instance, in another place (`LREXTRESTORE`, `LREXTRESTORE2`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ExternalRestore<'a> {
    /// The instance's name, then the folder of its logs.
    pub names: FileNames<'a>,
}

/// By hand, since the type says whether the names are UTF-16.
impl<'a> Body<'a> for ExternalRestore<'a> {
    const ENDS: &'static [usize] = &[3];
    const PARTS: &'static [Part] = &[Part::U16(1)];

    fn read(reader: &mut Reader<'a>, form: Form) -> Result<Self, FormatError> {
        let unicode = form.record_type == RecordType::ExternalRestore2;
        let fixed = FixedPart::take::<Self>(reader, form)?;
        let what = ["ExternalRestore.names", "ExternalRestore.names length"];
        Ok(ExternalRestore {
            names: fixed.part(Part::U16(1), reader, what, unicode)?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.fixed_part::<Self>();
        writer.part("length of names", Part::U16(1), &self.names);
    }
}

record! {
    /// An API call; debug builds only (`LRJETOP`).
    JetOp [1..4] {
        1 procid: ProcId = "The session.";
        3 operation: u8 = "The call.";
    }
}

record! {
    /// A note in plain text (`LRTRACE`).
    Trace<'a> [1..5] {
        1 procid: ProcId = "The session.";
    }
    parts {
        U16(3) text: Ascii<'a> = "The note, with the zero that ends it.";
    }
}

record! {
    /// A flush of many sectors, in a format that no reader accepts any more (`LRMS`).
    MultiSectorFlush [1..9] {
        1 forward_byte: u16 = "Byte in the sector of the next one.";
        3 checksum: u32 = "Checksum.";
        7 forward_sector: u16 = "Sector of the next one.";
    }
}

record! {
    /// The checksum of a flush, in the log layout before 8.4000 (`LRCHECKSUM`).
    Checksum [1..22] {
        1 backward: u32 = "Bytes before this record that the checksum covers.";
        5 forward: u32 = "Bytes after this record that it covers.";
        9 next: u32 = "From the end of this record to the next one of its kind; 0 if there is none yet.";
        13 checksum: u32 = "Checksum of the range.";
        17 short_checksum: u32 = "Checksum of this record's sector alone.";
        21 use_short_checksum: u8 = "[`Checksum::SHORT_ON`] or [`Checksum::SHORT_OFF`]; anything else is damage.";
    }
}

impl Checksum {
    /// The short checksum counts: the flush wrote several sectors (`bShortChecksumOn`).
    pub const SHORT_ON: u8 = 0x9a;
    /// The short checksum does not count (`bShortChecksumOff`).
    pub const SHORT_OFF: u8 = 0xd1;
}

/// Filling of any length (`LRIGNORED` under `lrtypNOP2`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filling<'a> {
    /// What fills; zeroes, usually.
    pub data: &'a [u8],
}

impl<'a> Body<'a> for Filling<'a> {
    const START: usize = IGNORABLE_HEAD;
    const ENDS: &'static [usize] = &[IGNORABLE_HEAD];

    fn read(reader: &mut Reader<'a>, _: Form) -> Result<Self, FormatError> {
        Ok(Filling {
            data: reader.take(reader.remaining().len(), "Filling.data")?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.bytes(self.data);
    }
}

/// The length, and the bytes unless they are all zero.
impl Serialize for Filling<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'a> {
            length: usize,
            data: Option<Hex<'a>>,
        }
        let used = self.data.iter().any(|byte| *byte != 0);
        Shown {
            length: self.data.len(),
            data: used.then_some(Hex(self.data)),
        }
        .serialize(serializer)
    }
}

/// A record of one of the reserved types that readers skip (`LRIGNORED`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Ignored<'a> {
    /// The record's type; serialized as its number.
    #[serde(rename = "number", serialize_with = "type_number")]
    pub record_type: RecordType,
    /// What it holds.
    #[serde(serialize_with = "hex")]
    pub data: &'a [u8],
}

fn type_number<S: Serializer>(record_type: &RecordType, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u8(record_type.number())
}

impl<'a> Body<'a> for Ignored<'a> {
    const START: usize = IGNORABLE_HEAD;
    const ENDS: &'static [usize] = &[IGNORABLE_HEAD];

    fn read(reader: &mut Reader<'a>, form: Form) -> Result<Self, FormatError> {
        Ok(Ignored {
            record_type: form.record_type,
            data: reader.take(reader.remaining().len(), "Ignored.data")?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.bytes(self.data);
    }
}

record! {
    /// The first piece of a record that does not fit into its segment (`LRFRAGMENTBEGIN`).
    FragmentBegin<'a> [1..7] {
        1 total_size: u32 = "Size of the whole record.";
    }
    parts {
        #[serde(serialize_with = "hex")]
        U16(5) data: &'a [u8] = "The record's first bytes.";
    }
}

record! {
    /// A further piece of a record that does not fit into its segment (`LRFRAGMENT`).
    Fragment<'a> [1..3] {}
    parts {
        #[serde(serialize_with = "hex")]
        U16(1) data: &'a [u8] = "More bytes of the record.";
    }
}
