//! Whether a closed log is all that was written to it.
//!
//! A log that was copied while it was written, or whose end a crash or a copy turned to zeroes, looks like one that ends
//! early: every checksum fits and every record makes sense. Redo would silently pass over what is missing. Only the
//! next log can show, in one of two ways.
//!
//! **By its header.** From update minor 13 on it keeps the exclusive or of the checksums of all segments of the log
//! before it, and recovery compares it (`LOG::ErrLGRedoFill`, `ese/_log/logredo.cxx`). Minor 12 keeps the checksum of
//! the last segment alone; no published reader compares it, so that it counts here where it fits and is not held
//! against a log where it does not.
//!
//! **By its first records**, where the header keeps nothing: in all logs of Windows Server 2012 R2 and before. The
//! engine begins a new log only when a record does not fit into what is left of the current one
//! (`LOG_WRITE_BUFFER::ErrLGLogRec`, `ese/_log/logwrite.cxx`):
//!
//! ```text
//!  segment 1 .. n-3   n-2: last for records        n-1: for a shadow only
//! |  ...            | records ... E  (room) ...  U |                     |
//! ```
//!
//! - A log whose last segment for records is in use is full: to wait for a commit fills the segment, and filling this
//!   one begins the next log, whatever comes first there.
//! - A log that ends earlier is full if one of the first records of the next one, put at E, would reach U. One of the
//!   first, not the first: while the session whose record did not fit waits, others may get ahead of it.
//! - Unless it ends just where a segment does, as one does whose further segments are missing. Then a large record may
//!   not have fitted for that reason alone. Each change of a page gives its database the next dbtime: where they do not
//!   go on in the next log, changes are missing; where they do, nothing is proved.
//! - Some records begin a new log wherever the current one ends, and so does a restart after a crash. Then nothing
//!   shows whether something is missing.
//! - Everything else did not come about by writing.
//!
//! In the older layout a log is filled up to its last sector but one before it is closed; no published writer has this
//! layout, the logs of Windows XP show it.

use crate::image::{Damage, LogImage};
use crate::records::{BadRecord, RecordCursor};
use ese_format::log::{Layout, LogHeader, PreviousChecksum, SEGMENT_HEADER_SIZE, SEGMENT_SIZE};
use ese_format::{Dbtime, Generation, JetError, LogTime, RecordType, Signature};
use serde::{Serialize, Serializer};
use std::fmt;

/// How many records of the next log are looked at: as many sessions may have got ahead of the one that had to wait.
const FIRST_RECORDS: usize = 16;
/// What is left of a segment below this is filled up: no record is begun in it (`LOG_MIN_FRAGMENT_SIZE`).
const FRAGMENT_MIN: usize = 32;
/// How far apart the dbtimes of two changes may be that follow each other: an operation on a tree takes up to three.
const DBTIME_STEP_MAX: u64 = 4;
const FRAGMENT_BEGIN_SIZE: usize = 7;
const FRAGMENT_SIZE: usize = 3;

/// Whether a closed log is all that was written to it, and what shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The header of the next log keeps a checksum of this one, and it fits.
    NextHeader,
    /// The next log was begun because this one was full.
    Full,
    /// Nothing shows whether the end of it is missing.
    NotProved(Unproved),
    /// There is no next log that could show it. This is always so for the newest log.
    None,
    /// The end of it is missing.
    Incomplete {
        /// What shows it.
        how: Incomplete,
        /// What the header of the next log says against it, where that keeps a checksum.
        checksum: Option<ChecksumMismatch>,
    },
    /// The next log was begun after another state of this one.
    OtherState(ChecksumMismatch),
    /// It is damaged before its end.
    Damaged,
}

/// Why a closed log cannot be proved complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "because", content = "record", rename_all = "snake_case")]
pub enum Unproved {
    /// The next log begins with a record that forces a new log.
    Forced(RecordType),
    /// The next log begins with a restart of the engine.
    Restart(RecordType),
    /// The next log holds no record yet, or none that can be read.
    NextEmpty,
    /// The log ends with a segment, as one does whose further segments are missing; a record that came next was large
    /// enough not to fit all the same.
    LargeRecord(RecordType),
    /// Its last segment is damaged, and what stands in for it may be older.
    TornWrite,
}

/// What shows that the end of a closed log is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "shown_by", rename_all = "snake_case")]
pub enum Incomplete {
    /// The last record is not finished.
    UnfinishedRecord,
    /// The last write is torn.
    TornWrite,
    /// The next log was begun although there was room.
    RoomLeft {
        /// Bytes between the last record and the end of the room.
        bytes: u64,
    },
    /// Changes of pages are missing between its last one and the first of the next log.
    DbtimeGap {
        /// The highest dbtime that the log gives.
        last: Dbtime,
        /// The lowest that the first records of the next log give.
        next: Dbtime,
    },
}

/// A checksum of a log, in the header of the next one and as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ChecksumMismatch {
    /// What the header of the next log keeps.
    pub found: u64,
    /// What the log gives.
    pub expected: u64,
}

impl Proof {
    /// Whether nothing speaks against the log.
    pub fn is_sound(&self) -> bool {
        self.jet().is_none()
    }

    /// Whether it is shown that nothing is missing.
    pub fn is_proved(&self) -> bool {
        matches!(self, Proof::NextHeader | Proof::Full)
    }

    /// The error that recovery ends with where the log speaks against itself.
    pub fn jet(&self) -> Option<JetError> {
        match self {
            Proof::NextHeader | Proof::Full | Proof::NotProved(_) | Proof::None => None,
            Proof::Incomplete { checksum: None, .. } | Proof::Damaged => {
                Some(JetError::LOG_FILE_CORRUPT)
            }
            Proof::Incomplete {
                checksum: Some(_), ..
            }
            | Proof::OtherState(_) => Some(JetError::LOG_SEQUENCE_CHECKSUM_MISMATCH),
        }
    }

    /// By what it is called in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Proof::NextHeader => "next_header",
            Proof::Full => "full",
            Proof::NotProved(_) => "not_proved",
            Proof::None => "none",
            Proof::Incomplete { .. } => "incomplete",
            Proof::OtherState(_) => "other_state",
            Proof::Damaged => "damaged",
        }
    }
}

impl Serialize for Proof {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// In words, of a log that the reader knows.
impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Proof::NextHeader => f.write_str("the header of the next log proves it complete"),
            Proof::Full => f.write_str("it was full when the next log was begun"),
            Proof::NotProved(why) => write!(f, "not proved complete: {why}"),
            Proof::None => f.write_str("no next log can prove it complete"),
            Proof::Incomplete { how, .. } => how.fmt(f),
            Proof::OtherState(_) => {
                f.write_str("the next log was begun after another state of this one")
            }
            Proof::Damaged => f.write_str("it is damaged"),
        }
    }
}

impl fmt::Display for Unproved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unproved::Forced(kind) => write!(
                f,
                "the next log begins with {}, which begins a new log wherever the one before ends",
                kind.dump_name()
            ),
            Unproved::Restart(kind) => write!(
                f,
                "the next log begins with {}: the engine was started again",
                kind.dump_name()
            ),
            Unproved::NextEmpty => f.write_str("the next log holds no record that could show it"),
            Unproved::LargeRecord(kind) => write!(
                f,
                "it ends with a segment, but {} in the next log was too large for what was left",
                kind.dump_name()
            ),
            Unproved::TornWrite => f.write_str(
                "its last write is torn, and the copy that is used instead may be older",
            ),
        }
    }
}

impl fmt::Display for Incomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Incomplete::UnfinishedRecord => {
                f.write_str("the last record is not finished, but later logs follow: the end of the log is missing")
            }
            Incomplete::TornWrite => {
                f.write_str("the last write is torn, but later logs follow: the end of the log is missing")
            }
            Incomplete::RoomLeft { bytes } => write!(
                f,
                "the records end {bytes} bytes before the end, but the next log was begun: the end of the log is missing"
            ),
            Incomplete::DbtimeGap { last, next } => write!(
                f,
                "the last change of a page has dbtime {last}, the first in the next log {next}: the end of the log is missing"
            ),
        }
    }
}

/// How a log ends: what in it shows whether something is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    generation: Generation,
    signature: Signature,
    created: LogTime,
    layout: Layout,
    /// Bytes of a sector or segment.
    unit: usize,
    /// Exclusive or of the checksums of all segments.
    accumulated_checksum: u64,
    /// Checksum of the last segment; 0 in the older layout.
    last_segment_checksum: u64,
    /// Where the last record ends, filling left out.
    records_end: usize,
    /// Where the last write ends.
    writes_end: usize,
    /// Where no record can go.
    room_end: usize,
    is_unfinished: bool,
    is_torn: bool,
    is_damaged: bool,
    /// The highest dbtime of each database, where it may be asked for.
    dbtimes: Vec<(u8, Dbtime)>,
}

/// How a log begins: what it says about the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    generation: Generation,
    signature: Signature,
    previous_created: LogTime,
    kept: PreviousChecksum,
    checksum: u64,
    /// Its first records: type and size.
    records: Vec<(RecordType, usize)>,
    /// The lowest dbtime of each database among its first records, where it may be asked for.
    dbtimes: Vec<(u8, Dbtime)>,
}

/// Takes note of the records of a log, from the first to the last.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    records: Vec<(RecordType, usize)>,
    records_end: usize,
    unfinished_before: u64,
    has_bad_records: bool,
    lowest: Vec<(u8, Dbtime)>,
    highest: Vec<(u8, Dbtime)>,
}

impl Outline {
    /// Before the cursor goes on.
    pub(crate) fn before(&mut self, cursor: &RecordCursor) {
        self.unfinished_before = cursor.unfinished;
    }

    /// A record that was found.
    pub(crate) fn record(&mut self, cursor: &RecordCursor, image: &LogImage) {
        let Some((kind, size)) = cursor.shape() else {
            return;
        };
        if matches!(kind, RecordType::Nop | RecordType::Checksum) {
            return;
        }
        if self.records.len() < FIRST_RECORDS {
            self.records.push((kind, size));
        }
        self.records_end = cursor.offset();
        // Where headers keep the accumulated checksum, nothing more is needed.
        if image.header.version.previous_checksum() != PreviousChecksum::Accumulated {
            self.dbtimes(cursor, image);
        }
    }

    fn dbtimes(&mut self, cursor: &RecordCursor, image: &LogImage) {
        let record = cursor.current(image);
        let record = record.filter(|record| record.kind != RecordType::UndoInfo);
        let Some(Ok(record)) = record.map(|record| record.decode()) else {
            return;
        };
        let Some(page) = record.page_op().filter(|page| page.dbtime < Dbtime::REVERT) else {
            return;
        };
        if self.records.len() < FIRST_RECORDS {
            keep(&mut self.lowest, page.dbid, page.dbtime, Dbtime::min);
        }
        keep(&mut self.highest, page.dbid, page.dbtime, Dbtime::max);
    }

    /// A record that cannot be understood.
    pub(crate) fn bad_record(&mut self) {
        self.has_bad_records = true;
    }

    /// How `image` ends, after the last record.
    pub(crate) fn ending(&self, image: &LogImage, cursor: &RecordCursor) -> Ending {
        let header = &image.header;
        let unit = usize::from(header.sector_size);
        let body = &image.body;
        let torn = |damage: &Damage| matches!(damage, Damage::Torn { .. });
        Ending {
            generation: header.generation,
            signature: header.signature,
            created: header.created,
            layout: image.layout,
            unit: unit.max(1),
            accumulated_checksum: body.accumulated_checksum,
            last_segment_checksum: image.last_segment().map_or(0, |segment| segment.checksum),
            records_end: self
                .records_end
                .max(usize::from(header.header_sectors) * unit),
            writes_end: body.end,
            room_end: usize::from(header.file_sectors.saturating_sub(1)) * unit,
            is_unfinished: cursor.unfinished > self.unfinished_before,
            is_torn: body.damage.iter().any(torn),
            is_damaged: self.has_bad_records
                || body.damage.iter().any(|damage| damage.is_fatal(false)),
            dbtimes: self.highest.clone(),
        }
    }

    /// How `image` begins.
    pub(crate) fn opening(self, image: &LogImage) -> Opening {
        Opening {
            records: self.records,
            dbtimes: self.lowest,
            ..Opening::of_header(&image.header)
        }
    }
}

/// Keeps one dbtime for each database.
fn keep(
    dbtimes: &mut Vec<(u8, Dbtime)>,
    dbid: u8,
    dbtime: Dbtime,
    which: fn(Dbtime, Dbtime) -> Dbtime,
) {
    match dbtimes.iter_mut().find(|(known, _)| *known == dbid) {
        Some((_, kept)) => *kept = which(*kept, dbtime),
        None => dbtimes.push((dbid, dbtime)),
    }
}

impl Ending {
    /// How this log ends.
    pub fn of(image: &LogImage) -> Self {
        Self::with_first_bad_record(image).0
    }

    /// The same, and the first record that cannot be read.
    pub fn with_first_bad_record(image: &LogImage) -> (Self, Option<BadRecord>) {
        let mut cursor = RecordCursor::new();
        let mut outline = Outline::default();
        let mut first_bad = None;
        loop {
            outline.before(&cursor);
            match cursor.advance(image) {
                Ok(true) => outline.record(&cursor, image),
                Ok(false) => break,
                Err(bad) => {
                    outline.bad_record();
                    first_bad.get_or_insert(bad);
                }
            }
        }
        (outline.ending(image, &cursor), first_bad)
    }
}

impl Opening {
    /// How this log begins. It need not be whole: the current log will do, as far as it has been written, and so will the
    /// first part of a file.
    pub fn of(image: &LogImage) -> Self {
        let mut cursor = RecordCursor::new();
        let mut outline = Outline::default();
        while outline.records.len() < FIRST_RECORDS && matches!(cursor.advance(image), Ok(true)) {
            outline.record(&cursor, image);
        }
        outline.opening(image)
    }

    /// What the header alone says, where nothing else of the log can be obtained.
    pub fn of_header(header: &LogHeader) -> Self {
        Opening {
            generation: header.generation,
            signature: header.signature,
            previous_created: header.previous_created,
            kept: header.version.previous_checksum(),
            checksum: header.previous_accumulated_checksum,
            records: Vec::new(),
            dbtimes: Vec::new(),
        }
    }

    /// Whether a record of it is known. A header has none, and the first part of a file may end before what its checksum
    /// covers.
    pub fn has_records(&self) -> bool {
        !self.records.is_empty()
    }

    /// The signature of its stream.
    pub fn signature(&self) -> Signature {
        self.signature
    }

    /// Whether the log is the one that was begun after the one with this ending.
    pub fn continues(&self, before: &Ending) -> bool {
        before.generation.0.checked_add(1) == Some(self.generation.0)
            && self.signature == before.signature
            && self.previous_created == before.created
    }
}

/// Whether a closed log is all that was written to it, as far as the next log can show.
pub fn prove(log: &Ending, next: Option<&Opening>) -> Proof {
    if log.is_damaged {
        return Proof::Damaged;
    }
    let Some(next) = next.filter(|next| next.continues(log)) else {
        return Proof::None;
    };
    match next.kept {
        PreviousChecksum::Accumulated if next.checksum != log.accumulated_checksum => {
            let mismatch = ChecksumMismatch {
                found: next.checksum,
                expected: log.accumulated_checksum,
            };
            match by_fill(log, next) {
                Proof::Incomplete { how, .. } => Proof::Incomplete {
                    how,
                    checksum: Some(mismatch),
                },
                _ => Proof::OtherState(mismatch),
            }
        }
        // Logs of the older layout have no such sum: that there is none proves nothing.
        PreviousChecksum::Accumulated if log.layout == Layout::Segments => Proof::NextHeader,
        PreviousChecksum::LastSegment
            if next.checksum != 0 && next.checksum == log.last_segment_checksum =>
        {
            Proof::NextHeader
        }
        _ => by_fill(log, next),
    }
}

/// What the first records of the next log show.
fn by_fill(log: &Ending, next: &Opening) -> Proof {
    let incomplete = |how| Proof::Incomplete {
        how,
        checksum: None,
    };
    let kinds = || next.records.iter().map(|(kind, _)| *kind);
    let restart = kinds().find(|kind| is_restart(*kind));
    let older = log.layout == Layout::ChecksumRecords;
    if log.is_unfinished || (log.is_torn && older) {
        let how = match log.is_unfinished {
            true => Incomplete::UnfinishedRecord,
            false => Incomplete::TornWrite,
        };
        return match restart {
            Some(kind) => Proof::NotProved(Unproved::Restart(kind)),
            None => incomplete(how),
        };
    }
    let gap = || dbtime_gap(log, next).map(incomplete);
    if log.writes_end.next_multiple_of(log.unit) >= log.room_end {
        return match log.is_torn {
            true => gap().unwrap_or(Proof::NotProved(Unproved::TornWrite)),
            false => Proof::Full,
        };
    }
    if next.records.is_empty() {
        return Proof::NotProved(Unproved::NextEmpty);
    }
    if let Some(kind) = restart {
        return Proof::NotProved(Unproved::Restart(kind));
    }
    if let Some(kind) = kinds().find(|kind| forces_new_log(*kind)) {
        return Proof::NotProved(Unproved::Forced(kind));
    }
    let mut records = next.records.iter();
    let too_large = match log.layout {
        Layout::Segments => {
            records.find(|(_, size)| end_of(log.records_end, *size) >= log.room_end)
        }
        Layout::ChecksumRecords => None,
    };
    match too_large {
        Some((kind, _)) if log.is_torn || ends_with_segment(log.records_end) => {
            gap().unwrap_or(Proof::NotProved(Unproved::LargeRecord(*kind)))
        }
        Some(_) => Proof::Full,
        None => incomplete(Incomplete::RoomLeft {
            bytes: log.room_end.saturating_sub(log.records_end) as u64,
        }),
    }
}

/// Whether changes of pages are missing between the two logs: each takes the next dbtime of its database.
fn dbtime_gap(log: &Ending, next: &Opening) -> Option<Incomplete> {
    let mut pairs = next.dbtimes.iter().filter_map(|(dbid, first)| {
        let mut own = log.dbtimes.iter();
        let (_, last) = own.find(|(known, _)| known == dbid)?;
        Some((*last, *first))
    });
    let gap = pairs.find(|(last, next)| next.0.saturating_sub(last.0) > DBTIME_STEP_MAX);
    gap.map(|(last, next)| Incomplete::DbtimeGap { last, next })
}

/// Whether the engine begins a new log for this record wherever the current one ends (`fLGCreateNewGen`): forced
/// rollovers, backups, restores into a running instance, and the end of recovery.
fn forces_new_log(kind: RecordType) -> bool {
    matches!(
        kind,
        RecordType::ForceLogRollover
            | RecordType::FullBackup
            | RecordType::IncrementalBackup
            | RecordType::Backup
            | RecordType::Backup2
            | RecordType::ExternalRestore
            | RecordType::ExternalRestore2
            | RecordType::RecoveryUndo2
            | RecordType::RecoveryQuit2
            | RecordType::RecoveryQuitKeepAttachments
    )
}

/// Whether the record shows that the engine was started again.
fn is_restart(kind: RecordType) -> bool {
    matches!(
        kind,
        RecordType::RecoveryUndo | RecordType::RecoveryUndo2 | RecordType::Init2
    )
}

/// Where a record of `size` bytes ends that is put at `at`, cut into fragments as the engine cuts it.
fn end_of(mut at: usize, size: usize) -> usize {
    let left = |at: usize| SEGMENT_SIZE - at % SEGMENT_SIZE;
    if at.is_multiple_of(SEGMENT_SIZE) {
        at += SEGMENT_HEADER_SIZE;
    }
    if left(at) < size && left(at) < FRAGMENT_MIN {
        at = at.next_multiple_of(SEGMENT_SIZE) + SEGMENT_HEADER_SIZE;
    }
    if size <= left(at) {
        return at + size;
    }
    let rest = size - (left(at) - FRAGMENT_BEGIN_SIZE);
    let whole = SEGMENT_SIZE - SEGMENT_HEADER_SIZE - FRAGMENT_SIZE;
    let pieces = rest.div_ceil(whole);
    at.next_multiple_of(SEGMENT_SIZE) + pieces * (SEGMENT_HEADER_SIZE + FRAGMENT_SIZE) + rest
}

/// Whether nothing more would be begun in the segment in which records end at `at`.
fn ends_with_segment(at: usize) -> bool {
    at.next_multiple_of(SEGMENT_SIZE) - at < FRAGMENT_MIN
}
