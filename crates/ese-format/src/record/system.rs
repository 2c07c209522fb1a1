//! Records about the log stream and the engine itself: start and end, recovery, backup, notes, and the stream's own
//! joints (fragments, checksums, filling).
//!
//! Source: `LRINIT2`, `LRTERMREC2`, `LRRECOVERYUNDO2`, `LRLOGRESTORE`, `LRLOGBACKUP_OBSOLETE`, `LRLOGBACKUP`,
//! `LREXTRESTORE`, `LRTRACE`, `LRJETOP`, `LRMS`, `LRCHECKSUM`, `LRIGNORED`, `LRFRAGMENTBEGIN`, `LRFRAGMENT`
//! (`inc/logapi.hxx`); `BKINFO` (`inc/daedef.hxx`).

use super::RecordType;
use super::database::FileNames;
use super::layout::{Ascii, Hex, Write, Writer, fixed, fixed_layout, hex, stored_choice};
use crate::log::{RawSystemParameters, SystemParameters};
use crate::{FormatError, Generation, Lgpos, LogTime, ProcId, Reader};
use serde::{Serialize, Serializer};
use zerocopy::{FromBytes, IntoBytes};

/// Filling, one byte each; a run of them is read as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Nop {
    /// How many bytes.
    pub count: u32,
}

impl Nop {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, FormatError> {
        let more = reader.remaining().len();
        reader.take(more, "Nop")?;
        Ok(Nop {
            count: u32::try_from(more).unwrap_or(u32::MAX).saturating_add(1),
        })
    }
}

impl Write for Nop {
    fn write(&self, writer: &mut Writer) {
        for _ in 1..self.count {
            writer.fixed(&RecordType::Nop.number());
        }
    }
}

/// An engine instance started (`LRINIT`, `LRINIT2`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Init<'a> {
    /// What it was started with.
    #[serde(serialize_with = "system_parameters")]
    pub parameters: &'a RawSystemParameters,
    /// When; `None` in the form before 7.3704.2.
    pub time: Option<LogTime>,
}

fn system_parameters<S: Serializer>(
    parameters: &RawSystemParameters,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    SystemParameters::from(parameters).serialize(serializer)
}

impl<'a> Init<'a> {
    pub(super) fn read_old(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        let offset = reader.offset();
        let bytes = reader.take(size_of::<RawSystemParameters>(), "Init.parameters")?;
        let parameters = RawSystemParameters::ref_from_bytes(bytes)
            .map_err(|error| FormatError::invalid("Init.parameters", offset, error, "its size"))?;
        Ok(Init {
            parameters,
            time: None,
        })
    }

    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        let mut init = Self::read_old(reader)?;
        init.time = Some(fixed(reader, "Init.time")?);
        Ok(init)
    }
}

impl Write for Init<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.bytes(self.parameters.as_bytes());
        if let Some(time) = &self.time {
            writer.fixed(time);
        }
    }
}

fixed_layout! {
    /// What all forms of [`Term`] have (`LRTERMREC`).
    pub struct TermFields: 17 {
        /// Where the last undo of recovery began.
        pub lgpos_undo: Lgpos,
        /// Where redo of recovery began.
        pub lgpos_redo_from: Lgpos,
        /// Not 0 after a restore of a backup rather than a soft recovery.
        pub hard: u8,
    }
}

/// An engine instance or a recovery ended (`LRTERMREC`, `LRTERMREC2`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Term {
    /// What all forms have.
    #[serde(flatten)]
    pub term: TermFields,
    /// When; `None` in the form before 7.3704.2.
    pub time: Option<LogTime>,
}

impl Term {
    pub(super) fn read_old(reader: &mut Reader<'_>) -> Result<Self, FormatError> {
        Ok(Term {
            term: fixed(reader, "Term")?,
            time: None,
        })
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, FormatError> {
        let mut term = Self::read_old(reader)?;
        term.time = Some(fixed(reader, "Term.time")?);
        Ok(term)
    }
}

impl Write for Term {
    fn write(&self, writer: &mut Writer) {
        writer.fixed(&self.term);
        if let Some(time) = &self.time {
            writer.fixed(time);
        }
    }
}

/// Recovery went over from redo to undo: what follows is its rollback (`LRRECOVERYUNDO`, `LRRECOVERYUNDO2`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RecoveryUndo {
    /// When; `None` in the form before 7.3704.2.
    pub time: Option<LogTime>,
}

impl RecoveryUndo {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, FormatError> {
        Ok(RecoveryUndo {
            time: Some(fixed(reader, "RecoveryUndo.time")?),
        })
    }
}

impl Write for RecoveryUndo {
    fn write(&self, writer: &mut Writer) {
        if let Some(time) = &self.time {
            writer.fixed(time);
        }
    }
}

/// A backup of the first kind was made (`LRLOGRESTORE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BackupNote<'a> {
    /// Where to.
    pub path: Ascii<'a>,
}

impl<'a> BackupNote<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        let length = reader.u16("BackupNote.path length")?;
        Ok(BackupNote {
            path: Ascii(reader.take(length.into(), "BackupNote.path")?),
        })
    }
}

impl Write for BackupNote<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.length::<u16>("length of path.0", self.path.0.len());
        writer.bytes(self.path.0);
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

/// A backup step, in the form before 7.3704.10 (`LRLOGBACKUP_OBSOLETE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BackupOld<'a> {
    /// The step.
    pub backup_type: BackupOldType,
    /// Zero.
    pub reserved: u8,
    /// Where to.
    pub path: Ascii<'a>,
}

impl<'a> BackupOld<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        let backup_type = fixed(reader, "BackupOld.backup_type")?;
        let reserved = reader.u8("BackupOld.reserved")?;
        let length = reader.u16("BackupOld.path length")?;
        Ok(BackupOld {
            backup_type,
            reserved,
            path: Ascii(reader.take(length.into(), "BackupOld.path")?),
        })
    }
}

impl Write for BackupOld<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.fixed(&self.backup_type);
        writer.fixed(&self.reserved);
        writer.length::<u16>("length of path.0", self.path.0.len());
        writer.bytes(self.path.0);
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

fixed_layout! {
    /// The fixed fields of a [`Backup`] (`LRLOGBACKUP` with its `BKINFO`).
    pub struct BackupFields: 32 {
        /// How far it is.
        pub phase: BackupPhase,
        /// How it is made.
        pub backup_type: BackupType,
        /// What it holds.
        pub scope: BackupScope,
        /// The database.
        pub dbid: u8,
        /// The position that names the backup.
        pub lgpos_mark: Lgpos,
        /// When that was logged.
        pub time_mark: LogTime,
        /// First generation that belongs to it.
        pub generation_low: Generation,
        /// Last generation that belongs to it.
        pub generation_high: Generation,
        /// Zero.
        pub reserved: u8,
    }
}

/// A backup step (`LRLOGBACKUP`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Backup<'a> {
    /// All but the path; what `phase` does not need is zero.
    #[serde(flatten)]
    pub backup: BackupFields,
    /// Where to.
    pub path: Ascii<'a>,
}

impl<'a> Backup<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        let backup = fixed(reader, "Backup")?;
        let length = reader.u16("Backup.path length")?;
        Ok(Backup {
            backup,
            path: Ascii(reader.take(length.into(), "Backup.path")?),
        })
    }
}

impl Write for Backup<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.fixed(&self.backup);
        writer.length::<u16>("length of path.0", self.path.0.len());
        writer.bytes(self.path.0);
    }
}

/// A restore runs the logs as another instance, in another place (`LREXTRESTORE`, `LREXTRESTORE2`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ExternalRestore<'a> {
    /// The instance's name, then the folder of its logs.
    pub names: FileNames<'a>,
}

impl<'a> ExternalRestore<'a> {
    pub(super) fn read(reader: &mut Reader<'a>, unicode: bool) -> Result<Self, FormatError> {
        let length = reader.u16("ExternalRestore.names length")?;
        Ok(ExternalRestore {
            names: FileNames {
                unicode,
                bytes: reader.take(length.into(), "ExternalRestore.names")?,
            },
        })
    }
}

impl Write for ExternalRestore<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.length::<u16>("length of names.bytes", self.names.bytes.len());
        writer.bytes(self.names.bytes);
    }
}

fixed_layout! {
    /// An API call; debug builds only (`LRJETOP`).
    pub struct JetOp: 3 {
        /// The session.
        pub procid: ProcId,
        /// The call.
        pub operation: u8,
    }
}

/// A note in plain text (`LRTRACE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Trace<'a> {
    /// The session.
    pub procid: ProcId,
    /// The note, with the zero that ends it.
    pub text: Ascii<'a>,
}

impl<'a> Trace<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        let procid = fixed(reader, "Trace.procid")?;
        let length = reader.u16("Trace.text length")?;
        Ok(Trace {
            procid,
            text: Ascii(reader.take(length.into(), "Trace.text")?),
        })
    }
}

impl Write for Trace<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.fixed(&self.procid);
        writer.length::<u16>("length of text.0", self.text.0.len());
        writer.bytes(self.text.0);
    }
}

fixed_layout! {
    /// A flush of many sectors, in a format that no reader accepts any more (`LRMS`).
    pub struct MultiSectorFlush: 8 {
        /// Byte in the sector of the next one.
        pub forward_byte: u16,
        /// Checksum.
        pub checksum: u32,
        /// Sector of the next one.
        pub forward_sector: u16,
    }
}

fixed_layout! {
    /// The checksum of a flush, in the log layout before 8.4000 (`LRCHECKSUM`).
    pub struct Checksum: 21 {
        /// Bytes before this record that the checksum covers.
        pub backward: u32,
        /// Bytes after this record that it covers.
        pub forward: u32,
        /// From the end of this record to the next one of its kind; 0 if there is none yet.
        pub next: u32,
        /// Checksum of the range.
        pub checksum: u32,
        /// Checksum of this record's sector alone.
        pub short_checksum: u32,
        /// [`Checksum::SHORT_ON`] or [`Checksum::SHORT_OFF`]; anything else is damage.
        pub use_short_checksum: u8,
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

impl<'a> Filling<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        Ok(Filling {
            data: reader.take(reader.remaining().len(), "Filling.data")?,
        })
    }
}

impl Write for Filling<'_> {
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

impl<'a> Ignored<'a> {
    pub(super) fn read(
        reader: &mut Reader<'a>,
        record_type: RecordType,
    ) -> Result<Self, FormatError> {
        Ok(Ignored {
            record_type,
            data: reader.take(reader.remaining().len(), "Ignored.data")?,
        })
    }
}

impl Write for Ignored<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.bytes(self.data);
    }
}

/// The first piece of a record that does not fit into its segment (`LRFRAGMENTBEGIN`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FragmentBegin<'a> {
    /// Size of the whole record.
    pub total_size: u32,
    /// The record's first bytes.
    #[serde(serialize_with = "hex")]
    pub data: &'a [u8],
}

impl<'a> FragmentBegin<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        let total_size = reader.u32("FragmentBegin.total_size")?;
        let length = reader.u16("FragmentBegin.data length")?;
        Ok(FragmentBegin {
            total_size,
            data: reader.take(length.into(), "FragmentBegin.data")?,
        })
    }
}

impl Write for FragmentBegin<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.fixed(&self.total_size);
        writer.length::<u16>("length of data", self.data.len());
        writer.bytes(self.data);
    }
}

/// A further piece of a record that does not fit into its segment (`LRFRAGMENT`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Fragment<'a> {
    /// More bytes of the record.
    #[serde(serialize_with = "hex")]
    pub data: &'a [u8],
}

impl<'a> Fragment<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        let length = reader.u16("Fragment.data length")?;
        Ok(Fragment {
            data: reader.take(length.into(), "Fragment.data")?,
        })
    }
}

impl Write for Fragment<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.length::<u16>("length of data", self.data.len());
        writer.bytes(self.data);
    }
}
