//! The tables of a database as of a moment of the log.
//!
//! The catalog is read when the database comes, and followed record by record after that. Only a change that cannot be
//! followed, such as one that is undone, has it read again.

use crate::layout::TableLayout;
use crate::trees::Trees;
use ese_db::catalog::{CATALOG, CATALOG_SHADOW, CatalogRecord, ObjectKind};
use ese_db::{Catalog, Table};
use ese_format::{ObjId, Pgno};
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};

/// What a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The catalog.
    Catalog,
    /// The rows of a table: the place of its layout.
    Rows(usize),
    /// Its long values.
    LongValues(usize),
    /// An index, or the shadow of the catalog: what it holds is said by rows.
    Other,
}

type RecordKey = (ObjId, ObjectKind, u32);

/// A database, as far as the log was followed.
#[derive(Debug)]
pub(crate) struct Schema {
    /// Its place in the list of databases.
    pub(crate) database: usize,
    records: BTreeMap<RecordKey, CatalogRecord>,
    trees: FxHashMap<ObjId, Role>,
    /// Tables by their object id, with the places of their layouts.
    tables: FxHashMap<ObjId, (Table, usize)>,
    /// Tables whose records changed since their layouts were made.
    touched: BTreeSet<ObjId>,
    is_stale: bool,
    /// Why the catalog could not be read when it was last tried, and how many changes are let pass until it is tried again.
    problem: Option<(String, u64)>,
    /// Changes that were let pass.
    passed: u64,
    /// Records of the catalog that cannot be decoded.
    pub(crate) undecoded: u64,
}

impl Schema {
    /// A database of which nothing is known yet.
    pub(crate) fn new(database: usize) -> Self {
        Schema {
            database,
            records: BTreeMap::new(),
            trees: FxHashMap::default(),
            tables: FxHashMap::default(),
            touched: BTreeSet::new(),
            is_stale: true,
            problem: None,
            passed: 0,
            undecoded: 0,
        }
    }

    /// Why the catalog cannot be read, as far as it was needed.
    pub(crate) fn problem(&self) -> Option<&str> {
        let (problem, _) = self.problem.as_ref()?;
        Some(problem)
    }

    /// Whether changes of this tree matter. Of a tree that is not known, they may.
    pub(crate) fn wants(&self, objid: ObjId, with_system: bool, layouts: &[TableLayout]) -> bool {
        match self.role(objid) {
            Some(Role::Rows(layout) | Role::LongValues(layout)) => {
                with_system || !layouts[layout].is_system
            }
            Some(Role::Other) => false,
            Some(Role::Catalog) | None => true,
        }
    }

    /// What a tree is, as far as the catalog was followed.
    pub(crate) fn role(&self, objid: ObjId) -> Option<Role> {
        match objid {
            _ if objid == CATALOG.1 => Some(Role::Catalog),
            _ if objid == CATALOG_SHADOW.1 => Some(Role::Other),
            _ => self.trees.get(&objid).copied(),
        }
    }

    /// The layout of a table by its object id.
    pub(crate) fn table(&self, objid: ObjId) -> Option<usize> {
        self.tables.get(&objid).map(|(_, layout)| *layout)
    }

    /// A record of the catalog has come or changed, or it has gone. Without any that is known, the catalog is read again.
    pub(crate) fn follow(&mut self, before: Option<&CatalogRecord>, after: Option<&CatalogRecord>) {
        if let Some((_, wait)) = &mut self.problem {
            *wait = 0;
        }
        let Some(record) = after.or(before) else {
            self.is_stale = true;
            return;
        };
        self.touched.insert(record.table());
        if let Some(before) = before {
            self.records.remove(&before.key());
        }
        if let Some(after) = after {
            self.records.insert(after.key(), after.clone());
        }
    }

    /// Makes the layouts of what has changed.
    pub(crate) fn refresh(&mut self, database: &mut dyn Trees, layouts: &mut Vec<TableLayout>) {
        if !self.is_stale && self.touched.is_empty() {
            return;
        }
        // Of a catalog that cannot be read, each try may read all of it.
        if let Some((_, wait)) = &self.problem
            && self.passed < *wait
        {
            self.passed += 1;
            return;
        }
        let page_size = database.page_size();
        let touched = std::mem::take(&mut self.touched);
        let mut made = None;
        if self.is_stale {
            match read_catalog(database) {
                Ok(read) => (self.records, self.undecoded) = (read.records, read.undecoded),
                // While it is being made, it cannot be read.
                Err(problem) => {
                    let wait = self.problem.take().map_or(1, |(_, last)| 2 * last.max(1));
                    self.problem = Some((problem, wait));
                    self.passed = 0;
                    return self.forget_all();
                }
            }
            self.is_stale = false;
            self.problem = None;
        } else {
            let own = touched.iter().flat_map(|objid| self.records_of(*objid));
            let tables = Catalog::of_records(own.cloned()).tables;
            // Tables that derive from others need these, too.
            let is_alone = tables.iter().all(|table| table.template.is_none());
            made = is_alone.then_some(tables);
        }
        match &made {
            Some(_) => touched.into_iter().for_each(|objid| self.forget(objid)),
            None => self.trees.clear(),
        }
        let known = match &made {
            Some(_) => FxHashMap::default(),
            None => std::mem::take(&mut self.tables),
        };
        let made = made.unwrap_or_else(|| {
            let all = self.records.values().cloned();
            Catalog::of_records(all).tables
        });
        for table in made {
            let same = known.get(&table.objid).filter(|(known, _)| *known == table);
            let layout = same.map(|(_, layout)| *layout);
            let layout = layout.unwrap_or_else(|| {
                layouts.push(TableLayout::new(&table, page_size));
                layouts.len() - 1
            });
            self.take(table, layout);
        }
    }

    fn records_of(&self, table: ObjId) -> impl Iterator<Item = &CatalogRecord> {
        let own = self.records.range((table, ObjectKind::Table, 0)..);
        own.take_while(move |((of, ..), _)| *of == table)
            .map(|(_, record)| record)
    }

    /// Lets go of all tables: what they are is not known.
    fn forget_all(&mut self) {
        self.trees.clear();
        self.tables.clear();
    }

    /// Lets go of a table and its trees.
    fn forget(&mut self, objid: ObjId) {
        if let Some((table, _)) = self.tables.remove(&objid) {
            let indexes = table.indexes.iter().map(|index| index.objid);
            let long_values = table.long_values.map(|tree| tree.objid);
            for tree in indexes.chain([objid]).chain(long_values) {
                self.trees.remove(&tree);
            }
        }
    }

    fn take(&mut self, table: Table, layout: usize) {
        for index in &table.indexes {
            self.trees.insert(index.objid, Role::Other);
        }
        self.trees.insert(table.objid, Role::Rows(layout));
        if let Some(long_values) = table.long_values {
            self.trees
                .insert(long_values.objid, Role::LongValues(layout));
        }
        self.tables.insert(table.objid, (table, layout));
    }
}

/// The catalog as it was read.
pub(crate) struct CatalogAsRead {
    pub(crate) records: BTreeMap<RecordKey, CatalogRecord>,
    /// Records that neither the catalog nor its shadow has in a form that can be read.
    pub(crate) undecoded: u64,
}

/// The catalog as it is at the moment; what it lacks, its shadow may have.
pub(crate) fn read_catalog(database: &mut dyn Trees) -> Result<CatalogAsRead, String> {
    let mut records = BTreeMap::new();
    let own = collect_records(database, CATALOG, &mut records);
    if let Ok(0) = own {
        return Ok(CatalogAsRead {
            records,
            undecoded: 0,
        });
    }
    match collect_records(database, CATALOG_SHADOW, &mut records) {
        Ok(undecoded) => Ok(CatalogAsRead { records, undecoded }),
        Err(_) => own.map(|undecoded| CatalogAsRead { records, undecoded }),
    }
}

/// Adds the records of a tree to those that are there; says how many cannot be decoded.
fn collect_records(
    database: &mut dyn Trees,
    tree: (Pgno, ObjId),
    records: &mut BTreeMap<RecordKey, CatalogRecord>,
) -> Result<u64, String> {
    let page_size = database.page_size();
    let mut undecoded = 0;
    let mut nodes = database.nodes(tree, &[])?;
    while let Some(node) = nodes.next_node()? {
        if node.is_deleted {
            continue;
        }
        match CatalogRecord::read(&node.data, page_size) {
            Ok(record) => drop(records.entry(record.key()).or_insert(record)),
            Err(_) => undecoded += 1,
        }
    }
    Ok(undecoded)
}
