//! `scr suspend` and `scr resume`: orders that are in the state, whether a service runs or not.

use crate::copies::{load_copy, state_of, statuses};
use console::{Exit, Failure, Output};
use jiff::Timestamp;
use standby::activate::take_back;
use standby::config::{Configuration, CopyConfig};
use standby::state::Suspension;
use std::path::Path;

/// Suspend a copy (Suspend-StorageGroupCopy): nothing is shipped or replayed until it is resumed
#[derive(Debug, clap::Args)]
pub(crate) struct Suspend {
    /// Name of the copy
    name: String,
    /// Why, for `scr status`
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
}

/// Resume a suspended or failed copy (Resume-StorageGroupCopy), or one whose activation did not finish
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
    let (configuration, copy) = load_copy(config, &arguments.name)?;
    let order = Suspension {
        since: Timestamp::now(),
        comment: arguments.comment.clone(),
    };
    let changed = state_of(&configuration, &copy).update(|state| state.suspended = Some(order));
    changed.map_err(|error| Failure::of(&error))?;
    show(&configuration, copy, output)
}

/// Runs `scr resume`.
pub(crate) fn resume(
    config: &Path,
    arguments: &Resume,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let (configuration, copy) = load_copy(config, &arguments.name)?;
    let state = state_of(&configuration, &copy);
    let changed = take_back(&state, &copy.name).and_then(|()| {
        state.update(|state| {
            state.suspended = None;
            state.trouble = None;
            state.replay_trouble = None;
        })
    });
    changed.map_err(|error| Failure::of(&error))?;
    show(&configuration, copy, output)
}

fn show(
    configuration: &Configuration,
    copy: CopyConfig,
    output: &mut Output,
) -> Result<Exit, Failure> {
    for status in statuses(configuration, &[copy.name])? {
        output.answer("edbkit.scr-status/1", &status, &status)?;
    }
    Ok(Exit::Clean)
}
