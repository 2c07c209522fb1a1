//! The forms that values have in several schemas, and the maps that views look names up in.

use crate::cell::filetime_microseconds;
use byteorder::{BigEndian, ByteOrder, LittleEndian};
use ese_db::rows::{Content, Contents, Fields};
use ese_db::value::decode;
use ese_db::{Catalog, Column, ColumnType, Database, Table, TableReader, Text, Value};
use ese_format::text::utf16_units;
use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Names of more bytes are none: a path of Windows has 32,767 characters at most.
const LONGEST_NAME: usize = 1 << 16;

/// Whether the catalog has all of these tables.
pub(super) fn has_all(catalog: &Catalog, tables: &[&str]) -> bool {
    tables.iter().all(|name| catalog.table(name).is_some())
}

/// Whether the column holds bytes.
pub(super) fn is_binary(column: &Column) -> bool {
    matches!(
        column.column_type,
        ColumnType::Binary | ColumnType::LongBinary
    )
}

/// Whether the column holds numbers of 64 bits.
pub(super) fn is_64_bits(column: &Column) -> bool {
    matches!(
        column.column_type,
        ColumnType::LongLong | ColumnType::Currency
    )
}

/// A whole number, of any type that holds one.
pub(super) fn number(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        Value::Unsigned(number) => i64::try_from(*number).ok(),
        // Beyond 32 bits a float may stand for several numbers.
        Value::Double(float) if f64::from(*float as i32) == *float => Some(*float as i64),
        _ => None,
    }
}

/// A FILETIME, as a number or in eight bytes with the low one first.
pub(super) fn filetime(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        Value::Binary(bytes) => Some(i64::from_le_bytes(bytes.as_ref().try_into().ok()?)),
        _ => None,
    }
}

/// A FILETIME in eight bytes with the high one first.
pub(super) fn filetime_high_first(value: &Value<'_>) -> Option<i64> {
    let Value::Binary(bytes) = value else {
        return None;
    };
    Some(i64::from_be_bytes(bytes.as_ref().try_into().ok()?))
}

/// Microseconds since 1970 of a FILETIME. Zero and values far from our time are not times.
pub(super) fn time(filetime: i64) -> Option<i64> {
    const YEAR_1970: i64 = 116_444_736_000_000_000;
    const YEAR_2200: i64 = 189_024_192_000_000_000;
    match (YEAR_1970..YEAR_2200).contains(&filetime) {
        true => filetime_microseconds(filetime),
        false => None,
    }
}

/// An address of four or sixteen bytes.
pub(super) fn address(value: &Value<'_>) -> Option<String> {
    let Value::Binary(bytes) = value else {
        return None;
    };
    if let Ok(four) = <[u8; 4]>::try_from(bytes.as_ref()) {
        return Some(Ipv4Addr::from(four).to_string());
    }
    let sixteen = <[u8; 16]>::try_from(bytes.as_ref()).ok()?;
    Some(Ipv6Addr::from(sixteen).to_string())
}

/// Text that a binary column holds in UTF-16. Other bytes often are UTF-16 by accident, but seldom without control characters.
pub(super) fn wide_text(value: &Value<'_>) -> Option<String> {
    let Value::Binary(bytes) = value else {
        return None;
    };
    utf16(bytes).filter(|text| is_readable(text))
}

/// Texts that a binary column holds in UTF-16 with a NUL between them, as Windows shows them: `one; other`.
pub(super) fn wide_texts(value: &Value<'_>) -> Option<String> {
    let Value::Binary(bytes) = value else {
        return None;
    };
    let text = utf16(bytes)?;
    let texts: Vec<&str> = text.split('\0').collect();
    let readable = texts.iter().all(|text| is_readable(text));
    readable.then(|| texts.join("; "))
}

fn is_readable(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_control() && !matches!(c, '\t' | '\r' | '\n'))
}

/// Text in UTF-16, without the NULs at its end.
pub(super) fn utf16(bytes: &[u8]) -> Option<String> {
    if !bytes.len().is_multiple_of(2) {
        return None;
    }
    let text = String::from_utf16(&utf16_units(bytes)).ok()?;
    Some(text.trim_end_matches('\0').to_owned())
}

/// A binary SID as `S-1-...`.
pub(super) fn sid(bytes: &[u8]) -> Option<String> {
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

/// The bytes of a value that may be a name.
pub(super) fn short<'a>(fields: &Fields<'a>, column: &'a Column) -> Option<Cow<'a, [u8]>> {
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

/// The text of a column of texts, without the NULs at its end.
pub(super) fn name(fields: &Fields<'_>, column: &Column) -> Option<String> {
    let bytes = short(fields, column)?;
    match decode(bytes, column.column_type, column.code_page) {
        Value::Text(Text::Decoded(text)) => Some(text.trim_end_matches('\0').to_owned()),
        _ => None,
    }
}

/// What the rows of a table say of these columns: entries of a map. A table without one of the columns has none.
pub(super) fn entries<T, const N: usize>(
    db: &Database,
    table: &Table,
    columns: [&str; N],
    entry: impl Fn(&Fields<'_>, [&Column; N]) -> Option<T>,
) -> Vec<T> {
    let found = columns.map(|name| table.column(name));
    if found.iter().any(Option::is_none) {
        return Vec::new();
    }
    let columns = found.map(|column| column.expect("none is missing"));
    let mut entries = Vec::new();
    for row in TableReader::new(db, table).rows() {
        let Ok(fields) = row.fields() else { continue };
        entries.extend(entry(&fields, columns));
    }
    entries
}

/// The folders of a tree, each with its parent's number.
#[derive(Debug, Default)]
pub(super) struct Paths(pub(super) HashMap<i64, (i64, String)>);

impl Paths {
    /// Names of all folders from the root to this one, one after the other. Where a tree is damaged, folders may be each
    /// other's parents: a chain of more levels than a path can have is none.
    pub(super) fn of(&self, folder: i64) -> Option<String> {
        let (mut parent, mut names, mut length) = (folder, Vec::new(), 0);
        while let Some((next, name)) = self.0.get(&parent) {
            length += name.len().max(1);
            if length > LONGEST_NAME {
                return None;
            }
            names.push(name.as_str());
            parent = *next;
        }
        names.reverse();
        (!names.is_empty()).then(|| names.concat())
    }
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
        let address = |bytes: &[u8]| address(&Value::Binary(bytes.into()));
        assert_eq!(address(&[10, 0, 0, 7]).unwrap(), "10.0.0.7");
        let mut local = [0; 16];
        local[15] = 1;
        assert_eq!(address(&local).unwrap(), "::1");
        assert_eq!(address(&[1, 2, 3]), None);
    }

    #[test]
    fn what_is_no_time_of_ours_is_null() {
        // `LastAccessTime` of a WebCache container, written on 2023-08-21.
        assert_eq!(time(133_370_576_566_552_287), Some(1_692_584_056_655_228));
        assert_eq!((time(0), time(-1), time(i64::MAX)), (None, None, None));
    }

    #[test]
    fn bytes_that_are_no_text_are_null() {
        let text = |bytes: &[u8]| wide_text(&Value::Binary(bytes.into()));
        assert_eq!(text(b"1\x000\x000\0\0\0").unwrap(), "100");
        assert_eq!(text(b"1\x000"), None);
        assert_eq!(text(&[1, 0, 2, 0]), None);
        assert_eq!(text(&[0, 0xd8, 0x31, 0]), None);
    }

    #[test]
    fn folders_that_are_each_others_parents_have_no_path() {
        let folder = |parent, name: &str| (parent, name.to_owned());
        let tree = [(2, folder(1, "file:")), (3, folder(2, "///C:/"))];
        assert_eq!(Paths(tree.into()).of(3).unwrap(), "file:///C:/");
        let circle = [(2, folder(3, "")), (3, folder(2, "a"))];
        assert_eq!(Paths(circle.into()).of(3), None);
    }
}
