//! `scr failback`: brings the database back to the first server, and sets the replication up anew.

use crate::copies::load_copy;
use console::{Exit, Failure, Output};
use standby::BringError;
use standby::clock::SystemClock;
use standby::config::{Configuration, CopyConfig};
use standby::failback::{FailbackOptions, FailbackReport, UnreplayedWork, failback};
use std::fmt::{self, Display, Formatter};
use std::io::{IsTerminal, stdin};
use std::path::{Path, PathBuf};

/// Bring the dismounted database back to the first server, prove it, put its old files there aside, and set up replication
/// in the reverse direction
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  scr failback SG1 --dry-run\n  scr failback SG1 --yes\n  scr failback SG1 --home --put-aside /mnt/exa/sg1/MBX1.edb"
)]
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
    /// Keep what is at the first server in `diverged` beside it, if it was not shut down, or is another database or
    /// log stream; PATH is its database or its log folder
    #[arg(long, value_name = "PATH")]
    put_aside: Vec<PathBuf>,
    /// Only say what would be done, and what the first server still has
    #[arg(long)]
    dry_run: bool,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
}

/// Runs the command. Exit 0: proved and configured; 1: the same, and the first server still had work that was never
/// replayed here, or the copy was not proved; 5: refused.
pub(crate) fn run(
    config: &Path,
    arguments: &Arguments,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let (configuration, copy) = load_copy(config, &arguments.name)?;
    let options = FailbackOptions {
        from: arguments.from.clone(),
        home: arguments.home,
        logs: arguments.logs.clone(),
        base: arguments.base.clone(),
        put_aside: arguments.put_aside.clone(),
        dry_run: arguments.dry_run,
        ..FailbackOptions::default()
    };
    let bring = |options: &FailbackOptions, output: &Output| {
        bring(config, &configuration, &copy, options, output).map_err(|error| Failure::of(&error))
    };
    if !arguments.dry_run && !arguments.yes {
        let foretold = FailbackOptions {
            dry_run: true,
            ..options.clone()
        };
        ask(&bring(&foretold, output)?, output)?;
    }
    let report = bring(&options, output)?;
    output.answer("edbkit.scr-failback/1", &report, &Shown(&report))?;
    Ok(if report.beyond.is_some() {
        Exit::Finding
    } else {
        Exit::Clean
    })
}

fn bring(
    path: &Path,
    configuration: &Configuration,
    copy: &CopyConfig,
    options: &FailbackOptions,
    output: &Output,
) -> Result<FailbackReport, BringError> {
    let bar = output.bar(0, &format!("Failing back {}", copy.name));
    failback(path, configuration, copy, options, &SystemClock, &bar)
}

/// Goes on only if a person says so.
fn ask(foretold: &FailbackReport, output: &mut Output) -> Result<(), Failure> {
    let place = foretold.name.clone();
    if !stdin().is_terminal() {
        let message = format!("{place}: a failback replaces files at the first server");
        return Err(
            Failure::new(Exit::Refused, message).advise("--dry-run lists them; --yes allows it")
        );
    }
    output.remark(&format_args!("{}\nGo on? [y/N] ", Shown(foretold)));
    let mut answer = String::new();
    let read = stdin().read_line(&mut answer);
    match read.is_ok() && answer.trim().eq_ignore_ascii_case("y") {
        true => Ok(()),
        false => Err(Failure::new(Exit::Refused, "not done, as answered")),
    }
}

struct Shown<'a>(&'a FailbackReport);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let name = &report.name;
        let (source, target) = (&report.replication.source, &report.replication.target);
        match (&report.database, report.dry_run) {
            (Some(database), _) => {
                writeln!(
                    f,
                    "{name}: {} is back at {}",
                    database.source.name,
                    database.target.display()
                )?;
                let (arrived, written) = (database.bytes_arrived, database.bytes_written);
                let proved = report.proved;
                writeln!(
                    f,
                    "Copied: {arrived} bytes, {written} of them written; proved: {proved} bytes read back"
                )?;
            }
            (None, true) => writeln!(f, "{name}: nothing was changed; this would be done:")?,
            (None, false) => writeln!(f, "{name}: the database was back already")?,
        }
        for place in [&report.old_database, &report.old_logs]
            .into_iter()
            .flatten()
        {
            let (count, place) = (report.put_aside, place.display());
            writeln!(
                f,
                "Old files of the first server ({count} in all) are kept: {place}"
            )?;
        }
        if let Some(beyond) = &report.beyond {
            rescue(f, beyond, report)?;
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

/// What the first server still had, and how it is got out.
fn rescue(f: &mut Formatter<'_>, beyond: &UnreplayedWork, report: &FailbackReport) -> fmt::Result {
    let (first, last) = (beyond.first, beyond.last);
    writeln!(
        f,
        "The first server still had generations {first}-{last} ({first:#x}-{last:#x}), which were never replayed here: {} \
         transactions committed, {} rolled back, {} open at their end",
        beyond.committed, beyond.rolled_back, beyond.open
    )?;
    writeln!(f, "Rows of those that committed: {}", beyond.rows)?;
    if let Some(stopped) = &beyond.stopped {
        writeln!(f, "They cannot be read to their end: {stopped}")?;
    }
    let (Some(database), Some(logs)) = (&report.old_database, &report.old_logs) else {
        return Ok(());
    };
    writeln!(
        f,
        "To see it row by row: logchain timeline {} --db {} --since {first} --committed",
        logs.display(),
        database.display()
    )?;
    writeln!(
        f,
        "To get it out: edbreplay run {} --logs {} --to rescued.edb, then edbtool export rescued.edb",
        database.display(),
        logs.display()
    )
}
