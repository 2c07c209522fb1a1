//! The way forward again: what the way back found, and what was known of each line before, give its rows.
//!
//! A line is known whole from its insert, from a whole replace, or from a logged page on, and every difference after that
//! gives the next whole row. Where both ways know a byte, they must agree.

use super::past::Past;
use super::shelf::{Kept, Shelf};
use super::spool::{Finding, Findings, Parser, push_bytes, push_flag, push_masked};
use super::survey::Survey;
use crate::change::{RowChange, operation_on_row};
use crate::logs::{LogStep, Logs};
use crate::masked::{Contradiction, Masked};
use crate::told::{TellError, Told};
use crate::watcher::Timeline;
use ese_format::record::{Operation, Record, RecordFormat};
use ese_format::{JetError, Lgpos, ProcId, Progress};
use ese_log::transactions::TransactionStep;
use ese_log::{LogError, subject, time_of};
use ese_replay::recovery::RecoveryError;
use ese_replay::redo::{AddedNumber, NodeChangeKind, RedoObserver};
use rustc_hash::FxHashMap;
use std::io;

/// What is known of a line before its next record.
#[derive(Debug, Default)]
struct Known {
    key: Option<Vec<u8>>,
    is_deleted: Option<bool>,
    data: Option<Masked>,
}

impl Kept for Known {
    fn weight(&self) -> usize {
        let data = self.data.as_ref().map_or(0, |data| data.bytes().len());
        size_of::<Known>() + data + self.key.as_ref().map_or(0, Vec::len)
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        push_bytes(bytes, self.key.as_deref());
        push_flag(bytes, self.is_deleted);
        push_masked(bytes, self.data.as_ref());
    }

    fn read(bytes: &mut Parser<'_>) -> Option<Self> {
        Some(Known {
            key: bytes.bytes()?,
            is_deleted: bytes.flag()?,
            data: bytes.masked()?,
        })
    }
}

/// What taking an operation back does.
#[derive(Debug)]
enum Version {
    /// It puts this data back.
    Data(Masked),
    /// It takes this off a number to which others may have added.
    Added(AddedNumber),
}

/// The way forward.
pub(super) struct Forward<'d> {
    survey: &'d Survey,
    pasts: &'d mut [Past],
    findings: Findings,
    next: Option<Finding>,
    lines: Shelf<u64, Known>,
    /// Operations of open transactions.
    versions: FxHashMap<ProcId, FxHashMap<u32, Version>>,
    format: RecordFormat,
    /// How often the two ways contradicted each other.
    pub(super) contradictions: u64,
}

impl<'d> Forward<'d> {
    pub(super) fn new(
        survey: &'d Survey,
        pasts: &'d mut [Past],
        mut findings: Findings,
        memory: usize,
    ) -> io::Result<Self> {
        Ok(Forward {
            survey,
            pasts,
            next: findings.next_finding()?,
            findings,
            lines: Shelf::new(memory),
            versions: FxHashMap::default(),
            format: RecordFormat::NEWEST,
            contradictions: 0,
        })
    }

    /// Goes through the logs once more. What of them cannot be read is noted in `told`.
    pub(super) fn go(
        &mut self,
        mut logs: Logs,
        timeline: &mut Timeline,
        progress: &dyn Progress,
        told: &mut Told,
    ) -> Result<(), TellError> {
        let mut segment = None;
        while let Some(step) = logs.advance() {
            match step {
                LogStep::Broken(problem) => {
                    // The timeline says which generations are missing.
                    let problem = problem.filter(|problem| {
                        !matches!(problem, LogError::Sequence { jet, .. } if *jet == JetError::MISSING_LOG_FILE)
                    });
                    told.log_problems.extend(problem);
                    timeline.records_are_missing();
                }
                LogStep::Log => {
                    if progress.should_stop() {
                        return Err(RecoveryError::Interrupted.into());
                    }
                    let Some(image) = logs.image() else { break };
                    segment = None;
                    timeline.log_begins(image);
                    for attachment in &image.header.attachments.databases {
                        timeline.name_database(attachment.dbid, &attachment.path);
                    }
                    self.format = image.format();
                    if self.survey.is_after_gap(image.header.generation) {
                        self.versions.clear();
                    }
                    progress.advance(image.bytes.len() as u64);
                }
                LogStep::Record => {
                    let (Some(image), Some(raw)) = (logs.image(), logs.current()) else {
                        break;
                    };
                    if segment != Some(raw.lgpos.segment) {
                        segment = Some(raw.lgpos.segment);
                        timeline.segment_begins(raw.lgpos, time_of(image, raw.lgpos));
                    }
                    let Ok(record) = raw.decode() else {
                        told.undecoded += 1;
                        continue;
                    };
                    self.record(raw.lgpos, &record, timeline, told)?;
                }
            }
            if let Some(error) = timeline.failure.take() {
                return Err(error);
            }
        }
        Ok(())
    }

    fn record(
        &mut self,
        lgpos: Lgpos,
        record: &Record<'_>,
        timeline: &mut Timeline,
        told: &mut Told,
    ) -> io::Result<()> {
        timeline.record(lgpos, record);
        if let Some((_, dbid, _)) = subject::page_change(record) {
            let meaning = self.survey.meaning(dbid, lgpos);
            told.of_unnamed_databases += u64::from(meaning.is_none());
            if let Some(database) = meaning.flatten()
                && let Some((_, node)) = record.node_op()
                && self.survey.is_of_part(record)
                && operation_on_row(record).is_some()
            {
                let has_rows = self.pasts[database].has_rows(node.objid);
                told.in_partial_macros += u64::from(has_rows);
            }
        }
        match record {
            Record::CreateDb(create) => {
                timeline.name_database(create.dbid, &create.names.first());
            }
            Record::AttachDb(attach) => {
                timeline.name_database(attach.dbid, &attach.names.first());
            }
            _ => {}
        }
        self.follow(record);
        self.tell(lgpos, timeline)
    }

    fn follow(&mut self, record: &Record<'_>) {
        match TransactionStep::of(record) {
            Some(TransactionStep::Begin {
                session, from: 0, ..
            })
            | Some(TransactionStep::Commit { session, level: 0 }) => {
                self.versions.remove(&session);
            }
            Some(TransactionStep::EndAll) => self.versions.clear(),
            _ => {}
        }
    }

    /// Tells what was found at this record.
    fn tell(&mut self, at: Lgpos, timeline: &mut Timeline) -> io::Result<()> {
        while let Some(finding) = self.next.take_if(|next| next.at <= at) {
            self.next = self.findings.next_finding()?;
            if finding.record.is_empty() {
                self.learn(finding)?;
                continue;
            }
            let format = self.format;
            // It was decoded when it was found.
            let decoded = Record::decode(&finding.record, 0, format);
            let (record, _) =
                decoded.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            self.change(&finding, &record, timeline)?;
        }
        Ok(())
    }

    /// A logged page shows a line.
    fn learn(&mut self, finding: Finding) -> io::Result<()> {
        let known = self.lines.take(finding.line)?.unwrap_or_default();
        let known = Known {
            key: finding.key.or(known.key),
            is_deleted: finding.was_deleted.or(known.is_deleted),
            data: finding.before.or(known.data),
        };
        self.lines.put(finding.line, known)
    }

    fn both(&mut self, one: Option<Masked>, other: Option<&Masked>) -> Option<Masked> {
        Masked::both(one, other).unwrap_or_else(|Contradiction| {
            self.contradictions += 1;
            None
        })
    }

    fn change(
        &mut self,
        finding: &Finding,
        record: &Record<'_>,
        timeline: &mut Timeline,
    ) -> io::Result<()> {
        let Some((page, node)) = record.node_op() else {
            return Ok(());
        };
        let Some(database) = self.survey.database(page.dbid, finding.at) else {
            return Ok(());
        };
        let known = self.lines.take(finding.line)?.unwrap_or_default();
        let key = finding.key.clone().or(known.key);
        let was_deleted = finding.was_deleted.or(known.is_deleted);
        let before = self.both(known.data, finding.before.as_ref());
        let page_size = self.pasts[database].database.pages.size().as_usize();
        let added = |width, delta: &ese_format::record::Delta<'_>| AddedNumber {
            offset: delta.offset,
            amount: delta.delta,
            width,
        };
        let added = match record {
            Record::Delta(delta) => Some(added(4, delta)),
            Record::Delta64(delta) => Some(added(8, delta)),
            _ => None,
        };
        use NodeChangeKind::{FlagDelete, Insert, Remove, Replace, Undo};
        let (kind, is_deleted, made) = match record {
            Record::Insert(record) => (Insert, Some(false), Some(Masked::known(record.data))),
            Record::FlagInsert(record) => (Insert, Some(false), Some(Masked::known(record.data))),
            Record::FlagInsertAndReplaceData(record) => {
                (Insert, Some(false), Some(Masked::known(record.data)))
            }
            Record::Replace(record) => (Replace, was_deleted, Some(Masked::known(record.data))),
            Record::ReplaceDelta(record) => {
                let after = before.as_ref();
                let after = after.and_then(|before| before.after(record.diff, page_size));
                (Replace, was_deleted, after)
            }
            Record::Delta(_) | Record::Delta64(_) => {
                let after = before.as_ref().zip(added).and_then(|(before, added)| {
                    before.add(usize::from(added.offset), added.amount, added.width)
                });
                (Replace, was_deleted, after)
            }
            Record::FlagDelete(_) => (FlagDelete, Some(true), before.clone()),
            Record::Delete(_) => (Remove, None, None),
            Record::Undo(undo) => match undo.operation {
                Operation::Insert => (Undo, Some(true), before.clone()),
                Operation::FlagDelete => (Undo, Some(false), before.clone()),
                _ => {
                    let session = self.versions.get(&page.procid);
                    let after = match session.and_then(|own| own.get(&node.rceid)) {
                        Some(Version::Data(data)) => Some(data.clone()),
                        Some(Version::Added(added)) => before.as_ref().and_then(|before| {
                            let amount = added.amount.wrapping_neg();
                            before.add(usize::from(added.offset), amount, added.width)
                        }),
                        None => None,
                    };
                    (Undo, was_deleted, after)
                }
            },
            _ => return Ok(()),
        };
        let after = self.both(made, finding.after.as_ref());
        if kind == Replace && page.is_versioned() {
            let version = match added {
                Some(added) => Some(Version::Added(added)),
                None => before.clone().map(Version::Data),
            };
            let own = self.versions.entry(page.procid).or_default();
            own.extend(version.map(|version| (node.rceid, version)));
        }
        let past = &mut self.pasts[database];
        past.now = finding.at;
        if past.is_asked(node.objid)
            && kind != Remove
            && let Some(key) = &key
        {
            let data = after.as_ref().filter(|data| data.is_complete());
            let now = match is_deleted {
                Some(true) => None,
                _ => Some(data.map(Masked::bytes)),
            };
            past.set((node.objid, finding.at), key, now)?;
        }
        let has_schema = past.schema_until > finding.at;
        let is_row = has_schema && kind != Insert && was_deleted != Some(true);
        // Of a node that goes for good, nobody knows here whether it was deleted before; the engine removes only such.
        let change = RowChange {
            lgpos: finding.lgpos,
            page: *page,
            node: *node,
            kind,
            added,
            bytes: finding.record.len(),
            is_current: true,
            key: key.as_deref(),
            was_deleted: was_deleted == Some(true) || kind == Remove && was_deleted.is_none(),
            before: before.as_ref().filter(|_| is_row),
            after: (after.as_ref()).filter(|_| has_schema && is_deleted != Some(true)),
            pages: None,
        };
        timeline.node_changed(&change, past);
        if !finding.is_last && kind != Remove {
            self.lines.put(
                finding.line,
                Known {
                    key,
                    is_deleted,
                    data: after,
                },
            )?;
        }
        Ok(())
    }
}
