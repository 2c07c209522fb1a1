//! Where pages come from: a file, bytes in memory, or changed pages laid over a base.

use crate::DbError;
use ese_format::database::{HEADERS_MAX, HeaderCopies, looks_like_database};
use ese_format::page::PageSize;
use ese_format::{FileKind, Pgno};
use evidence::EvidenceFile;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The pages of one database, readable in any order and from any thread.
pub trait PageSource: Send + Sync {
    /// Size of every page.
    fn page_size(&self) -> PageSize;

    /// The last page; [`Pgno::NULL`] when there is none.
    fn last_page(&self) -> Pgno;

    /// The pages that may hold anything, in order; all others are blank. A log or an overlay can claim a file of any
    /// size, and nobody has to look at all of it. The iterator knows how many there are.
    fn written_pages(&self) -> Box<dyn Iterator<Item = Pgno> + '_> {
        Box::new((1..=self.last_page().0).map(Pgno))
    }

    /// Fills `buffer`, which is exactly one page long, with page `pgno`, which is not beyond the last one.
    fn read(&self, pgno: Pgno, buffer: &mut [u8]) -> Result<(), DbError>;

    /// Whether the page is known to be good, so that its checksum is not looked at: a page changed in memory has none.
    fn is_trusted(&self, _pgno: Pgno) -> bool {
        false
    }

    /// Both copies of the header, where there are any.
    fn headers(&self) -> Option<&HeaderCopies> {
        None
    }
}

impl<S: PageSource + ?Sized> PageSource for Arc<S> {
    fn page_size(&self) -> PageSize {
        (**self).page_size()
    }

    fn last_page(&self) -> Pgno {
        (**self).last_page()
    }

    fn written_pages(&self) -> Box<dyn Iterator<Item = Pgno> + '_> {
        (**self).written_pages()
    }

    fn read(&self, pgno: Pgno, buffer: &mut [u8]) -> Result<(), DbError> {
        (**self).read(pgno, buffer)
    }

    fn is_trusted(&self, pgno: Pgno) -> bool {
        (**self).is_trusted(pgno)
    }

    fn headers(&self) -> Option<&HeaderCopies> {
        (**self).headers()
    }
}

/// A database file, opened for reading only.
#[derive(Debug)]
pub struct FileSource {
    file: EvidenceFile,
    headers: HeaderCopies,
    page_size: PageSize,
    last_page: Pgno,
}

impl FileSource {
    /// Opens `path`. The page size comes from the header, or from its shadow when the header is damaged.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DbError> {
        let file = EvidenceFile::open(path.as_ref())?;
        let start = file.start(HEADERS_MAX)?;
        let Some((headers, page_size)) = headers_of(&start) else {
            return Err(DbError::NotADatabase {
                path: file.path().to_owned(),
                reason: FileKind::detect(&start).why_no_database(&start),
            });
        };
        let last_page = last_page(file.length(), page_size);
        Ok(FileSource {
            file,
            headers,
            page_size,
            last_page,
        })
    }

    /// The file.
    pub fn file(&self) -> &EvidenceFile {
        &self.file
    }

    /// Both copies of the header.
    pub fn copies(&self) -> &HeaderCopies {
        &self.headers
    }
}

impl PageSource for FileSource {
    fn page_size(&self) -> PageSize {
        self.page_size
    }

    fn last_page(&self) -> Pgno {
        self.last_page
    }

    fn read(&self, pgno: Pgno, buffer: &mut [u8]) -> Result<(), DbError> {
        let offset = pgno.file_offset(self.page_size.bytes());
        Ok(self.file.read_exact_at(buffer, offset)?)
    }

    fn headers(&self) -> Option<&HeaderCopies> {
        Some(&self.headers)
    }
}

/// A database whose bytes are in memory, header pages included.
#[derive(Debug, Clone)]
pub struct MemorySource<B> {
    bytes: B,
    headers: HeaderCopies,
    page_size: PageSize,
}

impl<B: AsRef<[u8]> + Send + Sync> MemorySource<B> {
    /// The database in `bytes`.
    pub fn new(bytes: B) -> Result<Self, DbError> {
        let start = bytes.as_ref();
        let start = &start[..start.len().min(HEADERS_MAX)];
        let (headers, page_size) = headers_of(start).ok_or_else(|| DbError::NotADatabase {
            path: PathBuf::from("(memory)"),
            reason: FileKind::detect(start).why_no_database(start),
        })?;
        Ok(MemorySource {
            bytes,
            headers,
            page_size,
        })
    }
}

impl<B: AsRef<[u8]> + Send + Sync> PageSource for MemorySource<B> {
    fn page_size(&self) -> PageSize {
        self.page_size
    }

    fn last_page(&self) -> Pgno {
        last_page(self.bytes.as_ref().len() as u64, self.page_size)
    }

    fn read(&self, pgno: Pgno, buffer: &mut [u8]) -> Result<(), DbError> {
        let offset = pgno.file_offset(self.page_size.bytes());
        let page = usize::try_from(offset)
            .ok()
            .and_then(|start| self.bytes.as_ref().get(start..start + buffer.len()))
            .ok_or(DbError::NoSuchPage {
                pgno,
                last: self.last_page(),
            })?;
        buffer.copy_from_slice(page);
        Ok(())
    }

    fn headers(&self) -> Option<&HeaderCopies> {
        Some(&self.headers)
    }
}

/// Changed pages over a base that is never written.
#[derive(Debug, Clone)]
pub struct OverlaySource<S> {
    base: S,
    changed: HashMap<Pgno, Arc<[u8]>>,
    last_page: Pgno,
}

impl<S: PageSource> OverlaySource<S> {
    /// `base` as it is.
    pub fn new(base: S) -> Self {
        let last_page = base.last_page();
        OverlaySource {
            base,
            changed: HashMap::new(),
            last_page,
        }
    }

    /// Replaces one page; a page after the last one makes the database longer (pages between are blank).
    ///
    /// Returns `false`, and changes nothing, when `page` is not exactly one page.
    pub fn put(&mut self, pgno: Pgno, page: Arc<[u8]>) -> bool {
        if page.len() != self.base.page_size().as_usize() || pgno.is_null() {
            return false;
        }
        self.changed.insert(pgno, page);
        self.last_page = self.last_page.max(pgno);
        true
    }

    /// Makes the database end at `last`.
    pub fn set_last_page(&mut self, last: Pgno) {
        self.last_page = last;
    }

    /// The base.
    pub fn base(&self) -> &S {
        &self.base
    }
}

impl<S: PageSource> PageSource for OverlaySource<S> {
    fn page_size(&self) -> PageSize {
        self.base.page_size()
    }

    fn last_page(&self) -> Pgno {
        self.last_page
    }

    fn read(&self, pgno: Pgno, buffer: &mut [u8]) -> Result<(), DbError> {
        if let Some(page) = self.changed.get(&pgno) {
            buffer.copy_from_slice(page);
            return Ok(());
        }
        if pgno > self.base.last_page() {
            buffer.fill(0);
            return Ok(());
        }
        self.base.read(pgno, buffer)
    }

    fn is_trusted(&self, pgno: Pgno) -> bool {
        self.changed.contains_key(&pgno) || self.base.is_trusted(pgno)
    }

    fn headers(&self) -> Option<&HeaderCopies> {
        self.base.headers()
    }
}

/// The last whole page of a file of `length` bytes.
fn last_page(length: u64, page_size: PageSize) -> Pgno {
    let pages = (length / u64::from(page_size.bytes())).saturating_sub(2);
    Pgno(u32::try_from(pages).unwrap_or(u32::MAX))
}

/// Both header copies and the page size that they name, if these bytes start a database at all. A database whose copies
/// are both damaged is read with the likeliest page size.
fn headers_of(start: &[u8]) -> Option<(HeaderCopies, PageSize)> {
    if !looks_like_database(start) {
        return None;
    }
    let headers = HeaderCopies::read(start);
    let page_size = PageSize::new(headers.page_size)?;
    Some((headers, page_size))
}
