//! Reading from a source that may fail, hang or be slow.
//!
//! Reads are made by a helper thread, in pieces. One that does not answer in time is left alone with its buffer, and
//! another takes its place; an error that may pass is tried again after a while.

use crate::CopyError;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use ese_format::Progress;
use ese_scan::{Buffer, RateLimit};
use evidence::{ReadError, ReadErrorKind, Retry, SourceFile, Stamp};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// What is looked for when a larger read failed: the smallest unit that disks fail in.
const SECTOR: u64 = 4096;

/// How a source is read.
#[derive(Debug, Clone)]
pub struct ReadPolicy {
    /// How an error that may pass is tried again.
    pub retry: Retry,
    /// How long to wait for an answer; for ever if `None`.
    pub timeout: Option<Duration>,
    /// How fast to read at most.
    pub rate: Arc<RateLimit>,
}

impl Default for ReadPolicy {
    fn default() -> Self {
        ReadPolicy {
            retry: Retry::default(),
            timeout: Some(Duration::from_secs(60)),
            rate: Arc::new(RateLimit::unlimited()),
        }
    }
}

impl ReadPolicy {
    /// Calls `attempt` until it succeeds, fails for good, was tried often enough, or `progress` says to stop.
    pub fn persist<T>(
        &self,
        progress: &dyn Progress,
        attempt: impl FnMut() -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        self.retry.persist(&|| progress.should_stop(), attempt)
    }

    /// Waits after so many failures in a row.
    fn back_off(&self, failures: u32, progress: &dyn Progress) {
        self.retry.back_off(failures, &|| progress.should_stop());
    }
}

/// Reads one source, one request at a time.
pub struct SourceReader {
    source: Arc<dyn SourceFile>,
    policy: ReadPolicy,
    helper: Option<Helper>,
    retried: u64,
}

struct Helper {
    requests: Sender<Request>,
    answers: Receiver<Answer>,
}

enum Request {
    Read {
        buffer: Buffer,
        place: Range<usize>,
        offset: u64,
    },
    Stamp,
}

enum Answer {
    Read {
        buffer: Buffer,
        result: Result<(), ReadError>,
    },
    Stamp(Result<Stamp, ReadError>),
}

impl Helper {
    fn start(source: Arc<dyn SourceFile>) -> Self {
        let (requests, take) = bounded::<Request>(1);
        let (give, answers) = bounded(1);
        std::thread::spawn(move || {
            for request in take {
                let answer = match request {
                    Request::Stamp => Answer::Stamp(
                        source
                            .stamp_now()
                            .map_err(|error| ReadError::from_io(&error)),
                    ),
                    Request::Read {
                        mut buffer,
                        place,
                        offset,
                    } => {
                        let result = source.read_exact_at(&mut buffer[place], offset);
                        let result = result.map_err(|error| ReadError::from_io(&error));
                        Answer::Read { buffer, result }
                    }
                };
                // Nobody waits any more when the answer came too late.
                if give.send(answer).is_err() {
                    return;
                }
            }
        });
        Helper { requests, answers }
    }
}

impl SourceReader {
    /// A reader of `source`.
    pub fn new(source: Arc<dyn SourceFile>, policy: ReadPolicy) -> Self {
        SourceReader {
            source,
            policy,
            helper: None,
            retried: 0,
        }
    }

    /// How often a read had to be tried again.
    pub fn retried(&self) -> u64 {
        self.retried
    }

    /// Reads the bytes of `range` into `buffer`, whose content is lost. What is returned is shorter when `progress`
    /// said to stop.
    pub fn read(
        &mut self,
        range: Range<u64>,
        mut buffer: Buffer,
        progress: &dyn Progress,
    ) -> Result<Buffer, CopyError> {
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        buffer.resize(length);
        let mut done = 0;
        let mut best = 0;
        let mut failures = 0;
        while done < length {
            let place = done..length.min(done + self.source.piece());
            let offset = range.start + done as u64;
            self.policy.rate.wait(place.len() as u64, progress);
            if progress.should_stop() {
                buffer.truncate(done);
                break;
            }
            let (returned, result) = self.read_piece(buffer, place.clone(), offset);
            // A buffer that stayed with a read that hangs took what it held with it.
            (buffer, done) = match returned {
                Some(buffer) => (buffer, done),
                None => (Buffer::new(length), 0),
            };
            match result {
                Ok(()) => {
                    done = place.end;
                    if done > best {
                        (best, failures) = (done, 0);
                    }
                }
                Err(error) => {
                    failures += 1;
                    if error.kind != ReadErrorKind::Passing || failures > self.policy.retry.retries
                    {
                        return Err(self.give_up(error, offset, place.len() as u64, failures));
                    }
                    self.retried += 1;
                    self.policy.back_off(failures, progress);
                }
            }
        }
        Ok(buffer)
    }

    /// What the source is now; `None` when `progress` said to stop before it answered.
    pub fn stamp_now(&mut self, progress: &dyn Progress) -> Result<Option<Stamp>, CopyError> {
        let mut failures = 0;
        while !progress.should_stop() {
            let result = match self.ask(Request::Stamp) {
                Ok(Answer::Stamp(result)) => result,
                Ok(Answer::Read { .. }) => Err(no_answer()),
                Err(error) => Err(error),
            };
            let error = match result {
                Ok(stamp) => return Ok(Some(stamp)),
                Err(error) => error,
            };
            failures += 1;
            if error.kind != ReadErrorKind::Passing || failures > self.policy.retry.retries {
                let name = self.source.name();
                return Err(CopyError::Source { name, error });
            }
            self.retried += 1;
            self.policy.back_off(failures, progress);
        }
        Ok(None)
    }

    /// Hints that the bytes of `range` will not be read again.
    pub fn forget(&self, range: Range<u64>) {
        self.source.forget(range.start, range.end - range.start);
    }

    fn read_piece(
        &mut self,
        buffer: Buffer,
        place: Range<usize>,
        offset: u64,
    ) -> (Option<Buffer>, Result<(), ReadError>) {
        match self.ask(Request::Read {
            buffer,
            place,
            offset,
        }) {
            Ok(Answer::Read { buffer, result }) => (Some(buffer), result),
            Ok(Answer::Stamp(_)) => (None, Err(no_answer())),
            Err(error) => (None, Err(error)),
        }
    }

    fn ask(&mut self, request: Request) -> Result<Answer, ReadError> {
        let helper = self
            .helper
            .get_or_insert_with(|| Helper::start(Arc::clone(&self.source)));
        let sent = helper.requests.send(request).is_ok();
        let answer = match self.policy.timeout {
            Some(timeout) => helper.answers.recv_timeout(timeout),
            None => helper
                .answers
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected),
        };
        match (sent, answer) {
            (true, Ok(answer)) => Ok(answer),
            (_, Err(RecvTimeoutError::Timeout)) => {
                self.helper = None;
                let waited = self.policy.timeout.unwrap_or_default().as_secs_f64();
                Err(ReadError::new(
                    ReadErrorKind::Passing,
                    format!("no answer within {waited} seconds"),
                ))
            }
            _ => {
                self.helper = None;
                Err(no_answer())
            }
        }
    }

    fn give_up(&mut self, error: ReadError, offset: u64, needed: u64, attempts: u32) -> CopyError {
        let name = self.source.name();
        match error.kind {
            ReadErrorKind::Changed => CopyError::SourceChanged {
                name,
                differences: vec![error.message],
            },
            ReadErrorKind::Vanished | ReadErrorKind::InUse => CopyError::Source { name, error },
            ReadErrorKind::Passing | ReadErrorKind::Permanent => {
                let (offset, needed) = self.first_unreadable(offset, needed);
                CopyError::Read {
                    name,
                    offset,
                    needed,
                    attempts,
                    error,
                }
            }
        }
    }

    /// The first sector within the range that fails alone; the range itself if none does.
    fn first_unreadable(&mut self, offset: u64, needed: u64) -> (u64, u64) {
        if self.source.path().is_none() {
            return (offset, needed);
        }
        let mut at = offset;
        while at < offset + needed {
            let length = SECTOR.min(offset + needed - at);
            let buffer = Buffer::new(length as usize);
            if self.read_piece(buffer, 0..length as usize, at).1.is_err() {
                return (at, length);
            }
            at += length;
        }
        (offset, needed)
    }
}

fn no_answer() -> ReadError {
    ReadError::new(ReadErrorKind::Passing, "the read ended without an answer")
}
