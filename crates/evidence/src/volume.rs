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

    /// What is known to be in it, and what keeps more from being known: an archive whose end is missing has its first
    /// members still.
    fn known_entries(&self) -> (Vec<FolderEntry>, Option<EvidenceError>) {
        match self.entries() {
            Ok(entries) => (entries, None),
            Err(error) => (Vec::new(), Some(error)),
        }
    }

    /// A look at something in it that is cheap, for whoever looks at thousands: nothing is unpacked but the first bytes, a
    /// link is not followed, and what is no regular file is not opened. `most` says how many bytes are wanted.
    fn glance(&self, name: &OsStr, most: usize) -> Result<Glance, EvidenceError> {
        let _ = most;
        let file = EvidenceFile::of(self.path_of(name), self.open(name)?);
        Ok(Glance::File(file))
    }

    /// Whether it is of a disk image, whose volumes may have shadow copies.
    fn is_of_image(&self) -> bool {
        false
    }

    /// Whether this is a link to a folder, so that whoever goes through all folders may come back to where he is.
    fn is_link(&self, _name: &OsStr) -> bool {
        false
    }
}

/// What a glance at something in a folder shows.
#[derive(Debug, Clone)]
pub enum Glance {
    /// A file, opened.
    File(EvidenceFile),
    /// A file of which only the first bytes can be read, though its length is that of the whole.
    Start(EvidenceFile),
    /// A link.
    Link,
    /// Something else, in which there is nothing to be read, and what that is.
    Special(&'static str),
    /// A file whose content is kept in a way that is not read here, and what it is.
    Unread(&'static str),
}

/// A file whose first bytes are known.
#[derive(Debug)]
pub struct FileStart {
    /// The name of the whole file.
    pub name: String,
    /// The stamp of the whole file.
    pub stamp: Stamp,
    /// Its first bytes.
    pub start: Vec<u8>,
    /// Where to read what follows them; none if nothing else can be read.
    pub rest: Option<Arc<dyn SourceFile>>,
}

impl SourceFile for FileStart {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn stamp(&self) -> Stamp {
        self.stamp.clone()
    }

    fn stamp_now(&self) -> io::Result<Stamp> {
        Ok(self.stamp())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let there = self.start.get(from..).unwrap_or_default();
        if let Some(rest) = &self.rest
            && there.len() < buffer.len()
        {
            return rest.read_at(buffer, offset);
        }
        let length = buffer.len().min(there.len());
        buffer[..length].copy_from_slice(&there[..length]);
        Ok(length)
    }
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

    /// Whether `file` is only a later part of one that holds others and lies beside it.
    fn is_later_part(&self, _file: &EvidenceFile) -> Result<bool, EvidenceError> {
        Ok(false)
    }

    /// The outermost file of a place within files.
    fn outermost(&self, _path: &Path) -> Option<PathBuf> {
        None
    }

    /// When what is at `path` was as it shows: when the shadow copy was made in which it lies.
    fn moment(&self, _path: &Path) -> Result<Option<Timestamp>, EvidenceError> {
        Ok(None)
    }

    /// Finds out what is there.
    fn place(&self, path: &Path) -> Result<Place, EvidenceError>;

    /// `path` as it may be shown: without anything secret, and so that its parent is the folder in which it lies. A path shown by
    /// this volume leads back to its place.
    fn shown(&self, path: &Path) -> PathBuf;
}
