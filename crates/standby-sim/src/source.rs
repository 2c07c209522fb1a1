//! The server that is copied: a folder of logs that its engine writes, and what goes wrong with it and on the way to it.

use crate::clock::SimClock;
use crate::engine::{Stream, checkpoint, clean_database, streams};
use ese_format::Generation;
use ese_format::database::HeaderCopies;
use ese_format::log::CheckpointFile;
use ese_log::LogError;
use ese_testkit::fixtures;
use ese_testkit::random::Random;
use evidence::EvidenceError;
use jiff::{SignedDuration, Timestamp};
use standby::clock::Clock;
use standby::source::{FetchError, FolderSource, Listing, LogSource};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    /// All comes, and each answer takes minutes.
    Slow,
}

/// A list, the beginning of a log and a whole log over a slow link take less than so many seconds.
const SLOW_LIST: usize = 180;
const SLOW_START: usize = 60;
const SLOW_FETCH: usize = 1800;

impl Fault {
    const ALL: [Fault; 6] = [
        Fault::Unreachable,
        Fault::Locked,
        Fault::Cut,
        Fault::Half,
        Fault::Changed,
        Fault::Slow,
    ];

    /// Any of them.
    pub fn any(random: &mut Random) -> Self {
        Self::ALL[random.below(Self::ALL.len())]
    }

    /// Whether something does not come, or not as it is.
    pub fn is_trouble(self) -> bool {
        self != Fault::Slow
    }
}

/// The way to the source, the same for all who read it.
pub struct Way {
    fault: Mutex<Option<Fault>>,
    clock: Arc<SimClock>,
    delays: Mutex<Random>,
    /// When the last byte of each log came last, by the name of the copy and that of the log.
    came: Mutex<BTreeMap<(String, OsString), Timestamp>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Way {
    /// A way on which nothing is wrong.
    pub fn new(clock: &Arc<SimClock>, random: &mut Random) -> Self {
        Way {
            fault: Mutex::default(),
            clock: Arc::clone(clock),
            delays: Mutex::new(Random(random.number())),
            came: Mutex::default(),
        }
    }

    /// What is wrong on it.
    pub fn fault(&self) -> Option<Fault> {
        *lock(&self.fault)
    }

    /// When the last byte of a log came to a copy.
    pub fn came(&self, copy: &str, log: &OsStr) -> Option<Timestamp> {
        let key = (copy.to_owned(), log.to_owned());
        lock(&self.came).get(&key).copied()
    }

    /// Lets time pass if it is slow, less than so many seconds.
    fn delay(&self, most: usize) {
        if self.fault() == Some(Fault::Slow) {
            let seconds = lock(&self.delays).below(most);
            self.clock.delay(SignedDuration::from_secs(seconds as i64));
        }
    }
}

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
    /// The way to it.
    pub way: Arc<Way>,
    /// Whether faults have stopped.
    pub is_ending: bool,
}

impl Server {
    /// A server in this folder, on which nobody has worked yet.
    pub fn new(folder: &Path, clock: &Arc<SimClock>, random: &mut Random) -> Self {
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
            way: Arc::new(Way::new(clock, random)),
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

    /// Whether its database is mounted.
    pub fn is_mounted(&self) -> bool {
        self.stream.is_mounted(self.records)
    }

    /// The end of the stream is kept for what comes after the faults.
    fn most(&self) -> usize {
        match self.is_ending {
            true => self.stream.records(),
            false => self.stream.records() * 3 / 4,
        }
    }

    /// People work until its database is dismounted. Nothing happens at the end of the stream.
    pub fn dismount(&mut self) {
        let at = self.stream.dismounted_from(self.records);
        if let Some(at) = at.filter(|at| *at <= self.most()) {
            self.go_to(at);
            self.flush();
        }
    }

    /// Its database is mounted, unless it is.
    pub fn mount(&mut self) {
        if !self.is_mounted() {
            self.go_to(self.stream.mounted_from(self.records));
            self.show_database();
        }
    }

    /// People work: so many records more, and none while the database is dismounted.
    pub fn work(&mut self, records: usize) {
        if !self.is_mounted() {
            return;
        }
        let records = (self.records + records).min(self.most()).max(self.records);
        self.go_to(self.stream.mounted_from(records));
    }

    /// Writes the stream up to so many records.
    fn go_to(&mut self, records: usize) {
        let before = self.current();
        self.records = records;
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

    /// Writes the database as it is on its disk, and gives the first log that it needs.
    fn show_database(&self) -> Generation {
        let database = self.stream.database(self.records);
        fs::write(self.database(), &database).expect("a file can be written");
        first_needed(&database)
    }

    /// Writes the database as it is on its disk, and a checkpoint, and gives the generation of that.
    pub fn flush(&self) -> Generation {
        let needed = self.show_database();
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
        self.records = way.mounted_from(at + 1);
        self.stream = way;
        // What its database needs then is there again.
        let needed = self.needed();
        let back = (needed.0..self.current().0).map(Generation);
        self.closed.extend(back);
        self.show();
        self.show_database();
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

    /// How a copy of this name reaches it.
    pub fn reached(&self, copy: &str) -> Box<dyn LogSource> {
        Box::new(FaultySource {
            inner: FolderSource::new(&self.folder, BASE_NAME),
            way: Arc::clone(&self.way),
            copy: copy.to_owned(),
        })
    }

    /// Sets what is wrong on the way.
    pub fn set_fault(&self, fault: Option<Fault>) {
        *lock(&self.way.fault) = fault;
    }
}

fn first_needed(database: &[u8]) -> Generation {
    let copies = HeaderCopies::read(database);
    let header = &copies.good().expect("an intact header").fields;
    match header.state.needs_recovery() {
        true => header.min_required,
        false => header.last_consistent.generation,
    }
}

/// A source over a way on which things go wrong.
pub struct FaultySource {
    /// The source itself.
    pub inner: FolderSource,
    /// The way.
    pub way: Arc<Way>,
    /// The copy that reads it.
    pub copy: String,
}

impl LogSource for FaultySource {
    fn list(&self) -> Result<Listing, LogError> {
        self.way.delay(SLOW_LIST);
        match self.way.fault() {
            Some(Fault::Unreachable) => Err(LogError::Io {
                path: "source".into(),
                source: io::ErrorKind::HostUnreachable.into(),
            }),
            _ => self.inner.list(),
        }
    }

    fn start(&self, path: &Path, most: usize) -> Option<Vec<u8>> {
        self.way.delay(SLOW_START);
        match self.way.fault() {
            Some(Fault::Unreachable | Fault::Locked) => None,
            _ => self.inner.start(path, most),
        }
    }

    fn fetch(&self, path: &Path, to: &mut dyn Write) -> Result<u64, FetchError> {
        self.way.delay(SLOW_FETCH);
        let name = path.file_name().unwrap_or_default();
        let key = (self.copy.clone(), name.to_owned());
        lock(&self.way.came).insert(key, self.way.clock.now());
        let broken = |kind: io::ErrorKind| {
            let path = path.to_owned();
            let source = kind.into();
            Err(FetchError::Source(EvidenceError::Io { path, source }))
        };
        // Nothing shows of the newest log whether its end is there.
        let is_current = path.ends_with("edb.log");
        let fault = self.way.fault();
        let fault = fault.filter(|fault| *fault != Fault::Half || !is_current);
        let mut log = Vec::new();
        match fault {
            None | Some(Fault::Slow) => return self.inner.fetch(path, to),
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
