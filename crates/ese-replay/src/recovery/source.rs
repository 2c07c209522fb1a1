//! A database file as the crash left it; it is only read.

use super::RecoveryError;
use crate::database::ReplayDatabase;
use crate::pages::{PageFile, Pages};
use ese_checksum::{ChecksumVerdict, PageBytes, verify_page};
use ese_db::{DbError, FileSource, PageSource};
use ese_format::database::DatabaseHeader;
use ese_format::page::PageSize;
use ese_format::{Dbtime, JetError, Pgno};
use evidence::EvidenceFile;
use std::io;
use std::path::Path;

/// A database file, opened for reading, with the header that can be trusted.
#[derive(Debug, Clone)]
pub struct DatabaseFile {
    file: EvidenceFile,
    /// The header, or the shadow header where the first copy is damaged.
    pub header: DatabaseHeader,
    /// Size of a page.
    pub page_size: PageSize,
    /// The last whole page.
    pub last: Pgno,
}

impl DatabaseFile {
    /// Opens `path`, which must be a database with at least one intact copy of its header.
    pub fn open(path: &Path) -> Result<Self, RecoveryError> {
        let unfit = |reason: &str, jet| RecoveryError::NotADatabase {
            path: path.to_owned(),
            reason: reason.to_owned(),
            jet,
        };
        let source = FileSource::open(path).map_err(|error| match error {
            DbError::Evidence(error) => RecoveryError::Evidence(error),
            DbError::NotADatabase { reason, .. } => {
                let reason = format!("not an ESE database: {reason}");
                unfit(&reason, JetError::FILE_INVALID_TYPE)
            }
            other => unfit(&other.to_string(), JetError::READ_VERIFY_FAILURE),
        })?;
        let header = source.copies().good().ok_or_else(|| {
            let damaged = JetError::READ_VERIFY_FAILURE;
            unfit("both copies of the header are damaged", damaged)
        })?;
        if header.fields.is_newer_than_known() {
            return Err(unfit(
                "the database is of a newer format than any known; it is not damaged",
                JetError::INVALID_DATABASE_VERSION,
            ));
        }
        Ok(DatabaseFile {
            header: header.fields.clone(),
            page_size: source.page_size(),
            last: source.last_page(),
            file: source.file().clone(),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        self.file.length()
    }

    /// The file's bytes at `offset`.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, RecoveryError> {
        Ok(self.file.read_at(buffer, offset)?)
    }

    /// The first page, intact and in use, that was changed later than `highest`.
    pub(super) fn newest_page_above(
        &self,
        highest: Dbtime,
    ) -> Result<Option<(Dbtime, Pgno)>, RecoveryError> {
        let size = self.page_size.as_usize();
        let mut buffer = vec![0; READ_AT_ONCE.max(size) / size * size];
        let mut pgno = Pgno(1);
        while pgno <= self.last {
            let read = self.read_at(&mut buffer, pgno.file_offset(self.page_size.bytes()))?;
            for bytes in buffer[..read].chunks_exact(size) {
                let found = dbtime_of(bytes);
                if found > highest && found < Dbtime::REVERT {
                    let verdict = PageBytes::new(bytes).map(|page| verify_page(page, pgno.0));
                    if verdict == Some(ChecksumVerdict::Good) {
                        return Ok(Some((found, pgno)));
                    }
                }
                pgno = Pgno(pgno.0.saturating_add(1));
            }
            if read < buffer.len() {
                break;
            }
        }
        Ok(None)
    }

    /// Its pages, to be read only.
    pub fn pages(&self) -> SourcePages {
        SourcePages {
            file: self.file.clone(),
            page_size: self.page_size.bytes(),
        }
    }

    /// The database for a replay; changed pages go to `pages`, and at most `cache_pages` stay in memory.
    pub fn database(&self, pages: Box<dyn PageFile>, cache_pages: usize) -> ReplayDatabase {
        let pages = Pages::new(pages, self.page_size, self.last, cache_pages);
        ReplayDatabase::new(self.header.clone(), pages)
    }
}

/// Bytes of pages that are read at once.
const READ_AT_ONCE: usize = 1 << 20;
/// Where a page says when it was last changed (`PGHDR::dbtimeDirtied`, `inc/cpage.hxx`).
const DBTIME_OFFSET: usize = 8;

fn dbtime_of(page: &[u8]) -> Dbtime {
    let stored = page.get(DBTIME_OFFSET..).and_then(<[u8]>::first_chunk);
    Dbtime(stored.map_or(0, |stored| u64::from_le_bytes(*stored)))
}

/// The pages of a database file. They cannot be written.
#[derive(Debug)]
pub struct SourcePages {
    file: EvidenceFile,
    page_size: u32,
}

impl PageFile for SourcePages {
    fn read_page(&mut self, pgno: Pgno, page: &mut [u8]) -> io::Result<bool> {
        let offset = pgno.file_offset(self.page_size);
        let read = self.file.read_at(page, offset).map_err(io::Error::other)?;
        Ok(read == page.len())
    }

    fn write_page(&mut self, _pgno: Pgno, _page: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn resize(&mut self, _last: Pgno) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}
