//! Attributes of a file: what a record holds of them, and where they go on.

use super::boot::Boot;
use super::record::{Record, Reference};
use super::runs::{self, Run};
use crate::numbers::Bytes;
use evidence::wrong;
use std::io;

/// Attributes that are read here.
pub(crate) mod kind {
    pub(crate) const STANDARD_INFORMATION: u32 = 0x10;
    pub(crate) const ATTRIBUTE_LIST: u32 = 0x20;
    pub(crate) const FILE_NAME: u32 = 0x30;
    pub(crate) const DATA: u32 = 0x80;
    pub(crate) const INDEX_ROOT: u32 = 0x90;
    pub(crate) const INDEX_ALLOCATION: u32 = 0xa0;
    pub(crate) const BITMAP: u32 = 0xb0;
    pub(crate) const REPARSE_POINT: u32 = 0xc0;
}
/// What stands after the last attribute of a record.
const END: u32 = 0xffff_ffff;

/// What a record holds of an attribute.
#[derive(Debug, Clone)]
pub(crate) struct Part<'r> {
    pub(crate) kind: u32,
    pub(crate) name: Vec<u16>,
    pub(crate) id: u16,
    flags: u16,
    content: Content<'r>,
}

#[derive(Debug, Clone)]
enum Content<'r> {
    Resident(&'r [u8]),
    Runs {
        first: u64,
        runs: &'r [u8],
        /// `log2` of the clusters that are compressed together.
        unit: u16,
        sizes: Option<(u64, u64)>,
    },
}

/// The value of an attribute, put together.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// In the record itself.
    Resident(Vec<u8>),
    /// In clusters.
    Clusters(Clusters),
}

/// A value in clusters of the volume.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clusters {
    /// Without gaps, from the first cluster on.
    pub(crate) runs: Vec<Run>,
    /// Bytes of the value.
    pub(crate) length: u64,
    /// Bytes of it that were ever written; the others are zeros.
    pub(crate) written: u64,
    /// Clusters that are compressed together; none if nothing is.
    pub(crate) unit: Option<u64>,
    pub(crate) is_encrypted: bool,
}

/// The attributes of a record, as far as they hold; then an error.
pub(crate) fn parts(record: &Record) -> impl Iterator<Item = io::Result<Part<'_>>> {
    let bytes = record.bytes();
    let mut at = Some(usize::from(bytes.u16(20).unwrap_or_default()));
    std::iter::from_fn(move || {
        let start = at?;
        if bytes.u32(start) == Some(END) {
            at = None;
            return None;
        }
        let length = bytes.u32(start + 4).map_or(0, |length| length as usize);
        let attribute = start
            .checked_add(length)
            .and_then(|end| bytes.get(start..end));
        let part = attribute.filter(|_| length >= 24).and_then(part);
        at = part.as_ref().map(|_| start + length);
        Some(part.ok_or_else(|| {
            wrong(format!(
                "file record {} has no whole attribute at {start:#x}: it is damaged",
                record.number
            ))
        }))
    })
}

fn part(bytes: &[u8]) -> Option<Part<'_>> {
    let (length, at) = (usize::from(*bytes.get(9)?), usize::from(bytes.u16(10)?));
    let name = bytes.get(at..at + 2 * length)?;
    let content = match *bytes.get(8)? {
        0 => {
            let (length, at) = (bytes.u32(16)? as usize, usize::from(bytes.u16(20)?));
            Content::Resident(bytes.get(at..at.checked_add(length)?)?)
        }
        _ => {
            let first = bytes.u64(16)?;
            let sizes = match first {
                0 => Some((bytes.u64(48)?, bytes.u64(56)?)),
                _ => None,
            };
            Content::Runs {
                first,
                runs: bytes.get(usize::from(bytes.u16(32)?)..)?,
                unit: bytes.u16(34)?,
                sizes,
            }
        }
    };
    Some(Part {
        kind: bytes.u32(0)?,
        name: utf16(name),
        id: bytes.u16(14)?,
        flags: bytes.u16(12)?,
        content,
    })
}

/// The units of a name.
pub(crate) fn utf16(bytes: &[u8]) -> Vec<u16> {
    let pairs = bytes.chunks_exact(2);
    pairs
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

impl Part<'_> {
    /// Whether it is this attribute.
    pub(crate) fn is(&self, kind: u32, name: &str) -> bool {
        self.kind == kind && self.name.iter().copied().eq(name.encode_utf16())
    }

    /// Its value, if it is in the record.
    pub(crate) fn resident(&self) -> Option<&[u8]> {
        match self.content {
            Content::Resident(bytes) => Some(bytes),
            Content::Runs { .. } => None,
        }
    }

    /// The first cluster of the attribute that this part holds.
    fn first(&self) -> u64 {
        match self.content {
            Content::Resident(_) => 0,
            Content::Runs { first, .. } => first,
        }
    }

    /// Adds this part to those before it.
    pub(crate) fn add_to(&self, value: &mut Option<Value>, boot: &Boot) -> io::Result<()> {
        match (&self.content, &mut *value) {
            (Content::Resident(bytes), None) => {
                *value = Some(Value::Resident(bytes.to_vec()));
                Ok(())
            }
            (
                Content::Runs {
                    sizes: Some((length, written)),
                    runs,
                    unit,
                    ..
                },
                None,
            ) => {
                let is_packed = self.flags & 0xff != 0;
                *value = Some(Value::Clusters(Clusters {
                    runs: runs::read(runs, 0, boot)?,
                    length: *length,
                    written: *written,
                    unit: (is_packed && (1..=8).contains(unit)).then(|| 1 << unit),
                    is_encrypted: self.flags & 0x4000 != 0,
                }));
                match is_packed && !(1..=8).contains(unit) {
                    true => Err(wrong(
                        "a compressed file has no size of its parts: its record is damaged",
                    )),
                    false => Ok(()),
                }
            }
            (Content::Runs { first, runs, .. }, Some(Value::Clusters(known)))
                if *first == known.end() && *first > 0 =>
            {
                known.runs.append(&mut runs::read(runs, *first, boot)?);
                Ok(())
            }
            _ => Err(wrong(format!(
                "what a file has from its cluster {} on does not follow what is before it: its records are damaged",
                self.first()
            ))),
        }
    }
}

impl Value {
    /// Whether it has no bytes.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Value::Resident(bytes) => bytes.is_empty(),
            Value::Clusters(clusters) => clusters.length == 0,
        }
    }
}

impl Clusters {
    /// The cluster after the last one that has a place.
    pub(crate) fn end(&self) -> u64 {
        self.runs.last().map_or(0, |last| last.vcn + last.count)
    }
}

/// An entry of an attribute list: where a part of an attribute is.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) kind: u32,
    pub(crate) name: Vec<u16>,
    pub(crate) first: u64,
    pub(crate) record: Reference,
    pub(crate) id: u16,
}

/// Reads an attribute list.
pub(crate) fn listed(mut bytes: &[u8]) -> io::Result<Vec<Listed>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let entry = || {
            let length = usize::from(bytes.u16(4)?);
            let (entry, rest) = bytes.split_at_checked(length)?;
            let (units, at) = (usize::from(*entry.get(6)?), usize::from(*entry.get(7)?));
            let listed = Listed {
                kind: entry.u32(0)?,
                name: utf16(entry.get(at..at + 2 * units)?),
                first: entry.u64(8)?,
                record: Reference::of(entry.u64(16)?),
                id: entry.u16(24)?,
            };
            Some((listed, rest))
        };
        let Some((listed, rest)) = entry() else {
            return Err(wrong("the list of a file's attributes is damaged"));
        };
        all.push(listed);
        bytes = rest;
    }
    Ok(all)
}
