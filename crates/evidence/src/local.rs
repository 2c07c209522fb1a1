//! The folders of this machine, and of shares that it has mounted.

use crate::{
    DIRECTORY, EvidenceError, EvidenceFile, FolderEntry, Glance, SourceFile, SourceFolder, Stamp,
};
use std::ffi::OsStr;
use std::fs::{self, File, FileType, Metadata};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file of this machine, opened for reading only.
#[derive(Debug)]
pub struct LocalFile {
    path: PathBuf,
    file: File,
    stamp: Stamp,
}

impl LocalFile {
    /// Opens the file. Symbolic links are followed; what is not a regular file is refused before it is opened.
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
            Ok(file) => Ok(LocalFile {
                path,
                file,
                stamp: stamp_of(&metadata),
            }),
            Err(source) => Err(EvidenceError::Io { path, source }),
        }
    }
}

impl LocalFile {
    /// Opens a block device, for whoever reads what lies on it; none if there is none at `path`.
    pub(crate) fn open_device(path: &Path) -> Option<Result<Self, EvidenceError>> {
        let metadata = fs::metadata(path).ok()?;
        crate::address::is_block_device(&metadata).then(|| {
            let opened = File::open(path).and_then(|mut file| {
                let length = file.seek(SeekFrom::End(0))?;
                Ok((file, length))
            });
            let (file, length) = opened.map_err(EvidenceError::io(path))?;
            Ok(LocalFile {
                path: path.to_owned(),
                file,
                stamp: Stamp {
                    length,
                    modified: None,
                    tag: None,
                },
            })
        })
    }
}

fn stamp_of(metadata: &Metadata) -> Stamp {
    let modified = metadata.modified().ok();
    Stamp {
        length: metadata.len(),
        modified: modified.and_then(|time| time.try_into().ok()),
        tag: None,
    }
}

impl SourceFile for LocalFile {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn stamp(&self) -> Stamp {
        self.stamp.clone()
    }

    /// What is under the path now: a file that was replaced is another one, whatever the open file says.
    fn stamp_now(&self) -> io::Result<Stamp> {
        let metadata = fs::metadata(&self.path)?;
        Ok(match metadata.is_file() {
            true => stamp_of(&metadata),
            // A device has no length of its own, and none of its times says anything.
            false => self.stamp(),
        })
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        read_file_at(&self.file, buffer, offset)
    }

    /// Tells the operating system, so that a large file does not push everything else out of its cache.
    fn forget(&self, offset: u64, length: u64) {
        forget(&self.file, offset, length);
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.path)
    }
}

/// A folder of this machine.
#[derive(Debug, Clone)]
pub struct LocalFolder(pub PathBuf);

impl SourceFolder for LocalFolder {
    fn name(&self) -> String {
        self.0.display().to_string()
    }

    fn entries(&self) -> Result<Vec<FolderEntry>, EvidenceError> {
        let entry = |entry: fs::DirEntry| {
            // A link is what it leads to.
            let is_folder = match entry.file_type() {
                Ok(kind) if !kind.is_symlink() => kind.is_dir(),
                _ => entry.path().is_dir(),
            };
            FolderEntry {
                name: entry.file_name(),
                is_file: !is_folder,
            }
        };
        fs::read_dir(&self.0)
            .and_then(|entries| entries.map(|found| found.map(entry)).collect())
            .map_err(EvidenceError::io(&self.0))
    }

    fn path_of(&self, name: &OsStr) -> PathBuf {
        self.0.join(name)
    }

    fn open(&self, name: &OsStr) -> Result<Arc<dyn SourceFile>, EvidenceError> {
        Ok(Arc::new(LocalFile::open(self.path_of(name))?))
    }

    fn glance(&self, name: &OsStr, _most: usize) -> Result<Glance, EvidenceError> {
        let path = self.path_of(name);
        let kind = fs::symlink_metadata(&path)
            .map_err(EvidenceError::io(&path))?
            .file_type();
        if kind.is_symlink() {
            return Ok(Glance::Link);
        }
        if !kind.is_file() {
            return Ok(Glance::Special(kind_of(kind)));
        }
        let file = LocalFile::open(path.clone())?;
        Ok(Glance::File(EvidenceFile::of(path, Arc::new(file))))
    }

    fn is_link(&self, name: &OsStr) -> bool {
        let found = fs::symlink_metadata(self.path_of(name));
        found.is_ok_and(|found| found.file_type().is_symlink())
    }
}

/// Fills as much of `buffer` as an opened file has from `offset`; returns the number of bytes.
pub fn read_file_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match positioned_read(file, &mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
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
