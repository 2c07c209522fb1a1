//! `edbtool rows`: rows of a table, to look at them or to hand them on.

use crate::database::{DIRTY, DatabaseArgument, is_dirty, stream_failure, tell_losses};
use clap::ValueEnum;
use console::values::bytes;
use console::{Bar, Exit, Failure, Output};
use ese_export::{Form, Format, INLINE_LIMIT, LookSummary, Selection, look};
use serde::Serialize;
use std::io::IsTerminal;
use std::path::Path;

/// Print rows of one table: all of them, or those with certain values; nothing is written
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  edbtool rows SRUDB.dat SruDbIdMapTable --limit 5 --format table\n  edbtool rows SRUDB.dat \"Network Data Usage\" --decoded --columns TimeStamp,AppId_name,BytesSent\n  edbtool rows Current.mdb CLIENTS --decoded --where Address_ip=10.0.0.7"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    database: DatabaseArgument,
    /// The table. Case does not matter, nor do the braces of a GUID, and what a table is known as (as in "Network Data
    /// Usage") is its name, too
    #[arg(value_name = "TABLE")]
    named: Option<String>,
    /// The table, as `edbtool export` takes it
    #[arg(long, short, value_name = "TABLE", conflicts_with = "named")]
    table: Option<String>,
    /// Only these columns, in this order
    #[arg(long, short, value_name = "A,B", value_delimiter = ',')]
    columns: Vec<String>,
    /// Only rows whose column has this value, as `--format csv` writes it; nothing after the = means no value. May be
    /// given several times: all must match
    #[arg(long = "where", short = 'w', value_name = "COLUMN=VALUE", value_parser = condition)]
    conditions: Vec<(String, String)>,
    /// End after this many rows
    #[arg(long, short = 'n', value_name = "N")]
    limit: Option<u64>,
    /// Format of the rows; `table` is for a terminal: columns, or a block for each row where they are too wide, long values
    /// cut
    #[arg(
        long,
        short,
        value_enum,
        default_value = "jsonl",
        conflicts_with = "json"
    )]
    format: RowFormat,
    /// Leave out long values of more bytes than this; they are counted
    #[arg(long, value_name = "BYTES", default_value_t = INLINE_LIMIT, value_parser = bytes::<usize>)]
    inline_limit: usize,
    /// Also print rows that are deleted but still in their pages, marked in a column $deleted
    #[arg(long)]
    deleted: bool,
    /// Add decoded columns for well-known schemas (SRUM, WebCache, UAL/SUM, Windows Search, BITS, Certificate Services,
    /// File History, security templates)
    #[arg(long)]
    decoded: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RowFormat {
    Jsonl,
    Csv,
    Table,
}

/// `COLUMN=VALUE`.
fn condition(text: &str) -> Result<(String, String), String> {
    let (column, value) = text
        .split_once('=')
        .ok_or("write it as COLUMN=VALUE, as in AppId=42")?;
    Ok((column.to_owned(), value.to_owned()))
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let path = &arguments.database.path;
    let Some(table) = arguments.named.as_ref().or(arguments.table.as_ref()) else {
        return Err(
            Failure::new(Exit::Usage, "rows come from one table at a time")
                .advise("name it after the database; `edbtool tables --names` lists them"),
        );
    };
    let opened = arguments.database.open(output)?;
    let selection = Selection {
        table: table.clone(),
        columns: arguments.columns.clone(),
        conditions: arguments.conditions.clone(),
        limit: arguments.limit,
        inline_limit: arguments.inline_limit,
        deleted: arguments.deleted,
        decoded: arguments.decoded,
    };
    let form = match arguments.format {
        _ if output.is_json() => Form::Documents("edbkit.row/1"),
        RowFormat::Jsonl => Form::File(Format::Jsonl),
        RowFormat::Csv => Form::File(Format::Csv),
        RowFormat::Table => Form::Table,
    };
    let bar = bar(output);
    let stream = Box::new(output.stream()?);
    let summary = look(&opened.database, &selection, form, stream, &bar)
        .map_err(|error| stream_failure(path, &error))?;
    drop(bar);
    if output.is_json() {
        let report = Report {
            path,
            summary: &summary,
        };
        output.document("edbkit.rows/1", &opened.document(&report))?;
    }
    output.flush()?;
    let dirty = is_dirty(&opened.database);
    Ok(ending(&summary, dirty, output).and(opened.found))
}

/// Progress, unless rows appear on the same screen.
pub(crate) fn bar(output: &Output) -> Bar {
    match std::io::stdout().is_terminal() {
        true => Bar::hidden(),
        false => output.bar(0, "Reading"),
    }
}

#[derive(Serialize)]
struct Report<'g> {
    path: &'g Path,
    #[serde(flatten)]
    summary: &'g LookSummary,
}

/// Says on standard error what was not given; the exit code that follows.
pub(crate) fn ending(summary: &LookSummary, dirty: bool, output: &Output) -> Exit {
    tell_losses(&summary.losses, output);
    let plural = |count: u64| if count == 1 { "value" } else { "values" };
    if summary.values_left_out > 0 {
        let count = summary.values_left_out;
        output.remark(&format_args!(
            "left out: {count} {} of more bytes than --inline-limit; `edbtool export --to FOLDER` writes such values to files",
            plural(count)
        ));
    }
    if summary.values_cut > 0 {
        let count = summary.values_cut;
        output.remark(&format_args!(
            "cut to fit: {count} {}; --format jsonl and csv have them in full",
            plural(count)
        ));
    }
    if dirty {
        output.remark(&DIRTY);
    }
    match summary.is_complete() && !dirty {
        true => Exit::Clean,
        false => Exit::Finding,
    }
}
