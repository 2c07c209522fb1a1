//! One copy and what is done for it in a pass: look at the source, ship what is closed, report its state.
//!
//! ```text
//! source logs --fetch--> inspector folder --inspect--> sync --rename--> log folder
//!                              ^                |
//!                              +--- not good: again, then Failed
//! ```
//!
//! The chain in the log folder never has a hole: a log comes in only after its predecessor. A log that lies there
//! already, because a process died after the rename or because a person put it there, is inspected in its place. A file
//! that this copy did not write ([`crate::own_files`]) is never replaced: what has the name of the next log and is not that
//! log makes the copy Failed.

use crate::aside::{folder_of, put_aside};
use crate::birth::is_to_be_made;
use crate::clock::{Clock, SystemClock, age};
use crate::config::{CopyConfig, Service};
use crate::error::{StandbyError, at};
use crate::inspect::{ExpectedLog, LogLink, inspect, inspect_current};
use crate::listing::{Listing, header_of};
use crate::obstacle::{
    Obstacle, empty, gap, is_due, not_fetched, occupied, rejected, strangers, target_write,
    unreachable,
};
use crate::pass::{PassReport, adopt};
use crate::place::{Place, listing_of, oldest_of_chain, opening_after, strangers_here};
use crate::replay::{LogsInUse, Replayer};
use crate::source::LogSource;
use crate::source::view::{CurrentLog, SourceView, is_suspicious, look};
use crate::state::{CopyState, ServiceLock, StateFile, TroubleKind};
use crate::target_view::TargetView;
use ese_format::{Generation, Signature};
use ese_log::LogError;
use jiff::{SignedDuration, Timestamp};
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use target_disk::{Disk, DiskFile, DiskWriter, SharedDisk};
use tracing::{info, warn};

/// The most logs that one pass ships, so that orders are obeyed and other copies have their turn.
const LOGS_PER_PASS: u32 = 64;

/// A pass that ships logs takes no longer, but for the log that it is at.
const LONGEST_PASS: SignedDuration = SignedDuration::from_mins(1);

/// A copy that this process serves.
pub struct StandbyCopy {
    pub(crate) config: CopyConfig,
    pub(crate) source: Box<dyn LogSource>,
    pub(crate) state: StateFile,
    service: Arc<ServiceLock>,
    pub(crate) logs: LogsInUse,
    pub(crate) place: Place,
    /// Ends the names of files under way.
    tag: String,
    /// The generations of which the state knows that they get their names now.
    placing: Option<RangeInclusive<Generation>>,
    /// The current log of the source as it was last seen.
    seen: Option<CurrentLog>,
    /// Whether the log folder was looked through for logs of other streams.
    is_checked: bool,
    /// Where logs go: the log folder of the copy, unless this is a rehearsal.
    into: PathBuf,
    /// Whether it is served once only.
    once: bool,
    /// Whether what failed before is tried now, however short a time ago that was.
    eager: bool,
}

/// A current log that was fetched.
pub(crate) struct FetchedCurrent {
    pub(crate) generation: Generation,
    /// Where it lies: under its own name, unless another one has that.
    pub(crate) path: PathBuf,
}

/// What a pass came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// Logs that were shipped.
    pub shipped: u32,
    /// Whether there is more to do at once.
    pub more: bool,
    /// How the copy stands now.
    pub state: CopyState,
}

impl StandbyCopy {
    /// Takes the copy for this process, makes its folders, and finds where its chain ends.
    pub fn open(
        config: &CopyConfig,
        state: StateFile,
        source: Box<dyn LogSource>,
        clock: &dyn Clock,
    ) -> Result<Self, StandbyError> {
        let service = state.serve(clock)?;
        Self::take(config, state, source, service, clock)
    }

    /// The same with the lock in hand.
    pub fn take(
        config: &CopyConfig,
        state: StateFile,
        source: Box<dyn LogSource>,
        service: ServiceLock,
        clock: &dyn Clock,
    ) -> Result<Self, StandbyError> {
        for folder in [
            &config.target.logs,
            &config.target.system,
            &config.target.inspector(),
        ] {
            state.disk().create_folders(folder).map_err(at(folder))?;
        }
        let into = config.target.logs.clone();
        let copy = Self::with(config, state, source, service, into)?;
        if let Some(link) = &copy.place.link {
            let now = clock.now();
            copy.state
                .update(|state| adopt(state, link.generation, now))?;
        }
        Ok(copy)
    }

    /// A copy that only finds out what it would fetch: logs go into `folder`, and so does what it would note. Nothing else
    /// is changed.
    pub(crate) fn rehearse(
        config: &CopyConfig,
        known: CopyState,
        source: Box<dyn LogSource>,
        folder: &Path,
    ) -> Result<Self, StandbyError> {
        let mut own = config.clone();
        own.target.inspector = Some(folder.join("inspector"));
        let into = folder.join("logs");
        let here = match config.target.logs.exists() {
            true => listing_of(config)?,
            false => Listing::default(),
        };
        if is_to_be_made(config, &known, here.oldest()) {
            own.target.database = folder.join("database.edb");
        }
        // Where it goes is of this machine, whatever the disk of the copy is.
        let state = StateFile::new(&SharedDisk::default(), folder, config.file_name());
        for folder in [&own.target.inspector(), &into] {
            state.disk().create_folders(folder).map_err(at(folder))?;
        }
        state.update(|state| *state = known)?;
        let service = state.serve(&SystemClock)?;
        Self::with(&own, state, source, service, into)
    }

    fn with(
        config: &CopyConfig,
        state: StateFile,
        source: Box<dyn LogSource>,
        service: ServiceLock,
        into: PathBuf,
    ) -> Result<Self, StandbyError> {
        let here = match config.target.logs.exists() {
            true => listing_of(config)?,
            false => Listing::default(),
        };
        let known = state.update(|state| {
            state.made.settle_in(&config.target.logs);
            state.made.settle_placing(&here);
        })?;
        Ok(StandbyCopy {
            config: config.clone(),
            source,
            state,
            service: Arc::new(service),
            logs: LogsInUse::default(),
            place: Place::find(config, &known.made, &here)?,
            tag: known.made.tag().to_owned(),
            placing: None,
            seen: None,
            is_checked: false,
            into,
            once: false,
            eager: false,
        })
    }

    /// Serves it once: what failed before and may be tried again is tried at once.
    #[must_use]
    pub fn once(mut self) -> Self {
        (self.once, self.eager) = (true, true);
        self
    }

    /// The folder into which a rehearsal fetches.
    pub(crate) fn rehearsed_in(&self) -> Option<&Path> {
        (self.into != self.config.target.logs).then_some(&self.into)
    }

    /// The configuration it is served by.
    pub fn config(&self) -> &CopyConfig {
        &self.config
    }

    /// The half that replays and deletes, for this thread or another one.
    pub fn replayer(&self) -> Replayer {
        let (config, state) = (self.config.clone(), self.state.clone());
        let replayer = Replayer::new(config, state, Arc::clone(&self.service), self.logs.clone());
        match self.once {
            true => replayer.once(),
            false => replayer,
        }
    }

    /// Brings the logs of the copy as far as they can be brought now.
    pub fn pass(&mut self, service: &Service, clock: &dyn Clock) -> Result<Pass, StandbyError> {
        let now = clock.now();
        let state = self.state.read()?;
        let mut report = PassReport {
            once: self.once,
            ..PassReport::default()
        };
        if state.is_out_of_service() {
            return Ok(Pass {
                shipped: 0,
                more: false,
                state,
            });
        }
        let eager = std::mem::take(&mut self.eager);
        let is_due = match &state.trouble {
            Some(trouble) if eager => !trouble.is_final(),
            trouble => is_due(trouble.as_ref(), service, now),
        };
        if state.suspended.is_none() && is_due {
            self.ship(&mut report, true, clock)?;
        } else if let Ok(view) = self.view() {
            report.see(&view, &self.config);
        }
        let listing = listing_of(&self.config)?;
        let oldest = oldest_of_chain(&listing, self.place.next);
        let (config, here) = (
            &self.config.clone(),
            TargetView::with(&self.config, &listing, true),
        );
        // Over a slow link a pass takes its time.
        let now = clock.now();
        let retried = state.suspended.is_none();
        let state = self.record(|state| {
            report.write(state, service, now, retried);
            state.oldest = oldest;
            let trouble = here.trouble(config, state, now);
            state.database_trouble_since = trouble.map(|trouble| trouble.since);
        })?;
        if let Some(trouble) = state.trouble.as_ref().filter(|_| report.obstacle.is_some()) {
            let name = &self.config.name;
            warn!(
                copy = name,
                attempts = trouble.attempts,
                last = trouble.is_final(),
                "{}",
                trouble.reason
            );
        }
        Ok(Pass {
            shipped: report.shipped,
            more: report.more,
            state,
        })
    }

    /// Says that the service goes on, while it is busy with other copies.
    pub(crate) fn tell(&self, now: Timestamp) -> Result<(), StandbyError> {
        self.state
            .update(|state| state.served = Some(now))
            .map(drop)
    }

    /// The logs in the log folder.
    pub(crate) fn here(&self) -> Result<Listing, StandbyError> {
        match self.config.target.logs.exists() {
            true => listing_of(&self.config),
            false => Ok(Listing::default()),
        }
    }

    /// Looks at the source.
    pub(crate) fn view(&mut self) -> Result<SourceView, LogError> {
        let view = look(&*self.source, self.place.signature, self.seen.as_ref())?;
        self.seen = Some(view.current.clone());
        Ok(view)
    }

    /// Brings what is closed at the source. If the source diverged, the copy follows it if it may `resync`.
    fn ship(
        &mut self,
        report: &mut PassReport,
        resync: bool,
        clock: &dyn Clock,
    ) -> Result<(), StandbyError> {
        let view = match self.view() {
            Ok(view) => view,
            Err(error) => {
                report.obstacle = Some(unreachable(&error));
                return Ok(());
            }
        };
        report.see(&view, &self.config);
        report.obstacle = self.place.keeps_all_out(&self.config, &view);
        // An activation replaces nothing, and what it needs is judged with the chain.
        if report.obstacle.is_none() && !self.is_checked && resync {
            let made = self.state.read()?.made;
            let found = strangers_here(&self.config, &made, view.stream)?;
            self.is_checked = found.is_empty();
            report.obstacle = (!self.is_checked).then(|| strangers(&found));
        }
        if report.obstacle.is_some() {
            return Ok(());
        }
        if self.place.next.is_none() {
            self.place.next = view.listing.oldest();
        }
        let link = self.place.link.as_ref();
        if link.is_some_and(|link| is_suspicious(&view.listing, link)) {
            report.follow(self.resynchronize(&view, resync, clock.now())?);
            if report.obstacle.is_some() {
                return Ok(());
            }
        }
        self.bring_closed(&view, report, clock)?;
        let diverged = |obstacle: &Obstacle| obstacle.kind == TroubleKind::Diverged;
        if report.obstacle.as_ref().is_some_and(diverged) {
            report.follow(self.resynchronize(&view, resync, clock.now())?);
        }
        if report.obstacle.is_none() && !report.more {
            report.waits = Some(match self.place.next {
                Some(next) => format!("generation {next} ({next:#x}) to be closed at the source"),
                None => "the first log at the source".to_owned(),
            });
        }
        Ok(())
    }

    /// Brings logs of the source one after the other, up to what is not closed yet or does not come.
    fn bring_closed(
        &mut self,
        view: &SourceView,
        report: &mut PassReport,
        clock: &dyn Clock,
    ) -> Result<(), StandbyError> {
        let here = self.here()?;
        let begun = clock.now();
        while let Some(next) = self.place.next {
            let is_long = report.shipped > 0 && age(begun, clock.now()) >= LONGEST_PASS;
            if report.shipped == LOGS_PER_PASS || is_long {
                report.more = true;
                break;
            }
            match self.bring(next, view, &here, clock) {
                Ok(Some((link, is_written))) => {
                    if is_written {
                        let placed = report.placed.get_or_insert((link.signature, Vec::new()));
                        placed.1.push(next);
                    }
                    report.prove(&link);
                    self.place.signature = Some(link.signature);
                    self.place.link = Some(link);
                    self.place.next = Some(next.next());
                    report.shipped += 1;
                    report.copied = Some(next);
                    report.inspected = Some(next);
                }
                Ok(None) => break,
                Err(obstacle) => {
                    report.obstacle = Some(obstacle);
                    break;
                }
            }
        }
        if report.shipped > 0 {
            let synced = self.disk().sync_folder(&self.into);
            synced.map_err(at(&self.into))?;
            let (count, last) = (report.shipped, report.inspected);
            info!(
                copy = self.config.name,
                logs = count,
                last = last.map(|last| last.0),
                "logs inspected"
            );
        }
        Ok(())
    }

    /// Fetches all closed logs, for an activation; how many, and what keeps the next one from coming.
    pub(crate) fn fetch_rest(
        &mut self,
        clock: &dyn Clock,
    ) -> Result<(u32, Option<Obstacle>), StandbyError> {
        let mut fetched = 0;
        loop {
            let mut report = PassReport::default();
            self.ship(&mut report, false, clock)?;
            fetched += report.shipped;
            self.record(|state| report.progress(state, clock.now()))?;
            if !report.more {
                return Ok((fetched, report.obstacle));
            }
        }
    }

    /// Writes what a pass came to; the logs that it placed are entered with that.
    fn record(&mut self, change: impl FnOnce(&mut CopyState)) -> Result<CopyState, StandbyError> {
        self.placing = None;
        self.state.update(change)
    }

    /// Fetches the current log of the source.
    pub(crate) fn fetch_current(&mut self) -> Result<FetchedCurrent, Obstacle> {
        let view = self.view().map_err(|error| unreachable(&error))?;
        if let Some(obstacle) = view.without_current() {
            return Err(obstacle);
        }
        let Some((path, header)) = view.listing.current else {
            return Err(empty(&self.config.source.logs, &self.config.source.base));
        };
        let generation = self.place.next.unwrap_or(header.generation);
        let expected = ExpectedLog {
            generation,
            before: self.place.link.as_ref(),
            signature: self.place.signature,
            after: None,
        };
        let name = path.file_name().unwrap_or_default();
        let (raw, log) = (self.raw(name), self.into.join(name));
        let file = self.write(&path, &raw, generation)?;
        inspect_current(&raw, expected)
            .map_err(|rejection| rejected(&path, generation, &rejection))?;
        let written = |error: &io::Error| target_write(&log, generation, error);
        file.sync_all().map_err(|error| written(&error))?;
        drop(file);
        let is_own = |path: &Path| {
            let made = self.state.read()?.made;
            Ok(path.symlink_metadata().is_err() || made.owns_current(header_of(path).as_ref()))
        };
        let is_own = is_own(&log).map_err(|error: StandbyError| not_kept(&error, generation))?;
        if !is_own {
            // Somebody's log has its name. It is used from where it is.
            let path = raw;
            return Ok(FetchedCurrent { generation, path });
        }
        let noted = self.state.update(|state| state.made.set_current(&header));
        noted.map_err(|error| not_kept(&error, generation))?;
        let disk = self.disk();
        let placed = disk.rename(&raw, &log);
        let placed = placed.and_then(|()| disk.sync_folder(&self.into));
        placed.map_err(|error| written(&error))?;
        Ok(FetchedCurrent {
            generation,
            path: log,
        })
    }

    /// Where everything is written.
    fn disk(&self) -> &dyn Disk {
        &**self.state.disk()
    }

    /// Where a log grows before it has its name.
    fn raw(&self, name: &std::ffi::OsStr) -> PathBuf {
        let name = format!("{}.{}", name.to_string_lossy(), self.tag);
        self.config.target.inspector().join(name)
    }

    /// Brings one generation into the log folder; nothing if it is not closed yet. Says whether it was written, or was
    /// there.
    fn bring(
        &mut self,
        generation: Generation,
        view: &SourceView,
        here: &Listing,
        clock: &dyn Clock,
    ) -> Result<Option<(LogLink, bool)>, Obstacle> {
        let after = opening_after(&*self.source, generation, view);
        let before = self.place.link.clone();
        let expected = ExpectedLog {
            generation,
            before: before.as_ref(),
            signature: self.place.signature.or(view.stream),
            after: after.as_ref(),
        };
        let there = here.named.get(&generation);
        let passes = there.map(|path| inspect(path, expected));
        if let Some(Ok(link)) = passes {
            return Ok(Some((link, false)));
        }
        if view.newest_closed.is_none_or(|newest| newest < generation) {
            return Ok(None);
        }
        if let (Some(path), Some(Err(rejection))) = (there, passes) {
            let state = self.state.read();
            let state = state.map_err(|error| not_kept(&error, generation))?;
            if !state.made.has_written(generation) {
                return Err(occupied(path, generation, &rejection));
            }
        }
        let Some(path) = view.listing.named.get(&generation) else {
            return Err(gap(generation, view));
        };
        let link = self.fetch(path, expected, clock)?;
        Ok(Some((link, true)))
    }

    /// Fetches a log, inspects it, and gives it its place. What has its name, which was written by this copy and does not
    /// pass, is put aside.
    fn fetch(
        &mut self,
        path: &Path,
        expected: ExpectedLog<'_>,
        clock: &dyn Clock,
    ) -> Result<LogLink, Obstacle> {
        let generation = expected.generation;
        let name = path.file_name().unwrap_or_default();
        let (raw, log) = (self.raw(name), self.into.join(name));
        let file = self.write(path, &raw, generation)?;
        let link =
            inspect(&raw, expected).map_err(|rejection| rejected(path, generation, &rejection))?;
        self.intend(link.signature, generation)
            .map_err(|error| not_kept(&error, generation))?;
        let now = clock.now();
        if log.symlink_metadata().is_ok() {
            let folder = folder_of(&self.into, now);
            let aside = put_aside(self.disk(), &log, &folder)
                .map_err(|error| not_kept(&error, generation))?;
            warn!(
                copy = self.config.name,
                "{}: no longer passes, put aside",
                aside.display()
            );
        }
        let placed = file
            .set_modified(SystemTime::from(now))
            .and_then(|()| file.sync_all())
            .and_then(|()| self.disk().rename(&raw, &log));
        placed.map_err(|error| target_write(&log, generation, &error))?;
        Ok(link)
    }

    /// Has the state say that this log gets its name, before it does.
    fn intend(&mut self, stream: Signature, generation: Generation) -> Result<(), StandbyError> {
        let known = self.placing.as_ref();
        if known.is_some_and(|known| known.contains(&generation)) {
            return Ok(());
        }
        let last = Generation(generation.0.saturating_add(LOGS_PER_PASS));
        self.state
            .update(|state| state.made.begin_placing(stream, generation, last))?;
        self.placing = Some(generation..=last);
        Ok(())
    }

    /// Writes the log at `path` to the inspector folder. What could not be written in full is removed, so that it takes
    /// no space on a full disk.
    fn write(
        &self,
        path: &Path,
        raw: &Path,
        generation: Generation,
    ) -> Result<Box<dyn DiskFile>, Obstacle> {
        let opened = self.disk().open_or_create(raw);
        let opened = opened.and_then(|file| file.set_length(0).map(|()| file));
        let file = opened.map_err(|error| target_write(raw, generation, &error))?;
        match self.source.fetch(path, &mut DiskWriter::new(&*file)) {
            Ok(_) => Ok(file),
            Err(error) => {
                drop(file);
                // A remainder does no harm: it is overwritten by the next try.
                let _ = self.disk().remove(raw);
                Err(not_fetched(path, raw, generation, error))
            }
        }
    }
}

/// The state could not be read or written.
fn not_kept(error: &StandbyError, generation: Generation) -> Obstacle {
    Obstacle {
        kind: TroubleKind::TargetWrite,
        reason: error.to_string(),
        jet: None,
        generation: Some(generation),
    }
}
