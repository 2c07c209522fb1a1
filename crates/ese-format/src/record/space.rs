//! Records about the size of a database file and the use of its pages: extend, shrink, trim, freed extents, scans.
//!
//! Source: `LREXTENDDB`, `LRSHRINKDB`, `LRSHRINKDB3`, `LRTRIMDB`, `LREXTENTFREED`, `LREXTENTFREED2`, `LRSCANCHECK`,
//! `LRSCANCHECK2`, `LRPAGEPATCHREQUEST` (`inc/logapi.hxx`).

use super::layout::{Write, Writer, fixed, fixed_layout, stored_flags};
use crate::layout::Reserved;
use crate::{Dbtime, FormatError, Pgno, Reader};
use serde::Serialize;

fixed_layout! {
    /// The database file grew (`LREXTENDDB`).
    pub struct ExtendDb: 5 {
        /// The database.
        pub dbid: u8,
        /// Its last page after.
        pub pgno_last: Pgno,
    }
}

fixed_layout! {
    /// What all forms of [`ShrinkDb`] have (`LRSHRINKDB`).
    pub struct ShrinkDbFields: 9 {
        /// The database.
        pub dbid: u8,
        /// Its last page after.
        pub pgno_last: Pgno,
        /// How many pages were cut off.
        pub page_count: u32,
    }
}

/// The database file was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ShrinkDb {
    /// What all forms have.
    #[serde(flatten)]
    pub shrink: ShrinkDbFields,
    /// The dbtime of the shrink; pages beyond the end with a lesser one are gone. Only in the third form.
    pub dbtime: Option<Dbtime>,
}

impl ShrinkDb {
    pub(super) fn read_old(reader: &mut Reader<'_>) -> Result<Self, FormatError> {
        Ok(ShrinkDb {
            shrink: fixed(reader, "ShrinkDb")?,
            dbtime: None,
        })
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, FormatError> {
        let mut shrink = Self::read_old(reader)?;
        shrink.dbtime = Some(fixed(reader, "ShrinkDb.dbtime")?);
        Ok(shrink)
    }
}

impl Write for ShrinkDb {
    fn write(&self, writer: &mut Writer) {
        writer.fixed(&self.shrink);
        if let Some(dbtime) = &self.dbtime {
            writer.fixed(dbtime);
        }
    }
}

fixed_layout! {
    /// A range of the database file was given back to the file system and reads as zeroes (`LRTRIMDB`).
    pub struct TrimDb: 9 {
        /// The database.
        pub dbid: u8,
        /// First page of the range.
        pub pgno_first: Pgno,
        /// Pages in the range.
        pub page_count: u32,
    }
}

stored_flags! {
    /// Why an extent was freed (`LREXTENTFREED::Flags`).
    pub struct ExtentFreedFlags: u8 {
        /// It holds the root of a table.
        const TABLE_ROOT = 0x1;
        /// It holds empty pages of a tree that was deleted.
        const EMPTY_PAGE_FDP_DELETED = 0x2;
    }
}

fixed_layout! {
    /// What both forms of [`ExtentFreed`] have (`LREXTENTFREED`).
    pub struct ExtentFreedFields: 10 {
        /// The database.
        pub dbid: u8,
        /// First page of the extent.
        pub pgno_first: Pgno,
        /// Pages in the extent.
        pub page_count: u32,
        /// Why it was freed.
        pub extent_flags: ExtentFreedFlags,
    }
}

/// An extent was freed. Readers that keep snapshots of pages must save it; no page changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ExtentFreed {
    /// What both forms have.
    #[serde(flatten)]
    pub extent: ExtentFreedFields,
    /// The dbtime of the operation; only in the second form.
    pub dbtime: Option<Dbtime>,
}

impl ExtentFreed {
    pub(super) fn read_old(reader: &mut Reader<'_>) -> Result<Self, FormatError> {
        Ok(ExtentFreed {
            extent: fixed(reader, "ExtentFreed")?,
            dbtime: None,
        })
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, FormatError> {
        let mut freed = Self::read_old(reader)?;
        freed.dbtime = Some(fixed(reader, "ExtentFreed.dbtime")?);
        Ok(freed)
    }
}

impl Write for ExtentFreed {
    fn write(&self, writer: &mut Writer) {
        writer.fixed(&self.extent);
        if let Some(dbtime) = &self.dbtime {
            writer.fixed(dbtime);
        }
    }
}

fixed_layout! {
    /// A page was read by a scan; redo compares it (`LRSCANCHECK`).
    pub struct ScanCheck: 39 {
        /// The database.
        pub dbid: u8,
        /// The page.
        pub pgno: Pgno,
        /// Not used by any reader; `dbtime_before` is what counts.
        pub dbtime_page: Dbtime,
        /// Not used by any reader; `dbtime_after` is what counts.
        pub dbtime_current: Dbtime,
        /// The page's dbtime.
        pub dbtime_before: Dbtime,
        /// The database's dbtime when the page was read.
        pub dbtime_after: Dbtime,
        /// The page's logged-data checksum, folded to 16 bits.
        pub checksum: u16,
    }
}

stored_flags! {
    /// Who scanned a page, and what it found (`fLRScan*`, `maskLRScan*`).
    pub struct ScanCheckFlags: u8 {
        /// The database scan read it.
        const SOURCE_SCAN = 0x01;
        /// A shrink of the file read it.
        const SOURCE_SHRINK = 0x02;
        /// The page belongs to a tree that was deleted.
        const FDP_DELETED = 0x20;
        /// The page is empty.
        const EMPTY_PAGE = 0x40;
        /// The page's object id is of no tree.
        const OBJID_INVALID = 0x80;
    }
}

fixed_layout! {
    /// A page was read by a scan; redo compares it (`LRSCANCHECK2`).
    pub struct ScanCheck2: 26 {
        /// The database.
        pub dbid: u8,
        /// The page.
        pub pgno: Pgno,
        /// Who scanned, and what it found.
        pub scan_flags: ScanCheckFlags,
        /// The page's dbtime.
        pub dbtime_page: Dbtime,
        /// The database's dbtime when the page was read.
        pub dbtime_current: Dbtime,
        /// The page's logged-data checksum, folded to 32 bits.
        pub checksum: u32,
    }
}

impl ScanCheck2 {
    /// Who scanned: 1 the database scan, 2 a shrink (`ScanCheckSource`, `inc/dbscan.hxx`).
    pub fn source(&self) -> u8 {
        self.scan_flags.bits() & 0x03
    }
}

fixed_layout! {
    /// A page is damaged and another copy of the database should supply it (`LRPAGEPATCHREQUEST`).
    pub struct PagePatchRequest: 45 {
        /// The database.
        pub dbid: u8,
        /// The page.
        pub pgno: Pgno,
        /// The database's dbtime; the page that comes must have a lesser one.
        pub dbtime: Dbtime,
        /// Unused.
        pub reserved: Reserved<32>,
    }
}
