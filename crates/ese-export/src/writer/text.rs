//! Formats in which a row is text that depends on nothing but the row.

use super::Format;
use super::csv::CsvRows;
use super::jsonl::JsonlRows;
use crate::ExportError;
use crate::sink::Sink;
use ese_columns::Cell;
use ese_columns::OutColumn;
use std::io::{self, Write};
use std::sync::Arc;

/// What all rows of a table have in common.
enum Rows {
    Csv(CsvRows),
    Jsonl(JsonlRows),
}

/// Makes text of the rows of a table.
#[derive(Clone)]
pub(crate) struct TextRows(Arc<Rows>);

impl TextRows {
    /// Text without rows.
    pub(crate) fn text(&self) -> Text<'_> {
        match &*self.0 {
            Rows::Csv(rows) => Text::Csv(rows, Box::new(CsvRows::text())),
            Rows::Jsonl(rows) => Text::Jsonl(rows, Vec::new()),
        }
    }
}

/// A table file.
pub(crate) struct TextTable {
    rows: TextRows,
    sink: Sink,
}

impl TextTable {
    /// A table in `format`, CSV or JSON Lines, that goes to `sink`.
    pub(crate) fn new(
        format: Format,
        mut sink: Sink,
        columns: &[OutColumn<'_>],
    ) -> io::Result<Self> {
        let rows = match format {
            Format::Csv => Rows::Csv(CsvRows::begin(&mut sink, columns)?),
            _ => Rows::Jsonl(JsonlRows::new(columns)),
        };
        let rows = TextRows(Arc::new(rows));
        Ok(TextTable { rows, sink })
    }

    /// What makes text of its rows.
    pub(crate) fn rows(&self) -> TextRows {
        self.rows.clone()
    }

    /// The text of one row.
    pub(crate) fn text_of(&self, cells: &[Cell<'_>]) -> io::Result<Vec<u8>> {
        let mut text = self.rows.text();
        text.row(cells)?;
        text.finish()
    }

    /// Adds text made by [`TextRows`].
    pub(crate) fn append(&mut self, text: &[u8]) -> io::Result<()> {
        self.sink.write_all(text)
    }

    pub(crate) fn finish(self) -> Result<(u64, String), ExportError> {
        self.sink.finish()
    }
}

/// Some rows as text.
pub(crate) enum Text<'t> {
    Csv(&'t CsvRows, Box<csv::Writer<Vec<u8>>>),
    Jsonl(&'t JsonlRows, Vec<u8>),
}

impl Text<'_> {
    /// Adds a row: a cell for each column, of the column's kind.
    pub(crate) fn row(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        match self {
            Text::Csv(rows, text) => rows.row(cells, text),
            Text::Jsonl(rows, text) => {
                rows.row(cells, text);
                Ok(())
            }
        }
    }

    /// Begins a row.
    pub(crate) fn begin_row(&mut self) {
        if let Text::Jsonl(_, text) = self {
            JsonlRows::begin_row(text);
        }
    }

    /// Adds the next cell of a row, that of the column at `place` and of its kind.
    pub(crate) fn cell(&mut self, place: usize, cell: &Cell<'_>) -> io::Result<()> {
        match self {
            Text::Csv(rows, text) => rows.cell(place, cell, text),
            Text::Jsonl(rows, text) => {
                rows.cell(place, cell, text);
                Ok(())
            }
        }
    }

    /// Ends a row.
    pub(crate) fn end_row(&mut self) -> io::Result<()> {
        match self {
            Text::Csv(_, text) => CsvRows::end_row(text),
            Text::Jsonl(_, text) => {
                JsonlRows::end_row(text);
                Ok(())
            }
        }
    }

    /// About how many bytes there are.
    pub(crate) fn length(&self) -> usize {
        match self {
            Text::Csv(_, text) => text.get_ref().len(),
            Text::Jsonl(_, text) => text.len(),
        }
    }

    /// The bytes.
    pub(crate) fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Text::Csv(_, text) => text.into_inner().map_err(csv::IntoInnerError::into_error),
            Text::Jsonl(_, text) => Ok(text),
        }
    }
}
