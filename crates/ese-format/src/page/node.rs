//! A node: key, data and flags.
//!
//! ```text
//! not compressed   | suffix size | suffix | data |
//! compressed       | prefix size | suffix size | suffix | data |
//!                    u16           u16
//! ```
//!
//! The key is prefix and suffix together; the prefix of a compressed node is the start of the page's external header.
//! Sizes take the low 13 bits of their word; on large pages the upper three bits of the node's first word are its
//! flags. On pages that are not leaves the data is the number of the child page, and the key is an upper bound: every
//! key below the child is less than it. The last node of a level has an empty key.
//!
//! Source: `NDILineToKeydataflags`, `NDIGetKeydataflags` (`ese/node.cxx`), `fND*` (`inc/node.hxx`).

use super::{PageError, PageFlags, PageView, SplitBuffer};
use crate::Pgno;
use serde::{Serialize, Serializer};
use std::cmp::Ordering;

bitflags::bitflags! {
    /// State of a node (`fNDVersion`, `fNDDeleted`, `fNDCompressed`).
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
    pub struct NodeFlags: u8 {
        /// The version store had something to say about the node; cleared lazily, means nothing on disk.
        const VERSIONED = 1;
        /// Deleted, but not removed yet.
        const DELETED = 2;
        /// The key shares a prefix with the page's external header.
        const COMPRESSED = 4;
    }
}

/// A list of names.
impl Serialize for NodeFlags {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter_names().map(|(name, _)| name.to_ascii_lowercase()))
    }
}

/// A key in its two parts. Compares as the bytes of both together.
#[derive(Debug, Clone, Copy, Default)]
pub struct Key<'a> {
    /// The part shared with the page's external header.
    pub prefix: &'a [u8],
    /// The part of its own.
    pub suffix: &'a [u8],
}

impl Key<'_> {
    /// Bytes of the whole key.
    pub fn len(&self) -> usize {
        self.prefix.len() + self.suffix.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The whole key in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        [self.prefix, self.suffix].concat()
    }

    fn bytes(&self) -> impl Iterator<Item = &u8> {
        self.prefix.iter().chain(self.suffix)
    }
}

impl<'a> From<&'a [u8]> for Key<'a> {
    fn from(suffix: &'a [u8]) -> Self {
        Key {
            prefix: &[],
            suffix,
        }
    }
}

impl Ord for Key<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes().cmp(other.bytes())
    }
}

impl PartialOrd for Key<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Key<'_> {}

/// A decoded node; its parts are slices of the page.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    /// The page it is on.
    pub pgno: Pgno,
    /// Its tag, reserved tags counted.
    pub itag: usize,
    /// Its state.
    pub flags: NodeFlags,
    /// The part of the key that it shares with the page's external header.
    pub prefix: &'a [u8],
    /// The part of the key of its own.
    pub suffix: &'a [u8],
    /// The data: a record, a long value's part, a bookmark, an extent, or the number of a child page.
    pub data: &'a [u8],
}

const SIZE_MASK: u16 = 0x1fff;

impl<'a> Node<'a> {
    pub(super) fn decode(
        page: &PageView<'a>,
        itag: usize,
        bytes: &'a [u8],
        flags: NodeFlags,
    ) -> Result<Self, PageError> {
        let split = |bytes: &'a [u8], at: usize, what| {
            bytes.split_at_checked(at).ok_or(PageError::TooShort {
                pgno: page.pgno(),
                itag,
                what,
                needed: at,
                found: bytes.len(),
            })
        };
        let size = |word: &[u8]| match word {
            [low, high] => usize::from(u16::from_le_bytes([*low, *high]) & SIZE_MASK),
            _ => 0,
        };
        let mut rest = bytes;
        let mut prefix: &[u8] = &[];
        if flags.contains(NodeFlags::COMPRESSED) {
            let (word, behind) = split(rest, 2, "size of the key's prefix")?;
            rest = behind;
            let shared = shared_prefix(page)?;
            // A root page other than a space tree's keeps no prefix: the engine reads such a key as uncompressed.
            if let Some(shared) = shared {
                (prefix, _) = split(shared, size(word), "prefix of the key")?;
            }
        }
        let (word, behind) = split(rest, 2, "size of the key")?;
        let (suffix, data) = split(behind, size(word), "key")?;
        Ok(Node {
            pgno: page.pgno(),
            itag,
            flags,
            prefix,
            suffix,
            data,
        })
    }

    /// The key.
    pub fn key(&self) -> Key<'a> {
        Key {
            prefix: self.prefix,
            suffix: self.suffix,
        }
    }

    /// Whether the node is deleted, but not removed yet.
    pub fn is_deleted(&self) -> bool {
        self.flags.contains(NodeFlags::DELETED)
    }

    /// The child page that a node of a page that is not a leaf points at.
    pub fn child(&self) -> Result<Pgno, PageError> {
        match *self.data {
            [a, b, c, d] => Ok(Pgno(u32::from_le_bytes([a, b, c, d]))),
            _ => Err(PageError::Invalid {
                pgno: self.pgno,
                itag: self.itag,
                what: "size of a child page number",
                found: self.data.len() as u64,
                expected: "4",
            }),
        }
    }
}

/// The bytes that compressed keys of this page share, or `None` on a root page that keeps none.
fn shared_prefix<'a>(page: &PageView<'a>) -> Result<Option<&'a [u8]>, PageError> {
    let header = page.external_header()?;
    if !page.flags().contains(PageFlags::ROOT) {
        return Ok(Some(header));
    }
    if !page.flags().contains(PageFlags::SPACE_TREE) {
        return Ok(None);
    }
    Ok(Some(header.get(SplitBuffer::SIZE..).unwrap_or(&[])))
}
