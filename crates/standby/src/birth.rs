//! A copy that has the first log of its stream needs no seed: its database is made from the logs, as that of a storage group
//! that is replicated from its birth (`New-StorageGroup` with `StandbyMachine`).

use crate::config::CopyConfig;
use crate::replay_failure::{CACHE_BYTES, ReplayFailure};
use crate::state::CopyState;
use ese_format::database::DatabaseState;
use ese_format::{Generation, Progress};
use ese_log::{StreamFiles, Until};
use ese_replay::output::{OutputError, RecoveryOutput};
use ese_replay::recovery::{
    CreatedDatabase, EmptyFile, RecoverOptions, RecoveredDatabase, RecoveryPlan, plan, recover,
};
use ese_replay::redo::NewDatabase;
use std::path::Path;
use target_disk::SharedDisk;

/// Whether the database of a copy is to be made: it is not there, never was, and its logs are here from the first on.
pub(crate) fn is_to_be_made(
    config: &CopyConfig,
    state: &CopyState,
    oldest: Option<Generation>,
) -> bool {
    !config.target.database.exists()
        && state.replayed.is_none()
        && state.seeding.is_none()
        && oldest == Some(Generation(1))
}

/// Makes the database at `to` with the logs up to generation `last`, ready for those that come after them; `false` if they
/// create none, or end before its creation does: a database that is just created is of no use to the next step.
pub(crate) fn make(
    disk: &SharedDisk,
    config: &CopyConfig,
    to: &Path,
    logs: &StreamFiles,
    last: Generation,
    progress: &dyn Progress,
) -> Result<bool, ReplayFailure> {
    let until = Until {
        generation: Some(last),
        ..Until::default()
    };
    let plan = plan(logs, None, &[], &until, progress)?;
    let (Some(creation), Some(page_size)) = (own(config, &plan), plan.page_size()) else {
        return Ok(false);
    };
    let signature = creation.signature;
    if let Some(refusal) = plan.obstacle_to_redo(false) {
        return Err(ReplayFailure::Blocked {
            reasons: refusal.reasons,
            jet: refusal.jet,
        });
    }
    if let Some(folder) = to.parent() {
        let made = disk.create_folders(folder);
        made.map_err(|error| OutputError::Io {
            path: folder.to_owned(),
            error,
        })?;
    }
    let output = RecoveryOutput::create(disk, signature, to, page_size.bytes(), false)?;
    let given = EmptyFile {
        signature,
        file: NewDatabase {
            file: output.pages(),
            page_size,
            cache_pages: usize::MAX,
        },
    };
    let options = RecoverOptions {
        until_undo: true,
        memory: Some(CACHE_BYTES),
        ..RecoverOptions::default()
    };
    let recovered = recover(&plan, Vec::new(), vec![given], options, progress)?;
    let finished =
        |database: &&RecoveredDatabase| database.header().state != DatabaseState::JUST_CREATED;
    let Some(database) = recovered.databases.first().filter(finished) else {
        return Ok(false);
    };
    output.commit(database)?;
    Ok(true)
}

/// The database of the source among those that the logs create: by its file's name, or the only one.
fn own<'p>(config: &CopyConfig, plan: &'p RecoveryPlan) -> Option<&'p CreatedDatabase> {
    let name = config.source.database.file_name()?.to_string_lossy();
    let left = plan.created().iter().filter(|one| one.attached_at_end);
    let left: Vec<&CreatedDatabase> = left.collect();
    let is_named = |one: &&&CreatedDatabase| {
        let file = one.path.rsplit(['\\', '/']).next();
        file.is_some_and(|file| file.eq_ignore_ascii_case(&name))
    };
    match left[..] {
        [only] => Some(only),
        _ => left.iter().find(is_named).copied(),
    }
}
