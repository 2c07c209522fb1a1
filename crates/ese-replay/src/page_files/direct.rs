//! A database file that is written in place: a new one, which nobody uses before it is finished.

use crate::output::OutputFile;
use crate::pages::PageFile;
use ese_format::Pgno;
use std::io;

/// Pages at their own places in a file.
pub struct DirectFile {
    disk: Box<dyn OutputFile>,
    page_size: u32,
}

impl DirectFile {
    /// The pages of the database in `disk`.
    pub fn new(disk: Box<dyn OutputFile>, page_size: u32) -> Self {
        DirectFile { disk, page_size }
    }

    /// The file itself.
    pub fn disk(&mut self) -> &mut dyn OutputFile {
        &mut *self.disk
    }
}

impl PageFile for DirectFile {
    fn read_page(&mut self, pgno: Pgno, page: &mut [u8]) -> io::Result<bool> {
        let offset = pgno.file_offset(self.page_size);
        Ok(self.disk.read_at(page, offset)? == page.len())
    }

    fn write_page(&mut self, pgno: Pgno, page: &[u8]) -> io::Result<()> {
        self.disk.write_at(page, pgno.file_offset(self.page_size))
    }

    fn resize(&mut self, last: Pgno) -> io::Result<()> {
        let end = Pgno(last.0.saturating_add(1)).file_offset(self.page_size);
        self.disk.set_len(end)
    }
}
