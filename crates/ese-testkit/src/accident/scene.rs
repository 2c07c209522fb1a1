//! Where accidents happen: a stream as an engine left it, databases that it serves, and what was committed in it.

use super::crafted;
use super::truth::LogFile;
use crate::fixtures::{self, build_folder};
use crate::ledger::Ledger;
use ese_format::database::{DatabaseHeader, HEADERS_MAX, HeaderCopies};
use ese_format::{Generation, Lgpos, Record, Signature};
use ese_log::{FileRole, LogImage, Naming, RecordCursor, StreamFiles};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// A stream with the databases that are to be recovered with it.
#[derive(Clone)]
pub struct Scene {
    /// The set, and which of its databases this is about.
    pub name: String,
    /// What kind of databases these are, for the table of a campaign.
    pub kind: &'static str,
    /// The folder with the logs; it is only read.
    pub logs: PathBuf,
    /// The databases.
    pub databases: Vec<SceneDatabase>,
    /// Databases that the logs create, and that are not given: their names, and what was committed.
    pub made: Vec<SceneCreation>,
    /// How the stream spells its names.
    pub naming: Naming,
    /// The logs by generation.
    pub files: Arc<BTreeMap<Generation, LogFile>>,
    /// The current log, if there is one.
    pub current: Option<Generation>,
    /// The folder, if it is to be removed with the scene.
    pub(super) keep: Option<Arc<TempDir>>,
}

/// A database of a scene.
#[derive(Clone)]
pub struct SceneDatabase {
    /// Where it is; it is only read.
    pub path: PathBuf,
    /// The name under which the ledger knows it.
    pub name: String,
    /// Its header.
    pub header: DatabaseHeader,
    /// Where the logs attach it after it was last consistent, if it is clean.
    pub attached_at: Vec<Lgpos>,
    /// What was committed.
    pub ledger: Arc<Ledger>,
}

impl SceneDatabase {
    fn read(
        path: PathBuf,
        name: &str,
        ledger: Arc<Ledger>,
        files: &BTreeMap<Generation, LogFile>,
    ) -> Self {
        let header = header_of(&path).expect("a set's database has an intact header");
        let attached_at = attaches(files, &header);
        SceneDatabase {
            path,
            name: name.to_owned(),
            header,
            attached_at,
            ledger,
        }
    }

    /// The first generation without which the database cannot be recovered to the end of the logs; none if it is clean
    /// and no log attaches it again.
    pub fn first_needed(&self) -> Option<Generation> {
        match self.header.state.needs_recovery() {
            true => Some(self.header.min_required),
            false => self.attached_at.first().map(|attach| attach.generation),
        }
    }
}

/// The header of the database at `path`, if one of its copies can be trusted.
pub fn header_of(path: &Path) -> Option<DatabaseHeader> {
    use std::io::Read;
    let mut start = Vec::new();
    let file = File::open(path).ok()?;
    file.take(HEADERS_MAX as u64).read_to_end(&mut start).ok()?;
    Some(HeaderCopies::read(&start).good()?.fields.clone())
}

/// Where the logs attach the database after it was last consistent.
fn attaches(files: &BTreeMap<Generation, LogFile>, header: &DatabaseHeader) -> Vec<Lgpos> {
    let consistent = header.last_consistent;
    let mut found = Vec::new();
    for (_, file) in files.range(consistent.generation..) {
        let image = LogImage::read(&file.path).expect("a log in order");
        let mut cursor = RecordCursor::new();
        while let Some(raw) = cursor.next_record(&image).expect("the log is in order") {
            let attached = match raw.decode().expect("a record in order") {
                Record::AttachDb(attach) => attach.db_signature == header.signature,
                Record::CreateDb(create) => create.signature == header.signature,
                _ => false,
            };
            if attached && raw.lgpos > consistent {
                found.push(raw.lgpos);
            }
        }
    }
    found
}

/// A database that the logs of a scene create and keep.
#[derive(Clone)]
pub struct SceneCreation {
    /// The name of its file.
    pub name: String,
    /// Its signature; others of the name were deleted before.
    pub signature: Signature,
    /// What happens to it.
    pub ledger: Arc<Ledger>,
}

impl SceneCreation {
    /// The database that lies at `path`.
    pub fn of(path: &Path, name: &str, ledger: &Arc<Ledger>) -> Option<Self> {
        Some(SceneCreation {
            name: name.to_owned(),
            signature: header_of(path)?.signature,
            ledger: Arc::clone(ledger),
        })
    }
}

impl Scene {
    /// A scene of the logs in `logs`, with databases given by path, by their name in the ledger, and by that.
    pub fn new(
        name: String,
        kind: &'static str,
        logs: PathBuf,
        databases: Vec<(PathBuf, String, Arc<Ledger>)>,
    ) -> Self {
        let stream = StreamFiles::find(&logs, None).expect("a set has a stream");
        let mut files = BTreeMap::new();
        for file in stream.in_order() {
            let log = LogFile::read(&file.path);
            files.insert(log.generation, log);
        }
        let current = stream.current.first();
        let current = current.map(|file| LogFile::read(&file.path).generation);
        let databases = databases.into_iter();
        let databases =
            databases.map(|(path, name, ledger)| SceneDatabase::read(path, &name, ledger, &files));
        Scene {
            name,
            kind,
            databases: databases.collect(),
            made: Vec::new(),
            logs,
            naming: stream.naming,
            current,
            files: Arc::new(files),
            keep: None,
        }
    }

    /// The newest generation.
    pub fn newest(&self) -> Generation {
        *self.files.keys().next_back().expect("a stream has logs")
    }

    /// The oldest generation.
    pub fn oldest(&self) -> Generation {
        *self.files.keys().next().expect("a stream has logs")
    }

    /// The first generation that any of its databases needs.
    pub fn first_needed(&self) -> Option<Generation> {
        let firsts = self
            .databases
            .iter()
            .filter_map(SceneDatabase::first_needed);
        firsts.min()
    }

    /// Bytes of its logs and databases.
    pub fn bytes(&self) -> u64 {
        let paths = self.files.values().map(|file| &file.path);
        let paths = paths.chain(self.databases.iter().map(|given| &given.path));
        let sizes = paths.map(|path| fs::metadata(path).expect("a fixture is there").len());
        sizes.sum()
    }
}

/// All scenes of the engine-made sets and of the real files that are there.
pub fn scenes() -> Vec<Scene> {
    use rayon::prelude::*;
    let names = fixtures::engine_set_names();
    let sets = names.iter();
    let sets: Vec<(&String, PathBuf)> = sets
        .map(|name| (name, fixtures::engine_set(name)))
        .collect();
    let of_sets: Vec<Vec<Scene>> = sets
        .par_iter()
        .map(|(name, set)| scenes_of(name, set))
        .collect();
    let of_sets = of_sets.into_iter().flatten();
    let crafted: Vec<Vec<Scene>> = sets
        .par_iter()
        .map(|(name, set)| crafted::scenes_of(name, set))
        .collect();
    let crafted = crafted.into_iter().flatten();
    of_sets.chain(real_scenes()).chain(crafted).collect()
}

/// A folder of real files, its databases with the names that they get, and the kind of its scene.
type Real = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
);

/// Databases that Windows left with their logs: for each, its place in the fixtures, the name that it gets, and the
/// kind of its scene.
const REAL: [Real; 4] = [
    (
        "museum/SRUM/Win11/RathbunVM/Dirty",
        &[("SRUDB.dat", "SRUDB.edb")],
        "real, dirty",
    ),
    (
        "museum/SRUM/Win10/APTSimulatorVM/Clean",
        &[("SRUDB.dat", "SRUDB.edb")],
        "real, clean",
    ),
    // What `esentutl /p` left belongs to no log.
    (
        "museum/SRUM/Win11/RathbunVM/Clean",
        &[("SRUDB.dat", "SRUDB.edb")],
        "real, repaired",
    ),
    (
        "xp-catroot2",
        &[
            ("{127D0A1D-4EF2-11D1-8608-00C04FC295EE}/catdb", "127d.edb"),
            ("{F750E6C3-38EE-11D1-85E5-00C04FC295EE}/catdb", "f750.edb"),
        ],
        "real, older layout",
    ),
];

/// The scenes of files that Windows left. What its transactions did is not known, but all of it is in the databases.
fn real_scenes() -> Vec<Scene> {
    let real = fixtures::real();
    let there = REAL
        .iter()
        .filter(|(place, _, _)| real.join(place).is_dir());
    let scenes = there.map(|(place, databases, kind)| {
        let folder = real.join(place);
        let databases: Vec<(PathBuf, String)> = databases
            .iter()
            .map(|(path, name)| (folder.join(path), (*name).to_owned()))
            .collect();
        let ledger = Arc::new(Ledger::of_files(&databases));
        let databases = databases.into_iter();
        let databases = databases.map(|(path, name)| (path, name, Arc::clone(&ledger)));
        Scene::new((*place).to_owned(), kind, folder, databases.collect())
    });
    scenes.collect()
}

/// The scenes of one set.
pub fn scenes_of(name: &str, set: &Path) -> Vec<Scene> {
    let state = set.join("state");
    let ledger = Arc::new(Ledger::read(set, &state));
    let scene = |what: &str, kind, logs: &Path, databases: Vec<(PathBuf, String)>| {
        let name = format!("{name}/{what}");
        let databases = databases.into_iter();
        let databases = databases.map(|(path, name)| (path, name, Arc::clone(&ledger)));
        Scene::new(name, kind, logs.to_owned(), databases.collect())
    };
    let named = |folder: &Path, ending: &str| -> Vec<(PathBuf, String)> {
        let mut paths: Vec<PathBuf> = files_in(folder)
            .into_iter()
            .filter(|path| path.to_string_lossy().ends_with(ending))
            .collect();
        paths.sort();
        let named = paths.into_iter().map(|path| {
            let name = path.file_name().expect("a file has a name");
            let name = name.to_string_lossy().replace(".old1", "");
            (path, name)
        });
        named.collect()
    };
    let mut scenes = Vec::new();
    let state_databases = named(&state, ".edb");
    let dirty = state_databases
        .iter()
        .all(|(path, _)| header_of(path).is_some_and(|header| header.state.needs_recovery()));
    let kind = match (state_databases.len(), dirty) {
        (1, true) => "dirty",
        (1, false) => "clean",
        _ => "several databases",
    };
    scenes.push(scene("state", kind, &state, state_databases.clone()));
    let copies = named(&state, ".old1");
    if !copies.is_empty() {
        let clean = copies
            .iter()
            .any(|(path, _)| header_of(path).is_some_and(|header| !header.state.needs_recovery()));
        let kind = match clean {
            true => "older clean copy",
            false => "older dirty copy",
        };
        scenes.push(scene("old1", kind, &state, copies));
    }
    let first_crash = named(&set.join("state1"), ".edb");
    if !first_crash.is_empty() {
        scenes.push(scene("state1", "older dirty copy", &state, first_crash));
    }
    let of_both = named(&set.join("dirtyold"), ".edb");
    if !of_both.is_empty() {
        let logs = merged(name, "dirtyold", &[&state, &set.join("dirtyold")]);
        scenes.push(scene("dirtyold", "recovered", &logs, of_both));
    }
    let recovered = named(&set.join("recovered"), ".edb");
    if !recovered.is_empty() && name != "lossy-p8k" {
        let logs = merged(name, "recovered", &[&state, &set.join("recovered")]);
        scenes.push(scene("recovered", "recovered", &logs, recovered.clone()));
        // The database is newer than the logs then.
        scenes.push(scene("newer", "newer than the logs", &state, recovered));
    }
    // Its databases can be made from a stream that is there from their creation on.
    let oldest = scenes[0].oldest();
    if oldest.0 == 1 && name != "lossy-p8k" {
        let mut nothing = scene("nothing", "made from the logs", &state, Vec::new());
        nothing.made = state_databases
            .iter()
            .filter_map(|(path, name)| SceneCreation::of(path, name, &ledger))
            .collect();
        scenes.push(nothing);
    }
    let backup = state.join("bk");
    if backup.is_dir() {
        let databases = named(&backup, ".edb");
        let logs = merged(name, "bk", &[&backup, &state]);
        scenes.push(scene("bk", "streaming backup", &logs, databases));
    }
    scenes
}

/// The logs and the checkpoint of several folders in one; of two files of one name, that of the later folder.
fn merged(set: &str, what: &str, folders: &[&Path]) -> PathBuf {
    let root = build_folder().join("fixtures/scenes");
    fs::create_dir_all(&root).expect("the build folder is writable");
    let merged = root.join(format!("{set}-{what}"));
    if merged.is_dir() {
        return merged;
    }
    let partial = tempfile::tempdir_in(&root).expect("the build folder is writable");
    for path in folders.iter().flat_map(|folder| files_in(folder)) {
        let name = path.file_name().expect("a file has a name");
        let role = name.to_str().and_then(ese_log::LogFileName::parse);
        if role.is_some_and(|name| name.role != FileRole::Reserve) {
            fs::copy(&path, partial.path().join(name)).expect("the build folder is writable");
        }
    }
    // Another process may have been faster.
    let _ = fs::rename(partial.path(), &merged);
    merged
}

/// The files directly in a folder.
pub(super) fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let paths = entries.map(|entry| entry.expect("a directory entry").path());
    let mut files: Vec<PathBuf> = paths.filter(|path| path.is_file()).collect();
    files.sort();
    files
}
