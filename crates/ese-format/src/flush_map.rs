//! The flush map (`.jfm`): for every database page, which of three kinds its last write was.
//!
//! Each write of a page advances its flush type; the map keeps the last one. A page whose own flush type differs
//! from the map's was not written when the engine believed it was: a lost write. The map is a header page and data
//! pages of 8 KiB (`CFlushMap`, `inc/flushmap.hxx`):
//!
//! ```text
//! header   0 checksum (XOR)  4 major  8 update major  12 update minor  36 flags  40 times ... 667 file type 7
//! data     0 checksum (ECC, page number = number of the map page)  8 highest dbtime  16 number  36 flags
//!          64 two bits for each database page, the most significant bits of a byte first
//! ```

use crate::layout::{Reserved, layout};
use crate::page::FlushType;
use crate::{Dbtime, Generation, LogTime, Pgno, Signature};
use serde::Serialize;

/// Bytes in a page of the map.
pub const MAP_PAGE_SIZE: usize = 8192;
/// Bytes before the flush types in a data page.
const DATA_HEADER_SIZE: usize = 64;
/// Database pages that one data page of the map covers.
pub const PAGES_PER_MAP_PAGE: u32 = ((MAP_PAGE_SIZE - DATA_HEADER_SIZE) * 4) as u32;

layout! {
    /// The header of a flush map (`FMFILEHDR`).
    #[derive(Serialize)]
    FlushMapHeader [0..671] {
        0 checksum: u32 = "XOR checksum of the header page.";
        4 version_major: u32 = "Format version.";
        8 version_update_major: u32 = "Format revision that older engines cannot read.";
        12 version_update_minor: u32 = "Format revision that older engines can read.";
        16 reserved: Reserved<20> = "Zero.";
        36 flags: u32 = "Bit 0: the map was closed cleanly.";
        40 created: LogTime = "When the map was created.";
        48 attached: LogTime = "When the map was last attached.";
        56 detached: LogTime = "When the map was last detached.";
        64 min_required: Generation = "Lowest log generation from which the map can be rebuilt.";
        68 min_required_target: Generation = "What `min_required` becomes when the flush under way ends; 0 if none is.";
        72 flush_started: LogTime = "When a full flush of the map last started.";
        80 flush_completed: LogTime = "When a full flush of the map last completed.";
        88 database_header_flush: Signature = "The writing of the database header that goes with this one.";
        116 header_flush: Signature = "Identity of this writing of the map's header.";
        144 reserved2: Reserved<523> = "Zero.";
        667 file_type: u32 = "7.";
    }
}

impl FlushMapHeader {
    /// The `file_type` of a flush map.
    pub const FILE_TYPE: u32 = 7;

    /// Whether the map was closed cleanly.
    pub fn is_clean(&self) -> bool {
        self.flags & 1 != 0
    }
}

layout! {
    /// The start of a data page of the map (`FlushMapDataPageHdr`).
    #[derive(Serialize)]
    MapPageHeader [0..64] {
        0 checksum: u64 = "XOR + ECC checksum of the page.";
        8 highest_dbtime: Dbtime = "Highest dbtime of the database pages that the map page covers.";
        16 number: u32 = "Number of the map page, from 0.";
        20 reserved: Reserved<16> = "Zero.";
        36 flags: u32 = "Bit 13: ECC checksum.";
        40 reserved2: Reserved<24> = "Zero.";
    }
}

/// Number of the map page that covers database page `pgno`, and the page's index in it.
pub fn map_position(pgno: Pgno) -> (u32, u32) {
    (pgno.0 / PAGES_PER_MAP_PAGE, pgno.0 % PAGES_PER_MAP_PAGE)
}

/// The flush type at `index` of a data page of the map; unknown where the page is too short.
pub fn flush_type(map_page: &[u8], index: u32) -> FlushType {
    let byte = map_page.get(DATA_HEADER_SIZE + index as usize / 4).copied();
    let shift = 6 - 2 * (index % 4);
    FlushType::from_bits(byte.map_or(0, |byte| byte >> shift))
}
