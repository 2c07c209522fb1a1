//! `logchain records`: one line per record.

use crate::stream::{StreamArguments, check_interrupt};
use console::values::number;
use console::{Exit, Failure, Output};
use ese_format::{Generation, Lgpos, ObjId, Pgno, ProcId, Record, RecordType};
use ese_log::transactions::Transactions;
use ese_log::{RawRecord, subject};
use serde::Serialize;
use std::fmt::{self, Display, Formatter};

/// List the records of a stream, as the verbose dump of `eseutil /ml` does
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  logchain records /evidence/sg1 --page 1234\n  logchain records /evidence/sg1 --from 42 --to 43 --type Insert"
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
    /// Begin here: a generation, as in 42 or 0x2A, or a position, as in 0000002A:0010:01F4
    #[arg(long, value_name = "LGPOS", value_parser = from)]
    from: Option<Lgpos>,
    /// End here: a generation or a position, all of it included
    #[arg(long, value_name = "LGPOS", value_parser = to)]
    to: Option<Lgpos>,
}

fn parse_type(text: &str) -> Result<RecordType, String> {
    let mut types = RecordType::ALL.into_iter();
    types
        .find(|kind| kind.dump_name().eq_ignore_ascii_case(text))
        .ok_or_else(|| {
            "no record type has this name; `logchain stat` lists those of a stream".into()
        })
}

fn position(text: &str, segment: u16, byte: u16) -> Result<Lgpos, String> {
    if text.contains([':', ',']) {
        return text.parse();
    }
    Ok(Lgpos::new(number(text)?, segment, byte))
}

fn from(text: &str) -> Result<Lgpos, String> {
    position(text, 0, 0)
}

fn to(text: &str) -> Result<Lgpos, String> {
    position(text, u16::MAX, u16::MAX)
}

/// Runs the command. Reading stops, as recovery would, at a log that is missing or damaged.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let stream = arguments.stream.open()?;
    let start = arguments.from.map_or(Generation(0), |from| from.generation);
    // A transaction may have begun long before the first position that is shown.
    let start = if arguments.transaction.is_some() {
        Generation(0)
    } else {
        start
    };
    let mut records = stream.records(start);
    let mut transactions = Transactions::default();
    let mut undecoded = 0u64;
    let mut count = 0u64;
    let mut exit = Exit::Clean;
    loop {
        let raw = match records.next_record() {
            Ok(Some(raw)) => raw,
            Ok(None) => break,
            Err(error) => {
                output.flush()?;
                return Err(Failure::of(&error));
            }
        };
        if count == 0 && start != Generation(0) && raw.lgpos.generation != start {
            let first = raw.lgpos.generation;
            output.remark(&format!(
                "generation {start} ({start:#x}) is not there; the first that is read is {first} ({first:#x})"
            ));
            exit = Exit::Finding;
        }
        if arguments.to.is_some_and(|to| raw.lgpos > to) {
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
        if mine && is_wanted(arguments, &raw, &record) {
            let line = Line {
                lgpos: raw.lgpos,
                size: raw.bytes.len(),
                record,
            };
            output.answer("edbkit.log-record/2", &line, &line)?;
        }
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
    all(arguments.from.is_some(), &|| {
        arguments.from <= Some(raw.lgpos)
    }) && all(!arguments.types.is_empty(), &|| {
        arguments.types.contains(&raw.kind)
    }) && all(arguments.db.is_some(), &|| {
        subject::database(record) == arguments.db
    }) && all(arguments.objid.is_some(), &|| {
        subject::object(record) == arguments.objid.map(ObjId)
    }) && all(arguments.session.is_some(), &|| {
        let session = arguments.session.and_then(|id| u16::try_from(id).ok());
        session.is_some() && subject::session(record) == session.map(ProcId)
    }) && arguments
        .page
        .is_none_or(|pgno| subject::touches(record, Pgno(pgno)))
}

#[derive(Serialize)]
struct Line<'a> {
    lgpos: Lgpos,
    size: usize,
    #[serde(flatten)]
    record: Record<'a>,
}

/// As in the reference's dump: `>0000000C,0001,0000 Insert    ...`.
impl Display for Line<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Lgpos {
            generation,
            segment,
            byte,
        } = self.lgpos;
        writeln!(
            f,
            ">{generation:08X},{segment:04X},{byte:04X} {}",
            ese_text::record(&self.record)
        )
    }
}
