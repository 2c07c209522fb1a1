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
use crate::layout::{Reserved, layout};
use serde::Serialize;

layout! {
    /// `DBMS_PARAM` as stored.
    RawSystemParameters [0..567] {
        0 system_path: [u8; 261] = "Folder of the checkpoint file.";
        261 log_path: [u8; 261] = "Folder of the log files.";
        522 flags: u8 = "Bit 0 is circular logging.";
        523 sessions_max: u32 = "Sessions allowed.";
        527 open_tables_max: u32 = "Open tables allowed.";
        531 version_pages_max: u32 = "Version store pages allowed.";
        535 cursors_max: u32 = "Cursors allowed.";
        539 log_buffers: u32 = "Log buffers, in sectors.";
        543 log_file_sectors: u32 = "Sectors of a log file.";
        547 cache_size_max: u32 = "Database cache allowed, in pages.";
        551 reserved: Reserved<16> = "Zero.";
    }
}

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
    /// The settings in these bytes; every pattern is some.
    pub fn read(bytes: &[u8; RawSystemParameters::SIZE]) -> Self {
        (&RawSystemParameters::from_bytes(bytes)).into()
    }

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
            sessions_max: raw.sessions_max,
            open_tables_max: raw.open_tables_max,
            version_pages_max: raw.version_pages_max,
            cursors_max: raw.cursors_max,
            log_buffers: raw.log_buffers,
            log_file_sectors: raw.log_file_sectors,
            cache_size_max: raw.cache_size_max,
        }
    }
}
