//! Where a copy comes from.

use crate::{ReadError, ReadErrorKind};
use evidence::{EvidenceError, EvidenceFile};
use jiff::Timestamp;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What shows, without reading it, whether a source is still the same.
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
pub trait Source: Send + Sync {
    /// Its path or address for people, without credentials.
    fn name(&self) -> String;

    /// What it was when it was opened.
    fn stamp(&self) -> Stamp;

    /// What it is now.
    fn stamp_now(&self) -> Result<Stamp, ReadError>;

    /// Fills `buffer` from `offset`.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), ReadError>;

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
pub trait SourceFolder: Send + Sync {
    /// Its path or address for people, without credentials.
    fn name(&self) -> String;

    /// What is in it, in no order.
    fn entries(&self) -> Result<Vec<FolderEntry>, ReadError>;

    /// Opens one of its files.
    fn open(&self, name: &OsStr) -> Result<Arc<dyn Source>, ReadError>;
}

/// Something in a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FolderEntry {
    /// Its name in the folder.
    pub name: OsString,
    /// Whether it is a file: something that [`SourceFolder::open`] may be able to open.
    pub is_file: bool,
}

/// A folder of this machine, or of a mounted share.
#[derive(Debug, Clone)]
pub struct LocalFolder(pub PathBuf);

impl SourceFolder for LocalFolder {
    fn name(&self) -> String {
        self.0.display().to_string()
    }

    fn entries(&self) -> Result<Vec<FolderEntry>, ReadError> {
        let entry = |entry: fs::DirEntry| FolderEntry {
            name: entry.file_name(),
            is_file: !entry.path().is_dir(),
        };
        fs::read_dir(&self.0)
            .and_then(|entries| entries.map(|found| found.map(entry)).collect())
            .map_err(|error| ReadError::from_io(&error))
    }

    fn open(&self, name: &OsStr) -> Result<Arc<dyn Source>, ReadError> {
        Ok(Arc::new(LocalSource::open(self.0.join(name))?))
    }
}

/// A file of this machine, or of a mounted share.
#[derive(Debug)]
pub struct LocalSource {
    path: PathBuf,
    file: EvidenceFile,
    stamp: Stamp,
}

impl LocalSource {
    /// Opens the file for reading only.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, ReadError> {
        let path = path.into();
        let file = EvidenceFile::open(&path).map_err(|error| read_error(&error))?;
        let stamp = Stamp {
            length: file.length(),
            modified: file.modified().and_then(|time| time.try_into().ok()),
            tag: None,
        };
        Ok(LocalSource { path, file, stamp })
    }
}

fn read_error(error: &EvidenceError) -> ReadError {
    match error {
        EvidenceError::Io { source, .. } => ReadError::from_io(source),
        EvidenceError::NotAFile { .. } => {
            ReadError::new(ReadErrorKind::Permanent, error.to_string())
        }
        EvidenceError::Shrank { .. } => ReadError::new(ReadErrorKind::Changed, error.to_string()),
    }
}

impl Source for LocalSource {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn stamp(&self) -> Stamp {
        self.stamp.clone()
    }

    /// What is under the path now: a file that was replaced is another one, whatever the open file says.
    fn stamp_now(&self) -> Result<Stamp, ReadError> {
        let metadata = fs::metadata(&self.path).map_err(|error| ReadError::from_io(&error))?;
        Ok(Stamp {
            length: metadata.len(),
            modified: metadata
                .modified()
                .ok()
                .and_then(|time| time.try_into().ok()),
            tag: None,
        })
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), ReadError> {
        self.file
            .read_exact_at(buffer, offset)
            .map_err(|error| read_error(&error))
    }

    fn forget(&self, offset: u64, length: u64) {
        self.file.forget(offset, length);
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.path)
    }
}
