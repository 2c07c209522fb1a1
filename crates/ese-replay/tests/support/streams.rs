//! The log streams of the engine-made sets.

use ese_log::LogStream;
use std::fs;
use std::path::Path;

/// A folder that shows the files of `state/` with those of `recovered/` in their place.
pub(crate) fn recovered_logs(set: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for part in ["state", "recovered"] {
        for entry in fs::read_dir(set.join(part)).expect("a set has its parts") {
            let path = entry.expect("a folder entry").path();
            let name = path.file_name().expect("a file has a name");
            let is_log = path
                .extension()
                .is_some_and(|extension| extension == "log" || extension == "jtx");
            if path.is_file() && is_log {
                let place = folder.path().join(name);
                if place.exists() {
                    fs::remove_file(&place).expect("a link can be removed");
                }
                fs::copy(&path, &place).expect("a log can be copied");
            }
        }
    }
    folder
}

/// The only stream in a folder.
pub(crate) fn open(folder: &Path) -> LogStream {
    LogStream::open(folder, None).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
}
