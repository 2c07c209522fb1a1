//! `edbtool diff`: the rows in which two databases differ.

use crate::columns::{Columns, wrapped};
use crate::database::{
    DIRTY, OpenedDatabase, SideLogs, ViewArguments, catalog, is_dirty, stream_failure, tell_losses,
};
use crate::rows::bar;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{ArgGroup, ValueEnum};
use console::values::bytes;
use console::{Exit, Failure, Output};
use ese_db::Catalog;
use ese_export::{
    ColumnDefinition, DiffForm, DiffOptions, DiffSide, DiffSummary, DiffVerdict, INLINE_LIMIT,
    MatchedBy, Place, Sides, TableDiff, diff,
};
use ese_format::Progress;
use ese_format::text::Escaped;
use ese_log::Moment;
use ese_replay::as_of::AsOf;
use serde::Serialize;
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

/// Compare two databases: rows inserted, deleted and changed from A to B, matched by the primary index of their table
#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("logs").multiple(true),
    after_help = "Examples:\n  edbtool diff before.edb after.edb\n  edbtool diff before.edb after.edb --summary\n  edbtool diff db.edb db.edb --with-logs-b . --table Items --format csv\n  edbtool diff db.edb@42 db.edb --with-logs-a . --with-logs-b .\n\nEnds with 0 only if everything could be compared and nothing differs."
)]
pub(crate) struct Arguments {
    /// The database from which the differences lead; with its logs also DATABASE@MOMENT, as it was at that moment
    #[arg(value_name = "A", value_parser = OsStringValueParser::new().try_map(side))]
    a: Side,
    /// The database to which they lead, likewise
    #[arg(value_name = "B", value_parser = OsStringValueParser::new().try_map(side))]
    b: Side,
    /// A table to compare; may be given several times (default: all tables but the engine's own)
    #[arg(long = "table", short, value_name = "TABLE")]
    tables: Vec<String>,
    /// Read A as it will be after recovery with the logs of this folder, or with this log; nothing is written. May be given
    /// several times
    #[arg(long, value_name = "PLACE", group = "logs")]
    with_logs_a: Vec<PathBuf>,
    /// The same for B
    #[arg(long, value_name = "PLACE", group = "logs")]
    with_logs_b: Vec<PathBuf>,
    /// Base name of the logs, as in E00; needed only if a folder holds several streams
    #[arg(long, value_name = "NAME", requires = "logs")]
    base: Option<String>,
    /// Leave out other databases that the logs change
    #[arg(long, requires = "logs")]
    ignore_missing: bool,
    /// Only count: no rows, one line per table
    #[arg(long)]
    summary: bool,
    /// Format of the rows, and of the counts with --summary
    #[arg(
        long,
        short,
        value_enum,
        default_value = "text",
        conflicts_with = "json"
    )]
    format: FormatArgument,
    /// Leave long values of more bytes than this out of the rows that are printed; they are compared all the same
    #[arg(long, value_name = "BYTES", default_value_t = INLINE_LIMIT, value_parser = bytes::<usize>)]
    inline_limit: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatArgument {
    /// A line per row that fits a terminal, and a summary
    Text,
    /// A line per row with all of its values, as JSON
    Csv,
}

impl Arguments {
    /// The logs of one of both databases.
    fn logs<'a>(&'a self, places: &'a [PathBuf], side: &Side) -> SideLogs<'a> {
        SideLogs {
            places,
            base: self.base.as_deref(),
            ignore_missing: self.ignore_missing,
            as_of: side.as_of,
        }
    }
}

/// One of both databases, as it is named.
#[derive(Debug, Clone)]
struct Side {
    path: PathBuf,
    as_of: Option<Moment>,
}

/// `DATABASE` or `DATABASE@MOMENT`. A file that has the whole name is that file.
fn side(text: OsString) -> Result<Side, String> {
    if !Path::new(&text).exists()
        && let Some((path, moment)) = at_moment(&text)
    {
        match moment.parse() {
            Ok(moment) => {
                return Ok(Side {
                    path: path.into(),
                    as_of: Some(moment),
                });
            }
            Err(problem) if Path::new(path).exists() => return Err(problem),
            Err(_) => {}
        }
    }
    Ok(Side {
        path: text.into(),
        as_of: None,
    })
}

/// What is before the last `@`, and after it.
#[cfg(unix)]
fn at_moment(text: &OsStr) -> Option<(&OsStr, &str)> {
    use std::os::unix::ffi::OsStrExt;
    let bytes = text.as_bytes();
    let at = bytes.iter().rposition(|byte| *byte == b'@')?;
    let moment = str::from_utf8(&bytes[at + 1..]).ok()?;
    Some((OsStr::from_bytes(&bytes[..at]), moment))
}

/// What is before the last `@`, and after it.
#[cfg(not(unix))]
fn at_moment(text: &OsStr) -> Option<(&OsStr, &str)> {
    let (path, moment) = text.to_str()?.rsplit_once('@')?;
    Some((path.as_ref(), moment))
}

/// One of both databases, opened.
struct OpenedSide<'a> {
    /// `A: ` or `B: `.
    name: &'static str,
    path: &'a Path,
    opened: OpenedDatabase,
    catalog: Catalog,
    /// Whether logs may hold more; not known without a header.
    dirty: Option<bool>,
}

impl<'a> OpenedSide<'a> {
    /// Opens the database at `path`, as it is or as these logs bring it forward.
    fn open(
        name: &'static str,
        path: &'a Path,
        logs: SideLogs<'_>,
        output: &Output,
    ) -> Result<Self, Failure> {
        let of_side = |mut failure: Failure| {
            failure.message.insert_str(0, name);
            failure
        };
        if let (Some(moment), true) = (logs.as_of, logs.places.is_empty()) {
            let message = format!("{}: {moment} is a moment of its logs", path.display());
            let failure = Failure::new(Exit::Usage, message);
            return Err(
                of_side(failure).advise("name the logs with --with-logs-a or --with-logs-b")
            );
        }
        let opened = ViewArguments::of_side(name, logs).look_at(path, output);
        let opened = opened.map_err(of_side)?;
        let db = &opened.database;
        Ok(OpenedSide {
            name,
            path,
            catalog: catalog(path, db).map_err(of_side)?,
            dirty: (!db.is_headerless()).then(|| is_dirty(db)),
            opened,
        })
    }

    fn is_dirty(&self) -> bool {
        self.dirty == Some(true)
    }

    fn side(&self) -> DiffSide<'_> {
        DiffSide {
            db: &self.opened.database,
            catalog: &self.catalog,
        }
    }

    fn bytes(&self) -> u64 {
        let db = &self.opened.database;
        u64::from(db.last_page().0) * u64::from(db.page_size().bytes())
    }

    fn entry(&self) -> SideEntry<'a> {
        let db = &self.opened.database;
        SideEntry {
            path: self.path.to_string_lossy(),
            page_size: db.page_size().bytes(),
            last_page: db.last_page().0,
            dirty: self.dirty,
            recovered: self.opened.recovered.is_some(),
            as_of: self.opened.as_of(),
        }
    }
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let Arguments { a, b, .. } = arguments;
    let logs = Sides {
        a: arguments.logs(&arguments.with_logs_a, a),
        b: arguments.logs(&arguments.with_logs_b, b),
    };
    let sides = Sides {
        a: OpenedSide::open("A: ", &a.path, logs.a, output)?,
        b: OpenedSide::open("B: ", &b.path, logs.b, output)?,
    };
    let options = DiffOptions {
        tables: arguments.tables.clone(),
        inline_limit: arguments.inline_limit,
    };
    let form = match arguments.format {
        _ if arguments.summary => None,
        _ if output.is_json() => Some(DiffForm::Documents("edbkit.diff-row/1")),
        FormatArgument::Text => Some(DiffForm::Text),
        FormatArgument::Csv => Some(DiffForm::Csv),
    };
    let progress = match form {
        Some(_) => bar(output),
        None => output.bar(0, "Comparing"),
    };
    progress.begin(sides.a.bytes() + sides.b.bytes(), 0);
    let rows = match form {
        Some(form) => Some((form, Box::new(output.stream()?) as ese_export::Stream)),
        None => None,
    };
    let both = sides.as_ref().map(OpenedSide::side);
    let summary = diff(both, &options, rows, &progress);
    let summary = summary.map_err(|error| stream_failure(&a.path, &error))?;
    drop(progress);
    let report = Report {
        databases: sides.as_ref().map(OpenedSide::entry),
        summary: &summary,
    };
    match arguments.format {
        _ if output.is_json() => output.document("edbkit.diff/1", &report)?,
        FormatArgument::Csv if arguments.summary => {
            let mut lines = Vec::new();
            let written = summary.write_csv(&mut lines);
            written.map_err(|error| Failure::io(Path::new("standard output"), &error))?;
            output.text(&String::from_utf8_lossy(&lines))?;
        }
        FormatArgument::Csv => {}
        FormatArgument::Text => output.text(&report)?,
    }
    output.flush()?;
    if arguments.format == FormatArgument::Csv {
        output.remark(&report.ending().trim_end());
    }
    tell(&sides, &summary, output);
    let found = sides.a.opened.found.and(sides.b.opened.found);
    let dirty = sides.any(OpenedSide::is_dirty);
    Ok(match summary.verdict {
        DiffVerdict::Same if !dirty => found,
        _ => found.and(Exit::Finding),
    })
}

/// Says on standard error what could not be compared.
fn tell(sides: &Sides<OpenedSide<'_>>, summary: &DiffSummary, output: &Output) {
    let losses = summary.losses();
    for (side, losses) in [(&sides.a, &losses.a), (&sides.b, &losses.b)] {
        if !losses.is_empty() {
            output.remark(&format_args!("{}{}:", side.name, side.path.display()));
            tell_losses(losses, output);
        }
    }
    if summary.unknown > 0 {
        output.remark(&format_args!(
            "{} rows are neither the same nor known to differ, because of what could not be read or is out of order",
            summary.unknown
        ));
    }
    if summary.values_left_out > 0 {
        output.remark(&format_args!(
            "left out of rows: {} long values of more bytes than --inline-limit; they were compared",
            summary.values_left_out
        ));
    }
    for side in [&sides.a, &sides.b] {
        if side.is_dirty() {
            let (name, path) = (side.name, side.path.display());
            output.remark(&format_args!("{name}{path}: {DIRTY}"));
        }
    }
}

#[derive(Serialize)]
struct Report<'r> {
    #[serde(flatten)]
    databases: Sides<SideEntry<'r>>,
    #[serde(flatten)]
    summary: &'r DiffSummary,
}

/// One of both databases.
#[derive(Serialize)]
struct SideEntry<'r> {
    path: Cow<'r, str>,
    page_size: u32,
    last_page: u32,
    /// Null where no header can be trusted.
    dirty: Option<bool>,
    /// Whether logs brought it forward in memory.
    recovered: bool,
    /// The moment at which it is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<AsOf>,
}

impl Report<'_> {
    /// What may be said of both, in a line or two.
    fn ending(&self) -> String {
        let summary = self.summary;
        let tables = summary.tables.len();
        let different = summary.tables.iter().filter(|table| table.is_different());
        let different = different.count();
        let rows: u64 = summary.tables.iter().map(|table| table.same).sum();
        let text = match summary.verdict {
            DiffVerdict::Same if self.databases.any(|side| side.dirty == Some(true)) => {
                format!("No difference in what the pages hold: {rows} rows of {tables} tables")
            }
            DiffVerdict::Same => format!("No difference: {rows} rows of {tables} tables"),
            DiffVerdict::Unknown => format!(
                "Not known to differ, but not everything could be compared: {rows} rows are the same, {} are unknown",
                summary.unknown
            ),
            DiffVerdict::Different => {
                let unknown = match summary.unknown {
                    0 => String::new(),
                    unknown => format!(", {unknown} unknown"),
                };
                let lost = match summary.is_complete() {
                    true => "",
                    false => "; not everything could be compared",
                };
                format!(
                    "{different} of {tables} tables differ: {} rows deleted, {} inserted, {} changed{unknown}{lost}",
                    summary.deleted, summary.inserted, summary.changed
                )
            }
        };
        wrapped(&text, 0, 2)
    }
}

impl Display for Report<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let shown = self.summary.tables.iter();
        let shown = shown.filter(|table| table.is_different() || !table.is_complete());
        let mut shown = shown.peekable();
        if shown.peek().is_some() {
            let names = [
                "Table",
                "A#",
                "B#",
                "Same#",
                "Deleted#",
                "Inserted#",
                "Changed#",
                "Unknown#",
            ];
            let mut columns = Columns::new(&names);
            for table in shown {
                let counts = [
                    table.rows.a,
                    table.rows.b,
                    table.same,
                    table.deleted,
                    table.inserted,
                    table.changed,
                    table.unknown,
                ];
                let name = table.known_as.unwrap_or(&table.name);
                let mut cells = vec![Escaped(name).to_string()];
                cells.extend(counts.map(|count| count.to_string()));
                columns.line(cells);
                for note in notes(table) {
                    columns.below(&note);
                }
            }
            write!(f, "{columns}")?;
        }
        f.write_str(&self.ending())
    }
}

/// What there is to say of a table besides its counts.
fn notes(table: &TableDiff) -> Vec<String> {
    let mut notes = Vec::new();
    match table.place {
        Place::Both => {}
        Place::A => notes.push("only in A".to_owned()),
        Place::B => notes.push("only in B".to_owned()),
    }
    if table.in_doubt {
        notes.push("the catalog has lost something: what is missing here may be that".to_owned());
    }
    let compared = table.place == Place::Both;
    match table.matched_by {
        MatchedBy::PrimaryIndex => {}
        MatchedBy::Dbk if !compared => {}
        MatchedBy::Dbk => notes.push(
            "no primary index: rows are matched by the order in which they were inserted"
                .to_owned(),
        ),
        MatchedBy::Nothing => notes.push(
            "the primary indexes are not the same, so no row was matched: rows are only counted"
                .to_owned(),
        ),
    }
    for column in &table.columns {
        let name = Escaped(&column.name);
        notes.push(match (&column.definitions.a, &column.definitions.b) {
            (Some(a), Some(b)) => {
                format!("column {name}: {} in A, {} in B", kind(a, b), kind(b, a))
            }
            (Some(a), None) => format!("column {name} only in A ({})", a.column_type),
            (None, Some(b)) => format!("column {name} only in B ({})", b.column_type),
            (None, None) => continue,
        });
    }
    for (name, rows) in [("A", table.out_of_order.a), ("B", table.out_of_order.b)] {
        if rows > 0 {
            notes.push(format!(
                "{rows} rows of {name} are not in the order of their keys: they were not compared, and rows of these keys are unknown"
            ));
        }
    }
    for (name, losses) in [("A", &table.losses.a), ("B", &table.losses.b)] {
        if !losses.is_empty() {
            notes.push(format!(
                "lost in {name}: {} pages, {} rows, {} values",
                losses.pages.len(),
                losses.rows,
                losses.values
            ));
        }
    }
    notes
}

/// A column's type, and whatever else distinguishes it from `other`.
fn kind(column: &ColumnDefinition, other: &ColumnDefinition) -> String {
    let mut words = vec![column.column_type.clone()];
    if column.max_size != other.max_size {
        words.push(format!("of {} bytes", column.max_size));
    }
    if column.code_page != other.code_page {
        words.push(format!("code page {}", column.code_page));
    }
    let flags = column.flags.difference(other.flags);
    words.extend(flags.iter_names().map(|(name, _)| name.to_lowercase()));
    if column.default_value != other.default_value {
        words.push(match &column.default_value {
            Some(value) => format!("default x'{value}'"),
            None => "no default".to_owned(),
        });
    }
    words.join(" ")
}
