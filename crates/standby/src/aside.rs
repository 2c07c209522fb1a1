//! Putting aside what is in the way and may exist only once: it is renamed, never removed.
//!
//! Everything goes into `diverged/TIME/` beside where it was, so that it stays in its file system and nothing is copied.
//! A file that already has the name is never replaced.

use crate::error::{StandbyError, at};
use jiff::Timestamp;
use std::io;
use std::path::{Path, PathBuf};
use target_disk::Disk;

/// The folder for what is put aside now from `folder`.
pub(crate) fn folder_of(folder: &Path, now: Timestamp) -> PathBuf {
    let stamp = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    folder.join("diverged").join(stamp)
}

/// Moves the file at `path` into `folder`, which is made if need be; gives where it lies now.
pub(crate) fn put_aside(
    disk: &dyn Disk,
    path: &Path,
    folder: &Path,
) -> Result<PathBuf, StandbyError> {
    disk.create_folders(folder).map_err(at(folder))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let to = free_name(disk, folder, &name).map_err(at(folder))?;
    disk.rename(path, &to).map_err(at(path))?;
    disk.sync_folder_of(path).map_err(at(path))?;
    disk.sync_folder(folder).map_err(at(folder))?;
    Ok(to)
}

fn free_name(disk: &dyn Disk, folder: &Path, name: &str) -> io::Result<PathBuf> {
    let mut place = folder.join(name);
    let mut number = 2;
    while disk.exists(&place)? {
        place = folder.join(format!("{name}.{number}"));
        number += 1;
    }
    Ok(place)
}
