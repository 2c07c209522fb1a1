//! What histories found, each told by itself.

use ese_format::database::HeaderCopies;
use ese_format::log::HEADER_SIZE;
use ese_format::record::{DetachDb, DetachDbFlags, FileNames, Record};
use ese_format::{Generation, ProcId};
use ese_log::LogImage;
use ese_testkit::disk::Call;
use ese_testkit::logs::{records_of, write_segments};
use ese_testkit::random::Random;
use jiff::SignedDuration;
use standby::activate::ActivateOptions;
use standby::clock::Clock;
use standby::lag::Lag;
use standby::status::{CopyStatus, Summary};
use standby_sim::engine::{checkpoint, rows_of, streams};
use standby_sim::laws;
use standby_sim::source::Fault;
use standby_sim::world::World;
use std::fs;
use std::path::PathBuf;

/// A copy without lags, seeded and served.
fn served(seed: u64) -> World {
    let mut world = World::new(seed);
    world.configure(|service, config| {
        service.kept_back = 0;
        (config.replay_lag, config.truncation_lag) = (Lag::ZERO, Lag::ZERO);
        config.wait_for_backup = false;
    });
    world.start();
    for copy in 0..world.copies.len() {
        world.update(copy, false).unwrap();
    }
    world.server.work(300);
    pass(&mut world);
    world
}

/// Ten minutes, and what the service does in them.
fn pass(world: &mut World) {
    world.wait(SignedDuration::from_mins(10));
    world.serve();
}

fn status(world: &World) -> CopyStatus {
    let mut statuses = world.statuses().unwrap().into_iter();
    let name = &world.copies[0].config.name;
    statuses.find(|status| status.name == *name).unwrap()
}

fn force() -> ActivateOptions {
    ActivateOptions {
        force: true,
        threads: 1,
        ..ActivateOptions::default()
    }
}

#[test]
fn what_a_pass_did_is_known_though_the_state_could_not_be_written() {
    for call in 1.. {
        let mut world = served(1);
        let before = world.disk().calls();
        world.disk().fail_at(call);
        world.server.work(100);
        pass(&mut world);
        let has_failed = world.disk().has_failed();
        world.disk().calm();
        for _ in 0..3 {
            pass(&mut world);
        }
        let status = status(&world);
        assert_eq!(status.summary, Summary::Healthy, "call {call}: {status}");
        let newest = world.server.closed().last().copied();
        let inspected = status.inspected.map(|inspected| inspected.generation);
        assert_eq!(inspected, newest, "call {call}: {status}");
        laws::check(&mut world).unwrap_or_else(|broken| panic!("call {call}: {broken}"));
        if !has_failed {
            assert!(
                world.disk().calls() > before + 50,
                "there was something to fail"
            );
            break;
        }
    }
}

#[test]
fn a_service_that_cannot_write_its_state_is_not_called_healthy() {
    let mut world = served(1);
    assert_eq!(status(&world).summary, Summary::Healthy);
    // One that hangs says nothing either.
    world.wait(SignedDuration::from_mins(12));
    assert_eq!(status(&world).summary, Summary::ServiceDown);
    pass(&mut world);
    assert_eq!(status(&world).summary, Summary::Healthy);
    world.disk().full_after(0);
    world.server.work(100);
    pass(&mut world);
    pass(&mut world);
    let said = status(&world);
    assert_eq!(said.summary, Summary::ServiceDown, "{said}");
    world.disk().calm();
    pass(&mut world);
    assert_eq!(status(&world).summary, Summary::Healthy);
}

#[test]
fn a_copy_that_no_service_ever_served_is_not_called_healthy() {
    let mut world = served(1);
    world.stop();
    world.disable(0).unwrap();
    world.enable(0);
    // A rehearsal or a refused activation looks at the logs that are there.
    world.set_fault(Some(Fault::Unreachable));
    let options = ActivateOptions {
        threads: 1,
        ..ActivateOptions::default()
    };
    assert!(world.restore(0, &options, true).is_err());
    let said = world.statuses().unwrap().pop().unwrap();
    assert_ne!(said.summary, Summary::Healthy, "{said}");
}

#[test]
fn a_database_of_logs_that_the_source_has_lost_is_not_called_healthy() {
    let mut world = served(1);
    let branch = streams().iter().find_map(|stream| {
        let (from, at) = stream.leaves?;
        (from == world.server.stream.number).then_some(at)
    });
    world.stop();
    let before = branch.unwrap() - world.server.records;
    world.server.work(before + 40);
    // Replay would find out, a day later.
    world.configure(|_, config| config.replay_lag = Lag::from_seconds(24 * 3600));
    // What the database requires is the current log, which nobody has.
    world.update(0, true).unwrap();
    assert!(world.server.lose(&mut Random(1)));
    world.server.work(400);
    world.start();
    pass(&mut world);
    pass(&mut world);
    let said = status(&world);
    assert_eq!(said.summary, Summary::Failed, "{said}");
    assert!(
        world
            .restore(0, &force(), false)
            .is_ok_and(|report| report.refusal.is_some())
    );
}

/// Its logs are gone, as after a seeding that was given up: only its header tells which logs it was replayed from.
#[test]
fn a_database_that_replayed_logs_which_the_source_has_lost_is_not_brought_forward_with_others() {
    let mut world = served(1);
    let leaves = streams().iter().find_map(|stream| {
        let (from, at) = stream.leaves?;
        (from == world.server.stream.number).then_some(at)
    });
    let left_at = world.server.stream.generation_at(leaves.unwrap());
    world
        .server
        .work(leaves.unwrap() - world.server.records + 300);
    (0..4).for_each(|_| pass(&mut world));
    let config = world.copies[0].config.clone();
    let header = HeaderCopies::read(&fs::read(&config.target.database).unwrap());
    let header = header.good().unwrap().fields.clone();
    assert!(header.state.needs_recovery() && header.max_required > left_at);
    let last = world.server.stream.log(header.max_required).unwrap();
    let last = LogImage::from_bytes(&config.target.logs, last.bytes.clone()).unwrap();
    assert_eq!(
        header.last_required_log_created(),
        Some(last.header.created)
    );

    world.disable(0).unwrap();
    let logs = fs::read_dir(&config.target.logs).unwrap().flatten();
    let logs = logs.filter(|entry| entry.file_type().unwrap().is_file());
    logs.for_each(|log| world.remove(&log.path()));
    assert!(world.server.lose(&mut Random(1)));
    world.server.delete_below(header.min_required);
    world.server.work(900);
    assert!(world.server.current() > header.max_required);
    world.enable(0);
    world.start();
    (0..4).for_each(|_| pass(&mut world));
    let (said, jet) = failed(&world);
    let named = format!("needs the one created {}", last.header.created.shown());
    assert!(said.to_string().contains(&named) && jet == -543, "{said}");
    let restored = world.restore(0, &force(), false);
    assert!(restored.is_ok_and(|report| report.refusal.is_some()));
}

#[test]
fn a_database_that_was_activated_is_not_called_a_healthy_copy_again() {
    let mut world = served(1);
    // Of one that was mounted again after that, the engine says that it was consistent elsewhere.
    world.server.dismount();
    world.server.mount();
    world.server.work(140);
    pass(&mut world);
    assert!(world.restore(0, &force(), true).unwrap().mountable);
    world.disable(0).unwrap();
    world.enable(0);
    // Replay would find out, a day later.
    world.configure(|_, config| config.replay_lag = Lag::from_seconds(24 * 3600));
    world.server.work(440);
    pass(&mut world);
    pass(&mut world);
    let said = world.statuses().unwrap().pop().unwrap();
    assert_eq!(said.summary, Summary::Failed, "{said}");
    let jet = said.trouble.unwrap().jet.map(|jet| jet.code);
    assert_eq!(jet, Some(-1216));
}

/// A copy of a database that was shut down in a log which the source has lost since, and that log. Replay would find out,
/// a day later.
fn shut_down_in_a_lost_log() -> (World, Generation) {
    let mut world = served(1);
    let trunk = world.server.stream.number;
    let branch = streams().iter().find_map(|stream| {
        let (from, at) = stream.leaves?;
        (from == trunk).then_some(at)
    });
    world.stop();
    let before = branch.unwrap() - world.server.records;
    world.server.work(before + 40);
    world.server.dismount();
    world.configure(|_, config| config.replay_lag = Lag::from_seconds(24 * 3600));
    world.update_from(0, None, true).unwrap();
    let shut_down_in = world.server.current();
    assert!(world.server.lose(&mut Random(1)));
    world.server.mount();
    (world, shut_down_in)
}

/// The status of a copy whose trouble is its database, and the engine's number of that.
#[track_caller]
fn failed(world: &World) -> (CopyStatus, i32) {
    let said = status(world);
    assert_eq!(said.summary, Summary::Failed, "{said}");
    let jet = said.trouble.as_ref().unwrap().jet.as_ref().unwrap().code;
    (said, jet)
}

#[test]
fn a_database_shut_down_in_a_log_that_the_source_has_lost_is_not_called_healthy() {
    let (mut world, shut_down_in) = shut_down_in_a_lost_log();
    while world.server.current() <= shut_down_in {
        world.server.work(20);
    }
    world.start();
    pass(&mut world);
    pass(&mut world);
    let (said, jet) = failed(&world);
    assert_eq!(said.inspected.unwrap().generation, shut_down_in, "{said}");
    assert_eq!(jet, -551);

    // That another database was detached there says nothing of this one.
    let log = log_of(&world, shut_down_in);
    let image = LogImage::read(&log).unwrap();
    let mut records = records_of(&image);
    records.truncate(records.len() - 8);
    let detach = Record::DetachDb(DetachDb {
        procid: ProcId(1),
        dbid: 7,
        detach_flags: DetachDbFlags::empty(),
        names: FileNames {
            unicode: false,
            bytes: b"other.edb\0",
        },
    });
    records.push(detach.encode().unwrap());
    fs::write(&log, write_segments(&image.bytes[..HEADER_SIZE], &records)).unwrap();
    assert_eq!(failed(&world).1, -551);
}

#[test]
fn a_current_log_here_that_knows_nothing_of_a_shutdown_is_seen() {
    let (mut world, shut_down_in) = shut_down_in_a_lost_log();
    while world.server.stream.generation_at(world.server.records + 20) <= shut_down_in {
        world.server.work(20);
    }
    assert_eq!(world.server.current(), shut_down_in);
    let logs = &world.copies[0].config.target.logs;
    fs::create_dir_all(logs).unwrap();
    fs::copy(world.server.folder().join("edb.log"), logs.join("edb.log")).unwrap();
    world.start();
    pass(&mut world);
    assert_eq!(failed(&world).1, -551);
}

#[test]
fn a_database_whose_log_of_its_shutdown_cannot_be_read_is_not_called_healthy() {
    let mut world = served(1);
    world.server.dismount();
    world.configure(|_, config| config.replay_lag = Lag::from_seconds(24 * 3600));
    world.update_from(0, None, true).unwrap();
    let shut_down_in = world.server.current();
    world.server.mount();
    while world.server.current() <= shut_down_in {
        world.server.work(20);
    }
    pass(&mut world);
    pass(&mut world);
    assert_eq!(status(&world).summary, Summary::Healthy);
    let log = log_of(&world, shut_down_in);
    let whole = fs::read(&log).unwrap();
    for damaged in [100..HEADER_SIZE, HEADER_SIZE + 40..HEADER_SIZE + 4000] {
        let mut bytes = whole.clone();
        bytes[damaged].fill(7);
        fs::write(&log, bytes).unwrap();
        let (said, jet) = failed(&world);
        assert_eq!(jet, -501, "{said}");
    }
    fs::write(&log, whole).unwrap();
    assert_eq!(status(&world).summary, Summary::Healthy);
}

fn log_of(world: &World, generation: Generation) -> PathBuf {
    let logs = &world.copies[0].config.target.logs;
    logs.join(format!("edb{:05X}.log", generation.0))
}

#[test]
fn a_dismounted_database_is_seeded_as_it_is_and_followed_when_it_is_mounted_again() {
    let mut world = served(1);
    // A mounted one is not.
    assert!(world.update_from(0, None, true).is_err());
    world.server.dismount();
    let dismounted_at = world.server.records;
    world.update_from(0, None, true).unwrap();
    pass(&mut world);
    let report = world
        .restore(0, &ActivateOptions::default(), false)
        .unwrap();
    assert_eq!(report.loss, None, "{report:?}");
    // Nobody works on it.
    world.server.work(400);
    assert_eq!(world.server.records, dismounted_at);
    world.server.mount();
    world.server.work(900);
    pass(&mut world);
    pass(&mut world);
    let said = status(&world);
    assert_eq!(said.summary, Summary::Healthy, "{said}");
    let newest = said.inspected.unwrap().generation;
    assert_eq!(said.replayed.unwrap().generation, newest, "{said}");
    let report = world.restore(0, &ActivateOptions::default(), true).unwrap();
    assert_eq!(report.loss, None);
    let rows = rows_of(&fs::read(report.database).unwrap());
    assert!(rows == world.server.stream.rows_after(world.server.records));
}

#[test]
fn what_a_database_holds_that_was_shut_down_is_not_told_as_lost() {
    let mut world = served(1);
    world.suspend(0).unwrap();
    let newest_here = world.server.closed().last().copied().unwrap();
    world.server.work(900);
    world.server.dismount();
    let shut_down_in = world.server.current();
    assert!(shut_down_in > newest_here.next());
    // The logs stay, and the database is a newer one.
    let database = world.copies[0].config.target.database.clone();
    world.remove(&database);
    world.update_from(0, None, false).unwrap();
    let header = HeaderCopies::read(&fs::read(&database).unwrap());
    let shut_down_at = header.good().unwrap().fields.last_consistent_time.rfc3339();
    let rows = world.server.stream.rows_after(world.server.records);
    world.server.mount();
    world.server.work(600);
    let report = world.restore(0, &force(), true).unwrap();
    let loss = report.loss.unwrap();
    assert_eq!(loss.first, shut_down_in);
    assert!(loss.last_known >= Some(shut_down_in), "{loss:?}");
    assert!(shut_down_at.is_some());
    assert_eq!(loss.after, shut_down_at);
    assert!(rows_of(&fs::read(report.database).unwrap()) == rows);
}

#[test]
fn of_the_log_in_which_a_database_was_shut_down_all_that_came_later_is_told_as_lost() {
    let mut world = served(1);
    world.server.dismount();
    world.suspend(0).unwrap();
    world.update_from(0, None, true).unwrap();
    let rows = world.server.stream.rows_after(world.server.records);
    let shut_down_in = world.server.current();
    // Another log has its name, and nothing can be replayed.
    let logs = &world.copies[0].config.target.logs;
    let other = world.server.path(shut_down_in.previous());
    fs::copy(other, logs.join(format!("edb{:05X}.log", shut_down_in.0))).unwrap();
    world.server.mount();
    world.server.work(600);
    let report = world.restore(0, &force(), true).unwrap();
    assert_eq!(report.loss.unwrap().first, shut_down_in);
    assert!(rows_of(&fs::read(report.database).unwrap()) == rows);
}

#[test]
fn a_log_that_came_slowly_has_the_time_at_which_it_came() {
    let mut world = served(1);
    laws::check(&mut world).unwrap();
    world.configure(|_, config| config.replay_lag = Lag::from_seconds(3600));
    world.set_fault(Some(Fault::Slow));
    let begun = world.clock.now();
    world.server.work(900);
    pass(&mut world);
    laws::check(&mut world).unwrap();
    let took = world.clock.now().duration_since(begun);
    assert!(took > SignedDuration::from_mins(20), "it was slow: {took}");
    // A pass that took long is no service that hangs.
    assert_eq!(status(&world).summary, Summary::Healthy);
}

#[test]
fn logs_count_as_replayed_when_a_slow_step_of_replay_ends() {
    let mut world = served(1);
    world.configure(|_, config| config.replay_lag = Lag::from_seconds(3600));
    world.server.work(900);
    pass(&mut world);
    world.slow_disk();
    let mut serve = || {
        let begun = world.clock.now();
        world.serve();
        let replayed = status(&world).replayed.unwrap().at;
        let took = world.clock.now().duration_since(begun);
        world.wait(SignedDuration::from_hours(1));
        (replayed.duration_since(begun), took)
    };
    let (_, idle) = serve();
    let (replayed_after, _) = serve();
    assert!(replayed_after > idle * 2, "{replayed_after}, {idle}");
}

#[test]
fn of_a_current_log_that_came_earlier_the_rest_is_told_as_lost() {
    let mut world = served(1);
    world.suspend(0).unwrap();
    let current = world.server.current();
    let logs = world.copies[0].config.target.logs.clone();
    fs::copy(world.server.folder().join("edb.log"), logs.join("edb.log")).unwrap();
    let records = world.server.records;
    world.server.work(400);
    assert!(world.server.current() > current);
    world.set_fault(Some(Fault::Unreachable));
    world.serve();
    let report = world.restore(0, &force(), true).unwrap();
    assert_eq!(report.loss.unwrap().first, current);
    let rows = rows_of(&fs::read(report.database).unwrap());
    assert!(rows == world.server.stream.rows_after(records));
}

#[test]
fn a_checkpoint_after_the_current_log_deletes_nothing_at_the_source() {
    let mut world = served(1);
    world.truncates_source = true;
    world.start();
    let far = Generation(world.server.current().0 + 5);
    fs::write(world.server.folder().join("edb.chk"), checkpoint(far)).unwrap();
    pass(&mut world);
    assert_eq!(world.server.deleted(), []);
    // A true one does.
    let needed = world.server.flush();
    pass(&mut world);
    let deleted = world.server.deleted();
    assert_eq!(deleted.last(), Some(&needed.previous()));
}

#[test]
fn a_seeding_that_did_not_finish_is_gone_on_with_by_a_copy_that_is_enabled_anew() {
    let mut was_half_there = false;
    for call in (5..200).step_by(5) {
        let mut world = served(1);
        world.disk().kill_after(call);
        let _ = world.update(0, true);
        world.restart_machine();
        let database = world.copies[0].config.target.database.clone();
        was_half_there |= database.with_extension("edb.partial").exists();
        world.disable(0).unwrap();
        world.enable(0);
        world
            .update(0, true)
            .unwrap_or_else(|error| panic!("call {call}: {error}"));
        world.server.work(200);
        pass(&mut world);
        let said = world.statuses().unwrap().pop().unwrap();
        assert_eq!(said.summary, Summary::Healthy, "call {call}: {said}");
    }
    assert!(was_half_there);
}

#[test]
fn a_seeding_whose_journal_was_lost_is_gone_on_with() {
    let mut had_lost = 0;
    for call in (5..200).step_by(5) {
        let mut world = served(1);
        world.disk().kill_after(call);
        let _ = world.update(0, true);
        world.restart_machine();
        let database = world.copies[0].config.target.database.clone();
        let journal = database.with_extension("edb.edbcopy");
        if !database.with_extension("edb.partial").exists() || !journal.exists() {
            continue;
        }
        had_lost += 1;
        world.remove(&journal);
        world
            .update(0, true)
            .unwrap_or_else(|error| panic!("call {call}: {error}"));
    }
    assert!(had_lost > 0);
}

#[test]
fn what_a_power_loss_brings_back_of_deleted_logs_is_deleted_again() {
    for call in [Call::Remove, Call::Sync, Call::Rename, Call::Write] {
        for number in 1..12 {
            let mut world = served(1);
            world.server.work(300);
            world.disk().kill_in(call, number);
            pass(&mut world);
            if !world.disk().is_killed() {
                continue;
            }
            world.lose_power();
            for _ in 0..3 {
                world.server.work(60);
                pass(&mut world);
                laws::check(&mut world)
                    .unwrap_or_else(|broken| panic!("{call:?} {number}: {broken}"));
            }
        }
    }
}
