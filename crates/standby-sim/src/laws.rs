//! What must be true after every event.

use crate::engine::streams;
use crate::source::Fault;
use crate::world::{SeenLog, World};
use ese_format::Generation;
use ese_format::database::HeaderCopies;
use jiff::{SignedDuration, Timestamp};
use standby::clock::Clock;
use standby::config::CopyConfig;
use standby::metrics::Metrics;
use standby::state::CopyState;
use standby::status::Summary;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// All laws.
pub fn check(world: &mut World) -> Result<(), String> {
    let shown = world.clock.shown();
    let delayed = world.clock.delayed();
    source_keeps_its_logs(world)?;
    for copy in 0..world.copies.len() {
        let name = world.copies[copy].config.name.clone();
        let law = |what: String| format!("{name}: {what}");
        strangers_stay(world, copy).map_err(law)?;
        let state = world.state_of(copy).read();
        let state = state.map_err(|error| law(format!("its state cannot be read: {error}")))?;
        logs_are_whole(world, copy, shown).map_err(law)?;
        chain_has_no_hole(world, copy, &state).map_err(law)?;
        logs_go_when_they_may(world, copy, &state, (shown.0, delayed)).map_err(law)?;
        replay_keeps_its_lag(world, copy, &state, (shown.0, delayed)).map_err(law)?;
        world.copies[copy].inspected = state.inspected.map(|inspected| inspected.generation);
    }
    status_is_true(world)
}

fn generation_of(path: &Path) -> Option<Generation> {
    let name = path.file_name()?.to_str()?;
    let digits = name.strip_prefix("edb")?.strip_suffix(".log")?;
    u32::from_str_radix(digits, 16).ok().map(Generation)
}

/// Logs in the folder of a copy that are not somebody else's.
fn own_logs(world: &World, copy: usize) -> BTreeMap<Generation, Vec<u8>> {
    let copy = &world.copies[copy];
    let Ok(entries) = fs::read_dir(&copy.config.target.logs) else {
        return BTreeMap::new();
    };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let log = |path: std::path::PathBuf| {
        let bytes = fs::read(&path).ok()?;
        let is_stranger = copy.strangers.get(&path) == Some(&bytes);
        Some((generation_of(&path).filter(|_| !is_stranger)?, bytes))
    };
    let own = paths.filter(|path| path.is_file());
    own.filter_map(log).collect()
}

/// What people put there is as they put it there.
fn strangers_stay(world: &World, copy: usize) -> Result<(), String> {
    for (path, bytes) in &world.copies[copy].strangers {
        let is = fs::read(path).ok();
        let config = &world.copies[copy].config;
        if is.as_ref() != Some(bytes) && !is_put_aside(config, bytes) {
            return Err(format!("{} was changed or taken away", path.display()));
        }
    }
    Ok(())
}

/// Only logs that all copies have go at the source, and only if that was ordered.
fn source_keeps_its_logs(world: &mut World) -> Result<(), String> {
    let at = world.server.checkpoint();
    let gone = world.server.deleted();
    let was_disabled: Vec<bool> = (world.copies.iter_mut())
        .map(|copy| std::mem::take(&mut copy.was_disabled))
        .collect();
    let Some(newest) = gone.last() else {
        return Ok(());
    };
    if !world.truncates_source {
        return Err(format!(
            "{newest} was deleted at the source without an order"
        ));
    }
    if at.is_none_or(|at| *newest >= at) {
        return Err(format!(
            "{newest} was deleted at the source above its checkpoint {at:?}"
        ));
    }
    for (copy, was_disabled) in was_disabled.into_iter().enumerate() {
        if !world.copies[copy].enabled || was_disabled {
            continue;
        }
        let state = world
            .state_of(copy)
            .read()
            .map_err(|error| error.to_string())?;
        let inspected = state.inspected.map(|inspected| inspected.generation);
        // A seed that needs only later logs makes the state forget those before; the copy has them all the same.
        let has = own_logs(world, copy).into_keys().next_back();
        let inspected = inspected.max(world.copies[copy].inspected).max(has);
        if state.activation.is_none() && inspected < Some(*newest) {
            return Err(format!(
                "{newest} was deleted at the source, and copy {copy} has inspected {inspected:?}"
            ));
        }
    }
    Ok(())
}

/// Every log that has its name is the whole log of a stream, and its time is that at which it came.
fn logs_are_whole(
    world: &mut World,
    copy: usize,
    shown: (Timestamp, Timestamp),
) -> Result<(), String> {
    for (generation, bytes) in own_logs(world, copy) {
        let at = modified(&world.copies[copy].config, generation);
        let at = at.ok_or_else(|| format!("{generation} has no time"))?;
        if let Some(known) = world.copies[copy].logs.get_mut(&generation)
            && known.bytes == bytes
            && known.at == at
        {
            known.is_there = true;
            continue;
        }
        let mut logs = streams().iter().filter_map(|stream| stream.log(generation));
        if !logs.any(|log| log.bytes == bytes) {
            let logs = streams().iter().filter_map(|stream| stream.log(generation));
            let differs = logs.map(|log| {
                let pairs = bytes.iter().zip(&log.bytes).enumerate();
                let other = pairs.filter(|(_, (is, was))| is != was);
                let first: Vec<usize> = other.clone().take(8).map(|(at, _)| at).collect();
                (first, other.count(), log.end)
            });
            let nearest = differs.min_by_key(|(_, count, _)| *count);
            return Err(format!(
                "{generation} has its name and is no whole log; of the nearest it differs at (first, how many, its end) {nearest:?}"
            ));
        }
        if at < shown.0 || at > shown.1 {
            return Err(format!(
                "{generation} came between {} and {}, and has the time {at}",
                shown.0, shown.1
            ));
        }
        let name = format!("edb{:05X}.log", generation.0);
        let came = world
            .server
            .way
            .came(&world.copies[copy].config.name, name.as_ref());
        if came.is_some_and(|came| at < came) {
            return Err(format!(
                "{generation} came at {came:?}, and has the time {at}"
            ));
        }
        let seen = SeenLog {
            bytes,
            at,
            is_there: true,
        };
        let copy = &mut world.copies[copy];
        copy.logs.insert(generation, seen);
        copy.replayed.remove(&generation);
    }
    Ok(())
}

fn modified(config: &CopyConfig, generation: Generation) -> Option<Timestamp> {
    let path = config
        .target
        .logs
        .join(format!("edb{:05X}.log", generation.0));
    let time = fs::metadata(path).and_then(|file| file.modified()).ok()?;
    Timestamp::try_from(time).ok()
}

/// The logs up to the newest inspected one follow each other.
fn chain_has_no_hole(world: &World, copy: usize, state: &CopyState) -> Result<(), String> {
    let Some(inspected) = state.inspected else {
        return Ok(());
    };
    if state.seeding.is_some() || state.activation.is_some() || state.resync.is_some() {
        return Ok(());
    }
    let own = own_logs(world, copy);
    let mut next = inspected.generation;
    if !own.contains_key(&next) && !world.copies[copy].strangers.is_empty() {
        return Ok(());
    }
    if !own.contains_key(&next) {
        return Err(format!(
            "{next} was inspected and is not there: {:?}\n{state:?}",
            own.keys()
        ));
    }
    let oldest = *own.keys().next().expect("there is one");
    while next > oldest {
        let (after, before) = (&own[&next], own.get(&next.previous()));
        let Some(before) = before else {
            // Logs of an older seed may be left before a hole.
            return match state.oldest.is_some_and(|oldest| oldest >= next) {
                true => Ok(()),
                false => Err(format!(
                    "{} is missing before {next}: {:?}\n{state:?}",
                    next.previous(),
                    own.keys()
                )),
            };
        };
        if after[24..32] != before[16..24] {
            return Err(format!("{next} does not continue the log before it"));
        }
        next = next.previous();
    }
    Ok(())
}

fn lag(lag: standby::lag::Lag) -> SignedDuration {
    lag.duration()
}

/// The first generation that the database of a copy needs.
pub(crate) fn needed(config: &CopyConfig) -> Option<Generation> {
    let bytes = fs::read(&config.target.database).ok()?;
    let copies = HeaderCopies::read(&bytes);
    let header = &copies.good()?.fields;
    Some(match header.state.needs_recovery() {
        true => header.min_required,
        false => header.last_consistent.generation,
    })
}

fn age(since: Timestamp, now: Timestamp) -> SignedDuration {
    now.duration_since(since).max(SignedDuration::ZERO)
}

/// A log is deleted only when the database does not need it, it was replayed, and both lags are over.
///
/// What was seen to be replayed may have been replayed earlier, by what was slow since `looked`.
fn logs_go_when_they_may(
    world: &mut World,
    copy: usize,
    state: &CopyState,
    (looked, delayed): (Timestamp, SignedDuration),
) -> Result<(), String> {
    let now = world.clock.now();
    let own = own_logs(world, copy);
    let gone: Vec<Generation> = world.copies[copy]
        .logs
        .iter()
        .filter(|(generation, log)| log.is_there && !own.contains_key(generation))
        .map(|(generation, _)| *generation)
        .collect();
    let known = &mut world.copies[copy];
    let ordered = std::mem::take(&mut known.may_lose_logs) || state.seeding.is_some();
    known.may_lose_logs = state.seeding.is_some();
    let (replay, truncation) = (
        lag(known.config.replay_lag),
        lag(known.config.truncation_lag),
    );
    for generation in gone {
        let log = known.logs.get_mut(&generation).expect("it was known");
        log.is_there = false;
        let (inspected, bytes) = (log.at, log.bytes.clone());
        let replayed = known.replayed.get(&generation).copied();
        // Replayed and deleted since the last look, which may be several steps ago.
        let newest = state
            .replayed
            .filter(|replayed| replayed.generation >= generation);
        let since = newest.map(|newest| newest.at.max(looked).min(now - delayed));
        let replayed = replayed.or(since);
        if ordered || state.activation.is_some() || is_put_aside(&known.config, &bytes) {
            continue;
        }
        let why = if known.config.wait_for_backup {
            Some("no backup has it".to_owned())
        } else if needed(&known.config).is_none_or(|needed| generation >= needed) {
            Some(format!("the database needs {:?}", needed(&known.config)))
        } else if state
            .inspected
            .is_none_or(|inspected| generation >= inspected.generation)
        {
            Some("it was the newest".to_owned())
        } else if age(inspected, now) < replay + truncation {
            Some(format!(
                "it was inspected at {inspected}, lags {replay} and {truncation}"
            ))
        } else if replayed.is_none_or(|at| age(at, now) < truncation) {
            Some(format!("it was replayed at {replayed:?}, lag {truncation}"))
        } else {
            None
        };
        if let Some(why) = why {
            return Err(format!(
                "{generation} was deleted at {now}: {why}\n{state:?}"
            ));
        }
    }
    Ok(())
}

/// Whether a log lies among those that were put aside.
fn is_put_aside(config: &CopyConfig, bytes: &[u8]) -> bool {
    let Ok(folders) = fs::read_dir(config.target.logs.join("diverged")) else {
        return false;
    };
    let files = folders
        .filter_map(|folder| fs::read_dir(folder.ok()?.path()).ok())
        .flatten();
    files
        .filter_map(|file| fs::read(file.ok()?.path()).ok())
        .any(|kept| kept == *bytes)
}

/// No log is replayed before its lag is over, nor one of the newest that are kept back.
fn replay_keeps_its_lag(
    world: &mut World,
    copy: usize,
    state: &CopyState,
    (looked, delayed): (Timestamp, SignedDuration),
) -> Result<(), String> {
    let now = world.clock.now();
    let kept_back = world.configuration().service.kept_back;
    let known = &mut world.copies[copy];
    let Some(replayed) = state.replayed else {
        return Ok(());
    };
    // Lags are over when a step ends, which may be long before all that is slow has ended.
    let (replayed, at) = (replayed.generation, replayed.at.min(now));
    if state.activation.is_some() {
        return Ok(());
    }
    let wait = lag(known.config.replay_lag);
    let logs = known.logs.iter().filter(|(_, log)| log.is_there);
    let logs: Vec<(Generation, Timestamp)> = logs
        .map(|(generation, log)| (*generation, log.at))
        .collect();
    for (generation, inspected) in logs {
        // One that came since the last look is not what was replayed before that: another log had its name then.
        let came_later = at < looked && inspected > at;
        if generation > replayed || known.replayed.contains_key(&generation) || came_later {
            continue;
        }
        let earliest = match generation == replayed {
            true => at,
            false => now - delayed,
        };
        known.replayed.insert(generation, earliest.min(at));
        // The seed had what is in those.
        if Some(generation) < known.seeded_from {
            continue;
        }
        if age(inspected, at) < wait {
            return Err(format!(
                "{generation} was replayed at {at}, came at {inspected}, lag {wait}; {:?}",
                state.replayed
            ));
        }
        let newest = state
            .inspected
            .map_or(Generation(0), |inspected| inspected.generation);
        if newest.0 - generation.0.min(newest.0) < kept_back {
            return Err(format!(
                "{generation} was replayed, the newest is {newest}, and {kept_back} are kept back"
            ));
        }
    }
    Ok(())
}

/// Healthy is a copy that has what the source has; and the metrics say the same as the status.
fn status_is_true(world: &mut World) -> Result<(), String> {
    let fault = world.server.way.fault();
    let troubled = std::mem::take(&mut world.is_troubled) || fault.is_some_and(Fault::is_trouble);
    let statuses = world
        .statuses()
        .map_err(|error| format!("there is no status: {error}"))?;
    let metrics = Metrics(&statuses).to_string();
    for status in &statuses {
        let is_told = metrics.lines().any(|line| {
            let words = [&*status.name, &*format!("{:?}", status.summary)];
            line.ends_with(" 1")
                && words
                    .iter()
                    .all(|word| line.to_lowercase().contains(&word.to_lowercase()))
        });
        if !is_told {
            return Err(format!(
                "{}: {}, and the metrics do not say it:\n{metrics}",
                status.name, status.summary
            ));
        }
    }
    for status in statuses {
        let copies = &world.copies;
        let at = copies
            .iter()
            .position(|copy| copy.config.name == status.name);
        let at = at.expect("a copy of this world");
        if status.summary != Summary::Healthy {
            continue;
        }
        let is_served = world.is_served();
        if !is_served {
            return Err(format!("{}: Healthy, and no service runs", status.name));
        }
        if troubled || world.is_endangered || !world.is_at_rest() {
            continue;
        }
        let closed = world.server.closed();
        let newest = closed.last().copied();
        let inspected = status.inspected.map(|inspected| inspected.generation);
        if newest > inspected {
            return Err(format!(
                "{}: Healthy, the source has closed {newest:?}, and {inspected:?} is inspected\n{status}",
                status.name
            ));
        }
        if status.copy_queue_length > 0 {
            return Err(format!("{}: Healthy, at rest, and logs wait", status.name));
        }
        let there = world.server.logs();
        for (generation, bytes) in own_logs(world, at) {
            if there.get(&generation).is_some_and(|log| *log != bytes) {
                return Err(format!(
                    "{}: Healthy, and its {generation} is not that of the source",
                    status.name
                ));
            }
        }
        let needs = needed(&world.copies[at].config);
        if needs.is_none() {
            return Err(format!("{}: Healthy without a database", status.name));
        }
    }
    Ok(())
}

/// Where nothing goes wrong, a copy does what it may, no later: the model that its rules describe.
pub fn nothing_waits(world: &mut World) -> Result<(), String> {
    if !world.is_at_rest() {
        return Ok(());
    }
    let now = world.clock.now();
    let kept_back = world.configuration().service.kept_back;
    for copy in 0..world.copies.len() {
        let state = world
            .state_of(copy)
            .read()
            .map_err(|error| error.to_string())?;
        let known = &world.copies[copy];
        let rests = state.suspended.is_some() || state.activation.is_some();
        if rests || !known.enabled || state.seeding.is_some() {
            continue;
        }
        let newest = world.server.closed().last().copied();
        let inspected = state.inspected.map(|inspected| inspected.generation);
        // A log before the first that its database needs does not come.
        let comes =
            newest.filter(|newest| needed(&known.config).is_some_and(|needed| *newest >= needed));
        if inspected < comes {
            return Err(format!(
                "{}: {newest:?} is closed, {inspected:?} inspected",
                known.config.name
            ));
        }
        let wait = lag(known.config.replay_lag);
        let may = |generation: &Generation, at: Timestamp| {
            age(at, now) >= wait
                && inspected.is_some_and(|newest| newest.0 - generation.0 >= kept_back)
        };
        let there = known.logs.iter().filter(|(_, log)| log.is_there);
        let due = there.filter(|(generation, log)| may(generation, log.at));
        let due = due.map(|(generation, _)| *generation).max();
        // Before it has all that it requires, a database waits as a whole; one that was shut down has what is older.
        let least = required(&known.config).max(needed(&known.config));
        let due = due.filter(|due| least.is_some_and(|least| *due >= least));
        let replayed = state.replayed.map(|replayed| replayed.generation);
        if replayed < due {
            return Err(format!(
                "{}: {due:?} may be replayed, {replayed:?} was",
                known.config.name
            ));
        }
    }
    Ok(())
}

/// The last generation that the database of a copy requires.
fn required(config: &CopyConfig) -> Option<Generation> {
    let bytes = fs::read(&config.target.database).ok()?;
    Some(HeaderCopies::read(&bytes).good()?.fields.max_required)
}
