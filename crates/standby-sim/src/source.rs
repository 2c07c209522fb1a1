//! The server that is copied: a folder of logs that its engine writes, and what goes wrong with it and on the way to it.

use crate::engine::{Stream, checkpoint, clean_database, streams};
use ese_format::Generation;
use ese_format::database::HeaderCopies;
use ese_format::log::CheckpointFile;
use ese_log::LogError;
use ese_testkit::fixtures;
use ese_testkit::random::Random;
use evidence::EvidenceError;
use standby::source::{FetchError, FolderSource, Listing, LogSource};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Base name of the stream.
pub const BASE_NAME: &str = "edb";
/// Records in the database's first log that are there before anybody works.
const FIRST_RECORDS: usize = 8;

/// What is wrong on the way to the source, as long as it is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing can be reached.
    Unreachable,
    /// Logs can be listed and not read: another program has them locked.
    Locked,
    /// The link is cut in the middle of a log.
    Cut,
    /// Only the first half of a log arrives, and the rest is blank.
    Half,
    /// A byte changes on the way.
    Changed,
}

impl Fault {
    const ALL: [Fault; 5] = [
        Fault::Unreachable,
        Fault::Locked,
        Fault::Cut,
        Fault::Half,
        Fault::Changed,
    ];

    /// Any of them.
    pub fn any(random: &mut Random) -> Self {
        Self::ALL[random.below(Self::ALL.len())]
    }
}

/// What is wrong now, known to all who read the source.
pub type Switch = Arc<Mutex<Option<Fault>>>;

/// The server.
pub struct Server {
    folder: PathBuf,
    /// What its engine writes.
    pub stream: Arc<Stream>,
    /// How much of it is written.
    pub records: usize,
    /// Closed logs that are there.
    closed: BTreeSet<Generation>,
    /// Closed logs that are damaged there.
    pub damaged: BTreeSet<Generation>,
    /// What is wrong on the way to it.
    pub fault: Switch,
    /// Whether faults have stopped.
    pub is_ending: bool,
}

impl Server {
    /// A server in this folder, on which nobody has worked yet.
    pub fn new(folder: &Path, random: &mut Random) -> Self {
        fs::create_dir_all(folder).expect("a folder can be made");
        let roots: Vec<&Arc<Stream>> = streams()
            .iter()
            .filter(|stream| stream.leaves.is_none())
            .collect();
        let mut server = Server {
            folder: folder.to_owned(),
            stream: Arc::clone(roots[random.below(roots.len())]),
            records: FIRST_RECORDS,
            closed: BTreeSet::new(),
            damaged: BTreeSet::new(),
            fault: Switch::default(),
            is_ending: false,
        };
        server.show();
        fs::write(server.database(), clean_database()).expect("a file can be written");
        server
    }

    /// Where its logs are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its database.
    pub fn database(&self) -> PathBuf {
        self.folder.join("db.edb")
    }

    /// The log that it writes to.
    pub fn current(&self) -> Generation {
        self.stream.generation_at(self.records)
    }

    /// Closed logs that are there.
    pub fn closed(&self) -> &BTreeSet<Generation> {
        &self.closed
    }

    /// Where a closed log is.
    pub fn path(&self, generation: Generation) -> PathBuf {
        self.folder.join(format!("edb{:05X}.log", generation.0))
    }

    /// People work: so many records more. The end of the stream is kept for what comes after the faults.
    pub fn work(&mut self, records: usize) {
        let most = self.stream.records() * 3 / 4;
        let most = if self.is_ending {
            self.stream.records()
        } else {
            most
        };
        let before = self.current();
        self.records = (self.records + records).min(most).max(self.records);
        for generation in before.0..self.current().0 {
            self.closed.insert(Generation(generation));
        }
        self.show();
    }

    /// Writes what is there into the folder.
    fn show(&mut self) {
        let current = self.current();
        for generation in &self.closed {
            let path = self.path(*generation);
            if !path.exists() {
                let log = self.stream.log(*generation).expect("a log of the stream");
                fs::write(path, &log.bytes).expect("a log can be written");
            }
        }
        let log = self.stream.log(current).expect("a log of the stream");
        fs::write(self.folder.join("edb.log"), log.begun(self.records))
            .expect("a log can be written");
    }

    /// Writes the database as it is on its disk, and a checkpoint, and gives the generation of that.
    pub fn flush(&self) -> Generation {
        let database = self.stream.database(self.records);
        let needed = first_needed(&database);
        fs::write(self.database(), &database).expect("a file can be written");
        fs::write(self.folder.join("edb.chk"), checkpoint(needed)).expect("a file can be written");
        needed
    }

    /// Where its checkpoint file stands, if it has one.
    pub fn checkpoint(&self) -> Option<Generation> {
        let file = fs::read(self.folder.join("edb.chk")).ok()?;
        let copies = CheckpointFile::read(&file);
        let (checkpoint, _) = copies.current().ok()?;
        Some(checkpoint.checkpoint.generation)
    }

    /// The first log that its database needs.
    fn needed(&self) -> Generation {
        first_needed(&self.stream.database(self.records))
    }

    /// Circular logging: what is below the checkpoint goes.
    pub fn delete_below(&mut self, checkpoint: Generation) {
        let going: Vec<Generation> = self.closed.range(..checkpoint).copied().collect();
        for generation in going {
            let _ = fs::remove_file(self.path(generation));
            self.closed.remove(&generation);
            self.damaged.remove(&generation);
        }
    }

    /// Takes note of logs that others deleted, and gives them.
    pub fn deleted(&mut self) -> Vec<Generation> {
        let gone: Vec<Generation> = self
            .closed
            .iter()
            .copied()
            .filter(|generation| !self.path(*generation).exists())
            .collect();
        for generation in &gone {
            self.closed.remove(generation);
            self.damaged.remove(generation);
        }
        gone
    }

    /// Loses the newest work and goes another way, as after a lossy failover or when an older state of the volume was put
    /// back. Nothing happens where no other stream leaves this one.
    pub fn lose(&mut self, random: &mut Random) -> bool {
        let leaving = streams().iter().filter(|stream| {
            stream
                .leaves
                .is_some_and(|(from, at)| from == self.stream.number && at <= self.records)
        });
        let ways: Vec<&Arc<Stream>> = leaving.collect();
        if ways.is_empty() {
            return false;
        }
        let way = Arc::clone(ways[random.below(ways.len())]);
        let (_, at) = way.leaves.expect("it leaves the other one");
        let current = way.generation_at(at);
        for generation in current.0..=self.current().0 {
            let _ = fs::remove_file(self.path(Generation(generation)));
            self.closed.remove(&Generation(generation));
            self.damaged.remove(&Generation(generation));
        }
        (self.stream, self.records) = (way, at + 1);
        // What its database needs then is there again.
        let needed = self.needed();
        let back = (needed.0..self.current().0).map(Generation);
        self.closed.extend(back);
        self.show();
        // The checkpoint file may be that of the work that was lost.
        if self.checkpoint() <= Some(self.current()) || random.below(2) == 0 {
            self.flush();
        }
        true
    }

    /// Every file that is there, in whatever folder.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let files = fixtures::files_below(&self.folder).into_iter();
        files
            .map(|path| {
                let bytes = fs::read(&path).expect("a file can be read");
                (path, bytes)
            })
            .collect()
    }

    /// Makes the folder what its engine had made of it.
    pub fn put_back(&mut self) {
        fs::remove_dir_all(&self.folder).expect("a folder can be removed");
        fs::create_dir_all(&self.folder).expect("a folder can be made");
        self.damaged.clear();
        self.show();
        self.flush();
    }

    /// Damages a closed log on its disk.
    pub fn damage(&mut self, generation: Generation, random: &mut Random) {
        let path = self.path(generation);
        let Ok(mut bytes) = fs::read(&path) else {
            return;
        };
        // Of the last block a copy stands after it, which an engine takes instead.
        let end = self.stream.log(generation).expect("its log").end - 4096;
        let Some(room) = end.checked_sub(4096).filter(|room| *room > 0) else {
            return;
        };
        let at = 4096 + random.below(room);
        // No pattern that a checksum may not see when it is there twice.
        for (place, byte) in bytes[..end].iter_mut().enumerate().skip(at).take(3) {
            *byte ^= ((place * place) >> 5) as u8 | 1;
        }
        fs::write(path, bytes).expect("a log can be written");
        self.damaged.insert(generation);
    }

    /// Puts damaged logs right.
    pub fn repair(&mut self) {
        for generation in std::mem::take(&mut self.damaged) {
            let log = self.stream.log(generation).expect("a log of the stream");
            fs::write(self.path(generation), &log.bytes).expect("a log can be written");
        }
    }

    /// Every log that is there, by its name, as its engine wrote it.
    pub fn logs(&self) -> BTreeMap<Generation, &[u8]> {
        let whole = self.closed.iter().filter_map(|generation| {
            let log = self.stream.log(*generation)?;
            Some((*generation, &log.bytes[..]))
        });
        whole.collect()
    }

    /// How it is reached.
    pub fn reached(&self) -> Box<dyn LogSource> {
        Box::new(FaultySource {
            inner: FolderSource::new(&self.folder, BASE_NAME),
            fault: Arc::clone(&self.fault),
        })
    }

    /// Sets what is wrong on the way.
    pub fn set_fault(&self, fault: Option<Fault>) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }
}

fn first_needed(database: &[u8]) -> Generation {
    let copies = HeaderCopies::read(database);
    copies.good().expect("an intact header").fields.min_required
}

/// A source over a way on which things go wrong.
pub struct FaultySource {
    /// The source itself.
    pub inner: FolderSource,
    /// What is wrong.
    pub fault: Switch,
}

impl FaultySource {
    fn fault(&self) -> Option<Fault> {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogSource for FaultySource {
    fn list(&self) -> Result<Listing, LogError> {
        match self.fault() {
            Some(Fault::Unreachable) => Err(LogError::Io {
                path: "source".into(),
                source: io::ErrorKind::HostUnreachable.into(),
            }),
            _ => self.inner.list(),
        }
    }

    fn start(&self, path: &Path, most: usize) -> Option<Vec<u8>> {
        match self.fault() {
            Some(Fault::Unreachable | Fault::Locked) => None,
            _ => self.inner.start(path, most),
        }
    }

    fn fetch(&self, path: &Path, to: &mut dyn Write) -> Result<u64, FetchError> {
        let broken = |kind: io::ErrorKind| {
            let path = path.to_owned();
            let source = kind.into();
            Err(FetchError::Source(EvidenceError::Io { path, source }))
        };
        // Nothing shows of the newest log whether its end is there.
        let is_current = path.ends_with("edb.log");
        let fault = self.fault();
        let fault = fault.filter(|fault| *fault != Fault::Half || !is_current);
        let mut log = Vec::new();
        match fault {
            None => return self.inner.fetch(path, to),
            Some(Fault::Unreachable) => return broken(io::ErrorKind::HostUnreachable),
            Some(Fault::Locked) => return broken(io::ErrorKind::PermissionDenied),
            Some(Fault::Cut | Fault::Half | Fault::Changed) => {
                self.inner.fetch(path, &mut log)?;
            }
        }
        let half = log.len() / 2;
        match fault {
            Some(Fault::Half) => log[half..].fill(0),
            Some(Fault::Changed) => log[half / 2 + 5] ^= 0x7b,
            _ => log.truncate(half),
        }
        to.write_all(&log)
            .map_err(|source| FetchError::Target { source })?;
        match fault {
            Some(Fault::Cut) => broken(io::ErrorKind::ConnectionReset),
            _ => Ok(log.len() as u64),
        }
    }
}
