//! A result on its way to its name.
//!
//! It grows under a temporary name beside the one that it will have, `.edbreplay-NAME-XXXXXX.partial`, and gets its
//! name when all of it is on disk. A run that fails removes what it wrote. A run that is killed cannot; what it left is
//! removed by the next one that writes to the same name, which knows by the lock whether its writer is still alive.

use super::{OutputError, at, sync_folder};
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

const SUFFIX: &str = ".partial";

/// A file that does not have its name yet. Dropped, it is gone.
pub(super) struct Partial {
    place: NamedTempFile,
    path: PathBuf,
}

fn prefix(path: &Path) -> String {
    let name = path.file_name().unwrap_or_else(|| OsStr::new("result"));
    format!(".edbreplay-{}-", name.to_string_lossy())
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

impl Partial {
    /// An empty file that will be `path`.
    pub(super) fn create(path: &Path) -> Result<Self, OutputError> {
        remove_abandoned(path);
        let mut builder = tempfile::Builder::new();
        let prefix = prefix(path);
        builder.prefix(&prefix).suffix(SUFFIX);
        as_any_file(&mut builder);
        let place = builder.tempfile_in(folder(path)).map_err(at(path))?;
        // Where files cannot be locked, nobody will take this one for abandoned.
        let _ = place.as_file().try_lock();
        Ok(Partial {
            place,
            path: path.to_owned(),
        })
    }

    /// A handle to write through.
    pub(super) fn file(&self) -> Result<File, OutputError> {
        self.place.as_file().try_clone().map_err(at(&self.path))
    }

    /// The name that it will have.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file its name. All of it must be on disk.
    pub(super) fn finish(self) -> Result<PathBuf, OutputError> {
        let path = self.path;
        let persisted = self.place.persist(&path);
        persisted.map_err(|error| at(&path)(error.error))?;
        sync_folder(&path)?;
        Ok(path)
    }
}

/// Removes what killed runs left that were writing to `path`. What cannot be removed does no harm.
fn remove_abandoned(path: &Path) {
    let prefix = prefix(path);
    let entries = fs::read_dir(folder(path)).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with(&prefix) || !name.ends_with(SUFFIX) {
            continue;
        }
        let file = OpenOptions::new().write(true).open(entry.path());
        if file.is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Temporary files are for their owner alone; the result is an ordinary file, whose mode the umask decides.
#[cfg(unix)]
fn as_any_file(builder: &mut tempfile::Builder<'_, '_>) {
    use std::os::unix::fs::PermissionsExt;
    builder.permissions(fs::Permissions::from_mode(0o666));
}

#[cfg(not(unix))]
fn as_any_file(_builder: &mut tempfile::Builder<'_, '_>) {}
