//! `scr suspend` and `scr resume`: orders that stand in the state, whether a service runs or not.

use crate::copies::{failure, load, state_of, statuses};
use console::{Exit, Failure, Output};
use jiff::Timestamp;
use standby::activate::take_back;
use standby::state::{State, Suspension};
use std::path::Path;

/// Let a copy rest (Suspend-StorageGroupCopy): nothing is shipped or replayed until it is resumed
#[derive(Debug, clap::Args)]
pub(crate) struct Suspend {
    /// Name of the copy
    name: String,
    /// Why, for `scr status`
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
}

/// Let a suspended or failed copy go on (Resume-StorageGroupCopy), or one whose activation did not come to its end
#[derive(Debug, clap::Args)]
pub(crate) struct Resume {
    /// Name of the copy
    name: String,
}

/// Runs `scr suspend`.
pub(crate) fn suspend(
    config: &Path,
    arguments: &Suspend,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let order = Suspension {
        since: Timestamp::now(),
        comment: arguments.comment.clone(),
    };
    change(config, &arguments.name, output, |state| {
        state.suspended = Some(order);
    })
}

/// Runs `scr resume`.
pub(crate) fn resume(
    config: &Path,
    arguments: &Resume,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let configuration = load(config)?;
    let copy = configuration
        .copy(&arguments.name)
        .map_err(|error| failure(&error))?;
    take_back(&state_of(&configuration, copy)).map_err(|error| failure(&error))?;
    change(config, &arguments.name, output, |state| {
        state.suspended = None;
        state.trouble = None;
        state.replay_trouble = None;
    })
}

fn change(
    config: &Path,
    name: &str,
    output: &mut Output,
    change: impl FnOnce(&mut State),
) -> Result<Exit, Failure> {
    let configuration = load(config)?;
    let copy = configuration.copy(name).map_err(|error| failure(&error))?;
    let changed = state_of(&configuration, copy).update(change);
    changed.map_err(|error| failure(&error))?;
    for status in statuses(&configuration, &[name.to_owned()])? {
        output.answer("edbkit.scr-status/1", &status, &status)?;
    }
    Ok(Exit::Clean)
}
