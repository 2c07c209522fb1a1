//! Checking one page of a database.

use crate::FlushMap;
use crate::report::{Counts, PageFinding, PageFindingKind, Position};
use ese_checksum::{
    ChecksumVerdict, PageBytes, correct, header_checksum, is_blank, stored_header_checksum,
};
use ese_format::database::HeaderCopies;
use ese_format::page::{FlushType, PageView};
use ese_format::{Dbtime, Pgno};
use std::borrow::Cow;

/// What is known of a database while its pages are checked.
#[derive(Debug, Clone, Copy)]
pub struct PageChecker<'a> {
    /// Bytes in a page.
    page_size: u32,
    /// Whether the second page is a copy of the header.
    shadowed: bool,
    /// Number of the page that holds the trailer of a streaming backup, if the last page may be one.
    trailer: Option<Pgno>,
    /// The database's flush map.
    flush_map: Option<&'a FlushMap>,
}

/// What was found in some pages.
#[derive(Debug, Default)]
pub struct PageFindings {
    /// Pages by what was found.
    pub counts: Counts,
    /// Each page with which something is wrong.
    pub findings: Vec<PageFinding>,
}

impl<'a> PageChecker<'a> {
    /// A checker for the pages of a database with these headers, in a file of `length` bytes.
    pub fn new(headers: &HeaderCopies, length: u64, flush_map: Option<&'a FlushMap>) -> Self {
        PageChecker {
            page_size: headers.page_size,
            shadowed: headers.shadow_expected(),
            trailer: last_page(length, headers.page_size),
            flush_map,
        }
    }

    /// Checks the pages in `bytes`, which start at `offset` of the file: the first byte of a page. An incomplete page
    /// at the end is a finding.
    pub fn check(&self, bytes: &[u8], offset: u64, found: &mut PageFindings) {
        let page_size = self.page_size as usize;
        let mut at = offset;
        for page in bytes.chunks(page_size) {
            if page.len() == page_size {
                self.check_page(page, at, found);
            } else {
                found.findings.push(PageFinding {
                    position: self.position(at),
                    offset: at,
                    kind: PageFindingKind::Partial {
                        available: page.len() as u64,
                    },
                });
            }
            at += page.len() as u64;
        }
    }

    fn position(&self, offset: u64) -> Position {
        match offset / u64::from(self.page_size) {
            0 => Position::Header,
            1 => Position::ShadowHeader,
            _ => Position::Page(Pgno::at_file_offset(offset, self.page_size).0),
        }
    }

    fn check_page(&self, page: &[u8], offset: u64, found: &mut PageFindings) {
        found.counts.pages_seen += 1;
        let position = self.position(offset);
        let blank = is_blank(page);
        found.counts.uninitialized_pages += u64::from(blank);
        let is_header = match position {
            Position::Header => true,
            Position::ShadowHeader => self.shadowed,
            Position::Page(_) => false,
        };
        let problem = match position {
            _ if blank && is_header => Some(PageFindingKind::BlankHeader),
            _ if blank => self.lost_flush(position, Dbtime::NIL, FlushType::Unknown),
            Position::ShadowHeader if !self.shadowed => None,
            Position::Header | Position::ShadowHeader => header_problem(page),
            Position::Page(pgno) if self.trailer == Some(Pgno(pgno)) && is_trailer(page) => {
                header_problem(page)
            }
            Position::Page(pgno) => self.data_page_problem(page, Pgno(pgno), &mut found.counts),
        };
        let Some(kind) = problem else { return };
        let counts = &mut found.counts;
        let counter = match kind {
            PageFindingKind::BadChecksum { .. }
            | PageFindingKind::BlankHeader
            | PageFindingKind::Partial { .. } => &mut counts.bad_checksums,
            PageFindingKind::Correctable { .. } => &mut counts.correctable_checksums,
            PageFindingKind::WrongPageNumber { .. } => &mut counts.wrong_page_numbers,
            PageFindingKind::LostFlush { .. } => &mut counts.lost_flushes,
        };
        *counter += 1;
        found.findings.push(PageFinding {
            position,
            offset,
            kind,
        });
    }

    /// Checks a page of the database proper. What is read from a page that can be corrected is read from a corrected
    /// copy.
    fn data_page_problem(
        &self,
        page: &[u8],
        pgno: Pgno,
        counts: &mut Counts,
    ) -> Option<PageFindingKind> {
        let image = PageBytes::new(page)?;
        let mut page = Cow::Borrowed(page);
        let problem = match ese_checksum::verify_page(image, pgno.0) {
            ChecksumVerdict::Good => None,
            ChecksumVerdict::Bad {
                stored,
                computed,
                fits_page,
            } => {
                return Some(PageFindingKind::BadChecksum {
                    expected: stored.into(),
                    actual: computed.into(),
                    is_page: fits_page,
                });
            }
            ChecksumVerdict::Correctable {
                bits,
                stored,
                computed,
            } => {
                correct(page.to_mut(), &bits);
                Some(PageFindingKind::Correctable {
                    expected: stored.into(),
                    actual: computed.into(),
                    bits,
                })
            }
        };
        let view = PageView::new(pgno, &page).ok()?;
        let header = view.header();
        counts.saw_dbtime(header.dbtime(), pgno);
        let wrong_number = || {
            let actual = view.own_pgno().filter(|actual| *actual != pgno)?.0;
            Some(PageFindingKind::WrongPageNumber { actual })
        };
        problem.or_else(wrong_number).or_else(|| {
            self.lost_flush(Position::Page(pgno.0), header.dbtime(), header.flush_type())
        })
    }

    /// A page that was last written in another way than the map says. A map that does not know the page, or that is
    /// newer than it, says nothing (`CPAGE::ErrValidatePage`, `ese/cpage.cxx`).
    fn lost_flush(
        &self,
        position: Position,
        dbtime: Dbtime,
        actual: FlushType,
    ) -> Option<PageFindingKind> {
        let Position::Page(pgno) = position else {
            return None;
        };
        let blank = dbtime == Dbtime::NIL;
        let expected = self.flush_map?.expected(Pgno(pgno), dbtime);
        let known = expected != FlushType::Unknown && (blank || actual != FlushType::Unknown);
        (known && expected != actual).then(|| PageFindingKind::LostFlush {
            expected: expected.into(),
            actual: actual.into(),
        })
    }
}

/// The last whole page of a file of `length` bytes.
pub(crate) fn last_page(length: u64, page_size: u32) -> Option<Pgno> {
    let pages = length / u64::from(page_size);
    u32::try_from(pages.checked_sub(2)?).ok().map(Pgno)
}

fn header_problem(page: &[u8]) -> Option<PageFindingKind> {
    let expected = stored_header_checksum(page);
    let actual = header_checksum(page);
    let sum = |value: u32| ese_checksum::PageChecksum([value.into(), 0, 0, 0]).into();
    (expected != actual).then(|| PageFindingKind::BadChecksum {
        expected: sum(expected),
        actual: sum(actual),
        is_page: None,
    })
}

/// Whether the last page of a file is the trailer of a streaming backup, which has a header's checksum: the upper
/// half of the checksum, the dbtime and the object id are zero (`ProcessESEPages`).
fn is_trailer(page: &[u8]) -> bool {
    let zero = |range: std::ops::Range<usize>| {
        page.get(range)
            .is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0))
    };
    zero(4..16) && zero(24..28)
}
