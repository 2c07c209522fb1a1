//! What would take too much memory, in a temporary file without a name.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;

/// A temporary file, which is made when it is needed.
#[derive(Debug, Default)]
pub(crate) struct Spill {
    file: Option<File>,
    end: u64,
}

/// Bytes in such a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    at: u64,
    pub(crate) length: usize,
}

impl Place {
    /// A part of it.
    pub(crate) fn part(self, part: Range<usize>) -> Self {
        Place {
            at: self.at + part.start as u64,
            length: part.len(),
        }
    }
}

impl Spill {
    /// How long the file is.
    pub(crate) fn length(&self) -> u64 {
        self.end
    }

    /// Keeps bytes.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> io::Result<Place> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile()?),
        };
        let at = self.end;
        file.seek(SeekFrom::Start(at))?;
        file.write_all(bytes)?;
        self.end += bytes.len() as u64;
        let length = bytes.len();
        Ok(Place { at, length })
    }

    /// Gives them back.
    pub(crate) fn get(&mut self, place: Place) -> io::Result<Vec<u8>> {
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        let mut bytes = vec![0; place.length];
        file.seek(SeekFrom::Start(place.at))?;
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Lets go of everything.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        self.end = 0;
        match &self.file {
            Some(file) => file.set_len(0),
            None => Ok(()),
        }
    }
}
