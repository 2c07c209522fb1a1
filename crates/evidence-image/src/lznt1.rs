//! LZNT1: how NTFS packs the files that it compresses.
//!
//! Packed bytes are a row of chunks, each of which unpacks to 4096 bytes; only the last may be shorter. A chunk has a header of
//! two bytes:
//!
//! ```text
//! bits 0..=11     bytes that follow the header, less one
//! bits 12..=14    3
//! bit 15          whether they are packed; if not, they are the bytes themselves
//! ```
//!
//! A header of 0 is the end; so is the end of the packed bytes. A packed chunk is a row of groups: a byte of eight flags, the
//! lowest first, and a token for each. A token whose flag is 0 is one byte. One whose flag is 1 is two bytes, which say how far
//! back in this chunk to copy from, less one, and how many bytes, less three. The further the chunk has come, the more of the
//! upper bits are the distance: 4 bits at first, 12 at last.
//!
//! NTFS packs compression units of (mostly) 16 clusters. A chunk that ends early, before another one, leaves zeros up to where
//! the next one begins.
//!
//! Facts: \[MS-XCA\] 2.5, and ntfs-3g (`libntfs-3g/compress.c`, `ntfs_decompress`) for the zeros after a short chunk.

use thiserror::Error;

/// What a chunk unpacks to, in bytes.
const CHUNK: usize = 4096;
const SIGNATURE: u16 = 3;
const IS_PACKED: u16 = 1 << 15;
const SHORTEST_COPY: usize = 3;

/// Why bytes cannot be unpacked. Offsets count from the start of the packed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Lznt1Error {
    /// The packed bytes end before what they say follows.
    #[error("LZNT1: {needed} bytes should follow at offset {offset:#x}, {there} are there")]
    CutOff {
        /// Where the bytes should be.
        offset: usize,
        /// How many should be there.
        needed: usize,
        /// How many are.
        there: usize,
    },
    /// What should be the header of a chunk is none.
    #[error("LZNT1: {header:#06x} at offset {offset:#x} is not the header of a chunk")]
    NotAHeader {
        /// Where it is.
        offset: usize,
        /// What is there.
        header: u16,
    },
    /// A copy from before the start of its chunk.
    #[error(
        "LZNT1: at offset {offset:#x} is a copy from {distance} bytes back, and the chunk has come to {there}"
    )]
    BeforeStart {
        /// Where the token is.
        offset: usize,
        /// How far back it copies from, in bytes.
        distance: usize,
        /// How many bytes of the chunk are unpacked.
        there: usize,
    },
    /// More unpacked bytes than there is room for.
    #[error(
        "LZNT1: at offset {offset:#x} {needed} more bytes are unpacked, there is room for {there}"
    )]
    TooLong {
        /// Where the token or chunk is.
        offset: usize,
        /// How many bytes it unpacks to.
        needed: usize,
        /// What is left of the chunk, or of the whole.
        there: usize,
    },
}

/// Unpacks one compression unit and returns how many bytes that gave.
///
/// It ends at the end of `packed`, at an end marker, or when `into` is full. The bytes of `into` after the returned number are
/// left as they are: in a file of NTFS the rest of the unit is zeros.
pub fn unpack(packed: &[u8], into: &mut [u8]) -> Result<usize, Lznt1Error> {
    let (mut at, mut done) = (0, 0_usize);
    // An end marker of two bytes may not have found room.
    while at < packed.len() && packed[at..] != [0] {
        let header = word(packed, at)?;
        let start = done.next_multiple_of(CHUNK);
        if header == 0 || start >= into.len() {
            break;
        }
        if (header >> 12) & 7 != SIGNATURE {
            return Err(Lznt1Error::NotAHeader { offset: at, header });
        }
        let (body, length) = (at + 2, usize::from(header & 0xfff) + 1);
        let there = packed.len() - body;
        let end = body + length;
        let Some(upto) = packed.get(..end) else {
            return Err(Lznt1Error::CutOff {
                offset: body,
                needed: length,
                there,
            });
        };
        into[done..start].fill(0);
        let room = CHUNK.min(into.len() - start);
        let chunk = &mut into[start..start + room];
        done = start
            + match header & IS_PACKED {
                0 => keep(upto, body, chunk)?,
                _ => unpack_chunk(upto, body, chunk)?,
            };
        at = end;
    }
    Ok(done)
}

fn word(packed: &[u8], at: usize) -> Result<u16, Lznt1Error> {
    match packed.get(at..at + 2) {
        Some(bytes) => Ok(u16::from_le_bytes([bytes[0], bytes[1]])),
        None => Err(Lznt1Error::CutOff {
            offset: at,
            needed: 2,
            there: packed.len() - at,
        }),
    }
}

/// A chunk that is not packed.
fn keep(packed: &[u8], at: usize, chunk: &mut [u8]) -> Result<usize, Lznt1Error> {
    let bytes = &packed[at..];
    let there = chunk.len();
    match chunk.get_mut(..bytes.len()) {
        Some(chunk) => chunk.copy_from_slice(bytes),
        None => {
            return Err(Lznt1Error::TooLong {
                offset: at,
                needed: bytes.len(),
                there,
            });
        }
    }
    Ok(bytes.len())
}

/// A packed chunk: from `at` to the end of `packed`.
fn unpack_chunk(packed: &[u8], mut at: usize, chunk: &mut [u8]) -> Result<usize, Lznt1Error> {
    let mut done = 0;
    while at < packed.len() {
        let flags = packed[at];
        at += 1;
        for flag in 0..8 {
            if at == packed.len() {
                break;
            }
            let is_copy = flags & (1 << flag) != 0;
            let (distance, length) = match is_copy {
                true => copy_of(word(packed, at)?, done),
                false => (0, 1),
            };
            let there = chunk.len() - done;
            if length > there {
                return Err(Lznt1Error::TooLong {
                    offset: at,
                    needed: length,
                    there,
                });
            }
            if distance > done {
                return Err(Lznt1Error::BeforeStart {
                    offset: at,
                    distance,
                    there: done,
                });
            }
            if is_copy {
                // It may copy what it has just written.
                for to in done..done + length {
                    chunk[to] = chunk[to - distance];
                }
            } else {
                chunk[done] = packed[at];
            }
            done += length;
            at += 1 + usize::from(is_copy);
        }
    }
    Ok(done)
}

/// How many bits of a token are its length, after `done` bytes of the chunk.
fn length_bits(done: usize) -> u32 {
    let distances = done.saturating_sub(1) >> 4;
    12 - (usize::BITS - distances.leading_zeros()).min(8)
}

/// The distance and the length of a copy.
fn copy_of(token: u16, done: usize) -> (usize, usize) {
    let bits = length_bits(done);
    let token = usize::from(token);
    (
        (token >> bits) + 1,
        (token & ((1 << bits) - 1)) + SHORTEST_COPY,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn unpacked(packed: &[u8]) -> Result<Vec<u8>, Lznt1Error> {
        let mut into = vec![0xee; 0x10000];
        let length = unpack(packed, &mut into)?;
        assert!(into[length..].iter().all(|byte| *byte == 0xee));
        into.truncate(length);
        Ok(into)
    }

    fn chunk_of(is_packed: bool, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len() - 1).unwrap();
        let header = length | SIGNATURE << 12 | if is_packed { IS_PACKED } else { 0 };
        [&header.to_le_bytes(), body].concat()
    }

    /// Packs a chunk as well as it can; none if it does not get shorter.
    fn pack_chunk(bytes: &[u8]) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let flags = body.len();
            body.push(0);
            for flag in 0..8 {
                if at == bytes.len() {
                    break;
                }
                let bits = length_bits(at);
                let farthest = at.min(1 << (16 - bits));
                let longest = (bytes.len() - at).min((1 << bits) + SHORTEST_COPY - 1);
                let same = |distance: usize| {
                    let back = bytes[at - distance..].iter();
                    let pairs = back.zip(&bytes[at..at + longest]);
                    pairs.take_while(|(one, other)| one == other).count()
                };
                let best = (1..=farthest).map(|distance| (same(distance), distance));
                match best.max_by_key(|(length, distance)| (*length, usize::MAX - distance)) {
                    Some((length, distance)) if length >= SHORTEST_COPY => {
                        let token = (distance - 1) << bits | (length - SHORTEST_COPY);
                        body[flags] |= 1 << flag;
                        body.extend_from_slice(&u16::try_from(token).unwrap().to_le_bytes());
                        at += length;
                    }
                    _ => {
                        body.push(bytes[at]);
                        at += 1;
                    }
                }
            }
        }
        (body.len() < bytes.len()).then_some(body)
    }

    fn pack(bytes: &[u8]) -> Vec<u8> {
        let chunks = bytes.chunks(CHUNK).map(|bytes| match pack_chunk(bytes) {
            Some(body) => chunk_of(true, &body),
            None => chunk_of(false, bytes),
        });
        chunks.collect::<Vec<_>>().concat()
    }

    /// \[MS-XCA\] 3.3.
    #[test]
    fn the_example_of_the_specification_is_unpacked() {
        let packed = [
            0x38, 0xb0, 0x88, 0x46, 0x23, 0x20, 0x00, 0x20, 0x47, 0x20, 0x41, 0x00, 0x10, 0xa2,
            0x47, 0x01, 0xa0, 0x45, 0x20, 0x44, 0x00, 0x08, 0x45, 0x01, 0x50, 0x79, 0x00, 0xc0,
            0x45, 0x20, 0x05, 0x24, 0x13, 0x88, 0x05, 0xb4, 0x02, 0x4a, 0x44, 0xef, 0x03, 0x58,
            0x02, 0x8c, 0x09, 0x16, 0x01, 0x48, 0x45, 0x00, 0xbe, 0x00, 0x9e, 0x00, 0x04, 0x01,
            0x18, 0x90, 0x00,
        ];
        let text = "F# F# G A A G F# E D D E F# F# E E F# F# G A A G F# E D D E F# E D D \
                    E E F# D E F# G F# D E F# G F# E D E A F# F# G A A G F# E D D E F# E D D\0";
        assert_eq!(unpacked(&packed).unwrap(), text.as_bytes());
    }

    #[test]
    fn distances_get_more_bits_as_the_chunk_grows() {
        for (done, bits) in [
            (0, 12),
            (1, 12),
            (16, 12),
            (17, 11),
            (32, 11),
            (33, 10),
            (2048, 5),
            (2049, 4),
            (4095, 4),
        ] {
            assert_eq!(length_bits(done), bits, "{done}");
        }
    }

    #[test]
    fn half_an_end_marker_is_one() {
        let packed = [&chunk_of(true, &[0, b'a'])[..], &[0]].concat();
        assert_eq!(unpacked(&packed).unwrap(), b"a");
    }

    #[test]
    fn chunks_follow_each_other_up_to_the_end_marker() {
        // One byte, and a copy of it that is as long as a chunk can be.
        let zeros = chunk_of(true, &[0b10, 0, 0xfc, 0x0f]);
        let kept = chunk_of(false, &[7; CHUNK]);
        let short = chunk_of(true, &[0, b'a', b'b']);
        let all = [&zeros[..], &kept, &short, &[0, 0], &kept].concat();
        let unpacked = unpacked(&all).unwrap();
        assert_eq!(unpacked.len(), 2 * CHUNK + 2);
        assert!(unpacked[..CHUNK].iter().all(|byte| *byte == 0));
        assert!(unpacked[CHUNK..2 * CHUNK].iter().all(|byte| *byte == 7));
        assert_eq!(unpacked[2 * CHUNK..], *b"ab");
    }

    #[test]
    fn a_short_chunk_before_another_leaves_zeros() {
        let short = chunk_of(true, &[0, b'a', b'b']);
        let kept = chunk_of(false, b"xyz");
        let unpacked = unpacked(&[short, kept].concat()).unwrap();
        assert_eq!(unpacked[..2], *b"ab");
        assert!(unpacked[2..CHUNK].iter().all(|byte| *byte == 0));
        assert_eq!(unpacked[CHUNK..], *b"xyz");
    }

    #[test]
    fn what_cannot_be_unpacked_is_said() {
        let cases = [
            (
                chunk_of(true, &[1, 0, 0]),
                Lznt1Error::BeforeStart {
                    offset: 3,
                    distance: 1,
                    there: 0,
                },
            ),
            (
                chunk_of(true, &[2, b'a', 0, 0x10]),
                Lznt1Error::BeforeStart {
                    offset: 4,
                    distance: 2,
                    there: 1,
                },
            ),
            (
                chunk_of(true, &[2, b'a', 0xfd, 0x0f]),
                Lznt1Error::TooLong {
                    offset: 4,
                    needed: 4096,
                    there: 4095,
                },
            ),
            (
                chunk_of(true, &[1, b'a']),
                Lznt1Error::CutOff {
                    offset: 3,
                    needed: 2,
                    there: 1,
                },
            ),
            (
                chunk_of(false, b"abc")[..4].to_vec(),
                Lznt1Error::CutOff {
                    offset: 2,
                    needed: 3,
                    there: 2,
                },
            ),
            (
                vec![0x30],
                Lznt1Error::CutOff {
                    offset: 0,
                    needed: 2,
                    there: 1,
                },
            ),
            (
                vec![0x01, 0xa0, 0, 0],
                Lznt1Error::NotAHeader {
                    offset: 0,
                    header: 0xa001,
                },
            ),
        ];
        for (packed, error) in cases {
            assert_eq!(unpacked(&packed), Err(error));
        }
        let kept = chunk_of(false, b"abc");
        let error = unpack(&kept, &mut [0; 2]).unwrap_err();
        assert!(matches!(
            error,
            Lznt1Error::TooLong {
                needed: 3,
                there: 2,
                ..
            }
        ));
    }

    #[test]
    fn nothing_is_unpacked_past_the_end_of_the_unit() {
        let kept = chunk_of(false, &[7; CHUNK]);
        let mut into = [0; CHUNK];
        assert_eq!(unpack(&kept.repeat(2), &mut into), Ok(CHUNK));
        assert_eq!(unpack(&kept, &mut []), Ok(0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_was_packed_is_unpacked(
            parts in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..40), 1..120_usize), 0..20)
        ) {
            let mut bytes: Vec<u8> = parts.iter().flat_map(|(part, times)| part.repeat(*times)).collect();
            bytes.truncate(0x10000);
            prop_assert!(unpacked(&pack(&bytes)).unwrap() == bytes);
        }

        #[test]
        fn any_bytes_are_unpacked_or_refused(
            mut packed in prop::collection::vec(any::<u8>(), 0..300),
            room in 0..10_000_usize,
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        ) {
            let mut into = vec![0; room];
            let _ = unpack(&packed, &mut into);
            // The header of a packed chunk, so that more than headers is read.
            let body = packed.split_off(packed.len().min(2));
            if !body.is_empty() {
                let _ = unpack(&chunk_of(true, &body), &mut into);
            }
            let mut damaged = pack(&body.repeat(9));
            for (at, byte) in flips {
                if !damaged.is_empty() {
                    let at = at.index(damaged.len());
                    damaged[at] = byte;
                }
            }
            if let Ok(length) = unpack(&damaged, &mut into) {
                prop_assert!(length <= room);
            }
        }
    }
}
