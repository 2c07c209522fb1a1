//! An open database: pages, checked and cached.

use crate::source::{FileSource, PageSource};
use crate::{Catalog, DbError};
use ese_checksum::ChecksumVerdict;
use ese_format::database::HeaderCopies;
use ese_format::page::{PageSize, PageView};
use ese_format::{ObjId, Pgno};
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Bytes of pages that are kept in memory: enough for the upper levels of every tree.
const CACHE_BYTES: usize = 32 << 20;

/// One page whose checksum fits (or was made to fit by flipping back a single bit).
#[derive(Debug, Clone)]
pub struct Page {
    pgno: Pgno,
    bytes: Arc<Vec<u8>>,
}

impl Page {
    /// Its number.
    pub fn pgno(&self) -> Pgno {
        self.pgno
    }

    /// The page as header, tags and nodes.
    pub fn view(&self) -> PageView<'_> {
        PageView::new(self.pgno, &self.bytes).expect("a page is only made of bytes of a page size")
    }
}

/// A database that is being read. Clones are the same opened database.
#[derive(Clone)]
pub struct Database(Arc<OpenedDatabase>);

struct OpenedDatabase {
    source: Box<dyn PageSource>,
    page_size: PageSize,
    cache: Vec<Mutex<Option<Page>>>,
    leaves: OnceLock<HashMap<ObjId, Vec<Pgno>>>,
    corrected: AtomicU64,
}

impl Database {
    /// Opens a database file, for reading only.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DbError> {
        Ok(Self::new(FileSource::open(path)?))
    }

    /// The database whose pages `source` gives.
    pub fn new(source: impl PageSource + 'static) -> Self {
        let page_size = source.page_size();
        let slots = CACHE_BYTES / page_size.as_usize();
        Database(Arc::new(OpenedDatabase {
            source: Box::new(source),
            page_size,
            cache: (0..slots).map(|_| Mutex::new(None)).collect(),
            leaves: OnceLock::new(),
            corrected: AtomicU64::new(0),
        }))
    }

    /// Size of the pages.
    pub fn page_size(&self) -> PageSize {
        self.0.page_size
    }

    /// The last page.
    pub fn last_page(&self) -> Pgno {
        self.0.source.last_page()
    }

    /// The pages that may hold anything, in order; all others are blank.
    pub fn written_pages(&self) -> impl Iterator<Item = Pgno> {
        self.0.source.written_pages()
    }

    /// How often a page was read whose single flipped bit could be corrected.
    pub fn corrected_reads(&self) -> u64 {
        self.0.corrected.load(Ordering::Relaxed)
    }

    /// Both copies of the header, where the source has any.
    pub fn headers(&self) -> Option<&HeaderCopies> {
        self.0.source.headers()
    }

    /// Whether neither copy of the header can be trusted: the page size is a guess then, and nobody knows whether logs hold more.
    pub fn is_headerless(&self) -> bool {
        let headers = self.headers();
        headers.is_some_and(|headers| headers.good().is_none())
    }

    /// The catalog, read anew.
    pub fn catalog(&self) -> Result<Catalog, DbError> {
        Catalog::read(self)
    }

    /// Page `pgno`, checked: its checksum fits and it is not blank.
    pub fn page(&self, pgno: Pgno) -> Result<Page, DbError> {
        let slot = &self.0.cache[pgno.0 as usize % self.0.cache.len()];
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(page) = slot.as_ref().filter(|page| page.pgno == pgno) {
            return Ok(page.clone());
        }
        let mut bytes = self.raw_page(pgno)?;
        if !self.0.source.is_trusted(pgno) {
            self.check(pgno, &mut bytes)?;
        }
        let page = Page {
            pgno,
            bytes: Arc::new(bytes),
        };
        *slot = Some(page.clone());
        Ok(page)
    }

    /// The bytes of page `pgno`, whatever they are.
    pub fn raw_page(&self, pgno: Pgno) -> Result<Vec<u8>, DbError> {
        let last = self.last_page();
        if pgno.is_null() || pgno > last {
            return Err(DbError::NoSuchPage { pgno, last });
        }
        let mut bytes = vec![0; self.0.page_size.as_usize()];
        self.0.source.read(pgno, &mut bytes)?;
        Ok(bytes)
    }

    fn check(&self, pgno: Pgno, bytes: &mut [u8]) -> Result<(), DbError> {
        if ese_checksum::is_blank(bytes) {
            return Err(DbError::Blank { pgno });
        }
        let page =
            ese_checksum::PageBytes::new(bytes).ok_or(ese_format::page::PageError::Size {
                pgno,
                found: bytes.len(),
            })?;
        match ese_checksum::verify_page(page, pgno.0) {
            ChecksumVerdict::Good => Ok(()),
            ChecksumVerdict::Correctable { bits, .. } => {
                ese_checksum::correct(bytes, &bits);
                self.0.corrected.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            ChecksumVerdict::Bad {
                stored, computed, ..
            } => Err(DbError::Checksum {
                pgno,
                stored: stored.0[0],
                computed: computed.0[0],
            }),
        }
    }

    /// Every leaf that says it belongs to `objid`, in page order, found by reading all pages once.
    ///
    /// The last resort when the upper levels of a tree are damaged. Pages of space trees and pages that a merge left
    /// over are not among them.
    pub(crate) fn leaves_of(&self, objid: ObjId) -> &[Pgno] {
        let all = self.0.leaves.get_or_init(|| {
            let mut leaves: HashMap<ObjId, Vec<Pgno>> = HashMap::new();
            for pgno in self.written_pages() {
                let Ok(page) = self.page(pgno) else { continue };
                let view = page.view();
                if crate::btree::is_data_leaf(view.flags()) {
                    leaves.entry(view.header().objid()).or_default().push(pgno);
                }
            }
            leaves
        });
        all.get(&objid).map_or(&[], Vec::as_slice)
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database")
            .field("page_size", &self.0.page_size)
            .field("last_page", &self.last_page())
            .finish_non_exhaustive()
    }
}
