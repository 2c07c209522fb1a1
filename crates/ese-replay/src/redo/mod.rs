//! Redo: one function per record type, found under the record's name.
//!
//! Redo repeats what the engine did, record by record, in the order of the log (`docs/concepts.md` explains the words).
//! These questions decide about a record that changes pages, in this order:
//!
//! 1. Does it belong to a macro operation under way in its session? Then it waits for the commit ([`transactions`]).
//! 2. Has its session begun a transaction in these logs? If not, the transaction began before the checkpoint, and all that
//!    it did is on disk. Is its database attached, by an earlier record? If not, the record is about another database, or
//!    from before the attach and in the file already. Such records at most raise the highest dbtime and object id.
//! 3. Does each page have the dbtime that the record expects? Then it is changed and gets the record's dbtime. In the
//!    required range a page may have the change already and is skipped ([`access`]).
//!
//! So it does no harm to begin too early, or to redo the same logs once more. A versioned change also leaves in its
//! session what undoing it takes. Nothing here writes to a database file: pages go to a
//! [`PageFile`](crate::pages::PageFile), and what a kill leaves is decided in [`output`](crate::output).
//!
//! | room | records |
//! |---|---|
//! | [`transactions`] | begin, commit, rollback, macro operations |
//! | [`nodes`] | insert, flag insert, replace, delete, delta, undo, external header, scrub |
//! | [`split`], [`merge`] | splits and merges, applied when their macro operation commits |
//! | [`trees`], [`page_move`] | creation, conversion and emptying of trees, new pages; moved pages and moved roots |
//! | [`obsolete`] | splits, merges and conversions of the oldest form |
//! | [`attach`], [`files`] | create, attach, detach; extend, shrink, trim, format version |
//! | [`scan`] | pages that a scan compares |
//! | [`observe`] | shows what redo does to nodes |
//!
//! Invariant: a record either applies in full to the pages that need it, or the replay ends with an error, and nothing
//! of it is used; where a record changes several pages, they are taken out, changed, and put back together.

pub(crate) mod access;
mod attach;
mod counts;
mod files;
pub mod image;
mod lines;
mod merge;
mod nodes;
mod observe;
mod obsolete;
mod page_move;
mod scan;
mod split;
mod transactions;
mod trees;

pub use attach::{Creator, LoggedAttach, MissingDatabase, NewDatabase, PassedOverDatabase};
pub use counts::{RedoCounts, RedoOutcome, TypeCounts};
pub(crate) use nodes::undo_on_page;
pub use observe::{AddedNumber, Interest, NodeChange, NodeChangeKind, RedoObserver};
pub use scan::{PageDivergence, logged_data_checksum};

use crate::database::ReplayDatabase;
use crate::error::{Problem, ReplayError};
use crate::pages::PageContent;
use crate::session::Session;
use ese_format::record::{FlagDelete, Record, RecordFormat, Replace, ReplaceDelta};
use ese_format::{Dbtime, Lgpos, ObjId, ProcId, Signature};
use ese_log::{RawRecord, subject};
use std::collections::BTreeMap;
use std::time::Instant;

/// The state of a replay between two records.
#[derive(Default)]
pub struct Redo {
    /// Databases attached at this point of the log, by the number the log gives them.
    databases: BTreeMap<u8, ReplayDatabase>,
    /// Databases that wait for the record that attaches them.
    waiting: Vec<ReplayDatabase>,
    missing: BTreeMap<u8, MissingDatabase>,
    /// Databases that were offered, and whose attachment at this point of the log is not theirs.
    passed_over: BTreeMap<u8, PassedOverDatabase>,
    /// Records after the place of an offered database that went past it because it was not attached.
    lost_records: Vec<PassedOverDatabase>,
    /// Whether the record at hand is about a database that is not replayed.
    elsewhere: bool,
    record: &'static str,
    creator: Option<Creator>,
    /// What the pages of all databases may take together.
    memory: Option<u64>,
    sessions: BTreeMap<ProcId, Session>,
    /// Bytes of the macro operations under way.
    macro_bytes: usize,
    counts: RedoCounts,
    measures_time: bool,
    divergences: Vec<PageDivergence>,
    lgpos: Lgpos,
    /// The last mark of a shutdown: where databases are clean if the instance ends after it.
    shutdown_mark: Lgpos,
    format: Option<RecordFormat>,
    log_signature: Signature,
    engine_version: u32,
    observer: Option<Box<dyn RedoObserver>>,
}

impl Redo {
    /// A replay without any database yet.
    pub fn new() -> Self {
        Redo::default()
    }

    /// The attached databases.
    pub fn databases(&self) -> &BTreeMap<u8, ReplayDatabase> {
        &self.databases
    }

    /// The attached databases, to be changed.
    pub fn databases_mut(&mut self) -> &mut BTreeMap<u8, ReplayDatabase> {
        &mut self.databases
    }

    /// The sessions of the log.
    pub fn sessions(&self) -> &BTreeMap<ProcId, Session> {
        &self.sessions
    }

    /// Takes all sessions out.
    pub(crate) fn take_sessions(&mut self) -> BTreeMap<ProcId, Session> {
        self.macro_bytes = 0;
        std::mem::take(&mut self.sessions)
    }

    /// Shares `bytes` of memory out among the pages of all databases, those included that come later.
    pub fn share_memory(&mut self, bytes: u64) {
        self.memory = Some(bytes);
        self.share_out();
    }

    fn share_out(&mut self) {
        let Some(bytes) = self.memory else { return };
        let count = self.databases.len() + self.waiting.len();
        let share = bytes / (count.max(1) as u64);
        let all = self.databases.values_mut().chain(&mut self.waiting);
        all.for_each(|database| database.pages.limit_memory(share));
    }

    /// Has the time measured that each type of record takes.
    pub fn measure_time(&mut self) {
        self.measures_time = true;
    }

    /// What was done so far.
    pub fn counts(&self) -> &RedoCounts {
        &self.counts
    }

    /// Pages that differ from what a scan of the writing machine saw.
    pub fn divergences(&self) -> &[PageDivergence] {
        &self.divergences
    }

    /// The record applied last.
    pub fn lgpos(&self) -> Lgpos {
        self.lgpos
    }

    /// Says which stream the records come from, and the engine that wrote it; databases that it creates name both.
    pub fn set_stream(&mut self, signature: Signature, engine_version: u32) {
        self.log_signature = signature;
        self.engine_version = engine_version;
    }

    /// Applies the next record of the log.
    pub fn apply(&mut self, raw: &RawRecord<'_>) -> Result<RedoOutcome, ReplayError> {
        let begun = self.measures_time.then(Instant::now);
        self.lgpos = raw.lgpos;
        self.format = Some(raw.format);
        self.record = raw.kind.dump_name();
        self.elsewhere = false;
        let record = raw.decode().map_err(Problem::Record);
        let outcome = record.and_then(|record| {
            self.counts.transactions.follow(raw.lgpos, &record);
            let coming = match &mut self.observer {
                None => None,
                Some(observer) => {
                    observer.record(raw.lgpos, &record);
                    self.coming(&record, raw.bytes.len())?
                }
            };
            let outcome = self.dispatch(&record, raw.bytes)?;
            if let Some(coming) = coming {
                self.show(coming, outcome)?;
            }
            Ok(outcome)
        });
        let outcome = outcome.map_err(|problem| problem.at(raw.lgpos, self.record))?;
        let outcome = match outcome {
            RedoOutcome::InPlace if self.elsewhere => RedoOutcome::Elsewhere,
            other => other,
        };
        let time = begun.map(|begun| begun.elapsed());
        self.counts.add(raw.kind, outcome, time);
        Ok(outcome)
    }

    /// Takes note of the dbtime of a record that is not applied: of one in a macro operation when that commits.
    pub(crate) fn note_only(&mut self, raw: &RawRecord<'_>) -> Result<(), ReplayError> {
        let kind = raw.kind.dump_name();
        let record = raw.decode().map_err(Problem::Record);
        let noted = record.and_then(|record| self.note_record(&record, raw));
        noted.map_err(|problem| problem.at(raw.lgpos, kind))
    }

    fn note_record(&mut self, record: &Record<'_>, raw: &RawRecord<'_>) -> Result<(), Problem> {
        match record {
            Record::MacroBegin(record) => {
                self.macro_begin(record)?;
            }
            Record::MacroAbort(record) => {
                self.macro_abort(record)?;
            }
            Record::MacroCommit(record) => {
                for (_, bytes) in self.take_macro(record).unwrap_or_default() {
                    let (record, _) =
                        Record::decode(&bytes, 0, raw.format).map_err(Problem::Record)?;
                    self.note_change(&record);
                }
            }
            other if self.keep_for_macro(other, raw.bytes)? => {}
            other => {
                self.note_change(other);
                self.note_session(other)?;
            }
        }
        Ok(())
    }

    /// Follows transactions and what undoing them will take, and pages that the file gives up.
    fn note_session(&mut self, record: &Record<'_>) -> Result<(), Problem> {
        match record {
            Record::Begin(record) | Record::Begin0(record) | Record::BeginDistributed(record) => {
                self.begin(record)?;
            }
            Record::Commit(record) => {
                self.commit(record.procid, record.level_to)?;
            }
            Record::Commit0(record) => {
                self.commit(record.procid, record.level_to)?;
            }
            Record::Rollback(record) => {
                self.rollback(record)?;
            }
            Record::UndoInfo(record) => self.remember_undo_info(record),
            Record::Undo(record) => {
                self.session(record.page.procid).take(record.node.rceid);
            }
            Record::Replace(Replace { page, node, .. })
            | Record::ReplaceDelta(ReplaceDelta { page, node, .. })
            | Record::FlagDelete(FlagDelete { page, node, .. }) => {
                let database = self.databases.get_mut(&page.dbid);
                let found = database
                    .map(|database| database.look(page.pgno))
                    .transpose()?;
                if matches!(found, Some(PageContent::Page(found)) if found >= page.dbtime) {
                    self.owe_undo_info(page, node);
                }
            }
            Record::ShrinkDb(record) | Record::ShrinkDb2(record) | Record::ShrinkDb3(record) => {
                if let Some(database) = self.databases.get_mut(&record.shrink.dbid) {
                    database.explain_shrink(record);
                }
            }
            Record::TrimDb(record) => {
                if let Some(database) = self.databases.get_mut(&record.dbid) {
                    database.explain_trim(record);
                }
            }
            Record::Refresh(record) => {
                self.refresh(record)?;
            }
            Record::Init(_)
            | Record::Init2(_)
            | Record::Term(_)
            | Record::Term2(_)
            | Record::RecoveryQuit(_)
            | Record::RecoveryQuit2(_)
            | Record::RecoveryQuitKeepAttachments(_) => {
                self.end_sessions()?;
            }
            // They begin and end no transaction, and are not about pages that the file gives up.
            Record::Nop(_)
            | Record::MultiSectorFlush(_)
            | Record::MacroBegin(_)
            | Record::MacroCommit(_)
            | Record::MacroAbort(_)
            | Record::CreateDb(_)
            | Record::AttachDb(_)
            | Record::DetachDb(_)
            | Record::RecoveryUndo(_)
            | Record::FullBackup(_)
            | Record::IncrementalBackup(_)
            | Record::JetOp(_)
            | Record::Trace(_)
            | Record::CreateMultipleExtentFdp(_)
            | Record::CreateSingleExtentFdp(_)
            | Record::ConvertFdp(_)
            | Record::Split(_)
            | Record::Merge(_)
            | Record::Insert(_)
            | Record::FlagInsert(_)
            | Record::FlagInsertAndReplaceData(_)
            | Record::Delete(_)
            | Record::Delta(_)
            | Record::SetExternalHeader(_)
            | Record::Checksum(_)
            | Record::ExternalRestore(_)
            | Record::Backup(_)
            | Record::EmptyTree(_)
            | Record::RecoveryUndo2(_)
            | Record::PrepareCommit(_)
            | Record::ForceWriteLog(_)
            | Record::ConvertFdp2(_)
            | Record::ExternalRestore2(_)
            | Record::Backup2(_)
            | Record::ForceLogRollover(_)
            | Record::Split2(_)
            | Record::Merge2(_)
            | Record::Scrub(_)
            | Record::PageMove(_)
            | Record::PagePatchRequest(_)
            | Record::MacroInfo(_)
            | Record::ExtendDb(_)
            | Record::CommitContext(_)
            | Record::ScanCheck(_)
            | Record::Nop2(_)
            | Record::ReAttach(_)
            | Record::MacroInfo2(_)
            | Record::FreeFdp(_)
            | Record::FragmentBegin(_)
            | Record::Fragment(_)
            | Record::CreateDbFinish(_)
            | Record::SetDbVersion(_)
            | Record::Delta64(_)
            | Record::NewPage(_)
            | Record::RootPageMove(_)
            | Record::SignalAttachDb(_)
            | Record::ScanCheck2(_)
            | Record::ExtentFreed(_)
            | Record::ExtentFreed2(_)
            | Record::End
            | Record::ShutDownMark
            | Record::Ignored(_) => {}
        }
        Ok(())
    }

    /// The first operation of a transaction that is open, that pages hold, and that nothing says how to undo.
    pub(crate) fn owed_undo_info(&self) -> Result<(), Problem> {
        let mut owed = self.sessions.values().filter_map(Session::owed);
        match owed.next() {
            Some((rceid, pgno)) => Err(Problem::NoUndoInfo { pgno, rceid }),
            None => Ok(()),
        }
    }

    /// Takes the sessions as they are now; `resume_sessions` puts them back.
    pub(crate) fn keep_sessions(&self) -> BTreeMap<ProcId, Session> {
        self.sessions.clone()
    }

    /// Goes back to sessions as they were.
    pub(crate) fn resume_sessions(&mut self, kept: BTreeMap<ProcId, Session>) {
        self.sessions = kept;
    }

    fn note_change(&mut self, record: &Record<'_>) {
        if let Some((_, dbid, dbtime)) = subject::page_change(record)
            && let Some(database) = self.databases.get_mut(&dbid)
        {
            database.note_logged(dbtime);
        }
    }

    fn dispatch(&mut self, record: &Record<'_>, bytes: &[u8]) -> Result<RedoOutcome, Problem> {
        if let Some(outcome) = self.defer_to_macro(record, bytes)? {
            return Ok(outcome);
        }
        match record {
            Record::Begin(record) | Record::Begin0(record) | Record::BeginDistributed(record) => {
                self.begin(record)
            }
            Record::Refresh(record) => self.refresh(record),
            Record::Commit(record) => self.commit(record.procid, record.level_to),
            Record::Commit0(record) => self.commit(record.procid, record.level_to),
            Record::Rollback(record) => self.rollback(record),
            Record::MacroBegin(record) => self.macro_begin(record),
            Record::MacroCommit(record) => self.macro_commit(record),
            Record::MacroAbort(record) => self.macro_abort(record),
            Record::Insert(record) => self.insert(record),
            Record::FlagInsert(record) => self.flag_insert(record),
            Record::FlagInsertAndReplaceData(record) => self.flag_insert_and_replace_data(record),
            Record::Replace(record) => self.replace(record),
            Record::ReplaceDelta(record) => self.replace_delta(record),
            Record::FlagDelete(record) => self.flag_delete(record),
            Record::Delete(record) => self.delete(record),
            Record::Delta(record) => self.delta(record),
            Record::Delta64(record) => self.delta64(record),
            Record::UndoInfo(record) => self.undo_info(record),
            Record::Undo(record) => self.undo(record),
            Record::SetExternalHeader(record) => self.set_external_header(record),
            Record::Scrub(record) => self.scrub(record),
            Record::EmptyTree(record) => self.empty_tree(record),
            Record::CreateMultipleExtentFdp(record) => self.create_multiple_extent_fdp(record),
            Record::CreateSingleExtentFdp(record) => self.create_single_extent_fdp(record),
            Record::ConvertFdp2(record) => self.convert_fdp(record),
            Record::NewPage(record) => self.new_page(record),
            Record::PageMove(record) => self.page_move(record),
            Record::ExtendDb(record) => self.extend_db(record),
            Record::ShrinkDb(record) | Record::ShrinkDb2(record) | Record::ShrinkDb3(record) => {
                self.shrink_db(record)
            }
            Record::TrimDb(record) => self.trim_db(record),
            Record::SetDbVersion(record) => self.set_db_version(record),
            Record::CreateDbFinish(record) => self.create_db_finish(record),
            Record::ReAttach(record) => self.reattach_db(record),
            Record::ScanCheck(record) => self.scan_check(&scan::widen(record)),
            Record::ScanCheck2(record) => self.scan_check(record),
            Record::ShutDownMark => {
                self.shutdown_mark = self.lgpos;
                Ok(RedoOutcome::NoPage)
            }
            Record::CreateDb(record) => self.create_db(record),
            Record::AttachDb(record) => self.attach_db(record),
            Record::DetachDb(record) => self.detach_db(record),
            Record::Term(_)
            | Record::Term2(_)
            | Record::RecoveryQuit(_)
            | Record::RecoveryQuit2(_) => self.detach_all(),
            Record::Init(_) | Record::Init2(_) | Record::RecoveryQuitKeepAttachments(_) => {
                self.end_sessions()
            }
            Record::ConvertFdp(record) => self.obsolete_convert(record),
            // Nothing to do: they change no page, or only in a macro operation, which was seen to above.
            Record::Nop(_)
            | Record::MultiSectorFlush(_)
            | Record::RecoveryUndo(_)
            | Record::FullBackup(_)
            | Record::IncrementalBackup(_)
            | Record::JetOp(_)
            | Record::Trace(_)
            | Record::Split(_)
            | Record::Merge(_)
            | Record::Checksum(_)
            | Record::ExternalRestore(_)
            | Record::Backup(_)
            | Record::RecoveryUndo2(_)
            | Record::PrepareCommit(_)
            | Record::ForceWriteLog(_)
            | Record::ExternalRestore2(_)
            | Record::Backup2(_)
            | Record::ForceLogRollover(_)
            | Record::Split2(_)
            | Record::Merge2(_)
            | Record::PagePatchRequest(_)
            | Record::MacroInfo(_)
            | Record::CommitContext(_)
            | Record::Nop2(_)
            | Record::MacroInfo2(_)
            | Record::FreeFdp(_)
            | Record::FragmentBegin(_)
            | Record::Fragment(_)
            | Record::RootPageMove(_)
            | Record::SignalAttachDb(_)
            | Record::ExtentFreed(_)
            | Record::ExtentFreed2(_)
            | Record::End
            | Record::Ignored(_) => Ok(RedoOutcome::NoPage),
        }
    }

    /// The database that a record of a session changes; `None` when the record is not to be redone.
    ///
    /// Records of sessions whose transaction began before the range, and records from before the database was
    /// attached, only count for the highest dbtime and object id (`ErrLGRICheckRedoCondition`).
    fn database_for(
        &mut self,
        procid: ProcId,
        dbid: u8,
        dbtime: Dbtime,
        objid: ObjId,
    ) -> Option<&mut ReplayDatabase> {
        let begun = self.sessions.entry(procid).or_default().seen_begin;
        let lgpos = self.lgpos;
        if !self.databases.contains_key(&dbid) {
            self.pass_over(dbid);
        }
        let database = self.databases.get_mut(&dbid)?;
        database.record = self.record;
        database.note(dbtime, objid);
        (begun && lgpos > database.header.last_attach).then_some(database)
    }

    fn session(&mut self, procid: ProcId) -> &mut Session {
        self.sessions.entry(procid).or_default()
    }
}
