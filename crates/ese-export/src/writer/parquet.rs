//! Apache Parquet, through Arrow's builders. Rows are gathered in batches; a row group ends when it has grown to a few
//! megabytes, so that memory does not grow with the table.

use crate::ExportError;
use crate::sink::Sink;
use arrow_array::RecordBatch;
use arrow_array::builder::{
    ArrayBuilder, BinaryBuilder, BooleanBuilder, ListBuilder, PrimitiveBuilder, StringBuilder,
    make_builder,
};
use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use ese_columns::Cell;
use ese_columns::{Kind, OutColumn};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const BATCH_ROWS: usize = 4096;
const BATCH_BYTES: usize = 4 << 20;
const ROW_GROUP_BYTES: usize = 16 << 20;
/// Tables with more columns are written without dictionaries, compression, statistics and indexes: those cost tens of
/// KiB for each column before its first value, and ESE tables have up to 64,994 columns.
const WIDE: usize = 1024;

pub(crate) struct ParquetTable {
    path: PathBuf,
    schema: Arc<Schema>,
    writer: ArrowWriter<Sink>,
    columns: Vec<(Kind, bool, Box<dyn ArrayBuilder>)>,
    rows: usize,
    bytes: usize,
}

impl ParquetTable {
    pub(super) fn new(path: &Path, sink: Sink, columns: &[OutColumn<'_>]) -> io::Result<Self> {
        let fields = columns.iter().map(|column| {
            let item = data_type(column.kind);
            let whole = match column.list {
                true => DataType::List(Arc::new(Field::new_list_field(item, true))),
                false => item,
            };
            Field::new(&column.name, whole, true)
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let properties = WriterProperties::builder();
        let properties = match columns.len() > WIDE {
            false => properties.set_compression(Compression::SNAPPY),
            true => properties
                .set_dictionary_enabled(false)
                .set_statistics_enabled(EnabledStatistics::None)
                .set_offset_index_disabled(true),
        };
        let writer = ArrowWriter::try_new(sink, schema.clone(), Some(properties.build()))?;
        let builders = columns.iter().map(|column| {
            let item = make_builder(&data_type(column.kind), 0);
            let builder: Box<dyn ArrayBuilder> = match column.list {
                true => Box::new(ListBuilder::new(item)),
                false => item,
            };
            (column.kind, column.list, builder)
        });
        Ok(ParquetTable {
            path: path.to_owned(),
            schema,
            writer,
            columns: builders.collect(),
            rows: 0,
            bytes: 0,
        })
    }

    fn write_batch(&mut self) -> io::Result<()> {
        if self.rows == 0 || self.columns.is_empty() {
            return Ok(());
        }
        let arrays = self
            .columns
            .iter_mut()
            .map(|(_, _, builder)| builder.finish());
        let batch = RecordBatch::try_new(self.schema.clone(), arrays.collect())
            .map_err(io::Error::other)?;
        self.writer.write(&batch)?;
        if self.writer.in_progress_size() > ROW_GROUP_BYTES {
            self.writer.flush()?;
        }
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }

    /// Adds a row: a cell for each column, of the column's kind.
    pub(crate) fn row(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        for (cell, (kind, list, builder)) in cells.iter().zip(&mut self.columns) {
            self.bytes += size(cell);
            let fits = match *list {
                true => append_list(builder, cell, *kind),
                false => append(builder, cell, *kind),
            };
            if !fits {
                return Err(io::Error::other(format!("{cell:?} is no {kind:?}")));
            }
        }
        self.rows += 1;
        if self.rows == BATCH_ROWS || self.bytes >= BATCH_BYTES {
            self.write_batch()?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<(u64, String), ExportError> {
        let path = self.path.clone();
        self.write_batch()
            .map_err(|error| ExportError::write(&path, error))?;
        let sink = self.writer.into_inner();
        sink.map_err(|error| ExportError::write(&path, io::Error::from(error)))?
            .finish()
    }
}

fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Bool => DataType::Boolean,
        Kind::I16 => DataType::Int16,
        Kind::I32 => DataType::Int32,
        Kind::I64 => DataType::Int64,
        Kind::U8 => DataType::UInt8,
        Kind::U16 => DataType::UInt16,
        Kind::U32 => DataType::UInt32,
        Kind::U64 | Kind::Bits => DataType::UInt64,
        Kind::F32 => DataType::Float32,
        Kind::F64 => DataType::Float64,
        Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Kind::Text => DataType::Utf8,
        Kind::Bytes => DataType::Binary,
    }
}

fn size(cell: &Cell<'_>) -> usize {
    match cell {
        Cell::Text(text) => text.len(),
        Cell::Bytes(bytes) => bytes.len(),
        Cell::List(cells) => cells.iter().map(size).sum(),
        _ => 8,
    }
}

/// Appends a cell to a list column; returns whether its values are of the column's type.
fn append_list(builder: &mut Box<dyn ArrayBuilder>, cell: &Cell<'_>, kind: Kind) -> bool {
    let lists = builder
        .as_any_mut()
        .downcast_mut::<ListBuilder<Box<dyn ArrayBuilder>>>();
    let Some(lists) = lists else { return false };
    let fits = match cell {
        Cell::Null => {
            lists.append(false);
            return true;
        }
        Cell::List(cells) => cells.iter().all(|cell| append(lists.values(), cell, kind)),
        single => append(lists.values(), single, kind),
    };
    lists.append(true);
    fits
}

/// Appends a cell; returns whether it is of the column's type.
fn append(builder: &mut Box<dyn ArrayBuilder>, cell: &Cell<'_>, kind: Kind) -> bool {
    let done = match kind {
        Kind::Bool => typed::<BooleanBuilder>(builder, |builder| {
            builder.append_option(match cell {
                Cell::Bool(value) => Some(*value),
                _ => None,
            });
            builder.len()
        }),
        Kind::I16 => number::<Int16Type>(builder, signed(cell)),
        Kind::I32 => number::<Int32Type>(builder, signed(cell)),
        Kind::I64 => number::<Int64Type>(builder, signed(cell)),
        Kind::U8 => number::<UInt8Type>(builder, unsigned(cell)),
        Kind::U16 => number::<UInt16Type>(builder, unsigned(cell)),
        Kind::U32 => number::<UInt32Type>(builder, unsigned(cell)),
        Kind::U64 | Kind::Bits => number::<UInt64Type>(builder, unsigned(cell)),
        Kind::F32 => number::<Float32Type>(
            builder,
            match cell {
                Cell::Single(value) => Some(*value),
                _ => None,
            },
        ),
        Kind::F64 => number::<Float64Type>(
            builder,
            match cell {
                Cell::Double(value) => Some(*value),
                _ => None,
            },
        ),
        Kind::Time => number::<TimestampMicrosecondType>(
            builder,
            match cell {
                Cell::Time(value) => Some(*value),
                _ => None,
            },
        ),
        Kind::Text => typed::<StringBuilder>(builder, |builder| {
            builder.append_option(match cell {
                Cell::Text(text) => Some(text),
                _ => None,
            });
            builder.len()
        }),
        Kind::Bytes => typed::<BinaryBuilder>(builder, |builder| {
            builder.append_option(match cell {
                Cell::Bytes(bytes) => Some(bytes),
                _ => None,
            });
            builder.len()
        }),
    };
    let fits = matches!(
        (kind, cell),
        (_, Cell::Null)
            | (Kind::Bool, Cell::Bool(_))
            | (Kind::I16 | Kind::I32 | Kind::I64, Cell::Integer(_))
            | (
                Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64 | Kind::Bits,
                Cell::Unsigned(_)
            )
            | (Kind::F32, Cell::Single(_))
            | (Kind::F64, Cell::Double(_))
            | (Kind::Time, Cell::Time(_))
            | (Kind::Text, Cell::Text(_))
            | (Kind::Bytes, Cell::Bytes(_))
    );
    done && fits
}

fn typed<B: ArrayBuilder>(
    builder: &mut Box<dyn ArrayBuilder>,
    append: impl FnOnce(&mut B) -> usize,
) -> bool {
    let builder = builder.as_any_mut().downcast_mut::<B>();
    builder.map(append).is_some()
}

fn number<T: ArrowPrimitiveType>(
    builder: &mut Box<dyn ArrayBuilder>,
    value: Option<T::Native>,
) -> bool {
    typed::<PrimitiveBuilder<T>>(builder, |builder| {
        builder.append_option(value);
        builder.len()
    })
}

fn signed<N: TryFrom<i64>>(cell: &Cell<'_>) -> Option<N> {
    match cell {
        Cell::Integer(value) => N::try_from(*value).ok(),
        _ => None,
    }
}

fn unsigned<N: TryFrom<u64>>(cell: &Cell<'_>) -> Option<N> {
    match cell {
        Cell::Unsigned(value) => N::try_from(*value).ok(),
        _ => None,
    }
}
