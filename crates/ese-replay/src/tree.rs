//! Finding a row in a tree, as undo and the file's size need it.
//!
//! Invariant: a walk looks at no more levels than a tree can have, and follows siblings only to pages of the same tree;
//! anything else is an error that names the page.

use crate::error::Problem;
use crate::page_edit::PageBuffer;
use crate::pages::Pages;
use crate::session::Bookmark;
use ese_format::page::{Extent, Key, Node};
use ese_format::{ObjId, Pgno};
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
