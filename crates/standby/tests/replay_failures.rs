//! What keeps replay from going on: it is told with the engine's number, shipping goes on meanwhile, and what passes by
//! itself needs nobody.

mod support;

use ese_format::Generation;
use jiff::SignedDuration;
use standby::lag::Lag;
use standby::state::{Suspension, Trouble, TroubleKind};
use standby::status::{CopyStatus, Summary};
use std::fs::{self, File};
use support::Setting;

/// A seeded copy that replays all but the newest 10 logs; it has 30 and has replayed 20.
fn replaying() -> Setting {
    let mut setting = Setting::spread(100);
    setting.config.replay_lag = Lag::ZERO;
    setting.config.truncation_lag = Lag::MAX;
    setting.service.kept_back = 10;
    setting.stream.roll_many(10);
    setting.seed(10);
    setting.restart();
    setting.stream.roll_many(20);
    let status = setting.settle_all();
    assert_eq!(status.replayed.unwrap().generation, Generation(20));
    setting
}

/// Lets time go by while the source goes on.
fn go_on(setting: &mut Setting, seconds: i64) -> CopyStatus {
    setting.stream.roll_many(10);
    for _ in 0..seconds / 10 {
        setting.clock.advance(SignedDuration::from_secs(10));
        setting.settle_all();
    }
    setting.settle_all()
}

/// Failed by replay, for a person to put right, while the logs have come.
fn failed(setting: &mut Setting, kind: TroubleKind, jet: i32, word: &str) -> Trouble {
    let status = go_on(setting, 60);
    assert_eq!(
        (status.summary, status.copy_queue_length),
        (Summary::Failed, 0),
        "{status}"
    );
    assert_eq!(status.replay_queue_length, 20);
    let trouble = status.trouble.unwrap();
    assert_eq!((trouble.kind, trouble.is_final()), (kind, true));
    assert_eq!(
        trouble.jet.as_ref().unwrap().code,
        jet,
        "{}",
        trouble.reason
    );
    assert!(trouble.reason.contains(word), "{}", trouble.reason);
    // Through a restart too.
    setting.restart();
    let status = setting.settle_all();
    assert_eq!(status.summary, Summary::Failed);
    trouble
}

fn resumed(setting: &mut Setting) -> CopyStatus {
    setting
        .state_file()
        .update(|state| state.replay_trouble = None)
        .unwrap();
    setting.restart();
    setting.settle_all()
}

#[test]
fn a_log_that_is_damaged_after_its_inspection_stops_replay() {
    let mut setting = replaying();
    let path = setting.config.target.logs.join("E0000000017.log");
    let whole = fs::read(&path).unwrap();
    let mut log = whole.clone();
    log[9000..9100].fill(0x55);
    fs::write(&path, log).unwrap();
    let trouble = failed(&mut setting, TroubleKind::Replay, -501, "23");
    assert_eq!(trouble.generation, Some(Generation(21)));
    fs::write(&path, whole).unwrap();
    assert_eq!(
        resumed(&mut setting).replayed.unwrap().generation,
        Generation(30)
    );
}

#[test]
fn a_log_that_is_missing_behind_the_inspection_is_fetched_again() {
    let mut setting = replaying();
    fs::remove_file(setting.config.target.logs.join("E0000000017.log")).unwrap();
    setting.stream.roll_many(10);
    let status = setting.settle_all();
    // Up to the gap, and no further.
    assert_eq!(status.replayed.unwrap().generation, Generation(22));
    setting.restart();
    let status = setting.settle_all();
    assert_eq!(
        (status.summary, status.replayed.unwrap().generation),
        (Summary::Healthy, Generation(30))
    );
}

#[test]
fn a_database_of_another_stream_takes_no_logs() {
    let mut setting = replaying();
    let database = setting.config.target.database.clone();
    let own = fs::read(&database).unwrap();
    let mut other = own.clone();
    for header in [0, 8192] {
        other[header + 110] ^= 1;
        seal(&mut other[header..header + 8192]);
    }
    fs::write(&database, other).unwrap();
    failed(&mut setting, TroubleKind::Replay, -530, "another stream");
    fs::write(&database, own).unwrap();
    assert_eq!(
        resumed(&mut setting).replayed.unwrap().generation,
        Generation(30)
    );
}

/// Puts the right checksum into the header of a database.
fn seal(page: &mut [u8]) {
    let copies = ese_format::database::DatabaseHeader::from_bytes(
        page[..ese_format::database::DatabaseHeader::SIZE]
            .try_into()
            .unwrap(),
    );
    ese_format::database::seal_header(&copies, page);
}

#[test]
fn a_page_that_misses_a_change_stops_replay() {
    let mut setting = replaying();
    // The database of an earlier time under the header of now: its pages miss what lies between.
    let database = setting.config.target.database.clone();
    let now = fs::read(&database).unwrap();
    fs::remove_file(&database).unwrap();
    setting.seed(10);
    let mut old = fs::read(&database).unwrap();
    old[..2 * 8192].copy_from_slice(&now[..2 * 8192]);
    fs::write(&database, old).unwrap();
    let status = go_on(&mut setting, 60);
    let trouble = status.trouble.unwrap();
    assert_eq!(
        (status.summary, trouble.kind),
        (Summary::Failed, TroubleKind::Replay)
    );
    assert!(trouble.jet.unwrap().code < 0, "{}", trouble.reason);
    fs::write(&database, now).unwrap();
    assert_eq!(
        resumed(&mut setting).replayed.unwrap().generation,
        Generation(30)
    );
}

#[test]
fn a_database_in_use_and_a_target_that_cannot_be_written_pass() {
    let mut setting = replaying();
    let database = setting.config.target.database.clone();
    let held = File::open(&database).unwrap();
    held.lock().unwrap();
    let status = go_on(&mut setting, 120);
    let trouble = status.trouble.unwrap();
    assert_eq!(
        (status.summary, trouble.kind),
        (Summary::Failed, TroubleKind::Locked)
    );
    assert!(!trouble.is_final());
    drop(held);
    setting.clock.advance(SignedDuration::from_secs(10));
    let status = setting.settle_all();
    assert_eq!(
        (status.summary, status.replayed.unwrap().generation),
        (Summary::Healthy, Generation(30))
    );

    // A folder where the journal has to be: nothing can be written there.
    let mut journal = database.into_os_string();
    journal.push(".edbreplay-journal");
    fs::create_dir(&journal).unwrap();
    let status = go_on(&mut setting, 120);
    let trouble = status.trouble.unwrap();
    assert_eq!(status.summary, Summary::Failed);
    assert!(!trouble.is_final(), "{trouble:?}");
    fs::remove_dir(&journal).unwrap();
    setting.clock.advance(SignedDuration::from_secs(10));
    let status = setting.settle_all();
    assert_eq!(
        (status.summary, status.replayed.unwrap().generation),
        (Summary::Healthy, Generation(40))
    );
}

#[test]
fn an_unseeded_copy_ships_and_says_what_it_waits_for() {
    let mut setting = replaying();
    fs::remove_file(&setting.config.target.database).unwrap();
    setting.restart();
    let status = go_on(&mut setting, 10);
    assert_eq!(
        (status.summary, status.copy_queue_length),
        (Summary::Failed, 0)
    );
    assert!(status.replay_waits.unwrap().contains("scr update"));
}

#[test]
fn a_suspended_copy_replays_nothing() {
    let mut setting = replaying();
    let order = Suspension {
        since: jiff::Timestamp::UNIX_EPOCH,
        comment: None,
    };
    setting.stream.roll_many(10);
    setting.settle();
    setting
        .state_file()
        .update(|state| state.suspended = Some(order))
        .unwrap();
    let status = setting.settle_all();
    assert_eq!(
        (status.summary, status.replay_queue_length),
        (Summary::Suspended, 20)
    );
    setting
        .state_file()
        .update(|state| state.suspended = None)
        .unwrap();
    assert_eq!(setting.settle_all().replay_queue_length, 10);
}

#[test]
fn a_clock_that_goes_back_delays_replay_and_breaks_nothing() {
    let mut setting = replaying();
    setting.config.replay_lag = Lag::from_seconds(3600);
    setting.restart();
    setting.stream.roll_many(20);
    setting.settle_all();
    setting.clock.advance(SignedDuration::from_hours(-24 * 365));
    let status = setting.settle_all();
    assert_eq!(
        (status.summary, status.replayed.unwrap().generation),
        (Summary::Healthy, Generation(20))
    );
    setting.stream.roll_many(5);
    assert_eq!(setting.settle().copy_queue_length, 0);
    setting
        .clock
        .advance(SignedDuration::from_hours(24 * 365 + 1));
    let status = setting.settle_all();
    assert_eq!(status.replayed.unwrap().generation, Generation(45));
}
