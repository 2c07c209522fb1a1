//! `scr failback`: brings the database back to the first server, and sets the replication up anew.

use crate::copies::{load_copy, not_brought};
use console::{Exit, Failure, Output};
use standby::clock::SystemClock;
use standby::failback::{Report, Wish, failback};
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

/// Bring the dismounted database back to the first server, prove it, remove its old logs there, and set up replication
/// in the reverse direction
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  scr failback SG1")]
pub(crate) struct Arguments {
    /// Name of the copy
    name: String,
    /// The database that goes back (default: the activated one)
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// The database will be mounted at the first server: keep the direction of the replication
    #[arg(long, conflicts_with_all = ["logs", "base"])]
    home: bool,
    /// Folder in which the standby's server will write its logs, to be replicated (default: that of the copy)
    #[arg(long, value_name = "FOLDER")]
    logs: Option<PathBuf>,
    /// Base name of these logs (default: that of the copy)
    #[arg(long, value_name = "NAME")]
    base: Option<String>,
}

/// Runs the command. Exit 0: proved and configured; 1: not proved, its old logs are still there; 5: refused.
pub(crate) fn run(
    config: &Path,
    arguments: &Arguments,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let (configuration, copy) = load_copy(config, &arguments.name)?;
    let wish = Wish {
        from: arguments.from.clone(),
        home: arguments.home,
        logs: arguments.logs.clone(),
        base: arguments.base.clone(),
        ..Wish::default()
    };
    let bar = output.bar(0, &format!("Failing back {}", copy.name));
    let done = failback(config, &configuration, &copy, &wish, &SystemClock, &bar);
    drop(bar);
    let report = done.map_err(|error| not_brought(&error))?;
    output.answer("edbkit.scr-failback/1", &report, &Shown(&report))?;
    Ok(Exit::Clean)
}

struct Shown<'a>(&'a Report);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Report {
            name,
            database,
            proved,
            removed,
            replication,
        } = self.0;
        let (source, target) = (&replication.source, &replication.target);
        if let Some(database) = database {
            writeln!(
                f,
                "{name}: {} is back at {}",
                database.source.name,
                database.target.display()
            )?;
            writeln!(
                f,
                "Copied: {} bytes, {} of them written; proved: {proved} bytes read back; {removed} old logs removed",
                database.bytes_arrived, database.bytes_written
            )?;
        } else {
            writeln!(f, "{name}: the database was back already")?;
        }
        writeln!(
            f,
            "Replication: {} ({}) -> {} ({}), suspended until `scr resume`",
            source.machine,
            source.logs.display(),
            target.machine,
            target.logs.display()
        )
    }
}
