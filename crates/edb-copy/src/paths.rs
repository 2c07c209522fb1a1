//! The names of a copy.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where a copy is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetPaths {
    /// The copy, once it is whole.
    pub target: PathBuf,
    /// The copy under way.
    pub partial: PathBuf,
    /// Its journal.
    pub journal: PathBuf,
    /// The journal of a copy of which nothing has arrived, beside that of an older copy which may have to stay.
    pub new_journal: PathBuf,
}

impl TargetPaths {
    /// The names that belong to `target`.
    pub fn new(target: impl Into<PathBuf>) -> Self {
        let target = target.into();
        TargetPaths {
            partial: with_suffix(&target, ".partial"),
            journal: with_suffix(&target, ".edbcopy"),
            new_journal: with_suffix(&target, ".edbcopy-new"),
            target,
        }
    }

    /// Whether `name` is that of a partial copy or of a journal.
    pub fn is_own(name: &Path) -> bool {
        let own = ["partial", "edbcopy", "edbcopy-new"];
        name.extension()
            .is_some_and(|extension| own.iter().any(|own| extension == *own))
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
