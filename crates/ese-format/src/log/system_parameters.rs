//! The settings of the engine that wrote a log or checkpoint.
//!
//! `DBMS_PARAM` (`inc/daedef.hxx`) takes 567 bytes and is in log headers, checkpoints and Init records:
//!
//! ```text
//! 0             261          522     523                                   551        567
//! | system path | log path   | flags | 7 x u32: sessions, tables, version  | reserved |
//!   261 bytes     261 bytes    u8      pages, cursors, log buffers, sectors
//!                                      per log file, cache size
//! ```

use super::fixed_text;
use serde::Serialize;
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `DBMS_PARAM` as stored.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
#[expect(missing_docs, reason = "SystemParameters describes each field")]
pub struct RawSystemParameters {
    pub system_path: [u8; 261],
    pub log_path: [u8; 261],
    pub flags: u8,
    pub sessions_max: U32,
    pub open_tables_max: U32,
    pub version_pages_max: U32,
    pub cursors_max: U32,
    pub log_buffers: U32,
    pub log_file_sectors: U32,
    pub cache_size_max: U32,
    pub reserved: [u8; 16],
}

const _: () = assert!(size_of::<RawSystemParameters>() == 567);

/// The settings of the engine that wrote the file. Diagnostic: recovery uses none of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SystemParameters {
    /// Folder of the checkpoint file, on the machine that wrote this; never opened. Bytes outside ASCII are escaped.
    pub system_path: String,
    /// Folder of the log files, on the machine that wrote this; never opened. Bytes outside ASCII are escaped.
    pub log_path: String,
    /// All flags; bit 0 is circular logging (`fDBMSPARAMCircularLogging`).
    pub flags: u8,
    /// Sessions allowed.
    pub sessions_max: u32,
    /// Open tables allowed.
    pub open_tables_max: u32,
    /// Version store pages allowed.
    pub version_pages_max: u32,
    /// Cursors allowed.
    pub cursors_max: u32,
    /// Log buffers, in sectors.
    pub log_buffers: u32,
    /// Sectors of a log file.
    pub log_file_sectors: u32,
    /// Database cache allowed, in pages.
    pub cache_size_max: u32,
}

impl SystemParameters {
    /// Whether circular logging was on.
    pub fn circular_logging(&self) -> bool {
        self.flags & 1 != 0
    }
}

impl From<&RawSystemParameters> for SystemParameters {
    fn from(raw: &RawSystemParameters) -> Self {
        SystemParameters {
            system_path: fixed_text(&raw.system_path),
            log_path: fixed_text(&raw.log_path),
            flags: raw.flags,
            sessions_max: raw.sessions_max.get(),
            open_tables_max: raw.open_tables_max.get(),
            version_pages_max: raw.version_pages_max.get(),
            cursors_max: raw.cursors_max.get(),
            log_buffers: raw.log_buffers.get(),
            log_file_sectors: raw.log_file_sectors.get(),
            cache_size_max: raw.cache_size_max.get(),
        }
    }
}
