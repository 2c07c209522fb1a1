//! Putting aside what is in the way and may exist only once: it is renamed, never removed.
//!
//! Everything goes into `diverged/TIME/` beside where it was, so that it stays in its file system and nothing is copied.
//! A file that already has the name is never replaced.

use crate::error::{StandbyError, at};
use crate::state::sync_folder;
use jiff::Timestamp;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder for what is put aside now from `folder`.
pub(crate) fn folder_of(folder: &Path, now: Timestamp) -> PathBuf {
    let stamp = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    folder.join("diverged").join(stamp)
}

/// Moves the file at `path` into `folder`, which is made if need be; gives where it lies now.
pub(crate) fn put_aside(path: &Path, folder: &Path) -> Result<PathBuf, StandbyError> {
    fs::create_dir_all(folder).map_err(at(folder))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let to = free_name(folder, &name);
    fs::rename(path, &to).map_err(at(path))?;
    for changed in [path.parent(), Some(folder)].into_iter().flatten() {
        sync_folder(changed).map_err(at(changed))?;
    }
    Ok(to)
}

fn free_name(folder: &Path, name: &str) -> PathBuf {
    let names =
        std::iter::once(name.to_owned()).chain((2..).map(|number| format!("{name}.{number}")));
    let mut places = names.map(|name| folder.join(name));
    places
        .find(|place| place.symlink_metadata().is_err())
        .unwrap_or_else(|| folder.join(name))
}
