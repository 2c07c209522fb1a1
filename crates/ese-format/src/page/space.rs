//! Space: which pages a tree owns, and which of them are free.
//!
//! A tree starts with one *single extent*: its root page and up to 32 pages after it, whose freedom is a bitmap in
//! the space header. When that is not enough, two trees of extents are made: *owned* (all that the tree has) and
//! *available* (what of it is free), on two neighbouring pages. Both keep a *split buffer* of pages for their own
//! splits, so that finding room never needs room.
//!
//! ```text
//! space header  0          4        8       12
//!               | primary | parent | flags | bitmap, or root of the owned tree |     4 x u32
//!
//! extent node   key  | last page, u32 big-endian |            data  | pages, u32 |
//!               key  | 0x80 + pool | last page    |  (available extents of a pool other than the general one)
//!
//! split buffer  2 x | last page u32 | pages i32 |
//! ```
//!
//! Source: `SPACE_HEADER` (`inc/space.hxx`), `SPEXTKEY`, `SPEXTDATA` (`ese/space.cxx`), `SPLIT_BUFFER`,
//! `EXTENTINFO` (`inc/fcb.hxx`), `SpacePool` (`inc/_space.hxx`).

use super::{Node, PageError};
use crate::Pgno;
use crate::layout::layout;
use byteorder::{BigEndian, ByteOrder};
use serde::Serialize;

layout! {
    /// `SPACE_HEADER` as stored.
    RawSpaceHeader [0..16] {
        0 primary_pages: u32 = "Pages of the primary extent.";
        4 parent: Pgno = "Root page of the tree from which this one gets its space.";
        8 flags: u32 = "Flags.";
        12 space: u32 = "Which pages of the primary extent are free, or the root of the owned tree.";
    }
}

layout! {
    /// `SPLIT_BUFFER` as stored.
    RawSplitBuffer [0..16] {
        0 first_last: Pgno = "Last page of the first extent.";
        4 first_pages: i32 = "Pages of the first extent.";
        8 second_last: Pgno = "Last page of the second extent.";
        12 second_pages: i32 = "Pages of the second extent.";
    }
}

/// The space header of a tree's root page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SpaceHeader {
    /// Pages of the primary extent, or of the last allocation when [`is_v2`](Self::is_v2).
    pub primary_pages: u32,
    /// Root page of the tree from which this one gets its space; [`Pgno::NULL`] for the database itself.
    pub parent: Pgno,
    /// The flags, uninterpreted.
    pub flags: u32,
    /// How the pages are kept track of.
    pub layout: SpaceLayout,
}

/// Where a tree's pages are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum SpaceLayout {
    /// The primary extent is all there is.
    SingleExtent {
        /// Bit n is set when page `root + 1 + n` is free.
        available: u32,
    },
    /// Two trees of extents.
    MultipleExtents {
        /// Root of the tree of owned extents.
        owned: Pgno,
        /// Root of the tree of available extents: always the next page.
        available: Pgno,
    },
}

impl SpaceHeader {
    /// Bytes that a space header takes.
    pub const SIZE: usize = RawSpaceHeader::SIZE;
    const MULTIPLE_EXTENTS: u32 = 1;
    const NON_UNIQUE: u32 = 2;
    const V2: u32 = 4;

    /// The space header in these bytes; every pattern is one.
    pub fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        let raw = RawSpaceHeader::from_bytes(&bytes);
        let layout = if raw.flags & Self::MULTIPLE_EXTENTS == 0 {
            SpaceLayout::SingleExtent {
                available: raw.space,
            }
        } else {
            SpaceLayout::MultipleExtents {
                owned: Pgno(raw.space),
                available: Pgno(raw.space.saturating_add(1)),
            }
        };
        SpaceHeader {
            primary_pages: raw.primary_pages,
            parent: raw.parent,
            flags: raw.flags,
            layout,
        }
    }

    /// Whether keys of the tree are not unique.
    pub fn is_non_unique(&self) -> bool {
        self.flags & Self::NON_UNIQUE != 0
    }

    /// Whether [`primary_pages`](Self::primary_pages) is the size of the last allocation.
    pub fn is_v2(&self) -> bool {
        self.flags & Self::V2 != 0
    }

    /// The free pages of a single extent whose root is `root`, ascending; empty for other layouts.
    pub fn available_pages(&self, root: Pgno) -> impl Iterator<Item = Pgno> + use<> {
        let bits = match self.layout {
            SpaceLayout::SingleExtent { available } => available,
            SpaceLayout::MultipleExtents { .. } => 0,
        };
        let pages = self.primary_pages;
        (0..32u32)
            .filter(move |bit| bits & (1 << bit) != 0 && bit + 1 < pages)
            .filter_map(move |bit| root.0.checked_add(bit + 1).map(Pgno))
    }
}

/// For what the available pages of an extent are kept (`SpacePool`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SpacePool {
    /// For anything.
    General,
    /// For allocations that should be contiguous.
    Continuous,
    /// Beyond the end of the file; not to be used.
    Shelved,
    /// A pool this program does not know.
    Other(u8),
}

impl SpacePool {
    /// The number under which the engine stores the pool.
    pub fn number(self) -> u8 {
        match self {
            SpacePool::General => 0,
            SpacePool::Continuous => 1,
            SpacePool::Shelved => 2,
            SpacePool::Other(number) => number,
        }
    }

    fn from_number(number: u8) -> Self {
        match number {
            0 => SpacePool::General,
            1 => SpacePool::Continuous,
            2 => SpacePool::Shelved,
            other => SpacePool::Other(other),
        }
    }
}

/// A run of pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Extent {
    /// The last page.
    pub last: Pgno,
    /// Number of pages; 0 marks a placeholder of the continuous pool.
    pub pages: u32,
    /// What it is kept for.
    pub pool: SpacePool,
}

impl Extent {
    /// The extent that a leaf node of a space tree describes.
    pub fn read(node: &Node<'_>) -> Result<Self, PageError> {
        let invalid = |what, found: u64, expected| PageError::Invalid {
            pgno: node.pgno,
            itag: node.itag,
            what,
            found,
            expected,
        };
        let key = node.key().to_vec();
        let (pool, last) = match *key {
            [first, _, _, _] if first & 0x80 == 0 => {
                (SpacePool::General, BigEndian::read_u32(&key))
            }
            [flags, _, _, _, _] if flags & 0x80 != 0 => (
                SpacePool::from_number(flags & 0x07),
                BigEndian::read_u32(&key[1..]),
            ),
            _ => {
                return Err(invalid(
                    "size of an extent's key",
                    key.len() as u64,
                    "4, or 5 with the pool bit",
                ));
            }
        };
        let Ok(pages) = node.data.try_into().map(u32::from_le_bytes) else {
            return Err(invalid(
                "size of an extent's data",
                node.data.len() as u64,
                "4",
            ));
        };
        if pages > last {
            return Err(invalid(
                "page count of an extent",
                u64::from(pages),
                "at most the number of its last page",
            ));
        }
        Ok(Extent {
            last: Pgno(last),
            pages,
            pool,
        })
    }

    /// The first page; the one after the last when the extent is empty.
    pub fn first(&self) -> Pgno {
        Pgno(self.last.0.saturating_sub(self.pages).saturating_add(1))
    }

    /// Whether `pgno` is one of the pages.
    pub fn contains(&self, pgno: Pgno) -> bool {
        self.pages > 0 && self.first() <= pgno && pgno <= self.last
    }
}

/// Pages that a space tree keeps for its own splits: two extents, either may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SplitBuffer {
    /// Last page and number of pages of both extents; a number that is not positive means none.
    pub extents: [(Pgno, i32); 2],
}

impl SplitBuffer {
    /// Bytes that a split buffer takes.
    pub const SIZE: usize = RawSplitBuffer::SIZE;

    /// The split buffer in these bytes; every pattern is one.
    pub fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        let raw = RawSplitBuffer::from_bytes(&bytes);
        SplitBuffer {
            extents: [
                (raw.first_last, raw.first_pages),
                (raw.second_last, raw.second_pages),
            ],
        }
    }

    /// The extents that hold pages. What cannot be (more pages than the last one's number) is left out.
    pub fn available(&self) -> impl Iterator<Item = Extent> + use<> {
        self.extents.into_iter().filter_map(|(last, pages)| {
            let pages = u32::try_from(pages).ok()?;
            (pages > 0 && pages <= last.0).then_some(Extent {
                last,
                pages,
                pool: SpacePool::General,
            })
        })
    }
}
