//! Compressed values: the first byte names the scheme in its upper five bits.
//!
//! | scheme | | layout after the first byte |
//! |---:|---|---|
//! | 1 | 7-bit ASCII | characters of 7 bits, low bits first; the low 3 bits of the first byte count the bits used in the last byte, less one |
//! | 2 | 7-bit Unicode | the same, each character widened to UTF-16 |
//! | 3 | XPRESS | unpacked size u16, then LZ77 (plain form of MS-XCA) |
//! | 4 | scrubbed | nothing: the value was overwritten |
//! | 5 | XPRESS9 | CRC u32, then an XPRESS9 stream |
//! | 6 | XPRESS10 | unpacked size u16, CRC u32, CRC u64, then data for Microsoft's own compression hardware |
//! | 7 | LZ4 | unpacked size u16, then an LZ4 block |
//!
//! XPRESS9 and XPRESS10 are not unpacked here: their bytes are kept and reported as undecoded. Source:
//! `CDataCompressor` (`ese/compression.cxx`), `_xpress/xdecode.i`.

use crate::DbError;
use byteorder::{ByteOrder, LittleEndian};

/// A compression scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompressionScheme {
    /// Characters of 7 bits.
    SevenBitAscii,
    /// Characters of 7 bits that were UTF-16.
    SevenBitUnicode,
    /// LZ77.
    Xpress,
    /// The value was overwritten on purpose.
    Scrubbed,
    /// LZ77 and Huffman.
    Xpress9,
    /// Made by compression hardware.
    Xpress10,
    /// LZ4.
    Lz4,
}

impl CompressionScheme {
    /// The scheme that the first byte of compressed data names.
    pub fn of(first: u8) -> Option<CompressionScheme> {
        Some(match first >> 3 {
            1 => CompressionScheme::SevenBitAscii,
            2 => CompressionScheme::SevenBitUnicode,
            3 => CompressionScheme::Xpress,
            4 => CompressionScheme::Scrubbed,
            5 => CompressionScheme::Xpress9,
            6 => CompressionScheme::Xpress10,
            7 => CompressionScheme::Lz4,
            _ => return None,
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            CompressionScheme::SevenBitAscii => "7-bit ASCII",
            CompressionScheme::SevenBitUnicode => "7-bit Unicode",
            CompressionScheme::Xpress => "XPRESS",
            CompressionScheme::Scrubbed => "scrubbed",
            CompressionScheme::Xpress9 => "XPRESS9",
            CompressionScheme::Xpress10 => "XPRESS10",
            CompressionScheme::Lz4 => "LZ4",
        }
    }
}

/// Unpacks one compressed value or one chunk of a long value; never more than 64 KiB for the sized schemes, and
/// never more than 16/7 of the input for the others.
pub fn decompress(data: &[u8]) -> Result<Vec<u8>, DbError> {
    let Some((&first, body)) = data.split_first() else {
        return Err(fail("compressed", "there are no bytes"));
    };
    let Some(scheme) = CompressionScheme::of(first) else {
        return Err(fail(
            "compressed",
            format!("scheme {} is unknown", first >> 3),
        ));
    };
    match scheme {
        CompressionScheme::SevenBitAscii => Ok(seven_bit(first, body).collect()),
        CompressionScheme::SevenBitUnicode => {
            Ok(seven_bit(first, body).flat_map(|c| [c, 0]).collect())
        }
        CompressionScheme::Xpress => {
            let (size, packed) = sized(scheme, body)?;
            xpress(packed, size)
        }
        CompressionScheme::Lz4 => {
            let (size, packed) = sized(scheme, body)?;
            lz4_flex::block::decompress(packed, size).map_err(|error| fail(scheme.name(), error))
        }
        CompressionScheme::Scrubbed => {
            Err(fail(scheme.name(), "the value was overwritten on purpose"))
        }
        CompressionScheme::Xpress9 | CompressionScheme::Xpress10 => {
            Err(fail(scheme.name(), "this scheme is not supported"))
        }
    }
}

fn sized(scheme: CompressionScheme, body: &[u8]) -> Result<(usize, &[u8]), DbError> {
    match body {
        [low, high, packed @ ..] => Ok((usize::from(u16::from_le_bytes([*low, *high])), packed)),
        _ => Err(fail(scheme.name(), "the size is missing")),
    }
}

fn seven_bit(first: u8, body: &[u8]) -> impl Iterator<Item = u8> {
    let last_bits = usize::from(first & 7) + 1;
    let bits = (body.len() * 8).saturating_sub(8 - last_bits.min(body.len() * 8));
    (0..bits / 7).map(|index| {
        let bit = index * 7;
        let low = body.get(bit / 8).copied().unwrap_or(0);
        let high = body.get(bit / 8 + 1).copied().unwrap_or(0);
        (u16::from_le_bytes([low, high]) >> (bit % 8)) as u8 & 0x7f
    })
}

/// Plain LZ77 as XPRESS uses it: a 32-bit mask of literals (0) and matches (1), highest bit first. A match is a word of
/// 13 bits distance and 3 bits length; long lengths go on in a half byte (shared by two matches), a byte, a word.
fn xpress(packed: &[u8], size: usize) -> Result<Vec<u8>, DbError> {
    let truncated = || fail("XPRESS", "the input ends too early");
    let mut out = Vec::with_capacity(size);
    let mut at = 0;
    let mut take = |count: usize| {
        let bytes = packed.get(at..at + count)?;
        at += count;
        Some((bytes, at))
    };
    let (mut mask, mut mask_bits) = (0u32, 0);
    let mut half_byte: Option<usize> = None;
    while out.len() < size {
        if mask_bits == 0 {
            let (bytes, _) = take(4).ok_or_else(truncated)?;
            mask = LittleEndian::read_u32(bytes);
            mask_bits = 32;
        }
        mask_bits -= 1;
        if mask & (1 << mask_bits) == 0 {
            let (bytes, _) = take(1).ok_or_else(truncated)?;
            out.push(bytes[0]);
            continue;
        }
        let (bytes, _) = take(2).ok_or_else(truncated)?;
        let word = usize::from(LittleEndian::read_u16(bytes));
        let distance = (word >> 3) + 1;
        let mut length = word & 7;
        if length == 7 {
            length = match half_byte.take() {
                Some(place) => usize::from(packed[place] >> 4),
                None => {
                    let (bytes, end) = take(1).ok_or_else(truncated)?;
                    half_byte = Some(end - 1);
                    usize::from(bytes[0] & 15)
                }
            };
            if length == 15 {
                let (bytes, _) = take(1).ok_or_else(truncated)?;
                length = usize::from(bytes[0]);
                if length == 255 {
                    let (bytes, _) = take(2).ok_or_else(truncated)?;
                    length = usize::from(LittleEndian::read_u16(bytes))
                        .checked_sub(15 + 7)
                        .filter(|length| *length >= 255)
                        .ok_or_else(|| fail("XPRESS", "a long match is too short"))?;
                }
                length += 15;
            }
            length += 7;
        }
        length = (length + 3).min(size - out.len());
        let start = out
            .len()
            .checked_sub(distance)
            .ok_or_else(|| fail("XPRESS", "a match reaches before the start"))?;
        for place in start..start + length {
            out.push(out[place]);
        }
    }
    Ok(out)
}

fn fail(scheme: &'static str, what: impl ToString) -> DbError {
    DbError::Compression {
        scheme,
        what: what.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn seven_bit_text_unpacks() {
        // "abc" in 21 bits: 5 bits of the third byte are used.
        let bits: u32 = 0x61 | 0x62 << 7 | 0x63 << 14;
        let [a, b, c, _] = bits.to_le_bytes();
        assert_eq!(decompress(&[1 << 3 | 4, a, b, c]).unwrap(), b"abc");
        assert_eq!(
            decompress(&[2 << 3 | 4, a, b, c]).unwrap(),
            b"a\0b\0c\0",
            "the Unicode form widens"
        );
    }

    #[test]
    fn an_xpress_match_may_overlap_itself() {
        // Two literals and a match of length 6 at distance 2; the mask is 001 and zeros.
        let data = [3 << 3, 8, 0, 0, 0, 0, 0x20, b'a', b'b', 3 | 1 << 3, 0];
        assert_eq!(decompress(&data).unwrap(), b"abababab");
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(data in prop::collection::vec(any::<u8>(), 0..300), scheme in 0u8..10) {
            let mut data = data;
            if let Some(first) = data.first_mut() {
                *first = scheme << 3 | *first & 7;
            }
            let unpacked = decompress(&data).map_or(0, |out| out.len());
            prop_assert!(unpacked <= 65_535);
        }
    }
}
