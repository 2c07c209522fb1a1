//! What has to be known of logs before they can be read backwards: which database a number means where, and which macro
//! operations never committed.

use ese_format::record::Record;
use ese_format::{Dbtime, Generation, Lgpos, ProcId, RecordType, Signature};
use ese_log::{StreamFile, StreamRecords, StreamStep};
use rustc_hash::FxHashSet;

/// What was found in logs.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Where a number came to mean a database, or none that is given; in order.
    attached: Vec<(Lgpos, u8, Option<usize>)>,
    /// Where logs begin before which records are missing.
    pub(super) gaps: Vec<Lgpos>,
    /// Macro operations that began and did not commit.
    open_macros: FxHashSet<(ProcId, Dbtime)>,
}

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
                self.open_macros.insert((begin.procid, begin.dbtime));
            }
            Record::MacroCommit(end) => {
                self.open_macros.remove(&(end.procid, end.dbtime));
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

    /// The database that a number means at a place.
    pub(super) fn database(&self, dbid: u8, lgpos: Lgpos) -> Option<usize> {
        let end = self.attached.partition_point(|(at, ..)| *at <= lgpos);
        let mut before = self.attached[..end].iter().rev();
        before
            .find(|(_, number, _)| *number == dbid)
            .and_then(|(_, _, database)| *database)
    }

    /// Whether logs say before this place which database a number means, given or not.
    pub(super) fn names(&self, dbid: u8, lgpos: Lgpos) -> bool {
        let end = self.attached.partition_point(|(at, ..)| *at <= lgpos);
        self.attached[..end]
            .iter()
            .any(|(_, number, _)| *number == dbid)
    }

    /// Whether a record belongs to a macro operation that never committed.
    pub(super) fn never_happened(&self, record: &Record<'_>) -> bool {
        if matches!(record, Record::Undo(_) | Record::UndoInfo(_)) || self.open_macros.is_empty() {
            return false;
        }
        let (procid, dbtime) = match record {
            Record::NewPage(record) => (record.procid, record.dbtime),
            other => match other.page_op() {
                Some(page) => (page.procid, page.dbtime),
                None => return false,
            },
        };
        self.open_macros.contains(&(procid, dbtime))
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
