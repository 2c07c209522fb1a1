//! The formats.

mod csv;
mod grid;
mod jsonl;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(not(feature = "parquet"))]
#[path = "writer/without_parquet.rs"]
mod parquet;
mod text;

pub(crate) use self::csv::field;
pub(crate) use self::grid::{Grid, WIDTH, shortened};
pub use self::jsonl::write_text;
pub(crate) use self::jsonl::{JsonlRows, write_json};
pub(crate) use self::parquet::ParquetTable;
#[cfg(not(feature = "parquet"))]
pub(crate) use self::parquet::write_columns;
#[cfg(feature = "parquet")]
pub(crate) use self::parquet::{GroupEncoder, RowGroup};
pub(crate) use self::text::{TextRows, TextTable};
use crate::ExportError;
#[cfg(feature = "parquet")]
pub(crate) use crate::columns::write_columns;
use crate::sink::Sink;
use ese_columns::{Cell, OutColumn};
use serde::Serialize;
use std::io;
use std::path::Path;
use target_disk::Disk;

/// A format of table files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Comma-separated values with a line of names: bytes in hexadecimal, several values as a JSON array.
    Csv,
    /// One JSON object per line: nulls left out, bytes in hexadecimal.
    Jsonl,
    /// Apache Parquet with proper types.
    Parquet,
}

impl Format {
    /// The extension of its files.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Jsonl => "jsonl",
            Format::Parquet => "parquet",
        }
    }
}

/// Writes the rows of one table.
pub(crate) enum TableWriter {
    /// A text format: rows become text on any thread, and the text is put together in order.
    Text(Box<TextTable>),
    /// One row after the other.
    Parquet(Box<ParquetTable>),
}

impl TableWriter {
    /// A writer of `format` for a table with these columns.
    pub(crate) fn create(
        format: Format,
        disk: &dyn Disk,
        path: &Path,
        columns: &[OutColumn<'_>],
    ) -> Result<Self, ExportError> {
        Self::to(format, path, Sink::create(disk, path)?, columns)
    }

    /// The same to a sink, which errors call `path`.
    pub(crate) fn to(
        format: Format,
        path: &Path,
        sink: Sink,
        columns: &[OutColumn<'_>],
    ) -> Result<Self, ExportError> {
        let fail = |error| ExportError::write(path, error);
        Ok(match format {
            Format::Csv | Format::Jsonl => TableWriter::Text(Box::new(
                TextTable::new(format, sink, columns).map_err(fail)?,
            )),
            Format::Parquet => {
                let table = ParquetTable::new(path, sink, columns).map_err(fail)?;
                TableWriter::Parquet(Box::new(table))
            }
        })
    }

    /// Adds a row: a cell for each column, of the column's kind.
    pub(crate) fn row(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        match self {
            TableWriter::Text(table) => {
                let text = table.text_of(cells)?;
                table.append(&text)
            }
            TableWriter::Parquet(table) => table.row(cells),
        }
    }

    /// Ends the file: its length and hash.
    pub(crate) fn finish(self) -> Result<(u64, String), ExportError> {
        match self {
            TableWriter::Text(table) => table.finish(),
            TableWriter::Parquet(table) => table.finish(),
        }
    }
}
