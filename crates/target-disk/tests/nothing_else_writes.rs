//! The crates that write through a [`Disk`](target_disk::Disk) write through nothing else.

use std::fs;
use std::path::{Path, PathBuf};

/// Their sources, beside this crate.
const CRATES: [&str; 5] = ["console", "edb-copy", "ese-case", "ese-replay", "standby"];

/// Ways of the standard library and of `tempfile` to change a file system.
const WRITES: [&str; 16] = [
    "File::create",
    "File::options",
    "OpenOptions",
    "fs::write",
    "fs::copy",
    "fs::rename",
    "fs::remove_",
    "fs::create_",
    "fs::hard_link",
    "fs::set_permissions",
    "fs::soft_link",
    "fs::symlink",
    "DirBuilder",
    "set_permissions(",
    "NamedTempFile",
    "tempfile_in",
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("its entry").path();
        match path.is_dir() {
            true => sources(&path, found),
            false => found.push(path),
        }
    }
}

/// Whether `name` stands in the line, and not as the end of a longer one.
fn uses(line: &str, name: &str) -> bool {
    let before = line.find(name).map(|at| line[..at].chars().next_back());
    before.is_some_and(|before| !before.is_some_and(char::is_alphanumeric))
}

#[test]
fn what_is_written_goes_through_a_disk() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("crates");
    let mut files = Vec::new();
    for name in CRATES {
        sources(&crates.join(name).join("src"), &mut files);
    }
    assert!(files.len() > 60, "{} files", files.len());
    let mut found = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).expect("a source can be read");
        // Tests within a module may write as they like.
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            if WRITES.iter().any(|write| uses(line, write)) {
                found.push(format!(
                    "{}:{}: {}",
                    path.display(),
                    number + 1,
                    line.trim()
                ));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
