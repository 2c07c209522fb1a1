//! The rows of a table into Parquet: those of a range become arrays and these a row group, on any thread.

use crate::ExportError;
use crate::fetch::Fetcher;
use crate::ranges::{LeafRange, Pieces, RangeReader, Ranges, in_order};
use crate::tables::{Job, Tally};
use crate::writer::{GroupEncoder, ParquetTable, RowGroup};
use ese_arrow::{BatchBuilder, CellBuilder, Remarks};
use ese_db::TableReader;
use std::io;

/// Bytes of the leaves and long values of a range, about: its rows are one row group, unless there is much more in them.
const RANGE_BYTES: u64 = 4 << 20;
/// Ranges of a table at most: a Parquet file has 32,767 row groups at most, and some ranges have more than one.
const RANGES: u64 = 1 << 13;

/// Writes all rows of a table.
pub(crate) fn write_columns(
    job: &mut Job<'_>,
    table: &mut ParquetTable,
) -> Result<Tally, ExportError> {
    let shared = job.shared;
    let reader = TableReader::new(shared.db, job.table);
    let reader = RangeReader {
        shared,
        table: job.table,
        reader: &reader,
        columns: job.columns,
        path: job.path,
    };
    let encoder = table.encoder();
    let mut ranges = Ranges::new(reader, RANGE_BYTES, RANGES);
    let groups = ranges.by_ref().map(|range| {
        Ok(Groups {
            range: range?,
            encoder: encoder.clone(),
        })
    });
    let mut tally = Tally::default();
    in_order(shared.pool(), groups, |(group, part): (RowGroup, Tally)| {
        job.report(&part.problems)?;
        tally.add(part);
        table.group(group).map_err(|error| reader.fail(error))
    })?;
    tally.losses.add(ranges.losses());
    Ok(tally)
}

/// Makes row groups of the rows of a range.
struct Groups<'g> {
    range: LeafRange<'g>,
    encoder: GroupEncoder,
}

impl Pieces for Groups<'_> {
    type Piece = (RowGroup, Tally);

    fn is_ended(&self) -> bool {
        self.range.is_ended()
    }

    fn next(&mut self) -> Result<Self::Piece, ExportError> {
        let reader = self.range.reader;
        let mut tally = Tally::default();
        let group = match reader.shared.rows.seen {
            None => self.of_columns(&mut tally)?,
            Some(_) => self.of_cells(&mut tally)?,
        };
        Ok((group, tally))
    }
}

impl Groups<'_> {
    /// Values go from the leaves into arrays.
    fn of_columns(&mut self, tally: &mut Tally) -> Result<RowGroup, ExportError> {
        let reader = self.range.reader;
        let shared = reader.shared;
        let limit = shared.rows.inline_limit;
        let schema = self.encoder.schema();
        let mut builder = BatchBuilder::with_schema(reader.columns, schema, limit);
        let mut remarks = Remarks::default();
        let batch_bytes = self.encoder.batch_bytes();
        let mut group = self.encoder.begin().map_err(|error| reader.fail(error))?;
        loop {
            let more = self.range.rows(tally, |tally, at, fields| {
                let mut fetcher = Fetcher::new(Some(shared.to.blobs), limit, shared.progress);
                builder.row(fields, &mut fetcher, &mut remarks)?;
                reader.note(tally, at, fields, &remarks.problems);
                remarks.problems.clear();
                Ok(builder.bytes() < batch_bytes)
            })?;
            let batch = builder.finish().map_err(io::Error::other);
            let added = batch.and_then(|batch| group.add(batch));
            added.map_err(|error| reader.fail(error))?;
            if !more || group.is_full() {
                return group.finish().map_err(|error| reader.fail(error));
            }
        }
    }

    /// Rows of cells are judged before they become arrays.
    fn of_cells(&mut self, tally: &mut Tally) -> Result<RowGroup, ExportError> {
        let reader = self.range.reader;
        let mut builder = CellBuilder::new(reader.columns);
        let batch_bytes = self.encoder.batch_bytes();
        let mut group = self.encoder.begin().map_err(|error| reader.fail(error))?;
        loop {
            let more = self.range.rows(tally, |tally, at, fields| {
                reader.cells(tally, at, fields, |cells| {
                    let added = builder.row(cells);
                    added.map_err(|cell| {
                        let message = format!("{cell:?} is not of the type of its column");
                        io::Error::other(message)
                    })
                })?;
                Ok(builder.bytes() < batch_bytes)
            })?;
            let batch = builder.finish().map_err(io::Error::other);
            let added = batch.and_then(|batch| group.add(batch));
            added.map_err(|error| reader.fail(error))?;
            if !more || group.is_full() {
                return group.finish().map_err(|error| reader.fail(error));
            }
        }
    }
}
