//! NTFS: folders and files of a volume, as they lie on it.
//!
//! ```text
//! boot sector -> $MFT (record 0) -> record n -> attributes -> runs -> clusters of the volume
//!                                      |
//!                                      +-- $ATTRIBUTE_LIST: the attribute goes on in other records
//! ```
//!
//! Invariant: what is not known is an error. A record that does not hold, a run that leads out of the volume, a folder of
//! which a part cannot be read: never zeros, never a shorter list.
//!
//! The layouts are those of the Linux-NTFS project's documentation and of what mkntfs writes.

mod attribute;
mod boot;
mod file;
mod folder;
mod record;
mod runs;
mod volume;

pub(crate) use volume::{COMPACT, Elsewhere, Found, NtfsVolume};

use evidence::{ReadError, ReadErrorKind};
use std::io;

/// A volume that is not what it says.
pub(crate) fn wrong(what: impl Into<String>) -> io::Error {
    ReadError::new(ReadErrorKind::Permanent, what).into()
}

/// Little-endian numbers at an offset of bytes that may be too short.
pub(crate) trait Bytes {
    /// `N` bytes at `offset`, if they are there.
    fn array<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// The number of two bytes at `offset`.
    fn u16(&self, offset: usize) -> Option<u16> {
        self.array(offset).map(u16::from_le_bytes)
    }

    /// The number of four bytes at `offset`.
    fn u32(&self, offset: usize) -> Option<u32> {
        self.array(offset).map(u32::from_le_bytes)
    }

    /// The number of eight bytes at `offset`.
    fn u64(&self, offset: usize) -> Option<u64> {
        self.array(offset).map(u64::from_le_bytes)
    }
}

impl Bytes for [u8] {
    fn array<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.get(offset..)?.first_chunk().copied()
    }
}
