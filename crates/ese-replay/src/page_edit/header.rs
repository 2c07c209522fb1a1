//! Header fields, read and written by their meaning.

use super::PageBuffer;
use ese_format::page::{LargePageExtension, PageFlags, PageHeader, Tag};
use ese_format::{Dbtime, ObjId, Pgno};

impl PageBuffer {
    pub(super) fn header_mut(&mut self) -> &mut PageHeader {
        PageHeader::at_start_of_mut(&mut self.bytes)
            .expect("every page size has room for the header")
    }

    /// Bytes after the header: nodes, free room and tags.
    pub(super) fn data_size(&self) -> usize {
        self.bytes.len() - self.view().size().header_size()
    }

    /// When the page was last changed.
    pub fn dbtime(&self) -> Dbtime {
        self.view().header().dbtime()
    }

    /// Sets the time of the last change and clears the mark of a scrubbed page, as every change but a scrub does.
    pub fn touch(&mut self, dbtime: Dbtime) {
        self.set_dbtime(dbtime);
        self.set_flags(self.flags() - PageFlags::SCRUBBED);
    }

    /// Sets the time of the last change only.
    pub fn set_dbtime(&mut self, dbtime: Dbtime) {
        self.header_mut().set_dbtime(dbtime);
    }

    /// The left neighbour, on leaves.
    pub fn previous(&self) -> Pgno {
        self.view().header().previous()
    }

    /// Sets the left neighbour.
    pub fn set_previous(&mut self, pgno: Pgno) {
        self.header_mut().set_previous(pgno);
    }

    /// The right neighbour, on leaves.
    pub fn next(&self) -> Pgno {
        self.view().header().next()
    }

    /// Sets the right neighbour.
    pub fn set_next(&mut self, pgno: Pgno) {
        self.header_mut().set_next(pgno);
    }

    /// The tree that the page belongs to.
    pub fn objid(&self) -> ObjId {
        self.view().header().objid()
    }

    /// Free bytes, contiguous or not.
    pub fn free(&self) -> usize {
        usize::from(self.view().header().free())
    }

    /// Sets the free bytes; the uncommitted ones stay among them.
    pub(crate) fn set_free(&mut self, bytes: usize) {
        let bytes = u16::try_from(bytes).unwrap_or(u16::MAX);
        let header = self.header_mut();
        header.set_free(bytes);
        let uncommitted = header.uncommitted_free().min(bytes);
        header.set_uncommitted_free(uncommitted);
    }

    /// Sets the hint of bytes that a rollback may claim back; never above the free bytes.
    pub fn set_uncommitted_free(&mut self, bytes: u16) {
        let header = self.header_mut();
        let bytes = bytes.min(header.free());
        header.set_uncommitted_free(bytes);
    }

    /// Offset in the data area of the first byte after all data.
    pub(super) fn data_end(&self) -> usize {
        usize::from(self.view().header().mic_free())
    }

    pub(super) fn set_data_end(&mut self, offset: usize) {
        let offset = u16::try_from(offset).unwrap_or(u16::MAX);
        self.header_mut().set_mic_free(offset);
    }

    /// Tags on the page, reserved ones included.
    pub fn tag_count(&self) -> usize {
        self.view().tag_count()
    }

    pub(super) fn set_tag_counts(&mut self, tags: usize, reserved: usize) {
        let stored = self.view().header().reserved_tag_count() > 0;
        let reserved = if self.counts_reserved_tags || stored {
            reserved
        } else {
            0
        };
        let field = |count| u16::try_from(count).unwrap_or(u16::MAX);
        self.header_mut()
            .set_tag_state(field(tags), field(reserved));
    }

    /// Bytes that the tag array takes.
    pub(super) fn tags_size(&self) -> usize {
        self.tag_count() * Tag::SIZE
    }

    /// Nodes on the page.
    pub fn node_count(&self) -> usize {
        self.view().node_count()
    }

    /// The page's flags.
    pub fn flags(&self) -> PageFlags {
        self.view().flags()
    }

    /// Sets the page's flags.
    pub fn set_flags(&mut self, flags: PageFlags) {
        self.header_mut().set_flags(flags);
    }

    /// Whether the page is a tree's root.
    pub fn is_root(&self) -> bool {
        self.flags().contains(PageFlags::ROOT)
    }

    /// Whether the page is a leaf.
    pub fn is_leaf(&self) -> bool {
        self.flags().contains(PageFlags::LEAF)
    }

    /// Writes the own page number where large pages keep it.
    pub(super) fn set_own_pgno(&mut self) {
        let (pgno, small) = (self.pgno, self.view().size().is_small());
        let extension = self.bytes.get_mut(PageHeader::SIZE..);
        if let Some(bytes) = extension.filter(|_| !small)
            && let Some(extension) = LargePageExtension::at_start_of_mut(bytes)
        {
            extension.set_pgno(pgno);
        }
    }
}
