//! `scr disable`: takes a copy out of the configuration, as Disable-StorageGroupCopy does. Its files stay.

use crate::copies::{load_copy, state_of};
use console::{Exit, Failure, Output};
use serde::Serialize;
use standby::clock::SystemClock;
use standby::config::{CopyConfig, remove_copy};
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};
use std::time::Duration;
use target_disk::LocalDisk;

/// End a copy (Disable-StorageGroupCopy): its logs and its database stay where they are
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Name of the copy
    name: String,
}

/// A service lets go of a copy that is no longer configured before its next pass.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Serialize)]
struct Disabled {
    copy: CopyConfig,
    /// Where its database is: an activation may have given it another name.
    database: PathBuf,
}

/// Runs the command.
pub(crate) fn run(
    config: &Path,
    arguments: &Arguments,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let (configuration, copy) = load_copy(config, &arguments.name)?;
    remove_copy(&LocalDisk, config, &copy.name).map_err(|error| Failure::of(&error))?;
    let state = state_of(&configuration, &copy);
    let activation = state.read().ok().and_then(|state| state.activation);
    let forgotten = state
        .serve_within(PATIENCE, &SystemClock)
        .and_then(|service| state.retire(service));
    forgotten.map_err(|error| Failure::of(&error))?;
    let database = activation.map_or_else(
        || copy.target.database.clone(),
        |activation| activation.database,
    );
    let disabled = Disabled { copy, database };
    output.answer("edbkit.scr-disable/1", &disabled, &disabled)?;
    Ok(Exit::Clean)
}

impl Display for Disabled {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let target = &self.copy.target;
        writeln!(f, "{}: no longer served", self.copy.name)?;
        let there = [&target.logs, &self.database];
        let left = there.iter().filter(|path| path.exists());
        let left: Vec<String> = left.map(|path| path.display().to_string()).collect();
        match left.is_empty() {
            true => Ok(()),
            false => writeln!(f, "Left where they are: {}", left.join(", ")),
        }
    }
}
