//! Finding rows in a tree, as undo, the file's size and those who watch redo need it.
//!
//! Invariant: a walk looks at no more levels than a tree can have, and follows siblings only to pages of the same tree;
//! anything else is an error that names the page.

use crate::error::Problem;
use crate::page_edit::PageBuffer;
use crate::pages::Pages;
use crate::session::Bookmark;
use ese_format::page::{Extent, Key, Node};
use ese_format::{Dbtime, ObjId, Pgno};
use std::cmp::Ordering;

/// Levels that no tree exceeds (`cBTMaxDepth`, `inc/btsplit.hxx`), with room to spare.
const MAX_DEPTH: usize = 16;

/// The page on which `bookmark` is, and its line.
pub(crate) fn find(pages: &mut Pages, bookmark: &Bookmark) -> Result<(Pgno, usize), Problem> {
    let root = bookmark.root;
    let leaf = descend(pages, root, bookmark.objid, |page| {
        child_for(page, bookmark)
    })?;
    let line = exact_line(pages.get(leaf)?, bookmark)?;
    Ok((leaf, line.ok_or(Problem::NoRow { pgno: root })?))
}

/// The last page that the tree of owned extents at `root` names; `None` if it names none.
pub(crate) fn last_owned_page(pages: &mut Pages, root: Pgno) -> Result<Option<Pgno>, Problem> {
    let objid = pages.get(root)?.objid();
    let leaf = descend(pages, root, objid, |page| {
        Ok(page.node_count().checked_sub(1))
    })?;
    let page = pages.get(leaf)?;
    let Some(last) = page.node_count().checked_sub(1) else {
        return Ok(None);
    };
    let extent = Extent::read(&page.node(last)?).map_err(|error| Problem::Edit(error.into()))?;
    Ok(Some(extent.last))
}

/// A node of a leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafNode {
    /// Its whole key.
    pub key: Vec<u8>,
    /// Whether it is flagged as deleted.
    pub is_deleted: bool,
    /// Its data.
    pub data: Vec<u8>,
}

/// Goes through the nodes of a tree from a key on.
#[derive(Debug)]
pub struct TreeWalk {
    root: Pgno,
    objid: ObjId,
    pgno: Pgno,
    line: usize,
    pages_left: u32,
    newest: Dbtime,
}

impl TreeWalk {
    /// From the first node on whose key is not before `key`.
    pub fn from(pages: &mut Pages, root: Pgno, objid: ObjId, key: &[u8]) -> Result<Self, Problem> {
        let bookmark = Bookmark {
            dbid: 0,
            root,
            objid,
            unique: true,
            key: key.to_vec(),
            data: Vec::new(),
        };
        let pgno = descend(pages, root, objid, |page| child_for(page, &bookmark))?;
        let page = pages.get(pgno)?;
        let line = first_not(page, |node| Ok(node.key() < Key::from(key)))?;
        Ok(TreeWalk {
            root,
            objid,
            pgno,
            line: line.unwrap_or(0),
            pages_left: pages.last().0,
            newest: Dbtime(0),
        })
    }

    /// The next node; none after the last.
    pub fn next_node(&mut self, pages: &mut Pages) -> Result<Option<LeafNode>, Problem> {
        loop {
            let page = pages.get(self.pgno)?;
            let (root, pgno) = (self.root, self.pgno);
            if page.objid() != self.objid || !page.is_leaf() {
                let what = "the page after a leaf belongs to another tree";
                return Err(Problem::Tree { root, pgno, what });
            }
            self.newest = self.newest.max(page.dbtime());
            if self.line < page.node_count() {
                let node = page.node(self.line)?;
                self.line += 1;
                return Ok(Some(LeafNode {
                    key: node.key().to_vec(),
                    is_deleted: node.is_deleted(),
                    data: node.data.to_vec(),
                }));
            }
            let next = page.next();
            if next.is_null() {
                return Ok(None);
            }
            self.pages_left = self.pages_left.checked_sub(1).ok_or(Problem::Tree {
                root,
                pgno,
                what: "its leaves go in a circle",
            })?;
            (self.pgno, self.line) = (next, 0);
        }
    }

    /// The highest dbtime of the leaves that were looked at.
    pub fn newest(&self) -> Dbtime {
        self.newest
    }
}

/// Goes from the root to a leaf by the line that `choose` picks on every page above it.
fn descend(
    pages: &mut Pages,
    root: Pgno,
    objid: ObjId,
    choose: impl Fn(&PageBuffer) -> Result<Option<usize>, Problem>,
) -> Result<Pgno, Problem> {
    let mut pgno = root;
    for _ in 0..MAX_DEPTH {
        let broken = |what| Problem::Tree { root, pgno, what };
        let page = pages.get(pgno)?;
        if page.objid() != objid {
            return Err(broken("the page belongs to another tree"));
        }
        if page.is_leaf() {
            return Ok(pgno);
        }
        let line = choose(page)?.ok_or(broken("a page above the leaves has no pointer"))?;
        pgno = page
            .node(line)?
            .child()
            .map_err(|error| Problem::Edit(error.into()))?;
    }
    Err(Problem::Tree {
        root,
        pgno,
        what: "the tree is deeper than trees can be",
    })
}

/// The line whose pointer leads to the bookmark: a pointer's key lies above all bookmarks below it, and the last one has
/// none (`IlineNDISeekGEQInternal`, `ese/node.cxx`).
fn child_for(page: &PageBuffer, bookmark: &Bookmark) -> Result<Option<usize>, Problem> {
    let whole = [bookmark.key.as_slice(), &bookmark.data].concat();
    let last = page.node_count().checked_sub(1);
    let is_right = |node: &Node<'_>| node.key() <= Key::from(whole.as_slice());
    Ok(first_not(page, |node| Ok(is_right(node)))?
        .filter(|line| *line < page.node_count())
        .or(last))
}

/// The line that holds the bookmark itself.
fn exact_line(page: &PageBuffer, bookmark: &Bookmark) -> Result<Option<usize>, Problem> {
    let order = |node: &Node<'_>| {
        let key = node.key().cmp(&Key::from(bookmark.key.as_slice()));
        if bookmark.unique {
            key
        } else {
            key.then_with(|| node.data.cmp(&bookmark.data))
        }
    };
    let line = first_not(page, |node| Ok(order(node) == Ordering::Less))?;
    let Some(line) = line.filter(|line| *line < page.node_count()) else {
        return Ok(None);
    };
    Ok((order(&page.node(line)?) == Ordering::Equal).then_some(line))
}

/// The first line for which `less` does not hold, by halves; the number of lines if it holds for all, `None` on a page
/// without any. The last pointer of a level, with its empty key, is never asked.
fn first_not(
    page: &PageBuffer,
    less: impl Fn(&Node<'_>) -> Result<bool, Problem>,
) -> Result<Option<usize>, Problem> {
    let count = page.node_count();
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        let node = page.node(middle)?;
        let is_open_end = !page.is_leaf() && node.key().is_empty();
        if !is_open_end && less(&node)? {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok((count > 0).then_some(low))
}
