//! `edbreplay plan`: what a recovery would do, and what keeps it from being done. Nothing is written.

use crate::input::Input;
use answers::replay;
use answers::replay::plan::{PlanOptions, SCHEMA, report};
use console::values::bytes;
use console::{Exit, Failure, Output};

/// Say what a recovery would replay, roll back and lose, and what keeps it from being done
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  edbreplay plan state/db.edb\n  edbreplay plan state/db.edb --logs backup --logs /mnt/server/E00.log\n  edbreplay plan state/db.edb --logs state --until 42"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    input: Input,
    /// Leave out databases that the logs change and that are not named
    #[arg(long)]
    ignore_missing: bool,
    /// Read headers and logs only; do not try whether the pages allow it
    #[arg(long)]
    quick: bool,
    /// Hold this much of the databases in memory
    #[arg(long, value_name = "BYTES", default_value = "512MiB", value_parser = bytes::<usize>)]
    memory: usize,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let input = replay::Input::from(&arguments.input);
    // The question is what a recovery would do: that it would do nothing is an answer.
    let subjects = input.subjects(true).map_err(Failure::as_finding)?;
    subjects.name_found(output);
    let options = PlanOptions {
        ignore_missing: arguments.ignore_missing,
        quick: arguments.quick,
        memory: arguments.memory,
        read_ahead: output.threads() > 1,
    };
    let bar = output.bar(0, "Reading logs");
    let report = report(&input, &subjects, &options, &bar);
    drop(bar);
    let report = report?;
    output.answer(SCHEMA, &report, &report)?;
    Ok(report.exit())
}
