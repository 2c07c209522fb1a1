//! The scan of a database file.

use crate::digest::Digests;
use crate::page::{PageChecker, PageFindings, last_page};
use crate::pipeline::in_order;
use crate::{Buffer, Counts, Digest, DigestKind, FlushMap, PageFinding, RateLimit};
use ese_format::database::HeaderCopies;
use ese_format::{Class, Explain, JetError, Pgno, Progress};
use evidence::{EvidenceError, EvidenceFile};
use std::borrow::Cow;
use std::ops::RangeInclusive;
use thiserror::Error;

/// Bytes that one thread reads and checks at a time: enough for the disk to stream, little enough to stay in the
/// processor's cache. A multiple of every page size.
const CHUNK: u64 = 512 << 10;

/// Why a scan could not be done.
#[derive(Debug, Error)]
pub enum ScanError {
    /// The file cannot be read.
    #[error(transparent)]
    Unreadable(#[from] EvidenceError),
    /// The pages asked for are not in the file.
    #[error("pages {first} to {last} were asked for, the file ends with page {end}")]
    NoSuchPages {
        /// First page asked for.
        first: u32,
        /// Last page asked for.
        last: u32,
        /// Last page of the file.
        end: u32,
    },
}

impl Explain for ScanError {
    fn class(&self) -> Class {
        match self {
            ScanError::Unreadable(error) => error.class(),
            ScanError::NoSuchPages { .. } => Class::Usage,
        }
    }

    fn jet(&self) -> Option<JetError> {
        match self {
            ScanError::Unreadable(error) => error.jet(),
            ScanError::NoSuchPages { .. } => None,
        }
    }

    fn advice(&self) -> Option<Cow<'static, str>> {
        match self {
            ScanError::Unreadable(error) => error.advice(),
            ScanError::NoSuchPages { .. } => None,
        }
    }
}

/// What to scan, and how.
#[derive(Debug, Default)]
pub struct ScanOptions<'a> {
    /// Only these pages, without the header pages; the whole file if `None`.
    pub pages: Option<RangeInclusive<u32>>,
    /// Begin at this byte offset, where an earlier scan came to.
    pub resume_at: u64,
    /// Digests of the whole file to compute; only for a scan of the whole file.
    pub digests: &'a [DigestKind],
    /// The flush map to check against.
    pub flush_map: Option<&'a FlushMap>,
    /// How fast to read at most.
    pub rate: Option<&'a RateLimit>,
    /// Number of threads; at least 1.
    pub threads: usize,
    /// How many findings to keep; the rest is only counted, so that memory is bounded on a file that is all bad.
    pub keep_findings: usize,
}

/// What a scan came to.
#[derive(Debug)]
#[non_exhaustive]
pub struct ScanOutcome {
    /// Counts of the part that was scanned now.
    pub counts: Counts,
    /// Findings of that part, in file order.
    pub findings: Vec<PageFinding>,
    /// Findings that were counted but not kept.
    pub findings_omitted: u64,
    /// The digests asked for; empty when the scan was interrupted.
    pub digests: Vec<Digest>,
    /// Where the scan was interrupted; `None` when it was completed.
    pub interrupted_at: Option<u64>,
}

impl ScanOutcome {
    fn keep(&mut self, mut findings: Vec<PageFinding>, most: usize) {
        let room = most.saturating_sub(self.findings.len());
        self.findings_omitted += findings.len().saturating_sub(room) as u64;
        findings.truncate(room);
        self.findings.append(&mut findings);
    }

    /// Whether the part that was scanned is without any finding.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty() && self.findings_omitted == 0
    }
}

/// Scans the database `file`, whose headers have been read, and stops early when `progress` says so.
pub fn scan(
    file: &EvidenceFile,
    headers: &HeaderCopies,
    options: &ScanOptions<'_>,
    progress: &dyn Progress,
) -> Result<ScanOutcome, ScanError> {
    let page_size = headers.page_size;
    let checker = PageChecker::new(headers, file.length(), options.flush_map);
    let bytes = byte_range(file, page_size, options)?;
    let first = options
        .pages
        .as_ref()
        .map_or(0, |pages| Pgno(*pages.start()).file_offset(page_size));
    progress.begin(
        bytes.end.saturating_sub(first),
        bytes.start.saturating_sub(first),
    );
    let chunks = 0..bytes.end.saturating_sub(bytes.start).div_ceil(CHUNK);
    let mut outcome = ScanOutcome {
        counts: Counts::default(),
        findings: Vec::new(),
        findings_omitted: 0,
        digests: Vec::new(),
        interrupted_at: None,
    };
    let mut digests = Digests::new(options.digests);
    let mut failure = None;
    let chunk_range = |number: u64| {
        let start = bytes.start + number * CHUNK;
        start..(start + CHUNK).min(bytes.end)
    };
    let work = |number: u64, buffer: &mut Buffer| {
        let range = chunk_range(number);
        if let Some(rate) = options.rate {
            rate.wait(range.end - range.start, progress);
        }
        buffer.resize(usize::try_from(range.end - range.start).unwrap_or(0));
        file.read_exact_at(buffer, range.start)?;
        let mut found = PageFindings::default();
        checker.check(buffer, range.start, &mut found);
        Ok::<_, EvidenceError>(found)
    };
    in_order(
        chunks,
        options.threads.max(1),
        work,
        |number, found, buffer| {
            let found = match found {
                Ok(found) => found,
                Err(error) => {
                    failure = Some(error);
                    return false;
                }
            };
            outcome.counts.add(&found.counts);
            outcome.keep(found.findings, options.keep_findings);
            digests.update(buffer);
            progress.advance(buffer.len() as u64);
            let end = chunk_range(number).end;
            if progress.should_stop() && end < bytes.end {
                outcome.interrupted_at = Some(end);
            }
            outcome.interrupted_at.is_none()
        },
    );
    if let Some(error) = failure {
        return Err(error.into());
    }
    if outcome.interrupted_at.is_none() {
        outcome.digests = digests.finish();
    }
    Ok(outcome)
}

fn byte_range(
    file: &EvidenceFile,
    page_size: u32,
    options: &ScanOptions<'_>,
) -> Result<std::ops::Range<u64>, ScanError> {
    let Some(pages) = &options.pages else {
        return Ok(options.resume_at.min(file.length())..file.length());
    };
    let start = Pgno(*pages.start()).file_offset(page_size);
    let end = Pgno(*pages.end()).file_offset(page_size) + u64::from(page_size);
    if pages.is_empty() || *pages.start() == 0 || end > file.length() {
        return Err(ScanError::NoSuchPages {
            first: *pages.start(),
            last: *pages.end(),
            end: last_page(file.length(), page_size).map_or(0, |pgno| pgno.0),
        });
    }
    Ok(start.max(options.resume_at)..end)
}
