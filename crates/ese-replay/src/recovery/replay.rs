//! Redo of the records of a stream, from the start of a log on, up to its end or to a limit.

use super::RecoveryError;
use crate::error::Problem;
use crate::redo::{LoggedAttach, Redo};
use ese_format::log::{Attachment, Layout, SEGMENT_SIZE, SegmentHeader};
use ese_format::{Generation, Lgpos, LogTime, Progress};
use ese_log::{LogImage, StreamRecords};
use jiff::Timestamp;
use serde::Serialize;

/// Where a replay ends if the logs go on: at whichever of these comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Until {
    /// The last generation.
    pub generation: Option<Generation>,
    /// The last record.
    pub lgpos: Option<Lgpos>,
    /// The record that is the first not to be replayed.
    pub before: Option<Lgpos>,
    /// No segment that was begun after this; in the older layout, no log that was. A segment stays open for up to
    /// some seconds, so that later records of the same moment may be in or out.
    pub time: Option<Timestamp>,
}

impl Until {
    /// Whether the record at `lgpos` is no longer to be replayed, apart from its time.
    pub fn is_past(&self, lgpos: Lgpos) -> bool {
        self.generation.is_some_and(|last| lgpos.generation > last)
            || self.lgpos.is_some_and(|last| lgpos > last)
            || self.before.is_some_and(|first_out| lgpos >= first_out)
    }

    /// Whether the record at `lgpos` of this log was written too late.
    fn is_late(&self, image: &LogImage, lgpos: Lgpos) -> bool {
        let Some(limit) = self.time else { return false };
        let begun = match image.layout {
            Layout::Segments => {
                let offset = usize::from(lgpos.segment) * SEGMENT_SIZE;
                let segment = image.bytes.get(offset..);
                segment
                    .and_then(|segment| SegmentHeader::read(segment, 0).ok())
                    .map(|header| header.started)
            }
            Layout::ChecksumRecords => None,
        };
        let begun = begun.and_then(LogTime::timestamp);
        let begun = begun.or_else(|| image.header.created.timestamp());
        begun.is_some_and(|begun| begun > limit)
    }
}

/// How far a replay came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Ran {
    /// Records read.
    pub records: u64,
    /// Logs read, whole or in part.
    pub logs: u32,
    /// Bytes of those logs.
    pub log_bytes: u64,
    /// First generation.
    pub first: Generation,
    /// Last generation.
    pub last: Generation,
    /// The last record.
    pub last_record: Lgpos,
    /// Where the next record would begin.
    pub end: Lgpos,
    /// The record before which a limit ended it; none if the logs ended.
    pub limited_before: Option<Lgpos>,
}

impl Ran {
    /// Whether a database that needs the logs up to the end of `needed` got all of them.
    pub fn covers(&self, needed: Generation) -> bool {
        self.last >= needed
            && self
                .limited_before
                .is_none_or(|before| before.generation > needed)
    }
}

/// Replays `records`, whose first log tells what was attached when it was begun.
pub fn replay(
    redo: &mut Redo,
    records: &mut StreamRecords,
    until: &Until,
    progress: &dyn Progress,
) -> Result<Ran, RecoveryError> {
    let mut ran = Ran::default();
    while let Some(lgpos) = records.next_record()?.map(|raw| raw.lgpos) {
        if until.is_past(lgpos) {
            ran.limited_before = Some(lgpos);
            break;
        }
        if lgpos.generation != ran.last
            && let Some(image) = records.image()
        {
            if progress.should_stop() {
                return Err(RecoveryError::Interrupted);
            }
            enter(redo, image, &mut ran)?;
            progress.advance(image.bytes.len() as u64);
        }
        if until.time.is_some()
            && let Some(image) = records.image()
            && until.is_late(image, lgpos)
        {
            ran.limited_before = Some(lgpos);
            break;
        }
        if let Some(raw) = records.current() {
            redo.apply(&raw)?;
            ran.records += 1;
            ran.last_record = lgpos;
            let end = usize::from(lgpos.byte) + raw.bytes.len();
            ran.end = Lgpos {
                byte: u16::try_from(end).unwrap_or(u16::MAX),
                ..lgpos
            };
        }
    }
    if ran.limited_before.is_none()
        && let Some(image) = records.image()
    {
        ran.end = ran.end.max(image.end());
    }
    Ok(ran)
}

/// A log begins: the first one tells what is attached, later ones end the range of what is in the databases already.
fn enter(redo: &mut Redo, image: &LogImage, ran: &mut Ran) -> Result<(), RecoveryError> {
    let generation = image.header.generation;
    if ran.logs == 0 {
        ran.first = generation;
        redo.set_stream(image.header.signature, image.header.engine_version);
        for attachment in &image.header.attachments.databases {
            let begun = redo.begin_attached(logged(attachment));
            begun.map_err(|problem| {
                problem.at(attachment.last_attach, "the list of attached databases")
            })?;
        }
    }
    ran.last = generation;
    ran.logs += 1;
    ran.log_bytes += image.bytes.len() as u64;
    explained(redo, generation).map_err(|problem| {
        let begin = image.lgpos(usize::from(image.header.sector_size));
        problem.at(begin, "the begin of a log").into()
    })
}

/// Pages that redo passed over must have been explained once the log is past what the databases may hold already.
fn explained(redo: &mut Redo, generation: Generation) -> Result<(), Problem> {
    for database in redo.databases_mut().values_mut() {
        if !database.in_required_range(generation)
            && let Some(skipped) = database.take_unexplained()
        {
            return Err(skipped.problem);
        }
    }
    Ok(())
}

fn logged(attachment: &Attachment) -> LoggedAttach {
    LoggedAttach {
        dbid: attachment.dbid,
        signature: attachment.database_signature,
        attach: attachment.last_attach,
        consistent: attachment.last_consistent,
        dbtime: attachment.dbtime,
        objid_last: attachment.objid_last,
        name: attachment.path.clone(),
    }
}
