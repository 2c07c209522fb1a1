//! Merges (`ErrLGRIRedoMerge`, `ese/_log/logredo.cxx`; `BTIPerformMerge`, `ese/bt.cxx`).
//!
//! A merge macro holds one record per level, from the highest to the leaf. On the leaf the nodes that are not deleted
//! move to a sibling, all of them or some; a page left without nodes is taken out of the chain of siblings and marked
//! empty. Above, a pointer goes or a separator key changes.
//!
//! | merge | lines that move | pointer in the parent |
//! |---|---|---|
//! | empty page | none | deleted, or the page above is emptied too |
//! | full right | all, to the start of the right sibling | deleted |
//! | partial right | from `iline_merge` on | new key |
//! | full left | up to `iline_merge`, to the end of the left sibling | points left; the one before it goes |
//! | partial left | up to `iline_merge` | the one before it gets a new key |

use super::lines::Lines;
use super::{Redo, RedoOutcome, image};
use crate::database::ReplayDatabase;
use crate::error::Problem;
use crate::page_edit::PageBuffer;
use ese_format::page::NodeFlags;
use ese_format::record::{Merge, MergeFlags, MergeType, Record};
use ese_format::{Dbtime, Lgpos, Pgno};

/// The pages of a merge that need the record.
struct MergePages<'a> {
    /// The merged page of each level, from the highest to the leaf.
    levels: Vec<(&'a Merge<'a>, Option<PageBuffer>)>,
    left: Option<PageBuffer>,
    right: Option<PageBuffer>,
}

impl Redo {
    pub(super) fn merge(&mut self, records: &[Record<'_>]) -> Result<RedoOutcome, Problem> {
        let merges: Vec<&Merge<'_>> = records
            .iter()
            .filter_map(|record| match record {
                Record::Merge2(record) => Some(record),
                _ => None,
            })
            .collect();
        let leaf = merges
            .last()
            .ok_or(Problem::Macro("a merge without a merge record"))?;
        let (lgpos, page) = (self.lgpos, leaf.page);
        let Some(database) =
            self.database_for(page.procid, page.dbid, page.dbtime, leaf.merge.objid)
        else {
            return Ok(RedoOutcome::InPlace);
        };
        let mut pages = MergePages::load(database, lgpos, &merges)?;
        pages.perform()?;
        Ok(pages.store(database)?.into())
    }
}

impl<'a> MergePages<'a> {
    fn load(
        database: &mut ReplayDatabase,
        lgpos: Lgpos,
        merges: &[&'a Merge<'a>],
    ) -> Result<Self, Problem> {
        let leaf = merges
            .last()
            .ok_or(Problem::Macro("a merge without a merge record"))?;
        let fields = &leaf.merge;
        let mut take = |pgno: Pgno, before: Dbtime| -> Result<Option<PageBuffer>, Problem> {
            if pgno.is_null()
                || !database
                    .access(lgpos, pgno, before, leaf.page.dbtime)?
                    .applies()
            {
                return Ok(None);
            }
            Ok(Some(database.pages.take(pgno)?))
        };
        let mut levels = Vec::with_capacity(merges.len());
        for record in merges {
            levels.push((*record, take(record.page.pgno, record.page.dbtime_before)?));
        }
        let left = take(fields.pgno_left, fields.dbtime_left_before)?;
        let right = take(fields.pgno_right, fields.dbtime_right_before)?;
        let receiver = match direction(fields.merge_type) {
            Some(Direction::Left) => left.is_some(),
            Some(Direction::Right) => right.is_some(),
            None => false,
        };
        if let Some((_, source)) = levels.last_mut()
            && receiver
            && source.is_none()
        {
            let pgno = leaf.page.pgno;
            let image = leaf
                .before_image
                .as_ref()
                .ok_or(Problem::NoPageImage { pgno })?;
            let size = database.pages.size();
            *source = Some(image::unpack(image, pgno, size, leaf.page.dbtime_before)?);
        }
        Ok(MergePages {
            levels,
            left,
            right,
        })
    }

    fn perform(&mut self) -> Result<(), Problem> {
        let Some(&(leaf, _)) = self.levels.last() else {
            return Ok(());
        };
        let pages = self.levels.iter_mut().map(|(_, page)| page);
        for page in pages.chain([&mut self.left, &mut self.right]).flatten() {
            page.touch(leaf.page.dbtime);
        }
        let above = self.levels.len() - 1;
        for (record, page) in &mut self.levels[..above] {
            if let Some(page) = page {
                change_parent(page, record, leaf)?;
            }
        }
        self.change_leaf(leaf)
    }

    fn change_leaf(&mut self, leaf: &Merge<'_>) -> Result<(), Problem> {
        let fields = &leaf.merge;
        let kind = fields.merge_type;
        let Some((_, source)) = self.levels.last_mut() else {
            return Ok(());
        };
        match direction(kind) {
            Some(Direction::Right) => {
                move_lines(source.as_ref(), self.right.as_mut(), leaf, Direction::Right)?;
            }
            Some(Direction::Left) => {
                move_lines(source.as_ref(), self.left.as_mut(), leaf, Direction::Left)?;
            }
            None => {}
        }
        if let Some(source) = source {
            delete_moved(source, leaf)?;
        }
        if !matches!(kind, MergeType::PartialRight | MergeType::PartialLeft) {
            if let Some(left) = &mut self.left {
                left.set_next(fields.pgno_right);
            }
            if let Some(right) = &mut self.right {
                right.set_previous(fields.pgno_left);
            }
        }
        match source {
            Some(source) if fields.merge_flags.contains(MergeFlags::EMPTY_PAGE) => {
                Ok(source.empty()?)
            }
            _ => Ok(()),
        }
    }

    /// Puts the changed pages back; whether there were any.
    fn store(self, database: &mut ReplayDatabase) -> Result<bool, Problem> {
        let pages = self.levels.into_iter().filter_map(|(_, page)| page);
        let mut any = false;
        for page in pages.chain(self.left).chain(self.right) {
            database.pages.put(page)?;
            any = true;
        }
        Ok(any)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Left,
    Right,
}

/// Where the nodes go, if they go anywhere.
fn direction(merge_type: MergeType) -> Option<Direction> {
    match merge_type {
        MergeType::FullRight | MergeType::PartialRight => Some(Direction::Right),
        MergeType::FullLeft | MergeType::PartialLeft => Some(Direction::Left),
        _ => None,
    }
}

/// Copies the lines that are not deleted to the sibling (`BTIMergeMoveNodes`).
fn move_lines(
    source: Option<&PageBuffer>,
    receiver: Option<&mut PageBuffer>,
    leaf: &Merge<'_>,
    direction: Direction,
) -> Result<(), Problem> {
    let Some(receiver) = receiver else {
        return Ok(());
    };
    let source = source.ok_or(Problem::NoPageImage {
        pgno: leaf.page.pgno,
    })?;
    let lines = Lines::all_of(source)?;
    let at = usize::from(leaf.merge.iline_merge);
    let (moving, place) = match direction {
        Direction::Right => (lines.range(at..lines.len().max(at)), 0),
        Direction::Left => (lines.range(0..at + 1), receiver.node_count()),
    };
    let moving = moving.ok_or(Problem::Macro(
        "a merge that moves lines which are not there",
    ))?;
    let alive = moving.filter(|line| !line.flags.contains(NodeFlags::DELETED));
    for (index, line) in alive.enumerate() {
        line.put(receiver, place + index)?;
    }
    receiver.set_uncommitted_free(leaf.merge.uncommitted_free_dest);
    Ok(())
}

/// Deletes the lines that a partial merge moved (`BTIMergeDeleteFlagDeletedNodes`); after a full one the page is
/// emptied as a whole.
fn delete_moved(source: &mut PageBuffer, leaf: &Merge<'_>) -> Result<(), Problem> {
    let at = usize::from(leaf.merge.iline_merge);
    let moved = |line: usize| match leaf.merge.merge_type {
        MergeType::PartialRight => line >= at,
        MergeType::PartialLeft => line <= at,
        _ => false,
    };
    for line in (0..source.node_count()).rev().filter(|line| moved(*line)) {
        source.delete_node(line)?;
    }
    Ok(())
}

/// A level above the leaf (`BTIPerformOneMerge`).
fn change_parent(
    page: &mut PageBuffer,
    record: &Merge<'_>,
    leaf: &Merge<'_>,
) -> Result<(), Problem> {
    let flags = record.merge.merge_flags;
    let line = usize::from(record.page.iline);
    let before = line
        .checked_sub(1)
        .ok_or(Problem::Macro("a merge with a pointer before the first"));
    if leaf.merge.merge_type == MergeType::FullLeft
        && flags.contains(MergeFlags::DELETE_NODE | MergeFlags::KEY_CHANGE)
    {
        page.replace_data(line, &leaf.merge.pgno_left.0.to_le_bytes())?;
        page.delete_node(before?)?;
    } else if flags.contains(MergeFlags::DELETE_NODE) {
        let was_last = page.node(line)?.key().is_empty();
        page.delete_node(line)?;
        if was_last {
            change_key(page, before?, &[])?;
        }
    } else if flags.contains(MergeFlags::KEY_CHANGE) {
        let line = if leaf.merge.merge_type == MergeType::PartialLeft {
            before?
        } else {
            line
        };
        change_key(page, line, leaf.separator_key)?;
    }
    if flags.contains(MergeFlags::EMPTY_PAGE) {
        page.empty()?;
    }
    Ok(())
}

/// Gives a page pointer another key (`BTIChangeKeyOfPagePointer`).
fn change_key(page: &mut PageBuffer, line: usize, key: &[u8]) -> Result<(), Problem> {
    let pointer = page.node(line)?.data.to_vec();
    page.delete_node(line)?;
    page.insert_node_compressed(line, key, &pointer, NodeFlags::empty())?;
    Ok(())
}
