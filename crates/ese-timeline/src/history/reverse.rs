//! The records of logs, newest first.

use ese_format::record::{Macro, Record, RecordError, RecordFormat};
use ese_format::{Lgpos, RecordType};
use ese_log::{RawRecord, StreamFile, StreamRecords, StreamStep, subject};
use std::collections::{HashSet, VecDeque};
use std::ops::Range;

/// A record of a log that was read.
#[derive(Debug, Clone)]
struct Place {
    lgpos: Lgpos,
    kind: RecordType,
    bytes: Range<usize>,
    format: RecordFormat,
}

/// A log with all its records.
#[derive(Debug, Default)]
struct Log {
    bytes: Vec<u8>,
    records: Vec<Place>,
}

/// A record by itself.
#[derive(Debug, Clone)]
pub(super) struct OwnRecord {
    pub(super) lgpos: Lgpos,
    pub(super) bytes: Vec<u8>,
    format: RecordFormat,
}

impl OwnRecord {
    /// What it says.
    pub(super) fn decode(&self) -> Result<Record<'_>, RecordError> {
        let (record, _) = Record::decode(&self.bytes, 0, self.format)?;
        Ok(record)
    }
}

/// Records, newest first.
pub(super) struct Reverse {
    /// Logs that were not read yet, oldest first.
    files: Vec<StreamFile>,
    /// Logs of which not all was given, oldest first.
    logs: VecDeque<Log>,
    /// Records of macro operations, which were given with their commits.
    taken: HashSet<Lgpos>,
}

impl Reverse {
    /// The records of these logs, which are in order.
    pub(super) fn new(files: Vec<StreamFile>) -> Self {
        Reverse {
            files,
            logs: VecDeque::new(),
            taken: HashSet::new(),
        }
    }

    /// Reads the next older log; whether there was one.
    fn read_older(&mut self) -> bool {
        let Some(file) = self.files.pop() else {
            return false;
        };
        let mut log = Log::default();
        let mut records = StreamRecords::new([file]);
        loop {
            match records.advance() {
                Ok(Some(StreamStep::Record)) => {
                    if let Some(RawRecord {
                        lgpos,
                        kind,
                        bytes,
                        format,
                    }) = records.current()
                    {
                        let start = log.bytes.len();
                        log.bytes.extend_from_slice(bytes);
                        log.records.push(Place {
                            lgpos,
                            kind,
                            bytes: start..log.bytes.len(),
                            format,
                        });
                    }
                }
                Ok(Some(StreamStep::Log)) => {}
                // What is wrong with a log is reported on the way forward.
                Ok(None) | Err(_) => break,
            }
        }
        self.logs.push_front(log);
        true
    }

    /// The next older record.
    pub(super) fn next_record(&mut self) -> Option<OwnRecord> {
        loop {
            while self.logs.back().is_none_or(|log| log.records.is_empty()) {
                self.logs.pop_back();
                if self.logs.is_empty() && !self.read_older() {
                    return None;
                }
            }
            let log = self.logs.back_mut()?;
            let place = log.records.pop()?;
            if self.taken.remove(&place.lgpos) {
                continue;
            }
            let record = own(log, &place);
            return Some(record);
        }
    }

    /// The records of the macro operation that this commit ends, in order; they are not given again.
    pub(super) fn macro_of(&mut self, commit: Macro) -> Vec<OwnRecord> {
        let mut found = Vec::new();
        let mut back = self.logs.len();
        loop {
            if back == 0 {
                if !self.read_older() {
                    break;
                }
                back = 1;
            }
            back -= 1;
            let log = &self.logs[back];
            for place in log.records.iter().rev() {
                if self.taken.contains(&place.lgpos) || !may_belong(place.kind) {
                    continue;
                }
                let record = own(log, place);
                let Ok(decoded) = record.decode() else {
                    continue;
                };
                match &decoded {
                    Record::MacroBegin(begin)
                        if begin.procid == commit.procid && begin.dbtime == commit.dbtime =>
                    {
                        found.reverse();
                        return found;
                    }
                    decoded if belongs(decoded, commit) => {}
                    _ => continue,
                }
                self.taken.insert(place.lgpos);
                found.push(record);
            }
        }
        // The log with its begin could not be read again.
        Vec::new()
    }
}

fn own(log: &Log, place: &Place) -> OwnRecord {
    OwnRecord {
        lgpos: place.lgpos,
        bytes: log.bytes[place.bytes.clone()].to_vec(),
        format: place.format,
    }
}

/// Whether records of this type can be of a macro operation, or begin one.
fn may_belong(kind: RecordType) -> bool {
    use RecordType::{
        Delete, Delta, Delta64, FlagDelete, FlagInsert, FlagInsertAndReplaceData, Insert,
        MacroBegin, Merge, Merge2, NewPage, PageMove, Replace, ReplaceDelta, RootPageMove,
        SetExternalHeader, Split, Split2,
    };
    matches!(
        kind,
        MacroBegin
            | Split
            | Split2
            | Merge
            | Merge2
            | Insert
            | Replace
            | ReplaceDelta
            | FlagInsert
            | FlagInsertAndReplaceData
            | FlagDelete
            | Delete
            | Delta
            | Delta64
            | NewPage
            | PageMove
            | RootPageMove
            | SetExternalHeader
    )
}

fn belongs(record: &Record<'_>, commit: Macro) -> bool {
    subject::page_change(record)
        .is_some_and(|(procid, _, dbtime)| procid == commit.procid && dbtime == commit.dbtime)
}
