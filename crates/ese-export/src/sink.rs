//! A file that is hashed while it is written.

use crate::ExportError;
use ese_format::hex;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// What takes bytes.
pub type Stream = Box<dyn Write + Send + Sync>;

/// A new file or a stream, its length and its SHA-256.
pub(crate) struct Sink {
    path: PathBuf,
    file: BufWriter<Stream>,
    hash: Sha256,
    length: u64,
}

impl Sink {
    /// Creates `path`; a file of that name is replaced.
    pub(crate) fn create(path: &Path) -> Result<Self, ExportError> {
        let file = File::create(path).map_err(|error| ExportError::write(path, error))?;
        Ok(Self::to(path, Box::new(file)))
    }

    /// What is written goes to `stream`, which errors call `path`.
    pub(crate) fn to(path: &Path, stream: Stream) -> Self {
        Sink {
            path: path.to_owned(),
            file: BufWriter::with_capacity(1 << 18, stream),
            hash: Sha256::new(),
            length: 0,
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
