//! Where programs write.
//!
//! Copies, recovered databases and the files of a standby copy go through two traits, [`Disk`] and [`DiskFile`], so
//! that a test can stand in for a disk that is full, fails, or loses what was not synced when the power goes.
//! [`LocalDisk`] is the real one. What differs between operating systems is in its module only.
//!
//! What is written is safe once [`DiskFile::sync_all`] has returned, and a new, renamed or removed name once
//! [`Disk::sync_folder`] has. Before that, a crash may take any part of it back.
//!
//! ```
//! use target_disk::{Disk, LocalDisk};
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("new.bin");
//!
//! let file = LocalDisk.create(&path)?;
//! file.write_all_at(b"safe", 0)?;
//! file.sync_all()?;
//! LocalDisk.sync_folder(folder.path())?;
//! # Ok::<(), std::io::Error>(())
//! ```

#![forbid(unsafe_code)]

mod local;
mod shared;
mod writer;

pub use local::LocalDisk;
pub use shared::SharedDisk;
pub use writer::DiskWriter;

use std::fs::{self, Permissions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// An open file. Called from several threads at once. A lock is given back when it is dropped.
pub trait DiskFile: Send + Sync {
    /// Bytes in it.
    fn length(&self) -> io::Result<u64>;
    /// Reads at `offset`; fewer bytes than asked for only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Fills `buffer` from `offset`.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let needed = buffer.len();
        match self.read_at(buffer, offset)? {
            read if read == needed => Ok(()),
            read => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("{needed} bytes are needed at offset {offset:#x}, {read} are there"),
            )),
        }
    }
    /// All of a file that should have at most `limit` bytes: one that has more is not read.
    fn read_all(&self, limit: u64) -> io::Result<Vec<u8>> {
        let length = self.length()?;
        if length > limit {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("it has {length} bytes, and may have {limit} at most"),
            ));
        }
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }
    /// Writes `bytes` at `offset`.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Reserves the space for `length` bytes where the file system can. Length, content and modification time stay.
    fn reserve(&self, length: u64) -> io::Result<()>;
    /// Gives back what was reserved after the end. Length, content and modification time stay.
    fn release_reserved(&self) -> io::Result<()>;
    /// Gives it exactly `length` bytes, and reserves the space for them where the file system can.
    fn allocate(&self, length: u64) -> io::Result<()> {
        self.reserve(length)?;
        self.set_length(length)
    }
    /// Makes it this long; new bytes are zero, and take no space where the file system can leave holes.
    fn set_length(&self, length: u64) -> io::Result<()>;
    /// Sets when it was last modified.
    fn set_modified(&self, time: SystemTime) -> io::Result<()>;
    /// Returns when everything written is on the disk.
    fn sync_data(&self) -> io::Result<()>;
    /// Returns when everything written, the length and the times are on the disk.
    fn sync_all(&self) -> io::Result<()>;
    /// A hint that these bytes, which were synced, will not be needed again.
    fn forget(&self, _offset: u64, _length: u64) {}
    /// Locks it. Fails with [`io::ErrorKind::WouldBlock`] if somebody else has it locked.
    fn try_lock(&self) -> io::Result<()>;
    /// Locks it, once nobody else has it locked.
    fn lock(&self) -> io::Result<()> {
        loop {
            match self.try_lock() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                done => return done,
            }
        }
    }
}

/// What a file is given besides its bytes.
#[derive(Debug, Clone, Default)]
pub struct NewAttributes {
    /// When it was last modified.
    pub modified: Option<SystemTime>,
    /// When it was last read.
    pub accessed: Option<SystemTime>,
    /// Its permissions.
    pub permissions: Option<Permissions>,
}

impl NewAttributes {
    /// What a copy of the file `source` has to be given at once, so that only those who may read that can open it.
    pub fn under_way(source: &Path) -> Option<Self> {
        let permissions = local::under_way(&fs::metadata(source).ok()?)?;
        Some(NewAttributes {
            permissions: Some(permissions),
            ..NewAttributes::default()
        })
    }
}

/// Bytes at the start of a file that are looked at: they hold both copies of a header, whatever the page size.
pub const START_BYTES: usize = 64 << 10;

/// What shows whether a file is still the one that it was.
#[derive(Debug, Clone)]
pub struct FileStamp {
    /// Bytes in it.
    pub length: u64,
    /// When it was last modified, if that is known.
    pub modified: Option<SystemTime>,
    /// Its first [`START_BYTES`], which hold the headers of every kind of file.
    pub start: Vec<u8>,
}

/// What is under a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathKind {
    /// Nothing.
    Free,
    /// A file.
    File {
        /// Bytes in it, if that is known without opening it.
        length: Option<u64>,
        /// Under how many names (hard links) it stands.
        names: u64,
    },
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A device, a pipe, a socket.
    Other,
}

/// A file system that is written to.
pub trait Disk: Send + Sync {
    /// What is under this path; a link is not followed.
    fn place(&self, path: &Path) -> io::Result<PathKind>;
    /// Whether there is something under this path.
    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.place(path)? != PathKind::Free)
    }
    /// The paths of what is in a folder, in no order.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;
    /// Whether two paths lead to one file.
    fn is_same_file(&self, _one: &Path, _other: &Path) -> bool {
        false
    }
    /// Whether a file can be renamed from one path to the other.
    fn is_one_file_system(&self, _from: &Path, _to: &Path) -> bool {
        true
    }
    /// What shows whether a file is still the one that it was.
    fn stamp(&self, path: &Path) -> io::Result<FileStamp> {
        let file = self.open_to_read(path)?;
        let length = file.length()?;
        let mut start = vec![0; START_BYTES.min(usize::try_from(length).unwrap_or(usize::MAX))];
        file.read_exact_at(&mut start, 0)?;
        Ok(FileStamp {
            length,
            modified: None,
            start,
        })
    }

    /// Opens a file for reading only.
    fn open_to_read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file to go on writing it.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Creates a file; fails if there is one.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file to go on writing it, or creates it.
    fn open_or_create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Whether a file at `to` can share the blocks of the file `from` until one of them changes.
    fn can_share(&self, _from: &Path, _to: &Path) -> bool {
        false
    }
    /// Creates a file that shares the blocks of `from`; fails if there is one.
    fn create_sharing(&self, _from: &Path, _path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// A number that nobody else uses, for the name of a temporary file.
    fn new_number(&self) -> u64;

    /// Creates a folder and those it lies in, as far as they are missing.
    fn create_folders(&self, folder: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Renames a file over whatever is there, in one step.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Sets the attributes of a file, and returns when they are on the disk.
    fn set_attributes(&self, path: &Path, attributes: &NewAttributes) -> io::Result<()>;
    /// Returns when files created, renamed or removed in `folder` are so on the disk.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// The same for the folder that `path` lies in.
    fn sync_folder_of(&self, path: &Path) -> io::Result<()> {
        self.sync_folder(folder_of(path))
    }

    /// Opens a file, or creates it, and locks it for as long as it is open. Fails with
    /// [`io::ErrorKind::WouldBlock`] if somebody else has it locked. It is the file that has the name then: who holds
    /// the lock may remove it, or replace it by one that is locked too.
    fn open_locked(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = self.open_or_create(path)?;
        file.try_lock()?;
        Ok(file)
    }

    /// Whether somebody has a file locked, the caller included; nobody's lock is touched.
    fn is_locked(&self, path: &Path) -> io::Result<bool>;

    /// Opens a file for reading only. Fails with [`io::ErrorKind::WouldBlock`] if somebody has it locked.
    fn look_at(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = self.open_to_read(path)?;
        match self.is_locked(path)? {
            true => Err(io::ErrorKind::WouldBlock.into()),
            false => Ok(file),
        }
    }

    /// Reads a file that should have at most `limit` bytes: one that has more is not read.
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        self.open_to_read(path)?.read_all(limit)
    }

    /// Creates a file in `folder` under a name of its own, between `prefix` and `suffix`.
    fn create_temporary(
        &self,
        folder: &Path,
        prefix: &str,
        suffix: &str,
    ) -> io::Result<(PathBuf, Box<dyn DiskFile>)> {
        loop {
            let path = folder.join(format!("{prefix}{:016x}{suffix}", self.new_number()));
            match self.create(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                created => return Ok((path, created?)),
            }
        }
    }

    /// Replaces a small file as a whole: readers and a crash see the old content or the new one. Until it is there, the
    /// new one has a temporary name that begins with `prefix`.
    fn replace(&self, path: &Path, content: &[u8], prefix: &str) -> io::Result<()> {
        let (new, file) = self.create_temporary(folder_of(path), prefix, ".partial")?;
        let written = file.write_all_at(content, 0).and_then(|()| file.sync_all());
        drop(file);
        if let Err(error) = written.and_then(|()| self.rename(&new, path)) {
            // What is left of it does no harm.
            let _ = self.remove(&new);
            return Err(error);
        }
        self.sync_folder_of(path)
    }
}

/// The folder that `path` lies in.
pub fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}
