//! Space: which tree owns which pages, and which of them are free.
//!
//! Space is a hierarchy: the database owns all pages, a table has its extents from the database, indexes and long
//! values have theirs from their table. So a page has several owners, and the lowest one uses it. Source:
//! `ese/space.cxx`; layouts in [`ese_format::page`].

use crate::btree::Tree;
use crate::catalog::{Catalog, Table};
use crate::{Database, DbError, Losses};
use ese_format::page::{Extent, RootHeader, SpaceLayout, SpacePool};
use ese_format::{ObjId, Pgno};
use serde::Serialize;

/// The root of all space: page 1, object id 1.
pub const DATABASE_ROOT: (Pgno, ObjId) = (Pgno(1), ObjId(1));

/// The space of one tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TreeSpace {
    /// What its root page says.
    pub root: RootHeader,
    /// Pages the tree owns, those of the trees below it included.
    pub owned: Vec<Extent>,
    /// Pages of these that are free.
    pub available: Vec<Extent>,
    /// Pages kept for splits of the two space trees.
    pub reserved: Vec<Extent>,
    /// What could not be read.
    pub losses: Losses,
}

impl TreeSpace {
    /// Reads the space of the tree with this root.
    pub fn read(db: &Database, root: Pgno, objid: ObjId) -> Result<Self, DbError> {
        let mut space = Self::read_owned(db, root, objid)?;
        if let SpaceLayout::MultipleExtents { available, .. } = space.root.space.layout {
            space.available = space.extents(db, Tree::space(available, objid));
        }
        Ok(space)
    }

    /// Reads what the tree owns; what is free of it only where both are in the root.
    fn read_owned(db: &Database, root: Pgno, objid: ObjId) -> Result<Self, DbError> {
        let page = Tree::new(root, objid).load(db, root)?;
        let header = page.view().root_header()?;
        let mut space = TreeSpace {
            root: header,
            owned: Vec::new(),
            available: Vec::new(),
            reserved: Vec::new(),
            losses: Losses::default(),
        };
        match header.space.layout {
            SpaceLayout::SingleExtent { .. } => space.single_extent(root),
            SpaceLayout::MultipleExtents { owned, .. } => {
                space.owned = space.extents(db, Tree::space(owned, objid));
            }
        }
        Ok(space)
    }

    fn single_extent(&mut self, root: Pgno) {
        let header = self.root.space;
        let general = |last, pages| Extent {
            last,
            pages,
            pool: SpacePool::General,
        };
        let last = root
            .0
            .saturating_add(header.primary_pages)
            .saturating_sub(1);
        self.owned = vec![general(Pgno(last), header.primary_pages)];
        let free = header.available_pages(root);
        self.available = free.map(|page| general(page, 1)).collect();
    }

    fn extents(&mut self, db: &Database, tree: Tree) -> Vec<Extent> {
        let mut extents = Vec::new();
        if let Ok(root) = tree.load(db, tree.root) {
            match root.view().split_buffer() {
                Ok(buffer) => self.reserved.extend(
                    buffer
                        .iter()
                        .flat_map(ese_format::page::SplitBuffer::available),
                ),
                Err(error) => self.losses.page(tree.root, &error.into()),
            }
        }
        let mut leaves = tree.leaves(db);
        while let Some(leaf) = leaves.next() {
            for node in leaf.view().nodes() {
                match node.and_then(|node| Ok((node.is_deleted(), Extent::read(&node)?))) {
                    Ok((false, extent)) => extents.push(extent),
                    Ok((true, _)) => {}
                    Err(_) => leaves.losses.rows += 1,
                }
            }
        }
        self.losses.add(&leaves.losses);
        extents
    }

    /// Number of pages owned.
    pub fn owned_pages(&self) -> u64 {
        pages(&self.owned)
    }

    /// Number of free pages; shelved ones lie beyond the end of the file and do not count.
    pub fn available_pages(&self) -> u64 {
        let usable = self.available.iter();
        usable
            .filter(|extent| extent.pool != SpacePool::Shelved)
            .map(|extent| u64::from(extent.pages))
            .sum()
    }
}

fn pages(extents: &[Extent]) -> u64 {
    extents.iter().map(|extent| u64::from(extent.pages)).sum()
}

/// Pages that a database owns and its file does not have: the file was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CutOff {
    /// The last whole page of the file.
    pub last_page: Pgno,
    /// The last page that the database is known to own.
    pub owned_to: Pgno,
    /// Whether it may own more: the list of what it owns could not be read to its end.
    pub at_least: bool,
}

impl CutOff {
    /// Compares what the database owns with what the file holds. `None` where nothing is missing, and where nothing
    /// shows it: page 1 is gone or damaged.
    ///
    /// A dirty database that was shrunk may still have the old owner pages on disk: its logs show it, not its pages.
    pub fn of(db: &Database) -> Option<Self> {
        let header = db.headers().and_then(|headers| headers.good());
        let shrinking = header
            .is_some_and(|copy| copy.fields.state.needs_recovery() && copy.fields.shrink_count > 0);
        let (root, objid) = DATABASE_ROOT;
        let space = TreeSpace::read_owned(db, root, objid).ok()?;
        // Pages of the list itself that lie beyond the end are owned, too.
        let owned = space.owned.iter().map(|extent| extent.last);
        let owned_to = owned.chain(space.losses.pages.keys().copied()).max()?;
        let last_page = db.last_page();
        (owned_to > last_page && !shrinking).then_some(CutOff {
            last_page,
            owned_to,
            at_least: !space.losses.is_empty(),
        })
    }

    /// How many pages are missing, at least.
    pub fn missing(&self) -> u32 {
        self.owned_to.0 - self.last_page.0
    }
}

impl std::fmt::Display for CutOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (owned, last) = (self.owned_to, self.last_page);
        let least = if self.at_least { "at least " } else { "" };
        write!(
            f,
            "the file is cut off: the database owns pages up to {least}{owned} ({owned:#x}), the file ends with page \
             {last} ({last:#x}): {least}{} pages are missing",
            self.missing()
        )
    }
}

/// What kind of tree owns a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TreeKind {
    /// The database itself.
    Database,
    /// A table, its primary index.
    Table,
    /// A secondary index.
    Index,
    /// The long values of a table.
    LongValues,
}

/// A tree as an owner of pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Owner {
    /// What it is.
    pub kind: TreeKind,
    /// The table; empty for the database.
    pub table: String,
    /// The index; `None` for other trees.
    pub index: Option<String>,
    /// Object id.
    pub objid: ObjId,
    /// Root page.
    pub root: Pgno,
}

/// As a person would say it: `table Items, index byName`.
impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.kind, &self.index) {
            (TreeKind::Database, _) => f.write_str("database"),
            (TreeKind::LongValues, _) => write!(f, "table {}, long values", self.table),
            (_, Some(index)) => write!(f, "table {}, index {index}", self.table),
            (_, None) => write!(f, "table {}", self.table),
        }
    }
}

/// All trees of a database in the order of owners: the database, then each table followed by what is below it.
pub fn trees(catalog: &Catalog) -> Vec<Owner> {
    let database = Owner {
        kind: TreeKind::Database,
        table: String::new(),
        index: None,
        objid: DATABASE_ROOT.1,
        root: DATABASE_ROOT.0,
    };
    let tables = catalog.tables.iter().flat_map(trees_of);
    std::iter::once(database).chain(tables).collect()
}

fn trees_of(table: &Table) -> impl Iterator<Item = Owner> + '_ {
    let owner = |kind, index, objid, root| Owner {
        kind,
        table: table.name.clone(),
        index,
        objid,
        root,
    };
    let own = owner(TreeKind::Table, None, table.objid, table.root);
    let long_values = table
        .long_values
        .map(|tree| owner(TreeKind::LongValues, None, tree.objid, tree.root));
    let indexes = table
        .indexes
        .iter()
        .filter(|index| index.objid != table.objid);
    let indexes = indexes.map(move |index| {
        let name = Some(index.name.clone());
        owner(TreeKind::Index, name, index.objid, index.root)
    });
    std::iter::once(own).chain(long_values).chain(indexes)
}

/// The space of every tree, and for every page the lowest tree that owns it.
#[derive(Debug)]
pub struct SpaceMap {
    /// The trees, with their space where it could be read.
    pub trees: Vec<(Owner, Result<TreeSpace, DbError>)>,
    /// For each page, counted from 1: its owner, counted from 1 in `trees`; 0 for none.
    owners: Vec<u32>,
    /// For each page: whether its owner has it as free.
    free: Vec<bool>,
    last_page: Pgno,
}

/// Pages that were never written whose owners are kept: what a file grows by at once is less.
const UNWRITTEN: usize = 1 << 20;

impl SpaceMap {
    /// Reads the space of every tree.
    pub fn read(db: &Database, catalog: &Catalog) -> Self {
        let (written, _) = db.written_pages().size_hint();
        let pages = written
            .saturating_add(UNWRITTEN)
            .min(db.last_page().0 as usize);
        let mut map = SpaceMap {
            trees: Vec::new(),
            owners: vec![0; pages],
            free: vec![false; pages],
            last_page: db.last_page(),
        };
        for owner in trees(catalog) {
            let space = TreeSpace::read(db, owner.root, owner.objid);
            map.trees.push((owner, space));
        }
        for number in 0..map.trees.len() {
            if let Ok(space) = &map.trees[number].1 {
                let (owned, available) = (space.owned.clone(), space.available.clone());
                map.mark(&owned, |owner, _| *owner = number as u32 + 1);
                let mine = number as u32 + 1;
                map.mark(&available, |owner, free| *free |= *owner == mine);
            }
        }
        map
    }

    fn mark(&mut self, extents: &[Extent], mut apply: impl FnMut(&mut u32, &mut bool)) {
        for extent in extents.iter().filter(|extent| extent.pages > 0) {
            let first = extent.first().0.max(1) as usize - 1;
            let last = (extent.last.0 as usize).min(self.owners.len());
            for page in first..last {
                apply(&mut self.owners[page], &mut self.free[page]);
            }
        }
    }

    /// The lowest tree that owns `pgno`; `None` when nobody does.
    pub fn owner(&self, pgno: Pgno) -> Option<&Owner> {
        let index = (pgno.0 as usize).checked_sub(1)?;
        let number = (*self.owners.get(index)? as usize).checked_sub(1)?;
        self.trees.get(number).map(|(owner, _)| owner)
    }

    /// Whether the owner of `pgno` has it as free.
    pub fn is_free(&self, pgno: Pgno) -> bool {
        let index = (pgno.0 as usize).wrapping_sub(1);
        self.free.get(index).copied().unwrap_or(false)
    }

    /// Pages that the database gave away but no tree owns: lost until the database is defragmented.
    ///
    /// Not among them are the pages of the database's own space trees, and those after the last page it owns, which
    /// it has not taken into use yet (see [`first_unused`](Self::first_unused)).
    pub fn leaked(&self, db: &Database) -> Vec<Pgno> {
        let Some((root, Ok(database))) = self.trees.first() else {
            return Vec::new();
        };
        let own = |pgno: Pgno| {
            let reserved = database.reserved.iter();
            let page = db.page(pgno);
            reserved.into_iter().any(|extent| extent.contains(pgno))
                || page.is_ok_and(|page| page.view().header().objid() == root.objid)
        };
        (1..=self.owners.len() as u32)
            .map(Pgno)
            .filter(|pgno| self.owner(*pgno) == Some(root) && !self.is_free(*pgno) && !own(*pgno))
            .collect()
    }

    /// The first page after all that the database owns.
    pub fn first_unused(&self) -> Option<Pgno> {
        let spaces = self
            .trees
            .iter()
            .filter_map(|(_, space)| space.as_ref().ok());
        let extents = spaces.flat_map(|space| &space.owned);
        let owned = extents.map(|extent| extent.last.0).max().unwrap_or(0);
        (owned < self.last_page.0).then(|| Pgno(owned + 1))
    }
}
