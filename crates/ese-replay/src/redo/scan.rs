//! Pages that a scan of the writing machine read: redo compares them with its own.
//!
//! The record holds the page's dbtime and a checksum of what is logged of it ([`logged_data_checksum`]). A difference
//! that a shrink met ends recovery, as in the engine; one that the database scan met is reported
//! (`ErrLGRIRedoScanCheck`, `ese/_log/logredo.cxx`).

use super::{Redo, RedoOutcome};
use crate::error::Problem;
use crate::page_edit::PageBuffer;
use crate::pages::PageContent;
use ese_format::page::{NodeFlags, PageFlags, PageView};
use ese_format::record::{ScanCheck, ScanCheck2, ScanCheckFlags};
use ese_format::{Dbtime, Lgpos, Pgno};
use serde::Serialize;

/// A page that is not what a scan of the writing machine saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PageDivergence {
    /// The database.
    pub dbid: u8,
    /// The page.
    pub pgno: Pgno,
    /// The record of the scan.
    pub lgpos: Lgpos,
    /// How the page differs.
    pub what: &'static str,
}

/// The scan record in its newer form; the older one has a checksum of 16 bits.
pub(super) fn widen(record: &ScanCheck) -> ScanCheck2 {
    ScanCheck2 {
        dbid: record.dbid,
        pgno: record.pgno,
        scan_flags: ScanCheckFlags::SOURCE_SCAN,
        dbtime_page: record.dbtime_before,
        dbtime_current: record.dbtime_after,
        checksum: record.checksum.into(),
    }
}

const SOURCE_SHRINK: u8 = 2;

impl Redo {
    pub(super) fn scan_check(&mut self, record: &ScanCheck2) -> Result<RedoOutcome, Problem> {
        let lgpos = self.lgpos;
        let Some(database) = self.databases.get_mut(&record.dbid) else {
            self.pass_over(record.dbid);
            return Ok(RedoOutcome::InPlace);
        };
        let never = [Dbtime(0), Dbtime::SHRUNK, Dbtime::REVERT];
        let before_attach = lgpos <= database.header.last_attach;
        let in_range = database.in_required_range(lgpos.generation);
        if before_attach
            || in_range
            || never.contains(&record.dbtime_page)
            || database.header.trim_count > 0
        {
            return Ok(RedoOutcome::InPlace);
        }
        let pgno = record.pgno;
        let what = match database.look(pgno)? {
            PageContent::Page(_) => compare(database.pages.get(pgno)?, record),
            PageContent::Damaged => Some("it fails its checksum"),
            PageContent::Blank => Some("it is blank here"),
            PageContent::BehindEnd => Some("it is beyond the end of the file here"),
        };
        match what {
            None => Ok(RedoOutcome::Applied),
            Some(what) if record.source() == SOURCE_SHRINK => {
                Err(Problem::Divergence { pgno, what })
            }
            Some(what) => {
                let dbid = record.dbid;
                self.divergences.push(PageDivergence {
                    dbid,
                    pgno,
                    lgpos,
                    what,
                });
                Ok(RedoOutcome::Applied)
            }
        }
    }
}

fn compare(page: &PageBuffer, record: &ScanCheck2) -> Option<&'static str> {
    if page.dbtime() < record.dbtime_page {
        return Some("it is older here");
    }
    if page.dbtime() > record.dbtime_page {
        return Some("it is newer here");
    }
    let sum = logged_data_checksum(page.view())
        ^ record
            .dbtime_current
            .0
            .rotate_left((record.dbtime_current.0 & 0x1f) as u32);
    let wide = (sum >> 32) as u32 ^ sum as u32;
    let same = match record.scan_flags == ScanCheckFlags::SOURCE_SCAN
        && record.checksum <= u32::from(u16::MAX)
    {
        true => record.checksum == wide || record.checksum == (wide >> 16 ^ wide & 0xffff),
        false => record.checksum == wide,
    };
    (!same).then_some("its content differs")
}

/// A checksum of all of a page that the log determines (`CPAGE::LoggedDataChecksum`, `ese/cpage.cxx`).
///
/// It leaves out what two replays of the same log may differ in: checksum, free counts, flush type, the versioned flag
/// of nodes, the place of data in the page, bytes that no tag refers to, data of deleted nodes.
pub fn logged_data_checksum(page: PageView<'_>) -> u64 {
    let add = |sum: u64, bytes: &[u8]| {
        bytes.iter().fold(sum, |sum, byte| {
            sum.rotate_left(6).wrapping_add(u64::from(*byte))
        })
    };
    let mut header = page
        .bytes()
        .get(..page.size().header_size())
        .unwrap_or(&[])
        .to_vec();
    let mut zero = |range: std::ops::Range<usize>| {
        if let Some(bytes) = header.get_mut(range) {
            bytes.fill(0);
        }
    };
    zero(0..8);
    zero(28..34);
    zero(40..64);
    zero(68..80);
    let reserved = page.header().reserved_tag_count();
    let state = page.header().tag_count() | if reserved > 1 { reserved << 12 } else { 0 };
    let flags = page.flags()
        - PageFlags::FLUSH_TYPE
        - PageFlags::NEW_CHECKSUM_FORMAT
        - PageFlags::FDP_DELETE;
    if let Some(place) = header.get_mut(34..40) {
        place[..2].copy_from_slice(&state.to_le_bytes());
        place[2..].copy_from_slice(&flags.bits().to_le_bytes());
    }
    let mut sum = add(0, &header);
    for itag in 0..page.tag_count() {
        let bytes = page.tag_bytes(itag).unwrap_or(&[]);
        let flags = flags_of(page, itag, bytes);
        if let Some((_, rest)) = bytes.split_at_checked(2)
            && !flags.contains(NodeFlags::DELETED)
        {
            sum = add(sum, &(bytes.len() as u16).to_le_bytes());
            sum = add(sum, rest);
        }
        let flags = flags - NodeFlags::VERSIONED;
        sum = sum.rotate_left(6).wrapping_add(u64::from(flags.bits()));
    }
    sum
}

/// The flags of a tag as that checksum sees them: on large pages the external header has some too, from its bytes.
fn flags_of(page: PageView<'_>, itag: usize, bytes: &[u8]) -> NodeFlags {
    let reserved = page.reserved_tag_count();
    match itag.checked_sub(reserved) {
        Some(line) => page.node(line).map(|node| node.flags).unwrap_or_default(),
        None if page.size().is_small() => NodeFlags::empty(),
        None => NodeFlags::from_bits_retain(bytes.get(1).map_or(0, |high| high >> 5)),
    }
}
