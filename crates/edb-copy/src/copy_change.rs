//! Whether a finished copy is still what its journal says.

use crate::journal::JournalState;
use crate::{ChunkHash, CopyError};
use jiff::Timestamp;
use std::path::Path;
use target_disk::{Disk, FileStamp};

/// Whether somebody changed a finished copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CopyChange {
    /// Length, modification time and start are as they were left.
    Unchanged,
    /// One of them is another.
    Changed,
    /// There is no modification time to compare, or the copy was never finished.
    Unknown,
}

impl CopyChange {
    /// Looks at the copy `target`, of which the journal tells.
    pub(crate) fn finished(
        disk: &dyn Disk,
        target: &Path,
        state: &JournalState,
    ) -> Result<CopyChange, CopyError> {
        let Some(complete) = &state.complete else {
            return Ok(CopyChange::Unknown);
        };
        let stamp = disk.stamp(target);
        let FileStamp {
            length,
            modified,
            start,
        } = stamp.map_err(CopyError::target(target, "look at"))?;
        let start = ChunkHash(*blake3::hash(&start).as_bytes());
        if (length, start) != (complete.length, state.begin.source.start_blake3) {
            return Ok(CopyChange::Changed);
        }
        let modified: Option<Timestamp> = modified.and_then(|time| time.try_into().ok());
        Ok(match (modified, complete.modified) {
            (Some(now), Some(then)) if now == then => CopyChange::Unchanged,
            (Some(_), Some(_)) => CopyChange::Changed,
            _ => CopyChange::Unknown,
        })
    }
}
