//! A record: the data of a table's leaf node, split into its columns.
//!
//! ```text
//! 0          1        2              4
//! | last     | last   | end of fixed | fixed columns ... | null bits | offsets | variable columns | tagged columns |
//! | fixed id | var id | columns u16  |                   |           | u16 each|                  |                |
//! ```
//!
//! *Fixed* columns (ids 1 to 127) are where the catalog says; one null bit each. *Variable* columns (128 to 255)
//! have an offset each: the end of the column, counted from the end of the offsets; the top bit says null. *Tagged*
//! columns (256 and up) are there only if they have a value: an array of (id, offset) pairs, then the data. Columns
//! after the last id of the record have their default value, and so have tagged columns that are not there.
//!
//! ```text
//! tagged     | id u16 | offset u16 | id | offset | ... | data | data ...
//!              offset: small pages  derived 0x8000, has flag byte 0x4000, null 0x2000, 13 bits of offset
//!                      large pages  derived 0x8000, 15 bits of offset; a flag byte always
//! data       | flag byte | value |
//! flag byte    1 long value, 2 compressed, 4 separated, 8 several values, 16 two values, 32 null, 64 encrypted
//! two values | flag byte | length of first u8 | first | second |
//! several    | flag byte | offset u16, top bit: separated | ... | values |
//! ```
//!
//! Source: `REC` (`inc/rec.hxx`), `TAGFLD`, `TAGFLD_HEADER`, `TWOVALUES`, `MULTIVALUES` (`inc/tagfld.hxx`).

use crate::DbError;
use byteorder::{ByteOrder, LittleEndian};
use ese_format::page::PageSize;
use std::ops::Range;

/// The largest id of a fixed column; ids start at 1.
pub const LAST_FIXED: u16 = 127;
/// The largest id of a variable column; ids start at 128.
pub const LAST_VARIABLE: u16 = 255;
const HEADER: usize = 4;

bitflags::bitflags! {
    /// How the value of a tagged column is stored (`TAGFLD_HEADER`).
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub struct TaggedFlags: u8 {
        /// The column may hold a long value.
        const LONG_VALUE = 0x01;
        /// The (first) value is compressed.
        const COMPRESSED = 0x02;
        /// The value is the id of a long value.
        const SEPARATED = 0x04;
        /// There is more than one value.
        const MULTI_VALUES = 0x08;
        /// There are two values, in the short form.
        const TWO_VALUES = 0x10;
        /// The column is null although it has a default value.
        const NULL = 0x20;
        /// The value is encrypted.
        const ENCRYPTED = 0x40;
    }
}

/// One stored value: bytes of the record, and what has to be done to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawValue<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// Whether they are the id of a long value.
    pub separated: bool,
    /// Whether they are compressed.
    pub compressed: bool,
    /// Whether they are encrypted.
    pub encrypted: bool,
}

impl<'a> RawValue<'a> {
    /// Bytes that are the value itself.
    pub fn plain(bytes: &'a [u8]) -> Self {
        RawValue {
            bytes,
            separated: false,
            compressed: false,
            encrypted: false,
        }
    }
}

/// What a record says of one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field<'a> {
    /// Nothing: the column has its default value.
    Absent,
    /// Null.
    Null,
    /// A value.
    Single(RawValue<'a>),
    /// Several values, in order.
    Multi(Vec<RawValue<'a>>),
}

/// A record, split as far as its header goes.
#[derive(Debug, Clone, Copy)]
pub struct DataRecord<'a> {
    bytes: &'a [u8],
    small: bool,
    last_fixed: u16,
    last_variable: u16,
    fixed_end: usize,
    variable_start: usize,
    tagged_start: usize,
}

/// One tagged column of a record.
#[derive(Debug, Clone, Copy)]
pub struct Tagged<'a> {
    /// The column id.
    pub id: u16,
    /// Whether the id is one of the template table's columns.
    pub derived: bool,
    /// How the value is stored.
    pub flags: TaggedFlags,
    bytes: &'a [u8],
    data_offset: usize,
}

impl<'a> DataRecord<'a> {
    /// Splits `bytes`, a record on a page of `page_size`.
    pub fn parse(bytes: &'a [u8], page_size: PageSize) -> Result<Self, DbError> {
        let &[last_fixed, last_variable, low, high, ..] = bytes else {
            return Err(too_short("header", 0, HEADER, bytes.len()));
        };
        let fixed_end = usize::from(u16::from_le_bytes([low, high]));
        let null_bytes = usize::from(last_fixed).div_ceil(8);
        if fixed_end < HEADER + null_bytes || fixed_end > bytes.len() {
            return Err(too_short(
                "fixed columns",
                HEADER,
                fixed_end.max(HEADER + null_bytes),
                bytes.len(),
            ));
        }
        let variables = usize::from(last_variable).saturating_sub(usize::from(LAST_FIXED));
        let variable_start = fixed_end + variables * 2;
        if variable_start > bytes.len() {
            return Err(too_short(
                "offsets of variable columns",
                fixed_end,
                variables * 2,
                bytes.len() - fixed_end,
            ));
        }
        let mut record = DataRecord {
            bytes,
            small: page_size.is_small(),
            last_fixed: u16::from(last_fixed),
            last_variable: u16::from(last_variable),
            fixed_end,
            variable_start,
            tagged_start: variable_start,
        };
        if variables > 0 {
            let (end, _) = record.variable_end(variables - 1);
            record.tagged_start = variable_start + end;
        }
        if record.tagged_start > bytes.len() {
            return Err(too_short(
                "variable columns",
                variable_start,
                record.tagged_start - variable_start,
                bytes.len() - variable_start,
            ));
        }
        Ok(record)
    }

    /// The fixed column `id`, whose `size` bytes are at `offset`.
    #[inline]
    pub fn fixed(&self, id: u16, offset: usize, size: usize) -> Result<Field<'a>, DbError> {
        if id > self.last_fixed {
            return Ok(Field::Absent);
        }
        let index = usize::from(id.saturating_sub(1));
        let nulls_start = self.fixed_end - usize::from(self.last_fixed).div_ceil(8);
        let nulls = &self.bytes[nulls_start..self.fixed_end];
        if nulls
            .get(index / 8)
            .is_some_and(|byte| byte & (1 << (index % 8)) != 0)
        {
            return Ok(Field::Null);
        }
        match self.bytes[..nulls_start].get(offset..offset + size) {
            Some(bytes) => Ok(Field::Single(RawValue::plain(bytes))),
            None => Err(too_short("fixed column", offset, size, nulls_start)),
        }
    }

    /// The variable column `id`.
    #[inline]
    pub fn variable(&self, id: u16) -> Result<Field<'a>, DbError> {
        if id > self.last_variable || id <= LAST_FIXED {
            return Ok(Field::Absent);
        }
        let index = usize::from(id - LAST_FIXED - 1);
        let start = match index.checked_sub(1) {
            Some(before) => self.variable_end(before).0,
            None => 0,
        };
        let (end, null) = self.variable_end(index);
        if null {
            return Ok(Field::Null);
        }
        let data = &self.bytes[self.variable_start..self.tagged_start];
        match data.get(start..end) {
            Some(bytes) => Ok(Field::Single(RawValue::plain(bytes))),
            None => Err(too_short("variable column", start, end, data.len())),
        }
    }

    /// End of the variable column with this index, and whether it is null.
    fn variable_end(&self, index: usize) -> (usize, bool) {
        let at = self.fixed_end + index * 2;
        let word = self.bytes.get(at..at + 2).map_or(0, LittleEndian::read_u16);
        (usize::from(word & 0x7fff), word & 0x8000 != 0)
    }

    /// The tagged columns, in the order of the record: those of a template first, each part by id.
    pub fn tagged(&self) -> Result<Vec<Tagged<'a>>, DbError> {
        let mut columns = Vec::new();
        self.tagged_into(&mut columns)?;
        Ok(columns)
    }

    /// The same, in place of what is in `columns`.
    pub(crate) fn tagged_into(&self, columns: &mut Vec<Tagged<'a>>) -> Result<(), DbError> {
        columns.clear();
        let data = &self.bytes[self.tagged_start..];
        let mask = if self.small { 0x1fff } else { 0x7fff };
        let entry = |index: usize| {
            let bytes = data.get(index * 4..index * 4 + 4)?;
            let (id, offset) = bytes.split_at(2);
            Some((LittleEndian::read_u16(id), LittleEndian::read_u16(offset)))
        };
        let Some((_, first)) = entry(0) else {
            return match data.len() {
                0 => Ok(()),
                found => Err(too_short("tagged columns", self.tagged_start, 4, found)),
            };
        };
        let count = usize::from(first & mask) / 4;
        columns.reserve(count.min(data.len() / 4));
        for index in 0..count {
            let (id, word) = entry(index).ok_or_else(|| {
                too_short("tagged columns", self.tagged_start, count * 4, data.len())
            })?;
            let start = usize::from(word & mask);
            let end = match entry(index + 1) {
                Some((_, next)) if index + 1 < count => usize::from(next & mask),
                _ => data.len(),
            };
            let Some(bytes) = data.get(start..end) else {
                return Err(too_short(
                    "tagged column",
                    self.tagged_start + start,
                    end.saturating_sub(start),
                    data.len().saturating_sub(start),
                ));
            };
            columns.push(self.tagged_column(id, word, bytes, self.tagged_start + start));
        }
        Ok(())
    }

    /// Which bytes decide what the record says of a column: the bytes of its value, and those by which they are found. Of a
    /// fixed column `place` is where its value is, and its size; of a tagged one `name` is [`Tagged::name`].
    pub fn deciding(&self, name: (bool, u16), place: (usize, usize)) -> Vec<Range<usize>> {
        let (_, id) = name;
        if id <= LAST_FIXED {
            let last_id = 0..1;
            let mut ranges = vec![last_id];
            if id <= self.last_fixed {
                let nulls = self.fixed_end - usize::from(self.last_fixed).div_ceil(8);
                let null = nulls + usize::from(id.saturating_sub(1)) / 8;
                let (offset, size) = place;
                ranges.extend([2..HEADER, null..null + 1, offset..offset + size]);
            }
            return ranges;
        }
        let end_of = |index: usize| self.fixed_end + index * 2..self.fixed_end + index * 2 + 2;
        if id <= LAST_VARIABLE {
            let last_id = 1..2;
            let mut ranges = vec![last_id];
            if id <= self.last_variable {
                let index = usize::from(id - LAST_FIXED - 1);
                let before = index.checked_sub(1);
                let start = before.map_or(0, |before| self.variable_end(before).0);
                let end = self.variable_end(index).0.max(start);
                ranges.extend([2..HEADER, end_of(index)]);
                ranges.extend(before.map(end_of));
                ranges.push(self.variable_start + start..self.variable_start + end);
            }
            return ranges;
        }
        let header = 1..HEADER;
        let mut ranges = vec![header];
        let variables = usize::from(self.last_variable.saturating_sub(LAST_FIXED));
        ranges.extend(variables.checked_sub(1).map(end_of));
        let all = self.tagged_start..self.bytes.len();
        // The first entry says how many there are.
        ranges.push(all.start..(all.start + 4).min(all.end));
        let Ok(tagged) = self.tagged() else {
            ranges.push(all);
            return ranges;
        };
        ranges.push(all.start..all.start + tagged.len() * 4);
        let mut found = tagged.iter().filter(|tagged| tagged.name() == name);
        ranges.extend(found.next().map(|tagged| {
            let start = tagged.data_offset;
            start..(start + tagged.bytes.len() + 1).min(self.bytes.len())
        }));
        ranges
    }

    fn tagged_column(&self, id: u16, word: u16, bytes: &'a [u8], at: usize) -> Tagged<'a> {
        let mut flags = TaggedFlags::empty();
        let has_flags = !self.small || word & 0x4000 != 0;
        let bytes = match bytes.split_first() {
            Some((first, rest)) if has_flags => {
                flags = TaggedFlags::from_bits_retain(*first);
                rest
            }
            _ => bytes,
        };
        if self.small && word & 0x2000 != 0 {
            flags |= TaggedFlags::NULL;
        }
        Tagged {
            id,
            derived: word & 0x8000 != 0,
            flags,
            bytes,
            data_offset: at,
        }
    }
}

impl<'a> Tagged<'a> {
    /// What distinguishes it from the other tagged columns of its record, in an order to search by.
    pub fn name(&self) -> (bool, u16) {
        (self.derived, self.id)
    }

    /// The value or values.
    pub fn field(&self) -> Result<Field<'a>, DbError> {
        if self.flags.contains(TaggedFlags::NULL) {
            return Ok(Field::Null);
        }
        if self.flags.contains(TaggedFlags::TWO_VALUES) {
            return self.two_values();
        }
        if self.flags.contains(TaggedFlags::MULTI_VALUES) {
            return self.several_values();
        }
        Ok(Field::Single(RawValue {
            bytes: self.bytes,
            separated: self.flags.contains(TaggedFlags::SEPARATED),
            compressed: self.flags.contains(TaggedFlags::COMPRESSED),
            encrypted: self.flags.contains(TaggedFlags::ENCRYPTED),
        }))
    }

    fn two_values(&self) -> Result<Field<'a>, DbError> {
        let split = self.bytes.split_first().and_then(|(length, data)| {
            let (first, second) = data.split_at_checked(usize::from(*length))?;
            Some(vec![RawValue::plain(first), RawValue::plain(second)])
        });
        split.map(Field::Multi).ok_or_else(|| {
            too_short(
                "first of two values",
                self.data_offset,
                1 + usize::from(self.bytes.first().copied().unwrap_or(0)),
                self.bytes.len(),
            )
        })
    }

    fn several_values(&self) -> Result<Field<'a>, DbError> {
        let word = |index: usize| {
            let bytes = self.bytes.get(index * 2..index * 2 + 2);
            bytes.map(LittleEndian::read_u16)
        };
        let short =
            |needed| too_short("several values", self.data_offset, needed, self.bytes.len());
        let first = usize::from(word(0).ok_or_else(|| short(2))? & 0x7fff);
        let count = first / 2;
        let mut values = Vec::with_capacity(count.min(self.bytes.len() / 2));
        for index in 0..count {
            let entry = word(index).ok_or_else(|| short(first))?;
            let start = usize::from(entry & 0x7fff);
            let end = match word(index + 1) {
                Some(next) if index + 1 < count => usize::from(next & 0x7fff),
                _ => self.bytes.len(),
            };
            let bytes = self.bytes.get(start..end).ok_or_else(|| short(end))?;
            let separated = entry & 0x8000 != 0;
            values.push(RawValue {
                bytes,
                separated,
                // Only the first of several values is ever compressed.
                compressed: index == 0 && self.flags.contains(TaggedFlags::COMPRESSED),
                encrypted: self.flags.contains(TaggedFlags::ENCRYPTED) && !separated,
            });
        }
        Ok(Field::Multi(values))
    }
}

fn too_short(what: &'static str, offset: usize, needed: usize, found: usize) -> DbError {
    DbError::Record {
        what,
        offset,
        needed,
        found,
    }
}
