//! The boot sector: the sizes that everything else is counted in.

use crate::numbers::Bytes;
use evidence::wrong;
use std::io;

/// What the boot sector says of its volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Boot {
    /// Bytes of a cluster.
    pub(crate) cluster: u64,
    /// Clusters of the volume.
    pub(crate) clusters: u64,
    /// First cluster of `$MFT`.
    pub(crate) mft: u64,
    /// First cluster of the copy of its first records.
    pub(crate) mirror: u64,
    /// Bytes of a file record.
    pub(crate) record: usize,
    /// Bytes of an index record.
    pub(crate) index: usize,
}

/// How long a boot sector has to be.
pub(crate) const LENGTH: usize = 512;
/// What stands at offset 3 of it.
pub(crate) const NAME: &[u8; 8] = b"NTFS    ";
/// Windows makes clusters of up to 2 MiB.
const LARGEST_CLUSTER: u64 = 2 << 20;
const RECORDS: std::ops::RangeInclusive<u64> = 512..=65536;

impl Boot {
    /// Bytes of so many clusters; none if no file and no volume has as many.
    pub(crate) fn length_of(clusters: u64, cluster: u64) -> Option<u64> {
        let bytes = clusters.checked_mul(cluster);
        bytes.filter(|bytes| i64::try_from(*bytes).is_ok())
    }

    /// Reads a boot sector.
    pub(crate) fn of(sector: &[u8]) -> io::Result<Self> {
        let parse = || {
            let bytes = u64::from(sector.u16(11)?);
            let count = *sector.get(13)?;
            let sectors = match count {
                0..=0x80 => u64::from(count),
                // More than that is a negative power of two.
                _ => 1_u64.checked_shl(u32::from(count.wrapping_neg()))?,
            };
            let cluster = bytes.checked_mul(sectors)?;
            let is_size = |size: u64| size.is_power_of_two();
            if !is_size(bytes)
                || !(256..=4096).contains(&bytes)
                || !is_size(cluster)
                || cluster > LARGEST_CLUSTER
            {
                return None;
            }
            let size = |offset: usize| {
                let size = i8::from_le_bytes([*sector.get(offset)?]);
                let size = match size {
                    ..0 => 1_u64.checked_shl(u32::from(size.unsigned_abs()))?,
                    _ => cluster.checked_mul(u64::from(size.unsigned_abs()))?,
                };
                (RECORDS.contains(&size) && is_size(size)).then_some(size as usize)
            };
            let clusters = sector.u64(40)? / sectors;
            Boot::length_of(clusters, cluster)?;
            Some(Boot {
                cluster,
                clusters,
                mft: sector.u64(48)?,
                mirror: sector.u64(56)?,
                record: size(64)?,
                index: size(68)?,
            })
        };
        match parse() {
            Some(boot) if sector.get(3..11) == Some(NAME) => Ok(boot),
            _ => Err(wrong(
                "the boot sector of the NTFS volume has sizes that NTFS does not have: the volume is damaged",
            )),
        }
    }
}
