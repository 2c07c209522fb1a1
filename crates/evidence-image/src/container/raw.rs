//! Raw images, and any image that was split into numbered files.

use super::disk::{Blocks, Run};
use super::parts::{Beside, Part, name_of};
use evidence::{EvidenceError, EvidenceFile, wrong};
use std::io;

/// How much of the start of a disk tells what it is.
pub(super) const START: usize = 4096 + 8;

/// Volumes are larger. `$Boot` of a volume starts like one, and is its first sectors alone.
const SMALLEST: u64 = 1 << 20;

/// Whether this is the start of a disk or volume of `length` bytes as it is.
pub(super) fn is_raw(start: &[u8], length: u64) -> bool {
    let has = |at: usize, what: &[u8]| start.get(at..at + what.len()) == Some(what);
    let is_packed = has(0, b"PK\x03\x04")
        || has(0, b"PK\x05\x06")
        || has(0, &[0x1f, 0x8b])
        || has(0, &[0x28, 0xb5, 0x2f, 0xfd])
        || has(257, b"ustar");
    let is_volume = length >= SMALLEST
        && (has(3, b"NTFS    ") || has(3, b"-FVE-FS-") || has(3, b"ReFS\0\0\0\0"));
    let is_gpt = has(512, b"EFI PART") || has(4096, b"EFI PART");
    !is_packed && (is_volume || is_gpt || has_partitions(start, length / 512))
}

/// Whether there is a master boot record with partitions that may be. The end of a disk may be missing in its image, so they only
/// have to begin within it.
fn has_partitions(start: &[u8], sectors: u64) -> bool {
    let Some(record) = start
        .get(..512)
        .filter(|record| record.ends_with(&[0x55, 0xaa]))
    else {
        return false;
    };
    let mut places = Vec::new();
    for entry in record[446..510].chunks_exact(16) {
        let number = |at: usize| {
            let bytes = [entry[at], entry[at + 1], entry[at + 2], entry[at + 3]];
            u64::from(u32::from_le_bytes(bytes))
        };
        let (status, kind, first, count) = (entry[0], entry[4], number(8), number(12));
        if !matches!(status, 0 | 0x80) {
            return false;
        }
        if kind == 0 && count == 0 {
            continue;
        }
        if kind == 0 || count == 0 || first == 0 || first >= sectors {
            return false;
        }
        places.push((first, first + count));
    }
    places.sort_unstable();
    let is_apart = places.windows(2).all(|pair| pair[0].1 <= pair[1].0);
    !places.is_empty() && is_apart
}

/// `x`, 1 and 3 of `x.001`.
fn numbered(name: &str) -> Option<(&str, u64, usize)> {
    let (stem, digits) = name.rsplit_once('.')?;
    let is_number = (3..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    if !is_number || stem.is_empty() {
        return None;
    }
    Some((stem, digits.parse().ok()?, digits.len()))
}

/// The name of the first of the numbered files that `file` is a later one of.
pub(super) fn first_of(file: &EvidenceFile) -> Result<Option<String>, EvidenceError> {
    let Some((stem, number, digits)) = name_of(file).and_then(numbered) else {
        return Ok(None);
    };
    if number == 0 {
        return Ok(None);
    }
    let beside = Beside::of(file)?;
    let mut names = (0..number.min(2)).map(|number| format!("{stem}.{number:0digits$}"));
    Ok(names.find(|name| beside.find(name).is_some()))
}

/// Files one after the other.
#[derive(Debug)]
pub(super) struct Joined {
    parts: Vec<Part>,
    /// Bytes of every part but the last, which may have less.
    each: u64,
    length: u64,
}

impl Joined {
    /// All parts of what `file` is the first part of; none if it stands alone.
    pub(super) fn of(file: &EvidenceFile) -> Result<Option<Self>, EvidenceError> {
        let Some((stem, first, digits)) = name_of(file).and_then(numbered) else {
            return Ok(None);
        };
        if first > 1 || first_of(file)?.is_some() {
            return Ok(None);
        }
        let beside = Beside::of(file)?;
        let others = beside.names().filter_map(numbered);
        let others = others.filter(|other| other.0.eq_ignore_ascii_case(stem) && other.2 == digits);
        let numbers: Vec<u64> = others.map(|other| other.1).collect();
        let last = numbers.iter().copied().max().unwrap_or(first);
        if last <= first {
            return Ok(None);
        }
        let joined = (|| {
            let mut parts = vec![Part::of(file.source().clone())];
            for number in first + 1..=last {
                let name = format!("{stem}.{number:0digits$}");
                let why = format!("the image goes on in it, and in {stem}.{last:0digits$}");
                parts.push(beside.open(&name, &why)?);
            }
            Self::join(parts)
        })();
        joined.map(Some).map_err(EvidenceError::io(file.path()))
    }

    fn join(parts: Vec<Part>) -> io::Result<Self> {
        let each = parts.first().map_or(0, Part::length);
        let (last, full) = parts.split_last().ok_or_else(|| wrong("it has no parts"))?;
        for part in &parts {
            let is_last = std::ptr::eq(part, last);
            if part.length() > each || part.length() < each && !is_last || each == 0 {
                return Err(wrong(format!(
                    "{} has {} bytes, and the first part {each}: all parts but the last have to be as long, or what follows would be in a wrong place",
                    part.name(),
                    part.length()
                )));
            }
        }
        let length = (full.len() as u64)
            .checked_mul(each)
            .and_then(|full| full.checked_add(last.length()));
        let length = length.ok_or_else(|| wrong("it is too long"))?;
        Ok(Joined {
            each,
            length,
            parts,
        })
    }
}

impl Blocks for Joined {
    fn length(&self) -> u64 {
        self.length
    }

    fn parts(&self) -> &[Part] {
        &self.parts
    }

    fn run(&self, offset: u64) -> io::Result<(Run, u64)> {
        let (number, at) = ((offset / self.each) as usize, offset % self.each);
        Ok((Run::At(number, at), self.parts[number].length() - at))
    }
}
