//! A whole recovery in memory, and its result as a database that can be read.

use ese_db::source::MemorySource;
use ese_format::LogTime;
use ese_format::Pgno;
use ese_format::database::seal_header;
use ese_format::page::PageSize;
use ese_format::record::CreateDb;
use ese_log::StreamFiles;
use ese_replay::page_files::MemoryFile;
use ese_replay::recovery::{
    DatabaseFile, Finished, RecoveryError, Until, finish_clean, plan, replay,
};
use ese_replay::redo::NewDatabase;
use ese_replay::{Database, Redo};
use std::path::{Path, PathBuf};

/// Recovers `databases` with the logs in `logs`; databases that the log creates and nobody gave are made.
pub(crate) fn recover(
    databases: &[PathBuf],
    logs: &Path,
    page_size: PageSize,
    lossy: bool,
    cache_pages: usize,
) -> Result<Finished, String> {
    let text = |error: RecoveryError| match error.jet() {
        Some(jet) => format!("{error} [{jet}]"),
        None => error.to_string(),
    };
    let files = StreamFiles::find(logs, None).map_err(|error| error.to_string())?;
    let databases: Vec<DatabaseFile> = (databases.iter())
        .map(|path| DatabaseFile::open(path).map_err(text))
        .collect::<Result<_, _>>()?;
    let until = Until::default();
    let plan = plan(&files, None, &databases, &until, &()).map_err(text)?;
    if let Some((database, jet)) = plan.obstacle(lossy) {
        return Err(format!("{:?} [{jet}]", database.verdict.reasons));
    }
    let mut redo = Redo::new();
    for database in &databases {
        let pages = MemoryFile::over(Box::new(database.pages()), database.last);
        redo.offer(database.database(Box::new(pages), cache_pages));
    }
    redo.create_with(Box::new(move |_: &CreateDb<'_>| {
        Some(NewDatabase {
            file: Box::new(MemoryFile::new()),
            page_size,
            cache_pages,
        })
    }));
    let ran = replay(&mut redo, &mut plan.records(), &until, &()).map_err(text)?;
    finish_clean(&mut redo, &ran, LogTime::default()).map_err(text)
}

/// The recovered file, every checksum in place, opened for reading.
pub(crate) fn open_recovered(database: Database) -> ese_db::Database {
    let (size, last) = (database.pages.size().as_usize(), database.pages.last());
    let mut file = vec![0; (last.0 as usize + 2) * size];
    let (headers, pages) = file.split_at_mut(2 * size);
    for header in headers.chunks_exact_mut(size) {
        seal_header(&database.header, header);
    }
    let mut written = database.pages.finish().unwrap();
    for (pgno, page) in (1..).map(Pgno).zip(pages.chunks_exact_mut(size)) {
        written.read_page(pgno, page).unwrap();
    }
    ese_db::Database::new(MemorySource::new(file).unwrap())
}
