//! `edbtool diff`: the rows in which two databases differ.

use crate::columns::{Columns, wrapped};
use crate::database::{
    DIRTY, OpenedDatabase, ViewArguments, catalog, is_dirty, stream_failure, tell_losses,
};
use crate::rows::bar;
use clap::ValueEnum;
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
use serde::Serialize;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

/// Compare two databases: rows inserted, deleted and changed from A to B, matched by the primary index of their table
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  edbtool diff before.edb after.edb\n  edbtool diff before.edb after.edb --summary\n  edbtool diff db.edb db.edb --with-logs-b . --table Items --format csv\n  edbtool diff db.edb@42 db.edb --with-logs-a . --with-logs-b .\n\nEnds with 0 only if everything could be compared and nothing differs."
)]
pub(crate) struct Arguments {
    /// The database from which the differences lead; with its logs also DATABASE@MOMENT, as it was at that moment
    #[arg(value_name = "A", value_parser = side)]
    a: Side,
    /// The database to which they lead, likewise
    #[arg(value_name = "B", value_parser = side)]
    b: Side,
    /// A table to compare; may be given several times (default: all tables but the engine's own)
    #[arg(long = "table", short, value_name = "TABLE")]
    tables: Vec<String>,
    /// Read A as it will be after recovery with the logs of this folder, or with this log; nothing is written. May be given
    /// several times
    #[arg(long, value_name = "PLACE")]
    with_logs_a: Vec<PathBuf>,
    /// The same for B
    #[arg(long, value_name = "PLACE")]
    with_logs_b: Vec<PathBuf>,
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

/// One of both databases, as it is named.
#[derive(Debug, Clone)]
struct Side {
    path: PathBuf,
    as_of: Option<Moment>,
}

/// `DATABASE` or `DATABASE@MOMENT`. A file that has the whole name is that file.
fn side(text: &str) -> Result<Side, String> {
    if let Some((path, moment)) = text.rsplit_once('@')
        && !Path::new(text).exists()
        && let Ok(moment) = moment.parse()
    {
        return Ok(Side {
            path: path.into(),
            as_of: Some(moment),
        });
    }
    Ok(Side {
        path: text.into(),
        as_of: None,
    })
}

/// One of both databases, opened.
struct OpenedSide<'a> {
    path: &'a Path,
    opened: OpenedDatabase,
    catalog: Catalog,
    dirty: bool,
}

impl<'a> OpenedSide<'a> {
    /// Opens the database at `path`, as it is or as these logs bring it forward.
    fn open(side: &'a Side, logs: &[PathBuf], output: &Output) -> Result<Self, Failure> {
        let path = &side.path;
        if let (Some(moment), true) = (side.as_of, logs.is_empty()) {
            let message = format!("{}: {moment} is a moment of its logs", path.display());
            return Err(Failure::new(Exit::Usage, message)
                .advise("name the logs with --with-logs-a or --with-logs-b"));
        }
        let opened = ViewArguments::with_logs(logs, side.as_of).look_at(path, output)?;
        Ok(OpenedSide {
            path,
            catalog: catalog(path, &opened.database)?,
            dirty: is_dirty(&opened.database),
            opened,
        })
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
            path: self.path,
            page_size: db.page_size().bytes(),
            last_page: db.last_page().0,
            dirty: self.dirty,
            recovered: self.opened.recovered.is_some(),
        }
    }
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let sides = Sides {
        a: OpenedSide::open(&arguments.a, &arguments.with_logs_a, output)?,
        b: OpenedSide::open(&arguments.b, &arguments.with_logs_b, output)?,
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
    let summary = summary.map_err(|error| stream_failure(&arguments.a.path, &error))?;
    drop(progress);
    let report = Report {
        databases: sides.as_ref().map(OpenedSide::entry),
        summary: &summary,
    };
    match arguments.format {
        _ if output.is_json() => output.document("edbkit.diff/1", &report)?,
        FormatArgument::Csv if arguments.summary => output.text(&Counts(&summary))?,
        FormatArgument::Csv => {}
        FormatArgument::Text => output.text(&report)?,
    }
    output.flush()?;
    if arguments.format == FormatArgument::Csv {
        output.remark(&report.ending().trim_end());
    }
    tell(&sides, &summary, output);
    let found = sides.a.opened.found.and(sides.b.opened.found);
    let dirty = sides.any(|side| side.dirty);
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
            output.remark(&format_args!("{}:", side.path.display()));
            tell_losses(losses, output);
        }
    }
    if summary.unknown > 0 {
        output.remark(&format_args!(
            "{} rows are neither the same nor known to differ, because of what could not be read",
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
        if side.dirty {
            output.remark(&format_args!("{}: {DIRTY}", side.path.display()));
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
    path: &'r Path,
    page_size: u32,
    last_page: u32,
    dirty: bool,
    /// Whether logs brought it forward in memory.
    recovered: bool,
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
            DiffVerdict::Same if self.databases.any(|side| side.dirty) => {
                format!("No difference in what the pages hold: {rows} rows of {tables} tables")
            }
            DiffVerdict::Same => format!("No difference: {rows} rows of {tables} tables"),
            DiffVerdict::Unknown => format!(
                "Not known to differ, but not everything could be read: {rows} rows are the same, {} are unknown",
                summary.unknown
            ),
            DiffVerdict::Different => {
                let unknown = match summary.unknown {
                    0 => String::new(),
                    unknown => format!(", {unknown} unknown"),
                };
                let lost = match summary.is_complete() {
                    true => "",
                    false => "; not everything could be read",
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
                "{rows} rows of {name} are not in the order of their keys: they were not compared"
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

/// The counts of all tables as CSV.
struct Counts<'s>(&'s DiffSummary);

impl Display for Counts<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "table,in,matched_by,rows_a,rows_b,same,deleted,inserted,changed,unknown"
        )?;
        for table in &self.0.tables {
            let place = match table.place {
                Place::Both => "both",
                Place::A => "a",
                Place::B => "b",
            };
            let matched_by = match table.matched_by {
                MatchedBy::PrimaryIndex => "primary_index",
                MatchedBy::Dbk => "dbk",
                MatchedBy::Nothing => "nothing",
            };
            writeln!(
                f,
                "\"{}\",{place},{matched_by},{},{},{},{},{},{},{}",
                table.name.replace('"', "\"\""),
                table.rows.a,
                table.rows.b,
                table.same,
                table.deleted,
                table.inserted,
                table.changed,
                table.unknown
            )?;
        }
        Ok(())
    }
}
