//! Comma-separated values.

use super::TableWriter;
use super::jsonl::write_json;
use crate::ExportError;
use crate::cell::{Cell, hex, rfc3339};
use crate::layout::{Kind, OutColumn};
use crate::sink::Sink;
use std::borrow::Cow;
use std::io;

pub(super) struct CsvWriter {
    writer: csv::Writer<Sink>,
    columns: Vec<(Kind, bool)>,
}

impl CsvWriter {
    pub(super) fn new(sink: Sink, columns: &[OutColumn<'_>]) -> io::Result<Self> {
        let mut writer = csv::Writer::from_writer(sink);
        if !columns.is_empty() {
            writer.write_record(columns.iter().map(|column| &column.name))?;
        }
        Ok(CsvWriter {
            writer,
            columns: columns
                .iter()
                .map(|column| (column.kind, column.list))
                .collect(),
        })
    }
}

impl TableWriter for CsvWriter {
    fn row(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        for (cell, (kind, list)) in cells.iter().zip(&self.columns) {
            self.writer
                .write_field(field(cell, *kind, *list).as_bytes())?;
        }
        self.writer.write_record(None::<&[u8]>)?;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(u64, String), ExportError> {
        let sink = self.writer.into_inner();
        let sink = sink.map_err(|error| ExportError::write("", error.into_error()))?;
        sink.finish()
    }
}

fn field<'c>(cell: &'c Cell<'_>, kind: Kind, list: bool) -> Cow<'c, str> {
    let several = matches!(cell, Cell::List(_));
    if several || list && *cell != Cell::Null {
        let mut json = Vec::new();
        write_json(&mut json, cell, kind);
        let json = String::from_utf8(json).unwrap_or_default();
        return Cow::Owned(if several { json } else { format!("[{json}]") });
    }
    Cow::Owned(match cell {
        Cell::Null | Cell::List(_) => String::new(),
        Cell::Bool(value) => value.to_string(),
        Cell::Integer(value) => value.to_string(),
        Cell::Unsigned(value) if kind == Kind::Bits => format!("{value:#018x}"),
        Cell::Unsigned(value) => value.to_string(),
        Cell::Single(value) => value.to_string(),
        Cell::Double(value) => value.to_string(),
        Cell::Time(value) => rfc3339(*value).unwrap_or_default(),
        Cell::Text(text) => return Cow::Borrowed(text),
        Cell::Bytes(bytes) => hex(bytes),
    })
}
