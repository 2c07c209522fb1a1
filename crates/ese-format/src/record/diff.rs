//! The difference between a node's old and new data, as a [`ReplaceDelta`](super::ReplaceDelta) record carries it.
//!
//! Invariant: applying a difference reads only inside the old data and the difference, and makes no more bytes than
//! the caller allows.
//!
//! A difference is a list of steps, by rising offset in the old data. What lies between two steps is kept.
//!
//! ```text
//! narrow header (databases of small pages)       wide header (16 and 32 KiB pages)
//! 0                                              0        2
//! | bits 0-12: offset in the old data |          | offset | flags: 0x20 same length
//! | 0x2000 same length                |          |  u16   |        0x40 insert
//! | 0x4000 insert                     |          |        |        0x80 two-byte lengths
//! | 0x8000 two-byte lengths           |
//!
//! then | new length | old length (only if neither insert nor same length) | new bytes |
//! ```
//!
//! An old length above 0 with a new length of 0 deletes. Source: `DIFFHDR`, `DIFFHDR2` (`inc/logapi.hxx`) and
//! `ErrLGGetAfterImage` (`ese/logdiff.cxx`).

use super::body::Variable;
use super::values::hex;
use crate::{FormatError, Reader};
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

const OFFSET_MASK: u16 = 0x1fff;
const SAME_LENGTH: u8 = 0x20;
const INSERT: u8 = 0x40;
const TWO_BYTE_LENGTHS: u8 = 0x80;

/// A difference as it is in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Diff<'a> {
    /// Whether each step opens with the wide header.
    pub wide: bool,
    /// The steps.
    pub bytes: &'a [u8],
}

/// What one step does to the old bytes at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiffKind {
    /// The new bytes come before them.
    Insert,
    /// The new bytes take the place of as many old ones.
    ReplaceSameLength,
    /// The new bytes take the place of `old_len` old ones.
    Replace,
}

/// One step of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DiffStep<'a> {
    /// Where it applies in the old data.
    pub offset: u16,
    /// What it does.
    pub kind: DiffKind,
    /// Whether its lengths are stored in two bytes rather than one.
    pub two_byte_lengths: bool,
    /// How many old bytes go away.
    pub old_len: u16,
    /// The bytes that come in their place.
    #[serde(serialize_with = "hex")]
    pub new: &'a [u8],
}

/// The mark says whether the headers are wide.
impl<'a> Variable<'a> for Diff<'a> {
    fn read(found: Option<(&'a [u8], u32)>) -> Self {
        let (bytes, mark) = found.unwrap_or_default();
        Diff {
            wide: mark != 0,
            bytes,
        }
    }

    fn append(&self, bytes: &mut Vec<u8>) -> Option<u32> {
        bytes.extend_from_slice(self.bytes);
        Some(self.wide.into())
    }
}

impl<'a> Diff<'a> {
    /// The steps in order; the first error ends them. Offsets in errors count from the start of the difference.
    pub fn steps(self) -> impl Iterator<Item = Result<DiffStep<'a>, FormatError>> {
        let mut reader = Some(Reader::new(self.bytes));
        std::iter::from_fn(move || {
            let rest = reader.as_mut().filter(|reader| !reader.is_empty())?;
            let step = read_step(rest, self.wide);
            if step.is_err() {
                reader = None;
            }
            Some(step)
        })
    }

    /// The new data that this difference makes of `old`.
    ///
    /// Fails like the reference (`JET_errLogFileCorrupt`) when a step lies before the one it follows, reaches past
    /// the old data, or when the result would be longer than `limit` bytes (the page size).
    pub fn apply(self, old: &[u8], limit: usize) -> Result<Vec<u8>, FormatError> {
        let mut new = Vec::with_capacity(limit.min(old.len() + self.bytes.len()));
        let mut done = 0;
        for step in self.steps() {
            let step = step?;
            let start = usize::from(step.offset);
            let kept = old.get(done..start).ok_or_else(|| {
                let expected = format!("an offset from {done} to {}", old.len());
                FormatError::invalid("diff step", 0, start, expected)
            })?;
            new.extend_from_slice(kept);
            new.extend_from_slice(step.new);
            done = start + usize::from(step.old_len);
            check_limit(new.len(), limit)?;
        }
        let rest = old.get(done..).ok_or_else(|| {
            FormatError::invalid(
                "end of the last diff step",
                0,
                done,
                format!("at most {}", old.len()),
            )
        })?;
        new.extend_from_slice(rest);
        check_limit(new.len(), limit)?;
        Ok(new)
    }
}

fn check_limit(length: usize, limit: usize) -> Result<(), FormatError> {
    if length <= limit {
        return Ok(());
    }
    Err(FormatError::invalid(
        "length of the new data",
        0,
        length,
        format!("at most {limit}"),
    ))
}

fn read_step<'a>(reader: &mut Reader<'a>, wide: bool) -> Result<DiffStep<'a>, FormatError> {
    let (offset, flags) = if wide {
        (reader.u16("diff step")?, reader.u8("diff step flags")?)
    } else {
        let [low, flags] = reader.array("diff step")?;
        (u16::from_le_bytes([low, flags]) & OFFSET_MASK, flags)
    };
    let two_byte_lengths = flags & TWO_BYTE_LENGTHS != 0;
    let length = |reader: &mut Reader<'a>| {
        if two_byte_lengths {
            reader.u16("diff step length")
        } else {
            reader.u8("diff step length").map(u16::from)
        }
    };
    let new_len = length(reader)?;
    let (kind, old_len) = if flags & INSERT != 0 {
        (DiffKind::Insert, 0)
    } else if flags & SAME_LENGTH != 0 {
        (DiffKind::ReplaceSameLength, new_len)
    } else {
        (DiffKind::Replace, length(reader)?)
    };
    Ok(DiffStep {
        offset,
        kind,
        two_byte_lengths,
        old_len,
        new: reader.take(new_len.into(), "diff step bytes")?,
    })
}

/// `{"wide", "bytes": hex}`, and the steps as far as they can be read.
impl Serialize for Diff<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'a> {
            wide: bool,
            #[serde(serialize_with = "hex")]
            bytes: &'a [u8],
            steps: Steps<'a>,
        }
        struct Steps<'a>(Diff<'a>);
        impl Serialize for Steps<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut list = serializer.serialize_seq(None)?;
                for step in self.0.steps().map_while(Result::ok) {
                    list.serialize_element(&step)?;
                }
                list.end()
            }
        }
        Shown {
            wide: self.wide,
            bytes: self.bytes,
            steps: Steps(*self),
        }
        .serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &[u8] = b"The quick brown fox";

    /// Narrow: insert "very " at 4, replace "brown" by "red" at 10, same length "cat" at 16.
    const STEPS: &[u8] = &[
        0x04, 0x40, 5, b'v', b'e', b'r', b'y', b' ', //
        0x0a, 0x00, 3, 5, b'r', b'e', b'd', //
        0x10, 0xa0, 3, 0, b'c', b'a', b't',
    ];

    #[test]
    fn each_kind_of_step_applies() {
        let diff = Diff {
            wide: false,
            bytes: STEPS,
        };
        assert_eq!(diff.apply(OLD, 100).unwrap(), b"The very quick red cat");
        assert!(diff.apply(OLD, 21).is_err(), "22 bytes do not fit into 21");
        assert!(
            diff.apply(&OLD[..15], 100).is_err(),
            "the old data is too short"
        );
        let kinds: Vec<_> = diff.steps().map(|step| step.unwrap().kind).collect();
        assert_eq!(
            kinds,
            [
                DiffKind::Insert,
                DiffKind::Replace,
                DiffKind::ReplaceSameLength
            ]
        );
    }

    #[test]
    fn a_wide_step_reaches_further() {
        let mut old = vec![7; 0x3000];
        let diff = Diff {
            wide: true,
            bytes: &[0x00, 0x2f, 0x00, 0, 2],
        };
        let new = diff.apply(&old, 0x8000).unwrap();
        old.truncate(0x2ffe);
        assert_eq!(new, old, "two bytes deleted at 0x2f00");
    }

    #[test]
    fn steps_out_of_order_are_refused() {
        let diff = Diff {
            wide: false,
            bytes: &[0x05, 0x20, 2, b'x', b'y', 0x06, 0x20, 1, b'z'],
        };
        assert!(diff.apply(OLD, 100).is_err());
    }

    #[test]
    fn a_cut_step_is_an_error_and_the_last() {
        let diff = Diff {
            wide: false,
            bytes: &STEPS[..10],
        };
        let steps: Vec<_> = diff.steps().collect();
        assert_eq!(steps.len(), 2);
        assert!(steps[0].is_ok() && steps[1].is_err());
    }
}
