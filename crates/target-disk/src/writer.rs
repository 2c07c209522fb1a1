//! Writing to a file from its start on.

use crate::DiskFile;
use std::io::{self, Write};

/// Writes to a file, from its start on.
pub struct DiskWriter<'a> {
    file: &'a dyn DiskFile,
    offset: u64,
}

impl<'a> DiskWriter<'a> {
    /// Writes to `file`.
    pub fn new(file: &'a dyn DiskFile) -> Self {
        DiskWriter { file, offset: 0 }
    }
}

impl Write for DiskWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all_at(bytes, self.offset)?;
        self.offset += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
