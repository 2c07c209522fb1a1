//! A source that grows, a target, a clock that is set, and faults on demand.

#![allow(dead_code)] // Each test uses its part.

use ese_format::Generation;
use ese_log::LogError;
use ese_testkit::growing::GrowingStream;
use evidence::EvidenceError;
use jiff::{SignedDuration, Timestamp};
use standby::clock::{Clock, SetClock};
use standby::config::{CopyConfig, Service, SourceConfig, TargetConfig};
use standby::lag::Lag;
use standby::source::{FetchError, FolderSource, Listing, LogSource};
use standby::state::{CopyState, StateFile};
use standby::status::{CopyStatus, Summary, status};
use standby::target_view::TargetView;
use standby::{Pass, ReplayStep, Replayer, StandbyCopy, StandbyError};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use target_disk::SharedDisk;
use tempfile::TempDir;

pub(crate) mod seed;

/// The set whose records are spread.
pub(crate) const SPREAD_SET: &str = "crash-p8k";
/// Bytes of a log that holds a small part of them.
pub(crate) const SMALL_LOG: usize = 16 * 4096;
/// Bytes of a log in the other tests.
pub(crate) const LOG_SIZE: usize = 16 * 4096;

/// What goes wrong at the source, as long as it is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing can be read.
    Unreachable,
    /// A log is in use by another program.
    Locked,
    /// The target runs out of space after half a log.
    TargetFull,
    /// Only the first half of a log arrives; the rest is blank.
    HalfWritten,
}

/// The fault, shared between test and source.
pub(crate) type Switch = Arc<Mutex<Option<Fault>>>;

struct FaultySource {
    inner: FolderSource,
    fault: Switch,
}

impl FaultySource {
    fn fault(&self) -> Option<Fault> {
        *self.fault.lock().unwrap()
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
        self.inner.start(path, most)
    }

    fn fetch(&self, path: &Path, to: &mut dyn Write) -> Result<u64, FetchError> {
        let half = LOG_SIZE / 2;
        match self.fault() {
            Some(Fault::Locked) => Err(FetchError::Source(EvidenceError::Io {
                path: path.to_owned(),
                source: io::ErrorKind::PermissionDenied.into(),
            })),
            Some(Fault::TargetFull) => {
                to.write_all(&fs::read(path).unwrap()[..half]).unwrap();
                Err(FetchError::Target {
                    source: io::ErrorKind::StorageFull.into(),
                })
            }
            Some(Fault::HalfWritten) => {
                let mut log = fs::read(path).unwrap();
                log[half..].fill(0);
                to.write_all(&log).unwrap();
                Ok(log.len() as u64)
            }
            _ => self.inner.fetch(path, to),
        }
    }
}

/// A source, a target and a service.
pub(crate) struct Setting {
    pub(crate) folder: TempDir,
    pub(crate) stream: GrowingStream,
    pub(crate) config: CopyConfig,
    pub(crate) service: Service,
    pub(crate) clock: SetClock,
    pub(crate) fault: Switch,
    pub(crate) copy: Option<StandbyCopy>,
    pub(crate) replayer: Option<Replayer>,
    pub(crate) disk: SharedDisk,
}

impl Setting {
    /// A source with `count` closed logs, and an empty target.
    pub(crate) fn new(count: u32) -> Self {
        let mut setting = Self::unserved(count);
        setting.restart();
        setting
    }

    /// The same before any service has begun.
    pub(crate) fn unserved(count: u32) -> Self {
        Self::with(|source| {
            let mut stream = GrowingStream::begin(source, LOG_SIZE);
            stream.roll_many(count);
            stream
        })
    }

    /// A source that will have `count` closed logs with the records of an engine-made set, none of them closed yet.
    pub(crate) fn spread(count: usize) -> Self {
        let state = ese_testkit::fixtures::testdata_set(SPREAD_SET).join("state");
        Self::with(|source| GrowingStream::begin_spread(source, &state, SMALL_LOG, count))
    }

    fn with(begin: impl FnOnce(&Path) -> GrowingStream) -> Self {
        let folder = TempDir::new().unwrap();
        let source = folder.path().join("source");
        let target = folder.path().join("target");
        fs::create_dir(&source).unwrap();
        let stream = begin(&source);
        let config = CopyConfig {
            storage_group: None,
            name: "SG1".into(),
            replay_lag: Lag::DEFAULT_REPLAY,
            truncation_lag: Lag::ZERO,
            wait_for_backup: false,
            allow: Vec::new(),
            source: SourceConfig {
                machine: "EXA".into(),
                base: "E00".into(),
                logs: source.clone(),
                system: source.clone(),
                database: source.join("MBX1.edb"),
                ..SourceConfig::default()
            },
            target: TargetConfig {
                machine: "EXB".into(),
                logs: target.join("logs"),
                system: target.join("system"),
                database: target.join("MBX1.edb"),
                inspector: None,
            },
        };
        Setting {
            folder,
            stream,
            config,
            service: Service::default(),
            clock: SetClock::new(Timestamp::from_second(1_800_000_000).unwrap()),
            fault: Switch::default(),
            copy: None,
            replayer: None,
            disk: SharedDisk::default(),
        }
    }

    /// Makes the database of the copy from the source's logs up to `last`, as a seed taken at that time.
    pub(crate) fn seed(&self, last: u32) {
        seed::seed(&self.config, last);
    }

    /// Ends the service and starts another one.
    pub(crate) fn restart(&mut self) {
        (self.copy, self.replayer) = (None, None);
        let copy = self.open().unwrap();
        self.replayer = Some(copy.replayer());
        self.copy = Some(copy);
    }

    /// Takes the copy for this process.
    pub(crate) fn open(&self) -> Result<StandbyCopy, StandbyError> {
        let source = FaultySource {
            inner: FolderSource::new(&self.config.source.logs, &self.config.source.base),
            fault: Arc::clone(&self.fault),
        };
        let source = Box::new(source);
        StandbyCopy::open(&self.config, self.state_file(), source, &self.clock)
    }

    /// One step of replay.
    pub(crate) fn step(&mut self) -> ReplayStep {
        let replayer = self.replayer.as_mut().unwrap();
        replayer
            .step(&self.service, &self.clock, None, &())
            .unwrap()
    }

    /// Ships and replays until there is nothing to do at once.
    pub(crate) fn settle_all(&mut self) -> CopyStatus {
        self.settle();
        while self.step().more {}
        self.settle()
    }

    pub(crate) fn state_folder(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn state_file(&self) -> StateFile {
        StateFile::new(&self.disk, &self.state_folder(), self.config.file_name())
    }

    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        *self.fault.lock().unwrap() = fault;
    }

    pub(crate) fn pass(&mut self) -> Pass {
        let copy = self.copy.as_mut().unwrap();
        copy.pass(&self.service, &self.clock).unwrap()
    }

    /// Passes until there is nothing to do at once.
    pub(crate) fn settle(&mut self) -> CopyStatus {
        loop {
            let pass = self.pass();
            if !pass.more {
                return self.status(pass.state);
            }
        }
    }

    /// Lets time go by, and settles every ten seconds meanwhile.
    pub(crate) fn settle_for(&mut self, seconds: i64) -> CopyStatus {
        for _ in 0..seconds / 10 {
            self.clock.advance(SignedDuration::from_secs(10));
            self.settle();
        }
        self.settle()
    }

    pub(crate) fn status(&self, state: CopyState) -> CopyStatus {
        let here = TargetView::look(&self.config, &self.state_file());
        status(&self.config, state, &here, &self.service, self.clock.now())
    }

    /// The logs in the target's log folder, by name.
    pub(crate) fn target_logs(&self) -> BTreeMap<String, Vec<u8>> {
        read_logs(&self.config.target.logs)
    }

    /// The target has exactly the source's generations 1 to `last`, byte by byte.
    pub(crate) fn assert_shipped(&self, last: u32) {
        self.assert_has(1..=last);
    }

    /// The target has exactly these generations of the source, byte by byte.
    pub(crate) fn assert_has(&self, generations: RangeInclusive<u32>) {
        let mut source = read_logs(&self.config.source.logs);
        source.retain(|name, _| name.len() == "E0000000001.log".len());
        source.retain(|name, _| {
            generations.contains(&u32::from_str_radix(&name[3..11], 16).unwrap())
        });
        let target = self.target_logs();
        let names = |logs: &BTreeMap<String, Vec<u8>>| logs.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&target), names(&source));
        assert!(target == source, "the logs differ");
    }
}

fn read_logs(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.is_file());
    files
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                fs::read(path).unwrap(),
            )
        })
        .collect()
}

/// Failed, with this generation, and a person has to act.
pub(crate) fn assert_failed_for_good(status: &CopyStatus, generation: u32, word: &str) {
    assert_eq!(status.summary, Summary::Failed, "{status}");
    let trouble = status.trouble.as_ref().unwrap();
    assert!(trouble.is_final(), "{trouble:?}");
    assert_eq!(trouble.generation, Some(Generation(generation)));
    assert!(trouble.reason.contains(word), "{trouble:?}");
}

/// The JET error of the trouble.
pub(crate) fn jet(status: &CopyStatus) -> Option<i32> {
    Some(status.trouble.as_ref()?.jet.as_ref()?.code)
}
