//! A file that is hashed while it is written.

use crate::ExportError;
use ese_format::hex;
use sha2::{Digest, Sha256};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use target_disk::{Disk, DiskFile};

/// What takes bytes.
pub type Stream = Box<dyn Write + Send + Sync>;

/// A new file or a stream, its length and its SHA-256.
pub(crate) struct Sink {
    path: PathBuf,
    file: BufWriter<Stream>,
    hash: Sha256,
    length: u64,
    /// The file itself, where it is one that was created.
    created: Option<Arc<dyn DiskFile>>,
}

impl Sink {
    /// Creates `path` on `disk`; a file of that name is replaced.
    pub(crate) fn create(disk: &dyn Disk, path: &Path) -> Result<Self, ExportError> {
        let create = || -> io::Result<Box<dyn DiskFile>> {
            let file = disk.open_or_create(path)?;
            file.set_length(0)?;
            Ok(file)
        };
        let file = create().map_err(|error| ExportError::write(path, error))?;
        let file: Arc<dyn DiskFile> = file.into();
        let stream = FromStart {
            file: Arc::clone(&file),
            offset: 0,
        };
        let mut sink = Self::to(path, Box::new(stream));
        sink.created = Some(file);
        Ok(sink)
    }

    /// What is written goes to `stream`, which errors call `path`.
    pub(crate) fn to(path: &Path, stream: Stream) -> Self {
        Sink {
            path: path.to_owned(),
            file: BufWriter::with_capacity(1 << 18, stream),
            hash: Sha256::new(),
            length: 0,
            created: None,
        }
    }

    /// Ends the file: its length and hash.
    pub(crate) fn finish(mut self) -> Result<(u64, String), ExportError> {
        self.file
            .flush()
            .map_err(|error| ExportError::write(&self.path, error))?;
        Ok((self.length, hex::encode(self.hash.finalize())))
    }
}

impl Sink {
    /// Ends the file, and returns once it is on the disk: its length and hash.
    pub(crate) fn finish_synced(mut self) -> Result<(u64, String), ExportError> {
        let created = self.created.take();
        let path = self.path.clone();
        let ended = self.finish()?;
        let synced = created.map_or(Ok(()), |file| file.sync_all());
        synced.map_err(|error| ExportError::write(path, error))?;
        Ok(ended)
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A file that is written from its start on.
struct FromStart {
    file: Arc<dyn DiskFile>,
    offset: u64,
}

impl Write for FromStart {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all_at(bytes, self.offset)?;
        self.offset += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
