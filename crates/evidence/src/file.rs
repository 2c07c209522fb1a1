//! An opened file, wherever it is.

use crate::{EvidenceError, LocalFile, Place, SourceFile};
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A regular file, opened for reading only. Clones read the same opened file.
#[derive(Debug, Clone)]
pub struct EvidenceFile {
    path: PathBuf,
    file: Arc<dyn SourceFile>,
    length: u64,
}

impl EvidenceFile {
    /// Opens the file at a path, or at an address that a mounted [`Volume`](crate::Volume) holds. Symbolic links are
    /// followed.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, EvidenceError> {
        let path = path.into();
        let Some(volume) = crate::volume_of(&path)? else {
            let file = LocalFile::open(path.clone())?;
            return Ok(Self::of(path, Arc::new(file)));
        };
        match volume.place(&path)? {
            Place::File(file) => Ok(file),
            Place::Folder(_) => Err(EvidenceError::NotAFile {
                path: volume.shown(&path),
                kind: crate::DIRECTORY,
            }),
        }
    }

    /// A file that was opened at `path`.
    pub fn of(path: PathBuf, file: Arc<dyn SourceFile>) -> Self {
        let length = file.stamp().length;
        EvidenceFile { path, file, length }
    }

    /// The path or address it was opened by, without anything secret.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is opened.
    pub fn source(&self) -> &Arc<dyn SourceFile> {
        &self.file
    }

    /// Its length in bytes when it was opened.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// When it was last modified, as of opening.
    pub fn modified(&self) -> Option<Timestamp> {
        self.file.stamp().modified
    }

    /// Fills `buffer` from `offset`.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), EvidenceError> {
        let read = self.read_at(buffer, offset)?;
        if read == buffer.len() {
            return Ok(());
        }
        Err(EvidenceError::Shrank {
            path: self.path.clone(),
            offset,
            needed: buffer.len() as u64,
            available: read as u64,
        })
    }

    /// Fills as much of `buffer` as the file has from `offset`; returns the number of bytes.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, EvidenceError> {
        let read = self.file.read_at(buffer, offset);
        read.map_err(EvidenceError::io(&self.path))
    }

    /// A hint that these bytes will not be read again soon: nothing depends on it.
    pub fn forget(&self, offset: u64, length: u64) {
        self.file.forget(offset, length);
    }

    /// The first bytes of the file: `most` of them, or all that there are.
    pub fn start(&self, most: usize) -> Result<Vec<u8>, EvidenceError> {
        let there = usize::try_from(self.length).unwrap_or(usize::MAX);
        let mut bytes = vec![0; most.min(there)];
        let read = self.read_at(&mut bytes, 0)?;
        bytes.truncate(read);
        Ok(bytes)
    }
}
