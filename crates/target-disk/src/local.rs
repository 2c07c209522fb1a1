//! The file systems of this machine. What differs between operating systems is here.

use crate::{Disk, DiskFile, FileStamp, NewAttributes, PathKind, START_BYTES, folder_of};
use same_file::Handle;
use std::fs::{self, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The file systems of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalDisk;

impl Disk for LocalDisk {
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

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(folder)?;
        entries.map(|entry| Ok(entry?.path())).collect()
    }

    fn is_one_file_system(&self, from: &Path, to: &Path) -> bool {
        system::is_one_file_system(folder_of(from), folder_of(to))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(LocalFile(File::open(path)?)))
    }

    fn open_or_create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(LocalFile(open_or_create(path)?)))
    }

    fn new_number(&self) -> u64 {
        RandomState::new().hash_one(std::process::id())
    }

    fn create_folders(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)
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

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        system::sync_folder(folder)
    }

    fn open_locked(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        loop {
            let file = open_or_create(path)?;
            file.try_lock().map_err(not_locked)?;
            // Until it was locked, whoever had it locked before may have removed it.
            let locked = Handle::from_file(file.try_clone()?)?;
            match Handle::from_path(path) {
                Ok(there) if there == locked => return Ok(Box::new(LocalFile(file))),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        // Opened anew: a file that is open already may hold the lock, and trying it there would give that back.
        let file = File::open(path)?;
        match file.try_lock_shared() {
            // Held no longer: who begins meanwhile is not to find one who looks in the way.
            Ok(()) => file.unlock().map(|()| false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

fn open_or_create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.open(path)
}

fn not_locked(error: TryLockError) -> io::Error {
    match error {
        TryLockError::WouldBlock => io::ErrorKind::WouldBlock.into(),
        TryLockError::Error(error) => error,
    }
}

/// The permissions of a copy of this file while it is under way, where they need to be set.
pub(crate) fn under_way(source: &Metadata) -> Option<Permissions> {
    system::under_way(source)
}

struct LocalFile(File);

impl LocalFile {
    /// Does what changes nothing of the file but its modification time, and sets that back, even when it fails.
    fn keeping_its_time(&self, change: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
        let modified = self.0.metadata()?.modified()?;
        let changed = change(&self.0);
        self.0.set_modified(modified).and(changed)
    }
}

impl DiskFile for LocalFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match system::read_at(&self.0, &mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        system::write_all_at(&self.0, bytes, offset)
    }

    fn reserve(&self, length: u64) -> io::Result<()> {
        self.keeping_its_time(|file| system::reserve(file, length))
    }

    fn release_reserved(&self) -> io::Result<()> {
        // The length that it has already, set again, frees what is after it.
        self.keeping_its_time(|file| file.set_len(file.metadata()?.len()))
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn set_modified(&self, time: SystemTime) -> io::Result<()> {
        self.0.set_modified(time)
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

    fn try_lock(&self) -> io::Result<()> {
        self.0.try_lock().map_err(not_locked)
    }

    fn lock(&self) -> io::Result<()> {
        self.0.lock()
    }
}

#[cfg(unix)]
mod system {
    use std::fs::File;
    use std::io;
    use std::os::unix::fs::FileExt;
    use std::path::Path;

    pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        file.read_at(buffer, offset)
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

    pub(super) fn is_one_file_system(from: &Path, to: &Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        let device = |folder: &Path| Some(std::fs::metadata(folder).ok()?.dev());
        device(from).is_some() && device(from) == device(to)
    }

    /// The permissions of the source, and the owner's to write.
    pub(super) fn under_way(source: &std::fs::Metadata) -> Option<std::fs::Permissions> {
        use std::os::unix::fs::PermissionsExt;
        let mode = source.permissions().mode() & 0o777 | 0o600;
        Some(std::fs::Permissions::from_mode(mode))
    }

    /// A disk that is too small says so now, not after hours.
    #[cfg(target_os = "linux")]
    pub(super) fn reserve(file: &File, length: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        if length == 0 {
            return Ok(());
        }
        match fallocate(file, FallocateFlags::KEEP_SIZE, 0, length) {
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
    pub(super) fn reserve(_file: &File, _length: u64) -> io::Result<()> {
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

    pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        file.seek_read(buffer, offset)
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

    /// By the drive.
    pub(super) fn is_one_file_system(from: &Path, to: &Path) -> bool {
        let drive = |folder: &Path| {
            let first = folder.components().next();
            first.map(|first| first.as_os_str().to_owned())
        };
        drive(from) == drive(to)
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

    /// Only a length reserves space, so that of an older copy to be made longer is not.
    pub(super) fn reserve(_file: &File, _length: u64) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn forget(_file: &File, _offset: u64, _length: u64) {}
}
