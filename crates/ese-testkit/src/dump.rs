//! The canonical form of rows that the reference fixtures use.

use ese_db::{Column, ColumnType, Database, TableReader, Value};
use ese_format::hex;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The rows of one table, each with the hexadecimal key.
#[derive(Debug, Default)]
pub struct TableDump {
    /// Its columns: name, id and type.
    pub schema: Json,
    /// Key and values of each.
    pub rows: Vec<(String, Json)>,
}

/// Tables by name.
pub type Dump = BTreeMap<String, TableDump>;

/// A dump made by the engine.
pub fn parse(lines: &[&str]) -> Dump {
    let mut tables = Dump::new();
    for line in lines {
        let mut line: Json = serde_json::from_str(line).unwrap();
        let table = line["table"].as_str().unwrap().to_owned();
        let table = tables.entry(table).or_default();
        match line["bm"].as_str().map(str::to_owned) {
            Some(key) => table.rows.push((key, line["row"].take())),
            None => table.schema = line["schema"].take(),
        }
    }
    tables
}

/// Compares two dumps, schemas included, and returns how many rows and values were equal.
pub fn compare(name: &str, found: &Dump, expected: &Dump) -> (usize, usize) {
    let tables = |dump: &Dump| dump.keys().cloned().collect::<Vec<_>>();
    assert_eq!(tables(found), tables(expected), "{name}: tables");
    for (table, expected) in expected {
        let found = &found[table];
        assert_eq!(found.schema, expected.schema, "{name}, {table}: columns");
    }
    compare_rows(name, found, expected)
}

/// Compares the rows of two dumps; a list of rows alone does not name tables without any.
pub fn compare_rows(name: &str, found: &Dump, expected: &Dump) -> (usize, usize) {
    let (mut rows, mut values) = (0, 0);
    let none = TableDump::default();
    for table in found
        .keys()
        .chain(expected.keys().filter(|table| !found.contains_key(*table)))
    {
        let found = found.get(table).unwrap_or(&none);
        let expected = expected.get(table).unwrap_or(&none);
        assert_eq!(
            found.rows.len(),
            expected.rows.len(),
            "{name}, {table}: number of rows"
        );
        for (found, expected) in found.rows.iter().zip(&expected.rows) {
            assert_eq!(found, expected, "{name}, {table}");
            rows += 1;
            values += expected.1.as_object().map_or(0, Map::len);
        }
    }
    (rows, values)
}

/// A dump of what this project reads.
pub fn dump(db: &Database) -> Dump {
    let catalog = db.catalog().unwrap();
    assert!(catalog.losses.is_empty(), "{:?}", catalog.losses);
    let users = catalog
        .tables
        .iter()
        .filter(|table| !table.name.starts_with("MSys"));
    users
        .map(|table| {
            let reader = TableReader::new(db, table);
            let mut columns: Vec<&Column> = reader.columns().collect();
            columns.sort_by_key(|column| &column.name);
            let schema = columns.iter().map(|column| {
                json!({"name": column.name, "id": column.id, "typ": type_number(column.column_type)})
            });
            let mut dump = TableDump {
                schema: schema.collect(),
                rows: Vec::new(),
            };
            // The canonical form is made of the bytes: read every column as if it were binary.
            let raw: Vec<(Column, &Column)> = columns
                .iter()
                .map(|column| {
                    let binary = Column {
                        column_type: ColumnType::Binary,
                        max_size: column.fixed_size() as u32,
                        ..(*column).clone()
                    };
                    (binary, *column)
                })
                .collect();
            let mut rows = reader.rows();
            for row in &mut rows {
                let fields = row.fields().unwrap();
                let mut values = Map::new();
                for (binary, column) in &raw {
                    let value = fields.value(binary);
                    if value != Value::Null {
                        values.insert(column.name.clone(), canonical(&value, column));
                    }
                }
                dump.rows.push((hex::encode(fields.key()), Json::Object(values)));
            }
            let losses = rows.losses();
            assert!(losses.is_empty(), "{}: {losses:?}", table.name);
            (table.name.clone(), dump)
        })
        .collect()
}

fn canonical(value: &Value<'_>, column: &Column) -> Json {
    let bytes = match value {
        Value::Binary(bytes) => bytes.as_ref(),
        Value::Multi(values) => {
            return values
                .iter()
                .map(|value| canonical(value, column))
                .collect();
        }
        Value::Undecoded { reason, .. } => panic!("column {}: {reason}", column.name),
        other => panic!("column {} is not read as bytes: {other:?}", column.name),
    };
    let integer = |wide: &dyn Fn([u8; 8]) -> Json, signed: bool| {
        let fill = if signed && bytes.last().is_some_and(|last| *last >= 0x80) {
            0xff
        } else {
            0
        };
        let mut filled = [fill; 8];
        filled[..bytes.len()].copy_from_slice(bytes);
        wide(filled)
    };
    let signed = |bytes| json!(i64::from_le_bytes(bytes));
    let unsigned = |bytes| json!(u64::from_le_bytes(bytes));
    match column.column_type {
        ColumnType::Bit => json!(bytes[0] != 0),
        ColumnType::UnsignedByte
        | ColumnType::UnsignedShort
        | ColumnType::UnsignedLong
        | ColumnType::UnsignedLongLong => integer(&unsigned, false),
        ColumnType::Short | ColumnType::Long | ColumnType::Currency | ColumnType::LongLong => {
            integer(&signed, true)
        }
        _ if bytes.len() > 300 => {
            json!({"len": bytes.len(), "sha256": hex::encode(Sha256::digest(bytes))})
        }
        _ if column.column_type.is_text() && column.code_page != 1200 => {
            json!(
                bytes
                    .iter()
                    .map(|byte| char::from(*byte))
                    .collect::<String>()
            )
        }
        _ => json!(format!("x:{}", hex::encode(bytes))),
    }
}

fn type_number(column_type: ColumnType) -> u32 {
    (0..=18)
        .find(|number| ColumnType::from_number(*number) == column_type)
        .unwrap()
}
