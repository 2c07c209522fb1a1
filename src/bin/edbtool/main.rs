//! `edbtool`: what one ESE file is, whether it is whole, and what is in it.

mod files;
mod header;
mod verify;

use clap::{Parser, Subcommand};
use console::{RunOptions, ShellCommand};
use std::process::ExitCode;

/// Inspect and verify ESE (JET Blue) databases, logs, checkpoints and flush maps without changing them
#[derive(Parser)]
#[command(name = "edbtool", version)]
struct Program {
    #[command(flatten)]
    options: RunOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Header(header::Arguments),
    Verify(verify::Arguments),
    #[command(flatten)]
    Shell(ShellCommand),
}

fn main() -> ExitCode {
    console::run(
        |program: &Program| program.options.clone(),
        |program, output| match program.command {
            Command::Header(arguments) => header::run(&arguments, output),
            Command::Verify(arguments) => verify::run(&arguments, output),
            Command::Shell(shell) => shell.print::<Program>(),
        },
    )
}
