//! Checking one page of a database.

use crate::FlushMap;
use crate::report::{Counts, Finding, FindingKind, Position};
use ese_checksum::{Page, Verdict, correct, header_checksum, is_blank, stored_header_checksum};
use ese_format::page::{FlushType, PageView};
use ese_format::{Dbtime, Pgno};

/// What is known of a database while its pages are checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    /// Bytes in a page.
    pub(crate) page_size: u32,
    /// Whether the second page is a copy of the header.
    pub(crate) shadowed: bool,
    /// Number of the page that holds the trailer of a streaming backup, if the last page may be one.
    pub(crate) trailer: Option<Pgno>,
    /// The database's flush map.
    pub(crate) flush_map: Option<&'a FlushMap>,
}

/// What was found in some pages.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) counts: Counts,
    pub(crate) findings: Vec<Finding>,
}

impl Context<'_> {
    /// Checks the pages in `bytes`, which start at `offset` of the file. An incomplete page at the end is a finding.
    pub(crate) fn check(&self, bytes: &mut [u8], offset: u64, found: &mut Found) {
        let page_size = self.page_size as usize;
        let mut at = offset;
        for page in bytes.chunks_mut(page_size) {
            if page.len() == page_size {
                self.check_page(page, at, found);
            } else {
                found.findings.push(Finding {
                    position: self.position(at),
                    offset: at,
                    kind: FindingKind::Partial {
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

    fn check_page(&self, page: &mut [u8], offset: u64, found: &mut Found) {
        found.counts.pages_seen += 1;
        let position = self.position(offset);
        let problem = match position {
            _ if is_blank(page) => {
                found.counts.uninitialized_pages += 1;
                self.lost_flush(position, Dbtime::NIL, FlushType::Unknown)
            }
            Position::ShadowHeader if !self.shadowed => None,
            Position::Header | Position::ShadowHeader => header_problem(page),
            Position::Page(pgno) if self.trailer == Some(Pgno(pgno)) && is_trailer(page) => {
                header_problem(page)
            }
            Position::Page(pgno) => self.data_page_problem(page, Pgno(pgno), &mut found.counts),
        };
        let Some(kind) = problem else { return };
        let counter = match kind {
            FindingKind::BadChecksum { .. } | FindingKind::Partial { .. } => {
                &mut found.counts.bad_checksums
            }
            FindingKind::Correctable { .. } => &mut found.counts.correctable_checksums,
            FindingKind::WrongPageNumber { .. } => &mut found.counts.wrong_page_numbers,
            FindingKind::LostFlush { .. } => &mut found.counts.lost_flushes,
        };
        *counter += 1;
        found.findings.push(Finding {
            position,
            offset,
            kind,
        });
    }

    /// Checks a page of the database proper. A page that can be corrected is corrected in `page`, so that what is
    /// read from it is right.
    fn data_page_problem(
        &self,
        page: &mut [u8],
        pgno: Pgno,
        counts: &mut Counts,
    ) -> Option<FindingKind> {
        let image = Page::new(page)?;
        let problem = match ese_checksum::verify_page(image, pgno.0) {
            Verdict::Good => None,
            Verdict::Bad {
                stored,
                computed,
                fits_page,
            } => {
                return Some(FindingKind::BadChecksum {
                    expected: stored.into(),
                    actual: computed.into(),
                    is_page: fits_page,
                });
            }
            Verdict::Correctable {
                bits,
                stored,
                computed,
            } => {
                correct(page, &bits);
                Some(FindingKind::Correctable {
                    expected: stored.into(),
                    actual: computed.into(),
                    bits,
                })
            }
        };
        let view = PageView::new(pgno, page).ok()?;
        let header = view.header();
        counts.saw_dbtime(header.dbtime(), pgno);
        let wrong_number = || {
            let actual = view.own_pgno().filter(|actual| *actual != pgno)?.0;
            Some(FindingKind::WrongPageNumber { actual })
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
    ) -> Option<FindingKind> {
        let Position::Page(pgno) = position else {
            return None;
        };
        let blank = dbtime == Dbtime::NIL;
        let expected = self.flush_map?.expected(Pgno(pgno), dbtime);
        let known = expected != FlushType::Unknown && (blank || actual != FlushType::Unknown);
        (known && expected != actual).then(|| FindingKind::LostFlush {
            expected: expected.into(),
            actual: actual.into(),
        })
    }
}

fn header_problem(page: &[u8]) -> Option<FindingKind> {
    let expected = stored_header_checksum(page);
    let actual = header_checksum(page);
    let sum = |value: u32| ese_checksum::PageChecksum([value.into(), 0, 0, 0]).into();
    (expected != actual).then(|| FindingKind::BadChecksum {
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
