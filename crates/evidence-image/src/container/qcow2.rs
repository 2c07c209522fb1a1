//! QCOW2, of QEMU: versions 2 and 3.
//!
//! ```text
//! offset of the disk = number of a first table's entry | number of a second table's entry | offset in a cluster
//! first table        offsets of second tables
//! second table       offset of a cluster, or where it is packed and how long that is; with sub-clusters, which of them are there
//! ```
//!
//! Numbers are big-endian. What no table has is zeros, since an image with a backing file is refused. Internal snapshots have
//! tables of their own; what is read is the disk as it is now. Source: `docs/interop/qcow2.rst` of QEMU.

use super::disk::{Blocks, Run};
use super::parts::{Part, Tables};
use crate::cache::Cache;
use evidence::{SourceFile, wrong};
use flate2::{Decompress, FlushDecompress, Status};
use std::io::{self, Read};
use std::sync::Arc;

pub(super) const MAGIC: &[u8; 4] = b"QFI\xfb";

const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
const PACKED: u64 = 1 << 62;
const ZEROS: u64 = 1;

/// Features that a reader has to know. Two more, that reference counts may be wrong and that the image was found to be damaged, only
/// stop those who write.
mod feature {
    pub(super) const EXTERNAL_DATA: u64 = 1 << 2;
    pub(super) const PACKED_OTHERWISE: u64 = 1 << 3;
    pub(super) const SUB_CLUSTERS: u64 = 1 << 4;
    pub(super) const ALL: u64 = (1 << 5) - 1;
}

#[derive(Debug, Clone, Copy)]
enum Packing {
    Deflate,
    Zstandard,
}

#[derive(Debug)]
pub(super) struct Qcow2 {
    tables: Tables,
    length: u64,
    cluster_bits: u32,
    has_sub_clusters: bool,
    first_table: u64,
    packing: Packing,
    unpacked: Cache<u64, Vec<u8>>,
}

impl Qcow2 {
    pub(super) fn open(file: &Arc<dyn SourceFile>) -> io::Result<Self> {
        let part = Part::of(Arc::clone(file));
        let header: [u8; 72] = part.bytes(0, "the header of a QCOW2 image")?;
        let u32_at = |at: usize| u32::from_be_bytes(std::array::from_fn(|i| header[at + i]));
        let u64_at = |at: usize| u64::from_be_bytes(std::array::from_fn(|i| header[at + i]));
        let version = u32_at(4);
        let (mut features, mut packing) = (0, Packing::Deflate);
        match version {
            2 => {}
            3 => {
                let more: [u8; 32] = part.bytes(72, "the header of a QCOW2 image")?;
                features = u64::from_be_bytes(std::array::from_fn(|i| more[i]));
                let length = u32::from_be_bytes(std::array::from_fn(|i| more[28 + i]));
                if features & feature::PACKED_OTHERWISE != 0 {
                    let kind = match length > 104 {
                        true => part.bytes::<1>(104, "the header of a QCOW2 image")?[0],
                        false => 0,
                    };
                    packing = match kind {
                        0 => Packing::Deflate,
                        1 => Packing::Zstandard,
                        other => {
                            return Err(wrong(format!(
                                "clusters of this QCOW2 image are packed in a way that is not read here ({other})"
                            )));
                        }
                    };
                }
            }
            other => {
                return Err(wrong(format!(
                    "this QCOW2 image is of version {other}, and only 2 and 3 are read here"
                )));
            }
        }
        if u64_at(8) != 0 {
            return Err(wrong(
                "this QCOW2 image has a backing file: it holds only what changed since its parent; merge them first (qemu-img convert)",
            ));
        }
        if u32_at(32) != 0 {
            return Err(wrong(
                "this QCOW2 image is encrypted: decrypt it first (qemu-img convert)",
            ));
        }
        if features & feature::EXTERNAL_DATA != 0 {
            return Err(wrong(
                "this QCOW2 image holds only tables, and its data is in another file: convert it first (qemu-img convert)",
            ));
        }
        let unknown = features & !feature::ALL;
        if unknown != 0 {
            return Err(wrong(format!(
                "this QCOW2 image has features that are not known here ({unknown:#x})"
            )));
        }
        let cluster_bits = u32_at(20);
        let has_sub_clusters = features & feature::SUB_CLUSTERS != 0;
        let least = if has_sub_clusters { 14 } else { 9 };
        if !(least..=21).contains(&cluster_bits) {
            return Err(wrong(format!(
                "this QCOW2 image says that its clusters have 2^{cluster_bits} bytes"
            )));
        }
        let length = u64_at(24);
        let entry_bits = if has_sub_clusters { 4 } else { 3 };
        let reach = 1_u64 << (2 * cluster_bits - entry_bits);
        let needed = length.div_ceil(reach);
        let (entries, first_table) = (u64::from(u32_at(36)), u64_at(40));
        if entries < needed {
            return Err(wrong(format!(
                "the first table of this QCOW2 image has {entries} entries, and its disk of {length} bytes needs {needed}"
            )));
        }
        part.expect(first_table, needed * 8, "the first table")?;
        Ok(Qcow2 {
            tables: Tables::of(part),
            length,
            cluster_bits,
            has_sub_clusters,
            first_table,
            packing,
            unpacked: Cache::of_blocks(1 << cluster_bits),
        })
    }

    /// A cluster of a second table or of the disk has to begin where clusters do.
    fn cluster_at(&self, entry: u64, of: u64) -> io::Result<u64> {
        let at = entry & OFFSET;
        match at.trailing_zeros() >= self.cluster_bits {
            true => Ok(at),
            false => Err(wrong(format!(
                "the tables of this QCOW2 image are damaged: offset {of:#x} of the disk should be at {at:#x} of the file, where no cluster begins"
            ))),
        }
    }

    fn unpack(&self, entry: u64, of: u64) -> io::Result<Vec<u8>> {
        let part = self.tables.part();
        let bits = 70 - self.cluster_bits;
        let at = entry & ((1 << bits) - 1);
        let sectors = ((entry & !(3 << 62)) >> bits) + 1;
        let most = sectors * 512 - at % 512;
        // The last sector of the file may not be whole.
        let most = most.min(part.length().saturating_sub(at)).max(1);
        let packed = part.many(at, most, "a packed cluster")?;
        let mut cluster = vec![0; 1 << self.cluster_bits];
        let is_whole = match self.packing {
            Packing::Deflate => {
                let mut state = Decompress::new(false);
                let end = state.decompress(&packed, &mut cluster, FlushDecompress::Finish);
                end.is_ok_and(|end| end == Status::StreamEnd || end == Status::BufError)
                    && state.total_out() == cluster.len() as u64
            }
            Packing::Zstandard => ruzstd::decoding::StreamingDecoder::new(&packed[..])
                .is_ok_and(|mut from| from.read_exact(&mut cluster).is_ok()),
        };
        match is_whole {
            true => Ok(cluster),
            false => Err(wrong(format!(
                "what offset {of:#x} of the disk has is packed at offset {at:#x} of the image, and is damaged there"
            ))),
        }
    }
}

impl Blocks for Qcow2 {
    fn length(&self) -> u64 {
        self.length
    }

    fn parts(&self) -> &[Part] {
        std::slice::from_ref(self.tables.part())
    }

    fn run(&self, offset: u64) -> io::Result<(Run, u64)> {
        let cluster = 1_u64 << self.cluster_bits;
        let (number, within) = (offset >> self.cluster_bits, offset & (cluster - 1));
        let entry_bits = if self.has_sub_clusters { 4 } else { 3 };
        let second_bits = self.cluster_bits - entry_bits;
        let (first, second) = (number >> second_bits, number & ((1 << second_bits) - 1));
        let entry = self
            .tables
            .entry(self.first_table + first * 8, "the first table")?;
        let table = self.cluster_at(u64::from_be_bytes(entry), offset)?;
        if table == 0 {
            let reach = cluster << second_bits;
            return Ok((Run::Zeros, reach - offset % reach));
        }
        let at = table + (second << entry_bits);
        let entry = u64::from_be_bytes(self.tables.entry(at, "a second table")?);
        let left = cluster - within;
        if entry & PACKED != 0 {
            let unpacked = self
                .unpacked
                .get_or(number, || self.unpack(entry, offset))?;
            return Ok((Run::Unpacked(unpacked, within as usize), left));
        }
        let start = self.cluster_at(entry, offset)?;
        if self.has_sub_clusters {
            let bitmap = u64::from_be_bytes(self.tables.entry(at + 8, "a second table")?);
            let sub = cluster / 32;
            let bit = within / sub;
            let left = sub - within % sub;
            let is_there = bitmap >> bit & 1 != 0;
            let is_zeros = bitmap >> (32 + bit) & 1 != 0;
            return match (is_there, is_zeros) {
                (true, false) if start != 0 => Ok((Run::At(0, start + within), left)),
                (false, _) => Ok((Run::Zeros, left)),
                _ => Err(wrong(format!(
                    "the tables of this QCOW2 image are damaged: offset {offset:#x} of the disk is both there and not"
                ))),
            };
        }
        match start {
            0 => Ok((Run::Zeros, left)),
            _ if entry & ZEROS != 0 => Ok((Run::Zeros, left)),
            _ => Ok((Run::At(0, start + within), left)),
        }
    }
}
