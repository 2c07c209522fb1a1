//! A history: events at random, and the laws after each of them.

use crate::engine::{Stream, rows_of, streams};
use crate::laws;
use crate::source::Fault;
use crate::world::{Violation, World};
use ese_format::Lgpos;
use ese_format::database::HeaderCopies;
use jiff::SignedDuration;
use standby::BringError;
use standby::activate::{ActivateError, ActivateOptions, ActivateReport};
use standby::state::TroubleKind;
use standby::status::{CopyStatus, Summary};
use std::fs;
use std::path::PathBuf;

/// Events in a history; between two of them pass up to twelve hours.
const EVENTS: usize = 160;
/// Tries of a command that dies on the way.
const TRIES: usize = 12;

/// What a history came to.
#[derive(Debug, Default, Clone, Copy)]
pub struct Outcome {
    /// Simulated time.
    pub time: SignedDuration,
    /// Times that something was killed.
    pub killed: u32,
    /// Copies that were activated, and whose rows were compared.
    pub activated: u32,
    /// Databases that went back to the source.
    pub failed_back: u32,
    /// Copies that were seeded.
    pub seeded: u32,
    /// Times that the source went another way.
    pub left: u32,
}

/// Lives through the history of this seed. With `calm`, nothing goes wrong in it.
pub fn live(seed: u64, calm: bool) -> Result<Outcome, Violation> {
    let mut history = History {
        world: World::new(seed),
        outcome: Outcome::default(),
        calm,
    };
    let begun = history.now();
    let lived = history.run();
    let mut outcome = history.outcome;
    outcome.time = history.now().duration_since(begun);
    match lived {
        Ok(()) => Ok(outcome),
        Err(what) => Err(Violation {
            what,
            events: history.world.events,
        }),
    }
}

struct History {
    world: World,
    outcome: Outcome,
    calm: bool,
}

impl History {
    fn now(&self) -> jiff::Timestamp {
        use standby::clock::Clock;
        self.world.clock.now()
    }

    fn run(&mut self) -> Result<(), String> {
        self.world.start();
        for copy in 0..self.world.copies.len() {
            self.update(copy, false);
        }
        for _ in 0..EVENTS {
            self.event()?;
            self.settle()?;
        }
        self.end()
    }

    /// Time goes by, people work, and the service does what it can.
    fn settle(&mut self) -> Result<(), String> {
        let world = &mut self.world;
        let minutes = match world.random.below(4) {
            0 => 1 + world.random.below(5),
            _ => world.random.below(720),
        };
        world.wait(SignedDuration::from_mins(minutes as i64));
        if !world.server.is_mounted() && world.random.below(4) == 0 {
            world.server.mount();
            world.note("mounted at the source");
        }
        if world.random.below(5) > 0 {
            let records = world.random.below(80);
            world.server.work(records);
        }
        world.serve();
        self.survive();
        self.check()
    }

    /// Sees to what was killed.
    fn survive(&mut self) {
        if self.world.is_killed() {
            self.outcome.killed += 1;
            self.world.recover();
            self.world.serve();
        }
    }

    fn check(&mut self) -> Result<(), String> {
        if self.world.is_killed() {
            return Ok(());
        }
        self.world.undisturbed(laws::check)?;
        match self.calm {
            true => self.world.undisturbed(laws::nothing_waits),
            false => Ok(()),
        }
    }

    fn event(&mut self) -> Result<(), String> {
        let copy = self.world.random.below(self.world.copies.len());
        let which = match self.calm {
            true => self.world.random.below(30),
            false => self.world.random.below(100),
        };
        match which {
            0..5 => {}
            5..8 => {
                self.world.server.dismount();
                let at = self.world.server.current();
                self.world
                    .note(format!("dismounted at the source, in {at}"));
            }
            8..10 => {
                self.world.note(format!("suspend {copy}"));
                self.ordered(|world| world.suspend(copy).is_ok());
            }
            10..14 => {
                self.world.note(format!("resume {copy}"));
                self.ordered(|world| world.resume(copy).is_ok());
            }
            14..17 => {
                self.world.note("the service is started anew");
                self.world.start();
            }
            17..19 => {
                self.world.note("the source writes its checkpoint");
                self.world.server.flush();
            }
            19..21 => {
                let exists = self.world.copies[copy].config.target.database.exists();
                self.update(copy, exists);
            }
            21..24 => self.dry_run(copy)?,
            24..26 => self.activate(copy)?,
            26..30 => {
                let more = self.world.random.below(300);
                self.world.note(format!("{more} records of work"));
                self.world.server.work(more);
            }
            30..33 => {
                self.world.note("the disk is slow");
                self.world.slow_disk();
            }
            33..45 => {
                let danger = self.world.endanger();
                self.world.note(danger);
                self.world.is_endangered = true;
            }
            45..58 => {
                let fault = Fault::any(&mut self.world.random);
                self.world.note(format!("the way to the source: {fault:?}"));
                self.world.set_fault(Some(fault));
            }
            58..72 => {
                self.world.note("all is well again");
                self.world.recover();
                self.world.disk().speed_up();
                self.world.set_fault(None);
                self.world.server.repair();
            }
            72..74 => {
                self.world.note("the service is stopped");
                self.world.stop();
            }
            74..80 => self.world.start(),
            80..83 => {
                if self.world.server.lose(&mut self.world.random) {
                    self.outcome.left += 1;
                    let (stream, at) =
                        (self.world.server.stream.number, self.world.server.current());
                    self.world.note(format!(
                        "the source loses its newest work: stream {stream} in {at}"
                    ));
                }
            }
            83..86 => {
                let closed = self
                    .world
                    .server
                    .closed()
                    .iter()
                    .copied()
                    .collect::<Vec<_>>();
                if let Some(generation) = closed.last().copied() {
                    self.world
                        .note(format!("{generation} is damaged at the source"));
                    self.world.server.damage(generation, &mut self.world.random);
                    self.world.is_troubled = true;
                }
            }
            86..89 => {
                let checkpoint = self.world.server.flush();
                self.world.note(format!(
                    "circular logging at the source: below {checkpoint}"
                ));
                self.world.server.delete_below(checkpoint);
            }
            89..91 => {
                let path = self.world.undisturbed(|world| world.put_stranger(copy));
                self.world
                    .note(format!("somebody's file: {}", path.display()));
            }
            91..93 => {
                self.world.note("somebody's files are taken away");
                self.world.undisturbed(|world| world.take_strangers(copy));
            }
            93..96 => {
                let hours = self.world.random.below(96) as i64 - 48;
                self.world.note(format!("the clock jumps by {hours} hours"));
                self.world.wait(SignedDuration::from_hours(hours));
            }
            96..98 => {
                self.world.note(format!("disable and enable {copy}"));
                self.disable_and_enable(copy);
            }
            _ => {
                let force = ActivateOptions {
                    force: true,
                    threads: 1,
                    ..ActivateOptions::default()
                };
                self.activate_with(copy, &force)?;
            }
        }
        self.survive();
        Ok(())
    }

    /// Carries an order out; whoever gave it gives it again after the machine came up.
    fn ordered(&mut self, mut order: impl FnMut(&mut World) -> bool) {
        for _ in 0..TRIES {
            if order(&mut self.world) || !self.world.is_killed() {
                return;
            }
            self.survive();
        }
    }

    fn update(&mut self, copy: usize, delete_existing: bool) {
        // What is dismounted may be copied as it is.
        let dismounted = !self.world.server.is_mounted() && self.world.random.below(2) == 0;
        self.world.note(format!(
            "update {copy}, delete existing: {delete_existing}, as it is: {dismounted}"
        ));
        let mut said = String::new();
        let mut done = false;
        self.ordered(|world| {
            let updated = match dismounted {
                true => world.update_from(copy, None, delete_existing),
                false => world.update(copy, delete_existing),
            };
            done = updated.is_ok();
            said = updated
                .err()
                .map_or(String::new(), |error| error.to_string());
            done
        });
        self.outcome.seeded += u32::from(done);
        self.world.note(match done {
            true => "seeded".to_owned(),
            false => format!("not seeded: {said}"),
        });
    }

    fn disable_and_enable(&mut self, copy: usize) {
        self.world.copies[copy].was_disabled = true;
        self.ordered(|world| world.disable(copy).is_ok());
        self.survive();
        if !self.world.copies[copy].enabled {
            self.world.enable(copy);
        }
        self.world.copies[copy].may_lose_logs = true;
        let state = self.world.undisturbed(|world| world.state_of(copy).read());
        if state.is_ok_and(|state| state.replayed.is_none()) {
            let known = &mut self.world.copies[copy];
            known.replayed.clear();
            // What its database had replayed, it has still.
            if let Some(needed) = laws::needed(&known.config) {
                known.seeded_from = known.seeded_from.max(Some(needed));
            }
        }
    }

    fn dry_run(&mut self, copy: usize) -> Result<(), String> {
        let options = ActivateOptions {
            threads: 1,
            ..ActivateOptions::default()
        };
        let told = self.world.restore(copy, &options, false);
        let told = match told {
            Ok(report) => format!("mountable {}, loss {:?}", report.mountable, report.loss),
            Err(error) => error.to_string(),
        };
        self.world.note(format!("restore {copy} --dry-run: {told}"));
        Ok(())
    }

    fn activate(&mut self, copy: usize) -> Result<(), String> {
        let options = ActivateOptions {
            threads: 1,
            ..ActivateOptions::default()
        };
        self.activate_with(copy, &options).map(drop)
    }

    /// Activates a copy, compares what came of it with the truth, and makes a new copy of it. Gives the report, if it was
    /// done.
    fn activate_with(
        &mut self,
        copy: usize,
        options: &ActivateOptions,
    ) -> Result<Option<ActivateReport>, String> {
        self.world
            .note(format!("restore {copy}, force: {}", options.force));
        if !self.world.copies[copy].enabled {
            return Ok(None);
        }
        let mut answer = None;
        self.ordered(|world| {
            let restored = world.restore(copy, options, true);
            let done = restored.is_ok();
            answer = Some(restored);
            done
        });
        let report = match answer.expect("it was tried") {
            Ok(report) => report,
            Err(error) => {
                self.world.note(format!("not restored: {}", told(&error)));
                let server = &self.world.server;
                let stands = (server.stream.number, server.records);
                self.world.copies[copy].died_at.get_or_insert(stands);
                return Ok(None);
            }
        };
        self.world.note(format!(
            "restored: mountable {}, loss {:?}",
            report.mountable, report.loss
        ));
        if !report.mountable {
            return Ok(None);
        }
        self.outcome.activated += 1;
        self.judge(copy, &report)?;
        if self.world.random.below(3) == 0 {
            self.fail_back(copy, &report)?;
        }
        // The server with the copy is the first one's standby again.
        self.world.recover();
        self.ordered(|world| world.disable(copy).is_ok());
        self.survive();
        self.world.recover();
        self.world.remove_files(copy);
        self.world.enable(copy);
        self.world.serve();
        self.update(copy, false);
        Ok(Some(report))
    }

    /// The database goes back to the source, and nothing that was there is lost.
    fn fail_back(&mut self, copy: usize, report: &ActivateReport) -> Result<(), String> {
        let before = self.world.server.files();
        let mut answer = None;
        self.ordered(|world| {
            let done = world.failback(copy);
            let is_done = done.is_ok();
            answer = Some(done);
            is_done
        });
        let database = self.world.server.database();
        let after = self.world.server.files();
        let is_kept = |bytes: &Vec<u8>| after.iter().any(|(_, kept)| kept == bytes);
        match answer.expect("it was tried") {
            Ok(failback) => {
                self.outcome.failed_back += 1;
                self.world.note("failed back");
                let restored = fs::read(&report.database).ok();
                if fs::read(&database).ok() != restored {
                    return Err(format!("copy {copy}: another database was brought back"));
                }
                // One of which the restored one is a later state is brought up to date.
                let is_replaced =
                    |path: &PathBuf| *path == database && failback.old_database.is_none();
                let mut lost = before
                    .iter()
                    .filter(|(path, bytes)| !is_replaced(path) && !is_kept(bytes));
                if let Some((path, _)) = lost.next() {
                    return Err(format!(
                        "copy {copy}: {} is gone after a failback",
                        path.display()
                    ));
                }
            }
            // All is there, and nothing needs an order but the logs.
            Err(error @ BringError::Refused { .. }) if !self.world.server.is_mounted() => {
                return Err(format!("copy {copy}: not failed back: {error}"));
            }
            Err(error) => self.world.note(format!("not failed back: {error}")),
        }
        self.world.server.put_back();
        Ok(())
    }

    /// What was activated holds what its report says.
    fn judge(&self, copy: usize, report: &ActivateReport) -> Result<(), String> {
        let world = &self.world;
        let database = fs::read(&report.database)
            .map_err(|error| format!("the restored database cannot be read: {error}"))?;
        let rows = rows_of(&database);
        let server = &world.server;
        let Some(loss) = &report.loss else {
            let expected = server.stream.rows_after(server.records);
            let begun = world.copies[copy].died_at;
            let begun = begun.map(|(stream, records)| streams()[stream].rows_after(records));
            return match rows == expected || begun.as_ref() == Some(&rows) {
                true => Ok(()),
                false => Err(format!(
                    "copy {copy}: \"loss: none\", and {} rows, not the source's {}",
                    rows.len(),
                    expected.len()
                )),
            };
        };
        let before = loss.first.previous();
        let here = world.copies[copy]
            .config
            .target
            .logs
            .join(format!("edb{:05X}.log", before.0));
        // Under its name may be somebody's file, which says nothing of the stream.
        let here = fs::read(here).ok().filter(|here| {
            let logs = streams().iter().filter_map(|stream| stream.log(before));
            logs.map(|log| &log.bytes).any(|bytes| bytes == here)
        });
        let streams = streams().iter().filter(|stream| {
            let log = stream.log(before);
            match (&here, log) {
                (Some(here), Some(log)) => *here == log.bytes,
                _ => true,
            }
        });
        let header = HeaderCopies::read(&database);
        let header = header.good().ok_or("the restored database has no header")?;
        let clean_at = header.fields.last_consistent;
        let streams: Vec<_> = streams.collect();
        let dismounts = streams
            .iter()
            .filter_map(|stream| Some((stream, stream.dismounted_at(clean_at)?)));
        let mut states: Vec<_> = dismounts.collect();
        if states.is_empty() {
            // Of the first log that is lost, a part may be here; where that ends is known but for a segment.
            let end = report.replayed.end.as_deref().map(str::parse::<Lgpos>);
            let part = report.replayed.last == Some(loss.first);
            let records = |stream: &Stream| match &end {
                Some(Ok(end)) if part => {
                    let segment = end.segment.saturating_sub(1);
                    stream.records_until(Lgpos { segment, ..*end })..=stream.records_until(*end)
                }
                _ => {
                    let whole = stream.records_before(loss.first);
                    whole..=whole
                }
            };
            let all = streams
                .iter()
                .flat_map(|stream| records(stream).map(move |records| (stream, records)));
            states.extend(all);
        }
        let mut any = states
            .iter()
            .map(|(stream, records)| stream.rows_after(*records));
        match any.any(|expected| expected == rows) {
            true => Ok(()),
            false => Err(format!(
                "copy {copy}: loss from {} on, and {} rows that are those of no stream: {report:?}",
                loss.first,
                rows.len()
            )),
        }
    }

    /// Faults stop. Every copy becomes Healthy, or says why not; after that a person helps it, and it can be activated.
    fn end(&mut self) -> Result<(), String> {
        self.world.note("faults stop");
        self.world.server.is_ending = true;
        self.world.server.mount();
        self.world.recover();
        self.world.disk().speed_up();
        self.world.set_fault(None);
        self.world.server.repair();
        for copy in 0..self.world.copies.len() {
            self.world.take_strangers(copy);
        }
        self.world.start();
        self.rest();
        self.check()?;
        let mut statuses = self.statuses()?;
        if !statuses.iter().all(tells) {
            // What failed for the first time just now is tried again.
            self.rest();
            statuses = self.statuses()?;
        }
        if let Some(status) = statuses.iter().find(|status| !tells(status)) {
            return Err(format!(
                "{}: {} long after faults stopped: {:?}\n{status}",
                status.name, status.summary, status.trouble
            ));
        }
        for copy in 0..self.world.copies.len() {
            self.heal(copy)?;
        }
        for copy in 0..self.world.copies.len() {
            let options = ActivateOptions {
                threads: 1,
                ..ActivateOptions::default()
            };
            if self.world.random.below(2) == 0 {
                self.world.server.dismount();
                self.world.note("dismounted at the source");
            }
            let report = self.activate_with(copy, &options)?.ok_or_else(|| {
                format!(
                    "copy {copy} is Healthy and cannot be restored: {}",
                    self.world.events.last().cloned().unwrap_or_default()
                )
            })?;
            if report.loss.is_some() {
                return Err(format!(
                    "copy {copy}: a loss, and all of the source can be reached: {report:?}"
                ));
            }
            self.world.server.mount();
        }
        Ok(())
    }

    /// An hour of rounds.
    fn rest(&mut self) {
        for _ in 0..12 {
            self.world.wait(SignedDuration::from_mins(5));
            self.world.serve();
        }
    }

    fn statuses(&self) -> Result<Vec<CopyStatus>, String> {
        let statuses = self.world.statuses();
        statuses.map_err(|error| format!("no status long after faults stopped: {error}"))
    }

    fn summary(&self, copy: usize) -> Result<Summary, String> {
        let name = &self.world.copies[copy].config.name;
        let statuses = self.statuses()?;
        let status = statuses.iter().find(|status| status.name == *name);
        Ok(status.map_or(Summary::Disabled, |status| status.summary))
    }

    /// What a person does until a copy is well.
    fn heal(&mut self, copy: usize) -> Result<(), String> {
        if !self.world.copies[copy].enabled {
            self.world.enable(copy);
        }
        if self.summary(copy)? == Summary::Disabled {
            // An activation that died is taken back, or gone through with.
            let _ = self.world.resume(copy);
            if self.summary(copy)? == Summary::Disabled {
                self.activate(copy)?;
            }
        }
        self.rest();
        if self.summary(copy)? != Summary::Healthy {
            self.world.note(format!("resume {copy}"));
            let _ = self.world.resume(copy);
            self.rest();
        }
        if self.summary(copy)? != Summary::Healthy {
            self.update(copy, true);
            self.rest();
        }
        // What the database needs may not be closed yet.
        for _ in 0..4 {
            if self.summary(copy)? != Summary::Healthy {
                self.world.server.work(200);
                self.rest();
            }
        }
        let summary = self.summary(copy)?;
        let status = self.statuses()?;
        match summary {
            Summary::Healthy => Ok(()),
            other => Err(format!(
                "copy {copy} is {other} after it was seeded anew: {:?}",
                status
                    .iter()
                    .map(|status| (&status.trouble, &status.waits, &status.replay_waits))
                    .collect::<Vec<_>>()
            )),
        }
    }
}

/// Whether a copy is Healthy, or says why not.
fn tells(status: &CopyStatus) -> bool {
    match status.summary {
        Summary::Failed if status.suspended.is_some() => true,
        Summary::Failed => status.trouble.as_ref().is_some_and(|trouble| {
            let is_told = trouble.is_final() || trouble.kind == TroubleKind::Database;
            is_told && !trouble.reason.is_empty()
        }),
        Summary::Healthy => true,
        Summary::Suspended => status.suspended.is_some(),
        Summary::Disabled => status.activation.is_some(),
        Summary::Seeding => status.seeding.is_some(),
        Summary::Initializing => status.waits.is_some() || status.replay_waits.is_some(),
        Summary::Resynchronizing | Summary::ServiceDown => false,
    }
}

fn told(error: &ActivateError) -> String {
    match error {
        ActivateError::Refused(report) => {
            let refusal = report.refusal.as_ref();
            refusal.map_or(String::new(), |refusal| refusal.reason.clone())
        }
        other => other.to_string(),
    }
}
