//! Databases whose file was cut off: whether the logs hold all that is missing.
//!
//! Redo makes new pages beyond the end of a file, and passes over what no record touches. A file that ends before what
//! its own space trees say is looked at again after redo: a page that a tree uses and that is blank then was lost with
//! the end of the file.

use super::source::DatabaseFile;
use crate::database::ReplayDatabase;
use crate::error::Problem;
use crate::page_files::MemoryFile;
use crate::pages::{PageContent, Pages};
use ese_db::space::{CutOff, SpaceMap, TreeKind, TreeSpace};
use ese_db::{DbError, PageSource};
use ese_format::database::{DatabaseHeader, HeaderCopies, seal_header};
use ese_format::page::PageSize;
use ese_format::{Pgno, Signature};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// A database that lost pages with the end of its file.
#[derive(Debug, Clone)]
pub struct LostEnd {
    /// The database.
    pub path: PathBuf,
    /// What its file did not hold.
    pub cut_off: CutOff,
    /// Pages in use that no log holds.
    pub missing: u32,
}

impl std::fmt::Display for LostEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: {}, and no log holds {} of them that are in use",
            self.path.display(),
            self.cut_off,
            self.missing
        )
    }
}

/// Databases whose files end too early, before anything is replayed.
pub(super) fn cut_off_files(sources: &[&DatabaseFile]) -> Vec<(Signature, PathBuf, CutOff)> {
    let found = sources.iter().filter_map(|source| {
        let file = ese_db::Database::open(source.path()).ok()?;
        let cut_off = CutOff::of(&file)?;
        Some((source.header.signature, source.path().to_owned(), cut_off))
    });
    found.collect()
}

/// What of the lost end is still missing after redo. The changed pages of the database have all been written.
pub(super) fn lost_end(
    database: &mut ReplayDatabase,
    path: PathBuf,
    cut_off: CutOff,
) -> Option<LostEnd> {
    let (page_size, last) = (database.pages.size(), database.pages.last());
    let nothing = Pages::new(Box::new(MemoryFile::default()), page_size, Pgno::NULL, 0);
    let redone = Arc::new(RedoneDatabase {
        headers: headers_of(&database.header, page_size),
        page_size,
        // What the space trees say of the pages beyond the end is asked, too.
        last: last.max(cut_off.owned_to),
        pages: Mutex::new(std::mem::replace(&mut database.pages, nothing)),
    });
    let missing = missing(&redone, &cut_off);
    if let Some(redone) = Arc::into_inner(redone) {
        let pages = redone.pages.into_inner();
        database.pages = pages.unwrap_or_else(PoisonError::into_inner);
    }
    (missing > 0).then_some(LostEnd {
        path,
        cut_off,
        missing,
    })
}

/// How many pages beyond the end of the file are in use and blank.
fn missing(redone: &Arc<RedoneDatabase>, cut_off: &CutOff) -> u32 {
    let db = ese_db::Database::new(Arc::clone(redone));
    let Ok(catalog) = db.catalog() else {
        return cut_off.missing();
    };
    let map = SpaceMap::read(&db, &catalog);
    let whole = |space: &Result<TreeSpace, DbError>| {
        space.as_ref().is_ok_and(|space| space.losses.is_empty())
    };
    if !catalog.losses.is_empty() || !map.trees.iter().all(|(_, space)| whole(space)) {
        return cut_off.missing();
    }
    let lost = (cut_off.last_page.0 + 1..=cut_off.owned_to.0).map(Pgno);
    let is_used = |pgno: &Pgno| {
        let owner = map.owner(*pgno);
        owner.is_some_and(|owner| owner.kind != TreeKind::Database) && !map.is_free(*pgno)
    };
    let is_blank = |pgno: &Pgno| !matches!(redone.look(*pgno), Ok(PageContent::Page(_)));
    let missing = lost.filter(is_used).filter(is_blank).count();
    u32::try_from(missing).unwrap_or(u32::MAX)
}

/// A database as redo left it, to be looked at.
struct RedoneDatabase {
    headers: HeaderCopies,
    page_size: PageSize,
    last: Pgno,
    pages: Mutex<Pages>,
}

impl RedoneDatabase {
    fn look(&self, pgno: Pgno) -> Result<PageContent, Problem> {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.look(pgno)
    }
}

impl PageSource for RedoneDatabase {
    fn page_size(&self) -> PageSize {
        self.page_size
    }

    fn last_page(&self) -> Pgno {
        self.last
    }

    fn read(&self, pgno: Pgno, buffer: &mut [u8]) -> Result<(), DbError> {
        buffer.fill(0);
        let damaged = |_| DbError::Checksum {
            pgno,
            stored: 0,
            computed: 0,
        };
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        match pages.look(pgno).map_err(damaged)? {
            PageContent::Page(_) => {
                buffer.copy_from_slice(pages.get(pgno).map_err(damaged)?.bytes());
                Ok(())
            }
            PageContent::Blank | PageContent::BehindEnd => Ok(()),
            PageContent::Damaged => Err(damaged(Problem::BadChecksum { pgno })),
        }
    }

    fn is_trusted(&self, _pgno: Pgno) -> bool {
        true
    }

    fn headers(&self) -> Option<&HeaderCopies> {
        Some(&self.headers)
    }
}

/// The copies of a header that its file would have.
pub(crate) fn headers_of(header: &DatabaseHeader, page_size: PageSize) -> HeaderCopies {
    let size = page_size.as_usize();
    let mut start = vec![0; 2 * size];
    for page in start.chunks_exact_mut(size) {
        seal_header(header, page);
    }
    HeaderCopies::read(&start)
}
