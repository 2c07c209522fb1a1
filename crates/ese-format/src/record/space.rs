//! Records about the size of a database file and the use of its pages: extend, shrink, trim, freed extents, scans.
//!
//! Source: `LREXTENDDB`, `LRSHRINKDB`, `LRSHRINKDB3`, `LRTRIMDB`, `LREXTENTFREED`, `LREXTENTFREED2`, `LRSCANCHECK`,
//! `LRSCANCHECK2`, `LRPAGEPATCHREQUEST` (`inc/logapi.hxx`).

use super::body::record;
use super::values::stored_flags;
use crate::layout::{Reserved, layout};
use crate::{Dbtime, Pgno};
use serde::Serialize;

record! {
    /// The database file grew (`LREXTENDDB`).
    ExtendDb [5..10] {
        5 dbid: u8 = "The database.";
        6 pgno_last: Pgno = "Its last page after.";
    }
}

layout! {
    /// What all forms of [`ShrinkDb`] have (`LRSHRINKDB`).
    #[derive(Copy, Serialize)]
    ShrinkDbFields [1..10] {
        1 dbid: u8 = "The database.";
        2 pgno_last: Pgno = "Its last page after.";
        6 page_count: u32 = "How many pages were cut off.";
    }
}

record! {
    /// The database file was cut.
    ShrinkDb [1..10] {
        #[serde(flatten)]
        1 shrink: ShrinkDbFields = "What all forms have.";
    }
    later {
        10 dbtime: Dbtime = "The dbtime of the shrink; pages beyond the end with a lesser one are gone. Only in the third form.";
    }
}

record! {
    /// A range of the database file was given back to the file system and reads as zeroes (`LRTRIMDB`).
    TrimDb [1..10] {
        1 dbid: u8 = "The database.";
        2 pgno_first: Pgno = "First page of the range.";
        6 page_count: u32 = "Pages in the range.";
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

layout! {
    /// What both forms of [`ExtentFreed`] have (`LREXTENTFREED`).
    #[derive(Copy, Serialize)]
    ExtentFreedFields [1..11] {
        1 dbid: u8 = "The database.";
        2 pgno_first: Pgno = "First page of the extent.";
        6 page_count: u32 = "Pages in the extent.";
        10 extent_flags: ExtentFreedFlags = "Why it was freed.";
    }
}

record! {
    /// An extent was freed. Readers that keep snapshots of pages must save it; no page changes.
    ExtentFreed [1..11] {
        #[serde(flatten)]
        1 extent: ExtentFreedFields = "What both forms have.";
    }
    later {
        11 dbtime: Dbtime = "The dbtime of the operation; only in the second form.";
    }
}

record! {
    /// A page was read by a scan; redo compares it (`LRSCANCHECK`).
    ScanCheck [5..44] {
        5 dbid: u8 = "The database.";
        6 pgno: Pgno = "The page.";
        10 dbtime_page: Dbtime = "Not used by any reader; `dbtime_before` is what counts.";
        18 dbtime_current: Dbtime = "Not used by any reader; `dbtime_after` is what counts.";
        26 dbtime_before: Dbtime = "The page's dbtime.";
        34 dbtime_after: Dbtime = "The database's dbtime when the page was read.";
        42 checksum: u16 = "The page's logged-data checksum, folded to 16 bits.";
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

record! {
    /// A page was read by a scan; redo compares it (`LRSCANCHECK2`).
    ScanCheck2 [1..27] {
        1 dbid: u8 = "The database.";
        2 pgno: Pgno = "The page.";
        6 scan_flags: ScanCheckFlags = "Who scanned, and what it found.";
        7 dbtime_page: Dbtime = "The page's dbtime.";
        15 dbtime_current: Dbtime = "The database's dbtime when the page was read.";
        23 checksum: u32 = "The page's logged-data checksum, folded to 32 bits.";
    }
}

impl ScanCheck2 {
    /// Who scanned: 1 the database scan, 2 a shrink (`ScanCheckSource`, `inc/dbscan.hxx`).
    pub fn source(&self) -> u8 {
        self.scan_flags.bits() & 0x03
    }
}

record! {
    /// A page is damaged and another copy of the database should supply it (`LRPAGEPATCHREQUEST`).
    PagePatchRequest [1..46] {
        1 dbid: u8 = "The database.";
        2 pgno: Pgno = "The page.";
        6 dbtime: Dbtime = "The database's dbtime; the page that comes must have a lesser one.";
        14 reserved: Reserved<32> = "Unused.";
    }
}
