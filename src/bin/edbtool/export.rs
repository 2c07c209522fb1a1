//! `edbtool export`: rows as CSV, JSON Lines or Parquet.

use crate::database::{DIRTY, UNCOUNTED, ViewArguments, export_failure, is_dirty};
use clap::ValueEnum;
use console::values::bytes;
use console::{Exit, Failure, Output};
use custody::Custody;
use ese_export::{ExportManifest, ExportOptions, Format, INLINE_LIMIT, export, finished};
use jiff::Timestamp;
use serde_json::Value;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

mod custody;
mod many;
mod stream;

/// Export tables as CSV, JSON Lines or Parquet, with a manifest of what was written and what could not be read
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  edbtool export SRUDB.dat --decoded --to rows\n  edbtool export db.edb --with-logs . --format csv --to rows\n  edbtool export db.edb --table Items --format csv --to - | head\n  edbtool export --recursive /evidence --decoded --format parquet --to rows"
)]
pub(crate) struct Arguments {
    /// Databases, and with --recursive also folders. Each of several goes to a folder of its own, and a first column $source
    /// says which database a row is of
    #[arg(required = true, value_name = "DATABASE")]
    databases: Vec<PathBuf>,
    /// Enter folders and everything below them, and export each database there, recognised by its content
    #[arg(long, short)]
    recursive: bool,
    #[command(flatten)]
    view: ViewArguments,
    /// A table to export; may be given several times (default: all tables but the engine's own)
    #[arg(long = "table", short, value_name = "TABLE")]
    tables: Vec<String>,
    /// Format of the table files
    #[arg(long, short, value_enum, default_value = "jsonl")]
    format: FormatArgument,
    /// Folder to write to; it must be empty, or not exist, or hold this export from when it was stopped. With - the rows of
    /// one table go to standard output
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
    /// Write even if the folder is not empty; files of the same name are replaced
    #[arg(long)]
    force: bool,
    /// Write long values of more bytes than this to files of their own
    #[arg(long, value_name = "BYTES", default_value_t = INLINE_LIMIT, value_parser = bytes::<usize>)]
    inline_limit: usize,
    /// Also export rows that are deleted but still in their pages, marked in a column $deleted
    #[arg(long)]
    deleted: bool,
    /// Add decoded columns for well-known schemas (SRUM, WebCache, UAL/SUM, Windows Search, BITS, Certificate Services,
    /// File History, security templates)
    #[arg(long)]
    decoded: bool,
    /// Compute no SHA-256 of the database and the logs for the manifest
    #[arg(long)]
    no_hash: bool,
}

/// A format of table files.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum FormatArgument {
    Csv,
    Jsonl,
    #[cfg(feature = "parquet")]
    Parquet,
}

impl From<FormatArgument> for Format {
    fn from(argument: FormatArgument) -> Self {
        match argument {
            FormatArgument::Csv => Format::Csv,
            FormatArgument::Jsonl => Format::Jsonl,
            #[cfg(feature = "parquet")]
            FormatArgument::Parquet => Format::Parquet,
        }
    }
}

/// What `--to` calls standard output.
const STDOUT: &str = "-";

/// Runs the command.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    if arguments.to.as_os_str() == STDOUT {
        return stream::run(arguments, output);
    }
    if arguments.to.exists() && !arguments.to.is_dir() {
        let message = format!("{} is a file", arguments.to.display());
        return Err(Failure::new(Exit::Refused, message).advise("--to names a folder"));
    }
    let [path] = arguments.databases.as_slice() else {
        return many::run(arguments, output);
    };
    if arguments.recursive {
        return many::run(arguments, output);
    }
    let job = Job {
        path,
        to: arguments.to.clone(),
        source_column: None,
    };
    let (manifest, exit) = match job.run(arguments, false, output)? {
        ExportOutcome::Made(manifest, exit) => (manifest, exit),
        ExportOutcome::Known(_) => return Ok(Exit::Clean),
    };
    output.answer(ExportManifest::SCHEMA, &*manifest, &ManifestText(&manifest))?;
    output.flush()?;
    if exit.dirty {
        output.remark(&DIRTY);
    }
    Ok(exit.exit)
}

/// The export of one database into its folder.
struct Job<'j> {
    path: &'j Path,
    to: PathBuf,
    source_column: Option<String>,
}

/// What happened to it.
enum ExportOutcome {
    Made(Box<ExportManifest>, ExportEnding),
    /// It ended in an earlier run.
    Known(Value),
}

/// How it ended.
struct ExportEnding {
    exit: Exit,
    dirty: bool,
}

impl Job<'_> {
    /// Exports, unless that is `known` to have been done already.
    fn run(
        self,
        arguments: &Arguments,
        goes_on: bool,
        output: &Output,
    ) -> Result<ExportOutcome, Failure> {
        let started = Timestamp::now();
        let path = self.path;
        let opened = arguments.view.look_at(path, output)?;
        let db = &opened.database;
        let options = ExportOptions {
            source: custody::identity(path, &opened)?,
            tables: arguments.tables.clone(),
            format: arguments.format.into(),
            to: self.to,
            force: arguments.force,
            inline_limit: arguments.inline_limit,
            deleted: arguments.deleted,
            decoded: arguments.decoded,
            source_column: self.source_column,
        };
        if let Some(manifest) = goes_on.then(|| finished(&options)).flatten() {
            return Ok(ExportOutcome::Known(manifest));
        }
        let custody = Custody {
            path,
            opened: &opened,
            hash: !arguments.no_hash,
            started,
        };
        let bytes = u64::from(db.last_page().0) * u64::from(db.page_size().bytes());
        let bar = output.bar(bytes, "Exporting");
        let provenance = || custody.provenance(output);
        let manifest =
            export(db, provenance, &options, &bar).map_err(|error| export_failure(path, &error))?;
        let dirty = is_dirty(db);
        let exit = match manifest.is_complete() && !dirty {
            true => opened.found,
            false => Exit::Finding,
        };
        Ok(ExportOutcome::Made(
            Box::new(manifest),
            ExportEnding { exit, dirty },
        ))
    }
}

/// The manifest as text.
struct ManifestText<'m>(&'m ExportManifest);

impl Display for ManifestText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for table in &self.0.tables {
            write!(f, "{:>10} rows  {}", table.rows, table.file)?;
            if table.deleted_rows > 0 {
                write!(f, "  ({} deleted)", table.deleted_rows)?;
            }
            writeln!(f)?;
        }
        if let Some(cut_off) = &self.0.cut_off {
            let missing = cut_off.missing();
            writeln!(
                f,
                "{missing} pages are beyond the end of the file; {UNCOUNTED}"
            )?;
        }
        write!(
            f,
            "{} rows of {} tables; {} rows, {} values and {} pages could not be read",
            self.0.rows,
            self.0.tables.len(),
            self.0.rows_lost,
            self.0.values_lost,
            self.0.pages_lost.len()
        )?;
        match self.0.pages_lost.is_empty() {
            true => writeln!(f),
            false => writeln!(f, "; {UNCOUNTED}"),
        }
    }
}
