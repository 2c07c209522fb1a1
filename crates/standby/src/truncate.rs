//! Which logs are deleted: at the target by the rules of [`crate::rules`], at the source only if that was ordered.
//!
//! Logs go from the oldest on, one by one, so that a kill at any moment leaves a chain without a hole. Nothing is
//! deleted that a database still needs, and never the newest log of a chain: the next one is inspected against it.

use crate::config::{Configuration, CopyConfig, SourceConfig};
use crate::copy::{database_header, listing_of};
use crate::error::{StandbyError, at};
use crate::replay::{first_needed, inspected_logs};
use crate::rules::{TruncationFacts, source_truncation_limit, truncation_limit};
use crate::source::list;
use crate::state::{State, StateFile};
use ese_format::database::DatabaseHeader;
use ese_format::{Generation, Signature};
use ese_log::StreamFiles;
use ese_log::chain::CheckpointReport;
use jiff::Timestamp;
use std::fs;
use std::path::Path;
use tracing::{info, warn};

/// What is known about the copy that decides on its logs; none as long as it has no database or no log.
pub(crate) fn facts(
    config: &CopyConfig,
    state: &State,
    exported: Option<Generation>,
) -> Option<TruncationFacts> {
    let header = database_header(&config.target.database)?;
    let backed_up = config.wait_for_backup.then(|| {
        let source = database_header(&config.source.database);
        let headers = [Some(&header), source.as_ref()];
        headers
            .into_iter()
            .flatten()
            .map(backed_up)
            .max()
            .unwrap_or_default()
    });
    Some(TruncationFacts {
        needed: first_needed(&header),
        newest: state.inspected?.generation,
        exported,
        backed_up,
    })
}

/// The newest log that a backup has which is meant to be kept.
fn backed_up(header: &DatabaseHeader) -> Generation {
    let (full, incremental) = (
        &header.previous_full_backup,
        &header.previous_incremental_backup,
    );
    full.last_generation.max(incremental.last_generation)
}

/// Deletes the logs of the copy that may be deleted now; gives how many.
pub(crate) fn target(
    config: &CopyConfig,
    facts: Option<TruncationFacts>,
    now: Timestamp,
) -> Result<u32, StandbyError> {
    let Some(facts) = facts else { return Ok(0) };
    let listing = listing_of(config)?;
    let Some(oldest) = listing.oldest() else {
        return Ok(0);
    };
    let logs = inspected_logs(&listing, oldest, facts.newest);
    let Some(last) = truncation_limit(logs, facts, config.replay_lag, config.truncation_lag, now)
    else {
        return Ok(0);
    };
    let mut deleted = 0;
    for path in listing.named.range(..=last).map(|(_, path)| path) {
        fs::remove_file(path).map_err(at(path))?;
        deleted += 1;
    }
    info!(
        copy = config.name,
        logs = deleted,
        last = last.0,
        "logs deleted that are not needed any more"
    );
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
        let state = StateFile::new(&configuration.state, copy.file_name()).read()?;
        let settled = state.trouble.is_none() && state.resync.is_none();
        let inspected = state.inspected.filter(|_| settled);
        let inspected = inspected.map_or(Generation(0), |inspected| inspected.generation);
        least = Some(least.map_or(inspected, |least: Generation| least.min(inspected)));
    }
    Ok(least)
}

/// Tells each copy which logs may be deleted at its source; deletes them if `delete`. What keeps them from being deleted
/// is logged and never makes a copy fail.
pub fn sources(configuration: &Configuration, delete: bool) -> Result<u32, StandbyError> {
    let mut deleted = 0;
    let mut done: Vec<(&Path, &str)> = Vec::new();
    for copy in &configuration.copies {
        let source = &copy.source;
        let stream = (&*source.logs, &*source.base);
        let all = inspected_by_all(configuration, stream.0, stream.1)?.filter(|all| all.0 > 0);
        let state = StateFile::new(&configuration.state, copy.file_name());
        if state.read()?.truncatable != all {
            state.update(|state| state.truncatable = all)?;
        }
        if !delete || done.contains(&stream) {
            continue;
        }
        done.push(stream);
        let Some(all) = all else { continue };
        match delete_at_source(source, all) {
            Ok(count) => deleted += count,
            Err(why) => warn!(copy = copy.name, "no log is deleted at the source: {why}"),
        }
    }
    Ok(deleted)
}

/// Deletes the logs up to `inspected` that lie below the source's own checkpoint.
fn delete_at_source(source: &SourceConfig, inspected: Generation) -> Result<u32, String> {
    let listing = list(&source.logs, &source.base).map_err(|error| error.to_string())?;
    let (_, current) = listing
        .current
        .as_ref()
        .ok_or("its current log cannot be read")?;
    let checkpoint = checkpoint(source, current.signature)?;
    let last = source_truncation_limit(inspected, checkpoint);
    let mut deleted = 0;
    for (generation, path) in listing.named.range(..=last) {
        fs::remove_file(path).map_err(|error| format!("{}: {error}", path.display()))?;
        info!(
            generation = generation.0,
            "deleted at the source: {}",
            path.display()
        );
        deleted += 1;
    }
    Ok(deleted)
}

/// The generation of the checkpoint of the stream with this signature.
fn checkpoint(source: &SourceConfig, signature: Signature) -> Result<Generation, String> {
    let files =
        StreamFiles::find(&source.system, Some(&source.base)).map_err(|error| error.to_string())?;
    let file = files.checkpoints.first();
    let file = file.ok_or_else(|| format!("{} has no checkpoint", source.system.display()))?;
    let report = CheckpointReport::read(&file.path);
    let checkpoint = report
        .current()
        .ok_or_else(|| format!("{} cannot be believed", file.path.display()))?;
    if checkpoint.log_signature != signature {
        return Err(format!("{} belongs to another stream", file.path.display()));
    }
    Ok(checkpoint.checkpoint.generation)
}
