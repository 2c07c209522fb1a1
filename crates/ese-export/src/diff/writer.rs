//! Rows that differ, on their way out: as lines for a person, as CSV, or as JSON documents.
//!
//! Rows in JSON are those of an export in JSON Lines. Lines for a person fit a terminal; what does not fit is cut.

use super::compare::RowOutcome;
use super::tables::{ColumnId, ColumnPair, TablePair, primary_index};
use super::{Sides, TableDiff};
use crate::ExportError;
use crate::row::{ExportRow, RowConverter};
use crate::sink::Stream;
use crate::writer::{JsonlRows, WIDTH, field, shortened, write_text};
use ese_columns::Cell;
use ese_columns::ColumnViews;
use ese_columns::{Before, Origin, OutColumn};
use ese_db::{Catalog, Column, Row, Table};
use ese_format::text::Escaped;
use ese_format::{Progress, hex};
use rayon::prelude::*;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};

/// What errors call the stream.
const STREAM: &str = "standard output";
/// Characters of one value in a line for a person.
const VALUE: usize = 32;

/// Names of the columns of CSV.
const CSV_NAMES: &str =
    "table,op,bookmark,key,changed,unknown,unreadable,left_out,out_of_order,before,after";
/// What stands for a value that cannot be read.
const UNREADABLE: &str = "(cannot be read)";

/// Rows that one thread makes text of at a time.
const PART_ROWS: usize = 32;
/// Bytes of text after which that ends early.
const PART_BYTES: usize = 256 << 10;

/// The form in which rows that differ are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiffForm {
    /// A short line for each, below the name of its table.
    Text,
    /// Comma-separated values with a line of names; rows as JSON.
    Csv,
    /// A JSON document for each, with this schema.
    Documents(&'static str),
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Inserted,
    Deleted,
    Changed,
    Unknown,
}

impl Op {
    fn name(self) -> &'static str {
        match self {
            Op::Inserted => "inserted",
            Op::Deleted => "deleted",
            Op::Changed => "changed",
            Op::Unknown => "unknown",
        }
    }

    fn sign(self) -> char {
        match self {
            Op::Inserted => '+',
            Op::Deleted => '-',
            Op::Changed => '~',
            Op::Unknown => '?',
        }
    }
}

/// A row that differs, or may.
pub(super) struct Change {
    pub op: Op,
    pub rows: Sides<Option<Row>>,
    pub outcome: RowOutcome,
    /// Databases in which the key of the row is out of order.
    pub astray: Sides<bool>,
}

/// The first changes of some as text.
#[derive(Default)]
struct Part {
    text: Vec<u8>,
    taken: usize,
    given: Given,
}

/// What was not given of rows.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// Values that could not be read.
    pub lost: Sides<u64>,
    /// Values that are too long.
    pub left_out: u64,
}

impl Given {
    fn add(&mut self, other: &Given) {
        self.lost.a += other.lost.a;
        self.lost.b += other.lost.b;
        self.left_out += other.left_out;
    }
}

/// Where rows go.
pub(super) struct Writer {
    form: DiffForm,
    out: BufWriter<Stream>,
}

impl Writer {
    pub(super) fn new(form: DiffForm, stream: Stream) -> Result<Self, ExportError> {
        let mut out = BufWriter::with_capacity(1 << 18, stream);
        if form == DiffForm::Csv {
            writeln!(out, "{CSV_NAMES}").map_err(fail)?;
        }
        Ok(Writer { form, out })
    }

    pub(super) fn finish(mut self) -> Result<(), ExportError> {
        self.out.flush().map_err(fail)
    }
}

fn fail(error: io::Error) -> ExportError {
    ExportError::write(STREAM, error)
}

/// How rows of a table of one database are written.
struct SideText<'t> {
    columns: Vec<OutColumn<'t>>,
    rows: JsonlRows,
    /// Where the columns of the key stand, and how they are written.
    key: Vec<usize>,
    key_row: JsonlRows,
    /// Where the column of each pair stands.
    places: Vec<Option<usize>>,
}

/// How rows of one table are written.
pub(super) struct TableText<'t> {
    name: String,
    heading: String,
    is_begun: bool,
    sides: Sides<Option<SideText<'t>>>,
    inline_limit: usize,
    progress: &'t dyn Progress,
}

/// A row of one database, ready to be written.
struct Written {
    json: Vec<u8>,
    key: Vec<u8>,
    bookmark: Vec<u8>,
    /// `Name=value` of the key, for a person.
    key_text: String,
    /// Each column for a person; `None` where it is null.
    texts: Vec<Option<String>>,
    /// Places of columns with a value that could not be read, once for each value.
    unreadable: Vec<usize>,
    /// Values that are too long: the place of the column, and bytes.
    left_out: Vec<(usize, u64)>,
}

/// The column of one database.
type ColumnOf<'t> = fn(&ColumnPair<'t>) -> Option<&'t Column>;

impl<'t> TableText<'t> {
    pub(super) fn new(
        pair: &TablePair<'t>,
        found: &TableDiff,
        catalogs: Sides<&'t Catalog>,
        views: &'t ColumnViews,
        inline_limit: usize,
        progress: &'t dyn Progress,
    ) -> Self {
        let side = |table: Option<&'t Table>, catalog, column_of: ColumnOf<'t>| {
            let table = table?;
            let mut columns = ese_columns::columns(table, views, Before::default());
            // There are no files here.
            columns.retain(|column| !matches!(column.origin, Origin::File));
            let places = columns.iter().enumerate();
            let places: HashMap<_, usize> = places
                .filter_map(|(place, column)| match column.origin {
                    Origin::Value(source) => Some((source.id_of(), place)),
                    _ => None,
                })
                .collect();
            let place = |column: &Column| places.get(&column.id_of()).copied();
            let parts = primary_index(catalog, table).map_or(&[][..], |index| &index.columns);
            let key: Vec<usize> = parts
                .iter()
                .filter_map(|part| table.column(part.name.as_deref()?))
                .filter_map(place)
                .collect();
            let places = pair.columns.iter();
            let places = places.map(|pair| column_of(pair).and_then(place)).collect();
            let key_columns: Vec<OutColumn<'_>> =
                key.iter().map(|place| columns[*place].clone()).collect();
            Some(SideText {
                rows: JsonlRows::new(&columns),
                key_row: JsonlRows::new(&key_columns),
                places,
                key,
                columns,
            })
        };
        let heading = match found.known_as {
            Some(known) => format!("{known} ({})", found.name),
            None => found.name.clone(),
        };
        TableText {
            name: found.name.clone(),
            heading: Escaped(&heading).to_string(),
            is_begun: false,
            sides: Sides {
                a: side(pair.tables.a, catalogs.a, |pair| pair.columns.a),
                b: side(pair.tables.b, catalogs.b, |pair| pair.columns.b),
            },
            inline_limit,
            progress,
        }
    }

    /// Gives rows, in their order: as text that several threads make of some at a time.
    pub(super) fn give(
        &mut self,
        changes: &[Change],
        writer: &mut Writer,
    ) -> Result<Given, ExportError> {
        if changes.is_empty() {
            return Ok(Given::default());
        }
        if writer.form == DiffForm::Text && !self.is_begun {
            self.is_begun = true;
            writeln!(writer.out, "{}", self.heading).map_err(fail)?;
        }
        let form = writer.form;
        let part = |changes: &[Change]| self.part(changes, form);
        let parts: Vec<Part> = match rayon::current_num_threads() {
            0 | 1 => changes
                .chunks(PART_ROWS)
                .map(part)
                .collect::<Result<_, _>>()?,
            _ => changes
                .par_chunks(PART_ROWS)
                .map(part)
                .collect::<Result<_, _>>()?,
        };
        let mut given = Given::default();
        let mut add = |part: &Part| {
            given.add(&part.given);
            writer.out.write_all(&part.text).map_err(fail)
        };
        for (changes, part) in changes.chunks(PART_ROWS).zip(parts) {
            add(&part)?;
            // One by one those that the part was too long to hold.
            for change in &changes[part.taken..] {
                add(&self.part(std::slice::from_ref(change), form)?)?;
            }
        }
        Ok(given)
    }

    fn part(&self, changes: &[Change], form: DiffForm) -> Result<Part, ExportError> {
        let mut part = Part::default();
        for change in changes {
            if part.text.len() > PART_BYTES {
                break;
            }
            let given = self.one(change, form, &mut part.text)?;
            part.given.add(&given);
            part.taken += 1;
        }
        Ok(part)
    }

    fn one(
        &self,
        change: &Change,
        form: DiffForm,
        text: &mut Vec<u8>,
    ) -> Result<Given, ExportError> {
        let written = |side: &Option<SideText<'_>>, row: &Option<Row>| {
            let (Some(side), Some(row)) = (side, row) else {
                return Ok(None);
            };
            self.written(side, row, form == DiffForm::Text)
        };
        let rows = Sides {
            a: written(&self.sides.a, &change.rows.a)?,
            b: written(&self.sides.b, &change.rows.b)?,
        };
        match form {
            DiffForm::Text => {
                let line = shortened(&self.line(change, &rows), WIDTH).0;
                text.extend_from_slice(line.as_bytes());
                text.push(b'\n');
            }
            DiffForm::Csv => self.record(change, &rows, text).map_err(fail)?,
            DiffForm::Documents(schema) => self.document(change, &rows, schema, text),
        }
        let lengths = |count: fn(&Written) -> usize| {
            let count = |row: &Option<Written>| row.as_ref().map_or(0, count) as u64;
            rows.as_ref().map(count)
        };
        let unreadable = lengths(|row| row.unreadable.len());
        let left_out = lengths(|row| row.left_out.len());
        // What could not be compared cannot be shown either, unless it is left out for its length.
        let lost = change.outcome.lost();
        Ok(Given {
            lost: Sides {
                a: lost.a.max(unreadable.a),
                b: lost.b.max(unreadable.b),
            },
            left_out: left_out.a + left_out.b,
        })
    }

    fn written(
        &self,
        side: &SideText<'_>,
        row: &Row,
        for_person: bool,
    ) -> Result<Option<Written>, ExportError> {
        let converter = RowConverter {
            columns: &side.columns,
            blobs: None,
            inline_limit: self.inline_limit,
            lists_anywhere: true,
            progress: self.progress,
        };
        converter.take(row, |record| {
            Ok(match for_person {
                true => side.for_person(record),
                false => side.as_json(record),
            })
        })
    }

    /// Names of the columns with these numbers, as rows have them.
    fn names(&self, numbers: &[usize]) -> Vec<&str> {
        let name = |number: &usize| {
            let mut sides = [&self.sides.a, &self.sides.b].into_iter().flatten();
            sides.find_map(|side| Some(side.columns[side.places[*number]?].name.as_str()))
        };
        numbers.iter().filter_map(name).collect()
    }

    /// What there is to say of a row besides its values, each as a list in JSON.
    fn lists(
        &self,
        change: &Change,
        rows: &Sides<Option<Written>>,
    ) -> [(&'static str, Vec<u8>); 5] {
        let RowOutcome { changed, undecided } = &change.outcome;
        let lost = undecided.iter().filter(|(_, lost)| lost.any(|lost| *lost));
        let lost: Vec<usize> = lost.map(|(number, _)| *number).collect();
        let unknown: Vec<usize> = undecided.iter().map(|(number, _)| *number).collect();
        let mut unreadable: BTreeSet<&str> = self.names(&lost).into_iter().collect();
        let mut left_out = BTreeSet::new();
        for (side, row) in [(&self.sides.a, &rows.a), (&self.sides.b, &rows.b)] {
            if let (Some(side), Some(row)) = (side, row) {
                let name = |place: &usize| side.columns[*place].name.as_str();
                unreadable.extend(row.unreadable.iter().map(name));
                left_out.extend(row.left_out.iter().map(|(place, _)| name(place)));
            }
        }
        let astray = [("a", change.astray.a), ("b", change.astray.b)];
        let astray = astray.into_iter().filter(|(_, astray)| *astray);
        [
            ("changed", list(self.names(changed))),
            ("unknown", list(self.names(&unknown))),
            ("unreadable", list(unreadable)),
            ("left_out", list(left_out)),
            ("out_of_order", list(astray.map(|(name, _)| name))),
        ]
    }

    fn document(
        &self,
        change: &Change,
        rows: &Sides<Option<Written>>,
        schema: &str,
        text: &mut Vec<u8>,
    ) {
        text.extend_from_slice(b"{\"schema\":");
        write_text(text, schema);
        text.extend_from_slice(b",\"table\":");
        write_text(text, &self.name);
        text.extend_from_slice(b",\"op\":");
        write_text(text, change.op.name());
        text.extend_from_slice(b",\"bookmark\":\"");
        let known = rows.a.as_ref().or(rows.b.as_ref());
        hex::append(text, known.map_or(&[], |row| &row.bookmark));
        text.extend_from_slice(b"\",\"key\":");
        text.extend_from_slice(known.map_or(b"{}", |row| &row.key));
        let mut field = |name: &str, value: &[u8]| {
            text.push(b',');
            write_text(text, name);
            text.push(b':');
            text.extend_from_slice(value);
        };
        for (name, list) in self.lists(change, rows) {
            field(name, &list);
        }
        for (name, row) in [("before", &rows.a), ("after", &rows.b)] {
            field(name, row.as_ref().map_or(b"null", |row| &row.json));
        }
        text.extend_from_slice(b"}\n");
    }

    fn record(
        &self,
        change: &Change,
        rows: &Sides<Option<Written>>,
        text: &mut Vec<u8>,
    ) -> io::Result<()> {
        let known = rows.a.as_ref().or(rows.b.as_ref());
        let json = |row: &'_ Option<Written>| row.as_ref().map(|row| row.json.clone());
        // The name is one of the file, and no field of a file holds a NUL.
        let name = self.name.replace('\0', "\\0");
        let row = [
            name.into_bytes(),
            change.op.name().into(),
            hex::encode(known.map_or(&[][..], |row| &row.bookmark)).into(),
            known.map(|row| row.key.clone()).unwrap_or_default(),
        ];
        let lists = self.lists(change, rows).map(|(_, list)| list);
        let values = [&rows.a, &rows.b].map(|row| json(row).unwrap_or_default());
        let mut table = csv::Writer::from_writer(text);
        table.write_record(row.into_iter().chain(lists).chain(values))?;
        table.flush()
    }

    /// A line for a person: `+` and `-` with the values of the row, `~` with what they were and are.
    fn line(&self, change: &Change, rows: &Sides<Option<Written>>) -> String {
        let known = rows.a.as_ref().or(rows.b.as_ref());
        let key = known.map_or("", |row| &row.key_text);
        let mut line = format!("  {} {key} ", change.op.sign());
        for (name, astray) in [("A", change.astray.a), ("B", change.astray.b)] {
            if astray {
                let _ = write!(line, " (out of order in {name})");
            }
        }
        if let (
            Sides {
                a: Some(a),
                b: Some(b),
            },
            Some(one),
            Some(other),
        ) = (self.sides.as_ref().map(Option::as_ref), &rows.a, &rows.b)
        {
            let RowOutcome { changed, undecided } = &change.outcome;
            let changed = changed.iter().map(|number| (*number, Sides::default()));
            for (number, lost) in changed.chain(undecided.iter().copied()) {
                let text = |side: &SideText<'_>, row: &Written, lost| {
                    match side.places[number] {
                        _ if lost => UNREADABLE,
                        Some(place) => row.texts[place].as_deref().unwrap_or("null"),
                        None => "(no column)",
                    }
                    .to_owned()
                };
                let name = self.names(&[number]).concat();
                let (was, is) = (text(a, one, lost.a), text(b, other, lost.b));
                let _ = write!(line, " {}: {was} -> {is}", Escaped(&name));
            }
            return line;
        }
        let sides = [("A", &self.sides.a, &rows.a), ("B", &self.sides.b, &rows.b)];
        for (name, side, row) in sides {
            let (Some(side), Some(row)) = (side, row) else {
                continue;
            };
            if change.op == Op::Unknown && !change.astray.any(|astray| *astray) {
                let _ = write!(line, " (read in {name} only)");
            }
            for (place, text) in row.texts.iter().enumerate() {
                let column = &side.columns[place];
                let is_value = matches!(column.origin, Origin::Value(_));
                if let (Some(text), true, false) = (text, is_value, side.key.contains(&place)) {
                    let _ = write!(line, " {}={text}", Escaped(&column.name));
                }
            }
        }
        line
    }
}

impl SideText<'_> {
    fn as_json(&self, record: ExportRow<'_>) -> Written {
        let (mut json, mut key) = (Vec::new(), Vec::new());
        self.rows.row(&record.cells, &mut json);
        let cells: Vec<Cell<'_>> = self.key_cells(&record).cloned().collect();
        self.key_row.row(&cells, &mut key);
        for text in [&mut json, &mut key] {
            text.truncate(text.trim_ascii_end().len());
        }
        Written {
            json,
            key,
            unreadable: record.unreadable().collect(),
            left_out: record.left_out,
            bookmark: record.key,
            key_text: String::new(),
            texts: Vec::new(),
        }
    }

    fn for_person(&self, record: ExportRow<'_>) -> Written {
        let short = |(cell, column): (&Cell<'_>, &OutColumn<'_>)| {
            let start = match cell {
                Cell::Null => return None,
                // No more of a long value is made text than can be seen.
                Cell::Text(text) => text.chars().take(VALUE + 1).collect::<String>(),
                Cell::Bytes(bytes) => hex::encode(&bytes[..bytes.len().min(VALUE)]),
                cell => field(cell, column.kind, column.list).into_owned(),
            };
            Some(shortened(&Escaped(&start).to_string(), VALUE).0)
        };
        let unreadable: Vec<usize> = record.unreadable().collect();
        let missing = |place: usize| {
            let left_out = record.left_out.iter();
            let left_out = left_out.filter(|(other, _)| *other == place);
            match left_out
                .map(|(_, bytes)| *bytes)
                .reduce(u64::saturating_add)
            {
                Some(bytes) => Some(format!("({bytes} bytes, not shown)")),
                None => unreadable.contains(&place).then(|| UNREADABLE.to_owned()),
            }
        };
        let mut texts: Vec<Option<String>> =
            record.cells.iter().zip(&self.columns).map(short).collect();
        for (place, column) in self.columns.iter().enumerate() {
            // Bits that mean no date have their own column.
            if let (Origin::RawDate, [.., date, bits]) = (&column.origin, &mut texts[..=place])
                && date.is_none()
            {
                date.clone_from(bits);
            }
            let text = texts[place].take().into_iter().chain(missing(place));
            texts[place] = text.reduce(|text, missing| format!("{text} {missing}"));
        }
        let parts = self.key.iter().map(|place| {
            let text = texts[*place].as_deref().unwrap_or("null");
            format!("{}={text}", Escaped(&self.columns[*place].name))
        });
        let parts: Vec<String> = parts.collect();
        let key_text = match parts.is_empty() {
            true => format!("#{}", hex::encode(&record.key)),
            false => parts.join(" "),
        };
        Written {
            json: Vec::new(),
            key: Vec::new(),
            unreadable,
            left_out: record.left_out,
            bookmark: record.key,
            key_text,
            texts,
        }
    }

    fn key_cells<'r>(&self, record: &'r ExportRow<'r>) -> impl Iterator<Item = &'r Cell<'r>> {
        self.key.iter().map(|place| &record.cells[*place])
    }
}

/// Names as a list in JSON.
fn list<'n>(names: impl IntoIterator<Item = &'n str>) -> Vec<u8> {
    let mut text = b"[".to_vec();
    for (number, name) in names.into_iter().enumerate() {
        if number > 0 {
            text.push(b',');
        }
        write_text(&mut text, name);
    }
    text.push(b']');
    text
}
