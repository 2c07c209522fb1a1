//! `edbtool collect`: the rows of all databases of a case, as one dataset.

use crate::export::FormatArgument;
use console::values::bytes;
use console::{Exit, Failure, Output, shell_word};
use ese_case::collect::{
    CaseManifest, CaseTotals, CollectOptions, DatabaseRecord, ReadState, RunRecord, collect,
    refuse_within,
};
use ese_case::find::{FindOptions, find};
use ese_export::{ExportError, Format, INLINE_LIMIT};
use ese_format::Class;
use jiff::Timestamp;
use serde::Serialize;
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;
use target_disk::SharedDisk;

/// Collect the rows of every database in folders and archives into one dataset, each database in its best state
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  edbtool collect /evidence --to case\n  edbtool collect HOST-1.zip HOST-2.zip --to case --format jsonl\n  duckdb -c \"SELECT host, count(*) FROM read_parquet('case/table=SruDbIdMapTable/**/*.parquet', hive_partitioning=true, union_by_name=true) GROUP BY host\""
)]
pub(crate) struct Arguments {
    /// Folders, archives and databases. Everything below and within them is searched; what a file is, its content says
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Folder of the case; it must be empty, or not exist, or hold this case from when it was stopped
    #[arg(long, value_name = "CASE")]
    to: PathBuf,
    /// Remove the case that is in the folder, and make a new one
    #[arg(long)]
    force: bool,
    /// Format of the dataset
    #[arg(long, short, value_enum, default_value = DEFAULT_FORMAT)]
    format: FormatArgument,
    /// Write long values of more bytes than this to files of their own
    #[arg(long, value_name = "BYTES", default_value_t = INLINE_LIMIT, value_parser = bytes::<usize>)]
    inline_limit: usize,
    /// Also collect rows that are deleted but still in their pages, marked in a column $deleted
    #[arg(long)]
    deleted: bool,
}

#[cfg(feature = "parquet")]
const DEFAULT_FORMAT: &str = "parquet";
#[cfg(not(feature = "parquet"))]
const DEFAULT_FORMAT: &str = "jsonl";

/// Runs the command.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let run = RunRecord {
        program: env!("CARGO_BIN_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: console::arguments()
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect(),
        started: Timestamp::now(),
    };
    let mut options = CollectOptions::new(
        arguments.paths.clone(),
        arguments.to.clone(),
        env!("CARGO_PKG_VERSION"),
    );
    options.format = Format::from(arguments.format);
    options.inline_limit = arguments.inline_limit;
    options.deleted = arguments.deleted;
    options.force = arguments.force;
    options.threads = output.threads();
    refuse_within(&options.to, &options.paths).map_err(|error| Failure::of(&error))?;

    let mut search = FindOptions::default();
    search.threads = output.threads();
    search.shadow_copies = options.shadow_copies;
    let bar = output.counter("Searching");
    let found = find(&arguments.paths, &search, &bar);
    drop(bar);
    let found = found.ok_or_else(|| Failure::of(&ExportError::Stopped))?;
    let mut exit = Exit::Clean;
    for problem in &found.problems {
        let class = Exit::from(problem.class);
        exit = exit.and(if class == Exit::Io {
            Exit::Io
        } else {
            Exit::Finding
        });
        let mut failure = Failure::new(class, problem.message.clone());
        failure.advice.clone_from(&problem.advice);
        failure.jet = problem.jet;
        output.failure(&failure)?;
    }
    let bar = output.bar(0, "Collecting");
    let collected = collect(&found, &options, run, &SharedDisk::default(), &bar);
    drop(bar);
    let collected = collected.map_err(|error| Failure::of(&error))?;
    let manifest = &collected.manifest;
    for record in &manifest.databases {
        exit = exit.and(exit_of(record));
    }
    let report = Report {
        case: arguments.to.display().to_string(),
        from_before: collected.from_before,
        totals: manifest.totals,
    };
    let text = ReportText {
        report: &report,
        manifest,
    };
    output.answer(SCHEMA, &report, &text)?;
    output.flush()?;
    if manifest.totals.problems > 0 {
        let table = arguments.to.join("table=_problems");
        output.remark(&format_args!(
            "problems: {}, in {}",
            manifest.totals.problems,
            shell_word(&table)
        ));
    }
    Ok(exit)
}

/// The schema of the answer.
const SCHEMA: &str = "edbkit.collect/1";

/// How a run ends on a database: what is wrong with it is a finding, and only what this machine could not do is more.
fn exit_of(record: &DatabaseRecord) -> Exit {
    match &record.failure {
        Some(failure) if failure.may_pass => Exit::from(Class::Io),
        _ if record.is_whole() => Exit::Clean,
        _ => Exit::Finding,
    }
}

/// What became of the case.
#[derive(Serialize)]
struct Report {
    case: String,
    from_before: u64,
    #[serde(flatten)]
    totals: CaseTotals,
}

struct ReportText<'r> {
    report: &'r Report,
    manifest: &'r CaseManifest,
}

impl Display for ReportText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for record in &self.manifest.databases {
            if record.is_whole() || record.same_as.is_some() {
                continue;
            }
            let state = match record.state {
                ReadState::NotRead => "not read",
                ReadState::Dirty => "dirty, as it lies",
                other => other.words(),
            };
            let problems = record.problems.as_ref().map_or(0, |part| part.rows);
            writeln!(f, "{}: {state}; problems: {problems}", record.source)?;
        }
        for table in &self.manifest.tables {
            writeln!(
                f,
                "{:>10} rows of {:>5} databases  {}",
                table.rows, table.parts, table.table
            )?;
        }
        let totals = &self.report.totals;
        writeln!(
            f,
            "{} databases: {} read ({} recovered, {} dirty), {} equal to others, {} could not be read",
            totals.databases,
            totals.collected,
            totals.recovered,
            totals.dirty,
            totals.equal_to_others,
            totals.failed
        )?;
        write!(
            f,
            "{} rows of {} tables; {} rows, {} values and {} pages could not be read",
            totals.rows, totals.tables, totals.rows_lost, totals.values_lost, totals.pages_lost
        )?;
        match self.report.from_before {
            0 => writeln!(f),
            before => writeln!(f, "; {before} databases from before"),
        }
    }
}
