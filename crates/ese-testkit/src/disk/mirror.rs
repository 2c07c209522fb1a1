//! A faulty disk whose files are on the real one too.

use super::FaultyDisk;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use target_disk::{Disk, DiskFile, LocalDisk, NewAttributes, PathKind};

/// A faulty disk below a real folder. What works on the faulty one is done on the real one too, where code that reads
/// files by their paths finds it. What is not below that folder is on the real disk alone, whose calls do not count.
#[derive(Clone)]
pub struct MirroredDisk {
    faulty: FaultyDisk,
    root: PathBuf,
}

impl MirroredDisk {
    /// A disk with the files that are below `root` now, all of them synced.
    pub fn of(root: &Path, seed: u64) -> Self {
        let disk = MirroredDisk {
            faulty: FaultyDisk::new(seed),
            root: root.to_owned(),
        };
        disk.load(root);
        disk
    }

    /// The disk on which faults are made.
    pub fn faulty(&self) -> &FaultyDisk {
        &self.faulty
    }

    fn load(&self, folder: &Path) {
        self.faulty.state().folders.insert(folder.to_owned());
        for entry in fs::read_dir(folder).expect("a folder of the test") {
            let path = entry.expect("its entry").path();
            if path.is_dir() {
                self.load(&path);
            } else {
                let bytes = fs::read(&path).expect("a file of the test");
                self.faulty.put(&path, bytes);
                let modified = fs::metadata(&path).and_then(|known| known.modified()).ok();
                let mut state = self.faulty.state();
                let id = state.names[&path];
                state.files[id].modified = modified;
            }
        }
    }

    /// The process was killed, and the machine went on.
    pub fn restart(&self) {
        self.faulty.restart();
        self.show();
    }

    /// The power comes back: the real folder becomes what the crash left.
    pub fn crash(&self) {
        self.faulty.crash();
        self.show();
    }

    /// Makes the real folder what the faulty disk holds.
    fn show(&self) {
        fs::remove_dir_all(&self.root).expect("a folder of the test");
        let state = self.faulty.state();
        for folder in state
            .folders
            .iter()
            .filter(|path| path.starts_with(&self.root))
        {
            fs::create_dir_all(folder).expect("a folder is made");
        }
        for (path, id) in &state.names {
            let file = &state.files[*id];
            fs::write(path, &file.bytes).expect("a file is made");
            if let Some(modified) = file.modified {
                let made = fs::File::options().write(true).open(path);
                let set = made.and_then(|made| made.set_modified(modified));
                set.expect("its time is set");
            }
        }
    }

    /// The disk that a path is on.
    fn at(&self, path: &Path) -> &dyn Disk {
        match self.is_faulty(path) {
            true => &self.faulty,
            false => &LocalDisk,
        }
    }

    fn is_faulty(&self, path: &Path) -> bool {
        path.starts_with(&self.root)
    }

    fn both(
        &self,
        path: &Path,
        open: impl Fn(&dyn Disk) -> io::Result<Box<dyn DiskFile>>,
    ) -> io::Result<Box<dyn DiskFile>> {
        if !self.is_faulty(path) {
            return open(&LocalDisk);
        }
        Ok(Box::new(MirroredFile {
            faulty: open(&self.faulty)?,
            real: open(&LocalDisk)?,
        }))
    }
}

impl Disk for MirroredDisk {
    fn place(&self, path: &Path) -> io::Result<PathKind> {
        self.at(path).place(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        self.at(folder).list(folder)
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.at(path).open_to_read(path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.both(path, |disk| disk.open(path))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.both(path, |disk| disk.create(path))
    }

    fn open_or_create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.both(path, |disk| disk.open_or_create(path))
    }

    fn new_number(&self) -> u64 {
        self.faulty.new_number()
    }

    fn create_folders(&self, folder: &Path) -> io::Result<()> {
        self.at(folder).create_folders(folder)?;
        LocalDisk.create_folders(folder)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if self.is_faulty(path) {
            self.faulty.remove(path)?;
        }
        LocalDisk.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.is_faulty(from) && self.is_faulty(to) {
            self.faulty.rename(from, to)?;
        }
        LocalDisk.rename(from, to)
    }

    fn set_attributes(&self, path: &Path, attributes: &NewAttributes) -> io::Result<()> {
        self.at(path).set_attributes(path, attributes)?;
        LocalDisk.set_attributes(path, attributes)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.at(folder).sync_folder(folder)
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        self.faulty.is_locked(path)
    }
}

/// An open file on both disks; what is read comes from the faulty one.
struct MirroredFile {
    faulty: Box<dyn DiskFile>,
    real: Box<dyn DiskFile>,
}

impl DiskFile for MirroredFile {
    fn length(&self) -> io::Result<u64> {
        self.faulty.length()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.faulty.read_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.faulty.write_all_at(bytes, offset)?;
        self.real.write_all_at(bytes, offset)
    }

    fn reserve(&self, length: u64) -> io::Result<()> {
        self.faulty.reserve(length)
    }

    fn release_reserved(&self) -> io::Result<()> {
        self.faulty.release_reserved()
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.faulty.set_length(length)?;
        self.real.set_length(length)
    }

    fn set_modified(&self, time: SystemTime) -> io::Result<()> {
        self.faulty.set_modified(time)?;
        self.real.set_modified(time)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.faulty.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.faulty.sync_all()
    }

    fn try_lock(&self) -> io::Result<()> {
        self.faulty.try_lock()
    }
}
