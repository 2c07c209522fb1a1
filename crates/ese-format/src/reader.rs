//! The one bounded reader that every variable-length structure is read through.
//!
//! Invariant: a [`Reader`] never looks outside its slice, and every error it makes carries the absolute offset of
//! the thing that did not fit.

use crate::FormatError;
use byteorder::{ByteOrder, LittleEndian};

/// A forward cursor over little-endian bytes that knows where in its file it stands.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    base: u64,
}

impl<'a> Reader<'a> {
    /// A reader of `bytes` whose offsets count from the start of the slice.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self::at(bytes, 0)
    }

    /// A reader of `bytes` that are at offset `base` of their file.
    pub fn at(bytes: &'a [u8], base: u64) -> Self {
        Reader {
            bytes,
            position: 0,
            base,
        }
    }

    /// Absolute offset of the next byte.
    pub fn offset(&self) -> u64 {
        self.base + self.position as u64
    }

    /// Bytes consumed so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Bytes not yet consumed.
    pub fn remaining(&self) -> &'a [u8] {
        &self.bytes[self.position..]
    }

    /// Whether every byte has been consumed.
    pub fn is_empty(&self) -> bool {
        self.position == self.bytes.len()
    }

    /// The next `count` bytes, or [`FormatError::Truncated`] naming `what`.
    pub fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], FormatError> {
        let rest = self.remaining();
        let Some(taken) = rest.get(..count) else {
            return Err(FormatError::Truncated {
                what,
                offset: self.offset(),
                needed: count as u64,
                available: rest.len() as u64,
            });
        };
        self.position += count;
        Ok(taken)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], FormatError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    /// One byte.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, FormatError> {
        Ok(self.take(1, what)?[0])
    }

    /// A little-endian `u16`.
    pub fn u16(&mut self, what: &'static str) -> Result<u16, FormatError> {
        self.take(2, what).map(LittleEndian::read_u16)
    }

    /// A little-endian `u32`.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, FormatError> {
        self.take(4, what).map(LittleEndian::read_u32)
    }

    /// A little-endian `i32`.
    pub fn i32(&mut self, what: &'static str) -> Result<i32, FormatError> {
        self.take(4, what).map(LittleEndian::read_i32)
    }

    /// A little-endian `u64`.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, FormatError> {
        self.take(8, what).map(LittleEndian::read_u64)
    }

    /// A little-endian `i64`.
    pub fn i64(&mut self, what: &'static str) -> Result<i64, FormatError> {
        self.take(8, what).map(LittleEndian::read_i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overrun_names_offset_need_and_have() {
        let mut reader = Reader::at(&[1, 2, 3], 0x100);
        assert_eq!(reader.u16("first").unwrap(), 0x0201);
        assert_eq!(
            reader.u32("second").unwrap_err(),
            FormatError::Truncated {
                what: "second",
                offset: 0x102,
                needed: 4,
                available: 1
            }
        );
        assert_eq!(
            reader.remaining(),
            [3],
            "a failed read must consume nothing"
        );
    }
}
