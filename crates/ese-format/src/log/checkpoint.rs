//! The checkpoint file: from where recovery would start.
//!
//! Two copies of 4096 bytes, at 0 and 4096 (`CHECKPOINT`, `inc/log.hxx`); the second is written after the first, so
//! that one of them is whole whenever the machine stops:
//!
//! ```text
//!   0 checksum                     u32         615 last full backup         Lgpos
//!   4 checkpoint of last full      Lgpos       623 its time                 LogTime
//!     backup                                   631 last incremental backup  Lgpos
//!  12 checkpoint                   Lgpos       639 its time                 LogTime
//!  20 log signature                28 bytes    647 flags                    u8
//!  48 DBMS_PARAM                   567 bytes   648 database consistency     Lgpos
//!                                              656 reserved, 667 file type  u32, 671 reserved
//! 679 attach list, 2048 bytes
//! ```

use super::{
    AttachList, FILE_TYPE_CHECKPOINT, HEADER_SIZE, RawSystemParameters, SystemParameters,
    Unverified, header_and_attach_list,
};
use crate::layout::{Reserved, layout};
use crate::{FormatError, Lgpos, LogTime, Signature};
use ese_checksum::header_checksum;
use serde::{Serialize, Serializer};
use thiserror::Error;

layout! {
    /// `CHECKPOINT_FIXED` as stored, without the attach list after it.
    RawCheckpoint [0..679] {
        0 checksum: u32 = "XOR checksum of the copy.";
        4 last_full_backup_checkpoint: Lgpos = "The checkpoint when the last full backup was taken.";
        12 checkpoint: Lgpos = "Where redo starts.";
        20 log_signature: Signature = "Signature of the stream.";
        48 parameters: RawSystemParameters = "Settings of the engine that wrote the file.";
        615 full_backup: Lgpos = "Where the last full backup was logged.";
        623 full_backup_time: LogTime = "When.";
        631 incremental_backup: Lgpos = "Where the last incremental backup was logged.";
        639 incremental_backup_time: LogTime = "When.";
        647 flags: u8 = "Bit 0: the attach list is filled in.";
        648 database_consistency: Lgpos = "Where the databases on disk are consistent with the log.";
        656 reserved: Reserved<11> = "Zero.";
        667 file_type: u32 = "4, or 0 in old files.";
        671 reserved2: Reserved<8> = "Zero.";
    }
}

/// One copy of the checkpoint, decoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checkpoint {
    /// The checkpoint when the last full backup was taken.
    pub last_full_backup_checkpoint: Lgpos,
    /// Where redo starts.
    pub checkpoint: Lgpos,
    /// Signature of the stream.
    pub log_signature: Signature,
    /// Settings of the engine that wrote the file.
    pub parameters: SystemParameters,
    /// Where the last full backup was logged.
    pub full_backup: Lgpos,
    /// When.
    pub full_backup_time: LogTime,
    /// Where the last incremental backup was logged.
    pub incremental_backup: Lgpos,
    /// When.
    pub incremental_backup_time: LogTime,
    /// All flags; bit 0 says that the attach list is filled in (`fCheckpointAttachInfoPresent`).
    pub flags: u8,
    /// As stored; see [`database_consistency`](Self::database_consistency).
    pub stored_database_consistency: Lgpos,
    /// Kind of file: [`FILE_TYPE_CHECKPOINT`], or 0 in old files.
    pub file_type: u32,
    /// Databases attached at the checkpoint.
    pub attachments: AttachList,
}

impl Checkpoint {
    /// Decodes one copy, 4096 bytes at `offset` of its file.
    pub fn read(bytes: &[u8], offset: u64) -> Result<Unverified<Self>, FormatError> {
        let bytes = bytes.first_chunk().ok_or(FormatError::Truncated {
            what: "checkpoint",
            offset,
            needed: HEADER_SIZE as u64,
            available: bytes.len() as u64,
        })?;
        let (raw, list) = header_and_attach_list(bytes);
        let raw = RawCheckpoint::from_bytes(raw);
        let checkpoint = Checkpoint {
            last_full_backup_checkpoint: raw.last_full_backup_checkpoint,
            checkpoint: raw.checkpoint,
            log_signature: raw.log_signature,
            parameters: (&raw.parameters).into(),
            full_backup: raw.full_backup,
            full_backup_time: raw.full_backup_time,
            incremental_backup: raw.incremental_backup,
            incremental_backup_time: raw.incremental_backup_time,
            flags: raw.flags,
            stored_database_consistency: raw.database_consistency,
            file_type: raw.file_type,
            attachments: AttachList::read(list, offset + RawCheckpoint::SIZE as u64),
        };
        let computed = header_checksum(bytes);
        Ok(Unverified::new(raw.checksum, computed, checkpoint))
    }

    /// Where the databases on disk are consistent with the log. Files that do not have it mean the checkpoint itself
    /// (`LOG::ErrLGReadCheckpoint`, `ese/_log/log.cxx`).
    pub fn database_consistency(&self) -> Lgpos {
        if self.stored_database_consistency.is_null() {
            self.checkpoint
        } else {
            self.stored_database_consistency
        }
    }
}

/// Which of two copies of a header is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckpointCopy {
    /// The first copy.
    Primary,
    /// The second copy.
    Shadow,
}

/// Why a checkpoint file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CheckpointProblem {
    /// Neither copy can be read (`JET_errCheckpointCorrupt`).
    #[error("neither copy of the checkpoint is intact")]
    BothDamaged,
    /// The file is of another kind (`JET_errFileInvalidType`).
    #[error("file type is {found}, a checkpoint has {FILE_TYPE_CHECKPOINT}")]
    WrongFileType {
        /// What the file says it is.
        found: u32,
    },
}

/// Both copies of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckpointFile {
    /// The first copy.
    #[serde(serialize_with = "copy_or_problem")]
    pub primary: Result<Unverified<Checkpoint>, FormatError>,
    /// The second copy.
    #[serde(serialize_with = "copy_or_problem")]
    pub shadow: Result<Unverified<Checkpoint>, FormatError>,
    /// Whether both copies hold the same bytes.
    pub copies_agree: bool,
}

fn copy_or_problem<S: Serializer>(
    copy: &Result<Unverified<Checkpoint>, FormatError>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match copy {
        Ok(copy) => copy.serialize(serializer),
        Err(problem) => serializer.collect_str(problem),
    }
}

impl CheckpointFile {
    /// Bytes of the file.
    pub const SIZE: usize = 2 * HEADER_SIZE;

    /// Decodes both copies from the content of a checkpoint file.
    pub fn read(file: &[u8]) -> Self {
        let (first, second) = file.split_at_checked(HEADER_SIZE).unwrap_or((file, &[]));
        let second_end = second.len().min(HEADER_SIZE);
        CheckpointFile {
            primary: Checkpoint::read(first, 0),
            shadow: Checkpoint::read(second, HEADER_SIZE as u64),
            copies_agree: Some(first) == second.get(..second_end),
        }
    }

    /// The copy the engine would use, and which one it is: the first if it is intact, otherwise the second
    /// (`ErrUtilReadSpecificShadowedHeader`, `ese/_osu/fileu.cxx`).
    pub fn current(&self) -> Result<(&Checkpoint, CheckpointCopy), CheckpointProblem> {
        let intact = |copy: &'_ Result<Unverified<Checkpoint>, FormatError>| {
            copy.as_ref().ok().is_some_and(Unverified::is_intact)
        };
        let (copy, which) = if intact(&self.primary) {
            (&self.primary, CheckpointCopy::Primary)
        } else {
            (&self.shadow, CheckpointCopy::Shadow)
        };
        let checkpoint = copy.as_ref().ok().and_then(Unverified::trusted);
        let checkpoint = checkpoint.ok_or(CheckpointProblem::BothDamaged)?;
        match checkpoint.file_type {
            0 | FILE_TYPE_CHECKPOINT => Ok((checkpoint, which)),
            found => Err(CheckpointProblem::WrongFileType { found }),
        }
    }
}
