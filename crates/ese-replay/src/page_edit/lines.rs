//! Lines of a page: the tag array and the data after it.

use super::node::NewNode;
use super::{EditError, PageBuffer};
use ese_format::page::{NodeFlags, PageFlags, PageView, SpaceHeader, Tag};

const FLAG_SHIFT: u32 = 13;
const FLAG_MASK: u16 = 0xe000;

impl PageBuffer {
    fn tag_place(&self, itag: usize) -> usize {
        self.bytes.len().saturating_sub((itag + 1) * Tag::SIZE)
    }

    fn data_place(&self, offset: usize) -> usize {
        self.view().size().header_size() + offset
    }

    fn word(&self, at: usize) -> u16 {
        let bytes = self.bytes.get(at..).and_then(|bytes| bytes.first_chunk());
        bytes.map_or(0, |word| u16::from_le_bytes(*word))
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    /// Writes offset and size of a tag; the flags of small pages stay.
    pub(super) fn write_tag(&mut self, itag: usize, offset: usize, size: usize) {
        let mask = if self.view().size().is_small() {
            0x1fff
        } else {
            0x7fff
        };
        let at = self.tag_place(itag);
        let merge = |old: u16, new: usize| old & !mask | u16::try_from(new).unwrap_or(0) & mask;
        let size = merge(self.word(at), size);
        let offset = merge(self.word(at + 2), offset);
        self.put(at, &size.to_le_bytes());
        self.put(at + 2, &offset.to_le_bytes());
    }

    /// Writes the flags of a node: into its tag on small pages, into its first word on large ones (`TAG::SetFlags`).
    fn write_flags(&mut self, itag: usize, flags: NodeFlags) -> Result<(), EditError> {
        let place = if self.view().size().is_small() {
            self.tag_place(itag) + 2
        } else {
            let tag = self.view().tag(itag)?;
            if itag == 0 || tag.size < 2 {
                return Ok(());
            }
            self.data_place(tag.offset)
        };
        let word = self.word(place) & !FLAG_MASK | u16::from(flags.bits()) << FLAG_SHIFT;
        self.put(place, &word.to_le_bytes());
        Ok(())
    }

    fn itag(&self, line: usize) -> usize {
        line.saturating_add(self.view().reserved_tag_count())
    }

    /// The tag, proved usable: tag array and end of data lie in the page.
    fn checked_tag(&self, itag: usize) -> Result<Tag, EditError> {
        let page = self.view();
        let tag = page.tag(itag)?;
        let (length, limit) = (self.data_end(), page.data_area()?.len());
        if length > limit || tag.size > 0 && tag.offset + tag.size > length {
            let what = "data up to the first free byte";
            let pgno = self.pgno;
            return Err(EditError::TooLong {
                pgno,
                what,
                length,
                limit,
            });
        }
        Ok(tag)
    }

    fn contiguous_free(&self) -> usize {
        (self.data_size())
            .saturating_sub(self.tags_size())
            .saturating_sub(self.data_end())
    }

    fn no_room(&self, needed: usize, free: usize) -> EditError {
        let pgno = self.pgno;
        EditError::NoRoom { pgno, needed, free }
    }

    /// Makes `needed` contiguous bytes free after the data (`CPAGE::FreeSpace_`).
    fn make_room(&mut self, needed: usize) -> Result<(), EditError> {
        let free = self.free();
        if needed > free {
            return Err(self.no_room(needed, free));
        }
        if self.contiguous_free() < needed {
            self.reorganise()?;
        }
        let free = self.contiguous_free();
        if free < needed {
            return Err(self.no_room(needed, free));
        }
        Ok(())
    }

    /// Moves all data together (`CPAGE::ReorganizeData_`).
    pub fn reorganise(&mut self) -> Result<(), EditError> {
        let page = self.view();
        let mut tags = Vec::with_capacity(page.tag_count());
        for itag in 0..page.tag_count() {
            let tag = page.tag(itag)?;
            // All three fit: offsets, sizes and numbers of tags are below 2^16.
            tags.push((tag.offset << 16 | itag, tag.size));
        }
        tags.sort_unstable_by_key(|(place, _)| *place);
        let split = |place: usize| (place >> 16, place & 0xffff);
        let mut end = 0;
        for &(place, size) in tags.iter().filter(|(_, size)| *size > 0) {
            let (offset, itag) = split(place);
            if offset < end {
                let pgno = self.pgno;
                return Err(EditError::Overlap { pgno, itag });
            }
            end = offset + size;
        }
        let mut destination = 0;
        for (place, size) in tags {
            let (offset, itag) = split(place);
            if size > 0 && offset != destination {
                let source = self.data_place(offset);
                let place = self.data_place(destination);
                self.bytes.copy_within(source..source + size, place);
            }
            self.write_tag(itag, destination, size);
            destination += size;
        }
        self.set_data_end(destination);
        Ok(())
    }

    /// Puts a line's bytes after all data and points its tag there.
    fn append(&mut self, itag: usize, parts: &[&[u8]], flags: NodeFlags) -> Result<(), EditError> {
        let size: usize = parts.iter().map(|part| part.len()).sum();
        let offset = self.data_end();
        self.write_tag(itag, offset, size);
        self.set_data_end(offset + size);
        self.fill(itag, offset, parts, flags)
    }

    fn fill(
        &mut self,
        itag: usize,
        offset: usize,
        parts: &[&[u8]],
        flags: NodeFlags,
    ) -> Result<(), EditError> {
        let mut at = self.data_place(offset);
        for part in parts {
            self.put(at, part);
            at += part.len();
        }
        self.write_flags(itag, flags)
    }

    /// Inserts a line; the line there and all after it move up (`CPAGE::Insert_`).
    pub(super) fn insert_line(
        &mut self,
        line: usize,
        parts: &[&[u8]],
        flags: NodeFlags,
    ) -> Result<(), EditError> {
        let (tags, count) = (self.tag_count(), self.node_count());
        if line > count || tags == 0 {
            let pgno = self.pgno;
            return Err(EditError::Line { pgno, line, count });
        }
        self.checked_tag(tags - 1)?;
        let size = self.size_of_line(parts)?;
        self.make_room(size + Tag::SIZE)?;
        let itag = self.itag(line);
        let (low, high) = (self.tag_place(tags - 1), self.tag_place(itag) + Tag::SIZE);
        self.bytes.copy_within(low..high, low - Tag::SIZE);
        self.set_tag_counts(tags + 1, self.view().reserved_tag_count());
        self.put(self.tag_place(itag), &[0; Tag::SIZE]);
        self.set_free(self.free() - size - Tag::SIZE);
        self.append(itag, parts, flags)
    }

    /// Replaces bytes and flags of a line (`CPAGE::Replace_`).
    pub(super) fn replace_line(
        &mut self,
        line: usize,
        parts: &[&[u8]],
        flags: NodeFlags,
    ) -> Result<(), EditError> {
        self.replace_tag(self.itag(line), parts, flags)
    }

    fn replace_tag(
        &mut self,
        itag: usize,
        parts: &[&[u8]],
        flags: NodeFlags,
    ) -> Result<(), EditError> {
        let old = self.checked_tag(itag)?;
        let size = self.size_of_line(parts)?;
        let free = self.free();
        let growth = size.saturating_sub(old.size);
        if growth > free {
            return Err(self.no_room(growth, free));
        }
        let is_last = old.offset + old.size == self.data_end();
        if growth == 0 || is_last && self.contiguous_free() >= growth {
            if is_last {
                self.set_data_end(old.offset + size);
            }
            self.write_tag(itag, old.offset, size);
            self.set_free(free + old.size - size);
            return self.fill(itag, old.offset, parts, flags);
        }
        let room = self.room_without(itag)?;
        if room < size {
            return Err(self.no_room(size, room));
        }
        if self.contiguous_free() < size {
            self.write_tag(itag, 0, 0);
            if let Err(error) = self.reorganise() {
                self.write_tag(itag, old.offset, old.size);
                return Err(error);
            }
        }
        self.set_free(free + old.size - size);
        self.append(itag, parts, flags)
    }

    /// Bytes that could be made free for `itag`, from the tags themselves.
    fn room_without(&self, itag: usize) -> Result<usize, EditError> {
        let page = self.view();
        let mut room = page.data_area()?.len();
        for other in (0..page.tag_count()).filter(|other| *other != itag) {
            room = room.saturating_sub(page.tag(other)?.size);
        }
        Ok(room)
    }

    fn size_of_line(&self, parts: &[&[u8]]) -> Result<usize, EditError> {
        let (length, limit) = (
            parts.iter().map(|part| part.len()).sum(),
            self.data_size() - Tag::SIZE,
        );
        if length > limit {
            let (pgno, what) = (self.pgno, "a line");
            return Err(EditError::TooLong {
                pgno,
                what,
                length,
                limit,
            });
        }
        Ok(length)
    }

    /// Removes a node; those after it move down (`CPAGE::Delete_`).
    pub fn delete_node(&mut self, line: usize) -> Result<(), EditError> {
        let itag = self.itag(line);
        let old = self.checked_tag(itag)?;
        if old.offset + old.size == self.data_end() {
            self.set_data_end(old.offset);
        }
        let tags = self.tag_count();
        let (low, high) = (self.tag_place(tags - 1), self.tag_place(itag));
        self.bytes.copy_within(low..high, low + Tag::SIZE);
        self.set_tag_counts(tags - 1, self.view().reserved_tag_count());
        self.set_free((self.free() + old.size + Tag::SIZE).min(self.data_size()));
        if self.free() + Tag::SIZE == self.data_size() {
            self.set_data_end(0);
        }
        Ok(())
    }

    /// Removes every node.
    pub fn delete_all_nodes(&mut self) -> Result<(), EditError> {
        let (nodes, tags) = (self.node_count(), self.tag_count());
        if nodes == 0 {
            return Ok(());
        }
        let mut freed = 0;
        for itag in tags - nodes..tags {
            freed += self.checked_tag(itag)?.size + Tag::SIZE;
        }
        let mut end = 0;
        for itag in 0..tags - nodes {
            let tag = self.checked_tag(itag)?;
            end = end.max(if tag.size > 0 {
                tag.offset + tag.size
            } else {
                0
            });
        }
        self.set_tag_counts(tags - nodes, self.view().reserved_tag_count());
        self.set_free((self.free() + freed).min(self.data_size()));
        self.set_data_end(end);
        Ok(())
    }

    /// Puts nodes after the last one, as inserting each of them there would. Looks at the page's counts only once: made
    /// for pages with few nodes or none.
    pub(super) fn append_lines<'a>(
        &mut self,
        mut nodes: impl Iterator<Item = Result<NewNode<'a>, EditError>>,
    ) -> Result<(), EditError> {
        self.reorganise()?;
        let (mut tags, mut free, mut end) = (self.tag_count(), self.free(), self.data_end());
        let done = nodes.try_for_each(|node| {
            let node = node?;
            let size = self.size_of_line(&node.parts())?;
            let room = (self.data_size()).saturating_sub(end + tags * Tag::SIZE);
            if size + Tag::SIZE > free.min(room) {
                return Err(self.no_room(size + Tag::SIZE, free.min(room)));
            }
            self.write_new_line(tags, end, size, &node);
            tags += 1;
            end += size;
            free -= size + Tag::SIZE;
            Ok(())
        });
        self.set_tag_counts(tags, self.view().reserved_tag_count());
        self.set_free(free);
        self.set_data_end(end);
        done
    }

    /// Writes bytes and tag of a line where nothing stands yet.
    fn write_new_line(&mut self, itag: usize, offset: usize, size: usize, node: &NewNode<'_>) {
        let place = self.data_place(offset);
        let mut at = place;
        for part in node.parts() {
            self.put(at, part);
            at += part.len();
        }
        let word = |value: usize| u16::try_from(value).unwrap_or(u16::MAX);
        let flags = u16::from(node.flags.bits()) << FLAG_SHIFT;
        let mut stored_offset = word(offset);
        if self.view().size().is_small() {
            stored_offset |= flags;
        } else {
            let first = self.word(place) & !FLAG_MASK | flags;
            self.put(place, &first.to_le_bytes());
        }
        let tag = self.tag_place(itag);
        self.put(tag, &word(size).to_le_bytes());
        self.put(tag + 2, &stored_offset.to_le_bytes());
    }

    pub(super) fn set_line_flags(
        &mut self,
        line: usize,
        flags: NodeFlags,
    ) -> Result<(), EditError> {
        let itag = self.itag(line);
        self.view().tag(itag)?;
        self.write_flags(itag, flags)
    }

    /// Overwrites part of a line's bytes in place.
    pub(super) fn patch_line(
        &mut self,
        line: usize,
        start: usize,
        bytes: &[u8],
    ) -> Result<(), EditError> {
        let tag = self.view().tag(self.itag(line))?;
        let (pgno, size, end) = (self.pgno, tag.size, start.saturating_add(bytes.len()));
        if end > size {
            return Err(EditError::Patch {
                pgno,
                line,
                start,
                end,
                size,
            });
        }
        self.put(self.data_place(tag.offset + start), bytes);
        Ok(())
    }

    /// Replaces the whole external header (`CPAGE::SetExternalHeader`).
    pub fn set_external_header(&mut self, bytes: &[u8]) -> Result<(), EditError> {
        self.replace_tag(0, &[bytes], NodeFlags::empty())
    }

    /// Replaces the space header of a tree's root and keeps what else its external header holds
    /// (`ErrNDISetExternalHeader` with `noderfSpaceHeader`, `ese/node.cxx`).
    pub fn set_space_header(&mut self, space: &[u8; SpaceHeader::SIZE]) -> Result<(), EditError> {
        const HAS_SPACE_HEADER: u8 = 1;
        let old = self.view().external_header()?;
        let extended = old
            .split_first()
            .filter(|_| old.len() != SpaceHeader::SIZE)
            .map(|(flags, fields)| {
                let rest = if flags & HAS_SPACE_HEADER != 0 {
                    fields.get(SpaceHeader::SIZE..).unwrap_or(&[])
                } else {
                    fields
                };
                [&[flags | HAS_SPACE_HEADER], space.as_slice(), rest].concat()
            });
        self.set_external_header(extended.as_deref().unwrap_or(space))
    }

    /// The space header in the external header of a tree's root, if there is one.
    pub fn space_header(&self) -> Result<Option<[u8; SpaceHeader::SIZE]>, EditError> {
        let bytes = self.view().external_header()?;
        let start = usize::from(bytes.len() > SpaceHeader::SIZE);
        let there = start == 0 || bytes.first().is_some_and(|flags| flags & 1 != 0);
        let header = bytes.get(start..).and_then(|bytes| bytes.first_chunk());
        Ok(header.filter(|_| there).copied())
    }

    /// Fills everything that no tag refers to with `byte` (`CPAGE::OverwriteUnusedSpace`).
    pub fn overwrite_unused(&mut self, byte: u8) -> Result<(), EditError> {
        self.reorganise()?;
        let start = self.data_place(self.data_end());
        let end = self.bytes.len() - self.tags_size();
        if let Some(free) = self.bytes.get_mut(start..end) {
            free.fill(byte);
        }
        Ok(())
    }

    /// Takes every node off the page and marks it empty (`NDEmptyPage`, `inc/node.hxx`). A root keeps its external
    /// header.
    pub fn empty(&mut self) -> Result<(), EditError> {
        if !self.is_root() {
            self.set_external_header(&[])?;
        }
        self.delete_all_nodes()?;
        self.set_flags(self.flags() | PageFlags::EMPTY);
        Ok(())
    }
}

/// The prefix that compressed nodes of a page share; empty on roots, whose external header holds something else.
pub(super) fn prefix_of(page: PageView<'_>) -> Result<&[u8], EditError> {
    if page.flags().contains(PageFlags::ROOT) {
        return Ok(&[]);
    }
    Ok(page.external_header()?)
}
