//! Tables that are no database's: what a program has to say of many, in the format of their rows.

use crate::writer::TableWriter;
use crate::{ExportError, Format};
use ese_columns::Cell;
use ese_columns::{Kind, Origin, OutColumn};
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use target_disk::Disk;

/// What a column of such a table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainKind {
    /// Text.
    Text,
    /// Whole numbers from zero on.
    Number,
    /// Moments.
    Time,
    /// Yes or no.
    Bool,
}

/// A cell of such a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlainValue {
    /// Text, if there is any.
    Text(Option<String>),
    /// A number, if there is one.
    Number(Option<u64>),
    /// A moment, if it is known.
    Time(Option<Timestamp>),
    /// Yes or no.
    Bool(bool),
}

impl From<&str> for PlainValue {
    fn from(text: &str) -> Self {
        PlainValue::Text(Some(text.to_owned()))
    }
}

/// The file of such a table.
pub struct PlainTable {
    path: PathBuf,
    writer: TableWriter,
}

impl PlainTable {
    /// Creates the file at `path`; one of that name is replaced.
    pub fn create(
        format: Format,
        disk: &dyn Disk,
        path: &Path,
        columns: &[(&str, PlainKind)],
    ) -> Result<Self, ExportError> {
        let columns = columns.iter().map(|(name, kind)| OutColumn {
            name: (*name).to_owned(),
            kind: match kind {
                PlainKind::Text => Kind::Text,
                PlainKind::Number => Kind::U64,
                PlainKind::Time => Kind::Time,
                PlainKind::Bool => Kind::Bool,
            },
            list: false,
            origin: Origin::File,
            of: None,
        });
        let columns: Vec<_> = columns.collect();
        Ok(PlainTable {
            path: path.to_owned(),
            writer: TableWriter::create(format, disk, path, &columns)?,
        })
    }

    /// Adds a row: a value for each column, of its kind.
    pub fn row(&mut self, values: &[PlainValue]) -> Result<(), ExportError> {
        let cells = values.iter().map(|value| match value {
            PlainValue::Text(Some(text)) => Cell::Text(text.into()),
            PlainValue::Number(Some(number)) => Cell::Unsigned(*number),
            PlainValue::Time(Some(time)) => Cell::Time(time.as_microsecond()),
            PlainValue::Bool(value) => Cell::Bool(*value),
            PlainValue::Text(None) | PlainValue::Number(None) | PlainValue::Time(None) => {
                Cell::Null
            }
        });
        let cells: Vec<Cell<'_>> = cells.collect();
        let written = self.writer.row(&cells);
        written.map_err(|error| ExportError::write(&self.path, error))
    }

    /// Ends the file: its length and SHA-256.
    pub fn finish(self) -> Result<(u64, String), ExportError> {
        self.writer.finish()
    }
}
