//! The fields of a database header.
//!
//! `DBFILEHDR` (`inc/daedef.hxx` of the reference). The rest of the header page after these fields is zero. Older
//! engines wrote only the first fields of the table; what they did not know reads as zero.

use crate::layout::{Reserved, layout, stored_unit};
use crate::{Dbtime, Generation, Lgpos, LogTime, ObjId, Pgno, Signature};
use serde::Serialize;
use std::fmt;

layout! {
    /// The header of a database, field by field as stored.
    #[derive(Serialize)]
    DatabaseHeader [0..748] {
        0 checksum: u32 = "XOR checksum of the whole header page.";
        4 magic: u32 = "[`DatabaseHeader::MAGIC`] in every database.";
        8 version: u32 = "Format version; 0x620 since Windows 2000 and Exchange 2000.";
        12 attributes: u32 = "0 for a database, 1 for a (long obsolete) streaming file.";
        16 dbtime: Dbtime = "The database's dbtime when the header was written: the next to be given out.";
        24 signature: Signature = "Identity of the database.";
        52 state: DatabaseState = "Whether the database can be used as it is.";
        56 last_consistent: Lgpos = "Where the log stood when the database last became clean.";
        64 last_consistent_time: LogTime = "When the database last became clean.";
        72 last_attach_time: LogTime = "When the database was last attached.";
        80 last_attach: Lgpos = "Where the log records the last attach.";
        88 last_detach_time: LogTime = "When the database was last detached.";
        96 last_detach: Lgpos = "Where the log records the last detach.";
        104 dbid: u32 = "The database's number within its log stream.";
        108 log_signature: Signature = "Identity of the log stream; all zero after a repair.";
        136 previous_full_backup: BackupInfo = "The last full backup that succeeded.";
        160 previous_incremental_backup: BackupInfo = "The last incremental backup since that.";
        184 current_full_backup: BackupInfo = "The streaming backup under way, or of which this is the copy.";
        208 flags: u32 = "Bit 0: no shadow header is kept. Bit 1: being upgraded.";
        212 last_objid: ObjId = "The highest object id given out.";
        216 os_major: u32 = "Windows version that sorted the indexes: major.";
        220 os_minor: u32 = "Windows version: minor.";
        224 os_build: u32 = "Windows version: build.";
        228 os_service_pack: u32 = "Windows version: service pack.";
        232 update_major: u32 = "Format revision; an older engine cannot open a newer one.";
        236 stored_page_size: u32 = "Bytes in a page; 0 means 4096 (see [`DatabaseHeader::page_size`]).";
        240 repair_count: u32 = "How often repair (`esentutl /p`) was run.";
        244 repair_time: LogTime = "When repair was last run.";
        252 obsolete_streaming_signature: Signature = "Signature of the obsolete streaming file.";
        280 scrub_dbtime: Dbtime = "The dbtime at the last scrub (zeroing of deleted data).";
        288 scrub_time: LogTime = "When the database was last scrubbed.";
        296 min_required: Generation = "Lowest log generation that recovery needs; 0 when clean.";
        300 max_required: Generation = "Highest log generation that recovery needs; 0 when clean.";
        304 upgrade55_pages: u32 = "Pages upgraded from the Exchange 5.5 format.";
        308 upgrade_free_pages: u32 = "Free pages met in that upgrade.";
        312 upgrade_space_map_pages: u32 = "Space map pages met in that upgrade.";
        316 current_snapshot: BackupInfo = "The shadow copy backup under way, or of which this is the copy.";
        340 created_version: u32 = "Format version of the engine that created the database.";
        344 created_update: u32 = "Format revision of the engine that created the database.";
        348 max_committed_created: LogTime = "Creation time of the log generation `max_committed`.";
        356 previous_full_type: HeaderBackupType = "How the last full backup was made.";
        360 previous_incremental_type: HeaderBackupType = "How the last incremental backup was made.";
        364 old_repair_count: u32 = "Repairs before the last offline defragmentation.";
        368 ecc_fixed: u32 = "Flipped bits that were corrected.";
        372 ecc_fixed_time: LogTime = "When a flipped bit was last corrected.";
        380 old_ecc_fixed: u32 = "Flipped bits corrected before the last repair.";
        384 ecc_failed: u32 = "Corrections that did not give a good page.";
        388 ecc_failed_time: LogTime = "When a correction last failed.";
        396 old_ecc_failed: u32 = "Failed corrections before the last repair.";
        400 bad_checksums: u32 = "Bad page checksums that could not be corrected.";
        404 bad_checksum_time: LogTime = "When a bad page checksum was last found.";
        412 old_bad_checksums: u32 = "Bad page checksums before the last repair.";
        416 max_committed: Generation = "Highest log generation with records for this database.";
        420 previous_copy_backup: BackupInfo = "The last copy backup.";
        444 previous_differential_backup: BackupInfo = "The last differential backup.";
        468 previous_copy_type: HeaderBackupType = "How the last copy backup was made.";
        472 previous_differential_type: HeaderBackupType = "How the last differential backup was made.";
        476 reseed_count: u32 = "Incremental reseeds.";
        480 reseed_time: LogTime = "When the last incremental reseed began.";
        488 old_reseed_count: u32 = "Incremental reseeds before the last defragmentation.";
        492 patch_count: u32 = "Pages patched by incremental reseeds.";
        496 patch_time: LogTime = "When a page was last patched.";
        504 old_patch_count: u32 = "Pages patched before the last defragmentation.";
        508 sort_version: u64 = "Version of the sort tables of the default locale; obsolete.";
        516 last_scan_finished: LogTime = "When database maintenance last finished.";
        524 scan_started: LogTime = "When the current database maintenance started.";
        532 scan_highest_continuous: Pgno = "How far the maintenance has come without a gap.";
        536 recovering: Generation = "The generation that redo was replaying when it was stopped; 0 otherwise.";
        540 extend_count: u32 = "How often the file was extended.";
        544 extend_time: LogTime = "When the file was last extended.";
        552 shrink_count: u32 = "How often the file was shrunk.";
        556 shrink_time: LogTime = "When the file was last shrunk.";
        564 last_reattach_time: LogTime = "When the database was last reattached.";
        572 last_reattach: Lgpos = "Where the log records the last reattach.";
        580 trim_count: u32 = "How often the file was trimmed (holes punched).";
        584 header_flush: Signature = "Identity of this writing of the header.";
        612 flush_map_flush: Signature = "Identity of the flush map header that goes with it.";
        640 min_consistent: Generation = "Lowest generation needed for clean pages, the flush map apart.";
        644 update_minor: u32 = "Format revision that older engines can still read.";
        648 engine_version: u32 = "Newest engine format version (`JET_efv`) that attached the database.";
        652 scan_highest: Pgno = "Highest page that the maintenance has seen.";
        656 last_resize: Lgpos = "Where the log records the last change of the file's size.";
        664 reserved: Reserved<3> = "Zero.";
        667 file_type: u32 = "1 for a database, 5 for a temporary one; 0 in old ones.";
        671 reserved2: u8 = "Zero.";
        672 max_required_created: LogTime = "Creation time of the log generation `max_required`.";
        680 pre_redo_min_consistent: Generation = "What `min_consistent` was before redo raised it.";
        684 pre_redo_min_required: Generation = "What `min_required` was before redo raised it.";
        688 revert_snapshot_flush: Signature = "Identity of the revert snapshot header that goes with it.";
        716 revert_count: u32 = "How often the database was reverted by a snapshot.";
        720 revert_from_time: LogTime = "When the last revert was begun.";
        728 revert_to_time: LogTime = "The time that it reverted to.";
        736 reverted_pages: u32 = "Pages that it reverted.";
        740 commit_before_revert: Lgpos = "The last commit before the revert.";
    }
}

impl DatabaseHeader {
    /// What is in `magic` (`ulDAEMagic`).
    pub const MAGIC: u32 = 0x89ab_cdef;
    /// Where every kind of ESE file names its type (`le_filetype`).
    pub const FILE_TYPE_OFFSET: usize = 667;
    /// The `file_type` of a temporary database.
    pub const FILE_TYPE_TEMPORARY: u32 = 5;
    /// The newest format that this crate knows: version, update major, update minor (`g_rgfmtversEngine`).
    pub const NEWEST: (u32, u32, u32) = (0x620, 290, 600);
    /// The engine format version that goes with [`DatabaseHeader::NEWEST`].
    pub const NEWEST_ENGINE: u32 = 9600;

    /// Whether an engine of this format remembers when the log `max_required` was created (`JET_efvLogtimeGenMaxRequired`).
    pub fn keeps_max_required_created(&self) -> bool {
        self.format_version() >= (0x620, 150, 320)
    }

    /// When the last log that the database requires was created, as far as the header says. A log of that generation that
    /// was created at another time is another one (`ErrLGCheckDatabaseGens`).
    pub fn last_required_log_created(&self) -> Option<LogTime> {
        let time = match self.max_required_created {
            time if time.is_null() && self.max_required == self.max_committed => {
                self.max_committed_created
            }
            time => time,
        };
        (!time.is_null()).then_some(time)
    }

    /// Bytes in a page.
    pub fn page_size(&self) -> u32 {
        match self.stored_page_size {
            0 => 4096,
            size => size,
        }
    }

    /// Whether the engine keeps a second copy of the header in the page after it.
    pub fn is_shadowed(&self) -> bool {
        self.flags & 1 == 0
    }

    /// Whether this is the header of an (obsolete) streaming file, whose pages are none of a database's (`attrSLV`).
    pub fn is_streaming_file(&self) -> bool {
        self.attributes == 1
    }

    /// Whether this is a temporary database, which the engine makes anew each time it starts: nothing in it is needed. Older
    /// engines do not name the type: it is number 0 of its stream (`dbidTemp`), has no shadow, and stays as it was created.
    pub fn is_temporary(&self) -> bool {
        let as_created =
            self.state == DatabaseState::JUST_CREATED && !self.is_shadowed() && self.dbid == 0;
        self.file_type == Self::FILE_TYPE_TEMPORARY || as_created
    }

    /// Version, update major and update minor, for comparison.
    pub fn format_version(&self) -> (u32, u32, u32) {
        (self.version, self.update_major, self.update_minor)
    }

    /// Whether the format is newer than any this crate knows.
    pub fn is_newer_than_known(&self) -> bool {
        self.format_version() > Self::NEWEST
    }

    /// Whether repair was run since the last offline defragmentation or before: logs cannot be replayed into a
    /// repaired database, and what they held is lost to it.
    pub fn was_repaired(&self) -> bool {
        self.repair_count > 0 || self.old_repair_count > 0
    }
}

layout! {
    /// What a header says about one backup (`BKINFO`).
    #[derive(Serialize)]
    BackupInfo [0..24] {
        0 mark: Lgpos = "Where the log records the backup.";
        8 time: LogTime = "When that was logged.";
        16 first_generation: Generation = "Lowest log generation of the backup.";
        20 last_generation: Generation = "Highest log generation of the backup.";
    }
}

/// The state of a database (`JET_dbstate*`, `published/inc/jethdr.w`), with its number kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatabaseState(pub u32);

impl DatabaseState {
    /// Being created; unusable.
    pub const JUST_CREATED: DatabaseState = DatabaseState(1);
    /// Needs its logs replayed.
    pub const DIRTY_SHUTDOWN: DatabaseState = DatabaseState(2);
    /// Complete without any log.
    pub const CLEAN_SHUTDOWN: DatabaseState = DatabaseState(3);
    /// Being converted from an older format.
    pub const BEING_CONVERTED: DatabaseState = DatabaseState(4);
    /// Pages were rolled back for an incremental reseed that did not finish.
    pub const INCREMENTAL_RESEED: DatabaseState = DatabaseState(6);
    /// Pages were patched; needs its logs replayed.
    pub const DIRTY_AND_PATCHED: DatabaseState = DatabaseState(7);
    /// A revert to a snapshot did not finish.
    pub const REVERT_IN_PROGRESS: DatabaseState = DatabaseState(8);

    /// The state in the words of header dumps.
    pub fn name(self) -> &'static str {
        match self.0 {
            1 => "Just Created",
            2 => "Dirty Shutdown",
            3 => "Clean Shutdown",
            4 => "Being Converted",
            6 => "Incremental Reseed In Progress",
            7 => "Dirty and Patched Shutdown",
            8 => "Database Revert in Progress",
            _ => "Illegal",
        }
    }

    /// Whether replaying logs is what the database needs.
    pub fn needs_recovery(self) -> bool {
        matches!(
            self,
            DatabaseState::DIRTY_SHUTDOWN | DatabaseState::DIRTY_AND_PATCHED
        )
    }
}

impl fmt::Display for DatabaseState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `{"name", "code"}`.
impl Serialize for DatabaseState {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut fields = serializer.serialize_struct("DatabaseState", 2)?;
        fields.serialize_field("name", self.name())?;
        fields.serialize_field("code", &self.0)?;
        fields.end()
    }
}

stored_unit!(DatabaseState(u32));

/// How a backup was made (`BKINFOTYPE`), with its number kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct HeaderBackupType(pub u32);

stored_unit!(HeaderBackupType(u32));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_round_trip() {
        let mut bytes = [0; DatabaseHeader::SIZE];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = (index * 7 % 251) as u8;
        }
        assert_eq!(DatabaseHeader::from_bytes(&bytes).to_bytes(), bytes);
    }
}
