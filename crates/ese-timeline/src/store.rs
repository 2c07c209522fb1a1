//! Events that wait for the end of their transaction: in memory up to a limit, above it in a temporary file.

use crate::event::Event;
use crate::spill::{Place, Spill};
use std::io;

/// An event that is kept.
#[derive(Debug)]
pub(crate) enum Kept {
    /// In memory, where it takes so many bytes.
    Memory(Box<Event>, usize),
    /// In the file.
    File(Place),
}

/// Where events are kept.
#[derive(Debug)]
pub(crate) struct Store {
    limit: usize,
    in_memory: usize,
    file: Spill,
    in_file: u64,
    /// The most bytes that were in the file.
    pub(crate) spilled: u64,
}

impl Store {
    /// A store that keeps up to `limit` bytes in memory.
    pub(crate) fn new(limit: usize) -> Self {
        Store {
            limit,
            in_memory: 0,
            file: Spill::default(),
            in_file: 0,
            spilled: 0,
        }
    }

    /// Keeps an event.
    pub(crate) fn keep(&mut self, event: Event) -> io::Result<Kept> {
        let size = event.size();
        if self.in_memory + size <= self.limit {
            self.in_memory += size;
            return Ok(Kept::Memory(Box::new(event), size));
        }
        if self.in_file == 0 {
            self.file.clear()?;
        }
        let place = self.file.put(&serde_json::to_vec(&event)?)?;
        self.in_file += 1;
        self.spilled = self.spilled.max(self.file.length());
        Ok(Kept::File(place))
    }

    /// Gives an event back.
    pub(crate) fn take(&mut self, kept: Kept) -> io::Result<Event> {
        match kept {
            Kept::Memory(event, size) => {
                self.in_memory -= size;
                Ok(*event)
            }
            Kept::File(place) => {
                self.in_file -= 1;
                Ok(serde_json::from_slice(&self.file.get(place)?)?)
            }
        }
    }

    /// Lets go of an event.
    pub(crate) fn drop_kept(&mut self, kept: &Kept) {
        match kept {
            Kept::Memory(_, size) => self.in_memory -= size,
            Kept::File(_) => self.in_file -= 1,
        }
    }
}
