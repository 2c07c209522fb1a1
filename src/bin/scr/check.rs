//! `scr check`: whether all is as it should be, check by check, as Test-ReplicationHealth reports it.

use crate::copies::{load, logs_of, state_of, statuses};
use console::{Exit, Failure, Output};
use serde::Serialize;
use standby::config::{Configuration, CopyConfig};
use standby::state::Trouble;
use standby::status::CopyStatus;
use standby::target_view::TargetView;
use std::fmt::{self, Display, Formatter};
use std::path::Path;

/// Check that copies are served, current and usable (Test-ReplicationHealth)
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Copies (default: all)
    names: Vec<String>,
    /// Pass while at most this many closed logs have not arrived yet
    #[arg(long, value_name = "LOGS", default_value_t = 10)]
    copy_queue: u32,
}

/// One check of one copy.
#[derive(Debug, Serialize)]
struct Check {
    copy: String,
    check: &'static str,
    passed: bool,
    /// What was found, if it did not pass.
    problem: Option<String>,
}

#[derive(Debug, Serialize)]
struct Health {
    passed: bool,
    checks: Vec<Check>,
    warnings: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(
    config: &Path,
    arguments: &Arguments,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let configuration = load(config)?;
    let mut checks = Vec::new();
    for status in statuses(&configuration, &arguments.names)? {
        if let Ok(copy) = configuration.copy(&status.name) {
            checks.extend(check(&configuration, copy, &status, arguments));
        }
    }
    let health = Health {
        passed: checks.iter().all(|check| check.passed),
        checks,
        warnings: warnings(&configuration),
    };
    output.answer("edbkit.scr-check/1", &health, &health)?;
    Ok(if health.passed {
        Exit::Clean
    } else {
        Exit::Finding
    })
}

fn warnings(configuration: &Configuration) -> Vec<String> {
    let mut warnings = configuration.warnings();
    if configuration.copies.is_empty() {
        warnings.push("the configuration has no copy".to_owned());
    }
    warnings
}

fn check(
    configuration: &Configuration,
    copy: &CopyConfig,
    status: &CopyStatus,
    arguments: &Arguments,
) -> Vec<Check> {
    let result = |check, outcome: Result<(), String>| Check {
        copy: copy.name.clone(),
        check,
        passed: outcome.is_ok(),
        problem: outcome.err(),
    };
    vec![
        result("ServiceRunning", served(status)),
        result("SourceReachable", reachable(configuration, copy)),
        result("CopySuspended", not_suspended(status)),
        result("CopyFailed", not_failed(status)),
        result("CopyQueueLength", queue(status, arguments.copy_queue)),
        result("DatabaseSeeded", seeded(configuration, copy)),
    ]
}

fn served(status: &CopyStatus) -> Result<(), String> {
    match (status.is_served, status.served) {
        (true, _) => Ok(()),
        (false, Some(last)) => Err(format!(
            "no service has looked after the copy since {last:.0}"
        )),
        (false, None) => Err("no service has looked after the copy yet: `scr run`".to_owned()),
    }
}

fn reachable(configuration: &Configuration, copy: &CopyConfig) -> Result<(), String> {
    let source = logs_of(configuration, copy);
    let listing = source.list().map_err(|error| error.to_string())?;
    if listing.named.is_empty() && listing.current.is_none() {
        let (folder, base) = (copy.source.logs.display(), &copy.source.base);
        return Err(format!("{folder} has no log of the stream {base}"));
    }
    Ok(())
}

fn not_suspended(status: &CopyStatus) -> Result<(), String> {
    let Some(order) = &status.suspended else {
        return Ok(());
    };
    let comment = order.comment.as_deref().unwrap_or("no comment");
    Err(format!("suspended since {:.0}: {comment}", order.since))
}

fn not_failed(status: &CopyStatus) -> Result<(), String> {
    match &status.trouble {
        None => Ok(()),
        Some(Trouble { reason, since, .. }) => Err(format!("{reason} (since {since:.0})")),
    }
}

fn queue(status: &CopyStatus, most: u32) -> Result<(), String> {
    match status.copy_queue_length {
        length if length > most => Err(format!("{length} closed logs are not here yet")),
        _ => Ok(()),
    }
}

/// Whether the database is there, and has the logs that it needs.
fn seeded(configuration: &Configuration, copy: &CopyConfig) -> Result<(), String> {
    let file = state_of(configuration, copy);
    let state = file.read().map_err(|error| error.to_string())?;
    TargetView::look(copy, &file).seeded(copy, &state)
}

impl Display for Health {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let width = self
            .checks
            .iter()
            .map(|check| check.copy.len())
            .max()
            .unwrap_or_default()
            .max(4);
        writeln!(f, "{:width$} {:16} Result Error", "Copy", "Check")?;
        for check in &self.checks {
            let result = if check.passed { "Passed" } else { "Failed" };
            let problem = check.problem.as_deref().unwrap_or_default();
            let line = format!(
                "{:width$} {:16} {result} {problem}",
                check.copy, check.check
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        self.warnings
            .iter()
            .try_for_each(|warning| writeln!(f, "Warning: {warning}"))
    }
}
