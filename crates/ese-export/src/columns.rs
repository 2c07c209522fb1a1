//! The rows of a table into Parquet: the rows on some leaves become a batch of arrays, on any thread, and the batches are written in
//! order.
//!
//! Which leaves are one batch follows from the table alone, and so does the file.

use crate::ExportError;
use crate::fetch::Fetcher;
use crate::tables::{Job, Shared, Tally, value_problem};
use crate::writer::ParquetTable;
use arrow_array::RecordBatch;
use ese_arrow::{BatchBuilder, LeafRows, RowPlace};
use ese_columns::OutColumn;
use ese_db::btree::Leaves;
use ese_db::{KeyRange, Losses, Page, Table, TableReader};
use rayon::prelude::*;
use std::io;

/// Bytes of the leaves of a chunk: its rows are one batch, unless there is much more in them.
const CHUNK_BYTES: usize = 1 << 20;
/// Bytes of values after which a batch ends early.
const BATCH_BYTES: usize = 4 << 20;
/// Chunks under way for each thread.
const CHUNKS: usize = 2;

/// Leaves that follow each other.
type Chunk = Vec<Page>;

/// Rows of a chunk as a batch.
struct Part {
    batch: RecordBatch,
    tally: Tally,
    /// Where the rows begin that it did not take.
    next: Option<RowPlace>,
}

/// Makes batches of rows.
#[derive(Clone, Copy)]
struct Decoder<'d> {
    shared: &'d Shared<'d>,
    table: &'d Table,
    reader: &'d TableReader,
    columns: &'d [OutColumn<'d>],
}

/// Writes all rows of a table.
pub(crate) fn write_columns(
    job: &mut Job<'_>,
    table: &mut ParquetTable,
) -> Result<Tally, ExportError> {
    let shared = job.shared;
    let reader = TableReader::new(shared.db, job.table);
    let mut leaves = reader.leaves();
    let decoder = Decoder {
        shared,
        table: job.table,
        reader: &reader,
        columns: job.columns,
    };
    let mut tally = Tally::default();
    let mut ready = Vec::new();
    let mut chunks = decoder.chunks(&mut leaves)?;
    while !(chunks.is_empty() && ready.is_empty()) {
        let part = |chunk: &Chunk| decoder.part(chunk, RowPlace::default());
        let mut append = |ready: Vec<(Chunk, Part)>| -> Result<Vec<Chunk>, ExportError> {
            for (chunk, part) in ready {
                decoder.append(&chunk, part, job, table, &mut tally)?;
            }
            decoder.chunks(&mut leaves)
        };
        let (parts, next) = match &shared.pool {
            Some(pool) => {
                let mut parts = Ok(Vec::new());
                let next = pool.in_place_scope(|scope| {
                    scope.spawn(|_| parts = chunks.par_iter().map(part).collect());
                    append(ready)
                });
                (parts?, next?)
            }
            None => {
                let parts: Result<Vec<Part>, _> = chunks.iter().map(part).collect();
                (parts?, append(ready)?)
            }
        };
        ready = chunks.into_iter().zip(parts).collect();
        chunks = next;
    }
    tally.losses.add(&leaves.losses);
    Ok(tally)
}

impl Decoder<'_> {
    /// The next chunks: some for each thread, none at the end.
    fn chunks(self, leaves: &mut Leaves) -> Result<Vec<Chunk>, ExportError> {
        let page_bytes = self.shared.db.page_size().as_usize();
        let pages = (CHUNK_BYTES / page_bytes).max(1);
        let count = match self.shared.pool {
            Some(_) => CHUNKS * self.shared.to.threads,
            None => 1,
        };
        let mut chunks = Vec::new();
        while chunks.len() < count {
            let mut chunk = Chunk::new();
            for leaf in leaves.take(pages) {
                self.shared.progress.advance(page_bytes as u64);
                if self.shared.progress.should_stop() {
                    return Err(ExportError::Stopped);
                }
                chunk.push(leaf);
            }
            if chunk.is_empty() {
                break;
            }
            chunks.push(chunk);
        }
        Ok(chunks)
    }

    /// A batch of the rows of a chunk, from a place on.
    fn part(self, chunk: &Chunk, from: RowPlace) -> Result<Part, ExportError> {
        let shared = self.shared;
        let limit = shared.rows.inline_limit;
        let mut builder = BatchBuilder::new(self.columns, limit);
        let (mut tally, mut losses) = (Tally::default(), Losses::default());
        let rows = LeafRows {
            reader: self.reader,
            leaves: chunk,
            keys: &KeyRange::default(),
            deleted: shared.rows.deleted,
            batch_bytes: BATCH_BYTES,
            batch_rows: usize::MAX,
        };
        let next = rows.add_to(
            &mut builder,
            from,
            &mut losses,
            || Fetcher::new(Some(shared.to.blobs), limit, shared.progress),
            |at, fields, remarks| {
                tally.rows += 1;
                tally.deleted += u64::from(fields.is_deleted());
                for (place, problem) in remarks.problems.drain(..) {
                    let column = self.columns[place].of.map_or("", |column| &column.name);
                    let key = fields.key();
                    tally.problem(&value_problem(self.table, column, at, &key, &problem));
                }
            },
        )?;
        tally.losses.add(&losses);
        let batch = builder.finish();
        Ok(Part {
            batch: batch
                .map_err(|error| ExportError::write(&self.table.name, io::Error::other(error)))?,
            tally,
            next,
        })
    }

    /// Writes a part of a chunk, and after it the rest of that.
    fn append(
        self,
        chunk: &Chunk,
        mut part: Part,
        job: &mut Job<'_>,
        table: &mut ParquetTable,
        tally: &mut Tally,
    ) -> Result<(), ExportError> {
        loop {
            table.batch(&part.batch).map_err(|error| job.fail(error))?;
            job.report(&part.tally.problems)?;
            part.tally.problems.clear();
            tally.add(part.tally);
            let Some(next) = part.next else {
                return Ok(());
            };
            part = self.part(chunk, next)?;
        }
    }
}
