//! A page file that a replay writes to and its owner keeps.

use crate::pages::PageFile;
use ese_format::Pgno;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One of two handles of a page file: one goes into the replay, the other stays outside.
#[derive(Debug)]
pub struct Shared<F>(Arc<Mutex<F>>);

impl<F> Shared<F> {
    /// The first handle.
    pub fn new(file: F) -> Self {
        Shared(Arc::new(Mutex::new(file)))
    }

    /// The page file, for as long as nobody else needs it.
    pub fn lock(&self) -> MutexGuard<'_, F> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F> Clone for Shared<F> {
    fn clone(&self) -> Self {
        Shared(Arc::clone(&self.0))
    }
}

impl<F: PageFile> PageFile for Shared<F> {
    fn read_page(&mut self, pgno: Pgno, page: &mut [u8]) -> io::Result<bool> {
        self.lock().read_page(pgno, page)
    }

    fn write_page(&mut self, pgno: Pgno, page: &[u8]) -> io::Result<()> {
        self.lock().write_page(pgno, page)
    }

    fn resize(&mut self, last: Pgno) -> io::Result<()> {
        self.lock().resize(last)
    }
}
