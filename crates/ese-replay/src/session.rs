//! Sessions of the log: their transactions, their macro operations, and what a rollback would need.
//!
//! Operations of a session count from its first begin at level 0 on: what it did before was complete on disk when the
//! log range that is replayed begins (`PIB::FAfterFirstBT`, `ese/_log/logredo.cxx`). A versioned operation leaves a
//! [`Version`] until its transaction commits to level 0 or rolls back; the ones left at the end of the log are undone.

use ese_format::record::Operation;
use ese_format::{Dbtime, Lgpos, ObjId, Pgno};
use std::collections::BTreeMap;

/// The tree and the row that an operation changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bookmark {
    /// The database.
    pub dbid: u8,
    /// The root of the tree.
    pub root: Pgno,
    /// The tree.
    pub objid: ObjId,
    /// Whether the key alone names the row.
    pub unique: bool,
    /// The key.
    pub key: Vec<u8>,
    /// The data, where keys are not unique.
    pub data: Vec<u8>,
}

/// What undoing an operation takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Before {
    /// An insert is undone by deleting.
    Nothing,
    /// A replace is undone by putting the old data back.
    Data(Vec<u8>),
    /// A delta is undone by subtracting it.
    Delta {
        /// What was added.
        delta: i64,
        /// Where in the data the number stands.
        offset: u16,
    },
}

/// One operation that can be undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The id that the log gives it.
    pub rceid: u32,
    /// The transaction level.
    pub level: u8,
    /// What was done.
    pub operation: Operation,
    /// To which row.
    pub bookmark: Bookmark,
    /// What was there before.
    pub before: Before,
}

/// Records of a macro operation that has not committed yet: where each is, and its bytes.
pub(crate) type MacroRecords = Vec<(Lgpos, Vec<u8>)>;

/// A session of the log.
#[derive(Debug, Clone, Default)]
pub struct Session {
    /// Transaction level; 0 outside of any.
    pub level: u8,
    /// Whether a begin at level 0 was seen in the range that is replayed.
    pub seen_begin: bool,
    /// Where the present transaction began.
    pub began: Lgpos,
    versions: Vec<Version>,
    /// Operations that the pages hold already, by id, whose undo-info has not been met yet: level and page. The engine logs it
    /// before it writes the page (`BFIPrepareFlushPage`, `ese/bf.cxx`).
    owed: BTreeMap<u32, (u8, Pgno)>,
    /// Whether an operation may have a lower level than one before it.
    unordered: bool,
    macros: BTreeMap<Dbtime, MacroRecords>,
}

impl Session {
    /// Begins `levels` levels from `from`.
    pub(crate) fn begin(&mut self, from: u8, levels: u8, lgpos: Lgpos) {
        if !self.seen_begin && from != 0 {
            return;
        }
        if self.level == 0 {
            self.began = lgpos;
            self.forget_versions();
        }
        self.level = self.level.max(from.saturating_add(levels));
        self.seen_begin = true;
    }

    /// Commits down to `level`.
    pub(crate) fn commit(&mut self, level: u8) {
        if !self.seen_begin || self.level == 0 {
            return;
        }
        self.level = self.level.min(level);
        if self.level == 0 {
            self.forget_versions();
            return;
        }
        // A large transaction commits an inner level for every row: only what is deeper may be looked at.
        let level = self.level;
        let deeper = |version: &&mut Version| self.unordered || version.level > level;
        for version in self.versions.iter_mut().rev().take_while(deeper) {
            version.level = version.level.min(level);
        }
        for (owed, _) in self.owed.values_mut() {
            *owed = level.min(*owed);
        }
    }

    fn forget_versions(&mut self) {
        self.versions.clear();
        self.owed.clear();
        self.unordered = false;
    }

    /// Ends `levels` levels of a rollback whose operations the log has undone record by record.
    ///
    /// Operations that are left belong to an index that was given up while it was being built, and are not undone
    /// (`ErrVERITryUndoLoggedOper`, `ese/ver.cxx`).
    pub(crate) fn rolled_back(&mut self, levels: u8) {
        if !self.seen_begin || self.level == 0 {
            return;
        }
        self.level = self.level.saturating_sub(levels);
        let level = self.level;
        self.versions.retain(|version| version.level <= level);
        self.owed.retain(|_, (owed, _)| *owed <= level);
    }

    /// Takes note of an operation that a page holds already and that only its undo-info tells how to undo.
    pub(crate) fn owe(&mut self, rceid: u32, level: u8, pgno: Pgno) {
        if self.seen_begin && self.level > 0 {
            self.owed.insert(rceid, (level.min(self.level), pgno));
        }
    }

    /// The first operation of an open transaction that nothing tells how to undo: its id and its page.
    pub(crate) fn owed(&self) -> Option<(u32, Pgno)> {
        let first = self.owed.iter().next().filter(|_| self.level > 0);
        first.map(|(rceid, (_, pgno))| (*rceid, *pgno))
    }

    /// Remembers an operation; one that is known already (from redo, or from an undo-info record) stays as it is.
    ///
    /// Undo-info may come late: operations are kept in the order of their ids, which wrap around.
    pub(crate) fn remember(&mut self, version: Version) {
        self.owed.remove(&version.rceid);
        let newer = |other: &Version| other.rceid.wrapping_sub(version.rceid).cast_signed() > 0;
        let place = self.versions.iter().rposition(|other| !newer(other));
        let behind = match place {
            Some(place) if self.versions[place].rceid == version.rceid => return,
            Some(place) => place + 1,
            None => 0,
        };
        let levels = (self.versions.last()).map_or(0, |last| last.level);
        self.unordered |= behind < self.versions.len() || version.level < levels;
        self.versions.insert(behind, version);
    }

    /// Takes out the operation of this id.
    pub(crate) fn take(&mut self, rceid: u32) -> Option<Version> {
        self.owed.remove(&rceid);
        let place = self
            .versions
            .iter()
            .rposition(|version| version.rceid == rceid)?;
        Some(self.versions.remove(place))
    }

    /// Takes out the newest operation.
    pub(crate) fn pop(&mut self) -> Option<Version> {
        self.versions.pop()
    }

    /// Operations that would be undone, oldest first.
    pub fn versions(&self) -> &[Version] {
        &self.versions
    }

    /// Begins a macro operation.
    pub(crate) fn begin_macro(&mut self, dbtime: Dbtime) {
        self.macros.entry(dbtime).or_default();
    }

    /// The records of a macro operation under way.
    pub(crate) fn macro_records(&mut self, dbtime: Dbtime) -> Option<&mut MacroRecords> {
        self.macros.get_mut(&dbtime)
    }

    /// Ends a macro operation and gives its records.
    pub(crate) fn end_macro(&mut self, dbtime: Dbtime) -> Option<MacroRecords> {
        self.macros.remove(&dbtime)
    }
}
