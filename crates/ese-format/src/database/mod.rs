//! A database file's header: its fields, its two copies, and its text as `eseutil /mh` prints it.

mod copies;
mod dump;
mod header;

pub use copies::{
    HEADERS_MAX, HeaderCopies, HeaderCopy, HeaderFault, HeaderStatus, PAGE_SIZES,
    looks_like_database, seal_header,
};
pub use dump::HeaderDump;
pub use header::{BackupInfo, DatabaseHeader, DatabaseState, HeaderBackupType};
