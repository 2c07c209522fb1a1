//! Checksum records: how logs of version 7.3704 are chained and checked.
//!
//! In these logs records follow each other byte by byte across sectors. Each write begins with a checksum record
//! (`LRCHECKSUM`, `inc/logapi.hxx`), 22 bytes:
//!
//! ```text
//! 0      1           5          9      13         17               21
//! | type | backwards | forwards | next | checksum | short checksum | short used?
//!   0x2A   u32         u32        u32    u32        u32              0x9A yes, 0xD1 no
//! ```
//!
//! ```text
//!           sector n                    sector n+1                 sector n+2
//! |-------------------------------|--------------------------|---------------------
//! | tail of a record [CHECKSUM] records ...................| tail [CHECKSUM] ...
//! |<-- backwards --->|          |<-- forwards ------------->|
//!                               |<-- next ------------------------>|
//! ```
//!
//! *Backwards* reaches to the start of the record's own sector; it is 0 where what is before is not to be trusted.
//! *Forwards* ends at the end of a sector unless this is the last write. *Next* counts from the end of this record to
//! the next checksum record; 0 in the last one. The checksum covers both ranges and the three lengths and includes the
//! generation. A write of more than one sector also has a short checksum of its first sector. A last write of one
//! sector is followed by its *shadow*, the same sector with another checksum. Whatever follows is a fixed pattern.
//!
//! Facts: `ese/_log/logread_legacy.cxx` (`FValidLRCKRecord`, `UlComputeChecksum`, `UlComputeShortChecksum`,
//! `UlComputeShadowChecksum`), constants in `inc/daedef.hxx`, the pattern in `ese/_osu/fileu.cxx`.

use crate::layout::layout;
use crate::{FormatError, Generation, Reader};
use serde::Serialize;

const CHECKSUM_SEED: u32 = 0xfeed_beaf;
const SHORT_CHECKSUM_SEED: u32 = 0xdead_c0de;
const SHADOW: u32 = 0x5ad0_5ec7;
const SHORT_CHECKSUM_ON: u8 = 0x9a;
const SHORT_CHECKSUM_OFF: u8 = 0xd1;

layout! {
    /// A checksum record, as stored.
    #[derive(Copy, Serialize)]
    ChecksumRecord [0..22] {
        0 record_type: u8 = "[`ChecksumRecord::TYPE`].";
        1 backwards: u32 = "Bytes covered before this record: back to the start of its sector, or 0.";
        5 forwards: u32 = "Bytes covered after this record.";
        9 next: u32 = "Bytes from the end of this record to the next checksum record; 0 in the last one.";
        13 checksum: u32 = "Checksum of both ranges.";
        17 short_checksum: u32 = "Checksum of this record's sector alone, where used.";
        21 short_checksum_used: u8 = "Whether the short checksum is used, as stored.";
    }
}

impl ChecksumRecord {
    /// The byte that opens the record (`lrtypChecksum`).
    pub const TYPE: u8 = 42;

    /// Decodes the record at `at` of `file`, a log file or its start.
    pub fn read(file: &[u8], at: usize) -> Result<Self, FormatError> {
        let mut reader = Reader::at(file.get(at..).unwrap_or(&[]), at as u64);
        let kind = reader.remaining().first().copied().unwrap_or(Self::TYPE);
        if kind != Self::TYPE {
            return Err(FormatError::invalid(
                "checksum record type",
                at as u64,
                kind,
                Self::TYPE,
            ));
        }
        Ok(ChecksumRecord::from_bytes(
            &reader.array("checksum record")?,
        ))
    }

    /// Whether the record says that it begins a write of several sectors.
    pub fn has_short_checksum(self) -> bool {
        self.short_checksum_used == SHORT_CHECKSUM_ON
    }

    /// Sets whether a short checksum is used.
    pub fn use_short_checksum(&mut self, on: bool) {
        self.short_checksum_used = if on {
            SHORT_CHECKSUM_ON
        } else {
            SHORT_CHECKSUM_OFF
        };
    }

    /// Whether everything that can be known from the record and its sector alone holds, for a record at `at` of
    /// `file` with sectors of `sector` bytes (`FValidLRCKRecord`): the lengths make sense together, and the short
    /// checksum is right where there is one. Says nothing of the rest of the range.
    pub fn is_plausible(
        self,
        file: &[u8],
        at: usize,
        sector: usize,
        generation: Generation,
    ) -> bool {
        let byte = at % sector;
        let backwards = self.backwards as usize;
        let range = byte + Self::SIZE + self.forwards as usize;
        let several = range > sector;
        let granular = range.is_multiple_of(sector);
        let short_fits = match self.short_checksum_used {
            SHORT_CHECKSUM_ON => {
                several
                    && self.compute_short(file, at, sector, generation) == Some(self.short_checksum)
            }
            SHORT_CHECKSUM_OFF => !several && self.short_checksum == 0,
            _ => false,
        };
        let next_sector = (at + Self::SIZE + self.next as usize) / sector;
        let next_fits = self.next == 0
            || (granular && range >= sector && next_sector == at / sector + range / sector);
        (backwards == 0 || backwards == byte)
            && byte + Self::SIZE <= sector
            && at - byte + range <= file.len()
            && (!several || granular)
            && short_fits
            && next_fits
    }

    /// The checksum that the record should carry; `None` if its ranges leave the file.
    pub fn compute(self, file: &[u8], at: usize, generation: Generation) -> Option<u32> {
        let before = file.get(at.checked_sub(self.backwards as usize)?..at)?;
        let behind = file.get(at + Self::SIZE..)?.get(..self.forwards as usize)?;
        Some(self.sum(CHECKSUM_SEED, before, behind, generation))
    }

    /// The checksum that a shadow of this record should carry.
    pub fn compute_shadow(self, file: &[u8], at: usize, generation: Generation) -> Option<u32> {
        Some(self.compute(file, at, generation)? ^ SHADOW)
    }

    /// The short checksum that the record should carry; `None` if the sector leaves the file.
    pub fn compute_short(
        self,
        file: &[u8],
        at: usize,
        sector: usize,
        generation: Generation,
    ) -> Option<u32> {
        let sector_end = (at / sector + 1) * sector;
        let before = file.get(at.checked_sub(self.backwards as usize)?..at)?;
        let behind = file.get(at + Self::SIZE..sector_end)?;
        Some(self.sum(SHORT_CHECKSUM_SEED, before, behind, generation))
    }

    fn sum(self, seed: u32, before: &[u8], behind: &[u8], generation: Generation) -> u32 {
        seed ^ xor_words(before)
            ^ xor_words(behind)
            ^ self.backwards
            ^ self.forwards
            ^ self.next
            ^ u32::from(self.short_checksum_used)
            ^ generation.0
    }
}

/// Exclusive or of the little-endian words of `bytes`; a rest counts as if zeroes followed.
fn xor_words(bytes: &[u8]) -> u32 {
    let (pairs, rest) = bytes.as_chunks::<8>();
    let pairs = pairs
        .iter()
        .fold(0, |sum, pair| sum ^ u64::from_le_bytes(*pair));
    let mut tail = [0; 8];
    for (place, byte) in tail.iter_mut().zip(rest) {
        *place = *byte;
    }
    let sum = pairs ^ u64::from_le_bytes(tail);
    (sum ^ sum >> 32) as u32
}

/// Period of the pattern that fills the unused part of a log.
const PATTERN_SIZE: usize = 512;

/// The pattern that fills the unused part of a log of this layout: bytes 0xDA, every sixteenth raised by its row.
pub fn fill_pattern() -> [u8; PATTERN_SIZE] {
    let mut pattern = [0xda; PATTERN_SIZE];
    for (row, bytes) in pattern.chunks_exact_mut(16).enumerate() {
        bytes[0] = 0xda_u8.wrapping_add((row as u8).wrapping_mul(16));
    }
    pattern
}

/// Whether `sectors`, whole sectors of a log, hold nothing but the fill pattern.
pub fn is_fill_pattern(sectors: &[u8]) -> bool {
    let pattern = fill_pattern();
    let mut rows = sectors.chunks(PATTERN_SIZE);
    rows.all(|row| pattern.starts_with(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_count_from_the_start_of_each_range() {
        assert_eq!(xor_words(&[1, 2, 3, 4, 5]), 0x0403_0201 ^ 5);
        assert_eq!(
            xor_words(&[1, 2, 3, 4, 5, 6, 7, 8, 9]),
            0x0403_0201 ^ 0x0807_0605 ^ 9
        );
        assert_eq!(xor_words(&[]), 0);
    }

    #[test]
    fn stores_what_it_reads() {
        let record = ChecksumRecord {
            record_type: ChecksumRecord::TYPE,
            backwards: 0,
            forwards: 458,
            next: 0,
            checksum: 0x1234_5678,
            short_checksum: 0,
            short_checksum_used: SHORT_CHECKSUM_OFF,
        };
        assert_eq!(ChecksumRecord::read(&record.to_bytes(), 0), Ok(record));
    }
}
