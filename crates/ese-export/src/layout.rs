//! Which columns a table has on the way out, and of which type each is.
//!
//! A table's columns stand in the order of the catalog. A date has its raw bits beside it (`Name.raw`), a long column
//! the name of the file that holds its value when it is too long to stand in the row (`Name.file`), and decoded views stand
//! behind the column they explain. Deleted rows are told apart by a first column `$deleted`.

use crate::view::{View, Views};
use ese_db::catalog::ColumnFlags;
use ese_db::{Column, ColumnType, Table};

/// The type of an output column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F32,
    F64,
    Time,
    Text,
    Bytes,
    /// Raw bits of a date.
    Bits,
}

/// Where the cells of an output column come from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Origin<'t> {
    Deleted,
    Value(&'t Column),
    RawDate,
    File,
    View(&'t View),
}

/// An output column.
#[derive(Debug, Clone)]
pub(crate) struct OutColumn<'t> {
    pub name: String,
    pub kind: Kind,
    pub list: bool,
    pub origin: Origin<'t>,
}

/// The output columns of `table`. Columns that add something to a column follow it directly.
pub(crate) fn columns<'t>(
    table: &'t Table,
    views: &'t Views,
    with_deleted: bool,
) -> Vec<OutColumn<'t>> {
    let mut out = Vec::new();
    if with_deleted {
        out.push(OutColumn {
            name: "$deleted".into(),
            kind: Kind::Bool,
            list: false,
            origin: Origin::Deleted,
        });
    }
    for column in table.columns.iter().filter(|column| !column.is_deleted()) {
        let list = column.flags.contains(ColumnFlags::MULTI_VALUED);
        let kind = kind_of(column.column_type);
        let mut add = |name: String, kind, origin| {
            out.push(OutColumn {
                name,
                kind,
                list,
                origin,
            });
        };
        add(column.name.clone(), kind, Origin::Value(column));
        if column.column_type == ColumnType::DateTime {
            add(format!("{}.raw", column.name), Kind::Bits, Origin::RawDate);
        }
        if is_long(column) {
            add(format!("{}.file", column.name), Kind::Text, Origin::File);
        }
        if let Some(view) = views.of(table, column) {
            let name = format!("{}.{}", column.name, view.suffix());
            add(name, view.kind(), Origin::View(view));
        }
    }
    out
}

/// Whether values of the column may go to files.
pub(crate) fn is_long(column: &Column) -> bool {
    matches!(
        column.column_type,
        ColumnType::LongBinary | ColumnType::LongText
    )
}

fn kind_of(column_type: ColumnType) -> Kind {
    match column_type {
        ColumnType::Bit => Kind::Bool,
        ColumnType::UnsignedByte => Kind::U8,
        ColumnType::Short => Kind::I16,
        ColumnType::UnsignedShort => Kind::U16,
        ColumnType::Long => Kind::I32,
        ColumnType::UnsignedLong => Kind::U32,
        ColumnType::Currency | ColumnType::LongLong => Kind::I64,
        ColumnType::UnsignedLongLong => Kind::U64,
        ColumnType::Single => Kind::F32,
        ColumnType::Double => Kind::F64,
        ColumnType::DateTime => Kind::Time,
        ColumnType::Text | ColumnType::LongText | ColumnType::Guid => Kind::Text,
        ColumnType::Binary
        | ColumnType::LongBinary
        | ColumnType::Slv
        | ColumnType::Deleted
        | ColumnType::Other(_) => Kind::Bytes,
    }
}
