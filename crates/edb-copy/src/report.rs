//! The result of a copy.

use crate::{ChunkHash, Method, SourceCondition, SourceIdentity};
use ese_scan::{Counts, PageFinding};
use serde::Serialize;
use std::path::PathBuf;

/// How a copy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CopyOutcome {
    /// The copy is whole and has its name.
    Complete,
    /// It was whole before, of the same source: nothing was done.
    AlreadyComplete,
    /// It was interrupted; the same command goes on.
    Interrupted,
}

/// A copy of one file.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct CopyReport {
    /// How it ended.
    pub outcome: CopyOutcome,
    /// From what.
    pub source: SourceIdentity,
    /// Whether the source can be used as it is.
    pub condition: SourceCondition,
    /// To where.
    pub target: PathBuf,
    /// How.
    pub method: Method,
    /// Bytes in a chunk.
    pub chunk_size: u64,
    /// Bytes that had arrived before this run.
    pub resumed_at: u64,
    /// Bytes that have arrived.
    pub bytes_arrived: u64,
    /// Bytes of the source that this run read.
    pub bytes_read: u64,
    /// Reads that this run had to try again.
    pub reads_retried: u64,
    /// Bytes written, of all runs.
    pub bytes_written: u64,
    /// Bytes that an older copy has by its journal, of all runs: they were not read there.
    pub bytes_trusted: u64,
    /// Its pages, if it is a database.
    pub pages: Option<CopiedPages>,
    /// Pages with which something is wrong.
    pub findings: Vec<PageFinding>,
    /// How many more there are.
    pub findings_omitted: u64,
    /// BLAKE3 of the file, when it is complete.
    pub blake3: Option<ChunkHash>,
    /// SHA-256 of the file, when it is complete and was asked for.
    pub sha256: Option<String>,
    /// Seconds that this run took.
    pub seconds: f64,
    /// What else should be known.
    pub remarks: Vec<String>,
}

/// Pages of a copied database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CopiedPages {
    /// By what was found in them.
    pub counts: Counts,
    /// Compared with an older copy.
    pub compared: u64,
    /// Of these, changed.
    pub changed: u64,
}

impl CopyReport {
    /// Bytes that a delta did not have to write.
    pub fn bytes_saved(&self) -> u64 {
        self.bytes_arrived.saturating_sub(self.bytes_written)
    }
}
