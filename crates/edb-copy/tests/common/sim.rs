//! A disk in memory that can be killed at any operation and then loses, at random, what was not synced.

use edb_copy::{Disk, DiskFile, NewAttributes};
use ese_testkit::random::Random;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// What survives or not, sector by sector.
const SECTOR: usize = 4096;

#[derive(Clone)]
pub(crate) struct SimDisk(Arc<Mutex<State>>);

struct State {
    names: HashMap<PathBuf, usize>,
    /// What the names were before each change that no folder sync has made safe, oldest first.
    unsynced_names: Vec<HashMap<PathBuf, usize>>,
    files: Vec<FileState>,
    locked: Vec<PathBuf>,
    /// Operations left before the kill.
    budget: Option<u64>,
    /// Operations left before the disk is full.
    until_full: Option<u64>,
    /// Bytes that still fit on the disk.
    room: u64,
    random: Random,
}

#[derive(Default)]
struct FileState {
    bytes: Vec<u8>,
    /// How to take back each change that no sync has made safe, oldest first.
    unsynced: Vec<Undo>,
}

enum Undo {
    Write { offset: usize, old: Vec<u8> },
    Resize { old_length: usize, cut: Vec<u8> },
}

impl SimDisk {
    pub(crate) fn new(seed: u64) -> Self {
        SimDisk(Arc::new(Mutex::new(State {
            names: HashMap::new(),
            unsynced_names: Vec::new(),
            files: Vec::new(),
            locked: Vec::new(),
            budget: None,
            until_full: None,
            room: u64::MAX,
            random: Random(seed),
        })))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Kills everything after so many operations.
    pub(crate) fn kill_after(&self, operations: u64) {
        self.state().budget = Some(operations);
    }

    /// Whether the kill has come.
    pub(crate) fn is_killed(&self) -> bool {
        self.state().budget == Some(0)
    }

    /// Operations left before the kill.
    pub(crate) fn operations_left(&self) -> Option<u64> {
        self.state().budget
    }

    /// Gives the disk room for so many bytes more to be written.
    pub(crate) fn set_room(&self, room: u64) {
        self.state().room = room;
    }

    /// Makes the disk full after so many operations; `None` empties it.
    pub(crate) fn full_after(&self, operations: impl Into<Option<u64>>) {
        self.state().until_full = operations.into();
    }

    /// One operation of somebody else, such as the source, under the same kill.
    pub(crate) fn tick(&self) -> io::Result<()> {
        self.state().tick()
    }

    /// The machine comes up again: of what was not synced, some is there and some is not.
    pub(crate) fn crash(&self) {
        let mut state = self.state();
        let state = &mut *state;
        state.budget = None;
        state.locked.clear();
        // Changes of names reach the disk in order: some of the last ones are lost.
        let lost = state.random.below(state.unsynced_names.len() + 1);
        if lost > 0 {
            let kept = state.unsynced_names.len() - lost;
            state.names = state.unsynced_names[kept].clone();
        }
        state.unsynced_names.clear();
        for file in &mut state.files {
            file.lose(&mut state.random);
        }
    }

    pub(crate) fn put(&self, path: &Path, bytes: Vec<u8>) {
        let mut state = self.state();
        let id = state.files.len();
        state.files.push(FileState {
            bytes,
            unsynced: Vec::new(),
        });
        state.names.insert(path.to_owned(), id);
    }

    /// The bytes of a file, as a reader would see them.
    pub(crate) fn get(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        let id = *state.names.get(path)?;
        Some(state.files[id].bytes.clone())
    }

    /// Runs `look` on the bytes of a file.
    pub(crate) fn with<T>(&self, path: &Path, look: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let state = self.state();
        let id = *state.names.get(path)?;
        Some(look(&state.files[id].bytes))
    }
}

impl State {
    fn tick(&mut self) -> io::Result<()> {
        if let Some(left) = &mut self.until_full {
            *left = left.saturating_sub(1);
        }
        match &mut self.budget {
            None => Ok(()),
            Some(0) => Err(io::Error::other("killed")),
            Some(left) => {
                *left -= 1;
                if *left == 0 {
                    return Err(io::Error::other("killed"));
                }
                Ok(())
            }
        }
    }

    /// What needs space that is not there.
    fn take_room(&self) -> io::Result<()> {
        match self.until_full {
            Some(0) => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }

    fn change_names(&mut self, change: impl FnOnce(&mut HashMap<PathBuf, usize>)) {
        self.unsynced_names.push(self.names.clone());
        change(&mut self.names);
    }
}

impl FileState {
    fn resize(&mut self, length: usize) {
        if length == self.bytes.len() {
            return;
        }
        let cut = self.bytes.get(length..).unwrap_or(&[]).to_vec();
        let old_length = self.bytes.len();
        self.unsynced.push(Undo::Resize { old_length, cut });
        self.bytes.resize(length, 0);
    }

    fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        if end > self.bytes.len() {
            self.resize(end);
        }
        let old = self.bytes[offset..end].to_vec();
        self.unsynced.push(Undo::Write { offset, old });
        self.bytes[offset..end].copy_from_slice(bytes);
    }

    /// Takes changes back, newest first: each sector of a write, each change of length, with a chance of one half.
    fn lose(&mut self, random: &mut Random) {
        for undo in std::mem::take(&mut self.unsynced).into_iter().rev() {
            match undo {
                Undo::Write { offset, old } => {
                    for (number, sector) in old.chunks(SECTOR).enumerate() {
                        let start = offset + number * SECTOR;
                        if let Some(place) = self.bytes.get_mut(start..start + sector.len())
                            && random.below(2) == 0
                        {
                            place.copy_from_slice(sector);
                        }
                    }
                }
                Undo::Resize { old_length, cut } => {
                    if random.below(2) == 0 {
                        self.bytes.truncate(old_length - cut.len());
                        self.bytes.extend_from_slice(&cut);
                        self.bytes.resize(old_length, 0);
                    }
                }
            }
        }
    }
}

struct SimFile {
    disk: SimDisk,
    id: usize,
    lock: Option<PathBuf>,
}

impl Drop for SimFile {
    fn drop(&mut self) {
        if let Some(path) = &self.lock {
            self.disk.state().locked.retain(|locked| locked != path);
        }
    }
}

impl SimDisk {
    fn handle(&self, id: usize, lock: Option<PathBuf>) -> Box<dyn DiskFile> {
        Box::new(SimFile {
            disk: self.clone(),
            id,
            lock,
        })
    }
}

impl Disk for SimDisk {
    fn open_journal(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let id = {
            let mut state = self.state();
            state.tick()?;
            if state.locked.iter().any(|locked| locked == path) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let there = state.names.get(path).copied();
            if there.is_none() {
                state.take_room()?;
            }
            state.locked.push(path.to_owned());
            match there {
                Some(id) => id,
                None => {
                    let id = state.files.len();
                    state.files.push(FileState::default());
                    state.change_names(|names| {
                        names.insert(path.to_owned(), id);
                    });
                    id
                }
            }
        };
        Ok(self.handle(id, Some(path.to_owned())))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let id = {
            let mut state = self.state();
            state.tick()?;
            if state.names.contains_key(path) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            state.take_room()?;
            let id = state.files.len();
            state.files.push(FileState::default());
            state.change_names(|names| {
                names.insert(path.to_owned(), id);
            });
            id
        };
        Ok(self.handle(id, None))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let id = {
            let mut state = self.state();
            state.tick()?;
            *state.names.get(path).ok_or(io::ErrorKind::NotFound)?
        };
        Ok(self.handle(id, None))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let mut state = self.state();
        state.tick()?;
        Ok(state.names.contains_key(path))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.tick()?;
        state.change_names(|names| {
            names.remove(path);
        });
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.tick()?;
        let id = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        state.change_names(|names| {
            names.remove(from);
            names.insert(to.to_owned(), id);
        });
        Ok(())
    }

    fn set_attributes(&self, _path: &Path, _attributes: &NewAttributes) -> io::Result<()> {
        self.tick()
    }

    fn sync_folder_of(&self, _path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.tick()?;
        state.unsynced_names.clear();
        Ok(())
    }
}

impl SimFile {
    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.tick()?;
        state.files[self.id].unsynced.clear();
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn length(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        state.tick()?;
        Ok(state.files[self.id].bytes.len() as u64)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.tick()?;
        let range = offset as usize..offset as usize + buffer.len();
        let bytes = state.files[self.id].bytes.get(range);
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let was_killed = state.budget == Some(0);
        if let Err(killed) = state.tick() {
            if !was_killed {
                // The kill comes in the middle of this write.
                let part = state.random.below(bytes.len() + 1);
                state.files[self.id].write(&bytes[..part], offset as usize);
            }
            return Err(killed);
        }
        state.take_room()?;
        if state.room < bytes.len() as u64 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.room -= bytes.len() as u64;
        state.files[self.id].write(bytes, offset as usize);
        Ok(())
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.tick()?;
        // Even where the file is long enough: its blocks may be shared, or holes.
        if length > 0 && state.take_room().is_err() {
            // A file system may keep what it could reserve.
            let grown = state.files[self.id].bytes.len().max(length as usize / 2);
            state.files[self.id].resize(grown);
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.files[self.id].resize(length as usize);
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.tick()?;
        state.files[self.id].resize(length as usize);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }
}
