//! The two copies of a database header, and which of them can be trusted.
//!
//! ```text
//! 0            page size        2 * page size
//! | header     | shadow header  | page 1 ...
//! ```
//!
//! The copies are equal whenever the engine is not in the middle of writing them; it writes the shadow second. A copy
//! is good when its checksum fits and the page size that it names is the size it was checked with. The page size is
//! therefore found by trying (`ErrUtilReadSpecificShadowedHeader`, `ese/_osu/fileu.cxx`). When both copies are good
//! but differ, the engine takes the first and calls the second one bad; so do we.
//!
//! Where both copies were overwritten, the pages after them still show that a file is a database, and its page size: a
//! page is whole under one size alone.

use super::DatabaseHeader;
use crate::page::PageView;
use crate::{ObjId, Pgno};
use ese_checksum::{
    ChecksumVerdict, PageBytes, header_checksum, is_blank, stored_header_checksum, verify_page,
};
use serde::Serialize;

/// Every page size a database can have.
pub const PAGE_SIZES: [u32; 5] = [2048, 4096, 8192, 16384, 32768];

/// Bytes at the start of a file that hold both copies and the first two pages, whatever the page size.
pub const HEADERS_MAX: usize = 4 * 32768;

/// One copy of the header as read, good or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeaderCopy {
    /// Where the copy starts in the file.
    pub offset: u64,
    /// The checksum that it carries.
    pub stored_checksum: u32,
    /// The checksum of its bytes.
    pub computed_checksum: u32,
    /// Why the copy cannot be trusted; `None` when it can.
    pub fault: Option<HeaderFault>,
    /// The fields, to be trusted only without a fault.
    pub fields: DatabaseHeader,
}

/// Why a copy of the header cannot be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum HeaderFault {
    /// Its checksum does not fit.
    Checksum,
    /// Its checksum fits, but it names another page size than the one under which it does.
    PageSize {
        /// The page size that the copy names.
        named: u32,
    },
    /// Its magic number is not that of a database.
    Magic,
    /// The file ends before the copy does.
    Truncated {
        /// Bytes of the copy that are there.
        available: u64,
    },
}

impl std::fmt::Display for HeaderFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            HeaderFault::Checksum => f.write_str("its checksum does not fit"),
            HeaderFault::PageSize { named } => write!(f, "it names a page size of {named}"),
            HeaderFault::Magic => f.write_str("its magic number is not that of a database"),
            HeaderFault::Truncated { available } => {
                write!(f, "the file ends after {available} bytes of it")
            }
        }
    }
}

/// Which copies are good (`SHADOWED_HEADER_STATUS`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HeaderStatus {
    /// Both are, and they are equal.
    Good,
    /// The first is not.
    PrimaryBad,
    /// The second is not, or differs from the first.
    ShadowBad,
    /// Neither is.
    Corrupt,
}

/// Both copies of a database header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeaderCopies {
    /// The page size: named by a good copy, or else the likeliest one.
    pub page_size: u32,
    /// Which copies are good.
    pub status: HeaderStatus,
    /// The copy at the start of the file.
    pub primary: HeaderCopy,
    /// The copy in the page after it.
    pub shadow: HeaderCopy,
    /// Ranges of bytes within the header page in which the copies differ.
    pub differences: Vec<std::ops::Range<usize>>,
}

impl HeaderCopies {
    /// Reads both copies from the start of a file: up to [`HEADERS_MAX`] bytes, fewer where the file is shorter.
    ///
    /// Bytes that are nothing like a database give two damaged copies; see [`looks_like_database`] for the question
    /// whether they should be read at all.
    pub fn read(start: &[u8]) -> Self {
        let page_size = find_page_size(start);
        let size = page_size as usize;
        let primary = read_copy(start, 0, size);
        let shadow = read_copy(start, size, size);
        let differences = match (start.get(..size), start.get(size..2 * size)) {
            (Some(first), Some(second)) => differing_ranges(first, second),
            _ => Vec::new(),
        };
        let status = match (&primary.fault, &shadow.fault) {
            (None, None) if differences.is_empty() => HeaderStatus::Good,
            (None, _) => HeaderStatus::ShadowBad,
            (Some(_), None) => HeaderStatus::PrimaryBad,
            (Some(_), Some(_)) => HeaderStatus::Corrupt,
        };
        HeaderCopies {
            page_size,
            status,
            primary,
            shadow,
            differences,
        }
    }

    /// The copy that the engine would use; `None` when neither can be trusted.
    pub fn good(&self) -> Option<&HeaderCopy> {
        match self.status {
            HeaderStatus::Good | HeaderStatus::ShadowBad => Some(&self.primary),
            HeaderStatus::PrimaryBad => Some(&self.shadow),
            HeaderStatus::Corrupt => None,
        }
    }

    /// Whether the shadow copy should be equal to the first: a database of the engine's own scratch space keeps none.
    pub fn shadow_expected(&self) -> bool {
        self.good().is_none_or(|copy| copy.fields.is_shadowed())
    }
}

/// Whether the start of a file is that of a database, even a damaged one: the magic number is where a copy of
/// the header would have it, or a page after both copies is whole.
pub fn looks_like_database(start: &[u8]) -> bool {
    let magic_at = |offset: usize| {
        start
            .get(offset + 4..offset + 8)
            .is_some_and(|bytes| bytes == DatabaseHeader::MAGIC.to_le_bytes())
    };
    magic_at(0)
        || PAGE_SIZES.iter().any(|size| magic_at(*size as usize))
        || page_size_by_pages(start).is_some()
}

/// The page size under which a page after the headers is whole.
fn page_size_by_pages(start: &[u8]) -> Option<u32> {
    PAGE_SIZES.into_iter().find(|size| {
        let pages = start.chunks_exact(*size as usize).skip(2);
        pages
            .zip(1..)
            .any(|(bytes, pgno)| is_whole(bytes, Pgno(pgno)))
    })
}

/// Whether `bytes` are page `pgno` of a database: a page of a tree, with a checksum that fits. (A page of a flush map has the
/// checksum of a database page, and belongs to no tree.)
fn is_whole(bytes: &[u8], pgno: Pgno) -> bool {
    let good = |page| verify_page(page, pgno.0) == ChecksumVerdict::Good;
    !is_blank(bytes)
        && PageBytes::new(bytes).is_some_and(good)
        && PageView::new(pgno, bytes).is_ok_and(|page| page.header().objid() != ObjId(0))
}

/// Writes `header` into a page image with the right checksum; the rest of the page becomes zero.
///
/// The page must be at least [`DatabaseHeader::SIZE`] bytes.
pub fn seal_header(header: &DatabaseHeader, page: &mut [u8]) {
    page.fill(0);
    page[..DatabaseHeader::SIZE].copy_from_slice(&header.to_bytes());
    let checksum = header_checksum(page);
    page[..4].copy_from_slice(&checksum.to_le_bytes());
}

/// The page size under which a copy is good; failing that, the one under which a page is whole, or that a copy with the
/// right magic number names.
fn find_page_size(start: &[u8]) -> u32 {
    let good = PAGE_SIZES.into_iter().find(|size| {
        let size = *size as usize;
        read_copy(start, 0, size).fault.is_none() || read_copy(start, size, size).fault.is_none()
    });
    let named = || {
        let primary = read_copy(start, 0, 4096);
        let named = primary.fields.page_size();
        (primary.fields.magic == DatabaseHeader::MAGIC && PAGE_SIZES.contains(&named))
            .then_some(named)
    };
    let shadow = || {
        PAGE_SIZES.into_iter().find(|size| {
            let copy = read_copy(start, *size as usize, *size as usize);
            copy.fields.magic == DatabaseHeader::MAGIC && copy.fields.page_size() == *size
        })
    };
    let by_pages = || page_size_by_pages(start);
    good.or_else(by_pages)
        .or_else(named)
        .or_else(shadow)
        .unwrap_or(4096)
}

fn read_copy(start: &[u8], offset: usize, size: usize) -> HeaderCopy {
    let rest = start.get(offset..).unwrap_or(&[]);
    let page = &rest[..rest.len().min(size)];
    let mut bytes = [0; DatabaseHeader::SIZE];
    let known = page.len().min(bytes.len());
    bytes[..known].copy_from_slice(&page[..known]);
    let fields = DatabaseHeader::from_bytes(&bytes);
    let stored_checksum = stored_header_checksum(page);
    let computed_checksum = header_checksum(page);
    let fault = if page.len() < size {
        Some(HeaderFault::Truncated {
            available: page.len() as u64,
        })
    } else if stored_checksum != computed_checksum {
        Some(HeaderFault::Checksum)
    } else if fields.magic != DatabaseHeader::MAGIC {
        Some(HeaderFault::Magic)
    } else if fields.page_size() as usize != size {
        Some(HeaderFault::PageSize {
            named: fields.page_size(),
        })
    } else {
        None
    };
    HeaderCopy {
        offset: offset as u64,
        stored_checksum,
        computed_checksum,
        fault,
        fields,
    }
}

fn differing_ranges(first: &[u8], second: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut ranges: Vec<std::ops::Range<usize>> = Vec::new();
    for (index, _) in first
        .iter()
        .zip(second)
        .enumerate()
        .filter(|(_, (a, b))| a != b)
    {
        match ranges.last_mut() {
            Some(last) if last.end == index => last.end = index + 1,
            _ => ranges.push(index..index + 1),
        }
    }
    ranges
}
