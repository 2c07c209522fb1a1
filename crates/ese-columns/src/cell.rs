//! A value on its way out: the few kinds that all formats have in common.

use byteorder::{BigEndian, ByteOrder, LittleEndian};
use ese_db::value::DateTime;
use ese_db::{Text, Value};
use std::borrow::Cow;

/// One cell of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// A number with sign.
    Integer(i64),
    /// A number without sign.
    Unsigned(u64),
    /// 32-bit float.
    Single(f32),
    /// 64-bit float.
    Double(f64),
    /// Microseconds since 1970-01-01 UTC.
    Time(i64),
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
    /// Several values.
    List(Vec<Cell<'a>>),
}

/// A value that could not be read, or not to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellProblem {
    /// Its bytes.
    pub kept: KeptBytes,
    /// Why it could not be read.
    pub reason: String,
    /// Whether the cell holds all of it that there is: a text of which the engine cut the last character in two.
    pub is_cut: bool,
}

impl CellProblem {
    /// A value that could not be read.
    pub fn new(kept: KeptBytes, reason: String) -> Self {
        CellProblem {
            kept,
            reason,
            is_cut: false,
        }
    }
}

/// The value of one column, ready for a cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Fetched<'a> {
    /// The value; null where it is in a file or could not be read.
    pub value: Value<'a>,
    /// Name of the file that holds it: a list for several values, null when there is none.
    pub file: Cell<'static>,
    /// What could not be read.
    pub problems: Vec<CellProblem>,
    /// Bytes of each value that is too long for a row where there are no files to put it in.
    pub left_out: Vec<u64>,
}

/// The bytes of a value that could not be read, or the file that holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptBytes {
    /// The bytes.
    Bytes(Vec<u8>),
    /// The file that holds them.
    File(String),
    /// Too many bytes where there are no files.
    Nowhere,
}

impl<'a> Cell<'a> {
    /// The cell for a value; parts that cannot be read become null, and a problem each.
    pub fn of(value: &'a Value<'_>, problems: &mut Vec<CellProblem>) -> Cell<'a> {
        let mut problem = |bytes: &[u8], reason: &str| {
            let kept = KeptBytes::Bytes(bytes.to_owned());
            problems.push(CellProblem::new(kept, reason.to_owned()));
            Cell::Null
        };
        match value {
            Value::Null => Cell::Null,
            Value::Bit(bit) => Cell::Bool(*bit),
            Value::Integer(number) => Cell::Integer(*number),
            Value::Unsigned(number) => Cell::Unsigned(*number),
            Value::Single(number) => Cell::Single(*number),
            Value::Double(number) => Cell::Double(*number),
            Value::DateTime(time) => microseconds(*time).map_or(Cell::Null, Cell::Time),
            Value::Guid(bytes) => Cell::Text(guid(*bytes).into()),
            Value::Text(Text::Decoded(text)) => Cell::Text(Cow::Borrowed(text)),
            Value::Text(Text::Cut { text, bytes }) => {
                let kept = KeptBytes::Bytes(bytes.to_vec());
                problems.push(CellProblem {
                    is_cut: true,
                    ..CellProblem::new(kept, "the last character of the text is cut in two".into())
                });
                Cell::Text(Cow::Borrowed(text))
            }
            Value::Text(Text::Bytes(bytes)) => {
                problem(bytes, "the bytes are not text in the column's code page")
            }
            Value::Binary(bytes) => Cell::Bytes(Cow::Borrowed(bytes)),
            Value::Multi(values) => {
                let cells = values.iter().map(|value| Cell::of(value, problems));
                Cell::List(cells.collect())
            }
            Value::Undecoded { bytes, reason } => problem(bytes, reason),
        }
    }

    /// The raw bits of dates, for the column beside them.
    pub fn raw_dates(value: &Value<'_>) -> Cell<'a> {
        match value {
            Value::DateTime(DateTime(bits)) => Cell::Unsigned(*bits),
            Value::Multi(values) => Cell::List(values.iter().map(Cell::raw_dates).collect()),
            _ => Cell::Null,
        }
    }
}

/// The time that a DateTime column means: as the type defines it, or a FILETIME where the bits can be nothing else.
#[inline]
pub fn microseconds(time: DateTime) -> Option<i64> {
    let defined = time
        .unix_milliseconds()
        .map(|milliseconds| milliseconds * 1000);
    defined.or_else(|| time.filetime().and_then(filetime_microseconds))
}

/// A FILETIME (100 ns since 1601-01-01 UTC) in microseconds since 1970.
pub(crate) fn filetime_microseconds(filetime: i64) -> Option<i64> {
    const EPOCH_DIFFERENCE: i64 = 11_644_473_600_000_000;
    (filetime / 10).checked_sub(EPOCH_DIFFERENCE)
}

/// RFC 3339 in UTC; `None` outside the years that RFC 3339 has.
pub fn rfc3339(microseconds: i64) -> Option<String> {
    let time = jiff::Timestamp::from_microsecond(microseconds).ok()?;
    Some(time.to_string())
}

/// A GUID as Windows prints it, without braces.
pub fn guid(bytes: [u8; 16]) -> String {
    let first = LittleEndian::read_u32(&bytes);
    let second = LittleEndian::read_u16(&bytes[4..]);
    let third = LittleEndian::read_u16(&bytes[6..]);
    let fourth = BigEndian::read_u16(&bytes[8..]);
    let node = BigEndian::read_u48(&bytes[10..]);
    format!("{first:08x}-{second:04x}-{third:04x}-{fourth:04x}-{node:012x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_both_kinds_give_the_same_time() {
        // 2021-09-02 21:13:05 UTC as days, and the same as FILETIME.
        let days: f64 = 44_441.0 + (21.0 * 3600.0 + 13.0 * 60.0 + 5.0) / 86_400.0;
        let defined = microseconds(DateTime(days.to_bits())).unwrap();
        let filetime = microseconds(DateTime(132_750_907_850_000_000)).unwrap();
        assert_eq!(rfc3339(defined).unwrap(), "2021-09-02T21:13:05Z");
        assert_eq!(defined, filetime);
    }

    #[test]
    fn a_guid_reads_as_windows_prints_it() {
        let bytes: [u8; 16] = std::array::from_fn(|index| index as u8);
        assert_eq!(guid(bytes), "03020100-0504-0706-0809-0a0b0c0d0e0f");
    }
}
