//! B-trees: walking the leaves of a tree in key order, and finding the leaf of a key.
//!
//! A walk goes down by the parents and uses the sibling links to check and to repair itself:
//!
//! ```text
//!            root                 a page of the upper levels is lost: the leaves below it are reached
//!          /   |   \              by the `next` links of the leaf before and the `previous` links of
//!        I1   (I2)   I3           the leaf after the gap
//!       / \   / \   / \           a leaf is lost: only it is lost
//!      L1 L2-L3-L4-L5 L6          the root is lost: leaves are found by the object id in their header
//! ```
//!
//! Invariant: no page is returned twice, so a cycle ends; a page counts only if its object id and kind are the
//! tree's. Source: `inc/bt.hxx`, `ErrBTDown`, `ErrBTNext` (`ese/bt.cxx`), `IlineNDISeekGEQ` (`ese/node.cxx`).

use crate::key_range::KeyRange;
use crate::{Database, DbError, Losses, Page};
use ese_format::page::{Key, PageFlags};
use ese_format::{ObjId, Pgno};
use std::collections::VecDeque;

/// A tree: where it starts, and how its pages are recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tree {
    /// The root page.
    pub root: Pgno,
    /// The object id in the header of all its pages.
    pub objid: ObjId,
    /// Whether it is a tree of extents; these carry the object id of the tree whose space they describe.
    pub is_space: bool,
}

impl Tree {
    /// A tree of data: table, index, or long values.
    pub fn new(root: Pgno, objid: ObjId) -> Self {
        Tree {
            root,
            objid,
            is_space: false,
        }
    }

    /// A tree of extents that belongs to the tree `objid`.
    pub fn space(root: Pgno, objid: ObjId) -> Self {
        Tree {
            root,
            objid,
            is_space: true,
        }
    }

    /// All leaves in key order.
    pub fn leaves(self, db: &Database) -> Leaves {
        let all = KeyRange::default();
        self.leaves_in(db, &all, &all)
    }

    /// The leaves of a part of the tree, one of those of [`Tree::split`], on which keys of a range may stand, in key order.
    pub fn leaves_in(self, db: &Database, part: &KeyRange, keys: &KeyRange) -> Leaves {
        Leaves::new(db, self, part, keys)
    }

    /// The leaf on which `key` stands if it stands anywhere.
    pub fn find_leaf(self, db: &Database, key: Key<'_>) -> Result<Page, DbError> {
        let mut page = self.load(db, self.root)?;
        // A tree of n pages is not deeper than n; in practice four levels are many.
        for _ in 0..=db.last_page().0 {
            let view = page.view();
            if !view.flags().is_internal() {
                return Ok(page);
            }
            let (mut low, mut high) = (0, view.node_count().saturating_sub(1));
            while low < high {
                let middle = (low + high) / 2;
                // A child's keys are below the key of its node.
                if view.node(middle)?.key() > key {
                    high = middle;
                } else {
                    low = middle + 1;
                }
            }
            let child = view.node(low)?.child()?;
            page = self.load(db, child)?;
        }
        Err(DbError::Cycle {
            pgno: page.pgno(),
            objid: self.objid,
        })
    }

    /// A page that belongs to this tree.
    pub fn load(self, db: &Database, pgno: Pgno) -> Result<Page, DbError> {
        let page = db.page(pgno)?;
        let header = page.view().header();
        let flags = header.flags();
        let right = header.objid() == self.objid
            && flags.contains(PageFlags::SPACE_TREE) == self.is_space
            && flags.contains(PageFlags::ROOT) == (pgno == self.root)
            && !flags.contains(PageFlags::PRE_INIT);
        if right {
            return Ok(page);
        }
        let kind = |objid, space, root| {
            let kind = if space { "space tree" } else { "tree" };
            let place = if root { "root" } else { "page" };
            format!("a {place} of {kind} {objid}")
        };
        Err(DbError::WrongPage {
            pgno,
            expected: kind(self.objid, self.is_space, pgno == self.root),
            found: kind(
                header.objid(),
                flags.contains(PageFlags::SPACE_TREE),
                flags.contains(PageFlags::ROOT),
            ),
        })
    }
}

/// Whether a page with these flags holds records, entries or parts of long values that are in use.
pub(crate) fn is_data_leaf(flags: PageFlags) -> bool {
    flags.contains(PageFlags::LEAF)
        && !flags.intersects(PageFlags::SPACE_TREE | PageFlags::EMPTY | PageFlags::PRE_INIT)
}

/// How many leaves sibling links may add where nothing is lost: those of splits that reached the disk in part.
const UNFINISHED_SPLITS: u32 = 16;

/// One bit for each page of the database.
struct Visited(Vec<u64>);

impl Visited {
    fn new(last: Pgno) -> Self {
        Visited(vec![0; last.0 as usize / 64 + 1])
    }

    fn contains(&self, pgno: Pgno) -> bool {
        let word = self.0.get(pgno.0 as usize / 64);
        word.is_some_and(|word| word & (1 << (pgno.0 % 64)) != 0)
    }

    /// Whether the page was not there before.
    fn insert(&mut self, pgno: Pgno) -> bool {
        let Some(word) = self.0.get_mut(pgno.0 as usize / 64) else {
            return false;
        };
        let bit = 1 << (pgno.0 % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }
}

/// The two links between siblings.
#[derive(Clone, Copy)]
enum Link {
    Next,
    Previous,
}

impl Link {
    /// Where the link of a page leads, and where the opposite one does.
    fn of(self, page: &Page) -> (Pgno, Pgno) {
        let header = page.view().header();
        match self {
            Link::Next => (header.next(), header.previous()),
            Link::Previous => (header.previous(), header.next()),
        }
    }
}

enum WalkState {
    Start,
    Down,
    Tail,
    Done,
}

/// The leaves of a tree in key order; see [`Tree::leaves`]. What is lost on the way is in [`losses`](Self::losses).
pub struct Leaves {
    db: Database,
    tree: Tree,
    /// The part of the tree that is wanted.
    part: KeyRange,
    /// The keys that are wanted, none outside of that part.
    keys: KeyRange,
    state: WalkState,
    /// Pages of the upper levels on the way down, each with the next node to follow.
    path: Vec<(Page, usize)>,
    /// Leaves that come next; each was looked at and is read again when its turn comes, so that memory holds numbers.
    queue: VecDeque<Pgno>,
    visited: Visited,
    /// The leaf given last.
    last: Option<Page>,
    /// Whether the way down is past the wanted keys: only the next leaf is looked for, up to which leaves may be off the path.
    beyond: bool,
    /// Whether something was lost since that leaf.
    gap: bool,
    /// Leaves given.
    found: u64,
    /// What was lost so far.
    pub losses: Losses,
}

impl Leaves {
    fn new(db: &Database, tree: Tree, part: &KeyRange, keys: &KeyRange) -> Self {
        Leaves {
            db: db.clone(),
            tree,
            part: part.clone(),
            keys: part.and(keys),
            state: WalkState::Start,
            path: Vec::new(),
            queue: VecDeque::new(),
            visited: Visited::new(db.last_page()),
            last: None,
            beyond: false,
            gap: false,
            found: 0,
            losses: Losses::default(),
        }
    }

    /// Loads a page that was not visited yet, or notes the loss.
    fn visit(&mut self, pgno: Pgno) -> Option<Page> {
        if self.beyond {
            // The next part tells of it.
            let page = self.tree.load(&self.db, pgno).ok();
            let page = page.filter(|_| self.visited.insert(pgno));
            self.gap |= page.is_none();
            return page;
        }
        let page = self.tree.load(&self.db, pgno).and_then(|page| {
            if self.visited.insert(pgno) {
                return Ok(page);
            }
            Err(DbError::Cycle {
                pgno,
                objid: self.tree.objid,
            })
        });
        match page {
            Ok(page) => Some(page),
            Err(error) => {
                self.losses.page(pgno, &error);
                self.gap = true;
                None
            }
        }
    }

    fn start(&mut self) {
        self.state = WalkState::Tail;
        let Some(root) = self.visit(self.tree.root) else {
            return;
        };
        if root.view().flags().is_internal() {
            self.path.push((root, 0));
            self.state = WalkState::Down;
        } else {
            self.queue.push_back(root.pgno());
            self.state = WalkState::Done;
        }
    }

    /// One step on the way down: follows the next node of the lowest page of the path.
    fn step_down(&mut self) {
        let Some((page, line)) = self.path.last_mut() else {
            self.state = WalkState::Tail;
            return;
        };
        let page = page.clone();
        let view = page.view();
        if *line >= view.node_count() {
            self.path.pop();
            return;
        }
        let key = |line: usize| view.node(line).map(|node| node.key()).ok();
        let begin = line.checked_sub(1).and_then(key);
        if begin.is_some_and(|begin| self.keys.ends_by(begin)) {
            self.beyond = true;
        }
        // That of the last one is not looked at, as in `find_leaf`.
        let end = key(*line).filter(|key| *line + 1 < view.node_count() && !key.is_empty());
        let child = view.node(*line).and_then(|node| node.child());
        *line += 1;
        if end.is_some_and(|end| self.keys.is_after(end)) && !self.beyond {
            return;
        }
        let child = match child {
            Ok(child) => child,
            Err(_) if self.beyond => {
                self.gap = true;
                return;
            }
            Err(error) => {
                self.losses.page(page.pgno(), &error.into());
                self.gap = true;
                return;
            }
        };
        let Some(child) = self.visit(child) else {
            return;
        };
        if child.view().flags().is_internal() {
            self.path.push((child, 0));
        } else if self.beyond {
            let between = self.between(&child);
            self.take_off_path(between);
            self.path.clear();
            self.state = WalkState::Done;
        } else {
            self.bridge_to(&child);
        }
    }

    /// Queues `leaf`, and before it the leaves that only sibling links lead to.
    fn bridge_to(&mut self, leaf: &Page) {
        let between = self.between(leaf);
        self.take_off_path(between);
        self.gap = false;
        self.queue.push_back(leaf.pgno());
    }

    /// The leaves before `leaf` that only sibling links lead to, from the last one on. Those after the last leaf of a part are of
    /// that part, and no other takes them.
    fn between(&mut self, leaf: &Page) -> Vec<Pgno> {
        if self.last.is_none() && self.part.from.is_some() {
            return Vec::new();
        }
        let most = if self.gap {
            u32::MAX
        } else {
            UNFINISHED_SPLITS
        };
        let mut between = Vec::new();
        let mut arrived = false;
        if let Some(last) = &self.last {
            (between, arrived) = self.follow_links(last, Link::Next, Some(leaf.pgno()), most);
        }
        if !arrived && self.gap {
            self.accept(&between);
            let (backward, _) = self.follow_links(leaf, Link::Previous, None, most);
            between.extend(backward.into_iter().rev());
        } else if !arrived {
            between.clear();
        }
        between
    }

    fn take_off_path(&mut self, mut pages: Vec<Pgno>) {
        if !self.part.is_all() && !pages.is_empty() {
            // What parents lead to comes with its own part.
            let on_path = self.tree.on_path(&self.db);
            pages.retain(|page| !on_path.contains(page));
        }
        self.accept(&pages);
        self.losses.leaves_off_path += pages.len() as u64;
        self.queue.extend(pages);
    }

    fn accept(&mut self, pages: &[Pgno]) {
        for page in pages {
            self.visited.insert(*page);
        }
    }

    /// The unvisited leaves, at most `most`, that links of this kind lead to from `from`, and whether they arrive at
    /// `goal`. A page counts only if it links back to the one before.
    fn follow_links(
        &self,
        from: &Page,
        kind: Link,
        goal: Option<Pgno>,
        most: u32,
    ) -> (Vec<Pgno>, bool) {
        let mut pages = Vec::new();
        let mut current = from.clone();
        let most = most.min(self.db.last_page().0) as usize;
        loop {
            let (link, _) = kind.of(&current);
            if Some(link) == goal {
                return (pages, true);
            }
            let new = !link.is_null() && !self.visited.contains(link) && pages.len() < most;
            let page = new.then(|| self.tree.load(&self.db, link).ok()).flatten();
            let usable = page.filter(|page| {
                let flags = page.view().flags();
                kind.of(page).1 == current.pgno()
                    && flags.contains(PageFlags::LEAF)
                    && !flags.contains(PageFlags::EMPTY)
            });
            let Some(page) = usable else {
                return (pages, false);
            };
            if matches!(kind, Link::Previous) && self.is_before(&page) {
                return (pages, false);
            }
            pages.push(page.pgno());
            current = page;
        }
    }

    /// Whether all keys of a leaf are before those that are wanted, where all of the tree is.
    fn is_before(&self, leaf: &Page) -> bool {
        let view = leaf.view();
        let last = view.node_count().checked_sub(1);
        let last = last.and_then(|last| view.node(last).ok());
        self.part.is_all() && last.is_some_and(|last| !self.keys.begins_by(last.key()))
    }

    /// After the way down: leaves after the last one, or all leaves by object id when none was found.
    fn tail(&mut self) {
        self.state = WalkState::Done;
        let off_path = match &self.last {
            Some(last) => self.follow_links(last, Link::Next, None, u32::MAX).0,
            None if self.found == 0 && self.gap && !self.tree.is_space && self.part.is_all() => {
                self.by_objid()
            }
            None => Vec::new(),
        };
        self.take_off_path(off_path);
    }

    /// The leaves that say they belong to the tree, chained by their sibling links.
    fn by_objid(&self) -> Vec<Pgno> {
        let all = self.db.leaves_of(self.tree.objid);
        let member = |pgno: Pgno| all.binary_search(&pgno).is_ok();
        let mut given = Visited::new(self.db.last_page());
        let mut pages = Vec::new();
        let heads = |page: &Page| !member(page.view().header().previous());
        for heads_only in [true, false] {
            for pgno in all {
                let Ok(mut page) = self.tree.load(&self.db, *pgno) else {
                    continue;
                };
                if heads_only && !heads(&page) {
                    continue;
                }
                while given.insert(page.pgno()) {
                    pages.push(page.pgno());
                    let next = page.view().header().next();
                    match member(next).then(|| self.tree.load(&self.db, next)) {
                        Some(Ok(found)) => page = found,
                        _ => break,
                    }
                }
            }
        }
        pages
    }
}

impl Iterator for Leaves {
    type Item = Page;

    fn next(&mut self) -> Option<Page> {
        loop {
            if let Some(pgno) = self.queue.pop_front() {
                match self.tree.load(&self.db, pgno) {
                    Ok(leaf) => {
                        self.found += 1;
                        self.last = Some(leaf.clone());
                        return Some(leaf);
                    }
                    Err(error) => {
                        self.losses.page(pgno, &error);
                        self.gap = true;
                        continue;
                    }
                }
            }
            match self.state {
                WalkState::Start => self.start(),
                WalkState::Down => self.step_down(),
                WalkState::Tail => self.tail(),
                WalkState::Done => return None,
            }
        }
    }
}
