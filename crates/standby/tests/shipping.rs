//! Shipping and inspection: what arrives is what was closed at the source, whatever happens meanwhile.

mod support;

use ese_format::Generation;
use ese_log::chain::{ChainFindingKind, verify};
use ese_log::{LogError, StreamFiles};
use jiff::SignedDuration;
use standby::clock::{Clock, SetClock};
use standby::config::{Configuration, CopyConfig};
use standby::service::{self, Shipping};
use standby::source::{FetchError, FolderSource, Listing, LogSource};
use standby::state::Suspension;
use standby::status::CopyStatus;
use standby::status::Summary;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use support::{Fault, LOG_SIZE, Setting, assert_failed_for_good, jet};

#[test]
fn closed_logs_arrive_and_the_current_one_does_not() {
    let mut setting = Setting::new(0);
    let status = setting.settle();
    assert_eq!(status.summary, Summary::Initializing);
    setting.stream.roll();
    let status = setting.settle();
    assert_eq!(status.summary, Summary::Healthy);
    assert_eq!(status.inspected.unwrap().generation, Generation(1));
    setting.stream.roll_many(200);
    let status = setting.settle();
    assert_eq!(
        (
            status.copy_queue_length,
            status.generated.unwrap().generation
        ),
        (0, Generation(201))
    );
    setting.assert_shipped(201);
    assert!(
        fs::read_dir(setting.config.target.inspector())
            .unwrap()
            .next()
            .is_none()
    );
}

#[test]
fn a_stream_that_grows_at_full_speed_arrives_whole() {
    let mut setting = Setting::new(0);
    let source = setting.config.source.logs.clone();
    fs::remove_dir_all(&source).unwrap();
    fs::create_dir(&source).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut stream = ese_testkit::growing::GrowingStream::begin(&source, LOG_SIZE);
            stream.roll_many(2000);
            done.store(true, Ordering::SeqCst);
        });
        loop {
            let finished = done.load(Ordering::SeqCst);
            let status = setting.settle();
            // A look between two renames may need another one, but never makes the copy fail.
            assert_ne!(status.summary, Summary::Failed, "{status}");
            if finished && status.trouble.is_none() {
                break;
            }
            setting.clock.advance(SignedDuration::from_secs(11));
        }
    });
    setting.assert_shipped(2000);
    let files = StreamFiles::find(&setting.config.target.logs, None).unwrap();
    let report = verify(&files, None, &()).unwrap().unwrap();
    let only_current = |kind: &ChainFindingKind| {
        matches!(
            kind,
            ChainFindingKind::CurrentMissing { .. } | ChainFindingKind::CheckpointMissing
        )
    };
    let findings: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| !only_current(&finding.kind))
        .collect();
    assert!(findings.is_empty(), "{findings:?}");
}

#[test]
fn a_restart_goes_on_where_the_files_are() {
    let mut setting = Setting::new(30);
    setting.settle();
    setting.stream.roll_many(5);
    // Died after a rename, before the state was written; and with a log half fetched.
    let name = "E000000001F.log";
    fs::copy(
        setting.stream.path(31),
        setting.config.target.logs.join(name),
    )
    .unwrap();
    let raw = setting.config.target.inspector().join("E0000000020.log");
    fs::write(raw, &fs::read(setting.stream.path(32)).unwrap()[..5000]).unwrap();
    setting.restart();
    let state = setting.state_file().read().unwrap();
    assert_eq!(state.inspected.unwrap().generation, Generation(31));
    assert_eq!(
        setting.settle().inspected.unwrap().generation,
        Generation(35)
    );
    setting.assert_shipped(35);
}

#[test]
fn a_log_that_was_damaged_at_the_target_is_fetched_again() {
    let mut setting = Setting::new(10);
    setting.settle();
    let last = setting.config.target.logs.join("E000000000A.log");
    let mut log = fs::read(&last).unwrap();
    log[9000..9100].fill(0x55);
    fs::write(&last, log).unwrap();
    setting.restart();
    setting.settle();
    setting.assert_shipped(10);
}

#[test]
fn a_gap_stops_the_copy_for_good_until_it_is_closed() {
    let mut setting = Setting::new(40);
    let missing = setting.stream.path(21);
    let aside = setting.folder.path().join("aside.log");
    fs::rename(&missing, &aside).unwrap();
    let status = setting.settle_for(600);
    assert_failed_for_good(&status, 21, "E0000000015.log");
    assert_eq!(jet(&status), Some(-528));
    assert!(status.to_string().contains("[JET -528 "));
    setting.assert_shipped(20);
    // It stays so: through restarts, while the source goes on, and the queue is told truly.
    setting.stream.roll_many(10);
    setting.restart();
    let status = setting.settle_for(3600);
    assert_failed_for_good(&status, 21, "missing");
    assert_eq!(status.copy_queue_length, 29);
    setting.assert_shipped(20);
    // Closing the gap is not enough: a person says that it is closed.
    fs::rename(aside, missing).unwrap();
    assert_failed_for_good(&setting.settle_for(60), 21, "missing");
    setting
        .state_file()
        .update(|state| state.trouble = None)
        .unwrap();
    assert_eq!(setting.settle().summary, Summary::Healthy);
    setting.assert_shipped(50);
}

#[test]
fn damaged_logs_are_fetched_again_and_then_fail() {
    let mut setting = Setting::new(20);
    let path = setting.stream.path(12);
    let whole = fs::read(&path).unwrap();
    // (what is done to the log, what the message says, JET error)
    type Harm = fn(&mut Vec<u8>);
    let harms: [(Harm, &str, i32); 5] = [
        (|log| log[9000..9100].fill(0x55), "damaged", -501),
        (|log| log[100] ^= 8, "checksum", -501),
        (|log| log.truncate(30_000), "30000 bytes", -541),
        (Vec::clear, "need", -4001),
        (|log| log.fill(0), "blank", -501),
    ];
    for (harm, word, jet) in harms {
        let mut log = whole.clone();
        harm(&mut log);
        fs::write(&path, log).unwrap();
        let first = setting.settle();
        assert_eq!(first.trouble.as_ref().unwrap().attempts, 1);
        assert_eq!(first.summary, Summary::Failed);
        assert!(!first.trouble.as_ref().unwrap().is_final());
        let status = setting.settle_for(60);
        assert_failed_for_good(&status, 12, word);
        assert_eq!(support::jet(&status), Some(jet), "{word}");
        setting.assert_shipped(11);
        setting
            .state_file()
            .update(|state| state.trouble = None)
            .unwrap();
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(setting.settle().summary, Summary::Healthy);
    setting.assert_shipped(20);
}

#[test]
fn a_log_that_has_not_fully_arrived_is_found_out_by_its_successor() {
    let mut setting = Setting::new(20);
    setting.set_fault(Some(Fault::HalfWritten));
    let status = setting.settle();
    assert_eq!(jet(&status), Some(-590));
    assert_eq!(status.trouble.unwrap().generation, Some(Generation(1)));
    assert!(setting.target_logs().is_empty());
    setting.set_fault(None);
    assert_eq!(setting.settle_for(10).trouble, None);
    setting.assert_shipped(20);
}

#[test]
fn foreign_logs_never_come_in() {
    let mut setting = Setting::new(10);
    setting.settle();
    setting.stream.roll_many(3);
    // A log of another stream, and one of the same stream under a wrong name.
    let mut changed = fs::read(setting.stream.path(11)).unwrap();
    changed[48] ^= 1;
    ese_testkit::logs::seal_header(&mut changed);
    let renamed = fs::read(setting.stream.path(12)).unwrap();
    let path = setting.stream.path(11);
    let whole = fs::read(&path).unwrap();
    for (log, word, jet) in [
        (changed, "signature", -530),
        (renamed, "generation 12", -515),
    ] {
        fs::write(&path, log).unwrap();
        let status = setting.settle_for(60);
        assert_failed_for_good(&status, 11, word);
        assert_eq!(support::jet(&status), Some(jet));
        setting
            .state_file()
            .update(|state| state.trouble = None)
            .unwrap();
    }
    fs::write(&path, whole).unwrap();
    setting.settle();
    setting.assert_shipped(13);
}

#[test]
fn a_source_that_is_away_for_an_hour_comes_back() {
    let mut setting = Setting::new(10);
    setting.settle();
    setting.set_fault(Some(Fault::Unreachable));
    let status = setting.settle();
    // The first failed look is told: what cannot be seen is not healthy.
    assert_eq!(status.summary, Summary::Failed);
    assert!(status.trouble.unwrap().next_try.is_some());
    let status = setting.settle_for(3600);
    assert_eq!(status.summary, Summary::Failed);
    let trouble = status.trouble.unwrap();
    assert!(!trouble.is_final());
    assert_eq!(trouble.attempts, 361);
    setting.stream.roll_many(100);
    setting.set_fault(None);
    assert_eq!(setting.settle_for(10).summary, Summary::Healthy);
    setting.assert_shipped(110);
}

#[test]
fn locks_and_full_disks_pass() {
    for fault in [Fault::Locked, Fault::TargetFull] {
        let mut setting = Setting::new(10);
        setting.settle();
        setting.stream.roll_many(10);
        setting.set_fault(Some(fault));
        let status = setting.settle_for(120);
        assert_eq!(status.summary, Summary::Failed, "{fault:?}");
        assert!(!status.trouble.unwrap().is_final());
        setting.assert_shipped(10);
        // A full disk is not filled with parts.
        assert!(
            fs::read_dir(setting.config.target.inspector())
                .unwrap()
                .next()
                .is_none()
        );
        setting.set_fault(None);
        assert_eq!(
            setting.settle_for(10).summary,
            Summary::Healthy,
            "{fault:?}"
        );
        setting.assert_shipped(20);
    }
}

#[test]
fn a_clock_that_goes_back_a_year_stops_nothing() {
    let mut setting = Setting::new(10);
    setting.set_fault(Some(Fault::Locked));
    setting.settle();
    setting.clock.advance(SignedDuration::from_hours(-24 * 365));
    setting.set_fault(None);
    assert_eq!(setting.settle().trouble, None);
    setting.assert_shipped(10);
}

#[test]
fn a_suspended_copy_rests_and_knows_its_queue() {
    let mut setting = Setting::new(10);
    setting.settle();
    let since = jiff::Timestamp::UNIX_EPOCH;
    let order = Suspension {
        since,
        comment: Some("disk is being changed".into()),
    };
    setting
        .state_file()
        .update(|state| state.suspended = Some(order))
        .unwrap();
    setting.stream.roll_many(7);
    let status = setting.settle();
    assert_eq!(
        (status.summary, status.copy_queue_length),
        (Summary::Suspended, 7)
    );
    setting.assert_shipped(10);
    setting
        .state_file()
        .update(|state| state.suspended = None)
        .unwrap();
    assert_eq!(setting.settle().summary, Summary::Healthy);
    setting.assert_shipped(17);
}

/// A source from which each log takes its time; at every log, all copies are looked at.
struct SlowSource {
    inner: FolderSource,
    clock: Arc<SetClock>,
    look: Arc<dyn Fn() + Send + Sync>,
}

impl LogSource for SlowSource {
    fn list(&self) -> Result<Listing, LogError> {
        self.inner.list()
    }

    fn start(&self, path: &Path, most: usize) -> Option<Vec<u8>> {
        self.inner.start(path, most)
    }

    fn fetch(&self, path: &Path, to: &mut dyn Write) -> Result<u64, FetchError> {
        self.clock.advance(SignedDuration::from_secs(50));
        (self.look)();
        self.inner.fetch(path, to)
    }
}

#[test]
fn copies_that_wait_for_their_turn_are_known_to_be_served() {
    const COPIES: usize = 12;
    const LOGS: u32 = 4;
    let setting = Setting::unserved(LOGS);
    let copies = (0..COPIES).map(|number| {
        let mut config = setting.config.clone();
        let folder = setting.folder.path().join(format!("copy-{number}"));
        config.name = format!("SG1-{number}");
        config.target.logs = folder.join("logs");
        config.target.system = folder.join("logs");
        config.target.database = folder.join("MBX1.edb");
        config
    });
    let configuration = Configuration {
        state: setting.state_folder(),
        service: setting.service.clone(),
        copies: copies.collect(),
        disk: setting.disk.clone(),
    };
    let clock = Arc::new(SetClock::new(setting.clock.now()));
    let statuses = {
        let (configuration, clock) = (configuration.clone(), Arc::clone(&clock));
        move || service::statuses(&configuration, &configuration.copies, clock.now()).unwrap()
    };
    let looked = Arc::new(AtomicUsize::new(0));
    let look: Arc<dyn Fn() + Send + Sync> = {
        let (statuses, looked) = (statuses.clone(), Arc::clone(&looked));
        Arc::new(move || {
            for status in statuses().iter().filter(|status| status.served.is_some()) {
                looked.fetch_add(1, Ordering::Relaxed);
                assert!(status.is_served, "{status}");
            }
        })
    };
    let connect = |_: &Configuration, config: &CopyConfig| -> Box<dyn LogSource> {
        Box::new(SlowSource {
            inner: FolderSource::new(&config.source.logs, &config.source.base),
            clock: Arc::clone(&clock),
            look: Arc::clone(&look),
        })
    };
    let mut shipping = Shipping::new();
    while shipping
        .round(&configuration, &*clock, &connect, &())
        .unwrap()
    {}
    assert!(looked.load(Ordering::Relaxed) > COPIES * COPIES);
    let inspected = |status: &CopyStatus| status.inspected.map(|log| log.generation);
    assert!(
        statuses()
            .iter()
            .all(|status| inspected(status) == Some(Generation(LOGS)))
    );
    // A service that has gone on to nothing for longer than that is no service.
    clock.advance(SignedDuration::from_mins(15));
    assert!(statuses().iter().all(|status| !status.is_served));
}
