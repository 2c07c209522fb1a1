//! Which place a path names.

use crate::{
    EvidenceError, EvidenceFile, LocalFolder, Place, ReadError, ReadErrorKind, SourceFolder, Volume,
};
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

static MOUNTED: RwLock<Vec<Arc<dyn Volume>>> = RwLock::new(Vec::new());

/// Makes the places of `volume` known to this process: from now on their addresses can be opened like paths.
pub fn mount(volume: Arc<dyn Volume>) {
    let mut mounted = MOUNTED.write().unwrap_or_else(PoisonError::into_inner);
    mounted.push(volume);
}

/// The volume that holds `path`; none if it is a path of this machine.
pub(crate) fn volume_of(path: &Path) -> Result<Option<Arc<dyn Volume>>, EvidenceError> {
    let mounted = MOUNTED.read().unwrap_or_else(PoisonError::into_inner);
    let volume = mounted.iter().find(|volume| volume.holds(path));
    if volume.is_none() && is_address(path) && !path.exists() {
        let why = "this program reads no addresses of this kind";
        let error = ReadError::new(ReadErrorKind::Permanent, why);
        return Err(EvidenceError::io(without_login(path))(error.into()));
    }
    Ok(volume.map(Arc::clone))
}

/// Whether this is an address (`scheme://...`) and not a path of this machine.
pub fn is_address(path: &Path) -> bool {
    scheme_of(path).is_some()
}

/// Whether this leads elsewhere than to a path of this machine: to an address, or into what a mounted volume holds.
pub fn is_elsewhere(path: &Path) -> bool {
    is_address(path) || matches!(volume_of(path), Ok(Some(_)))
}

/// Whether this leads into a file: to a member of an archive.
pub fn is_within_file(path: &Path) -> bool {
    matches!(volume_of(path), Ok(Some(volume)) if volume.is_within_files())
}

/// The outermost file of a path that leads into a file.
pub fn outermost_of(path: &Path) -> Option<PathBuf> {
    volume_of(path).ok()??.outermost(path)
}

/// Whether a file looks like one that holds others, so that `FILE::` may be opened: an archive, a disk image.
pub fn holds_files(file: &EvidenceFile) -> Result<bool, EvidenceError> {
    any(|volume| volume.holds_files(file))
}

/// Whether a file is only a later part of one that holds others and lies beside it: `x.E02`, `x-flat.vmdk`.
pub fn is_later_part(file: &EvidenceFile) -> Result<bool, EvidenceError> {
    any(|volume| volume.is_later_part(file))
}

fn any(is_so: impl Fn(&dyn Volume) -> Result<bool, EvidenceError>) -> Result<bool, EvidenceError> {
    let volumes = {
        let mounted = MOUNTED.read().unwrap_or_else(PoisonError::into_inner);
        mounted.clone()
    };
    for volume in volumes {
        if is_so(&*volume)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// When what is at a path was as it shows, if it is of another time than its place: when the shadow copy was made in which it lies.
pub fn moment_of(path: &Path) -> Result<Option<Timestamp>, EvidenceError> {
    match volume_of(path)? {
        Some(volume) => volume.moment(path),
        None => Ok(None),
    }
}

/// The folder in which the file at a path or an address lies. Nothing is looked up.
pub fn folder_of(path: &Path) -> PathBuf {
    match shown(path).parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// The scheme of an address.
fn scheme_of(path: &Path) -> Option<&str> {
    let (scheme, _) = path.to_str()?.split_once("://")?;
    let first = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "+-.".contains(letter);
    // One letter is a drive of Windows.
    (first && scheme.len() > 1 && scheme.chars().all(plain)).then_some(scheme)
}

/// An address that nobody knows how to read: what may be secret in any address is left out.
fn without_login(path: &Path) -> PathBuf {
    let text = path.to_string_lossy();
    let Some((scheme, rest)) = text.split_once("://") else {
        return path.to_owned();
    };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, below) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{below}").into()
}

/// `path` as it may be shown and kept: an address without anything secret, any other path as it is.
pub fn shown(path: &Path) -> PathBuf {
    match volume_of(path) {
        Ok(Some(volume)) => volume.shown(path),
        Ok(None) => path.to_owned(),
        Err(_) => without_login(path),
    }
}

/// Finds out what is at `path`.
pub fn place(path: &Path) -> Result<Place, EvidenceError> {
    match volume_of(path)? {
        Some(volume) => volume.place(path),
        None if path.is_dir() => Ok(Place::Folder(Arc::new(LocalFolder(path.to_owned())))),
        None => EvidenceFile::open(path).map(Place::File),
    }
}

/// Whether there is a folder at `path`. An error only where a volume cannot be asked.
pub fn is_folder(path: &Path) -> Result<bool, EvidenceError> {
    Ok(match volume_of(path)? {
        None => path.is_dir(),
        Some(volume) => matches!(volume.place(path)?, Place::Folder(_)),
    })
}

/// The folder at `path`.
pub fn folder(path: &Path) -> Result<Arc<dyn SourceFolder>, EvidenceError> {
    let Some(volume) = volume_of(path)? else {
        return Ok(Arc::new(LocalFolder(path.to_owned())));
    };
    match volume.place(path)? {
        Place::Folder(folder) => Ok(folder),
        Place::File(file) => {
            let why = ReadError::new(ReadErrorKind::Permanent, "it is a file, not a folder");
            Err(EvidenceError::io(file.path())(why.into()))
        }
    }
}

/// Everything in a folder, in no order, by paths that can be opened.
pub fn paths_in(folder: &dyn SourceFolder) -> Result<Vec<PathBuf>, EvidenceError> {
    let entries = folder.entries()?.into_iter();
    Ok(entries.map(|entry| folder.path_of(&entry.name)).collect())
}

/// The files of a folder, in no order, by paths that can be opened.
pub fn files_in(folder: &dyn SourceFolder) -> Result<Vec<PathBuf>, EvidenceError> {
    let files = folder.entries()?.into_iter().filter(|entry| entry.is_file);
    Ok(files.map(|entry| folder.path_of(&entry.name)).collect())
}

/// The length of a file, where it can be told without a connection.
pub fn length_of(path: &Path) -> Option<u64> {
    path.metadata().ok().map(|metadata| metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_paths() {
        for address in ["sftp://h/p", "s3://b/k", "zip+file://x", "future://a"] {
            assert!(is_address(Path::new(address)), "{address}");
        }
        for path in [
            "/a/b",
            "C:\\x.edb",
            "C://x.edb",
            "file",
            "a/s3://b",
            "://x",
            "1s://x",
            ".",
        ] {
            assert!(!is_address(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn an_address_that_nobody_reads_is_refused_without_its_secrets() {
        for address in [
            "future://anna:hunter2@host/x.edb?key=hunter2",
            "future://hunter2@host/x.edb#hunter2",
        ] {
            let path = Path::new(address);
            let error = EvidenceFile::open(path).unwrap_err().to_string();
            assert!(error.starts_with("future://host/x.edb: "), "{error}");
            assert!(error.contains("reads no addresses of this kind"), "{error}");
            assert_eq!(shown(path), Path::new("future://host/x.edb"));
        }
    }
}
