//! Apache Parquet. Batches come as they are, and single rows are gathered to batches; a row group ends when it has grown to a few
//! megabytes, so that memory does not grow with the table.

use crate::ExportError;
use crate::sink::Sink;
use arrow_array::RecordBatch;
use ese_arrow::CellBuilder;
use ese_columns::{Cell, OutColumn};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use std::io;
use std::path::{Path, PathBuf};

const BATCH_ROWS: usize = 4096;
const BATCH_BYTES: usize = 4 << 20;
const ROW_GROUP_BYTES: usize = 16 << 20;
/// Tables with more columns are written without dictionaries, compression, statistics and indexes: those cost tens of
/// KiB for each column before its first value, and ESE tables have up to 64,994 columns.
const WIDE: usize = 1024;

pub(crate) struct ParquetTable {
    path: PathBuf,
    writer: ArrowWriter<Sink>,
    /// Rows that come one by one.
    rows: CellBuilder,
}

impl ParquetTable {
    pub(super) fn new(path: &Path, sink: Sink, columns: &[OutColumn<'_>]) -> io::Result<Self> {
        let rows = CellBuilder::new(columns);
        let properties = WriterProperties::builder();
        let properties = match columns.len() > WIDE {
            false => properties.set_compression(Compression::SNAPPY),
            true => properties
                .set_dictionary_enabled(false)
                .set_statistics_enabled(EnabledStatistics::None)
                .set_offset_index_disabled(true),
        };
        let writer = ArrowWriter::try_new(sink, rows.schema().clone(), Some(properties.build()))?;
        Ok(ParquetTable {
            path: path.to_owned(),
            writer,
            rows,
        })
    }

    /// Adds a batch of rows with the columns of the table.
    pub(crate) fn batch(&mut self, batch: &RecordBatch) -> io::Result<()> {
        if batch.num_columns() > 0 {
            self.writer.write(batch)?;
        }
        if self.writer.in_progress_size() > ROW_GROUP_BYTES {
            self.writer.flush()?;
        }
        Ok(())
    }

    fn write_rows(&mut self) -> io::Result<()> {
        if self.rows.rows() == 0 {
            return Ok(());
        }
        let batch = self.rows.finish().map_err(io::Error::other)?;
        self.batch(&batch)
    }

    /// Adds a row: a cell for each column, of the column's kind.
    pub(crate) fn row(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        if let Err(cell) = self.rows.row(cells) {
            let message = format!("{cell:?} is not of the type of its column");
            return Err(io::Error::other(message));
        }
        if self.rows.rows() == BATCH_ROWS || self.rows.bytes() >= BATCH_BYTES {
            self.write_rows()?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<(u64, String), ExportError> {
        let path = self.path.clone();
        self.write_rows()
            .map_err(|error| ExportError::write(&path, error))?;
        let sink = self.writer.into_inner();
        sink.map_err(|error| ExportError::write(&path, io::Error::from(error)))?
            .finish()
    }
}
