//! Transactions and macro operations.
//!
//! A macro operation changes several pages under one dbtime: a split, a merge, the move of a root ("Macro operation" in
//! `docs/concepts.md`). The engine logs a begin, the records and a commit; records of other sessions may stand between
//! them. Redo keeps its records as bytes, under session and dbtime, and applies them together at the commit
//! (`ErrLGRIRedoMacroOperation`, `ese/_log/logredo.cxx`):
//!
//! | the logs hold | on disk | so |
//! |---|---|---|
//! | no commit, or an abort | no page has the change: none is written before the commit is logged | they never apply |
//! | the commit, in the required range | each page has it or has not | each page that lacks it is changed |
//! | the commit, after the range | no page has it | all are changed |
//! | the commit, of a transaction from before these logs | all pages have it | passed over |
//!
//! In the second case a page may need rows from another one that has the change already, and with it has given the rows
//! away. Then the record holds an image of that page from before ([`image`](super::image)). So wherever the engine
//! crashed, redo leaves the whole operation or nothing of it. An error while pages are being changed ends the replay.
//!
//! Of transactions, redo keeps what undo needs: where each session's began, its level, and its versions until the commit
//! to level 0 or the rollback ([`session`](crate::session)).

use super::{Redo, RedoOutcome};
use crate::error::Problem;
use crate::session::MacroRecords;
use ese_format::ProcId;
use ese_format::record::{Begin, Macro, Record, RecordFormat, Refresh, Rollback};
use ese_log::subject;

/// Bytes of macro operations that may be under way. They are the size of a few pages; more than this is no log that an
/// engine wrote.
const MACRO_BYTES_MOST: usize = 64 << 20;
/// What one of them takes beside its records.
const MACRO_BYTES: usize = 64;

impl Redo {
    pub(super) fn begin(&mut self, record: &Begin) -> Result<RedoOutcome, Problem> {
        let lgpos = self.lgpos;
        self.session(record.procid)
            .begin(record.level_from, record.levels, lgpos);
        Ok(RedoOutcome::NoPage)
    }

    pub(super) fn refresh(&mut self, record: &Refresh) -> Result<RedoOutcome, Problem> {
        let session = self.session(record.procid);
        if session.seen_begin {
            session.level = 1;
        }
        Ok(RedoOutcome::NoPage)
    }

    pub(super) fn commit(&mut self, procid: ProcId, level: u8) -> Result<RedoOutcome, Problem> {
        self.session(procid).commit(level);
        Ok(RedoOutcome::NoPage)
    }

    pub(super) fn rollback(&mut self, record: &Rollback) -> Result<RedoOutcome, Problem> {
        self.session(record.procid).rolled_back(record.levels);
        Ok(RedoOutcome::NoPage)
    }

    pub(super) fn macro_begin(&mut self, record: &Macro) -> Result<RedoOutcome, Problem> {
        let session = self.session(record.procid);
        if session.macro_records(record.dbtime).is_none() {
            session.begin_macro(record.dbtime);
            self.hold_for_macro(MACRO_BYTES)?;
        }
        Ok(RedoOutcome::NoPage)
    }

    /// Takes out what a macro operation holds, if it is under way.
    pub(super) fn take_macro(&mut self, record: &Macro) -> Option<MacroRecords> {
        let stored = self.session(record.procid).end_macro(record.dbtime)?;
        self.macro_bytes -=
            MACRO_BYTES + stored.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        Some(stored)
    }

    /// Counts what is held for macro operations: there must not be more than an engine can have under way.
    fn hold_for_macro(&mut self, bytes: usize) -> Result<(), Problem> {
        self.macro_bytes += bytes;
        match self.macro_bytes <= MACRO_BYTES_MOST {
            true => Ok(()),
            false => Err(Problem::Macro("too many records wait for a commit")),
        }
    }

    pub(super) fn macro_abort(&mut self, record: &Macro) -> Result<RedoOutcome, Problem> {
        self.take_macro(record);
        Ok(RedoOutcome::NoPage)
    }

    pub(super) fn macro_commit(&mut self, record: &Macro) -> Result<RedoOutcome, Problem> {
        let begun = self.session(record.procid).seen_begin;
        let Some(stored) = self.take_macro(record).filter(|_| begun) else {
            return Ok(RedoOutcome::InPlace);
        };
        let format = self.format.unwrap_or(RecordFormat::NEWEST);
        let mut records = Vec::with_capacity(stored.len());
        for (_, bytes) in &stored {
            let (record, _) = Record::decode(bytes, 0, format).map_err(Problem::Record)?;
            records.push(record);
        }
        match records.first() {
            Some(Record::Split2(_)) => self.split(&records),
            Some(Record::Merge2(_)) => self.merge(&records),
            Some(Record::RootPageMove(_)) => self.root_page_move(&records),
            Some(Record::Split(_) | Record::Merge(_)) => self.obsolete_macro(&records),
            Some(_) => Err(Problem::Macro(
                "it starts with neither a split, a merge nor a moved root",
            )),
            None => Err(Problem::Macro("it holds no record")),
        }
    }

    /// Keeps a record for the commit of the macro operation under way in its session, if it belongs to one.
    pub(super) fn defer_to_macro(
        &mut self,
        record: &Record<'_>,
        bytes: &[u8],
    ) -> Result<Option<RedoOutcome>, Problem> {
        let (procid, dbid, dbtime, objid) = match record {
            Record::UndoInfo(_) | Record::Undo(_) => return Ok(None),
            Record::NewPage(record) => (record.procid, record.dbid, record.dbtime, record.objid),
            Record::RootPageMove(record) => {
                (record.procid, record.dbid, record.dbtime, record.objid)
            }
            Record::Split(record) | Record::Split2(record) => (
                record.page.procid,
                record.page.dbid,
                record.page.dbtime,
                record.split.objid,
            ),
            Record::Merge(record) | Record::Merge2(record) => (
                record.page.procid,
                record.page.dbid,
                record.page.dbtime,
                record.merge.objid,
            ),
            Record::PageMove(record) => (
                record.page.procid,
                record.page.dbid,
                record.page.dbtime,
                record.moved.objid,
            ),
            other => {
                let Some((page, node)) = other.node_op() else {
                    return Ok(None);
                };
                (page.procid, page.dbid, page.dbtime, node.objid)
            }
        };
        let only_in_macros = matches!(
            record,
            Record::RootPageMove(_)
                | Record::Split(_)
                | Record::Split2(_)
                | Record::Merge(_)
                | Record::Merge2(_)
        );
        let lgpos = self.lgpos;
        let session = self.session(procid);
        if session.seen_begin
            && let Some(records) = session.macro_records(dbtime)
        {
            records.push((lgpos, bytes.to_vec()));
            self.hold_for_macro(bytes.len())?;
            return Ok(Some(RedoOutcome::Deferred));
        }
        if !only_in_macros {
            return Ok(None);
        }
        // Only what is redone or was complete before counts for the highest dbtime; a macro that never commits does not.
        if let Some(database) = self.databases.get_mut(&dbid) {
            database.note(dbtime, objid);
        }
        Ok(Some(RedoOutcome::InPlace))
    }

    /// Keeps a record for the commit of the macro operation that it belongs to; whether it belongs to one.
    pub(super) fn keep_for_macro(
        &mut self,
        record: &Record<'_>,
        bytes: &[u8],
    ) -> Result<bool, Problem> {
        let Some((procid, _, dbtime)) = subject::page_change(record) else {
            return Ok(false);
        };
        let lgpos = self.lgpos;
        let Some(records) = self.session(procid).macro_records(dbtime) else {
            return Ok(false);
        };
        records.push((lgpos, bytes.to_vec()));
        self.hold_for_macro(bytes.len())?;
        Ok(true)
    }

    /// An engine instance began or ended: no session goes on beyond it.
    pub(super) fn end_sessions(&mut self) -> Result<RedoOutcome, Problem> {
        self.sessions.clear();
        self.macro_bytes = 0;
        Ok(RedoOutcome::NoPage)
    }
}
