//! The files that an image consists of, read at any position from several threads, with errors that say what is missing.

use crate::cache::Cache;
use evidence::{EvidenceError, EvidenceFile, ReadError, SourceFile, SourceFolder, wrong};
use std::ffi::{OsStr, OsString};
use std::fmt::Debug;
use std::io;
use std::sync::Arc;

/// A file of an image.
#[derive(Debug, Clone)]
pub(super) struct Part {
    file: Arc<dyn SourceFile>,
    length: u64,
}

impl Part {
    pub(super) fn of(file: Arc<dyn SourceFile>) -> Self {
        let length = file.stamp().length;
        Part { file, length }
    }

    pub(super) fn file(&self) -> &Arc<dyn SourceFile> {
        &self.file
    }

    /// Its length in bytes when it was opened.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn name(&self) -> String {
        self.file.name()
    }

    /// Fills `buffer` from `offset` with `what` is there.
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64, what: &str) -> io::Result<()> {
        self.expect(offset, buffer.len() as u64, what)?;
        let read = self.file.read_at(buffer, offset)?;
        match read == buffer.len() {
            true => Ok(()),
            false => Err(self.missing(offset, buffer.len() as u64, read as u64, what)),
        }
    }

    /// The bytes at `offset`, so many.
    pub(super) fn bytes<const N: usize>(&self, offset: u64, what: &str) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.read(&mut bytes, offset, what)?;
        Ok(bytes)
    }

    /// The `length` bytes at `offset`. They are there before room is made for them.
    pub(super) fn many(&self, offset: u64, length: u64, what: &str) -> io::Result<Vec<u8>> {
        self.expect(offset, length, what)?;
        let length = usize::try_from(length).map_err(|_| wrong("it does not fit into memory"))?;
        let mut bytes = vec![0; length];
        self.read(&mut bytes, offset, what)?;
        Ok(bytes)
    }

    /// An error unless `length` bytes can be at `offset`.
    pub(super) fn expect(&self, offset: u64, length: u64, what: &str) -> io::Result<()> {
        match offset.checked_add(length) {
            Some(end) if end <= self.length => Ok(()),
            _ => {
                let there = self.length.saturating_sub(offset);
                Err(self.missing(offset, length, there, what))
            }
        }
    }

    fn missing(&self, offset: u64, needed: u64, there: u64, what: &str) -> io::Error {
        wrong(format!(
            "{} is cut off or damaged: {what} needs {needed} bytes at offset {offset:#x}, and {} there (the file has {} bytes)",
            self.name(),
            match there {
                1 => "1 is".to_owned(),
                _ => format!("{there} are"),
            },
            self.length
        ))
    }
}

const PAGE: u64 = 1 << 16;
const PAGES: usize = 64;

/// The tables of an image, page by page: none of them is ever in memory as a whole, whatever its header says.
#[derive(Debug)]
pub(super) struct Tables {
    part: Part,
    /// What tells the part from others that share the pages.
    number: usize,
    pages: Arc<Pages>,
}

/// Pages of the tables of several files.
pub(super) type Pages = Cache<(usize, u64), Vec<u8>>;

/// Room for pages.
pub(super) fn pages() -> Arc<Pages> {
    Arc::new(Cache::of(PAGES))
}

impl Tables {
    pub(super) fn of(part: Part) -> Self {
        Self::sharing(part, 0, pages())
    }

    /// The tables of one of several files that share their pages.
    pub(super) fn sharing(part: Part, number: usize, pages: Arc<Pages>) -> Self {
        Tables {
            part,
            number,
            pages,
        }
    }

    pub(super) fn part(&self) -> &Part {
        &self.part
    }

    /// An entry of `N` bytes at `offset`.
    pub(super) fn entry<const N: usize>(&self, offset: u64, what: &str) -> io::Result<[u8; N]> {
        self.part.expect(offset, N as u64, what)?;
        let start = offset - offset % PAGE;
        let page = self.pages.get_or((self.number, start), || {
            let length = PAGE.min(self.part.length - start);
            self.part.many(start, length, what)
        })?;
        let at = (offset - start) as usize;
        match page.get(at..).and_then(|rest| rest.first_chunk()) {
            Some(entry) => Ok(*entry),
            None => self.part.bytes(offset, what),
        }
    }
}

/// The files beside an image.
#[derive(Debug)]
pub(super) struct Beside {
    folder: Arc<dyn SourceFolder>,
    names: Vec<OsString>,
}

impl Beside {
    /// The files in the folder of `file`.
    pub(super) fn of(file: &EvidenceFile) -> Result<Self, EvidenceError> {
        let folder = evidence::folder(&evidence::folder_of(file.path()))?;
        let entries = folder.entries()?.into_iter();
        let names = entries.filter(|entry| entry.is_file);
        let names = names.map(|entry| entry.name).collect();
        Ok(Beside { folder, names })
    }

    /// The file of this name, or the only one of this name but for case.
    pub(super) fn find(&self, name: &str) -> Option<&OsStr> {
        if let Some(found) = self.names.iter().find(|other| *other == name) {
            return Some(found);
        }
        let mut others = self.names.iter();
        let mut others = others
            .by_ref()
            .filter(|other| other.eq_ignore_ascii_case(name));
        match (others.next(), others.next()) {
            (Some(found), None) => Some(found),
            _ => None,
        }
    }

    /// Opens the file of this name, which the image needs for `why`.
    pub(super) fn open(&self, name: &str, why: &str) -> io::Result<Part> {
        let found = self.find(name).ok_or_else(|| {
            wrong(format!(
                "{name} is missing in {}: {why}",
                self.folder.name()
            ))
        })?;
        let opened = self.folder.open(found).map_err(ReadError::from)?;
        Ok(Part::of(opened))
    }

    /// The names of all files.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().filter_map(|name| name.to_str())
    }
}

/// The last part of a path, if it is text.
pub(super) fn name_of(file: &EvidenceFile) -> Option<&str> {
    file.path().file_name()?.to_str()
}
