//! The rows of tables into files: tables in parallel, and rows of a large table in parallel, too.
//!
//! A thread for each table that is under way writes its file; a pool of threads reads its leaves, range by range ([`crate::ranges`]), and
//! makes text of the rows ([`crate::texts`]) or arrays of their columns ([`crate::columns`]). What is written is the same for any number of
//! threads, but for the order in which the tables report to one file of problems.

use crate::blobs::Blobs;
use crate::manifest::{ColumnEntry, TableEntry};
use crate::seen::SeenRows;
use crate::sink::Sink;
use crate::texts::write_text_of;
use crate::unfinished::UnfinishedExport;
use crate::writer::{TableWriter, write_columns};
use crate::{ExportError, Format, user_tables};
use ese_columns::{Before, CellProblem, ColumnViews, GivenColumn, KeptBytes, OutColumn};
use ese_db::space::CutOff;
use ese_db::{Catalog, Database, Losses, Table};
use ese_format::{Pgno, Progress, hex};
use rayon::ThreadPool;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use target_disk::Disk;

/// Tables that are exported at the same time at most: each has buffers of its own.
const TABLES_AT_ONCE: usize = 8;
/// How rows become lines of files.
#[derive(Debug, Clone)]
pub struct TableRows<'o> {
    /// The format of table files.
    pub format: Format,
    /// Long values of more bytes than this, as stored, become files; see [`INLINE_LIMIT`](crate::INLINE_LIMIT).
    pub inline_limit: usize,
    /// Also give rows that are deleted but still in their pages.
    pub deleted: bool,
    /// Columns before those of the table that say the same in every row.
    pub given: Vec<GivenColumn>,
    /// Names that no column of a table gets, since they mean something to whoever reads the files.
    pub reserved: &'o [&'o str],
    /// Who knows which rows other states of the database have, too: these are written once, with their times in the given columns
    /// [`FIRST_SEEN`](crate::FIRST_SEEN) and [`LAST_SEEN`](crate::LAST_SEEN).
    pub seen: Option<&'o dyn SeenRows>,
}

/// A table and the name of its file.
pub(crate) struct TableJob<'t> {
    pub(crate) table: &'t Table,
    pub(crate) file: String,
}

/// Where lines about values go that could not be read.
pub(crate) enum ProblemFiles {
    /// Into one file of this name, in the order in which the tables meet them.
    One(&'static str),
    /// Into one for each table, beside its own file, with this ending.
    ForEach(&'static str),
}

/// Where files go.
pub(crate) struct Target<'e> {
    pub(crate) disk: &'e dyn Disk,
    pub(crate) folder: &'e Path,
    pub(crate) blobs: &'e Blobs,
    /// What an earlier run has done.
    pub(crate) unfinished: Option<&'e UnfinishedExport>,
    pub(crate) problems: ProblemFiles,
    pub(crate) threads: usize,
}

fn problems_of(file: &Path, ending: &str) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

/// Writes the file of each table.
pub(crate) fn write_tables(
    db: &Database,
    catalog: &Catalog,
    views: &ColumnViews,
    rows: &TableRows<'_>,
    jobs: Vec<TableJob<'_>>,
    to: &Target<'_>,
    progress: &dyn Progress,
) -> Result<Vec<TableEntry>, ExportError> {
    let shared = Shared {
        db,
        catalog,
        rows,
        views,
        to,
        problems: Mutex::new(None),
        progress,
        pool: match to.threads {
            0 | 1 => None,
            threads => Some(
                rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .build()?,
            ),
        },
    };
    let entries = shared.tables(jobs)?;
    let problems = shared.problems.into_inner();
    if let Some(problems) = problems.unwrap_or_else(PoisonError::into_inner) {
        problems.finish()?;
    }
    Ok(entries)
}

/// Which tables of a database are written, and where.
#[derive(Debug)]
pub struct TablesOptions<'o> {
    /// How.
    pub rows: TableRows<'o>,
    /// Add decoded views of well-known schemas.
    pub decoded: bool,
    /// The folder that takes the files.
    pub folder: &'o Path,
    /// What their names begin with; they are numbered: `PREFIX0.partial`, `PREFIX1.partial` ...
    pub prefix: &'o str,
    /// How many threads may work at it.
    pub threads: usize,
}

/// The tables of a database as files.
#[derive(Debug)]
pub struct TablesWritten {
    /// The tables, each with the name of its file.
    pub tables: Vec<TableEntry>,
    /// What was lost of the catalog.
    pub catalog_losses: Losses,
    /// Whether the shadow catalog had to help out.
    pub shadow_catalog_used: bool,
    /// Pages that the database owns and that its file does not have.
    pub cut_off: Option<CutOff>,
}

const PARTIAL: &str = ".partial";
const PROBLEMS: &str = ".problems";

/// Writes all tables of `db` but the engine's own to files of `disk`, which mean nothing before whoever called gives them their
/// names. Long values go to `blobs`. Lines about values that could not be read are in [`problems_in`].
///
/// `progress` advances by the bytes of every leaf page read.
pub fn export_tables(
    db: &Database,
    options: &TablesOptions<'_>,
    disk: &dyn Disk,
    blobs: &Blobs,
    progress: &dyn Progress,
) -> Result<TablesWritten, ExportError> {
    let catalog = db.catalog()?;
    let views = match options.decoded {
        true => ColumnViews::for_database(db, &catalog),
        false => ColumnViews::none(),
    };
    let jobs = user_tables(&catalog).enumerate();
    let jobs = jobs.map(|(number, table)| TableJob {
        table,
        file: format!("{}{number}{PARTIAL}", options.prefix),
    });
    let target = Target {
        disk,
        folder: options.folder,
        blobs,
        unfinished: None,
        problems: ProblemFiles::ForEach(PROBLEMS),
        threads: options.threads,
    };
    let tables = write_tables(
        db,
        &catalog,
        &views,
        &options.rows,
        jobs.collect(),
        &target,
        progress,
    )?;
    Ok(TablesWritten {
        tables,
        cut_off: CutOff::of(db),
        shadow_catalog_used: catalog.shadow_used,
        catalog_losses: catalog.losses,
    })
}

/// Where [`export_tables`] wrote down which values of the table in `file` could not be read, in lines of [`ValueProblem`]; there
/// is no such file if all could.
pub fn problems_in(file: &Path) -> PathBuf {
    problems_of(file, PROBLEMS)
}

/// What all tables have in common.
pub(crate) struct Shared<'e> {
    pub(crate) db: &'e Database,
    catalog: &'e Catalog,
    pub(crate) rows: &'e TableRows<'e>,
    views: &'e ColumnViews,
    pub(crate) to: &'e Target<'e>,
    /// The one file of problems of all tables, once there are any.
    problems: Mutex<Option<Sink>>,
    pub(crate) progress: &'e dyn Progress,
    pool: Option<ThreadPool>,
}

impl Shared<'_> {
    /// Exports tables, some at a time. The first error ends it.
    ///
    /// These threads do not belong to a pool: one that waits for the rows of its table must not begin another table
    /// meanwhile.
    fn tables(&self, jobs: Vec<TableJob<'_>>) -> Result<Vec<TableEntry>, ExportError> {
        let threads = self.to.threads.clamp(1, TABLES_AT_ONCE).min(jobs.len());
        let queue = Mutex::new(jobs.into_iter().enumerate());
        let failed = AtomicBool::new(false);
        let work = || {
            let mut entries = Vec::new();
            while !failed.load(Ordering::Relaxed) {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some((number, TableJob { table, file })) = next else {
                    break;
                };
                let entry = self.table(table, file);
                failed.fetch_or(entry.is_err(), Ordering::Relaxed);
                entries.push((number, entry));
            }
            entries
        };
        let mut entries = thread::scope(|scope| {
            if threads <= 1 {
                return work();
            }
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let entries = workers.into_iter().flat_map(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            entries.collect::<Vec<_>>()
        });
        entries.sort_by_key(|(number, _)| *number);
        entries.into_iter().map(|(_, entry)| entry).collect()
    }

    /// Makes text or arrays of rows, and how many threads it has; none where there is one thread for everything.
    pub(crate) fn pool(&self) -> Option<(&ThreadPool, usize)> {
        self.pool.as_ref().map(|pool| (pool, self.to.threads))
    }

    fn table(&self, table: &Table, file: String) -> Result<TableEntry, ExportError> {
        let before = Before {
            given: &self.rows.given,
            deleted: self.rows.deleted,
            reserved: self.rows.reserved,
        };
        let columns = ese_columns::columns(table, self.views, before);
        let unfinished = self.to.unfinished;
        let whole = unfinished.and_then(|unfinished| unfinished.whole(&table.name, &file));
        if let Some(whole) = whole {
            return Ok(TableEntry {
                name: table.name.clone(),
                objid: table.objid,
                file,
                bytes: whole.bytes,
                sha256: whole.sha256.clone(),
                rows: whole.rows,
                deleted_rows: whole.deleted_rows,
                elsewhere: 0,
                losses: whole.losses(),
                columns: columns.iter().map(ColumnEntry::of).collect(),
                known_as: self.catalog.known_as(table),
            });
        }
        let path = self.to.folder.join(&file);
        let mut writer = TableWriter::create(self.rows.format, self.to.disk, &path, &columns)?;
        let mut job = Job {
            shared: self,
            table,
            path: &path,
            columns: &columns,
            problems: None,
        };
        let tally = job.rows(&mut writer)?;
        if let Some(problems) = job.problems {
            problems.finish()?;
        }
        let (bytes, sha256) = writer.finish()?;
        let entry = TableEntry {
            name: table.name.clone(),
            objid: table.objid,
            file,
            bytes,
            sha256,
            rows: tally.rows,
            deleted_rows: tally.deleted,
            elsewhere: tally.elsewhere,
            losses: tally.losses,
            columns: columns.iter().map(ColumnEntry::of).collect(),
            known_as: self.catalog.known_as(table),
        };
        if let Some(unfinished) = unfinished.filter(|_| entry.losses.is_empty()) {
            unfinished.note(&entry)?;
        }
        Ok(entry)
    }

    /// Adds lines to a file of problems, which is made when there are any.
    fn report(
        &self,
        lines: &[u8],
        path: &Path,
        sink: &mut Option<Sink>,
    ) -> Result<(), ExportError> {
        let sink = match sink {
            Some(sink) => sink,
            none => none.insert(Sink::create(self.to.disk, path)?),
        };
        sink.write_all(lines)
            .map_err(|error| ExportError::write(path, error))
    }
}

/// A value that could not be read, or not to its end: a line of `problems.jsonl`.
#[derive(Debug, Serialize, Deserialize)]
pub struct ValueProblem {
    /// The table.
    pub table: String,
    /// Its column.
    pub column: String,
    /// The page of the row.
    pub page: u32,
    /// The node of the row.
    pub line: usize,
    /// The key of the row, in hexadecimal.
    pub key: String,
    /// Why.
    pub reason: String,
    /// Whether the row holds all of it that there is: a text of which the engine cut the last character in two.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// The bytes, in hexadecimal, unless a file holds them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<String>,
    /// The file that holds them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// What happened to rows.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) rows: u64,
    pub(crate) deleted: u64,
    /// Rows that another state of the database writes.
    pub(crate) elsewhere: u64,
    pub(crate) losses: Losses,
    /// Lines of `problems.jsonl`.
    pub(crate) problems: Vec<u8>,
}

impl Tally {
    pub(crate) fn problem(&mut self, problem: &ValueProblem) {
        self.losses.values += u64::from(!problem.cut);
        let written = serde_json::to_writer(&mut self.problems, problem);
        debug_assert!(written.is_ok(), "memory takes everything");
        self.problems.push(b'\n');
    }

    pub(crate) fn add(&mut self, part: Tally) {
        self.rows += part.rows;
        self.deleted += part.deleted;
        self.elsewhere += part.elsewhere;
        self.losses.add(&part.losses);
        self.problems.extend(part.problems);
    }
}

/// One table under way.
pub(crate) struct Job<'j> {
    pub(crate) shared: &'j Shared<'j>,
    pub(crate) table: &'j Table,
    pub(crate) path: &'j Path,
    pub(crate) columns: &'j [OutColumn<'j>],
    /// Its own file of problems, once there are any.
    problems: Option<Sink>,
}

impl Job<'_> {
    fn rows(&mut self, writer: &mut TableWriter) -> Result<Tally, ExportError> {
        match writer {
            TableWriter::Text(table) => write_text_of(self, table),
            TableWriter::Parquet(table) => write_columns(self, table),
        }
    }

    /// Writes down what could not be read.
    pub(crate) fn report(&mut self, lines: &[u8]) -> Result<(), ExportError> {
        if lines.is_empty() {
            return Ok(());
        }
        let shared = self.shared;
        match &shared.to.problems {
            ProblemFiles::One(name) => {
                let path = shared.to.folder.join(name);
                let problems = shared.problems.lock();
                let mut problems = problems.unwrap_or_else(PoisonError::into_inner);
                shared.report(lines, &path, &mut problems)
            }
            ProblemFiles::ForEach(ending) => {
                let path = problems_of(self.path, ending);
                shared.report(lines, &path, &mut self.problems)
            }
        }
    }
}

/// The line about a value that could not be read.
pub(crate) fn value_problem(
    table: &Table,
    column: &str,
    (page, line): (Pgno, usize),
    key: &[u8],
    problem: &CellProblem,
) -> ValueProblem {
    let (bytes, file) = match &problem.kept {
        KeptBytes::Bytes(bytes) => (Some(hex::encode(bytes)), None),
        KeptBytes::File(name) => (None, Some(name.clone())),
        KeptBytes::Nowhere => (None, None),
    };
    ValueProblem {
        table: table.name.clone(),
        column: column.to_owned(),
        page: page.0,
        line,
        key: hex::encode(key),
        reason: problem.reason.clone(),
        cut: problem.is_cut,
        bytes,
        file,
    }
}
