//! Nodes on their way from one page to another.
//!
//! A split or a merge takes all nodes off a page, often hundreds. Their bytes are kept in one piece, since an allocation
//! for each key and each row would take longer than all the rest.

use crate::error::Problem;
use crate::page_edit::PageBuffer;
use ese_format::page::NodeFlags;
use std::ops::Range;

/// A node by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) key: &'a [u8],
    pub(super) data: &'a [u8],
    pub(super) flags: NodeFlags,
}

impl Line<'_> {
    /// Puts the line on a page, compressed against the page's prefix.
    pub(super) fn put(&self, page: &mut PageBuffer, at: usize) -> Result<(), Problem> {
        Ok(page.insert_node_compressed(at, self.key, self.data, self.flags)?)
    }
}

/// Where the parts of a line are.
#[derive(Debug, Clone)]
struct LineParts {
    key: Range<usize>,
    data: Range<usize>,
    flags: NodeFlags,
}

/// Lines in their order.
#[derive(Debug, Default)]
pub(super) struct Lines {
    bytes: Vec<u8>,
    places: Vec<LineParts>,
}

impl Lines {
    /// The lines of a page.
    pub(super) fn all_of(page: &PageBuffer) -> Result<Lines, Problem> {
        let mut lines = Lines {
            bytes: Vec::with_capacity(2 * page.bytes().len()),
            places: Vec::with_capacity(page.node_count() + 1),
        };
        for node in page.view().nodes() {
            let node = node.map_err(|error| Problem::Edit(error.into()))?;
            let start = lines.bytes.len();
            lines.bytes.extend_from_slice(node.prefix);
            lines.bytes.extend_from_slice(node.suffix);
            let key = start..lines.bytes.len();
            let data = lines.keep(node.data);
            let flags = node.flags - NodeFlags::COMPRESSED;
            lines.places.push(LineParts { key, data, flags });
        }
        Ok(lines)
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// The lines of a range; `None` if it reaches beyond the last one.
    pub(super) fn range(&self, range: Range<usize>) -> Option<impl Iterator<Item = Line<'_>>> {
        let places = self.places.get(range)?;
        Some(places.iter().map(|place| self.line(place)))
    }

    fn line(&self, place: &LineParts) -> Line<'_> {
        let part = |range: &Range<usize>| self.bytes.get(range.clone()).unwrap_or_default();
        Line {
            key: part(&place.key),
            data: part(&place.data),
            flags: place.flags,
        }
    }

    /// Inserts a line; `None` if it would not follow another.
    pub(super) fn insert(&mut self, at: usize, line: Line<'_>) -> Option<()> {
        if at > self.len() {
            return None;
        }
        let key = self.keep(line.key);
        let data = self.keep(line.data);
        let flags = line.flags;
        self.places.insert(at, LineParts { key, data, flags });
        Some(())
    }

    /// Gives a line other data and flags; `None` if there is no such line.
    pub(super) fn replace(
        &mut self,
        at: usize,
        data: &[u8],
        flags: impl FnOnce(NodeFlags) -> NodeFlags,
    ) -> Option<()> {
        let data = self.keep(data);
        let place = self.places.get_mut(at)?;
        place.data = data;
        place.flags = flags(place.flags);
        Some(())
    }
}
