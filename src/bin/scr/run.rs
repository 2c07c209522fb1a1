//! `scr run`: the service. It serves every copy of the configuration, which it reads anew before every round.

use crate::copies::{failure, load, state_of};
use console::{Exit, Failure, Output, interrupted};
use jiff::Timestamp;
use standby::clock::SystemClock;
use standby::config::{Configuration, CopyConfig};
use standby::source::FolderSource;
use standby::status::{CopyStatus, Summary, Table, status};
use standby::{Copy, StandbyError, metrics};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;

/// Serve all copies: ship and inspect logs as they are closed, until Ctrl-C
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Bring every copy as far as it can be brought now, and end
    #[arg(long)]
    once: bool,
    /// Keep a Prometheus text file up to date
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
    /// What the service writes to standard error
    #[arg(long, value_name = "FORM", default_value = "text")]
    log_format: LogFormat,
    /// How much of it: error, warn, info, debug
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: String,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON document per line
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
    let mut configuration = load(config)?;
    let mut service = Service::default();
    configuration
        .warnings()
        .iter()
        .for_each(|warning| warn!("{warning}"));
    loop {
        let round = service.round(&configuration, arguments.once)?;
        if let Some(path) = &arguments.metrics {
            metrics::write(path, &round.statuses).map_err(|error| failure(&error))?;
        }
        if arguments.once && !round.more {
            return answer(&round.statuses, output);
        }
        if interrupted() {
            info!("stopped");
            return Ok(Exit::Clean);
        }
        if !round.more {
            rest(
                configuration
                    .service
                    .poll
                    .duration()
                    .unsigned_abs()
                    .max(SHORTEST_REST),
            );
        }
        match load(config) {
            Ok(read) => configuration = read,
            Err(error) => error!("{error}; going on with the configuration as it was"),
        }
    }
}

fn start_logging(arguments: &Arguments) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&arguments.log_level);
    let filter = filter.map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    let colours = std::env::var_os("NO_COLOR").is_none()
        && std::io::IsTerminal::is_terminal(&std::io::stderr());
    let subscriber = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(colours)
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
    copies: BTreeMap<String, Copy>,
}

/// What a round came to.
struct Round {
    statuses: Vec<CopyStatus>,
    more: bool,
}

impl Service {
    /// One pass for every copy of the configuration.
    fn round(&mut self, configuration: &Configuration, once: bool) -> Result<Round, Failure> {
        self.let_go(configuration);
        let mut round = Round {
            statuses: Vec::new(),
            more: false,
        };
        for config in &configuration.copies {
            if interrupted() {
                break;
            }
            match self.serve(configuration, config) {
                Ok((status, more)) => {
                    round.more |= more;
                    round.statuses.push(status);
                }
                // One copy that cannot be served is no reason to leave the others alone.
                Err(problem) if !once => {
                    error!(copy = config.name, "{problem}");
                    let state = state_of(configuration, config).read().unwrap_or_default();
                    round.statuses.push(status(
                        config,
                        state,
                        &configuration.service,
                        Timestamp::now(),
                    ));
                }
                Err(problem) => return Err(failure(&problem)),
            }
        }
        Ok(round)
    }

    /// Gives back copies that were disabled or are configured in another way now.
    fn let_go(&mut self, configuration: &Configuration) {
        self.copies.retain(|name, copy| {
            let found = configuration
                .copies
                .iter()
                .find(|config| config.name == *name);
            found == Some(copy.config())
        });
    }

    fn serve(
        &mut self,
        configuration: &Configuration,
        config: &CopyConfig,
    ) -> Result<(CopyStatus, bool), StandbyError> {
        let copy = match self.copies.remove(&config.name) {
            Some(copy) => copy,
            None => {
                let source = FolderSource::new(&config.source.logs, &config.source.base);
                let copy =
                    Copy::open(config, &configuration.state, Box::new(source), &SystemClock)?;
                info!(copy = config.name, source = %config.source.logs.display(), "served");
                copy
            }
        };
        let copy = self.copies.entry(config.name.clone()).or_insert(copy);
        let pass = copy.pass(&configuration.service, &SystemClock)?;
        let status = status(config, pass.state, &configuration.service, Timestamp::now());
        Ok((status, pass.more))
    }
}

fn answer(statuses: &[CopyStatus], output: &mut Output) -> Result<Exit, Failure> {
    if output.is_json() {
        statuses
            .iter()
            .try_for_each(|status| output.document("edbkit.scr-status/1", status))?;
    } else {
        output.text(&Table(statuses))?;
    }
    let troubled = statuses
        .iter()
        .any(|copy| copy.trouble.is_some() || copy.summary == Summary::Suspended);
    Ok(if troubled { Exit::Finding } else { Exit::Clean })
}
