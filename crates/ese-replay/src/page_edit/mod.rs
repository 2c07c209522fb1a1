//! An owned page image that redo and undo change: header fields, tags, nodes.
//!
//! ```text
//! 0        40 or 80                                   size - 4 * tags      size
//! | header | data, grows up | free ...                | tag n | ... | tag 0 |
//! ```
//!
//! Small pages (up to 8 KiB) have a header of 40 bytes, large ones (16 and 32 KiB) of 80. Tag 0 is the external
//! header; further reserved tags may follow, then one tag per node ("line"). What an operation does to tags, free
//! counts and data follows `CPAGE` (`ese/cpage.cxx`); the place of data within the page does not matter to the format
//! and may differ from what the engine chose.
//!
//! Invariant: no operation reads or writes outside the page, whatever its bytes say. An operation that fails leaves
//! the nodes as they were.

mod header;
mod lines;
mod node;

pub use header::{PageFlags, SPACE_HEADER_SIZE};
pub use node::{MIN_PREFIX, Node, NodeFlags, common_prefix, useful_prefix};

use ese_format::{JetError, ObjId, Pgno};
use thiserror::Error;

/// What a page does not allow.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EditError {
    /// A page image of a size that no database has.
    #[error("a page of {size} bytes; pages have 2, 4, 8, 16 or 32 KiB")]
    Size {
        /// Bytes given.
        size: usize,
    },
    /// The line is not on the page.
    #[error("line {line} does not exist, the page has {count}")]
    NoSuchLine {
        /// Line asked for.
        line: usize,
        /// Lines on the page.
        count: usize,
    },
    /// The header or tag array contradicts the page size.
    #[error("the page header is wrong: {what} is {found}, at most {limit} is possible")]
    Header {
        /// The field.
        what: &'static str,
        /// Its value.
        found: usize,
        /// The largest possible value.
        limit: usize,
    },
    /// A tag points outside the data area, or two overlap.
    #[error(
        "tag {tag} (offset {offset}, {length} bytes) does not fit the data area of {limit} bytes"
    )]
    Tag {
        /// Index in the tag array; 0 is the external header.
        tag: usize,
        /// Its offset in the data area.
        offset: usize,
        /// Its length.
        length: usize,
        /// Size of the data area.
        limit: usize,
    },
    /// The bytes of a line are no node.
    #[error("line {line} is not a node: {what}")]
    Node {
        /// The line.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// The page has too little room.
    #[error("{needed} bytes needed on the page, {free} are free")]
    NoRoom {
        /// Bytes that the operation takes.
        needed: usize,
        /// Bytes that are free.
        free: usize,
    },
    /// A length that the format cannot express.
    #[error("{what} of {length} bytes")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// Its length.
        length: usize,
    },
}

impl EditError {
    /// The engine's number for a page that is not what the log expects.
    pub fn jet(&self) -> JetError {
        JetError::DATABASE_CORRUPTED
    }
}

/// A page of a database, held and changed in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageImage {
    bytes: Box<[u8]>,
    pgno: Pgno,
    reserved_tags: bool,
}

impl PageImage {
    /// Takes over the bytes of page `pgno` as a database file holds them.
    ///
    /// Nothing but the size is checked here; a page whose header lies is met with errors by the operations.
    pub fn from_bytes(bytes: Box<[u8]>, pgno: Pgno) -> Result<Self, EditError> {
        match bytes.len() {
            2048 | 4096 | 8192 | 16384 | 32768 => Ok(PageImage {
                bytes,
                pgno,
                reserved_tags: false,
            }),
            size => Err(EditError::Size { size }),
        }
    }

    /// A page just allocated: header only, not yet consumed (`CPAGE::PreInitializeNewPage_`).
    pub fn new_preinit(page_size: usize, pgno: Pgno, objid: ObjId) -> Result<Self, EditError> {
        let mut page = Self::from_bytes(vec![0; page_size].into_boxed_slice(), pgno)?;
        page.set_flags(PageFlags(
            PageFlags::PRE_INIT | PageFlags::NEW_RECORD_FORMAT,
        ));
        page.set_objid(objid);
        page.set_free(page.data_area());
        if page.is_large() {
            page.set_stored_pgno(pgno);
        }
        Ok(page)
    }

    /// Starts the life of a page just allocated: the (empty) external header and `flags`
    /// (`CPAGE::ConsumePreInitPage`).
    pub fn consume(&mut self, flags: PageFlags) {
        self.set_tag_counts(1, 1);
        self.set_free(self.data_area() - header::TAG_SIZE);
        self.write_tag(0, 0, 0);
        let flags = (flags.0 | PageFlags::NEW_RECORD_FORMAT) & !PageFlags::PRE_INIT;
        self.set_flags(PageFlags(flags));
    }

    /// The page's bytes; the checksum fields hold whatever they held.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives the bytes away.
    pub fn into_bytes(self) -> Box<[u8]> {
        self.bytes
    }

    /// Which page this is.
    pub fn pgno(&self) -> Pgno {
        self.pgno
    }

    /// Says whether the database's format version has counted reserved tags (`JET_efvReservedTags`, 9560 and later).
    ///
    /// Only then is the number of reserved tags stored in the header of a page that did not have it yet.
    pub fn set_reserved_tags_format(&mut self, enabled: bool) {
        self.reserved_tags = enabled;
    }

    /// Whether every byte is zero: the page was never written.
    pub fn is_blank(&self) -> bool {
        self.bytes.iter().all(|byte| *byte == 0)
    }

    /// Becomes a copy of `source` under the own page number (`CPAGE::CopyPage`).
    pub fn copy_from(&mut self, source: &PageImage) {
        self.bytes.clone_from(&source.bytes);
        if self.is_large() {
            self.set_stored_pgno(self.pgno);
        }
    }
}
