//! `edbreplay run`: recovers databases.

use crate::input::Input;
use answers::replay::run::{RunOptions, SCHEMA, Watcher};
use console::values::bytes;
use console::{Exit, Failure, Output};
use ese_format::Progress;
use std::path::PathBuf;

const USAGE: &str = "\
edbreplay run [--logs <PLACE>]... --to <OUT> [OPTIONS] [DATABASE]...
       edbreplay run [--logs <PLACE>]... --overlay <FILE> [OPTIONS] <DATABASE>
       edbreplay run [--logs <PLACE>]... --in-place [OPTIONS] <DATABASE>...";

/// Recover databases: replay the logs, roll back what was not committed, and write the result
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("target").required(true).args(["to", "overlay", "in_place"]))]
#[command(override_usage = USAGE, after_help = "Examples:\n  edbreplay run state/db.edb --logs state --to new.edb\n  edbreplay run a.edb b.edb --logs state --to folder\n  edbreplay run copy/db.edb --logs copy --in-place")]
pub(crate) struct Arguments {
    #[command(flatten)]
    input: Input,
    /// Write the recovered database here; a folder for several, which is made if it is not there
    #[arg(long, value_name = "OUT")]
    to: Option<PathBuf>,
    /// Write only the pages that change, to this file
    #[arg(long, value_name = "FILE")]
    overlay: Option<PathBuf>,
    /// Change the database itself, through a journal beside it
    #[arg(long)]
    in_place: bool,
    /// Replace a result that is there already
    #[arg(long)]
    force: bool,
    /// Roll nothing back: leave the database dirty, ready for the logs that come after these
    #[arg(long)]
    until_undo: bool,
    /// Give up committed work whose logs are lost or damaged, where the database becomes consistent without it, and pages that
    /// were lost with the end of its file
    #[arg(long)]
    lossy: bool,
    /// Leave out databases that the logs change and that are not named
    #[arg(long)]
    ignore_missing: bool,
    /// Write a database that the logs create as OLD to NEW; OLD is its path in the logs or its file name
    #[arg(long, value_name = "OLD=NEW", value_parser = parse_map)]
    map: Vec<(String, PathBuf)>,
    /// Also write databases that the logs create and delete again, each under a name with its signature
    #[arg(long)]
    deleted: bool,
    /// Hold this much of the databases in memory
    #[arg(long, value_name = "BYTES", default_value = "512MiB", value_parser = bytes::<u64>)]
    memory: u64,
    /// Compute no SHA-256 of what is read and written
    #[arg(long)]
    no_hash: bool,
    /// Say how long each step and each type of record took
    #[arg(long)]
    profile: bool,
}

fn parse_map(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((old, new)) if !old.is_empty() && !new.is_empty() => Ok((old.to_owned(), new.into())),
        _ => Err("write the old and the new name, as in 'D:\\db\\mail.edb=mail.edb'".to_owned()),
    }
}

/// Progress and remarks at the terminal.
struct Told<'o>(&'o Output);

impl Watcher for Told<'_> {
    fn step(&self, total: u64, what: &str) -> Box<dyn Progress + '_> {
        Box::new(self.0.bar(total, what))
    }

    fn remark(&self, line: &str) {
        self.0.remark(&line);
    }
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let options = RunOptions {
        input: (&arguments.input).into(),
        to: arguments.to.clone(),
        overlay: arguments.overlay.clone(),
        in_place: arguments.in_place,
        force: arguments.force,
        until_undo: arguments.until_undo,
        lossy: arguments.lossy,
        ignore_missing: arguments.ignore_missing,
        map: arguments.map.clone(),
        deleted: arguments.deleted,
        memory: arguments.memory,
        no_hash: arguments.no_hash,
        profile: arguments.profile,
        read_ahead: output.threads() > 1,
    };
    let report = answers::replay::run::run(&options, &Told(output))?;
    output.answer(SCHEMA, &report, &report)?;
    Ok(report.exit())
}
