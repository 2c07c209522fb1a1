//! `logchain verify`: everything that is wrong with a stream, and whether a database can be activated with it.

use crate::stream::StreamArguments;
use answers::chain::{self, Question, SCHEMA, reports};
use console::{Exit, Failure, Output};
use evidence::EvidenceFile;
use std::path::PathBuf;

/// Check a whole stream of logs, and whether databases can be recovered with it
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  logchain verify /evidence/sg1\n  logchain verify /evidence/sg1 --db mailbox.edb\n  logchain verify /evidence/sg1 --db mailbox.edb --require proved"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    stream: StreamArguments,
    /// A database of the stream: say whether it can be recovered; may be given several times
    #[arg(long = "db", value_name = "FILE")]
    databases: Vec<PathBuf>,
    /// Checkpoint file in place of the one beside the logs
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// With --db: leave out other databases that the logs change
    #[arg(long, requires = "databases")]
    ignore_missing: bool,
    /// With --db: read headers and logs only, and do not try whether the pages allow it
    #[arg(long, requires = "databases")]
    quick: bool,
    /// End with 0 if every database is ready, whatever else is found, otherwise with 1; ready-with-loss accepts loss,
    /// proved requires that every log that is needed is proved complete
    #[arg(long, value_name = "WHAT")]
    require: Option<Require>,
}

/// What a script asks for. The last is that the log after each closed log that is needed proves it complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Require {
    Ready,
    ReadyWithLoss,
    Proved,
}

impl From<Require> for chain::Require {
    fn from(require: Require) -> Self {
        match require {
            Require::Ready => chain::Require::Ready,
            Require::ReadyWithLoss => chain::Require::ReadyWithLoss,
            Require::Proved => chain::Require::Proved,
        }
    }
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    // A checkpoint that is not there is said before all else.
    if let Some(path) = &arguments.checkpoint {
        EvidenceFile::open(path).map_err(|error| Failure::of(&error))?;
    }
    if arguments.databases.is_empty()
        && matches!(
            arguments.require,
            Some(Require::Ready | Require::ReadyWithLoss)
        )
    {
        let message = "--require asks for a verdict, and there is no database to give it on";
        return Err(Failure::new(Exit::Usage, message).advise("name the database with --db"));
    }
    let question = Question {
        folder: arguments.stream.folder.clone(),
        base: arguments.stream.base.clone(),
        databases: arguments.databases.clone(),
        checkpoint: arguments.checkpoint.clone(),
        ignore_missing: arguments.ignore_missing,
        quick: arguments.quick,
    };
    let mut exit = Exit::Clean;
    let bar = output.bar(0, "Checking logs");
    for report in reports(&question, &bar)? {
        let report = report?;
        exit = exit.and(report.exit(arguments.require.map(chain::Require::from)));
        output.answer(SCHEMA, &report, &report)?;
    }
    Ok(exit)
}
