//! Files that are not read, and why.

use console::{Exit, Failure};
use ese_format::FileKind;
use ese_format::foreign::looks_like;
use std::path::Path;

/// A file that is not an ESE file.
pub fn not_ese(path: &Path, why: &str) -> Failure {
    unread(path, &format!("not an ESE file: {why}"))
}

/// A revert snapshot, which is one of ESE's.
pub fn snapshot_unread(path: &Path) -> Failure {
    unread(path, SNAPSHOT)
}

fn unread(path: &Path, why: &str) -> Failure {
    let message = format!("{}: {why}", path.display());
    Failure::new(Exit::NotEse, message).jet(ese_format::JetError::FILE_INVALID_TYPE)
}

const SNAPSHOT: &str = "revert snapshots are not read";

/// What may be read from within.
const IN_ARCHIVES: [&str; 4] = [
    "a zip archive",
    "a tar archive",
    "a gzip file",
    "a zstd file",
];

/// Why a file of this kind, which starts with `start`, is not read.
pub fn why_not_ese(kind: FileKind, start: &[u8]) -> String {
    match kind {
        FileKind::Empty => "the file is empty".into(),
        FileKind::Blank => "there is nothing but zeros at its start, where an ESE file has its header".into(),
        FileKind::RevertSnapshot => SNAPSHOT.into(),
        _ => match looks_like(start) {
            Some(what) if IN_ARCHIVES.contains(&what) => {
                format!("it looks like {what}; FILE::MEMBER names what is in it")
            }
            Some(what) => format!("it looks like {what}"),
            None => "no mark of an ESE database, log, checkpoint or flush map at any offset where one would be".into(),
        },
    }
}
