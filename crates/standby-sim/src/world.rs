//! A source, copies of it on another machine, the service there, and an operator.

use crate::clock::SimClock;
use crate::engine::streams;
use crate::source::{BASE_NAME, Fault, FaultySource, Server, Way};
use edb_copy::ReadPolicy;
use ese_format::Generation;
use ese_testkit::disk::{Call, FaultyDisk, MirroredDisk};
use ese_testkit::random::Random;
use evidence::Retry;
use jiff::{SignedDuration, Timestamp};
use standby::activate::{
    ActivateError, ActivateOptions, ActivateReport, activate, preview, take_back,
};
use standby::clock::Clock;
use standby::config::{Configuration, CopyConfig, Service, SourceConfig, TargetConfig, add_copy};
use standby::failback::{FailbackOptions, FailbackReport, failback};
use standby::lag::Lag;
use standby::seed::{SeedOptions, seed};
use standby::service::{Replaying, Shipping, statuses};
use standby::source::{FolderSource, LogSource};
use standby::state::{StateFile, Suspension};
use standby::status::CopyStatus;
use standby::{BringError, StandbyError};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use target_disk::{Disk, LocalDisk, SharedDisk};
use tempfile::TempDir;

/// Rounds of a service after which it must have come to rest.
const ROUNDS_MOST: usize = 200;

/// What a history found wrong, with what had happened before.
#[derive(Debug)]
pub struct Violation {
    /// The law that was broken, and how.
    pub what: String,
    /// The history, oldest event first.
    pub events: Vec<String>,
}

/// A copy, and what was seen of it.
pub struct Copy {
    /// Its configuration.
    pub config: CopyConfig,
    /// Whether it is configured.
    pub enabled: bool,
    /// Files of other people in its folders.
    pub strangers: BTreeMap<PathBuf, Vec<u8>>,
    /// Logs in its folder, and those that were there.
    pub logs: BTreeMap<Generation, SeenLog>,
    /// When each log was first seen to be replayed.
    pub replayed: BTreeMap<Generation, Timestamp>,
    /// The newest log that it had inspected at the last look.
    pub inspected: Option<Generation>,
    /// The first log that its seed needed.
    pub seeded_from: Option<Generation>,
    /// Where the source stood when an activation died, after which the database may have been recovered.
    pub died_at: Option<(usize, usize)>,
    /// Whether logs may be gone because somebody ordered that.
    pub may_lose_logs: bool,
    /// Whether it was disabled since the last look: then it was no copy, and the source kept nothing for it.
    pub was_disabled: bool,
}

/// A log in the folder of a copy.
pub struct SeenLog {
    /// What it holds.
    pub bytes: Vec<u8>,
    /// When it came, as its file says.
    pub at: Timestamp,
    /// Whether it is there still.
    pub is_there: bool,
}

/// The process of the service.
struct Process {
    shipping: Shipping,
    replaying: Replaying,
}

/// What the service and whoever waits for it share.
struct Machine {
    configuration: Configuration,
    process: Option<Process>,
    way: Arc<Way>,
    /// Whether its last round came to rest.
    at_rest: bool,
}

impl Machine {
    /// Rounds until there is nothing to do at once.
    fn serve(&mut self, clock: &SimClock) {
        let Some(process) = &mut self.process else {
            return;
        };
        let configuration = self.configuration.clone();
        let way = Arc::clone(&self.way);
        let connect = move |_: &Configuration, config: &CopyConfig| -> Box<dyn LogSource> {
            reach(config, &way)
        };
        self.at_rest = false;
        for _ in 0..ROUNDS_MOST {
            let shipped = process.shipping.round(&configuration, clock, &connect, &());
            let replayers = process.shipping.replayers();
            let replayed = process
                .replaying
                .round(&configuration, &replayers, clock, &());
            if !matches!(shipped, Ok(true)) && !matches!(replayed, Ok(true)) {
                self.at_rest = shipped.is_ok() && replayed.is_ok();
                return;
            }
        }
    }
}

/// All of it.
pub struct World {
    /// What decides.
    pub random: Random,
    /// The clock of the machine with the copies.
    pub clock: Arc<SimClock>,
    /// The server that is copied.
    pub server: Server,
    /// The copies.
    pub copies: Vec<Copy>,
    /// What happened.
    pub events: Vec<String>,
    /// Whether anything was wrong on the way to the source, or with the disk, since the service came to rest.
    pub is_troubled: bool,
    /// Whether a fault of the disk may come yet.
    pub is_endangered: bool,
    /// Whether the service deletes logs at the source.
    pub truncates_source: bool,
    disk: MirroredDisk,
    machine: Arc<Mutex<Machine>>,
    folder: TempDir,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn reach(config: &CopyConfig, way: &Arc<Way>) -> Box<dyn LogSource> {
    Box::new(FaultySource {
        inner: FolderSource::new(&config.source.logs, &config.source.base),
        way: Arc::clone(way),
        copy: config.name.clone(),
    })
}

/// A lag of some hours, or of none.
fn some_lag(random: &mut Random) -> Lag {
    let hours = [0, 0, 1, 12, 24, 72];
    Lag::from_seconds(3600 * hours[random.below(hours.len())])
}

impl World {
    /// A world in which nothing has happened yet.
    pub fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let folder = tempfile::Builder::new()
            .prefix("standby-sim")
            .tempdir()
            .expect("a temporary folder can be made");
        let start = Timestamp::from_second(1_800_000_000).expect("a time");
        let clock = Arc::new(SimClock::new(start));
        let server = Server::new(&folder.path().join("source"), &clock, &mut random);
        let target = folder.path().join("target");
        fs::create_dir_all(&target).expect("a folder can be made");
        let disk = MirroredDisk::of(&target, seed);
        let service = Service {
            kept_back: [0, 0, 2, 5][random.below(4)],
            ..Service::default()
        };
        let copies = (0..1 + random.below(2))
            .map(|number| {
                let config = configured(&server, &target, number, &mut random);
                Copy {
                    config,
                    enabled: true,
                    strangers: BTreeMap::new(),
                    logs: BTreeMap::new(),
                    replayed: BTreeMap::new(),
                    inspected: None,
                    seeded_from: None,
                    died_at: None,
                    may_lose_logs: false,
                    was_disabled: false,
                }
            })
            .collect::<Vec<_>>();
        let configuration = Configuration {
            state: target.join("state"),
            service,
            copies: copies.iter().map(|copy| copy.config.clone()).collect(),
            disk: SharedDisk::new(disk.clone()),
        };
        let machine = Machine {
            configuration,
            process: None,
            way: Arc::clone(&server.way),
            at_rest: false,
        };
        let machine = Arc::new(Mutex::new(machine));
        let served = Arc::clone(&machine);
        clock.set_meanwhile(move |clock| {
            if let Ok(mut machine) = served.try_lock() {
                machine.serve(clock);
            }
        });
        let truncates_source = random.below(4) == 0;
        World {
            random,
            clock,
            server,
            copies,
            events: Vec::new(),
            is_troubled: false,
            is_endangered: false,
            truncates_source,
            disk,
            machine,
            folder,
        }
    }

    /// Remembers what happens.
    pub fn note(&mut self, event: impl Into<String>) {
        let now = self.clock.now();
        self.events.push(format!("{now:.0} {}", event.into()));
    }

    /// Changes the configuration of the service and of every copy.
    pub fn configure(&mut self, change: impl Fn(&mut Service, &mut CopyConfig)) {
        let mut machine = lock(&self.machine);
        let configuration = &mut machine.configuration;
        for config in &mut configuration.copies {
            change(&mut configuration.service, config);
            let mut copies = self.copies.iter_mut();
            let copy = copies.find(|copy| copy.config.name == config.name);
            copy.expect("a copy of this world").config = config.clone();
        }
    }

    /// The disk of the machine with the copies.
    pub fn disk(&self) -> &FaultyDisk {
        self.disk.faulty()
    }

    /// The power is lost, and the machine comes up again with its service.
    pub fn lose_power(&mut self) {
        self.stop();
        self.disk.crash();
        self.start();
    }

    /// All processes were killed, and the machine starts its service.
    pub fn restart_machine(&mut self) {
        self.stop();
        self.disk.restart();
        self.start();
    }

    /// The configuration as it is now.
    pub fn configuration(&self) -> Configuration {
        lock(&self.machine).configuration.clone()
    }

    /// The state of a copy.
    pub fn state_of(&self, copy: usize) -> StateFile {
        let config = &self.copies[copy].config;
        lock(&self.machine).configuration.state_of(config)
    }

    /// How the configured copies stand.
    pub fn statuses(&self) -> Result<Vec<CopyStatus>, StandbyError> {
        let configuration = self.configuration();
        statuses(&configuration, &configuration.copies, self.clock.now())
    }

    /// Whether the service runs, and its last round came to rest.
    pub fn is_at_rest(&self) -> bool {
        let machine = lock(&self.machine);
        machine.process.is_some() && machine.at_rest
    }

    /// Whether the service runs.
    pub fn is_served(&self) -> bool {
        lock(&self.machine).process.is_some()
    }

    /// Starts the service, anew if it runs.
    pub fn start(&mut self) {
        let mut machine = lock(&self.machine);
        machine.process = None;
        machine.process = Some(Process {
            shipping: Shipping::new(),
            replaying: Replaying::new(self.truncates_source),
        });
    }

    /// Ends the service.
    pub fn stop(&mut self) {
        lock(&self.machine).process = None;
    }

    /// Lets the service do what it can do now.
    pub fn serve(&mut self) {
        lock(&self.machine).serve(&self.clock);
    }

    /// Lets time go by, also for the service.
    pub fn wait(&mut self, time: SignedDuration) {
        self.clock.advance(time);
        // A clock that goes back makes waits longer, and by how much is not said.
        let now = self.clock.now();
        for copy in &mut self.copies {
            for at in copy.replayed.values_mut() {
                *at = now.min(*at);
            }
        }
    }

    /// Sets what is wrong on the way to the source.
    pub fn set_fault(&mut self, fault: Option<Fault>) {
        self.is_troubled |= fault.is_some_and(Fault::is_trouble);
        self.server.set_fault(fault);
    }

    /// Every call of the disk takes seconds, some of them minutes, until it is fast again.
    pub fn slow_disk(&mut self) {
        let clock = Arc::clone(&self.clock);
        let mut delays = Random(self.random.number());
        self.disk.faulty().slow_down(move || {
            let seconds = match delays.below(64) {
                0 => delays.below(300),
                _ => delays.below(4),
            };
            clock.delay(SignedDuration::from_secs(seconds as i64));
        });
    }

    /// The power goes, the process is killed, or the disk has a fault, at some call from now on.
    pub fn endanger(&mut self) -> String {
        let faulty = self.disk.faulty();
        let calls = 1 + self.random.below(120) as u64;
        match self.random.below(6) {
            0 | 1 => {
                faulty.kill_after(calls);
                format!("at call {calls} all ends")
            }
            2 | 3 => {
                let call = Call::ALL[1 + self.random.below(5)];
                let number = 1 + self.random.below(12) as u64;
                faulty.kill_in(call, number);
                format!("at {call:?} {number} all ends")
            }
            4 => {
                faulty.fail_at(calls);
                format!("call {calls} fails")
            }
            _ => {
                faulty.full_after(calls);
                format!("the disk is full after call {calls}")
            }
        }
    }

    /// What came of that: who was killed is dead, and the machine may be up again.
    pub fn recover(&mut self) {
        self.is_troubled = true;
        self.is_endangered = false;
        if !self.disk.faulty().is_killed() {
            self.disk.faulty().calm();
            return;
        }
        let runs = self.is_served();
        self.stop();
        match self.random.below(2) {
            0 => {
                self.note("the process was killed");
                self.disk.restart();
            }
            _ => {
                self.note("the power was lost");
                self.disk.crash();
            }
        }
        if runs {
            self.start();
        }
    }

    /// `scr suspend`.
    pub fn suspend(&mut self, copy: usize) -> Result<(), StandbyError> {
        let since = self.clock.now();
        let order = Suspension {
            since,
            comment: None,
        };
        let update = |state: &mut standby::state::CopyState| state.suspended = Some(order);
        self.state_of(copy).update(update).map(drop)
    }

    /// `scr resume`.
    pub fn resume(&mut self, copy: usize) -> Result<(), StandbyError> {
        let state = self.state_of(copy);
        take_back(&state, &self.copies[copy].config.name)?;
        let change = |state: &mut standby::state::CopyState| {
            state.suspended = None;
            state.trouble = None;
            state.replay_trouble = None;
        };
        state.update(change).map(drop)
    }

    /// `scr update`, from a snapshot that is taken now.
    pub fn update(&mut self, copy: usize, delete_existing: bool) -> Result<(), BringError> {
        let snapshot = self.folder.path().join("snapshot.edb");
        self.server.flush();
        fs::copy(self.server.database(), &snapshot).expect("a file can be copied");
        self.update_from(copy, Some(snapshot), delete_existing)
    }

    /// `scr update`, from the database of the source itself unless another one is named.
    pub fn update_from(
        &mut self,
        copy: usize,
        from: Option<PathBuf>,
        delete_existing: bool,
    ) -> Result<(), BringError> {
        let needed = self.server.flush();
        let options = SeedOptions {
            from,
            delete_existing,
            manual_resume: false,
            not_in_use: false,
            read: ReadPolicy {
                retry: Retry {
                    retries: 0,
                    backoff: Duration::ZERO,
                },
                timeout: None,
                ..ReadPolicy::default()
            },
            variables: |_| None,
        };
        let configuration = self.configuration();
        let config = self.copies[copy].config.clone();
        self.copies[copy].may_lose_logs |= delete_existing;
        seed(&configuration, &config, &options, &*self.clock, &())?;
        self.copies[copy].seeded_from = Some(needed);
        Ok(())
    }

    /// `scr restore`, for real or not.
    pub fn restore(
        &mut self,
        copy: usize,
        options: &ActivateOptions,
        for_real: bool,
    ) -> Result<ActivateReport, ActivateError> {
        let configuration = self.configuration();
        let config = self.copies[copy].config.clone();
        let source = self.server.reached(&config.name);
        let clock = &*self.clock;
        match for_real {
            true => activate(&configuration, &config, source, options, clock, &()),
            false => preview(&configuration, &config, source, options, clock, &()),
        }
    }

    /// `scr failback --home`: the source's server is the active one again, and what was there is put aside. A database that
    /// was dismounted there needs no order.
    pub fn failback(&mut self, copy: usize) -> Result<FailbackReport, BringError> {
        let configuration = self.configuration();
        let config = self.copies[copy].config.clone();
        let path = self.folder.path().join("scr.toml");
        let text = format!("state = {:?}\n", configuration.state);
        fs::write(&path, text).expect("a file can be written");
        add_copy(&LocalDisk, &path, &config)?;
        let mut put_aside = vec![config.source.logs.clone()];
        if self.server.is_mounted() {
            put_aside.push(config.source.database.clone());
        }
        let options = FailbackOptions {
            home: true,
            put_aside,
            ..FailbackOptions::default()
        };
        let clock = &*self.clock;
        failback(&path, &configuration, &config, &options, clock, &())
    }

    /// `scr disable`.
    pub fn disable(&mut self, copy: usize) -> Result<(), StandbyError> {
        let state = self.state_of(copy);
        let name = self.copies[copy].config.name.clone();
        lock(&self.machine)
            .configuration
            .copies
            .retain(|config| config.name != name);
        self.copies[copy].enabled = false;
        let service = state.serve_within(Duration::from_secs(30), &*self.clock)?;
        state.retire(service)
    }

    /// `scr enable`, with the same folders.
    pub fn enable(&mut self, copy: usize) {
        let config = self.copies[copy].config.clone();
        self.copies[copy].enabled = true;
        lock(&self.machine).configuration.copies.push(config);
    }

    /// A file on the machine with the copies goes.
    pub fn remove(&mut self, path: &Path) {
        self.disk.remove(path).expect("a file is removed");
    }

    /// A person removes everything that is in the folders of a copy.
    pub fn remove_files(&mut self, copy: usize) {
        let folder = folder_of(&self.copies[copy].config);
        let disk = &self.disk;
        for path in disk.faulty().paths() {
            if path.starts_with(folder) {
                disk.remove(&path).expect("a file is removed");
            }
        }
        disk.sync_folder(folder).expect("a folder is synced");
        self.forget(copy);
    }

    /// Forgets what was seen of a copy.
    pub fn forget(&mut self, copy: usize) {
        let copy = &mut self.copies[copy];
        copy.logs.clear();
        copy.replayed.clear();
        copy.strangers.clear();
        copy.died_at = None;
    }

    /// A person puts a file into the log folder of a copy.
    pub fn put_stranger(&mut self, copy: usize) -> PathBuf {
        let config = &self.copies[copy].config;
        let next = self.server.current().0 + self.random.below(4) as u32;
        let (name, bytes) = match self.random.below(3) {
            0 => ("notes.txt".to_owned(), b"mine".to_vec()),
            1 => (format!("edb{next:05X}.log"), vec![7; 4096]),
            _ => {
                let stream = &streams()[self.random.below(streams().len())];
                let log = &stream.logs[self.random.below(stream.logs.len())];
                let next = next + u32::from(next == log.generation.0);
                (format!("edb{next:05X}.log"), log.bytes.clone())
            }
        };
        let path = config.target.logs.join(name);
        if path.exists() {
            return path;
        }
        self.disk
            .create_folders(&config.target.logs)
            .and_then(|()| self.disk.create(&path))
            .and_then(|file| file.write_all_at(&bytes, 0).and_then(|()| file.sync_all()))
            .and_then(|()| self.disk.sync_folder_of(&path))
            .expect("a file can be written");
        self.copies[copy].strangers.insert(path.clone(), bytes);
        path
    }

    /// A person takes the files away again.
    pub fn take_strangers(&mut self, copy: usize) {
        for (path, bytes) in std::mem::take(&mut self.copies[copy].strangers) {
            if fs::read(&path).is_ok_and(|there| there == bytes) {
                let removed = self.disk.remove(&path);
                removed
                    .and_then(|()| self.disk.sync_folder_of(&path))
                    .expect("a file is removed");
            }
        }
    }

    /// Does something that no fault hits: the simulation itself looks, or somebody on the machine does.
    pub fn undisturbed<T>(&mut self, act: impl FnOnce(&mut World) -> T) -> T {
        let disk = self.disk.clone();
        disk.faulty().set_quiet(true);
        let done = act(self);
        disk.faulty().set_quiet(false);
        done
    }

    /// Whether something was killed and nobody has seen to it.
    pub fn is_killed(&self) -> bool {
        self.disk.faulty().is_killed()
    }
}

/// The folder with all of a copy.
fn folder_of(config: &CopyConfig) -> &Path {
    let logs = &config.target.logs;
    logs.parent().expect("the logs lie in the copy's folder")
}

fn configured(server: &Server, target: &Path, number: usize, random: &mut Random) -> CopyConfig {
    let folder = target.join(format!("SCR{number}"));
    CopyConfig {
        name: format!("SG1-{number}"),
        storage_group: Some("SG1".into()),
        replay_lag: some_lag(random),
        truncation_lag: some_lag(random),
        wait_for_backup: random.below(8) == 0,
        allow: Vec::new(),
        source: SourceConfig {
            machine: "EXA".into(),
            base: BASE_NAME.into(),
            logs: server.folder().to_owned(),
            system: server.folder().to_owned(),
            database: server.database(),
            closed_logs_only: false,
            circular: true,
        },
        target: TargetConfig {
            machine: "EXB".into(),
            logs: folder.join("logs"),
            system: folder.join("logs"),
            database: folder.join("db.edb"),
            inspector: None,
        },
    }
}
