//! `edbcopy status`: how far a copy is.

use crate::words::count;
use console::{Exit, Failure, Output};
use edb_copy::{TargetState, TargetStatus, status};
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;
use target_disk::LocalDisk;

/// Show how far a copy is, without changing anything
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  edbcopy status /data/mailbox.edb")]
pub(crate) struct Arguments {
    /// The copy, or a folder of copies
    target: PathBuf,
    /// For a folder: show every copy in full, not only a line for those that are not complete
    #[arg(long, short)]
    verbose: bool,
}

/// Exit 0 when every copy is finished, 1 when one is not or its state is not known, 3 when there is none.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let targets = match arguments.target.is_dir() {
        true => targets_in(&arguments.target)?,
        false => vec![arguments.target.clone()],
    };
    let table = arguments.target.is_dir() && !arguments.verbose && !output.is_json();
    let (mut exit, mut complete) = (Exit::Clean, 0);
    for target in &targets {
        let status = status(&LocalDisk, target).map_err(|error| Failure::of(&error))?;
        exit = exit.and(match status.state {
            TargetState::Complete => Exit::Clean,
            TargetState::NoJournal => Exit::Io,
            _ => Exit::Finding,
        });
        complete += u64::from(status.state == TargetState::Complete);
        if !table {
            output.answer("edbkit.copy-status/2", &status, &Shown(&status))?;
        } else if status.state != TargetState::Complete {
            output.text(&Line(&status))?;
        }
    }
    if targets.is_empty() {
        let path = arguments.target.display();
        return Err(Failure::new(
            Exit::Io,
            format!("{path}: no copy was begun here"),
        ));
    }
    if table {
        let copies = count(targets.len() as u64, "copy", "copies");
        output.text(&format_args!("{complete} of {copies} complete\n"))?;
    }
    Ok(exit)
}

/// A copy that is not complete, in one line.
struct Line<'a>(&'a TargetStatus);

impl Display for Line<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let status = self.0;
        let word = match status.state {
            TargetState::NoJournal => "none",
            TargetState::Unreadable => "unreadable",
            TargetState::UnderWay if status.running => "under way",
            TargetState::UnderWay => "interrupted",
            TargetState::Arrived => "arrived",
            TargetState::Complete => "complete",
            TargetState::Gone => "gone",
        };
        let name = status.target.file_name().unwrap_or_default();
        let (done, percent) = (status.bytes_arrived, percent(status));
        writeln!(
            f,
            "{word:<11} {percent:>5.1}% {done:>16}  {}",
            name.display()
        )
    }
}

fn percent(status: &TargetStatus) -> f64 {
    match status.length {
        0 => 100.0,
        length => status.bytes_arrived as f64 * 100.0 / length as f64,
    }
}

/// Every copy of which there is a journal in `folder`.
pub(crate) fn targets_in(folder: &std::path::Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(folder).map_err(|error| Failure::io(folder, &error))?;
    let mut targets: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "edbcopy")
        })
        .map(|path| path.with_extension(""))
        .collect();
    targets.sort();
    Ok(targets)
}

struct Shown<'a>(&'a TargetStatus);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let status = self.0;
        let words = match status.state {
            TargetState::NoJournal => "no copy was begun here",
            TargetState::Unreadable => "the journal cannot be read; --restart starts over",
            TargetState::UnderWay if status.running => "under way",
            TargetState::UnderWay => "interrupted; the same copy command goes on",
            TargetState::Arrived => "all of it has arrived; the same command gives it its name",
            TargetState::Complete => "complete",
            TargetState::Gone => {
                "it was complete, and is gone; the same copy command makes it again"
            }
        };
        writeln!(f, "Copy: {}", status.target.display())?;
        writeln!(f, "     State: {words}")?;
        let Some(source) = &status.source else {
            return writeln!(f);
        };
        writeln!(f, "    Source: {} ({})", source.name, source.kind)?;
        let percent = percent(status);
        writeln!(
            f,
            "   Arrived: {} of {} bytes ({percent:.1}%)\n    Chunks: of {} bytes",
            status.bytes_arrived, status.length, status.chunk_size
        )?;
        if status.bad_pages > 0 {
            writeln!(f, " Bad pages: {}", status.bad_pages)?;
        }
        if let Some(hash) = &status.blake3 {
            writeln!(f, "    BLAKE3: {hash}")?;
        }
        if status.journal_dropped > 0 {
            writeln!(
                f,
                "   Journal: its last {} bytes cannot be trusted:\n            what they claim is copied again",
                status.journal_dropped
            )?;
        }
        writeln!(f)
    }
}
