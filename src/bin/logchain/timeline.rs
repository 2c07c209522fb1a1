//! `logchain timeline`: what happened to rows.

use console::values::{bytes, number};
use console::{Exit, Failure, Output};
use ese_export::blobs::Blobs;
use ese_format::{Pgno, ProcId};
use ese_log::{Moment, StreamChoice, StreamFiles};
use ese_replay::recovery::DatabaseFile;
use ese_timeline::sink::{CsvSink, DebeziumSink, JsonlSink, TextSink, TimesketchSink};
use ese_timeline::{
    ChangeSink, Filter, LongValues, Operation, Order, Status, TimelineOptions, TimelineSummary,
    Told, tell,
};
use serde::Serialize;
use std::fmt::{self, Display, Formatter};
use std::io::BufWriter;
use std::path::PathBuf;

/// Changed pages up to this many bytes stay in memory; more go to a temporary file.
const PAGES_IN_MEMORY: usize = 128 << 20;
/// Likewise changes whose transactions are open.
const EVENTS_IN_MEMORY: usize = 128 << 20;

/// Tell every change of a row that the logs hold: when, in which transaction, the row before and after
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  logchain timeline /evidence/sg1 --db mailbox.edb --format jsonl > changes.jsonl\n  logchain timeline /evidence/sg1 --table Items --where id=2"
)]
pub(crate) struct Arguments {
    /// Folder with the logs, or one log; may be given several times
    #[arg(value_name = "PLACE", required = true)]
    logs: Vec<PathBuf>,
    /// Base name of the logs, as in E00; needed only if the folder holds several streams
    #[arg(long, value_name = "NAME")]
    base: Option<String>,
    /// A database of these logs, as it is today or as it was before; without any, those that the logs create
    #[arg(long, value_name = "DATABASE")]
    db: Vec<PathBuf>,
    /// An older copy of such a database: what its pages held then makes more of the rows known; may be given several times
    #[arg(long, value_name = "DATABASE", requires = "db")]
    older: Vec<PathBuf>,
    /// How changes are written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Only changes of this table; may be given several times
    #[arg(long, value_name = "TABLE")]
    table: Vec<String>,
    /// Only rows that have this value in a column, before or after; may be given several times
    #[arg(long = "where", value_name = "COLUMN=VALUE", value_parser = condition)]
    conditions: Vec<(String, String)>,
    /// Only this row: COLUMN=VALUE, which may be given several times, or its bookmark in hexadecimal
    #[arg(long, value_name = "KEY", alias = "bookmark")]
    key: Vec<String>,
    /// Only this operation; may be given several times
    #[arg(long, value_name = "OPERATION", value_parser = operation)]
    op: Vec<Operation>,
    /// Only this session (procid)
    #[arg(long, value_name = "PROCID", value_parser = number::<u16>)]
    session: Option<u16>,
    /// Only the transaction that began with this id
    #[arg(long, value_name = "TRX", value_parser = number::<u32>)]
    transaction: Option<u32>,
    /// Only changes on this page
    #[arg(long, value_name = "PGNO", value_parser = number::<u32>)]
    page: Option<u32>,
    /// Begin here: a generation, as in 42 or 0x2A, a position, as in 0000002A:0010:01F4, or a time, as in 2024-05-01T12:00:00Z
    #[arg(long, value_name = "MOMENT")]
    since: Option<Moment>,
    /// End here, all of it included: a generation, a position or a time
    #[arg(long, value_name = "MOMENT")]
    until: Option<Moment>,
    /// Only what committed
    #[arg(long)]
    committed: bool,
    /// Tables of the engine too
    #[arg(long)]
    system: bool,
    /// In which order: transaction by transaction as they ended, or record by record as the log has them
    #[arg(long, value_enum, default_value_t = OrderArgument::Commit)]
    order: OrderArgument,
    /// Write long values that are too long for a row to files in this folder
    #[arg(long, value_name = "DIR")]
    blobs: Option<PathBuf>,
    /// Write the page before and after each change to this folder, which is made; only where logs bring a database forward
    #[arg(long, value_name = "DIR", conflicts_with = "stats")]
    save_pages: Option<PathBuf>,
    /// Count only: changes and bytes of log by table and operation
    #[arg(long, conflicts_with = "format")]
    stats: bool,
    /// Long values of more bytes than this are given by length and SHA-256
    #[arg(long, value_name = "BYTES", default_value = "4KiB", value_parser = bytes::<usize>)]
    inline_limit: usize,
}

/// In which order changes come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum OrderArgument {
    /// Transaction by transaction, as they ended
    Commit,
    /// Record by record, as the log has them
    Log,
}

impl From<OrderArgument> for Order {
    fn from(order: OrderArgument) -> Self {
        match order {
            OrderArgument::Commit => Order::Commit,
            OrderArgument::Log => Order::Log,
        }
    }
}

/// How changes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A line for people
    Text,
    /// JSON Lines, edbkit.change/1
    Jsonl,
    /// CSV; rows as JSON
    Csv,
    /// Apache Parquet; rows as JSON
    #[cfg(feature = "parquet")]
    Parquet,
    /// JSON Lines for Timesketch
    Timesketch,
    /// The envelope of Debezium
    Debezium,
}

fn condition(text: &str) -> Result<(String, String), String> {
    let (column, value) = text
        .split_once('=')
        .ok_or("write it as COLUMN=VALUE, as in id=2")?;
    Ok((column.to_owned(), value.to_owned()))
}

fn operation(text: &str) -> Result<Operation, String> {
    let mut all = Operation::ALL.into_iter();
    all.find(|operation| operation.name() == text)
        .ok_or_else(|| {
            let names = Operation::ALL.map(Operation::name).join(", ");
            format!("the operations are {names}")
        })
}

impl Arguments {
    fn filter(&self) -> Result<Filter, Failure> {
        let mut filter = Filter {
            tables: self.table.clone(),
            conditions: self.conditions.clone(),
            bookmark: None,
            operations: self.op.clone(),
            session: self.session.map(ProcId),
            transaction: self.transaction,
            page: self.page.map(Pgno),
            since: self.since.and_then(Moment::first),
            until: self.until.and_then(Moment::last),
            since_time: self.since.and_then(Moment::time),
            until_time: self.until.and_then(Moment::time),
            status: self.committed.then_some(Status::Committed),
            with_system: self.system,
        };
        for key in &self.key {
            let added = filter.add_key(key);
            added.map_err(|problem| Failure::new(Exit::Usage, problem))?;
        }
        Ok(filter)
    }

    /// Refuses what contradicts itself.
    fn check(&self, output: &Output) -> Result<(), Failure> {
        if output.is_json() && !matches!(self.format, Format::Text | Format::Jsonl) {
            return Err(Failure::new(
                Exit::Usage,
                "--json is JSON Lines; leave it out, or leave --format out",
            ));
        }
        let first = self.since.and_then(Moment::first);
        let places = first.zip(self.until.and_then(Moment::last));
        let since = self.since.and_then(Moment::time);
        let times = since.zip(self.until.and_then(Moment::time));
        let is_turned = places.is_some_and(|(since, until)| since > until)
            || times.is_some_and(|(since, until)| since > until);
        match is_turned {
            true => Err(Failure::new(Exit::Usage, "--since lies after --until")),
            false => Ok(()),
        }
    }

    fn blobs(&self) -> Result<Option<Blobs>, Failure> {
        let blobs = self.blobs.as_deref();
        let blobs = blobs.map(|folder| Blobs::new(folder, true)).transpose();
        blobs.map_err(|error| Failure::of(&error))
    }

    fn sink(&self, output: &mut Output) -> Result<Box<dyn ChangeSink>, Failure> {
        let stream = BufWriter::with_capacity(1 << 16, output.stream()?);
        let format = match output.is_json() {
            true => Format::Jsonl,
            false => self.format,
        };
        Ok(match format {
            Format::Text => Box::new(TextSink::new(stream)),
            Format::Jsonl => Box::new(JsonlSink::new(stream)),
            Format::Csv => {
                let sink = CsvSink::new(stream);
                Box::new(sink.map_err(|error| Failure::new(Exit::Io, error.to_string()))?)
            }
            #[cfg(feature = "parquet")]
            Format::Parquet => {
                let sink = ese_timeline::sink::ParquetSink::new(stream);
                Box::new(sink.map_err(|error| Failure::new(Exit::Io, error.to_string()))?)
            }
            Format::Timesketch => Box::new(TimesketchSink::new(stream)),
            Format::Debezium => Box::new(DebeziumSink::new(stream)),
        })
    }
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    arguments.check(output)?;
    let open = |path: &PathBuf| DatabaseFile::open(path).map_err(|error| Failure::of(&error));
    let databases = arguments.db.iter().map(open);
    let databases: Vec<DatabaseFile> = databases.collect::<Result<_, _>>()?;
    let older = arguments.older.iter().map(open);
    let choice = StreamChoice {
        base: arguments.base.as_deref(),
        signatures: databases
            .iter()
            .map(|database| database.header.log_signature)
            .collect(),
    };
    let stream = StreamFiles::gather(&arguments.logs, &choice);
    let stream = stream.map_err(|error| Failure::of(&error))?;
    let bar = output.bar(0, "Reading logs");
    let options = TimelineOptions {
        filter: arguments.filter()?,
        long_values: LongValues {
            inline_limit: arguments.inline_limit,
            blobs: arguments.blobs()?,
        },
        older: older.collect::<Result<_, _>>()?,
        pages: arguments.save_pages.clone(),
        order: arguments.order.into(),
        memory: EVENTS_IN_MEMORY,
        only_count: arguments.stats,
    };
    if let Some(folder) = &arguments.save_pages {
        let made = std::fs::create_dir_all(folder);
        made.map_err(|error| Failure::new(Exit::Io, format!("{}: {error}", folder.display())))?;
    }
    let sink = arguments.sink(output)?;
    let told = tell(&stream, &databases, PAGES_IN_MEMORY, options, sink, &bar);
    drop(bar);
    let told = told.map_err(|error| Failure::of(&error))?;
    let named = told.check_names();
    if arguments.stats && named.is_ok() {
        let stats = Stats::of(&told.summary);
        output.answer("edbkit.timeline-stats/1", &stats, &stats)?;
    }
    output.flush()?;
    let exit = report(&told, arguments.stats, output);
    named.map_err(|error| Failure::of(&error))?;
    match told.problem {
        None => Ok(exit),
        Some(problem) => Err(Failure::of(&problem)),
    }
}

/// Says what the changes do not say by themselves.
fn report(told: &Told, only_counted: bool, output: &Output) -> Exit {
    let findings = told.findings();
    findings.iter().for_each(|finding| output.remark(finding));
    let summary = &told.summary;
    let (total, complete) = (summary.changes(), summary.complete);
    let (partial, unknown) = (summary.partial, summary.unknown);
    if !only_counted && told.problem.is_none() {
        output.remark(&format!(
            "changes: {total}, of which complete: {complete}, partial: {partial}, unknown: {unknown}"
        ));
    }
    match findings.is_empty() {
        true => Exit::Clean,
        false => Exit::Finding,
    }
}

/// `--stats`.
#[derive(Debug, Serialize)]
struct Stats {
    logs: u64,
    log_bytes: u64,
    records: u64,
    changes: u64,
    tables: Vec<StatsRow>,
}

#[derive(Debug, Serialize)]
struct StatsRow {
    database: String,
    table: String,
    operation: &'static str,
    status: &'static str,
    changes: u64,
    bytes: u64,
}

impl Stats {
    fn of(summary: &TimelineSummary) -> Self {
        let rows = summary.counts.iter();
        let rows = rows.map(|((database, table, operation, status), counts)| StatsRow {
            database: database.clone(),
            table: table.clone(),
            operation: operation.name(),
            status: status.name(),
            changes: counts.changes,
            bytes: counts.bytes,
        });
        Stats {
            logs: summary.logs,
            log_bytes: summary.log_bytes,
            records: summary.records,
            changes: summary.changes(),
            tables: rows.collect(),
        }
    }
}

impl Display for Stats {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:>12} {:>14}  {:<14} {:<12} Table",
            "Changes", "Bytes of log", "Operation", "Status"
        )?;
        for row in &self.tables {
            writeln!(
                f,
                "{:>12} {:>14}  {:<14} {:<12} {}: {}",
                row.changes, row.bytes, row.operation, row.status, row.database, row.table
            )?;
        }
        writeln!(
            f,
            "{} changes in {} records of {} logs ({} bytes)",
            self.changes, self.records, self.logs, self.log_bytes
        )
    }
}
