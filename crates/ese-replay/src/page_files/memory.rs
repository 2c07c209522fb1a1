//! Pages in memory, over a base that is only read.

use crate::pages::PageFile;
use ese_format::Pgno;
use std::collections::HashMap;
use std::io;

/// Changed pages in memory; what was not changed is read from the base.
#[derive(Default)]
pub struct MemoryFile {
    base: Option<Box<dyn PageFile>>,
    base_last: Pgno,
    pages: HashMap<Pgno, Box<[u8]>>,
}

impl MemoryFile {
    /// An empty file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes over `base`, whose last page is `last`.
    pub fn over(base: Box<dyn PageFile>, last: Pgno) -> Self {
        MemoryFile {
            base: Some(base),
            base_last: last,
            pages: HashMap::new(),
        }
    }
}

impl PageFile for MemoryFile {
    fn read_page(&mut self, pgno: Pgno, page: &mut [u8]) -> io::Result<bool> {
        if let Some(changed) = self.pages.get(&pgno) {
            page.copy_from_slice(changed);
            return Ok(true);
        }
        match &mut self.base {
            Some(base) if pgno <= self.base_last => base.read_page(pgno, page),
            _ => Ok(false),
        }
    }

    fn write_page(&mut self, pgno: Pgno, page: &[u8]) -> io::Result<()> {
        self.pages.insert(pgno, page.into());
        Ok(())
    }

    /// Pages after `last` are forgotten for good: when the file grows again, they read as zero.
    fn resize(&mut self, last: Pgno) -> io::Result<()> {
        self.pages.retain(|pgno, _| *pgno <= last);
        self.base_last = self.base_last.min(last);
        Ok(())
    }
}
