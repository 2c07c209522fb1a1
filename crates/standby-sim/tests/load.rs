//! Many copies for many hours in one process: its memory stays flat, no descriptor is left open, and at every hour status and
//! metrics say what is so.
//!
//! One source writes a log of 1 MiB, as Exchange does, every five minutes of simulated time, with the records of a real
//! engine in it. All copies are shipped to, replayed and truncated as `scr run` does it, and so is the source. One test alone
//! at a time, since it measures the program's memory.
#![cfg(target_os = "linux")]

use ese_format::Generation;
use ese_replay::recovery::DatabaseFile;
use ese_testkit::fixtures::testdata_set;
use ese_testkit::growing::GrowingStream;
use jiff::{SignedDuration, Timestamp};
use standby::clock::{Clock, SetClock};
use standby::config::{Configuration, CopyConfig, Service, SourceConfig, TargetConfig};
use standby::lag::Lag;
use standby::metrics;
use standby::service::{Replaying, Shipping, statuses};
use standby::source::{FolderSource, LogSource};
use standby::status::{CopyStatus, Summary};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;
use target_disk::SharedDisk;
use tempfile::TempDir;

/// A set that begins with the creation of its database, so that no copy needs a seed.
const SET: &str = "crash-p8k";
/// Bytes of a log.
const LOG: usize = 1 << 20;
/// Minutes between two logs.
const EVERY: u32 = 5;
const LOGS_PER_HOUR: u32 = 60 / EVERY;
/// Logs that are never replayed, however old.
const KEPT_BACK: u32 = 2;
/// Replay lags, in logs: one copy after the other takes the next.
const LAGS: [u32; 5] = [0, 2, 6, 12, 24];
/// Logs from the source's checkpoint to its current log.
const CHECKPOINT_DEPTH: u32 = 3;

/// The service with its copies.
struct Load {
    folder: TempDir,
    stream: GrowingStream,
    configuration: Configuration,
    clock: SetClock,
    shipping: Shipping,
    replaying: Replaying,
}

/// What the process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    /// Resident memory in KiB.
    memory: u64,
    descriptors: usize,
}

impl Held {
    fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").expect("procfs");
        let mut lines = status.lines();
        let resident = lines.find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|text| text.split_whitespace().next());
        let descriptors = fs::read_dir("/proc/self/fd").expect("procfs").count();
        Held {
            memory: resident
                .and_then(|text| text.parse().ok())
                .expect("a number"),
            descriptors,
        }
    }
}

fn copy(number: usize, source: &Path, targets: &Path) -> CopyConfig {
    let folder = targets.join(format!("copy{number:02}"));
    CopyConfig {
        name: format!("SG1 at {number:02}"),
        storage_group: Some("SG1".into()),
        replay_lag: Lag::from_seconds(60 * EVERY * LAGS[number % LAGS.len()]),
        truncation_lag: Lag::ZERO,
        wait_for_backup: false,
        allow: Vec::new(),
        source: SourceConfig {
            machine: "EXA".into(),
            base: "E00".into(),
            logs: source.to_owned(),
            system: source.to_owned(),
            database: source.join("MBX1.edb"),
            closed_logs_only: false,
            circular: true,
        },
        target: TargetConfig {
            machine: "EXB".into(),
            logs: folder.join("logs"),
            system: folder.join("logs"),
            database: folder.join("MBX1.edb"),
            inspector: None,
        },
    }
}

impl Load {
    fn new(copies: usize, hours: u32) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let source = folder.path().join("source");
        fs::create_dir(&source).expect("a folder can be made");
        // The set ends with transactions that stay open, for which ever more logs are needed; that far it does not go.
        let logs = (hours * LOGS_PER_HOUR) as usize * 3 / 2;
        let state = testdata_set(SET).join("state");
        let stream = GrowingStream::begin_spread(&source, &state, LOG, logs);
        let copies = (0..copies).map(|number| copy(number, &source, folder.path()));
        let configuration = Configuration {
            state: folder.path().join("state"),
            service: Service {
                kept_back: KEPT_BACK,
                ..Service::default()
            },
            copies: copies.collect(),
            disk: SharedDisk::default(),
        };
        Load {
            stream,
            configuration,
            clock: SetClock::new(Timestamp::from_second(1_800_000_000).expect("a time")),
            shipping: Shipping::new(),
            replaying: Replaying::new(true),
            folder,
        }
    }

    /// A log is closed, and the service does what there is to do.
    fn close_log(&mut self) {
        self.clock.advance(SignedDuration::from_mins(EVERY.into()));
        self.stream.roll();
        if let Some(checkpoint) = self.stream.closed().checked_sub(CHECKPOINT_DEPTH) {
            self.stream.move_checkpoint(checkpoint.max(1));
        }
        let connect = |_: &Configuration, copy: &CopyConfig| -> Box<dyn LogSource> {
            Box::new(FolderSource::new(&copy.source.logs, &copy.source.base))
        };
        let (configuration, clock) = (&self.configuration, &self.clock);
        loop {
            let shipped = self.shipping.round(configuration, clock, &connect, &());
            let replayers = self.shipping.replayers();
            let replayed = self.replaying.round(configuration, &replayers, clock, &());
            let more = [shipped, replayed].map(|more| more.expect("nothing is in its way"));
            if more == [false, false] {
                break;
            }
        }
        // The next look, which sees what was deleted after this one.
        let shipped = self.shipping.round(configuration, clock, &connect, &());
        assert!(!shipped.expect("nothing is in its way"));
    }

    /// Whether status and metrics of every copy say what is so; how many logs lie in the folders.
    #[track_caller]
    fn tells_the_truth(&self) -> usize {
        let copies = &self.configuration.copies;
        let told = statuses(&self.configuration, copies, self.clock.now());
        let told = told.expect("the states can be read");
        assert_eq!(told.len(), copies.len());
        let path = self.folder.path().join("scr.prom");
        metrics::write(&*self.configuration.disk, &path, &told).expect("a file can be written");
        let text = fs::read_to_string(&path).expect("it is there");
        let metrics = Metrics::read(&text);
        let mut logs = 0;
        for (number, (copy, status)) in copies.iter().zip(&told).enumerate() {
            let here = logs_in(&copy.target.logs);
            logs += here.len();
            self.is_so(number, copy, status, &here);
            self.is_so_in(&metrics, number, copy);
        }
        // Before anything was replayed, two lines are not there.
        let replayed = (0..copies.len()).filter(|number| self.replayed(*number).is_some());
        let lines = copies.len() * (8 + Summary::ALL.len()) + 2 * replayed.count();
        assert_eq!(metrics.0.len(), lines, "{text}");
        let newest = self.stream.closed();
        let first = newest.saturating_sub(CHECKPOINT_DEPTH).max(1);
        assert_eq!(
            logs_in(&copies[0].source.logs),
            (first..=newest).collect::<Vec<_>>()
        );
        logs
    }

    /// The last log that may be replayed.
    fn replayed(&self, number: usize) -> Option<u32> {
        let behind = KEPT_BACK.max(LAGS[number % LAGS.len()]);
        self.stream
            .closed()
            .checked_sub(behind)
            .filter(|last| *last > 0)
    }

    #[track_caller]
    fn is_so(&self, number: usize, copy: &CopyConfig, status: &CopyStatus, here: &[u32]) {
        let newest = self.stream.closed();
        let now = self.clock.now();
        assert_eq!(status.name, copy.name);
        assert_eq!(status.summary, Summary::Healthy, "{status}");
        assert_eq!((status.served, status.is_served), (Some(now), true));
        assert_eq!(status.copy_queue_length, 0, "{status}");
        for reached in [status.generated, status.copied, status.inspected] {
            let reached = reached.expect("a log");
            assert_eq!(
                (reached.generation, reached.at),
                (Generation(newest), now),
                "{status}"
            );
        }
        let replayed = self.replayed(number);
        assert_eq!(
            status.replayed.map(|log| log.generation.0),
            replayed,
            "{status}"
        );
        let waiting = newest - replayed.unwrap_or(0);
        assert_eq!(status.replay_queue_length, waiting, "{status}");
        assert_eq!(status.truncatable, Some(Generation(newest)), "{status}");
        assert!(status.proofs.not_proved().next().is_none(), "{status}");
        // What is there is all from the first log that is needed on.
        let needed = match replayed {
            Some(_) => {
                let database = DatabaseFile::open(&copy.target.database);
                database.expect("a database").header.min_required.0
            }
            None => 1,
        };
        assert_eq!(*here, (needed..=newest).collect::<Vec<_>>(), "{status}");
        assert_eq!(status.oldest, Some(Generation(needed)));
    }

    #[track_caller]
    fn is_so_in(&self, metrics: &Metrics<'_>, number: usize, copy: &CopyConfig) {
        let newest = f64::from(self.stream.closed());
        let now = self.clock.now().as_second() as f64;
        let replayed = self.replayed(number).map(f64::from);
        let lag = f64::from(60 * EVERY * LAGS[number % LAGS.len()]);
        let expected = [
            ("scr_copy_queue_length", Some(0.0)),
            (
                "scr_replay_queue_length",
                Some(newest - replayed.unwrap_or(0.0)),
            ),
            ("scr_generated_generation", Some(newest)),
            ("scr_inspected_generation", Some(newest)),
            ("scr_inspected_timestamp_seconds", Some(now)),
            ("scr_replayed_generation", replayed),
            ("scr_replay_lag_seconds", Some(lag)),
            ("scr_served_timestamp_seconds", Some(now)),
            ("scr_trouble_attempts", Some(0.0)),
        ];
        for (name, value) in expected {
            assert_eq!(metrics.of(name, copy, ""), value, "{name} of {}", copy.name);
        }
        for summary in Summary::ALL {
            let value = f64::from(u8::from(summary == Summary::Healthy));
            let more = format!(",status=\"{summary}\"");
            assert_eq!(metrics.of("scr_status", copy, &more), Some(value));
        }
    }
}

/// Lines of a metrics file: what is before the value, and the value.
struct Metrics<'a>(BTreeMap<&'a str, f64>);

impl<'a> Metrics<'a> {
    fn read(text: &'a str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let lines = lines.map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a value");
            (name, value.parse().expect("a number"))
        });
        Metrics(lines.collect())
    }

    fn of(&self, name: &str, copy: &CopyConfig, more: &str) -> Option<f64> {
        let labels = format!(
            "{name}{{copy=\"{}\",source=\"{}\",target=\"{}\"{more}}}",
            copy.name, copy.source.machine, copy.target.machine
        );
        self.0.get(&*labels).copied()
    }
}

/// Generations of the closed logs in a folder, all of them of the size that they should have.
fn logs_in(folder: &Path) -> Vec<u32> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    let number = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?;
        let digits = name.strip_prefix("E00")?.strip_suffix(".log")?;
        let generation = u32::from_str_radix(digits, 16).ok()?;
        let length = fs::metadata(path).expect("it is there").len();
        assert_eq!(length, LOG as u64, "{name}");
        Some(generation)
    };
    let mut logs: Vec<u32> = paths.iter().filter_map(number).collect();
    logs.sort_unstable();
    logs
}

/// Has so many copies shipped to for so many hours, of which the first are for warming up.
fn run(copies: usize, hours: u32, warm_up: u32, memory_most: u64) {
    let begun = Instant::now();
    let mut load = Load::new(copies, hours);
    let mut warm = None;
    let mut most = 0;
    for hour in 1..=hours {
        (0..LOGS_PER_HOUR).for_each(|_| load.close_log());
        let logs = load.tells_the_truth();
        let held = Held::now();
        most = most.max(held.memory);
        println!(
            "hour {hour:2}, {:4.0} s: {} KiB resident, {} descriptors, {logs} logs in {copies} folders",
            begun.elapsed().as_secs_f64(),
            held.memory,
            held.descriptors
        );
        if hour == warm_up {
            warm = Some(held);
        }
    }
    let (warm, end) = (warm.expect("it warmed up"), Held::now());
    let shipped = u64::from((hours - warm_up) * LOGS_PER_HOUR) * copies as u64;
    println!("after warming up: {shipped} logs of 1 MiB shipped, memory from {warm:?} to {end:?}");
    assert_eq!(
        end.descriptors, warm.descriptors,
        "descriptors are left open"
    );
    let grown = most.saturating_sub(warm.memory);
    assert!(grown < memory_most, "{grown} KiB more");
}

#[test]
fn five_copies_are_shipped_to_for_two_hours() {
    // Little time to grow in, and to warm up in: this proves that the day can be run.
    run(5, 2, 1, 16 << 10);
}

#[test]
#[ignore = "needs some minutes"]
fn fifty_copies_are_shipped_to_for_a_day() {
    // What stays of each log that is shipped, if only 700 bytes of it did, would be more. Buffers that the allocator keeps
    // make up about 3 MiB.
    run(50, 24, 3, 8 << 10);
}
