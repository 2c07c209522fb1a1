//! Where two copies of a stream part.
//!
//! Copies of a stream hold the same records up to some position. When a copy was activated without the last logs of
//! the source (a lossy failover), both go on, each with its own records under the same generations.

use crate::error::LogError;
use crate::folder::StreamFiles;
use crate::name::FileRole;
use crate::stream::StreamRecords;
use ese_format::{Generation, Lgpos, LogTime, RecordType};
use serde::Serialize;

/// What one copy holds from the divergence on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tail {
    /// Records.
    pub records: u64,
    /// The first of them.
    pub first: Option<(Lgpos, RecordType)>,
    /// The last of them.
    pub last: Option<Lgpos>,
    /// Creation time of the log in which they begin.
    pub log_created: Option<LogTime>,
    /// Why the copy could not be read to its end.
    pub stopped: Option<String>,
}

/// How two copies of a stream compare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamDivergence {
    /// Where the comparison began: the lowest generation that both have.
    pub from: Generation,
    /// Records that are the same.
    pub same_records: u64,
    /// The last record that is the same.
    pub last_same: Option<Lgpos>,
    /// What the first copy has after it.
    pub first: Tail,
    /// What the second copy has after it.
    pub second: Tail,
}

impl StreamDivergence {
    /// Whether both hold the same records to the end.
    pub fn is_same(&self) -> bool {
        self.first.records == 0
            && self.second.records == 0
            && self.first.stopped.is_none()
            && self.second.stopped.is_none()
    }

    /// Whether both have records of their own: one of them must be given up.
    pub fn is_fork(&self) -> bool {
        self.first.records > 0 && self.second.records > 0
    }
}

/// Compares two copies record by record, one log of each in memory at a time. `None` if they share no generation.
pub fn diff(
    first: &StreamFiles,
    second: &StreamFiles,
) -> Result<Option<StreamDivergence>, LogError> {
    let numbers = |files: &StreamFiles| -> Vec<Generation> {
        let images = files.current.iter().filter_map(|file| {
            let image = crate::LogImage::read(&file.path).ok()?;
            Some(image.header.generation)
        });
        let named = files.logs.iter().filter_map(|file| match file.role {
            FileRole::Generation { generation, .. } => Some(generation),
            _ => None,
        });
        named.chain(images).collect()
    };
    let (ours, theirs) = (numbers(first), numbers(second));
    let shared = ours.iter().filter(|generation| theirs.contains(generation));
    let Some(from) = shared.min().copied() else {
        return Ok(None);
    };
    let mut sides = [
        ComparedStream::new(first, from),
        ComparedStream::new(second, from),
    ];
    let mut same_records = 0;
    let mut last_same = None;
    loop {
        let [a, b] = &mut sides;
        a.advance();
        b.advance();
        match (&a.record, &b.record) {
            (Some(one), Some(other)) if one == other => {
                same_records += 1;
                last_same = Some(one.lgpos);
            }
            _ => break,
        }
    }
    let [first, second] = sides.map(ComparedStream::finish);
    Ok(Some(StreamDivergence {
        from,
        same_records,
        last_same,
        first,
        second,
    }))
}

/// A record by value, to compare.
#[derive(Debug, PartialEq, Eq)]
struct ComparedRecord {
    lgpos: Lgpos,
    kind: RecordType,
    bytes: Vec<u8>,
}

struct ComparedStream {
    records: StreamRecords,
    record: Option<ComparedRecord>,
    stopped: Option<String>,
}

impl ComparedStream {
    fn new(files: &StreamFiles, from: Generation) -> Self {
        let stream = crate::LogStream::new(files.clone());
        ComparedStream {
            records: stream.records(from),
            record: None,
            stopped: None,
        }
    }

    fn advance(&mut self) {
        let mut buffer = self
            .record
            .take()
            .map(|held| held.bytes)
            .unwrap_or_default();
        match self.records.next_record() {
            Ok(Some(raw)) => {
                buffer.clear();
                buffer.extend_from_slice(raw.bytes);
                self.record = Some(ComparedRecord {
                    lgpos: raw.lgpos,
                    kind: raw.kind,
                    bytes: buffer,
                });
            }
            Ok(None) => {}
            Err(problem) => self.stopped = Some(problem.to_string()),
        }
    }

    /// Counts what is left.
    fn finish(mut self) -> Tail {
        let mut tail = Tail::default();
        if let Some(record) = &self.record {
            tail.first = Some((record.lgpos, record.kind));
            let image = self.records.image();
            tail.log_created = image.map(|image| image.header.created);
        }
        while let Some(record) = &self.record {
            tail.records += 1;
            tail.last = Some(record.lgpos);
            self.advance();
        }
        tail.stopped = self.stopped;
        tail
    }
}
