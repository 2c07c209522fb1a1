//! Apache Parquet: the flat table of CSV, with times and numbers as such.

use super::ChangeSink;
use super::batch::{ChangeBatch, change_schema};
use crate::event::Change;
use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::Compression;
use ::parquet::file::properties::WriterProperties;
use std::io::{self, Write};

const ROW_GROUP_BYTES: usize = 16 << 20;

/// Writes changes as Parquet.
pub struct ParquetSink<W: Write + Send> {
    to: Option<ArrowWriter<W>>,
    batch: ChangeBatch,
}

impl<W: Write + Send> ParquetSink<W> {
    /// A sink that writes to `to`.
    pub fn new(to: W) -> io::Result<Self> {
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
        let to = ArrowWriter::try_new(to, change_schema(), Some(properties.build()))?;
        Ok(ParquetSink {
            to: Some(to),
            batch: ChangeBatch::default(),
        })
    }

    fn write_batch(&mut self) -> io::Result<()> {
        let Some(to) = self.to.as_mut().filter(|_| !self.batch.is_empty()) else {
            return Ok(());
        };
        to.write(&self.batch.take()?)?;
        if to.in_progress_size() > ROW_GROUP_BYTES {
            to.flush()?;
        }
        Ok(())
    }
}

impl<W: Write + Send> ChangeSink for ParquetSink<W> {
    fn change(&mut self, change: &Change<'_>) -> io::Result<()> {
        self.batch.add(change);
        match self.batch.is_full() {
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
