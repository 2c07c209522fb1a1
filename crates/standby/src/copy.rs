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
use crate::error::{StandbyError, at};
use crate::inspect::{Expected, Link, inspect};
use crate::obstacle::{Obstacle, gap, is_due, not_fetched, rejected, target_write, unreachable};
use crate::replay::{LogsInUse, Replayer, first_needed};
use crate::source::{Listing, LogSource, list};
use crate::state::{Progress, ServiceLock, State, StateFile, sync_folder};
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
    config: CopyConfig,
    source: Box<dyn LogSource>,
    state: StateFile,
    service: Arc<ServiceLock>,
    logs: LogsInUse,
    place: Place,
}

/// Where the chain in the log folder ends.
#[derive(Debug, Clone, Default)]
struct Place {
    /// The generation that comes next; none until the first log is known.
    next: Option<Generation>,
    /// The log before it.
    link: Option<Link>,
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
        let state = StateFile::new(state_folder, config.file_name());
        let service = state.serve()?;
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
            state,
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
            self.ship(&mut report, clock)?;
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
        let needed = header.as_ref().map(first_needed);
        let Some(first) = needed.or(here.oldest()) else {
            return Ok(Place {
                next: None,
                link: None,
                signature,
            });
        };
        let mut next = first;
        while here.named.contains_key(&next) {
            next = following(next);
        }
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

    fn ship(&mut self, report: &mut Report, clock: &dyn Clock) -> Result<(), StandbyError> {
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
        let here = listing_of(&self.config)?;
        while let Some(next) = self.place.next {
            if report.shipped == LOGS_PER_PASS {
                report.more = true;
                break;
            }
            match self.bring(next, &listing, &here, clock.now()) {
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
        if report.obstacle.is_none() && !report.more {
            report.waits = Some(match self.place.next {
                Some(next) => format!("generation {next} ({next:#x}) to be closed at the source"),
                None => "the first log at the source".to_owned(),
            });
        }
        Ok(())
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

fn following(generation: Generation) -> Generation {
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
    fn write(&self, state: &mut State, service: &Service, now: Timestamp, retried: bool) {
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
        state.served = Some(now);
        state.waits = self.waits.clone();
        if let Some(obstacle) = &self.obstacle {
            state.trouble = Some(obstacle.trouble(state.trouble.as_ref(), service, now));
        } else if retried && (self.shipped > 0 || self.waits.is_some()) {
            state.trouble = None;
        }
    }
}
