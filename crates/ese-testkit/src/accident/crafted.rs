//! Scenes of engine-made work in streams that no engine of the fixtures wrote: in the older layout, and with a database
//! that was deleted and created again under the same path.

use super::relay::{Form, Relay};
use super::scene::{Scene, SceneCreation, files_in};
use crate::fixtures::{self, build_folder};
use crate::ledger::Ledger;
use ese_log::{FileRole, LogFileName};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Sets that are written in the older layout.
const OLDER: [&str; 12] = [
    "circ-p4k",
    "clean-p8k",
    "committed-p4k",
    "crash-p4k",
    "crash-p8k",
    "ddl-p4k",
    "doublecrash-p8k",
    "efv8520-oldcopy-p4k",
    "multidb-p8k",
    "oldcopy-clean-p8k",
    "oldcopy-p8k",
    "waypoint-p8k",
];
/// Clean sets whose databases were deleted before those of the other set were created: under the path of which.
const AGAIN: [(&str, &str, &str); 3] = [
    ("clean-p4k", "crash-p4k", "db.edb"),
    ("clean-p8k", "crash-p8k", "db.edb"),
    ("oldcopy-clean-p8k", "multidb-p8k", "dbb.edb"),
];
/// The one before Windows 8's: how Windows 7's engine creates databases.
const CREATED_BY_WINDOWS_7: (u16, u16) = (1, 0);
/// Where databases are in the logs, if they must be under one path: shorter than any in the fixtures.
const FOLDER: &str = "C:\\SG\\";

/// The scenes that are crafted of one set.
pub(super) fn scenes_of(name: &str, set: &Path) -> Vec<Scene> {
    let mut scenes = Vec::new();
    if OLDER.contains(&name) {
        scenes.extend(older(name, set));
    }
    for (first, second, database) in AGAIN {
        if second == name
            && fixtures::engine_set_names()
                .iter()
                .any(|there| there == first)
        {
            let dead = fixtures::engine_set(first);
            scenes.extend(again(name, set, first, &dead, database));
        }
    }
    scenes
}

/// A folder below the build folder, made once.
fn made_once(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let root = build_folder().join("fixtures/scenes");
    fs::create_dir_all(&root).expect("the build folder is writable");
    let folder = root.join(name);
    if !folder.is_dir() {
        let partial = tempfile::tempdir_in(&root).expect("the build folder is writable");
        make(partial.path());
        // Another process may have been faster.
        let _ = fs::rename(partial.path(), &folder);
    }
    folder
}

/// The databases in a folder whose names end so, with their names.
fn databases_in(folder: &Path, ending: &str) -> Vec<(PathBuf, String)> {
    let files = files_in(folder).into_iter();
    let named = files.filter_map(|path| {
        let name = path.file_name()?.to_str()?.to_owned();
        name.ends_with(ending).then_some((path, name))
    });
    named.collect()
}

fn save(relay: &[(String, Vec<u8>)], to: &Path) {
    for (name, bytes) in relay {
        fs::write(to.join(name), bytes).expect("the build folder is writable");
    }
}

/// The same stream in the older layout, whose logs keep nothing of the one before.
fn older(name: &str, set: &Path) -> Vec<Scene> {
    let state = set.join("state");
    let relay = Relay::read(&state).created_as(CREATED_BY_WINDOWS_7.0, CREATED_BY_WINDOWS_7.1);
    let (logs, places) = relay.lay_out(Form::Older);
    let own = databases_in(&state, ".edb");
    let copies = databases_in(&state, ".old1");
    let first = databases_in(&set.join("state1"), ".edb");
    let folder = made_once(&format!("{name}-older"), |folder| {
        save(&logs, folder);
        places.copy_checkpoint(0, &state, folder);
        copy_temporary(&state, folder);
        let signature = relay.signature();
        let all = own.iter().chain(&copies);
        for (path, name) in all {
            places.copy_database(0, path, &folder.join(name), signature);
        }
        for (path, name) in &first {
            let to = folder.join(format!("{name}.state1"));
            places.copy_database(0, path, &to, signature);
        }
    });
    let ledger = Ledger::read(set, &state).moved(|commit| places.commit(0, commit));
    let ledger = Arc::new(ledger);
    let scene = |what: &str, kind, ending: &str| {
        let databases = databases_in(&folder, ending).into_iter();
        let databases = databases.map(|(path, name)| {
            let name = name.trim_end_matches(".old1").trim_end_matches(".state1");
            (path, name.to_owned(), Arc::clone(&ledger))
        });
        let name = format!("{name}/older/{what}");
        Scene::new(name, kind, folder.clone(), databases.collect())
    };
    let mut scenes = vec![scene("state", "older layout", ".edb")];
    if !copies.is_empty() {
        scenes.push(scene("old1", "older layout, older copy", ".old1"));
    }
    if !first.is_empty() {
        scenes.push(scene("state1", "older layout, older copy", ".state1"));
    }
    scenes
}

fn copy_temporary(from: &Path, to: &Path) {
    for path in files_in(from) {
        let name = path.file_name().and_then(|name| name.to_str());
        let parsed = name.and_then(LogFileName::parse);
        if let Some(name) =
            name.filter(|_| parsed.is_some_and(|parsed| parsed.role == FileRole::Temporary))
        {
            fs::copy(&path, to.join(name)).expect("the build folder is writable");
        }
    }
}

/// The databases of `set`, created after that of the clean set `dead` had been deleted; `database` has its path.
fn again(name: &str, set: &Path, dead_name: &str, dead: &Path, database: &str) -> Vec<Scene> {
    let (state, dead_state) = (set.join("state"), dead.join("state"));
    let path = format!("{FOLDER}{database}");
    let relay = Relay::read(&dead_state).rename("db.edb", &path);
    let second = Relay::read(&state).rename(database, &path);
    let signature = second.signature();
    let relay = relay.followed_by(second);
    let (logs, places) = relay.lay_out(Form::Segments);
    let own = databases_in(&state, ".edb");
    let folder = made_once(&format!("{dead_name}-{name}"), |folder| {
        save(&logs, folder);
        places.copy_checkpoint(1, &state, folder);
        for (path, name) in &own {
            places.copy_database(1, path, &folder.join(name), signature);
        }
        let dead = dead_state.join("db.edb");
        places.copy_database(0, &dead, &folder.join("dead.edb"), signature);
    });
    let ledger = Ledger::read(set, &state).moved(|commit| places.commit(1, commit));
    let ledger = Arc::new(ledger);
    let dead = folder.join("dead.edb");
    let of_dead = [(dead.clone(), "dead.edb".to_owned())];
    let dead = (
        dead,
        "dead.edb".to_owned(),
        Arc::new(Ledger::of_files(&of_dead)),
    );
    let living = own.iter().map(|(_, name)| {
        let path = folder.join(name);
        (path, name.clone(), Arc::clone(&ledger))
    });
    let living: Vec<_> = living.collect();
    let scene = |what: &str, databases| {
        let name = format!("{dead_name} then {name}/{what}");
        Scene::new(name, "created again", folder.clone(), databases)
    };
    let both = living.iter().cloned().chain([dead]).collect();
    let mut nothing = scene("nothing", Vec::new());
    nothing.made = living
        .iter()
        .filter_map(|(path, name, ledger)| SceneCreation::of(path, name, ledger))
        .collect();
    vec![
        scene("living", living.clone()),
        scene("living and dead", both),
        nothing,
    ]
}
