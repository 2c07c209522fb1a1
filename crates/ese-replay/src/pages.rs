//! The pages of one database during a replay: a bounded cache over a file.
//!
//! Invariant: at most `capacity` pages are held in memory; a changed page that must make room is sealed with its
//! checksum and written to the [`PageFile`], from where it is read again when needed. What a page file does with the
//! pages it is given (a new database, an overlay, a journal) is its own affair.

use crate::error::Problem;
use crate::page_edit::PageBuffer;
use ese_checksum::{ChecksumVerdict, PageBytes, correct, is_blank, seal_page, verify_page};
use ese_format::page::PageSize;
use ese_format::{Dbtime, Pgno};
use rustc_hash::FxHashMap;
use std::io;

/// Where pages come from and where changed ones go.
pub trait PageFile: Send {
    /// Reads a page into `page`; `false` when the file ends before it.
    fn read_page(&mut self, pgno: Pgno, page: &mut [u8]) -> io::Result<bool>;

    /// Takes a changed page, checksum in place.
    fn write_page(&mut self, pgno: Pgno, page: &[u8]) -> io::Result<()>;

    /// Says that `last` is the last page from now on: what follows is gone, what is new reads as zero.
    fn resize(&mut self, last: Pgno) -> io::Result<()>;
}

/// What is at a page number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageContent {
    /// A page in use, with the time of its last change; it is in the cache.
    Page(Dbtime),
    /// Zeroes.
    Blank,
    /// Nothing: the file ends before.
    BehindEnd,
    /// Bytes that fail their checksum.
    Damaged,
}

/// Pages that are always allowed, however little memory there is.
const MIN_CAPACITY: usize = 64;
/// What a page takes in memory beside its bytes.
const PAGE_OVERHEAD: u64 = 128;

struct Slot {
    page: PageBuffer,
    changed: bool,
    used: u64,
}

/// What happened to the pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct PageCounts {
    /// Pages read from the file.
    pub read: u64,
    /// Pages written to the file.
    pub written: u64,
    /// Pages whose single flipped bit was corrected on reading.
    pub corrected: u64,
}

/// The pages of one database.
pub struct Pages {
    file: Box<dyn PageFile>,
    size: PageSize,
    last: Pgno,
    /// Where the file ended before pages were made beyond its end: what is blank after this is not there.
    end: Pgno,
    capacity: usize,
    slots: FxHashMap<Pgno, Slot>,
    clock: u64,
    counts: PageCounts,
    counts_reserved_tags: bool,
    watched: Option<Vec<Pgno>>,
}

impl Pages {
    /// The pages of `file`, the last of which is `last`; at most `capacity` of them stay in memory.
    pub fn new(file: Box<dyn PageFile>, size: PageSize, last: Pgno, capacity: usize) -> Self {
        Pages {
            file,
            size,
            last,
            end: last,
            capacity: capacity.max(MIN_CAPACITY),
            slots: FxHashMap::default(),
            clock: 0,
            counts: PageCounts::default(),
            counts_reserved_tags: false,
            watched: None,
        }
    }

    /// Lets pages take up to `bytes` of memory from now on.
    pub(crate) fn limit_memory(&mut self, bytes: u64) {
        let page = u64::from(self.size.bytes()) + PAGE_OVERHEAD;
        let pages = usize::try_from(bytes / page).unwrap_or(usize::MAX);
        self.capacity = pages.max(MIN_CAPACITY);
    }

    /// Size of a page.
    pub fn size(&self) -> PageSize {
        self.size
    }

    /// The last page of the file.
    pub fn last(&self) -> Pgno {
        self.last
    }

    /// What happened to the pages so far.
    pub fn counts(&self) -> PageCounts {
        self.counts
    }

    /// Says whether pages changed from now on count their reserved tags (formats from 9560 on).
    pub fn count_reserved_tags(&mut self, enabled: bool) {
        if enabled != self.counts_reserved_tags {
            self.counts_reserved_tags = enabled;
            for slot in self.slots.values_mut() {
                slot.page.count_reserved_tags(enabled);
            }
        }
    }

    /// Has changed pages written down from now on, for [`take_changed`](Self::take_changed).
    pub fn watch(&mut self) {
        self.watched.get_or_insert_default();
    }

    /// Pages that were changed since the last call, in the order of the changes.
    pub fn take_changed(&mut self) -> Vec<Pgno> {
        self.watched
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// Makes a new page one of this database's format.
    pub(crate) fn prepare(&self, page: &mut PageBuffer) {
        page.count_reserved_tags(self.counts_reserved_tags);
    }

    /// Looks at a page, reading it if it is not in memory.
    pub fn look(&mut self, pgno: Pgno) -> Result<PageContent, Problem> {
        self.clock += 1;
        if let Some(slot) = self.slots.get_mut(&pgno) {
            slot.used = self.clock;
            return Ok(PageContent::Page(slot.page.dbtime()));
        }
        if pgno.is_null() || pgno > self.last {
            return Ok(PageContent::BehindEnd);
        }
        let mut bytes = vec![0; self.size.as_usize()].into_boxed_slice();
        let read = self.file.read_page(pgno, &mut bytes);
        if !read.map_err(|error| io_problem("reading", pgno, error))? || is_blank(&bytes) {
            return Ok(if pgno > self.end {
                PageContent::BehindEnd
            } else {
                PageContent::Blank
            });
        }
        self.counts.read += 1;
        let verdict = PageBytes::new(&bytes).map(|page| verify_page(page, pgno.0));
        match verdict {
            Some(ChecksumVerdict::Good) => {}
            Some(ChecksumVerdict::Correctable { bits, .. }) => {
                correct(&mut bytes, &bits);
                self.counts.corrected += 1;
            }
            _ => return Ok(PageContent::Damaged),
        }
        let page =
            PageBuffer::from_bytes(bytes, pgno).map_err(|error| Problem::Edit(error.into()))?;
        let dbtime = page.dbtime();
        self.keep(page, false)?;
        Ok(PageContent::Page(dbtime))
    }

    /// The page, which must be in use.
    pub fn get(&mut self, pgno: Pgno) -> Result<&PageBuffer, Problem> {
        self.expect_page(pgno)?;
        Ok(&self.slots[&pgno].page)
    }

    /// The page, to be changed; it must be in use.
    pub fn edit(&mut self, pgno: Pgno) -> Result<&mut PageBuffer, Problem> {
        self.expect_page(pgno)?;
        if let Some(watched) = &mut self.watched {
            watched.push(pgno);
        }
        let slot = self.slots.get_mut(&pgno).ok_or(Problem::Blank { pgno })?;
        slot.changed = true;
        Ok(&mut slot.page)
    }

    /// Takes the page, which must be in use, out of the cache: to be changed and put back, or the replay is over.
    pub(crate) fn take(&mut self, pgno: Pgno) -> Result<PageBuffer, Problem> {
        self.expect_page(pgno)?;
        let slot = self.slots.remove(&pgno).ok_or(Problem::Blank { pgno })?;
        Ok(slot.page)
    }

    fn expect_page(&mut self, pgno: Pgno) -> Result<(), Problem> {
        match self.look(pgno)? {
            PageContent::Page(_) => Ok(()),
            PageContent::Blank => Err(Problem::Blank { pgno }),
            PageContent::Damaged => Err(Problem::BadChecksum { pgno }),
            PageContent::BehindEnd => Err(Problem::BehindEnd {
                pgno,
                last: self.last,
            }),
        }
    }

    /// Puts a page in place of what stood there.
    pub fn put(&mut self, page: PageBuffer) -> Result<(), Problem> {
        if page.pgno() > self.last {
            let end = self.end;
            self.resize(page.pgno())?;
            self.end = end;
        }
        if let Some(watched) = &mut self.watched {
            watched.push(page.pgno());
        }
        self.keep(page, true)
    }

    fn keep(&mut self, mut page: PageBuffer, changed: bool) -> Result<(), Problem> {
        if self.slots.len() >= self.capacity {
            self.make_room()?;
        }
        self.prepare(&mut page);
        self.clock += 1;
        let slot = Slot {
            changed,
            used: self.clock,
            page,
        };
        self.slots.insert(slot.page.pgno(), slot);
        Ok(())
    }

    /// Lets go of the eighth of the pages that was not used for longest.
    fn make_room(&mut self) -> Result<(), Problem> {
        let mut ages: Vec<(u64, Pgno)> = self
            .slots
            .iter()
            .map(|(pgno, slot)| (slot.used, *pgno))
            .collect();
        let count = (ages.len() / 8).max(1);
        ages.select_nth_unstable(count - 1);
        let mut leaving: Vec<Pgno> = ages[..count].iter().map(|(_, pgno)| *pgno).collect();
        leaving.sort_unstable();
        for pgno in leaving {
            if let Some(slot) = self.slots.remove(&pgno).filter(|slot| slot.changed) {
                self.write(slot.page)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, page: PageBuffer) -> Result<(), Problem> {
        let pgno = page.pgno();
        let mut bytes = page.into_bytes();
        seal_page(&mut bytes, pgno.0);
        self.counts.written += 1;
        let written = self.file.write_page(pgno, &bytes);
        written.map_err(|error| io_problem("writing", pgno, error))
    }

    /// Writes every changed page, in order.
    pub fn flush(&mut self) -> Result<(), Problem> {
        let mut changed: Vec<Pgno> = (self.slots.iter())
            .filter(|(_, slot)| slot.changed)
            .map(|(pgno, _)| *pgno)
            .collect();
        changed.sort_unstable();
        for pgno in changed {
            let Some(slot) = self.slots.get_mut(&pgno) else {
                continue;
            };
            slot.changed = false;
            let page = slot.page.clone();
            self.write(page)?;
        }
        Ok(())
    }

    /// Makes `last` the last page: what follows is gone, what is new is blank.
    pub fn resize(&mut self, last: Pgno) -> Result<(), Problem> {
        self.slots.retain(|pgno, _| *pgno <= last);
        (self.last, self.end) = (last, last);
        let resized = self.file.resize(last);
        resized.map_err(|error| io_problem("resizing the file to", last, error))
    }

    /// Makes a page blank.
    pub fn blank(&mut self, pgno: Pgno) -> Result<(), Problem> {
        self.slots.remove(&pgno);
        if pgno > self.last {
            return Ok(());
        }
        let zeroes = vec![0; self.size.as_usize()];
        let written = self.file.write_page(pgno, &zeroes);
        written.map_err(|error| io_problem("blanking", pgno, error))
    }

    /// Gives the file back, all changed pages written.
    pub fn finish(mut self) -> Result<Box<dyn PageFile>, Problem> {
        self.flush()?;
        Ok(self.file)
    }
}

fn io_problem(action: &'static str, pgno: Pgno, error: io::Error) -> Problem {
    Problem::Io {
        action,
        pgno,
        error,
    }
}
