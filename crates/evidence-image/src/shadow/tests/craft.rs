//! Volumes with shadow copies, made by hand.

use crate::shadow::ShadowCopies;
use crate::shadow::blocks::{BLOCK, HEADER, IDENTIFIER, STEP};
use evidence::{SourceFile, Stamp};
use std::io;
use std::sync::Arc;

/// Blocks of a crafted volume; structures and data of stores are in the upper half.
pub(super) const BLOCKS: u64 = 128;
/// The first block that stores use.
pub(super) const STORES: u64 = 64;

pub(super) const FORWARDER: u32 = 1;
pub(super) const OVERLAY: u32 = 2;
pub(super) const NOT_USED: u32 = 4;

/// Bytes in memory.
#[derive(Debug)]
pub(crate) struct Memory(pub(crate) Vec<u8>);

impl SourceFile for Memory {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    fn stamp(&self) -> Stamp {
        Stamp {
            length: self.0.len() as u64,
            modified: None,
            tag: None,
        }
    }

    fn stamp_now(&self) -> io::Result<Stamp> {
        Ok(self.stamp())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let there = self.0.get(from..).unwrap_or_default();
        let length = buffer.len().min(there.len());
        buffer[..length].copy_from_slice(&there[..length]);
        Ok(length)
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Descriptor {
    pub(super) original: u64,
    pub(super) relative: u64,
    pub(super) store: u64,
    pub(super) flags: u32,
    pub(super) sectors: u32,
}

impl Descriptor {
    /// A block that was saved.
    pub(super) fn saved(original: u64, store: u64) -> Self {
        Descriptor {
            original: original * STEP,
            relative: 0x4000,
            store: store * STEP,
            flags: 0,
            sectors: 0,
        }
    }

    /// A block that was moved.
    pub(super) fn moved(original: u64, to: u64) -> Self {
        Descriptor {
            relative: to * STEP,
            flags: FORWARDER,
            ..Descriptor::saved(original, 0)
        }
    }

    /// Sectors that were written to the copy.
    pub(super) fn overlay(original: u64, store: u64, sectors: u32) -> Self {
        Descriptor {
            flags: OVERLAY,
            sectors,
            ..Descriptor::saved(original, store)
        }
    }
}

/// A store to be.
#[derive(Debug, Clone, Default)]
pub(super) struct Store {
    /// Seconds, in a day of 2013.
    pub(super) created: u64,
    pub(super) descriptors: Vec<Descriptor>,
    pub(super) unused: Vec<u64>,
    pub(super) unused_before: Option<Vec<u64>>,
    /// Bytes that the volume had; 0 for as many as now.
    pub(super) size: u64,
}

/// A volume to be. Its blocks have their own numbers in every byte.
pub(super) struct Craft {
    pub(super) bytes: Vec<u8>,
    entries: Vec<Vec<u8>>,
    free: u64,
}

impl Craft {
    pub(super) fn new() -> Self {
        let blocks = (0..BLOCKS).flat_map(|block| [u8::try_from(block).unwrap(); BLOCK]);
        Craft {
            bytes: blocks.collect(),
            entries: Vec::new(),
            free: BLOCKS,
        }
    }

    pub(super) fn put(&mut self, offset: u64, bytes: &[u8]) {
        let offset = usize::try_from(offset).unwrap();
        self.bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    /// Fills a block.
    pub(super) fn fill(&mut self, block: u64, byte: u8) {
        self.put(block * STEP, &[byte; BLOCK]);
    }

    /// A block for structures: the last one that is free.
    fn take(&mut self) -> u64 {
        self.free -= 1;
        self.free * STEP
    }

    /// Writes a chain of blocks, and says where it begins.
    pub(super) fn chain(&mut self, kind: u32, body: &[u8], size: u64) -> u64 {
        let parts: Vec<_> = body.chunks(BLOCK - HEADER).collect();
        let places: Vec<_> = parts.iter().map(|_| self.take()).collect();
        for (number, (part, offset)) in parts.iter().zip(&places).enumerate() {
            let next = places.get(number + 1).copied().unwrap_or(0);
            let mut block = header(kind, *offset, next);
            block[48..56].copy_from_slice(&size.to_le_bytes());
            block.extend_from_slice(part);
            block.resize(BLOCK, 0);
            self.put(*offset, &block);
        }
        places[0]
    }

    /// Adds a store, and its entries to the catalog.
    pub(super) fn store(&mut self, store: &Store) {
        let mut list = Vec::new();
        for descriptor in &store.descriptors {
            for value in [descriptor.original, descriptor.relative, descriptor.store] {
                list.extend_from_slice(&value.to_le_bytes());
            }
            list.extend_from_slice(&descriptor.flags.to_le_bytes());
            list.extend_from_slice(&descriptor.sectors.to_le_bytes());
        }
        list.resize(list.len().max(1), 0);
        let list = self.chain(3, &list, 0);
        let number = u8::try_from(self.entries.len()).unwrap();
        let mut information = vec![0; 64];
        information[16..32].fill(0xa0 + number);
        information[32..48].fill(0xb0 + number);
        information[56..60].copy_from_slice(&0x0042_0009_u32.to_le_bytes());
        for name in ["one", "two"] {
            let text: Vec<_> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let length = u16::try_from(text.len()).unwrap();
            information.extend_from_slice(&length.to_le_bytes());
            information.extend_from_slice(&text);
        }
        let place = self.chain(4, &information, 100);
        let bitmap = bitmap_of(&store.unused);
        let bitmap = self.chain(6, &bitmap, 0);
        let previous = store.unused_before.as_ref();
        let previous = previous.map_or(0, |unused| self.chain(6, &bitmap_of(unused), 0));
        let size = match store.size {
            0 => self.bytes.len() as u64,
            size => size,
        };
        let created = 130_305_024_000_000_000 + store.created * 10_000_000;
        let store = [0xc0 + number; 16];
        let places = [(32, place), (48, bitmap), (72, previous)];
        let places = entry(3, list, store, &places);
        let created = entry(2, size, store, &[(48, created)]);
        // Where entries lie in the catalog means nothing.
        self.entries.splice(0..0, [created, places]);
    }

    /// The entries of the catalog: two of each store, the last store first.
    pub(super) fn entries(&mut self) -> &mut Vec<Vec<u8>> {
        &mut self.entries
    }

    /// Writes the catalog and the volume header.
    pub(super) fn bytes(mut self) -> Vec<u8> {
        let mut body = self.entries.concat();
        body.resize(body.len().max(1), 0);
        let catalog = self.chain(2, &body, 0);
        assert!(self.free >= STORES);
        let mut volume = header(1, 0x1e00, 0);
        volume[48..56].copy_from_slice(&catalog.to_le_bytes());
        self.put(0x1e00, &volume);
        self.bytes
    }

    pub(super) fn copies(self) -> ShadowCopies {
        copies_of(self.bytes()).unwrap().unwrap()
    }
}

pub(super) fn copies_of(bytes: Vec<u8>) -> io::Result<Option<ShadowCopies>> {
    ShadowCopies::of(Arc::new(Memory(bytes)))
}

/// A whole block of a copy.
pub(super) fn block_of(copies: &ShadowCopies, index: usize, block: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0xee; BLOCK];
    copies
        .open(index)?
        .read_exact_at(&mut bytes, block * STEP)?;
    Ok(bytes)
}

/// The one byte of which a block of a copy consists.
pub(super) fn byte_of(copies: &ShadowCopies, index: usize, block: u64) -> u8 {
    let bytes = block_of(copies, index, block).unwrap();
    assert!(bytes.iter().all(|byte| *byte == bytes[0]));
    bytes[0]
}

fn header(kind: u32, offset: u64, next: u64) -> Vec<u8> {
    let mut header = vec![0; HEADER];
    header[..16].copy_from_slice(&IDENTIFIER);
    header[16..20].copy_from_slice(&1_u32.to_le_bytes());
    header[20..24].copy_from_slice(&kind.to_le_bytes());
    header[32..40].copy_from_slice(&offset.to_le_bytes());
    header[40..48].copy_from_slice(&next.to_le_bytes());
    header
}

pub(super) fn entry(kind: u64, first: u64, store: [u8; 16], fields: &[(usize, u64)]) -> Vec<u8> {
    let mut entry = vec![0; 128];
    entry[..8].copy_from_slice(&kind.to_le_bytes());
    entry[8..16].copy_from_slice(&first.to_le_bytes());
    entry[16..32].copy_from_slice(&store);
    for (at, value) in fields {
        entry[*at..*at + 8].copy_from_slice(&value.to_le_bytes());
    }
    entry
}

fn bitmap_of(unused: &[u64]) -> Vec<u8> {
    let mut bitmap = vec![0; usize::try_from(BLOCKS).unwrap() / 8];
    for block in unused {
        bitmap[usize::try_from(block / 8).unwrap()] |= 1 << (block % 8);
    }
    bitmap
}
