//! The formats.

mod csv;
mod jsonl;
mod parquet;

use crate::ExportError;
use crate::cell::Cell;
use crate::layout::OutColumn;
use crate::sink::Sink;
use serde::Serialize;
use std::path::Path;

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
pub(crate) trait TableWriter {
    /// Writes one row: a cell for each column, of the column's kind.
    fn row(&mut self, cells: &[Cell<'_>]) -> std::io::Result<()>;

    /// Ends the file: its length and hash.
    fn finish(self: Box<Self>) -> Result<(u64, String), ExportError>;
}

/// A writer of `format` for a table with these columns.
pub(crate) fn create<'t>(
    format: Format,
    path: &Path,
    columns: &'t [OutColumn<'t>],
) -> Result<Box<dyn TableWriter + 't>, ExportError> {
    let sink = Sink::create(path)?;
    let fail = |error| ExportError::write(path, error);
    Ok(match format {
        Format::Csv => Box::new(csv::CsvWriter::new(sink, columns).map_err(fail)?),
        Format::Jsonl => Box::new(jsonl::JsonlWriter::new(sink, columns)),
        Format::Parquet => Box::new(parquet::ParquetTable::new(path, sink, columns).map_err(fail)?),
    })
}
