//! `edbcopy`: copies of very large databases that go on after anything, and prove every byte.

mod clean;
mod copy;
mod finding;
mod folder;
mod manifest;
mod plan;
mod rate;
#[cfg(feature = "remote")]
mod remote;
mod source;
mod status;
mod summary;
mod verify;
mod words;

use clap::{Parser, Subcommand};
use console::{RunOptions, ShellCommand};
use std::process::ExitCode;

/// Copy ESE databases and logs: resumable after anything, every page checked, every byte proved
#[derive(Parser)]
#[command(name = "edbcopy", version, after_help = EXAMPLES)]
struct Program {
    #[command(flatten)]
    options: RunOptions,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  Copy; after an interruption, the same again:
    edbcopy copy /mnt/exb/mailbox.edb /data/mailbox.edb
  How far is it?
    edbcopy status /data/mailbox.edb
  Is the copy what its source is?
    edbcopy verify /mnt/exb/mailbox.edb /data/mailbox.edb";

#[derive(Subcommand)]
enum Command {
    Copy(copy::Arguments),
    Status(status::Arguments),
    Verify(verify::Arguments),
    Manifest(manifest::Arguments),
    Clean(clean::Arguments),
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
            Command::Clean(arguments) => clean::run(&arguments, output),
            Command::Shell(shell) => shell.print::<Program>(output),
        },
    )
}
