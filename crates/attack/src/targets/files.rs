//! Files of our own: another program, or a person, may have written them.

use super::choice;
use super::database::read_everything;
use crate::{script, seeds};
use edb_copy::{LoadedJournal, Manifest};
use ese_db::Database;
use ese_replay::recovery::DatabaseFile;
use ese_replay::view::RecoveredView;
use ese_testkit::disk::FaultyDisk;
use standby::config::Configuration;
use standby::state::StateFile;
use std::fs;
use std::path::Path;
use target_disk::{Disk, SharedDisk};
use tempfile::TempDir;

/// A journal whose lines carry the right sums.
fn sealed(journal: &[u8]) -> Vec<u8> {
    let (mut sealed, mut sum) = (Vec::new(), 0);
    for line in journal.split_inclusive(|byte| *byte == b'\n') {
        let text = line.get(9..).unwrap_or_default().trim_ascii_end();
        let mut hasher = crc32fast::Hasher::new_with_initial(sum);
        hasher.update(text);
        sum = hasher.finalize();
        sealed.extend_from_slice(format!("{sum:08x} ").as_bytes());
        sealed.extend_from_slice(text);
        sealed.push(b'\n');
    }
    sealed
}

/// The journal of a copy, and a manifest.
pub(crate) fn copy_journal(bytes: &[u8]) {
    let (disk, path) = (FaultyDisk::new(0), Path::new("journal"));
    for journal in [bytes.to_vec(), sealed(bytes)] {
        disk.put(path, journal);
        let file = disk.open(path).expect("it was put there");
        let _ = LoadedJournal::read(&*file);
    }
    if let Ok(manifest) = Manifest::parse(bytes) {
        let _ = (manifest.to_sha256sum(), manifest.to_json());
    }
}

/// The configuration of `scr`, the state of a copy, and a time.
pub(crate) fn standby(bytes: &[u8]) {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("scr.toml");
    fs::write(&path, bytes).expect("the folder is writable");
    if let Ok(configuration) = Configuration::load(&path) {
        configuration.warnings();
    }
    let disk = FaultyDisk::new(0);
    disk.put(Path::new("state/copy.json"), bytes.to_vec());
    let disk = SharedDisk::new(disk);
    let _ = StateFile::new(&disk, Path::new("state"), "copy".into()).read();
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = text.parse::<standby::lag::Lag>();
    }
}

/// An overlay whose parts were changed under the right hash; the database is read through it.
pub(crate) fn overlay(bytes: &[u8]) {
    let (choice, edits) = choice(bytes);
    let mut units = seeds::overlay().to_vec();
    script::run(edits, &mut units, choice & 1 == 1);
    if let [start, pages @ .., index, header] = &mut units[..]
        && start.len() >= 112
        && choice & 2 == 0
    {
        // Pages that came or went move the index.
        let index_at = (start.len() + pages.iter().map(Vec::len).sum::<usize>()) as u64;
        start[32..40].copy_from_slice(&index_at.to_le_bytes());
        let mut hasher = blake3::Hasher::new();
        hasher.update(&start[..80]).update(index).update(header);
        start[80..112].copy_from_slice(hasher.finalize().as_bytes());
    }
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("overlay");
    fs::write(&path, units.concat()).expect("the folder is writable");
    let base = DatabaseFile::open(&seeds::stream().join("db.edb")).expect("testdata");
    if let Ok(view) = RecoveredView::through_overlay(&base, &path) {
        read_everything(&Database::new(view));
    }
}
