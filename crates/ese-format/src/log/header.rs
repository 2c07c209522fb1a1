//! The header of a log file.
//!
//! 4096 bytes (`LGFILEHDR`, `inc/log.hxx`), written once when the log is created and never again:
//!
//! ```text
//!   0 checksum           u32        44 log signature                    28 bytes
//!   4 generation         u32        72 DBMS_PARAM                       567 bytes
//!   8 sector size        u16       639 flags                            u8
//!  10 header sectors     u16       640 checkpoint when created          Lgpos
//!  12 file sectors       u16       648 version: update minor            u32
//!  14 page size          u16       652 disk sector size                 u8
//!  16 created            LogTime   653 previous accumulated checksum    u64
//!  24 previous created   LogTime   661 engine version                   u32
//!  32 version: major     u32       665 reserved                         2 bytes
//!  36 version: minor     u32       667 file type                        u32
//!  40 update major       u32       671 attach list                      2048 bytes
//! ```

use super::{
    AttachList, FILE_TYPE_LOG, HEADER_SIZE, RawSystemParameters, SystemParameters, Unverified,
    header_and_attach_list,
};
use crate::layout::{Reserved, layout, stored_unit};
use crate::{FormatError, Generation, JetError, Lgpos, LogTime, Signature};
use ese_checksum::header_checksum;
use serde::Serialize;
use std::fmt;

layout! {
    /// `LGFILEHDR_FIXED` as stored, without the attach list after it.
    RawLogHeader [0..671] {
        0 checksum: u32 = "XOR checksum of the header.";
        4 generation: Generation = "Number of this log in its stream.";
        8 sector_size: u16 = "Bytes per sector.";
        10 header_sectors: u16 = "Sectors that the header takes.";
        12 file_sectors: u16 = "Sectors of the whole file.";
        14 page_size: u16 = "Page size of the databases; 0 stands for 4096.";
        16 created: LogTime = "When this log was created.";
        24 previous_created: LogTime = "When the log before this one was created.";
        32 version_major: u32 = "Version.";
        36 version_minor: u32 = "Version.";
        40 version_update_major: u32 = "Version.";
        44 signature: Signature = "Signature of the stream.";
        72 parameters: RawSystemParameters = "Settings of the engine that wrote the log.";
        639 flags: LogFlags = "Flags.";
        640 checkpoint: Lgpos = "Where the checkpoint was when this log was created.";
        648 version_update_minor: u32 = "Version.";
        652 disk_sector_size: DiskSectorSize = "What is known of the disk's sector size.";
        653 previous_accumulated_checksum: u64 = "What the header keeps of the log before.";
        661 engine_version: u32 = "Format version of the engine.";
        665 reserved: Reserved<2> = "Zero.";
        667 file_type: u32 = "3, or 0 before version 7.3704.5.";
    }
}

/// The version of a log's format, ordered as the engine orders it (`CmpLogFormatVersion`, `inc/daedef.hxx`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct LogVersion {
    /// 8, or 7 for the older layout.
    pub major: u32,
    /// 4000, or 3704 for the older layout.
    pub minor: u32,
    /// Raised when older engines cannot read the log any more.
    pub update_major: u32,
    /// Raised when older engines can still read the log.
    pub update_minor: u32,
}

/// The newest log version whose records are understood: the one of format version 9600
/// (`ulLGVersionMajorMax` and its companions, `published/inc/jethdr.w`).
pub const NEWEST_LOG_VERSION: LogVersion = LogVersion {
    major: 8,
    minor: 4000,
    update_major: 130,
    update_minor: 280,
};

/// As header dumps write it: `8.4000.130.280`.
impl fmt::Display for LogVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LogVersion {
            major,
            minor,
            update_major,
            update_minor,
        } = self;
        write!(f, "{major}.{minor}.{update_major}.{update_minor}")
    }
}

/// How records are laid out after the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// Segments of 4096 bytes, each with its own checksum: version 8.4000, since Windows 8 and Exchange 2013.
    Segments,
    /// Sectors chained by checksum records: version 7.3704, Windows XP to 7 and Exchange 2000 to 2010.
    ChecksumRecords,
}

impl LogVersion {
    /// The layout of logs of this version, or why they cannot be read: -514 for every version but 7.3704 and the
    /// 8.4000 line up to [`NEWEST_LOG_VERSION`] (`ErrLGICheckVersionCompatibility`, `ese/_log/log.cxx`; a higher
    /// update minor alone is allowed).
    pub fn layout(self) -> Result<Layout, JetError> {
        let newest = NEWEST_LOG_VERSION;
        match (self.major, self.minor) {
            (7, 3704) => Ok(Layout::ChecksumRecords),
            (major, minor)
                if (major, minor) == (newest.major, newest.minor)
                    && self.update_major <= newest.update_major =>
            {
                Ok(Layout::Segments)
            }
            _ => Err(JetError::BAD_LOG_VERSION),
        }
    }

    /// Whether a log of this version was written by an older engine than one of version `before`, as log dumps see it:
    /// the update minor counts by itself (`LOG::ErrLGDumpLog`, `ese/_log/logdump.cxx`).
    pub fn is_behind(self, before: LogVersion) -> bool {
        let major = |version: LogVersion| (version.major, version.minor, version.update_major);
        let upgraded_layout = self.major > before.major;
        major(self) < major(before) || (self.update_minor < before.update_minor && !upgraded_layout)
    }

    /// What the header of a log of this version keeps of the log before it. The update minor alone decides, whatever
    /// the update major: from 11 on it counts for both lines of the format (`FLogFormatUnifiedMinorUpdateVersion`,
    /// `ulLGVersionUpdateMinorPrevGenAllSegmentChecksum` and the history of versions in `inc/daedef.hxx`).
    pub fn previous_checksum(self) -> PreviousChecksum {
        if (self.major, self.minor) < (8, 4000) {
            return PreviousChecksum::None;
        }
        match self.update_minor {
            0..=11 => PreviousChecksum::None,
            12 => PreviousChecksum::LastSegment,
            _ => PreviousChecksum::Accumulated,
        }
    }

    /// Whether a newer engine than any that is known wrote a log of this version: it cannot be read, but it is not
    /// damaged.
    pub fn is_newer_than_known(self) -> bool {
        let newest = NEWEST_LOG_VERSION;
        (self.major, self.minor, self.update_major)
            > (newest.major, newest.minor, newest.update_major)
    }

    /// Whether the unused part of a log of this version is zeroes (`FLGVersionZeroFilled`, `ese/_log/log.cxx`).
    pub fn fills_with_zeroes(self) -> bool {
        (self.major, self.minor, self.update_major) >= (8, 4000, 2)
    }
}

/// What the header of a log keeps of the content of the log before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PreviousChecksum {
    /// Nothing.
    None,
    /// The checksum of its last segment.
    LastSegment,
    /// The exclusive or of the checksums of all its segments: 0 where it has the older layout.
    Accumulated,
}

/// Flags of a log file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct LogFlags(pub u8);

impl LogFlags {
    /// The log was made from a reserve log, because the disk was full (`fLGReservedLog`).
    pub fn is_reserve(self) -> bool {
        self.0 & 1 != 0
    }

    /// Circular logging was on when the log was created (`fLGCircularLoggingCurrent`).
    pub fn circular_logging(self) -> bool {
        self.0 & 2 != 0
    }

    /// Circular logging had been on at some time before (`fLGCircularLoggingHistory`).
    pub fn circular_logging_before(self) -> bool {
        self.0 & 4 != 0
    }
}

/// What the log says of the disk's real sector size (`bTrueDiskSize*`, `inc/log.hxx`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct DiskSectorSize(pub u8);

stored_unit!(LogFlags(u8), DiskSectorSize(u8));

/// The header of a log file, decoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogHeader {
    /// Number of this log in its stream.
    pub generation: Generation,
    /// Bytes per sector (older layout) or segment; always 4096 in the newer layout.
    pub sector_size: u16,
    /// Sectors that the header takes.
    pub header_sectors: u16,
    /// Sectors of the whole file.
    pub file_sectors: u16,
    /// Page size as stored, in bytes; 0 stands for 4096. See [`page_size`](Self::page_size).
    pub stored_page_size: u16,
    /// When this log was created, by the clock of the machine that wrote it.
    pub created: LogTime,
    /// When the log before this one was created: equal to that log's `created`.
    pub previous_created: LogTime,
    /// Version of the log's format.
    pub version: LogVersion,
    /// Signature of the stream.
    pub signature: Signature,
    /// Settings of the engine that wrote the log.
    pub parameters: SystemParameters,
    /// Flags.
    pub flags: LogFlags,
    /// Where the checkpoint was when this log was created.
    pub checkpoint: Lgpos,
    /// What is known of the disk's sector size.
    pub disk_sector_size: DiskSectorSize,
    /// What the header keeps of the log before this one ([`LogVersion::previous_checksum`] says what that is); 0 where
    /// the engine did not fill it in.
    pub previous_accumulated_checksum: u64,
    /// Format version of the engine that wrote the log (`JET_efv`), 0 where unknown.
    pub engine_version: u32,
    /// Kind of file: [`FILE_TYPE_LOG`], or 0 before version 7.3704.5.
    pub file_type: u32,
    /// Databases attached when this log was created.
    pub attachments: AttachList,
}

impl LogHeader {
    /// Decodes the first 4096 bytes of a log file. Only a short file is an error here; everything else is for
    /// [`Unverified::is_intact`] and [`check`](Self::check) to judge.
    pub fn read(file: &[u8]) -> Result<Unverified<Self>, FormatError> {
        let bytes = file.first_chunk().ok_or(FormatError::Truncated {
            what: "log header",
            offset: 0,
            needed: HEADER_SIZE as u64,
            available: file.len() as u64,
        })?;
        let (raw, list) = header_and_attach_list(bytes);
        let raw = RawLogHeader::from_bytes(raw);
        let header = LogHeader {
            generation: raw.generation,
            sector_size: raw.sector_size,
            header_sectors: raw.header_sectors,
            file_sectors: raw.file_sectors,
            stored_page_size: raw.page_size,
            created: raw.created,
            previous_created: raw.previous_created,
            version: LogVersion {
                major: raw.version_major,
                minor: raw.version_minor,
                update_major: raw.version_update_major,
                update_minor: raw.version_update_minor,
            },
            signature: raw.signature,
            parameters: (&raw.parameters).into(),
            flags: raw.flags,
            checkpoint: raw.checkpoint,
            disk_sector_size: raw.disk_sector_size,
            previous_accumulated_checksum: raw.previous_accumulated_checksum,
            engine_version: raw.engine_version,
            file_type: raw.file_type,
            attachments: AttachList::read(list, RawLogHeader::SIZE as u64),
        };
        let computed = header_checksum(bytes);
        Ok(Unverified::new(raw.checksum, computed, header))
    }

    /// Page size of the databases of this stream, in bytes.
    pub fn page_size(&self) -> u32 {
        match self.stored_page_size {
            0 => 4096,
            size => u32::from(size),
        }
    }

    /// Size that the file should have, in bytes.
    pub fn file_size(&self) -> u64 {
        u64::from(self.file_sectors) * u64::from(self.sector_size)
    }

    /// The layout of the records, once everything that decides it makes sense: version, file type, sector size and
    /// header size (`ErrLGIReadFileHeader`, `ese/_log/log.cxx`; `LOG_STREAM::ErrLGReadFileHdr`,
    /// `ese/_log/logstream.cxx`). Each problem comes with the error the engine would give.
    pub fn check(&self) -> Result<Layout, (FormatError, JetError)> {
        if self.file_type != 0 && self.file_type != FILE_TYPE_LOG {
            let offset = super::FILE_TYPE_OFFSET as u64;
            let problem = FormatError::invalid("file type", offset, self.file_type, FILE_TYPE_LOG);
            return Err((problem, JetError::FILE_INVALID_TYPE));
        }
        let layout = self.version.layout().map_err(|error| {
            let expected = format!("7.3704 or 8.4000 up to {NEWEST_LOG_VERSION}");
            (
                FormatError::invalid("log version", 32, self.version, expected),
                error,
            )
        })?;
        let expected = match layout {
            Layout::Segments if self.sector_size != 4096 => Some("4096"),
            Layout::ChecksumRecords
                if !(512..=4096).contains(&self.sector_size)
                    || !self.sector_size.is_power_of_two() =>
            {
                Some("512, 1024, 2048 or 4096")
            }
            _ => None,
        };
        if let Some(expected) = expected {
            let problem = FormatError::invalid("sector size", 8, self.sector_size, expected);
            return Err((problem, JetError::LOG_FILE_CORRUPT));
        }
        Ok(layout)
    }
}
