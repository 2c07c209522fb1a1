//! `edbtool`: what one ESE file is, whether it is whole, and what is in it.

mod choice;
mod collect;
mod columns;
mod database;
mod diff;
mod export;
mod files;
mod find;
mod header;
mod history;
mod page;
mod rows;
mod schema;
mod space;
mod tables;
mod verify;

use clap::{Parser, Subcommand};
use console::{RunOptions, ShellCommand};
use std::process::ExitCode;

/// Inspect and verify ESE (JET Blue) databases, logs, checkpoints and flush maps without changing them
#[derive(Parser)]
#[command(name = "edbtool", version, after_help = EXAMPLES)]
struct Program {
    #[command(flatten)]
    options: RunOptions,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  Which databases are in there, whatever they are called, and what do they need?
    edbtool find /evidence
  What state is it in, and which logs does it need?
    edbtool header mailbox.edb
  Is anything in this folder damaged?
    edbtool verify /evidence/sg1
  What is in it?
    edbtool rows SRUDB.dat SruDbIdMapTable --limit 10
  All rows, of a dirty database as recovery would leave it:
    edbtool export SRUDB.dat --with-logs . --to rows";

#[derive(Subcommand)]
enum Command {
    Find(find::Arguments),
    Header(header::Arguments),
    Verify(verify::Arguments),
    Tables(tables::Arguments),
    Schema(schema::Arguments),
    Rows(rows::Arguments),
    Export(export::Arguments),
    Collect(collect::Arguments),
    Diff(diff::Arguments),
    Page(page::Arguments),
    Space(space::Arguments),
    History(history::Arguments),
    #[command(flatten)]
    Shell(ShellCommand),
}

fn main() -> ExitCode {
    console::run(
        |program: &Program| program.options.clone(),
        |program, output| match program.command {
            Command::Find(arguments) => find::run(&arguments, output),
            Command::Header(arguments) => header::run(&arguments, output),
            Command::Verify(arguments) => verify::run(&arguments, output),
            Command::Tables(arguments) => tables::run(&arguments, output),
            Command::Schema(arguments) => schema::run(&arguments, output),
            Command::Rows(arguments) => rows::run(&arguments, output),
            Command::Export(arguments) => export::run(&arguments, output),
            Command::Collect(arguments) => collect::run(&arguments, output),
            Command::Diff(arguments) => diff::run(&arguments, output),
            Command::Page(arguments) => page::run(&arguments, output),
            Command::Space(arguments) => space::run(&arguments, output),
            Command::History(arguments) => history::run(&arguments, output),
            Command::Shell(shell) => shell.print::<Program>(output),
        },
    )
}
