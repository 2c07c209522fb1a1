//! Deleting logs: only what the rules let go, from the oldest on, and at the source only on order.

mod support;

use ese_format::Generation;
use jiff::SignedDuration;
use standby::config::Configuration;
use standby::lag::Lag;
use standby::truncate::{inspected_by_all, sources};
use std::fs;
use support::Setting;
use target_disk::SharedDisk;

const SEED: u32 = 10;
/// The oldest transaction that is open at its end began there: the first log that the copy needs.
const FIRST: u32 = 9;

/// A seeded copy of 60 logs, all replayed but the newest 10.
fn replayed(truncation_lag: Lag) -> Setting {
    let mut setting = Setting::spread(120);
    setting.config.replay_lag = Lag::ZERO;
    setting.config.truncation_lag = truncation_lag;
    setting.service.kept_back = 10;
    setting.stream.roll_many(SEED);
    setting.seed(SEED);
    setting.restart();
    setting.stream.roll_many(60 - SEED);
    setting.settle_all();
    setting
}

fn oldest(setting: &Setting) -> u32 {
    let name = setting.target_logs().into_keys().next().unwrap();
    u32::from_str_radix(&name[3..11], 16).unwrap()
}

#[test]
fn a_log_goes_when_it_is_replayed_and_both_lags_are_over() {
    let mut setting = replayed(Lag::from_seconds(3600));
    assert_eq!(oldest(&setting), FIRST);
    setting.clock.advance(SignedDuration::from_secs(3599));
    setting.settle_all();
    assert_eq!(oldest(&setting), FIRST);
    // It is looked at every three minutes.
    setting.clock.advance(SignedDuration::from_secs(100));
    setting.settle_all();
    assert_eq!(oldest(&setting), FIRST);
    setting.clock.advance(SignedDuration::from_secs(80));
    let status = setting.settle_all();
    let first = oldest(&setting);
    // Below the checkpoint, which open transactions keep before what was replayed.
    assert!((FIRST + 1..=50).contains(&first), "{first}");
    assert_eq!(status.oldest, Some(Generation(first)));
    setting.assert_has(first..=60);
    // Nothing is missed: the copy goes on from there, after a restart too.
    setting.stream.roll_many(20);
    setting.restart();
    let status = setting.settle_all();
    assert_eq!(status.replayed.unwrap().generation, Generation(70));
    // What was replayed now and is old enough has gone too; the logs of this hour have not.
    let next = oldest(&setting);
    assert!((first..=61).contains(&next), "{next}");
    setting.assert_has(next..=80);
}

#[test]
fn the_truncation_lag_begins_with_the_replay_and_not_with_the_inspection() {
    let hours = |setting: &mut Setting, hours: i64| {
        setting.clock.advance(SignedDuration::from_hours(hours));
        setting.settle_all();
    };
    let mut setting = Setting::spread(120);
    setting.config.replay_lag = Lag::ZERO;
    setting.config.truncation_lag = Lag::from_seconds(3 * 3600);
    setting.service.kept_back = 50;
    setting.stream.roll_many(SEED);
    setting.seed(SEED);
    setting.restart();
    // Nothing may be replayed yet: the logs are among the newest.
    setting.stream.roll_many(50 - SEED);
    hours(&mut setting, 0);
    hours(&mut setting, 4);
    setting.stream.roll_many(50);
    hours(&mut setting, 0);
    let status = setting.settle_all();
    assert_eq!(status.replayed.unwrap().generation, Generation(50));
    // Older than the lag they are, replayed long enough they are not; through a restart too.
    hours(&mut setting, 2);
    setting.restart();
    assert_eq!(oldest(&setting), FIRST);
    hours(&mut setting, 1);
    let first = oldest(&setting);
    assert!((FIRST + 1..=50).contains(&first), "{first}");
}

#[test]
fn a_backup_that_is_waited_for_keeps_the_logs() {
    let setting = replayed(Lag::ZERO);
    assert!(oldest(&setting) > FIRST);
    let mut setting = replayed(Lag::from_seconds(3600));
    setting.config.wait_for_backup = true;
    setting.restart();
    setting.clock.advance(SignedDuration::from_secs(7200));
    setting.settle_all();
    assert_eq!(oldest(&setting), FIRST);
}

#[test]
fn a_suspended_copy_keeps_its_logs() {
    let mut setting = replayed(Lag::from_seconds(3600));
    let order = standby::state::Suspension {
        since: jiff::Timestamp::UNIX_EPOCH,
        comment: None,
    };
    let suspend = |state: &mut standby::state::CopyState| state.suspended = Some(order);
    setting.state_file().update(suspend).unwrap();
    setting.clock.advance(SignedDuration::from_secs(7200));
    setting.settle_all();
    assert_eq!(oldest(&setting), FIRST);
}

#[test]
fn the_source_loses_only_what_all_have_inspected_and_only_on_order() {
    let mut first = Setting::new(40);
    first.config.source.circular = true;
    first.restart();
    first.settle();
    // A second target that has half of it.
    let mut second = first.config.clone();
    second.name = "SG1 at C".into();
    second.target.logs = first.folder.path().join("c/logs");
    second.target.database = first.folder.path().join("c/MBX1.edb");
    let configuration = Configuration {
        state: first.state_folder(),
        service: first.service.clone(),
        copies: vec![first.config.clone(), second.clone()],
        disk: SharedDisk::default(),
    };
    let all = || inspected_by_all(&configuration, &first.config.source.logs, "E00").unwrap();
    assert_eq!(all(), Some(Generation(0)), "the second has nothing yet");
    let half = standby::state::ReachedLog {
        generation: Generation(20),
        at: jiff::Timestamp::UNIX_EPOCH,
    };
    let state = configuration.state_of(&second);
    state.update(|state| state.inspected = Some(half)).unwrap();
    assert_eq!(all(), Some(Generation(20)));
    let logs = || {
        let source = fs::read_dir(&first.config.source.logs).unwrap();
        source
            .filter(|entry| entry.as_ref().unwrap().path().extension().unwrap() == "log")
            .count()
    };
    // Told, but nothing is deleted without an order, without a checkpoint, or above it.
    first.stream.move_checkpoint(16);
    assert_eq!((sources(&configuration, false).unwrap(), logs()), (0, 41));
    assert_eq!(
        first.state_file().read().unwrap().truncatable,
        Some(Generation(20))
    );
    fs::remove_file(first.config.source.logs.join("E00.chk")).unwrap();
    assert_eq!((sources(&configuration, true).unwrap(), logs()), (0, 41));
    fs::write(first.config.source.logs.join("E00.chk"), [0; 8192]).unwrap();
    assert_eq!((sources(&configuration, true).unwrap(), logs()), (0, 41));
    first.stream.move_checkpoint(16);
    assert_eq!((sources(&configuration, true).unwrap(), logs()), (15, 26));
    first.stream.move_checkpoint(40);
    assert_eq!((sources(&configuration, true).unwrap(), logs()), (5, 21));
    // A copy in trouble may need to fetch logs again.
    let whole = standby::state::ReachedLog {
        generation: Generation(40),
        ..half
    };
    state.update(|state| state.inspected = Some(whole)).unwrap();
    let resync = standby::state::Resync {
        first: Generation(38),
        last: Generation(40),
        since: jiff::Timestamp::UNIX_EPOCH,
        kept_in: "aside".into(),
    };
    state.update(|state| state.resync = Some(resync)).unwrap();
    assert_eq!((sources(&configuration, true).unwrap(), logs()), (0, 21));
    state.update(|state| state.resync = None).unwrap();
    assert_eq!((sources(&configuration, true).unwrap(), logs()), (19, 2));
}

#[test]
fn a_checkpoint_of_another_stream_protects_all_logs() {
    let mut setting = Setting::new(20);
    setting.config.source.circular = true;
    setting.restart();
    setting.settle();
    setting.stream.move_checkpoint(15);
    let path = setting.config.source.logs.join("E00.chk");
    let mut checkpoint = fs::read(&path).unwrap();
    for copy in checkpoint.chunks_exact_mut(4096) {
        copy[24] ^= 1;
        ese_testkit::logs::seal_header(copy);
    }
    fs::write(&path, checkpoint).unwrap();
    let configuration = Configuration {
        state: setting.state_folder(),
        service: setting.service.clone(),
        copies: vec![setting.config.clone()],
        disk: SharedDisk::default(),
    };
    assert_eq!(sources(&configuration, true).unwrap(), 0);
    setting.stream.move_checkpoint(15);
    assert_eq!(sources(&configuration, true).unwrap(), 14);
}
