//! Records that change one node, or one page without changing the shape of the tree
//! (`ErrLGRIRedoNodeOperation`, `ese/_log/logredo.cxx`; `ese/node.cxx`).
//!
//! A versioned operation is remembered for undo. An insert and a delta carry all that undoing them takes; a replace
//! and a flag-delete take the old data from the page, and so are remembered only where the record applies: if the page
//! has the change already, it was written before its transaction ended, and then the before image was logged first, as
//! undo-info.

use super::{Redo, RedoOutcome};
use crate::error::Problem;
use crate::page_edit::{EditError, PageBuffer};
use crate::session::{Before, Bookmark, Version};
use ese_format::page::{NodeFlags, PageFlags};
use ese_format::record::{
    Delete, Delta, FlagDelete, FlagInsert, FlagInsertAndReplaceData, Insert, NodeOp, Operation,
    PageOp, Replace, ReplaceDelta, Scrub, ScrubFlags, SetExternalHeader, Undo, UndoInfo,
};
use std::borrow::Cow;

/// How a number within a node's data is added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    /// `Delta`.
    Bits32,
    /// `Delta64`.
    Bits64,
}

impl Redo {
    /// Whether the record applies to its page.
    fn applies(&mut self, page: &PageOp, node: &NodeOp) -> Result<bool, Problem> {
        let lgpos = self.lgpos;
        let Some(database) = self.database_for(page.procid, page.dbid, page.dbtime, node.objid)
        else {
            return Ok(false);
        };
        let verdict = database.access(lgpos, page.pgno, page.dbtime_before, page.dbtime)?;
        Ok(verdict.applies())
    }

    /// Takes note of an operation that its page holds already: it can be undone only with its undo-info.
    pub(super) fn owe_undo_info(&mut self, page: &PageOp, node: &NodeOp) {
        let database = self.databases.get(&page.dbid);
        let holds_it = database.is_some_and(|database| !database.is_gone(page.pgno));
        if page.is_versioned() && node.rceid != 0 && holds_it && !self.elsewhere {
            let session = self.session(page.procid);
            session.owe(node.rceid, page.level, page.pgno);
        }
    }

    /// Changes the page and gives it the record's dbtime.
    fn change<T>(
        &mut self,
        page: &PageOp,
        change: impl FnOnce(&mut PageBuffer) -> Result<T, EditError>,
    ) -> Result<T, Problem> {
        let database = self.databases.get_mut(&page.dbid);
        let database = database.ok_or(Problem::Blank { pgno: page.pgno })?;
        let image = database.pages.edit(page.pgno)?;
        let result = change(image)?;
        image.touch(page.dbtime);
        Ok(result)
    }

    fn remember(
        &mut self,
        page: &PageOp,
        rceid: u32,
        operation: Operation,
        bookmark: Bookmark,
        before: Before,
    ) {
        let attached = self.databases.contains_key(&page.dbid);
        let session = self.session(page.procid);
        if !session.seen_begin || session.level == 0 || !attached {
            return;
        }
        let level = page.level.min(session.level);
        session.remember(Version {
            rceid,
            level,
            operation,
            bookmark,
            before,
        });
    }

    pub(super) fn insert(&mut self, record: &Insert<'_>) -> Result<RedoOutcome, Problem> {
        let applies = self.applies(&record.page, &record.node)?;
        if record.page.is_versioned() {
            let key = [record.key_prefix, record.key_suffix].concat();
            let bookmark = bookmark(&record.page, &record.node, key, record.data);
            self.remember(
                &record.page,
                record.node.rceid,
                Operation::Insert,
                bookmark,
                Before::Nothing,
            );
        }
        if applies {
            let (line, flags) = (usize::from(record.page.iline), versioned(&record.page));
            let (prefix, suffix) = (record.key_prefix.len(), record.key_suffix);
            self.change(&record.page, |page| {
                page.insert_suffix(line, prefix, suffix, record.data, flags)
            })?;
        }
        Ok(applies.into())
    }

    pub(super) fn flag_insert(&mut self, record: &FlagInsert<'_>) -> Result<RedoOutcome, Problem> {
        let applies = self.applies(&record.page, &record.node)?;
        if record.page.is_versioned() {
            let bookmark = bookmark(&record.page, &record.node, record.key.to_vec(), record.data);
            self.remember(
                &record.page,
                record.node.rceid,
                Operation::Insert,
                bookmark,
                Before::Nothing,
            );
        }
        if applies {
            let (line, set) = (usize::from(record.page.iline), versioned(&record.page));
            self.change(&record.page, |page| {
                page.change_node_flags(line, set, NodeFlags::DELETED)
            })?;
        }
        Ok(applies.into())
    }

    pub(super) fn flag_insert_and_replace_data(
        &mut self,
        record: &FlagInsertAndReplaceData<'_>,
    ) -> Result<RedoOutcome, Problem> {
        let applies = self.applies(&record.page, &record.node)?;
        let bookmark = bookmark(&record.page, &record.node, record.key.to_vec(), record.data);
        if record.page.is_versioned() {
            let (rceid, nothing) = (record.node.rceid, Before::Nothing);
            self.remember(
                &record.page,
                rceid,
                Operation::Insert,
                bookmark.clone(),
                nothing,
            );
        }
        if applies {
            let (line, set) = (usize::from(record.page.iline), versioned(&record.page));
            let old = self.change(&record.page, |page| {
                let old = page.node(line)?.data.to_vec();
                page.replace_data(line, record.data)?;
                page.change_node_flags(line, set, NodeFlags::DELETED)?;
                Ok(old)
            })?;
            if record.page.is_versioned() {
                let rceid = record.rceid_replace;
                self.remember(
                    &record.page,
                    rceid,
                    Operation::Replace,
                    bookmark,
                    Before::Data(old),
                );
            }
        }
        Ok(applies.into())
    }

    pub(super) fn replace(&mut self, record: &Replace<'_>) -> Result<RedoOutcome, Problem> {
        let data = record.data;
        self.replace_with(&record.page, &record.node, |_| Ok(Cow::Borrowed(data)))
    }

    pub(super) fn replace_delta(
        &mut self,
        record: &ReplaceDelta<'_>,
    ) -> Result<RedoOutcome, Problem> {
        self.replace_with(&record.page, &record.node, |page| {
            let line = usize::from(record.page.iline);
            let old = page.node(line)?.data;
            Ok(Cow::Owned(record.diff.apply(old, page.bytes().len())?))
        })
    }

    fn replace_with<'a>(
        &mut self,
        page: &PageOp,
        node: &NodeOp,
        new_data: impl FnOnce(&PageBuffer) -> Result<Cow<'a, [u8]>, Problem>,
    ) -> Result<RedoOutcome, Problem> {
        if !self.applies(page, node)? {
            self.owe_undo_info(page, node);
            return Ok(RedoOutcome::InPlace);
        }
        let database = self.databases.get_mut(&page.dbid);
        let image = database
            .ok_or(Problem::Blank { pgno: page.pgno })?
            .pages
            .edit(page.pgno)?;
        let line = usize::from(page.iline);
        let data = new_data(image)?;
        let found = image.node(line)?;
        let row = page.is_versioned().then(|| {
            let bookmark = bookmark(page, node, found.key().to_vec(), found.data);
            (bookmark, Before::Data(found.data.to_vec()))
        });
        image.replace_data(line, &data)?;
        image.change_node_flags(line, versioned(page), NodeFlags::empty())?;
        image.touch(page.dbtime);
        if let Some((bookmark, before)) = row {
            self.remember(page, node.rceid, Operation::Replace, bookmark, before);
        }
        Ok(RedoOutcome::Applied)
    }

    pub(super) fn flag_delete(&mut self, record: &FlagDelete) -> Result<RedoOutcome, Problem> {
        if !self.applies(&record.page, &record.node)? {
            self.owe_undo_info(&record.page, &record.node);
            return Ok(RedoOutcome::InPlace);
        }
        let (line, set) = (usize::from(record.page.iline), versioned(&record.page));
        let row = self.change(&record.page, |page| {
            let node = page.node(line)?;
            let row = record.page.is_versioned().then(|| {
                let key = node.key().to_vec();
                bookmark(&record.page, &record.node, key, node.data)
            });
            page.change_node_flags(line, set | NodeFlags::DELETED, NodeFlags::empty())?;
            Ok(row)
        })?;
        if let Some(bookmark) = row {
            let rceid = record.node.rceid;
            self.remember(
                &record.page,
                rceid,
                Operation::FlagDelete,
                bookmark,
                Before::Nothing,
            );
        }
        Ok(RedoOutcome::Applied)
    }

    pub(super) fn delete(&mut self, record: &Delete) -> Result<RedoOutcome, Problem> {
        let applies = self.applies(&record.page, &record.node)?;
        if applies {
            let line = usize::from(record.page.iline);
            self.change(&record.page, |page| page.delete_node(line))?;
        }
        Ok(applies.into())
    }

    pub(super) fn delta(&mut self, record: &Delta<'_>) -> Result<RedoOutcome, Problem> {
        self.add(record, Operation::Delta, Width::Bits32)
    }

    pub(super) fn delta64(&mut self, record: &Delta<'_>) -> Result<RedoOutcome, Problem> {
        self.add(record, Operation::Delta64, Width::Bits64)
    }

    fn add(
        &mut self,
        record: &Delta<'_>,
        operation: Operation,
        width: Width,
    ) -> Result<RedoOutcome, Problem> {
        let applies = self.applies(&record.page, &record.node)?;
        let (delta, offset) = (record.delta, record.offset);
        if record.page.is_versioned() {
            let key = record.bookmark_key.to_vec();
            let bookmark = bookmark(&record.page, &record.node, key, record.bookmark_data);
            let before = Before::Delta { delta, offset };
            self.remember(&record.page, record.node.rceid, operation, bookmark, before);
        }
        if applies {
            let (line, set) = (usize::from(record.page.iline), versioned(&record.page));
            self.change(&record.page, |page| {
                add_to_node(page, line, offset, delta, width)?;
                page.change_node_flags(line, set, NodeFlags::empty())
            })?;
        }
        Ok(applies.into())
    }

    /// Remembers an operation whose page was written before its transaction ended. No page changes, and no page is
    /// looked at.
    pub(super) fn undo_info(&mut self, record: &UndoInfo<'_>) -> Result<RedoOutcome, Problem> {
        let page = &record.page;
        if self
            .database_for(page.procid, page.dbid, page.dbtime, record.node.objid)
            .is_none()
        {
            return Ok(RedoOutcome::InPlace);
        }
        self.remember_undo_info(record);
        Ok(RedoOutcome::NoPage)
    }

    /// Takes over what the record says, wherever redo stands: it may have stopped at the record that attached the database.
    pub(super) fn remember_undo_info(&mut self, record: &UndoInfo<'_>) {
        let page = &record.page;
        let key = record.bookmark_key.to_vec();
        let bookmark = bookmark(page, &record.node, key, record.bookmark_data);
        let before = match record.operation {
            Operation::Replace => Before::Data(record.data.to_vec()),
            _ => Before::Nothing,
        };
        self.remember(page, record.node.rceid, record.operation, bookmark, before);
    }

    /// A rollback that the log did itself: the page is changed as the record of the operation's version says
    /// (`VERRedoPhysicalUndo`, `ese/ver.cxx`).
    pub(super) fn undo(&mut self, record: &Undo<'_>) -> Result<RedoOutcome, Problem> {
        let applies = self.applies(&record.page, &record.node)?;
        let rceid = record.node.rceid;
        let version = self.session(record.page.procid).take(rceid);
        if applies {
            let version = version.ok_or(Problem::NoVersion { rceid })?;
            let line = usize::from(record.page.iline);
            self.change(&record.page, |page| undo_on_page(page, line, &version))?;
        }
        Ok(applies.into())
    }

    pub(super) fn set_external_header(
        &mut self,
        record: &SetExternalHeader<'_>,
    ) -> Result<RedoOutcome, Problem> {
        let applies = self.applies(&record.page, &record.node)?;
        if applies {
            self.change(&record.page, |page| page.set_external_header(record.data))?;
        }
        Ok(applies.into())
    }

    /// Overwrites deleted data (`NDScrubOneUsedPage`, `NDScrubOneUnusedPage`, `ese/node.cxx`).
    pub(super) fn scrub(&mut self, record: &Scrub<'_>) -> Result<RedoOutcome, Problem> {
        let applies = self.applies(&record.page, &record.node)?;
        if applies {
            self.change(&record.page, |page| {
                match record.scrub_flags.contains(ScrubFlags::UNUSED_PAGE) {
                    true => scrub_unused_page(page),
                    false => scrub_used_page(page, record.operations),
                }
            })?;
            let database = self.databases.get_mut(&record.page.dbid);
            if let Some(database) = database {
                let page = database.pages.edit(record.page.pgno)?;
                page.set_flags(page.flags() | PageFlags::SCRUBBED);
            }
        }
        Ok(applies.into())
    }
}

fn versioned(page: &PageOp) -> NodeFlags {
    if page.is_versioned() {
        NodeFlags::VERSIONED
    } else {
        NodeFlags::empty()
    }
}

/// The name of a row: its key, and its data where keys are not unique.
fn bookmark(page: &PageOp, node: &NodeOp, key: Vec<u8>, data: &[u8]) -> Bookmark {
    let unique = page.is_unique();
    Bookmark {
        dbid: page.dbid,
        root: node.pgno_fdp,
        objid: node.objid,
        unique,
        key,
        data: if unique { Vec::new() } else { data.to_vec() },
    }
}

/// Undoes an operation on the node at `line`.
pub(crate) fn undo_on_page(
    page: &mut PageBuffer,
    line: usize,
    version: &Version,
) -> Result<(), EditError> {
    match (version.operation, &version.before) {
        (Operation::Insert, _) => {
            page.change_node_flags(line, NodeFlags::DELETED, NodeFlags::empty())
        }
        (Operation::FlagDelete, _) => {
            page.change_node_flags(line, NodeFlags::empty(), NodeFlags::DELETED)
        }
        (_, Before::Data(data)) => page.replace_data(line, data),
        (operation, Before::Delta { delta, offset }) => {
            let width = if operation == Operation::Delta64 {
                Width::Bits64
            } else {
                Width::Bits32
            };
            add_to_node(page, line, *offset, delta.wrapping_neg(), width)
        }
        (_, Before::Nothing) => Ok(()),
    }
}

/// Adds to the number at `offset` of a node's data, wrapping around (`ErrNDDelta`, `ese/node.cxx`).
fn add_to_node(
    page: &mut PageBuffer,
    line: usize,
    offset: u16,
    delta: i64,
    width: Width,
) -> Result<(), EditError> {
    let offset = usize::from(offset);
    let data = page.node(line)?.data;
    let at = data.get(offset..).unwrap_or(&[]);
    let sum = match width {
        Width::Bits32 => at.first_chunk().map(|old| {
            let sum = i32::from_le_bytes(*old).wrapping_add(delta as i32);
            sum.to_le_bytes().to_vec()
        }),
        Width::Bits64 => at.first_chunk().map(|old| {
            let sum = i64::from_le_bytes(*old).wrapping_add(delta);
            sum.to_le_bytes().to_vec()
        }),
    };
    let size = data.len();
    let sum = sum.ok_or(EditError::Patch {
        pgno: page.pgno(),
        line,
        start: offset,
        end: offset + if width == Width::Bits32 { 4 } else { 8 },
        size,
    })?;
    page.patch_data(line, offset, &sum)
}

/// What a scrub does to one node (`scrubOper*`, `inc/node.hxx`), and what it fills with (`chSCRUB*`, `inc/daedef.hxx`).
const SCRUB_DATA: u8 = 1;
const SCRUB_LONG_VALUE: u8 = 2;
const DATA_FILL: u8 = b'D';
const LONG_VALUE_FILL: u8 = b'L';
const USED_PAGE_FILL: u8 = b'Z';
const UNUSED_PAGE_FILL: u8 = b'U';
/// The first byte of a long-value chunk that says "scrubbed" to the decompression (`COMPRESS_SCRUB`).
const SCRUBBED_CHUNK: u8 = 4 << 3;

fn scrub_used_page(page: &mut PageBuffer, operations: &[u8]) -> Result<(), EditError> {
    for (line, operation) in operations.iter().enumerate() {
        let size = page.node(line)?.data.len();
        let fill = match *operation {
            SCRUB_DATA => vec![DATA_FILL; size],
            SCRUB_LONG_VALUE => {
                let mut fill = vec![LONG_VALUE_FILL; size];
                fill.iter_mut()
                    .take(1)
                    .for_each(|first| *first = SCRUBBED_CHUNK);
                fill
            }
            _ => continue,
        };
        page.patch_data(line, 0, &fill)?;
        page.change_node_flags(line, NodeFlags::empty(), NodeFlags::VERSIONED)?;
    }
    page.overwrite_unused(USED_PAGE_FILL)
}

fn scrub_unused_page(page: &mut PageBuffer) -> Result<(), EditError> {
    page.delete_all_nodes()?;
    page.overwrite_unused(UNUSED_PAGE_FILL)
}
