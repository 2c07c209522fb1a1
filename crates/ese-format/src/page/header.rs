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

use crate::{Dbtime, ObjId, Pgno};
use serde::{Serialize, Serializer};
use std::mem::offset_of;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The first 40 bytes of every page.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PageHeader {
    checksum: U64,
    dbtime: U64,
    previous: U32,
    next: U32,
    objid: U32,
    free: U16,
    uncommitted_free: U16,
    mic_free: U16,
    tag_state: U16,
    flags: U32,
}

const _: () = {
    assert!(size_of::<PageHeader>() == 40);
    assert!(offset_of!(PageHeader, dbtime) == 8);
    assert!(offset_of!(PageHeader, objid) == 24);
    assert!(offset_of!(PageHeader, tag_state) == 34);
    assert!(offset_of!(PageHeader, flags) == 36);
};

impl PageHeader {
    /// The checksum field, uninterpreted.
    pub fn checksum(&self) -> u64 {
        self.checksum.get()
    }

    /// When the page was last changed.
    pub fn dbtime(&self) -> Dbtime {
        Dbtime(self.dbtime.get())
    }

    /// The page to the left on the same level, or [`Pgno::NULL`].
    pub fn previous(&self) -> Pgno {
        Pgno(self.previous.get())
    }

    /// The page to the right on the same level, or [`Pgno::NULL`].
    pub fn next(&self) -> Pgno {
        Pgno(self.next.get())
    }

    /// The tree that the page belongs to.
    pub fn objid(&self) -> ObjId {
        ObjId(self.objid.get())
    }

    /// Free bytes of the page, gaps between nodes included.
    pub fn free(&self) -> u16 {
        self.free.get()
    }

    /// Bytes of [`free`](Self::free) that a rollback may want back.
    pub fn uncommitted_free(&self) -> u16 {
        self.uncommitted_free.get()
    }

    /// Offset in the data area after which no node stands.
    pub fn mic_free(&self) -> u16 {
        self.mic_free.get()
    }

    /// The field that holds number of tags and number of reserved tags, uninterpreted.
    pub fn tag_state(&self) -> u16 {
        self.tag_state.get()
    }

    /// Number of tags, reserved ones included: the low twelve bits of the tag state (`ITAG_MIC_FREE_MASK`).
    pub fn tag_count(&self) -> u16 {
        self.tag_state.get() & 0x0fff
    }

    /// Number of reserved tags as stored: 0 on pages written before there could be more than one.
    pub fn reserved_tag_count(&self) -> u16 {
        self.tag_state.get() >> 12
    }

    /// The flags.
    pub fn flags(&self) -> PageFlags {
        PageFlags::from_bits_retain(self.flags.get())
    }

    /// The flush type, two bits among the flags.
    pub fn flush_type(&self) -> FlushType {
        FlushType::of(self.flags())
    }
}

/// What redo and undo change.
impl PageHeader {
    /// Sets the time of the last change.
    pub fn set_dbtime(&mut self, dbtime: Dbtime) {
        self.dbtime.set(dbtime.0);
    }

    /// Sets the page to the left.
    pub fn set_previous(&mut self, pgno: Pgno) {
        self.previous.set(pgno.0);
    }

    /// Sets the page to the right.
    pub fn set_next(&mut self, pgno: Pgno) {
        self.next.set(pgno.0);
    }

    /// Sets the tree that the page belongs to.
    pub fn set_objid(&mut self, objid: ObjId) {
        self.objid.set(objid.0);
    }

    /// Sets the number of free bytes.
    pub fn set_free(&mut self, bytes: u16) {
        self.free.set(bytes);
    }

    /// Sets the number of free bytes that a rollback may want back.
    pub fn set_uncommitted_free(&mut self, bytes: u16) {
        self.uncommitted_free.set(bytes);
    }

    /// Sets the offset in the data area after which no node stands.
    pub fn set_mic_free(&mut self, offset: u16) {
        self.mic_free.set(offset);
    }

    /// Sets number of tags (12 bits) and number of reserved tags (3 bits).
    pub fn set_tag_state(&mut self, tags: u16, reserved: u16) {
        self.tag_state.set(tags & 0x0fff | (reserved & 7) << 12);
    }

    /// Sets the flags.
    pub fn set_flags(&mut self, flags: PageFlags) {
        self.flags.set(flags.bits());
    }
}

/// Bytes 40 to 80 of a large page.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct LargePageExtension {
    checksums: [U64; 3],
    pgno: U32,
    reserved: [u8; 12],
}

const _: () = {
    assert!(size_of::<LargePageExtension>() == 40);
    assert!(offset_of!(LargePageExtension, pgno) == 24);
};

impl LargePageExtension {
    /// Checksums of the second, third and fourth quarter of the page.
    pub fn checksums(&self) -> [u64; 3] {
        self.checksums.map(U64::get)
    }

    /// The number that the page believes it has.
    pub fn pgno(&self) -> Pgno {
        Pgno(self.pgno.get())
    }

    /// Sets the number that the page believes it has.
    pub fn set_pgno(&mut self, pgno: Pgno) {
        self.pgno.set(pgno.0);
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
