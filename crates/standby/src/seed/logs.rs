//! The logs that a seed needs: where each of them is, and what has to be done to have it.
//!
//! All of them must be available before anything is changed. Shipping brings those that are closed at the source; those
//! that lie only beside the seed are inspected and taken; one that is still the current log of the source stays there,
//! and is owed.

use super::{SeedOptions, shown};
use crate::bring::BringError;
use crate::clock::Clock;
use crate::config::CopyConfig;
use crate::error::at;
use crate::inspect::{ExpectedLog, LogLink, Rejection, inspect};
use crate::listing::{Listing, list};
use crate::place::first_needed;
use crate::place::listing_of;
use crate::source::view::stream_of;
use crate::source::{LogSource, is_address};
use crate::state::StateFile;
use ese_format::database::DatabaseHeader;
use ese_format::{Generation, JetError, Signature};
use serde::Serialize;
use std::fmt::{self, Display, Formatter};
use std::fs::{File, Permissions};
use std::io;
use std::path::{Path, PathBuf};
use target_disk::{Disk, DiskFile, DiskWriter, NewAttributes};

/// A log without which the copy cannot be activated: it was the current one of the source, which shipping leaves there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OwedLog {
    /// Its generation.
    pub generation: Generation,
    /// Where it lies at the source.
    pub log: PathBuf,
    /// What to do.
    pub advice: String,
}

impl OwedLog {
    fn of(config: &CopyConfig, generation: Generation, log: &Path) -> OwedLog {
        OwedLog {
            generation,
            log: log.to_owned(),
            advice: format!(
                "`scr restore` fetches it as long as {} can be read, and shipping brings it once a server has closed it; \
                 until then keep a copy of it: {} takes one",
                shown(&config.source.logs),
                shown(&config.target.logs)
            ),
        }
    }
}

impl Display for OwedLog {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let OwedLog {
            generation,
            log,
            advice,
        } = self;
        write!(
            f,
            "the copy cannot be activated without generation {generation} ({generation:#x}), which is still the current log \
             of the source ({}): {advice}",
            shown(log)
        )
    }
}

/// Which logs the seed needs, and where they come from.
pub(super) struct SeedLogs {
    /// The first log that shipping has to bring.
    pub(super) first: Generation,
    /// Logs that only lie beside the seed.
    beside: Vec<(Generation, PathBuf)>,
    /// The log that only the source has, as its current one.
    pub(super) owed: Option<OwedLog>,
    /// The stream that the logs belong to.
    pub(super) stream: Option<Signature>,
}

impl SeedLogs {
    pub(super) fn make(
        config: &CopyConfig,
        from: &Path,
        header: &DatabaseHeader,
        logs: &dyn LogSource,
        options: &SeedOptions,
    ) -> Result<SeedLogs, BringError> {
        let listing = logs.list().ok();
        let stream = same_stream(config, header, listing.as_ref(), logs)?;
        let dirty = header.state.needs_recovery();
        let first = first_needed(header);
        // A clean database is continued by the log in which it was shut down.
        let last = if dirty { header.max_required } else { first };
        let mut plan = SeedLogs {
            first,
            beside: Vec::new(),
            owed: None,
            stream,
        };
        let empty = |listing: &Listing| listing.named.is_empty() && listing.current.is_none();
        if !dirty && listing.as_ref().is_none_or(empty) {
            return Ok(plan);
        }
        let places = LogLocations::look(config, from, listing, options)?;
        for generation in (first.0..=last.0).map(Generation) {
            match places.find(generation) {
                Some(LogLocation::Shipped) => {}
                Some(LogLocation::Open(log)) if dirty => {
                    plan.owed = Some(OwedLog::of(config, generation, log));
                }
                Some(LogLocation::Open(_)) => {}
                Some(LogLocation::Beside(log)) => plan.beside.push((generation, log.to_owned())),
                None => return Err(log_is_gone(from, first, last, generation)),
            }
        }
        Ok(plan)
    }

    /// The logs that only lie beside the seed.
    pub(super) fn logs_to_take(&self) -> Vec<PathBuf> {
        self.beside.iter().map(|(_, path)| path.clone()).collect()
    }

    /// Puts the logs that only lie beside the seed into the log folder, each after its inspection.
    pub(super) fn take_logs(
        &self,
        config: &CopyConfig,
        state: &StateFile,
        clock: &dyn Clock,
    ) -> Result<u32, BringError> {
        let mut before: Option<LogLink> = None;
        for (generation, path) in &self.beside {
            let follows = |link: &LogLink| link.generation.next() == *generation;
            let expected = ExpectedLog {
                generation: *generation,
                before: before.as_ref().filter(|link| follows(link)),
                ..ExpectedLog::default()
            };
            before = Some(take_log(config, state, path, expected, clock)?);
        }
        Ok(self.beside.len() as u32)
    }
}

/// Where logs that a seed needs may be.
struct LogLocations {
    here: Option<Listing>,
    source: Option<Listing>,
    beside: Option<Listing>,
}

/// Where one of them is.
enum LogLocation<'a> {
    /// Here, or closed at the source: shipping brings it.
    Shipped,
    /// At the source, which has not closed it.
    Open(&'a Path),
    /// Only beside the seed.
    Beside(&'a Path),
}

impl LogLocations {
    fn look(
        config: &CopyConfig,
        from: &Path,
        source: Option<Listing>,
        options: &SeedOptions,
    ) -> Result<LogLocations, BringError> {
        let here = match options.delete_existing || !config.target.logs.exists() {
            true => None,
            false => Some(listing_of(config)?),
        };
        let beside = match (is_address(from), from.parent()) {
            (false, Some(folder)) => list(folder, &config.source.base).ok(),
            _ => None,
        };
        Ok(LogLocations {
            here,
            source,
            beside,
        })
    }

    fn find(&self, generation: Generation) -> Option<LogLocation<'_>> {
        let here = self.here.as_ref();
        if here.is_some_and(|here| here.find(generation).is_some()) {
            return Some(LogLocation::Shipped);
        }
        if let Some(source) = &self.source
            && let Some(log) = source.find(generation)
        {
            let closed = source.named.contains_key(&generation);
            return Some(if closed {
                LogLocation::Shipped
            } else {
                LogLocation::Open(log)
            });
        }
        let beside = self.beside.as_ref()?.named.get(&generation)?;
        Some(LogLocation::Beside(beside))
    }
}

fn log_is_gone(from: &Path, first: Generation, last: Generation, gone: Generation) -> BringError {
    BringError::Refused {
        reason: format!(
            "{} needs the log generations {first} to {last} ({first:#x} to {last:#x}), and {gone} ({gone:#x}) is neither at \
             the source nor beside it",
            shown(from),
        ),
        advice: "put its logs beside it, or seed from a later copy".into(),
        jet: Some(JetError::MISSING_LOG_FILE),
    }
}

/// Brings one log that lies beside the seed into the log folder, unless it lies there already.
fn take_log(
    config: &CopyConfig,
    state: &StateFile,
    path: &Path,
    expected: ExpectedLog<'_>,
    clock: &dyn Clock,
) -> Result<LogLink, BringError> {
    let rejected = |path: &Path, rejection: &Rejection, advice: &str| BringError::Refused {
        reason: format!("{}: {rejection}", path.display()),
        advice: advice.into(),
        jet: Some(rejection.jet()),
    };
    let name = path.file_name().unwrap_or_default();
    let logs = &config.target.logs;
    let log = logs.join(name);
    if log.symlink_metadata().is_ok() {
        let advice = "this copy did not make it: move it away";
        return inspect(&log, expected).map_err(|why| rejected(&log, &why, advice));
    }
    let tag = state.read()?.made.tag().to_owned();
    let raw = format!("{}.{tag}", name.to_string_lossy());
    let raw = config.target.inspector().join(raw);
    let disk = state.disk();
    let copied = copy_log(&**disk, path, &raw);
    let (file, permissions) = copied.map_err(at(&raw))?;
    let advice = "the seed cannot be brought forward without this log";
    let link = inspect(&raw, expected).map_err(|why| rejected(path, &why, advice))?;
    file.sync_all().map_err(at(&raw))?;
    let attributes = NewAttributes {
        modified: Some(clock.now().into()),
        permissions: Some(permissions),
        accessed: None,
    };
    disk.set_attributes(&raw, &attributes).map_err(at(&raw))?;
    state.update(|state| {
        state.made.placed(link.signature, &[link.generation]);
        state.proofs.enter(link.generation, &link.proof);
    })?;
    let placed = disk.rename(&raw, &log);
    let placed = placed.and_then(|()| disk.sync_folder(logs));
    placed.map_err(at(&log))?;
    Ok(link)
}

/// Copies a log; gives the copy, and the permissions that it gets.
fn copy_log(
    disk: &dyn Disk,
    from: &Path,
    to: &Path,
) -> io::Result<(Box<dyn DiskFile>, Permissions)> {
    let mut log = File::open(from)?;
    let permissions = log.metadata()?.permissions();
    let file = disk.open_or_create(to)?;
    file.set_length(0)?;
    io::copy(&mut log, &mut DiskWriter::new(&*file))?;
    Ok((file, permissions))
}

/// Refuses a database that belongs to another log stream than that of the source; gives the stream, if one of the two
/// tells.
fn same_stream(
    config: &CopyConfig,
    header: &DatabaseHeader,
    listing: Option<&Listing>,
    logs: &dyn LogSource,
) -> Result<Option<Signature>, BringError> {
    let own = Some(header.log_signature).filter(|own| !own.is_null());
    let stream = listing.and_then(|listing| stream_of(logs, listing));
    match (stream, own) {
        (Some(stream), Some(own)) if stream != own => Err(BringError::Refused {
            reason: format!(
                "the database belongs to another log stream than {}: {own}, not {stream}",
                shown(&config.source.logs)
            ),
            advice: "name the database of this storage group".into(),
            jet: Some(JetError::BAD_LOG_SIGNATURE),
        }),
        (stream, own) => Ok(stream.or(own)),
    }
}
