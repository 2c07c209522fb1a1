//! A disk in memory with every fault that a disk can have.
//!
//! Calls are counted. At a call that the test chooses the power goes, once or for good something fails, or the disk is
//! full; a slow disk lets something happen at every call. When the power comes back ([`FaultyDisk::crash`]), some of what
//! was not synced is lost:
//!
//! | what | what a crash does to it |
//! |---|---|
//! | a write | each sector of 512 bytes is there or not |
//! | a new length | it is there or not |
//! | new, renamed, removed names | the last of them are lost, as a file system with a journal loses them |
//! | the write during which the power went | its first bytes arrived, in the cache |
//!
//! What was synced stays. Which part is lost is decided by a seed, so that a failure can be repeated.

mod mirror;

pub use mirror::MirroredDisk;

use crate::random::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use target_disk::{Disk, DiskFile, FileStamp, NewAttributes, PathKind, START_BYTES};

/// What survives or not, sector by sector.
const SECTOR: usize = 512;

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// It reads, lists, opens or locks.
    Look,
    /// It creates a file or folders.
    Create,
    /// It writes, or changes the length.
    Write,
    /// It makes what was written safe.
    Sync,
    /// It renames.
    Rename,
    /// It removes a name.
    Remove,
}

impl Call {
    /// All of them.
    pub const ALL: [Call; 6] = [
        Call::Look,
        Call::Create,
        Call::Write,
        Call::Sync,
        Call::Rename,
        Call::Remove,
    ];
}

/// A disk in memory with faults. Clones are the same disk.
#[derive(Clone)]
pub struct FaultyDisk(Arc<Mutex<State>>);

/// What a slow disk does at every call.
type Meanwhile = dyn FnMut() + Send;

type Names = BTreeMap<PathBuf, usize>;

struct State {
    names: Names,
    /// What the names were before each change that no folder sync has made safe, oldest first.
    unsynced_names: Vec<Names>,
    folders: BTreeSet<PathBuf>,
    files: Vec<FileState>,
    /// Which handle has a file locked.
    locks: BTreeMap<usize, u64>,
    handles: u64,
    numbers: u64,
    /// Calls so far.
    calls: u64,
    /// Whether calls are neither counted nor hit by faults.
    quiet: bool,
    /// The call at which the power goes.
    killed_at: Option<u64>,
    /// The power goes at a call of this kind, after so many others of it.
    killed_in: Option<(Call, u64)>,
    /// The call that fails.
    failing: Option<u64>,
    /// The call from which on the disk is full.
    full_from: Option<u64>,
    /// Bytes that still fit on the disk.
    room: u64,
    /// What happens in the time that a call takes.
    meanwhile: Option<Box<Meanwhile>>,
    random: Random,
}

#[derive(Default)]
struct FileState {
    bytes: Vec<u8>,
    /// As it was set; unknown once the file was written after that.
    modified: Option<SystemTime>,
    /// How to take back each change that no sync has made safe, oldest first.
    unsynced: Vec<Undo>,
}

enum Undo {
    Write { offset: usize, old: Vec<u8> },
    Resize { old_length: usize, cut: Vec<u8> },
}

impl FaultyDisk {
    /// An empty disk; what a crash loses follows from `seed`.
    pub fn new(seed: u64) -> Self {
        FaultyDisk(Arc::new(Mutex::new(State {
            names: Names::new(),
            unsynced_names: Vec::new(),
            folders: BTreeSet::new(),
            files: Vec::new(),
            locks: BTreeMap::new(),
            handles: 0,
            numbers: 0,
            calls: 0,
            quiet: false,
            killed_at: None,
            killed_in: None,
            failing: None,
            full_from: None,
            room: u64::MAX,
            meanwhile: None,
            random: Random(seed),
        })))
    }

    /// Another disk with the same files, all of them synced.
    #[must_use]
    pub fn fork(&self, seed: u64) -> Self {
        let fork = FaultyDisk::new(seed);
        let (from, mut to) = (self.state(), fork.state());
        to.folders.clone_from(&from.folders);
        for (path, id) in &from.names {
            let new = to.files.len();
            to.files.push(FileState {
                bytes: from.files[*id].bytes.clone(),
                modified: from.files[*id].modified,
                unsynced: Vec::new(),
            });
            to.names.insert(path.clone(), new);
        }
        drop(to);
        fork
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that failed elsewhere is to say so, not this.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the power away at the call of this number from now, the first being 1: it and all after it fail.
    pub fn kill_after(&self, calls: u64) {
        let mut state = self.state();
        state.killed_at = Some(state.calls + calls);
    }

    /// Takes the power away at the call of this kind and number from now, the first being 1.
    pub fn kill_in(&self, call: Call, number: u64) {
        self.state().killed_in = Some((call, number));
    }

    /// Whether the power is gone.
    pub fn is_killed(&self) -> bool {
        self.state().is_killed()
    }

    /// Has the call of this number from now fail, the first being 1; nothing comes of it.
    pub fn fail_at(&self, call: u64) {
        let mut state = self.state();
        state.failing = Some(state.calls + call);
    }

    /// Whether the call that was to fail has come.
    pub fn has_failed(&self) -> bool {
        let state = self.state();
        state.failing.is_some_and(|failing| state.calls >= failing)
    }

    /// Makes the disk full after so many calls more; `None` empties it.
    pub fn full_after(&self, calls: impl Into<Option<u64>>) {
        let mut state = self.state();
        state.full_from = calls.into().map(|calls| state.calls + calls);
    }

    /// Makes the disk slow: at every call this happens first.
    pub fn slow_down(&self, meanwhile: impl FnMut() + Send + 'static) {
        self.state().meanwhile = Some(Box::new(meanwhile));
    }

    /// Makes the disk fast again.
    pub fn speed_up(&self) {
        self.state().meanwhile = None;
    }

    /// Gives the disk room for so many bytes more to be written.
    pub fn set_room(&self, room: u64) {
        self.state().room = room;
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// A call of somebody else, such as the source, under the same power.
    pub fn tick(&self) -> io::Result<()> {
        self.state().tick(Call::Look)
    }

    /// Whether calls are neither counted nor hit by faults from now on: the test itself looks.
    pub fn set_quiet(&self, quiet: bool) {
        self.state().quiet = quiet;
    }

    /// Takes every fault back that has not come yet.
    pub fn calm(&self) {
        let mut state = self.state();
        (state.killed_at, state.killed_in) = (None, None);
        (state.failing, state.full_from) = (None, None);
    }

    /// The process was killed, and the machine went on: nothing is lost.
    pub fn restart(&self) {
        let mut state = self.state();
        (state.killed_at, state.killed_in, state.failing) = (None, None, None);
        state.locks.clear();
    }

    /// The machine comes up again: of what was not synced, some is there and some is not.
    pub fn crash(&self) {
        let mut state = self.state();
        let state = &mut *state;
        (state.killed_at, state.killed_in) = (None, None);
        (state.failing, state.full_from) = (None, None);
        state.locks.clear();
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

    /// Puts a file there, as if it had been there for long.
    pub fn put(&self, path: &Path, bytes: Vec<u8>) {
        let mut state = self.state();
        let id = state.files.len();
        state.files.push(FileState {
            bytes,
            ..FileState::default()
        });
        state.names.insert(path.to_owned(), id);
    }

    /// The bytes of a file, as a reader would see them.
    pub fn get(&self, path: &Path) -> Option<Vec<u8>> {
        self.with(path, <[u8]>::to_vec)
    }

    /// Runs `look` on the bytes of a file.
    pub fn with<T>(&self, path: &Path, look: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let state = self.state();
        let id = *state.names.get(path)?;
        Some(look(&state.files[id].bytes))
    }

    /// The paths of all files.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.state().names.keys().cloned().collect()
    }

    fn handle(&self, id: usize, state: &mut State) -> Box<dyn DiskFile> {
        state.handles += 1;
        Box::new(FaultyFile {
            disk: self.clone(),
            id,
            handle: state.handles,
        })
    }
}

impl State {
    fn is_killed(&self) -> bool {
        self.killed_at.is_some_and(|killed| self.calls >= killed)
    }

    fn tick(&mut self, call: Call) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        self.calls += 1;
        if let Some(meanwhile) = &mut self.meanwhile {
            meanwhile();
        }
        if let Some((kind, left)) = &mut self.killed_in
            && *kind == call
        {
            *left = left.saturating_sub(1);
            if *left == 0 {
                (self.killed_at, self.killed_in) = (Some(self.calls), None);
            }
        }
        if self.is_killed() {
            return Err(io::Error::other("killed"));
        }
        if self.failing == Some(self.calls) {
            return Err(io::Error::other("the disk fails"));
        }
        Ok(())
    }

    /// Whether this very call is the one at which the power goes.
    fn is_killed_now(&self) -> bool {
        self.killed_at == Some(self.calls)
    }

    /// Fails if the disk is full, for what needs space.
    fn take_room(&mut self, bytes: u64) -> io::Result<()> {
        let is_full = !self.quiet && self.full_from.is_some_and(|full| self.calls > full);
        if is_full || self.room < bytes {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.room -= bytes;
        Ok(())
    }

    fn id(&self, path: &Path) -> io::Result<usize> {
        let id = self.names.get(path).copied();
        id.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn new_file(&mut self, path: &Path) -> io::Result<usize> {
        self.take_room(0)?;
        let id = self.files.len();
        self.files.push(FileState::default());
        self.change_names(|names| {
            names.insert(path.to_owned(), id);
        });
        Ok(id)
    }

    fn change_names(&mut self, change: impl FnOnce(&mut Names)) {
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
        self.modified = None;
        self.unsynced.push(Undo::Resize { old_length, cut });
        self.bytes.resize(length, 0);
    }

    fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        if end > self.bytes.len() {
            self.resize(end);
        }
        let old = self.bytes[offset..end].to_vec();
        self.modified = None;
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

impl Disk for FaultyDisk {
    fn place(&self, path: &Path) -> io::Result<PathKind> {
        let mut state = self.state();
        state.tick(Call::Look)?;
        Ok(match state.names.contains_key(path) {
            true => PathKind::File {
                length: None,
                names: 1,
            },
            false if state.folders.contains(path) => PathKind::Folder,
            false => PathKind::Free,
        })
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let mut state = self.state();
        state.tick(Call::Look)?;
        let all = state.names.keys().chain(&state.folders);
        let inside: Vec<PathBuf> = all
            .filter(|path| path.parent() == Some(folder))
            .cloned()
            .collect();
        match inside.is_empty() && !state.folders.contains(folder) {
            true => Err(io::ErrorKind::NotFound.into()),
            false => Ok(inside),
        }
    }

    fn stamp(&self, path: &Path) -> io::Result<FileStamp> {
        let mut state = self.state();
        state.tick(Call::Look)?;
        let id = state.id(path)?;
        let FileState {
            bytes, modified, ..
        } = &state.files[id];
        Ok(FileStamp {
            length: bytes.len() as u64,
            modified: *modified,
            start: bytes[..bytes.len().min(START_BYTES)].to_vec(),
        })
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.open(path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.tick(Call::Look)?;
        let id = state.id(path)?;
        Ok(self.handle(id, &mut state))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.tick(Call::Create)?;
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let id = state.new_file(path)?;
        Ok(self.handle(id, &mut state))
    }

    fn open_or_create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.tick(Call::Look)?;
        let id = match state.id(path) {
            Ok(id) => id,
            Err(_) => state.new_file(path)?,
        };
        Ok(self.handle(id, &mut state))
    }

    fn new_number(&self) -> u64 {
        let mut state = self.state();
        state.numbers += 1;
        state.numbers
    }

    fn create_folders(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.tick(Call::Create)?;
        let all = folder.ancestors().map(Path::to_owned);
        state.folders.extend(all);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.tick(Call::Remove)?;
        state.id(path)?;
        state.change_names(|names| {
            names.remove(path);
        });
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.tick(Call::Rename)?;
        let id = state.id(from)?;
        state.change_names(|names| {
            names.remove(from);
            names.insert(to.to_owned(), id);
        });
        Ok(())
    }

    fn set_attributes(&self, path: &Path, attributes: &NewAttributes) -> io::Result<()> {
        let mut state = self.state();
        state.tick(Call::Write)?;
        let id = state.id(path)?;
        if attributes.modified.is_some() {
            state.files[id].modified = attributes.modified;
        }
        Ok(())
    }

    fn sync_folder(&self, _folder: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.tick(Call::Sync)?;
        // A file system with a journal writes all that came before.
        state.unsynced_names.clear();
        Ok(())
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        let mut state = self.state();
        state.tick(Call::Look)?;
        let id = state.id(path)?;
        Ok(state.locks.contains_key(&id))
    }
}

/// An open file.
struct FaultyFile {
    disk: FaultyDisk,
    id: usize,
    handle: u64,
}

impl Drop for FaultyFile {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.locks.get(&self.id) == Some(&self.handle) {
            state.locks.remove(&self.id);
        }
    }
}

impl FaultyFile {
    /// The state, after the call was counted.
    fn call(&self, call: Call) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.disk.state();
        state.tick(call)?;
        Ok(state)
    }

    fn sync(&self) -> io::Result<()> {
        self.call(Call::Sync)?.files[self.id].unsynced.clear();
        Ok(())
    }
}

impl DiskFile for FaultyFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.call(Call::Look)?.files[self.id].bytes.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.call(Call::Look)?;
        let bytes = &state.files[self.id].bytes;
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        if let Err(error) = state.tick(Call::Write) {
            if state.is_killed_now() {
                let part = state.random.below(bytes.len() + 1);
                state.files[self.id].write(&bytes[..part], offset as usize);
            }
            return Err(error);
        }
        state.take_room(bytes.len() as u64)?;
        state.files[self.id].write(bytes, offset as usize);
        Ok(())
    }

    fn reserve(&self, length: u64) -> io::Result<()> {
        let mut state = self.call(Call::Write)?;
        // Even where the file is long enough: its blocks may be shared, or holes.
        match length {
            0 => Ok(()),
            _ => state.take_room(0),
        }
    }

    fn release_reserved(&self) -> io::Result<()> {
        self.call(Call::Write).map(drop)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.call(Call::Write)?.files[self.id].resize(length as usize);
        Ok(())
    }

    fn set_modified(&self, time: SystemTime) -> io::Result<()> {
        self.call(Call::Write)?.files[self.id].modified = Some(time);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }

    fn try_lock(&self) -> io::Result<()> {
        let mut state = self.call(Call::Look)?;
        match state.locks.get(&self.id) {
            Some(holder) if *holder != self.handle => Err(io::ErrorKind::WouldBlock.into()),
            _ => {
                state.locks.insert(self.id, self.handle);
                Ok(())
            }
        }
    }
}
