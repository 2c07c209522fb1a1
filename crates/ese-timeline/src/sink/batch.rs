//! Changes as Arrow record batches: the flat table of CSV, with times and numbers as such.

use super::ChangeSink;
use super::csv::{COLUMNS, record_of};
use crate::event::Change;
use arrow_array::builder::{
    ArrayBuilder, StringBuilder, TimestampMicrosecondBuilder, UInt64Builder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use std::io;
use std::sync::Arc;

const BATCH_ROWS: usize = 4096;
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

/// The columns of a table of changes.
pub fn change_schema() -> SchemaRef {
    let fields = COLUMNS.map(|name| Field::new(name, Column::data_type(name), true));
    Arc::new(Schema::new(fields.to_vec()))
}

/// Changes that become a batch.
pub(super) struct ChangeBatch {
    columns: Vec<Column>,
    rows: usize,
}

impl Default for ChangeBatch {
    fn default() -> Self {
        ChangeBatch {
            columns: COLUMNS.map(Column::new).into(),
            rows: 0,
        }
    }
}

impl ChangeBatch {
    pub(super) fn add(&mut self, change: &Change<'_>) {
        for (column, value) in self.columns.iter_mut().zip(record_of(change)) {
            column.add(&value);
        }
        self.rows += 1;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows >= BATCH_ROWS
    }

    /// The changes so far; the next batch begins.
    pub(super) fn take(&mut self) -> io::Result<RecordBatch> {
        let arrays = self.columns.iter_mut().map(Column::finish).collect();
        self.rows = 0;
        RecordBatch::try_new(change_schema(), arrays).map_err(io::Error::other)
    }
}

/// Hands changes over as batches.
pub struct BatchSink<F> {
    batch: ChangeBatch,
    to: F,
}

impl<F: FnMut(RecordBatch) -> io::Result<()> + Send> BatchSink<F> {
    /// A sink that hands its batches to `to`. An error of it ends the timeline.
    pub fn new(to: F) -> Self {
        BatchSink {
            batch: ChangeBatch::default(),
            to,
        }
    }
}

impl<F: FnMut(RecordBatch) -> io::Result<()> + Send> ChangeSink for BatchSink<F> {
    fn change(&mut self, change: &Change<'_>) -> io::Result<()> {
        self.batch.add(change);
        match self.batch.is_full() {
            true => (self.to)(self.batch.take()?),
            false => Ok(()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        match self.batch.is_empty() {
            true => Ok(()),
            false => (self.to)(self.batch.take()?),
        }
    }
}
