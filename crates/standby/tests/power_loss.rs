//! A copy on a faulty disk: the power goes at every call there is.

mod support;

use ese_format::Generation;
use ese_testkit::disk::{FaultyDisk, MirroredDisk};
use standby::lag::Lag;
use standby::state::{CopyState, StateFile};
use std::path::Path;
use support::Setting;
use target_disk::SharedDisk;

/// Logs that are shipped where none is replayed.
const LOGS: u32 = 3;
/// Logs that were replayed when the database was seeded, and those that come after them.
const SEEDED: u32 = 10;
const REPLAYED: u32 = 2;

#[test]
fn a_state_can_be_read_after_a_power_loss_at_every_call() {
    let path = Path::new("/state");
    let note = |number: u32| move |state: &mut CopyState| state.queued = Some(number);
    for call in 1.. {
        let disk = FaultyDisk::new(call);
        let state = StateFile::new(&SharedDisk::new(disk.clone()), path, "SG1".into());
        state.update(note(1)).unwrap();
        disk.kill_after(call);
        let updated = [state.update(note(2)), state.update(note(3))];
        let killed = disk.is_killed();
        disk.crash();
        let done = updated.iter().filter(|updated| updated.is_ok()).count() as u32;
        let found = state.read().unwrap().queued.unwrap();
        // What was reported as written is there; the one that the power took may be.
        assert!(
            (1 + done..=2 + done).contains(&found),
            "call {call}: {found} after {done}"
        );
        state.update(note(4)).unwrap();
        assert_eq!(state.read().unwrap().queued, Some(4));
        if !killed {
            assert!(call > 10 && done == 2);
            break;
        }
    }
}

/// Ships and replays until there is nothing to do at once, or the power goes.
fn serve(setting: &Setting) -> bool {
    let Ok(mut copy) = setting.open() else {
        return false;
    };
    let mut replayer = copy.replayer();
    loop {
        match copy.pass(&setting.service, &setting.clock) {
            Ok(pass) if pass.more => {}
            Ok(_) => break,
            Err(_) => return false,
        }
    }
    loop {
        match replayer.step(&setting.service, &setting.clock, None, &()) {
            Ok(step) if step.more => {}
            done => return done.is_ok(),
        }
    }
}

/// A copy on a faulty disk; with a database, its logs are replayed too.
fn copy_of(replays: bool, seed: u64) -> (Setting, MirroredDisk) {
    let mut setting = match replays {
        false => Setting::unserved(LOGS),
        true => {
            let mut setting = Setting::spread(60);
            setting.stream.roll_many(SEEDED + REPLAYED);
            setting.service.kept_back = 0;
            setting.config.replay_lag = Lag::ZERO;
            setting.seed(SEEDED);
            setting
        }
    };
    let disk = MirroredDisk::of(setting.folder.path(), seed);
    setting.disk = SharedDisk::new(disk.clone());
    (setting, disk)
}

/// Every log that has its name is whole.
#[track_caller]
fn logs_are_whole(setting: &Setting) {
    if setting.config.target.logs.exists() {
        for (name, log) in setting.target_logs() {
            let source = std::fs::read(setting.config.source.logs.join(&name)).unwrap();
            assert!(log == source, "{name}");
        }
    }
}

fn every_power_loss(replays: bool) -> u64 {
    let (setting, disk) = copy_of(replays, 0);
    assert!(serve(&setting));
    let calls = disk.faulty().calls();
    let database = |setting: &Setting| std::fs::read(&setting.config.target.database).ok();
    let expected = database(&setting);
    assert_eq!(expected.is_some(), replays);
    let logs = setting.target_logs();
    let newest = Generation(setting.stream.closed());
    for call in 1..=calls {
        let (setting, disk) = copy_of(replays, call);
        disk.faulty().kill_after(call);
        serve(&setting);
        assert!(disk.faulty().is_killed());
        disk.crash();
        logs_are_whole(&setting);
        let state = setting.state_file().read();
        state.unwrap_or_else(|error| panic!("call {call}: {error}"));
        assert!(serve(&setting), "call {call}");
        assert!(
            setting.target_logs() == logs,
            "call {call}: the logs differ"
        );
        let state = setting.state_file().read().unwrap();
        let inspected = state.inspected.map(|inspected| inspected.generation);
        assert_eq!(inspected, Some(newest), "call {call}");
        assert!(state.trouble.is_none() && state.replay_trouble.is_none());
        assert!(
            database(&setting) == expected,
            "call {call}: the database differs"
        );
    }
    calls
}

#[test]
fn a_log_is_never_half_there_under_its_name() {
    println!("{} calls", every_power_loss(false));
}

#[test]
fn replay_goes_on_after_a_power_loss_at_every_call() {
    println!("{} calls", every_power_loss(true));
}
