//! Recovery of a database in place, through a journal.
//!
//! The journal is an overlay beside the database ("Overlay" in `docs/concepts.md`). It holds whole pages, so that writing
//! them once more gives the same file.
//!
//! 1. All changed pages, the index and the new header go to the journal. When they are on disk, its first 16 bytes are
//!    written, which were zeroes. The database is locked and only read.
//! 2. The journal is finished: from here on the recovery counts as done.
//! 3. The database gets its length and its pages, then the header, then the shadow header, each after all before is on
//!    disk.
//! 4. The journal is emptied, then removed.
//!
//! Whoever finds a journal syncs it and its name before it uses it: the process that wrote it may have been killed before it
//! did, and what a loss of power takes away then must not have been applied in part.
//!
//! | killed, or power lost | the database | the journal | the next run in place |
//! |---|---|---|---|
//! | in step 1 | as it was | begins with zeroes | removes it and recovers anew |
//! | among the pages of 3 | a mix of old and new pages, the old header | finished | does 3 from its start |
//! | among the headers of 3 | new pages; one copy of the header may be torn | finished | the same |
//! | in step 4 | recovered | finished, or empty | does 3 again, or removes the journal |
//!
//! The pages come before the header, so that the new header never stands over old pages. Step 3 reads nothing of the
//! database but its headers: a copy that is intact must be the one from before or the new one, else the journal is of
//! another state and is refused. Code that only reads the database calls [`InPlace::refuse_interrupted`] first. The
//! journal is emptied before its name goes, so that a name which a loss of power brings back means nothing.

use super::{OutputError, OutputFile, at, over};
use crate::page_files::{BaseMark, Overlay, OverlayError, Shared};
use crate::recovery::{DatabaseFile, RecoveryError};
use ese_format::Pgno;
use ese_format::database::{DatabaseHeader, HEADERS_MAX, HeaderCopies, seal_header};
use evidence::EvidenceFile;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use target_disk::{Disk, DiskFile, LocalDisk, SharedDisk};

/// A database that is being recovered in place.
pub struct InPlace {
    database: Arc<dyn DiskFile>,
    journal: Shared<Overlay>,
    path: PathBuf,
    place: PageJournal,
}

/// The file of a journal. Dropped before the journal is finished, it is gone: nothing has happened to the database.
struct PageJournal {
    disk: SharedDisk,
    path: PathBuf,
    finished: bool,
}

impl Drop for PageJournal {
    fn drop(&mut self) {
        if !self.finished {
            // What stays begins with zeroes, and the next run removes it.
            let _ = self.disk.remove(&self.path);
        }
    }
}

/// Where the journal of a database lies while it is recovered in place.
pub fn journal_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".edbreplay-journal");
    name.into()
}

/// The database, for this program alone.
fn open_locked(disk: &dyn Disk, path: &Path) -> Result<Arc<dyn DiskFile>, OutputError> {
    let database = disk.open(path).map_err(at(path))?;
    match database.try_lock() {
        Ok(()) => Ok(Arc::from(database)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(OutputError::InUse {
            path: path.to_owned(),
        }),
        Err(error) => Err(at(path)(error)),
    }
}

/// The journal at this path, to be read and emptied.
fn open_journal(disk: &dyn Disk, path: &Path) -> Result<Box<dyn OutputFile>, OutputError> {
    let journal: Arc<dyn DiskFile> = Arc::from(disk.open(path).map_err(at(path))?);
    Ok(Box::new(journal))
}

/// Removes a journal that was emptied, or that never counted.
fn remove_journal(disk: &dyn Disk, path: &Path) -> Result<(), OutputError> {
    let removed = disk.remove(path).and_then(|()| disk.sync_folder_of(path));
    removed.map_err(at(path))
}

impl InPlace {
    /// Finishes what an earlier run that was interrupted left undone; whether there was something to finish. To be
    /// called before the database is read.
    pub fn resume(disk: &dyn Disk, path: &Path) -> Result<bool, OutputError> {
        let journal_path = journal_path(path);
        if !disk.exists(&journal_path).map_err(at(&journal_path))? {
            return Ok(false);
        }
        let mut database = open_locked(disk, path)?;
        let mut journal = open_journal(disk, &journal_path)?;
        let synced = journal.sync();
        let synced = synced.and_then(|()| disk.sync_folder_of(&journal_path));
        synced.map_err(at(&journal_path))?;
        let done = apply_journal(&mut database, journal);
        let done = done.map_err(not_applied(path, &journal_path))?;
        remove_journal(disk, &journal_path)?;
        Ok(done)
    }

    /// Begins a journal for `source`.
    pub fn begin(disk: &SharedDisk, source: &DatabaseFile) -> Result<Self, OutputError> {
        let path = source.path().to_owned();
        let database = open_locked(&**disk, &path)?;
        let journal_path = journal_path(&path);
        let journal = disk.create(&journal_path).map_err(at(&journal_path))?;
        let journal: Arc<dyn DiskFile> = Arc::from(journal);
        let place = PageJournal {
            disk: disk.clone(),
            path: journal_path,
            finished: false,
        };
        let journal = over(source, Box::new(journal)).map_err(at(&place.path))?;
        Ok(InPlace {
            database,
            journal: Shared::new(journal),
            path,
            place,
        })
    }

    /// The handle through which a replay reads and writes.
    pub fn pages(&self) -> Shared<Overlay> {
        self.journal.clone()
    }

    /// The database.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Finishes the journal and brings the database to what it says.
    pub(super) fn commit(mut self, header: &DatabaseHeader) -> Result<PathBuf, OutputError> {
        let (disk, journal_path) = (self.place.disk.clone(), self.place.path.clone());
        let io = at(&journal_path);
        let finished = self.journal.lock().finish(header);
        // Whether it failed before or after the last write: the next run can tell.
        self.place.finished = true;
        finished.map_err(&io)?;
        disk.sync_folder_of(&journal_path).map_err(&io)?;
        let journal = open_journal(&*disk, &journal_path)?;
        let applied = apply_journal(&mut self.database, journal);
        applied.map_err(not_applied(&self.path, &journal_path))?;
        remove_journal(&*disk, &journal_path)?;
        Ok(self.path)
    }

    /// Fails if an earlier recovery of the database was interrupted while it was being written: its pages are then of
    /// two times. [`resume`](Self::resume) mends that. Both files are only read.
    pub fn refuse_interrupted(path: &Path) -> Result<(), OutputError> {
        let journal = journal_path(path);
        // What cannot be opened, or waits for a writer, is no journal of ours.
        let Some(file) = journal
            .is_file()
            .then(|| LocalDisk.open_to_read(&journal).ok())
            .flatten()
        else {
            return Ok(());
        };
        let mut file: Arc<dyn DiskFile> = Arc::from(file);
        let (mark, header) = match Overlay::read_header(&mut file) {
            Ok(found) => found,
            Err(OverlayError::Unfinished | OverlayError::NotAnOverlay) => return Ok(()),
            Err(error) => return Err(not_applied(path, &journal)(error)),
        };
        let start = EvidenceFile::open(path).and_then(|file| file.start(HEADERS_MAX));
        let start = start.map_err(RecoveryError::from)?;
        match belongs(&start, mark, &header) {
            true => Err(OutputError::Interrupted {
                path: path.to_owned(),
                journal,
            }),
            false => Err(not_applied(path, &journal)(OverlayError::OtherBase)),
        }
    }
}

/// Brings a database to what a finished journal says, and empties the journal; `false` if the journal was not finished,
/// so that nothing had been changed.
pub fn apply_journal(
    database: &mut dyn OutputFile,
    journal: Box<dyn OutputFile>,
) -> Result<bool, OverlayError> {
    let mut journal = match Overlay::open(journal) {
        Ok(journal) => journal,
        Err(OverlayError::Unfinished) => return Ok(false),
        Err(error) => return Err(error),
    };
    let Some(header) = journal.header().cloned() else {
        return Ok(false);
    };
    let page_size = journal.page_size();
    check_base(database, &journal, &header)?;
    let end = |last: Pgno| Pgno(last.0.saturating_add(1)).file_offset(page_size);
    // What is after the last page that the database gives is not part of the result.
    database.set_len(end(journal.base_last()))?;
    database.set_len(end(journal.last()))?;
    let mut page = vec![0; page_size as usize];
    let pages: Vec<Pgno> = journal.pages().collect();
    for pgno in pages {
        journal.read_own(pgno, &mut page)?;
        database.write_at(&page, pgno.file_offset(page_size))?;
    }
    database.sync()?;
    seal_header(&header, &mut page);
    database.write_at(&page, 0)?;
    database.sync()?;
    if header.is_shadowed() {
        database.write_at(&page, page_size.into())?;
        database.sync()?;
    }
    journal.disk().set_len(0)?;
    journal.disk().sync()?;
    Ok(true)
}

/// Why a journal was not applied: one that could not be read is as good as it was.
fn not_applied(database: &Path, journal: &Path) -> impl Fn(OverlayError) -> OutputError {
    move |error| match error {
        OverlayError::Io(error) => at(database)(error),
        OverlayError::NotAnOverlay
        | OverlayError::Unfinished
        | OverlayError::Damaged
        | OverlayError::OtherBase => OutputError::Journal {
            path: journal.to_owned(),
            problem: error.to_string(),
        },
    }
}

/// The journal must be of this database.
fn check_base(
    database: &mut dyn OutputFile,
    journal: &Overlay,
    header: &DatabaseHeader,
) -> Result<(), OverlayError> {
    let mut start = vec![0; HEADERS_MAX];
    let read = database.read_at(&mut start, 0)?;
    start.truncate(read);
    match belongs(&start, journal.mark(), header) {
        true => Ok(()),
        false => Err(OverlayError::OtherBase),
    }
}

/// Whether a journal over the base `mark` that brings `header` is of the database that begins with `start`: its header is
/// the one from before, or the new one already.
fn belongs(start: &[u8], mark: BaseMark, header: &DatabaseHeader) -> bool {
    let copies = HeaderCopies::read(start);
    let mut new = vec![0; header.page_size() as usize];
    seal_header(header, &mut new);
    // Without a shadow header, none is left when the power fails while the header is written.
    copies.good().is_none_or(|found| {
        let shadow = start.get(new.len()..2 * new.len());
        BaseMark::of(&found.fields) == mark || start.starts_with(&new) || shadow == Some(&new)
    })
}
