//! The records of a stream, over all its generations.
//!
//! Reading is one thing, looking at records another: a [`Finder`] reads and checks one log after the other and finds
//! the records in it, a batch at a time. It works where it is asked, or ahead on a thread of its own; the batches are
//! the same, and errors are at the same place among the records.

use crate::chain::{Ending, Opening, Outline, prove};
use crate::error::LogError;
use crate::folder::{StreamFile, StreamFiles};
use crate::image::{Damage, LogImage, read_file};
use crate::records::{FoundRecord, RawRecord, RecordCursor};
use ese_format::log::LogHeader;
use ese_format::{Generation, JetError, RecordFormat};
use std::collections::VecDeque;
use std::fmt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Records in a batch: enough for the threads to meet seldom, few enough for a log of nothing but tiny records.
const BATCH_SIZE: usize = 16384;
/// Batches that wait to be taken. With the one in use and the one in the making, that many logs are in memory.
const BATCHES_AHEAD: usize = 2;

/// What sees every log as it is on disk, before it is looked at.
pub type LogObserver = Box<dyn FnMut(&Path, &[u8]) + Send>;

/// A log stream in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogStream {
    files: StreamFiles,
}

impl LogStream {
    /// The stream with base name `base` in `folder`, or its only stream. It has at least one log.
    pub fn open(folder: &Path, base: Option<&str>) -> Result<Self, LogError> {
        let files = StreamFiles::find(folder, base)?;
        if files.is_empty() {
            return Err(LogError::NoStream {
                folder: folder.to_owned(),
                base: base.map(str::to_owned),
            });
        }
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

/// Records of one log after the other, few files in memory at a time.
///
/// Stops, with an error, where recovery would: at a log that cannot be read, does not follow the one before, shows that
/// the end of the one before is missing, or is damaged in a way that the engine does not put right. Damage that it does put right is passed over and kept in
/// [`repaired`](Self::repaired).
#[derive(Debug)]
pub struct StreamRecords {
    source: Source,
    batch: Batch,
    /// The place in the batch after the present record.
    next: usize,
    waited: Duration,
    /// Damage that was put right in memory, so far.
    pub repaired: Vec<Damage>,
}

impl StreamRecords {
    /// Records of these files, which are logs in ascending order of generation.
    pub fn new(files: impl IntoIterator<Item = StreamFile>) -> Self {
        StreamRecords {
            source: Source::Here(Box::new(Finder {
                files: files.into_iter().collect(),
                ..Finder::default()
            })),
            batch: Batch::default(),
            next: 0,
            waited: Duration::ZERO,
            repaired: Vec::new(),
        }
    }

    /// Shows the bytes of every log to `observer` when they are read; to be called before anything is.
    pub fn shown_to(mut self, observer: LogObserver) -> Self {
        if let Source::Here(finder) = &mut self.source {
            finder.observer = Some(observer);
        }
        self
    }

    /// Reads ahead, on another thread.
    pub fn ahead(mut self) -> Self {
        self.source = match self.source {
            Source::Here(finder) => Source::Ahead(ReadAhead::begin(finder)),
            other => other,
        };
        self
    }

    /// The log that the last record came from.
    pub fn image(&self) -> Option<&LogImage> {
        self.batch.image.as_deref()
    }

    /// Records that were not whole when their log ended, so far.
    pub fn unfinished(&self) -> u64 {
        self.batch.unfinished
    }

    /// How long [`next_record`](Self::next_record) was busy reading, or waited for the thread that reads ahead.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// The record that [`next_record`](Self::next_record) gave last.
    pub fn current(&self) -> Option<RawRecord<'_>> {
        self.batch.record(self.next.checked_sub(1)?)
    }

    /// The next record; `None` at the end of the stream.
    pub fn next_record(&mut self) -> Result<Option<RawRecord<'_>>, LogError> {
        while let Some(step) = self.advance()? {
            if step == StreamStep::Record {
                return Ok(self.current());
            }
        }
        Ok(None)
    }

    /// Goes to the next log or record; `None` at the end of the stream. A log without any record is met as well.
    pub fn advance(&mut self) -> Result<Option<StreamStep>, LogError> {
        while self.next >= self.batch.found.len() {
            let asked = Instant::now();
            let batch = self.source.next_batch();
            self.waited += asked.elapsed();
            let Some(mut batch) = batch? else {
                return Ok(None);
            };
            self.repaired.append(&mut batch.repaired);
            let begins_log = batch.begins_log;
            self.batch = batch;
            self.next = 0;
            if begins_log {
                return Ok(Some(StreamStep::Log));
            }
        }
        self.next += 1;
        Ok(Some(StreamStep::Record))
    }
}

/// What [`StreamRecords::advance`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamStep {
    /// The next log: [`StreamRecords::image`].
    Log,
    /// The next record: [`StreamRecords::current`].
    Record,
}

/// Records of one log, found but not decoded.
#[derive(Debug, Default)]
struct Batch {
    image: Option<Arc<LogImage>>,
    format: Option<RecordFormat>,
    found: Vec<FoundRecord>,
    /// Bytes of the records that were put together.
    assembled: Vec<u8>,
    /// Whether its log begins with it.
    begins_log: bool,
    /// Damage that was put right in the log that this batch begins.
    repaired: Vec<Damage>,
    /// Records that were not whole, from the start of the stream to the end of this batch.
    unfinished: u64,
}

impl Batch {
    fn record(&self, number: usize) -> Option<RawRecord<'_>> {
        let image = self.image.as_deref()?;
        let found = self.found.get(number)?;
        found.record(image, self.format?, &self.assembled)
    }
}

/// Where batches come from.
#[derive(Debug)]
enum Source {
    Here(Box<Finder>),
    Ahead(ReadAhead),
    /// The stream has ended.
    Ended,
}

impl Source {
    /// The next batch. After an error or the end there is none.
    fn next_batch(&mut self) -> Result<Option<Batch>, LogError> {
        let batch = match self {
            Source::Here(finder) => finder.next_batch(),
            Source::Ahead(ahead) => ahead.next_batch(),
            Source::Ended => return Ok(None),
        };
        if !matches!(batch, Ok(Some(_))) {
            *self = Source::Ended;
        }
        batch
    }
}

/// A [`Finder`] on a thread of its own.
#[derive(Debug)]
struct ReadAhead {
    /// What the finder gives, its end included. Taken away to end the thread.
    batches: Option<Receiver<Result<Option<Batch>, LogError>>>,
    thread: Option<JoinHandle<()>>,
}

impl ReadAhead {
    fn begin(mut finder: Box<Finder>) -> Self {
        let (sender, batches) = sync_channel(BATCHES_AHEAD);
        let thread = thread::spawn(move || {
            loop {
                let batch = finder.next_batch();
                let more = matches!(batch, Ok(Some(_)));
                if sender.send(batch).is_err() || !more {
                    return;
                }
            }
        });
        ReadAhead {
            batches: Some(batches),
            thread: Some(thread),
        }
    }

    fn next_batch(&mut self) -> Result<Option<Batch>, LogError> {
        let received = self
            .batches
            .as_ref()
            .and_then(|batches| batches.recv().ok());
        received.unwrap_or_else(|| {
            // Only a panic ends the thread before the stream, and that must not look like the end of the logs.
            if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
                resume_unwind(panic);
            }
            Ok(None)
        })
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            // A panic of a thread whose records nobody asks for any more changes nothing.
            let _ = thread.join();
        }
    }
}

/// Reads logs and finds their records.
#[derive(Default)]
struct Finder {
    files: VecDeque<StreamFile>,
    image: Option<Arc<LogImage>>,
    cursor: RecordCursor,
    /// What is noted of the log in memory.
    outline: Outline,
    /// The log before it.
    previous: Option<Previous>,
    observer: Option<LogObserver>,
    /// What is after the last batch.
    problem: Option<LogError>,
}

/// A log that has been read, for the next one to be held against.
struct Previous {
    path: PathBuf,
    header: LogHeader,
    ending: Ending,
}

impl fmt::Debug for Finder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finder").finish_non_exhaustive()
    }
}

impl Finder {
    /// The next records of the log in memory, or the first ones of the next log.
    fn next_batch(&mut self) -> Result<Option<Batch>, LogError> {
        if let Some(problem) = self.problem.take() {
            return Err(problem);
        }
        let mut batch = Batch::default();
        let image = match &self.image {
            Some(image) => Arc::clone(image),
            None => {
                let Some(file) = self.files.pop_front() else {
                    return Ok(None);
                };
                let image = Arc::new(self.enter(&file, &mut batch)?);
                batch.begins_log = true;
                self.image = Some(Arc::clone(&image));
                image
            }
        };
        batch.found.reserve(BATCH_SIZE);
        while batch.found.len() < BATCH_SIZE {
            match self.advance(&image) {
                Ok(true) => batch
                    .found
                    .extend(self.cursor.take_found(&mut batch.assembled)),
                Ok(false) => {
                    self.image = None;
                    break;
                }
                Err(problem) => {
                    self.problem = Some(problem);
                    break;
                }
            }
        }
        batch.format = Some(image.format());
        batch.image = Some(image);
        batch.unfinished = self.cursor.unfinished;
        Ok(Some(batch))
    }

    /// Goes to the next record of `image`; `false` if it has no more.
    fn advance(&mut self, image: &LogImage) -> Result<bool, LogError> {
        self.outline.before(&self.cursor);
        let more = self.cursor.advance(image).map_err(|bad| LogError::Record {
            path: image.path.clone(),
            lgpos: bad.lgpos,
            jet: bad.problem.jet(),
            problem: bad.problem,
        })?;
        if more {
            self.outline.record(&self.cursor, image);
            return Ok(true);
        }
        self.previous = Some(Previous {
            path: image.path.clone(),
            header: image.header.clone(),
            ending: std::mem::take(&mut self.outline).ending(image, &self.cursor),
        });
        let is_last = self.files.is_empty();
        let mut damage = image.body.damage.iter();
        match damage.find(|damage| damage.is_fatal(is_last)) {
            Some(damage) => Err(LogError::Damaged {
                path: image.path.clone(),
                lgpos: damage.lgpos(),
                jet: JetError::LOG_FILE_CORRUPT,
            }),
            None => Ok(false),
        }
    }

    /// Reads the next log, which must continue the one before.
    fn enter(&mut self, file: &StreamFile, batch: &mut Batch) -> Result<LogImage, LogError> {
        let mut bytes = Vec::new();
        read_file(&file.path, &mut bytes)?;
        if let Some(observer) = &mut self.observer {
            observer(&file.path, &bytes);
        }
        let image = LogImage::from_bytes(&file.path, bytes)?;
        if let Some(previous) = &self.previous {
            follows(&previous.header, &image)?;
            let proof = prove(&previous.ending, Some(&Opening::of(&image)));
            if let Some(jet) = proof.jet() {
                return Err(LogError::Incomplete {
                    path: previous.path.clone(),
                    proof,
                    jet,
                });
            }
        }
        let repaired = image.body.damage.iter();
        let repaired = repaired.filter(|damage| !damage.is_fatal(self.files.is_empty()));
        batch.repaired.extend(repaired.cloned());
        self.cursor.reset();
        Ok(image)
    }
}

/// Whether a log continues the one with the header `previous`.
fn follows(previous: &LogHeader, image: &LogImage) -> Result<(), LogError> {
    let expected = previous.generation.next();
    let found = image.header.generation;
    let jet = if found != expected {
        JetError::MISSING_LOG_FILE
    } else if image.header.signature != previous.signature {
        JetError::BAD_LOG_SIGNATURE
    } else if image.header.previous_created != previous.created {
        JetError::INVALID_LOG_SEQUENCE
    } else {
        return Ok(());
    };
    Err(LogError::Sequence {
        path: image.path.clone(),
        expected,
        found,
        jet,
    })
}
