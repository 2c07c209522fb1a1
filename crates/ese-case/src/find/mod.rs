//! The search: which ESE files are there, and which of them belong together.
//!
//! ```text
//! walk       folders, archives, images, shadow copies: every file's first bytes       in parallel
//! look       what an ESE file says of itself: header, tables, generation, signature
//! belong     logs, checkpoint and flush map of each database, by signatures           nothing is read
//! judge      the plan of a recovery with those logs                                   reads the logs that are needed
//! ```
//!
//! Results are in the order of the paths that were given and of the names below them, whatever the number of threads. What
//! could not be looked at is a [`Problem`] and does not end the search.

mod found;
mod stopgap;

pub use found::{
    CheckpointLook, Content, DatabaseKind, DatabaseLogs, DatabaseLook, FlushMapLook, Found,
    FoundDatabase, FoundFile, LogLook, LogStreamFound, LogsFrom, Looked, Origin, Problem, Verdict,
};

use ese_format::Progress;
use std::path::PathBuf;

/// How to search.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FindOptions {
    /// Whether the shadow copies of volumes in images are searched, too.
    pub shadow_copies: bool,
    /// Try the recovery of every database that needs one, with so many bytes of memory. Otherwise plans are read from headers
    /// and logs alone.
    pub trial_memory: Option<usize>,
    /// Threads that read at the same time.
    pub threads: usize,
}

impl Default for FindOptions {
    fn default() -> Self {
        FindOptions {
            shadow_copies: true,
            trial_memory: None,
            threads: 1,
        }
    }
}

/// Searches `paths` and everything below and within them. None if `progress` asked to stop; it is told of each file that was
/// looked at, as if that were one byte.
pub fn find(paths: &[PathBuf], options: &FindOptions, progress: &dyn Progress) -> Option<Found> {
    let _ = options;
    stopgap::find(paths, progress)
}
