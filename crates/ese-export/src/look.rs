//! The rows of one table to one stream, to look at or to hand on: some of its columns, some of its rows.
//!
//! Beside an export into a folder there is no place for long values here, and none for the bytes of values that cannot be
//! read. Both are counted; nothing is left out in silence.

use crate::export::table_meant;
use crate::near::near;
use crate::row::{ExportRow, RowConverter};
use crate::sink::{Sink, Stream};
use crate::writer::{Grid, TableWriter, TextTable, field, write_text};
use crate::{ColumnEntry, ExportError, Format};
use ese_columns::Cell;
use ese_columns::ColumnViews;
use ese_columns::{Before, Origin, OutColumn};
use ese_db::space::CutOff;
use ese_db::{Database, Losses, TableReader};
use ese_format::Progress;
use serde::Serialize;
use std::io;
use std::path::Path;

/// What errors call the stream.
const STREAM: &str = "standard output";

/// Which rows of which table.
#[derive(Debug, Clone)]
pub struct Selection {
    /// The table.
    pub table: String,
    /// Names of columns, in the order in which they are given; none means all.
    pub columns: Vec<String>,
    /// Names of columns, and the text that a row has to have in each.
    pub conditions: Vec<(String, String)>,
    /// The most rows that are given.
    pub limit: Option<u64>,
    /// Long values of more bytes than this are left out.
    pub inline_limit: usize,
    /// Also give rows that are deleted but still in their pages.
    pub deleted: bool,
    /// Add decoded views of well-known schemas.
    pub decoded: bool,
}

/// The form in which rows are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As in the files of an export.
    File(Format),
    /// Lines or blocks for a person.
    Table,
    /// A JSON document for each row, with this schema.
    Documents(&'static str),
}

/// What was given, and what was not.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct LookSummary {
    /// The table, by its own name.
    pub table: String,
    /// What people call it, where its own name is a GUID.
    pub known_as: Option<&'static str>,
    /// The columns, in order.
    pub columns: Vec<ColumnEntry>,
    /// Rows given, deleted ones included.
    pub rows: u64,
    /// Rows of these that are deleted.
    pub deleted_rows: u64,
    /// Whether rows that were not looked at follow, because enough were given.
    pub limited: bool,
    /// Long values that were left out because of their length.
    pub values_left_out: u64,
    /// Values that were cut to fit on a screen.
    pub values_cut: u64,
    /// Pages that the database owns and that its file does not have.
    pub cut_off: Option<CutOff>,
    /// What could not be read.
    pub losses: Losses,
}

impl LookSummary {
    /// Whether everything that was asked for could be given.
    pub fn is_complete(&self) -> bool {
        self.losses.is_empty() && self.values_left_out == 0 && self.cut_off.is_none()
    }
}

/// A column by its place, and the text that it has to have.
struct Condition<'s> {
    column: usize,
    text: &'s str,
}

/// Gives the selected rows of `db` to `stream`.
///
/// `progress` advances by the bytes of every leaf page read.
pub fn look(
    db: &Database,
    selection: &Selection,
    form: Form,
    stream: Stream,
    progress: &dyn Progress,
) -> Result<LookSummary, ExportError> {
    let catalog = db.catalog()?;
    let table = table_meant(&catalog, &selection.table)?;
    let views = match selection.decoded {
        true => ColumnViews::for_database(db, &catalog),
        false => ColumnViews::none(),
    };
    let before = Before {
        deleted: selection.deleted,
        ..Before::default()
    };
    let mut all = ese_columns::columns(table, &views, before);
    all.retain(|column| !matches!(column.origin, Origin::File));
    let place = |name: &String| place_of(name, &all, &table.name);
    let shown: Vec<usize> = match selection.columns.as_slice() {
        [] => (0..all.len()).collect(),
        names => distinct(names.iter().map(place))?,
    };
    let conditions = selection.conditions.iter().map(|(name, text)| {
        let column = place(name)?;
        Ok(Condition { column, text })
    });
    let conditions: Vec<Condition<'_>> = conditions.collect::<Result<_, ExportError>>()?;
    let needed = Needed::of(&all, &shown, &conditions);
    let shown_columns: Vec<OutColumn<'_>> = shown.iter().map(|place| all[*place].clone()).collect();
    let mut writer = Writer::new(form, &table.name, &shown_columns, stream)?;

    let records = RowConverter {
        columns: &needed.columns,
        blobs: None,
        inline_limit: selection.inline_limit,
        lists_anywhere: form != Form::File(Format::Parquet),
        progress,
    };
    let places: Vec<usize> = shown.iter().map(|column| needed.places[*column]).collect();
    let fits = |record: &ExportRow<'_>| {
        conditions.iter().all(|condition| {
            let place = needed.places[condition.column];
            let column = &needed.columns[place];
            has_text(&record.cells[place], column, condition.text)
        })
    };
    let mut summary = LookSummary {
        table: table.name.clone(),
        known_as: catalog.known_as(table),
        columns: shown_columns.iter().map(ColumnEntry::of).collect(),
        rows: 0,
        deleted_rows: 0,
        limited: false,
        values_left_out: 0,
        values_cut: 0,
        cut_off: CutOff::of(db),
        losses: catalog.losses.clone(),
    };
    let reader = TableReader::new(db, table);
    let mut rows = match selection.deleted {
        true => reader.rows_with_deleted(),
        false => reader.rows(),
    };
    let page_bytes = u64::from(db.page_size().bytes());
    let mut page = None;
    for row in rows.by_ref() {
        if selection.limit.is_some_and(|limit| summary.rows >= limit) {
            summary.limited = true;
            break;
        }
        if page != Some(row.place().0) {
            page = Some(row.place().0);
            progress.advance(page_bytes);
            if progress.should_stop() {
                return Err(ExportError::Stopped);
            }
        }
        let taken = records.take(&row, |mut record| {
            let fits = fits(&record);
            // Where a condition cannot be judged, the row may be one that was meant.
            let counts = |place: &usize| fits || needed.is_judged(*place, &conditions);
            let unreadable = record.unreadable();
            summary.losses.values += unreadable.filter(counts).count() as u64;
            let left_out = record.left_out.iter().filter(|(place, _)| counts(place));
            summary.values_left_out += left_out.count() as u64;
            if !fits {
                return Ok(());
            }
            summary.rows += 1;
            summary.deleted_rows += u64::from(record.is_deleted);
            let cells = places
                .iter()
                .map(|place| std::mem::replace(&mut record.cells[*place], Cell::Null));
            writer.row(&cells.collect::<Vec<_>>())
        })?;
        summary.losses.rows += u64::from(taken.is_none());
    }
    summary.losses.add(rows.losses());
    summary.values_cut = writer.finish()?;
    Ok(summary)
}

/// Where the column of this name stands: as the file calls it, or the database.
fn place_of(name: &str, all: &[OutColumn<'_>], table: &str) -> Result<usize, ExportError> {
    let summary = |column: &OutColumn<'_>| column.name.eq_ignore_ascii_case(name);
    let own = |column: &OutColumn<'_>| {
        let source = column
            .of
            .filter(|_| matches!(column.origin, Origin::Value(_)));
        source.is_some_and(|source| source.name.eq_ignore_ascii_case(name))
    };
    let place = all.iter().position(summary);
    place.or_else(|| all.iter().position(own)).ok_or_else(|| {
        let names = all.iter().map(|column| column.name.as_str());
        ExportError::NoColumn {
            table: table.to_owned(),
            name: name.to_owned(),
            near: near(name, names),
        }
    })
}

/// The places without those that came before.
fn distinct(
    places: impl Iterator<Item = Result<usize, ExportError>>,
) -> Result<Vec<usize>, ExportError> {
    let mut distinct = Vec::new();
    for place in places {
        let place = place?;
        if !distinct.contains(&place) {
            distinct.push(place);
        }
    }
    Ok(distinct)
}

/// The columns that have to be read.
struct Needed<'t> {
    columns: Vec<OutColumn<'t>>,
    /// Where each column of the table stands among them.
    places: Vec<usize>,
}

impl<'t> Needed<'t> {
    /// Those that are shown or asked about, and what these add to.
    fn of(all: &[OutColumn<'t>], shown: &[usize], conditions: &[Condition<'_>]) -> Self {
        let mut wanted = vec![false; all.len()];
        let asked = conditions.iter().map(|condition| condition.column);
        for place in shown.iter().copied().chain(asked) {
            wanted[place] = true;
            let adds = all[place].of.is_some();
            let own = all[..=place]
                .iter()
                .rposition(|column| matches!(column.origin, Origin::Value(_)));
            if let Some(own) = own.filter(|_| adds) {
                wanted[own] = true;
            }
        }
        let mut needed = Needed {
            columns: Vec::new(),
            places: Vec::with_capacity(all.len()),
        };
        for (column, wanted) in all.iter().zip(wanted) {
            needed.places.push(needed.columns.len());
            needed.columns.extend(wanted.then(|| column.clone()));
        }
        needed
    }

    /// Whether a condition asks about this column, or about what is made of it.
    fn is_judged(&self, place: usize, conditions: &[Condition<'_>]) -> bool {
        let id = |place: usize| self.columns[place].of.map(|column| column.id);
        conditions
            .iter()
            .any(|condition| id(self.places[condition.column]) == id(place))
    }
}

/// Whether a cell, or one of several values in it, has this text: as CSV writes it, hexadecimal digits in any case.
fn has_text(cell: &Cell<'_>, column: &OutColumn<'_>, text: &str) -> bool {
    let exact =
        matches!(cell, Cell::Text(_)) && column.of.is_some_and(|of| of.column_type.is_text());
    match cell {
        Cell::List(cells) => cells.iter().any(|cell| has_text(cell, column, text)),
        cell => {
            let found = field(cell, column.kind, false);
            match exact {
                true => found == text,
                false => found.eq_ignore_ascii_case(text),
            }
        }
    }
}

/// Where rows go.
enum Writer {
    File(TableWriter),
    Grid(Grid, Sink),
    /// Text of rows, the beginning of each line, and where they go.
    Documents(TextTable, Vec<u8>),
}

impl Writer {
    fn new(
        form: Form,
        table: &str,
        columns: &[OutColumn<'_>],
        stream: Stream,
    ) -> Result<Self, ExportError> {
        let path = Path::new(STREAM);
        let sink = Sink::to(path, stream);
        Ok(match form {
            Form::File(format) => Writer::File(TableWriter::to(format, path, sink, columns)?),
            Form::Table => Writer::Grid(Grid::new(columns.iter()), sink),
            Form::Documents(schema) => {
                let mut head = b"{\"schema\":".to_vec();
                write_text(&mut head, schema);
                head.extend_from_slice(b",\"table\":");
                write_text(&mut head, table);
                let rows = TextTable::new(Format::Jsonl, sink, columns).map_err(fail)?;
                Writer::Documents(rows, head)
            }
        })
    }

    /// Adds a row: a cell for each column, of the column's kind.
    fn row(&mut self, cells: &[Cell<'_>]) -> Result<(), ExportError> {
        let written = match self {
            Writer::File(table) => table.row(cells),
            Writer::Grid(grid, sink) => grid.row(cells.iter(), sink),
            Writer::Documents(table, head) => table.text_of(cells).and_then(|text| {
                let row = text.trim_ascii_end();
                table.append(&[head, &b",\"row\":"[..], row, b"}\n"].concat())
            }),
        };
        written.map_err(fail)
    }

    /// Ends it; the number of values that were cut.
    fn finish(self) -> Result<u64, ExportError> {
        match self {
            Writer::File(table) => table.finish().map(|_| 0),
            Writer::Grid(mut grid, mut sink) => {
                grid.finish(&mut sink).map_err(fail)?;
                sink.finish().map(|_| grid.cut)
            }
            Writer::Documents(table, _) => table.finish().map(|_| 0),
        }
    }
}

fn fail(error: io::Error) -> ExportError {
    ExportError::write(STREAM, error)
}
