//! Records that move lines from page to page: splits, merges, page moves.
//!
//! Many of them hold the page as it was before. There, what was followed and what was logged meet.

use super::{Backward, Places};
use crate::history::page::{Leaf, Line};
use crate::history::reverse::OwnRecord;
use crate::history::spool::Finding;
use ese_format::Lgpos;
use ese_format::page::PageFlags;
use ese_format::record::{
    Merge, MergeType, PageMove, PageOp, Record, Split, SplitOperation, SplitType,
};
use ese_replay::redo::image;
use std::io;

impl Backward<'_> {
    pub(super) fn take_back_macro(&mut self, at: Lgpos, own: &[OwnRecord]) -> io::Result<()> {
        let mut records = Vec::with_capacity(own.len());
        for own in own {
            let Ok(record) = own.decode() else {
                return Ok(());
            };
            records.push((own, record));
        }
        let mut splits = records.iter().filter_map(|(_, record)| match record {
            Record::Split(split) | Record::Split2(split) => Some(split),
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
                Record::Split(split) => self.lose_split(places, split)?,
                Record::Merge(merge) => self.lose_merge(places, merge)?,
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
        let places = Places {
            at,
            lgpos: at,
            in_split: true,
        };
        self.touch(places, (database, fields.pgno_right, fields.objid), dbtimes)?;
        let is_vertical = fields.split_type == SplitType::Vertical;
        let first_new = usize::from(fields.iline_split);
        let all = usize::from(fields.line_count);
        let mut lines = Vec::new();
        let mut fits = first_new <= all;
        if !is_vertical {
            let mut leaf = self.leaf(database, page.pgno, fields.objid)?;
            if !leaf.is_after(page.dbtime) {
                self.note_not_reached(database, fields.objid, at);
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
                lgpos: own.lgpos,
                ..places
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
            before = self.meet(places, before, logged)?;
        }
        self.put_before(places, (database, page.pgno, fields.objid), before)
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
    pub(super) fn meet(
        &mut self,
        places: Places,
        mut leaf: Leaf,
        logged: Vec<Line>,
    ) -> io::Result<Leaf> {
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
                self.take_back_emptied(places, database, merge)?;
            } else {
                self.lose_merge(places, merge)?;
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
                self.touch(places, (database, pgno, objid), (before, page.dbtime))?;
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
            self.put_before(places, (database, pgno, objid), leaf)?;
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
        self.put_before(places, (database, page.pgno, objid), leaf)
    }

    pub(super) fn take_back_page_move(
        &mut self,
        places: Places,
        moved: &PageMove<'_>,
    ) -> io::Result<()> {
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
            self.touch(places, (database, pgno, objid), (before, page.dbtime))?;
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
        self.put_before(places, (database, page.pgno, objid), leaf)
    }

    fn lose_split(&mut self, places: Places, split: &Split<'_>) -> io::Result<()> {
        let (page, fields) = (&split.page, &split.split);
        let Some(database) = self.survey.database(page.dbid, places.at) else {
            return Ok(());
        };
        let before = Leaf::unknown(Some(page.dbtime_before));
        self.put_before(places, (database, page.pgno, fields.objid), before)?;
        if !fields.pgno_new.is_null() {
            self.lose(database, fields.pgno_new, None)?;
        }
        let dbtimes = (fields.dbtime_right_before, page.dbtime);
        self.touch(places, (database, fields.pgno_right, fields.objid), dbtimes)
    }

    /// A page that held nothing but deleted lines was taken out of its tree.
    fn take_back_emptied(
        &mut self,
        places: Places,
        database: usize,
        merge: &Merge<'_>,
    ) -> io::Result<()> {
        let (page, fields) = (&merge.page, &merge.merge);
        let dead = Leaf::dead(page.dbtime_before);
        self.put_before(places, (database, page.pgno, fields.objid), dead)?;
        for (pgno, before) in [
            (fields.pgno_left, fields.dbtime_left_before),
            (fields.pgno_right, fields.dbtime_right_before),
        ] {
            self.touch(
                places,
                (database, pgno, fields.objid),
                (before, page.dbtime),
            )?;
        }
        Ok(())
    }

    fn lose_merge(&mut self, places: Places, merge: &Merge<'_>) -> io::Result<()> {
        let (page, fields) = (&merge.page, &merge.merge);
        let Some(database) = self.survey.database(page.dbid, places.at) else {
            return Ok(());
        };
        let lost = [
            (page.pgno, page.dbtime_before),
            (fields.pgno_left, fields.dbtime_left_before),
            (fields.pgno_right, fields.dbtime_right_before),
        ];
        for (pgno, before) in lost {
            if !pgno.is_null() {
                let before = Leaf::unknown(Some(before));
                self.put_before(places, (database, pgno, fields.objid), before)?;
            }
        }
        Ok(())
    }
}
