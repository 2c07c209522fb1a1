//! VHDX, of Hyper-V.
//!
//! ```text
//! 0         `vhdxfile`
//! 64 KiB    header, and a copy of it at 128 KiB: the one with the higher number that fits its checksum counts
//! 192 KiB   table of regions, and a copy of it at 256 KiB
//! regions   table of blocks; metadata: how large the disk and its blocks are
//! log       changes of all this that may not have been made yet
//! ```
//!
//! Numbers are little-endian, checksums CRC-32C. Every one of them is checked; data blocks have none. Where the log has changes, the
//! file is read as if they had been made ([`super::vhdx_log`]): it is not changed. Source: MS-VHDX, Microsoft.

use super::disk::{Blocks, Run};
use super::parts::{Part, Tables};
use super::vhdx_log::{self, crc32c_without};
use crate::numbers::{u16_at, u32_at, u64_at};
use evidence::{SourceFile, wrong};
use std::io;
use std::sync::Arc;

pub(super) const SIGNATURE: &[u8; 8] = b"vhdxfile";

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const HEADERS: [u64; 2] = [64 * KIB, 128 * KIB];
const REGION_TABLES: [u64; 2] = [192 * KIB, 256 * KIB];
const REGION_TABLE: usize = 64 << 10;
const MOST: u64 = 64 << 40;

// Identifiers, as they are in the file.
const BLOCKS: [u8; 16] = *b"\x66\x77\xc2\x2d\x23\xf6\x00\x42\x9d\x64\x11\x5e\x9b\xfd\x4a\x08";
const METADATA: [u8; 16] = *b"\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e";
const PARAMETERS: [u8; 16] = *b"\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b";
const LENGTH: [u8; 16] = *b"\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8";
const SECTOR: [u8; 16] = *b"\x1d\xbf\x41\x81\x6f\xa9\x09\x47\xba\x47\xf2\x33\xa8\xfa\xab\x5f";

/// A disk in blocks of one length.
#[derive(Debug)]
pub(super) struct Vhdx {
    tables: Tables,
    length: u64,
    block: u64,
    /// Where the table of blocks is.
    table: u64,
    /// Blocks after which the table has an entry that is not for a block.
    chunk: u64,
}

/// The header that counts.
fn header(part: &Part) -> io::Result<Vec<u8>> {
    let mut best: Option<Vec<u8>> = None;
    for at in HEADERS {
        let found = part.many(at, 4096, "the header of a VHDX")?;
        let is_whole = found.starts_with(b"head") && crc32c_without(&found, 4) == u32_at(&found, 4);
        let is_newer = |best: &Vec<u8>| u64_at(&found, 8) > u64_at(best, 8);
        if is_whole && best.as_ref().is_none_or(is_newer) {
            best = Some(found);
        }
    }
    best.ok_or_else(|| wrong("both headers of this VHDX are damaged"))
}

/// Where the table of blocks is and the metadata, each with its length.
fn regions(part: &Part) -> io::Result<[(u64, u64); 2]> {
    for at in REGION_TABLES {
        let table = part.many(at, REGION_TABLE as u64, "the table of regions")?;
        if !table.starts_with(b"regi") || crc32c_without(&table, 4) != u32_at(&table, 4) {
            continue;
        }
        let (mut blocks, mut metadata) = (None, None);
        let count = u32_at(&table, 8) as usize;
        for entry in table[16..].chunks_exact(32).take(count) {
            let place = (u64_at(entry, 16), u64::from(u32_at(entry, 24)));
            match entry[..16].try_into() {
                Ok(BLOCKS) => blocks = Some(place),
                Ok(METADATA) => metadata = Some(place),
                _ if entry[28] & 1 != 0 => {
                    return Err(wrong(
                        "this VHDX has a region that is not known here, and has to be known to read it",
                    ));
                }
                _ => {}
            }
        }
        return match (blocks, metadata) {
            (Some(blocks), Some(metadata)) => Ok([blocks, metadata]),
            _ => Err(wrong("this VHDX has no table of blocks or no metadata")),
        };
    }
    Err(wrong("both tables of regions of this VHDX are damaged"))
}

/// Bytes of the disk, of a block and of a sector.
fn metadata(part: &Part, (start, length): (u64, u64)) -> io::Result<(u64, u64, u64)> {
    let what = "the metadata of a VHDX";
    part.expect(start, length, what)?;
    let table = part.many(start, length.min(64 * KIB), what)?;
    let damaged = || wrong("the metadata of this VHDX is damaged");
    if table.len() < 32 || !table.starts_with(b"metadata") {
        return Err(damaged());
    }
    let (mut disk, mut block, mut sector) = (None, None, None);
    let count = usize::from(u16_at(&table, 10));
    for entry in table[32..].chunks_exact(32).take(count) {
        let (at, bytes) = (u64::from(u32_at(entry, 16)), u64::from(u32_at(entry, 20)));
        let item = |least: u64| {
            let is_within =
                bytes >= least && at.checked_add(bytes).is_some_and(|end| end <= length);
            match is_within {
                true => part.bytes::<8>(start + at, what),
                false => Err(damaged()),
            }
        };
        match entry[..16].try_into() {
            Ok(PARAMETERS) => {
                let item = item(8)?;
                block = Some(u64::from(u32_at(&item, 0)));
                if u32_at(&item, 4) & 2 != 0 {
                    return Err(wrong(
                        "this VHDX is a differencing disk: it holds only what changed since its parent; merge it with its parent first",
                    ));
                }
            }
            Ok(LENGTH) => disk = Some(u64_at(&item(8)?, 0)),
            Ok(SECTOR) => sector = Some(u64::from(u32_at(&item(4)?, 0))),
            _ => {}
        }
    }
    match (disk, block, sector) {
        (Some(disk), Some(block), Some(sector)) => Ok((disk, block, sector)),
        _ => Err(damaged()),
    }
}

impl Vhdx {
    pub(super) fn open(file: &Arc<dyn SourceFile>) -> io::Result<Self> {
        let mut part = Part::of(Arc::clone(file));
        let header = header(&part)?;
        let version = u16_at(&header, 66);
        if version != 1 {
            return Err(wrong(format!(
                "this VHDX is of version {version}, and only 1 is read here"
            )));
        }
        let log = &header[48..64];
        if log != [0; 16] {
            let place = (u64_at(&header, 72), u64::from(u32_at(&header, 68)));
            if u16_at(&header, 64) != 0 {
                return Err(wrong(
                    "the log of this VHDX is of a version that is not known",
                ));
            }
            part = Part::of(Arc::new(vhdx_log::replay(&part, place, log)?));
        }
        let [(table, room), place] = regions(&part)?;
        let (length, block, sector) = metadata(&part, place)?;
        let is_sane = (MIB..=256 * MIB).contains(&block)
            && block.is_power_of_two()
            && matches!(sector, 512 | 4096)
            && (1..=MOST).contains(&length);
        if !is_sane {
            return Err(wrong(format!(
                "this VHDX says that its disk has {length} bytes, in blocks of {block} and sectors of {sector}"
            )));
        }
        let chunk = (sector << 23) / block;
        let last = length.div_ceil(block) - 1;
        let needed = (last + last / chunk + 1) * 8;
        if room < needed {
            return Err(wrong(format!(
                "the table of blocks of this VHDX has {room} bytes, and its disk needs {needed}"
            )));
        }
        part.expect(table, needed, "the table of blocks")?;
        Ok(Vhdx {
            tables: Tables::of(part),
            length,
            block,
            table,
            chunk,
        })
    }
}

impl Blocks for Vhdx {
    fn length(&self) -> u64 {
        self.length
    }

    fn parts(&self) -> &[Part] {
        std::slice::from_ref(self.tables.part())
    }

    fn run(&self, offset: u64) -> io::Result<(Run, u64)> {
        let (number, within) = (offset / self.block, offset % self.block);
        let at = self.table + (number + number / self.chunk) * 8;
        let entry = u64::from_le_bytes(self.tables.entry(at, "the table of blocks")?);
        let run = match entry & 7 {
            // Not there, undefined, zeros, given back: without a parent, all of them are zeros.
            0..=3 => Run::Zeros,
            6 => Run::At(0, (entry & !(MIB - 1)).saturating_add(within)),
            state => {
                return Err(wrong(format!(
                    "the table of blocks of this VHDX is damaged: the block at offset {:#x} of the disk has the state {state}",
                    offset - within
                )));
            }
        };
        Ok((run, self.block - within))
    }
}
