//! `edbreplay`: recovers databases with their transaction logs, on any operating system.

mod input;
mod plan;
mod run;

use clap::{Parser, Subcommand};
use console::{RunOptions, ShellCommand};
use std::process::ExitCode;

/// Bring ESE (JET Blue) databases from Dirty Shutdown to Clean Shutdown by replaying their transaction logs
#[derive(Parser)]
#[command(name = "edbreplay", version, after_help = EXAMPLES)]
struct Program {
    #[command(flatten)]
    options: RunOptions,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  What would a recovery do? Nothing is written:
    edbreplay plan state/db.edb --logs state
  Recover into a new file; the source stays as it is:
    edbreplay run state/db.edb --logs state --to new.edb";

#[derive(Subcommand)]
enum Command {
    Plan(plan::Arguments),
    Run(run::Arguments),
    #[command(flatten)]
    Shell(ShellCommand),
}

fn main() -> ExitCode {
    console::run(
        |program: &Program| program.options.clone(),
        |program, output| match program.command {
            Command::Plan(arguments) => plan::run(&arguments, output),
            Command::Run(arguments) => run::run(&arguments, output),
            Command::Shell(shell) => shell.print::<Program>(output),
        },
    )
}
