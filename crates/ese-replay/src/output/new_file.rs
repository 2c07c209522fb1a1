//! A complete database under a new name.
//!
//! It grows in a temporary file beside the name that it will have; it gets the name when all of it is on disk.

use super::{OutputError, at, sync_folder};
use crate::page_files::{DirectFile, Shared};
use crate::recovery::DatabaseFile;
use ese_format::Progress;
use ese_format::database::{DatabaseHeader, seal_header};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A database that is being written.
pub struct NewFile {
    place: NamedTempFile,
    pages: Shared<DirectFile>,
    page_size: u32,
    path: PathBuf,
}

impl NewFile {
    /// A copy of `source`, to be changed.
    pub fn copy(
        source: &DatabaseFile,
        path: &Path,
        progress: &dyn Progress,
    ) -> Result<Self, OutputError> {
        let new = Self::create(path, source.page_size.bytes())?;
        let mut buffer = vec![0; 1 << 20];
        let mut offset = 0;
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
    pub fn create(path: &Path, page_size: u32) -> Result<Self, OutputError> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".edbreplay-").suffix(".partial");
        let place = builder.tempfile_in(folder).map_err(at(path))?;
        let file = place.as_file().try_clone().map_err(at(path))?;
        Ok(NewFile {
            place,
            pages: Shared::new(DirectFile::new(Box::new(file), page_size)),
            page_size,
            path: path.to_owned(),
        })
    }

    /// The handle through which a replay reads and writes.
    pub fn pages(&self) -> Shared<DirectFile> {
        self.pages.clone()
    }

    /// Writes the header and gives the file its name.
    pub fn commit(self, header: &DatabaseHeader) -> Result<PathBuf, OutputError> {
        let path = self.path;
        {
            let mut pages = self.pages.lock();
            let disk = pages.disk();
            let mut page = vec![0; self.page_size as usize];
            seal_header(header, &mut page);
            let mut write = || {
                disk.sync()?;
                disk.write_at(&page, 0)?;
                if header.is_shadowed() {
                    disk.write_at(&page, self.page_size.into())?;
                }
                disk.sync()
            };
            write().map_err(at(&path))?;
        }
        make_readable(self.place.as_file()).map_err(at(&path))?;
        let persisted = self.place.persist(&path);
        persisted.map_err(|error| at(&path)(error.error))?;
        sync_folder(&path)?;
        Ok(path)
    }
}

/// Temporary files are for their owner alone; the result is an ordinary file.
#[cfg(unix)]
fn make_readable(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o640))
}

#[cfg(not(unix))]
fn make_readable(_file: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}
