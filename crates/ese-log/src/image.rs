//! One log file in memory: header, and what of its body can be trusted.
//!
//! A log is read whole (they are at most a few megabytes), its body is checked once, single flipped bits are corrected
//! and a torn last write is replaced by its shadow, in memory only, as the engine would before it replays. What cannot
//! be corrected is listed as [`Damage`]. Between damaged places lie [`TrustedRange`]s of bytes that hold records.

use crate::error::{HeaderProblem, LogError};
use crate::{checksum_records, segments};
use ese_format::log::{HEADER_SIZE, Layout, LogHeader, SEGMENT_SIZE, SegmentHeader};
use ese_format::{FormatError, JetError, Lgpos, RecordFormat};
use evidence::EvidenceFile;
use serde::Serialize;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The most bytes of a log that are read. The engine makes none above 32 MiB (`JET_paramLogFileSize`).
pub const MAX_LOG_SIZE: u64 = 64 << 20;

/// Something wrong with the body of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Damage {
    /// A flipped bit; it has been put right.
    Corrected {
        /// The segment.
        lgpos: Lgpos,
        /// Which bit, counted from the start of the segment.
        bit: usize,
    },
    /// The last write is torn; its shadow is whole and stands in for it, as in recovery.
    Torn {
        /// The segment or sector.
        lgpos: Lgpos,
        /// Whether recovery can put it right wherever it is, or only in the current log.
        only_in_current_log: bool,
    },
    /// A checksum does not fit and nothing can stand in.
    Checksum {
        /// The segment, or the checksum record whose range is bad.
        lgpos: Lgpos,
        /// Bytes that cannot be trusted.
        bytes: u64,
        /// What is stored.
        stored: u64,
        /// What the bytes give.
        computed: u64,
    },
    /// A segment is blank although others follow it.
    Blank {
        /// The segment.
        lgpos: Lgpos,
    },
    /// A segment is blank, which is taken for the end, but its shadow is after it: the last write was lost, and
    /// recovery does not look for it.
    LastWriteLost {
        /// The segment.
        lgpos: Lgpos,
    },
    /// An intact segment of another place is here.
    Misplaced {
        /// The segment.
        lgpos: Lgpos,
        /// The position that it names.
        found: Lgpos,
    },
    /// The chain of checksum records is broken.
    Chain {
        /// Where the next checksum record should be.
        lgpos: Lgpos,
    },
    /// Bytes that belong to no write and are not what an unused part holds.
    Unexpected {
        /// The first such segment or sector.
        lgpos: Lgpos,
    },
    /// The file ends before the log does.
    CutOff {
        /// The first position that is not there.
        lgpos: Lgpos,
        /// Bytes that are missing.
        bytes: u64,
    },
}

impl Damage {
    /// Where the damage is.
    pub fn lgpos(&self) -> Lgpos {
        match self {
            Damage::Corrected { lgpos, .. }
            | Damage::Torn { lgpos, .. }
            | Damage::Checksum { lgpos, .. }
            | Damage::Blank { lgpos }
            | Damage::LastWriteLost { lgpos }
            | Damage::Misplaced { lgpos, .. }
            | Damage::Chain { lgpos }
            | Damage::Unexpected { lgpos }
            | Damage::CutOff { lgpos, .. } => *lgpos,
        }
    }

    /// Whether recovery cannot get past it, in a log that is (`true`) or is not the current one.
    pub fn is_fatal(&self, current_log: bool) -> bool {
        match self {
            Damage::Corrected { .. } | Damage::LastWriteLost { .. } => false,
            Damage::Torn {
                only_in_current_log,
                ..
            } => *only_in_current_log && !current_log,
            _ => true,
        }
    }
}

/// Where a trusted range comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeOrigin {
    /// It follows what is before it, or is the first.
    Whole,
    /// It follows damage. Its first bytes may be the end of a record that began there.
    Damage,
    /// It follows bytes that an earlier recovery gave up; nothing is lost.
    Abandoned,
}

/// Bytes of a log that can be trusted and hold records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedRange {
    /// Offsets in the file.
    pub bytes: Range<usize>,
    /// What is before it.
    pub origin: RangeOrigin,
}

/// What the body of a log holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Body {
    /// Trusted bytes, in order.
    pub ranges: Vec<TrustedRange>,
    /// What is wrong, in order.
    pub damage: Vec<Damage>,
    /// Exclusive or of the checksums of all good segments up to the first bad one; 0 in the older layout, which has
    /// no such sum.
    pub accumulated_checksum: u64,
    /// Where the engine stops reading, as an offset in the file: after the last good write before any fatal damage.
    pub end: usize,
}

/// A log file in memory.
#[derive(Debug)]
pub struct LogImage {
    /// Where it was read from.
    pub path: PathBuf,
    /// Its header.
    pub header: LogHeader,
    /// How its records are laid out.
    pub layout: Layout,
    /// Its bytes, corrected.
    pub bytes: Vec<u8>,
    /// What they hold.
    pub body: Body,
}

impl LogImage {
    /// Reads and checks the log at `path`. A damaged body is not an error; a header that cannot be trusted is.
    pub fn read(path: &Path) -> Result<Self, LogError> {
        let mut bytes = Vec::new();
        read_file(path, &mut bytes)?;
        Self::from_bytes(path, bytes)
    }

    /// Checks a log already in memory; `path` serves for messages only.
    pub fn from_bytes(path: &Path, mut bytes: Vec<u8>) -> Result<Self, LogError> {
        let (header, layout) =
            trusted_header(&bytes).map_err(|(problem, jet)| LogError::Header {
                path: path.to_owned(),
                problem: Box::new(problem),
                jet,
            })?;
        let body = match layout {
            Layout::Segments => segments::examine(&mut bytes, &header),
            Layout::ChecksumRecords => checksum_records::examine(&mut bytes, &header),
        };
        Ok(LogImage {
            path: path.to_owned(),
            header,
            layout,
            bytes,
            body,
        })
    }

    /// How its records are laid out, each by itself.
    pub fn format(&self) -> RecordFormat {
        let version = self.header.version;
        RecordFormat::of_log_version(version.update_major, version.update_minor)
    }

    /// The position of an offset in the file.
    pub fn lgpos(&self, offset: usize) -> Lgpos {
        position(&self.header, offset)
    }

    /// The header of the last good segment; none in the older layout, and in a log without records.
    pub fn last_segment(&self) -> Option<SegmentHeader> {
        let start = self.body.end.checked_sub(SEGMENT_SIZE)?;
        if self.layout != Layout::Segments || start < SEGMENT_SIZE {
            return None;
        }
        SegmentHeader::read(self.bytes.get(start..)?, start as u64).ok()
    }

    /// Where the engine stops reading: `Last Lgpos` of a dump.
    pub fn end(&self) -> Lgpos {
        self.lgpos(self.body.end)
    }
}

/// The header that `bytes` begin with, if its checksum and its fields make it one.
pub fn trusted_header(bytes: &[u8]) -> Result<(LogHeader, Layout), (HeaderProblem, JetError)> {
    let corrupt = JetError::LOG_FILE_CORRUPT;
    let too_short = |problem: FormatError| (problem.into(), JetError::FILE_IO_BEYOND_EOF);
    let header = LogHeader::read(bytes).map_err(too_short)?;
    let start = bytes.get(..HEADER_SIZE).unwrap_or(bytes);
    if ese_checksum::is_blank(start) {
        return Err((HeaderProblem::Blank, corrupt));
    }
    let header = header.into_trusted().map_err(|damaged| {
        let problem = HeaderProblem::Checksum {
            stored: damaged.stored_checksum,
            computed: damaged.computed_checksum,
            header: Box::new(damaged.as_read().clone()),
        };
        (problem, corrupt)
    })?;
    let layout = header.check().map_err(|(problem, jet)| {
        let version = header.version;
        match jet == JetError::BAD_LOG_VERSION && version.is_newer_than_known() {
            true => (HeaderProblem::Newer { version }, jet),
            false => (problem.into(), jet),
        }
    })?;
    Ok((header, layout))
}

/// The position of `offset` in the log with this header.
pub(crate) fn position(header: &LogHeader, offset: usize) -> Lgpos {
    let sector = usize::from(header.sector_size.max(1));
    Lgpos {
        generation: header.generation,
        segment: u16::try_from(offset / sector).unwrap_or(u16::MAX),
        byte: u16::try_from(offset % sector).unwrap_or(u16::MAX),
    }
}

/// Reads a whole file into `bytes`, whose memory is used again. Refuses what is not a regular file and what no log can
/// be.
pub(crate) fn read_file(path: &Path, bytes: &mut Vec<u8>) -> Result<(), LogError> {
    read_opened(&EvidenceFile::open(path)?, bytes)
}

/// The same for a file that is open.
pub(crate) fn read_opened(file: &EvidenceFile, bytes: &mut Vec<u8>) -> Result<(), LogError> {
    let size = file.length();
    let limit = MAX_LOG_SIZE;
    let Some(length) = usize::try_from(size).ok().filter(|_| size <= limit) else {
        let path = file.path().to_owned();
        return Err(LogError::TooLarge { path, size, limit });
    };
    bytes.resize(length, 0);
    file.read_exact_at(bytes, 0)?;
    Ok(())
}
