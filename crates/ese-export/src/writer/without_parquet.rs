//! What stands for Parquet in a build without it.

use crate::ExportError;
use crate::sink::Sink;
use crate::tables::{Job, Tally};
use ese_columns::{Cell, OutColumn};
use std::io;
use std::path::Path;

/// There is none.
pub(crate) enum ParquetTable {}

impl ParquetTable {
    pub(crate) fn new(_: &Path, _: Sink, _: &[OutColumn<'_>]) -> io::Result<Self> {
        let message = "this program was built without Parquet (feature `parquet`)";
        Err(io::Error::new(io::ErrorKind::Unsupported, message))
    }

    pub(crate) fn row(&mut self, _: &[Cell<'_>]) -> io::Result<()> {
        match *self {}
    }

    pub(crate) fn finish(self) -> Result<(u64, String), ExportError> {
        match self {}
    }
}

pub(crate) fn write_columns(
    _: &mut Job<'_>,
    table: &mut ParquetTable,
) -> Result<Tally, ExportError> {
    match *table {}
}
