//! `scr runbook`: the complete procedure of a failover or failback, with the names of this installation.

use crate::copies::{load_copy, state_of};
use console::{Exit, Failure, Output};
use serde::Serialize;
use standby::runbook::{Facts, Runbook, failback, failover};
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

/// Print the complete procedure of a failover or a failback for an Exchange administrator, with this installation's names
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  scr runbook failover SG1\n  scr runbook failback SG1 --format powershell"
)]
pub(crate) struct Arguments {
    /// Failover: the standby takes over; failback: the database goes back to the first server
    procedure: Procedure,
    /// Name of the copy
    name: String,
    /// As a page for people, or as a script that waits before every step
    #[arg(long, value_name = "FORM", default_value = "markdown")]
    format: Format,
    /// The first server is lost: do without what it still has
    #[arg(long)]
    source_lost: bool,
    /// The storage group at the first server (default: the name of the copy)
    #[arg(long, value_name = "NAME")]
    storage_group: Option<String>,
    /// Its mailbox database (default: the name of the database file)
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// The storage group that takes the database at the standby (default: the same with PORT behind it)
    #[arg(long, value_name = "NAME")]
    standby_storage_group: Option<String>,
    /// The mailbox database there (default: the same with PORT behind it)
    #[arg(long, value_name = "NAME")]
    standby_database: Option<String>,
    /// Put the activated database under this name
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// What a path of this machine is called on the servers, as in /mnt/exa=D:\
    #[arg(long, value_name = "FROM=TO", value_parser = parse_map)]
    map: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Procedure {
    Failover,
    Failback,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Markdown,
    Powershell,
}

fn parse_map(text: &str) -> Result<(String, String), String> {
    let (from, to) = text.split_once('=').ok_or("it is written FROM=TO")?;
    match from.is_empty() || to.is_empty() {
        true => Err("it is written FROM=TO".into()),
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
    let facts = facts(config, arguments)?;
    let runbook = match procedure {
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

fn facts(config: &Path, arguments: Arguments) -> Result<Facts, Failure> {
    let (configuration, copy) = load_copy(config, &arguments.name)?;
    let state = state_of(&configuration, &copy)
        .read()
        .map_err(|error| Failure::of(&error))?;
    let activated = state.activation.map(|activation| activation.database);
    let stem = copy.source.database.file_stem().unwrap_or_default();
    let storage_group = arguments.storage_group.unwrap_or_else(|| copy.name.clone());
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
        map: arguments.map,
        copy,
    })
}
