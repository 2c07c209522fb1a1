//! `edbtool history`: the life of one row.

use crate::database::{MEMORY, own_stream};
use console::{Exit, Failure, Output};
use ese_replay::recovery::DatabaseFile;
use ese_timeline::sink::{JsonlSink, LifeSink};
use ese_timeline::{ChangeSink, Filter, LongValues, Order, TimelineOptions, tell};
use std::io::BufWriter;
use std::path::PathBuf;

/// Long values of more bytes than this are given by length and hash.
const INLINE_LIMIT: usize = 4 << 10;

/// Tell the life of one row: every version that the logs know, with its transaction and when it was made
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  edbtool history SRUDB.dat --with-logs . --table SruDbIdMapTable --key IdIndex=42\n  edbtool history mailbox.edb --with-logs sg1 --table Msg --key 7f8000002a"
)]
pub(crate) struct Arguments {
    /// The database
    #[arg(value_name = "DATABASE")]
    path: PathBuf,
    /// Folder with its logs, or one log; may be given several times
    #[arg(long, value_name = "PLACE", required = true)]
    with_logs: Vec<PathBuf>,
    /// Base name of the logs, as in E00; needed only if the folder holds several streams
    #[arg(long, value_name = "NAME")]
    base: Option<String>,
    /// An older copy of the database: what its pages held then makes more versions known; may be given several times
    #[arg(long, value_name = "DATABASE")]
    older: Vec<PathBuf>,
    /// The table
    #[arg(long, value_name = "TABLE")]
    table: String,
    /// The row: COLUMN=VALUE, which may be given several times, or its bookmark in hexadecimal
    #[arg(long, value_name = "KEY", required = true)]
    key: Vec<String>,
}

impl Arguments {
    fn filter(&self) -> Result<Filter, Failure> {
        let mut filter = Filter {
            tables: vec![self.table.clone()],
            with_system: true,
            ..Filter::default()
        };
        for key in &self.key {
            filter.add_key(key).map_err(|problem| {
                Failure::new(Exit::Usage, problem).advise("name the row by a column, as in id=2")
            })?;
        }
        Ok(filter)
    }
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let open = |path: &PathBuf| DatabaseFile::open(path).map_err(|error| Failure::of(&error));
    let database = open(&arguments.path)?;
    let older = arguments.older.iter().map(open);
    let (with_logs, base) = (&arguments.with_logs, arguments.base.as_deref());
    let stream = own_stream(with_logs, base, &database).map_err(|error| Failure::of(&error))?;
    let options = TimelineOptions {
        filter: arguments.filter()?,
        long_values: LongValues {
            inline_limit: INLINE_LIMIT,
            blobs: None,
        },
        older: older.collect::<Result<_, _>>()?,
        pages: None,
        order: Order::Log,
        memory: MEMORY,
        only_count: false,
    };
    let to = BufWriter::with_capacity(1 << 16, output.stream()?);
    let sink: Box<dyn ChangeSink> = match output.is_json() {
        true => Box::new(JsonlSink::new(to)),
        false => Box::new(LifeSink::new(to)),
    };
    let bar = output.bar(0, "Reading logs");
    let told = tell(&stream, &[database], MEMORY, options, sink, &bar);
    drop(bar);
    let told = told.map_err(|error| Failure::of(&error))?;
    output.flush()?;
    let findings = told.findings();
    findings.iter().for_each(|finding| output.remark(finding));
    told.check_names().map_err(|error| Failure::of(&error))?;
    let mut exit = match findings.is_empty() {
        true => Exit::Clean,
        false => Exit::Finding,
    };
    if told.summary.changes() == 0 {
        output.remark(&"the logs hold no change of such a row; `edbtool rows` shows what the database has of it");
        exit = Exit::Finding;
    }
    let summary = &told.summary;
    let lacking = summary.partial + summary.unknown;
    if lacking > 0 {
        let all = summary.changes();
        output.remark(&format!("{lacking} of {all} versions are not known whole"));
    }
    match told.problem {
        None => Ok(exit),
        Some(problem) => Err(Failure::of(&problem)),
    }
}
