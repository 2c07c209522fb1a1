//! Which files a command line means.

use console::{Exit, Failure};
use ese_format::FileKind;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// The files that `paths` name, in order. A directory stands for the files in it (with `recursive`, also in the
/// folders below), sorted by path; without it, a directory is an error.
pub(crate) fn expand(paths: &[PathBuf], directories: Directories) -> Vec<Result<PathBuf, Failure>> {
    paths
        .iter()
        .flat_map(|path| {
            if !path.is_dir() {
                return vec![Ok(path.clone())];
            }
            match directories {
                Directories::Refuse => vec![Err(directory_refused(path))],
                Directories::Enter => below(path, 1),
                Directories::EnterRecursively => below(path, usize::MAX),
            }
        })
        .collect()
}

/// What to do with a directory on the command line.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Directories {
    /// Say that it is one.
    Refuse,
    /// Take the files in it.
    Enter,
    /// Take the files in it and below it.
    EnterRecursively,
}

fn directory_refused(path: &Path) -> Failure {
    Failure::new(Exit::Io, format!("{} is a directory", path.display()))
        .advise("name the files in it, or add --recursive")
}

fn below(folder: &Path, depth: usize) -> Vec<Result<PathBuf, Failure>> {
    WalkDir::new(folder)
        .max_depth(depth)
        .sort_by_file_name()
        .into_iter()
        .filter_map(|entry| match entry {
            Ok(entry) if entry.file_type().is_file() => Some(Ok(entry.into_path())),
            Ok(_) => None,
            Err(error) => Some(Err(Failure::new(Exit::Io, error.to_string()))),
        })
        .collect()
}

/// A file that is none of ESE's, or one that edbkit does not read.
pub(crate) fn not_ese(path: &Path, kind: FileKind) -> Failure {
    let message = match kind {
        FileKind::Empty => format!("{}: the file is empty", path.display()),
        FileKind::RevertSnapshot => {
            format!("{}: revert snapshots are not read", path.display())
        }
        _ => format!(
            "{}: no mark of an ESE database, log, checkpoint or flush map at any offset where one would stand",
            path.display()
        ),
    };
    Failure::new(Exit::NotEse, message).jet(ese_format::JetError::FILE_INVALID_TYPE)
}
