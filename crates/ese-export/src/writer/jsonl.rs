//! One JSON object per line, written straight from the cells.

use ese_columns::{Cell, Kind, OutColumn};
use ese_format::hex;
use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use std::io::Write;

/// As [`ese_columns::rfc3339`], without a text of its own.
const TIMES: DateTimePrinter = DateTimePrinter::new();

/// Each column's name as JSON with its colon, its kind, and whether it holds lists.
pub(crate) struct JsonlRows {
    columns: Vec<(Vec<u8>, Kind, bool)>,
}

impl JsonlRows {
    pub(crate) fn new(columns: &[OutColumn<'_>]) -> Self {
        let columns = columns.iter().map(|column| {
            let mut name = Vec::new();
            write_text(&mut name, &column.name);
            name.push(b':');
            (name, column.kind, column.list)
        });
        JsonlRows {
            columns: columns.collect(),
        }
    }

    /// Adds a row to `text`.
    pub(crate) fn row(&self, cells: &[Cell<'_>], text: &mut Vec<u8>) {
        Self::begin_row(text);
        for (place, cell) in cells.iter().enumerate() {
            self.cell(place, cell, text);
        }
        Self::end_row(text);
    }

    /// Begins a row.
    pub(super) fn begin_row(text: &mut Vec<u8>) {
        text.push(b'{');
    }

    /// Adds the next cell of a row, that of the column at `place`.
    pub(super) fn cell(&self, place: usize, cell: &Cell<'_>, text: &mut Vec<u8>) {
        if matches!(cell, Cell::Null) {
            return;
        }
        let (name, kind, list) = &self.columns[place];
        if text.last() != Some(&b'{') {
            text.push(b',');
        }
        text.extend_from_slice(name);
        let single = *list && !matches!(cell, Cell::List(_));
        if single {
            text.push(b'[');
        }
        write_json(text, cell, *kind);
        if single {
            text.push(b']');
        }
    }

    /// Ends a row.
    pub(super) fn end_row(text: &mut Vec<u8>) {
        text.extend_from_slice(b"}\n");
    }
}

/// The JSON of one cell. Numbers that JSON has no form for (NaN, infinities) are text.
pub(crate) fn write_json(out: &mut Vec<u8>, cell: &Cell<'_>, kind: Kind) {
    let display = |out: &mut Vec<u8>, text: &dyn std::fmt::Display| {
        let written = write!(out, "{text}");
        debug_assert!(written.is_ok(), "memory takes everything");
    };
    match cell {
        Cell::Null => out.extend_from_slice(b"null"),
        Cell::Bool(value) => display(out, value),
        Cell::Integer(value) => {
            out.extend_from_slice(itoa::Buffer::new().format(*value).as_bytes());
        }
        Cell::Unsigned(value) if kind == Kind::Bits => {
            out.extend_from_slice(b"\"0x");
            hex::append(out, &value.to_be_bytes());
            out.push(b'"');
        }
        Cell::Unsigned(value) => {
            out.extend_from_slice(itoa::Buffer::new().format(*value).as_bytes());
        }
        Cell::Single(value) if value.is_finite() => display(out, value),
        Cell::Double(value) if value.is_finite() => display(out, value),
        Cell::Single(value) => display(out, &format_args!("\"{value}\"")),
        Cell::Double(value) => display(out, &format_args!("\"{value}\"")),
        Cell::Time(value) => match Timestamp::from_microsecond(*value) {
            Ok(time) => {
                out.push(b'"');
                let written = TIMES.print_timestamp(&time, &mut *out);
                debug_assert!(written.is_ok(), "memory takes everything");
                out.push(b'"');
            }
            Err(_) => out.extend_from_slice(b"null"),
        },
        Cell::Text(text) => write_text(out, text),
        Cell::Bytes(bytes) => {
            out.push(b'"');
            out.reserve(bytes.len() * 2 + 1);
            hex::append(out, bytes);
            out.push(b'"');
        }
        Cell::List(cells) => {
            out.push(b'[');
            for (index, cell) in cells.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_json(out, cell, kind);
            }
            out.push(b']');
        }
    }
}

/// Adds text as a JSON string.
pub fn write_text(out: &mut Vec<u8>, text: &str) {
    let written = serde_json::to_writer(out, text);
    debug_assert!(written.is_ok(), "memory takes everything");
}
