//! Which files a command line means.

use console::{Exit, Failure};
use std::path::{Path, PathBuf};
use walkdir::{DirEntry, WalkDir};

/// The files that `paths` name, in order. A directory stands for the files in it and in the folders below (with
/// `recursive`), sorted by path; without it, a directory is an error.
pub(crate) fn expand(paths: &[PathBuf], recursive: bool) -> Vec<Result<PathBuf, Failure>> {
    paths
        .iter()
        .flat_map(|path| match (evidence::is_folder(path), recursive) {
            (Ok(false), _) => vec![Ok(path.clone())],
            (Ok(true), false) => vec![Err(directory_refused(path))],
            (Ok(true), true) => Listing::of(path, true).files,
            (Err(error), _) => vec![Err(Failure::of(&error))],
        })
        .collect()
}

pub(crate) fn directory_refused(path: &Path) -> Failure {
    Failure::new(Exit::Io, format!("{} is a directory", path.display()))
        .advise("name the files in it, or add --recursive")
}

/// How many levels of folders are entered at an address: a server can go round in a circle.
const DEEPEST: usize = 64;

/// What is in a folder.
pub(crate) struct Listing {
    /// Everything that is not a folder, sorted by path: files, links, and what else there is. An error where a folder
    /// cannot be listed.
    pub(crate) files: Vec<Result<PathBuf, Failure>>,
    /// Folders that were not entered: those below, unless that was asked for, and links to folders.
    pub(crate) not_entered: Vec<PathBuf>,
}

impl Listing {
    /// What is in `folder`, and with `recursive` in the folders below.
    pub(crate) fn of(folder: &Path, recursive: bool) -> Self {
        let mut listing = Listing {
            files: Vec::new(),
            not_entered: Vec::new(),
        };
        if evidence::is_elsewhere(folder) {
            listing.add_at_address(folder, if recursive { DEEPEST } else { 0 });
            return listing;
        }
        let depth = if recursive { usize::MAX } else { 1 };
        let walk = WalkDir::new(folder).max_depth(depth).sort_by_file_name();
        for entry in walk {
            match entry {
                // The folder itself.
                Ok(entry) if entry.depth() == 0 => {}
                Ok(entry) if entry.file_type().is_dir() => {
                    if !recursive {
                        listing.not_entered.push(entry.into_path());
                    }
                }
                Ok(entry) if is_link_to_folder(&entry) => {
                    listing.not_entered.push(entry.into_path());
                }
                Ok(entry) => listing.files.push(Ok(entry.into_path())),
                Err(error) => listing.files.push(Err(unlisted(&error))),
            }
        }
        listing
    }

    /// What is in the folder at an address, and so many levels below.
    fn add_at_address(&mut self, folder: &Path, levels: usize) {
        let listed = evidence::folder(folder).and_then(|source| {
            let mut entries = source.entries()?;
            entries.sort();
            Ok((source, entries))
        });
        let (source, entries) = match listed {
            Ok(listed) => listed,
            Err(error) => return self.files.push(Err(Failure::of(&error))),
        };
        for entry in entries {
            let path = source.path_of(&entry.name);
            match (entry.is_file, levels) {
                (true, _) => self.files.push(Ok(path)),
                (false, 0) => self.not_entered.push(path),
                // With a `/` an address names a folder.
                (false, _) => self.add_at_address(&path.join(""), levels - 1),
            }
        }
    }
}

/// Whether something that was listed is a file. What an address names was listed as one.
pub(crate) fn is_file(path: &Path) -> bool {
    evidence::is_elsewhere(path) || path.is_file()
}

/// A folder that cannot be listed.
fn unlisted(error: &walkdir::Error) -> Failure {
    match (error.path(), error.io_error()) {
        (Some(path), Some(source)) => Failure::io(path, source),
        _ => Failure::new(Exit::Io, error.to_string()),
    }
}

/// A link to a folder is not followed: it may lead back to where it is.
fn is_link_to_folder(entry: &DirEntry) -> bool {
    entry.path_is_symlink() && entry.path().is_dir()
}
