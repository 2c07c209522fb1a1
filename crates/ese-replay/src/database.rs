//! One database during a replay: its header as it will be, its pages, and the pages that still need an explanation.
//!
//! While logs are replayed that the database already contains (its *required range*), a page may be missing because
//! a later shrink or trim in the same range took it away. Redo then skips the page and notes it; the shrink or
//! trim strikes it off. What is left on the list when the range ends was really missing
//! (`CLogRedoMap`, `ErrLGIVerifyRedoMapForIfmp`, `ese/_log/logredo.cxx`).

use crate::error::{Problem, ReplayError};
use crate::pages::{PageContent, Pages};
use ese_format::database::DatabaseHeader;
use ese_format::record::{ShrinkDb, ShrinkDbFields, TrimDb};
use ese_format::{Dbtime, Generation, Lgpos, ObjId, Pgno};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The first format version whose pages count reserved tags (`JET_efvReservedTags`, `ese/sysver.cxx`).
const RESERVED_TAGS_FORMAT: (u32, u32, u32) = (0x620, 270, 560);
/// The first format version whose header tells where the file was last resized (`JET_efvLgposLastResize`).
const LAST_RESIZE_FORMAT: (u32, u32, u32) = (0x620, 110, 240);

/// A page that redo skipped, and why.
#[derive(Debug)]
pub struct SkippedPage {
    /// The first record that met it.
    pub lgpos: Lgpos,
    /// The type of that record, as log dumps name it.
    pub record: &'static str,
    /// What would be wrong if nothing explains it.
    pub problem: Problem,
}

impl SkippedPage {
    /// What it comes to if nothing explains it.
    pub(crate) fn into_error(self) -> ReplayError {
        self.problem.at(self.lgpos, self.record)
    }
}

/// A database that is being replayed.
pub struct ReplayDatabase {
    /// The header as it stands now.
    pub header: DatabaseHeader,
    /// The pages.
    pub pages: Pages,
    /// The highest generation whose changes may be in the database already; 0 when none are.
    pub required_until: Generation,
    /// The highest dbtime met.
    pub dbtime: Dbtime,
    /// The highest object id met.
    pub last_objid: ObjId,
    /// Whether the log attached or created it in the range that is replayed.
    pub touched: bool,
    /// The type of the record at hand.
    pub(crate) record: &'static str,
    /// The highest dbtime of records and lists of the logs.
    logged: Dbtime,
    /// The page with the highest dbtime that redo has met; of several, the one with the lowest number.
    newest_page: Option<(Dbtime, Reverse<Pgno>)>,
    gone: BTreeMap<Pgno, SkippedPage>,
    too_old: BTreeMap<Pgno, SkippedPage>,
}

impl ReplayDatabase {
    /// A database with this header and these pages.
    pub fn new(header: DatabaseHeader, pages: Pages) -> Self {
        let mut database = ReplayDatabase {
            required_until: header.max_required,
            dbtime: header.dbtime,
            last_objid: header.last_objid,
            touched: false,
            header,
            pages,
            record: "",
            logged: Dbtime(0),
            newest_page: None,
            gone: BTreeMap::new(),
            too_old: BTreeMap::new(),
        };
        database.apply_format();
        database
    }

    /// Whether `generation` lies in the range whose changes may be in the database already.
    pub fn in_required_range(&self, generation: Generation) -> bool {
        generation <= self.required_until
    }

    /// Takes a newer format version; an older one changes nothing.
    pub(crate) fn raise_format(&mut self, version: (u32, u32, u32)) {
        if version > self.header.format_version() {
            (
                self.header.version,
                self.header.update_major,
                self.header.update_minor,
            ) = version;
            self.apply_format();
        }
    }

    fn apply_format(&mut self) {
        let version = self.header.format_version();
        self.pages
            .count_reserved_tags(version >= RESERVED_TAGS_FORMAT);
    }

    /// Whether the header tells where the file was last resized.
    pub(crate) fn tells_last_resize(&self) -> bool {
        self.header.format_version() >= LAST_RESIZE_FORMAT
    }

    /// Keeps the highest dbtime and object id; values that mean "none" do not count.
    pub(crate) fn note(&mut self, dbtime: Dbtime, objid: ObjId) {
        if dbtime < Dbtime::REVERT {
            self.dbtime = self.dbtime.max(dbtime);
        }
        self.note_logged(dbtime);
        self.last_objid = self.last_objid.max(objid);
    }

    /// Keeps the highest dbtime of records, applied or not.
    pub(crate) fn note_logged(&mut self, dbtime: Dbtime) {
        if dbtime < Dbtime::REVERT {
            self.logged = self.logged.max(dbtime);
        }
    }

    /// The highest dbtime that the logs know of. The header may know a higher one, of changes whose records are lost; it
    /// counts only where the logs tell none.
    pub(crate) fn highest_logged(&self) -> Dbtime {
        match self.logged {
            Dbtime(0) => self.dbtime,
            logged => logged,
        }
    }

    /// Whether redo skips the page because it is gone.
    pub(crate) fn is_gone(&self, pgno: Pgno) -> bool {
        self.gone.contains_key(&pgno)
    }

    /// Writes down a page that is gone.
    pub(crate) fn mark_gone(&mut self, pgno: Pgno, lgpos: Lgpos, problem: Problem) {
        let record = self.record;
        self.gone.entry(pgno).or_insert(SkippedPage {
            lgpos,
            record,
            problem,
        });
    }

    /// Notes a page that lacks changes.
    pub(crate) fn mark_too_old(&mut self, pgno: Pgno, lgpos: Lgpos, problem: Problem) {
        let record = self.record;
        self.too_old.entry(pgno).or_insert(SkippedPage {
            lgpos,
            record,
            problem,
        });
    }

    /// Strikes the pages that a shrink cuts off from both lists; the first and the last of them.
    pub(crate) fn explain_shrink(&mut self, record: &ShrinkDb) -> (Pgno, Pgno) {
        let ShrinkDbFields {
            pgno_last,
            page_count,
            ..
        } = record.shrink;
        let first = Pgno(pgno_last.0.saturating_add(1));
        let last = Pgno(pgno_last.0.saturating_add(page_count));
        self.explain(first, last.max(self.pages.last()));
        (first, last)
    }

    /// Strikes the pages that a trim gives back from both lists; the last of them.
    pub(crate) fn explain_trim(&mut self, record: &TrimDb) -> Pgno {
        let end = record.pgno_first.0.saturating_add(record.page_count);
        let last = Pgno(end.saturating_sub(1));
        self.explain(record.pgno_first, last);
        last
    }

    /// Strikes pages off both lists: a shrink or trim explains them.
    fn explain(&mut self, first: Pgno, last: Pgno) {
        let outside = |pgno: &Pgno| *pgno < first || *pgno > last;
        self.gone.retain(|pgno, _| outside(pgno));
        self.too_old.retain(|pgno, _| outside(pgno));
    }

    /// The page without explanation that was met first, taken out.
    pub(crate) fn take_unexplained(&mut self) -> Option<SkippedPage> {
        let first = |map: &BTreeMap<Pgno, SkippedPage>| {
            let oldest = map.iter().min_by_key(|(_, skipped)| skipped.lgpos);
            oldest.map(|(pgno, _)| *pgno)
        };
        let from_gone = first(&self.gone).and_then(|pgno| self.gone.remove(&pgno));
        from_gone.or_else(|| first(&self.too_old).and_then(|pgno| self.too_old.remove(&pgno)))
    }

    /// The first record that met a page without explanation.
    pub(crate) fn oldest_unexplained(&self) -> Option<Lgpos> {
        let skipped = self.gone.values().chain(self.too_old.values());
        skipped.map(|skipped| skipped.lgpos).min()
    }

    /// Pages that redo skipped and that nothing explains yet.
    pub fn unexplained(&self) -> usize {
        self.gone.len() + self.too_old.len()
    }

    /// Takes note of the dbtime of a page that redo met.
    pub(crate) fn note_page(&mut self, pgno: Pgno, dbtime: Dbtime) {
        if dbtime < Dbtime::REVERT {
            self.newest_page = self.newest_page.max(Some((dbtime, Reverse(pgno))));
        }
    }

    /// Fails if a page is newer than everything that the logs know of: the logs lack what changed it
    /// (`JET_errDbTimeCorrupted`; the engine finds it when it gives such a page its next dbtime).
    pub(crate) fn refuse_newer_page(&self) -> Result<(), Problem> {
        match self.newest_page {
            Some((found, Reverse(pgno))) if found > self.highest_logged() => {
                Err(Problem::DbtimeBeyondLogs {
                    pgno,
                    found,
                    highest: self.highest_logged(),
                })
            }
            _ => Ok(()),
        }
    }

    /// What is at a page number; a page that a shrink gave up counts as blank.
    pub(crate) fn look(&mut self, pgno: Pgno) -> Result<PageContent, Problem> {
        match self.pages.look(pgno)? {
            PageContent::Page(Dbtime::SHRUNK) => Ok(PageContent::Blank),
            other => Ok(other),
        }
    }
}
