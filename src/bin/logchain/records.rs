//! `logchain records`: one line per record.

use crate::stream::{StreamArguments, check_interrupt};
use console::values::number;
use console::{Exit, Failure, Output};
use ese_db::{Database, DbError};
use ese_export::table_meant;
use ese_format::{Generation, Lgpos, LogTime, ObjId, Pgno, ProcId, Record, RecordType, Signature};
use ese_log::chain::DatabaseEventKind;
use ese_log::transactions::Transactions;
use ese_log::{
    Interval, LogImage, Moment, RawRecord, StreamFiles, StreamStep, begun_after, logged, subject,
};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

/// List the records of a stream, as the verbose dump of `eseutil /ml` does
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  logchain records /evidence/sg1 --page 1234\n  logchain records /evidence/sg1 --since 42 --until 43 --type Insert\n  logchain records /evidence/sg1 --since 2024-05-01T12:00:00Z --table Items --catalog mailbox.edb"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    stream: StreamArguments,
    /// Only records of this type, by the name that listings show, as in Insert; may be given several times
    #[arg(long = "type", value_name = "NAME", value_parser = parse_type)]
    types: Vec<RecordType>,
    /// Only records about the database with this number (dbid)
    #[arg(long, value_name = "DBID")]
    db: Option<u8>,
    /// Only records that change, move or free this page
    #[arg(long, value_name = "PGNO", value_parser = number::<u32>)]
    page: Option<u32>,
    /// Only records that change this tree (object id)
    #[arg(long, value_name = "OBJID", value_parser = number::<u32>)]
    objid: Option<u32>,
    /// Only records of this session (procid)
    #[arg(long, value_name = "PROCID", value_parser = number::<u32>)]
    session: Option<u32>,
    /// Only records of the transaction that began with this id
    #[arg(long, value_name = "TRX", value_parser = number::<u32>)]
    transaction: Option<u32>,
    /// Only records that change this table, its long values or its indexes, as --catalog knows it; may be given several
    /// times
    #[arg(long = "table", value_name = "TABLE", requires = "catalog")]
    tables: Vec<String>,
    /// The database whose catalog says which trees a --table has
    #[arg(long, value_name = "DATABASE", requires = "tables")]
    catalog: Option<PathBuf>,
    /// Begin here: a generation, as in 42 or 0x2A, a position, as in 0000002A:0010:01F4, or a time, as in 2024-05-01T12:00:00Z
    #[arg(long, alias = "from", value_name = "MOMENT")]
    since: Option<Moment>,
    /// End here, all of it included: a generation, a position or a time
    #[arg(long, alias = "to", value_name = "MOMENT")]
    until: Option<Moment>,
    /// Put before each record the times between which it was logged
    #[arg(long)]
    times: bool,
}

fn parse_type(text: &str) -> Result<RecordType, String> {
    let mut types = RecordType::ALL.into_iter();
    types
        .find(|kind| kind.dump_name().eq_ignore_ascii_case(text))
        .ok_or_else(|| {
            "no record type has this name; `logchain stat` lists those of a stream".into()
        })
}

/// Runs the command. Reading stops, as recovery would, at a log that is missing or damaged.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let stream = arguments.stream.open()?;
    let mut trees = arguments.trees(output)?;
    let mut exit = Exit::Clean;
    let since = arguments.since.and_then(Moment::first);
    let asked = since.map_or(Generation(0), |since| since.generation);
    // A transaction may have begun long before the first position that is shown.
    let start = match arguments.transaction {
        Some(_) => Generation(0),
        None => asked,
    };
    let mut times = Times::of(stream.files());
    let mut records = stream.records(start);
    let mut transactions = Transactions::default();
    let mut undecoded = 0u64;
    let mut count = 0u64;
    loop {
        let step = match records.advance() {
            Ok(Some(step)) => step,
            Ok(None) => break,
            Err(error) => {
                output.flush()?;
                return Err(Failure::of(&error));
            }
        };
        let Some(image) = records.image() else {
            break;
        };
        if step == StreamStep::Log {
            times.enter(image);
            if let Some(trees) = &mut trees {
                trees.enter(image);
            }
            continue;
        }
        let Some(raw) = records.current() else {
            break;
        };
        if count == 0 && start != Generation(0) && raw.lgpos.generation != start {
            let first = raw.lgpos.generation;
            output.remark(&format!(
                "generation {start} ({start:#x}) is not there; the first that is read is {first} ({first:#x})"
            ));
            exit = Exit::Finding;
        }
        let last = arguments.until.and_then(Moment::last);
        if last.is_some_and(|last| raw.lgpos > last) {
            break;
        }
        count += 1;
        if count.is_multiple_of(1024) {
            check_interrupt(output)?;
        }
        let record = match raw.decode() {
            Ok(record) => record,
            Err(problem) => {
                undecoded += 1;
                output.remark(&format!("{}: {problem}", raw.lgpos));
                continue;
            }
        };
        let mine = is_of_transaction(arguments.transaction, &transactions, &record);
        transactions.follow(raw.lgpos, &record);
        let in_table = trees.as_mut().is_none_or(|trees| trees.holds(&record));
        if !mine || !in_table || !is_wanted(arguments, &raw, &record) {
            continue;
        }
        let logged = times.of_record(image, raw.lgpos);
        if !arguments.takes_time(logged) {
            continue;
        }
        let line = Line {
            lgpos: raw.lgpos,
            earliest: logged.from.rfc3339(),
            latest: logged.until.rfc3339(),
            size: raw.bytes.len(),
            record,
            with_times: arguments.times,
        };
        output.answer("edbkit.log-record/2", &line, &line)?;
    }
    if records.unfinished() > 0 {
        let unfinished = records.unfinished();
        output.remark(&format!(
            "{unfinished} records were not finished when their log ended"
        ));
    }
    match undecoded {
        0 => Ok(exit),
        _ => Ok(Exit::Finding),
    }
}

/// Whether the record belongs to the transaction that began with `wanted`: its begin, what its session does until it
/// ends, its end, and page changes that name it.
fn is_of_transaction(wanted: Option<u32>, open: &Transactions, record: &Record<'_>) -> bool {
    let Some(wanted) = wanted else { return true };
    if subject::transaction(record) == Some(wanted) {
        return true;
    }
    // What names another transaction is not of this one, even in the same session.
    let named = subject::transaction(record).is_some();
    let session = subject::session(record).and_then(|session| open.of_session(session));
    !named && session.is_some_and(|open| open.trx == wanted)
}

fn is_wanted(arguments: &Arguments, raw: &RawRecord<'_>, record: &Record<'_>) -> bool {
    let all = |wanted: bool, test: &dyn Fn() -> bool| !wanted || test();
    let since = arguments.since.and_then(Moment::first);
    since.is_none_or(|since| since <= raw.lgpos)
        && all(!arguments.types.is_empty(), &|| {
            arguments.types.contains(&raw.kind)
        })
        && all(arguments.db.is_some(), &|| {
            subject::database(record) == arguments.db
        })
        && all(arguments.objid.is_some(), &|| {
            subject::object(record) == arguments.objid.map(ObjId)
        })
        && all(arguments.session.is_some(), &|| {
            let session = arguments.session.and_then(|id| u16::try_from(id).ok());
            session.is_some() && subject::session(record) == session.map(ProcId)
        })
        && arguments
            .page
            .is_none_or(|pgno| subject::touches(record, Pgno(pgno)))
}

impl Arguments {
    /// The trees of the tables that are asked for.
    fn trees(&self, output: &Output) -> Result<Option<Trees>, Failure> {
        let Some(path) = &self.catalog else {
            return Ok(None);
        };
        let of_file = |error: &DbError| match error {
            DbError::Evidence(_) | DbError::NotADatabase { .. } => Failure::of(error),
            _ => Failure::of_file(path, error),
        };
        let database = Database::open(path).map_err(|error| of_file(&error))?;
        let headers = database.headers().and_then(|headers| headers.good());
        let Some(header) = headers.map(|copy| &copy.fields) else {
            let message = format!(
                "{}: neither copy of its header can be trusted",
                path.display()
            );
            return Err(Failure::new(Exit::Finding, message).advise(
                "use another copy of the database, or name the trees with --db and --objid",
            ));
        };
        let catalog = database.catalog().map_err(|error| of_file(&error))?;
        let mut objects = BTreeSet::new();
        for name in &self.tables {
            let table = table_meant(&catalog, name).map_err(|error| Failure::of(&error))?;
            objects.insert(table.objid);
            objects.extend(table.long_values.map(|tree| tree.objid));
            objects.extend(table.indexes.iter().map(|index| index.objid));
        }
        if !catalog.losses.is_empty() {
            output
                .remark(&"parts of the catalog cannot be read: trees of the table may be missing");
        }
        Ok(Some(Trees {
            signature: header.signature,
            dbid: None,
            objects,
        }))
    }

    /// Whether a record that was logged then may be wanted.
    fn takes_time(&self, logged: Interval) -> bool {
        let since = self.since.and_then(Moment::time);
        let until = self.until.and_then(Moment::time);
        let latest = logged.until.timestamp().zip(since);
        let earliest = logged.from.timestamp().zip(until);
        latest.is_none_or(|(latest, since)| latest >= since)
            && earliest.is_none_or(|(earliest, until)| earliest <= until)
    }
}

/// The trees of tables in one database of the stream.
struct Trees {
    signature: Signature,
    /// The number that the database has where the reading is.
    dbid: Option<u8>,
    objects: BTreeSet<ObjId>,
}

impl Trees {
    /// A log begins: its header lists what is attached.
    fn enter(&mut self, image: &LogImage) {
        let mut attached = image.header.attachments.databases.iter();
        let own = attached.find(|listed| listed.database_signature == self.signature);
        self.dbid = own.map(|listed| listed.dbid);
    }

    /// Whether the record changes one of them.
    fn holds(&mut self, record: &Record<'_>) -> bool {
        match DatabaseEventKind::of(record) {
            Some(
                DatabaseEventKind::Created {
                    dbid, signature, ..
                }
                | DatabaseEventKind::Attached {
                    dbid, signature, ..
                },
            ) => match signature == self.signature {
                true => self.dbid = Some(dbid),
                false => self.dbid = self.dbid.filter(|own| *own != dbid),
            },
            Some(DatabaseEventKind::Detached { .. } | DatabaseEventKind::AllDetached) | None => {}
        }
        self.dbid.is_some()
            && subject::database(record) == self.dbid
            && subject::object(record).is_some_and(|object| self.objects.contains(&object))
    }
}

/// When records were logged.
struct Times {
    /// The logs in their order.
    paths: Vec<PathBuf>,
    /// When the log after the one at hand was begun.
    next: LogTime,
    /// The segment that was asked for last.
    last: Option<(Lgpos, Interval)>,
}

impl Times {
    fn of(files: &StreamFiles) -> Self {
        Times {
            paths: files.in_order().map(|file| file.path.clone()).collect(),
            next: LogTime::default(),
            last: None,
        }
    }

    /// A log begins.
    fn enter(&mut self, image: &LogImage) {
        let mut later = self.paths.iter().skip_while(|path| **path != image.path);
        // What is wrong with the next log is told when it is read.
        let next = later.nth(1).map(|path| begun_after(&image.header, path));
        self.next = next.and_then(Result::ok).flatten().unwrap_or_default();
        self.last = None;
    }

    fn of_record(&mut self, image: &LogImage, lgpos: Lgpos) -> Interval {
        let segment = Lgpos { byte: 0, ..lgpos };
        match self.last {
            Some((known, interval)) if known == segment => interval,
            _ => {
                let interval = logged(image, segment, self.next);
                self.last = Some((segment, interval));
                interval
            }
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    lgpos: Lgpos,
    /// When the segment was begun that holds it; in the older layout, the log.
    earliest: Option<String>,
    /// When the next one was.
    latest: Option<String>,
    size: usize,
    #[serde(flatten)]
    record: Record<'a>,
    #[serde(skip)]
    with_times: bool,
}

/// As in the reference's dump: `>0000000C,0001,0000 Insert    ...`; with times, these come before it.
impl Display for Line<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Lgpos {
            generation,
            segment,
            byte,
        } = self.lgpos;
        if self.with_times {
            let shown = |time: &Option<String>| time.clone().unwrap_or_else(|| "-".to_owned());
            write!(f, "{} {} ", shown(&self.earliest), shown(&self.latest))?;
        }
        writeln!(
            f,
            ">{generation:08X},{segment:04X},{byte:04X} {}",
            ese_text::record(&self.record)
        )
    }
}
