//! `scr restore`: activates a copy, as Restore-StorageGroupCopy does, up to a database that can be mounted.

use crate::copies::{failure, load_copy, logs_of};
use console::{Exit, Failure, Output};
use ese_format::JetError;
use ese_replay::output::OutputError;
use ese_replay::recovery::RecoveryError;
use standby::activate::{ActivateError, Wish, activate, preview};
use standby::clock::SystemClock;
use standby::replay::ReplayFailure;
use std::path::{Path, PathBuf};

/// Activate a copy (Restore-StorageGroupCopy): fetch what its source still has, recover the database, prove it, tell
/// what is lost
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  scr restore SG1 --dry-run\n  scr restore SG1\n  scr restore SG1 --force"
)]
pub(crate) struct Arguments {
    /// Name of the copy
    name: String,
    /// The source is lost: do without it, and accept that what never came here is lost
    #[arg(long)]
    force: bool,
    /// With --force: take from the source what can be had all the same
    #[arg(long, requires = "force")]
    try_source: bool,
    /// Only tell what would come of it
    #[arg(long)]
    dry_run: bool,
    /// Put the database under this name, for another server or storage group (database portability)
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(
    config: &Path,
    arguments: &Arguments,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let (configuration, copy) = load_copy(config, &arguments.name)?;
    let wish = Wish {
        force: arguments.force,
        try_source: arguments.try_source,
        to: arguments.to.clone(),
        threads: output.threads(),
    };
    let source = logs_of(&configuration, &copy);
    let bar = output.bar(0, &format!("Activating {}", copy.name));
    let result = match arguments.dry_run {
        true => preview(&configuration, &copy, source, &wish, &SystemClock, &bar),
        false => activate(&configuration, &copy, source, &wish, &SystemClock, &bar),
    };
    drop(bar);
    let report = match result {
        Err(ActivateError::Refused(report)) => *report,
        other => other.map_err(|error| stopped(&error))?,
    };
    output.answer("edbkit.scr-restore/1", &report, &report)?;
    Ok(match (&report.refusal, report.mountable, &report.loss) {
        (Some(_), ..) => Exit::Refused,
        (None, true, None) => Exit::Clean,
        (None, ..) => Exit::Finding,
    })
}

fn stopped(error: &ActivateError) -> Failure {
    let (exit, jet) = match error {
        ActivateError::Standby(error) => return failure(error),
        ActivateError::Refused(_) => (Exit::Refused, None),
        ActivateError::NotSeeded(_) => (Exit::Refused, Some(JetError::FILE_NOT_FOUND)),
        ActivateError::Interrupted => (Exit::Interrupted, None),
        ActivateError::Proof(_) => (Exit::Io, None),
        ActivateError::Replay(error) => (exit_of(error), error.jet()),
    };
    let failure = Failure::new(exit, error.to_string());
    let failure = match exit {
        Exit::Interrupted | Exit::Io => failure.advise("run the same command again"),
        Exit::Refused if matches!(error, ActivateError::NotSeeded(_)) => {
            failure.advise("`scr update` brings its database")
        }
        _ => failure,
    };
    match jet {
        Some(jet) => failure.jet(jet),
        None => failure,
    }
}

fn exit_of(error: &ReplayFailure) -> Exit {
    match error {
        ReplayFailure::Blocked { .. }
        | ReplayFailure::Output(
            OutputError::Exists { .. } | OutputError::InUse { .. } | OutputError::Journal { .. },
        ) => Exit::Refused,
        ReplayFailure::Output(_) => Exit::Io,
        // Its header is lost, which is damage.
        ReplayFailure::Recovery(RecoveryError::NotADatabase { jet, .. })
            if *jet == JetError::READ_VERIFY_FAILURE =>
        {
            Exit::Finding
        }
        ReplayFailure::Recovery(RecoveryError::NotADatabase { .. }) => Exit::NotEse,
        ReplayFailure::Recovery(_) if error.jet() == Some(JetError::DISK_IO) => Exit::Io,
        ReplayFailure::Recovery(_) => Exit::Refused,
    }
}
