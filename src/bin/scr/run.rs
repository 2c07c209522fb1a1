//! `scr run`: the service. It serves every copy of the configuration, which it reads anew before every round.

use crate::copies::{load, logs_of, statuses};
use crate::replaying::{Shared, UntilInterrupted};
use console::{Exit, Failure, Output, interrupted};
use standby::clock::SystemClock;
use standby::config::Configuration;
use standby::metrics;
use standby::service::{Replaying, Shipping};
use standby::status::{CopyStatus, StatusTable};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};
use target_disk::LocalDisk;
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;

/// Serve all copies until Ctrl-C: ship and inspect logs as they are closed, replay them with their lag, delete old ones
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  scr run\n  scr run --once")]
pub(crate) struct Arguments {
    /// Bring every copy as far as possible now, and end
    #[arg(long)]
    once: bool,
    /// Keep a Prometheus text file up to date
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
    /// Delete logs at the sources that all their copies have inspected and that are below the source's checkpoint
    #[arg(long)]
    truncate_source: bool,
    /// What the service writes to standard error: lines for people, or one JSON document per line
    #[arg(long, value_name = "FORM", default_value = "text")]
    log_format: LogFormat,
    /// How much of it to write: error, warn, info, debug
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: String,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// A source is not looked at more often than this, whatever is configured.
const SHORTEST_REST: Duration = Duration::from_millis(50);

/// Runs the command.
pub(crate) fn run(
    config: &Path,
    arguments: &Arguments,
    output: &mut Output,
) -> Result<Exit, Failure> {
    start_logging(arguments)?;
    let configuration = load(config)?;
    configuration
        .warnings()
        .iter()
        .for_each(|warning| warn!("{warning}"));
    if arguments.once {
        return once(configuration, arguments, output);
    }
    let shared = Shared::default();
    std::thread::scope(|scope| {
        scope.spawn(|| shared.replay_until_stopped(Replaying::new(arguments.truncate_source)));
        let ended = serve(config, configuration, &shared, arguments);
        shared.stop();
        ended
    })
}

/// Ships until Ctrl-C, while another thread replays.
fn serve(
    config: &Path,
    configuration: Configuration,
    shared: &Shared,
    arguments: &Arguments,
) -> Result<Exit, Failure> {
    let mut configuration = Arc::new(configuration);
    let mut shipping = Shipping::new();
    loop {
        let more = ship(&mut shipping, &configuration)?;
        shared.set(&configuration, shipping.replayers());
        if arguments.metrics.is_some() {
            match statuses(&configuration, &[]) {
                Ok(statuses) => write_metrics(arguments, &statuses)?,
                // What is not known is not told: the file keeps its old time.
                Err(problem) => error!("no metrics were written: {problem}"),
            }
        }
        if interrupted() {
            info!("stopped");
            return Ok(Exit::Clean);
        }
        if !more {
            let poll = configuration.service.poll.duration().unsigned_abs();
            rest(poll.max(SHORTEST_REST));
        }
        match load(config) {
            Ok(read) => configuration = Arc::new(read),
            Err(error) => error!("{error}; going on with the configuration as it was"),
        }
    }
}

fn ship(shipping: &mut Shipping, configuration: &Configuration) -> Result<bool, Failure> {
    shipping
        .round(configuration, &SystemClock, &logs_of, &UntilInterrupted)
        .map_err(|error| Failure::of(&error))
}

/// Ships and replays until there is nothing to do.
fn once(
    configuration: Configuration,
    arguments: &Arguments,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let configuration = Arc::new(configuration);
    let mut shipping = Shipping::once();
    let mut replaying = Replaying::new(arguments.truncate_source);
    loop {
        let more = ship(&mut shipping, &configuration)?;
        if interrupted() {
            info!("stopped");
            return Ok(Exit::Clean);
        }
        if more {
            continue;
        }
        let replayers = shipping.replayers();
        let more = replaying
            .round(&configuration, &replayers, &SystemClock, &UntilInterrupted)
            .map_err(|error| Failure::of(&error))?;
        if !more {
            ship(&mut shipping, &configuration)?;
            let statuses = statuses(&configuration, &[])?;
            write_metrics(arguments, &statuses)?;
            return answer(&statuses, output);
        }
    }
}

fn write_metrics(arguments: &Arguments, statuses: &[CopyStatus]) -> Result<(), Failure> {
    match &arguments.metrics {
        Some(path) => {
            metrics::write(&LocalDisk, path, statuses).map_err(|error| Failure::of(&error))
        }
        None => Ok(()),
    }
}

fn start_logging(arguments: &Arguments) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&arguments.log_level);
    let filter = filter.map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    let subscriber = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .with_env_filter(filter);
    match arguments.log_format {
        LogFormat::Text => subscriber.init(),
        LogFormat::Json => subscriber.json().init(),
    }
    Ok(())
}

/// Waits, but not once Ctrl-C was pressed.
fn rest(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time && !interrupted() {
        sleep(Duration::from_millis(20).min(time.saturating_sub(begun.elapsed())));
    }
}

fn answer(statuses: &[CopyStatus], output: &mut Output) -> Result<Exit, Failure> {
    if output.is_json() {
        statuses
            .iter()
            .try_for_each(|status| output.document("edbkit.scr-status/1", status))?;
    } else {
        output.text(&StatusTable(statuses))?;
    }
    let troubled = |copy: &CopyStatus| copy.trouble.is_some() || copy.summary.is_finding();
    Ok(if statuses.iter().any(troubled) {
        Exit::Finding
    } else {
        Exit::Clean
    })
}
