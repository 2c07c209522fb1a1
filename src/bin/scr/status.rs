//! `scr status`: how the copies stand, as Get-StorageGroupCopyStatus reports it.

use crate::copies::{load, statuses};
use console::{Exit, Failure, Output, interrupted};
use standby::status::{CopyStatus, StatusTable};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Show how copies stand (Get-StorageGroupCopyStatus): one line each, or all fields of those that are named
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  scr status\n  scr status SG1")]
pub(crate) struct Arguments {
    /// Copies (default: a line for each)
    names: Vec<String>,
    /// Print it again whenever something changes, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

/// How often `--watch` looks.
const LOOK: Duration = Duration::from_secs(1);

/// Runs the command. A copy that is Failed, suspended or not served is a finding.
pub(crate) fn run(
    config: &Path,
    arguments: &Arguments,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let mut shown = None;
    loop {
        let statuses = statuses(&load(config)?, &arguments.names)?;
        let now = essence(&statuses);
        if shown.as_ref() != Some(&now) {
            show(&statuses, arguments, output)?;
            output.flush()?;
            shown = Some(now);
        }
        if !arguments.watch || interrupted() {
            let found = statuses.iter().any(|copy| copy.summary.is_finding());
            return Ok(if found { Exit::Finding } else { Exit::Clean });
        }
        let looked = Instant::now();
        while looked.elapsed() < LOOK && !interrupted() {
            sleep(Duration::from_millis(50));
        }
    }
}

/// The status without the time of the last look, which changes with every one.
fn essence(statuses: &[CopyStatus]) -> Vec<serde_json::Value> {
    let statuses = statuses.iter().map(|status| CopyStatus {
        served: None,
        ..status.clone()
    });
    statuses
        .filter_map(|status| serde_json::to_value(status).ok())
        .collect()
}

fn show(
    statuses: &[CopyStatus],
    arguments: &Arguments,
    output: &mut Output,
) -> Result<(), Failure> {
    if output.is_json() {
        return statuses
            .iter()
            .try_for_each(|status| output.document("edbkit.scr-status/1", status));
    }
    if arguments.names.is_empty() {
        return output.text(&StatusTable(statuses));
    }
    statuses
        .iter()
        .try_for_each(|status| output.text(&format_args!("{status}\n")))
}
