//! Long values as files of their own: `blobs/ab/<SHA-256>`. Equal values share a file.

use crate::ExportError;
use crate::cell::{Cell, hex};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// The folder of long values.
#[derive(Debug)]
pub(crate) struct Blobs {
    folder: PathBuf,
    limit: usize,
    written: AtomicU64,
    bytes: AtomicU64,
    creating: Mutex<()>,
}

impl Blobs {
    /// Values longer than `limit` bytes go below `folder`.
    pub(crate) fn new(folder: &Path, limit: usize) -> Self {
        Blobs {
            folder: folder.join("blobs"),
            limit,
            written: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            creating: Mutex::new(()),
        }
    }

    /// Moves what is too long out of `cell`: returns the cell of file names beside it, null where nothing was moved.
    pub(crate) fn take_from(&self, cell: &mut Cell<'_>) -> Result<Cell<'static>, ExportError> {
        let bytes: &[u8] = match cell {
            Cell::Text(text) => text.as_bytes(),
            Cell::Bytes(bytes) => bytes,
            Cell::List(cells) => {
                let mut names = Vec::with_capacity(cells.len());
                for cell in cells {
                    names.push(self.take_from(cell)?);
                }
                return Ok(Cell::List(names));
            }
            _ => return Ok(Cell::Null),
        };
        if bytes.len() <= self.limit {
            return Ok(Cell::Null);
        }
        let name = self.write(bytes)?;
        *cell = Cell::Null;
        Ok(Cell::Text(name.into()))
    }

    fn write(&self, bytes: &[u8]) -> Result<String, ExportError> {
        let hash = hex(&Sha256::digest(bytes));
        let (shard, _) = hash.split_at(2);
        let path = self.folder.join(shard).join(&hash);
        let _one_at_a_time = self.creating.lock();
        if !path.exists() {
            let fail = |error| ExportError::write(&path, error);
            fs::create_dir_all(self.folder.join(shard)).map_err(fail)?;
            fs::write(&path, bytes).map_err(fail)?;
            self.written.fetch_add(1, Ordering::Relaxed);
            self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        Ok(format!("blobs/{shard}/{hash}"))
    }

    /// Files and bytes written.
    pub(crate) fn totals(&self) -> (u64, u64) {
        (
            self.written.load(Ordering::Relaxed),
            self.bytes.load(Ordering::Relaxed),
        )
    }
}
