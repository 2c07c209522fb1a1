//! Whether a finished copy is still what its journal says.

use crate::journal::JournalState;
use crate::{ChunkHash, CopyError, Disk, Glance};
use jiff::Timestamp;
use std::path::Path;

/// Whether somebody changed a finished copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// Length, modification time and start are as they were left.
    Unchanged,
    /// One of them is another.
    Changed,
    /// There is no modification time to compare, or the copy was never finished.
    Unknown,
}

impl Since {
    /// Looks at the copy `target`, of which the journal tells.
    pub(crate) fn finished(
        disk: &dyn Disk,
        target: &Path,
        state: &JournalState,
    ) -> Result<Since, CopyError> {
        let Some(complete) = &state.complete else {
            return Ok(Since::Unknown);
        };
        let glance = disk.glance(target);
        let Glance {
            length,
            modified,
            start,
        } = glance.map_err(CopyError::target(target, "look at"))?;
        let start = ChunkHash(*blake3::hash(&start).as_bytes());
        if (length, start) != (complete.length, state.begin.source.start_blake3) {
            return Ok(Since::Changed);
        }
        let modified: Option<Timestamp> = modified.and_then(|time| time.try_into().ok());
        Ok(match (modified, complete.modified) {
            (Some(now), Some(then)) if now == then => Since::Unchanged,
            (Some(_), Some(_)) => Since::Changed,
            _ => Since::Unknown,
        })
    }
}
