//! Shadow copies: the bytes of an NTFS volume as they were when Windows made a copy of it.
//!
//! A shadow copy keeps little. Before a block of the volume (16 KiB) is overwritten for the first time after a copy was made,
//! Windows puts what was in it into the store of that copy, the newest one. So a block of a copy is
//!
//! ```text
//! what was written to the copy itself            overlays, by sector; of this copy alone
//! else where its own store has it                the block list
//! else where the store of the next copy has it   ... and so on, up to the newest copy
//! else where the volume has it now
//! ```
//!
//! A store may also say that a block was moved (a forwarder): it is then asked for under its new number from the next store on.
//! In the newest copy, a block that was not in use when the copy was made, and of which nothing else is known, is zeros, as
//! libvshadow has it. Windows leaves such bytes undefined.
//!
//! Invariant: a read gives the bytes that these rules lead to, or an error. A store that cannot be read cuts the chain for its
//! copy and for all older ones; they are not read past it.
//!
//! Facts: "Volume Shadow Snapshot (VSS) format" by Joachim Metz, and what libvshadow does (`libvshadow_block_tree_insert`,
//! `libvshadow_store_descriptor_read_buffer`). Layouts and rules are in `docs/format/shadow-copies.md`.

mod blocks;
mod catalog;
mod file;
mod map;
#[cfg(test)]
pub(crate) mod tests;

use crate::cache::Kept;
use blocks::Volume;
use catalog::{Catalog, in_catalog};
use evidence::{ReadError, SourceFile, wrong};
use file::ShadowFile;
use jiff::Timestamp;
use map::{Bitmaps, BlockMap};
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// A shadow copy, as the volume describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShadowCopy {
    /// When it was made.
    pub created: Timestamp,
    /// The GUID of its store, by which the catalog knows it and its file is named.
    pub store: String,
    /// Bytes that the volume had.
    pub volume_size: u64,
    /// Its GUID, as Windows shows it; empty if there is a problem.
    pub id: String,
    /// The GUID of the set of copies that was made with it; empty if there is a problem.
    pub set: String,
    /// The machine that made it.
    pub machine: Option<String>,
    /// The machine whose service made it.
    pub service_machine: Option<String>,
    /// `_VSS_VOLUME_SNAPSHOT_ATTRIBUTES`.
    pub attributes: u32,
    /// Why it and all older copies cannot be opened.
    pub problem: Option<String>,
}

/// The shadow copies of a volume.
#[derive(Debug)]
pub struct ShadowCopies(Arc<Stores>);

impl ShadowCopies {
    /// Looks for the shadow copies of a volume; none if it has none (no header of them, or an empty catalog).
    ///
    /// Fails if the catalog cannot be read. What cannot be read of one copy is said in [`ShadowCopy::problem`].
    pub fn of(volume: Arc<dyn SourceFile>) -> io::Result<Option<Self>> {
        let volume = Volume {
            length: volume.stamp().length,
            file: volume,
        };
        let Some(catalog) = Catalog::of(&volume)? else {
            return Ok(None);
        };
        let maps = catalog.copies.iter().map(|_| Kept::default()).collect();
        Ok(Some(ShadowCopies(Arc::new(Stores {
            volume,
            catalog,
            maps,
            lists: Mutex::default(),
            bitmaps: Kept::default(),
        }))))
    }

    /// The copies, oldest first: the first one is `vss1` of libvshadow.
    pub fn copies(&self) -> &[ShadowCopy] {
        &self.0.catalog.copies
    }

    /// The volume's bytes as they were when the copy was made; `index` counts from 0.
    ///
    /// Block lists are read with the first bytes. Fails if this copy or a newer one, through which it is read, has a problem,
    /// or if it is not known in which order the copies were made.
    pub fn open(&self, index: usize) -> io::Result<Arc<dyn SourceFile>> {
        let copies = self.copies();
        let Some(needed) = copies.get(index..).filter(|needed| !needed.is_empty()) else {
            let why = format!(
                "there is no shadow copy {}, the volume has {}",
                index + 1,
                copies.len()
            );
            return Err(io::Error::new(io::ErrorKind::NotFound, why));
        };
        if let Some(trouble) = &self.0.catalog.trouble {
            return Err(in_catalog(trouble));
        }
        for (newer, copy) in needed.iter().enumerate() {
            if let Some(problem) = &copy.problem {
                return Err(self.0.said(index + newer, wrong(problem)));
            }
        }
        Ok(Arc::new(ShadowFile {
            stores: Arc::clone(&self.0),
            index,
            maps: OnceLock::new(),
        }))
    }
}

/// The stores of a volume, and what was read of them.
#[derive(Debug)]
struct Stores {
    volume: Volume,
    catalog: Catalog,
    maps: Vec<Kept<BlockMap>>,
    /// Blocks of lists, and of which copy.
    lists: Mutex<HashMap<u64, usize>>,
    /// Of the newest copy; no other needs its own.
    bitmaps: Kept<Bitmaps>,
}

impl Stores {
    fn map(&self, index: usize) -> io::Result<Arc<BlockMap>> {
        let size = self.catalog.copies[index].volume_size;
        let claim = |offset| self.claim(offset, index);
        let read = || BlockMap::of(&self.volume, self.places(index)?, size, claim);
        let map = self.maps[index].get(read);
        map.map_err(|error| self.said(index, error))
    }

    /// Notes that a block is of the list of a copy, and of no other one.
    fn claim(&self, offset: u64, index: usize) -> io::Result<()> {
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        let other = *lists.entry(offset).or_insert(index);
        match other == index {
            true => Ok(()),
            false => Err(wrong(format!(
                "its block list goes on at offset {offset:#x}, which is in that of shadow copy {}",
                other + 1
            ))),
        }
    }

    /// Of the newest copy.
    fn bitmaps(&self, newest: usize) -> io::Result<Arc<Bitmaps>> {
        let size = self.catalog.copies[newest].volume_size;
        let read = || Bitmaps::of(&self.volume, self.places(newest)?, size);
        let bitmaps = self.bitmaps.get(read);
        bitmaps.map_err(|error| self.said(newest, error))
    }

    fn places(&self, index: usize) -> io::Result<catalog::Places> {
        let places = self.catalog.places[index];
        places.ok_or_else(|| wrong("the catalog does not say where its store is"))
    }

    /// What is wrong with a copy: with which one, and whether it passes.
    fn said(&self, index: usize, error: io::Error) -> io::Error {
        let known = ReadError::from_io(&error);
        let message = format!("shadow copy {}: {}", index + 1, known.message);
        ReadError::new(known.kind, message).into()
    }
}
