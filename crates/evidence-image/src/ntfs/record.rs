//! Records of several sectors: their last bytes of each sector are kept elsewhere, to show a torn write.

use crate::numbers::Bytes;
use evidence::wrong;
use std::io;

/// Sectors are counted in so many bytes, whatever the disk's are.
const STRIDE: usize = 512;

/// Puts the last two bytes of each sector back; an error if a sector is of another write than the record.
///
/// `what` names the record in errors.
pub(crate) fn whole(record: &mut [u8], signature: &[u8; 4], what: &str) -> io::Result<()> {
    if !record.starts_with(signature) {
        let found: Vec<_> = record.iter().take(4).copied().collect();
        return Err(wrong(format!(
            "{what} should begin with {}, and begins with {found:02x?}: it is damaged",
            signature.escape_ascii()
        )));
    }
    let places = || {
        let (start, count) = (record.u16(4)?, record.u16(6)?);
        let (start, count) = (usize::from(start), usize::from(count));
        let fits =
            count == record.len() / STRIDE + 1 && start % 2 == 0 && start + 2 * count <= STRIDE - 2;
        fits.then_some(start)
    };
    let Some(start) = places() else {
        return Err(wrong(format!(
            "{what} has no place for its check: it is damaged"
        )));
    };
    let check: Option<[u8; 2]> = record.array(start);
    for sector in 0..record.len() / STRIDE {
        let end = (sector + 1) * STRIDE - 2;
        let (there, kept) = (record.array(end), record.array::<2>(start + 2 + 2 * sector));
        match kept {
            Some(kept) if there == check => record[end..end + 2].copy_from_slice(&kept),
            _ => {
                return Err(wrong(format!(
                    "{what} was written in part: its sector {sector} is of another write"
                )));
            }
        }
    }
    Ok(())
}

/// A file record, whole.
#[derive(Debug)]
pub(crate) struct Record {
    /// Its number.
    pub(crate) number: u64,
    bytes: Vec<u8>,
}

/// The number and the sequence that a reference to a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reference {
    /// The number of the record.
    pub(crate) number: u64,
    /// How often it was given away; 0 says nothing.
    pub(crate) sequence: u16,
}

impl Reference {
    /// A reference as it lies in the volume.
    pub(crate) fn of(raw: u64) -> Self {
        Reference {
            number: raw & 0xffff_ffff_ffff,
            sequence: (raw >> 48) as u16,
        }
    }
}

impl Record {
    /// Takes a record as it was read.
    pub(crate) fn of(number: u64, mut bytes: Vec<u8>) -> io::Result<Self> {
        whole(&mut bytes, b"FILE", &format!("file record {number}"))?;
        let used = bytes.u32(24).map_or(0, |used| used as usize);
        if used > bytes.len() {
            return Err(wrong(format!(
                "file record {number} says that {used} of its {} bytes are used: it is damaged",
                bytes.len()
            )));
        }
        bytes.truncate(used);
        let record = Record { number, bytes };
        let said = record.said();
        if record.is_in_use() && said.is_some_and(|said| u64::from(said) != number & 0xffff_ffff) {
            return Err(wrong(format!(
                "file record {number} says that it is file record {}: $MFT is damaged",
                said.unwrap_or_default()
            )));
        }
        Ok(record)
    }

    /// The bytes that are used.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its number as it says itself; none on volumes from before Windows XP.
    fn said(&self) -> Option<u32> {
        let check = self.bytes.u16(4)?;
        self.bytes.u32(44).filter(|_| check >= 48)
    }

    fn flags(&self) -> u16 {
        self.bytes.u16(22).unwrap_or_default()
    }

    /// Whether it belongs to a file now.
    pub(crate) fn is_in_use(&self) -> bool {
        self.flags() & 1 != 0
    }

    /// Whether it is a folder's.
    pub(crate) fn is_folder(&self) -> bool {
        self.flags() & 2 != 0
    }

    /// Whether it is one of the volume itself that has indexes in place of content (`$Secure`, those of `$Extend`).
    pub(crate) fn is_index(&self) -> bool {
        self.flags() & 8 != 0
    }

    /// How often its number was given away.
    pub(crate) fn sequence(&self) -> u16 {
        self.bytes.u16(16).unwrap_or_default()
    }

    /// The record that this one goes on from; 0 if it is the first of its file.
    pub(crate) fn base(&self) -> Reference {
        Reference::of(self.bytes.u64(32).unwrap_or_default())
    }
}
