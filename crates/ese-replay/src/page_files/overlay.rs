//! Overlays: the pages in which a database after recovery differs from the file before, in a file of their own.
//!
//! The same format serves three purposes: to look at a database as recovery leaves it while the file stays as it is, to
//! hold pages that do not fit into memory, and as the journal of a recovery in place.
//!
//! ```text
//!   0 "edbkit overlay 1"         16 bytes   44 base: checksum in its header   u32
//!  16 page size                  u32        48 base: signature                28 bytes
//!  20 pages in the index         u32        76 reserved                       u32
//!  24 last page of the database  u32        80 BLAKE3 of bytes 0-79, index and header   32 bytes
//!  28 last page that may come    u32       112 zero
//!     from the base
//!  32 offset of the index        u64      4096 pages, one slot each
//!  40 reserved                   u32     index page number u32, slot u32, for each page; ascending
//!                                           the database header as it will be, one page
//! ```
//!
//! The first 16 bytes are written last, after everything else has reached the disk: an overlay that was not finished
//! begins with zeroes, or with a part of them.

use crate::output::OutputFile;
use crate::pages::PageFile;
use byteorder::{ByteOrder, LittleEndian};
use ese_format::database::{DatabaseHeader, seal_header};
use ese_format::{Pgno, Signature};
use std::collections::BTreeMap;
use std::io;
use thiserror::Error;

const MAGIC: &[u8; 16] = b"edbkit overlay 1";
/// Bytes before the first slot.
const START: u64 = 4096;
/// Where the hash stands, which covers all before it.
const HASH_AT: usize = 80;
const HASH_SIZE: usize = 32;
const MARK_AT: usize = 44;
const ENTRY_SIZE: usize = 8;

/// Why a file cannot be used as an overlay.
#[derive(Debug, Error)]
pub enum OverlayError {
    /// It could not be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("it is not an overlay")]
    NotAnOverlay,
    /// The recovery that wrote it did not come to its end.
    #[error("the overlay was never finished")]
    Unfinished,
    /// Its bytes changed.
    #[error("the overlay is damaged")]
    Damaged,
    /// It was made over another header than the database has.
    #[error("the journal belongs to another state of the database; remove it to start over")]
    OtherBase,
}

/// Which file an overlay lies over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaseMark {
    /// The checksum in its header, which changes whenever the header does.
    pub checksum: u32,
    /// The signature of the database.
    pub signature: Signature,
}

impl BaseMark {
    /// The mark of the file with this header.
    pub fn of(header: &DatabaseHeader) -> Self {
        BaseMark {
            checksum: header.checksum,
            signature: header.signature,
        }
    }

    fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        LittleEndian::write_u32(&mut bytes, self.checksum);
        bytes[4..].copy_from_slice(&self.signature.to_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; 32]) -> Self {
        let (checksum, signature) = bytes.split_at(4);
        let signature = signature.first_chunk().unwrap_or(&[0; Signature::SIZE]);
        BaseMark {
            checksum: LittleEndian::read_u32(checksum),
            signature: Signature::from_bytes(signature),
        }
    }
}

/// The first bytes of a finished overlay; what they name lies within the file.
struct Start([u8; HASH_AT + HASH_SIZE]);

impl Start {
    fn read(disk: &mut dyn OutputFile) -> Result<Self, OverlayError> {
        let mut start = Start([0; HASH_AT + HASH_SIZE]);
        let read = disk.read_at(&mut start.0, 0)?;
        if read < start.0.len() || start.is_torn() {
            return Err(OverlayError::Unfinished);
        }
        if !start.0.starts_with(MAGIC) {
            return Err(OverlayError::NotAnOverlay);
        }
        let page_size = start.page_size();
        let fits = (2048..=32768).contains(&page_size) && page_size.is_power_of_two();
        let behind_index = start.index_size() as u64 + u64::from(page_size);
        let end = start.index_at().checked_add(behind_index);
        if !fits || end.is_none_or(|end| disk.len().is_ok_and(|len| end > len)) {
            return Err(OverlayError::Damaged);
        }
        Ok(start)
    }

    /// Whether the last write to the file is not there, or not all of it.
    fn is_torn(&self) -> bool {
        let written = MAGIC.iter().zip(&self.0).take_while(|(is, was)| is == was);
        let written = written.count();
        written < MAGIC.len() && self.0[written..MAGIC.len()].iter().all(|byte| *byte == 0)
    }

    fn word(&self, at: usize) -> u32 {
        LittleEndian::read_u32(&self.0[at..])
    }

    fn page_size(&self) -> u32 {
        self.word(16)
    }

    fn count(&self) -> u32 {
        self.word(20)
    }

    fn index_at(&self) -> u64 {
        LittleEndian::read_u64(&self.0[32..])
    }

    fn index_size(&self) -> usize {
        self.count() as usize * ENTRY_SIZE
    }

    fn mark(&self) -> BaseMark {
        let mut mark = [0; 32];
        mark.copy_from_slice(&self.0[MARK_AT..MARK_AT + 32]);
        BaseMark::from_bytes(&mark)
    }
}

/// The database header in a page of an overlay.
fn header_in(page: &[u8]) -> Result<DatabaseHeader, OverlayError> {
    let mut fields = [0; DatabaseHeader::SIZE];
    fields.copy_from_slice(&page[..DatabaseHeader::SIZE]);
    let header = DatabaseHeader::from_bytes(&fields);
    match header.page_size() as usize == page.len() {
        true => Ok(header),
        false => Err(OverlayError::Damaged),
    }
}

/// Changed pages over a base.
pub struct Overlay {
    disk: Box<dyn OutputFile>,
    base: Option<Box<dyn PageFile>>,
    mark: BaseMark,
    page_size: u32,
    slots: BTreeMap<Pgno, u32>,
    used: u32,
    last: Pgno,
    base_last: Pgno,
    header: Option<DatabaseHeader>,
}

impl Overlay {
    /// An empty overlay in `disk`, over `base`, whose last page is `last`.
    pub fn create(
        mut disk: Box<dyn OutputFile>,
        base: Box<dyn PageFile>,
        mark: BaseMark,
        page_size: u32,
        last: Pgno,
    ) -> io::Result<Self> {
        disk.set_len(0)?;
        disk.set_len(START)?;
        Ok(Overlay {
            disk,
            base: Some(base),
            mark,
            page_size,
            slots: BTreeMap::new(),
            used: 0,
            last,
            base_last: last,
            header: None,
        })
    }

    /// A finished overlay.
    pub fn open(mut disk: Box<dyn OutputFile>) -> Result<Self, OverlayError> {
        let start = Start::read(&mut *disk)?;
        let mut rest = vec![0; start.index_size() + start.page_size() as usize];
        if disk.read_at(&mut rest, start.index_at())? < rest.len() {
            return Err(OverlayError::Damaged);
        }
        if start.0[HASH_AT..] != hash(&start.0[..HASH_AT], &rest) {
            return Err(OverlayError::Damaged);
        }
        let (index, header) = rest.split_at(start.index_size());
        let entry = |entry: &[u8]| {
            let (pgno, slot) = entry.split_at(4);
            let pgno = Pgno(LittleEndian::read_u32(pgno));
            (pgno, LittleEndian::read_u32(slot))
        };
        Ok(Overlay {
            disk,
            base: None,
            mark: start.mark(),
            page_size: start.page_size(),
            slots: index.chunks_exact(ENTRY_SIZE).map(entry).collect(),
            used: start.count(),
            last: Pgno(start.word(24)),
            base_last: Pgno(start.word(28)),
            header: Some(header_in(header)?),
        })
    }

    /// What a finished overlay lies over, and the header that its database will have; its pages are not looked at.
    pub fn read_header(
        disk: &mut dyn OutputFile,
    ) -> Result<(BaseMark, DatabaseHeader), OverlayError> {
        let start = Start::read(disk)?;
        let mut header = vec![0; start.page_size() as usize];
        let header_at = start.index_at() + start.index_size() as u64;
        if disk.read_at(&mut header, header_at)? < header.len() {
            return Err(OverlayError::Damaged);
        }
        Ok((start.mark(), header_in(&header)?))
    }

    /// Takes the pages that it does not hold from `base`, which must be the file of its mark.
    pub fn lie_over(&mut self, base: Box<dyn PageFile>) {
        self.base = Some(base);
    }

    /// The file that it lies over.
    pub fn mark(&self) -> BaseMark {
        self.mark
    }

    /// Bytes in a page.
    pub fn page_size(&self) -> u32 {
        self.page_size
    }

    /// The last page of the database.
    pub fn last(&self) -> Pgno {
        self.last
    }

    /// The last page that may come from the base; pages after it that the overlay does not hold are blank.
    pub fn base_last(&self) -> Pgno {
        self.base_last
    }

    /// The header of the database; none before the overlay is finished.
    pub fn header(&self) -> Option<&DatabaseHeader> {
        self.header.as_ref()
    }

    /// The pages that it holds.
    pub fn pages(&self) -> impl Iterator<Item = Pgno> {
        self.slots.keys().copied()
    }

    /// A page that it holds; `false` if it does not.
    pub fn read_own(&mut self, pgno: Pgno, page: &mut [u8]) -> io::Result<bool> {
        let Some(slot) = self.slots.get(&pgno) else {
            return Ok(false);
        };
        let offset = self.offset(*slot);
        if self.disk.read_at(page, offset)? < page.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(true)
    }

    /// Ends the writing: when this returns, the overlay is on disk for good.
    pub fn finish(&mut self, header: &DatabaseHeader) -> io::Result<()> {
        let mut rest = Vec::with_capacity(self.slots.len() * ENTRY_SIZE + self.page_size as usize);
        for (pgno, slot) in &self.slots {
            rest.extend(pgno.0.to_le_bytes());
            rest.extend(slot.to_le_bytes());
        }
        let count = u32::try_from(self.slots.len()).map_err(io::Error::other)?;
        let mut page = vec![0; self.page_size as usize];
        seal_header(header, &mut page);
        rest.extend(page);
        let index_at = self.offset(self.used);
        let mut start = [0; HASH_AT + HASH_SIZE];
        start[..MAGIC.len()].copy_from_slice(MAGIC);
        let words = [self.page_size, count, self.last.0, self.base_last.0];
        LittleEndian::write_u32_into(&words, &mut start[16..32]);
        LittleEndian::write_u64(&mut start[32..], index_at);
        start[MARK_AT..MARK_AT + 32].copy_from_slice(&self.mark.to_bytes());
        let hash = hash(&start[..HASH_AT], &rest);
        start[HASH_AT..HASH_AT + HASH_SIZE].copy_from_slice(&hash);
        self.disk.write_at(&rest, index_at)?;
        self.disk
            .write_at(&start[MAGIC.len()..], MAGIC.len() as u64)?;
        self.disk.sync()?;
        self.disk.write_at(MAGIC, 0)?;
        self.disk.sync()?;
        self.header = Some(header.clone());
        Ok(())
    }

    /// The file itself.
    pub fn disk(&mut self) -> &mut dyn OutputFile {
        &mut *self.disk
    }

    fn offset(&self, slot: u32) -> u64 {
        START + u64::from(slot) * u64::from(self.page_size)
    }
}

fn hash(start: &[u8], rest: &[u8]) -> [u8; HASH_SIZE] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(start);
    hasher.update(rest);
    *hasher.finalize().as_bytes()
}

impl PageFile for Overlay {
    fn read_page(&mut self, pgno: Pgno, page: &mut [u8]) -> io::Result<bool> {
        if self.read_own(pgno, page)? {
            return Ok(true);
        }
        match &mut self.base {
            Some(base) if pgno <= self.base_last => base.read_page(pgno, page),
            _ => Ok(false),
        }
    }

    fn write_page(&mut self, pgno: Pgno, page: &[u8]) -> io::Result<()> {
        let slot = *self.slots.entry(pgno).or_insert_with(|| {
            self.used += 1;
            self.used - 1
        });
        let offset = self.offset(slot);
        self.disk.write_at(page, offset)
    }

    fn resize(&mut self, last: Pgno) -> io::Result<()> {
        self.slots.retain(|pgno, _| *pgno <= last);
        self.base_last = self.base_last.min(last);
        self.last = last;
        Ok(())
    }
}
