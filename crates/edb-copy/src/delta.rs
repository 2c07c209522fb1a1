//! Bringing a chunk of an older copy up to date: only what differs is written.
//!
//! ```text
//!                       source is read        older copy is read
//! neither is known      all                   all
//! manifest of source    blocks that differ    all
//! older copy's journal  all                   chunks that differ
//! both                  blocks that differ    chunks that differ
//! ```

use crate::journal::Claim;
use crate::{ChunkHash, Chunks, ManifestFile};
use ese_scan::Buffer;
use std::io;
use std::ops::Range;
use target_disk::DiskFile;

/// What it took.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct DeltaCounts {
    /// Pages compared.
    pub(crate) compared: u64,
    /// Pages that differed.
    pub(crate) pages: u64,
    /// Bytes written.
    pub(crate) written: u64,
}

/// Runs of pages of `new` that are not what `file` has from `offset` on; `old` is a buffer for that. Pages beyond its end
/// differ.
pub(crate) fn compare(
    file: &dyn DiskFile,
    new: &[u8],
    offset: u64,
    page_size: usize,
    old: &mut Buffer,
) -> io::Result<Vec<Range<usize>>> {
    old.resize(new.len());
    let there = file.read_at(old, offset)?;
    old.truncate(there);
    Ok(differing_runs(old, new, page_size))
}

/// Writes the runs of pages that differ.
///
/// A crash in between leaves some pages new and some old; the next comparison finds the old ones.
pub(crate) fn update(
    file: &dyn DiskFile,
    new: &[u8],
    offset: u64,
    page_size: usize,
    differing: &[Range<usize>],
) -> io::Result<DeltaCounts> {
    let mut changed = DeltaCounts {
        compared: new.len().div_ceil(page_size) as u64,
        ..DeltaCounts::default()
    };
    for run in differing {
        file.write_all_at(&new[run.clone()], offset + run.start as u64)?;
        changed.written += run.len() as u64;
        changed.pages += run.len().div_ceil(page_size) as u64;
    }
    Ok(changed)
}

/// Runs of pages of `new` that are not in `old`, which may be shorter.
fn differing_runs(old: &[u8], new: &[u8], page_size: usize) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (number, page) in new.chunks(page_size).enumerate() {
        let start = number * page_size;
        let end = start + page.len();
        if old.get(start..end) == Some(page) {
            continue;
        }
        match runs.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => runs.push(start..end),
        }
    }
    runs
}

/// The blocks of a chunk, as the manifest of the source cuts it: finer than the chunk, or as large.
pub(crate) struct Blocks<'a> {
    /// What the source should be.
    pub(crate) manifest: &'a ManifestFile,
    /// Where the chunk starts.
    pub(crate) start: u64,
}

/// Bytes between two runs that are rather read than paid for with another round trip.
const WORTH_A_ROUND_TRIP: usize = 64 << 10;

impl Blocks<'_> {
    /// Runs of blocks to be read from the source: those of [`Self::unlike`], and what lies between two that are close.
    pub(crate) fn to_read(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let mut runs: Vec<Range<usize>> = Vec::new();
        for run in self.unlike(bytes) {
            match runs.last_mut() {
                Some(last) if run.start - last.end < WORTH_A_ROUND_TRIP => last.end = run.end,
                _ => runs.push(run),
            }
        }
        runs
    }

    /// Runs of blocks in `bytes` that are not what the manifest says, as places in `bytes`.
    pub(crate) fn unlike(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let Some(cut) = self.manifest.cut() else {
            return std::iter::once(0..bytes.len()).collect();
        };
        let size = cut.size() as usize;
        let first = self.start / cut.size();
        let mut runs: Vec<Range<usize>> = Vec::new();
        for (index, block) in bytes.chunks(size).enumerate() {
            let number = first + index as u64;
            let expected = self.manifest.chunks.get(number as usize);
            if expected == Some(&cut.hash(number, block)) {
                continue;
            }
            let place = index * size..index * size + block.len();
            match runs.last_mut() {
                Some(last) if last.end == place.start => last.end = place.end,
                _ => runs.push(place),
            }
        }
        runs
    }
}

/// The chunks of an older copy, as its journal claims them; nobody changed it since.
pub(crate) struct OlderCopy {
    chunks: Chunks,
    claims: Vec<Claim>,
}

impl OlderCopy {
    /// The claims of all chunks; `None` if there are others than that.
    pub(crate) fn new(chunks: Chunks, claims: Vec<Claim>) -> Option<Self> {
        (claims.len() as u64 == chunks.count()).then_some(OlderCopy { chunks, claims })
    }

    /// Bytes in a chunk.
    pub(crate) fn chunk_size(&self) -> u64 {
        self.chunks.size()
    }

    /// What is claimed of chunk `number`, if the older copy has the same bytes there as `chunks`, whose hash is `hash`.
    pub(crate) fn equal(&self, chunks: Chunks, number: u64, hash: ChunkHash) -> Option<&Claim> {
        // The only chunk of a file is hashed in another way than one of several.
        let comparable = chunks.size() == self.chunks.size()
            && chunks.range(number) == self.chunks.range(number)
            && (chunks.count() > 1) == (self.chunks.count() > 1);
        let claim = self.claims.get(usize::try_from(number).ok()?)?;
        (comparable && claim.blake3 == hash).then_some(claim)
    }
}
