//! Decoded views of well-known schemas: a further column after the one it explains. The raw column stays as it is.
//!
//! | schema | known by | view |
//! |---|---|---|
//! | SRUM | table `SruDbIdMapTable` | `AppId_name`, `UserId_name`: program, service or SID; FILETIMEs as time |
//! | WebCache | table `Containers` | FILETIMEs of containers and their entries as time |
//! | UAL, SUM | tables `CLIENTS` or `ROLE_IDS` | `Address_ip`; `RoleGuid_name` where the database names its roles |
//! | Windows Search | table `SystemIndex_PropertyStore` | FILETIMEs in eight bytes as time |
//!
//! Windows Search stores `LastModified` of its gatherer (`SystemIndex_Gthr`) with the high byte first and the properties
//! of documents with the low byte first: the same documents have the same times only if they are read so.
//!
//! Columns are recognised by name and type together, so that a view never replaces what a column does not hold.

use crate::cell::{Cell, filetime_microseconds};
use crate::layout::Kind;
use byteorder::{BigEndian, ByteOrder, LittleEndian};
use ese_db::rows::{Content, Contents, Fields};
use ese_db::value::decode;
use ese_db::{Catalog, Column, ColumnType, Database, SRUM_MAP, Table, TableReader, Text, Value};
use ese_format::text::utf16_units;
use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

/// How a column is decoded.
#[derive(Debug)]
pub enum ColumnView {
    /// A number that names an entry of a map.
    Names(HashMap<i64, String>),
    /// A GUID that names a role.
    Roles(HashMap<[u8; 16], String>),
    /// 100 ns since 1601; in bytes, the low one first.
    Filetime,
    /// The same, the high byte first.
    FiletimeHighFirst,
    /// Four or sixteen bytes.
    Address,
}

impl ColumnView {
    /// What the name of the view's column ends with.
    pub fn suffix(&self) -> &'static str {
        match self {
            ColumnView::Names(_) | ColumnView::Roles(_) => "name",
            ColumnView::Filetime | ColumnView::FiletimeHighFirst => "time",
            ColumnView::Address => "ip",
        }
    }

    /// The type of the view's column.
    pub fn kind(&self) -> Kind {
        match self {
            ColumnView::Filetime | ColumnView::FiletimeHighFirst => Kind::Time,
            _ => Kind::Text,
        }
    }

    /// The decoded cell; null where the value is not of the expected form.
    pub fn cell<'a>(&'a self, value: &Value<'_>) -> Cell<'a> {
        let text = |text: Option<String>| text.map_or(Cell::Null, |text| Cell::Text(text.into()));
        match (self, value) {
            (_, Value::Multi(values)) => {
                Cell::List(values.iter().map(|value| self.cell(value)).collect())
            }
            (ColumnView::Names(names), Value::Integer(number)) => names
                .get(number)
                .map_or(Cell::Null, |name| Cell::Text(name.into())),
            (ColumnView::Roles(names), Value::Guid(guid)) => names
                .get(guid)
                .map_or(Cell::Null, |name| Cell::Text(name.into())),
            (ColumnView::Filetime, Value::Integer(number)) => filetime(*number),
            (ColumnView::Filetime, Value::Binary(bytes)) => match bytes.as_ref().try_into() {
                Ok(bytes) => filetime(i64::from_le_bytes(bytes)),
                Err(_) => Cell::Null,
            },
            (ColumnView::FiletimeHighFirst, Value::Binary(bytes)) => {
                match bytes.as_ref().try_into() {
                    Ok(bytes) => filetime(i64::from_be_bytes(bytes)),
                    Err(_) => Cell::Null,
                }
            }
            (ColumnView::Address, Value::Binary(bytes)) => text(address(bytes)),
            _ => Cell::Null,
        }
    }
}

/// Zero and values far from our time are not times.
fn filetime(number: i64) -> Cell<'static> {
    const YEAR_1970: i64 = 116_444_736_000_000_000;
    const YEAR_2200: i64 = 189_024_192_000_000_000;
    match (YEAR_1970..YEAR_2200).contains(&number) {
        true => filetime_microseconds(number).map_or(Cell::Null, Cell::Time),
        false => Cell::Null,
    }
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(four).to_string());
    }
    let sixteen = <[u8; 16]>::try_from(bytes).ok()?;
    Some(Ipv6Addr::from(sixteen).to_string())
}

/// The views that fit one database.
#[derive(Debug)]
pub struct ColumnViews {
    names: Option<ColumnView>,
    roles: Option<ColumnView>,
    filetime: Option<ColumnView>,
    gathered: Option<ColumnView>,
    address: Option<ColumnView>,
}

impl ColumnViews {
    /// No views: everything as it is stored.
    pub fn none() -> Self {
        ColumnViews {
            names: None,
            roles: None,
            filetime: None,
            gathered: None,
            address: None,
        }
    }

    /// The views for a database with these tables.
    pub fn for_database(db: &Database, catalog: &Catalog) -> Self {
        let has = |name| catalog.table(name).is_some();
        let srum = catalog.table(SRUM_MAP);
        let roles = catalog.table("ROLE_IDS");
        let times = srum.is_some() || has("Containers") || has("SystemIndex_PropertyStore");
        ColumnViews {
            names: srum.map(|table| ColumnView::Names(id_map(db, table))),
            roles: roles.map(|table| ColumnView::Roles(role_map(db, table))),
            filetime: times.then_some(ColumnView::Filetime),
            gathered: has("SystemIndex_Gthr").then_some(ColumnView::FiletimeHighFirst),
            address: (has("CLIENTS") || roles.is_some()).then_some(ColumnView::Address),
        }
    }

    /// The view that explains `column` of `table`, if there is one.
    pub fn of(&self, table: &Table, column: &Column) -> Option<&ColumnView> {
        let name = column.name.as_str();
        match column.column_type {
            ColumnType::Long if matches!(name, "AppId" | "UserId") && table.name != SRUM_MAP => {
                self.names.as_ref()
            }
            ColumnType::Guid if name == "RoleGuid" => self.roles.as_ref(),
            ColumnType::LongLong | ColumnType::Currency if is_instant(name) => {
                self.filetime.as_ref()
            }
            ColumnType::Binary
                if column.max_size == 8 && (name.contains("Date") || name.contains("Time")) =>
            {
                self.filetime.as_ref()
            }
            ColumnType::Binary
                if name == "LastModified"
                    && column.max_size == 8
                    && table.name == "SystemIndex_Gthr" =>
            {
                self.gathered.as_ref()
            }
            ColumnType::Binary | ColumnType::LongBinary if name == "Address" => {
                self.address.as_ref()
            }
            _ => None,
        }
    }
}

/// Whether a column of this name holds a point in time. SRUM counts how long a program was in the foreground and how many
/// cycles it took under names that end alike.
fn is_instant(name: &str) -> bool {
    let is_duration = matches!(name, "FaceTime" | "ProcessorTime") || name.ends_with("CycleTime");
    (name.ends_with("Time") && !is_duration) || name == "EventTimestamp"
}

/// Names of more bytes are none: a path of Windows has 32,767 characters at most.
const LONGEST_NAME: usize = 1 << 16;

/// SRUM's map of ids: programs and services in UTF-16, users as binary SIDs (type 3).
fn id_map(db: &Database, table: &Table) -> HashMap<i64, String> {
    const SID: u64 = 3;
    let mut names = HashMap::new();
    let columns = ["IdType", "IdIndex", "IdBlob"].map(|name| table.column(name));
    let [Some(kind), Some(index), Some(blob)] = columns else {
        return names;
    };
    for row in TableReader::new(db, table).rows() {
        let Ok(fields) = row.fields() else { continue };
        let (Value::Integer(index), Some(bytes)) = (fields.value(index), short(&fields, blob))
        else {
            continue;
        };
        let name = match fields.value(kind) {
            Value::Unsigned(SID) => sid(&bytes),
            _ => utf16(&bytes),
        };
        names.extend(name.map(|name| (index, name)));
    }
    names
}

/// The bytes of a value that may be a name.
fn short<'a>(fields: &Fields<'a>, column: &'a Column) -> Option<Cow<'a, [u8]>> {
    let pieces = match fields.contents(column) {
        Contents::One(Content::Bytes(bytes)) => return Some(bytes),
        Contents::One(Content::Separated(long)) => long.pieces().ok()?,
        _ => return None,
    };
    let mut bytes = Vec::new();
    for piece in pieces {
        bytes.extend_from_slice(&piece);
        if bytes.len() > LONGEST_NAME {
            return None;
        }
    }
    Some(bytes.into())
}

/// UAL's map of roles.
fn role_map(db: &Database, table: &Table) -> HashMap<[u8; 16], String> {
    let mut names = HashMap::new();
    let (Some(guid), Some(name)) = (table.column("RoleGuid"), table.column("RoleName")) else {
        return names;
    };
    for row in TableReader::new(db, table).rows() {
        let Ok(fields) = row.fields() else { continue };
        let (Value::Guid(guid), Some(bytes)) = (fields.value(guid), short(&fields, name)) else {
            continue;
        };
        if let Value::Text(Text::Decoded(text)) = decode(bytes, name.column_type, name.code_page) {
            names.insert(guid, text.trim_end_matches('\0').to_owned());
        }
    }
    names
}

fn utf16(bytes: &[u8]) -> Option<String> {
    if !bytes.len().is_multiple_of(2) {
        return None;
    }
    let text = String::from_utf16(&utf16_units(bytes)).ok()?;
    Some(text.trim_end_matches('\0').to_owned())
}

/// A binary SID as `S-1-...`.
fn sid(bytes: &[u8]) -> Option<String> {
    let (&[revision, count, ..], rest) = (bytes.first_chunk::<2>()?, bytes.get(2..)?);
    let (authority, subs) = rest.split_at_checked(6)?;
    if revision != 1 || subs.len() != 4 * usize::from(count) {
        return None;
    }
    let mut text = format!("S-1-{}", BigEndian::read_u48(authority));
    for sub in subs.chunks_exact(4) {
        text.push_str(&format!("-{}", LittleEndian::read_u32(sub)));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sid_reads_as_windows_prints_it() {
        let system = [1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0];
        assert_eq!(sid(&system).unwrap(), "S-1-5-18");
        assert_eq!(sid(&system[..11]), None);
        assert_eq!(sid(&[]), None);
    }

    #[test]
    fn addresses_have_four_or_sixteen_bytes() {
        assert_eq!(address(&[10, 0, 0, 7]).unwrap(), "10.0.0.7");
        let mut local = [0; 16];
        local[15] = 1;
        assert_eq!(address(&local).unwrap(), "::1");
        assert_eq!(address(&[1, 2, 3]), None);
    }

    #[test]
    fn what_is_no_time_of_ours_is_null() {
        let micros = |number| match filetime(number) {
            Cell::Time(micros) => Some(micros),
            _ => None,
        };
        // `LastAccessTime` of a WebCache container, written on 2023-08-21.
        assert_eq!(micros(133_370_576_566_552_287), Some(1_692_584_056_655_228));
        assert_eq!(
            (micros(0), micros(-1), micros(i64::MAX)),
            (None, None, None)
        );
    }
}
