//! A tag: the four bytes that say where a node or reserved blob lies in the page.
//!
//! ```text
//! small pages   | size, 13 bits | (3 unused) | offset, 13 bits | flags, 3 bits |
//! large pages   | size, 15 bits | (1 unused) | offset, 15 bits | (1 unused)    |
//!               0                            2                               4
//! ```
//!
//! Source: `CPAGE::TAG` (`inc/cpage.hxx`), its accessors in `ese/cpage.cxx`.

use super::PageSize;

/// A decoded tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    /// Offset of the first byte, counted from the end of the page header.
    pub offset: usize,
    /// Number of bytes.
    pub size: usize,
    /// The three flag bits of a small page's tag; 0 on large pages, whose flags are in the node.
    pub(super) flag_bits: u8,
}

impl Tag {
    /// Bytes that a tag takes.
    pub const SIZE: usize = 4;

    /// The tag stored as the two words `size` and `offset`.
    pub(super) fn new(size: u16, offset: u16, page_size: PageSize) -> Tag {
        if page_size.is_small() {
            Tag {
                offset: usize::from(offset & 0x1fff),
                size: usize::from(size & 0x1fff),
                flag_bits: (offset >> 13) as u8,
            }
        } else {
            Tag {
                offset: usize::from(offset & 0x7fff),
                size: usize::from(size & 0x7fff),
                flag_bits: 0,
            }
        }
    }
}
