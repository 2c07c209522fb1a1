//! Whether a copy is what it should be: by the hashes of its chunks, or by its source.
//!
//! The copy is read once, by several jobs, and its pages are checked on the way.

use crate::identity::KnownSource;
use crate::journal::FINDINGS_KEPT;
use crate::status::journal_of;
use crate::{ChunkHash, Chunks, CopiedPages, CopyError, MIN_CHUNK, ReadPolicy, SourceReader};
use ese_format::Progress;
use ese_scan::{Buffer, Counts, PageChecker, PageFinding, PageFindings};
use evidence::SourceFile;
use serde::Serialize;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use target_disk::Disk;

/// Bytes of a copy that are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Mismatch {
    /// Where they start.
    pub offset: u64,
    /// How many there are: a chunk, or a page where both sides could be compared.
    pub length: u64,
}

/// What verifying a copy came to.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// The copy.
    pub target: String,
    /// Bytes in it.
    pub length: u64,
    /// Bytes that should be in it.
    pub expected_length: u64,
    /// What is not as it should be, in file order.
    pub mismatches: Vec<Mismatch>,
    /// How many more there are.
    pub mismatches_omitted: u64,
    /// BLAKE3 of the copy, if all of it was read.
    pub blake3: Option<ChunkHash>,
    /// Its pages, if it is a database.
    pub pages: Option<CopiedPages>,
    /// Pages with which something is wrong.
    pub findings: Vec<PageFinding>,
    /// How many more there are.
    pub findings_omitted: u64,
    /// Whether it was interrupted before everything was read.
    pub interrupted: bool,
}

impl VerifyReport {
    /// Whether the copy is what it should be. Its pages may be damaged as those of the source are.
    pub fn matches(&self) -> bool {
        self.length == self.expected_length
            && self.mismatches.is_empty()
            && self.mismatches_omitted == 0
    }
}

/// What a copy should be.
enum Expected {
    Hashes(Vec<ChunkHash>),
    Source(Arc<dyn SourceFile>),
}

/// Verifies `copy` against chunk hashes.
pub fn verify_against(
    copy: &Arc<dyn SourceFile>,
    chunks: Chunks,
    hashes: Vec<ChunkHash>,
    jobs: NonZeroUsize,
    policy: &ReadPolicy,
    progress: &dyn Progress,
) -> Result<VerifyReport, CopyError> {
    let (chunks, hashes) = whole_pages(chunks, hashes);
    verify(
        copy,
        chunks,
        &Expected::Hashes(hashes),
        jobs,
        policy,
        progress,
    )
}

/// The same hashes for chunks that hold whole pages, if they are of finer blocks.
fn whole_pages(blocks: Chunks, hashes: Vec<ChunkHash>) -> (Chunks, Vec<ChunkHash>) {
    let Some(chunks) = Chunks::new(blocks.length(), blocks.size().max(MIN_CHUNK)) else {
        return (blocks, hashes);
    };
    let merged = (0..chunks.count()).map(|number| blocks.hash_of(chunks, number, &hashes));
    match merged.collect() {
        Some(merged) => (chunks, merged),
        None => (blocks, hashes),
    }
}

/// Verifies `copy` against its source, byte by byte.
pub fn verify_with_source(
    copy: &Arc<dyn SourceFile>,
    source: Arc<dyn SourceFile>,
    jobs: NonZeroUsize,
    policy: &ReadPolicy,
    progress: &dyn Progress,
) -> Result<VerifyReport, CopyError> {
    let size = crate::DEFAULT_CHUNK;
    let chunks = Chunks::new(source.stamp().length, size).ok_or(CopyError::ChunkSize { size })?;
    verify(
        copy,
        chunks,
        &Expected::Source(source),
        jobs,
        policy,
        progress,
    )
}

/// The chunk hashes that the journal of the finished copy `target` holds, if there is one.
pub fn hashes_of(
    disk: &dyn Disk,
    target: &Path,
) -> Result<Option<(Chunks, Vec<ChunkHash>)>, CopyError> {
    let state = journal_of(disk, target)?.filter(|state| state.arrived.is_some());
    Ok(state.map(|state| (state.chunks, state.hashes)))
}

fn verify(
    copy: &Arc<dyn SourceFile>,
    chunks: Chunks,
    expected: &Expected,
    jobs: NonZeroUsize,
    policy: &ReadPolicy,
    progress: &dyn Progress,
) -> Result<VerifyReport, CopyError> {
    progress.begin(copy.stamp().length, 0);
    let known = KnownSource::read(copy, policy, &())?;
    let length = copy.stamp().length;
    let own = Chunks::new(length, chunks.size()).unwrap_or(chunks);
    let check = Check {
        copy,
        expected_chunks: chunks,
        own_chunks: own,
        expected,
        policy,
        page_size: known
            .headers
            .as_ref()
            .map_or(4096, |headers| headers.page_size) as usize,
        checker: known
            .headers
            .as_ref()
            .map(|headers| PageChecker::new(headers, length, None)),
        next: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        progress,
        results: Mutex::new(Results::default()),
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs.get() {
            scope.spawn(|| check.run());
        }
    });
    let is_database = check.checker.is_some();
    let results = check
        .results
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    results.report(copy, own, chunks.length(), is_database)
}

#[derive(Default)]
struct Results {
    hashes: Vec<(u64, ChunkHash)>,
    mismatches: Vec<Mismatch>,
    counts: Counts,
    findings: Vec<PageFinding>,
    failure: Option<CopyError>,
}

impl Results {
    fn report(
        mut self,
        copy: &Arc<dyn SourceFile>,
        own: Chunks,
        expected_length: u64,
        is_database: bool,
    ) -> Result<VerifyReport, CopyError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        self.hashes.sort_by_key(|(number, _)| *number);
        self.mismatches.sort();
        self.findings.sort_by_key(|finding| finding.offset);
        let omitted = |count: usize| count.saturating_sub(FINDINGS_KEPT) as u64;
        let interrupted = (self.hashes.len() as u64) < own.count();
        let hashes: Vec<ChunkHash> = self.hashes.into_iter().map(|(_, hash)| hash).collect();
        let report = VerifyReport {
            target: copy.name(),
            length: own.length(),
            expected_length,
            mismatches_omitted: omitted(self.mismatches.len()),
            mismatches: self.mismatches.into_iter().take(FINDINGS_KEPT).collect(),
            blake3: own.file_hash(&hashes),
            pages: is_database.then_some(CopiedPages {
                counts: self.counts,
                ..CopiedPages::default()
            }),
            findings_omitted: omitted(self.findings.len()),
            findings: self.findings.into_iter().take(FINDINGS_KEPT).collect(),
            interrupted,
        };
        Ok(report)
    }
}

struct Check<'a> {
    copy: &'a Arc<dyn SourceFile>,
    expected_chunks: Chunks,
    own_chunks: Chunks,
    expected: &'a Expected,
    policy: &'a ReadPolicy,
    page_size: usize,
    checker: Option<PageChecker<'a>>,
    next: AtomicU64,
    stop: AtomicBool,
    progress: &'a dyn Progress,
    results: Mutex<Results>,
}

impl Progress for Check<'_> {
    fn advance(&self, bytes: u64) {
        self.progress.advance(bytes);
    }

    fn should_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.progress.should_stop()
    }
}

impl Check<'_> {
    fn run(&self) {
        let mut copy = SourceReader::new(Arc::clone(self.copy), self.policy.clone());
        let mut source = match self.expected {
            Expected::Source(source) => {
                Some(SourceReader::new(Arc::clone(source), self.policy.clone()))
            }
            Expected::Hashes(_) => None,
        };
        let mut buffers = (Buffer::default(), Buffer::default());
        while !self.should_stop() {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.own_chunks.count() {
                return;
            }
            let done = self.chunk(number, &mut copy, source.as_mut(), &mut buffers);
            if let Err(error) = done {
                self.stop.store(true, Ordering::Relaxed);
                self.lock().failure.get_or_insert(error);
            }
        }
    }

    fn chunk(
        &self,
        number: u64,
        copy: &mut SourceReader,
        source: Option<&mut SourceReader>,
        (buffer, other): &mut (Buffer, Buffer),
    ) -> Result<(), CopyError> {
        let range = self.own_chunks.range(number);
        let should = self.expected_chunks.range(number);
        *buffer = copy.read(range.clone(), std::mem::take(buffer), self)?;
        copy.forget(range.clone());
        if let Some(source) = source {
            *other = source.read(should.clone(), std::mem::take(other), self)?;
            source.forget(should.clone());
        }
        if self.should_stop() {
            return Ok(());
        }
        let mut found = PageFindings::default();
        if let Some(checker) = &self.checker {
            checker.check(buffer, range.start, &mut found);
        }
        let hash = self.own_chunks.hash(number, buffer);
        let mismatches = match self.expected {
            Expected::Source(_) => differing_pages(buffer, other, range.start, self.page_size),
            Expected::Hashes(hashes) => {
                // A hash is of a chunk in a file of this length: only there can it be compared.
                let comparable = self.own_chunks == self.expected_chunks;
                let expected = hashes.get(usize::try_from(number).unwrap_or(usize::MAX));
                let differs = comparable && expected != Some(&hash);
                let whole = Mismatch {
                    offset: range.start,
                    length: range.end - range.start,
                };
                differs.then_some(whole).into_iter().collect()
            }
        };
        let mut results = self.lock();
        results.hashes.push((number, hash));
        results.mismatches.extend(mismatches);
        results.counts.add(&found.counts);
        results.findings.append(&mut found.findings);
        drop(results);
        self.advance(range.end - range.start);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Results> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Pages that differ where both sides have bytes; what only one side has shows in the lengths.
fn differing_pages(copy: &[u8], source: &[u8], offset: u64, page_size: usize) -> Vec<Mismatch> {
    let pages = copy.chunks(page_size).zip(source.chunks(page_size));
    pages
        .enumerate()
        .filter(|(_, (copy, source))| {
            let both = copy.len().min(source.len());
            copy[..both] != source[..both]
        })
        .map(|(number, (copy, _))| Mismatch {
            offset: offset + (number * page_size) as u64,
            length: copy.len() as u64,
        })
        .collect()
}
