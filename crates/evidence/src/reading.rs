//! A file as the streams that other libraries take.

use crate::SourceFile;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

/// A file read as a stream, from its start on.
#[derive(Debug, Clone)]
pub struct Reading {
    file: Arc<dyn SourceFile>,
    at: u64,
}

impl Reading {
    /// Reads `file` from its start on.
    pub fn new(file: Arc<dyn SourceFile>) -> Self {
        Reading { file, at: 0 }
    }

    /// What is read.
    pub fn file(&self) -> &Arc<dyn SourceFile> {
        &self.file
    }
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Reading {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(back) => self.file.stamp().length.checked_add_signed(back),
            SeekFrom::Current(step) => self.at.checked_add_signed(step),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
