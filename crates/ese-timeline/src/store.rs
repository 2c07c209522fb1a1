//! Events that wait for the end of their transaction: in memory up to a limit, above it in a temporary file without a name.

use crate::event::Event;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// An event that is kept.
#[derive(Debug)]
pub(crate) enum Kept {
    /// In memory, where it takes so many bytes.
    Memory(Box<Event>, usize),
    /// In the file.
    File { at: u64, length: usize },
}

/// Where events are kept.
#[derive(Debug)]
pub(crate) struct Store {
    limit: usize,
    in_memory: usize,
    file: Option<File>,
    end: u64,
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
            file: None,
            end: 0,
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
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile()?),
        };
        if self.in_file == 0 {
            self.end = 0;
            file.set_len(0)?;
        }
        let bytes = serde_json::to_vec(&event)?;
        let at = self.end;
        file.seek(SeekFrom::Start(at))?;
        file.write_all(&bytes)?;
        self.end += bytes.len() as u64;
        self.in_file += 1;
        self.spilled = self.spilled.max(self.end);
        Ok(Kept::File {
            at,
            length: bytes.len(),
        })
    }

    /// Gives an event back.
    pub(crate) fn take(&mut self, kept: Kept) -> io::Result<Event> {
        match kept {
            Kept::Memory(event, size) => {
                self.in_memory -= size;
                Ok(*event)
            }
            Kept::File { at, length } => {
                let file = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
                let mut bytes = vec![0; length];
                file.seek(SeekFrom::Start(at))?;
                file.read_exact(&mut bytes)?;
                self.in_file -= 1;
                Ok(serde_json::from_slice(&bytes)?)
            }
        }
    }

    /// Lets go of an event.
    pub(crate) fn drop_kept(&mut self, kept: &Kept) {
        match kept {
            Kept::Memory(_, size) => self.in_memory -= size,
            Kept::File { .. } => self.in_file -= 1,
        }
    }
}
