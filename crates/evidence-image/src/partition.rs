//! Partition tables: where the volumes of a disk lie.

use crate::ntfs::NtfsVolume;
use crate::numbers::Bytes;
use evidence::{SourceFile, Stamp, wrong};
use std::io;
use std::sync::Arc;

/// Where a partition lies on its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Partition {
    /// As Linux and Windows' `diskpart` count: entries of the table from 1 on, logical drives of an MBR from 5 on.
    pub(crate) number: u32,
    /// Offset on the disk, in bytes.
    pub(crate) start: u64,
    /// Bytes.
    pub(crate) length: u64,
    /// Whether the table says that no files of a user are on it: the EFI system, or reserved by Microsoft.
    pub(crate) is_of_system: bool,
}

const SECTOR: u64 = 512;
const LARGE_SECTOR: u64 = 4096;
/// Partitions of more than one entry: `EFI PART` says where the real table is.
const PROTECTIVE: u8 = 0xee;
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];
/// A dynamic disk of Windows: volumes are put together by a database of their own.
const DYNAMIC: u8 = 0x42;
/// More logical drives than a disk has letters for.
const MOST_LOGICAL: usize = 128;
const MOST_ENTRIES: u32 = 1024;
const EFI_SYSTEM: [u8; 16] = guid(0xc12a_7328, 0xf81f, 0x11d2, 0xba4b_00a0_c93e_c93b);
const MICROSOFT_RESERVED: [u8; 16] = guid(0xe3c9_e316, 0x0b5c, 0x4db8, 0x817d_f92d_f002_15ae);
const DYNAMIC_METADATA: [u8; 16] = guid(0x5808_c8aa, 0x7e8f, 0x42e0, 0x85d2_e1e9_0434_cfb3);
const DYNAMIC_DATA: [u8; 16] = guid(0xaf9b_60a0, 0x1431, 0x4f62, 0xbc68_3311_714a_69ad);
const STORAGE_SPACES: [u8; 16] = guid(0xe75c_aaf8, 0xf680, 0x4cee, 0xafa3_b001_e56e_fc2d);

/// A GUID as it lies on a disk: its first three parts are numbers.
const fn guid(a: u32, b: u16, c: u16, d: u64) -> [u8; 16] {
    let (a, b, c, d) = (
        a.to_le_bytes(),
        b.to_le_bytes(),
        c.to_le_bytes(),
        d.to_be_bytes(),
    );
    [
        a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5], d[6],
        d[7],
    ]
}

/// The partitions of a disk; none if it has no table. Where an MBR has partitions of its own, a GPT was left over by somebody.
pub(crate) fn table(disk: &dyn SourceFile) -> io::Result<Option<Vec<Partition>>> {
    let entries = entries(disk, 0)?;
    let kinds = entries.iter().flatten().map(|entry| entry.kind);
    let kinds: Vec<_> = kinds.filter(|kind| *kind != 0).collect();
    if kinds.is_empty() || kinds.contains(&PROTECTIVE) {
        for sector in [SECTOR, LARGE_SECTOR] {
            if let Some(found) = gpt(disk, sector)? {
                return Ok(Some(found));
            }
        }
    }
    entries.map(|entries| mbr(disk, entries)).transpose()
}

fn mbr(disk: &dyn SourceFile, entries: [Entry; 4]) -> io::Result<Vec<Partition>> {
    let sector = sector_of(disk, &entries)?;
    let mut found = Vec::new();
    for (number, entry) in (1..).zip(entries) {
        match entry.kind {
            0 => {}
            DYNAMIC => {
                return Err(wrong(
                    "it is a dynamic disk (LDM) of Windows: its volumes are not read here",
                ));
            }
            PROTECTIVE => {
                return Err(wrong(
                    "its partition table (GPT) is not where it should be: the image is damaged, or not whole",
                ));
            }
            kind if EXTENDED.contains(&kind) => logical(disk, entry.start, sector, &mut found)?,
            _ => found.push(entry.partition(number, 0, sector)),
        }
    }
    found.sort_by_key(|partition| partition.number);
    Ok(found)
}

/// Bytes of the sectors that an MBR counts in. It does not say; but NTFS does, where it begins.
fn sector_of(disk: &dyn SourceFile, entries: &[Entry; 4]) -> io::Result<u64> {
    let mut has_large = false;
    for entry in entries.iter().filter(|entry| entry.start > 0) {
        let mut start = [0; SECTOR as usize];
        disk.read_at(&mut start, entry.start * SECTOR)?;
        if NtfsVolume::is_start(&start) {
            return Ok(SECTOR);
        }
        disk.read_at(&mut start, entry.start * LARGE_SECTOR)?;
        has_large |= NtfsVolume::is_start(&start) && start.u16(11) == Some(LARGE_SECTOR as u16);
    }
    Ok(if has_large { LARGE_SECTOR } else { SECTOR })
}

/// The logical drives of an extended partition: each says where the next one is.
fn logical(
    disk: &dyn SourceFile,
    extended: u64,
    sector: u64,
    found: &mut Vec<Partition>,
) -> io::Result<()> {
    let mut at = extended;
    let before = found.iter().filter(|partition| partition.number >= 5);
    let first = 5 + before.count() as u32;
    for number in (first..).take(MOST_LOGICAL) {
        let damaged = |what: &str| {
            wrong(format!(
                "there should be a table of logical drives at {:#x} of the disk, and {what}: more drives may have been there",
                at * sector
            ))
        };
        let Some(entries) = entries(disk, at * sector)? else {
            return Err(damaged("there is none"));
        };
        let [drive, next, rest @ ..] = entries;
        let is_known = next.kind == 0 || EXTENDED.contains(&next.kind);
        let is_all = rest.iter().all(|entry| entry.kind == 0);
        let is_whole = entries.iter().all(Entry::is_whole);
        if !is_known || !is_all || !is_whole || EXTENDED.contains(&drive.kind) {
            return Err(damaged(
                "there is one of something else than a drive and the next table",
            ));
        }
        if drive.kind != 0 {
            found.push(drive.partition(number, at, sector));
        }
        if next.kind == 0 {
            return Ok(());
        }
        at = extended + next.start;
    }
    Err(wrong(
        "the tables of logical drives lead in a circle: the image is damaged",
    ))
}

/// An entry of an MBR.
#[derive(Debug, Clone, Copy)]
struct Entry {
    kind: u8,
    /// In sectors.
    start: u64,
    count: u64,
}

impl Entry {
    /// Whether it has a kind, or nothing at all.
    fn is_whole(&self) -> bool {
        self.kind != 0 || (self.start, self.count) == (0, 0)
    }

    fn partition(&self, number: u32, from: u64, sector: u64) -> Partition {
        Partition {
            number,
            start: (from + self.start) * sector,
            length: self.count * sector,
            is_of_system: self.kind == 0xef,
        }
    }
}

fn entries(disk: &dyn SourceFile, at: u64) -> io::Result<Option<[Entry; 4]>> {
    let mut sector = [0; SECTOR as usize];
    if disk.read_at(&mut sector, at)? < sector.len() || sector[510..] != [0x55, 0xaa] {
        return Ok(None);
    }
    let entry = |number: usize| {
        let entry = &sector[446 + 16 * number..][..16];
        let number = |offset: usize| u64::from(entry.u32(offset).unwrap_or_default());
        (entry[0] & 0x7f == 0).then_some(Entry {
            kind: entry[4],
            start: number(8),
            count: number(12),
        })
    };
    let all = || Some([entry(0)?, entry(1)?, entry(2)?, entry(3)?]);
    Ok(all())
}

/// The table at the start of the disk, or the copy at its end if that one is damaged.
fn gpt(disk: &dyn SourceFile, sector: u64) -> io::Result<Option<Vec<Partition>>> {
    let end = disk.stamp().length / sector * sector;
    let mut damaged = None;
    for at in [sector, end.saturating_sub(sector)] {
        match gpt_at(disk, sector, at) {
            Ok(Some(found)) => return Ok(Some(found)),
            Ok(None) => {}
            Err(error) => damaged = damaged.or(Some(error)),
        }
    }
    damaged.map_or(Ok(None), Err)
}

fn gpt_at(disk: &dyn SourceFile, sector: u64, at: u64) -> io::Result<Option<Vec<Partition>>> {
    let mut header = [0; SECTOR as usize];
    if disk.read_at(&mut header, at)? < header.len() || !header.starts_with(b"EFI PART") {
        return Ok(None);
    }
    let damaged = |what: &str| {
        wrong(format!(
            "the partition table (GPT) at {at:#x} of the disk is damaged: {what}"
        ))
    };
    let header = &mut header[..];
    let length = header.u32(12).unwrap_or_default() as usize;
    let sum = header.u32(16);
    if !(92..=header.len()).contains(&length) {
        return Err(damaged("its header has no length"));
    }
    header[16..20].fill(0);
    if sum != Some(crc32fast::hash(&header[..length])) {
        return Err(damaged("the checksum of its header is wrong"));
    }
    let (first, count) = (
        header.u64(72).unwrap_or_default(),
        header.u32(80).unwrap_or_default(),
    );
    let (size, sum) = (header.u32(84).unwrap_or_default(), header.u32(88));
    if count > MOST_ENTRIES || !(128..=4096).contains(&size) {
        return Err(damaged("it has no sizes that a table has"));
    }
    let mut entries = vec![0; count as usize * size as usize];
    let at = first
        .checked_mul(sector)
        .ok_or_else(|| damaged("it lies nowhere"))?;
    disk.read_exact_at(&mut entries, at)?;
    if sum != Some(crc32fast::hash(&entries)) {
        return Err(damaged("the checksum of its entries is wrong"));
    }
    let mut found = Vec::new();
    for (number, entry) in (1..).zip(entries.chunks_exact(size as usize)) {
        let kind: [u8; 16] = entry.array(0).unwrap_or_default();
        match kind {
            kind if kind == [0; 16] => continue,
            DYNAMIC_METADATA | DYNAMIC_DATA => {
                return Err(wrong(
                    "it is a dynamic disk (LDM) of Windows: its volumes are not read here",
                ));
            }
            STORAGE_SPACES => {
                return Err(wrong(
                    "it is a part of Storage Spaces of Windows: its volumes are not read here",
                ));
            }
            _ => {}
        }
        let places = || {
            let (first, last) = (entry.u64(32)?, entry.u64(40)?);
            let count = last.checked_sub(first)?.checked_add(1)?;
            Some((first.checked_mul(sector)?, count.checked_mul(sector)?))
        };
        let (start, length) =
            places().ok_or_else(|| damaged("a partition ends before it starts"))?;
        found.push(Partition {
            number,
            start,
            length,
            is_of_system: [EFI_SYSTEM, MICROSOFT_RESERVED].contains(&kind),
        });
    }
    Ok(Some(found))
}

/// The bytes of a partition.
#[derive(Debug)]
pub(crate) struct PartitionFile {
    pub(crate) disk: Arc<dyn SourceFile>,
    pub(crate) partition: Partition,
}

impl SourceFile for PartitionFile {
    fn name(&self) -> String {
        format!("{} (partition {})", self.disk.name(), self.partition.number)
    }

    fn stamp(&self) -> Stamp {
        Stamp {
            length: self.partition.length,
            ..self.disk.stamp()
        }
    }

    fn stamp_now(&self) -> io::Result<Stamp> {
        let now = self.disk.stamp_now()?;
        let is_same = now == self.disk.stamp();
        Ok(Stamp {
            tag: if is_same {
                now.tag
            } else {
                Some("the image was changed".to_owned())
            },
            ..self.stamp()
        })
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.partition.length.saturating_sub(offset);
        let length = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let at = self.partition.start.saturating_add(offset);
        let there = self.disk.stamp().length;
        let read = self.disk.read_at(&mut buffer[..length], at)?;
        if read < length {
            return Err(wrong(format!(
                "the disk ends at {there:#x}, and {length} bytes from {at:#x} on are needed: the image is not whole"
            )));
        }
        Ok(read)
    }

    fn piece(&self) -> usize {
        self.disk.piece()
    }

    fn forget(&self, offset: u64, length: u64) {
        self.disk
            .forget(self.partition.start.saturating_add(offset), length);
    }
}
