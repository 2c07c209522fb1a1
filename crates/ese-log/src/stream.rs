//! The records of a stream, over all its generations.

use crate::error::LogError;
use crate::folder::{StreamFile, StreamFiles};
use crate::image::{Damage, LogImage};
use crate::records::{RawRecord, RecordCursor};
use ese_format::log::LogHeader;
use ese_format::{Generation, JetError};
use std::collections::VecDeque;
use std::path::Path;

/// A log stream in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogStream {
    files: StreamFiles,
}

impl LogStream {
    /// The stream with base name `base` in `folder`, or its only stream.
    pub fn open(folder: &Path, base: Option<&str>) -> Result<Self, LogError> {
        let files = StreamFiles::find(folder, base)?;
        Ok(LogStream { files })
    }

    /// The stream of these files.
    pub fn new(files: StreamFiles) -> Self {
        LogStream { files }
    }

    /// Its files.
    pub fn files(&self) -> &StreamFiles {
        &self.files
    }

    /// All its records, from the first generation whose name is `from` or higher, up to the end of the current log.
    pub fn records(&self, from: Generation) -> StreamRecords {
        let files = self.files.in_order().filter(|file| match file.role {
            crate::FileRole::Generation { generation, .. } => generation >= from,
            _ => true,
        });
        StreamRecords::new(files.cloned())
    }
}

/// Records of one log after the other, one file in memory at a time.
///
/// Stops, with an error, where recovery would: at a log that cannot be read, does not follow the one before, or is
/// damaged in a way that the engine does not put right. Damage that it does put right is passed over and kept in
/// [`repaired`](Self::repaired).
#[derive(Debug)]
pub struct StreamRecords {
    files: VecDeque<StreamFile>,
    image: Option<LogImage>,
    cursor: RecordCursor,
    previous: Option<LogHeader>,
    /// Damage that was put right in memory, so far.
    pub repaired: Vec<Damage>,
}

impl StreamRecords {
    /// Records of these files, which are logs in ascending order of generation.
    pub fn new(files: impl IntoIterator<Item = StreamFile>) -> Self {
        StreamRecords {
            files: files.into_iter().collect(),
            image: None,
            cursor: RecordCursor::new(),
            previous: None,
            repaired: Vec::new(),
        }
    }

    /// The log that the last record came from.
    pub fn image(&self) -> Option<&LogImage> {
        self.image.as_ref()
    }

    /// Records that were not whole when their log ended, so far.
    pub fn unfinished(&self) -> u64 {
        self.cursor.unfinished
    }

    /// The record that [`next_record`](Self::next_record) gave last.
    pub fn current(&self) -> Option<RawRecord<'_>> {
        let image = self.image.as_ref()?;
        self.cursor.current(image)
    }

    /// The next record; `None` at the end of the stream.
    pub fn next_record(&mut self) -> Result<Option<RawRecord<'_>>, LogError> {
        while !self.advance()? {
            let Some(file) = self.files.pop_front() else {
                return Ok(None);
            };
            self.enter(&file)?;
        }
        let image = self.image.as_ref();
        Ok(image.and_then(|image| self.cursor.current(image)))
    }

    /// Goes to the next record of the log in memory; `false` if it has no more.
    fn advance(&mut self) -> Result<bool, LogError> {
        let Some(image) = &self.image else {
            return Ok(false);
        };
        let more = self.cursor.advance(image).map_err(|bad| LogError::Record {
            path: image.path.clone(),
            lgpos: bad.lgpos,
            jet: bad.problem.jet(),
            problem: bad.problem,
        })?;
        if more {
            return Ok(true);
        }
        let is_last = self.files.is_empty();
        match image
            .body
            .damage
            .iter()
            .find(|damage| damage.is_fatal(is_last))
        {
            Some(damage) => Err(LogError::Damaged {
                path: image.path.clone(),
                lgpos: damage.lgpos(),
                jet: JetError::LOG_FILE_CORRUPT,
            }),
            None => Ok(false),
        }
    }

    /// Reads the next log, which must continue the one before.
    fn enter(&mut self, file: &StreamFile) -> Result<(), LogError> {
        let image = LogImage::read(&file.path)?;
        if let Some(previous) = &self.previous {
            let expected = Generation(previous.generation.0.saturating_add(1));
            let found = image.header.generation;
            let jet = if found != expected {
                Some(JetError::MISSING_LOG_FILE)
            } else if image.header.signature != previous.signature {
                Some(JetError::BAD_LOG_SIGNATURE)
            } else if image.header.previous_created != previous.created {
                Some(JetError::INVALID_LOG_SEQUENCE)
            } else {
                None
            };
            if let Some(jet) = jet {
                return Err(LogError::Sequence {
                    path: file.path.clone(),
                    expected,
                    found,
                    jet,
                });
            }
        }
        let repaired = image.body.damage.iter();
        let repaired = repaired.filter(|damage| !damage.is_fatal(self.files.is_empty()));
        self.repaired.extend(repaired.cloned());
        self.cursor.reset();
        self.previous = Some(image.header.clone());
        self.image = Some(image);
        Ok(())
    }
}
