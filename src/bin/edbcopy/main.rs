//! `edbcopy`: copies of very large databases that go on after anything, and prove every byte.

mod copy;
mod failure;
mod folder;
mod manifest;
mod rate;
#[cfg(feature = "remote")]
mod remote;
mod source;
mod status;
mod verify;

use clap::{Parser, Subcommand};
use console::{RunOptions, ShellCommand};
use std::process::ExitCode;

/// Copy ESE databases and logs: resumable after anything, every page checked, every byte proved
#[derive(Parser)]
#[command(name = "edbcopy", version)]
struct Program {
    #[command(flatten)]
    options: RunOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Copy(copy::Arguments),
    Status(status::Arguments),
    Verify(verify::Arguments),
    Manifest(manifest::Arguments),
    #[command(flatten)]
    Shell(ShellCommand),
}

fn main() -> ExitCode {
    console::run(
        |program: &Program| program.options.clone(),
        |program, output| match program.command {
            Command::Copy(arguments) => copy::run(&arguments, output),
            Command::Status(arguments) => status::run(&arguments, output),
            Command::Verify(arguments) => verify::run(&arguments, output),
            Command::Manifest(arguments) => manifest::run(&arguments, output),
            Command::Shell(shell) => shell.print::<Program>(),
        },
    )
}
