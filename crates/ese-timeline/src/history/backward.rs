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

use super::page::{Ids, Leaf, Line};
use super::past::Past;
use super::reverse::{OwnRecord, Reverse};
use super::shelf::Shelf;
use super::spool::{Finding, Spool};
use super::survey::Survey;
use crate::masked::{Contradiction, Masked};
use ese_format::page::PageFlags;
use ese_format::record::{
    Diff, Merge, MergeType, NodeOp, Operation, PageMove, PageOp, Record, Split, SplitOperation,
    SplitType,
};
use ese_format::{Dbtime, Lgpos, ObjId, Pgno, ProcId};
use ese_log::transactions::TransactionStep;
use ese_replay::redo::image;
use rustc_hash::FxHashMap;
use std::io;

/// The way back through logs.
pub(super) struct Backward<'d> {
    survey: &'d Survey,
    pasts: &'d mut [Past],
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
        memory: usize,
    ) -> io::Result<Self> {
        Ok(Backward {
            survey,
            pasts,
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
        mut passed: impl FnMut(Lgpos) -> bool,
    ) -> io::Result<(Spool, u64, u64)> {
        let mut later_gaps = self.survey.gaps.clone();
        while let Some(own) = records.next_record() {
            if !passed(own.lgpos) {
                break;
            }
            while later_gaps.pop_if(|gap| *gap > own.lgpos).is_some() {
                // Sessions and operations on the other side are others, whatever their numbers.
                self.replaced.clear();
            }
            let Ok(record) = own.decode() else { continue };
            if let Record::MacroCommit(commit) = record {
                let of_macro = records.macro_of(commit);
                self.take_back_macro(own.lgpos, &of_macro)?;
                continue;
            }
            if self.survey.never_happened(&record) {
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

    /// A page changed, and none of its lines did.
    fn touch(
        &mut self,
        database: usize,
        (pgno, objid): (Pgno, ObjId),
        dbtimes: (Dbtime, Dbtime),
    ) -> io::Result<()> {
        if pgno.is_null() {
            return Ok(());
        }
        let mut leaf = self.leaf(database, pgno, objid)?;
        if leaf.is_after(dbtimes.1) {
            leaf.dbtime = Some(dbtimes.0);
        }
        self.put(database, pgno, leaf)
    }

    /// Nothing is known of a page before.
    fn lose(&mut self, database: usize, pgno: Pgno, dbtime: Option<Dbtime>) -> io::Result<()> {
        self.put(database, pgno, Leaf::unknown(dbtime))
    }

    fn take_back(&mut self, places: Places, record: &Record<'_>, bytes: &[u8]) -> io::Result<()> {
        let lgpos = places.lgpos;
        if TransactionStep::of(record) == Some(TransactionStep::EndAll) {
            self.replaced.clear();
        }
        match record {
            Record::Begin0(begin) | Record::Begin(begin) if begin.level_from == 0 => {
                let session = begin.procid;
                self.replaced.retain(|(of, _), _| *of != session);
            }
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
                    self.touch(database, (page.pgno, convert.convert.objid), dbtimes)?;
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
            self.not_reached += u64::from(self.pasts[database].has_rows(node.objid));
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
        self.put(database, page.pgno, leaf)?;
        Ok(())
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
            Some(known) if node.rceid != 0 => own.both(before, Some(known.clone())),
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

    fn both(&mut self, one: Option<Masked>, other: Option<Masked>) -> Option<Masked> {
        match (one, other) {
            (Some(one), Some(other)) => match one.with(&other) {
                Ok(both) => Some(both),
                Err(Contradiction) => {
                    self.contradictions += 1;
                    None
                }
            },
            (one, other) => one.or(other),
        }
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

    fn take_back_macro(&mut self, at: Lgpos, own: &[OwnRecord]) -> io::Result<()> {
        let mut records = Vec::with_capacity(own.len());
        for own in own {
            let Ok(record) = own.decode() else {
                return Ok(());
            };
            records.push((own, record));
        }
        let mut splits = records.iter().filter_map(|(_, record)| match record {
            Record::Split2(split) => Some(split),
            _ => None,
        });
        let mut merges = records.iter().filter_map(|(own, record)| match record {
            Record::Merge2(merge) => Some((own.lgpos, merge)),
            _ => None,
        });
        if let Some(split) = splits.next_back() {
            let operation = records.iter().find(|(_, record)| {
                matches!(
                    record,
                    Record::Insert(_) | Record::Replace(_) | Record::FlagInsertAndReplaceData(_)
                )
            });
            return self.take_back_split(at, split, operation);
        }
        if let Some((lgpos, merge)) = &merges.next_back() {
            let places = Places {
                at,
                lgpos: *lgpos,
                in_split: false,
            };
            return self.take_back_merge(places, merge);
        }
        for (own, record) in records.iter().rev() {
            let places = Places {
                at,
                lgpos: own.lgpos,
                in_split: false,
            };
            match record {
                Record::PageMove(moved) => self.take_back_page_move(places, moved)?,
                Record::Split(split) => self.lose_split(split, places.lgpos)?,
                Record::Merge(merge) => self.lose_merge(merge, places.lgpos)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn take_back_split(
        &mut self,
        at: Lgpos,
        split: &Split<'_>,
        operation: Option<&(&OwnRecord, Record<'_>)>,
    ) -> io::Result<()> {
        let (page, fields) = (&split.page, &split.split);
        let Some(database) = self.survey.database(page.dbid, at) else {
            return Ok(());
        };
        let tree = (database, fields.objid);
        let is_leaf = PageFlags::from_bits_retain(fields.new_page_flags).contains(PageFlags::LEAF);
        let is_space =
            PageFlags::from_bits_retain(fields.new_page_flags).contains(PageFlags::SPACE_TREE);
        if !is_leaf || is_space || !self.pasts[database].follows(fields.objid) {
            return Ok(());
        }
        let dbtimes = (fields.dbtime_right_before, page.dbtime);
        self.touch(database, (fields.pgno_right, fields.objid), dbtimes)?;
        let is_vertical = fields.split_type == SplitType::Vertical;
        let first_new = usize::from(fields.iline_split);
        let all = usize::from(fields.line_count);
        let mut lines = Vec::new();
        let mut fits = first_new <= all;
        if !is_vertical {
            let mut leaf = self.leaf(database, page.pgno, fields.objid)?;
            if !leaf.is_after(page.dbtime) {
                self.not_reached += u64::from(self.pasts[database].has_rows(fields.objid));
                return self.put(database, page.pgno, leaf);
            }
            match leaf.take(first_new, &mut self.ids) {
                Some(kept) => lines = kept,
                None => fits = false,
            }
        }
        let mut new = self.leaf(database, fields.pgno_new, fields.objid)?;
        let is_new = new.is_after(page.dbtime);
        let count = if is_vertical {
            all
        } else {
            all.saturating_sub(first_new)
        };
        match new.take(count, &mut self.ids).filter(|_| is_new) {
            Some(moved) => lines.extend(moved),
            None => fits = false,
        }
        self.lose(database, fields.pgno_new, None)?;
        if fits
            && let Some((own, record)) =
                operation.filter(|_| fields.operation != SplitOperation::None)
        {
            let line = usize::from(fields.iline_operation);
            let places = Places {
                at,
                lgpos: own.lgpos,
                in_split: true,
            };
            fits = match lines.get_mut(line) {
                Some(line) => self.take_back_line(places, tree, line, record, &own.bytes)?,
                None => false,
            };
            if fits && matches!(record, Record::Insert(_)) {
                lines.remove(line);
            }
        }
        if !fits {
            self.contradictions += 1;
            lines.clear();
        }
        let mut before = Leaf {
            dbtime: Some(page.dbtime_before),
            lines,
            is_open: !fits,
            is_dead: false,
        };
        if let Some(logged) = self.logged_page(database, split.before_image.as_ref(), page) {
            let places = Places {
                at,
                lgpos: at,
                in_split: true,
            };
            before = self.meet(places, before, logged)?;
        }
        self.put(database, page.pgno, before)?;
        Ok(())
    }

    /// The lines of a page that a record holds.
    fn logged_page(
        &mut self,
        database: usize,
        logged: Option<&ese_format::record::PageImage<'_>>,
        page: &PageOp,
    ) -> Option<Vec<Line>> {
        let size = self.pasts[database].database.pages.size();
        let logged = logged.filter(|logged| !logged.bytes.is_empty())?;
        let logged = image::unpack(logged, page.pgno, size, page.dbtime_before).ok()?;
        self.ids.lines_of(&logged)
    }

    /// A page that was followed here, and the same page as a record holds it: what was not known of lines, is now.
    fn meet(&mut self, places: Places, mut leaf: Leaf, logged: Vec<Line>) -> io::Result<Leaf> {
        let followed = leaf.take(logged.len(), &mut self.ids);
        leaf.is_open = false;
        leaf.lines = match followed {
            Some(followed) => {
                let mut lines = Vec::with_capacity(logged.len());
                for (line, known) in followed.into_iter().zip(logged) {
                    lines.push(self.learn(places, line, known)?);
                }
                lines
            }
            None => {
                self.contradictions += 1;
                logged
            }
        };
        Ok(leaf)
    }

    /// A line as it was followed, and as a logged page has it.
    fn learn(&mut self, places: Places, mut line: Line, known: Line) -> io::Result<Line> {
        let is_other = |one: &Option<Vec<u8>>| one.is_some() && *one != known.key;
        let data = line.data.as_ref().zip(known.data.as_ref());
        if is_other(&line.key) || data.is_some_and(|(one, other)| one.with(other).is_err()) {
            self.contradictions += 1;
            return Ok(known);
        }
        let is_news = line.key.is_none()
            || line.data.as_ref().is_none_or(|data| !data.is_complete())
            || line.is_deleted != known.is_deleted;
        (line.key, line.data, line.is_deleted) = (known.key, known.data, known.is_deleted);
        line.is_lost = false;
        if is_news && line.has_later {
            self.spool.put(&Finding {
                at: places.at,
                lgpos: places.lgpos,
                line: line.id,
                is_last: false,
                was_deleted: line.is_deleted,
                key: line.key.clone(),
                before: line.data.clone(),
                after: None,
                record: Vec::new(),
            })?;
        }
        Ok(line)
    }

    fn take_back_merge(&mut self, places: Places, merge: &Merge<'_>) -> io::Result<()> {
        let (page, fields) = (&merge.page, &merge.merge);
        let Some(database) = self.survey.database(page.dbid, places.at) else {
            return Ok(());
        };
        if page.is_space() || !self.pasts[database].follows(fields.objid) {
            return Ok(());
        }
        let Some(logged) = self.logged_page(database, merge.before_image.as_ref(), page) else {
            if matches!(
                fields.merge_type,
                MergeType::EmptyPage | MergeType::EmptyTree
            ) {
                self.take_back_emptied(database, merge)?;
            } else {
                self.lose_merge(merge, places.at)?;
            }
            return Ok(());
        };
        let objid = fields.objid;
        let at = usize::from(fields.iline_merge);
        let (moving, to_left) = match fields.merge_type {
            MergeType::FullRight | MergeType::PartialRight => {
                (at.min(logged.len())..logged.len(), false)
            }
            MergeType::FullLeft | MergeType::PartialLeft => (0..(at + 1).min(logged.len()), true),
            _ => (0..0, false),
        };
        let is_partial = matches!(
            fields.merge_type,
            MergeType::PartialRight | MergeType::PartialLeft
        );
        let alive: Vec<bool> = (logged.iter().enumerate())
            .map(|(place, line)| moving.contains(&place) && line.is_deleted == Some(false))
            .collect();
        let moved = alive.iter().filter(|alive| **alive).count();
        for (pgno, before, receives) in [
            (fields.pgno_left, fields.dbtime_left_before, to_left),
            (fields.pgno_right, fields.dbtime_right_before, !to_left),
        ] {
            if !receives || moved == 0 {
                self.touch(database, (pgno, objid), (before, page.dbtime))?;
            }
        }
        let mut given: std::vec::IntoIter<Line> = Vec::new().into_iter();
        if moved > 0 {
            let (pgno, before) = match to_left {
                true => (fields.pgno_left, fields.dbtime_left_before),
                false => (fields.pgno_right, fields.dbtime_right_before),
            };
            let mut leaf = self.leaf(database, pgno, objid)?;
            if leaf.is_after(page.dbtime) {
                if !to_left || !leaf.is_open {
                    if !to_left {
                        leaf.line(moved - 1, &mut self.ids);
                    }
                    let count = leaf.lines.len();
                    if moved <= count {
                        let range = if to_left {
                            count - moved..count
                        } else {
                            0..moved
                        };
                        given = leaf.lines.drain(range).collect::<Vec<_>>().into_iter();
                    } else {
                        self.contradictions += 1;
                        leaf = Leaf::unknown(None);
                    }
                } else {
                    leaf = Leaf::unknown(None);
                }
                leaf.dbtime = Some(before);
            }
            self.put(database, pgno, leaf)?;
        }
        // Of a page that gave only some, the others are where they were.
        let mut kept: std::vec::IntoIter<Line> = Vec::new().into_iter();
        if is_partial {
            let count = logged.len() - moving.len();
            let mut leaf = self.leaf(database, page.pgno, objid)?;
            if leaf.is_after(page.dbtime) {
                match leaf.take(count, &mut self.ids) {
                    Some(lines) => kept = lines.into_iter(),
                    None => self.contradictions += 1,
                }
            }
        }
        let mut lines = Vec::with_capacity(logged.len());
        for (place, known) in logged.into_iter().enumerate() {
            let followed = match (alive[place], moving.contains(&place)) {
                (true, _) => given.next(),
                (false, true) => None,
                (false, false) => kept.next(),
            };
            lines.push(match followed {
                Some(line) => self.learn(places, line, known)?,
                None => known,
            });
        }
        let leaf = Leaf {
            dbtime: Some(page.dbtime_before),
            lines,
            is_open: false,
            is_dead: false,
        };
        self.put(database, page.pgno, leaf)?;
        Ok(())
    }

    fn take_back_page_move(&mut self, places: Places, moved: &PageMove<'_>) -> io::Result<()> {
        let (page, fields) = (&moved.page, &moved.moved);
        let Some(database) = self.survey.database(page.dbid, places.at) else {
            return Ok(());
        };
        if !self.pasts[database].follows(fields.objid) {
            return Ok(());
        }
        let objid = fields.objid;
        for (pgno, before) in [
            (fields.pgno_left, fields.dbtime_left_before),
            (fields.pgno_right, fields.dbtime_right_before),
        ] {
            self.touch(database, (pgno, objid), (before, page.dbtime))?;
        }
        let mut leaf = self.leaf(database, fields.pgno_dest, objid)?;
        if !leaf.is_after(page.dbtime) {
            leaf = Leaf::unknown(None);
        }
        self.lose(database, fields.pgno_dest, None)?;
        leaf.dbtime = Some(page.dbtime_before);
        let size = self.pasts[database].database.pages.size();
        let logged = image::join(
            moved.header,
            moved.trailer,
            page.pgno,
            size,
            page.dbtime_before,
        );
        let is_data = |page: &ese_replay::page_edit::PageBuffer| {
            page.is_leaf() && !page.flags().contains(PageFlags::SPACE_TREE)
        };
        let logged = logged.ok().filter(is_data);
        let logged = logged.and_then(|page| self.ids.lines_of(&page));
        if let Some(logged) = logged {
            leaf = self.meet(places, leaf, logged)?;
        }
        self.put(database, page.pgno, leaf)?;
        Ok(())
    }

    fn lose_split(&mut self, split: &Split<'_>, lgpos: Lgpos) -> io::Result<()> {
        let (page, fields) = (&split.page, &split.split);
        let Some(database) = self.survey.database(page.dbid, lgpos) else {
            return Ok(());
        };
        self.lose(database, page.pgno, Some(page.dbtime_before))?;
        if !fields.pgno_new.is_null() {
            self.lose(database, fields.pgno_new, None)?;
        }
        let dbtimes = (fields.dbtime_right_before, page.dbtime);
        self.touch(database, (fields.pgno_right, fields.objid), dbtimes)
    }

    /// A page that held nothing but deleted lines was taken out of its tree.
    fn take_back_emptied(&mut self, database: usize, merge: &Merge<'_>) -> io::Result<()> {
        let (page, fields) = (&merge.page, &merge.merge);
        let dead = Leaf::dead(page.dbtime_before);
        self.put(database, page.pgno, dead)?;
        for (pgno, before) in [
            (fields.pgno_left, fields.dbtime_left_before),
            (fields.pgno_right, fields.dbtime_right_before),
        ] {
            self.touch(database, (pgno, fields.objid), (before, page.dbtime))?;
        }
        Ok(())
    }

    fn lose_merge(&mut self, merge: &Merge<'_>, lgpos: Lgpos) -> io::Result<()> {
        let (page, fields) = (&merge.page, &merge.merge);
        let Some(database) = self.survey.database(page.dbid, lgpos) else {
            return Ok(());
        };
        let lost = [
            (page.pgno, page.dbtime_before),
            (fields.pgno_left, fields.dbtime_left_before),
            (fields.pgno_right, fields.dbtime_right_before),
        ];
        for (pgno, before) in lost {
            if !pgno.is_null() {
                self.lose(database, pgno, Some(before))?;
            }
        }
        Ok(())
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
