//! Segments: the units in which version 8.4000 logs are written and checked.
//!
//! The log header is segment 0; each further segment takes 4096 bytes and begins with a header of 40 (`LGSEGHDR`,
//! `inc/_logstream.hxx`). It is laid out like the header of a database page, so that the page checksum serves for it
//! too, with the number of the segment in place of the page number:
//!
//! ```text
//! 0          8       16        24         36      40
//! | checksum | lgpos | started | reserved | flags | records ...
//!   u64        Lgpos   LogTime   12 bytes   u32
//! ```
//!
//! While a segment fills, it is rewritten in place. Before that a copy of it goes to the place after it, byte by byte
//! the same, so that one of the two is whole whenever the machine stops: the *shadow*. The last segment of a file is
//! kept free for the shadow of the one before it.

use crate::layout::{Reserved, layout};
use crate::{FormatError, Lgpos, LogTime};
use ese_checksum::{ChecksumVerdict, PageBytes, is_blank, verify_page};
use serde::Serialize;

/// Bytes of a segment (`LOG_SEGMENT_SIZE`).
pub const SEGMENT_SIZE: usize = 4096;

/// Bytes that the header of a segment takes (`sizeof(LGSEGHDR)`).
pub const SEGMENT_HEADER_SIZE: usize = RawSegmentHeader::SIZE;

layout! {
    /// The header of a segment, as stored.
    RawSegmentHeader [0..40] {
        0 checksum: u64 = "Checksum.";
        8 lgpos: Lgpos = "Position of the segment itself.";
        16 started: LogTime = "When the segment was begun.";
        24 reserved: Reserved<12> = "Zero.";
        36 flags: u32 = "Bit 13: the checksum has an ECC half.";
    }
}

/// The header of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SegmentHeader {
    /// Checksum as stored.
    pub checksum: u64,
    /// Position of the segment itself; its byte is 0.
    pub lgpos: Lgpos,
    /// When the segment was begun; unset in the segment that closes a log early.
    pub started: LogTime,
    /// Flags as stored; bit 13 says that the checksum has an ECC half.
    pub flags: u32,
}

impl SegmentHeader {
    /// Decodes the header of the segment that `segment` starts with; `offset` is where it is in its file.
    pub fn read(segment: &[u8], offset: u64) -> Result<Self, FormatError> {
        let bytes = segment.first_chunk().ok_or(FormatError::Truncated {
            what: "segment header",
            offset,
            needed: SEGMENT_HEADER_SIZE as u64,
            available: segment.len() as u64,
        })?;
        let raw = RawSegmentHeader::from_bytes(bytes);
        Ok(SegmentHeader {
            checksum: raw.checksum,
            lgpos: raw.lgpos,
            started: raw.started,
            flags: raw.flags,
        })
    }
}

/// What the checksum says of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "checksum", rename_all = "snake_case")]
pub enum SegmentCheck {
    /// It fits.
    Good,
    /// One flipped bit explains the difference.
    Correctable {
        /// Which bit, counted from the start of the segment.
        bit: usize,
    },
    /// Every byte is zero.
    Blank,
    /// The segment is damaged, or belongs elsewhere.
    Bad {
        /// The checksum that the segment carries.
        stored: u64,
        /// The checksum of its bytes.
        computed: u64,
    },
}

impl SegmentCheck {
    /// Whether the content can be used, after correction if need be.
    pub fn is_usable(self) -> bool {
        matches!(self, SegmentCheck::Good | SegmentCheck::Correctable { .. })
    }
}

/// Checks the 4096 bytes of `segment` as the segment of this number (`ChecksumAndPossiblyFixPage` for `logfilePage`).
/// A shadow checks as the segment it is a copy of. Bytes of another number are [`SegmentCheck::Bad`].
pub fn check_segment(segment: &[u8], number: u32) -> SegmentCheck {
    let page = match PageBytes::new(segment) {
        Some(page) if segment.len() == SEGMENT_SIZE => page,
        _ => {
            return SegmentCheck::Bad {
                stored: 0,
                computed: 0,
            };
        }
    };
    match verify_page(page, number) {
        ChecksumVerdict::Good => SegmentCheck::Good,
        ChecksumVerdict::Correctable { bits, .. } if bits.len() == 1 => {
            SegmentCheck::Correctable { bit: bits[0] }
        }
        ChecksumVerdict::Correctable {
            stored, computed, ..
        }
        | ChecksumVerdict::Bad {
            stored, computed, ..
        } => {
            if is_blank(segment) {
                SegmentCheck::Blank
            } else {
                SegmentCheck::Bad {
                    stored: stored.0[0],
                    computed: computed.0[0],
                }
            }
        }
    }
}
