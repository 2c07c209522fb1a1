//! Which columns a table has on the way out, and of which type each is.
//!
//! A table's columns are in the order of the catalog. A date has its raw bits beside it (`Name_raw`), a long column
//! the name of the file that holds its value when it is too long to be in the row (`Name_file`), and decoded views
//! come after the column they explain. Where several databases are exported, first columns such as `$source` say which one a
//! row is of; deleted rows are distinguished by a column `$deleted`.
//!
//! Every column has a name of its own without dots, whatever the database calls it: the columns of the table are named
//! before those that are added, so that its own names change only where they have dots.

use crate::cell::Cell;
use crate::names::ColumnNames;
use crate::view::{ColumnView, ColumnViews};
use ese_db::catalog::ColumnFlags;
use ese_db::{Column, ColumnType, Table};
use jiff::Timestamp;

/// The type of an output column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// True or false.
    Bool,
    /// 16 bits with sign.
    I16,
    /// 32 bits with sign.
    I32,
    /// 64 bits with sign.
    I64,
    /// 8 bits without sign.
    U8,
    /// 16 bits without sign.
    U16,
    /// 32 bits without sign.
    U32,
    /// 64 bits without sign.
    U64,
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
    /// Microseconds since 1970-01-01 UTC.
    Time,
    /// Text.
    Text,
    /// Bytes.
    Bytes,
    /// Raw bits of a date.
    Bits,
}

/// Where the cells of an output column come from.
#[derive(Debug, Clone, Copy)]
pub enum Origin<'t> {
    /// What is given for all rows.
    Given(&'t GivenColumn),
    /// Whether the row is deleted.
    Deleted,
    /// The value of a column.
    Value(&'t Column),
    /// The bits of the date in the column before.
    RawDate,
    /// The file that holds the value of the column before.
    File,
    /// What the value of the column before means.
    View(&'t ColumnView),
}

/// An output column.
#[derive(Debug, Clone)]
pub struct OutColumn<'t> {
    /// Its name, which no other column of the table has.
    pub name: String,
    /// Its type; of the values in its lists, if it has lists.
    pub kind: Kind,
    /// Whether it has lists of values.
    pub list: bool,
    /// Where its cells come from.
    pub origin: Origin<'t>,
    /// The column of the table that it is, or adds to.
    pub of: Option<&'t Column>,
}

/// A column that says the same in every row.
#[derive(Debug, Clone, PartialEq)]
pub struct GivenColumn {
    name: &'static str,
    kind: Kind,
    cell: Cell<'static>,
}

impl GivenColumn {
    /// A column of text.
    pub fn text(name: &'static str, text: Option<String>) -> Self {
        GivenColumn {
            name,
            kind: Kind::Text,
            cell: text.map_or(Cell::Null, |text| Cell::Text(text.into())),
        }
    }

    /// What it says.
    pub fn cell(&self) -> &Cell<'static> {
        &self.cell
    }

    /// A column of a time.
    pub fn time(name: &'static str, time: Option<Timestamp>) -> Self {
        GivenColumn {
            name,
            kind: Kind::Time,
            cell: time.map_or(Cell::Null, |time| Cell::Time(time.as_microsecond())),
        }
    }
}

/// Columns that are before those of a table, and names that these do not get.
#[derive(Debug, Clone, Copy, Default)]
pub struct Before<'t> {
    /// What is known of all rows: of which database they are.
    pub given: &'t [GivenColumn],
    /// Whether a row is deleted.
    pub deleted: bool,
    /// Names that no column of the table gets.
    pub reserved: &'t [&'t str],
}

/// The output columns of `table`. Columns that add something to a column follow it directly.
pub fn columns<'t>(
    table: &'t Table,
    views: &'t ColumnViews,
    before: Before<'t>,
) -> Vec<OutColumn<'t>> {
    let mut out = Vec::new();
    let mut add = |name: String, kind, list, origin, of| {
        out.push(OutColumn {
            name,
            kind,
            list,
            origin,
            of,
        });
    };
    for given in before.given {
        let origin = Origin::Given(given);
        add(given.name.into(), given.kind, false, origin, None);
    }
    if before.deleted {
        add("$deleted".into(), Kind::Bool, false, Origin::Deleted, None);
    }
    for column in table.columns.iter().filter(|column| !column.is_deleted()) {
        let list = column.flags.contains(ColumnFlags::MULTI_VALUED);
        let mut add = |name, kind, origin| add(name, kind, list, origin, Some(column));
        let kind = kind_of(column.column_type);
        add(column.name.clone(), kind, Origin::Value(column));
        if column.column_type == ColumnType::DateTime {
            add(format!("{}_raw", column.name), Kind::Bits, Origin::RawDate);
        }
        if is_long(column) {
            add(format!("{}_file", column.name), Kind::Text, Origin::File);
        }
        for view in views.of(table, column) {
            let name = format!("{}_{}", column.name, view.suffix());
            add(name, view.kind(), Origin::View(view));
        }
    }
    give_names(&mut out, before);
    out
}

/// Gives every column a name of its own, those of the table first. A reserved name is that of a given column, or of none.
fn give_names(columns: &mut [OutColumn<'_>], before: Before<'_>) {
    let mut names = ColumnNames::default();
    for name in before.reserved {
        names.give(name);
    }
    let is_reserved = |column: &OutColumn<'_>| {
        matches!(column.origin, Origin::Given(_)) && before.reserved.contains(&&*column.name)
    };
    let is_added = |column: &OutColumn<'_>| !matches!(column.origin, Origin::Value(_));
    for added in [false, true] {
        for column in columns.iter_mut() {
            if is_added(column) == added && !is_reserved(column) {
                column.name = names.give(&column.name);
            }
        }
    }
}

/// Whether values of the column may go to files.
pub fn is_long(column: &Column) -> bool {
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
