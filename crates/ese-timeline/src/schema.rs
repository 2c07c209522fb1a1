//! The tables of a database as of a moment of the log.

use crate::layout::TableLayout;
use crate::trees::Trees;
use ese_db::catalog::{CATALOG, CATALOG_SHADOW, CatalogRecord};
use ese_db::{Catalog, Table};
use ese_format::ObjId;
use rustc_hash::FxHashMap;

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

/// A database, as far as the log was followed.
#[derive(Debug)]
pub(crate) struct Schema {
    /// Its place in the list of databases.
    pub(crate) database: usize,
    trees: FxHashMap<ObjId, Role>,
    /// Tables by their object id, with the places of their layouts.
    tables: FxHashMap<ObjId, (Table, usize)>,
    is_stale: bool,
}

impl Schema {
    /// A database of which nothing is known yet.
    pub(crate) fn new(database: usize) -> Self {
        Schema {
            database,
            trees: FxHashMap::default(),
            tables: FxHashMap::default(),
            is_stale: true,
        }
    }

    /// Whether changes of this tree matter. Of a tree that is not known, they may.
    pub(crate) fn wants(&self, objid: ObjId, with_system: bool, layouts: &[TableLayout]) -> bool {
        let of_table = |layout: &usize| {
            let table = layouts.get(*layout);
            with_system || table.is_none_or(|table| !table.is_system)
        };
        match self.role(objid) {
            Some(Role::Catalog) => true,
            Some(Role::Rows(layout) | Role::LongValues(layout)) => {
                self.is_stale || of_table(&layout)
            }
            Some(Role::Other) => objid != CATALOG_SHADOW.1 && self.is_stale,
            None => true,
        }
    }

    /// What a tree is, as it was when the catalog was last read.
    pub(crate) fn role(&self, objid: ObjId) -> Option<Role> {
        if objid == CATALOG.1 {
            return Some(Role::Catalog);
        }
        if objid == CATALOG_SHADOW.1 {
            return Some(Role::Other);
        }
        self.trees.get(&objid).copied()
    }

    /// The layout of a table by its object id.
    pub(crate) fn table(&self, objid: ObjId) -> Option<usize> {
        self.tables.get(&objid).map(|(_, layout)| *layout)
    }

    /// The catalog has changed.
    pub(crate) fn outdate(&mut self) {
        self.is_stale = true;
    }

    /// Reads the catalog if it has changed since it was last read.
    pub(crate) fn refresh(&mut self, database: &mut dyn Trees, layouts: &mut Vec<TableLayout>) {
        if !self.is_stale {
            return;
        }
        // While it is being made, it cannot be read.
        let Ok(records) = catalog_records(database) else {
            return;
        };
        let page_size = database.page_size();
        self.trees.clear();
        let mut known = std::mem::take(&mut self.tables);
        for table in Catalog::of_records(records).tables {
            let layout = match known.remove(&table.objid) {
                Some((same, layout)) if same == table => layout,
                _ => {
                    layouts.push(TableLayout::new(&table, page_size));
                    layouts.len() - 1
                }
            };
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
        self.is_stale = false;
    }
}

fn catalog_records(database: &mut dyn Trees) -> Result<Vec<CatalogRecord>, String> {
    let page_size = database.page_size();
    let mut nodes = database.nodes(CATALOG, &[])?;
    let mut records = Vec::new();
    while let Some(node) = nodes.next_node()? {
        if node.is_deleted {
            continue;
        }
        records.extend(CatalogRecord::read(&node.data, page_size).ok());
    }
    Ok(records)
}
