//! A flush map read whole, ready to be asked about pages.

use ese_checksum::{ChecksumVerdict, PageBytes, header_checksum, verify_page};
use ese_format::flush_map::{
    FlushMapHeader, MAP_PAGE_SIZE, MapPageHeader, flush_type, map_position,
};
use ese_format::page::FlushType;
use ese_format::{DatabaseHeader, Dbtime, Pgno, Signature};
use evidence::{EvidenceError, EvidenceFile};
use std::ops::Range;
use thiserror::Error;

/// Why a flush map cannot be used.
#[derive(Debug, Error)]
pub enum FlushMapError {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] EvidenceError),
    /// Its header is damaged or is none.
    #[error("the flush map's header cannot be trusted: {0}")]
    BadHeader(String),
    /// It was not closed cleanly: the last writes are not in it, and would look lost.
    #[error(
        "the flush map was not closed cleanly: the last writes are not in it, so nothing can be concluded from it"
    )]
    NotClean,
    /// It goes with another state of the database.
    #[error("the flush map does not go with this database header: neither flush signature matches")]
    Foreign,
}

/// The flush map of a database.
#[derive(Debug)]
pub struct FlushMap {
    /// Data pages in order; `None` for a damaged one, which knows nothing.
    pages: Vec<Option<Vec<u8>>>,
    /// Numbers of the damaged data pages.
    damaged: Vec<u32>,
    /// Data pages that a database of this size takes.
    needed: u32,
}

impl FlushMap {
    /// Reads the map of a database of `last_page` pages with this header. The map must be clean and go with the
    /// header (`FCheckForDbFmConsistency_`, `ese/flushmap.cxx`).
    pub fn open(
        file: &EvidenceFile,
        database: &DatabaseHeader,
        last_page: Pgno,
    ) -> Result<Self, FlushMapError> {
        let mut page = vec![0; MAP_PAGE_SIZE];
        if file.length() < MAP_PAGE_SIZE as u64 {
            let problem = format!(
                "it takes {MAP_PAGE_SIZE} bytes, the file has {}",
                file.length()
            );
            return Err(FlushMapError::BadHeader(problem));
        }
        file.read_exact_at(&mut page, 0)?;
        let mut fields = [0; FlushMapHeader::SIZE];
        fields.copy_from_slice(&page[..FlushMapHeader::SIZE]);
        let header = FlushMapHeader::from_bytes(&fields);
        if header.checksum != header_checksum(&page) {
            return Err(FlushMapError::BadHeader("its checksum does not fit".into()));
        }
        if header.file_type != FlushMapHeader::FILE_TYPE {
            let problem = format!("file type {} is not that of a flush map", header.file_type);
            return Err(FlushMapError::BadHeader(problem));
        }
        if !header.is_clean() {
            return Err(FlushMapError::NotClean);
        }
        let same = |a: Signature, b: Signature| a == b && !a.is_null();
        if !same(database.header_flush, header.database_header_flush)
            && !same(database.flush_map_flush, header.header_flush)
        {
            return Err(FlushMapError::Foreign);
        }
        Self::read_pages(file, last_page)
    }

    fn read_pages(file: &EvidenceFile, last_page: Pgno) -> Result<Self, FlushMapError> {
        let in_file = (file.length() / MAP_PAGE_SIZE as u64).saturating_sub(1);
        let mut map = FlushMap {
            pages: Vec::new(),
            damaged: Vec::new(),
            needed: map_position(last_page).0 + 1,
        };
        let there = u32::try_from(in_file).unwrap_or(u32::MAX);
        for number in 0..there.min(map.needed) {
            let mut page = vec![0; MAP_PAGE_SIZE];
            file.read_exact_at(&mut page, (u64::from(number) + 1) * MAP_PAGE_SIZE as u64)?;
            let good = is_good(&page, number);
            if !good {
                map.damaged.push(number);
            }
            map.pages.push(good.then_some(page));
        }
        Ok(map)
    }

    /// Numbers of the map's data pages that are damaged, and so say nothing about their part of the database.
    pub fn damaged_pages(&self) -> &[u32] {
        &self.damaged
    }

    /// Numbers of the data pages that a database of this size takes and the file ends before.
    pub fn missing_pages(&self) -> Range<u32> {
        // Not more pages are read than are needed.
        self.pages.len() as u32..self.needed
    }

    /// How `pgno` was last written. Unknown where the map does not say, and where the page's dbtime is beyond the
    /// highest that the map page has seen (`CFlushMap::PgftGetPgnoFlushType`); [`Dbtime::NIL`] skips that rule.
    pub fn expected(&self, pgno: Pgno, dbtime: Dbtime) -> FlushType {
        let (number, index) = map_position(pgno);
        let Some(Some(page)) = self.pages.get(number as usize) else {
            return FlushType::Unknown;
        };
        let highest = header_of(page).highest_dbtime;
        let beyond = dbtime != Dbtime::NIL && highest != Dbtime::NIL && dbtime > highest;
        if beyond {
            return FlushType::Unknown;
        }
        flush_type(page, index)
    }
}

fn header_of(page: &[u8]) -> MapPageHeader {
    let mut bytes = [0; MapPageHeader::SIZE];
    bytes.copy_from_slice(&page[..MapPageHeader::SIZE]);
    MapPageHeader::from_bytes(&bytes)
}

/// A data page carries the checksum that a database page of its own number would.
fn is_good(page: &[u8], number: u32) -> bool {
    PageBytes::new(page).is_some_and(|image| verify_page(image, number) == ChecksumVerdict::Good)
        && header_of(page).number == number
}
