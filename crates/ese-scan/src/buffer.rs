//! Memory that chunks of a file are read into.

use memmap2::MmapMut;
use std::alloc::{Layout, handle_alloc_error};
use std::ops::{Deref, DerefMut};

/// Bytes for one chunk of a file, used again for the next.
///
/// They are pages of the operating system, not of the heap: they start at a page, are zero until something is read into
/// them, and go back when the buffer is dropped.
#[derive(Debug, Default)]
pub struct Buffer {
    map: Option<MmapMut>,
    length: usize,
}

impl Buffer {
    /// A buffer of `length` zero bytes.
    pub fn new(length: usize) -> Self {
        let mut buffer = Buffer::default();
        buffer.resize(length);
        buffer
    }

    /// Makes it `length` bytes long, without regard to what they are: those of earlier chunks, or zero.
    pub fn resize(&mut self, length: usize) {
        let there = self.map.as_ref().map_or(0, |map| map.len());
        if length > there {
            // Both at once would take twice the memory.
            self.map = None;
            match MmapMut::map_anon(length) {
                Ok(map) => self.map = Some(map),
                // As a `Vec` does where there is no memory.
                Err(_) => {
                    handle_alloc_error(Layout::array::<u8>(length).unwrap_or(Layout::new::<u8>()))
                }
            }
        }
        self.length = length;
    }

    /// Keeps the first `length` bytes, or all if there are less.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.map.as_ref().map_or(&[], |map| &map[..self.length])
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.map {
            Some(map) => &mut map[..self.length],
            None => &mut [],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_as_long_as_was_said() {
        let mut buffer = Buffer::default();
        assert!(buffer.is_empty() && (*buffer).is_empty());
        for length in [5, 0, 3, 100_000, 4096] {
            buffer.resize(length);
            assert_eq!(buffer.len(), length);
            buffer.fill(7);
        }
        buffer.truncate(5000);
        assert_eq!(buffer.len(), 4096);
        buffer.truncate(10);
        assert_eq!(*buffer, [7; 10]);
        assert_eq!(*Buffer::new(10), [0; 10]);
        assert!(Buffer::new(4096).as_ptr().addr().is_multiple_of(4096));
    }
}
