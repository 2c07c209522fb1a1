//! Nodes: keys compressed against the page's prefix, data, flags.
//!
//! A key is worth compressing from three common bytes on, since the size of the prefix itself takes two
//! (`cbPrefixOverhead`, `inc/daeconst.hxx`). Roots have no prefix.

use super::lines::prefix_of;
use super::{EditError, PageBuffer};
use ese_format::Pgno;
use ese_format::page::{Node, NodeFlags};

const KEY_LIMIT: usize = 0x1fff;
const SIZE_OF_SIZE: usize = 2;
/// The smallest number of common bytes for which a node is compressed.
pub const MIN_PREFIX: usize = SIZE_OF_SIZE + 1;

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

/// The words before a node's key: the size of the prefix if it is compressed, and the size of the rest.
struct KeySizes {
    bytes: [u8; 2 * SIZE_OF_SIZE],
    compressed: bool,
}

impl KeySizes {
    fn new(prefix: Option<usize>, suffix: usize) -> Self {
        let word = |size: usize| u16::try_from(size).unwrap_or(u16::MAX).to_le_bytes();
        let ([p0, p1], [s0, s1]) = (word(prefix.unwrap_or(0)), word(suffix));
        KeySizes {
            bytes: [p0, p1, s0, s1],
            compressed: prefix.is_some(),
        }
    }

    fn as_bytes(&self) -> &[u8] {
        let start = if self.compressed { 0 } else { SIZE_OF_SIZE };
        &self.bytes[start..]
    }
}

/// A node that is to be put on a page.
pub(super) struct NewNode<'a> {
    sizes: KeySizes,
    suffix: &'a [u8],
    data: &'a [u8],
    pub(super) flags: NodeFlags,
}

impl<'a> NewNode<'a> {
    /// The node whose key is `prefix` bytes of the page's prefix, and `suffix`.
    fn new(
        pgno: Pgno,
        prefix: usize,
        suffix: &'a [u8],
        data: &'a [u8],
        mut flags: NodeFlags,
    ) -> Result<Self, EditError> {
        let (length, limit) = (prefix.saturating_add(suffix.len()), KEY_LIMIT);
        if length > limit {
            let what = "a key";
            return Err(EditError::TooLong {
                pgno,
                what,
                length,
                limit,
            });
        }
        let sizes = KeySizes::new((prefix > 0).then_some(prefix), suffix.len());
        flags.set(NodeFlags::COMPRESSED, sizes.compressed);
        Ok(NewNode {
            sizes,
            suffix,
            data,
            flags,
        })
    }

    /// Its bytes.
    pub(super) fn parts(&self) -> [&[u8]; 3] {
        [self.sizes.as_bytes(), self.suffix, self.data]
    }
}

impl PageBuffer {
    /// The prefix that this page's compressed nodes share; empty on roots.
    pub fn prefix(&self) -> Result<&[u8], EditError> {
        prefix_of(self.view())
    }

    /// The node at `line`.
    pub fn node(&self, line: usize) -> Result<Node<'_>, EditError> {
        Ok(self.view().node(line)?)
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
        let suffix = key.get(prefix..).ok_or(EditError::TooLong {
            pgno: self.pgno,
            what: "a prefix of a key",
            length: prefix,
            limit: key.len(),
        })?;
        self.insert_suffix(line, prefix, suffix, data, flags)
    }

    /// Inserts a node whose key is `prefix` bytes of the page's prefix, and `suffix`.
    pub fn insert_suffix(
        &mut self,
        line: usize,
        prefix: usize,
        suffix: &[u8],
        data: &[u8],
        flags: NodeFlags,
    ) -> Result<(), EditError> {
        let node = NewNode::new(self.pgno, prefix, suffix, data, flags)?;
        self.insert_line(line, &node.parts(), node.flags)
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

    /// Puts nodes, each a key, data and flags, behind the last one, compressed against the page's prefix where that gains
    /// something.
    pub fn append_nodes<'a>(
        &mut self,
        nodes: impl Iterator<Item = (&'a [u8], &'a [u8], NodeFlags)>,
    ) -> Result<(), EditError> {
        let pgno = self.pgno;
        let shared = self.prefix()?.to_vec();
        self.append_lines(nodes.map(|(key, data, flags)| {
            let prefix = useful_prefix(&shared, key);
            NewNode::new(pgno, prefix, &key[prefix..], data, flags)
        }))
    }

    /// Replaces the data of a node and keeps its key and flags.
    pub fn replace_data(&mut self, line: usize, data: &[u8]) -> Result<(), EditError> {
        let node = self.node(line)?;
        let (flags, suffix) = (node.flags, node.suffix.to_vec());
        let compressed = flags.contains(NodeFlags::COMPRESSED);
        let sizes = KeySizes::new(compressed.then_some(node.prefix.len()), suffix.len());
        self.replace_line(line, &[sizes.as_bytes(), &suffix, data], flags)
    }

    /// Overwrites part of a node's data in place.
    pub fn patch_data(
        &mut self,
        line: usize,
        offset: usize,
        bytes: &[u8],
    ) -> Result<(), EditError> {
        let node = self.node(line)?;
        let (pgno, size, end) = (
            self.pgno,
            node.data.len(),
            offset.saturating_add(bytes.len()),
        );
        if end > size {
            return Err(EditError::Patch {
                pgno,
                line,
                start: offset,
                end,
                size,
            });
        }
        let start = self.view().tag(node.itag)?.size - size;
        self.patch_line(line, start + offset, bytes)
    }

    /// Sets flags of a node, clears others, keeps the rest.
    pub fn change_node_flags(
        &mut self,
        line: usize,
        set: NodeFlags,
        clear: NodeFlags,
    ) -> Result<(), EditError> {
        let flags = (self.node(line)?.flags - clear) | set;
        self.set_line_flags(line, flags)
    }
}
