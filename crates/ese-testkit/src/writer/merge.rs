//! Merges: pages whose rows are gone are taken out, and pages give rows to a sibling.

use super::split::{image_of, separator};
use super::{Line, Page, SYSTEM, Tree, Writer};
use ese_format::page::PageFlags;
use ese_format::record::{
    EmptyPage, EmptyPages, EmptyTree, Merge, MergeFields, MergeFlags, MergeType, PageImage,
    PageImageFlags, Record,
};
use ese_format::{Dbtime, ObjId, Pgno};

/// Where the rows of a page go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeKind {
    /// There are none left.
    Empty,
    /// All of them to the right.
    Right,
    /// The upper half to the right.
    SomeRight,
    /// All of them to the left.
    Left,
    /// The lower half to the left.
    SomeLeft,
}

impl MergeKind {
    fn merge_type(self) -> MergeType {
        match self {
            MergeKind::Empty => MergeType::EmptyPage,
            MergeKind::Right => MergeType::FullRight,
            MergeKind::SomeRight => MergeType::PartialRight,
            MergeKind::Left => MergeType::FullLeft,
            MergeKind::SomeLeft => MergeType::PartialLeft,
        }
    }

    fn goes_left(self) -> bool {
        matches!(self, MergeKind::Left | MergeKind::SomeLeft)
    }

    fn is_full(self) -> bool {
        !matches!(self, MergeKind::SomeRight | MergeKind::SomeLeft)
    }

    fn parent_flags(self) -> MergeFlags {
        match self {
            MergeKind::Empty | MergeKind::Right => MergeFlags::DELETE_NODE,
            MergeKind::Left => MergeFlags::DELETE_NODE | MergeFlags::KEY_CHANGE,
            MergeKind::SomeRight | MergeKind::SomeLeft => MergeFlags::KEY_CHANGE,
        }
    }
}

/// A merge that can be done, and its pages as they will be.
struct Plan {
    kind: MergeKind,
    /// The first line that moves; to the left, the last.
    at: usize,
    line_in_parent: usize,
    separator: Vec<u8>,
    source: Page,
    parent: Page,
    left: Option<Page>,
    right: Option<Page>,
}

impl Writer {
    /// Merges the page on which `key` would be; whether that was possible.
    pub fn merge(&mut self, tree: usize, key: &[u8], kind: MergeKind) -> bool {
        let path = self.path(tree, key, &[]);
        let [.., parent, leaf] = path[..] else {
            return false;
        };
        let Some(plan) = self.plan_merge(tree, parent, leaf, kind) else {
            return false;
        };
        self.begin(SYSTEM);
        self.perform_merge(tree, plan);
        self.commit(SYSTEM);
        if kind.is_full() {
            self.free.push(leaf);
        }
        true
    }

    fn plan_merge(&self, tree: usize, parent: u32, leaf: u32, kind: MergeKind) -> Option<Plan> {
        let (source, parent) = (self.pages[&leaf].clone(), self.pages[&parent].clone());
        let line = parent.lines.iter().position(|line| line.child() == leaf)?;
        let last = source.lines.len().checked_sub(1);
        let at = match kind {
            MergeKind::Empty | MergeKind::Right => 0,
            MergeKind::Left => last?,
            MergeKind::SomeRight => source.lines.len().div_ceil(2),
            MergeKind::SomeLeft => (source.lines.len() / 2).checked_sub(1)?,
        };
        let moving: Vec<Line> = match kind {
            MergeKind::Empty => source.lines.clone(),
            kind if kind.goes_left() => source.lines[..=at].to_vec(),
            _ => source.lines.get(at..)?.to_vec(),
        };
        let lost = |line: &Line| line.deleted && self.is_held(tree, line);
        let alive: Vec<Line> = moving
            .iter()
            .filter(|line| !line.deleted)
            .cloned()
            .collect();
        if moving.iter().any(lost) || parent.lines.len() < 2 {
            return None;
        }
        if (kind == MergeKind::Empty) != alive.is_empty() {
            return None;
        }
        let page = |pgno: u32| self.pages.get(&pgno).cloned();
        let mut plan = Plan {
            kind,
            at,
            line_in_parent: line,
            separator: Vec::new(),
            left: page(source.previous),
            right: page(source.next),
            source,
            parent,
        };
        plan.move_lines(&alive, |lines| self.reserve(tree, lines))?;
        plan.change_parent(self.trees[tree].unique)?;
        Some(plan)
    }

    fn perform_merge(&mut self, tree: usize, plan: Plan) {
        let dbtime = self.next_dbtime();
        self.macro_begin(SYSTEM, dbtime);
        self.log_merge(tree, &plan, true, dbtime);
        self.log_merge(tree, &plan, false, dbtime);
        self.macro_commit(SYSTEM, dbtime);
        let changed = [Some(plan.parent), Some(plan.source), plan.left, plan.right];
        for mut page in changed.into_iter().flatten() {
            page.dbtime = dbtime;
            self.put(SYSTEM, page);
        }
    }

    fn log_merge(&mut self, tree: usize, plan: &Plan, of_parent: bool, dbtime: u64) {
        let Tree { root, objid, .. } = self.trees[tree];
        let before = |page: &Option<Page>| match page {
            Some(page) => (Pgno(page.pgno), Dbtime(self.pages[&page.pgno].dbtime)),
            None => (Pgno(0), Dbtime(0)),
        };
        let source = &self.pages[&plan.source.pgno];
        let parent = Some(plan.parent.clone());
        let none = (Pgno(0), Dbtime(0));
        let (siblings, parent) = match of_parent {
            true => ([none; 2], none),
            false => ([before(&plan.left), before(&plan.right)], before(&parent)),
        };
        let merge = MergeFields {
            pgno_right: siblings[1].0,
            dbtime_right_before: siblings[1].1,
            pgno_left: siblings[0].0,
            dbtime_left_before: siblings[0].1,
            pgno_parent: parent.0,
            dbtime_parent_before: parent.1,
            pgno_fdp: Pgno(root),
            objid: ObjId(objid),
            size_total: 0,
            size_max_total: 0,
            uncommitted_free_dest: 0,
            iline_merge: if of_parent { 0 } else { plan.at as u16 },
            merge_flags: match (of_parent, plan.kind.is_full()) {
                (true, _) => plan.kind.parent_flags(),
                (false, true) => MergeFlags::EMPTY_PAGE,
                (false, false) => MergeFlags::empty(),
            },
            merge_type: match of_parent {
                true => MergeType::None,
                false => plan.kind.merge_type(),
            },
        };
        let (flags, image) = match of_parent || plan.kind == MergeKind::Empty {
            true => (PageImageFlags::empty(), Vec::new()),
            false => image_of(source, dbtime),
        };
        let (pgno, line) = match of_parent {
            true => (plan.parent.pgno, plan.line_in_parent),
            false => (plan.source.pgno, 0),
        };
        let mut page = self.page_op(SYSTEM, pgno, dbtime, self.flags_of(tree));
        page.iline = line as u16;
        self.log(&Record::Merge2(Merge {
            page,
            merge,
            separator_key: if of_parent { &[] } else { &plan.separator },
            before_image: Some(PageImage {
                flags,
                bytes: &image,
            }),
        }));
    }

    /// Makes a tree whose only leaf below the root holds no rows a tree of its root alone; whether it was one.
    pub fn empty_tree(&mut self, tree: usize) -> bool {
        let Tree { root, .. } = self.trees[tree];
        let mut top = self.pages[&root].clone();
        if top.lines.len() != 1 || !top.flags.contains(PageFlags::PARENT_OF_LEAF) {
            return false;
        }
        let mut leaf = self.pages[&top.lines[0].child()].clone();
        if leaf
            .lines
            .iter()
            .any(|line| !line.deleted || self.is_held(tree, line))
        {
            return false;
        }
        self.begin(SYSTEM);
        let dbtime = self.next_dbtime();
        let page = self.page_op(SYSTEM, root, dbtime, self.flags_of(tree));
        let freed = EmptyPage {
            dbtime_before: Dbtime(leaf.dbtime),
            pgno: Pgno(leaf.pgno),
            page_flags: leaf.flags.bits(),
        };
        let bytes = [
            &freed.dbtime_before.0.to_le_bytes()[..],
            &freed.pgno.0.to_le_bytes(),
            &freed.page_flags.to_le_bytes(),
        ]
        .concat();
        let node = self.node_op(tree, 0);
        let pages = EmptyPages { bytes: &bytes };
        self.log(&Record::EmptyTree(EmptyTree { page, node, pages }));
        leaf.empty();
        top.lines.clear();
        top.flags = (top.flags - PageFlags::PARENT_OF_LEAF) | PageFlags::LEAF;
        (leaf.dbtime, top.dbtime) = (dbtime, dbtime);
        self.free.push(leaf.pgno);
        self.put(SYSTEM, leaf);
        self.put(SYSTEM, top);
        self.commit(SYSTEM);
        true
    }
}

impl Plan {
    /// Moves lines and links siblings, as far as there is room.
    fn move_lines(&mut self, alive: &[Line], reserve: impl Fn(&[Line]) -> usize) -> Option<()> {
        let first_child = self.parent.lines.first()?.child();
        let last_child = self.parent.lines.last()?.child();
        let source = &mut self.source;
        let (own, previous, next) = (source.pgno, source.previous, source.next);
        if self.kind != MergeKind::Empty {
            // The sibling must be below the same parent.
            let receiver = match self.kind.goes_left() {
                true => self.left.as_mut().filter(|_| own != first_child),
                false => self.right.as_mut().filter(|_| own != last_child),
            };
            let receiver = receiver?;
            let moved = alive
                .iter()
                .map(|line| receiver.line(&line.key, &line.data, false));
            let place = match self.kind.goes_left() {
                true => receiver.lines.len(),
                false => 0,
            };
            let moved: Vec<Line> = moved.collect();
            receiver.lines.splice(place..place, moved);
            if !receiver.has_free(reserve(&receiver.lines)) {
                return None;
            }
        }
        if self.kind.is_full() {
            source.empty();
            if let Some(left) = &mut self.left {
                left.next = next;
            }
            if let Some(right) = &mut self.right {
                right.previous = previous;
            }
        } else if self.kind.goes_left() {
            source.lines.drain(..=self.at);
            self.right = None;
        } else {
            source.lines.truncate(self.at);
            self.left = None;
        }
        (self.kind.is_full() || !source.lines.is_empty()).then_some(())
    }

    /// Takes the pointer away, or gives it the key between the pages as they are now.
    fn change_parent(&mut self, unique: bool) -> Option<()> {
        let (line, lines) = (self.line_in_parent, &mut self.parent.lines);
        match self.kind {
            MergeKind::Empty | MergeKind::Right => {
                let open = lines.remove(line).key.is_empty();
                if open {
                    let before = &mut lines[line - 1];
                    (before.key, before.prefix) = (Vec::new(), 0);
                }
            }
            MergeKind::Left => {
                let left = self.left.as_ref()?.pgno;
                lines[line].data = left.to_le_bytes().to_vec();
                lines.remove(line - 1);
            }
            MergeKind::SomeRight | MergeKind::SomeLeft => {
                let (left, right, line) = match self.kind.goes_left() {
                    true => (self.left.as_ref()?, &self.source, line - 1),
                    false => (&self.source, self.right.as_ref()?, line),
                };
                let (last, first) = (left.lines.last()?, right.lines.first()?);
                self.separator = separator(last, first, unique);
                let child = lines[line].data.clone();
                let pointer = self.parent.line(&self.separator, &child, false);
                self.parent.lines[line] = pointer;
            }
        }
        self.parent.has_free(0).then_some(())
    }
}
