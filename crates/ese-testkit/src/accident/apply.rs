//! How each accident is done to the files of a site.
//!
//! Where two accidents meet, the second may find nothing left to spoil; then it does nothing.

use super::scene::{Scene, files_in};
use super::{Accident, Copies, Site};
use crate::fixtures;
use crate::logs::seal_header;
use byteorder::{ByteOrder, LittleEndian};
use ese_format::log::{HEADER_SIZE, LogHeader, SEGMENT_SIZE};
use ese_format::{Generation, Lgpos};
use ese_log::{FileRole, LogFileName, StreamFiles};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Where the version is in the header of a log.
const UPDATE_MAJOR: usize = 40;
const UPDATE_MINOR: usize = 648;
/// Where both positions of a checkpoint stand.
const CHECKPOINT: [usize; 2] = [12, 648];
/// The base names of streams that are renamed, or that lie beside another one.
const OTHER_BASE: &str = "E05";
const SECOND_BASE: &str = "E07";

impl Site {
    /// Lets the accident happen.
    pub fn suffer(&mut self, accident: &Accident, scene: &Scene) {
        match *accident {
            Accident::None => {}
            Accident::LogRemoved(generation) => self.remove(&self.log(scene, generation)),
            Accident::TailRemoved(from) => {
                for generation in scene.files.keys().filter(|found| **found >= from) {
                    self.remove(&self.log(scene, *generation));
                }
            }
            Accident::AllLogsRemoved => {
                for generation in scene.files.keys() {
                    self.remove(&self.log(scene, *generation));
                }
            }
            Accident::LogRenamed(generation, to) => {
                let to = self.path().join(scene.naming.generation(to));
                self.rename(&self.log(scene, generation), &to);
            }
            Accident::CurrentNumbered => self.number_current(scene, 0),
            Accident::CurrentBeyond(beyond) => self.number_current(scene, beyond),
            Accident::LogsSwapped(one, other) => {
                let (one, other) = (self.log(scene, one), self.log(scene, other));
                if let (Ok(a), Ok(b)) = (fs::read(&one), fs::read(&other)) {
                    write(&one, &b);
                    write(&other, &a);
                }
            }
            Accident::LogInSubfolder(generation) => {
                let log = self.log(scene, generation);
                let folder = self.path().join("inspector");
                fs::create_dir_all(&folder).expect("a temporary folder is writable");
                let name = log.file_name().expect("a log has a name");
                self.rename(&log, &folder.join(name));
            }
            Accident::LogCut(generation, length) => {
                edit(&self.log(scene, generation), |bytes| bytes.truncate(length));
            }
            Accident::LogGrown(generation) => {
                edit(&self.log(scene, generation), |bytes| {
                    bytes.resize(bytes.len() + SEGMENT_SIZE, 0);
                });
            }
            Accident::LogEmpty(generation) => {
                edit(&self.log(scene, generation), Vec::clear);
            }
            Accident::LogZeroes(generation) => {
                edit(&self.log(scene, generation), |bytes| bytes.fill(0));
            }
            Accident::TailZeroed(generation, block) => {
                edit(&self.log(scene, generation), |bytes| {
                    let start = (block * SEGMENT_SIZE).min(bytes.len());
                    bytes[start..].fill(0);
                });
            }
            Accident::SegmentZeroed(generation, block) => {
                edit(&self.log(scene, generation), |bytes| {
                    let start = (block * SEGMENT_SIZE).min(bytes.len());
                    let end = (start + SEGMENT_SIZE).min(bytes.len());
                    bytes[start..end].fill(0);
                });
            }
            Accident::BodyFlipped(generation, at, count) => {
                edit(&self.log(scene, generation), |bytes| {
                    for index in 0..count {
                        if let Some(byte) = bytes.get_mut(at + 97 * index) {
                            *byte ^= 8;
                        }
                    }
                });
            }
            Accident::HeaderFlipped(generation) => {
                edit(&self.log(scene, generation), |bytes| {
                    if let Some(byte) = bytes.get_mut(20) {
                        *byte ^= 8;
                    }
                });
            }
            Accident::TailOfAnother(generation, other, block) => {
                let other = fs::read(&scene.files[&other].path).expect("a fixture can be read");
                edit(&self.log(scene, generation), |bytes| {
                    let start = (block * SEGMENT_SIZE).min(bytes.len()).min(other.len());
                    let end = bytes.len().min(other.len());
                    bytes[start..end].copy_from_slice(&other[start..end]);
                });
            }
            Accident::LogDuplicated(generation, other) => {
                let other = fs::read(&scene.files[&other].path).expect("a fixture can be read");
                write(&self.log(scene, generation), &other);
            }
            Accident::ClosedAsCurrent => {
                let closed = scene.files.keys().rev().nth(1);
                let closed = closed.expect("there is a closed log");
                let current = self.path().join(scene.naming.current());
                if let Ok(bytes) = fs::read(self.log(scene, *closed)) {
                    write(&current, &bytes);
                }
            }
            Accident::TemporaryAsCurrent => {
                let current = self.path().join(scene.naming.current());
                if let Some(temporary) = self.of_role(FileRole::Temporary) {
                    self.rename(&temporary, &current);
                }
            }
            Accident::CurrentTwice => {
                if let Some(current) = scene.current {
                    let to = self.path().join(scene.naming.generation(current));
                    if let Ok(bytes) = fs::read(self.log(scene, current)) {
                        write(&to, &bytes);
                    }
                }
            }
            Accident::LogForeign(generation) => {
                let own = scene.files[&generation].path.clone();
                let bytes = fs::read(foreign_log(&own, generation)).expect("a fixture");
                write(&self.log(scene, generation), &bytes);
            }
            Accident::SecondStream => {
                let donor = foreign_state(&scene.logs);
                let files = StreamFiles::find(&donor, None).expect("a set has a stream");
                for file in files.in_order() {
                    let name = format!("{SECOND_BASE}{}", &file.name()[3..]);
                    let bytes = fs::read(&file.path).expect("a fixture can be read");
                    write(&self.path().join(name), &bytes);
                }
            }
            Accident::VersionChanged(generation, major, minor) => {
                edit(&self.log(scene, generation), |bytes| {
                    if bytes.len() >= HEADER_SIZE {
                        LittleEndian::write_u32(&mut bytes[UPDATE_MAJOR..], major);
                        LittleEndian::write_u32(&mut bytes[UPDATE_MINOR..], minor);
                        seal_header(bytes);
                    }
                });
            }
            Accident::Rebased => {
                OTHER_BASE.clone_into(&mut self.base);
                for (path, name) in self.of_stream() {
                    let to = format!("{OTHER_BASE}{}", &name[3..]);
                    self.rename(&path, &self.path().join(to));
                }
            }
            Accident::MixedCase => {
                for (index, (path, name)) in self.of_stream().into_iter().enumerate() {
                    let to = match index % 2 {
                        0 => name.to_lowercase(),
                        _ => name.to_uppercase(),
                    };
                    self.rename(&path, &self.path().join(to));
                }
            }
            Accident::Rubbish => self.add_rubbish(scene),
            Accident::CheckpointRemoved => {
                if let Some(checkpoint) = self.of_role(FileRole::Checkpoint) {
                    self.remove(&checkpoint);
                }
            }
            Accident::CheckpointForeign => {
                let donor = foreign_state(&scene.logs);
                let files = StreamFiles::find(&donor, None).expect("a set has a stream");
                let foreign = files.checkpoints.first();
                if let (Some(checkpoint), Some(foreign)) =
                    (self.of_role(FileRole::Checkpoint), foreign)
                {
                    let bytes = fs::read(&foreign.path).expect("a fixture can be read");
                    write(&checkpoint, &bytes);
                }
            }
            Accident::CheckpointMoved(generation) => self.move_checkpoint(scene, generation),
            Accident::CheckpointDamaged(copies) => {
                if let Some(checkpoint) = self.of_role(FileRole::Checkpoint) {
                    damage(&checkpoint, copies, HEADER_SIZE, 300);
                }
            }
            Accident::DatabaseHeaderDamaged(at, copies) => {
                if let Some((path, given)) = self.databases.get(at) {
                    damage(path, copies, given.header.page_size() as usize, 60);
                }
            }
            Accident::DatabaseMissing(at) => {
                if self.databases.len() > 1 && at < self.databases.len() {
                    let (path, _) = self.databases.remove(at);
                    self.remove(&path);
                }
            }
            Accident::FlushMapsRemoved => {
                for path in files_in(self.path()) {
                    if path.extension().is_some_and(|end| end == "jfm") {
                        self.remove(&path);
                    }
                }
            }
        }
    }

    /// Where the log of a generation of the scene is, if nothing happened to its name.
    fn log(&self, scene: &Scene, generation: Generation) -> PathBuf {
        let name = match scene.current == Some(generation) {
            true => scene.naming.current(),
            false => scene.naming.generation(generation),
        };
        self.path().join(name)
    }

    fn number_current(&self, scene: &Scene, beyond: u32) {
        if let Some(current) = scene.current {
            let number = Generation(current.0 + beyond);
            let to = self.path().join(scene.naming.generation(number));
            self.rename(&self.log(scene, current), &to);
        }
    }

    fn remove(&self, path: &Path) {
        let _ = fs::remove_file(path);
    }

    fn rename(&self, from: &Path, to: &Path) {
        let _ = fs::rename(from, to);
    }

    /// The files of the stream, with their names.
    fn of_stream(&self) -> Vec<(PathBuf, String)> {
        let files = files_in(self.path()).into_iter();
        let named = files.filter_map(|path| {
            let name = path.file_name()?.to_str()?.to_owned();
            let role = LogFileName::parse(&name)?;
            (role.base.len() == 3).then_some((path, name))
        });
        named.collect()
    }

    fn of_role(&self, role: FileRole) -> Option<PathBuf> {
        let mut files = self.of_stream().into_iter();
        let found =
            files.find(|(_, name)| LogFileName::parse(name).is_some_and(|name| name.role == role));
        found.map(|(path, _)| path)
    }

    fn move_checkpoint(&self, scene: &Scene, generation: Generation) {
        let Some(checkpoint) = self.of_role(FileRole::Checkpoint) else {
            return;
        };
        let header = fs::read(&scene.files[&generation].path).expect("a fixture can be read");
        let header = LogHeader::read(&header).expect("a whole header");
        let first = Lgpos::new(generation.0, header.as_read().header_sectors, 0);
        edit(&checkpoint, |bytes| {
            for copy in bytes.chunks_exact_mut(HEADER_SIZE) {
                for at in CHECKPOINT {
                    copy[at..at + Lgpos::SIZE].copy_from_slice(&first.to_bytes());
                }
                seal_header(copy);
            }
        });
    }

    /// What collectors and people leave beside logs: copies under other names, and files that are none.
    fn add_rubbish(&self, scene: &Scene) {
        let generation = scene.newest();
        let name = scene.naming.generation(generation);
        let bytes = fs::read(&scene.files[&generation].path).expect("a fixture can be read");
        let stem = name.split('.').next().unwrap_or_default();
        for copy in [
            format!("{name}.bak"),
            format!("Copy of {name}"),
            format!("{stem} (1).log"),
        ] {
            write(&self.path().join(copy), &bytes);
        }
        write(&self.path().join("desktop.ini"), b"x");
        let index = format!("{}.idx", scene.naming.current());
        write(&self.path().join(index), b"{\"ranges\":[]}");
    }
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("a temporary folder is writable");
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    if let Ok(mut bytes) = fs::read(path) {
        change(&mut bytes);
        write(path, &bytes);
    }
}

fn damage(path: &Path, copies: Copies, size: usize, at: usize) {
    edit(path, |bytes| {
        let both = bytes.chunks_exact_mut(size).take(2).enumerate();
        for (index, copy) in both {
            let hit = match copies {
                Copies::First => index == 0,
                Copies::Second => index == 1,
                Copies::Both => true,
            };
            if hit {
                copy[at] ^= 8;
            }
        }
    });
}

/// Logs of all streams that are there: folder, generation and size of each.
static DONORS: LazyLock<Vec<(PathBuf, Generation, u64)>> = LazyLock::new(|| {
    let mut folders: Vec<PathBuf> = ["clean-p4k", "crash-p8k", "names8-log-p32k"]
        .map(|name| fixtures::testdata_set(name).join("state"))
        .into();
    let names = fixtures::engine_set_names();
    let sets = names.iter().map(|name| fixtures::engine_set(name));
    folders.extend(sets.map(|set| set.join("state")));
    let logs = folders.iter().flat_map(|folder| files_in(folder));
    let logs = logs.filter_map(|path| {
        let name = path.file_name()?.to_str().and_then(LogFileName::parse)?;
        let FileRole::Generation { generation, .. } = name.role else {
            return None;
        };
        let size = fs::metadata(&path).ok()?.len();
        Some((path, generation, size))
    });
    logs.collect()
});

/// Whether both files are of one set, or of sets of one name.
fn same_set(one: &Path, other: &Path) -> bool {
    let set = |path: &Path| path.parent()?.parent()?.file_name().map(ToOwned::to_owned);
    set(one) == set(other)
}

/// A log of another stream, of this generation and size if there is one.
fn foreign_log(own: &Path, generation: Generation) -> PathBuf {
    let size = fs::metadata(own).expect("a fixture is there").len();
    let others = || DONORS.iter().filter(|(path, ..)| !same_set(path, own));
    let twin = others().find(|(_, found, bytes)| (*found, *bytes) == (generation, size));
    let found = twin.or_else(|| others().find(|(_, _, bytes)| *bytes == size));
    let found = found.or_else(|| others().next());
    found.expect("there is more than one set").0.clone()
}

/// The folder of another stream, of another signature.
fn foreign_state(own: &Path) -> PathBuf {
    let signature = |folder: &Path| StreamFiles::find(folder, None).ok()?.signature();
    let own_signature = signature(own);
    let own = own.join("log");
    let folders = DONORS.iter().filter(|(path, ..)| !same_set(path, &own));
    let mut folders = folders.filter_map(|(path, ..)| path.parent());
    let found = folders.find(|folder| signature(folder) != own_signature);
    found.expect("there is more than one set").to_owned()
}
