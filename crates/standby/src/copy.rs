//! One copy and what is done for it in a pass: look at the source, ship what is closed, tell how it stands.
//!
//! ```text
//! source logs --fetch--> inspector folder --inspect--> sync --rename--> log folder
//!                              ^                |
//!                              +--- not good: again, then Failed
//! ```
//!
//! The chain in the log folder never has a hole: a log comes in only behind its predecessor. A log that lies there
//! already, because a process died behind the rename or because a person put it there, is inspected in its place.

use crate::clock::Clock;
use crate::config::{CopyConfig, Service};
use crate::diverge::is_suspicious;
use crate::error::{StandbyError, at};
use crate::inspect::{Expected, Link, inspect, inspect_current};
use crate::obstacle::{Obstacle, gap, is_due, not_fetched, rejected, target_write, unreachable};
use crate::replay::{LogsInUse, Replayer, first_needed};
use crate::source::{Listing, LogSource, list};
use crate::state::{Progress, ServiceLock, State, StateFile, TroubleKind, sync_folder};
use ese_format::database::{DatabaseHeader, HEADERS_MAX, HeaderCopies};
use ese_format::{Generation, Signature};
use ese_log::LogError;
use evidence::EvidenceFile;
use jiff::Timestamp;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;
use tracing::{info, warn};

/// The most logs that one pass ships, so that orders are obeyed and other copies have their turn.
const LOGS_PER_PASS: u32 = 64;

/// A copy that this process serves.
pub struct Copy {
    pub(crate) config: CopyConfig,
    pub(crate) source: Box<dyn LogSource>,
    pub(crate) state: StateFile,
    service: Arc<ServiceLock>,
    pub(crate) logs: LogsInUse,
    pub(crate) place: Place,
}

/// Where the chain in the log folder ends.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    /// The generation that comes next; none until the first log is known.
    pub(crate) next: Option<Generation>,
    /// The log before it.
    pub(crate) link: Option<Link>,
    /// The signature of the stream, if the database of the copy tells it.
    signature: Option<Signature>,
}

/// What a pass came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// Logs that were shipped.
    pub shipped: u32,
    /// Whether there is more to do at once.
    pub more: bool,
    /// How the copy stands now.
    pub state: State,
}

/// What a pass has seen and done, to be written into the state at its end.
#[derive(Default)]
struct Report {
    generated: Option<Generation>,
    copied: Option<Generation>,
    inspected: Option<Generation>,
    obstacle: Option<Obstacle>,
    shipped: u32,
    more: bool,
    waits: Option<String>,
}

impl Copy {
    /// Takes the copy for this process, makes its folders, and finds where its chain ends.
    pub fn open(
        config: &CopyConfig,
        state_folder: &Path,
        source: Box<dyn LogSource>,
        clock: &dyn Clock,
    ) -> Result<Self, StandbyError> {
        let service = StateFile::new(state_folder, config.file_name()).serve()?;
        Self::take(config, state_folder, source, service, clock)
    }

    /// The same with the lock in hand.
    pub fn take(
        config: &CopyConfig,
        state_folder: &Path,
        source: Box<dyn LogSource>,
        service: ServiceLock,
        clock: &dyn Clock,
    ) -> Result<Self, StandbyError> {
        for folder in [
            &config.target.logs,
            &config.target.system,
            &config.target.inspector(),
        ] {
            fs::create_dir_all(folder).map_err(at(folder))?;
        }
        let mut copy = Copy {
            config: config.clone(),
            source,
            state: StateFile::new(state_folder, config.file_name()),
            service: Arc::new(service),
            logs: LogsInUse::default(),
            place: Place::default(),
        };
        copy.place = copy.find_place()?;
        if let Some(link) = copy.place.link {
            let now = clock.now();
            copy.state
                .update(|state| adopt(state, link.generation, now))?;
        }
        Ok(copy)
    }

    /// The configuration it is served by.
    pub fn config(&self) -> &CopyConfig {
        &self.config
    }

    /// Where its logs come from.
    pub(crate) fn source(&self) -> &dyn LogSource {
        &*self.source
    }

    /// The half that replays and deletes, for this thread or another one.
    pub fn replayer(&self) -> Replayer {
        let (config, state) = (self.config.clone(), self.state.clone());
        Replayer::new(config, state, Arc::clone(&self.service), self.logs.clone())
    }

    /// Brings the logs of the copy as far as they can be brought now.
    pub fn pass(&mut self, service: &Service, clock: &dyn Clock) -> Result<Pass, StandbyError> {
        let now = clock.now();
        let state = self.state.read()?;
        let mut report = Report::default();
        if state.is_out_of_service() {
            return Ok(Pass {
                shipped: 0,
                more: false,
                state,
            });
        }
        if state.suspended.is_none() && is_due(state.trouble.as_ref(), service, now) {
            self.ship(&mut report, true, clock)?;
        } else {
            self.look(&mut report);
        }
        let oldest = listing_of(&self.config)?.oldest();
        let retried = state.suspended.is_none();
        let state = self.state.update(|state| {
            report.write(state, service, now, retried);
            state.oldest = oldest;
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

    /// Goes along the names in the log folder, from what the database needs on, up to the first that is missing, and
    /// back to the last log that passes inspection.
    fn find_place(&self) -> Result<Place, StandbyError> {
        let here = listing_of(&self.config)?;
        let header = database_header(&self.config.target.database);
        let signature = header.as_ref().map(|header| header.log_signature);
        let signature = signature.filter(|signature| !signature.is_null());
        let Some(mut next) = chain_end(header.as_ref(), &here) else {
            return Ok(Place {
                next: None,
                link: None,
                signature,
            });
        };
        loop {
            let last = Generation(next.0.saturating_sub(1));
            let Some(path) = here.named.get(&last) else {
                return Ok(Place {
                    next: Some(next),
                    link: None,
                    signature,
                });
            };
            let expected = Expected {
                generation: last,
                signature,
                ..Expected::default()
            };
            match inspect(path, expected) {
                Ok(link) => {
                    return Ok(Place {
                        next: Some(next),
                        link: Some(link),
                        signature,
                    });
                }
                Err(rejection) => {
                    warn!(
                        copy = self.config.name,
                        "{}: {rejection}; it is fetched again",
                        path.display()
                    );
                    next = last;
                }
            }
        }
    }

    /// Only looks how far the source is.
    fn look(&self, report: &mut Report) {
        if let Ok(listing) = self.source.list() {
            report.generated = listing.newest_closed();
        }
    }

    /// Brings what is closed at the source. If the source went another way, the copy goes with it if it may `resync`.
    fn ship(
        &mut self,
        report: &mut Report,
        resync: bool,
        clock: &dyn Clock,
    ) -> Result<(), StandbyError> {
        let listing = match self.source.list() {
            Ok(listing) => listing,
            Err(error) => {
                report.obstacle = Some(unreachable(&self.config.source.logs, &error));
                return Ok(());
            }
        };
        report.generated = listing.newest_closed();
        if self.place.next.is_none() {
            self.place.next = listing.oldest();
        }
        let link = self.place.link.as_ref();
        if link.is_some_and(|link| is_suspicious(&listing, link)) {
            report.follow(self.resynchronize(&listing, resync, clock.now())?);
            if report.obstacle.is_some() {
                return Ok(());
            }
        }
        self.bring_closed(&listing, report, clock)?;
        let diverged = |obstacle: &Obstacle| obstacle.kind == TroubleKind::Diverged;
        if report.obstacle.as_ref().is_some_and(diverged) {
            report.follow(self.resynchronize(&listing, resync, clock.now())?);
        }
        if report.obstacle.is_none() && !report.more {
            report.waits = Some(match self.place.next {
                Some(next) => format!("generation {next} ({next:#x}) to be closed at the source"),
                None => "the first log at the source".to_owned(),
            });
        }
        Ok(())
    }

    /// Brings logs of the listing one after the other, up to what is not closed yet or does not come.
    fn bring_closed(
        &mut self,
        listing: &Listing,
        report: &mut Report,
        clock: &dyn Clock,
    ) -> Result<(), StandbyError> {
        let here = listing_of(&self.config)?;
        while let Some(next) = self.place.next {
            if report.shipped == LOGS_PER_PASS {
                report.more = true;
                break;
            }
            match self.bring(next, listing, &here, clock.now()) {
                Ok(Some(link)) => {
                    self.place.link = Some(link);
                    self.place.next = Some(following(next));
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
            let folder = &self.config.target.logs;
            sync_folder(folder).map_err(at(folder))?;
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
            let mut report = Report::default();
            self.ship(&mut report, false, clock)?;
            fetched += report.shipped;
            self.state
                .update(|state| report.progress(state, clock.now()))?;
            if !report.more {
                return Ok((fetched, report.obstacle));
            }
        }
    }

    /// Fetches the current log of the source; gives its generation, nothing if there is none.
    pub(crate) fn fetch_current(&self) -> Result<Option<Generation>, Obstacle> {
        let listing = self.source.list();
        let listing = listing.map_err(|error| unreachable(&self.config.source.logs, &error))?;
        let Some((path, header)) = listing.current else {
            return Ok(None);
        };
        let generation = self.place.next.unwrap_or(header.generation);
        let expected = Expected {
            generation,
            before: self.place.link.as_ref(),
            signature: self.place.signature,
            after: None,
        };
        let target = &self.config.target;
        let name = path.file_name().unwrap_or_default();
        let (raw, log) = (target.inspector().join(name), target.logs.join(name));
        let file = self.write(&path, &raw, generation)?;
        inspect_current(&raw, expected)
            .map_err(|rejection| rejected(&path, generation, &rejection))?;
        let placed = file
            .sync_all()
            .and_then(|()| fs::rename(&raw, &log))
            .and_then(|()| sync_folder(&target.logs));
        placed.map_err(|error| target_write(&log, generation, &error))?;
        Ok(Some(generation))
    }

    /// Brings one generation into the log folder; nothing if it is not closed yet.
    fn bring(
        &self,
        generation: Generation,
        listing: &Listing,
        here: &Listing,
        now: Timestamp,
    ) -> Result<Option<Link>, Obstacle> {
        let after = listing.find(following(generation));
        let after = after.and_then(|path| self.source.header(path));
        let expected = Expected {
            generation,
            before: self.place.link.as_ref(),
            signature: self.place.signature,
            after: after.as_ref(),
        };
        if let Some(path) = here.named.get(&generation)
            && let Ok(link) = inspect(path, expected)
        {
            return Ok(Some(link));
        }
        if listing
            .newest_closed()
            .is_none_or(|newest| newest < generation)
        {
            return Ok(None);
        }
        let Some(path) = listing.named.get(&generation) else {
            return Err(gap(generation, listing));
        };
        self.fetch(path, expected, now).map(Some)
    }

    /// Fetches a log, inspects it, and gives it its place.
    fn fetch(&self, path: &Path, expected: Expected<'_>, now: Timestamp) -> Result<Link, Obstacle> {
        let generation = expected.generation;
        let target = &self.config.target;
        let name = path.file_name().unwrap_or_default();
        let (raw, log) = (target.inspector().join(name), target.logs.join(name));
        let file = self.write(path, &raw, generation)?;
        let link =
            inspect(&raw, expected).map_err(|rejection| rejected(path, generation, &rejection))?;
        let placed = file
            .set_modified(SystemTime::from(now))
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&raw, &log));
        placed.map_err(|error| target_write(&log, generation, &error))?;
        Ok(link)
    }

    /// Writes the log at `path` to the inspector folder. What could not be written in full is removed, so that it takes
    /// no space on a full disk.
    fn write(&self, path: &Path, raw: &Path, generation: Generation) -> Result<File, Obstacle> {
        let mut file = File::create(raw).map_err(|error| target_write(raw, generation, &error))?;
        match self.source.fetch(path, &mut file) {
            Ok(_) => Ok(file),
            Err(error) => {
                drop(file);
                // A remainder does no harm: it is overwritten by the next try.
                let _ = fs::remove_file(raw);
                Err(not_fetched(path, raw, generation, error))
            }
        }
    }
}

/// The logs in the log folder of a copy.
pub(crate) fn listing_of(config: &CopyConfig) -> Result<Listing, StandbyError> {
    let folder = &config.target.logs;
    list(folder, &config.source.base).map_err(|error| match error {
        LogError::Io { path, source } => StandbyError::Io { path, source },
        other => StandbyError::Io {
            path: folder.clone(),
            source: io::Error::other(other),
        },
    })
}

/// The generation behind the unbroken chain of logs that are here, from the first that the database needs on; none if it
/// is not known which log is the first.
pub(crate) fn chain_end(header: Option<&DatabaseHeader>, here: &Listing) -> Option<Generation> {
    let mut next = header.map(first_needed).or(here.oldest())?;
    while here.named.contains_key(&next) {
        next = following(next);
    }
    Some(next)
}

/// The generation behind this one.
pub(crate) fn following(generation: Generation) -> Generation {
    Generation(generation.0.saturating_add(1))
}

/// The header of the database at `path`, if there is one and a copy of its header is intact.
pub(crate) fn database_header(path: &Path) -> Option<DatabaseHeader> {
    let start = EvidenceFile::open(path)
        .and_then(|file| file.start(HEADERS_MAX))
        .ok()?;
    Some(HeaderCopies::read(&start).good()?.fields.clone())
}

/// A log that is in the log folder though the state does not know it yet.
fn adopt(state: &mut State, generation: Generation, at: Timestamp) {
    for progress in [&mut state.copied, &mut state.inspected] {
        if progress.is_none_or(|known| known.generation != generation) {
            *progress = Some(Progress { generation, at });
        }
    }
}

impl Report {
    /// What a resynchronization came to: there is more to do at once, or an obstacle; nothing if the source did not go
    /// another way.
    fn follow(&mut self, resynchronized: Result<bool, Obstacle>) {
        match resynchronized {
            Ok(false) => {}
            Ok(true) => {
                self.obstacle = None;
                self.more = true;
                // The state has been told already.
                (self.copied, self.inspected) = (None, None);
            }
            Err(obstacle) => self.obstacle = Some(obstacle),
        }
    }

    fn write(&self, state: &mut State, service: &Service, now: Timestamp, retried: bool) {
        self.progress(state, now);
        state.served = Some(now);
        state.waits = self.waits.clone();
        if self.waits.is_some() {
            state.resync = None;
        }
        if let Some(obstacle) = &self.obstacle {
            state.trouble = Some(obstacle.trouble(state.trouble.as_ref(), service, now));
        } else if retried && (self.shipped > 0 || self.waits.is_some()) {
            state.trouble = None;
        }
    }

    fn progress(&self, state: &mut State, now: Timestamp) {
        let reached = |generation: Generation| Progress {
            generation,
            at: now,
        };
        if let Some(generation) = self.generated
            && state
                .generated
                .is_none_or(|known| known.generation != generation)
        {
            state.generated = Some(reached(generation));
        }
        state.copied = self.copied.map(reached).or(state.copied);
        state.inspected = self.inspected.map(reached).or(state.inspected);
    }
}
