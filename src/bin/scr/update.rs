//! `scr update`: seeds or reseeds a copy, as Update-StorageGroupCopy does.

use crate::copies::{load_copy, variable};
use console::{Exit, Failure, Output};
use edb_copy::ReadPolicy;
use evidence::Retry;
use standby::BringError;
use standby::clock::SystemClock;
use standby::config::{Configuration, CopyConfig};
use standby::seed::{SeedOptions, SeedPreview, SeedReport, preview, seed};
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

/// Seed or reseed a copy (Update-StorageGroupCopy): bring its database; the same command goes on after an interruption
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  scr update SG1\n  scr update SG1 --from /backup/MBX1.edb --delete-existing-files"
)]
pub(crate) struct Arguments {
    /// Name of the copy
    name: String,
    /// Seed from this database, a path or an address: a backup, a snapshot, another copy (default: that of the source,
    /// which must be dismounted)
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Remove the logs that the copy has made, and replace its database; only pages that differ are written. What may
    /// exist nowhere else is put aside
    #[arg(long)]
    delete_existing_files: bool,
    /// Leave the copy suspended afterwards, until `scr resume`
    #[arg(long)]
    manual_resume: bool,
    /// The source's database was not shut down, but its server is down: take it with its logs
    #[arg(long)]
    not_in_use: bool,
    /// Retry this often after an error that may pass, waiting longer each time
    #[arg(long, value_name = "N", default_value_t = 5)]
    retries: u32,
    /// Only say what would be done: what is copied, removed and put aside
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command. Exit 0: seeded; 5: refused, nothing was changed; 6: interrupted, the same command goes on.
pub(crate) fn run(
    config: &Path,
    arguments: &Arguments,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let (configuration, copy) = load_copy(config, &arguments.name)?;
    let options = SeedOptions {
        from: arguments.from.clone(),
        delete_existing: arguments.delete_existing_files,
        manual_resume: arguments.manual_resume,
        not_in_use: arguments.not_in_use,
        read: ReadPolicy {
            retry: Retry {
                retries: arguments.retries,
                ..Retry::default()
            },
            ..ReadPolicy::default()
        },
        variables: variable,
    };
    if arguments.dry_run {
        let bar = output.bar(0, &format!("Looking at {}", copy.name));
        let preview = preview(&configuration, &copy, &options, &bar);
        drop(bar);
        let preview = preview.map_err(|error| Failure::of(&error))?;
        output.answer("edbkit.scr-update-plan/1", &preview, &PreviewText(&preview))?;
        return Ok(Exit::Clean);
    }
    let report =
        bring(&configuration, &copy, &options, output).map_err(|error| Failure::of(&error))?;
    answer(&report, output)
}

/// Seeds, with a progress bar.
pub(crate) fn bring(
    configuration: &Configuration,
    copy: &CopyConfig,
    options: &SeedOptions,
    output: &Output,
) -> Result<SeedReport, BringError> {
    let bar = output.bar(0, &format!("Seeding {}", copy.name));
    seed(configuration, copy, options, &SystemClock, &bar)
}

/// Reports the result.
pub(crate) fn answer(report: &SeedReport, output: &mut Output) -> Result<Exit, Failure> {
    output.answer("edbkit.scr-update/1", report, &Shown(report))?;
    if let Some(owed) = &report.owed {
        output.remark(&format_args!("NOTE: {owed}"));
    }
    Ok(Exit::Clean)
}

struct PreviewText<'a>(&'a SeedPreview);

impl Display for PreviewText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let preview = self.0;
        writeln!(
            f,
            "{}: would be seeded from {} ({}): {}, up to {} bytes",
            preview.name,
            preview.from.display(),
            preview.state,
            preview.database.display(),
            preview.length
        )?;
        let first = preview.first_needed;
        writeln!(f, "First log needed: {first} ({first:#x})")?;
        let mut files = |what: &str, paths: &[PathBuf]| {
            paths
                .iter()
                .try_for_each(|path| writeln!(f, "{what}: {}", path.display()))
        };
        files("Would take", &preview.logs_to_take)?;
        files("Would remove", &preview.removes)?;
        files("Would put aside", preview.puts_aside.as_slice())?;
        if let Some(owed) = &preview.owed {
            writeln!(f, "NOTE: {owed}")?;
        }
        f.write_str("Nothing was changed.\n")
    }
}

struct Shown<'a>(&'a SeedReport);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let SeedReport {
            name,
            first_needed,
            logs_taken,
            removed,
            suspended,
            database,
            ..
        } = report;
        writeln!(
            f,
            "{name}: seeded from {}: {}, {} bytes, {} of them written",
            database.source.name,
            database.target.display(),
            database.bytes_arrived,
            database.bytes_written
        )?;
        writeln!(
            f,
            "First log needed: {first_needed} ({first_needed:#x}); {logs_taken} logs taken from beside the seed, {removed} old files removed"
        )?;
        for path in &report.put_aside {
            writeln!(
                f,
                "Put aside: {}, which may hold what exists nowhere else",
                path.display()
            )?;
        }
        for remark in &database.remarks {
            writeln!(f, "NOTE: {remark}")?;
        }
        if *suspended {
            writeln!(f, "Suspended: `scr resume` lets it go on")?;
        }
        Ok(())
    }
}
