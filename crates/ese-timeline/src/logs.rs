//! The logs of a stream in their order, read on after one that cannot be read or does not follow.

use crate::watcher::Hashes;
use ese_format::{Generation, JetError, Signature};
use ese_log::{LogError, LogImage, RawRecord, StreamFile, StreamRecords, StreamStep};
use std::collections::VecDeque;

/// What comes next.
#[derive(Debug)]
pub(crate) enum LogStep {
    /// A log: [`Logs::image`].
    Log,
    /// A record: [`Logs::current`].
    Record,
    /// Records are missing here, and why, if that was not said before.
    Broken(Option<LogError>),
}

/// Logs that recovery would go through one after the other, and those after what stops it.
pub(crate) struct Logs {
    rest: VecDeque<StreamFile>,
    /// Those of the streams that are meant.
    signatures: Vec<Signature>,
    hashes: Option<Hashes>,
    run: Option<StreamRecords>,
    /// How many of `rest` the run has come to.
    entered: usize,
    last: Option<Generation>,
    /// The last problem that was told.
    said: String,
}

impl Logs {
    /// These logs, which are in order; of other streams than those with these signatures, nothing is read.
    pub(crate) fn new(
        files: &[StreamFile],
        signatures: &[Signature],
        hashes: Option<&Hashes>,
    ) -> Self {
        Logs {
            rest: files.iter().cloned().collect(),
            signatures: signatures.to_vec(),
            hashes: hashes.cloned(),
            run: None,
            entered: 0,
            last: None,
            said: String::new(),
        }
    }

    /// Goes to the next log or record; nothing at the end.
    pub(crate) fn advance(&mut self) -> Option<LogStep> {
        let run = match &mut self.run {
            Some(run) => run,
            none if !self.rest.is_empty() => {
                let records = StreamRecords::new(self.rest.iter().cloned());
                none.insert(match &self.hashes {
                    Some(hashes) => records.shown_to(hashes.observer()),
                    None => records,
                })
            }
            _ => return None,
        };
        match run.advance() {
            Ok(Some(StreamStep::Record)) => Some(LogStep::Record),
            Ok(Some(StreamStep::Log)) => {
                self.entered += 1;
                let header = &run.image()?.header;
                let (generation, signature) = (header.generation, header.signature);
                let expected = self.last.map_or(generation, Generation::next);
                let is_own = self.signatures.contains(&signature);
                if is_own && generation >= expected {
                    self.last = Some(generation);
                    return Some(LogStep::Log);
                }
                let path = run.image()?.path.clone();
                let jet = match is_own {
                    true => JetError::INVALID_LOG_SEQUENCE,
                    false => JetError::BAD_LOG_SIGNATURE,
                };
                Some(self.broken(LogError::Sequence {
                    path,
                    expected,
                    found: generation,
                    jet,
                }))
            }
            Ok(None) => {
                self.rest.clear();
                None
            }
            Err(error) => Some(self.broken(error)),
        }
    }

    /// Goes on with the log after the last one that was come to; the first of a run that cannot be read is passed over.
    fn broken(&mut self, error: LogError) -> LogStep {
        self.rest.drain(..self.entered.max(1));
        self.run = None;
        self.entered = 0;
        let said = error.to_string();
        // The same log is tried by itself after it did not follow.
        let is_news = said != self.said;
        self.said = said;
        LogStep::Broken(is_news.then_some(error))
    }

    /// The log at hand.
    pub(crate) fn image(&self) -> Option<&LogImage> {
        self.run.as_ref()?.image()
    }

    /// Its file.
    pub(crate) fn file(&self) -> Option<&StreamFile> {
        self.rest.get(self.entered.checked_sub(1)?)
    }

    /// The record at hand.
    pub(crate) fn current(&self) -> Option<RawRecord<'_>> {
        self.run.as_ref()?.current()
    }
}
