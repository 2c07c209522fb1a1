//! Replay with lag: at any moment the copy can be activated and holds exactly what the logs that it has commit.

mod support;

use ese_format::Generation;
use ese_testkit::fixtures::testdata_set;
use ese_testkit::rows::{history, rows_of};
use jiff::SignedDuration;
use standby::clock::SystemClock;
use standby::lag::Lag;
use standby::status::Summary;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use support::seed::{Twin, forced, recover};
use support::{SPREAD_SET, Setting};

/// A copy of the spread set, seeded from its first logs, all logs old enough once they are inspected.
fn seeded(count: usize, seed: u32) -> Setting {
    let mut setting = Setting::spread(count);
    setting.config.replay_lag = Lag::ZERO;
    setting.stream.roll_many(seed);
    setting.seed(seed);
    setting.restart();
    setting
}

#[test]
fn at_any_moment_the_copy_holds_exactly_what_its_logs_commit() {
    let set = testdata_set(SPREAD_SET);
    let history = history(&set);
    let mut setting = seeded(200, 10);
    setting.service.kept_back = 10;
    let mut held = Vec::new();
    for generation in (15..=200).step_by(5) {
        setting
            .stream
            .roll_many(generation - setting.stream.closed());
        let status = setting.settle_all();
        assert_eq!(status.summary, Summary::Healthy, "{status}");
        assert_eq!(status.inspected.unwrap().generation, Generation(generation));
        if generation >= 20 {
            assert_eq!(status.replay_queue_length, 10, "{status}");
        }
        if generation % 15 == 0 {
            let twin = Twin::of(&setting.config, &setting.state_folder());
            let report = twin.activate(&forced()).unwrap();
            assert!(report.mountable, "{report}");
            assert_eq!(report.loss.unwrap().first, Generation(generation + 1));
            held.push((generation, rows_of(&report.database)));
        }
    }
    setting.stream.complete();
    let twin = Twin::of(&setting.config, &setting.state_folder());
    let report = twin.activate(&Default::default()).unwrap();
    assert_eq!((report.loss, report.mountable), (None, true));
    held.push((201, rows_of(&report.database)));

    // The workload's own account: a state after one of its transactions, none before an earlier one, all at the end.
    // And one recovery over the same logs, without steps: the same state.
    let mut before = 0;
    for (generation, rows) in &held {
        let after = history[before..].iter().position(|state| state == rows);
        before += after.unwrap_or_else(|| panic!("generation {generation}: no committed state"));
        let once = setting.folder.path().join(format!("{generation}.edb"));
        recover(&setting.config, *generation, &once);
        assert!(
            rows_of(&once) == *rows,
            "generation {generation}: the rows differ"
        );
    }
    assert_eq!(before, history.len() - 1);
}

#[test]
fn replay_waits_for_its_lag_and_for_newer_logs() {
    let mut setting = seeded(100, 10);
    setting.config.replay_lag = Lag::from_seconds(3600);
    setting.restart();
    setting.stream.roll_many(70);
    let status = setting.settle_all();
    assert_eq!((status.replayed, status.replay_queue_length), (None, 71));
    let waits = status.replay_waits.unwrap();
    assert!(waits.contains("replay lag"), "{waits}");
    setting.clock.advance(SignedDuration::from_secs(3599));
    assert_eq!(setting.settle_all().replayed, None);
    setting.clock.advance(SignedDuration::from_secs(1));
    let status = setting.settle_all();
    assert_eq!(status.replayed.unwrap().generation, Generation(30));
    assert_eq!(status.replay_queue_length, 50);
    let waits = status.replay_waits.unwrap();
    assert!(waits.contains("1 more log:"), "{waits}");
    // What the state forgot is told by the files, at the price of a step that is done again.
    setting
        .state_file()
        .update(|state| state.replayed = None)
        .unwrap();
    setting.restart();
    let status = setting.settle_all();
    assert_eq!(status.replayed.unwrap().generation, Generation(30));
}

#[test]
fn two_thousand_generations_are_shipped_replayed_and_deleted_as_they_come() {
    const LOGS: u32 = 2000;
    // The creation of the database takes the first of these small logs.
    const SEED: u32 = 100;
    let mut setting = seeded(LOGS as usize, SEED);
    setting.service.truncate = Lag::ZERO;
    let (mut copy, mut replayer) = (
        setting.copy.take().unwrap(),
        setting.replayer.take().unwrap(),
    );
    let service = &setting.service;
    let stream = &mut setting.stream;
    let (written, shipped) = (AtomicBool::new(false), AtomicBool::new(false));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            stream.roll_many(LOGS - SEED);
            written.store(true, Ordering::SeqCst);
        });
        let shipper = scope.spawn(|| {
            // A look between two renames may need another one, but the copy never fails.
            loop {
                let last = written.load(Ordering::SeqCst);
                let pass = copy.pass(service, &SystemClock).unwrap();
                assert_eq!(pass.state.worst_trouble(), None, "{:?}", pass.state);
                if last && pass.state.inspected.unwrap().generation == Generation(LOGS) {
                    break;
                }
            }
            shipped.store(true, Ordering::SeqCst);
        });
        loop {
            let last = shipped.load(Ordering::SeqCst);
            let step = replayer.step(service, &SystemClock, None, &()).unwrap();
            // One that failed has shipped nothing more, and says so when it is joined.
            let failed = shipper.is_finished() && !shipped.load(Ordering::SeqCst);
            if failed || (last && !step.more) {
                break;
            }
        }
    });
    println!(
        "{LOGS} generations in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    drop((copy, replayer));
    let state = setting.state_file().read().unwrap();
    assert_eq!(
        state.replayed.map(|last| last.generation),
        Some(Generation(LOGS - 50)),
        "{state:?}"
    );
    let logs = setting.target_logs();
    let oldest = u32::from_str_radix(&logs.keys().next().unwrap()[3..11], 16).unwrap();
    setting.assert_has(oldest..=LOGS);
    setting.stream.complete();
    let twin = Twin::of(&setting.config, &setting.state_folder());
    let report = twin.activate(&Default::default()).unwrap();
    assert_eq!((report.mountable, report.loss), (true, None));
    let history = history(&testdata_set(SPREAD_SET));
    assert!(rows_of(&report.database) == history[history.len() - 1]);
}

/// The first logs may be closed in the middle of it. A database that is just created is one that no step can bring forward.
#[test]
fn a_database_is_made_once_the_logs_hold_the_end_of_its_creation() {
    let mut setting = Setting::spread(288);
    setting.config.replay_lag = Lag::ZERO;
    setting.service.kept_back = 0;
    setting.restart();
    let mut made = None;
    for generation in 1..=8 {
        setting.stream.roll();
        let status = setting.settle_all();
        assert!(status.trouble.is_none(), "{status}");
        if status.replayed.is_some() {
            made.get_or_insert(generation);
            assert_eq!(status.replay_queue_length, 0, "{status}");
        }
    }
    assert!(made > Some(1), "made with log {made:?}");
}
