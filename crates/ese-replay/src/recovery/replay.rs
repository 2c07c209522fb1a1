//! Redo of the records of a stream, from the start of a log on, up to its end or to a limit.

use super::RecoveryError;
use crate::redo::{LoggedAttach, Redo};
use ese_format::log::Attachment;
use ese_format::{Generation, Lgpos, LogTime, Progress};
use ese_log::chain::attached::{listed_later, lost};
use ese_log::{Interval, LogImage, StreamRecords, StreamStep, Until, time_of};
use serde::Serialize;
use std::path::PathBuf;

/// How far a replay came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReplaySummary {
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
    /// The last transaction that committed.
    pub last_commit: Option<Lgpos>,
    /// When it committed.
    pub committed_at: Interval,
    /// When the last segment that was read was begun, by the clock of the machine that wrote it.
    #[serde(skip)]
    pub time: LogTime,
}

impl ReplaySummary {
    /// Whether a database that needs the logs up to the end of `needed` got all of them.
    pub fn covers(&self, needed: Generation) -> bool {
        self.last >= needed
            && self
                .limited_before
                .is_none_or(|before| before.generation > needed)
    }

    /// Takes note of the time of a segment that begins; `committed` says that the last commit lies before it.
    fn segment_begins(&mut self, time: LogTime) {
        self.time = time;
        if self.last_commit.is_some() && self.committed_at.until.is_null() {
            self.committed_at.until = time;
        }
    }
}

/// Replays `records`, whose first log tells what was attached when it was begun. This is redo alone and proves nothing:
/// a recovery is [`recover`](super::recover()).
pub fn replay(
    redo: &mut Redo,
    records: &mut StreamRecords,
    until: &Until,
    progress: &dyn Progress,
) -> Result<ReplaySummary, RecoveryError> {
    let mut summary = ReplaySummary::default();
    let mut segment = None;
    while let Some(step) = records.advance()? {
        let Some(image) = records.image() else { break };
        if step == StreamStep::Log {
            let first = image.lgpos(usize::from(image.header.sector_size));
            if until.leaves_out(first.generation) {
                summary.limited_before = Some(first);
                break;
            }
            if progress.should_stop() {
                return Err(RecoveryError::Interrupted);
            }
            redo.log_begins(image);
            enter(redo, image, &mut summary)?;
            segment = None;
            progress.advance(image.bytes.len() as u64);
            continue;
        }
        let Some(raw) = records.current() else { break };
        let lgpos = raw.lgpos;
        if until.is_past(lgpos) || until.is_late(image, lgpos) {
            summary.limited_before = Some(lgpos);
            break;
        }
        if segment != Some(lgpos.segment) {
            segment = Some(lgpos.segment);
            let time = time_of(image, lgpos);
            summary.segment_begins(time);
            redo.segment_begins(lgpos, time);
        }
        let committed = redo.counts().transactions.committed;
        redo.apply(&raw)?;
        if redo.counts().transactions.committed > committed {
            summary.last_commit = Some(lgpos);
            summary.committed_at = Interval {
                from: summary.time,
                until: LogTime::default(),
            };
        }
        summary.records += 1;
        summary.last_record = lgpos;
        let end = usize::from(lgpos.byte) + raw.bytes.len();
        summary.end = Lgpos {
            byte: u16::try_from(end).unwrap_or(u16::MAX),
            ..lgpos
        };
    }
    if summary.limited_before.is_none()
        && let Some(image) = records.image()
    {
        summary.end = summary.end.max(image.end());
    }
    Ok(summary)
}

/// A log begins: the first one tells what is attached, later ones end the range of what is in the databases already.
fn enter(
    redo: &mut Redo,
    image: &LogImage,
    summary: &mut ReplaySummary,
) -> Result<(), RecoveryError> {
    let generation = image.header.generation;
    let attached = &image.header.attachments.databases;
    if summary.logs == 0 {
        summary.first = generation;
        summary.time = image.header.created;
        redo.set_stream(image.header.signature, image.header.engine_version);
        for attachment in attached {
            let begun = redo.begin_attached(logged(attachment));
            begun.map_err(|problem| {
                problem.at(attachment.last_attach, "the list of attached databases")
            })?;
        }
    }
    for database in redo.waiting() {
        if let Some(listed) = listed_later(attached, &database.header) {
            return Err(RecoveryError::LostAttach {
                path: PathBuf::new(),
                signature: database.header.signature,
                lost: lost(listed, generation, &database.header),
            });
        }
    }
    summary.last = generation;
    summary.logs += 1;
    summary.log_bytes += image.bytes.len() as u64;
    explained(redo, generation)
}

/// Pages that redo passed over must have been explained once the log is past what the databases may hold already.
fn explained(redo: &mut Redo, generation: Generation) -> Result<(), RecoveryError> {
    for database in redo.databases_mut().values_mut() {
        if !database.in_required_range(generation)
            && let Some(skipped) = database.take_unexplained()
        {
            return Err(skipped.into_error().into());
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
