//! `logchain diff`: where two copies of a stream part.

use console::{Exit, Failure, Output};
use ese_format::LogTime;
use ese_log::StreamFiles;
use ese_log::diff::{StreamDivergence, Tail, diff};
use serde::Serialize;
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

/// Find the first position where two copies of a stream differ, and what each has after it
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  logchain diff /mnt/exa/sg1 /mnt/exb/sg1")]
pub(crate) struct Arguments {
    /// Folder of one copy
    first: PathBuf,
    /// Folder of the other
    second: PathBuf,
    /// Base name of the logs, as in E00; needed only if a folder holds several streams
    #[arg(long, value_name = "NAME")]
    base: Option<String>,
}

/// Runs the command: copies that differ are a finding.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let find = |folder| {
        StreamFiles::find(folder, arguments.base.as_deref()).map_err(|error| Failure::of(&error))
    };
    let (first, second) = (find(&arguments.first)?, find(&arguments.second)?);
    let divergence = diff(&first, &second).map_err(|error| Failure::of(&error))?;
    let Some(divergence) = divergence else {
        return Err(
            Failure::new(Exit::Finding, "the copies have no generation in common")
                .advise("compare copies that overlap, or take in the logs between them"),
        );
    };
    let exit = match divergence.is_same() {
        true => Exit::Clean,
        false => Exit::Finding,
    };
    let report = Report {
        first_folder: arguments.first.clone(),
        second_folder: arguments.second.clone(),
        fork: divergence.is_fork(),
        divergence,
    };
    output.answer("edbkit.log-diff/1", &report, &report)?;
    Ok(exit)
}

#[derive(Debug, Serialize)]
struct Report {
    first_folder: PathBuf,
    second_folder: PathBuf,
    /// Both have records of their own.
    fork: bool,
    #[serde(flatten)]
    divergence: StreamDivergence,
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let StreamDivergence {
            from,
            same_records,
            last_same,
            first,
            second,
        } = &self.divergence;
        writeln!(f, "Compared from generation {from} ({from:#x})")?;
        match last_same {
            Some(last) => writeln!(f, "The same: {same_records} records, to {last}")?,
            None => writeln!(f, "The first records differ already")?,
        }
        for (folder, tail) in [(&self.first_folder, first), (&self.second_folder, second)] {
            write!(f, "{}: ", folder.display())?;
            write_tail(f, tail)?;
        }
        writeln!(
            f,
            "{}",
            match (self.divergence.is_same(), self.fork) {
                (true, _) => "Both copies hold the same records.",
                (false, true) => "The copies have parted: each has records that the other lacks.",
                (false, false) => "One copy goes on where the other ends.",
            }
        )
    }
}

fn write_tail(f: &mut Formatter<'_>, tail: &Tail) -> fmt::Result {
    match (tail.first, tail.last) {
        (Some((first, kind)), Some(last)) => {
            write!(
                f,
                "{} records more,\n  from {first} ({kind}) to {last}",
                tail.records
            )?;
        }
        _ => f.write_str("nothing more")?,
    }
    if let Some(created) = tail.log_created.and_then(LogTime::rfc3339) {
        write!(f, ",\n  in a log created {created}")?;
    }
    match &tail.stopped {
        Some(stopped) => writeln!(f, "; stopped: {stopped}"),
        None => writeln!(f),
    }
}
