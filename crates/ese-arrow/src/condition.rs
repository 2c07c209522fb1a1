//! Conditions on the first column of the primary key, as a range of keys.
//!
//! The key of a row begins with the segment of that column. So a condition is a range of keys and nothing else: it says which
//! leaves are read, and which rows on them are given. A value that is null meets no condition.

use crate::ScanError;
use ese_db::catalog::{Index, IndexFlags};
use ese_db::key::{DATA, fixed_segment};
use ese_db::{Column, ColumnType, KeyRange, Table};

/// How the value of a column must compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// It is this value.
    Equal,
    /// It is below.
    Less,
    /// It is this value or below.
    LessOrEqual,
    /// It is above.
    Greater,
    /// It is this value or above.
    GreaterOrEqual,
}

/// What it is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyValue {
    /// A number; of a bit, 0 or 1.
    Integer(i128),
    /// A GUID as it is stored: the bytes of its first three numbers the low one first.
    Guid([u8; 16]),
}

/// A condition on the first column of a table's primary key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The column.
    pub column: String,
    /// How it must compare.
    pub comparison: Comparison,
    /// With what.
    pub value: KeyValue,
}

/// The column by which rows can be asked for, if there is one.
pub(crate) fn leading_column(table: &Table) -> Option<(&Column, &Index, bool)> {
    let index = table.primary_index()?;
    let leading = index.columns.first()?;
    let column = table.column(leading.name.as_deref()?)?;
    let is_number = numbers(column.column_type).is_some();
    (is_number || column.column_type == ColumnType::Guid).then_some((
        column,
        index,
        leading.descending_or_null,
    ))
}

/// The keys of the rows that meet all conditions.
pub(crate) fn keys_of(table: &Table, conditions: &[Condition]) -> Result<KeyRange, ScanError> {
    let mut keys = KeyRange::default();
    for condition in conditions {
        keys = keys.and(&keys_of_one(table, condition)?);
    }
    Ok(keys)
}

fn keys_of_one(table: &Table, condition: &Condition) -> Result<KeyRange, ScanError> {
    let leading = leading_column(table);
    let leading =
        leading.filter(|(column, ..)| column.name.eq_ignore_ascii_case(&condition.column));
    let (column, index, descending) = leading.ok_or_else(|| ScanError::NoKey {
        table: table.name.clone(),
        column: condition.column.clone(),
    })?;
    let other_type = || ScanError::OtherType {
        column: condition.column.clone(),
        column_type: column.column_type,
    };
    let (comparison, stored) = match &condition.value {
        KeyValue::Integer(number) => {
            let (least, most) = numbers(column.column_type).ok_or_else(other_type)?;
            match reachable(condition.comparison, *number, least, most) {
                Some((comparison, number)) => {
                    let bytes = number.to_le_bytes();
                    let size = column.column_type.fixed_size().unwrap_or(0);
                    (comparison, bytes[..size].to_vec())
                }
                None => return Ok(nothing()),
            }
        }
        KeyValue::Guid(bytes) => (condition.comparison, bytes.to_vec()),
    };
    let dot_net = index.flags.contains(IndexFlags::DOT_NET_GUID);
    let mut segment = fixed_segment(column.column_type, &stored, dot_net).ok_or_else(other_type)?;
    let mut values = [vec![DATA], vec![DATA + 1]];
    if descending {
        segment.iter_mut().for_each(|byte| *byte = !*byte);
        values = [vec![!DATA], vec![!DATA + 1]];
    }
    let [first, end] = values.map(Some);
    let after = Some(successor(&segment));
    let at = Some(segment);
    // Where values sort downwards, those below come after.
    let (from, until) = match (comparison, descending) {
        (Comparison::Equal, _) => (at, after),
        (Comparison::Less, false) | (Comparison::Greater, true) => (first, at),
        (Comparison::LessOrEqual, false) | (Comparison::GreaterOrEqual, true) => (first, after),
        (Comparison::Greater, false) | (Comparison::Less, true) => (after, end),
        (Comparison::GreaterOrEqual, false) | (Comparison::LessOrEqual, true) => (at, end),
    };
    Ok(KeyRange { from, until })
}

/// The smallest and the largest number of a type.
fn numbers(column_type: ColumnType) -> Option<(i128, i128)> {
    Some(match column_type {
        ColumnType::Bit => (0, 1),
        ColumnType::UnsignedByte => (0, u8::MAX.into()),
        ColumnType::Short => (i16::MIN.into(), i16::MAX.into()),
        ColumnType::UnsignedShort => (0, u16::MAX.into()),
        ColumnType::Long => (i32::MIN.into(), i32::MAX.into()),
        ColumnType::UnsignedLong => (0, u32::MAX.into()),
        ColumnType::LongLong | ColumnType::Currency => (i64::MIN.into(), i64::MAX.into()),
        ColumnType::UnsignedLongLong => (0, u64::MAX.into()),
        _ => return None,
    })
}

/// The same condition with a number that the type has; nothing if no number meets it.
fn reachable(
    comparison: Comparison,
    number: i128,
    least: i128,
    most: i128,
) -> Option<(Comparison, i128)> {
    use Comparison::*;
    match comparison {
        _ if (least..=most).contains(&number) => Some((comparison, number)),
        Less | LessOrEqual if number > most => Some((LessOrEqual, most)),
        Greater | GreaterOrEqual if number < least => Some((GreaterOrEqual, least)),
        _ => None,
    }
}

/// A range without keys.
fn nothing() -> KeyRange {
    KeyRange {
        from: Some(Vec::new()),
        until: Some(Vec::new()),
    }
}

/// The first key after all that begin with these bytes; a segment never has high bytes only, since its first is not.
fn successor(segment: &[u8]) -> Vec<u8> {
    let mut after = segment.to_vec();
    while let Some(last) = after.pop() {
        if let Some(next) = last.checked_add(1) {
            after.push(next);
            break;
        }
    }
    after
}
