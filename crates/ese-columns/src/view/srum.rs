//! SRUM, the System Resource Usage Monitor: `SRUDB.dat`.

use super::{ColumnView, Explained, Meaning, forms};
use ese_db::{Catalog, ColumnType, Database, SRUM_MAP, Table, Value};
use std::collections::HashMap;

pub(super) fn views(db: &Database, catalog: &Catalog) -> Option<Vec<Explained>> {
    let map = id_map(db, catalog.table(SRUM_MAP)?);
    Some(vec![
        Explained::new(
            |table, column| {
                let is_id = match table.name == SRUM_MAP {
                    // What the map itself says of an entry depends on its type, which is another column.
                    true => column.name == "IdIndex",
                    false => matches!(column.name.as_str(), "AppId" | "UserId"),
                };
                is_id && column.column_type == ColumnType::Long
            },
            vec![ColumnView::new("name", Meaning::Names(map))],
        ),
        Explained::new(
            |_, column| forms::is_64_bits(column) && is_instant(&column.name),
            vec![ColumnView::filetime("time", forms::filetime)],
        ),
        Explained::new(
            |_, column| forms::is_64_bits(column) && column.name == "InterfaceLuid",
            vec![ColumnView::text("name", interface)],
        ),
    ])
}

/// Whether a column of this name holds a point in time. SRUM counts how long a program was in the foreground and how many
/// cycles it took under names that end alike.
fn is_instant(name: &str) -> bool {
    let is_duration = matches!(name, "FaceTime" | "ProcessorTime") || name.ends_with("CycleTime");
    (name.ends_with("Time") && !is_duration) || name == "EventTimestamp"
}

/// SRUM's map of ids: programs and services in UTF-16, users as binary SIDs (type 3).
fn id_map(db: &Database, table: &Table) -> HashMap<i64, String> {
    const SID: u64 = 3;
    let columns = ["IdType", "IdIndex", "IdBlob"];
    let entries = forms::entries(db, table, columns, |fields, [kind, index, blob]| {
        let Value::Integer(index) = fields.value(index) else {
            return None;
        };
        let bytes = forms::short(fields, blob)?;
        let name = match fields.value(kind) {
            Value::Unsigned(SID) => forms::sid(&bytes),
            _ => forms::utf16(&bytes),
        };
        Some((index, name?))
    });
    entries.into_iter().collect()
}

/// The name that Windows gives to a network interface: its type, and the number that it has among those of the type. An
/// `IF_LUID` has the type in its upper 16 bits, the number in the 24 below, and 24 that are reserved.
fn interface(value: &Value<'_>) -> Option<String> {
    let luid = forms::number(value)?.cast_unsigned();
    let (kind, index) = (luid >> 48, luid >> 24 & 0xff_ffff);
    let kind = match kind {
        _ if luid & 0xff_ffff != 0 => return None,
        1 => "other",
        6 => "ethernet",
        23 => "ppp",
        24 => "loopback",
        71 => "wireless",
        131 => "tunnel",
        _ => return None,
    };
    Some(format!("{kind}_{index}"))
}
