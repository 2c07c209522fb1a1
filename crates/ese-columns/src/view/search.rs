//! Windows Search: `Windows.edb`.
//!
//! `SystemIndex_PropertyStore` has a column for each property of documents, called `NUMBER-Property_Name`; the number is another
//! one on every machine. `SystemIndex_Gthr` has the documents that were gathered, each by its name and the number of its
//! folder, and `SystemIndex_GthrPth` the folders. Path and name of a document together are its `System_ItemUrl`, but for the
//! volume, which folders have after the drive as `[GUID]/`.

use super::{ColumnView, Explained, Meaning, forms};
use ese_db::{Catalog, Column, ColumnType, Database, Value};

pub(super) fn views(db: &Database, catalog: &Catalog) -> Option<Vec<Explained>> {
    let gatherer = catalog.table(GATHERER);
    catalog.table(PROPERTIES).or(gatherer)?;
    Some(vec![
        // The gatherer stores this time with the high byte first, and properties have the low byte first: the same documents
        // have the same times only if they are read so.
        Explained::new(
            |table, column| {
                table.name == GATHERER && column.name == "LastModified" && is_eight_bytes(column)
            },
            vec![ColumnView::filetime("time", forms::filetime_high_first)],
        ),
        Explained::new(
            |table, column| {
                let is_folder = match table.name.as_str() {
                    GATHERER => column.name == "ScopeID",
                    FOLDERS => column.name == "Scope",
                    _ => false,
                };
                is_folder && column.column_type == ColumnType::UnsignedLong
            },
            vec![ColumnView::new("path", Meaning::Path(folders(db, catalog)))],
        ),
        Explained::new(
            |_, column| is_eight_bytes(column) && is_instant(property(column)),
            vec![ColumnView::filetime("time", forms::filetime)],
        ),
        Explained::new(
            |_, column| forms::is_64_bits(column) && is_instant(&column.name),
            vec![ColumnView::filetime("time", forms::filetime)],
        ),
        Explained::new(
            |table, column| {
                let is_size = property(column) == "System_Size" && is_eight_bytes(column);
                table.name == PROPERTIES && is_size
            },
            vec![ColumnView::new("bytes", Meaning::Number(size))],
        ),
        Explained::new(
            |table, column| {
                let is_text = column.column_type == ColumnType::LongBinary
                    && TEXTS.contains(&property(column));
                table.name == PROPERTIES && is_text
            },
            vec![ColumnView::text("text", forms::wide_texts)],
        ),
    ])
}

const GATHERER: &str = "SystemIndex_Gthr";
const FOLDERS: &str = "SystemIndex_GthrPth";
const PROPERTIES: &str = "SystemIndex_PropertyStore";

/// Properties that are lists of texts, which real files hold as UTF-16. Those whose form no file here proves are left out.
const TEXTS: [&str; 10] = [
    "System_ActivityHistory_DaysActive",
    "System_ActivityHistory_HoursActive",
    "System_Activity_AppIdList",
    "System_Author",
    "System_ItemAuthors",
    "System_ItemParticipants",
    "System_Keywords",
    "System_Kind",
    "System_Media_Producer",
    "System_Photo_TagViewAggregate",
];

/// The property that a column holds: its name without the number.
fn property(column: &Column) -> &str {
    let name = column.name.as_str();
    name.split_once('-').map_or(name, |(_, property)| property)
}

fn is_eight_bytes(column: &Column) -> bool {
    column.column_type == ColumnType::Binary && column.max_size == 8
}

/// Whether a property of this name is a point in time. Some are durations, and some are in the time of a place that the
/// database does not name: as a time in UTC they would be wrong by hours.
fn is_instant(property: &str) -> bool {
    let is_time = property.contains("Date") || property.contains("Time");
    let is_local = property.contains("LocalStartTime") || property.contains("LocalEndTime");
    is_time && !is_local && !property.ends_with("TotalEditingTime")
}

fn size(value: &Value<'_>) -> Option<u64> {
    let Value::Binary(bytes) = value else {
        return None;
    };
    Some(u64::from_le_bytes(bytes.as_ref().try_into().ok()?))
}

/// The folders in which documents were found.
fn folders(db: &Database, catalog: &Catalog) -> forms::Paths {
    let Some(table) = catalog.table(FOLDERS) else {
        return forms::Paths::default();
    };
    let columns = ["Scope", "Parent", "Name"];
    let folders = forms::entries(db, table, columns, |fields, [scope, parent, name]| {
        let scope = forms::number(&fields.value(scope))?;
        let parent = forms::number(&fields.value(parent))?;
        Some((scope, (parent, forms::name(fields, name)?)))
    });
    forms::Paths(folders.into_iter().collect())
}
