//! What values become in keys of indexes, so that keys sort as values do.
//!
//! | type | bytes of the segment |
//! |---|---|
//! | bit | `7f`, then `00` or `ff` |
//! | numbers without sign | `7f`, then the number, the high byte first |
//! | numbers with sign | the same with the highest bit turned over |
//! | floats, dates | the same; of negative ones all bits turned over |
//! | GUID | `7f`, then its bytes in the order in which they are printed last to first, or as .NET compares them |
//!
//! Of a column that sorts downwards all bits are turned over. A value that is null is one byte. Source:
//! `FLDNormalizeFixedSegment`, `FLDNormalizeNullSegment` (`ese/fldnorm.cxx`).

use crate::ColumnType;

/// What a segment begins with that holds a value (`bPrefixData`).
pub const DATA: u8 = 0x7f;

/// Where the bytes of a GUID stand in a key.
const GUID_ORDER: [usize; 16] = [10, 11, 12, 13, 14, 15, 8, 9, 6, 7, 4, 5, 0, 1, 2, 3];
/// The same in indexes that sort as .NET does.
const DOT_NET_GUID_ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

/// The segment of a value of fixed size, from the bytes that a record holds, of a column that sorts upwards. Nothing for other
/// types, and if the bytes are not as many as the type has.
pub fn fixed_segment(
    column_type: ColumnType,
    stored: &[u8],
    dot_net_guid: bool,
) -> Option<Vec<u8>> {
    use ColumnType::*;
    const SIGN: u8 = 0x80;
    if column_type.fixed_size() != Some(stored.len()) {
        return None;
    }
    let mut segment = vec![DATA];
    segment.extend(stored.iter().rev());
    let number = &mut segment[1..];
    match column_type {
        Bit => number[0] = if number[0] == 0 { 0 } else { 0xff },
        UnsignedByte | UnsignedShort | UnsignedLong | UnsignedLongLong => {}
        Short | Long | LongLong | Currency => number[0] ^= SIGN,
        Single | Double | DateTime if number[0] & SIGN != 0 => {
            number.iter_mut().for_each(|byte| *byte = !*byte);
        }
        Single | Double | DateTime => number[0] ^= SIGN,
        Guid => {
            let order = if dot_net_guid {
                DOT_NET_GUID_ORDER
            } else {
                GUID_ORDER
            };
            for (byte, from) in number.iter_mut().zip(order) {
                *byte = stored[from];
            }
        }
        _ => return None,
    }
    Some(segment)
}
