//! What one store says of the blocks of its volume.

use super::blocks::{Chain, HEADER, Kind, STEP, Volume};
use super::catalog::Places;
use crate::numbers::{u32_at, u64_at};
use evidence::wrong;
use std::collections::HashMap;
use std::io;

const DESCRIPTOR: usize = 32;
const IS_FORWARDER: u32 = 1;
const IS_OVERLAY: u32 = 2;
const NOT_USED: u32 = 4;

/// Where a block is, as one store says. Blocks are numbered from the start of the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    /// At this offset of the volume.
    At(u64),
    /// It was moved to this block.
    Moved(u64),
    /// It was moved to this block and, as far as is known, back.
    MovedBack(u64),
}

/// Sectors of a block that were written to the shadow copy itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Overlay {
    /// Where the block of them is in the volume.
    pub(super) at: u64,
    /// Bit 0 is the first sector of the block.
    pub(super) sectors: u32,
}

/// The block list of a store.
#[derive(Debug, Default)]
pub(super) struct BlockMap {
    stored: HashMap<u64, Stored>,
    overlays: HashMap<u64, Overlay>,
    /// Blocks to which others were moved, and which.
    moved_here: HashMap<u64, u64>,
}

impl BlockMap {
    /// Reads the block list of a copy of a volume of `size` bytes. `claim` is told of each block of the list.
    pub(super) fn of(
        volume: &Volume,
        places: Places,
        size: u64,
        claim: impl Fn(u64) -> io::Result<()>,
    ) -> io::Result<Self> {
        let mut map = BlockMap::default();
        if places.block_list == 0 {
            return Err(wrong("the catalog does not say where its block list is"));
        }
        let mut chain = Chain::new(volume, Kind::BlockList, places.block_list);
        let most = volume.length.div_ceil(STEP);
        while let Some((offset, block)) = chain.next()? {
            claim(offset)?;
            for (number, descriptor) in block[HEADER..].chunks_exact(DESCRIPTOR).enumerate() {
                map.add(descriptor, size).map_err(|what| {
                    let at = offset + (HEADER + number * DESCRIPTOR) as u64;
                    wrong(format!(
                        "the descriptor at offset {at:#x} in the block list of a shadow copy {what}"
                    ))
                })?;
            }
            let known = [map.stored.len(), map.overlays.len(), map.moved_here.len()];
            let known = known.into_iter().max().unwrap_or_default() as u64;
            if known > most {
                return Err(wrong(format!(
                    "the block list of a shadow copy says where {known} blocks are, up to offset {offset:#x} of it, and the volume has {most}"
                )));
            }
        }
        Ok(map)
    }

    /// Later descriptors are of later writes; what they do to earlier ones is in `docs/format/shadow-copies.md`.
    fn add(&mut self, descriptor: &[u8], size: u64) -> Result<(), String> {
        let flags = u32_at(descriptor, 24);
        let is_empty = descriptor.iter().all(|byte| *byte == 0);
        if is_empty || flags & NOT_USED != 0 {
            return Ok(());
        }
        let (original, relative) = (u64_at(descriptor, 0), u64_at(descriptor, 8));
        let store = u64_at(descriptor, 16);
        if original >= size {
            return Err(format!(
                "is of offset {original:#x}, and the volume had {size:#x} bytes"
            ));
        }
        let described = block_number(original)?;
        if flags & IS_OVERLAY != 0 {
            if flags & IS_FORWARDER != 0 {
                return Err("is both a forwarder and an overlay".to_owned());
            }
            let sectors = u32_at(descriptor, 28);
            self.overlays
                .entry(described)
                .and_modify(|overlay| overlay.sectors |= sectors)
                .or_insert(Overlay { at: store, sectors });
            return Ok(());
        }
        let to = match flags & IS_FORWARDER {
            0 => None,
            _ if store != 0 => {
                return Err(format!(
                    "is a forwarder, and of what is saved at {store:#x}"
                ));
            }
            _ => Some(block_number(relative)?),
        };
        let moved_before = self.moved_here.remove(&described);
        let block = moved_before.unwrap_or(described);
        match to {
            None => {
                self.stored.insert(block, Stored::At(store));
            }
            Some(to) if to == block => {
                if moved_before.is_some() {
                    self.stored.insert(block, Stored::MovedBack(described));
                }
            }
            Some(to) => {
                self.stored.insert(block, Stored::Moved(to));
                self.moved_here.insert(to, block);
            }
        }
        Ok(())
    }

    /// Where a block is; none if this store does not say.
    pub(super) fn stored(&self, block: u64) -> Option<Stored> {
        self.stored.get(&block).copied()
    }

    /// What was written over a block of this copy, and of no other.
    pub(super) fn overlay(&self, block: u64) -> Option<Overlay> {
        self.overlays.get(&block).copied()
    }

    /// Whether another block was moved to this one.
    pub(super) fn is_moved_here(&self, block: u64) -> bool {
        self.moved_here.contains_key(&block)
    }
}

fn block_number(offset: u64) -> Result<u64, String> {
    match offset % STEP {
        0 => Ok(offset / STEP),
        _ => Err(format!(
            "has the offset {offset:#x}, which is not the start of a block"
        )),
    }
}

/// Which blocks were not in use when a copy was made.
#[derive(Debug)]
pub(super) struct Bitmaps {
    current: Vec<u8>,
    /// None if there is none.
    previous: Option<Vec<u8>>,
}

impl Bitmaps {
    /// Reads the bitmaps of a copy of a volume of `size` bytes.
    pub(super) fn of(volume: &Volume, places: Places, size: u64) -> io::Result<Self> {
        let bytes = size.div_ceil(STEP).div_ceil(8);
        let previous = match places.previous_bitmap {
            0 => None,
            start => Some(bitmap(volume, start, bytes)?),
        };
        Ok(Bitmaps {
            current: bitmap(volume, places.bitmap, bytes)?,
            previous,
        })
    }

    /// Whether a block was not in use, neither then nor when the copy before was made. The previous bitmap ends where the
    /// volume ended then.
    pub(super) fn is_unused(&self, block: u64) -> io::Result<bool> {
        let Some(current) = bit(&self.current, block) else {
            return Err(wrong(format!(
                "the bitmap of the shadow copy ends at block {}, block {block} (offset {:#x}) is not in it",
                self.current.len() * 8,
                block * STEP
            )));
        };
        let previous = self.previous.as_ref();
        let previous = previous.is_none_or(|previous| bit(previous, block).unwrap_or(false));
        Ok(current && previous)
    }
}

/// A bitmap: all of it, but not more than so many bytes.
fn bitmap(volume: &Volume, start: u64, bytes: u64) -> io::Result<Vec<u8>> {
    let mut bitmap = Vec::new();
    let mut chain = Chain::new(volume, Kind::Bitmap, start);
    while let Some((_, block)) = chain.next()? {
        let left = usize::try_from(bytes - bitmap.len() as u64).unwrap_or(usize::MAX);
        let part = &block[HEADER..];
        bitmap.extend_from_slice(&part[..part.len().min(left)]);
    }
    Ok(bitmap)
}

fn bit(bitmap: &[u8], block: u64) -> Option<bool> {
    let byte = bitmap.get(usize::try_from(block / 8).ok()?)?;
    Some(byte & (1 << (block % 8)) != 0)
}
