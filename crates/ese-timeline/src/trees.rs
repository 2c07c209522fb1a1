//! A database at a moment of the log, as far as rows need it: nodes of trees in the order of their keys.

use ese_format::page::PageSize;
use ese_format::{Dbtime, ObjId, Pgno};
use ese_replay::ReplayDatabase;
use ese_replay::pages::Pages;
use ese_replay::tree::{LeafNode, TreeWalk};

/// A database at a moment.
pub(crate) trait Trees {
    /// Size of its pages.
    fn page_size(&self) -> PageSize;

    /// The nodes of a tree from a key on.
    fn nodes<'t>(
        &'t mut self,
        tree: (Pgno, ObjId),
        from: &[u8],
    ) -> Result<Box<dyn Nodes + 't>, String>;
}

/// Nodes of a tree, in the order of their keys.
pub(crate) trait Nodes {
    /// The next node; none after the last.
    fn next_node(&mut self) -> Result<Option<LeafNode>, String>;

    /// The highest dbtime of the pages that were looked at, as far as they tell the moment.
    fn newest(&self) -> Dbtime;
}

impl Trees for ReplayDatabase {
    fn page_size(&self) -> PageSize {
        self.pages.size()
    }

    fn nodes<'t>(
        &'t mut self,
        (root, objid): (Pgno, ObjId),
        from: &[u8],
    ) -> Result<Box<dyn Nodes + 't>, String> {
        let walk = TreeWalk::from(&mut self.pages, root, objid, from);
        let walk = walk.map_err(|problem| problem.to_string())?;
        let pages = &mut self.pages;
        Ok(Box::new(PageNodes { pages, walk }))
    }
}

struct PageNodes<'p> {
    pages: &'p mut Pages,
    walk: TreeWalk,
}

impl Nodes for PageNodes<'_> {
    fn next_node(&mut self) -> Result<Option<LeafNode>, String> {
        let node = self.walk.next_node(self.pages);
        node.map_err(|problem| problem.to_string())
    }

    fn newest(&self) -> Dbtime {
        self.walk.newest()
    }
}
