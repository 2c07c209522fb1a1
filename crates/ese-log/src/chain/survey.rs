//! What one log file is like on its own.

use super::finding::{ChainFinding, ChainFindingKind};
use super::follow::{DatabaseEvent, Steps, TransactionsAt};
use super::proof::{Ending, Opening, Outline, Proof, Unproved};
use crate::error::{HeaderProblem, LogError};
use crate::folder::StreamFile;
use crate::image::{Damage, LogImage, RangeOrigin, read_file};
use crate::limit::Until;
use crate::name::FileRole;
use crate::records::{BadRecord, RecordCursor};
use ese_format::log::{
    Checkpoint, CheckpointCopy, CheckpointFile, CheckpointProblem, Layout, LogHeader,
};
use ese_format::{Explain, Generation, Lgpos, LogTime};
use serde::{Serialize, Serializer};
use std::cmp::Ordering;
use std::path::{Path, PathBuf};

/// A log file, read and checked.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct LogReport {
    /// File name.
    pub name: String,
    /// What the file is, by its name.
    pub role: FileRole,
    /// Size in bytes; 0 where it cannot be read.
    pub size: u64,
    /// What was read; why not, where nothing can be trusted.
    #[serde(serialize_with = "content_or_problem")]
    pub content: Result<LogContent, LogError>,
    /// Whether it is all that was written to it, as far as the log after it shows.
    pub proof: Proof,
    /// The log after it, by name, if that is there.
    #[serde(skip)]
    pub(super) next: Option<String>,
    /// Whether a log with a higher generation is there.
    #[serde(skip)]
    pub(super) is_followed: bool,
}

/// Which state of the same log a copy of it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogState {
    Earlier,
    Same,
    Later,
}

/// The content of a log whose header can be trusted.
#[derive(Debug, Serialize)]
pub struct LogContent {
    /// Its header.
    pub header: LogHeader,
    /// How its records are laid out.
    pub layout: Layout,
    /// Where the engine would stop reading.
    pub end: Lgpos,
    /// When the last segment was begun, by the clock of the machine; unset in the older layout.
    pub last_write: LogTime,
    /// Exclusive or of the checksums of all segments.
    pub accumulated_checksum: u64,
    /// Records up to the first fatal damage.
    pub records: u64,
    /// Records that can still be read after fatal damage: recovery would not reach them.
    pub records_beyond: u64,
    /// Records that were not whole when the log ended.
    pub unfinished: u64,
    /// What is wrong with the body.
    pub damage: Vec<Damage>,
    /// Records that cannot be understood.
    #[serde(serialize_with = "bad_records")]
    pub bad_records: Vec<BadRecord>,
    /// Databases that are created, attached and detached, in order; up to the limit if one was given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<DatabaseEvent>,
    /// Transactions as they stand at the end of this log.
    #[serde(skip)]
    pub transactions: TransactionsAt,
    #[serde(skip)]
    pub(super) steps: Steps,
    /// How it ends.
    #[serde(skip)]
    pub(super) ending: Ending,
    /// How it begins.
    #[serde(skip)]
    pub(super) opening: Opening,
}

fn content_or_problem<S: Serializer>(
    content: &Result<LogContent, LogError>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Problem {
        problem: String,
        jet: Option<ese_format::JetError>,
    }
    match content {
        Ok(content) => content.serialize(serializer),
        Err(problem) => Problem {
            problem: problem.to_string(),
            jet: problem.jet(),
        }
        .serialize(serializer),
    }
}

fn bad_records<S: Serializer>(bad: &[BadRecord], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Bad {
        lgpos: Lgpos,
        problem: String,
    }
    serializer.collect_seq(bad.iter().map(|bad| Bad {
        lgpos: bad.lgpos,
        problem: bad.problem.to_string(),
    }))
}

/// The most unreadable records that are listed for one log; damage beyond that says nothing new.
const BAD_RECORDS_MAX: usize = 100;

/// Reads and checks one log; `buffer` is reused from file to file.
pub(super) fn survey(file: &StreamFile, until: &Until, buffer: &mut Vec<u8>) -> LogReport {
    let mut size = 0;
    let content = read_file(&file.path, buffer).and_then(|()| {
        size = buffer.len() as u64;
        let image = LogImage::from_bytes(&file.path, std::mem::take(buffer))?;
        let content = content(&image, until);
        *buffer = image.bytes;
        Ok(content)
    });
    LogReport {
        name: file.name(),
        role: file.role,
        size,
        content,
        proof: Proof::None,
        next: None,
        is_followed: false,
    }
}

fn content(image: &LogImage, until: &Until) -> LogContent {
    let mut cursor = RecordCursor::salvage();
    let (mut records, mut records_beyond) = (0, 0);
    let mut bad_records = Vec::new();
    let mut steps = Steps::default();
    let broken_from = broken_from(image);
    let mut outline = Outline::default();
    loop {
        outline.before(&cursor);
        match cursor.advance(image) {
            Ok(false) => break,
            Ok(true) => {
                outline.record(&cursor, image);
                let lgpos = cursor.lgpos();
                let beyond = broken_from.is_some_and(|broken| lgpos >= broken);
                if beyond || !bad_records.is_empty() {
                    records_beyond += 1;
                } else {
                    records += 1;
                    if let Some(raw) = cursor.current(image) {
                        steps.note(&raw, image, until);
                    }
                }
            }
            Err(bad) => {
                outline.bad_record();
                if bad_records.len() < BAD_RECORDS_MAX {
                    bad_records.push(bad);
                }
            }
        }
    }
    let ending = outline.ending(image, &cursor);
    LogContent {
        header: image.header.clone(),
        layout: image.layout,
        end: image.end(),
        last_write: image
            .last_segment()
            .map(|segment| segment.started)
            .unwrap_or_default(),
        accumulated_checksum: image.body.accumulated_checksum,
        records,
        records_beyond,
        unfinished: cursor.unfinished,
        damage: image.body.damage.clone(),
        bad_records,
        databases: Vec::new(),
        transactions: TransactionsAt::default(),
        steps,
        ending,
        opening: outline.opening(image),
    }
}

/// Where the first range after damage begins.
fn broken_from(image: &LogImage) -> Option<Lgpos> {
    let mut ranges = image.body.ranges.iter();
    let broken = ranges.find(|range| range.origin == RangeOrigin::Damage)?;
    Some(image.lgpos(broken.bytes.start))
}

impl LogReport {
    /// The header, if it can be trusted.
    pub fn header(&self) -> Option<&LogHeader> {
        self.content.as_ref().ok().map(|content| &content.header)
    }

    /// The generation that the name says, or else the header.
    pub fn generation(&self) -> Option<Generation> {
        match self.role {
            FileRole::Generation { generation, .. } => Some(generation),
            _ => self.header().map(|header| header.generation),
        }
    }

    /// Which state of `other` this is; none where both are not the same log.
    pub(super) fn state_of(&self, other: &LogReport) -> Option<LogState> {
        let (own, theirs) = (self.content.as_ref().ok()?, other.content.as_ref().ok()?);
        let is_same_log = own.header == theirs.header;
        let states = (own.end, own.accumulated_checksum, own.records);
        is_same_log.then(|| match own.end.cmp(&theirs.end) {
            Ordering::Less => LogState::Earlier,
            Ordering::Greater => LogState::Later,
            Ordering::Equal => {
                let same = states == (theirs.end, theirs.accumulated_checksum, theirs.records);
                match (same, own.records < theirs.records) {
                    (true, _) => LogState::Same,
                    (false, true) => LogState::Earlier,
                    (false, false) => LogState::Later,
                }
            }
        })
    }

    /// Whether this is the current log.
    pub fn is_current(&self) -> bool {
        self.role == FileRole::Current
    }

    /// The damage that recovery would stop at, if any.
    pub fn fatal_damage(&self) -> Option<Lgpos> {
        let content = self.content.as_ref().ok()?;
        let damage = content.damage.iter();
        let damage = damage.filter(|damage| self.is_fatal(content.layout, damage));
        let bad = content.bad_records.iter().map(|bad| bad.lgpos);
        damage.map(Damage::lgpos).chain(bad).min()
    }

    /// Whether recovery cannot get past this damage. A torn write ends a log of the older layout: so may only the last
    /// log of a stream end, and one after which the engine was started again.
    fn is_fatal(&self, layout: Layout, damage: &Damage) -> bool {
        let ends = matches!(damage, Damage::Torn { .. }) && layout == Layout::ChecksumRecords;
        let restarted = matches!(self.proof, Proof::NotProved(Unproved::Restart(_)));
        damage.is_fatal(self.is_current()) || (ends && self.is_followed && !restarted)
    }

    /// Whether the file has another size than its header says.
    pub fn has_wrong_size(&self) -> bool {
        self.header()
            .is_some_and(|header| header.file_size() != self.size)
    }

    /// Findings about this file alone.
    pub(super) fn findings(&self) -> Vec<ChainFinding> {
        let finding = |kind| ChainFinding::about(self, kind);
        let content = match &self.content {
            Ok(content) => content,
            Err(problem) => return vec![finding(self.unusable(problem))],
        };
        let mut found = Vec::new();
        let header = &content.header;
        if self.has_wrong_size() {
            found.push(finding(ChainFindingKind::FileSize {
                size: self.size,
                expected: header.file_size(),
            }));
        }
        if header.flags.is_reserve() {
            found.push(finding(ChainFindingKind::MadeFromReserve));
        }
        if let Some(problem) = &header.attachments.problem {
            let problem = problem.to_string();
            found.push(finding(ChainFindingKind::AttachList { problem }));
        }
        let fatal = self.fatal_damage();
        for damage in &content.damage {
            let beyond = Some(content.records_beyond).filter(|beyond| *beyond > 0);
            let beyond = beyond.filter(|_| fatal == Some(damage.lgpos()));
            let kind = ChainFindingKind::Damage {
                damage: damage.clone(),
                fatal: self.is_fatal(content.layout, damage),
                followed: self.is_followed,
                records_beyond: beyond,
            };
            found.push(finding(kind).at(damage.lgpos()));
        }
        for bad in &content.bad_records {
            let problem = bad.problem.to_string();
            found.push(finding(ChainFindingKind::BadRecord { problem }).at(bad.lgpos));
        }
        found.extend(
            self.proof_finding(fatal)
                .map(|kind| finding(kind).at(content.end)),
        );
        let passes_over = fatal.is_none() && !matches!(self.proof, Proof::Incomplete { .. });
        if content.unfinished > 0 && passes_over {
            let count = content.unfinished;
            found.push(finding(ChainFindingKind::UnfinishedRecords { count }).at(content.end));
        }
        found
    }

    /// What the log after it says about this one; nothing more where it is damaged at `fatal`.
    fn proof_finding(&self, fatal: Option<Lgpos>) -> Option<ChainFindingKind> {
        match self.proof {
            Proof::NextHeader | Proof::Full | Proof::None | Proof::Damaged => None,
            _ if fatal.is_some() => None,
            Proof::Incomplete { how, checksum } => {
                Some(ChainFindingKind::Incomplete { how, checksum })
            }
            Proof::OtherState(mismatch) => Some(ChainFindingKind::AccumulatedChecksum {
                next: self.next.clone().unwrap_or_default(),
                found: mismatch.found,
                expected: mismatch.expected,
            }),
            Proof::NotProved(why) => Some(ChainFindingKind::NotProved { why }),
        }
    }

    /// The finding about a log of which nothing can be trusted.
    pub(super) fn unusable(&self, problem: &LogError) -> ChainFindingKind {
        let jet = problem.jet();
        match problem {
            LogError::Header { .. } if self.size == 0 => ChainFindingKind::Empty,
            LogError::Header { problem, .. } if **problem == HeaderProblem::Blank => {
                ChainFindingKind::Blank
            }
            LogError::Header { problem, .. }
                if let HeaderProblem::Newer { version } = **problem =>
            {
                ChainFindingKind::NewerVersion { version }
            }
            LogError::Header { problem, .. } => ChainFindingKind::Header {
                problem: problem.to_string(),
                jet,
            },
            other => ChainFindingKind::Unreadable {
                problem: other.to_string(),
                jet,
            },
        }
    }
}

/// The checkpoint file, read.
#[derive(Debug, Serialize)]
pub struct CheckpointReport {
    /// Where it is.
    pub path: PathBuf,
    /// Both copies, if the file can be read.
    pub copies: Option<CheckpointFile>,
    /// Why it cannot be read.
    pub problem: Option<String>,
}

impl CheckpointReport {
    /// Reads the checkpoint file at `path`.
    pub fn read(path: &Path) -> Self {
        let mut bytes = Vec::new();
        let read = read_file(path, &mut bytes);
        CheckpointReport {
            path: path.to_owned(),
            copies: read.is_ok().then(|| CheckpointFile::read(&bytes)),
            problem: read.err().map(|problem| problem.to_string()),
        }
    }

    /// The copy that the engine would use.
    pub fn current(&self) -> Option<&Checkpoint> {
        let (checkpoint, _) = self.copies.as_ref()?.current().ok()?;
        Some(checkpoint)
    }

    pub(super) fn findings(&self) -> Vec<ChainFindingKind> {
        let Some(copies) = &self.copies else {
            let problem = self.problem.clone().unwrap_or_default();
            return vec![ChainFindingKind::CheckpointUnusable { problem }];
        };
        match copies.current() {
            Err(
                problem
                @ (CheckpointProblem::BothDamaged | CheckpointProblem::WrongFileType { .. }),
            ) => {
                let problem = problem.to_string();
                vec![ChainFindingKind::CheckpointUnusable { problem }]
            }
            Ok((_, CheckpointCopy::Shadow)) => vec![ChainFindingKind::CheckpointCopy {
                copy: CheckpointCopy::Primary,
            }],
            Ok(_) if !copies.copies_agree => vec![ChainFindingKind::CheckpointCopy {
                copy: CheckpointCopy::Shadow,
            }],
            Ok(_) => Vec::new(),
        }
    }
}
