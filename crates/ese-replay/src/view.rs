//! A database read as it will be after recovery, without a file being written.
//!
//! Changed pages lie in an [`Overlay`] over the database: one that a recovery left, or one made now in memory, which
//! goes to a nameless temporary file above a limit. Everything that reads a database through
//! [`ese_db::PageSource`] reads this too.

use crate::as_of::{AsOf, AsOfError, Question};
use crate::output::OutputFile;
use crate::page_files::{BaseMark, Overlay, OverlayError, Shared};
use crate::pages::PageFile;
use crate::recovery::headers_of;
use crate::recovery::{
    DatabaseFile, GivenDatabase, RecoverOptions, Recovered, RecoveryError, RecoveryPlan, plan,
    recover,
};
use ese_db::{DbError, PageSource};
use ese_format::database::HeaderCopies;
use ese_format::explain::{advice_on, advise, jet_of};
use ese_format::page::PageSize;
use ese_format::{Class, DatabaseHeader, Explain, JetError, Pgno, Progress};
use ese_log::{Moment, StreamFiles};
use evidence::EvidenceError;
use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use target_disk::{Disk, DiskFile, LocalDisk};
use tempfile::SpooledTempFile;
use thiserror::Error;

/// Why a database cannot be shown as it will be.
#[derive(Debug, Error)]
pub enum ViewError {
    /// The recovery cannot be done.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// It cannot be shown at the moment that was asked for.
    #[error(transparent)]
    AsOf(#[from] AsOfError),
    /// The overlay cannot be read.
    #[error("{}: {problem}", path.display())]
    Overlay {
        /// The overlay.
        path: PathBuf,
        /// What is wrong with it.
        problem: OverlayError,
    },
    /// The overlay was made over another database, or over another state of it.
    #[error("{} was not made for {}", path.display(), database.display())]
    Foreign {
        /// The overlay.
        path: PathBuf,
        /// The database.
        database: PathBuf,
    },
    /// The temporary pages cannot be kept.
    #[error("temporary pages: {0}")]
    Temporary(#[from] io::Error),
}

impl Explain for ViewError {
    fn class(&self) -> Class {
        match self {
            ViewError::Recovery(error) => error.class(),
            ViewError::AsOf(error) => error.class(),
            ViewError::Overlay {
                problem: OverlayError::Io(_),
                ..
            }
            | ViewError::Temporary(_) => Class::Io,
            ViewError::Overlay { .. } | ViewError::Foreign { .. } => Class::Refused,
        }
    }

    fn jet(&self) -> Option<JetError> {
        match self {
            ViewError::Recovery(error) => error.jet(),
            ViewError::AsOf(error) => error.jet(),
            ViewError::Overlay {
                problem: OverlayError::Io(error),
                ..
            }
            | ViewError::Temporary(error) => Some(jet_of(error.kind())),
            ViewError::Overlay { .. } | ViewError::Foreign { .. } => None,
        }
    }

    fn advice(&self) -> Option<Cow<'static, str>> {
        match self {
            ViewError::Recovery(error) => error.advice(),
            ViewError::AsOf(error) => error.advice(),
            ViewError::Overlay {
                problem: OverlayError::Io(error),
                ..
            }
            | ViewError::Temporary(error) => advice_on(error.kind()),
            ViewError::Overlay { .. } => {
                advise("make the overlay again with `edbreplay run --overlay`")
            }
            ViewError::Foreign { .. } => {
                advise("name the database as it was when the overlay was made")
            }
        }
    }
}

/// The recovery that a view shows.
pub struct Recovery {
    /// Which logs it used.
    pub plan: RecoveryPlan,
    /// What it did.
    pub recovered: Recovered,
    /// Where it ends, if a moment was asked for.
    pub as_of: Option<AsOf>,
}

/// How a recovery that is only looked at is done.
#[derive(Debug, Clone, Copy)]
pub struct ViewOptions {
    /// At most so many bytes of changed pages, and about as many of pages in use, stay in memory.
    pub memory: usize,
    /// Leaves out other databases that the logs change.
    pub ignore_missing: bool,
    /// Shows the database as it was then, not as it is at the end of the logs.
    pub as_of: Option<Moment>,
}

/// The pages of a database as they will be after recovery.
pub struct RecoveredView {
    overlay: Shared<Overlay>,
    path: PathBuf,
    headers: HeaderCopies,
    page_size: PageSize,
    last: Pgno,
    /// The last page that may come from the file.
    last_of_base: Pgno,
}

impl RecoveredView {
    /// Recovers `database` with the logs of `stream`, and tells how.
    pub fn after_recovery(
        database: &DatabaseFile,
        stream: &StreamFiles,
        options: ViewOptions,
        progress: &dyn Progress,
    ) -> Result<(Self, Recovery), ViewError> {
        let databases = std::slice::from_ref(database);
        let until = options.as_of.map(Moment::until).unwrap_or_default();
        let plan = plan(stream, None, databases, &until, progress)?;
        let question = options.as_of.map(|moment| Question {
            moment,
            database,
            plan: &plan,
        });
        if let Some(question) = &question {
            question.refuse_early()?;
        }
        let disk = Box::new(SpooledTempFile::new(options.memory));
        let overlay = Shared::new(crate::output::over(database, disk)?);
        let given = GivenDatabase {
            database,
            pages: Box::new(overlay.clone()),
        };
        let recover_options = RecoverOptions {
            memory: Some(options.memory as u64),
            ignore_missing: options.ignore_missing,
            ..RecoverOptions::default()
        };
        let recovered = recover(&plan, vec![given], Vec::new(), recover_options, progress)?;
        let as_of = question.map(|question| question.answer(&recovered));
        let as_of = as_of.transpose()?;
        let signature = database.header.signature;
        let own = recovered.databases.iter();
        let mut own = own.filter(|other| other.signature() == signature);
        let header = own.next().map_or(&database.header, |own| own.header());
        let view = RecoveredView::new(overlay, header, database);
        let recovery = Recovery {
            plan,
            recovered,
            as_of,
        };
        Ok((view, recovery))
    }

    /// Reads `database` through the overlay at `path`, which a recovery of just this file left.
    pub fn through_overlay(database: &DatabaseFile, path: &Path) -> Result<Self, ViewError> {
        let problem = |problem| ViewError::Overlay {
            path: path.to_owned(),
            problem,
        };
        let file = LocalDisk.open_to_read(path);
        let file: Arc<dyn DiskFile> = Arc::from(file.map_err(|error| problem(error.into()))?);
        let mut overlay = Overlay::open(Box::new(file)).map_err(problem)?;
        let Some(header) = overlay.header().cloned() else {
            return Err(problem(OverlayError::Unfinished));
        };
        let found = BaseMark::of(&database.header);
        // A database that has the header of the overlay already has its pages, too.
        if found != overlay.mark() && found != BaseMark::of(&header) {
            return Err(ViewError::Foreign {
                path: path.to_owned(),
                database: database.path().to_owned(),
            });
        }
        if overlay.page_size() != database.page_size.bytes() {
            return Err(problem(OverlayError::Damaged));
        }
        overlay.lie_over(Box::new(database.pages()));
        Ok(RecoveredView::new(Shared::new(overlay), &header, database))
    }

    fn new(overlay: Shared<Overlay>, header: &DatabaseHeader, database: &DatabaseFile) -> Self {
        let (last, base_last) = {
            let overlay = overlay.lock();
            (overlay.last(), overlay.base_last())
        };
        RecoveredView {
            headers: headers_of(header, database.page_size),
            page_size: database.page_size,
            last,
            last_of_base: base_last.min(last).min(database.last),
            path: database.path().to_owned(),
            overlay,
        }
    }
}

impl PageSource for RecoveredView {
    fn page_size(&self) -> PageSize {
        self.page_size
    }

    fn last_page(&self) -> Pgno {
        self.last
    }

    fn written_pages(&self) -> Box<dyn Iterator<Item = Pgno> + '_> {
        let (base, last) = (self.last_of_base, self.last);
        let own = |pgno: &Pgno| *pgno > base && *pgno <= last;
        let own: Vec<Pgno> = self.overlay.lock().pages().filter(own).collect();
        Box::new((1..=base.0).map(Pgno).chain(own))
    }

    fn read(&self, pgno: Pgno, buffer: &mut [u8]) -> Result<(), DbError> {
        let there = self.overlay.lock().read_page(pgno, buffer);
        let there = there.map_err(|source| EvidenceError::Io {
            path: self.path.clone(),
            source,
        })?;
        if !there {
            // A page that recovery added to the file and nothing was written to.
            buffer.fill(0);
        }
        Ok(())
    }

    fn headers(&self) -> Option<&HeaderCopies> {
        Some(&self.headers)
    }
}

/// Memory up to a limit, then a temporary file without a name, which is gone with the process.
impl OutputFile for SpooledTempFile {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        crate::output::read_at(self, buffer, offset)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        crate::output::write_at(self, bytes, offset)
    }

    fn set_len(&mut self, length: u64) -> io::Result<()> {
        SpooledTempFile::set_len(self, length)
    }

    fn len(&mut self) -> io::Result<u64> {
        io::Seek::seek(self, io::SeekFrom::End(0))
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}
