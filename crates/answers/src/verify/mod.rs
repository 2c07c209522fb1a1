//! Whether every page of a database is what was written.

mod database;
mod report;
mod resume;

pub use database::{verify, verify_view};
pub use report::{Checked, Report, SCHEMA};
pub use resume::can_be_kept;

use ese_scan::DigestKind;
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// What is looked at, and what is told.
#[derive(Debug, Clone)]
pub struct VerifyOptions {
    /// Only these pages.
    pub pages: Option<RangeInclusive<u32>>,
    /// Lost writes are looked for with the flush map: the one beside the database, or this one.
    pub flush_map: Option<Option<PathBuf>>,
    /// Digests of the file.
    pub digests: Vec<DigestKind>,
    /// A file that keeps the place of a scan that is interrupted.
    pub resume: Option<PathBuf>,
    /// The trees of damaged pages are looked up.
    pub owners: bool,
    /// No more findings are told; all are counted.
    pub max_findings: usize,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        VerifyOptions {
            pages: None,
            flush_map: None,
            digests: Vec::new(),
            resume: None,
            owners: false,
            max_findings: 1000,
        }
    }
}
