//! The reference data: what Microsoft's engine itself did, and files that Windows left.
//!
//! A part of it is in `testdata/`, chosen so that every behaviour and every record type is there. All of it is in
//! `../shared/fixtures`, which is not part of the repository: where that is present, tests use all of it. So a test names a
//! set that is shipped, or goes through [`engine_set_names`]; figures that depend on how much is there come from [`either`].

use ruzstd::decoding::StreamingDecoder;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// The root of the repository this crate was built from.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the repository exists while its tests run")
}

fn testdata() -> PathBuf {
    repository().join("testdata")
}

/// `../shared/fixtures`, if it is there.
pub(crate) fn shared() -> Option<PathBuf> {
    repository().join("../shared/fixtures").canonicalize().ok()
}

/// The first where all of the reference data is there, the second where it is what is shipped.
pub fn either<T>(all: T, shipped: T) -> T {
    match shared() {
        Some(_) => all,
        None => shipped,
    }
}

/// The real files written by Windows, and in `expected` what the engine says of them.
pub fn real() -> PathBuf {
    if let Some(shared) = shared() {
        return shared.join("real");
    }
    let root = unpacked_root().join("real");
    for source in archives_in(&testdata().join("real")) {
        let archive = testdata().join("real").join(format!("{source}.tar.zst"));
        unpack(&archive, &root, &source);
    }
    root
}

/// A stream of Windows XP with its databases. Nobody gave a licence for it, so it is not shipped.
pub fn windows_xp() -> Option<PathBuf> {
    Some(shared()?.join("real/xp-catroot2"))
}

/// The reference engine's words on the [damaged variants](crate::damage).
pub fn damage_expected() -> PathBuf {
    match shared() {
        Some(shared) => shared.join("damage/expected"),
        None => {
            let archive = testdata().join("damage/expected.tar.zst");
            unpack(&archive, &unpacked_root().join("damage"), "expected")
        }
    }
}

/// Names of the archives in a folder, sorted.
fn archives_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("a fixture folder can be listed")
        .filter_map(|entry| {
            let name = entry.expect("a directory entry").file_name();
            Some(name.to_str()?.strip_suffix(".tar.zst")?.to_owned())
        })
        .collect();
    names.sort();
    names
}

/// Names of all engine-made sets that are there, sorted.
pub fn engine_set_names() -> Vec<String> {
    match shared() {
        Some(shared) => archives_in(&shared.join("engine")),
        None => archives_in(&testdata()),
    }
}

/// Folder of one engine-made set, unpacked below the build folder on first use. Read it, never change it.
pub fn engine_set(name: &str) -> PathBuf {
    let file = format!("{name}.tar.zst");
    let shipped = testdata().join(&file);
    let archive = match shared() {
        Some(shared) if !shipped.is_file() => shared.join("engine").join(file),
        _ => shipped,
    };
    unpack(&archive, &unpacked_root().join("engine"), name)
}

/// Folder of one set that is shipped in `testdata/`, unpacked likewise.
pub fn testdata_set(name: &str) -> PathBuf {
    let archive = testdata().join(format!("{name}.tar.zst"));
    unpack(&archive, &unpacked_root().join("engine"), name)
}

/// A database with what the reference engine says of it.
#[derive(Debug, Clone)]
pub struct ReferenceDatabase {
    /// The database.
    pub file: PathBuf,
    /// The engine's header dump (`eseutil /mh`).
    pub header_text: PathBuf,
    /// The engine's checksum report (`eseutil /k`).
    pub checksum_text: PathBuf,
}

/// The databases of all engine-made sets: as the crash left them, after redo, and after recovery.
pub fn engine_databases() -> Vec<ReferenceDatabase> {
    let mut databases = Vec::new();
    for set in engine_set_names() {
        let folder = engine_set(&set);
        for step in ["", "redo-only", "recovered"] {
            let expected = folder.join("expected").join(step);
            if !expected.is_dir() {
                continue;
            }
            for text in files_below(&expected) {
                let Some(name) = database_of_text(&text, &expected) else {
                    continue;
                };
                let changed = folder.join(step).join(&name);
                // A file that a step left alone is not stored again.
                let unchanged = folder.join("state").join(&name);
                let moved = !step.is_empty() && changed.exists();
                databases.push(ReferenceDatabase {
                    file: if moved { changed } else { unchanged },
                    checksum_text: expected.join(format!("k-{name}.txt")),
                    header_text: text,
                });
            }
        }
    }
    databases
}

/// `db.edb` for the text `mh-db.edb.txt` directly in `folder`.
fn database_of_text(text: &Path, folder: &Path) -> Option<String> {
    let name = text.file_name()?.to_str()?;
    let here = text.parent() == Some(folder);
    let database = name.strip_prefix("mh-")?.strip_suffix(".txt")?;
    here.then(|| database.to_owned())
}

/// The real databases.
pub fn real_databases() -> Vec<ReferenceDatabase> {
    let real = real();
    let expected = real.join("expected");
    files_below(&expected)
        .into_iter()
        .filter(|text| text.ends_with("mh.txt"))
        .filter_map(|header_text| {
            let folder = header_text.parent()?.to_owned();
            let file = real.join(folder.strip_prefix(&expected).ok()?);
            file.is_file().then(|| ReferenceDatabase {
                file,
                checksum_text: folder.join("k.txt"),
                header_text,
            })
        })
        .collect()
}

/// Every file below `root`, sorted by path.
pub fn files_below(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a fixture folder can be listed") {
            let path = entry.expect("a directory entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Decompressed content of a `.zst` file.
pub fn read_zst(path: &Path) -> Vec<u8> {
    let mut content = Vec::new();
    let read = decoder(path).read_to_end(&mut content);
    read.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    content
}

fn decoder(path: &Path) -> impl Read {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let decoder = StreamingDecoder::new(BufReader::new(file));
    decoder.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The build folder, where everything that is made goes.
pub fn build_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from)
}

fn unpacked_root() -> PathBuf {
    build_folder().join("fixtures")
}

/// Unpacks `archive`, which holds one folder `name`, below `root` unless it is there already.
///
/// Tests run as parallel processes: a lock file makes one of them unpack while the others wait, and a rename makes
/// the folder appear whole.
fn unpack(archive: &Path, root: &Path, name: &str) -> PathBuf {
    let folder = root.join(name);
    if folder.is_dir() {
        return folder;
    }
    fs::create_dir_all(root).expect("the build folder is writable");
    let lock = File::create(root.join(format!("{name}.lock"))).expect("a lock file can be made");
    lock.lock().expect("a lock can be taken");
    if folder.is_dir() {
        return folder;
    }
    let partial = root.join(format!("{name}.partial"));
    if partial.exists() {
        fs::remove_dir_all(&partial).expect("an abandoned unpacking can be removed");
    }
    tar::Archive::new(decoder(archive))
        .unpack(&partial)
        .unwrap_or_else(|error| panic!("{}: {error}", archive.display()));
    fs::rename(partial.join(name), &folder).expect("the archive holds a folder of its own name");
    fs::remove_dir_all(&partial).expect("the empty shell can be removed");
    folder
}
