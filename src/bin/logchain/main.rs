//! `logchain`: whether a folder of transaction logs is complete, genuine and undamaged, and what is in it.

mod diff;
mod header;
mod records;
mod stat;
mod stream;
mod verify;

use clap::{Parser, Subcommand};
use console::{RunOptions, ShellCommand};
use std::process::ExitCode;

/// Verify and read streams of ESE (JET Blue) transaction logs without changing them
#[derive(Parser)]
#[command(name = "logchain", version)]
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
    Records(records::Arguments),
    Stat(stat::Arguments),
    Diff(diff::Arguments),
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
            Command::Shell(shell) => shell.print::<Program>(),
        },
    )
}
