//! Bringing a chunk of an older copy up to date: only what differs is written.

use crate::{DiskFile, ManifestFile};
use std::io;
use std::ops::Range;

/// What it took.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Changed {
    /// Pages compared.
    pub(crate) compared: u64,
    /// Pages that differed.
    pub(crate) pages: u64,
    /// Bytes written.
    pub(crate) written: u64,
}

/// Makes the bytes of `file` from `offset` equal to `new`; `old` is a buffer for those that are there.
///
/// A crash in between leaves some pages new and some old; the next comparison finds the old ones.
pub(crate) fn update(
    file: &dyn DiskFile,
    new: &[u8],
    offset: u64,
    page_size: usize,
    old: &mut Vec<u8>,
) -> io::Result<Changed> {
    old.resize(new.len(), 0);
    file.read_exact_at(old, offset)?;
    let mut changed = Changed {
        compared: new.len().div_ceil(page_size) as u64,
        ..Changed::default()
    };
    if old == new {
        return Ok(changed);
    }
    for run in differing_runs(old, new, page_size) {
        file.write_all_at(&new[run.clone()], offset + run.start as u64)?;
        changed.written += run.len() as u64;
        changed.pages += run.len().div_ceil(page_size) as u64;
    }
    Ok(changed)
}

/// Runs of pages in which `old` and `new`, of equal length, differ.
fn differing_runs(old: &[u8], new: &[u8], page_size: usize) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    let pages = old.chunks(page_size).zip(new.chunks(page_size));
    for (number, (_, page)) in pages.enumerate().filter(|(_, (old, new))| old != new) {
        let start = number * page_size;
        let end = start + page.len();
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

impl Blocks<'_> {
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
