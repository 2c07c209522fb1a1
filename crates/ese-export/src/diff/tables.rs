//! Which tables and columns of two databases belong together: those of the same name, in any case.

use super::{Sides, TableDiff};
use crate::ExportError;
use crate::export::{table_meant, user_tables};
use ese_db::catalog::{ColumnFlags, Index, IndexColumn, IndexFlags};
use ese_db::{Catalog, Column, Losses, Table};
use ese_format::hex;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Which of two databases has something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Both.
    Both,
    /// The first alone.
    A,
    /// The second alone.
    B,
}

/// What makes a row of one database and a row of the other one the same row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchedBy {
    /// Their key in the primary index.
    PrimaryIndex,
    /// The number that the engine gave them when they were inserted: the table has no primary index. It means the same
    /// row only where one database comes from the other.
    Dbk,
    /// Nothing: the primary indexes are not the same, so their keys mean different things. Rows are only counted.
    Nothing,
}

/// A column that is not the same in both databases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ColumnDifference {
    /// Its name.
    pub name: String,
    /// What it is in each; `None` where it does not exist.
    #[serde(flatten)]
    pub definitions: Sides<Option<ColumnDefinition>>,
}

/// What a column is, as far as its values go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ColumnDefinition {
    /// The database's type.
    #[serde(rename = "type")]
    pub column_type: String,
    /// Most bytes a value may have, 0 when the type says.
    pub max_size: u32,
    /// Code page of text.
    pub code_page: u32,
    /// What is special about it.
    pub flags: ColumnFlags,
    /// The default value as stored, in hexadecimal.
    pub default_value: Option<String>,
}

impl ColumnDefinition {
    fn of(column: &Column) -> Self {
        ColumnDefinition {
            column_type: column.column_type.name().into_owned(),
            max_size: column.max_size,
            code_page: column.code_page,
            flags: column.flags,
            default_value: column.default_value.as_ref().map(hex::encode),
        }
    }
}

/// A table of both databases, or of one of them.
pub(super) struct TablePair<'c> {
    pub tables: Sides<Option<&'c Table>>,
    /// The columns of both that are not deleted: those of the first in their order, then what only the second has.
    pub columns: Vec<ColumnPair<'c>>,
}

/// A column of both tables, or of one of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct ColumnPair<'c> {
    pub columns: Sides<Option<&'c Column>>,
}

/// The tables of both databases that are meant, by name.
pub(super) fn pairs<'c>(
    catalogs: Sides<&'c Catalog>,
    names: &[String],
) -> Result<Vec<TablePair<'c>>, ExportError> {
    let mut chosen = Sides::<Vec<&'c Table>>::default();
    if names.is_empty() {
        chosen = catalogs.map(|catalog| user_tables(catalog).collect());
    }
    for name in names {
        let meant = catalogs.map(|catalog| table_meant(catalog, name));
        let (a, b) = match (meant.a, meant.b) {
            (Err(error), Err(_)) => return Err(error),
            (a, b) => (a.ok(), b.ok()),
        };
        chosen.a.extend(a);
        chosen.b.extend(b);
    }
    let named = |tables: Vec<&'c Table>| {
        let mut named: BTreeMap<String, VecDeque<&'c Table>> = BTreeMap::new();
        for table in tables {
            let same = named.entry(table.name.to_ascii_lowercase()).or_default();
            // One that is named twice is compared once.
            if same.iter().all(|other| other.objid != table.objid) {
                same.push_back(table);
            }
        }
        named
    };
    let Sides { a, mut b } = chosen.map(named);
    let mut pairs: BTreeMap<String, Vec<TablePair<'c>>> = BTreeMap::new();
    for (name, tables) in a {
        let mut others = b.get_mut(&name);
        let of_name = pairs.entry(name).or_default();
        for table in tables {
            let other = others.as_mut().and_then(|others| others.pop_front());
            of_name.push(TablePair::new(Some(table), other));
        }
    }
    for (name, tables) in b {
        let alone = tables.into_iter();
        let alone = alone.map(|table| TablePair::new(None, Some(table)));
        pairs.entry(name).or_default().extend(alone);
    }
    Ok(pairs.into_values().flatten().collect())
}

impl<'c> TablePair<'c> {
    fn new(a: Option<&'c Table>, b: Option<&'c Table>) -> Self {
        let tables = Sides { a, b };
        let columns = TablePair::columns_of(tables);
        TablePair { tables, columns }
    }

    fn columns_of(tables: Sides<Option<&'c Table>>) -> Vec<ColumnPair<'c>> {
        let used = |table: Option<&'c Table>| {
            let columns = table.map_or(&[][..], |table| &table.columns).iter();
            columns.filter(|column| !column.is_deleted())
        };
        let mut others: HashMap<String, VecDeque<&'c Column>> = HashMap::new();
        for column in used(tables.b) {
            let same = others.entry(column.name.to_ascii_lowercase()).or_default();
            same.push_back(column);
        }
        let mut pairs = Vec::new();
        for column in used(tables.a) {
            let same = others.get_mut(&column.name.to_ascii_lowercase());
            let columns = Sides {
                a: Some(column),
                b: same.and_then(VecDeque::pop_front),
            };
            pairs.push(ColumnPair { columns });
        }
        for column in used(tables.b) {
            let left = others.get(&column.name.to_ascii_lowercase());
            if left.is_some_and(|left| left.iter().any(|other| other.id_of() == column.id_of())) {
                let columns = Sides {
                    a: None,
                    b: Some(column),
                };
                pairs.push(ColumnPair { columns });
            }
        }
        pairs
    }

    /// What is known before a row is read.
    pub(super) fn describe(
        &self,
        catalogs: Sides<&'c Catalog>,
        doubtful: Sides<bool>,
    ) -> TableDiff {
        let Sides { a, b } = self.tables;
        let (place, table, catalog) = match (a, b) {
            (Some(a), Some(_)) => (Place::Both, Some(a), catalogs.a),
            (Some(a), None) => (Place::A, Some(a), catalogs.a),
            (None, b) => (Place::B, b, catalogs.b),
        };
        let columns = match place {
            Place::Both => &self.columns[..],
            Place::A | Place::B => &[],
        };
        let differences: Vec<ColumnDifference> =
            columns.iter().filter_map(ColumnPair::difference).collect();
        let matched_by = self.matched_by(catalogs);
        let any = doubtful.any(|doubtful| *doubtful);
        let in_doubt = match place {
            Place::Both => any && (matched_by == MatchedBy::Nothing || !differences.is_empty()),
            Place::A => doubtful.b,
            Place::B => doubtful.a,
        };
        let primary = table.and_then(|table| primary_index(catalog, table));
        let keys = primary.map_or(&[][..], |index| &index.columns);
        TableDiff {
            name: table.map_or_else(String::new, |table| table.name.clone()),
            known_as: table.and_then(|table| catalog.known_as(table)),
            place,
            matched_by,
            key_columns: keys.iter().map(name_of).collect(),
            columns: differences,
            in_doubt,
            rows: Sides::default(),
            same: 0,
            inserted: 0,
            deleted: 0,
            changed: 0,
            unknown: 0,
            values_left_out: 0,
            out_of_order: Sides::default(),
            losses: Sides::<Losses>::default(),
        }
    }

    fn matched_by(&self, catalogs: Sides<&Catalog>) -> MatchedBy {
        let by = |index: Option<&Index>| match index {
            Some(_) => MatchedBy::PrimaryIndex,
            None => MatchedBy::Dbk,
        };
        match (self.tables.a, self.tables.b) {
            (Some(a), Some(b)) => {
                let one = primary_index(catalogs.a, a);
                let other = primary_index(catalogs.b, b);
                match (one, other) {
                    (Some(one), Some(other)) if !sorts_alike((a, one), (b, other)) => {
                        MatchedBy::Nothing
                    }
                    (Some(_), None) | (None, Some(_)) => MatchedBy::Nothing,
                    _ => by(one),
                }
            }
            (Some(a), None) => by(primary_index(catalogs.a, a)),
            (None, b) => by(b.and_then(|b| primary_index(catalogs.b, b))),
        }
    }
}

impl ColumnPair<'_> {
    /// Whether bytes mean the same in both.
    pub(super) fn is_alike(&self) -> bool {
        let Sides {
            a: Some(a),
            b: Some(b),
        } = self.columns
        else {
            return false;
        };
        (a.column_type, a.code_page) == (b.column_type, b.code_page)
    }

    fn difference(&self) -> Option<ColumnDifference> {
        let Sides { a, b } = self.columns;
        let definitions = self.columns.map(|column| column.map(ColumnDefinition::of));
        let column = a.or(b)?;
        (definitions.a != definitions.b).then(|| ColumnDifference {
            name: column.name.clone(),
            definitions,
        })
    }
}

/// What identifies a column within its table.
pub(super) trait ColumnId {
    fn id_of(&self) -> (bool, u16);
}

impl ColumnId for Column {
    fn id_of(&self) -> (bool, u16) {
        (self.of_template, self.id)
    }
}

/// The index that orders a table: its own, or that of the table that it derives from.
pub(super) fn primary_index<'c>(catalog: &'c Catalog, table: &'c Table) -> Option<&'c Index> {
    table.primary_index().or_else(|| {
        let template = catalog.table(table.template.as_deref()?)?;
        template.primary_index()
    })
}

fn name_of(part: &IndexColumn) -> String {
    let unnamed = || format!("column {}", part.id);
    part.name.clone().unwrap_or_else(unnamed)
}

/// Whether equal values have equal keys in both.
fn sorts_alike((a, one): (&Table, &Index), (b, other): (&Table, &Index)) -> bool {
    const SORTING: IndexFlags = IndexFlags::NULLS_HIGH.union(IndexFlags::DOT_NET_GUID);
    let part_of = |table: &Table, part: &IndexColumn| {
        let column = part.name.as_deref().and_then(|name| table.column(name));
        let value = column.map(|column| (column.column_type, column.code_page));
        let name = name_of(part).to_ascii_lowercase();
        (name, part.descending_or_null, value)
    };
    let parts = |table, index: &Index| -> Vec<_> {
        let parts = index.columns.iter();
        parts.map(|part| part_of(table, part)).collect()
    };
    let (parts, others) = (parts(a, one), parts(b, other));
    let has_text = parts
        .iter()
        .any(|(_, _, value)| value.is_some_and(|(column_type, _)| column_type.is_text()));
    let language = |index: &Index| {
        (
            index.locale_id,
            index.locale_name.clone(),
            index.text_flags,
            index.sort_version.clone(),
        )
    };
    parts == others
        && one.key_most == other.key_most
        && one.flags & SORTING == other.flags & SORTING
        && (!has_text || language(one) == language(other))
}
