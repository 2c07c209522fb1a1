//! An owned page image that redo and undo change: header fields, tags, nodes.
//!
//! What the bytes mean is in [`ese_format::page`]; this is the writing half. What an operation does to tags, free
//! counts and flags follows `CPAGE` (`ese/cpage.cxx`); the place of data within the page does not matter to the format
//! and may differ from what the engine chose.
//!
//! Invariant: no operation reads or writes outside the page, whatever its bytes say. An operation that fails leaves
//! the nodes as they were.

mod header;
mod lines;
mod node;

pub use node::{MIN_PREFIX, common_prefix, useful_prefix};

use ese_format::page::{PageError, PageFlags, PageView, Tag};
use ese_format::{JetError, ObjId, Pgno};
use thiserror::Error;

/// What a page does not allow.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EditError {
    /// The page's bytes are not what an operation needs.
    #[error(transparent)]
    Page(#[from] PageError),
    /// A line to insert would not follow the last one.
    #[error("page {pgno}: a node cannot become number {line}, the page has {count}")]
    Line {
        /// The page.
        pgno: Pgno,
        /// The place asked for.
        line: usize,
        /// Nodes on the page.
        count: usize,
    },
    /// Two tags share bytes.
    #[error("page {pgno}, tag {itag}: its bytes belong to another tag too")]
    Overlap {
        /// The page.
        pgno: Pgno,
        /// The tag.
        itag: usize,
    },
    /// The page has too little room.
    #[error("page {pgno}: {needed} bytes are needed, {free} are free")]
    NoRoom {
        /// The page.
        pgno: Pgno,
        /// Bytes that the operation takes.
        needed: usize,
        /// Bytes that are free.
        free: usize,
    },
    /// A length that the format cannot express.
    #[error("page {pgno}: {what} of {length} bytes, at most {limit} are possible")]
    TooLong {
        /// The page.
        pgno: Pgno,
        /// What is too long.
        what: &'static str,
        /// Its length.
        length: usize,
        /// The longest possible.
        limit: usize,
    },
    /// A change within a node reaches beyond it.
    #[error("page {pgno}, node {line}: a change of bytes {start} to {end} of {size}")]
    Patch {
        /// The page.
        pgno: Pgno,
        /// The node.
        line: usize,
        /// First byte to change.
        start: usize,
        /// Byte after the last to change.
        end: usize,
        /// Bytes there are.
        size: usize,
    },
}

impl EditError {
    /// The error the engine would raise.
    pub fn jet(&self) -> JetError {
        match self {
            EditError::Page(error) => error.jet(),
            EditError::Overlap { .. } => JetError::PAGE_TAG_CORRUPTED,
            _ => JetError::DATABASE_CORRUPTED,
        }
    }
}

/// A page of a database, held and changed in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageBuffer {
    bytes: Box<[u8]>,
    pgno: Pgno,
    counts_reserved_tags: bool,
}

impl PageBuffer {
    /// Takes over the bytes of page `pgno` as a database file holds them.
    ///
    /// Nothing but the size is checked here; a page whose header lies is met with errors by the operations.
    pub fn from_bytes(bytes: Box<[u8]>, pgno: Pgno) -> Result<Self, PageError> {
        PageView::new(pgno, &bytes)?;
        Ok(PageBuffer {
            bytes,
            pgno,
            counts_reserved_tags: false,
        })
    }

    /// A page just allocated: header only, not yet consumed (`CPAGE::PreInitializeNewPage_`).
    pub fn new_preinit(page_size: usize, pgno: Pgno, objid: ObjId) -> Result<Self, PageError> {
        let mut page = Self::from_bytes(vec![0; page_size].into_boxed_slice(), pgno)?;
        page.set_flags(PageFlags::PRE_INIT | PageFlags::NEW_RECORD_FORMAT);
        page.header_mut().set_objid(objid);
        page.set_free(page.data_size());
        page.set_own_pgno();
        Ok(page)
    }

    /// Starts the life of a page just allocated: the (empty) external header and `flags`
    /// (`CPAGE::ConsumePreInitPage`).
    pub fn consume(&mut self, flags: PageFlags) {
        self.set_tag_counts(1, 1);
        self.set_free(self.data_size() - Tag::SIZE);
        self.write_tag(0, 0, 0);
        self.set_flags((flags | PageFlags::NEW_RECORD_FORMAT) - PageFlags::PRE_INIT);
    }

    /// The reading half.
    pub fn view(&self) -> PageView<'_> {
        PageView::new(self.pgno, &self.bytes).expect("the size was checked when the page came in")
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

    /// Says whether the database's format version counts reserved tags (`JET_efvReservedTags`, 9560 and later).
    ///
    /// Only then is the number of reserved tags stored in the header of a page that did not have it yet.
    pub fn count_reserved_tags(&mut self, enabled: bool) {
        self.counts_reserved_tags = enabled;
    }

    /// Becomes a copy of `source` under the own page number (`CPAGE::CopyPage`).
    pub fn copy_from(&mut self, source: &PageBuffer) {
        self.bytes.clone_from(&source.bytes);
        self.set_own_pgno();
    }
}
