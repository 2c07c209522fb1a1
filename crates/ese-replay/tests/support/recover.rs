//! A whole recovery in memory, by the driver that the programs use, and its result as a database that can be read.

use ese_db::source::MemorySource;
use ese_format::database::{DatabaseHeader, seal_header};
use ese_format::page::PageSize;
use ese_format::{Explain, Pgno, Signature};
use ese_log::StreamFiles;
use ese_replay::page_files::MemoryFile;
use ese_replay::pages::{PageFile, Pages};
use ese_replay::recovery::{
    self, DatabaseFile, EmptyFile, GivenDatabase, RecoverOptions, Recovered, RecoveryError,
    RecoveryPlan, Until,
};
use ese_replay::redo::{NewDatabase, PageDivergence, RedoCounts};
use ese_replay::undo::UndoneOperation;
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// What a recovery left.
pub(crate) struct Finished {
    pub(crate) databases: Vec<Left>,
    pub(crate) undone: Vec<UndoneOperation>,
    pub(crate) counts: RedoCounts,
    pub(crate) summary: recovery::ReplaySummary,
    pub(crate) divergences: Vec<PageDivergence>,
}

/// A database that it left.
pub(crate) struct Left {
    pub(crate) header: DatabaseHeader,
    pub(crate) pages: Pages,
}

impl From<Recovered> for Finished {
    fn from(recovered: Recovered) -> Self {
        let databases = recovered.databases.into_iter().map(|database| Left {
            header: database.header().clone(),
            pages: database.into_pages(),
        });
        Finished {
            databases: databases.collect(),
            undone: recovered.undone,
            counts: recovered.counts,
            summary: recovered.summary,
            divergences: recovered.divergences,
        }
    }
}

/// Files in memory for what is replayed.
pub(crate) fn in_memory(database: &DatabaseFile) -> GivenDatabase<'_> {
    GivenDatabase {
        database,
        pages: Box::new(MemoryFile::over(Box::new(database.pages()), database.last)),
    }
}

/// Files in memory for everything that a plan creates.
pub(crate) fn created_in_memory(plan: &RecoveryPlan, page_size: PageSize) -> Vec<EmptyFile> {
    let given = |signature: Signature| EmptyFile {
        signature,
        file: NewDatabase {
            file: Box::new(MemoryFile::new()),
            page_size,
            cache_pages: usize::MAX,
        },
    };
    let created = plan.created().iter();
    created.map(|creation| given(creation.signature)).collect()
}

/// Memory for this many pages.
pub(crate) fn memory(page_size: PageSize, pages: usize) -> Option<u64> {
    Some(u64::from(page_size.bytes() + 128) * pages as u64)
}

/// Recovers `databases` with the logs in `logs`; databases that the log creates and nobody gave are made.
pub(crate) fn recover(
    databases: &[PathBuf],
    logs: &Path,
    page_size: PageSize,
    lossy: bool,
    cache_pages: usize,
) -> Result<Finished, String> {
    let files = StreamFiles::find(logs, None).map_err(|error| error.to_string())?;
    let databases: Vec<DatabaseFile> = (databases.iter())
        .map(|path| DatabaseFile::open(path).map_err(|error| text(&error)))
        .collect::<Result<_, _>>()?;
    let options = RecoverOptions {
        lossy,
        memory: memory(page_size, cache_pages),
        ..RecoverOptions::default()
    };
    recover_with(&files, &databases, page_size, &Until::default(), options)
        .map_err(|error| text(&error))
}

/// The same for databases that are open, up to a limit.
pub(crate) fn recover_with(
    files: &StreamFiles,
    databases: &[DatabaseFile],
    page_size: PageSize,
    until: &Until,
    options: RecoverOptions<'_>,
) -> Result<Finished, RecoveryError> {
    let plan = recovery::plan(files, None, databases, until, &())?;
    let given = databases.iter().map(in_memory).collect();
    let created = created_in_memory(&plan, page_size);
    recovery::recover(&plan, given, created, options, &()).map(Finished::from)
}

/// An error with the engine's number.
pub(crate) fn text(error: &RecoveryError) -> String {
    match error.jet() {
        Some(jet) => format!("{error} [{jet}]"),
        None => error.to_string(),
    }
}

/// The recovered file, every checksum in place, opened for reading.
pub(crate) fn open_recovered(database: Left) -> ese_db::Database {
    let (size, last) = (database.pages.size().as_usize(), database.pages.last());
    let mut file = vec![0; (last.0 as usize + 2) * size];
    let (headers, pages) = file.split_at_mut(2 * size);
    for header in headers.chunks_exact_mut(size) {
        seal_header(&database.header, header);
    }
    let mut written: Box<dyn PageFile> = database.pages.finish().unwrap();
    for (pgno, page) in (1..).map(Pgno).zip(pages.chunks_exact_mut(size)) {
        written.read_page(pgno, page).unwrap();
    }
    ese_db::Database::new(MemorySource::new(file).unwrap())
}

/// An error in words.
pub(crate) fn words(error: impl Display) -> String {
    error.to_string()
}
