//! What a result is written to, as little of it as is needed: a file of a disk, or memory.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use target_disk::DiskFile;

/// Where pages are kept.
pub trait OutputFile: Send {
    /// Reads at `offset`; fewer bytes than asked for only at the end of the file.
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes at `offset`, all of it.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes the file this long; new bytes are zero.
    fn set_len(&mut self, length: u64) -> io::Result<()>;

    /// How long it is.
    fn len(&mut self) -> io::Result<u64>;

    /// Whether it is empty.
    fn is_empty(&mut self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Returns when everything written so far outlives a loss of power.
    fn sync(&mut self) -> io::Result<()>;
}

/// [`OutputFile::read_at`] for what can seek and read.
pub(crate) fn read_at(
    file: &mut (impl Read + Seek),
    buffer: &mut [u8],
    offset: u64,
) -> io::Result<usize> {
    file.seek(SeekFrom::Start(offset))?;
    let mut done = 0;
    while done < buffer.len() {
        match file.read(&mut buffer[done..]) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// [`OutputFile::write_at`] for what can seek and write.
pub(crate) fn write_at(
    file: &mut (impl Write + Seek),
    bytes: &[u8],
    offset: u64,
) -> io::Result<()> {
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(bytes)
}

impl OutputFile for Arc<dyn DiskFile> {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        DiskFile::read_at(&**self, buffer, offset)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn set_len(&mut self, length: u64) -> io::Result<()> {
        self.set_length(length)
    }

    fn len(&mut self) -> io::Result<u64> {
        self.length()
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}
