//! `edbtool header`: what the header of a file says, both copies of it, and what that means.

use crate::files::expand;
use answers::files::not_ese;
use answers::header::{Read, read};
use console::{Exit, Failure, Output};
use ese_log::beside::LogPlaces;
use std::path::PathBuf;
use summary::{Summaries, Summary};

mod summary;

/// Print the header of databases, logs, checkpoints and flush maps, as `eseutil /mh`, `/ml` and `/mk` do
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  edbtool header mailbox.edb\n  edbtool header --recursive --summary /evidence"
)]
pub(crate) struct Arguments {
    /// Files, or with --recursive also folders
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Enter folders and everything below them; files that are not ESE's are passed over
    #[arg(long, short)]
    recursive: bool,
    /// Print a line for each database: its state, the logs that it needs, how many of them are beside it, and which
    /// program it belongs to; and a last line about all. Of other files in folders, those with findings
    #[arg(long)]
    summary: bool,
    /// Folders or files with the logs of the databases, to know the names of those that are needed
    /// (default: the folder of each database)
    #[arg(long, value_name = "PATH")]
    logs: Vec<PathBuf>,
    /// Base name of the logs: E00. Needed only where there are several streams, or none
    #[arg(long, value_name = "NAME")]
    base: Option<String>,
}

impl Arguments {
    fn places(&self) -> LogPlaces<'_> {
        LogPlaces {
            logs: &self.logs,
            base: self.base.as_deref(),
        }
    }
}

/// Runs the command: the exit code is the worst of all files.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let mut exit = Exit::Clean;
    let mut summaries = Summaries::default();
    for path in expand(&arguments.files, arguments.recursive) {
        let read = path.and_then(|path| {
            let read = read(&path, &arguments.places())?;
            // Of a folder, what is not an ESE file was not asked about.
            match read {
                Read::Other(why) if arguments.files.contains(&path) => Err(not_ese(&path, &why)),
                read => Ok(read),
            }
        });
        match read {
            Err(failure) => {
                exit = exit.and(failure.exit);
                summaries.failed();
                output.failure(&failure)?;
            }
            Ok(Read::Other(_)) => {}
            Ok(Read::Report(report)) => {
                exit = exit.and(report.exit());
                if arguments.summary {
                    let asked_for = arguments.files.contains(&report.path);
                    summaries.add(Summary::of(&report, &arguments.places()), asked_for);
                } else {
                    output.answer("edbkit.header/1", &report, &report)?;
                }
            }
        }
    }
    if arguments.summary {
        summaries.print(output)?;
    }
    Ok(exit)
}
