//! Undo: transactions that are open at the end of the log are rolled back.
//!
//! After redo the pages are as the engine had them at the last record, changes of unfinished transactions included. Each
//! session holds the versions of its open transaction. Redo made them, or they come from the UndoInfo that the engine
//! logged before it wrote the page ("Version and rceid" in `docs/concepts.md`). A recovery has checked that no page holds
//! a change for which both are missing (`owed_undo_info`).
//!
//! Sessions go one after the other by their number, and within a session the newest operation comes first, as in the
//! engine (`ErrLGRIEndEverySession`, `ErrVERRollback`). Each row is looked up by its bookmark in the tree as it is now:
//! splits and merges since may have moved it. Those are not undone, since other sessions may have used their pages; only
//! macro operations without a commit are dropped, and no page holds anything of them. Every operation gets the next
//! dbtime of its database. Rows that were inserted are flag-deleted, not removed; the engine cleans up such rows later,
//! in the background.
//!
//! The engine logs what it undoes, so that after a crash during undo it goes on from there. We write no log and need none:
//! until all of the result is on disk (in place: all of the journal) the source is as it was, and redo and undo of the
//! same logs give the same pages again, down to their dbtimes.

use crate::error::{Problem, ReplayError};
use crate::redo::Redo;
use crate::redo::undo_on_page;
use crate::session::Version;
use crate::tree;
use ese_format::record::Operation;
use ese_format::{Dbtime, Pgno, ProcId};
use serde::Serialize;

/// An operation that was undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UndoneOperation {
    /// The session that had done it.
    pub procid: ProcId,
    /// The id that the log gave it.
    pub rceid: u32,
    /// What had been done.
    pub operation: Operation,
    /// The database.
    pub dbid: u8,
    /// The page on which the row was found.
    pub pgno: Pgno,
    /// The row's place on it.
    pub line: usize,
    /// The dbtime that the page has now.
    pub dbtime: Dbtime,
}

impl Redo {
    /// Rolls back what is open and gives what was undone, in order.
    ///
    /// Macro operations that did not commit are dropped. No session is left.
    pub fn roll_back_open(&mut self) -> Result<Vec<UndoneOperation>, ReplayError> {
        let mut undone = Vec::new();
        for (procid, mut session) in self.take_sessions() {
            while let Some(version) = session.pop() {
                let result = self.undo_one(procid, &version);
                let result =
                    result.map_err(|problem| problem.at(self.lgpos(), "the end of the log, undo"));
                undone.extend(result?);
            }
        }
        Ok(undone)
    }

    fn undo_one(
        &mut self,
        procid: ProcId,
        version: &Version,
    ) -> Result<Option<UndoneOperation>, Problem> {
        let bookmark = &version.bookmark;
        let Some(database) = self.databases_mut().get_mut(&bookmark.dbid) else {
            return Ok(None);
        };
        let (pgno, line) = tree::find(&mut database.pages, bookmark)?;
        let dbtime = Dbtime(database.dbtime.0.saturating_add(1));
        let found = database.pages.get(pgno)?.dbtime();
        if found >= dbtime {
            return Err(Problem::DbtimeBeyondLogs {
                pgno,
                found,
                highest: database.dbtime,
            });
        }
        let page = database.pages.edit(pgno)?;
        undo_on_page(page, line, version)?;
        page.touch(dbtime);
        database.dbtime = dbtime;
        Ok(Some(UndoneOperation {
            procid,
            rceid: version.rceid,
            operation: version.operation,
            dbid: bookmark.dbid,
            pgno,
            line,
            dbtime,
        }))
    }
}
