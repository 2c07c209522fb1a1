//! `logchain`: whether a folder of transaction logs is complete, genuine and undamaged, and what is in it.

mod diff;
mod header;
mod records;
mod stat;
mod stream;
mod timeline;
mod verify;

use clap::{Parser, Subcommand};
use console::{RunOptions, ShellCommand};
use std::process::ExitCode;

/// Verify and read streams of ESE (JET Blue) transaction logs without changing them
#[derive(Parser)]
#[command(name = "logchain", version, after_help = EXAMPLES)]
struct Program {
    #[command(flatten)]
    options: RunOptions,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  Are the logs complete, and enough for this database?
    logchain verify /evidence/sg1 --db mailbox.edb
  What happened to page 1234?
    logchain records /evidence/sg1 --page 1234
  Where do two copies of the logs part?
    logchain diff /mnt/exa/sg1 /mnt/exb/sg1";

#[derive(Subcommand)]
enum Command {
    Header(header::Arguments),
    Verify(verify::Arguments),
    Records(records::Arguments),
    Stat(stat::Arguments),
    Diff(diff::Arguments),
    Timeline(timeline::Arguments),
    #[command(flatten)]
    Shell(ShellCommand),
}

fn main() -> ExitCode {
    console::run(
        |program: &Program| program.options.clone(),
        |program, output| match program.command {
            Command::Header(arguments) => header::run(&arguments, output),
            Command::Verify(arguments) => verify::run(&arguments, output),
            Command::Records(arguments) => records::run(&arguments, output),
            Command::Stat(arguments) => stat::run(&arguments, output),
            Command::Diff(arguments) => diff::run(&arguments, output),
            Command::Timeline(arguments) => timeline::run(&arguments, output),
            Command::Shell(shell) => shell.print::<Program>(output),
        },
    )
}
