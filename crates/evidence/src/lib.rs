//! Files that are read and never changed.
//!
//! Every source file of edbkit is opened here, for reading only. What cannot be read at any position (a directory, a
//! FIFO, a device) is refused before it is opened, so that no command waits for a pipe that nobody writes to.
//! Reads are positioned: a file that shrinks meanwhile gives an error that says so, where a memory map would end the
//! process.

#![forbid(unsafe_code)]

use ese_format::explain::{advice_on, advise, jet_of};
use ese_format::{Class, Explain, JetError};
use std::borrow::Cow;
use std::fs::{self, File, FileType};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use thiserror::Error;

/// Why a file cannot be read.
#[derive(Debug, Error)]
pub enum EvidenceError {
    /// The operating system says no.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// It is not a regular file.
    #[error("{} is {kind}, not a file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// The file ended before the bytes that were there when it was opened.
    #[error(
        "{} ended at offset {offset:#x} + {available}, {needed} bytes were expected there: it shrank while it was read",
        path.display()
    )]
    Shrank {
        /// The file.
        path: PathBuf,
        /// Where the read began.
        offset: u64,
        /// Bytes that should have been there.
        needed: u64,
        /// Bytes that were.
        available: u64,
    },
}

impl Explain for EvidenceError {
    fn class(&self) -> Class {
        Class::Io
    }

    fn jet(&self) -> Option<JetError> {
        match self {
            EvidenceError::Io { source, .. } => Some(jet_of(source.kind())),
            EvidenceError::NotAFile { .. } => None,
            EvidenceError::Shrank { .. } => Some(JetError::DISK_IO),
        }
    }

    fn advice(&self) -> Option<Cow<'static, str>> {
        match self {
            EvidenceError::Io { source, .. } => advice_on(source.kind()),
            EvidenceError::NotAFile { kind, .. } if *kind == DIRECTORY => {
                advise("name a file in it")
            }
            EvidenceError::NotAFile { .. } => {
                advise("only regular files are read; copy the data to a file first")
            }
            EvidenceError::Shrank { .. } => advise(
                "something writes to the file: work on a copy, or stop the service that uses it",
            ),
        }
    }
}

/// A regular file, opened for reading only.
#[derive(Debug)]
pub struct EvidenceFile {
    path: PathBuf,
    file: File,
    length: u64,
    modified: Option<SystemTime>,
}

impl EvidenceFile {
    /// Opens the file. Symbolic links are followed.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, EvidenceError> {
        let path = path.into();
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(source) => return Err(EvidenceError::Io { path, source }),
        };
        if !metadata.is_file() {
            let kind = kind_of(metadata.file_type());
            return Err(EvidenceError::NotAFile { path, kind });
        }
        match File::open(&path) {
            Ok(file) => Ok(EvidenceFile {
                path,
                file,
                length: metadata.len(),
                modified: metadata.modified().ok(),
            }),
            Err(source) => Err(EvidenceError::Io { path, source }),
        }
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its length in bytes when it was opened.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// When it was last modified, as of opening.
    pub fn modified(&self) -> Option<SystemTime> {
        self.modified
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
        let mut filled = 0;
        while filled < buffer.len() {
            match positioned_read(&self.file, &mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(EvidenceError::Io {
                        path: self.path.clone(),
                        source,
                    });
                }
            }
        }
        Ok(filled)
    }

    /// Tells the operating system that these bytes will not be read again soon, so that a large file does not push
    /// everything else out of its cache. A hint: nothing depends on it.
    pub fn forget(&self, offset: u64, length: u64) {
        forget(&self.file, offset, length);
    }

    /// What the operating system knows of the file now, which may differ from when it was opened.
    pub fn metadata(&self) -> Result<fs::Metadata, EvidenceError> {
        self.file.metadata().map_err(|source| EvidenceError::Io {
            path: self.path.clone(),
            source,
        })
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

#[cfg(unix)]
fn positioned_read(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn positioned_read(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

#[cfg(target_os = "linux")]
fn forget(file: &File, offset: u64, length: u64) {
    use rustix::fs::{Advice, fadvise};
    // A file system that does not keep a cache may refuse.
    let _ = fadvise(
        file,
        offset,
        std::num::NonZeroU64::new(length),
        Advice::DontNeed,
    );
}

#[cfg(not(target_os = "linux"))]
fn forget(_file: &File, _offset: u64, _length: u64) {}

/// What a directory is called.
const DIRECTORY: &str = "a directory";

#[cfg(unix)]
fn kind_of(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    if kind.is_dir() {
        DIRECTORY
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(not(unix))]
fn kind_of(kind: FileType) -> &'static str {
    if kind.is_dir() { DIRECTORY } else { "a device" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_shrinks_is_an_error_that_says_so() {
        let folder = std::env::temp_dir().join(format!("evidence-{}", std::process::id()));
        fs::write(&folder, vec![7; 10_000]).unwrap();
        let evidence = EvidenceFile::open(&folder).unwrap();
        let writer = File::options().write(true).open(&folder).unwrap();
        writer.set_len(5_000).unwrap();
        let mut buffer = [0; 4096];
        evidence.read_exact_at(&mut buffer, 0).unwrap();
        let error = evidence.read_exact_at(&mut buffer, 4096).unwrap_err();
        fs::remove_file(&folder).unwrap();
        assert!(
            matches!(
                error,
                EvidenceError::Shrank {
                    offset: 4096,
                    needed: 4096,
                    available: 904,
                    ..
                }
            ),
            "{error}"
        );
    }
}
