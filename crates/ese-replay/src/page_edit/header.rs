//! The fields of a page header (`PGHDR`, `PGHDR2`, `inc/cpage.hxx`), all little-endian:
//!
//! ```text
//! 0        8       16     20     24     28     30            32        34        36     40
//! | checksum | dbtime | prev | next | objid | free | uncommitted | ibMicFree | itags | flags |
//!
//! large pages go on:   40            64    68         80
//!                      | 3 checksums | pgno | reserved |
//! ```
//!
//! `itags` holds the number of tags in its low 12 bits and, since reserved tags are counted, their number in the
//! next three; 0 there means one.

use super::{EditError, PageImage};
use ese_format::{Dbtime, ObjId, Pgno};

pub(super) const TAG_SIZE: usize = 4;
/// Bytes of the space header in the external header of a tree's root (`SPACE_HEADER`, `inc/space.hxx`).
pub const SPACE_HEADER_SIZE: usize = 16;

const HEADER_SMALL: usize = 40;
const HEADER_LARGE: usize = 80;
const LARGEST_SMALL_PAGE: usize = 8192;
const TAG_COUNT_MASK: u16 = 0x0fff;
const RESERVED_SHIFT: u32 = 12;
const RESERVED_MASK: u16 = 7;

const DBTIME: usize = 8;
const PREVIOUS: usize = 16;
const NEXT: usize = 20;
const OBJID: usize = 24;
const FREE: usize = 28;
const UNCOMMITTED_FREE: usize = 30;
const FIRST_FREE: usize = 32;
const TAG_STATE: usize = 34;
const FLAGS: usize = 36;
const LARGE_PGNO: usize = 64;

/// The flags of a page (`CPAGE::fPage*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageFlags(pub u32);

impl PageFlags {
    /// Root of a tree.
    pub const ROOT: u32 = 0x0001;
    /// Leaf of a tree.
    pub const LEAF: u32 = 0x0002;
    /// Parent of leaves.
    pub const PARENT_OF_LEAF: u32 = 0x0004;
    /// Emptied; belongs to the available space again.
    pub const EMPTY: u32 = 0x0008;
    /// Page of a space tree.
    pub const SPACE_TREE: u32 = 0x0020;
    /// Page of a secondary index.
    pub const INDEX: u32 = 0x0040;
    /// Keys are not unique; the data belongs to the bookmark.
    pub const NON_UNIQUE: u32 = 0x0400;
    /// Records in the format of all supported versions.
    pub const NEW_RECORD_FORMAT: u32 = 0x0800;
    /// The checksum has an ECC half; set when the page is written.
    pub const NEW_CHECKSUM: u32 = 0x2000;
    /// Scrubbed since it was last changed.
    pub const SCRUBBED: u32 = 0x4000;
    /// The flush type; changes with every write.
    pub const FLUSH_TYPE: u32 = 0x1_8000;
    /// Allocated and not yet used.
    pub const PRE_INIT: u32 = 0x2_0000;

    /// Whether all of `bits` are set.
    pub fn has(self, bits: u32) -> bool {
        self.0 & bits == bits
    }
}

impl PageImage {
    fn u16_at(&self, at: usize) -> u16 {
        let bytes = self.bytes.get(at..at + 2);
        bytes.map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn u32_at(&self, at: usize) -> u32 {
        u32::from(self.u16_at(at)) | u32::from(self.u16_at(at + 2)) << 16
    }

    pub(super) fn put(&mut self, at: usize, value: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + value.len()) {
            place.copy_from_slice(value);
        }
    }

    /// Whether the page has the large layout (16 and 32 KiB).
    pub fn is_large(&self) -> bool {
        self.bytes.len() > LARGEST_SMALL_PAGE
    }

    /// Bytes that the header takes.
    pub fn header_size(&self) -> usize {
        if self.is_large() {
            HEADER_LARGE
        } else {
            HEADER_SMALL
        }
    }

    /// Bytes after the header: nodes, free room and tags.
    pub(super) fn data_area(&self) -> usize {
        self.bytes.len() - self.header_size()
    }

    /// When the page was last changed.
    pub fn dbtime(&self) -> Dbtime {
        Dbtime(u64::from(self.u32_at(DBTIME)) | u64::from(self.u32_at(DBTIME + 4)) << 32)
    }

    /// Sets the time of the last change and clears the mark of a scrubbed page, as every change but a scrub does.
    pub fn touch(&mut self, dbtime: Dbtime) {
        self.set_dbtime(dbtime);
        self.set_flags(PageFlags(self.flags().0 & !PageFlags::SCRUBBED));
    }

    /// Sets the time of the last change only.
    pub fn set_dbtime(&mut self, dbtime: Dbtime) {
        self.put(DBTIME, &dbtime.0.to_le_bytes());
    }

    /// The left neighbour, on leaves.
    pub fn previous(&self) -> Pgno {
        Pgno(self.u32_at(PREVIOUS))
    }

    /// Sets the left neighbour.
    pub fn set_previous(&mut self, pgno: Pgno) {
        self.put(PREVIOUS, &pgno.0.to_le_bytes());
    }

    /// The right neighbour, on leaves.
    pub fn next(&self) -> Pgno {
        Pgno(self.u32_at(NEXT))
    }

    /// Sets the right neighbour.
    pub fn set_next(&mut self, pgno: Pgno) {
        self.put(NEXT, &pgno.0.to_le_bytes());
    }

    /// The tree that the page belongs to.
    pub fn objid(&self) -> ObjId {
        ObjId(self.u32_at(OBJID))
    }

    pub(super) fn set_objid(&mut self, objid: ObjId) {
        self.put(OBJID, &objid.0.to_le_bytes());
    }

    /// Free bytes, contiguous or not.
    pub fn free(&self) -> usize {
        usize::from(self.u16_at(FREE))
    }

    pub(super) fn set_free(&mut self, bytes: usize) {
        self.put(
            FREE,
            &u16::try_from(bytes).unwrap_or(u16::MAX).to_le_bytes(),
        );
        if self.uncommitted_free() > bytes {
            self.set_uncommitted_free(bytes);
        }
    }

    /// Bytes of the free ones that a rollback may claim back (a hint that the engine corrects lazily).
    pub fn uncommitted_free(&self) -> usize {
        usize::from(self.u16_at(UNCOMMITTED_FREE))
    }

    /// Sets the hint of bytes that a rollback may claim back; never above the free bytes.
    pub fn set_uncommitted_free(&mut self, bytes: usize) {
        let bytes = u16::try_from(bytes.min(self.free())).unwrap_or(0);
        self.put(UNCOMMITTED_FREE, &bytes.to_le_bytes());
    }

    /// Offset in the data area of the first byte after all data.
    pub(super) fn first_free(&self) -> usize {
        usize::from(self.u16_at(FIRST_FREE))
    }

    pub(super) fn set_first_free(&mut self, offset: usize) {
        self.put(
            FIRST_FREE,
            &u16::try_from(offset).unwrap_or(u16::MAX).to_le_bytes(),
        );
    }

    /// Tags on the page, reserved ones included.
    pub fn tag_count(&self) -> usize {
        usize::from(self.u16_at(TAG_STATE) & TAG_COUNT_MASK)
    }

    /// Reserved tags, the external header included; 0 on a page not yet in use.
    pub fn reserved_tag_count(&self) -> usize {
        let stored = usize::from(self.u16_at(TAG_STATE) >> RESERVED_SHIFT & RESERVED_MASK);
        if self.flags().has(PageFlags::PRE_INIT) {
            stored
        } else {
            stored.max(1)
        }
    }

    pub(super) fn set_tag_counts(&mut self, tags: usize, reserved: usize) {
        let stored = self.u16_at(TAG_STATE) >> RESERVED_SHIFT & RESERVED_MASK;
        let reserved = u16::try_from(reserved).unwrap_or(1);
        let reserved = if self.reserved_tags || stored > 0 {
            reserved
        } else {
            0
        };
        let tags = u16::try_from(tags).unwrap_or(TAG_COUNT_MASK);
        self.put(
            TAG_STATE,
            &(tags | reserved << RESERVED_SHIFT).to_le_bytes(),
        );
    }

    /// Nodes on the page.
    pub fn line_count(&self) -> usize {
        self.tag_count().saturating_sub(self.reserved_tag_count())
    }

    /// The page's flags.
    pub fn flags(&self) -> PageFlags {
        PageFlags(self.u32_at(FLAGS))
    }

    /// Sets the page's flags.
    pub fn set_flags(&mut self, flags: PageFlags) {
        self.put(FLAGS, &flags.0.to_le_bytes());
    }

    /// The page number that large pages store; `None` on small ones.
    pub fn stored_pgno(&self) -> Option<Pgno> {
        self.is_large().then(|| Pgno(self.u32_at(LARGE_PGNO)))
    }

    pub(super) fn set_stored_pgno(&mut self, pgno: Pgno) {
        self.put(LARGE_PGNO, &pgno.0.to_le_bytes());
    }

    /// Whether the page is a tree's root.
    pub fn is_root(&self) -> bool {
        self.flags().has(PageFlags::ROOT)
    }

    /// Whether the page is a leaf.
    pub fn is_leaf(&self) -> bool {
        self.flags().has(PageFlags::LEAF)
    }

    /// Refuses a header whose counts do not fit the page.
    pub(super) fn check_header(&self) -> Result<(), EditError> {
        let limit = self.data_area();
        let check = |what, found: usize, limit: usize| {
            (found <= limit)
                .then_some(())
                .ok_or(EditError::Header { what, found, limit })
        };
        check("tag count", self.tag_count(), limit / TAG_SIZE)?;
        check(
            "reserved tag count",
            self.reserved_tag_count(),
            self.tag_count(),
        )?;
        let data = limit - self.tag_count() * TAG_SIZE;
        check("end of data", self.first_free(), data)?;
        check("free bytes", self.free(), limit)
    }
}
