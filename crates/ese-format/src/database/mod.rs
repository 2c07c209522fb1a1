//! A database file's header: its fields and its two copies.

mod copies;
mod header;

pub use copies::{
    HEADERS_MAX, HeaderCopies, HeaderCopy, HeaderFault, HeaderStatus, PAGE_SIZES,
    looks_like_database, seal_header,
};
pub use header::{BackupInfo, DatabaseHeader, DatabaseState, HeaderBackupType};
