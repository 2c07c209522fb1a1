//! A complete database under a new name.
//!
//! It grows as a [`Partial`] file; it gets its name when all of it is on disk.

use super::partial::Partial;
use super::{OutputError, at};
use crate::page_files::{DirectFile, Shared};
use crate::recovery::DatabaseFile;
use ese_format::Progress;
use ese_format::database::{DatabaseHeader, seal_header};
use std::path::{Path, PathBuf};
use target_disk::SharedDisk;

/// A database that is being written.
pub struct NewFile {
    place: Partial,
    pages: Shared<DirectFile>,
    page_size: u32,
}

impl NewFile {
    /// A copy of `source`, to be changed.
    pub fn copy(
        disk: &SharedDisk,
        source: &DatabaseFile,
        path: &Path,
        progress: &dyn Progress,
    ) -> Result<Self, OutputError> {
        let new = Self::create(disk, path, source.page_size.bytes())?;
        let mut buffer = vec![0; 1 << 20];
        let mut offset = 0;
        progress.begin(source.length(), 0);
        while offset < source.length() {
            if progress.should_stop() {
                return Err(crate::recovery::RecoveryError::Interrupted.into());
            }
            let read = source.read_at(&mut buffer, offset)?;
            if read == 0 {
                break;
            }
            let written = new.pages.lock().disk().write_at(&buffer[..read], offset);
            written.map_err(at(path))?;
            progress.advance(read as u64);
            offset += read as u64;
        }
        Ok(new)
    }

    /// An empty database, for one that the log creates.
    pub fn create(disk: &SharedDisk, path: &Path, page_size: u32) -> Result<Self, OutputError> {
        let place = Partial::create(disk, path)?;
        let file = place.file();
        Ok(NewFile {
            place,
            pages: Shared::new(DirectFile::new(Box::new(file), page_size)),
            page_size,
        })
    }

    /// Where it goes.
    pub(super) fn path(&self) -> &Path {
        self.place.path()
    }

    /// The handle through which a replay reads and writes.
    pub fn pages(&self) -> Shared<DirectFile> {
        self.pages.clone()
    }

    /// Writes the header and gives the file its name.
    pub(super) fn commit(self, header: &DatabaseHeader) -> Result<PathBuf, OutputError> {
        let mut page = vec![0; self.page_size as usize];
        seal_header(header, &mut page);
        let write = || {
            let mut pages = self.pages.lock();
            let disk = pages.disk();
            disk.sync()?;
            disk.write_at(&page, 0)?;
            if header.is_shadowed() {
                disk.write_at(&page, self.page_size.into())?;
            }
            disk.sync()
        };
        write().map_err(at(self.place.path()))?;
        self.place.finish()
    }
}
