//! Apache Parquet: the flat table of CSV, with times and numbers as such.

use super::ChangeSink;
use super::csv::{COLUMNS, record_of};
use crate::event::Change;
use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::Compression;
use ::parquet::file::properties::WriterProperties;
use arrow_array::builder::{
    ArrayBuilder, StringBuilder, TimestampMicrosecondBuilder, UInt64Builder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use std::io::{self, Write};
use std::sync::Arc;

const BATCH_ROWS: usize = 4096;
const ROW_GROUP_BYTES: usize = 16 << 20;
const NUMBERS: [&str; 6] = [
    "session",
    "transaction",
    "place",
    "changes",
    "dbtime",
    "page",
];
const TIMES: [&str; 2] = ["earliest", "latest"];

enum Column {
    Text(StringBuilder),
    Number(UInt64Builder),
    Time(TimestampMicrosecondBuilder),
}

impl Column {
    fn new(name: &str) -> Self {
        if TIMES.contains(&name) {
            Column::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC"))
        } else if NUMBERS.contains(&name) {
            Column::Number(UInt64Builder::new())
        } else {
            Column::Text(StringBuilder::new())
        }
    }

    fn data_type(name: &str) -> DataType {
        if TIMES.contains(&name) {
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
        } else if NUMBERS.contains(&name) {
            DataType::UInt64
        } else {
            DataType::Utf8
        }
    }

    /// Adds a value; one that is empty, or a local time of an unknown zone, is null.
    fn add(&mut self, value: &str) {
        match self {
            Column::Text(to) => to.append_option((!value.is_empty()).then_some(value)),
            Column::Number(to) => to.append_option(value.parse().ok()),
            Column::Time(to) => {
                let time = value.parse::<jiff::Timestamp>().ok();
                to.append_option(time.map(jiff::Timestamp::as_microsecond));
            }
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Column::Text(from) => ArrayBuilder::finish(from),
            Column::Number(from) => ArrayBuilder::finish(from),
            Column::Time(from) => ArrayBuilder::finish(from),
        }
    }
}

/// Writes changes as Parquet.
pub struct ParquetSink<W: Write + Send> {
    schema: Arc<Schema>,
    to: Option<ArrowWriter<W>>,
    columns: Vec<Column>,
    rows: usize,
}

impl<W: Write + Send> ParquetSink<W> {
    /// A sink that writes to `to`.
    pub fn new(to: W) -> io::Result<Self> {
        let fields = COLUMNS.map(|name| Field::new(name, Column::data_type(name), true));
        let schema = Arc::new(Schema::new(fields.to_vec()));
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
        let to = ArrowWriter::try_new(to, Arc::clone(&schema), Some(properties.build()))?;
        Ok(ParquetSink {
            schema,
            to: Some(to),
            columns: COLUMNS.map(Column::new).into(),
            rows: 0,
        })
    }

    fn write_batch(&mut self) -> io::Result<()> {
        let Some(to) = self.to.as_mut().filter(|_| self.rows > 0) else {
            return Ok(());
        };
        let arrays = self.columns.iter_mut().map(Column::finish).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays);
        to.write(&batch.map_err(io::Error::other)?)?;
        if to.in_progress_size() > ROW_GROUP_BYTES {
            to.flush()?;
        }
        self.rows = 0;
        Ok(())
    }
}

impl<W: Write + Send> ChangeSink for ParquetSink<W> {
    fn change(&mut self, change: &Change<'_>) -> io::Result<()> {
        for (column, value) in self.columns.iter_mut().zip(record_of(change)) {
            column.add(&value);
        }
        self.rows += 1;
        match self.rows >= BATCH_ROWS {
            true => self.write_batch(),
            false => Ok(()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.write_batch()?;
        if let Some(to) = self.to.take() {
            to.into_inner()?.flush()?;
        }
        Ok(())
    }
}
