//! `scr run`: the service. It serves every copy of the configuration, which it reads anew before every round.

use crate::copies::{load, logs_of, state_of};
use crate::replaying::{Shared, SourcesSeen};
use console::{Exit, Failure, Output, interrupted};
use jiff::Timestamp;
use standby::clock::SystemClock;
use standby::config::{Configuration, CopyConfig};
use standby::status::{CopyStatus, StatusTable, status};
use standby::target_view::TargetView;
use standby::{Replayer, StandbyCopy, StandbyError, metrics};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
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
    let shared = Shared::new(arguments.truncate_source);
    if arguments.once {
        return once(configuration, &shared, arguments, output);
    }
    std::thread::scope(|scope| {
        scope.spawn(|| shared.replay_until_stopped());
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
    let mut service = Service::default();
    loop {
        let more = service.round(&configuration, false)?;
        shared.set(&configuration, service.replayers());
        if arguments.metrics.is_some() {
            write_metrics(arguments, &service.statuses(&configuration))?;
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

/// Ships and replays until there is nothing to do.
fn once(
    configuration: Configuration,
    shared: &Shared,
    arguments: &Arguments,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let configuration = Arc::new(configuration);
    let mut service = Service::default();
    let mut seen = SourcesSeen::default();
    loop {
        let more = service.round(&configuration, true)?;
        if interrupted() {
            info!("stopped");
            return Ok(Exit::Clean);
        }
        if more {
            continue;
        }
        shared.set(&configuration, service.replayers());
        let more = shared
            .round(&mut seen)
            .map_err(|error| Failure::of(&error))?;
        if !more {
            service.round(&configuration, true)?;
            let statuses = service.statuses(&configuration);
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

/// The copies that this process serves, by name.
#[derive(Default)]
struct Service {
    copies: BTreeMap<String, ServedCopy>,
}

/// Both halves of a copy.
struct ServedCopy {
    copy: StandbyCopy,
    replayer: Arc<Mutex<Replayer>>,
}

impl Service {
    /// One pass for every copy of the configuration; whether there is more to do at once.
    fn round(&mut self, configuration: &Configuration, once: bool) -> Result<bool, Failure> {
        self.let_go(configuration);
        let mut more = false;
        for config in &configuration.copies {
            if interrupted() {
                break;
            }
            match self.serve(configuration, config, once) {
                Ok(has_more) => more |= has_more,
                // One copy that cannot be served is no reason to leave the others alone.
                Err(problem) if !once => error!(copy = config.name, "{problem}"),
                Err(problem) => return Err(Failure::of(&problem)),
            }
        }
        Ok(more)
    }

    /// How the copies stand, reported while this process serves them.
    fn statuses(&self, configuration: &Configuration) -> Vec<CopyStatus> {
        let one = |config: &CopyConfig| {
            let file = state_of(configuration, config);
            let (state, here) = (
                file.read().unwrap_or_default(),
                TargetView::look(config, &file),
            );
            status(
                config,
                state,
                &here,
                &configuration.service,
                Timestamp::now(),
            )
        };
        configuration.copies.iter().map(one).collect()
    }

    fn replayers(&self) -> Vec<Arc<Mutex<Replayer>>> {
        let served = self.copies.values();
        served.map(|served| Arc::clone(&served.replayer)).collect()
    }

    /// Gives back copies that were disabled or are configured in another way now.
    fn let_go(&mut self, configuration: &Configuration) {
        self.copies.retain(|name, served| {
            let found = configuration
                .copies
                .iter()
                .find(|config| config.name == *name);
            found == Some(served.copy.config())
        });
    }

    fn serve(
        &mut self,
        configuration: &Configuration,
        config: &CopyConfig,
        once: bool,
    ) -> Result<bool, StandbyError> {
        let state = state_of(configuration, config).read()?;
        if state.is_out_of_service() {
            self.copies.remove(&config.name);
            return Ok(false);
        }
        let served = match self.copies.remove(&config.name) {
            Some(served) => served,
            None => open(configuration, config, once)?,
        };
        let served = self.copies.entry(config.name.clone()).or_insert(served);
        let pass = served.copy.pass(&configuration.service, &SystemClock)?;
        Ok(pass.more)
    }
}

fn open(
    configuration: &Configuration,
    config: &CopyConfig,
    once: bool,
) -> Result<ServedCopy, StandbyError> {
    let source = logs_of(configuration, config);
    let copy = StandbyCopy::open(config, configuration.state_of(config), source, &SystemClock)?;
    let copy = if once { copy.once() } else { copy };
    info!(copy = config.name, source = %config.source.logs.display(), "served");
    let replayer = Arc::new(Mutex::new(copy.replayer()));
    Ok(ServedCopy { copy, replayer })
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
