//! A shadow copy as a file: each block read from where it is.

use super::Stores;
use super::blocks::{BLOCK, STEP};
use super::map::{Bitmaps, BlockMap, Stored};
use evidence::{SourceFile, Stamp, wrong};
use std::io;
use std::sync::{Arc, OnceLock};

const SECTOR: usize = 512;
/// A block that was moved and moved back may be in several places; more than so many are not compared.
const MOST_PLACES: usize = 8;

/// A shadow copy.
#[derive(Debug)]
pub(super) struct ShadowFile {
    pub(super) stores: Arc<Stores>,
    pub(super) index: usize,
    pub(super) maps: OnceLock<Maps>,
}

/// What is needed to read a copy.
#[derive(Debug)]
pub(super) struct Maps {
    /// Of this copy and of all newer ones.
    stores: Vec<Arc<BlockMap>>,
    /// If this copy is the newest.
    bitmaps: Option<Arc<Bitmaps>>,
}

/// Where bytes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    /// From this offset of the volume on.
    Volume(u64),
    /// They were not in use, and are nowhere.
    Unused,
    /// From one of these offsets of the volume on, if all have the same.
    Same(Vec<u64>),
}

impl Source {
    /// What comes after `bytes` of it.
    fn after(&self, bytes: usize) -> Self {
        let bytes = bytes as u64;
        match self {
            Source::Volume(offset) => Source::Volume(offset.saturating_add(bytes)),
            Source::Unused => Source::Unused,
            Source::Same(offsets) => {
                Source::Same(offsets.iter().map(|at| at.saturating_add(bytes)).collect())
            }
        }
    }
}

impl Maps {
    fn of(stores: &Stores, index: usize) -> io::Result<Self> {
        let newest = stores.catalog.copies.len() - 1;
        let maps = (index..=newest).map(|index| stores.map(index));
        Ok(Maps {
            stores: maps.collect::<io::Result<_>>()?,
            bitmaps: match index == newest {
                true => Some(stores.bitmaps(index)?),
                false => None,
            },
        })
    }

    /// Where a block is, without what was written over it.
    fn source(&self, block: u64) -> io::Result<Source> {
        let own = &self.stores[0];
        if let Some(bitmaps) = &self.bitmaps {
            let is_known = own.stored(block).is_some() || own.is_moved_here(block);
            if !is_known && bitmaps.is_unused(block)? {
                return Ok(Source::Unused);
            }
        }
        let (mut at, mut found) = (vec![block], Vec::new());
        for store in &self.stores {
            let mut next = Vec::with_capacity(at.len());
            for block in at {
                match store.stored(block) {
                    None => next.push(block),
                    Some(Stored::At(offset)) => found.push(offset),
                    Some(Stored::Moved(to)) => next.push(to),
                    Some(Stored::MovedBack(to)) => next.extend([to, block]),
                }
            }
            next.sort_unstable();
            next.dedup();
            at = next;
            if at.len() + found.len() > MOST_PLACES {
                return Err(wrong(format!(
                    "block {block} was moved back and forth too often to know where it is"
                )));
            }
        }
        found.extend(at.iter().map(|block| block * STEP));
        found.sort_unstable();
        found.dedup();
        Ok(match found[..] {
            [offset] => Source::Volume(offset),
            _ => Source::Same(found),
        })
    }
}

/// Bytes that lie one after the other at their source.
struct Run {
    source: Source,
    length: usize,
}

/// Sources of a range, one after the other.
#[derive(Default)]
struct Runs(Vec<Run>);

impl Runs {
    fn add(&mut self, source: Source, length: usize) {
        if let Some(last) = self.0.last_mut()
            && last.source.after(last.length) == source
        {
            last.length += length;
        } else {
            self.0.push(Run { source, length });
        }
    }
}

impl ShadowFile {
    fn maps(&self) -> io::Result<&Maps> {
        if let Some(maps) = self.maps.get() {
            return Ok(maps);
        }
        let maps = Maps::of(&self.stores, self.index)?;
        Ok(self.maps.get_or_init(|| maps))
    }

    fn size(&self) -> u64 {
        self.stores.catalog.copies[self.index].volume_size
    }

    /// Where `length` bytes from `offset` on are.
    fn runs(&self, offset: u64, length: usize) -> io::Result<Vec<Run>> {
        let maps = self.maps()?;
        let mut runs = Runs::default();
        let mut done = 0;
        while done < length {
            let at = offset + done as u64;
            let (block, within) = (at / STEP, (at % STEP) as usize);
            let source = maps.source(block)?;
            let end = BLOCK.min(within + length - done);
            let Some(overlay) = maps.stores[0].overlay(block) else {
                runs.add(source.after(within), end - within);
                done += end - within;
                continue;
            };
            let mut from = within;
            while from < end {
                let sector = from / SECTOR;
                let to = end.min((sector + 1) * SECTOR);
                let source = match overlay.sectors & (1 << sector) {
                    0 => source.after(from),
                    _ => Source::Volume(overlay.at).after(from),
                };
                runs.add(source, to - from);
                done += to - from;
                from = to;
            }
        }
        Ok(runs.0)
    }

    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut rest = buffer;
        let mut at = offset;
        for Run { source, length } in self.runs(offset, rest.len())? {
            let (part, after) = rest.split_at_mut(length);
            let what = || format!("offset {at:#x} of {}", self.name());
            let volume = &self.stores.volume;
            match source {
                Source::Volume(from) => volume.read(part, from, what())?,
                Source::Unused => part.fill(0),
                Source::Same(places) => {
                    let mut other = vec![0; length];
                    for (number, from) in places.iter().enumerate() {
                        volume.read(&mut other, *from, what())?;
                        if number == 0 {
                            part.copy_from_slice(&other);
                        } else if *part != other[..] {
                            return Err(wrong(format!(
                                "{} was moved and moved back: which of the offsets {:#x} and {from:#x} of the volume has it is not known, and they differ",
                                what(),
                                places[0]
                            )));
                        }
                    }
                }
            }
            rest = after;
            at += length as u64;
        }
        Ok(())
    }
}

impl SourceFile for ShadowFile {
    fn name(&self) -> String {
        let volume = self.stores.volume.file.name();
        format!("{volume} (shadow copy {})", self.index + 1)
    }

    fn stamp(&self) -> Stamp {
        Stamp {
            length: self.size(),
            modified: Some(self.stores.catalog.copies[self.index].created),
            tag: None,
        }
    }

    fn stamp_now(&self) -> io::Result<Stamp> {
        let volume = &self.stores.volume.file;
        let is_same = volume.stamp_now()? == volume.stamp();
        Ok(Stamp {
            tag: (!is_same).then(|| "the volume was changed".to_owned()),
            ..self.stamp()
        })
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.size().saturating_sub(offset);
        let length = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        self.fill(&mut buffer[..length], offset)?;
        Ok(length)
    }

    fn piece(&self) -> usize {
        self.stores.volume.file.piece()
    }
}
