//! Replay with lag: at any moment the copy can be activated and holds exactly what the logs that it has commit.

mod support;

use ese_format::Generation;
use ese_testkit::fixtures::testdata_set;
use jiff::SignedDuration;
use standby::lag::Lag;
use standby::status::Summary;
use support::rows::{history, rows_of};
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
    assert!(waits.contains("1 more logs"), "{waits}");
    // What the state forgot is told by the files, at the price of a step that is done again.
    setting
        .state_file()
        .update(|state| state.replayed = None)
        .unwrap();
    setting.restart();
    let status = setting.settle_all();
    assert_eq!(status.replayed.unwrap().generation, Generation(30));
}
