//! `scr`: a standby copy of a storage group, kept current by shipping its closed logs.

mod check;
mod copies;
mod disable;
mod enable;
mod failback;
mod order;
mod replaying;
mod restore;
mod run;
mod runbook;
mod status;
mod update;

use clap::{Parser, Subcommand};
use console::{RunOptions, ShellCommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Keep standby copies of ESE log streams: ship closed logs, inspect them, report how the copies stand
#[derive(Parser)]
#[command(name = "scr", version, after_help = EXAMPLES)]
struct Program {
    #[command(flatten)]
    options: RunOptions,
    /// The configuration; `scr help configuration` describes it
    #[arg(
        long, global = true, value_name = "FILE", default_value = "scr.toml",
        help_heading = console::COMMON
    )]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  Set up a copy and serve it (`scr help enable`):
    scr enable SG1 --source EXA ...
    scr run
  How do the copies stand?
    scr status
  The first server is gone; what would be lost, and do it:
    scr restore SG1 --force --dry-run
    scr restore SG1 --force
  The whole procedure, for Exchange:
    scr runbook failover SG1";

#[derive(Subcommand)]
enum Command {
    Enable(enable::Arguments),
    Disable(disable::Arguments),
    Suspend(order::Suspend),
    Resume(order::Resume),
    Status(status::Arguments),
    Check(check::Arguments),
    Restore(restore::Arguments),
    Failback(failback::Arguments),
    Runbook(runbook::Arguments),
    Run(run::Arguments),
    Update(update::Arguments),
    #[command(flatten)]
    Shell(ShellCommand),
}

fn main() -> ExitCode {
    console::run(
        |program: &Program| program.options.clone(),
        |program, output| {
            let config = &program.config;
            match program.command {
                Command::Enable(arguments) => enable::run(config, arguments, output),
                Command::Disable(arguments) => disable::run(config, &arguments, output),
                Command::Suspend(arguments) => order::suspend(config, &arguments, output),
                Command::Resume(arguments) => order::resume(config, &arguments, output),
                Command::Status(arguments) => status::run(config, &arguments, output),
                Command::Check(arguments) => check::run(config, &arguments, output),
                Command::Restore(arguments) => restore::run(config, &arguments, output),
                Command::Failback(arguments) => failback::run(config, &arguments, output),
                Command::Runbook(arguments) => runbook::run(config, arguments, output),
                Command::Run(arguments) => run::run(config, &arguments, output),
                Command::Update(arguments) => update::run(config, &arguments, output),
                Command::Shell(shell) => shell.print::<Program>(output),
            }
        },
    )
}
