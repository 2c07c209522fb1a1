//! A result on its way to its name.
//!
//! It grows under a temporary name beside the one that it will have, `.edbreplay-NAME-NUMBER.partial`, and gets its
//! name when all of it is on disk. A run that fails removes what it wrote. A run that is killed cannot; what it left is
//! removed by the next one that writes to the same name, which knows by the lock whether its writer is still alive.

use super::{OutputError, at};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use target_disk::{Disk, DiskFile, SharedDisk, folder_of};

const SUFFIX: &str = ".partial";

/// A file that does not have its name yet. Dropped, it is gone.
pub(super) struct Partial {
    disk: SharedDisk,
    file: Arc<dyn DiskFile>,
    place: PathBuf,
    path: PathBuf,
    has_name: bool,
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.has_name {
            // The next run that writes to the same name removes what stays.
            let _ = self.disk.remove(&self.place);
        }
    }
}

fn prefix(path: &Path) -> String {
    let name = path.file_name().unwrap_or_else(|| OsStr::new("result"));
    format!(".edbreplay-{}-", name.to_string_lossy())
}

impl Partial {
    /// An empty file that will be `path`.
    pub(super) fn create(disk: &SharedDisk, path: &Path) -> Result<Self, OutputError> {
        remove_abandoned(&**disk, path);
        let created = disk.create_temporary(folder_of(path), &prefix(path), SUFFIX);
        let (place, file) = created.map_err(at(path))?;
        // Where files cannot be locked, nobody will take this one for abandoned.
        let _ = file.try_lock();
        Ok(Partial {
            disk: disk.clone(),
            file: Arc::from(file),
            place,
            path: path.to_owned(),
            has_name: false,
        })
    }

    /// A handle to write through.
    pub(super) fn file(&self) -> Arc<dyn DiskFile> {
        Arc::clone(&self.file)
    }

    /// The name that it will have.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file its name. All of it must be on disk.
    pub(super) fn finish(mut self) -> Result<PathBuf, OutputError> {
        let path = self.path.clone();
        self.disk.rename(&self.place, &path).map_err(at(&path))?;
        self.has_name = true;
        self.disk.sync_folder_of(&path).map_err(at(&path))?;
        Ok(path)
    }
}

/// Removes what killed runs left that were writing to `path`. What cannot be removed does no harm.
fn remove_abandoned(disk: &dyn Disk, path: &Path) {
    let prefix = prefix(path);
    for place in disk.list(folder_of(path)).unwrap_or_default() {
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with(&prefix) || !name.ends_with(SUFFIX) {
            continue;
        }
        let file = disk.open(&place);
        if file.is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = disk.remove(&place);
        }
    }
}
