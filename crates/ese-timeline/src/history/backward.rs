//! The way back: from the pages of a database, each record is taken back, newest first.
//!
//! Rows are followed as lines of pages. What a record holds is enough to know which line it was about, and what it did to
//! the order of lines; not always what the line held before:
//!
//! | record | the line before it |
//! |---|---|
//! | insert | not there |
//! | replace | as long as the record says; its bytes, if an undo or undo-info says them |
//! | difference | the same but for the bytes that were overwritten |
//! | flag-delete | there, with the data that it still has |
//! | delete | a line of which nothing is known |
//! | split, merge, page move | on another page; whole, if the record holds the page before |
//!
//! Each page has the dbtime of its last change, and each record says the dbtimes before and after it. So a record is taken
//! back only from the very page that it left; where that fails, nothing is known of the page before.

mod structure;

use super::page::{Ids, Leaf, Line};
use super::past::Past;
use super::reverse::Reverse;
use super::shelf::Shelf;
use super::spool::{Finding, Spool};
use super::survey::Survey;
use crate::masked::{Contradiction, Masked};
use crate::told::TellError;
use ese_db::catalog::CATALOG;
use ese_format::record::{Diff, NodeOp, Operation, PageOp, Record};
use ese_format::{Dbtime, Lgpos, ObjId, Pgno, ProcId, Progress};
use ese_log::transactions::TransactionStep;
use ese_replay::ReplayDatabase;
use ese_replay::pages::PageContent;
use ese_replay::recovery::RecoveryError;
use rustc_hash::FxHashMap;
use std::io;

/// The way back through logs.
pub(super) struct Backward<'d> {
    survey: &'d Survey,
    pasts: &'d mut [Past],
    /// Older copies of databases, by the places of these.
    older: Vec<(usize, ReplayDatabase)>,
    leaves: Shelf<(usize, Pgno), Leaf>,
    ids: Ids,
    /// What operations replaced, by their ids, from undo and undo-info records.
    replaced: FxHashMap<(ProcId, u32), Masked>,
    spool: Spool,
    /// How often two accounts of the same row contradicted each other, or a record did not fit its page.
    pub(super) contradictions: u64,
    /// Changes that came after what the pages hold.
    not_reached: u64,
}

/// Where a record takes effect, and where it is.
#[derive(Debug, Clone, Copy)]
struct Places {
    at: Lgpos,
    lgpos: Lgpos,
    /// Whether the record is done along with a split.
    in_split: bool,
}

impl<'d> Backward<'d> {
    pub(super) fn new(
        survey: &'d Survey,
        pasts: &'d mut [Past],
        older: Vec<(usize, ReplayDatabase)>,
        memory: usize,
    ) -> io::Result<Self> {
        Ok(Backward {
            survey,
            pasts,
            older,
            leaves: Shelf::new(memory),
            ids: Ids::default(),
            replaced: FxHashMap::default(),
            spool: Spool::new()?,
            contradictions: 0,
            not_reached: 0,
        })
    }

    /// Goes all the way; gives what was found.
    pub(super) fn go(
        mut self,
        records: &mut Reverse,
        progress: &dyn Progress,
    ) -> Result<(Spool, u64, u64), TellError> {
        let mut later_gaps = self.survey.gaps.clone();
        while let Some(own) = records.next_record() {
            if progress.should_stop() {
                return Err(RecoveryError::Interrupted.into());
            }
            while later_gaps.pop_if(|gap| *gap > own.lgpos).is_some() {
                // Sessions and operations on the other side are others, whatever their numbers.
                self.replaced.clear();
            }
            let Ok(record) = own.decode() else { continue };
            if self.survey.never_happened(&record) || self.survey.is_of_part(&record) {
                continue;
            }
            if let Record::MacroCommit(commit) = record {
                let of_macro = records.macro_of(commit);
                self.take_back_macro(own.lgpos, &of_macro)?;
                continue;
            }
            let places = Places {
                at: own.lgpos,
                lgpos: own.lgpos,
                in_split: false,
            };
            self.take_back(places, &record, &own.bytes)?;
        }
        Ok((self.spool, self.contradictions, self.not_reached))
    }

    /// Takes a page out, to be put back as it was before.
    fn leaf(&mut self, database: usize, pgno: Pgno, objid: ObjId) -> io::Result<Leaf> {
        if let Some(leaf) = self.leaves.take((database, pgno))? {
            return Ok(leaf);
        }
        let past = &mut self.pasts[database].database;
        Ok(Leaf::of(past, pgno, objid, &mut self.ids))
    }

    fn put(&mut self, database: usize, pgno: Pgno, leaf: Leaf) -> io::Result<()> {
        self.leaves.put((database, pgno), leaf)
    }

    /// Puts a page back as it was before a record. Where an older copy has the very same page, all of it is known.
    fn put_before(
        &mut self,
        places: Places,
        (database, pgno, objid): (usize, Pgno, ObjId),
        mut leaf: Leaf,
    ) -> io::Result<()> {
        for place in 0..self.older.len() {
            let (of, older) = &mut self.older[place];
            if *of == database
                && let Some(dbtime) = leaf.dbtime
                && matches!(older.pages.look(pgno), Ok(PageContent::Page(found)) if found == dbtime)
            {
                let same = Leaf::of(older, pgno, objid, &mut self.ids);
                if !same.is_open {
                    leaf = self.meet(places, leaf, same.lines)?;
                }
            }
        }
        self.put(database, pgno, leaf)
    }

    /// A page changed, and none of its lines did.
    fn touch(
        &mut self,
        places: Places,
        (database, pgno, objid): (usize, Pgno, ObjId),
        dbtimes: (Dbtime, Dbtime),
    ) -> io::Result<()> {
        if pgno.is_null() {
            return Ok(());
        }
        let mut leaf = self.leaf(database, pgno, objid)?;
        if !leaf.is_after(dbtimes.1) {
            return self.put(database, pgno, leaf);
        }
        leaf.dbtime = Some(dbtimes.0);
        self.put_before(places, (database, pgno, objid), leaf)
    }

    /// Nothing is known of a page before.
    fn lose(&mut self, database: usize, pgno: Pgno, dbtime: Option<Dbtime>) -> io::Result<()> {
        self.put(database, pgno, Leaf::unknown(dbtime))
    }

    fn take_back(&mut self, places: Places, record: &Record<'_>, bytes: &[u8]) -> io::Result<()> {
        let lgpos = places.lgpos;
        match TransactionStep::of(record) {
            Some(TransactionStep::EndAll) => self.replaced.clear(),
            Some(TransactionStep::Begin {
                session, from: 0, ..
            }) => self.replaced.retain(|(of, _), _| *of != session),
            _ => {}
        }
        match record {
            Record::UndoInfo(info) if info.operation == Operation::Replace => {
                let operation = (info.page.procid, info.node.rceid);
                let data = Masked::known(info.data);
                self.replaced.insert(operation, data);
            }
            Record::CreateDb(create) => {
                if let Some(database) = self.survey.database(create.dbid, lgpos) {
                    self.leaves.retain(|(of, _)| *of != database);
                }
            }
            Record::NewPage(new) => {
                if let Some(database) = self.survey.database(new.dbid, lgpos) {
                    self.lose(database, new.pgno, None)?;
                }
            }
            Record::CreateMultipleExtentFdp(create) => self.made(&create.page, lgpos)?,
            Record::CreateSingleExtentFdp(create) => self.made(&create.page, lgpos)?,
            Record::EmptyTree(empty) => {
                let page = &empty.page;
                if let Some(database) = self.survey.database(page.dbid, lgpos) {
                    self.lose(database, page.pgno, Some(page.dbtime_before))?;
                    for freed in empty.pages.iter() {
                        self.lose(database, freed.pgno, Some(freed.dbtime_before))?;
                    }
                }
            }
            Record::PageMove(moved) => self.take_back_page_move(places, moved)?,
            Record::ConvertFdp2(convert) => {
                if let Some(database) = self.survey.database(convert.page.dbid, lgpos) {
                    let page = &convert.page;
                    let dbtimes = (page.dbtime_before, page.dbtime);
                    let page = (database, page.pgno, convert.convert.objid);
                    self.touch(places, page, dbtimes)?;
                }
            }
            Record::Scrub(scrub) => {
                if let Some(database) = self.survey.database(scrub.page.dbid, lgpos) {
                    self.lose(database, scrub.page.pgno, Some(scrub.page.dbtime_before))?;
                }
            }
            other => {
                let Some((page, node)) = other.node_op() else {
                    return Ok(());
                };
                if matches!(other, Record::UndoInfo(_)) {
                    return Ok(());
                }
                self.take_back_node(places, (*page, *node), other, bytes)?;
            }
        }
        Ok(())
    }

    /// A change came after what the pages hold. What rows mean is not known from there on if it was one of the catalog.
    fn note_not_reached(&mut self, database: usize, objid: ObjId, at: Lgpos) {
        let past = &mut self.pasts[database];
        if objid == CATALOG.1 {
            past.schema_until = past.schema_until.min(at);
        }
        self.not_reached += u64::from(past.has_rows(objid) || objid == CATALOG.1);
    }

    /// A page was made by a record.
    fn made(&mut self, page: &PageOp, lgpos: Lgpos) -> io::Result<()> {
        match self.survey.database(page.dbid, lgpos) {
            Some(database) => self.lose(database, page.pgno, None),
            None => Ok(()),
        }
    }

    fn take_back_node(
        &mut self,
        places: Places,
        (page, node): (PageOp, NodeOp),
        record: &Record<'_>,
        bytes: &[u8],
    ) -> io::Result<()> {
        let Some(database) = self.survey.database(page.dbid, places.lgpos) else {
            return Ok(());
        };
        if page.is_space() || !self.pasts[database].follows(node.objid) {
            return Ok(());
        }
        let mut leaf = self.leaf(database, page.pgno, node.objid)?;
        if !leaf.is_after(page.dbtime) {
            self.note_not_reached(database, node.objid, places.at);
            return self.put(database, page.pgno, leaf);
        }
        let at = usize::from(page.iline);
        match record {
            Record::SetExternalHeader(_) => {}
            Record::Delete(_) => {
                let mut line = self.ids.line();
                line.is_deleted = None;
                self.emit(
                    places,
                    (database, node.objid),
                    &mut line,
                    Found::default(),
                    bytes,
                )?;
                if !leaf.insert(at, line, &mut self.ids) {
                    self.contradictions += 1;
                    leaf = Leaf::unknown(None);
                }
            }
            other => {
                let line = leaf.line(at, &mut self.ids);
                let fits = match line {
                    Some(line) => {
                        let fits = self.take_back_line(
                            places,
                            (database, node.objid),
                            line,
                            other,
                            bytes,
                        )?;
                        if fits && matches!(other, Record::Insert(_)) {
                            leaf.lines.remove(at);
                        }
                        fits
                    }
                    None => false,
                };
                if !fits {
                    self.contradictions += 1;
                    leaf = Leaf::unknown(None);
                }
            }
        }
        leaf.dbtime = Some(page.dbtime_before);
        self.put_before(places, (database, page.pgno, node.objid), leaf)
    }

    /// Takes a record back from its line; whether the record fits the line.
    fn take_back_line(
        &mut self,
        places: Places,
        tree: (usize, ObjId),
        line: &mut Line,
        record: &Record<'_>,
        bytes: &[u8],
    ) -> io::Result<bool> {
        let mut found = Found {
            was_deleted: line.is_deleted,
            ..Found::default()
        };
        let key = match record {
            Record::Insert(record) => Some([record.key_prefix, record.key_suffix].concat()),
            Record::FlagInsert(record) => Some(record.key.to_vec()),
            Record::FlagInsertAndReplaceData(record) => Some(record.key.to_vec()),
            Record::Delta(record) | Record::Delta64(record) => Some(record.bookmark_key.to_vec()),
            Record::Undo(record) => Some(record.bookmark_key.to_vec()),
            _ => None,
        };
        if let Some(key) = key {
            if line.key.as_ref().is_some_and(|known| *known != key) {
                return Ok(false);
            }
            line.key = Some(key);
        }
        let Some((page, node)) = record.node_op() else {
            return Ok(false);
        };
        let operation = (page.procid, node.rceid);
        // What a record says of the data after it, the line must have.
        let left = match record {
            Record::Insert(record) => Some(record.data),
            Record::FlagInsert(record) => Some(record.data),
            Record::FlagInsertAndReplaceData(record) => Some(record.data),
            Record::Replace(record) => Some(record.data),
            _ => None,
        };
        if let (Some(left), Some(data)) = (left, &line.data)
            && Masked::known(left).with(data).is_err()
        {
            return Ok(false);
        }
        let replaced = |own: &mut Self, before: Option<Masked>| match own.replaced.get(&operation) {
            Some(known) if node.rceid != 0 => own.both(before, &known.clone()),
            _ => before,
        };
        match record {
            Record::Insert(_) => found.is_gone = true,
            Record::FlagInsert(record) => {
                found.was_deleted = Some(true);
                line.is_deleted = Some(true);
                line.data = Some(Masked::known(record.data));
            }
            Record::FlagInsertAndReplaceData(_) => {
                found.was_deleted = Some(true);
                line.is_deleted = Some(true);
                line.data = None;
            }
            Record::Replace(record) => {
                let length = usize::from(record.old_data_len);
                // Along with a split the record's length is not that of the data before.
                let is_said = length > 0 && !places.in_split;
                let before = is_said.then(|| Masked::of_length(length));
                found.before = replaced(self, before);
                line.data.clone_from(&found.before);
            }
            Record::ReplaceDelta(record) => {
                found.after = line.data.take();
                let before = self.before_difference(
                    found.after.as_ref(),
                    record.diff,
                    (record.old_data_len, record.new_data_len),
                );
                found.before = replaced(self, before);
                line.data.clone_from(&found.before);
            }
            Record::Delta(delta) | Record::Delta64(delta) => {
                let width = if matches!(record, Record::Delta64(_)) {
                    8
                } else {
                    4
                };
                found.after = line.data.take();
                found.before = found.after.as_ref().and_then(|after| {
                    after.add(usize::from(delta.offset), delta.delta.wrapping_neg(), width)
                });
                line.data.clone_from(&found.before);
            }
            Record::FlagDelete(_) => {
                found.was_deleted = Some(false);
                found.before.clone_from(&line.data);
                line.is_deleted = Some(false);
            }
            Record::Undo(undo) => {
                found.after.clone_from(&line.data);
                match undo.operation {
                    Operation::Insert => {
                        found.was_deleted = Some(false);
                        line.is_deleted = Some(false);
                    }
                    Operation::FlagDelete => {
                        found.was_deleted = Some(true);
                        line.is_deleted = Some(true);
                    }
                    Operation::Replace => {
                        if let Some(data) = line.data.take() {
                            self.replaced.insert(operation, data);
                        }
                    }
                    // How much was taken off is said where it was added.
                    _ => line.data = None,
                }
            }
            _ => return Ok(false),
        }
        self.emit(places, tree, line, found, bytes)?;
        Ok(true)
    }

    fn before_difference(
        &mut self,
        after: Option<&Masked>,
        diff: Diff<'_>,
        (old, new): (u16, u16),
    ) -> Option<Masked> {
        let (old, new) = (usize::from(old), usize::from(new));
        let unknown = Masked::of_length(new);
        let after = after.unwrap_or(&unknown);
        let before = after.before(diff, old);
        if before.is_none() {
            self.contradictions += 1;
        }
        before
    }

    fn both(&mut self, one: Option<Masked>, other: &Masked) -> Option<Masked> {
        Masked::both(one, Some(other)).unwrap_or_else(|Contradiction| {
            self.contradictions += 1;
            None
        })
    }

    /// Writes down what was found of a line, and how its node was before.
    fn emit(
        &mut self,
        places: Places,
        (database, objid): (usize, ObjId),
        line: &mut Line,
        found: Found,
        record: &[u8],
    ) -> io::Result<()> {
        let is_last = !std::mem::replace(&mut line.has_later, true);
        self.spool.put(&Finding {
            at: places.at,
            lgpos: places.lgpos,
            line: line.id,
            is_last,
            was_deleted: found.was_deleted,
            key: line.key.clone(),
            before: found.before,
            after: found.after,
            record: record.to_vec(),
        })?;
        let past = &mut self.pasts[database];
        if !past.is_asked(objid) {
            return Ok(());
        }
        let Some(key) = &line.key else {
            if line.is_lost {
                past.doubt(objid, places.at);
            }
            return Ok(());
        };
        let is_gone = found.is_gone || line.is_deleted == Some(true);
        let data = line.data.as_ref().filter(|data| data.is_complete());
        let node = match is_gone {
            true => None,
            false => Some(data.map(Masked::bytes)),
        };
        past.set((objid, places.at), key, node)
    }
}

/// What was found of a line at a record.
#[derive(Debug, Default)]
struct Found {
    was_deleted: Option<bool>,
    before: Option<Masked>,
    after: Option<Masked>,
    /// Whether the line was not there before.
    is_gone: bool,
}
