//! Nodes: keys compressed against the page's prefix, data, flags.
//!
//! ```text
//! plain        | suffix length | suffix            | data |
//! compressed   | prefix length | suffix length | suffix | data |
//! ```
//!
//! Lengths are 13 bits in two bytes; on large pages the first word's top three bits are the node's flags. The prefix
//! of a compressed node is the first bytes of the external header; roots have no prefix, their external header holds
//! the space header or a split buffer (`NDIGetKeydataflags`, `ese/node.cxx`). A key is worth compressing from three
//! common bytes on, since the prefix length itself takes two.

use super::{EditError, PageImage};

const KEY_LENGTH_MASK: u16 = 0x1fff;
const LENGTH_SIZE: usize = 2;
/// The smallest number of common bytes for which a node is compressed.
pub const MIN_PREFIX: usize = LENGTH_SIZE + 1;

/// The flags of a node (`fND*`, `inc/node.hxx`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeFlags(pub u8);

impl NodeFlags {
    /// Has versions; cleared lazily by the engine, without a record.
    pub const VERSIONED: u8 = 1;
    /// Deleted, still there.
    pub const DELETED: u8 = 2;
    /// The key is compressed.
    pub const COMPRESSED: u8 = 4;

    /// Whether the node is flag-deleted.
    pub fn is_deleted(self) -> bool {
        self.0 & Self::DELETED != 0
    }

    /// These flags with `bits` set.
    #[must_use]
    pub fn with(self, bits: u8) -> Self {
        NodeFlags(self.0 | bits)
    }

    /// These flags with `bits` cleared.
    #[must_use]
    pub fn without(self, bits: u8) -> Self {
        NodeFlags(self.0 & !bits)
    }
}

/// A node read from a page; the key is its prefix followed by its suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node<'a> {
    /// The part of the key that the page's prefix holds.
    pub prefix: &'a [u8],
    /// The rest of the key.
    pub suffix: &'a [u8],
    /// The data.
    pub data: &'a [u8],
    /// The flags as stored, [`NodeFlags::COMPRESSED`] included.
    pub flags: NodeFlags,
}

impl Node<'_> {
    /// The whole key.
    pub fn key(&self) -> Vec<u8> {
        [self.prefix, self.suffix].concat()
    }
}

/// How many first bytes two keys share.
pub fn common_prefix(left: &[u8], right: &[u8]) -> usize {
    left.iter()
        .zip(right)
        .take_while(|(left, right)| left == right)
        .count()
}

/// How many bytes of `prefix` the node of `key` leaves out: 0 unless it gains something.
pub fn useful_prefix(prefix: &[u8], key: &[u8]) -> usize {
    Some(common_prefix(prefix, key))
        .filter(|common| *common >= MIN_PREFIX)
        .unwrap_or(0)
}

fn split_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH_SIZE>()?;
    Some((
        usize::from(u16::from_le_bytes(*length) & KEY_LENGTH_MASK),
        rest,
    ))
}

impl PageImage {
    /// The prefix that this page's compressed nodes share; empty on roots.
    pub fn prefix(&self) -> Result<&[u8], EditError> {
        if self.is_root() {
            Ok(&[])
        } else {
            self.external_header()
        }
    }

    /// The node at `line`.
    pub fn node(&self, line: usize) -> Result<Node<'_>, EditError> {
        let (bytes, flags) = self.line(line)?;
        let bad = |what| EditError::Node { line, what };
        let (prefix, rest) = if flags.0 & NodeFlags::COMPRESSED != 0 {
            let (length, rest) =
                split_length(bytes).ok_or(bad("it is shorter than its prefix length"))?;
            let prefix = self.prefix()?.get(..length);
            (
                prefix.ok_or(bad("its prefix is longer than the page's"))?,
                rest,
            )
        } else {
            (&[][..], bytes)
        };
        let (length, rest) = split_length(rest).ok_or(bad("it is shorter than its key length"))?;
        let (suffix, data) = rest
            .split_at_checked(length)
            .ok_or(bad("its key is longer than the node"))?;
        Ok(Node {
            prefix,
            suffix,
            data,
            flags,
        })
    }

    /// Inserts a node whose first `prefix` key bytes are left to the page's prefix.
    pub fn insert_node(
        &mut self,
        line: usize,
        prefix: usize,
        key: &[u8],
        data: &[u8],
        flags: NodeFlags,
    ) -> Result<(), EditError> {
        let (lengths, flags) = key_lengths(prefix, key, flags)?;
        let suffix = key.get(prefix..).unwrap_or(&[]);
        self.insert_line(line, &[&lengths, suffix, data], flags)
    }

    /// Inserts a node, compressed against the page's prefix where that gains something.
    pub fn insert_node_compressed(
        &mut self,
        line: usize,
        key: &[u8],
        data: &[u8],
        flags: NodeFlags,
    ) -> Result<(), EditError> {
        let prefix = useful_prefix(self.prefix()?, key);
        self.insert_node(line, prefix, key, data, flags)
    }

    /// Replaces the data of a node and keeps its key and flags.
    pub fn replace_data(&mut self, line: usize, data: &[u8]) -> Result<(), EditError> {
        let node = self.node(line)?;
        let (flags, prefix, suffix) = (node.flags, node.prefix.len(), node.suffix.to_vec());
        let suffix_length = suffix.len() as u16;
        let lengths = if prefix > 0 || flags.0 & NodeFlags::COMPRESSED != 0 {
            [(prefix as u16).to_le_bytes(), suffix_length.to_le_bytes()].concat()
        } else {
            suffix_length.to_le_bytes().to_vec()
        };
        self.replace_line(line, &[&lengths, &suffix, data], flags)
    }

    /// Overwrites part of a node's data in place.
    pub fn patch_data(
        &mut self,
        line: usize,
        offset: usize,
        bytes: &[u8],
    ) -> Result<(), EditError> {
        let node = self.node(line)?;
        let data = node.data.len();
        if offset + bytes.len() > data {
            return Err(EditError::Node {
                line,
                what: "the change reaches beyond its data",
            });
        }
        let start = self.line(line)?.0.len() - data;
        self.patch_line(line, start + offset, bytes)
    }

    /// Sets flags of a node and keeps the others.
    pub fn set_node_flags(&mut self, line: usize, set: u8, clear: u8) -> Result<(), EditError> {
        let flags = self.node(line)?.flags.without(clear).with(set);
        self.set_line_flags(line, flags)
    }
}

fn key_lengths(
    prefix: usize,
    key: &[u8],
    flags: NodeFlags,
) -> Result<(Vec<u8>, NodeFlags), EditError> {
    let suffix = key.len().checked_sub(prefix);
    let length = key.len();
    let suffix = suffix.ok_or(EditError::TooLong {
        what: "a prefix longer than its key",
        length,
    })?;
    if length > usize::from(KEY_LENGTH_MASK) {
        return Err(EditError::TooLong {
            what: "a key",
            length,
        });
    }
    let mut lengths = Vec::with_capacity(2 * LENGTH_SIZE);
    if prefix > 0 {
        lengths.extend_from_slice(&(prefix as u16).to_le_bytes());
    }
    lengths.extend_from_slice(&(suffix as u16).to_le_bytes());
    let flags = flags.without(NodeFlags::COMPRESSED);
    Ok((
        lengths,
        if prefix > 0 {
            flags.with(NodeFlags::COMPRESSED)
        } else {
            flags
        },
    ))
}
