//! A file as a row of chunks, and their hashes.
//!
//! Invariant: a chunk size is a power of two between [`MIN_CHUNK`] and [`MAX_CHUNK`], so every page of a database lies
//! in one chunk, and every chunk is a subtree of the BLAKE3 tree of the file. A manifest may cut finer, into blocks down
//! to [`MIN_BLOCK`]; the hash of a chunk follows from those of its blocks.

use crate::{MAX_CHUNK, MIN_BLOCK, MIN_CHUNK};
use blake3::hazmat::{
    ChainingValue, HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::ops::Range;

/// How a file is cut into chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunks {
    length: u64,
    size: u64,
}

impl Chunks {
    /// A file of `length` bytes in chunks of `size`; `None` if `size` is none that a chunk can have.
    pub fn new(length: u64, size: u64) -> Option<Self> {
        let sound = size.is_power_of_two() && (MIN_CHUNK..=MAX_CHUNK).contains(&size);
        sound.then_some(Chunks { length, size })
    }

    /// The same, but `size` may be that of a block of a manifest.
    pub fn blocks(length: u64, size: u64) -> Option<Self> {
        let sound = size.is_power_of_two() && (MIN_BLOCK..=MAX_CHUNK).contains(&size);
        sound.then_some(Chunks { length, size })
    }

    /// Bytes in the file.
    pub fn length(self) -> u64 {
        self.length
    }

    /// Bytes in every chunk but the last.
    pub fn size(self) -> u64 {
        self.size
    }

    /// How many chunks there are; none in an empty file.
    pub fn count(self) -> u64 {
        self.length.div_ceil(self.size)
    }

    /// The bytes of chunk `number`; empty beyond the end of the file.
    pub fn range(self, number: u64) -> Range<u64> {
        let start = number.saturating_mul(self.size).min(self.length);
        start..start.saturating_add(self.size).min(self.length)
    }

    /// Bytes in the first `count` chunks.
    pub fn bytes_in(self, count: u64) -> u64 {
        self.range(count).start
    }

    /// The hash of chunk `number`, whose bytes are `bytes`.
    pub fn hash(self, number: u64, bytes: &[u8]) -> ChunkHash {
        if self.count() <= 1 {
            return ChunkHash(*blake3::hash(bytes).as_bytes());
        }
        let mut hasher = blake3::Hasher::new();
        hasher.set_input_offset(self.range(number).start);
        ChunkHash(hasher.update(bytes).finalize_non_root())
    }

    /// The BLAKE3 hash of the file, from those of its chunks; `None` unless there is one for each.
    pub fn file_hash(self, hashes: &[ChunkHash]) -> Option<ChunkHash> {
        if hashes.len() as u64 != self.count() {
            return None;
        }
        Some(match hashes {
            [] => ChunkHash(*blake3::hash(&[]).as_bytes()),
            [only] => *only,
            _ => {
                let (left, right) = self.halves(hashes, self.length);
                let root = merge_subtrees_root(&left, &right, Mode::Hash);
                ChunkHash(*root.as_bytes())
            }
        })
    }

    /// The hash of chunk `number` of `coarse`, a coarser cut of the same file, from the hashes of these finer ones;
    /// `None` unless there is one for each.
    pub fn hash_of(self, coarse: Chunks, number: u64, hashes: &[ChunkHash]) -> Option<ChunkHash> {
        if coarse.count() <= 1 {
            return self.file_hash(hashes);
        }
        let range = coarse.range(number);
        let at = |offset: u64| usize::try_from(offset.div_ceil(self.size)).ok();
        let inside = hashes.get(at(range.start)?..at(range.end)?)?;
        let whole = self.length == coarse.length && self.size <= coarse.size;
        (whole && !inside.is_empty())
            .then(|| ChunkHash(self.subtree(inside, range.end - range.start)))
    }

    /// The values of the two subtrees below a tree of more than one chunk.
    fn halves(self, hashes: &[ChunkHash], length: u64) -> (ChainingValue, ChainingValue) {
        let left_length = left_subtree_len(length);
        // A whole number of chunks, since both are powers of two and the left one is not smaller than a chunk.
        let split = usize::try_from(left_length / self.size).unwrap_or(usize::MAX);
        let (left, right) = hashes.split_at(split.min(hashes.len()));
        (
            self.subtree(left, left_length),
            self.subtree(right, length - left_length),
        )
    }

    fn subtree(self, hashes: &[ChunkHash], length: u64) -> ChainingValue {
        if let [only] = hashes {
            return only.0;
        }
        let (left, right) = self.halves(hashes, length);
        merge_subtrees_non_root(&left, &right, Mode::Hash)
    }
}

/// A BLAKE3 value of 32 bytes; lower-case hexadecimal as text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ChunkHash(pub [u8; 32]);

impl ChunkHash {
    /// The value that `text` writes in hexadecimal.
    pub fn parse(text: &str) -> Option<Self> {
        let hash = blake3::Hash::from_hex(text).ok()?;
        Some(ChunkHash(*hash.as_bytes()))
    }
}

impl fmt::Display for ChunkHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl Serialize for ChunkHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ChunkHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        ChunkHash::parse(&text)
            .ok_or_else(|| serde::de::Error::custom("not a BLAKE3 value in hexadecimal"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_file_follows_from_its_chunks() {
        let bytes: Vec<u8> = (0..1_000_003u32).map(|n| (n * 7 % 251) as u8).collect();
        for length in [0, 1, 65_536, 65_537, 131_072, 200_000, 655_360, 1_000_003] {
            let bytes = &bytes[..length];
            let chunks = Chunks::new(length as u64, MIN_CHUNK).unwrap();
            let hashes: Vec<ChunkHash> = (0..chunks.count())
                .map(|number| {
                    let range = chunks.range(number);
                    chunks.hash(number, &bytes[range.start as usize..range.end as usize])
                })
                .collect();
            let expected = blake3::hash(bytes).to_hex().to_string();
            assert_eq!(chunks.file_hash(&hashes).unwrap().to_string(), expected);
            if length > 0 {
                assert_eq!(chunks.file_hash(&hashes[1..]), None);
            }
        }
    }

    #[test]
    fn the_hash_of_a_chunk_follows_from_its_blocks() {
        let bytes: Vec<u8> = (0..1_000_003u32).map(|n| (n * 7 % 251) as u8).collect();
        for length in [1, 65_536, 65_537, 200_000, 262_144, 1_000_003] {
            let bytes = &bytes[..length];
            let hashes_of = |chunks: Chunks| -> Vec<ChunkHash> {
                let bytes_of = |number| {
                    let range = chunks.range(number);
                    &bytes[range.start as usize..range.end as usize]
                };
                (0..chunks.count())
                    .map(|number| chunks.hash(number, bytes_of(number)))
                    .collect()
            };
            for (fine, coarse) in [(4096, 65_536), (16_384, 262_144), (65_536, 65_536)] {
                let fine = Chunks::blocks(length as u64, fine).unwrap();
                let coarse = Chunks::new(length as u64, coarse).unwrap();
                let blocks = hashes_of(fine);
                for (number, expected) in (0..).zip(hashes_of(coarse)) {
                    assert_eq!(fine.hash_of(coarse, number, &blocks), Some(expected));
                    assert_eq!(
                        fine.hash_of(coarse, number, &blocks[..blocks.len() - 1])
                            .is_some(),
                        number + 1 < coarse.count()
                    );
                }
            }
        }
    }

    #[test]
    fn a_chunk_holds_whole_pages_or_there_is_none() {
        for size in [0, 1, 32_768, 65_537, 3 << 20, 128 << 20] {
            assert_eq!(Chunks::new(1, size), None, "{size}");
        }
        assert_eq!(Chunks::new(100, MIN_CHUNK).unwrap().range(7), 100..100);
        assert_eq!(
            Chunks::new(100, MIN_CHUNK).unwrap().range(u64::MAX),
            100..100
        );
    }
}
