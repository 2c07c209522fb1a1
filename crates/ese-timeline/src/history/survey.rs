//! What has to be known of logs before they can be read backwards: which database a number means where, and which macro
//! operations never committed.

use ese_format::record::Record;
use ese_format::{Dbtime, Generation, Lgpos, ProcId, RecordType, Signature};
use ese_log::{StreamFile, StreamRecords, StreamStep, subject};
use rustc_hash::{FxHashMap, FxHashSet};

/// What was found in logs.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Where a number came to mean a database, or none that is given; in order.
    attached: Vec<(Lgpos, u8, Option<usize>)>,
    /// Where logs begin before which records are missing.
    pub(super) gaps: Vec<Lgpos>,
    /// Macro operations that began and did not commit, and where they began.
    open_macros: FxHashMap<(ProcId, Dbtime), Generation>,
    /// Macro operations that committed, and of which the logs do not hold the begin, or not near enough.
    headless: FxHashSet<(ProcId, Dbtime)>,
}

/// A macro operation that spans more logs than this was written by no engine: it is a few records that one session writes at
/// once. So many logs are in memory on the way back.
const MACRO_LOGS: u32 = 16;

impl Survey {
    /// Reads these logs, which are in order; `databases` are the signatures of those that are given. Logs that cannot be
    /// read are passed over here, and reported when they are read backwards.
    pub(super) fn of(files: &[StreamFile], databases: &[Signature]) -> Self {
        let mut survey = Survey::default();
        let place = |signature: Signature| databases.iter().position(|known| *known == signature);
        let mut last: Option<Generation> = None;
        for file in files {
            let mut records = StreamRecords::new([file.clone()]);
            loop {
                let step = match records.advance() {
                    Ok(Some(step)) => step,
                    Ok(None) => break,
                    Err(_) => {
                        // No generation follows this one.
                        last = Some(Generation(u32::MAX));
                        break;
                    }
                };
                let Some(image) = records.image() else { break };
                if step == StreamStep::Log {
                    let generation = image.header.generation;
                    let begin = Lgpos::new(generation.0, 0, 0);
                    if last.is_some_and(|last| last.0.checked_add(1) != Some(generation.0)) {
                        survey.gaps.push(begin);
                    }
                    last = Some(generation);
                    for attachment in &image.header.attachments.databases {
                        let database = place(attachment.database_signature);
                        survey.attached.push((begin, attachment.dbid, database));
                    }
                    continue;
                }
                let Some(raw) = records.current().filter(|raw| matters(raw.kind)) else {
                    continue;
                };
                if let Ok(record) = raw.decode() {
                    survey.note(raw.lgpos, &record, &place);
                }
            }
        }
        survey
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
                let is_near = |begun: Generation| lgpos.generation.0 - begun.0 <= MACRO_LOGS;
                if !begun.is_some_and(is_near) {
                    self.headless.insert(operation);
                }
            }
            Record::CreateDb(create) => {
                let database = place(create.signature);
                self.attached.push((lgpos, create.dbid, database));
            }
            Record::AttachDb(attach) => {
                let database = place(attach.db_signature);
                self.attached.push((lgpos, attach.dbid, database));
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

    /// Macro operations that committed, and of which nothing is known, since the logs do not hold their begins.
    pub(super) fn headless_macros(&self) -> u64 {
        self.headless.len() as u64
    }

    /// Whether a record belongs to a macro operation that never committed, or of which the begin is missing.
    pub(super) fn is_of_broken_macro(&self, record: &Record<'_>) -> bool {
        let operation = match record {
            Record::Undo(_) | Record::UndoInfo(_) => None,
            Record::MacroCommit(end) => Some((end.procid, end.dbtime)),
            other => subject::page_change(other).map(|(procid, _, dbtime)| (procid, dbtime)),
        };
        operation.is_some_and(|operation| {
            self.open_macros.contains_key(&operation) || self.headless.contains(&operation)
        })
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
