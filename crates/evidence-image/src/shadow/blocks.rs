//! The blocks that say where everything is: chains of them, each with a header that names its place.

use crate::numbers::{bytes_at, u16_at, u32_at, u64_at};
use evidence::{SourceFile, wrong};
use std::collections::HashSet;
use std::fmt::{self, Display};
use std::io;
use std::sync::Arc;

/// Bytes in a block, of structures as of data.
pub(super) const BLOCK: usize = 0x4000;
/// [`BLOCK`] as a step between offsets.
pub(super) const STEP: u64 = BLOCK as u64;
/// Bytes before what a block of a chain holds.
pub(super) const HEADER: usize = 128;
/// 3808876b-c176-4e48-b7ae-04046e6cc752, the first bytes of every structure.
pub(super) const IDENTIFIER: [u8; 16] = [
    0x6b, 0x87, 0x08, 0x38, 0x76, 0xc1, 0x48, 0x4e, 0xb7, 0xae, 0x04, 0x04, 0x6e, 0x6c, 0xc7, 0x52,
];

pub(super) fn guid_at(bytes: &[u8], at: usize) -> Guid {
    Guid(bytes_at(bytes, at))
}

/// A GUID as it is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Guid([u8; 16]);

impl Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = &self.0;
        let (one, two, three) = (u32_at(bytes, 0), u16_at(bytes, 4), u16_at(bytes, 6));
        write!(f, "{one:08x}-{two:04x}-{three:04x}-")?;
        for (at, byte) in bytes.iter().enumerate().skip(8) {
            let dash = if at == 10 { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

/// The volume as it is now.
#[derive(Debug)]
pub(super) struct Volume {
    pub(super) file: Arc<dyn SourceFile>,
    /// In bytes.
    pub(super) length: u64,
}

impl Volume {
    /// Fills `buffer` from `offset`. What is past the end of the volume is damage of whoever leads there.
    pub(super) fn read(
        &self,
        buffer: &mut [u8],
        offset: u64,
        what: impl Display,
    ) -> io::Result<()> {
        let needed = buffer.len() as u64;
        let there = self.length.saturating_sub(offset).min(needed);
        if there < needed {
            return Err(wrong(format!(
                "{what}: {needed} bytes should be at offset {offset:#x} of the volume, {there} are there"
            )));
        }
        self.file.read_exact_at(buffer, offset)
    }
}

/// What a chain of blocks holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Catalog = 2,
    BlockList = 3,
    StoreHeader = 4,
    Bitmap = 6,
}

impl Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Catalog => "the catalog of shadow copies",
            Kind::BlockList => "the block list of a shadow copy",
            Kind::StoreHeader => "the store header of a shadow copy",
            Kind::Bitmap => "a bitmap of a shadow copy",
        })
    }
}

/// Reads a chain of blocks.
pub(super) struct Chain<'a> {
    volume: &'a Volume,
    kind: Kind,
    next: u64,
    seen: HashSet<u64>,
    block: Vec<u8>,
}

impl<'a> Chain<'a> {
    /// A chain that begins at `start`; 0 is one of no blocks.
    pub(super) fn new(volume: &'a Volume, kind: Kind, start: u64) -> Self {
        Chain {
            volume,
            kind,
            next: start,
            seen: HashSet::new(),
            block: vec![0; BLOCK],
        }
    }

    /// The next block, and where it is; none after the last.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        let (kind, offset) = (self.kind, self.next);
        if offset == 0 {
            return Ok(None);
        }
        let is_new = self.seen.insert(offset);
        if !is_new || self.seen.len() as u64 > self.volume.length / STEP {
            return Err(wrong(format!(
                "{kind} leads from block to block without an end: {} blocks before offset {offset:#x}",
                self.seen.len()
            )));
        }
        self.volume.read(&mut self.block, offset, kind)?;
        let header = &self.block[..HEADER];
        let (version, record) = (u32_at(header, 16), u32_at(header, 20));
        let said = u64_at(header, 32);
        let is_one = header.starts_with(&IDENTIFIER) && record == kind as u32;
        if !is_one || said != offset {
            return Err(wrong(format!(
                "{kind} should go on at offset {offset:#x} of the volume, and something else is there"
            )));
        }
        if version != 1 {
            return Err(wrong(format!(
                "{kind} at offset {offset:#x} is of version {version}, and only 1 is known"
            )));
        }
        self.next = u64_at(header, 40);
        Ok(Some((offset, &self.block)))
    }
}
