//! The catalog: the tables of a database with their columns, indexes and long-value trees.
//!
//! Table `MSysObjects` (root page 4, object id 2) holds one record for each object, and `MSysObjectsShadow` (page 24,
//! object id 3) the same again without secondary indexes. Records are clustered by table:
//!
//! ```text
//! key: table's objid, type, id        type 1 table, 2 column, 3 index, 4 long values, 5 callback
//! ```
//!
//! The catalog's own columns are fixed by the format. The shadow is read when something of the catalog is lost, and
//! what one of the two has is taken. Source: `inc/cat.hxx`, `rgcdescMSO` (`ese/_cat.cxx`), `LE_IDXSEG`
//! (`inc/daedef.hxx`), `LE_IDXFLAG`, `LE_TUPLELIMITS` (`inc/idb.hxx`), `ffield*` (`inc/tdb.hxx`).

mod columns;
mod objects;

pub use crate::value::ColumnType;
pub use columns::{Column, ColumnFlags};
use objects::Object;
pub use objects::ObjectKind;

use crate::btree::Tree;
use crate::{Database, DbError, Losses};
use ese_format::page::PageSize;
use ese_format::{ObjId, Pgno};
use serde::Serialize;
use std::collections::BTreeMap;

/// Root page and object id of the catalog.
pub const CATALOG: (Pgno, ObjId) = (Pgno(4), ObjId(2));
/// Root page and object id of its shadow.
pub const CATALOG_SHADOW: (Pgno, ObjId) = (Pgno(24), ObjId(3));

bitflags::bitflags! {
    /// What is special about a table (`JET_bitObject*`).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct TableFlags: u32 {
        /// Belongs to the engine.
        const SYSTEM = 0x8000_0000;
        /// Columns and indexes cannot change.
        const FIXED_DDL = 0x4000_0000;
        /// Others derive from it.
        const TEMPLATE = 0x2000_0000;
        /// Derives from a template.
        const DERIVED = 0x1000_0000;
        /// Belongs to the engine, and comes and goes.
        const SYSTEM_DYNAMIC = 0x0800_0000;
        /// Tables that derive from it may only add tagged columns.
        const NO_FIXED_VAR_IN_DERIVED = 0x0400_0000;
    }

    /// What an index demands and how it sorts (`fidb*`).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct IndexFlags: u32 {
        /// No two entries are equal.
        const UNIQUE = 0x0001;
        /// Has an entry where all columns are null.
        const ALLOW_ALL_NULLS = 0x0002;
        /// Has an entry where the first column is null.
        const ALLOW_FIRST_NULL = 0x0004;
        /// Has an entry where some column is null.
        const ALLOW_SOME_NULLS = 0x0008;
        /// No column may be null.
        const NO_NULLS = 0x0010;
        /// The order of the table itself.
        const PRIMARY = 0x0020;
        /// A locale was given.
        const LOCALE_SET = 0x0040;
        /// Has a column of several values.
        const MULTI_VALUED = 0x0080;
        /// Belongs to a template table.
        const TEMPLATE = 0x0100;
        /// Comes from a template table.
        const DERIVED = 0x0200;
        /// Has a column of Unicode text.
        const LOCALIZED_TEXT = 0x0400;
        /// Null sorts after all values.
        const NULLS_HIGH = 0x0800;
        /// Obsolete.
        const UNICODE_FIXUP = 0x1000;
        /// Every combination of several values has an entry.
        const CROSS_PRODUCT = 0x2000;
        /// A key that does not fit is an error.
        const NO_TRUNCATION = 0x4000;
        /// Values of equal number have an entry together.
        const NESTED = 0x8000;
        /// Columns stand with their flags, not by number alone.
        const EXTENDED_COLUMNS = 0x1_0000;
        /// GUIDs sort as .NET does.
        const DOT_NET_GUID = 0x2_0000;
        /// The index is not complete yet.
        const DEFERRED_POPULATE = 0x4_0000;
        /// May be used to enforce uniqueness.
        const OPTIONALLY_UNIQUE = 0x8_0000;
    }
}

/// Names of flags, for output.
macro_rules! serialize_names {
    ($($name:ty),*) => {$(
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(self.iter_names().map(|(name, _)| name.to_ascii_lowercase()))
            }
        }
    )*};
}
serialize_names!(TableFlags, IndexFlags, ColumnFlags);

/// One column of an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IndexColumn {
    /// The column id.
    pub id: u16,
    /// Whether the id is one of the template table's.
    pub of_template: bool,
    /// Whether it sorts downwards; of a condition: whether the column must be null (otherwise it must not).
    pub descending_or_null: bool,
    /// Its name, where the table has such a column.
    pub name: Option<String>,
}

/// Limits of an index of parts of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TupleLimits {
    /// Characters of the shortest part.
    pub min_length: u32,
    /// Characters of the longest part.
    pub max_length: u32,
    /// How many characters of a value are looked at.
    pub to_index: u32,
    /// Characters from one part to the next.
    pub increment: u32,
    /// Where the first part starts.
    pub start: u32,
}

/// An index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Index {
    /// Its name.
    pub name: String,
    /// Object id of its tree; that of the table when it is the primary index.
    pub objid: ObjId,
    /// Root page of its tree.
    pub root: Pgno,
    /// What it demands and how it sorts.
    pub flags: IndexFlags,
    /// Its columns in order.
    pub columns: Vec<IndexColumn>,
    /// Columns on which it depends whether a record has an entry.
    pub conditions: Vec<IndexColumn>,
    /// Locale by number.
    pub locale_id: u32,
    /// Locale by name, in formats that have it.
    pub locale_name: Option<String>,
    /// Flags of text comparison (`LCMapString`).
    pub text_flags: u32,
    /// Longest key, where it differs from the default.
    pub key_most: Option<u16>,
    /// Percentage to which pages are filled.
    pub density: u32,
    /// Version of the sort order, uninterpreted.
    pub sort_version: Option<Vec<u8>>,
    /// Limits of an index of parts of text.
    pub tuples: Option<TupleLimits>,
}

impl Index {
    /// Whether it is the order of the table itself.
    pub fn is_primary(&self) -> bool {
        self.flags.contains(IndexFlags::PRIMARY)
    }
}

/// The tree of a table's long values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LongValueTree {
    /// Its object id.
    pub objid: ObjId,
    /// Its root page.
    pub root: Pgno,
}

/// A callback that a table asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Callback {
    /// When it is called, as flags of the engine.
    pub kind: u32,
    /// `library!function`.
    pub function: String,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its object id.
    pub objid: ObjId,
    /// Its root page.
    pub root: Pgno,
    /// What is special about it.
    pub flags: TableFlags,
    /// The table it derives from.
    pub template: Option<String>,
    /// Pages it was given at first.
    pub initial_pages: u32,
    /// Percentage to which pages are filled.
    pub density: u32,
    /// Its columns by id: those of its template first.
    pub columns: Vec<Column>,
    /// Its indexes by name; without a primary one the order is that of insertion.
    pub indexes: Vec<Index>,
    /// Its long values, when it ever had one.
    pub long_values: Option<LongValueTree>,
    /// Its callbacks.
    pub callbacks: Vec<Callback>,
    /// Longest piece of a long value, where it differs from the default.
    pub chunk_size: Option<u32>,
    /// When its root page was last moved (FILETIME), in formats that have it.
    pub root_set_time: Option<u64>,
}

impl Table {
    /// Whether it belongs to the engine.
    pub fn is_system(&self) -> bool {
        self.flags.contains(TableFlags::SYSTEM)
    }

    /// The tree of its records.
    pub fn tree(&self) -> Tree {
        Tree::new(self.root, self.objid)
    }

    /// The index that orders the table.
    pub fn primary_index(&self) -> Option<&Index> {
        self.indexes.iter().find(|index| index.is_primary())
    }

    /// The column of this name, compared without case.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns
            .iter()
            .find(|column| column.name.eq_ignore_ascii_case(name))
    }
}

/// All tables of a database, ordered by name.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Catalog {
    /// The tables.
    pub tables: Vec<Table>,
    /// What could not be read of the catalog itself.
    pub losses: Losses,
    /// Whether the shadow had to help out.
    pub shadow_used: bool,
}

impl Catalog {
    /// Reads the catalog of `db`.
    pub fn read(db: &Database) -> Result<Self, DbError> {
        let mut losses = Losses::default();
        let mut objects = objects::read(db, CATALOG, &mut losses);
        let shadow_used = !losses.is_empty() || objects.is_empty();
        if shadow_used {
            for (key, object) in objects::read(db, CATALOG_SHADOW, &mut losses) {
                objects.entry(key).or_insert(object);
            }
        }
        if objects.is_empty() {
            return Err(DbError::Catalog {
                what: "neither the catalog nor its shadow holds a record".into(),
            });
        }
        let tables = assemble(objects);
        Ok(Catalog {
            tables,
            losses,
            shadow_used,
        })
    }

    /// The catalog of these records; nothing says what is missing.
    pub fn of_records(records: impl IntoIterator<Item = CatalogRecord>) -> Self {
        let records = records.into_iter();
        let objects = records.map(|record| (record.key, record.object));
        Catalog {
            tables: assemble(objects.collect()),
            losses: Losses::default(),
            shadow_used: false,
        }
    }

    /// The table of this name, compared without case.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables
            .iter()
            .find(|table| table.name.eq_ignore_ascii_case(name))
    }
}

/// One record of the catalog.
#[derive(Debug, Clone)]
pub struct CatalogRecord {
    key: objects::Key,
    object: Object,
}

impl CatalogRecord {
    /// The record whose node has this data, on a page of this size.
    pub fn read(data: &[u8], page_size: PageSize) -> Result<Self, DbError> {
        let (key, object) = Object::read(data, page_size)?;
        Ok(CatalogRecord { key, object })
    }

    /// What tells it from all other records: the table, the kind of object, and its number.
    pub fn key(&self) -> (ObjId, ObjectKind, u32) {
        (self.key.table, self.key.kind, self.key.id)
    }

    /// The table that it is about.
    pub fn table(&self) -> ObjId {
        self.key.table
    }

    /// What it describes.
    pub fn kind(&self) -> ObjectKind {
        self.key.kind
    }

    /// The name of what it describes.
    pub fn name(&self) -> &str {
        self.object.name()
    }

    /// Whether it describes a column that was deleted: its record stays, without a type.
    pub fn is_deleted_column(&self) -> bool {
        self.kind() == ObjectKind::Column && self.object.column_type() == ColumnType::Deleted
    }

    /// Whether it describes the index that orders the table.
    pub fn is_primary_index(&self) -> bool {
        self.kind() == ObjectKind::Index && self.object.is_primary()
    }
}

/// Makes tables of the catalog's records, which come ordered by table, type and id.
fn assemble(objects: BTreeMap<objects::Key, Object>) -> Vec<Table> {
    let mut tables: BTreeMap<ObjId, Table> = BTreeMap::new();
    for (key, object) in objects {
        if key.kind == ObjectKind::Table {
            tables.insert(key.table, object.into_table(key.id));
            continue;
        }
        let Some(table) = tables.get_mut(&key.table) else {
            continue;
        };
        match key.kind {
            ObjectKind::Column => table.columns.push(object.into_column(key.id)),
            ObjectKind::Index => table.indexes.push(object.into_index(key.id)),
            ObjectKind::LongValues => {
                table.long_values = Some(LongValueTree {
                    objid: ObjId(key.id),
                    root: object.root(),
                });
            }
            ObjectKind::Callback => table.callbacks.push(object.into_callback()),
            ObjectKind::Table => {}
        }
    }
    let mut tables: Vec<Table> = tables.into_values().collect();
    inherit(&mut tables);
    for table in &mut tables {
        if [CATALOG.1, CATALOG_SHADOW.1].contains(&table.objid) {
            place_fixed_columns(&mut table.columns);
        }
        name_index_columns(table);
        table
            .indexes
            .sort_by_cached_key(|index| index.name.to_ascii_lowercase());
    }
    tables.sort_by_cached_key(|table| table.name.to_ascii_lowercase());
    tables
}

/// Where the fixed columns of the catalog itself stand: one after the other. What the catalog records of these is of
/// no use, since the engine has it in its code (`rgcdescMSO`, `ese/_cat.cxx`).
fn place_fixed_columns(columns: &mut [Column]) {
    const RECORD_HEADER: u16 = 4;
    let mut offset = RECORD_HEADER;
    for column in columns.iter_mut().filter(|column| column.is_fixed()) {
        column.record_offset = offset;
        let size = u16::try_from(column.fixed_size()).unwrap_or(u16::MAX);
        offset = offset.saturating_add(size);
    }
}

/// Gives derived tables the columns of their template, before their own.
fn inherit(tables: &mut [Table]) {
    let templates: BTreeMap<String, Vec<Column>> = tables
        .iter()
        .filter(|table| table.flags.contains(TableFlags::TEMPLATE))
        .map(|table| (table.name.to_ascii_lowercase(), table.columns.clone()))
        .collect();
    for table in tables {
        let template = table.template.as_ref();
        let Some(columns) = template.and_then(|name| templates.get(&name.to_ascii_lowercase()))
        else {
            continue;
        };
        let inherited = columns.iter().cloned().map(|column| Column {
            of_template: true,
            ..column
        });
        let own = std::mem::take(&mut table.columns);
        table.columns = inherited.chain(own).collect();
    }
}

fn name_index_columns(table: &mut Table) {
    let is_template = table.flags.contains(TableFlags::TEMPLATE);
    let columns = &table.columns;
    for index in &mut table.indexes {
        for part in index.columns.iter_mut().chain(&mut index.conditions) {
            let found = columns.iter().find(|column| {
                column.id == part.id && (is_template || column.of_template == part.of_template)
            });
            part.name = found.map(|column| column.name.clone());
        }
    }
}
