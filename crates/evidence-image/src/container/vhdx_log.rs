//! The log of a VHDX: changes that were written down before they were made.
//!
//! A program that writes to a VHDX first writes what it is going to change to the log, which is a ring of sectors of 4 KiB. If it was
//! ended then, some of these changes may not have been made, and the tables of the file cannot be trusted without them.
//!
//! An entry holds descriptors (this sector shall be that one, these bytes shall be zeros), a number that counts up, and where in the log
//! the oldest entry was that was still needed then, its tail. So the log that counts is a run of entries whose numbers follow each
//! other, that ends with the highest number, and that has the tail of its last entry among them. All from that tail on are made, in order.
//!
//! Nothing is written. [`Replayed`] is the file as it would be afterwards: changed sectors from memory, all others from the file.

use super::parts::Part;
use crate::numbers::{u32_at, u64_at};
use evidence::{SourceFile, Stamp, wrong};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

const SECTOR: usize = 4096;
const HEADER: usize = 64;
const DESCRIPTOR: usize = 32;
/// A log is of some MiB; a longer one is not read into memory.
const MOST: u64 = 64 << 20;
/// Checksums are made of at most so many times the bytes of the log.
const PASSES: usize = 16;

/// What the CRC-32C of a byte adds, by the byte.
static CRC: [u32; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let (mut value, mut bit) = (at as u32, 0);
        while bit < 8 {
            value = value >> 1 ^ if value & 1 == 1 { 0x82f6_3b78 } else { 0 };
            bit += 1;
        }
        table[at] = value;
        at += 1;
    }
    table
};

/// The CRC-32C of bytes in which the four at `at` are taken for zeros.
pub(super) fn crc32c_without(bytes: &[u8], at: usize) -> u32 {
    let step = |crc: u32, byte: &u8| crc >> 8 ^ CRC[((crc ^ u32::from(*byte)) & 0xff) as usize];
    let start = bytes[..at].iter().fold(!0, step);
    let middle = [0; 4].iter().fold(start, step);
    !bytes[at + 4..].iter().fold(middle, step)
}

/// An entry of the log that fits its checksum.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Where it begins in the log, in sectors.
    at: usize,
    /// In bytes.
    length: usize,
    number: u64,
    /// In bytes.
    tail: usize,
}

/// The log as a ring.
struct Ring<'a> {
    bytes: &'a [u8],
    owner: &'a [u8],
}

impl Ring<'_> {
    /// The bytes of an entry.
    fn entry(&self, at: usize, length: usize) -> Vec<u8> {
        let until = (at + length).min(self.bytes.len());
        [&self.bytes[at..until], &self.bytes[..at + length - until]].concat()
    }

    /// The entries that count, by the sectors at which they begin.
    fn entries(&self) -> io::Result<Vec<Option<Entry>>> {
        let mut left = self.bytes.len().saturating_mul(PASSES);
        let entry = |at: usize| {
            let start = &self.bytes[at..at + HEADER];
            let length = u32_at(start, 8) as usize;
            let is_one = start.starts_with(b"loge")
                && start[32..48] == *self.owner
                && length >= SECTOR
                && length.is_multiple_of(SECTOR)
                && length <= self.bytes.len();
            if !is_one {
                return Ok(None);
            }
            left = left.checked_sub(length).ok_or_else(|| {
                wrong("the log of this VHDX is damaged: its entries lie in each other")
            })?;
            let bytes = self.entry(at, length);
            let is_whole = crc32c_without(&bytes, 4) == u32_at(&bytes, 4);
            Ok(is_whole.then(|| Entry {
                at: at / SECTOR,
                length,
                number: u64_at(&bytes, 16),
                tail: u32_at(&bytes, 12) as usize,
            }))
        };
        (0..self.bytes.len()).step_by(SECTOR).map(entry).collect()
    }

    /// The entries that have to be made, in order.
    fn active(&self) -> io::Result<Vec<Entry>> {
        let known = self.entries()?;
        let next = |entry: &Entry| {
            let at = (entry.at + entry.length / SECTOR) % known.len();
            known[at].filter(|next| entry.number.checked_add(1) == Some(next.number))
        };
        // Where the run from each entry on ends, and its bytes. Those with higher numbers come first, so a run is known before
        // what leads to it; that it goes over the end of the ring does not matter.
        let mut runs: Vec<Option<(Entry, usize)>> = vec![None; known.len()];
        let mut by_number: Vec<_> = known.iter().flatten().copied().collect();
        by_number.sort_by_key(|entry| std::cmp::Reverse(entry.number));
        for entry in &by_number {
            let (last, rest) = next(entry)
                .and_then(|next| runs[next.at])
                .unwrap_or((*entry, 0));
            runs[entry.at] = Some((last, rest.saturating_add(entry.length)));
        }
        let tail = |last: &Entry| {
            let at = (last.tail.is_multiple_of(SECTOR)).then_some(last.tail / SECTOR)?;
            let (end, length) = (*runs.get(at)?)?;
            let is_whole = end.at == last.at && length <= self.bytes.len();
            known[at].filter(|_| is_whole)
        };
        let Some(tail) = by_number.iter().find_map(tail) else {
            return Err(wrong(
                "this VHDX was not closed, and its log is damaged: what it holds cannot be told",
            ));
        };
        Ok(std::iter::successors(Some(tail), next).collect())
    }
}

/// What a range of the file becomes: up to where, and its bytes; none for zeros.
type Change = (u64, Option<Box<[u8]>>);

/// A file as it is after the changes of its log.
#[derive(Debug)]
pub(super) struct Replayed {
    file: Arc<dyn SourceFile>,
    stamp: Stamp,
    changes: BTreeMap<u64, Change>,
}

/// Reads the log at `place`, which belongs to the header that has `owner`, and makes its changes in memory.
pub(super) fn replay(part: &Part, place: (u64, u64), owner: &[u8]) -> io::Result<Replayed> {
    let (start, length) = place;
    if length > MOST || !length.is_multiple_of(SECTOR as u64) {
        return Err(wrong(format!(
            "this VHDX says that its log has {length} bytes"
        )));
    }
    let bytes = part.many(start, length, "the log of a VHDX")?;
    let ring = Ring {
        bytes: &bytes,
        owner,
    };
    let entries = ring.active()?;
    let mut replayed = Replayed {
        file: Arc::clone(part.file()),
        stamp: part.file().stamp(),
        changes: BTreeMap::new(),
    };
    if let Some(last) = entries.last() {
        // The bytes that the file had at least then, and those that it has to have.
        let bytes = ring.entry(last.at * SECTOR, HEADER);
        let (flushed, needed) = (u64_at(&bytes, 48), u64_at(&bytes, 56));
        if part.length() < flushed {
            return Err(wrong(format!(
                "{} is cut off: its log says that it had {flushed} bytes, and {} are there",
                part.name(),
                part.length()
            )));
        }
        replayed.stamp.length = part.length().max(needed);
    }
    for entry in &entries {
        let bytes = ring.entry(entry.at * SECTOR, entry.length);
        replayed.make(&bytes).ok_or_else(|| {
            wrong("the log of this VHDX is damaged: an entry is not what it says")
        })?;
    }
    Ok(replayed)
}

impl Replayed {
    /// Makes the changes of an entry; none if it is not a sensible one.
    fn make(&mut self, entry: &[u8]) -> Option<()> {
        let count = u32_at(entry, 24) as usize;
        let described = HEADER.checked_add(count.checked_mul(DESCRIPTOR)?)?;
        let descriptors = entry.get(HEADER..described)?;
        let mut sectors = entry
            .get(described.next_multiple_of(SECTOR)..)?
            .chunks_exact(SECTOR);
        for descriptor in descriptors.chunks_exact(DESCRIPTOR) {
            let offset = u64_at(descriptor, 16);
            let number = u64_at(descriptor, 24);
            if number != u64_at(entry, 16) || !offset.is_multiple_of(SECTOR as u64) {
                return None;
            }
            let (length, bytes) = match &descriptor[..4] {
                b"desc" => {
                    let sector = sectors.next()?;
                    let high = u64::from(u32_at(sector, 4)) << 32;
                    let low = u64::from(u32_at(sector, SECTOR - 4));
                    if !sector.starts_with(b"data") || high | low != number {
                        return None;
                    }
                    // Its first eight and last four bytes are in the descriptor.
                    let mut bytes = sector.to_vec();
                    bytes[..8].copy_from_slice(&descriptor[8..16]);
                    bytes[SECTOR - 4..].copy_from_slice(&descriptor[4..8]);
                    (SECTOR as u64, Some(bytes.into_boxed_slice()))
                }
                b"zero" => (u64_at(descriptor, 8), None),
                _ => return None,
            };
            if !length.is_multiple_of(SECTOR as u64) {
                return None;
            }
            let end = offset.checked_add(length)?;
            self.change(offset, end, bytes);
        }
        Some(())
    }

    /// A later change takes the place of earlier ones. Those with bytes are whole sectors, so only zeros are ever split.
    fn change(&mut self, start: u64, end: u64, bytes: Option<Box<[u8]>>) {
        if start == end {
            return;
        }
        let before = self.changes.range(..start).next_back();
        if let Some((&first, &(until, _))) = before
            && until > start
        {
            self.changes.insert(first, (start, None));
            if until > end {
                self.changes.insert(end, (until, None));
            }
        }
        let covered: Vec<u64> = self.changes.range(start..end).map(|(at, _)| *at).collect();
        for at in covered {
            if let Some((until, _)) = self.changes.remove(&at)
                && until > end
            {
                self.changes.insert(end, (until, None));
            }
        }
        self.changes.insert(start, (end, bytes));
    }
}

impl SourceFile for Replayed {
    fn name(&self) -> String {
        self.file.name()
    }

    fn stamp(&self) -> Stamp {
        self.stamp.clone()
    }

    fn stamp_now(&self) -> io::Result<Stamp> {
        let now = self.file.stamp_now()?;
        Ok(match now == self.file.stamp() {
            true => self.stamp(),
            false => now,
        })
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.stamp.length.saturating_sub(offset);
        let length = super::disk::within(left, buffer.len());
        let buffer = &mut buffer[..length];
        let before = self.file.stamp().length.saturating_sub(offset);
        let there = super::disk::within(before, length);
        let read = self.file.read_at(&mut buffer[..there], offset)?;
        if read < there {
            return Ok(read);
        }
        // What the file has to have beyond its end is zeros, until the log says otherwise.
        buffer[there..].fill(0);
        let end = offset + length as u64;
        let first = self.changes.range(..=offset).next_back();
        let first = first.map_or(offset, |(at, _)| *at);
        for (&start, (until, bytes)) in self.changes.range(first..end) {
            let (from, to) = (start.max(offset), (*until).min(end));
            if from >= to {
                continue;
            }
            let into = &mut buffer[(from - offset) as usize..(to - offset) as usize];
            match bytes {
                Some(bytes) => {
                    let at = (from - start) as usize;
                    into.copy_from_slice(&bytes[at..at + into.len()]);
                }
                None => into.fill(0),
            }
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_format() {
        assert_eq!(crc32c_without(b"\0\0\0\0", 0), 0x4867_4bc7);
        assert_eq!(crc32c_without(&[0; 32], 8), 0x8a91_36aa);
    }

    /// A log of entries of two sectors: where each begins, its number, and where its tail is.
    fn log(sectors: usize, entries: &[(usize, u64, usize)]) -> Vec<u8> {
        let mut log = vec![0; sectors * SECTOR];
        for (at, number, tail) in entries {
            let mut entry = vec![0; 2 * SECTOR];
            entry[..4].copy_from_slice(b"loge");
            entry[8..12].copy_from_slice(&(2 * SECTOR as u32).to_le_bytes());
            entry[12..16].copy_from_slice(&((tail * SECTOR) as u32).to_le_bytes());
            entry[16..24].copy_from_slice(&number.to_le_bytes());
            let sum = crc32c_without(&entry, 4);
            entry[4..8].copy_from_slice(&sum.to_le_bytes());
            for (part, sector) in entry.chunks_exact(SECTOR).enumerate() {
                log[(at + part) % sectors * SECTOR..][..SECTOR].copy_from_slice(sector);
            }
        }
        log
    }

    #[test]
    fn a_log_begins_anywhere_in_its_ring() {
        let active = |bytes: &[u8]| {
            let owner = &[0; 16];
            let entries = Ring { bytes, owner }.active()?;
            io::Result::Ok(entries.iter().map(|entry| entry.number).collect::<Vec<_>>())
        };
        // Entries that fill the ring but for a sector or two, from several of its sectors on; older ones are not needed any more.
        for (sectors, count) in [(256, 120), (255, 127)] {
            for first in (0..sectors).step_by(25) {
                let at = |number: usize| (first + 2 * number) % sectors;
                let entries: Vec<_> = (0..count)
                    .map(|number| (at(number), number as u64, at(number.saturating_sub(100))))
                    .collect();
                let expected: Vec<_> = (count as u64 - 101..count as u64).collect();
                assert_eq!(
                    active(&log(sectors, &entries)).unwrap(),
                    expected,
                    "{first}"
                );
            }
        }
        // The tail of the last entry is gone, or is of another run; then an older run counts.
        assert!(active(&log(9, &[(2, 7, 0)])).is_err());
        let two = [(0, 3, 0), (2, 4, 0), (5, 9, 0)];
        assert_eq!(active(&log(9, &two)).unwrap(), [3, 4]);
    }

    /// A file of ones.
    #[derive(Debug)]
    struct Ones;

    impl SourceFile for Ones {
        fn name(&self) -> String {
            "ones".to_owned()
        }

        fn stamp(&self) -> Stamp {
            Stamp {
                length: 32 * SECTOR as u64,
                modified: None,
                tag: None,
            }
        }

        fn stamp_now(&self) -> io::Result<Stamp> {
            Ok(self.stamp())
        }

        fn read_at(&self, buffer: &mut [u8], _offset: u64) -> io::Result<usize> {
            buffer.fill(1);
            Ok(buffer.len())
        }
    }

    #[test]
    fn later_changes_take_the_place_of_earlier_ones() {
        let sector = SECTOR as u64;
        let mut replayed = Replayed {
            file: Arc::new(Ones),
            stamp: Stamp {
                length: 40 * sector,
                ..Ones.stamp()
            },
            changes: BTreeMap::new(),
        };
        let mut expected = [vec![1; 32 * SECTOR], vec![0; 8 * SECTOR]].concat();
        let mut number = 12_345_u64;
        for round in 0..400 {
            number = number
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let start = (number >> 33) % 40;
            let is_data = number >> 60 & 1 == 0;
            let count = if is_data {
                1
            } else {
                (number >> 50) % (41 - start)
            };
            let value = if is_data { 2 + (round % 200) as u8 } else { 0 };
            let bytes = is_data.then(|| vec![value; SECTOR].into_boxed_slice());
            replayed.change(start * sector, (start + count) * sector, bytes);
            let place = start as usize * SECTOR..(start + count) as usize * SECTOR;
            expected[place].fill(value);
            let mut read = vec![9; 40 * SECTOR];
            let from = (number >> 20) as usize % (20 * SECTOR);
            let into = &mut read[from..];
            assert_eq!(replayed.read_at(into, from as u64).unwrap(), into.len());
            assert!(read[from..] == expected[from..], "{round}");
        }
    }
}
