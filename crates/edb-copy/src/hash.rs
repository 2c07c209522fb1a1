//! The hashes of a file that is not copied.

use crate::digest::{OrderedSha256, Sha256Sum};
use crate::{ChunkHash, Chunks, CopyError, ReadPolicy, SourceReader};
use ese_format::Progress;
use ese_scan::Buffer;
use evidence::SourceFile;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The hashes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileHashes {
    /// How it was cut.
    pub chunks: Chunks,
    /// The hash of each chunk.
    pub hashes: Vec<ChunkHash>,
    /// SHA-256 of the whole.
    pub sha256: String,
}

/// What is read at once, if the blocks are smaller: a round trip must not weigh.
const READ: u64 = 1 << 20;

/// Reads all of `source` and hashes it in blocks of `block_size`; `None` when `progress` said to stop before the end.
pub fn hash_file(
    source: &Arc<dyn SourceFile>,
    block_size: u64,
    jobs: NonZeroUsize,
    policy: &ReadPolicy,
    progress: &dyn Progress,
) -> Result<Option<FileHashes>, CopyError> {
    let length = source.stamp().length;
    let wrong = || CopyError::ChunkSize { size: block_size };
    let blocks = Chunks::blocks(length, block_size).ok_or_else(wrong)?;
    let chunks = Chunks::new(length, block_size.max(READ)).ok_or_else(wrong)?;
    progress.begin(length, 0);
    let digest = OrderedSha256::new(0, Sha256Sum::default());
    let next = AtomicU64::new(0);
    let results = Mutex::new((Vec::new(), None));
    std::thread::scope(|scope| {
        for _ in 0..jobs.get() {
            scope.spawn(|| {
                let mut reader = SourceReader::new(Arc::clone(source), policy.clone());
                let mut buffer = Buffer::default();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= chunks.count() {
                        return;
                    }
                    let range = chunks.range(number);
                    let read = reader.read(range.clone(), std::mem::take(&mut buffer), progress);
                    let hashed = read.map(|bytes| {
                        buffer = bytes;
                        let whole = buffer.len() as u64 == range.end - range.start;
                        (whole && digest.add(number, &buffer).is_some())
                            .then(|| hashes_in(blocks, range.start, &buffer))
                    });
                    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                    match hashed {
                        Ok(Some(hashes)) => results.0.push((number, hashes)),
                        Ok(None) => return digest.end(),
                        Err(error) => {
                            results.1.get_or_insert(error);
                            return digest.end();
                        }
                    }
                    drop(results);
                    reader.forget(range.clone());
                    progress.advance(range.end - range.start);
                }
            });
        }
    });
    let (mut hashes, failure) = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = failure {
        return Err(error);
    }
    hashes.sort_by_key(|(number, _)| *number);
    let hashes: Vec<ChunkHash> = hashes.into_iter().flat_map(|(_, hashes)| hashes).collect();
    let whole = hashes.len() as u64 == blocks.count();
    Ok(digest.finish().filter(|_| whole).map(|sha256| FileHashes {
        chunks: blocks,
        hashes,
        sha256,
    }))
}

/// The hashes of the blocks in `bytes`, which are at `offset` in the file.
fn hashes_in(blocks: Chunks, offset: u64, bytes: &[u8]) -> Vec<ChunkHash> {
    let first = offset / blocks.size();
    let size = usize::try_from(blocks.size()).unwrap_or(usize::MAX);
    (first..)
        .zip(bytes.chunks(size))
        .map(|(number, block)| blocks.hash(number, block))
        .collect()
}
