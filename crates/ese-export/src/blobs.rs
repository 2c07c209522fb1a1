//! Long values as files of their own: `blobs/ab/<SHA-256>`. Equal values share a file.
//!
//! A value is written as it comes, so its hash is known at the end only: the file is `blobs/partial-N` until then. A
//! file that has its hash as name is whole.

use crate::ExportError;
use crate::sink::Sink;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use target_disk::{Disk, PathKind, SharedDisk};

/// Where long values go.
#[derive(Debug)]
pub struct Blobs {
    folder: Arc<BlobFolder>,
    /// The names of those that came this way, where somebody wants to know.
    used: Option<Mutex<BTreeSet<String>>>,
}

#[derive(Debug)]
struct BlobFolder {
    disk: SharedDisk,
    /// Whether a file is on the disk before it gets its name.
    synced: bool,
    path: PathBuf,
    started: AtomicU64,
    /// Files and bytes that are there. Held while a file gets its name.
    totals: Mutex<(u64, u64)>,
}

impl Blobs {
    /// Long values go below `folder`. If an export `goes_on` there, those that it has written already count.
    pub fn new(folder: &Path, goes_on: bool) -> Result<Self, ExportError> {
        Self::open(SharedDisk::default(), false, folder, goes_on)
    }

    /// The same on some disk, where files are safe from a loss of power once they have their names.
    pub fn synced(disk: SharedDisk, folder: &Path, goes_on: bool) -> Result<Self, ExportError> {
        Self::open(disk, true, folder, goes_on)
    }

    fn open(
        disk: SharedDisk,
        synced: bool,
        folder: &Path,
        goes_on: bool,
    ) -> Result<Self, ExportError> {
        let folder = folder.join("blobs");
        let totals = match goes_on {
            true => left(&*disk, &folder).map_err(|error| ExportError::write(&folder, error))?,
            false => (0, 0),
        };
        Ok(Blobs {
            folder: Arc::new(BlobFolder {
                disk,
                synced,
                path: folder,
                started: AtomicU64::new(0),
                totals: Mutex::new(totals),
            }),
            used: None,
        })
    }

    /// The same folder, for one database: it knows which files that has.
    pub fn of_one(&self) -> Blobs {
        Blobs {
            folder: Arc::clone(&self.folder),
            used: Some(Mutex::default()),
        }
    }

    /// The hashes of all values that came by [`Blobs::of_one`], in order.
    pub fn used(self) -> BTreeSet<String> {
        let used = self.used.unwrap_or_default().into_inner();
        used.unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the file of one value.
    pub fn create(&self) -> Result<Blob<'_>, ExportError> {
        let folder = &*self.folder;
        let number = folder.started.fetch_add(1, Ordering::Relaxed);
        let folders = folder.disk.create_folders(&folder.path);
        folders.map_err(|error| ExportError::write(&folder.path, error))?;
        let path = folder.path.join(format!("partial-{number}"));
        Ok(Blob {
            blobs: self,
            sink: Sink::create(&*folder.disk, &path)?,
            path,
        })
    }

    /// Files and bytes that are there.
    pub fn totals(&self) -> (u64, u64) {
        let totals = self.folder.totals.lock();
        *totals.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Files and bytes that are there already; what was under way is removed.
fn left(disk: &dyn Disk, folder: &Path) -> io::Result<(u64, u64)> {
    let (mut files, mut bytes) = (0, 0);
    if disk.place(folder)? == PathKind::Free {
        return Ok((0, 0));
    }
    let begins = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with("partial-")
    };
    for shard in disk.list(folder)? {
        match disk.place(&shard)? {
            PathKind::Folder => {
                for file in disk.list(&shard)?.iter().filter(|file| is_value(file)) {
                    files += 1;
                    bytes += disk.open_to_read(file)?.length()?;
                }
            }
            PathKind::File { .. } if begins(&shard) => disk.remove(&shard)?,
            _ => {}
        }
    }
    Ok((files, bytes))
}

/// Whether a file is called by its hash.
fn is_value(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name.len() == 64 && name.iter().all(u8::is_ascii_hexdigit)
}

/// A file under way.
pub struct Blob<'b> {
    blobs: &'b Blobs,
    sink: Sink,
    path: PathBuf,
}

impl Blob<'_> {
    /// Adds bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), ExportError> {
        let written = self.sink.write_all(bytes);
        written.map_err(|error| ExportError::write(&self.path, error))
    }

    /// Ends the file and names it by its hash; returns its path below the folder of the export.
    pub fn finish(self) -> Result<String, ExportError> {
        let blobs = &*self.blobs.folder;
        let (length, hash) = match blobs.synced {
            true => self.sink.finish_synced()?,
            false => self.sink.finish()?,
        };
        let (shard, _) = hash.split_at(2);
        let folder = blobs.path.join(shard);
        let path = folder.join(&hash);
        let fail = |error| ExportError::write(&path, error);
        if let Some(used) = &self.blobs.used {
            let mut used = used.lock().unwrap_or_else(PoisonError::into_inner);
            used.insert(hash.clone());
        }
        let mut totals = blobs.totals.lock().unwrap_or_else(PoisonError::into_inner);
        let disk = &blobs.disk;
        let known = match disk.place(&path).map_err(fail)? {
            PathKind::File { .. } => {
                let file = disk.open_to_read(&path).map_err(fail)?;
                Some(file.length().map_err(fail)?)
            }
            _ => None,
        };
        if known == Some(length) {
            disk.remove(&self.path).map_err(fail)?;
        } else {
            disk.create_folders(&folder).map_err(fail)?;
            disk.rename(&self.path, &path).map_err(fail)?;
            if blobs.synced {
                disk.sync_folder(&folder).map_err(fail)?;
            }
            totals.0 += u64::from(known.is_none());
            totals.1 = totals.1 + length - known.unwrap_or(0);
        }
        Ok(format!("blobs/{shard}/{hash}"))
    }
}
