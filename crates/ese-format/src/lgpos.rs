//! A position in a log stream.
//!
//! On disk a log position takes eight bytes, least significant part first, so that it also orders as one little-endian
//! integer (`LE_LGPOS`, `inc/daedef.hxx`):
//!
//! ```text
//! 0      2         4            8
//! | byte | segment | generation |
//!   u16    u16       i32
//! ```

use crate::{FormatError, Generation, Reader};
use byteorder::{ByteOrder, LittleEndian};
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// A log position (`lgpos`): generation, segment (sector) within the log file, byte within the segment.
///
/// Ordered as the engine orders it: by generation, then segment, then byte. The null position is all zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lgpos {
    /// Log generation; 0 in the null position.
    pub generation: Generation,
    /// Segment (in the older layout: sector) counted from the start of the log file; the header is part of the count.
    pub segment: u16,
    /// Byte within the segment.
    pub byte: u16,
}

impl Lgpos {
    /// Bytes that a position takes on disk.
    pub const SIZE: usize = 8;
    /// The null position.
    pub const NULL: Lgpos = Lgpos {
        generation: Generation(0),
        segment: 0,
        byte: 0,
    };

    /// A position from its three parts.
    pub const fn new(generation: u32, segment: u16, byte: u16) -> Self {
        Lgpos {
            generation: Generation(generation),
            segment,
            byte,
        }
    }

    /// The position stored in eight bytes.
    pub fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        Lgpos {
            generation: Generation(LittleEndian::read_u32(&bytes[4..])),
            segment: LittleEndian::read_u16(&bytes[2..]),
            byte: LittleEndian::read_u16(&bytes),
        }
    }

    /// The eight bytes that store the position.
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        LittleEndian::write_u16(&mut bytes, self.byte);
        LittleEndian::write_u16(&mut bytes[2..], self.segment);
        LittleEndian::write_u32(&mut bytes[4..], self.generation.0);
        bytes
    }

    /// Reads a position.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, FormatError> {
        Ok(Self::from_bytes(reader.array("log position")?))
    }

    /// Whether this is the null position.
    pub fn is_null(self) -> bool {
        self == Self::NULL
    }

    /// Offset in its log file, for segments of `segment_size` bytes.
    pub fn file_offset(self, segment_size: u32) -> u64 {
        u64::from(self.segment) * u64::from(segment_size) + u64::from(self.byte)
    }
}

/// As log dumps write it: `00000010:0002:078E`, generation, segment and byte in hexadecimal.
impl fmt::Display for Lgpos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:08X}:{:04X}:{:04X}",
            self.generation, self.segment, self.byte
        )
    }
}

impl<'de> serde::Deserialize<'de> for Lgpos {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Reads what [`Display`](fmt::Display) writes, and the `(0x10,2,78E)` of header dumps; all parts hexadecimal.
impl FromStr for Lgpos {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let problem = || {
            format!(
                "{text:?} is not a log position; write generation:segment:byte in hexadecimal, as in 10:2:78E"
            )
        };
        let inner = text.trim().trim_start_matches('(').trim_end_matches(')');
        let mut parts = inner.split([':', ',']).map(|part| {
            let digits = part.trim();
            let digits = digits.strip_prefix("0x").unwrap_or(digits);
            u32::from_str_radix(digits, 16).map_err(|_| problem())
        });
        let mut next = || parts.next().ok_or_else(problem)?;
        let generation = Generation(next()?);
        let segment = u16::try_from(next()?).map_err(|_| problem())?;
        let byte = u16::try_from(next()?).map_err(|_| problem())?;
        if parts.next().is_some() {
            return Err(problem());
        }
        Ok(Lgpos {
            generation,
            segment,
            byte,
        })
    }
}

impl Serialize for Lgpos {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_text_round_trip() {
        let lgpos = Lgpos::new(0x83, 0x2f, 0xcc);
        assert_eq!(lgpos.to_bytes(), [0xcc, 0, 0x2f, 0, 0x83, 0, 0, 0]);
        assert_eq!(Lgpos::from_bytes(lgpos.to_bytes()), lgpos);
        assert_eq!(lgpos.to_string(), "00000083:002F:00CC");
        assert_eq!("(0x83,2F,CC)".parse(), Ok(lgpos));
        assert_eq!(lgpos.to_string().parse(), Ok(lgpos));
        assert!("83:2F".parse::<Lgpos>().is_err());
        assert!("83:2F:CC:1".parse::<Lgpos>().is_err());
        assert!("83:10000:CC".parse::<Lgpos>().is_err());
    }

    #[test]
    fn order_is_generation_first() {
        assert!(Lgpos::new(2, 0, 0) > Lgpos::new(1, 0xffff, 0xffff));
        assert!(Lgpos::new(1, 2, 0) > Lgpos::new(1, 1, 9));
    }
}
