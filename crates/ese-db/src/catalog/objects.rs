//! The records of the catalog.

use super::{
    Callback, Column, ColumnFlags, ColumnType, Index, IndexColumn, IndexFlags, Table, TableFlags,
    TupleLimits,
};
use crate::btree::Tree;
use crate::record::{DataRecord, Field, RawValue};
use crate::{Database, DbError, Losses, compression};
use byteorder::{ByteOrder, LittleEndian};
use ese_format::page::PageSize;
use ese_format::text::utf16_units;
use ese_format::{ObjId, Pgno};
use std::collections::BTreeMap;

/// What a record of the catalog describes (`SYSOBJ`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectKind {
    /// A table.
    Table = 1,
    /// A column.
    Column,
    /// An index.
    Index,
    /// A table's tree of long values.
    LongValues,
    /// A callback.
    Callback,
}

/// The order of the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub table: ObjId,
    pub kind: ObjectKind,
    pub id: u32,
}

/// A record of the catalog; every column but those of the key.
#[derive(Debug, Clone, Default)]
pub(super) struct Object {
    name: String,
    type_or_root: u32,
    space_usage: u32,
    flags: u32,
    pages_or_locale: u32,
    record_offset: u16,
    text_flags: u32,
    key_most: Option<u16>,
    chunk_size: Option<u32>,
    root_set_time: Option<u64>,
    template_or_callback: Option<String>,
    default_value: Option<Vec<u8>>,
    key_columns: Vec<u8>,
    conditions: Vec<u8>,
    tuple_limits: Option<Vec<u8>>,
    sort_version: Option<Vec<u8>>,
    locale_name: Option<String>,
}

/// Fixed columns of the catalog: id, offset in the record. Sizes are those of the types.
mod fixed {
    pub(super) const TABLE: (u16, usize) = (1, 4);
    pub(super) const KIND: (u16, usize) = (2, 8);
    pub(super) const ID: (u16, usize) = (3, 10);
    pub(super) const TYPE_OR_ROOT: (u16, usize) = (4, 14);
    pub(super) const SPACE_USAGE: (u16, usize) = (5, 18);
    pub(super) const FLAGS: (u16, usize) = (6, 22);
    pub(super) const PAGES_OR_LOCALE: (u16, usize) = (7, 26);
    pub(super) const RECORD_OFFSET: (u16, usize) = (9, 31);
    pub(super) const TEXT_FLAGS: (u16, usize) = (10, 33);
    pub(super) const KEY_MOST: (u16, usize) = (11, 37);
    pub(super) const CHUNK_SIZE: (u16, usize) = (12, 39);
    pub(super) const ROOT_SET_TIME: (u16, usize) = (13, 43);
}

/// Variable and tagged columns of the catalog.
mod id {
    pub(super) const NAME: u16 = 128;
    pub(super) const TEMPLATE_OR_CALLBACK: u16 = 130;
    pub(super) const DEFAULT_VALUE: u16 = 131;
    pub(super) const KEY_COLUMNS: u16 = 132;
    pub(super) const CONDITIONS: u16 = 134;
    pub(super) const TUPLE_LIMITS: u16 = 135;
    pub(super) const SORT_VERSION: u16 = 136;
    pub(super) const LOCALE_NAME: u16 = 261;
}

/// All records of one of the two catalogs. What is lost goes into `losses`.
pub(super) fn read(
    db: &Database,
    (root, objid): (Pgno, ObjId),
    losses: &mut Losses,
) -> BTreeMap<Key, Object> {
    let mut objects = BTreeMap::new();
    let mut leaves = Tree::new(root, objid).leaves(db);
    while let Some(leaf) = leaves.next() {
        for node in leaf.view().nodes() {
            let record = match node {
                Ok(node) if node.is_deleted() => continue,
                Ok(node) => Object::read(node.data, db.page_size()),
                Err(error) => Err(error.into()),
            };
            match record {
                Ok((key, object)) => {
                    objects.insert(key, object);
                }
                Err(_) => leaves.losses.rows += 1,
            }
        }
    }
    losses.add(&leaves.losses);
    objects
}

impl Object {
    pub(super) fn read(data: &[u8], page_size: PageSize) -> Result<(Key, Object), DbError> {
        let record = DataRecord::parse(data, page_size)?;
        let kind = match number(&record, fixed::KIND, 2)? {
            Some(1) => ObjectKind::Table,
            Some(2) => ObjectKind::Column,
            Some(3) => ObjectKind::Index,
            Some(4) => ObjectKind::LongValues,
            Some(5) => ObjectKind::Callback,
            other => {
                return Err(DbError::Catalog {
                    what: format!("there is no object of type {other:?}"),
                });
            }
        };
        let word = |column| Ok::<_, DbError>(number(&record, column, 4)?.unwrap_or(0) as u32);
        let half = |column| number(&record, column, 2).map(|n| n.map(|n| n as u16));
        let bytes = |id| variable(&record, id);
        let key = Key {
            table: ObjId(word(fixed::TABLE)?),
            kind,
            id: word(fixed::ID)?,
        };
        let object = Object {
            name: text(&bytes(id::NAME)?.unwrap_or_default()),
            type_or_root: word(fixed::TYPE_OR_ROOT)?,
            space_usage: word(fixed::SPACE_USAGE)?,
            flags: word(fixed::FLAGS)?,
            pages_or_locale: word(fixed::PAGES_OR_LOCALE)?,
            record_offset: half(fixed::RECORD_OFFSET)?.unwrap_or(0),
            text_flags: word(fixed::TEXT_FLAGS)?,
            key_most: half(fixed::KEY_MOST)?,
            chunk_size: number(&record, fixed::CHUNK_SIZE, 4)?.map(|n| n as u32),
            root_set_time: number(&record, fixed::ROOT_SET_TIME, 8)?,
            template_or_callback: bytes(id::TEMPLATE_OR_CALLBACK)?
                .filter(|name| !name.is_empty())
                .map(|name| text(&name)),
            default_value: bytes(id::DEFAULT_VALUE)?,
            key_columns: bytes(id::KEY_COLUMNS)?.unwrap_or_default(),
            conditions: bytes(id::CONDITIONS)?.unwrap_or_default(),
            tuple_limits: bytes(id::TUPLE_LIMITS)?,
            sort_version: bytes(id::SORT_VERSION)?,
            locale_name: locale_name(&record)?,
        };
        Ok((key, object))
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The type of a column, by number.
    pub(super) fn column_type(&self) -> ColumnType {
        ColumnType::from_number(self.type_or_root)
    }

    pub(super) fn is_primary(&self) -> bool {
        IndexFlags::from_bits_retain(self.flags).contains(IndexFlags::PRIMARY)
    }

    pub(super) fn root(&self) -> Pgno {
        Pgno(self.type_or_root)
    }

    pub(super) fn into_table(self, objid: u32) -> Table {
        Table {
            root: self.root(),
            name: self.name,
            objid: ObjId(objid),
            flags: TableFlags::from_bits_retain(self.flags),
            template: self.template_or_callback,
            initial_pages: self.pages_or_locale,
            density: self.space_usage,
            columns: Vec::new(),
            indexes: Vec::new(),
            long_values: None,
            callbacks: Vec::new(),
            chunk_size: self.chunk_size.filter(|size| *size != 0),
            root_set_time: self.root_set_time,
        }
    }

    pub(super) fn into_column(self, id: u32) -> Column {
        Column {
            name: self.name,
            id: id as u16,
            of_template: false,
            column_type: ColumnType::from_number(self.type_or_root),
            max_size: self.space_usage,
            flags: ColumnFlags::from_bits_retain(self.flags),
            code_page: self.pages_or_locale,
            record_offset: self.record_offset,
            default_value: self.default_value,
            callback: self.template_or_callback,
        }
    }

    pub(super) fn into_index(self, objid: u32) -> Index {
        let flags = IndexFlags::from_bits_retain(self.flags);
        let extended = flags.contains(IndexFlags::EXTENDED_COLUMNS);
        Index {
            root: self.root(),
            name: self.name,
            objid: ObjId(objid),
            flags,
            columns: index_columns(&self.key_columns, extended, DESCENDING),
            conditions: index_columns(&self.conditions, extended, MUST_BE_NULL),
            locale_id: self.pages_or_locale,
            locale_name: self.locale_name,
            text_flags: self.text_flags,
            key_most: self.key_most,
            density: self.space_usage,
            sort_version: self.sort_version,
            tuples: self.tuple_limits.as_deref().and_then(tuple_limits),
        }
    }

    pub(super) fn into_callback(self) -> Callback {
        Callback {
            kind: self.flags,
            function: self.template_or_callback.unwrap_or_default(),
        }
    }
}

const OF_TEMPLATE: u8 = 0x80;
const DESCENDING: u8 = 0x40;
const MUST_BE_NULL: u8 = 0x20;

/// Columns of an index: four bytes each (flags, reserved, id), in formats before 0x620,7 a signed id alone.
fn index_columns(bytes: &[u8], extended: bool, flag: u8) -> Vec<IndexColumn> {
    let column = |id, of_template, descending_or_null| IndexColumn {
        id,
        of_template,
        descending_or_null,
        name: None,
    };
    if extended {
        let read = |part: &[u8]| {
            let (flags, id) = (part[0], LittleEndian::read_u16(&part[2..]));
            column(id, flags & OF_TEMPLATE != 0, flags & flag != 0)
        };
        return bytes.chunks_exact(4).map(read).collect();
    }
    let ids = bytes.chunks_exact(2).map(LittleEndian::read_i16);
    ids.map(|id| column(id.unsigned_abs(), false, id < 0))
        .collect()
}

fn tuple_limits(bytes: &[u8]) -> Option<TupleLimits> {
    let mut words = bytes.chunks_exact(4).map(LittleEndian::read_u32);
    Some(TupleLimits {
        min_length: words.next()?,
        max_length: words.next()?,
        to_index: words.next()?,
        increment: words.next().unwrap_or(1),
        start: words.next().unwrap_or(0),
    })
}

/// A fixed column as a number, or `None` when it is null or not there.
fn number(
    record: &DataRecord<'_>,
    (id, offset): (u16, usize),
    size: usize,
) -> Result<Option<u64>, DbError> {
    Ok(match record.fixed(id, offset, size)? {
        Field::Single(value) => Some(LittleEndian::read_uint(value.bytes, size)),
        _ => None,
    })
}

fn variable(record: &DataRecord<'_>, id: u16) -> Result<Option<Vec<u8>>, DbError> {
    Ok(match record.variable(id)? {
        Field::Single(value) => Some(value.bytes.to_vec()),
        _ => None,
    })
}

/// Names are ASCII; anything else is kept readable.
fn text(bytes: &[u8]) -> String {
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    match str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    }
}

/// The locale name, UTF-16, of an index.
fn locale_name(record: &DataRecord<'_>) -> Result<Option<String>, DbError> {
    let tagged = record.tagged()?;
    let Some(column) = tagged.iter().find(|column| column.id == id::LOCALE_NAME) else {
        return Ok(None);
    };
    let bytes = match column.field()? {
        Field::Single(RawValue {
            bytes,
            compressed: true,
            ..
        }) => compression::decompress(bytes)?,
        Field::Single(value) => value.bytes.to_vec(),
        _ => return Ok(None),
    };
    let name = String::from_utf16_lossy(&utf16_units(&bytes));
    Ok(Some(name.trim_end_matches('\0').to_owned()))
}
