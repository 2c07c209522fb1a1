//! The state of a copy: one file, replaced as a whole, and two locks.
//!
//! | file | what |
//! |---|---|
//! | `NAME.json` | the state, `edbkit.scr-state/1` |
//! | `NAME.lock` | held while the state is changed, for moments |
//! | `NAME.service` | held by the process that serves the copy, as long as it runs |
//!
//! The state remembers only what files cannot say: orders of the administrator, trouble, and times. The log folder
//! shows which logs are there, and the header of the database how far it is. So nothing is wrong when a process dies
//! between a change of a file and the change of the state: the next pass sees the file.

use crate::activation_report::ActivateReport;
use crate::clock::{Clock, age};
use crate::error::{StandbyError, at};
use crate::lag::Lag;
use crate::own_files::OwnFiles;
use crate::proofs::Proofs;
pub use crate::trouble::{Jet, Trouble, TroubleKind};
use crate::unreplayed::UnreplayedWork;
use ese_format::Generation;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Debug, Formatter};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use target_disk::{Disk, DiskFile, SharedDisk};

/// How long a look at a lock may take.
const A_MOMENT: Duration = Duration::from_millis(500);
const SCHEMA: &str = "edbkit.scr-state/1";
/// Longest state that is read; those that are written have kilobytes.
const MAX_LENGTH: u64 = 1 << 26;

/// What is remembered of a copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyState {
    schema: String,
    /// Since when an administrator wants it to rest, and why.
    pub suspended: Option<Suspension>,
    /// What keeps logs from coming.
    pub trouble: Option<Trouble>,
    /// What keeps logs from being replayed.
    #[serde(default)]
    pub replay_trouble: Option<Trouble>,
    /// What is wrong at the source though its closed logs come: its last work could not be had.
    #[serde(default)]
    pub source_trouble: Option<Trouble>,
    /// Since when the service has found the database missing or of no use.
    #[serde(default)]
    pub database_trouble_since: Option<Timestamp>,
    /// The seeding under way.
    #[serde(default)]
    pub seeding: Option<Seeding>,
    /// Logs that the source has lost and written anew, and that are being fetched again.
    #[serde(default)]
    pub resync: Option<Resync>,
    /// The activation, begun or done: the copy is not served any more.
    #[serde(default)]
    pub activation: Option<Activation>,
    /// The failback under way.
    #[serde(default)]
    pub failback: Option<Failback>,
    /// The newest closed log that was seen at the source.
    pub generated: Option<ReachedLog>,
    /// Closed logs of this stream that were at the source and not here.
    #[serde(default)]
    pub queued: Option<u32>,
    /// The newest log that was fetched.
    pub copied: Option<ReachedLog>,
    /// The newest log of the unbroken chain in the log folder.
    pub inspected: Option<ReachedLog>,
    /// The newest log that was replayed to its end.
    pub replayed: Option<ReachedLog>,
    /// When logs were replayed: up to which one, and the time; as fine as the truncation lag needs it.
    #[serde(default)]
    replay_times: Vec<ReachedLog>,
    /// The oldest log of the chain in the log folder.
    pub oldest: Option<Generation>,
    /// The newest log at the source that all its copies have inspected.
    #[serde(default)]
    pub truncatable: Option<Generation>,
    /// What the next log is waited for, in words.
    pub waits: Option<String>,
    /// What replay waits for, in words.
    #[serde(default)]
    pub replay_waits: Option<String>,
    /// When the service last looked after the copy.
    pub served: Option<Timestamp>,
    /// Whether that was one that looks once and ends.
    #[serde(default)]
    pub served_once: bool,
    /// What this copy has made at its target.
    #[serde(default)]
    pub made: OwnFiles,
    /// Whether the logs that came were whole, as far as the logs after them showed.
    #[serde(default)]
    pub proofs: Proofs,
}

/// How far something came, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReachedLog {
    /// The generation.
    pub generation: Generation,
    /// When that was.
    pub at: Timestamp,
}

/// An order to rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub comment: Option<String>,
}

/// A seeding under way: the database is being copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seeding {
    /// Since when.
    pub since: Timestamp,
    /// The database that it is copied from.
    pub from: PathBuf,
    /// Whether old logs are removed first.
    pub delete_existing: bool,
    /// Whether what an older copy left is removed.
    pub cleared: bool,
    /// Bytes that have arrived.
    pub arrived: u64,
    /// Bytes of the database.
    pub length: u64,
}

/// An incremental resynchronization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resync {
    /// The first generation that differs.
    pub first: Generation,
    /// The newest one that the copy had.
    pub last: Generation,
    /// When the divergence was found.
    pub since: Timestamp,
    /// Where the logs are now that the source has lost: they may hold what it lost.
    pub kept_in: PathBuf,
}

/// An activation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activation {
    /// When it was begun.
    pub begun: Timestamp,
    /// When the database was proved to be clean; none as long as it is not.
    pub finished: Option<Timestamp>,
    /// Where the database was.
    pub from: PathBuf,
    /// Where the activated database is, or will be.
    pub database: PathBuf,
    /// What was found out before the database was changed.
    pub found: Option<ActivationFacts>,
}

/// A failback under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failback {
    /// Since when; what is put aside goes into a folder of this time.
    pub since: Timestamp,
    /// What the first server still had, as it was found when the failback was begun.
    pub beyond: Option<UnreplayedWork>,
}

/// What an activation found out before it changed the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivationFacts {
    /// The signature of the database.
    pub signature: String,
    /// The signature of the log stream that was copied.
    #[serde(default)]
    pub stream: Option<String>,
    /// Where it was last consistent, if it was clean.
    pub clean_at: Option<String>,
    /// The answer, as far as it was known.
    pub report: ActivateReport,
}

impl CopyState {
    /// What keeps the copy from going on: the first thing that makes it Failed, or else whatever is tried again.
    pub fn worst_trouble(&self) -> Option<&Trouble> {
        let all = [&self.trouble, &self.replay_trouble, &self.source_trouble];
        let all = || all.into_iter().flatten();
        all().find(|trouble| trouble.is_final()).or(all().next())
    }

    /// The state of a copy that begins anew: what it has made stays its own.
    pub(crate) fn anew(&self) -> CopyState {
        CopyState {
            made: self.made.clone(),
            ..CopyState::default()
        }
    }

    /// Notes that logs were replayed.
    pub(crate) fn note_replayed(&mut self, reached: ReachedLog, truncation_lag: Lag) {
        /// Parts of the lag that are distinguished.
        const PARTS: i32 = 256;
        let times = &mut self.replay_times;
        times.retain(|time| time.generation < reached.generation);
        // A time may be taken for a later one: then logs stay longer, never shorter.
        let over = |time: &ReachedLog| age(time.at, reached.at) >= truncation_lag.duration();
        let first_young = times.iter().position(|time| !over(time));
        let old = first_young.unwrap_or(times.len()).saturating_sub(1);
        times.drain(..old);
        if let [.., before, _] = &times[..]
            && age(before.at, reached.at) < truncation_lag.duration() / PARTS
        {
            times.pop();
        }
        times.push(reached);
        self.replayed = Some(reached);
    }

    /// When the log of this generation was replayed to its end, at the latest.
    pub(crate) fn replayed_at(&self, generation: Generation) -> Option<Timestamp> {
        let mut times = self.replay_times.iter().chain(&self.replayed);
        times
            .find(|time| time.generation >= generation)
            .map(|time| time.at)
    }

    /// Forgets logs up to this one, which are gone.
    pub(crate) fn forget_through(&mut self, last: Generation) {
        self.made.forget(Generation(0)..=last);
        self.proofs.forget_proved_through(last);
        self.replay_times.retain(|time| time.generation > last);
    }

    /// Whether the service leaves the copy alone: it is being seeded or was activated.
    pub fn is_out_of_service(&self) -> bool {
        self.seeding.is_some() || self.activation.is_some()
    }
}

impl Default for CopyState {
    fn default() -> Self {
        CopyState {
            schema: SCHEMA.to_owned(),
            suspended: None,
            trouble: None,
            replay_trouble: None,
            source_trouble: None,
            database_trouble_since: None,
            seeding: None,
            resync: None,
            activation: None,
            failback: None,
            generated: None,
            queued: None,
            copied: None,
            inspected: None,
            replayed: None,
            replay_times: Vec::new(),
            oldest: None,
            truncatable: None,
            waits: None,
            replay_waits: None,
            served: None,
            served_once: false,
            made: OwnFiles::default(),
            proofs: Proofs::default(),
        }
    }
}

/// The files of one copy's state, and the disk that this copy writes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateFile {
    disk: SharedDisk,
    folder: PathBuf,
    name: String,
}

/// Held by the process that serves a copy; given back when it is dropped or the process ends.
pub struct ServiceLock {
    _file: Box<dyn DiskFile>,
}

impl Debug for ServiceLock {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("ServiceLock")
    }
}

impl StateFile {
    /// The state `name` in `folder` of `disk`.
    pub fn new(disk: &SharedDisk, folder: &Path, name: String) -> Self {
        StateFile {
            disk: disk.clone(),
            folder: folder.to_owned(),
            name,
        }
    }

    /// The disk that the copy writes to.
    pub(crate) fn disk(&self) -> &SharedDisk {
        &self.disk
    }

    /// The name of the copy, as its files have it.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn file(&self, extension: &str) -> PathBuf {
        self.folder.join(format!("{}.{extension}", self.name))
    }

    /// The state as it is; the first one if there is none yet.
    pub fn read(&self) -> Result<CopyState, StandbyError> {
        let path = self.file("json");
        let bytes = match self.disk.read(&path, MAX_LENGTH) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(CopyState::default());
            }
            Err(error) => return Err(at(&path)(error)),
        };
        let unknown = |problem: String| StandbyError::State {
            path: path.clone(),
            problem,
        };
        let state: CopyState =
            serde_json::from_slice(&bytes).map_err(|error| unknown(error.to_string()))?;
        if state.schema != SCHEMA {
            return Err(unknown(format!("it is {:?}, not {SCHEMA:?}", state.schema)));
        }
        Ok(state)
    }

    /// Changes the state, alone, and replaces the file if there is a change. Gives the new state.
    pub fn update(&self, change: impl FnOnce(&mut CopyState)) -> Result<CopyState, StandbyError> {
        let path = self.file("lock");
        let lock = self.open_lock(&path)?;
        lock.lock().map_err(at(&path))?;
        let before = self.read()?;
        let mut state = before.clone();
        change(&mut state);
        let path = self.file("json");
        if state != before || !self.disk.exists(&path).map_err(at(&path))? {
            let mut bytes = serde_json::to_vec_pretty(&state).unwrap_or_default();
            bytes.push(b'\n');
            replace_file(&*self.disk, &path, &bytes)?;
        }
        Ok(state)
    }

    /// Takes the copy for this process alone.
    pub fn serve(&self, clock: &dyn Clock) -> Result<ServiceLock, StandbyError> {
        self.serve_within(A_MOMENT, clock)
    }

    /// Whether a process serves the copy now.
    pub fn is_locked(&self) -> bool {
        self.disk.is_locked(&self.file("service")).unwrap_or(false)
    }

    /// Takes the copy for this process alone, once a service that has it lets go of it: a service does so before its
    /// next pass when the state or the configuration says so.
    pub fn serve_within(
        &self,
        patience: Duration,
        clock: &dyn Clock,
    ) -> Result<ServiceLock, StandbyError> {
        let path = self.file("service");
        let file = self.open_lock(&path)?;
        let mut waited = Duration::ZERO;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(ServiceLock { _file: file }),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                    return Err(at(&path)(error));
                }
                Err(_) if waited < patience => {
                    // Who asks for the status holds it for a moment; a service, for a while.
                    let pause = match waited < A_MOMENT {
                        true => Duration::from_millis(5),
                        false => Duration::from_millis(50),
                    };
                    clock.rest(pause);
                    waited += pause;
                }
                Err(_) => {
                    return Err(StandbyError::Served {
                        name: self.name.clone(),
                        lock: path,
                    });
                }
            }
        }
    }

    /// Forgets the state but for what the copy has made, which stays its own if it is enabled again. The caller serves the
    /// copy. The locks stay: a lock that is removed while another process waits for it locks nothing.
    pub fn retire(&self, _service: ServiceLock) -> Result<(), StandbyError> {
        self.update(|state| *state = state.anew()).map(drop)
    }

    fn open_lock(&self, path: &Path) -> Result<Box<dyn DiskFile>, StandbyError> {
        let folder = &self.folder;
        self.disk.create_folders(folder).map_err(at(folder))?;
        self.disk.open_or_create(path).map_err(at(path))
    }
}

/// Replaces a file as a whole: readers and a crash see the old content or the new one.
pub(crate) fn replace_file(
    disk: &dyn Disk,
    path: &Path,
    content: &[u8],
) -> Result<(), StandbyError> {
    disk.replace(path, content, ".scr-").map_err(at(path))
}
