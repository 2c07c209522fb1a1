//! Fetches the values of a row into memory as far as they may be there; longer ones go to files, piece by piece.
//!
//! Invariant: whatever a database claims or holds, a row has no more in memory than what its page holds (unpacked)
//! and [`ROW_ROOM`] of long values, or one value of the length that the user asked for.

use crate::ExportError;
use crate::blobs::{Blob, Blobs};
use ese_columns::{Cell, CellProblem, Fetched, KeptBytes, is_long};
use ese_db::long_value::Pieces;
use ese_db::rows::{Content, Contents, Separated};
use ese_db::value::decode;
use ese_db::{Column, Value};
use ese_format::Progress;

/// Bytes of long values that one row may have in memory. A row of JSON is about twice as long, which common readers
/// of JSON Lines still take.
const ROW_ROOM: usize = 1 << 20;

/// Fetches the values of one row.
pub(crate) struct Fetcher<'f> {
    blobs: Option<&'f Blobs>,
    limit: usize,
    room: usize,
    left_out: Vec<u64>,
    progress: &'f dyn Progress,
}

impl<'f> Fetcher<'f> {
    /// Long values of more than `limit` bytes go to files, or are left out where there are none.
    pub(crate) fn new(blobs: Option<&'f Blobs>, limit: usize, progress: &'f dyn Progress) -> Self {
        Fetcher {
            blobs,
            limit,
            room: ROW_ROOM.max(limit),
            left_out: Vec::new(),
            progress,
        }
    }

    /// The value of `column`. Several values where there is no room for them (`!holds_several`) are problems, each.
    pub(crate) fn fetch<'a>(
        &mut self,
        contents: Contents<'a>,
        column: &Column,
        holds_several: bool,
    ) -> Result<Fetched<'a>, ExportError> {
        let mut problems = Vec::new();
        let (value, file) = match contents {
            Contents::Null => (Value::Null, Cell::Null),
            Contents::One(content) => self.one(content, column, &mut problems)?,
            Contents::Several(contents) if !holds_several => {
                for content in contents {
                    problems.push(self.keep(content)?);
                }
                (Value::Null, Cell::Null)
            }
            Contents::Several(contents) => {
                let mut values = Vec::with_capacity(contents.len());
                let mut files = Vec::with_capacity(contents.len());
                for content in contents {
                    let (value, file) = self.one(content, column, &mut problems)?;
                    values.push(value);
                    files.push(file);
                }
                let none = files.iter().all(|file| *file == Cell::Null);
                let files = if none { Cell::Null } else { Cell::List(files) };
                (Value::Multi(values), files)
            }
        };
        Ok(Fetched {
            value,
            file,
            problems,
            left_out: std::mem::take(&mut self.left_out),
        })
    }

    fn one<'a>(
        &mut self,
        content: Content<'a>,
        column: &Column,
        problems: &mut Vec<CellProblem>,
    ) -> Result<(Value<'a>, Cell<'static>), ExportError> {
        let inline = |bytes| {
            let value = decode(bytes, column.column_type, column.code_page);
            Ok((value, Cell::Null))
        };
        let long = match content {
            Content::Undecoded(bytes, reason) => {
                return Ok((Value::Undecoded { bytes, reason }, Cell::Null));
            }
            Content::Bytes(bytes) if is_long(column) && bytes.len() > self.limit => {
                let Some(blobs) = self.blobs else {
                    self.left_out.push(bytes.len() as u64);
                    return Ok((Value::Null, Cell::Null));
                };
                let mut file = blobs.create()?;
                file.write(&bytes)?;
                return Ok((Value::Null, Cell::Text(file.finish()?.into())));
            }
            Content::Bytes(bytes) => return inline(bytes),
            Content::Separated(long) => long,
        };
        let (gathered, problem) = self.separated(long)?;
        let (kept, reason) = match (gathered, problem) {
            (KeptBytes::Bytes(bytes), None) => return inline(bytes.into()),
            (KeptBytes::Nowhere, _) => return Ok((Value::Null, Cell::Null)),
            (KeptBytes::File(name), None) if is_long(column) => {
                return Ok((Value::Null, Cell::Text(name.into())));
            }
            (KeptBytes::File(name), problem) => {
                let type_name = column.column_type.name();
                let too_long = || format!("the value is too long for {type_name}");
                (KeptBytes::File(name), problem.unwrap_or_else(too_long))
            }
            (KeptBytes::Bytes(bytes), Some(reason)) => (KeptBytes::Bytes(bytes), reason),
        };
        problems.push(CellProblem::new(kept, reason));
        Ok((Value::Null, Cell::Null))
    }

    /// A value that has no place in its column.
    fn keep(&mut self, content: Content<'_>) -> Result<CellProblem, ExportError> {
        let (kept, problem) = match content {
            Content::Bytes(bytes) => (KeptBytes::Bytes(bytes.into_owned()), None),
            Content::Undecoded(bytes, reason) => {
                (KeptBytes::Bytes(bytes.into_owned()), Some(reason))
            }
            Content::Separated(long) => self.separated(long)?,
        };
        let no_place = || "one of several values in a column that holds one in this format".into();
        let reason = problem.unwrap_or_else(no_place);
        Ok(CellProblem::new(kept, reason))
    }

    /// The bytes of a long value, and what is wrong with them.
    fn separated(
        &mut self,
        long: Separated<'_>,
    ) -> Result<(KeptBytes, Option<String>), ExportError> {
        let mut pieces = match long.pieces() {
            Ok(pieces) => pieces,
            Err(error) => {
                let stored = long.reference().to_vec();
                return Ok((KeptBytes::Bytes(stored), Some(error.to_string())));
            }
        };
        let gathered = self.gather(&mut pieces)?;
        Ok((gathered, pieces.problem()))
    }

    fn gather(&mut self, pieces: &mut Pieces<'_>) -> Result<KeptBytes, ExportError> {
        let room = self.limit.min(self.room);
        let mut bytes: Vec<u8> = Vec::new();
        let mut file: Option<Blob<'_>> = None;
        while let Some(piece) = pieces.next() {
            match &mut file {
                Some(file) => file.write(&piece)?,
                None if bytes.len() + piece.len() <= room => bytes.extend_from_slice(&piece),
                None => {
                    let Some(blobs) = self.blobs else {
                        self.left_out.push(pieces.claimed_size().into());
                        return Ok(KeptBytes::Nowhere);
                    };
                    let file = file.insert(blobs.create()?);
                    file.write(&bytes)?;
                    file.write(&piece)?;
                    bytes = Vec::new();
                }
            }
            if self.progress.should_stop() {
                return Err(ExportError::Stopped);
            }
        }
        match file {
            Some(file) => Ok(KeptBytes::File(file.finish()?)),
            None => {
                self.room -= bytes.len();
                Ok(KeptBytes::Bytes(bytes))
            }
        }
    }
}

#[cfg(feature = "parquet")]
impl ese_arrow::FetchValue for Fetcher<'_> {
    type Error = ExportError;

    fn fetch<'a>(
        &mut self,
        contents: Contents<'a>,
        column: &Column,
        several: bool,
    ) -> Result<Fetched<'a>, ExportError> {
        Fetcher::fetch(self, contents, column, several)
    }
}
