//! Which logs are deleted: at the target by the rules of [`crate::rules`], at the source only if that was ordered.
//!
//! A log may still be needed: by the database, unless it lies below the first generation that this needs, which is the
//! checkpoint of a copy ("Checkpoint" in `docs/concepts.md`); by the administrator, as long as both lags last; by a copy
//! that is made from this one and has not inspected it; by a backup that is waited for. The newest one is needed by the
//! inspection of the next, which has to continue it. A log goes when it is needed by none of them.
//!
//! Logs go from the oldest on, one by one, so that a kill at any moment leaves a chain without a hole. The state is
//! updated afterwards, and forgets what it knew of them. If it was not updated, it knows of logs that are gone, which
//! does no harm: the folder says which logs are there. A log that this copy did not write stays. No log goes while
//! replay reads it: both hold [`LogsInUse`](crate::replay::LogsInUse).
//!
//! At the source the logs are those of a running server. There the limit is the source's own checkpoint, in the file
//! beside its logs, and what all copies have inspected, where a copy in trouble counts as having inspected nothing. If the
//! checkpoint or the current log cannot be read, or the header of the database where a backup is waited for, nothing is
//! deleted.

use crate::config::{Configuration, CopyConfig, SourceConfig};
use crate::error::{StandbyError, at};
use crate::listing::{header_of, inspected_logs, list};
use crate::place::{database_header, first_needed, listing_of};
use crate::rules::{
    Replayed, SourceTruncationFacts, TruncationFacts, source_truncation_limit, truncation_limit,
};
use crate::state::{CopyState, StateFile};
use ese_format::Generation;
use ese_format::database::DatabaseHeader;
use ese_format::log::LogHeader;
use ese_log::StreamFiles;
use ese_log::chain::CheckpointReport;
use jiff::Timestamp;
use std::path::Path;
use tracing::{info, warn};

/// What is known about the copy that decides on its logs; none as long as it has no database or no log.
pub(crate) fn facts(
    config: &CopyConfig,
    state: &CopyState,
    exported: Option<Generation>,
) -> Option<TruncationFacts> {
    let header = database_header(&config.target.database)?;
    let source = || database_header(&config.source.database);
    let backed_up = config
        .wait_for_backup
        .then(|| newest_backed_up([Some(&header), source().as_ref()]));
    Some(TruncationFacts {
        needed: first_needed(&header),
        newest: state.inspected?.generation,
        exported,
        backed_up,
    })
}

/// The newest log that a backup of one of these databases has.
fn newest_backed_up<'a>(
    headers: impl IntoIterator<Item = Option<&'a DatabaseHeader>>,
) -> Generation {
    let headers = headers.into_iter().flatten();
    headers.map(backed_up).max().unwrap_or_default()
}

/// The newest log that a backup has which is meant to be kept.
fn backed_up(header: &DatabaseHeader) -> Generation {
    let (full, incremental) = (
        &header.previous_full_backup,
        &header.previous_incremental_backup,
    );
    full.last_generation.max(incremental.last_generation)
}

/// Deletes the logs of the copy that may be deleted now; gives how many. What this copy did not write stays.
pub(crate) fn target(
    config: &CopyConfig,
    state: &StateFile,
    facts: Option<TruncationFacts>,
    now: Timestamp,
) -> Result<u32, StandbyError> {
    let Some(facts) = facts else { return Ok(0) };
    let known = state.read()?;
    let listing = listing_of(config)?;
    let mut named = listing.named.keys();
    let Some(&oldest) = named.find(|generation| known.made.has_written(**generation)) else {
        return Ok(0);
    };
    let logs = inspected_logs(&listing, oldest, facts.newest);
    let logs = logs.into_iter().map(|log| Replayed {
        generation: log.generation,
        inspected: log.at,
        replayed: known.replayed_at(log.generation),
    });
    let Some(last) = truncation_limit(logs, facts, config.replay_lag, config.truncation_lag, now)
    else {
        return Ok(0);
    };
    let mut deleted = 0;
    for (&generation, path) in listing.named.range(..=last) {
        if known.made.owns(generation, header_of(path).as_ref()) {
            state.disk().remove(path).map_err(at(path))?;
            deleted += 1;
        }
    }
    if deleted > 0 {
        // Before the state forgets them: what a power loss brought back would be nobody's.
        let logs = &config.target.logs;
        state.disk().sync_folder(logs).map_err(at(logs))?;
    }
    state.update(|state| state.forget_through(last))?;
    if deleted > 0 {
        info!(
            copy = config.name,
            logs = deleted,
            last = last.0,
            "deleted logs that are no longer needed"
        );
    }
    Ok(deleted)
}

/// The newest log that all copies which the configuration makes of the logs in `folder` have inspected; none if there
/// is no such copy, 0 if one of them has nothing yet or is in trouble.
pub fn inspected_by_all(
    configuration: &Configuration,
    folder: &Path,
    base: &str,
) -> Result<Option<Generation>, StandbyError> {
    let mut least = None;
    for copy in configuration.copies_of(folder, base) {
        let state = configuration.state_of(copy).read()?;
        let settled = state.trouble.is_none() && state.resync.is_none();
        let inspected = state.inspected.filter(|_| settled);
        let inspected = inspected.map_or(Generation(0), |inspected| inspected.generation);
        least = Some(least.map_or(inspected, |least: Generation| least.min(inspected)));
    }
    Ok(least)
}

/// Notes for each copy which logs may be deleted at its source; deletes them if `delete`. What keeps them from being
/// deleted is logged and never makes a copy fail.
pub fn sources(configuration: &Configuration, delete: bool) -> Result<u32, StandbyError> {
    let mut deleted = 0;
    let mut done: Vec<(&Path, &str)> = Vec::new();
    for copy in &configuration.copies {
        let source = &copy.source;
        let stream = (&*source.logs, &*source.base);
        let all = inspected_by_all(configuration, stream.0, stream.1)?.filter(|all| all.0 > 0);
        let state = configuration.state_of(copy);
        if state.read()?.truncatable != all {
            state.update(|state| state.truncatable = all)?;
        }
        if !delete || done.contains(&stream) {
            continue;
        }
        done.push(stream);
        let Some(all) = all else { continue };
        match delete_at_source(configuration, source, all) {
            Ok(count) => deleted += count,
            Err(why) => warn!(copy = copy.name, "no log is deleted at the source: {why}"),
        }
    }
    Ok(deleted)
}

/// Deletes the logs that the source does not need and that all its copies have inspected.
fn delete_at_source(
    configuration: &Configuration,
    source: &SourceConfig,
    inspected: Generation,
) -> Result<u32, String> {
    let listing = list(&source.logs, &source.base).map_err(|error| error.to_string())?;
    let (_, current) = listing
        .current
        .as_ref()
        .ok_or("its current log cannot be read")?;
    let last = source_truncation_limit(SourceTruncationFacts {
        inspected_by_all: inspected,
        checkpoint: checkpoint(source, current)?,
        backed_up: backed_up_at(configuration, source)?,
    });
    let mut deleted = 0;
    for (generation, path) in listing.named.range(..=last) {
        // A log of another stream among them is nobody's to delete.
        let header = header_of(path);
        if header.is_none_or(|header| {
            header.signature != current.signature || header.generation != *generation
        }) {
            continue;
        }
        let removed = configuration.disk.remove(path);
        removed.map_err(|error| format!("{}: {error}", path.display()))?;
        info!(
            generation = generation.0,
            "deleted at the source: {}",
            path.display()
        );
        deleted += 1;
    }
    Ok(deleted)
}

/// The newest log that a backup has, as the database of the source says; none where no backup is waited for.
fn backed_up_at(
    configuration: &Configuration,
    source: &SourceConfig,
) -> Result<Option<Generation>, String> {
    let mut copies = configuration.copies_of(&source.logs, &source.base);
    let waits = copies.any(|copy| copy.wait_for_backup || !copy.source.circular);
    if !waits {
        return Ok(None);
    }
    let header = database_header(&source.database).ok_or_else(|| {
        format!(
            "{} does not say what a backup has: its header cannot be read",
            source.database.display()
        )
    })?;
    Ok(Some(backed_up(&header)))
}

/// The generation of the checkpoint of the stream whose current log has this header.
fn checkpoint(source: &SourceConfig, current: &LogHeader) -> Result<Generation, String> {
    let files =
        StreamFiles::find(&source.system, Some(&source.base)).map_err(|error| error.to_string())?;
    let file = files.checkpoints.first();
    let file = file.ok_or_else(|| format!("{} has no checkpoint", source.system.display()))?;
    let report = CheckpointReport::read(&file.path);
    let checkpoint = report
        .current()
        .ok_or_else(|| format!("{} cannot be believed", file.path.display()))?;
    if checkpoint.log_signature != current.signature {
        return Err(format!("{} belongs to another stream", file.path.display()));
    }
    let generation = checkpoint.checkpoint.generation;
    if generation > current.generation {
        // The source went back behind it.
        return Err(format!(
            "{} is at generation {generation}, after the current log, which is {}",
            file.path.display(),
            current.generation
        ));
    }
    Ok(generation)
}
