//! The records of one log, whichever layout it has.
//!
//! In the segment layout a record never crosses the end of its segment; a long one is cut into *fragments*, one
//! per segment, and put together here (`LOG_READ_BUFFER::ErrLGIGetRecordAtPbNext`, `ese/_log/logread.cxx`):
//!
//! ```text
//! | FragmentBegin (76): u8 type, u32 size of the record, u16 size of this piece | piece |
//! | Fragment (77):      u8 type, u16 size of this piece                         | piece |
//! ```
//!
//! In the older layout records follow each other byte by byte across sectors, and the checksum records are among them.
//!
//! A record that is not finished when the log ends was being written when the machine stopped. It is not damage, and
//! the engine silently passes over it; here it is counted.

use crate::image::{LogImage, RangeOrigin, TrustedRange};
use ese_format::log::{Layout, SEGMENT_HEADER_SIZE, SEGMENT_SIZE};
use ese_format::record::measure;
use ese_format::{FormatError, Lgpos, Reader, Record, RecordError, RecordFormat, RecordType};
use std::ops::Range;

const FRAGMENT_BEGIN_SIZE: usize = 7;
const FRAGMENT_SIZE: usize = 3;

/// A record and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawRecord<'a> {
    /// Where the record begins; the first record of a segment is at byte 0 of it.
    pub lgpos: Lgpos,
    /// Its type.
    pub kind: RecordType,
    /// Its bytes, put together if it was cut, with the type byte.
    pub bytes: &'a [u8],
    /// How its log lays out records.
    pub format: RecordFormat,
}

impl<'a> RawRecord<'a> {
    /// The record with its fields. Offsets in errors count from the start of the record.
    pub fn decode(&self) -> Result<Record<'a>, RecordError> {
        Record::decode_measured(self.kind, self.bytes, 0, self.format)
    }
}

/// A record that cannot be read, and everything after it in its range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRecord {
    /// Where the record begins.
    pub lgpos: Lgpos,
    /// What is wrong with it.
    pub problem: Box<RecordError>,
}

/// A place among the records of one log.
///
/// It goes through the trusted ranges of the log. At damage it stops, as the engine does, unless it was made with
/// [`salvage`](Self::salvage).
#[derive(Debug, Default)]
pub struct RecordCursor {
    salvage: bool,
    /// The trusted range being read.
    range: usize,
    /// Offset at which reading goes on.
    at: usize,
    started: bool,
    /// The range may begin with the end of a record that began before it.
    skip_partial: bool,
    assembled: Vec<u8>,
    found: Option<FoundRecord>,
    /// Records that ended with the log, or with a range, before they were whole.
    pub unfinished: u64,
}

/// Where a record was found.
#[derive(Debug)]
pub(crate) struct FoundRecord {
    lgpos: Lgpos,
    kind: RecordType,
    /// Where its bytes are: in the file, or among those that were put together.
    bytes: Range<usize>,
    /// Whether it was put together.
    assembled: bool,
}

impl FoundRecord {
    /// The record, in `image` or in the bytes that were put together.
    pub(crate) fn record<'a>(
        &self,
        image: &'a LogImage,
        format: RecordFormat,
        assembled: &'a [u8],
    ) -> Option<RawRecord<'a>> {
        let all = if self.assembled {
            assembled
        } else {
            &image.bytes
        };
        Some(RawRecord {
            lgpos: self.lgpos,
            kind: self.kind,
            bytes: all.get(self.bytes.clone())?,
            format,
        })
    }
}

impl RecordCursor {
    /// At the first record; stops at damage.
    pub fn new() -> Self {
        Self::default()
    }

    /// At the first record; goes on after damage.
    pub fn salvage() -> Self {
        RecordCursor {
            salvage: true,
            ..Self::default()
        }
    }

    /// Starts over in another log.
    pub fn reset(&mut self) {
        *self = RecordCursor {
            salvage: self.salvage,
            unfinished: self.unfinished,
            assembled: std::mem::take(&mut self.assembled),
            ..Self::default()
        };
    }

    /// The next record of `image`; `None` at the end of what can be read.
    ///
    /// After an error, reading is over; when salvaging, it goes on with the next segment or range.
    pub fn next_record<'a>(
        &'a mut self,
        image: &'a LogImage,
    ) -> Result<Option<RawRecord<'a>>, BadRecord> {
        Ok(if self.advance(image)? {
            self.current(image)
        } else {
            None
        })
    }

    /// Goes to the next record of `image`; `false` at the end of what can be read.
    pub fn advance(&mut self, image: &LogImage) -> Result<bool, BadRecord> {
        self.found = None;
        while self.enter_island(image) {
            let range = &image.body.ranges[self.range];
            let found = match image.layout {
                Layout::Segments => self.in_segments(image, range),
                Layout::ChecksumRecords => self.in_sectors(image, range),
            };
            match found {
                Ok(Some(found)) => {
                    self.found = Some(found);
                    return Ok(true);
                }
                Ok(None) => {
                    self.range += 1;
                    self.started = false;
                }
                Err(bad) => {
                    self.skip_partial = true;
                    if !self.salvage {
                        self.range = image.body.ranges.len();
                    }
                    return Err(bad);
                }
            }
        }
        Ok(false)
    }

    /// The position of the record that [`advance`](Self::advance) went to.
    pub fn lgpos(&self) -> Lgpos {
        let found = self.found.as_ref();
        found.map_or(Lgpos::NULL, |found| found.lgpos)
    }

    /// Type and size of the record that [`advance`](Self::advance) went to.
    pub(crate) fn shape(&self) -> Option<(RecordType, usize)> {
        let found = self.found.as_ref()?;
        Some((found.kind, found.bytes.len()))
    }

    /// Where that record ends in the file.
    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    /// The record that [`advance`](Self::advance) went to.
    pub fn current<'a>(&'a self, image: &'a LogImage) -> Option<RawRecord<'a>> {
        let found = self.found.as_ref()?;
        found.record(image, image.format(), &self.assembled)
    }

    /// Where [`advance`](Self::advance) went to; the bytes of a record that was put together go after `assembled`.
    pub(crate) fn take_found(&mut self, assembled: &mut Vec<u8>) -> Option<FoundRecord> {
        let mut found = self.found.take()?;
        if found.assembled {
            let start = assembled.len();
            assembled.extend_from_slice(&self.assembled);
            found.bytes = start..assembled.len();
        }
        Some(found)
    }

    /// Makes sure that there is a range to read; `false` at the end.
    fn enter_island(&mut self, image: &LogImage) -> bool {
        let Some(range) = image.body.ranges.get(self.range) else {
            return false;
        };
        if !self.started {
            if range.origin == RangeOrigin::Damage && !self.salvage {
                return false;
            }
            self.started = true;
            self.at = range.bytes.start;
            self.skip_partial = true;
        }
        true
    }

    fn in_sectors(
        &mut self,
        image: &LogImage,
        range: &TrustedRange,
    ) -> Result<Option<FoundRecord>, BadRecord> {
        let start = self.at;
        let rest = &image.bytes[start..range.bytes.end];
        if rest.is_empty() {
            return Ok(None);
        }
        match measure(rest, start as u64) {
            Ok((kind, size)) => {
                self.at += size;
                Ok(Some(FoundRecord {
                    lgpos: image.lgpos(start),
                    kind,
                    bytes: start..start + size,
                    assembled: false,
                }))
            }
            Err(RecordError::Format(FormatError::Truncated { .. })) => {
                self.unfinished += 1;
                Ok(None)
            }
            Err(problem) => {
                self.at = range.bytes.end;
                Err(BadRecord {
                    lgpos: image.lgpos(start),
                    problem: Box::new(problem),
                })
            }
        }
    }

    fn in_segments(
        &mut self,
        image: &LogImage,
        range: &TrustedRange,
    ) -> Result<Option<FoundRecord>, BadRecord> {
        // The record being put together: where it began and how long it will be.
        let mut parts: Option<usize> = None;
        let mut start = self.at;
        let mut at = self.at;
        loop {
            if at >= range.bytes.end {
                self.unfinished += u64::from(parts.is_some());
                self.at = at;
                return Ok(None);
            }
            let segment_start = at - at % SEGMENT_SIZE;
            let segment_end = segment_start + SEGMENT_SIZE;
            if at == segment_start {
                at += SEGMENT_HEADER_SIZE;
            }
            let first_in_segment = at == segment_start + SEGMENT_HEADER_SIZE;
            let rest = &image.bytes[at..segment_end];
            let lgpos = image.lgpos(start);
            let bad = |problem: RecordError| BadRecord {
                lgpos,
                problem: Box::new(problem),
            };
            // Where reading goes on if this record turns out bad.
            self.at = segment_end;
            match RecordType::from_number(rest[0]) {
                Some(RecordType::Nop) => {
                    at += rest.iter().take_while(|byte| **byte == 0).count();
                }
                Some(RecordType::FragmentBegin) => {
                    let (total, piece) = first_piece(rest, at).map_err(bad)?;
                    let is_undo_info = piece.first() == Some(&RecordType::UndoInfo.number());
                    if parts.is_some() {
                        if !(first_in_segment && is_undo_info) {
                            return Err(bad(unfinished_fragment(at)));
                        }
                        self.unfinished += 1;
                    }
                    parts = Some(total);
                    self.skip_partial = false;
                    self.assembled.clear();
                    self.assembled.extend_from_slice(piece);
                    at += FRAGMENT_BEGIN_SIZE + piece.len();
                }
                Some(RecordType::Fragment) => {
                    let piece = further_piece(rest, at).map_err(bad)?;
                    at += FRAGMENT_SIZE + piece.len();
                    if self.skip_partial {
                        start = at;
                        continue;
                    }
                    let missing = parts.map(|total| total - self.assembled.len());
                    if missing.is_none_or(|missing| piece.len() > missing) {
                        return Err(bad(unfinished_fragment(at)));
                    }
                    self.assembled.extend_from_slice(piece);
                    if parts == Some(self.assembled.len()) {
                        let kind = check_whole(&self.assembled, start).map_err(bad)?;
                        self.at = at;
                        return Ok(Some(FoundRecord {
                            lgpos,
                            kind,
                            bytes: 0..self.assembled.len(),
                            assembled: true,
                        }));
                    }
                }
                Some(kind) => {
                    if parts.is_some() {
                        // A torn record before the undo of the recovery that followed.
                        let undo = matches!(
                            kind,
                            RecordType::RecoveryUndo
                                | RecordType::RecoveryUndo2
                                | RecordType::UndoInfo
                        );
                        if !(first_in_segment && undo) {
                            return Err(bad(unfinished_fragment(at)));
                        }
                        self.unfinished += 1;
                        start = segment_start;
                    }
                    let (kind, size) = measure(rest, at as u64).map_err(bad)?;
                    self.skip_partial = false;
                    self.at = at + size;
                    return Ok(Some(FoundRecord {
                        lgpos: image.lgpos(start),
                        kind,
                        bytes: at..at + size,
                        assembled: false,
                    }));
                }
                None => {
                    let (number, offset) = (rest[0], at as u64);
                    return Err(bad(RecordError::UnknownType { number, offset }));
                }
            }
        }
    }
}

fn unfinished_fragment(at: usize) -> RecordError {
    let (found, expected) = (
        "another",
        "the next piece of the record that is being put together",
    );
    FormatError::invalid("log record", at as u64, found, expected).into()
}

/// Size of the whole record and the first piece of it.
fn first_piece(rest: &[u8], at: usize) -> Result<(usize, &[u8]), RecordError> {
    let mut reader = Reader::at(rest, at as u64);
    reader.u8("fragment")?;
    let total = reader.u32("fragment")? as usize;
    let size = usize::from(reader.u16("fragment")?);
    if size >= total {
        return Err(FormatError::invalid(
            "fragment size",
            at as u64,
            size,
            format!("less than {total}"),
        )
        .into());
    }
    Ok((total, reader.take(size, "fragment")?))
}

/// A further piece of a record.
fn further_piece(rest: &[u8], at: usize) -> Result<&[u8], RecordError> {
    let mut reader = Reader::at(rest, at as u64);
    reader.u8("fragment")?;
    let size = usize::from(reader.u16("fragment")?);
    Ok(reader.take(size, "fragment")?)
}

/// A record put together must be one record and nothing else; gives its type.
fn check_whole(bytes: &[u8], start: usize) -> Result<RecordType, RecordError> {
    let (kind, size) = measure(bytes, start as u64)?;
    if size != bytes.len() {
        let problem = FormatError::invalid("record size", start as u64, size, bytes.len());
        return Err(problem.into());
    }
    Ok(kind)
}
