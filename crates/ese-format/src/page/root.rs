//! The external header of a tree's root page (FDP): its space header and, in newer formats, the highest autoincrement.
//!
//! ```text
//! plain      | space header, 16 bytes |
//! extended   | flags u8 | space header if flag 1 | autoincrement u64 if flag 2 |
//! ```
//!
//! An external header of exactly 16 bytes is plain. Source: `NDGetPtrExternalHeader`, `g_rgcbExternalHeaderSize`
//! (`ese/node.cxx`), `NodeRootField` (`inc/node.hxx`).

use super::{PageError, PageView, SpaceHeader, SplitBuffer};
use serde::Serialize;

/// What a tree's root page says about the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RootHeader {
    /// Where the tree keeps its space.
    pub space: SpaceHeader,
    /// The highest autoincrement value given out, where the root page keeps it.
    pub autoincrement: Option<u64>,
}

const SPACE_HEADER_FLAG: u8 = 1;
const AUTOINCREMENT_FLAG: u8 = 2;

impl<'a> PageView<'a> {
    /// The external header of a root page that is not a space tree's.
    pub fn root_header(&self) -> Result<RootHeader, PageError> {
        let bytes = self.external_header()?;
        if let Ok(plain) = <[u8; SpaceHeader::SIZE]>::try_from(bytes) {
            return Ok(RootHeader {
                space: SpaceHeader::from_bytes(plain),
                autoincrement: None,
            });
        }
        let too_short = |needed| PageError::TooShort {
            pgno: self.pgno(),
            itag: 0,
            what: "external header of a root page",
            needed,
            found: bytes.len(),
        };
        let (flags, rest) = bytes
            .split_first()
            .ok_or_else(|| too_short(SpaceHeader::SIZE))?;
        if flags & SPACE_HEADER_FLAG == 0 {
            return Err(PageError::Invalid {
                pgno: self.pgno(),
                itag: 0,
                what: "flag byte of the external header",
                found: u64::from(*flags),
                expected: "one with bit 0 (a space header) set",
            });
        }
        let (space, rest) = rest
            .split_first_chunk()
            .ok_or_else(|| too_short(1 + SpaceHeader::SIZE))?;
        let autoincrement = if flags & AUTOINCREMENT_FLAG == 0 {
            None
        } else {
            let value = rest
                .first_chunk()
                .ok_or_else(|| too_short(1 + SpaceHeader::SIZE + 8))?;
            Some(u64::from_le_bytes(*value))
        };
        Ok(RootHeader {
            space: SpaceHeader::from_bytes(*space),
            autoincrement,
        })
    }

    /// The split buffer in the external header of a space tree's root page. Formats before revision 0x620,3 have none.
    pub fn split_buffer(&self) -> Result<Option<SplitBuffer>, PageError> {
        let bytes = self.external_header()?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let stored = bytes.first_chunk().ok_or(PageError::TooShort {
            pgno: self.pgno(),
            itag: 0,
            what: "split buffer",
            needed: SplitBuffer::SIZE,
            found: bytes.len(),
        })?;
        Ok(Some(SplitBuffer::from_bytes(*stored)))
    }
}
