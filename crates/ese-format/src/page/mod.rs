//! A database page: header, tag array, nodes. A read-only view over the bytes of one page.
//!
//! ```text
//! 0               40 or 80                                           page size
//! | page header  | data (grows up) ->  ...free...  <- tag array (grows down) |
//!                  ^ tag offsets count from here     tag n .. tag 1, tag 0
//! ```
//!
//! Pages of 2, 4 and 8 KiB are *small*: their header takes 40 bytes and node flags are in the tag. Pages of 16 and
//! 32 KiB are *large*: 80 bytes of header, and node flags are in the first word of the node, because a tag needs
//! all its bits. The first tags are *reserved*: tag 0 is the external header (see [`RootHeader`] and
//! [`PageView::external_header`]); newer formats may reserve up to seven. The other tags are nodes ("lines"), counted
//! from 0 after the reserved ones.
//!
//! Invariant: nothing here looks outside the page's bytes or trusts a number found in them; what does not fit is a
//! [`PageError`] that names page, tag, needed and found. A checksum is not looked at here.
//!
//! Source: `CPAGE`, `PGHDR`, `PGHDR2`, `TAG` (`inc/cpage.hxx`, `ese/cpage.cxx`), `NDILineToKeydataflags`
//! (`ese/node.cxx`).

mod header;
mod node;
mod root;
mod space;
mod tag;

pub use header::{FlushType, LargePageExtension, PageFlags, PageHeader};
pub use node::{Key, Node, NodeFlags};
pub use root::RootHeader;
pub use space::{
    Extent, RawSpaceHeader, RawSplitBuffer, SpaceHeader, SpaceLayout, SpacePool, SplitBuffer,
};
pub use tag::Tag;

use crate::{JetError, Pgno};
use serde::Serialize;
use std::ops::Range;
use thiserror::Error;

/// The size of a database's pages, in bytes: one of the five that the engine knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PageSize(u32);

impl PageSize {
    /// Every page size that exists, ascending.
    pub const ALL: [PageSize; 5] = [
        PageSize(2048),
        PageSize(4096),
        PageSize(8192),
        PageSize(16384),
        PageSize(32768),
    ];

    /// The size as a type, or `None` when no page has that many bytes.
    pub fn new(bytes: u32) -> Option<PageSize> {
        Self::ALL.into_iter().find(|size| size.0 == bytes)
    }

    /// Bytes of a page.
    pub fn bytes(self) -> u32 {
        self.0
    }

    /// Bytes of a page, for indexing.
    pub fn as_usize(self) -> usize {
        self.0 as usize
    }

    /// Whether pages of this size have the short header and keep node flags in the tag (`FIsSmallPage`).
    pub fn is_small(self) -> bool {
        self.0 <= 8192
    }

    /// Bytes of the page header; tag offsets count from its end (`CPAGE::CbPageHeader`).
    pub fn header_size(self) -> usize {
        if self.is_small() {
            PageHeader::SIZE
        } else {
            PageHeader::SIZE + LargePageExtension::SIZE
        }
    }
}

/// A page whose bytes cannot be what they claim.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PageError {
    /// The bytes given are not one page.
    #[error("page {pgno}: {found} bytes are not a page; a page has 2, 4, 8, 16 or 32 KiB")]
    Size {
        /// The page.
        pgno: Pgno,
        /// Bytes given.
        found: usize,
    },
    /// The tag array does not fit between header and end of the page.
    #[error("page {pgno}: {tags} tags take {needed} bytes, {available} are there")]
    TagArray {
        /// The page.
        pgno: Pgno,
        /// Tags that the header claims.
        tags: u16,
        /// Bytes they take.
        needed: usize,
        /// Bytes there are after the header.
        available: usize,
    },
    /// A tag was asked for that the page does not have.
    #[error("page {pgno}: there is no tag {itag}, the page has {tags}")]
    NoTag {
        /// The page.
        pgno: Pgno,
        /// The tag.
        itag: usize,
        /// Tags the page has.
        tags: u16,
    },
    /// A tag points outside the data area.
    #[error(
        "page {pgno}, tag {itag}: {size} bytes at {offset:#x} of the data area reach past its end at {limit:#x}"
    )]
    TagBounds {
        /// The page.
        pgno: Pgno,
        /// The tag.
        itag: usize,
        /// Offset in the data area.
        offset: usize,
        /// Bytes the tag claims.
        size: usize,
        /// Bytes the data area has.
        limit: usize,
    },
    /// What a tag points at is too short for its content.
    #[error("page {pgno}, tag {itag}: {what} needs {needed} bytes, {found} are there")]
    TooShort {
        /// The page.
        pgno: Pgno,
        /// The tag.
        itag: usize,
        /// The content.
        what: &'static str,
        /// Bytes it takes.
        needed: usize,
        /// Bytes there are.
        found: usize,
    },
    /// What a tag points at has a size or value that its content cannot have.
    #[error("page {pgno}, tag {itag}: {what} is {found}, expected {expected}")]
    Invalid {
        /// The page.
        pgno: Pgno,
        /// The tag.
        itag: usize,
        /// The content.
        what: &'static str,
        /// What is there.
        found: u64,
        /// What could be there.
        expected: &'static str,
    },
}

impl PageError {
    /// The page.
    pub fn pgno(&self) -> Pgno {
        match self {
            PageError::Size { pgno, .. }
            | PageError::TagArray { pgno, .. }
            | PageError::NoTag { pgno, .. }
            | PageError::TagBounds { pgno, .. }
            | PageError::TooShort { pgno, .. }
            | PageError::Invalid { pgno, .. } => *pgno,
        }
    }

    /// The error the engine would raise.
    pub fn jet(&self) -> JetError {
        match self {
            PageError::Size { .. } => JetError::PAGE_SIZE_MISMATCH,
            PageError::TagArray { .. } | PageError::NoTag { .. } | PageError::TagBounds { .. } => {
                JetError::PAGE_TAG_CORRUPTED
            }
            PageError::TooShort { .. } | PageError::Invalid { .. } => JetError::NODE_CORRUPTED,
        }
    }
}

/// One page: the number it was read as, and its bytes.
#[derive(Debug, Clone, Copy)]
pub struct PageView<'a> {
    pgno: Pgno,
    size: PageSize,
    bytes: &'a [u8],
    header: &'a PageHeader,
}

impl<'a> PageView<'a> {
    /// The page `pgno`, whose bytes are exactly one page.
    pub fn new(pgno: Pgno, bytes: &'a [u8]) -> Result<Self, PageError> {
        let wrong = PageError::Size {
            pgno,
            found: bytes.len(),
        };
        let size = u32::try_from(bytes.len()).ok().and_then(PageSize::new);
        let (Some(size), Some(header)) = (size, PageHeader::at_start_of(bytes)) else {
            return Err(wrong);
        };
        Ok(PageView {
            pgno,
            size,
            bytes,
            header,
        })
    }

    /// The number under which the page was read (what the page itself says is in the header).
    pub fn pgno(&self) -> Pgno {
        self.pgno
    }

    /// Size of the page.
    pub fn size(&self) -> PageSize {
        self.size
    }

    /// All bytes of the page.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The header.
    pub fn header(&self) -> &'a PageHeader {
        self.header
    }

    /// The second half of the header, which large pages have.
    pub fn extension(&self) -> Option<&'a LargePageExtension> {
        let rest = self.bytes.get(PageHeader::SIZE..)?;
        let extension = LargePageExtension::at_start_of(rest)?;
        (!self.size.is_small()).then_some(extension)
    }

    /// Page flags.
    pub fn flags(&self) -> PageFlags {
        self.header.flags()
    }

    /// Whether every byte is zero: a page that was allocated by extending the file and never written.
    pub fn is_blank(&self) -> bool {
        self.bytes.iter().all(|byte| *byte == 0)
    }

    /// The page number that the page itself holds: in the extension of large pages, in the upper half of the checksum
    /// field of pages with the old checksum. Small pages with the new checksum hold none (it is part of the checksum).
    pub fn own_pgno(&self) -> Option<Pgno> {
        if let Some(extension) = self.extension() {
            return Some(extension.pgno());
        }
        let old = !self.flags().contains(PageFlags::NEW_CHECKSUM_FORMAT);
        old.then(|| Pgno((self.header.checksum() >> 32) as u32))
    }

    /// Number of tags, the reserved ones among them.
    pub fn tag_count(&self) -> usize {
        usize::from(self.header.tag_count())
    }

    /// Number of nodes: the tags that are not reserved.
    pub fn node_count(&self) -> usize {
        self.tag_count().saturating_sub(self.reserved_tag_count())
    }

    /// Number of reserved tags; at least one, whatever an older page says (`CPAGE::InitItagState`).
    pub fn reserved_tag_count(&self) -> usize {
        usize::from(self.header.reserved_tag_count()).max(1)
    }

    /// Where the data area lies in the page: between header and tag array.
    pub fn data_area(&self) -> Result<Range<usize>, PageError> {
        let start = self.size.header_size();
        let available = self.size.as_usize() - start;
        let needed = self.tag_count() * Tag::SIZE;
        if needed > available {
            return Err(PageError::TagArray {
                pgno: self.pgno,
                tags: self.header.tag_count(),
                needed,
                available,
            });
        }
        Ok(start..self.size.as_usize() - needed)
    }

    /// Tag number `itag`, its bounds checked against the data area.
    ///
    /// A tag of zero length may be at any offset: the engine never looks at it.
    pub fn tag(&self, itag: usize) -> Result<Tag, PageError> {
        let area = self.data_area()?;
        let stored = self
            .bytes
            .rchunks_exact(Tag::SIZE)
            .nth(itag)
            .filter(|_| itag < self.tag_count());
        let Some(&[s0, s1, o0, o1]) = stored else {
            return Err(PageError::NoTag {
                pgno: self.pgno,
                itag,
                tags: self.header.tag_count(),
            });
        };
        let tag = Tag::new(
            u16::from_le_bytes([s0, s1]),
            u16::from_le_bytes([o0, o1]),
            self.size,
        );
        if tag.size != 0 && tag.offset + tag.size > area.len() {
            return Err(PageError::TagBounds {
                pgno: self.pgno,
                itag,
                offset: tag.offset,
                size: tag.size,
                limit: area.len(),
            });
        }
        Ok(tag)
    }

    /// The bytes that tag number `itag` points at.
    pub fn tag_bytes(&self, itag: usize) -> Result<&'a [u8], PageError> {
        Ok(self.bytes_of(self.tag(itag)?))
    }

    fn bytes_of(&self, tag: Tag) -> &'a [u8] {
        if tag.size == 0 {
            return &[];
        }
        let start = self.size.header_size() + tag.offset;
        &self.bytes[start..start + tag.size]
    }

    /// The external header (tag 0): on a root page the space header (see [`root_header`](Self::root_header)) or the
    /// split buffer of a space tree, elsewhere the prefix that compressed keys share.
    pub fn external_header(&self) -> Result<&'a [u8], PageError> {
        if self.tag_count() == 0 {
            return Ok(&[]);
        }
        self.tag_bytes(0)
    }

    /// Node number `line`, counted from 0 after the reserved tags.
    #[inline]
    pub fn node(&self, line: usize) -> Result<Node<'a>, PageError> {
        let itag = line.saturating_add(self.reserved_tag_count());
        let tag = self.tag(itag)?;
        let bytes = self.bytes_of(tag);
        Node::decode(self, itag, bytes, self.node_flags(tag, bytes))
    }

    /// All nodes in order. A damaged node is one error; the ones after it still come.
    pub fn nodes(&self) -> impl Iterator<Item = Result<Node<'a>, PageError>> + use<'a> {
        let page = *self;
        (0..page.node_count()).map(move |line| page.node(line))
    }

    /// The flags of a node: in its tag on small pages, in its first word on large ones (`TAG::FFlags`).
    fn node_flags(&self, tag: Tag, bytes: &[u8]) -> NodeFlags {
        let bits = if self.size.is_small() {
            tag.flag_bits
        } else {
            match bytes {
                [_, high, ..] => high >> 5,
                _ => 0,
            }
        };
        NodeFlags::from_bits_retain(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Goes through everything a page offers; the result does not matter, only that there is one.
    fn look_at_everything(bytes: &[u8]) {
        let page = PageView::new(Pgno(7), bytes).unwrap();
        let _ = (page.own_pgno(), page.is_blank(), page.root_header());
        let _ = page.split_buffer();
        for node in page.nodes().flatten() {
            let _ = (node.child(), Extent::read(&node), node.key());
        }
        for itag in 0..page.tag_count() + 1 {
            let _ = page.tag_bytes(itag);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(
            size in prop::sample::select(&PageSize::ALL[..]),
            head in prop::collection::vec(any::<u8>(), 80),
            tail in prop::collection::vec(any::<u8>(), 200),
            filler in any::<u8>(),
            few_tags in any::<bool>(),
        ) {
            let mut bytes = vec![filler; size.as_usize()];
            bytes[..80].copy_from_slice(&head);
            let end = bytes.len();
            bytes[end - 200..].copy_from_slice(&tail);
            if few_tags {
                bytes[35] &= 0x70;
            }
            look_at_everything(&bytes);
        }
    }

    #[test]
    fn only_five_sizes_are_pages() {
        assert!(PageView::new(Pgno(1), &[0; 1024]).is_err());
        assert!(PageView::new(Pgno(1), &[0; 4095]).is_err());
        let blank = [0; 4096];
        let page = PageView::new(Pgno(1), &blank).unwrap();
        assert!(page.is_blank());
        assert_eq!(page.node_count(), 0);
        assert_eq!(page.external_header(), Ok(&[][..]));
    }
}
