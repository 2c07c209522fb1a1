//! What to recover in each engine-made set.

use ese_format::database::{DatabaseHeader, HeaderCopies};
use ese_format::page::PageSize;
use std::fs;
use std::path::{Path, PathBuf};

/// What to recover in a set, with which logs, and the engine's results.
pub(crate) struct Case {
    pub(crate) databases: Vec<PathBuf>,
    pub(crate) logs: PathBuf,
    pub(crate) lossy: bool,
}

pub(crate) fn case(set: &Path, name: &str) -> Case {
    let state = set.join("state");
    let files = files_in(&state);
    let ending = |end: &str| -> Vec<PathBuf> {
        let files = files.iter();
        files
            .filter(|path| path.to_string_lossy().ends_with(end))
            .cloned()
            .collect()
    };
    let mut databases = ending(".edb");
    if name.contains("oldcopy") {
        databases = ending(".old1");
    }
    if name.contains("missingedb") {
        databases.clear();
    }
    Case {
        databases,
        logs: state,
        lossy: name == "lossy-p8k",
    }
}

pub(crate) fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The page size of a set's databases.
pub(crate) fn page_size_of(set: &Path) -> PageSize {
    let mut files = files_in(&set.join("state")).into_iter();
    let database = files.find(|path| path.extension().is_some_and(|end| end == "edb"));
    let start = fs::read(database.expect("a set has a database")).unwrap();
    PageSize::new(HeaderCopies::read(&start).page_size).unwrap()
}

/// The engine's recovered databases; one that it left alone is not stored a second time.
pub(crate) fn recovered_databases(set: &Path) -> Vec<(DatabaseHeader, Vec<u8>)> {
    recovered_files(set)
        .into_iter()
        .map(|(_, path)| {
            let bytes = fs::read(path).unwrap();
            let header = HeaderCopies::read(&bytes)
                .good()
                .expect("an intact header")
                .fields
                .clone();
            (header, bytes)
        })
        .collect()
}

/// Names and places of the engine's recovered databases.
pub(crate) fn recovered_files(set: &Path) -> Vec<(String, PathBuf)> {
    let state = files_in(&set.join("state")).into_iter();
    let state = state.filter(|path| path.extension().is_some_and(|end| end == "edb"));
    state
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let recovered = set.join("recovered").join(&name);
            let place = if recovered.exists() { recovered } else { path };
            (name, place)
        })
        .collect()
}

/// The name under which a set stores the database of this signature.
pub(crate) fn name_of(set: &Path, database: &DatabaseHeader) -> String {
    let same = |(_, (header, _)): &(_, (DatabaseHeader, _))| header.signature == database.signature;
    let files = recovered_files(set).into_iter();
    let found = files.zip(recovered_databases(set)).find(same);
    let ((name, _), _) = found.expect("the engine has this database");
    name
}
