//! Rows that several states of one database have, and that are written once.

use crate::ExportError;
use crate::blobs::Blobs;
use crate::row::{ExportRow, RowConverter};
use crate::tables::TableRows;
use crate::{Format, user_tables};
use ese_columns::ColumnViews;
use ese_columns::{Before, Origin, OutColumn};
use ese_columns::{Cell, KeptBytes};
use ese_db::{Database, TableReader};
use ese_format::Progress;
use jiff::Timestamp;
use std::fmt::Debug;

/// The column with the time of the first state that has a row.
pub const FIRST_SEEN: &str = "_first_seen";
/// The column with the time of the last state that has it.
pub const LAST_SEEN: &str = "_last_seen";

/// What tells a row from all others: its table, its values by the names of their columns, and the bytes of those that do not
/// decode. A column that a table got later says nothing of rows that have no value in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowDigest(pub u128);

/// The states of a database between which a row was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenBetween {
    /// The time of the first one; none if that is not known, or is now.
    pub first: Option<Timestamp>,
    /// The time of the last one, likewise.
    pub last: Option<Timestamp>,
}

/// Who knows which rows other states of a database have, too.
pub trait SeenRows: Debug + Sync {
    /// When a row of this state was there; none if another state writes it.
    fn seen(&self, row: RowDigest) -> Option<SeenBetween>;
}

/// Gives the digest of every row that [`export_tables`](crate::export_tables) would write.
pub fn digest_rows(
    db: &Database,
    rows: &TableRows<'_>,
    decoded: bool,
    blobs: &Blobs,
    progress: &dyn Progress,
    take: &mut dyn FnMut(RowDigest),
) -> Result<(), ExportError> {
    let catalog = db.catalog()?;
    let views = match decoded {
        true => ColumnViews::for_database(db, &catalog),
        false => ColumnViews::none(),
    };
    for table in user_tables(&catalog) {
        let before = Before {
            given: &rows.given,
            deleted: rows.deleted,
            reserved: rows.reserved,
        };
        let columns = ese_columns::columns(table, &views, before);
        let converter = RowConverter {
            columns: &columns,
            blobs: Some(blobs),
            inline_limit: rows.inline_limit,
            lists_anywhere: rows.format != Format::Parquet,
            progress,
        };
        let reader = TableReader::new(db, table);
        let all = match rows.deleted {
            true => reader.rows_with_deleted(),
            false => reader.rows(),
        };
        for row in all {
            if progress.should_stop() {
                return Err(ExportError::Stopped);
            }
            let digest =
                converter.take(&row, |record| Ok(digest(&table.name, &columns, &record)))?;
            if let Some(digest) = digest {
                take(digest);
            }
        }
    }
    Ok(())
}

/// The digest of a row. Columns that are given say nothing of it.
pub(crate) fn digest(table: &str, columns: &[OutColumn<'_>], row: &ExportRow<'_>) -> RowDigest {
    let mut hasher = blake3::Hasher::new();
    add_bytes(&mut hasher, table.as_bytes());
    let cells = columns.iter().zip(&row.cells);
    for (column, cell) in cells {
        if !matches!(column.origin, Origin::Given(_)) && !matches!(cell, Cell::Null) {
            add_bytes(&mut hasher, column.name.as_bytes());
            add(&mut hasher, cell);
        }
    }
    for (place, problem) in &row.problems {
        add_bytes(&mut hasher, columns[*place].name.as_bytes());
        match &problem.kept {
            KeptBytes::Bytes(bytes) => add_bytes(&mut hasher, bytes),
            KeptBytes::File(name) => add_bytes(&mut hasher, name.as_bytes()),
            KeptBytes::Nowhere => {}
        }
    }
    let mut start = [0; 16];
    start.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    RowDigest(u128::from_le_bytes(start))
}

fn add_bytes(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

fn add(hasher: &mut blake3::Hasher, cell: &Cell<'_>) {
    let mut number = |kind: u8, bytes: [u8; 8]| {
        hasher.update(&[kind]);
        hasher.update(&bytes);
    };
    match cell {
        Cell::Null => number(0, [0; 8]),
        Cell::Bool(bit) => number(1, u64::from(*bit).to_le_bytes()),
        Cell::Integer(integer) => number(2, integer.to_le_bytes()),
        Cell::Unsigned(integer) => number(3, integer.to_le_bytes()),
        Cell::Single(single) => number(4, u64::from(single.to_bits()).to_le_bytes()),
        Cell::Double(double) => number(5, double.to_bits().to_le_bytes()),
        Cell::Time(time) => number(6, time.to_le_bytes()),
        Cell::Text(text) => {
            hasher.update(&[7]);
            add_bytes(hasher, text.as_bytes());
        }
        Cell::Bytes(bytes) => {
            hasher.update(&[8]);
            add_bytes(hasher, bytes);
        }
        Cell::List(cells) => {
            number(9, (cells.len() as u64).to_le_bytes());
            for cell in cells {
                add(hasher, cell);
            }
        }
    }
}
