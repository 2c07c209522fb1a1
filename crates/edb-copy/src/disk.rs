//! Where a copy goes.
//!
//! Everything that a copy writes goes through these two traits, so that a test can stand in for a disk that is full,
//! fails, or loses what was not synced. What differs between operating systems is in this module only.

use evidence::Stamp;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::path::Path;
use std::time::SystemTime;

/// A file being written. Called from several threads at once.
pub trait DiskFile: Send + Sync {
    /// Bytes in it.
    fn length(&self) -> io::Result<u64>;
    /// Fills `buffer` from `offset`.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes `bytes` at `offset`.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Gives it exactly `length` bytes, and reserves the space for them where the file system can.
    fn allocate(&self, length: u64) -> io::Result<()>;
    /// Cuts it to `length` bytes.
    fn truncate(&self, length: u64) -> io::Result<()>;
    /// Returns when everything written is on the disk.
    fn sync_data(&self) -> io::Result<()>;
    /// Returns when everything written, and the length, is on the disk.
    fn sync_all(&self) -> io::Result<()>;
    /// A hint that these bytes, which were synced, will not be needed again.
    fn forget(&self, _offset: u64, _length: u64) {}
}

/// What a copy takes over from its source besides the bytes.
#[derive(Debug, Clone, Default)]
pub struct NewAttributes {
    /// When it was last modified.
    pub modified: Option<SystemTime>,
    /// When it was last read.
    pub accessed: Option<SystemTime>,
    /// Its permissions.
    pub permissions: Option<fs::Permissions>,
}

impl NewAttributes {
    /// The attributes of the file at `path`, or, for a source that is none of this machine's, what its store says.
    pub(crate) fn of(path: Option<&Path>, stamp: &Stamp) -> Self {
        let metadata = path.and_then(|path| fs::metadata(path).ok());
        NewAttributes {
            modified: stamp.modified.map(SystemTime::from),
            accessed: metadata.as_ref().and_then(|known| known.accessed().ok()),
            permissions: metadata.map(|known| known.permissions()),
        }
    }
}

impl NewAttributes {
    /// What a copy under way has to be given at once, so that only those who may read its source can open it.
    pub(crate) fn under_way(source: &Path) -> Option<Self> {
        let permissions = system::under_way(&fs::metadata(source).ok()?)?;
        Some(NewAttributes {
            permissions: Some(permissions),
            ..NewAttributes::default()
        })
    }
}

/// Bytes at the start of a file that are looked at: they hold both copies of a header, whatever the page size.
pub(crate) const START_BYTES: usize = 64 << 10;

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
pub trait Disk: Sync {
    /// Opens a journal for reading only. Fails with [`io::ErrorKind::WouldBlock`] if somebody has it locked.
    fn look_at_journal(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.open_journal(path)
    }
    /// What is under this path; a link is not followed.
    fn place(&self, path: &Path) -> io::Result<PathKind> {
        Ok(match self.exists(path)? {
            true => PathKind::File {
                length: None,
                names: 1,
            },
            false => PathKind::Free,
        })
    }
    /// Whether two paths lead to one file.
    fn is_same_file(&self, _one: &Path, _other: &Path) -> bool {
        false
    }
    /// Opens a journal, creating it if there is none, and locks it for as long as it is open. Fails with
    /// [`io::ErrorKind::WouldBlock`] if somebody else has it locked.
    fn open_journal(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Creates a file; fails if there is one.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Whether a file at `to` can share the blocks of the file `from` until one of them changes.
    fn can_share(&self, _from: &Path, _to: &Path) -> bool {
        false
    }
    /// Creates a file that shares the blocks of `from`; fails if there is one.
    fn create_sharing(&self, _from: &Path, _path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Opens a file to go on writing it.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Whether there is something under this path.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// What shows whether a file is still the one that it was.
    fn stamp(&self, path: &Path) -> io::Result<FileStamp> {
        let file = self.open(path)?;
        let length = file.length()?;
        let mut start = vec![0; START_BYTES.min(usize::try_from(length).unwrap_or(usize::MAX))];
        file.read_exact_at(&mut start, 0)?;
        Ok(FileStamp {
            length,
            modified: None,
            start,
        })
    }
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Renames a file over whatever is there, in one step.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Sets the attributes of a file, and returns when they are on the disk.
    fn set_attributes(&self, path: &Path, attributes: &NewAttributes) -> io::Result<()>;
    /// Returns when files created, renamed or removed beside `path` are so on the disk.
    fn sync_folder_of(&self, path: &Path) -> io::Result<()>;
}

/// The file systems of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalDisk;

impl Disk for LocalDisk {
    fn look_at_journal(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = File::open(path)?;
        match file.try_lock_shared() {
            // Held no longer: a copy that begins meanwhile is not to be in the way of one who looks.
            Ok(()) => file.unlock()?,
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        Ok(Box::new(LocalFile(file)))
    }

    fn place(&self, path: &Path) -> io::Result<PathKind> {
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(PathKind::Free),
            Err(error) => return Err(error),
        };
        let kind = metadata.file_type();
        Ok(if kind.is_file() {
            PathKind::File {
                length: Some(metadata.len()),
                names: system::names(&metadata),
            }
        } else if kind.is_dir() {
            PathKind::Folder
        } else if kind.is_symlink() {
            PathKind::Link
        } else {
            PathKind::Other
        })
    }

    fn is_same_file(&self, one: &Path, other: &Path) -> bool {
        same_file::is_same_file(one, other).unwrap_or(false)
    }

    fn open_journal(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(LocalFile(file))),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)?;
        Ok(Box::new(LocalFile(file)))
    }

    fn can_share(&self, from: &Path, to: &Path) -> bool {
        system::can_share(from, folder_of(to))
    }

    fn create_sharing(&self, from: &Path, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)?;
        match system::share(&File::open(from)?, &file) {
            Ok(()) => Ok(Box::new(LocalFile(file))),
            Err(error) => {
                drop(file);
                fs::remove_file(path)?;
                Err(error)
            }
        }
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Box::new(LocalFile(file)))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        match fs::symlink_metadata(path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads only: the copy of a read-only file may be read-only too.
    fn stamp(&self, path: &Path) -> io::Result<FileStamp> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let mut start = Vec::new();
        let most = START_BYTES as u64;
        (&file).take(most).read_to_end(&mut start)?;
        Ok(FileStamp {
            length: metadata.len(),
            modified: metadata.modified().ok(),
            start,
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn set_attributes(&self, path: &Path, attributes: &NewAttributes) -> io::Result<()> {
        // A file that was made read-only before an interruption can still be opened for reading by its owner.
        let file = OpenOptions::new()
            .write(true)
            .open(path)
            .or_else(|_| File::open(path))?;
        let mut times = fs::FileTimes::new();
        if let Some(modified) = attributes.modified {
            times = times.set_modified(modified);
        }
        if let Some(accessed) = attributes.accessed {
            times = times.set_accessed(accessed);
        }
        file.set_times(times)?;
        if let Some(permissions) = &attributes.permissions {
            file.set_permissions(permissions.clone())?;
        }
        file.sync_all()
    }

    fn sync_folder_of(&self, path: &Path) -> io::Result<()> {
        system::sync_folder(folder_of(path))
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

struct LocalFile(File);

impl DiskFile for LocalFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        system::read_exact_at(&self.0, buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        system::write_all_at(&self.0, bytes, offset)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        system::allocate(&self.0, length)?;
        self.0.set_len(length)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn forget(&self, offset: u64, length: u64) {
        system::forget(&self.0, offset, length);
    }
}

#[cfg(unix)]
mod system {
    use std::fs::File;
    use std::io;
    use std::os::unix::fs::FileExt;
    use std::path::Path;

    pub(super) fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        file.read_exact_at(buffer, offset)
    }

    pub(super) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    pub(super) fn names(metadata: &std::fs::Metadata) -> u64 {
        std::os::unix::fs::MetadataExt::nlink(metadata)
    }

    /// The permissions of the source, and the owner's to write.
    pub(super) fn under_way(source: &std::fs::Metadata) -> Option<std::fs::Permissions> {
        use std::os::unix::fs::PermissionsExt;
        let mode = source.permissions().mode() & 0o777 | 0o600;
        Some(std::fs::Permissions::from_mode(mode))
    }

    /// A disk that is too small says so now, not after hours.
    #[cfg(target_os = "linux")]
    pub(super) fn allocate(file: &File, length: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        if length == 0 {
            return Ok(());
        }
        match fallocate(file, FallocateFlags::empty(), 0, length) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            other => other.map_err(Into::into),
        }
    }

    /// Whether both are on one file system, of a kind whose files can share blocks.
    #[cfg(target_os = "linux")]
    pub(super) fn can_share(from: &Path, folder: &Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        const BTRFS: u64 = 0x9123_683e;
        const XFS: u64 = 0x5846_5342;
        const BCACHEFS: u64 = 0xca45_1a4e;
        let device = |path: &Path| std::fs::metadata(path).ok().map(|known| known.dev());
        let kind = rustix::fs::statfs(folder).map(|known| known.f_type as u64);
        device(from).is_some()
            && device(from) == device(folder)
            && matches!(kind, Ok(BTRFS | XFS | BCACHEFS))
    }

    #[cfg(target_os = "linux")]
    pub(super) fn share(from: &File, to: &File) -> io::Result<()> {
        Ok(rustix::fs::ioctl_ficlone(to, from)?)
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn can_share(_from: &Path, _folder: &Path) -> bool {
        false
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn share(_from: &File, _to: &File) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn allocate(_file: &File, _length: u64) -> io::Result<()> {
        Ok(())
    }

    #[cfg(target_os = "linux")]
    pub(super) fn forget(file: &File, offset: u64, length: u64) {
        use rustix::fs::{Advice, fadvise};
        // A file system that keeps no cache may refuse.
        let _ = fadvise(
            file,
            offset,
            std::num::NonZeroU64::new(length),
            Advice::DontNeed,
        );
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn forget(_file: &File, _offset: u64, _length: u64) {}
}

/// Windows: long paths are the standard library's business, which turns absolute ones into their verbatim form.
#[cfg(windows)]
mod system {
    use std::fs::File;
    use std::io;
    use std::os::windows::fs::FileExt;
    use std::path::Path;

    pub(super) fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            match file.seek_read(&mut buffer[done..], offset + done as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => done += count,
            }
        }
        Ok(())
    }

    pub(super) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            match file.seek_write(&bytes[done..], offset + done as u64)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => done += count,
            }
        }
        Ok(())
    }

    /// Windows says only of an open file how many names it has.
    pub(super) fn names(_metadata: &std::fs::Metadata) -> u64 {
        1
    }

    /// Who may read a file, Windows takes from its folder.
    pub(super) fn under_way(_source: &std::fs::Metadata) -> Option<std::fs::Permissions> {
        None
    }

    /// Windows keeps the folder's entries safe itself.
    pub(super) fn sync_folder(_folder: &Path) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn can_share(_from: &Path, _folder: &Path) -> bool {
        false
    }

    pub(super) fn share(_from: &File, _to: &File) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Setting the length, which follows, reserves the space.
    pub(super) fn allocate(_file: &File, _length: u64) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn forget(_file: &File, _offset: u64, _length: u64) {}
}
