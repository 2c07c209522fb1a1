//! `scr runbook`: complete procedures around a failover, with the names of this installation.

use crate::copies::{load_copy, state_of};
use console::{Exit, Failure, Output};
use serde::Serialize;
use standby::runbook::{Facts, Runbook, failback, failover, prepare, reverse};
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

/// Print a complete procedure for an Exchange administrator, with this installation's names: prepare the standby, fail over,
/// fail back, or let the standby stay the primary
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  scr runbook prepare SG1\n  scr runbook failover SG1 --source-lost\n  scr runbook failback SG1 --format powershell"
)]
pub(crate) struct Arguments {
    /// Which one
    procedure: Procedure,
    /// Name of the copy
    name: String,
    /// A page for people, or a script that waits before every step and can be started again at any step (-From N)
    #[arg(long, value_name = "FORM", default_value = "markdown")]
    format: Format,
    /// Failover only: the first server is lost, do without what it still has
    #[arg(long)]
    source_lost: bool,
    /// The storage group at the first server (default: the name of the copy)
    #[arg(long, value_name = "NAME")]
    storage_group: Option<String>,
    /// Its mailbox database (default: the name of the database file)
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// The storage group that takes the database at the standby (default: the same with PORT added)
    #[arg(long, value_name = "NAME")]
    standby_storage_group: Option<String>,
    /// The mailbox database there (default: the same with PORT added)
    #[arg(long, value_name = "NAME")]
    standby_database: Option<String>,
    /// Put the activated database under this name
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Our programs are run here and the script elsewhere, at the standby's server: it shows their command lines and
    /// asks for their exit codes
    #[arg(long)]
    station: bool,
    /// What a path of this machine is called on the servers, as in /mnt/exa=D:\; lines of our own programs keep the path of
    /// this machine
    #[arg(long, value_name = "LOCAL=SERVER", value_parser = parse_map)]
    map: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Procedure {
    /// Folders, storage group and database at the standby, before anything has happened
    Prepare,
    /// The standby takes over
    Failover,
    /// The database goes back to the first server
    Failback,
    /// The standby stays the primary, and the first server becomes its standby
    Reverse,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Markdown,
    Powershell,
}

fn parse_map(text: &str) -> Result<(String, String), String> {
    let (from, to) = text.split_once('=').ok_or("write it as LOCAL=SERVER")?;
    match from.is_empty() || to.is_empty() {
        true => Err("write it as LOCAL=SERVER".into()),
        false => Ok((from.to_owned(), to.to_owned())),
    }
}

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    runbook: Runbook,
    text: String,
}

impl Display for Answer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Runs the command.
pub(crate) fn run(
    config: &Path,
    arguments: Arguments,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let (procedure, format) = (arguments.procedure, arguments.format);
    if arguments.source_lost {
        without_source(procedure)?;
    }
    let facts = facts(config, arguments)?;
    let runbook = match procedure {
        Procedure::Prepare => prepare(&facts),
        Procedure::Reverse => reverse(&facts),
        Procedure::Failover => failover(&facts),
        Procedure::Failback => failback(&facts),
    };
    let answer = Answer {
        text: match format {
            Format::Markdown => runbook.to_markdown(),
            Format::Powershell => runbook.to_powershell(),
        },
        runbook,
    };
    output.answer("edbkit.scr-runbook/1", &answer, &answer)?;
    Ok(Exit::Clean)
}

/// Refuses procedures that need the first server.
fn without_source(procedure: Procedure) -> Result<(), Failure> {
    let (reason, advice) = match procedure {
        Procedure::Failover => return Ok(()),
        Procedure::Failback => (
            "a failback needs the first server: the database goes back to it",
            "the standby goes on working until there is one; `scr runbook reverse` lets it stay the primary for good",
        ),
        Procedure::Reverse => (
            "a reversal needs the first server: it becomes the standby",
            "rebuild it first, or set up a copy at another server with `scr enable`",
        ),
        Procedure::Prepare => (
            "a preparation does nothing at the first server",
            "leave out --source-lost",
        ),
    };
    Err(Failure::new(Exit::Refused, reason.to_owned()).advise(advice))
}

fn facts(config: &Path, arguments: Arguments) -> Result<Facts, Failure> {
    let (configuration, copy) = load_copy(config, &arguments.name)?;
    let state = state_of(&configuration, &copy)
        .read()
        .map_err(|error| Failure::of(&error))?;
    let activated = state.activation.map(|activation| activation.database);
    let stem = copy.source.database.file_stem().unwrap_or_default();
    let storage_group = arguments
        .storage_group
        .unwrap_or_else(|| copy.group().to_owned());
    let database = arguments
        .database
        .unwrap_or_else(|| stem.to_string_lossy().into_owned());
    let port = |name: &str| format!("{name}PORT");
    Ok(Facts {
        config: config.to_owned(),
        activated: arguments
            .to
            .or(activated)
            .unwrap_or_else(|| copy.target.database.clone()),
        standby_storage_group: arguments
            .standby_storage_group
            .unwrap_or_else(|| port(&storage_group)),
        standby_database: arguments
            .standby_database
            .unwrap_or_else(|| port(&database)),
        storage_group,
        database,
        source_lost: arguments.source_lost,
        station: arguments.station,
        map: arguments.map,
        copy,
    })
}
