//! What has to be known of logs before they can be read backwards: which database a number means where, and which macro
//! operations never committed.

use super::past::AFTER_ALL;
use crate::logs::{LogStep, Logs};
use ese_format::record::Record;
use ese_format::{
    DatabaseHeader, Dbtime, Generation, Lgpos, LogTime, ProcId, RecordType, Signature,
};
use ese_log::{StreamFile, subject};
use rustc_hash::{FxHashMap, FxHashSet};

/// What was found in logs.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Logs of the stream that can be read, and belong where they are.
    pub(super) files: Vec<StreamFile>,
    /// Where a number came to mean a database, or none that is given; in order.
    attached: Vec<(Lgpos, u8, Option<usize>)>,
    /// Where databases were consistent when they were attached or are at the end, by their signatures.
    pub(super) continued: FxHashSet<(Signature, Lgpos)>,
    /// When logs were created.
    created: FxHashMap<Generation, LogTime>,
    /// Where logs begin before which records are missing.
    pub(super) gaps: Vec<Lgpos>,
    /// Whether records are missing after the last log.
    pub(super) is_cut: bool,
    /// Macro operations that began and did not commit, and where they began.
    open_macros: FxHashMap<(ProcId, Dbtime), Generation>,
    /// Macro operations of which the logs do not hold the begin, not near enough, or not the end.
    partial: FxHashSet<(ProcId, Dbtime)>,
}

/// A macro operation that spans more logs than this was written by no engine: it is a few records that one session writes at
/// once. So many logs are in memory on the way back.
const MACRO_LOGS: u32 = 16;

impl Survey {
    /// Reads these logs, which are in order; `databases` are the signatures of those that are given, which go on at least to
    /// `reached`. What is wrong with logs is reported on the way forward.
    pub(super) fn of(mut logs: Logs, databases: &[Signature], reached: Lgpos) -> Self {
        let mut survey = Survey::default();
        let place = |signature: Signature| databases.iter().position(|known| *known == signature);
        let mut is_broken = false;
        let mut end = Lgpos::NULL;
        while let Some(step) = logs.advance() {
            match step {
                LogStep::Broken(_) => is_broken = true,
                LogStep::Log => {
                    let (Some(image), Some(file)) = (logs.image(), logs.file()) else {
                        break;
                    };
                    survey.files.push(file.clone());
                    let (generation, created) = (image.header.generation, image.header.created);
                    survey.created.insert(generation, created);
                    let begin = Lgpos::new(image.header.generation.0, 0, 0);
                    if std::mem::take(&mut is_broken) {
                        survey.gap(begin);
                    }
                    end = image.end();
                    for attachment in &image.header.attachments.databases {
                        let database = place(attachment.database_signature);
                        survey.attached.push((begin, attachment.dbid, database));
                        let consistent = attachment.last_consistent;
                        let continued = (attachment.database_signature, consistent);
                        survey.continued.insert(continued);
                    }
                }
                LogStep::Record => {
                    let raw = logs.current().filter(|raw| matters(raw.kind));
                    if let Some(raw) = raw
                        && let Ok(record) = raw.decode()
                    {
                        survey.note(raw.lgpos, &record, &place);
                    }
                }
            }
        }
        survey.is_cut = is_broken || end < reached;
        if survey.is_cut {
            survey.gap(AFTER_ALL);
        }
        survey
    }

    /// Records are missing before this place: what was not ended there is not known.
    fn gap(&mut self, at: Lgpos) {
        self.gaps.push(at);
        let open = self.open_macros.drain();
        self.partial.extend(open.map(|(operation, _)| operation));
    }

    fn note(
        &mut self,
        lgpos: Lgpos,
        record: &Record<'_>,
        place: &impl Fn(Signature) -> Option<usize>,
    ) {
        match record {
            Record::MacroBegin(begin) => {
                let operation = (begin.procid, begin.dbtime);
                self.open_macros.insert(operation, lgpos.generation);
            }
            Record::MacroCommit(end) => {
                let operation = (end.procid, end.dbtime);
                let begun = self.open_macros.remove(&operation);
                let is_near =
                    |begun: Generation| lgpos.generation.0.saturating_sub(begun.0) <= MACRO_LOGS;
                if !begun.is_some_and(is_near) {
                    self.partial.insert(operation);
                }
            }
            Record::CreateDb(create) => {
                let database = place(create.signature);
                self.attached.push((lgpos, create.dbid, database));
            }
            Record::AttachDb(attach) => {
                let database = place(attach.db_signature);
                self.attached.push((lgpos, attach.dbid, database));
                let continued = (attach.db_signature, attach.lgpos_consistent);
                self.continued.insert(continued);
            }
            _ => {}
        }
    }

    /// Whether records are missing before this log.
    pub(super) fn is_after_gap(&self, generation: Generation) -> bool {
        self.gaps.iter().any(|gap| gap.generation == generation)
    }

    /// What a number means at a place, if the logs say it: a database that is given, or another.
    pub(super) fn meaning(&self, dbid: u8, lgpos: Lgpos) -> Option<Option<usize>> {
        let end = self.attached.partition_point(|(at, ..)| *at <= lgpos);
        let mut before = self.attached[..end].iter().rev();
        let named = before.find(|(_, number, _)| *number == dbid)?;
        Some(named.2)
    }

    /// The database that is given and that a number means at a place.
    pub(super) fn database(&self, dbid: u8, lgpos: Lgpos) -> Option<usize> {
        self.meaning(dbid, lgpos).flatten()
    }

    /// Whether the logs name a database that is given.
    pub(super) fn is_named(&self, database: usize) -> bool {
        let mut named = self.attached.iter().map(|(_, _, named)| *named);
        named.any(|named| named == Some(database))
    }

    /// Whether these logs show that a copy with this header is an earlier state of what they tell of, and not one that went another
    /// way: there, the same dbtimes stand for other pages.
    pub(super) fn shows(&self, copy: &DatabaseHeader) -> bool {
        match copy.state.needs_recovery() {
            true => {
                let created = self.created.get(&copy.max_required).copied();
                created.is_some() && created == copy.last_required_log_created()
            }
            false => {
                let own = (copy.signature, copy.last_consistent);
                self.continued.contains(&own)
            }
        }
    }

    /// Whether a record belongs to a macro operation that never committed.
    pub(super) fn never_happened(&self, record: &Record<'_>) -> bool {
        operation_of(record).is_some_and(|operation| self.open_macros.contains_key(&operation))
    }

    /// Whether a record belongs to a macro operation that is not whole in these logs, so that nothing is known of what it did.
    pub(super) fn is_of_part(&self, record: &Record<'_>) -> bool {
        operation_of(record).is_some_and(|operation| self.partial.contains(&operation))
    }
}

/// The macro operation that a record may belong to.
fn operation_of(record: &Record<'_>) -> Option<(ProcId, Dbtime)> {
    match record {
        Record::Undo(_) | Record::UndoInfo(_) => None,
        Record::MacroCommit(end) => Some((end.procid, end.dbtime)),
        other => subject::page_change(other).map(|(procid, _, dbtime)| (procid, dbtime)),
    }
}

fn matters(kind: RecordType) -> bool {
    matches!(
        kind,
        RecordType::MacroBegin
            | RecordType::MacroCommit
            | RecordType::CreateDb
            | RecordType::AttachDb
    )
}
