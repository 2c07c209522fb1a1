//! What a place of bytes has to be able to do.

use crate::{EvidenceError, EvidenceFile, ReadError, ReadErrorKind};
use jiff::Timestamp;
use std::ffi::{OsStr, OsString};
use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What shows, without reading it, whether a file is still the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Bytes in it.
    pub length: u64,
    /// When it was last modified, if its store knows.
    pub modified: Option<Timestamp>,
    /// The version that its store gives it (an ETag), if it does.
    pub tag: Option<String>,
}

/// A file that is read and never changed, wherever it is. Called from several threads at once.
pub trait SourceFile: Debug + Send + Sync {
    /// Its path or address for people, without credentials.
    fn name(&self) -> String;

    /// What it was when it was opened.
    fn stamp(&self) -> Stamp;

    /// What it is now.
    fn stamp_now(&self) -> io::Result<Stamp>;

    /// Fills as much of `buffer` as the file has from `offset`; returns the number of bytes.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Fills `buffer` from `offset`.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let (read, needed) = (self.read_at(buffer, offset)?, buffer.len());
        if read == needed {
            return Ok(());
        }
        let message = format!(
            "{} ended at offset {offset:#x} + {read}, {needed} bytes were expected there: it shrank while it was read",
            self.name()
        );
        Err(ReadError::new(ReadErrorKind::Changed, message).into())
    }

    /// How many bytes are best read at once: few enough that a limited rate is steady, enough that a round trip to the
    /// store does not weigh.
    fn piece(&self) -> usize {
        1 << 20
    }

    /// A hint that these bytes will not be read again.
    fn forget(&self, _offset: u64, _length: u64) {}

    /// Where it is, if it is a file of this machine.
    fn path(&self) -> Option<&Path> {
        None
    }
}

/// A folder whose files are read and never changed, wherever it is.
pub trait SourceFolder: Debug + Send + Sync {
    /// Its path or address for people, without credentials.
    fn name(&self) -> String;

    /// What is in it, in no order.
    fn entries(&self) -> Result<Vec<FolderEntry>, EvidenceError>;

    /// The path or address of something in it, which can be opened and shown.
    fn path_of(&self, name: &OsStr) -> PathBuf;

    /// Opens one of its files.
    fn open(&self, name: &OsStr) -> Result<Arc<dyn SourceFile>, EvidenceError>;
}

/// Something in a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FolderEntry {
    /// Its name in the folder.
    pub name: OsString,
    /// Whether it is a file: something that [`SourceFolder::open`] may be able to open.
    pub is_file: bool,
}

/// What is at a path or an address.
#[derive(Debug, Clone)]
pub enum Place {
    /// A file.
    File(EvidenceFile),
    /// A folder.
    Folder(Arc<dyn SourceFolder>),
}

/// A kind of place other than the folders of this machine: stores on a network, archives, images.
pub trait Volume: Send + Sync {
    /// Whether `path` names a place of this kind. Nothing is opened for the answer.
    fn holds(&self, path: &Path) -> bool;

    /// Whether its places lie within files, which may themselves be anywhere.
    fn is_within_files(&self) -> bool {
        false
    }

    /// Whether `file` looks like one that holds others, which this volume may be able to open.
    fn holds_files(&self, _file: &EvidenceFile) -> Result<bool, EvidenceError> {
        Ok(false)
    }

    /// Finds out what is there.
    fn place(&self, path: &Path) -> Result<Place, EvidenceError>;

    /// `path` as it may be shown: without anything secret, and so that its parent is the folder in which it lies. A path shown by
    /// this volume leads back to its place.
    fn shown(&self, path: &Path) -> PathBuf;
}
