//! Long values as files of their own: `blobs/ab/<SHA-256>`. Equal values share a file.
//!
//! A value is written as it comes, so its hash is known at the end only: the file is `blobs/partial-N` until then. A
//! file that has its hash as name is whole.

use crate::ExportError;
use crate::sink::Sink;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The folder of long values.
#[derive(Debug)]
pub struct Blobs {
    folder: PathBuf,
    started: AtomicU64,
    /// Files and bytes that are there. Held while a file gets its name.
    totals: Mutex<(u64, u64)>,
}

impl Blobs {
    /// Long values go below `folder`. If an export `goes_on` there, those that it has written already count.
    pub fn new(folder: &Path, goes_on: bool) -> Result<Self, ExportError> {
        let folder = folder.join("blobs");
        let totals = match goes_on {
            true => left(&folder).map_err(|error| ExportError::write(&folder, error))?,
            false => (0, 0),
        };
        Ok(Blobs {
            folder,
            started: AtomicU64::new(0),
            totals: Mutex::new(totals),
        })
    }

    /// Starts the file of one value.
    pub fn create(&self) -> Result<Blob<'_>, ExportError> {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        fs::create_dir_all(&self.folder)
            .map_err(|error| ExportError::write(&self.folder, error))?;
        let path = self.folder.join(format!("partial-{number}"));
        Ok(Blob {
            blobs: self,
            sink: Sink::create(&path)?,
            path,
        })
    }

    /// Files and bytes that are there.
    pub(crate) fn totals(&self) -> (u64, u64) {
        *self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Files and bytes that are there already; what was under way is removed.
fn left(folder: &Path) -> io::Result<(u64, u64)> {
    let shards = match fs::read_dir(folder) {
        Ok(shards) => shards,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((0, 0)),
        Err(error) => return Err(error),
    };
    let (mut files, mut bytes) = (0, 0);
    for shard in shards {
        let shard = shard?;
        if shard.file_type()?.is_dir() {
            for file in fs::read_dir(shard.path())? {
                files += 1;
                bytes += file?.metadata()?.len();
            }
        } else if shard.file_name().to_string_lossy().starts_with("partial-") {
            fs::remove_file(shard.path())?;
        }
    }
    Ok((files, bytes))
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
        let (length, hash) = self.sink.finish()?;
        let (shard, _) = hash.split_at(2);
        let folder = self.blobs.folder.join(shard);
        let path = folder.join(&hash);
        let fail = |error| ExportError::write(&path, error);
        let mut totals = self
            .blobs
            .totals
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if fs::metadata(&path).is_ok_and(|known| known.len() == length) {
            fs::remove_file(&self.path).map_err(fail)?;
        } else {
            fs::create_dir_all(&folder).map_err(fail)?;
            fs::rename(&self.path, &path).map_err(fail)?;
            *totals = (totals.0 + 1, totals.1 + length);
        }
        Ok(format!("blobs/{shard}/{hash}"))
    }
}
