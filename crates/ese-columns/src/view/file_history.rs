//! File History of Windows: `Catalog1.edb`.
//!
//! Folders and names are numbers of table `string`, and moments are numbers of table `backupset`: the backup in which a file was
//! seen first (`tCreated`) and last (`tVisible`), or was queued and copied. 2147483647 stands for "still there", and gives null.

use super::{ColumnView, Explained, Meaning, forms};
use ese_db::{Catalog, ColumnType, Database};

pub(super) fn views(db: &Database, catalog: &Catalog) -> Option<Vec<Explained>> {
    if !forms::has_all(catalog, &["backupset", "namespace", "library"]) {
        return None;
    }
    let strings = catalog.table("string").map(|table| {
        forms::entries(db, table, ["id", "string"], |fields, [id, string]| {
            let id = forms::number(&fields.value(id))?;
            Some((id, forms::name(fields, string)?))
        })
    });
    let backups = catalog.table("backupset").map(|table| {
        forms::entries(db, table, ["id", "timestamp"], |fields, [id, time]| {
            let id = forms::number(&fields.value(id))?;
            let time = forms::filetime(&fields.value(time))?;
            Some((id, forms::time(time)?))
        })
    });
    let strings = strings.unwrap_or_default().into_iter().collect();
    let backups = backups.unwrap_or_default().into_iter().collect();
    Some(vec![
        Explained::new(
            |table, column| {
                let is_string = matches!(column.name.as_str(), "parentId" | "childId");
                TABLES.contains(&table.name.as_str())
                    && is_string
                    && column.column_type == ColumnType::Long
            },
            vec![ColumnView::new("name", Meaning::Names(strings))],
        ),
        Explained::new(
            |table, column| {
                TABLES.contains(&table.name.as_str())
                    && BACKUPS.contains(&column.name.as_str())
                    && column.column_type == ColumnType::Long
            },
            vec![ColumnView::new("time", Meaning::Moments(backups))],
        ),
        Explained::new(
            |table, column| {
                let is_time = match table.name.as_str() {
                    "namespace" => matches!(column.name.as_str(), "fileCreated" | "fileModified"),
                    "backupset" => column.name == "timestamp",
                    _ => false,
                };
                is_time && forms::is_64_bits(column)
            },
            vec![ColumnView::filetime("time", forms::filetime)],
        ),
    ])
}

/// Tables that tell of files.
const TABLES: [&str; 3] = ["file", "library", "namespace"];

/// Columns that name a backup.
const BACKUPS: [&str; 5] = ["tCaptured", "tCreated", "tQueued", "tUpdated", "tVisible"];
