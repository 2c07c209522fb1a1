//! A source that lost its newest logs and went on with others: what was not replayed is fetched again, and what was
//! replayed makes the copy ask for a new seed.

mod support;

use ese_format::Generation;
use ese_testkit::logs::seal_header;
use ese_testkit::rows::rows_of;
use standby::lag::Lag;
use standby::state::TroubleKind;
use standby::status::{CopyStatus, Summary};
use std::fs;
use std::path::Path;
use support::seed::{Twin, forced, recover};
use support::{Setting, assert_failed_for_good, jet};

/// The log up to which the seed goes: the first that the copy needs.
const SEED: u32 = 10;

/// A copy with 60 logs of the spread set, replayed up to 40.
fn replayed() -> Setting {
    let mut setting = Setting::spread(100);
    setting.config.replay_lag = Lag::ZERO;
    setting.config.truncation_lag = Lag::MAX;
    setting.service.kept_back = 20;
    setting.stream.roll_many(SEED);
    setting.seed(SEED);
    setting.restart();
    setting.stream.roll_many(60 - SEED);
    let status = setting.settle_all();
    assert_eq!(status.replayed.unwrap().generation, Generation(40));
    setting
}

fn names(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let names = files.map(|file| file.file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// Passes until the divergence is found; the status at that moment.
fn found(setting: &mut Setting) -> CopyStatus {
    for _ in 0..10 {
        let pass = setting.pass();
        let status = setting.status(pass.state);
        if status.resync.is_some() {
            return status;
        }
    }
    panic!("the divergence was not found");
}

#[test]
fn logs_that_were_not_replayed_are_fetched_again() {
    // What the source writes after it lost its logs: nothing yet, less than it had, more than it had.
    for written in [0, 5, 30] {
        let mut setting = replayed();
        let lost = setting.target_logs();
        setting.stream.lose_from(45);
        setting.stream.roll_many(written);
        let status = found(&mut setting);
        let resync = status.resync.clone().unwrap();
        assert_eq!(
            (resync.first, resync.last),
            (Generation(45), Generation(60))
        );
        if written > 0 {
            assert_eq!(status.summary, Summary::Resynchronizing, "{status}");
        }
        // The logs that only the copy has may hold what the source lost.
        let kept = names(&resync.kept_in);
        assert_eq!(kept.len(), 16);
        for name in kept {
            assert_eq!(fs::read(resync.kept_in.join(&name)).unwrap(), lost[&name]);
        }
        let status = setting.settle_all();
        assert_eq!(
            (status.summary, status.resync.is_none()),
            (Summary::Healthy, true)
        );
        setting.assert_has(SEED..=44 + written);
        if written == 30 {
            assert_eq!(status.replayed.unwrap().generation, Generation(54));
            let twin = Twin::of(&setting.config, &setting.state_folder());
            let report = twin.activate(&forced()).unwrap();
            let once = setting.folder.path().join("once.edb");
            recover(&setting.config, 74, &once);
            assert!(report.mountable && rows_of(&report.database) == rows_of(&once));
        }
    }
}

#[test]
fn a_kill_in_the_middle_of_going_back_costs_nothing() {
    let mut setting = replayed();
    setting.stream.lose_from(45);
    setting.stream.roll_many(20);
    let resync = found(&mut setting).resync.unwrap();
    // As if it had died after three of the sixteen logs.
    for generation in 45..=57 {
        let name = format!("E00{generation:08X}.log");
        fs::rename(
            resync.kept_in.join(&name),
            setting.config.target.logs.join(&name),
        )
        .unwrap();
    }
    setting.restart();
    let status = setting.settle_all();
    assert_eq!(
        (status.summary, status.resync.is_none()),
        (Summary::Healthy, true)
    );
    assert_eq!(names(&resync.kept_in).len(), 16);
    setting.assert_has(SEED..=64);
}

#[test]
fn a_database_that_holds_what_the_source_lost_needs_a_new_seed() {
    for written in [0, 5, 40] {
        let mut setting = replayed();
        setting.stream.lose_from(39);
        setting.stream.roll_many(written);
        let status = setting.settle_for(60);
        assert_failed_for_good(&status, 39, "new seed");
        assert_eq!(status.trouble.as_ref().unwrap().kind, TroubleKind::Reseed);
        assert_eq!(jet(&status), Some(-515));
        assert_eq!(setting.target_logs().len(), 51, "nothing is taken away");
        setting.restart();
        assert_failed_for_good(&setting.settle_for(60), 39, "new seed");
    }
}

#[test]
fn a_new_stream_at_the_source_is_foreign() {
    let mut setting = replayed();
    for entry in fs::read_dir(&setting.config.source.logs).unwrap() {
        let path = entry.unwrap().path();
        let mut log = fs::read(&path).unwrap();
        log[48] ^= 1;
        seal_header(&mut log);
        fs::write(&path, log).unwrap();
    }
    // It begins anew, with fewer logs than the copy has.
    for generation in 20..=60 {
        fs::remove_file(setting.stream.path(generation)).unwrap();
    }
    fs::remove_file(setting.stream.current()).unwrap();
    let status = setting.settle_for(60);
    assert_failed_for_good(&status, 61, "another log stream");
    assert_eq!(jet(&status), Some(-530));
    assert_eq!(setting.target_logs().len(), 51);
}

#[test]
fn an_old_view_of_the_source_is_no_divergence() {
    let mut setting = replayed();
    // A mounted folder that shows the state of a moment ago: generation 60 was the current log then.
    let (current, last) = (setting.stream.current(), setting.stream.path(60));
    let aside = setting.folder.path().join("E00.log");
    fs::rename(&current, &aside).unwrap();
    fs::rename(&last, &current).unwrap();
    let status = setting.settle_for(30);
    assert_eq!((status.summary, status.resync), (Summary::Healthy, None));
    fs::rename(&current, &last).unwrap();
    fs::rename(&aside, &current).unwrap();
    setting.stream.roll_many(3);
    setting.settle();
    setting.assert_has(SEED..=63);
}
