//! The page header.
//!
//! ```text
//! 0          8         16     20     24      28     30          32       34           36      40
//! | checksum | dbtime | prev | next | objid | free | uncommitted| micfree| tag state | flags |   all pages
//!   u64        u64      u32    u32    u32     u16    u16          u16      u16         u32
//! 40                 64     68         80
//! | three checksums  | pgno | reserved |                                                         large pages only
//!   3 x u64            u32    12 bytes
//! ```
//!
//! With the old checksum (before format 0x620 revision 0xB; flag [`PageFlags::NEW_CHECKSUM_FORMAT`] not set) the checksum
//! field holds a 32-bit XOR and, in its upper half, the number of the page.
//!
//! Source: `PGHDR`, `PGHDR2` and the `fPage*` flags in `inc/cpage.hxx`.

use crate::layout::{Reserved, Stored, layout};
use crate::{Dbtime, ObjId, Pgno};
use serde::{Serialize, Serializer};

layout! {
    /// The first 40 bytes of every page.
    in place PageHeader [0..40] {
        0 checksum: u64 = "The checksum field, uninterpreted.";
        8 dbtime, set_dbtime: Dbtime = "When the page was last changed.";
        16 previous, set_previous: Pgno = "The page to the left on the same level, or [`Pgno::NULL`].";
        20 next, set_next: Pgno = "The page to the right on the same level, or [`Pgno::NULL`].";
        24 objid, set_objid: ObjId = "The tree that the page belongs to.";
        28 free, set_free: u16 = "Free bytes of the page, gaps between nodes included.";
        30 uncommitted_free, set_uncommitted_free: u16 = "Bytes of [`free`](Self::free) that a rollback may want back.";
        32 mic_free, set_mic_free: u16 = "Offset in the data area after which no node stands.";
        34 tag_state, set_stored_tag_state: u16 = "The field that holds number of tags and number of reserved tags, uninterpreted.";
        36 flags, set_flags: PageFlags = "The flags.";
    }
}

impl PageHeader {
    /// Number of tags, reserved ones included: the low twelve bits of the tag state (`ITAG_MIC_FREE_MASK`).
    pub fn tag_count(&self) -> u16 {
        self.tag_state() & 0x0fff
    }

    /// Number of reserved tags as stored: 0 on pages written before there could be more than one.
    pub fn reserved_tag_count(&self) -> u16 {
        self.tag_state() >> 12
    }

    /// Sets number of tags (12 bits) and number of reserved tags (3 bits).
    pub fn set_tag_state(&mut self, tags: u16, reserved: u16) {
        self.set_stored_tag_state(tags & 0x0fff | (reserved & 7) << 12);
    }

    /// The flush type, two bits among the flags.
    pub fn flush_type(&self) -> FlushType {
        FlushType::of(self.flags())
    }
}

layout! {
    /// Bytes 40 to 80 of a large page.
    in place LargePageExtension [40..80] {
        40 checksums: [u64; 3] = "Checksums of the second, third and fourth quarter of the page.";
        64 pgno, set_pgno: Pgno = "The number that the page believes it has.";
        68 reserved: Reserved<12> = "Zero.";
    }
}

bitflags::bitflags! {
    /// What a page is (`CPAGE::fPage*`).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct PageFlags: u32 {
        /// Root of a tree.
        const ROOT = 0x0001;
        /// Leaf of a tree.
        const LEAF = 0x0002;
        /// Parent of leaves.
        const PARENT_OF_LEAF = 0x0004;
        /// Left over after a merge; nothing points at it.
        const EMPTY = 0x0008;
        /// Written by repair.
        const REPAIRED = 0x0010;
        /// Page of a space tree (owned or available extents).
        const SPACE_TREE = 0x0020;
        /// Page of a secondary index.
        const INDEX = 0x0040;
        /// Page of a long-value tree.
        const LONG_VALUE = 0x0080;
        /// Streaming-file space, of Exchange 2000 and 2003 (obsolete).
        const SLV_AVAIL = 0x0100;
        /// Streaming-file owner map, of Exchange 2000 and 2003 (obsolete).
        const SLV_OWNER_MAP = 0x0200;
        /// Keys of the tree are not unique: the data belongs to the order.
        const NON_UNIQUE_KEYS = 0x0400;
        /// Records on this page have the present tagged-column format; Exchange 5.5 wrote another one.
        const NEW_RECORD_FORMAT = 0x0800;
        /// The checksum is XOR with ECC instead of plain XOR.
        const NEW_CHECKSUM_FORMAT = 0x2000;
        /// Unused bytes were overwritten since the last change.
        const SCRUBBED = 0x4000;
        /// Low bit of the flush type.
        const FLUSH_TYPE_LOW = 0x8000;
        /// High bit of the flush type.
        const FLUSH_TYPE_HIGH = 0x1_0000;
        /// Allocated, but not used yet: a header and nothing else.
        const PRE_INIT = 0x2_0000;
        /// Page of a tree that a revert gave up: only good for deleting the tree.
        const FDP_DELETE = 0x4_0000;
    }
}

impl Stored for PageFlags {
    const SIZE: usize = u32::SIZE;
    fn load(bytes: &[u8]) -> Self {
        PageFlags::from_bits_retain(u32::load(bytes))
    }
    fn store(&self, bytes: &mut [u8]) {
        self.bits().store(bytes);
    }
}

impl PageFlags {
    /// Both bits of the flush type.
    pub const FLUSH_TYPE: PageFlags = PageFlags::FLUSH_TYPE_LOW.union(PageFlags::FLUSH_TYPE_HIGH);

    /// Root page of a tree that is not a space tree: holds a space header (`CPAGE::FFDPPage`).
    pub fn is_fdp(self) -> bool {
        self.contains(PageFlags::ROOT) && !self.contains(PageFlags::SPACE_TREE)
    }

    /// Nodes hold page numbers of children instead of data (`CPAGE::FInvisibleSons`).
    pub fn is_internal(self) -> bool {
        !self.intersects(PageFlags::LEAF | PageFlags::PRE_INIT)
    }

    /// The names of the flags that are set, in the order of their bits; the flush type is not among them.
    pub fn names(self) -> impl Iterator<Item = String> {
        const NAMED: PageFlags = PageFlags::all();
        let flush = PageFlags::FLUSH_TYPE_LOW | PageFlags::FLUSH_TYPE_HIGH;
        let unknown = self.difference(NAMED).bits();
        self.intersection(NAMED)
            .difference(flush)
            .iter_names()
            .map(|(name, _)| name.to_ascii_lowercase())
            .chain((unknown != 0).then(|| format!("{unknown:#x}")))
    }
}

/// A list of names; bits without a name come last, in hexadecimal.
impl Serialize for PageFlags {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}

/// The mark that changes with every write of a page, so that a write that the disk lost can be found
/// (`CPAGE::PageFlushType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FlushType {
    /// Not known, or the page was written by an engine without flush map.
    Unknown,
    /// First of the three.
    Rock,
    /// Second.
    Paper,
    /// Third; the first follows.
    Scissors,
}

impl FlushType {
    /// The type coded in two bits, as in page flags and flush map.
    pub fn from_bits(bits: u8) -> FlushType {
        match bits & 3 {
            0 => FlushType::Unknown,
            1 => FlushType::Rock,
            2 => FlushType::Paper,
            _ => FlushType::Scissors,
        }
    }

    fn of(flags: PageFlags) -> FlushType {
        FlushType::from_bits((flags.bits() >> 15) as u8)
    }
}
