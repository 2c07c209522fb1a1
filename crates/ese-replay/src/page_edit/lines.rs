//! Lines of a page: the tag array and the data behind it.
//!
//! A tag is two 16-bit words, length and offset in the data area. Small pages use 13 bits of each and keep three
//! flag bits on top of the offset; large pages use 15 bits and keep the flags in the top bits of the line's first
//! two bytes (`CPAGE::TAG`, `inc/cpage.hxx`).

use super::header::{SPACE_HEADER_SIZE, TAG_SIZE};
use super::{EditError, NodeFlags, PageFlags, PageImage};

const SMALL_MASK: u16 = 0x1fff;
const LARGE_MASK: u16 = 0x7fff;
const FLAG_SHIFT: u32 = 13;
const FLAG_MASK: u16 = 0xe000;

#[derive(Debug, Clone, Copy)]
struct Tag {
    offset: usize,
    length: usize,
    flags: NodeFlags,
}

impl PageImage {
    fn tag_at(&self, tag: usize) -> usize {
        self.bytes.len().saturating_sub((tag + 1) * TAG_SIZE)
    }

    fn word(&self, at: usize) -> u16 {
        let bytes = self.bytes.get(at..at + 2);
        bytes.map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn mask(&self) -> u16 {
        if self.is_large() {
            LARGE_MASK
        } else {
            SMALL_MASK
        }
    }

    /// Tag number `tag`, proved to lie in the data area.
    fn tag(&self, tag: usize) -> Result<Tag, EditError> {
        let at = self.tag_at(tag);
        let length = usize::from(self.word(at) & self.mask());
        let offset = usize::from(self.word(at + 2) & self.mask());
        let limit = self.data_area().saturating_sub(self.tag_count() * TAG_SIZE);
        if offset + length > limit {
            return Err(EditError::Tag {
                tag,
                offset,
                length,
                limit,
            });
        }
        let holder = if !self.is_large() {
            self.word(at + 2)
        } else if length >= 2 && tag > 0 {
            self.word(self.header_size() + offset)
        } else {
            0
        };
        let flags = NodeFlags((holder >> FLAG_SHIFT) as u8);
        Ok(Tag {
            offset,
            length,
            flags,
        })
    }

    /// Writes offset and length of a tag; the flags of small pages stay.
    pub(super) fn write_tag(&mut self, tag: usize, offset: usize, length: usize) {
        let (at, mask) = (self.tag_at(tag), self.mask());
        let merge = |old: u16, new: usize| old & !mask | u16::try_from(new).unwrap_or(0) & mask;
        let length = merge(self.word(at), length);
        let offset = merge(self.word(at + 2), offset);
        self.put(at, &length.to_le_bytes());
        self.put(at + 2, &offset.to_le_bytes());
    }

    fn write_tag_flags(&mut self, tag: usize, flags: NodeFlags) -> Result<(), EditError> {
        let place = if !self.is_large() {
            self.tag_at(tag) + 2
        } else {
            let found = self.tag(tag)?;
            if tag == 0 || found.length < 2 {
                return Ok(());
            }
            self.header_size() + found.offset
        };
        let word = self.word(place) & !FLAG_MASK | u16::from(flags.0) << FLAG_SHIFT;
        self.put(place, &word.to_le_bytes());
        Ok(())
    }

    fn tag_bytes(&self, tag: Tag) -> &[u8] {
        let start = self.header_size() + tag.offset;
        self.bytes.get(start..start + tag.length).unwrap_or(&[])
    }

    fn line_tag(&self, line: usize) -> Result<usize, EditError> {
        self.check_header()?;
        let count = self.line_count();
        if line >= count {
            return Err(EditError::NoSuchLine { line, count });
        }
        Ok(line + self.reserved_tag_count())
    }

    /// Bytes and flags of a line; on large pages the bytes still hold the flags in their first word.
    pub fn line(&self, line: usize) -> Result<(&[u8], NodeFlags), EditError> {
        let tag = self.tag(self.line_tag(line)?)?;
        Ok((self.tag_bytes(tag), tag.flags))
    }

    /// The external header; empty where there is none.
    pub fn external_header(&self) -> Result<&[u8], EditError> {
        self.check_header()?;
        if self.tag_count() == 0 {
            return Ok(&[]);
        }
        Ok(self.tag_bytes(self.tag(0)?))
    }

    /// Bytes of a reserved tag; tag 0 is the external header.
    pub fn reserved_tag(&self, tag: usize) -> Result<&[u8], EditError> {
        self.check_header()?;
        let count = self.reserved_tag_count();
        if tag >= count {
            return Err(EditError::NoSuchLine { line: tag, count });
        }
        Ok(self.tag_bytes(self.tag(tag)?))
    }

    fn contiguous_free(&self) -> usize {
        (self.data_area())
            .saturating_sub(self.tag_count() * TAG_SIZE)
            .saturating_sub(self.first_free())
    }

    /// Makes `needed` contiguous bytes free at the end of the data (`CPAGE::FreeSpace_`).
    fn make_room(&mut self, needed: usize) -> Result<(), EditError> {
        let free = self.free();
        if needed > free {
            return Err(EditError::NoRoom { needed, free });
        }
        if self.contiguous_free() < needed {
            self.reorganise()?;
        }
        let free = self.contiguous_free();
        (free >= needed)
            .then_some(())
            .ok_or(EditError::NoRoom { needed, free })
    }

    /// Moves all data together (`CPAGE::ReorganizeData_`).
    pub fn reorganise(&mut self) -> Result<(), EditError> {
        self.check_header()?;
        let mut tags = Vec::with_capacity(self.tag_count());
        for index in 0..self.tag_count() {
            tags.push((index, self.tag(index)?));
        }
        tags.sort_by_key(|(_, tag)| tag.offset);
        let mut end = 0;
        for (index, tag) in &tags {
            if tag.length > 0 && tag.offset < end {
                let limit = self.data_area();
                let (offset, length) = (tag.offset, tag.length);
                return Err(EditError::Tag {
                    tag: *index,
                    offset,
                    length,
                    limit,
                });
            }
            end = end.max(tag.offset + tag.length);
        }
        let start = self.header_size();
        let mut destination = 0;
        for (index, tag) in tags {
            let source = start + tag.offset;
            self.bytes
                .copy_within(source..source + tag.length, start + destination);
            self.write_tag(index, destination, tag.length);
            destination += tag.length;
        }
        self.set_first_free(destination);
        Ok(())
    }

    fn place(&mut self, tag: usize, parts: &[&[u8]], flags: NodeFlags) -> Result<(), EditError> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let offset = self.first_free();
        self.write_tag(tag, offset, length);
        self.set_first_free(offset + length);
        self.fill(tag, offset, parts, flags)
    }

    fn fill(
        &mut self,
        tag: usize,
        offset: usize,
        parts: &[&[u8]],
        flags: NodeFlags,
    ) -> Result<(), EditError> {
        let mut at = self.header_size() + offset;
        for part in parts {
            self.put(at, part);
            at += part.len();
        }
        self.write_tag_flags(tag, flags)
    }

    /// Inserts a line; the line there and all after it move up (`CPAGE::Insert_`).
    pub fn insert_line(
        &mut self,
        line: usize,
        parts: &[&[u8]],
        flags: NodeFlags,
    ) -> Result<(), EditError> {
        self.check_header()?;
        let count = self.line_count();
        if line > count {
            return Err(EditError::NoSuchLine { line, count });
        }
        let length = self.check_length(parts)?;
        self.make_room(length + TAG_SIZE)?;
        let (tags, tag) = (self.tag_count(), line + self.reserved_tag_count());
        let (low, high) = (
            self.bytes.len() - tags * TAG_SIZE,
            self.tag_at(tag) + TAG_SIZE,
        );
        self.bytes.copy_within(low..high, low - TAG_SIZE);
        self.set_tag_counts(tags + 1, self.reserved_tag_count());
        let at = self.tag_at(tag);
        self.put(at, &[0; TAG_SIZE]);
        self.set_free(self.free() - length - TAG_SIZE);
        self.place(tag, parts, flags)
    }

    /// Replaces bytes and flags of a line (`CPAGE::Replace_`).
    pub fn replace_line(
        &mut self,
        line: usize,
        parts: &[&[u8]],
        flags: NodeFlags,
    ) -> Result<(), EditError> {
        let tag = self.line_tag(line)?;
        self.replace_tag(tag, parts, flags)
    }

    fn replace_tag(
        &mut self,
        tag: usize,
        parts: &[&[u8]],
        flags: NodeFlags,
    ) -> Result<(), EditError> {
        let old = self.tag(tag)?;
        let length = self.check_length(parts)?;
        let free = self.free();
        let grows = length.saturating_sub(old.length);
        if grows > free {
            return Err(EditError::NoRoom {
                needed: grows,
                free,
            });
        }
        let is_last = old.offset + old.length == self.first_free();
        if grows == 0 || is_last && self.contiguous_free() >= grows {
            if is_last {
                self.set_first_free(old.offset + length);
            }
            self.write_tag(tag, old.offset, length);
            self.set_free(free + old.length - length);
            return self.fill(tag, old.offset, parts, flags);
        }
        let room = self.room_without(tag)?;
        if room < length {
            return Err(EditError::NoRoom {
                needed: length,
                free: room,
            });
        }
        if self.contiguous_free() < length {
            self.write_tag(tag, 0, 0);
            if let Err(error) = self.reorganise() {
                self.write_tag(tag, old.offset, old.length);
                return Err(error);
            }
        }
        self.set_free(free + old.length - length);
        self.place(tag, parts, flags)
    }

    /// Bytes that could be made free for `tag`, from the tags themselves.
    fn room_without(&self, tag: usize) -> Result<usize, EditError> {
        let mut room = self.data_area().saturating_sub(self.tag_count() * TAG_SIZE);
        for other in (0..self.tag_count()).filter(|other| *other != tag) {
            room = room.saturating_sub(self.tag(other)?.length);
        }
        Ok(room)
    }

    fn check_length(&self, parts: &[&[u8]]) -> Result<usize, EditError> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if length > self.data_area() {
            return Err(EditError::TooLong {
                what: "a line",
                length,
            });
        }
        Ok(length)
    }

    /// Removes a line; those after it move down (`CPAGE::Delete_`).
    pub fn delete_line(&mut self, line: usize) -> Result<(), EditError> {
        let tag = self.line_tag(line)?;
        let old = self.tag(tag)?;
        if old.offset + old.length == self.first_free() {
            self.set_first_free(old.offset);
        }
        let tags = self.tag_count();
        let (low, high) = (self.bytes.len() - tags * TAG_SIZE, self.tag_at(tag));
        self.bytes.copy_within(low..high, low + TAG_SIZE);
        self.set_tag_counts(tags - 1, self.reserved_tag_count());
        self.set_free((self.free() + old.length + TAG_SIZE).min(self.data_area()));
        if self.free() + TAG_SIZE == self.data_area() {
            self.set_first_free(0);
        }
        Ok(())
    }

    /// Removes every line.
    pub fn delete_all_lines(&mut self) -> Result<(), EditError> {
        for line in (0..self.line_count()).rev() {
            self.delete_line(line)?;
        }
        Ok(())
    }

    /// Sets the flags of a line.
    pub fn set_line_flags(&mut self, line: usize, flags: NodeFlags) -> Result<(), EditError> {
        let tag = self.line_tag(line)?;
        self.tag(tag)?;
        self.write_tag_flags(tag, flags)
    }

    /// Overwrites part of a line's bytes in place.
    pub fn patch_line(
        &mut self,
        line: usize,
        offset: usize,
        bytes: &[u8],
    ) -> Result<(), EditError> {
        let tag = self.tag(self.line_tag(line)?)?;
        if offset + bytes.len() > tag.length {
            return Err(EditError::Node {
                line,
                what: "the change reaches beyond its end",
            });
        }
        self.put(self.header_size() + tag.offset + offset, bytes);
        Ok(())
    }

    /// Replaces the whole external header (`CPAGE::SetExternalHeader`).
    pub fn set_external_header(&mut self, bytes: &[u8]) -> Result<(), EditError> {
        self.check_header()?;
        if self.tag_count() == 0 {
            return Err(EditError::NoSuchLine { line: 0, count: 0 });
        }
        self.replace_tag(0, &[bytes], NodeFlags(0))
    }

    /// Replaces the space header of a tree's root and keeps what else its external header holds
    /// (`ErrNDISetExternalHeader` with `noderfSpaceHeader`, `ese/node.cxx`).
    ///
    /// The external header is either the space header alone, or a byte of field flags followed by the fields: bit 0
    /// the space header, bit 1 the highest auto-increment value.
    pub fn set_space_header(
        &mut self,
        space_header: &[u8; SPACE_HEADER_SIZE],
    ) -> Result<(), EditError> {
        const HAS_SPACE_HEADER: u8 = 1;
        let old = self.external_header()?.to_vec();
        let Some((flags, fields)) = old.split_first().filter(|_| old.len() != SPACE_HEADER_SIZE)
        else {
            return self.set_external_header(space_header);
        };
        let rest = if flags & HAS_SPACE_HEADER != 0 {
            fields.get(SPACE_HEADER_SIZE..).unwrap_or(&[])
        } else {
            fields
        };
        let new = [&[flags | HAS_SPACE_HEADER], space_header.as_slice(), rest].concat();
        self.set_external_header(&new)
    }

    /// The space header within the external header of a tree's root, if it is there.
    pub fn space_header(&self) -> Result<Option<[u8; SPACE_HEADER_SIZE]>, EditError> {
        let bytes = self.external_header()?;
        let at = usize::from(bytes.len() > SPACE_HEADER_SIZE);
        let present = at == 0 || bytes.first().is_some_and(|flags| flags & 1 != 0);
        Ok(bytes
            .get(at..)
            .filter(|_| present)
            .and_then(|bytes| bytes.first_chunk())
            .copied())
    }

    /// Fills everything that no tag refers to with `byte` (`CPAGE::OverwriteUnusedSpace`).
    pub fn overwrite_unused(&mut self, byte: u8) -> Result<(), EditError> {
        self.reorganise()?;
        let start = self.header_size() + self.first_free();
        let end = self.bytes.len() - self.tag_count() * TAG_SIZE;
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
        self.delete_all_lines()?;
        self.set_flags(PageFlags(self.flags().0 | PageFlags::EMPTY));
        Ok(())
    }
}
