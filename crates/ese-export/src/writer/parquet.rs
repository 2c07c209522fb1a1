//! Apache Parquet. Rows are put together to row groups of a few megabytes, on any thread, so that memory does not grow with the
//! table, and the file takes one after the other.

use crate::ExportError;
use crate::sink::Sink;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema, SchemaRef};
use ese_arrow::{CellBuilder, schema_of};
use ese_columns::{Cell, Kind, OutColumn};
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves,
};
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::SerializedFileWriter;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of values after which a batch ends.
const BATCH_BYTES: usize = 1 << 20;
/// Bytes after which a row group ends.
const GROUP_BYTES: usize = 16 << 20;
/// Tables with more columns are written without dictionaries, compression, statistics and indexes, and one column after the
/// other: all of these cost tens of KiB for each column that is being written, and ESE tables have up to 64,994 columns.
const WIDE: usize = 1024;

pub(crate) struct ParquetTable {
    path: PathBuf,
    writer: SerializedFileWriter<Sink>,
    encoder: GroupEncoder,
    /// The kind of each column, and whether it holds lists.
    kinds: Vec<(Kind, bool)>,
    /// Rows that come one by one, if any do.
    rows: Option<CellBuilder>,
}

/// Makes row groups.
#[derive(Clone)]
pub(crate) struct GroupEncoder {
    schema: SchemaRef,
    properties: WriterPropertiesPtr,
    /// None for a wide table.
    columns: Option<Arc<ArrowRowGroupWriterFactory>>,
}

/// A row group that grows.
pub(crate) struct OpenGroup {
    schema: SchemaRef,
    rows: usize,
    columns: Vec<ArrowColumnWriter>,
    /// The rows of a wide table.
    batches: Vec<RecordBatch>,
    batched: usize,
}

/// A row group that is ready for the file.
pub(crate) struct RowGroup {
    rows: usize,
    columns: Vec<ArrowColumnChunk>,
    batches: Vec<RecordBatch>,
}

impl GroupEncoder {
    /// Bytes of values that a batch should have.
    pub(crate) fn batch_bytes(&self) -> usize {
        match self.columns {
            Some(_) => BATCH_BYTES,
            None => GROUP_BYTES,
        }
    }

    /// The schema of its batches.
    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// A row group without rows.
    pub(crate) fn begin(&self) -> io::Result<OpenGroup> {
        let columns = self.columns.as_ref();
        let columns = columns.map(|columns| columns.create_column_writers(0));
        Ok(OpenGroup {
            schema: Arc::clone(&self.schema),
            rows: 0,
            columns: columns.transpose()?.unwrap_or_default(),
            batches: Vec::new(),
            batched: 0,
        })
    }

    /// A column of a wide table, all rows of a row group. It has a writer of its own, which is gone afterwards.
    fn column(
        &self,
        field: &Arc<Field>,
        arrays: &[ArrayRef],
    ) -> parquet::errors::Result<Vec<ArrowColumnChunk>> {
        let schema = Arc::new(Schema::new(vec![Arc::clone(field)]));
        let of_parquet = ArrowSchemaConverter::new().convert(&schema)?;
        let properties = Arc::clone(&self.properties);
        let nowhere =
            SerializedFileWriter::new(io::sink(), of_parquet.root_schema_ptr(), properties)?;
        let mut writers =
            ArrowRowGroupWriterFactory::new(&nowhere, schema).create_column_writers(0)?;
        for array in arrays {
            let leaves = compute_leaves(field, array)?;
            for (writer, leaf) in writers.iter_mut().zip(leaves) {
                writer.write(&leaf)?;
            }
        }
        writers.into_iter().map(ArrowColumnWriter::close).collect()
    }
}

impl OpenGroup {
    /// Adds rows.
    pub(crate) fn add(&mut self, batch: RecordBatch) -> io::Result<()> {
        self.rows += batch.num_rows();
        if self.columns.is_empty() {
            self.batched += batch.get_array_memory_size();
            self.batches.push(batch);
            return Ok(());
        }
        let mut writers = self.columns.iter_mut();
        for (field, array) in self.schema.fields().iter().zip(batch.columns()) {
            for leaf in compute_leaves(field, array)? {
                let writer = writers.next();
                writer.map_or(Ok(()), |writer| writer.write(&leaf))?;
            }
        }
        Ok(())
    }

    /// Whether it should end.
    pub(crate) fn is_full(&self) -> bool {
        let sizes = self.columns.iter();
        let written: usize = sizes
            .map(ArrowColumnWriter::get_estimated_total_bytes)
            .sum();
        written + self.batched >= GROUP_BYTES
    }

    /// Ends it.
    pub(crate) fn finish(self) -> io::Result<RowGroup> {
        let columns = self.columns.into_iter().map(ArrowColumnWriter::close);
        Ok(RowGroup {
            rows: self.rows,
            columns: columns.collect::<Result<_, _>>()?,
            batches: self.batches,
        })
    }
}

impl ParquetTable {
    pub(super) fn new(path: &Path, sink: Sink, columns: &[OutColumn<'_>]) -> io::Result<Self> {
        let schema = schema_of(columns);
        let properties = WriterProperties::builder();
        let is_wide = columns.len() > WIDE;
        let properties = match is_wide {
            false => properties.set_compression(Compression::SNAPPY),
            true => properties
                .set_dictionary_enabled(false)
                .set_statistics_enabled(EnabledStatistics::None)
                .set_offset_index_disabled(true),
        };
        let properties = properties.build();
        let writer = ArrowWriter::try_new(sink, Arc::clone(&schema), Some(properties))?;
        let (writer, factory) = writer.into_serialized_writer()?;
        Ok(ParquetTable {
            path: path.to_owned(),
            encoder: GroupEncoder {
                schema,
                properties: Arc::clone(writer.properties()),
                columns: (!is_wide).then(|| Arc::new(factory)),
            },
            writer,
            kinds: columns
                .iter()
                .map(|column| (column.kind, column.list))
                .collect(),
            rows: None,
        })
    }

    /// What makes its row groups.
    pub(crate) fn encoder(&self) -> GroupEncoder {
        self.encoder.clone()
    }

    /// Adds a row group.
    pub(crate) fn group(&mut self, group: RowGroup) -> io::Result<()> {
        let fields = self.encoder.schema.fields();
        if group.rows == 0 || fields.is_empty() {
            return Ok(());
        }
        let mut taken = self.writer.next_row_group()?;
        for chunk in group.columns {
            chunk.append_to_row_group(&mut taken)?;
        }
        if !group.batches.is_empty() {
            // Each array goes when it is written.
            let batches = group.batches.into_iter();
            let mut batches: Vec<_> = batches
                .map(|batch| batch.into_parts().1.into_iter())
                .collect();
            for field in fields {
                let arrays = batches.iter_mut().filter_map(Iterator::next);
                for chunk in self.encoder.column(field, &arrays.collect::<Vec<_>>())? {
                    chunk.append_to_row_group(&mut taken)?;
                }
            }
        }
        taken.close()?;
        Ok(())
    }

    fn write_rows(&mut self) -> io::Result<()> {
        let Some(mut rows) = self.rows.take() else {
            return Ok(());
        };
        let batch = rows.finish().map_err(io::Error::other)?;
        let mut group = self.encoder.begin()?;
        group.add(batch)?;
        self.group(group.finish()?)
    }

    /// Adds a row: a cell for each column, of the column's kind.
    pub(crate) fn row(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        let (schema, kinds) = (&self.encoder.schema, &self.kinds);
        let rows = (self.rows).get_or_insert_with(|| {
            CellBuilder::with_schema(Arc::clone(schema), kinds.iter().copied())
        });
        if let Err(cell) = rows.row(cells) {
            let message = format!("{cell:?} is not of the type of its column");
            return Err(io::Error::other(message));
        }
        match rows.bytes() >= GROUP_BYTES {
            true => self.write_rows(),
            false => Ok(()),
        }
    }

    pub(super) fn finish(mut self) -> Result<(u64, String), ExportError> {
        let path = self.path.clone();
        let written = self.write_rows();
        let sink = written.and_then(|()| Ok(self.writer.into_inner()?));
        sink.map_err(|error| ExportError::write(&path, error))?
            .finish()
    }
}
