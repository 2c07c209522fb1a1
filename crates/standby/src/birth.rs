//! A storage group that is replicated from its birth needs no seed: its database is made from its logs, which begin with
//! generation 1 (New-StorageGroup with StandbyMachine).

use crate::config::CopyConfig;
use crate::replay::ReplayFailure;
use crate::source::Listing;
use crate::state::State;
use ese_format::{Generation, JetError, Progress};
use ese_log::StreamFiles;
use ese_replay::output::Output;
use ese_replay::recovery::{Creation, NewOffer, RecoverOptions, Until, plan, recover};
use ese_replay::redo::NewDatabase;
use std::path::Path;

/// Whether the database of the copy is to be made from its logs: there never was one, and the logs begin with the first.
pub(crate) fn is_due(config: &CopyConfig, state: &State, here: &Listing) -> bool {
    let database = &config.target.database;
    here.named.contains_key(&Generation(1))
        && database.symlink_metadata().is_err()
        && !state.made.has_written_database(database)
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Birth {
    /// The database is there.
    Made,
    /// It is created in a later log.
    Later,
}

/// Makes the database from the logs up to the end of generation `last`, dirty, for the logs that come after these.
pub(crate) fn make(
    path: &Path,
    logs: &StreamFiles,
    last: Generation,
    memory: u64,
    progress: &dyn Progress,
) -> Result<Birth, ReplayFailure> {
    let until = Until {
        generation: Some(last),
        ..Until::default()
    };
    let plan = plan(logs, None, &[], &until, progress)?;
    let stays = |creation: &&Creation| !creation.replaced && creation.attached_at_end;
    let created: Vec<&Creation> = plan.created().iter().filter(stays).collect();
    let (Some(page_size), Some(&creation)) = (plan.page_size(), created.first()) else {
        return Ok(Birth::Later);
    };
    if created.len() > 1 {
        let names: Vec<&str> = created.iter().map(|creation| &*creation.path).collect();
        return Err(ReplayFailure::Blocked {
            reasons: format!(
                "the logs create {} databases ({}): a storage group that is replicated has one",
                created.len(),
                names.join(", ")
            ),
            jet: JetError::ATTACHED_DATABASE_MISMATCH,
        });
    }
    let output = Output::create(creation.signature, path, page_size.bytes(), false)?;
    let offer = NewOffer {
        signature: creation.signature,
        file: NewDatabase {
            file: output.pages(),
            page_size,
            cache_pages: usize::MAX,
        },
    };
    let options = RecoverOptions {
        until_undo: true,
        memory: Some(memory),
        ..RecoverOptions::default()
    };
    let recovered = recover(&plan, Vec::new(), vec![offer], options, progress)?;
    match recovered.databases.first() {
        Some(database) => {
            output.commit(database)?;
            Ok(Birth::Made)
        }
        None => Ok(Birth::Later),
    }
}
