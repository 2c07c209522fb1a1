//! A database at an earlier moment than its file: the file, and over it what the logs say was different then.

use crate::schema::read_catalog;
use crate::spill::{Place, Spill};
use crate::trees::{Nodes, Trees};
use ese_db::catalog::{CATALOG, CATALOG_SHADOW, Catalog};
use ese_format::page::PageSize;
use ese_format::{Dbtime, Generation, Lgpos, ObjId, Pgno};
use ese_replay::ReplayDatabase;
use ese_replay::tree::{LeafNode, TreeWalk};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;
use std::io;
use std::iter::Peekable;

/// A place after all records.
pub(super) const AFTER_ALL: Lgpos = Lgpos {
    generation: Generation(u32::MAX),
    segment: u16::MAX,
    byte: u16::MAX,
};

const CATALOGS: [(Pgno, ObjId); 2] = [CATALOG, CATALOG_SHADOW];

/// What a node was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    /// Not there, or deleted.
    Absent,
    /// There, with data that is not known.
    Unknown,
    /// There, with this data.
    There(Place),
}

/// A database at a moment.
pub(super) struct Past {
    /// As it is at the end of the logs.
    pub(super) database: ReplayDatabase,
    /// Roots of trees at the end.
    roots: FxHashMap<ObjId, Pgno>,
    /// Trees that follow from rows.
    indexes: FxHashSet<ObjId>,
    /// Trees of rows, whose nodes nobody asks for by key.
    row_trees: FxHashSet<ObjId>,
    /// Nodes that differ from the end, by tree and key, and the record that says so.
    nodes: BTreeMap<(ObjId, Vec<u8>), (Node, Lgpos)>,
    /// Where logs begin before which records are missing: nothing that is known on one side of a gap is known on the other, but
    /// by pages that did not change.
    gaps: Vec<Lgpos>,
    /// The data of these nodes.
    data: Spill,
    /// Up to where a node of this tree changed of which the key is not known: what the end has of it may not be true before.
    unsure: FxHashMap<ObjId, Lgpos>,
    /// The catalog is known up to this place: changes of it that come after are not in the pages.
    pub(super) schema_until: Lgpos,
    /// The moment.
    pub(super) now: Lgpos,
}

impl Past {
    /// The end itself.
    pub(super) fn new(mut database: ReplayDatabase, gaps: &[Lgpos]) -> Self {
        let (mut roots, mut indexes, mut row_trees) = Default::default();
        if let Ok(read) = read_catalog(&mut database) {
            for table in &Catalog::of_records(read.records.into_values()).tables {
                let roots: &mut FxHashMap<_, _> = &mut roots;
                roots.insert(table.objid, table.root);
                FxHashSet::insert(&mut row_trees, table.objid);
                roots.extend(table.long_values.map(|tree| (tree.objid, tree.root)));
                let others = table.indexes.iter().filter(|index| !index.is_primary());
                FxHashSet::extend(&mut indexes, others.map(|index| index.objid));
            }
        }
        row_trees.retain(|objid| CATALOGS.iter().all(|(_, catalog)| catalog != objid));
        Past {
            database,
            roots,
            indexes,
            row_trees,
            nodes: BTreeMap::new(),
            data: Spill::default(),
            gaps: gaps.to_vec(),
            unsure: FxHashMap::default(),
            schema_until: AFTER_ALL,
            now: Lgpos::NULL,
        }
    }

    /// Whether what happens to a tree matters.
    pub(super) fn follows(&self, objid: ObjId) -> bool {
        !self.indexes.contains(&objid)
    }

    /// Whether a tree holds rows of a table.
    pub(super) fn has_rows(&self, objid: ObjId) -> bool {
        self.row_trees.contains(&objid)
    }

    /// Whether nodes of a tree are looked for by their keys.
    pub(super) fn is_asked(&self, objid: ObjId) -> bool {
        !self.row_trees.contains(&objid)
    }

    /// How many gaps are before a place.
    fn gaps_before(&self, lgpos: Lgpos) -> usize {
        self.gaps.partition_point(|gap| *gap <= lgpos)
    }

    /// Says what a node is at the moment, by the record at `at`.
    pub(super) fn set(
        &mut self,
        (objid, at): (ObjId, Lgpos),
        key: &[u8],
        data: Option<Option<&[u8]>>,
    ) -> io::Result<()> {
        let node = match data {
            None => Node::Absent,
            Some(None) => Node::Unknown,
            Some(Some(data)) => Node::There(self.data.put(data)?),
        };
        self.nodes.insert((objid, key.to_vec()), (node, at));
        Ok(())
    }

    /// Says that some node of a tree changed here.
    pub(super) fn doubt(&mut self, objid: ObjId, lgpos: Lgpos) {
        let last = self.unsure.entry(objid).or_default();
        *last = lgpos.max(*last);
    }
}

impl Trees for Past {
    fn page_size(&self) -> PageSize {
        self.database.pages.size()
    }

    fn nodes<'t>(
        &'t mut self,
        (root, objid): (Pgno, ObjId),
        from: &[u8],
    ) -> Result<Box<dyn Nodes + 't>, String> {
        if self
            .unsure
            .get(&objid)
            .is_some_and(|last| *last >= self.now)
        {
            return Err("a node of its tree changed later of which the key is not known".into());
        }
        // The catalog of the moment may name an earlier root.
        let is_catalog = CATALOGS.contains(&(root, objid));
        let root = match is_catalog {
            true => Some(root),
            false => self.roots.get(&objid).copied(),
        };
        let walk = root.map(|root| TreeWalk::from(&mut self.database.pages, root, objid, from));
        let walk = walk.transpose().map_err(|problem| problem.to_string())?;
        let first = (objid, from.to_vec());
        let side = self.gaps_before(self.now);
        let gaps = &self.gaps;
        let is_known =
            move |at: Lgpos| is_catalog || gaps.partition_point(|gap| *gap <= at) == side;
        let own = self.nodes.range(first..);
        let own = own.map(move |(key, (node, at))| (key, is_known(*at).then_some(*node)));
        Ok(Box::new(PastNodes {
            database: &mut self.database,
            walk,
            there: None,
            newest: Dbtime(0),
            objid,
            is_after_gaps: side == self.gaps.len(),
            own: own.peekable(),
            data: &mut self.data,
        }))
    }
}

struct PastNodes<'p, I: Iterator> {
    database: &'p mut ReplayDatabase,
    walk: Option<TreeWalk>,
    /// The next node of the file.
    there: Option<LeafNode>,
    /// The highest dbtime that was met, when the walk is over.
    newest: Dbtime,
    objid: ObjId,
    /// Whether no record is missing between the moment and the end.
    is_after_gaps: bool,
    own: Peekable<I>,
    data: &'p mut Spill,
}

impl<'p, I> Nodes for PastNodes<'p, I>
where
    I: Iterator<Item = (&'p (ObjId, Vec<u8>), Option<Node>)>,
{
    fn next_node(&mut self) -> Result<Option<LeafNode>, String> {
        loop {
            if self.there.is_none()
                && let Some(walk) = &mut self.walk
            {
                let node = walk.next_node(&mut self.database.pages);
                self.there = node.map_err(|problem| problem.to_string())?;
                if self.there.is_none() {
                    self.newest = walk.newest();
                    self.walk = None;
                }
            }
            let own = self.own.peek().filter(|((of, _), _)| *of == self.objid);
            let Some(&(place, node)) = own else {
                return Ok(self.there.take());
            };
            let key = &place.1;
            match &self.there {
                Some(there) if there.key < *key => return Ok(self.there.take()),
                Some(there) if there.key == *key => self.there = None,
                _ => {}
            }
            self.own.next();
            match node {
                Some(Node::Absent) => {}
                None | Some(Node::Unknown) => return Err("a node of it is not known".into()),
                Some(Node::There(place)) => {
                    let data = self.data.get(place);
                    return Ok(Some(LeafNode {
                        key: key.clone(),
                        is_deleted: false,
                        data: data.map_err(|error| error.to_string())?,
                    }));
                }
            }
        }
    }

    fn newest(&self) -> Dbtime {
        match (&self.walk, self.is_after_gaps) {
            (Some(walk), false) => walk.newest().max(self.newest),
            (None, false) => self.newest,
            (_, true) => Dbtime(0),
        }
    }
}
