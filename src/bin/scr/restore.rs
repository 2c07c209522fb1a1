//! `scr restore`: activates a copy, as Restore-StorageGroupCopy does, up to a database that can be mounted.

use crate::copies::{load_copy, logs_of};
use console::{Exit, Failure, Output};
use ese_format::Generation;
use standby::activate::{ActivateError, ActivateOptions, activate, preview};
use standby::clock::SystemClock;
use std::path::{Path, PathBuf};

/// Activate a copy (Restore-StorageGroupCopy): fetch what its source still has, recover the database, prove it, report
/// what is lost
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  scr restore SG1 --dry-run\n  scr restore SG1\n  scr restore SG1 --force"
)]
pub(crate) struct Arguments {
    /// Name of the copy
    name: String,
    /// The source is lost: do without it, and accept that what never arrived here is lost
    #[arg(long)]
    force: bool,
    /// With --force: still take from the source what it can give
    #[arg(long, requires = "force")]
    try_source: bool,
    /// With --force: give up this generation and the later logs that are here, because it cannot be found
    #[arg(long, value_name = "GENERATION", requires = "force", value_parser = generation)]
    give_up: Option<Generation>,
    /// Only say what would happen
    #[arg(long)]
    dry_run: bool,
    /// Put the database under this name, for another server or storage group (database portability)
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

fn generation(text: &str) -> Result<Generation, String> {
    console::values::number(text).map(Generation)
}

/// Runs the command.
pub(crate) fn run(
    config: &Path,
    arguments: &Arguments,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let (configuration, copy) = load_copy(config, &arguments.name)?;
    let options = ActivateOptions {
        force: arguments.force,
        try_source: arguments.try_source,
        give_up: arguments.give_up,
        to: arguments.to.clone(),
        threads: output.threads(),
    };
    let source = logs_of(&configuration, &copy);
    let bar = output.bar(0, &format!("Activating {}", copy.name));
    let result = match arguments.dry_run {
        true => preview(&configuration, &copy, source, &options, &SystemClock, &bar),
        false => activate(&configuration, &copy, source, &options, &SystemClock, &bar),
    };
    drop(bar);
    let report = match result {
        Err(ActivateError::Refused(report)) => *report,
        other => other.map_err(|error| Failure::of(&error))?,
    };
    output.answer("edbkit.scr-restore/1", &report, &report)?;
    Ok(match (&report.refusal, report.mountable, &report.loss) {
        (Some(_), ..) => Exit::Refused,
        (None, true, None) => Exit::Clean,
        (None, ..) => Exit::Finding,
    })
}
