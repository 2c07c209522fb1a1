//! Splits (`ErrLGRIRedoSplit`, `ese/_log/logredo.cxx`; `BTIPerformSplit`, `ese/bt.cxx`).
//!
//! A split macro holds one record per level, from the highest to the leaf, and the node operation that made the split
//! necessary. The lines of the split page, with the operation's own line among them, are dealt to the split page and the
//! new one; the parent gets a pointer:
//!
//! ```text
//! lines   0 .. split | split .. count        parent, before   ... | old key -> split page |
//!         split page | new page                      after    ... | new key -> split page | old key -> new page |
//! ```
//!
//! Each page is redone only if it needs it. If the new page does and the split page does not, the split page is taken
//! from the image in the record, unless the only line that goes to the new page is the operation's own.

use super::access::Verdict;
use super::lines::{Line, Lines};
use super::{Redo, RedoOutcome, image};
use crate::database::ReplayDatabase;
use crate::error::Problem;
use crate::page_edit::PageBuffer;
use crate::session::{Before, Bookmark, Version};
use ese_format::page::{Key, NodeFlags, PageFlags};
use ese_format::record::{
    FlagInsertAndReplaceData, Insert, NodeOp, Operation, PageOp, Record, Replace, Split,
    SplitOperation, SplitType,
};
use ese_format::{Dbtime, Lgpos, Pgno};

/// The node operation of a leaf split.
#[derive(Debug, Clone, Copy)]
enum LeafOperation<'a> {
    Insert(&'a Insert<'a>),
    Replace(&'a Replace<'a>),
    FlagInsertAndReplaceData(&'a FlagInsertAndReplaceData<'a>),
}

impl<'a> LeafOperation<'a> {
    fn of(record: &'a Record<'a>) -> Option<Self> {
        match record {
            Record::Insert(record) => Some(LeafOperation::Insert(record)),
            Record::Replace(record) => Some(LeafOperation::Replace(record)),
            Record::FlagInsertAndReplaceData(record) => {
                Some(LeafOperation::FlagInsertAndReplaceData(record))
            }
            _ => None,
        }
    }

    fn heads(&self) -> (&'a PageOp, &'a NodeOp) {
        match self {
            LeafOperation::Insert(record) => (&record.page, &record.node),
            LeafOperation::Replace(record) => (&record.page, &record.node),
            LeafOperation::FlagInsertAndReplaceData(record) => (&record.page, &record.node),
        }
    }

    /// The key of the operation's line; a replace does not say it.
    fn key(&self) -> Vec<u8> {
        match self {
            LeafOperation::Insert(record) => [record.key_prefix, record.key_suffix].concat(),
            LeafOperation::Replace(_) => Vec::new(),
            LeafOperation::FlagInsertAndReplaceData(record) => record.key.to_vec(),
        }
    }

    /// The data that it leaves.
    fn data(&self) -> &'a [u8] {
        match self {
            LeafOperation::Insert(record) => record.data,
            LeafOperation::Replace(record) => record.data,
            LeafOperation::FlagInsertAndReplaceData(record) => record.data,
        }
    }
}

/// One level of a split, its pages as they were and which of them need the record.
struct Level<'a> {
    record: &'a Split<'a>,
    split: Option<PageBuffer>,
    new: Option<PageBuffer>,
    right: Option<PageBuffer>,
}

/// What the level above needs to know of the one below.
struct Child {
    key: Vec<u8>,
    /// The pointer to the split page, as nodes hold it.
    data: [u8; 4],
    new: Pgno,
}

impl Redo {
    pub(super) fn split(&mut self, records: &[Record<'_>]) -> Result<RedoOutcome, Problem> {
        let splits: Vec<&Split<'_>> = records
            .iter()
            .filter_map(|record| match record {
                Record::Split2(record) => Some(record),
                _ => None,
            })
            .collect();
        let leaf = splits
            .last()
            .ok_or(Problem::Macro("a split without a split record"))?;
        let operation = records.iter().find_map(LeafOperation::of);
        if leaf.is_parent_only()
            || operation.is_none() && leaf.split.operation != SplitOperation::None
        {
            return Err(Problem::Macro(
                "a split without its leaf or its node operation",
            ));
        }
        let (lgpos, page) = (self.lgpos, leaf.page);
        let Some(database) =
            self.database_for(page.procid, page.dbid, page.dbtime, leaf.split.objid)
        else {
            return Ok(RedoOutcome::InPlace);
        };
        let mut levels = Vec::with_capacity(splits.len());
        for record in &splits {
            levels.push(Level::load(database, lgpos, record)?);
        }
        let leaf_level = levels
            .last()
            .ok_or(Problem::Macro("a split without a level"))?;
        let versions = leaf_versions(leaf_level, operation)?;
        let mut applied = false;
        for (index, level) in levels.iter_mut().enumerate() {
            let below = splits.get(index + 1);
            let child = below.filter(|child| !child.is_parent_only());
            let child = child.map(|child| Child {
                key: child.parent_key.to_vec(),
                data: child.page.pgno.0.to_le_bytes(),
                new: child.split.pgno_new,
            });
            level.perform(child.as_ref(), operation)?;
            applied |= level.store(database)?;
        }
        for version in versions {
            self.remember_split(&page, version);
        }
        Ok(applied.into())
    }

    fn remember_split(&mut self, page: &PageOp, version: Version) {
        let session = self.session(page.procid);
        if session.level > 0 {
            let level = version.level.min(session.level);
            session.remember(Version { level, ..version });
        }
    }
}

impl<'a> Level<'a> {
    /// Takes the pages that need the record.
    fn load(
        database: &mut ReplayDatabase,
        lgpos: Lgpos,
        record: &'a Split<'a>,
    ) -> Result<Self, Problem> {
        let (page, fields) = (&record.page, &record.split);
        let mut take = |pgno: Pgno, before: Dbtime| -> Result<Option<PageBuffer>, Problem> {
            if pgno.is_null() || !database.access(lgpos, pgno, before, page.dbtime)?.applies() {
                return Ok(None);
            }
            Ok(Some(database.pages.take(pgno)?))
        };
        let mut split = take(page.pgno, page.dbtime_before)?;
        let right = take(fields.pgno_right, fields.dbtime_right_before)?;
        let new = if record.is_parent_only() {
            Verdict::Skip
        } else {
            database.access_new(lgpos, fields.pgno_new, page.dbtime)?
        };
        let size = database.pages.size();
        if new.applies() && split.is_none() && needs_split_page(record) {
            let image = record.before_image.as_ref();
            let image = image.ok_or(Problem::NoPageImage { pgno: page.pgno })?;
            split = Some(image::unpack(image, page.pgno, size, page.dbtime_before)?);
        }
        let new = new.applies().then(|| {
            let new = PageBuffer::new_preinit(size.as_usize(), fields.pgno_new, fields.objid);
            new.map_err(|error| Problem::Edit(error.into()))
        });
        let mut level = Level {
            record,
            split,
            new: new.transpose()?,
            right,
        };
        if let Some(new) = &mut level.new {
            database.pages.prepare(new);
            new.consume(PageFlags::from_bits_retain(fields.new_page_flags));
        }
        Ok(level)
    }

    /// Does this level's part; `child` is the split of the level below, if that is one.
    fn perform(
        &mut self,
        child: Option<&Child>,
        operation: Option<LeafOperation<'_>>,
    ) -> Result<(), Problem> {
        let dbtime = self.record.page.dbtime;
        for page in [&mut self.split, &mut self.new, &mut self.right]
            .into_iter()
            .flatten()
        {
            page.touch(dbtime);
        }
        if self.record.is_parent_only() {
            let child =
                child.ok_or(Problem::Macro("a parent's record without a split below it"))?;
            return self.insert_pointer(child);
        }
        if self.split.is_some() || self.new.is_some() {
            self.deal_lines(child, operation)?;
        }
        let is_leaf =
            PageFlags::from_bits_retain(self.record.split.new_page_flags).contains(PageFlags::LEAF);
        match self.record.split.split_type {
            SplitType::Vertical => self.make_root(),
            _ if is_leaf => {
                self.link_siblings();
                Ok(())
            }
            _ => Ok(()),
        }?;
        match child {
            Some(child) if !is_leaf => self.repoint(child),
            _ => Ok(()),
        }
    }

    /// A parent takes the pointer to the split page under its new last key; the old pointer goes to the new page
    /// (`BTIInsertPgnoNewAndSetPgnoSplit`).
    fn insert_pointer(&mut self, child: &Child) -> Result<(), Problem> {
        let Some(page) = &mut self.split else {
            return Ok(());
        };
        let count = page.node_count();
        let mut at = count.saturating_sub(1);
        for line in 0..count {
            let key = page.node(line)?.key();
            if key.is_empty() || key >= Key::from(child.key.as_slice()) {
                at = line;
                break;
            }
        }
        page.insert_node_compressed(at, &child.key, &child.data, NodeFlags::empty())?;
        page.replace_data(at + 1, &child.new.0.to_le_bytes())?;
        Ok(())
    }

    /// Deals the lines to both pages (`BTISplitMoveNodes`).
    fn deal_lines(
        &mut self,
        child: Option<&Child>,
        operation: Option<LeafOperation<'_>>,
    ) -> Result<(), Problem> {
        let fields = &self.record.split;
        let is_leaf = PageFlags::from_bits_retain(fields.new_page_flags).contains(PageFlags::LEAF);
        let at = usize::from(fields.iline_operation);
        let split_at = usize::from(fields.iline_split);
        let versioned =
            operation.is_some_and(|operation| is_leaf && operation.heads().0.is_versioned());
        let mark = if versioned {
            NodeFlags::VERSIONED
        } else {
            NodeFlags::empty()
        };
        // The operation of this level: the node operation on the leaf, the new pointer above it.
        let own = match (is_leaf, operation, child) {
            _ if fields.operation == SplitOperation::None => None,
            (true, Some(operation), _) => Some((operation.key(), operation.data())),
            (false, _, Some(child)) => Some((child.key.clone(), child.data.as_slice())),
            _ => None,
        };
        let mut lines = match (&self.split, &own) {
            (Some(page), _) => Lines::all_of(page)?,
            // Only the operation's own line goes to the new page, and the split page has moved on.
            (None, Some(_)) => Lines::default(),
            (None, None) => {
                return Err(Problem::NoPageImage {
                    pgno: self.record.page.pgno,
                });
            }
        };
        let first_new = if self.split.is_some() { split_at } else { 0 };
        if let Some((key, data)) = &own {
            let at = if self.split.is_some() { at } else { 0 };
            let own = Line {
                key,
                data,
                flags: mark,
            };
            deal_own_line(&mut lines, own, at, at >= first_new, fields.operation)
                .ok_or(Problem::Macro("a split whose node operation is on no line"))?;
        }
        if lines.len() < first_new {
            return Err(Problem::Macro("a split with fewer lines than it moves"));
        }
        self.fill_new(&lines, first_new)?;
        self.refill_split(&lines, first_new)?;
        if is_leaf {
            let [source, dest] = [fields.uncommitted_free_source, fields.uncommitted_free_dest];
            let bytes = |free: i16| u16::try_from(free).unwrap_or(0);
            if let Some(page) = &mut self.new {
                page.set_uncommitted_free(bytes(dest));
            }
            if let Some(page) = &mut self.split {
                page.set_uncommitted_free(bytes(source));
            }
        }
        Ok(())
    }

    /// Puts the lines from `first` on on the new page.
    fn fill_new(&mut self, lines: &Lines, first: usize) -> Result<(), Problem> {
        let Some(page) = &mut self.new else {
            return Ok(());
        };
        let moved = || lines.range(first..lines.len()).into_iter().flatten();
        if let Ok(prefix_line) = usize::try_from(self.record.split.iline_prefix_new) {
            let line = moved().nth(prefix_line);
            let line = line.ok_or(Problem::Macro("a split whose prefix is on no line"))?;
            page.set_external_header(line.key)?;
        }
        Ok(page.append_nodes(moved().map(|line| (line.key, line.data, line.flags)))?)
    }

    /// Leaves the split page its first `count` lines under its new prefix (`BTISplitSetPrefixInSrcPage`); an append
    /// leaves it as it was.
    fn refill_split(&mut self, lines: &Lines, count: usize) -> Result<(), Problem> {
        let fields = &self.record.split;
        let Some(page) = &mut self.split else {
            return Ok(());
        };
        if fields.split_type == SplitType::Append {
            return Ok(());
        }
        page.delete_all_nodes()?;
        if !page.is_root() {
            page.set_external_header(self.record.split_prefix_after)?;
        }
        let kept = lines.range(0..count).into_iter().flatten();
        Ok(page.append_nodes(kept.map(|line| (line.key, line.data, line.flags)))?)
    }

    /// After a vertical split the root points to the new page with an empty key.
    fn make_root(&mut self) -> Result<(), Problem> {
        let Some(root) = &mut self.split else {
            return Ok(());
        };
        let kept = root.flags() & PageFlags::FDP_DELETE;
        root.set_flags(PageFlags::from_bits_retain(self.record.split.split_page_flags) | kept);
        let data = self.record.split.pgno_new.0.to_le_bytes();
        root.insert_node(0, 0, &[], &data, NodeFlags::empty())?;
        Ok(())
    }

    /// The pointer after the new one goes to the new page of the level below (`BTIInsertPgnoNew`).
    fn repoint(&mut self, child: &Child) -> Result<(), Problem> {
        let fields = &self.record.split;
        let at = usize::from(fields.iline_operation) + 1;
        let split_at = usize::from(fields.iline_split);
        let (page, line) = match at.checked_sub(split_at) {
            Some(line) => (&mut self.new, line),
            None => (&mut self.split, at),
        };
        if let Some(page) = page {
            page.replace_data(line, &child.new.0.to_le_bytes())?;
        }
        Ok(())
    }

    fn link_siblings(&mut self) {
        let (own, new, right) = (
            self.record.page.pgno,
            self.record.split.pgno_new,
            self.record.split.pgno_right,
        );
        if let Some(page) = &mut self.new {
            page.set_previous(own);
            page.set_next(right);
        }
        if let Some(page) = &mut self.split {
            page.set_next(new);
        }
        if let Some(page) = &mut self.right {
            page.set_previous(new);
        }
    }

    /// Puts the changed pages back; whether there were any.
    fn store(&mut self, database: &mut ReplayDatabase) -> Result<bool, Problem> {
        let mut any = false;
        for page in [self.split.take(), self.new.take(), self.right.take()]
            .into_iter()
            .flatten()
        {
            database.pages.put(page)?;
            any = true;
        }
        Ok(any)
    }
}

/// Whether the new page takes lines that only the split page has (`FBTISplitPageBeforeImageRequired`).
fn needs_split_page(record: &Split<'_>) -> bool {
    let fields = &record.split;
    match fields.split_type {
        SplitType::Append => false,
        SplitType::Vertical | SplitType::Other(_) => true,
        SplitType::Right => {
            let only_own = fields.operation == SplitOperation::Insert
                && fields.iline_split == fields.iline_operation
                && usize::from(fields.iline_split) + 1 == usize::from(fields.line_count);
            !only_own
        }
    }
}

/// Does the operation to its line; `None` if there is no such line.
///
/// A replaced line that stays on the split page is put there anew and loses its flags; one that goes to the new page
/// keeps them, but for "deleted" when it comes to life again.
fn deal_own_line(
    lines: &mut Lines,
    own: Line<'_>,
    at: usize,
    moves: bool,
    operation: SplitOperation,
) -> Option<()> {
    if operation == SplitOperation::Insert {
        return lines.insert(at, own);
    }
    lines.replace(at, own.data, |flags| {
        own.flags
            | match (moves, operation) {
                (false, _) => NodeFlags::empty(),
                (true, SplitOperation::FlagInsertAndReplaceData) => flags - NodeFlags::DELETED,
                (true, _) => flags,
            }
    })
}

/// What undoing the leaf's operation would take (`ErrLGIRedoSplitCreateVersion`).
fn leaf_versions(
    leaf: &Level<'_>,
    operation: Option<LeafOperation<'_>>,
) -> Result<Vec<Version>, Problem> {
    let Some(operation) = operation.filter(|operation| operation.heads().0.is_versioned()) else {
        return Ok(Vec::new());
    };
    let (page, node) = operation.heads();
    let fields = &leaf.record.split;
    let on_new = fields.iline_operation >= fields.iline_split;
    let redone = if on_new {
        leaf.new.is_some()
    } else {
        leaf.split.is_some()
    };
    let old = match &leaf.split {
        Some(split) if redone && !matches!(operation, LeafOperation::Insert(_)) => {
            let node = split.node(usize::from(fields.iline_operation))?;
            Some((node.key().to_vec(), node.data.to_vec()))
        }
        _ => None,
    };
    let version = |rceid, operation, key: Vec<u8>, data: &[u8], before| Version {
        rceid,
        level: page.level,
        operation,
        bookmark: Bookmark {
            dbid: page.dbid,
            root: node.pgno_fdp,
            objid: node.objid,
            unique: page.is_unique(),
            key,
            data: if page.is_unique() {
                Vec::new()
            } else {
                data.to_vec()
            },
        },
        before,
    };
    let mut versions = Vec::new();
    if !matches!(operation, LeafOperation::Replace(_)) {
        versions.push(version(
            node.rceid,
            Operation::Insert,
            operation.key(),
            operation.data(),
            Before::Nothing,
        ));
    }
    let rceid = match operation {
        LeafOperation::FlagInsertAndReplaceData(record) => record.rceid_replace,
        _ => node.rceid,
    };
    if let Some((key, data)) = old {
        versions.push(version(
            rceid,
            Operation::Replace,
            key,
            &data,
            Before::Data(data.clone()),
        ));
    }
    Ok(versions)
}
