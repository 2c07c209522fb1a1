//! The export itself: tables in parallel, and rows of a large table in parallel, too.
//!
//! A thread for each table that is under way reads its leaves and writes its file; in between, a pool of threads makes text
//! of its rows, some at a time ([`Part`]). Parquet takes rows one by one.

use crate::blobs::Blobs;
use crate::cell::{Cell, CellProblem, KeptBytes};
use crate::layout::{self, Before, OutColumn};
use crate::manifest::{ColumnEntry, ExportManifest, Provenance, TableEntry};
use crate::names::FileNames;
use crate::near::near;
use crate::row::RowConverter;
use crate::set::{identity, write_whole};
use crate::sink::Sink;
use crate::unfinished::{self, UnfinishedExport};
use crate::view::ColumnViews;
use crate::writer::{TableWriter, TextTable};
use crate::{ExportError, Format};
use ese_db::catalog::TableFlags;
use ese_db::rows::Rows;
use ese_db::space::CutOff;
use ese_db::{Catalog, Database, Losses, Row, Table, TableReader};
use ese_format::{Pgno, Progress, hex};
use rayon::ThreadPool;
use rayon::prelude::*;
use serde::Serialize;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// The usual longest value inside a table file: memory stays small whatever the database holds.
pub const INLINE_LIMIT: usize = 256 << 10;

/// Tables that are exported at the same time at most: each has buffers of its own.
const TABLES_AT_ONCE: usize = 8;
/// Rows that one thread makes text of at a time.
const PART_ROWS: usize = 64;
/// Parts of a table under way for each thread, at most.
const PARTS: usize = 4;
/// Pages of a table in memory for each thread, at most.
const PAGES: usize = 16;
/// Bytes of text after which a part ends early: a few rows with long values can be as much as thousands without.
const PART_BYTES: usize = 256 << 10;

/// What to export, and how.
#[derive(Debug, Clone, Serialize)]
pub struct ExportOptions {
    /// What the rows come from, in words that no other source has and that this one keeps: an export that was stopped goes on
    /// where they are the same.
    pub source: String,
    /// Names of tables; none means all but the engine's own.
    pub tables: Vec<String>,
    /// The format of table files.
    pub format: Format,
    /// The folder to write to.
    #[serde(skip)]
    pub to: PathBuf,
    /// Write even if the folder is not empty; files of the same name are replaced.
    #[serde(skip)]
    pub force: bool,
    /// Long values of more bytes than this, as stored, become files; see [`INLINE_LIMIT`].
    pub inline_limit: usize,
    /// Also give rows that are deleted but still in their pages.
    pub deleted: bool,
    /// Add decoded views of well-known schemas.
    pub decoded: bool,
    /// What a first column `$source` says in every row, where there is one: the database, among several.
    pub source_column: Option<String>,
}

/// Exports tables of `db`; writes the manifest and returns it. `provenance` is asked at the end where the database comes from:
/// to answer, it may have to read files as a whole.
///
/// `progress` advances by the bytes of every leaf page read.
pub fn export(
    db: &Database,
    provenance: impl FnOnce() -> Result<Provenance, ExportError>,
    options: &ExportOptions,
    progress: &dyn Progress,
) -> Result<ExportManifest, ExportError> {
    let catalog = db.catalog()?;
    let tables = chosen(&catalog, &options.tables)?;
    let (unfinished, blobs) = prepare(options)?;
    let views = match options.decoded {
        true => ColumnViews::for_database(db, &catalog),
        false => ColumnViews::none(),
    };
    let mut names = FileNames::default();
    let jobs: Vec<(&Table, String)> = tables
        .into_iter()
        .map(|table| {
            let name = catalog.known_as(table).unwrap_or(&table.name);
            (table, names.give(name, options.format.extension()))
        })
        .collect();
    let threads = rayon::current_num_threads();
    let shared = Shared {
        db,
        catalog: &catalog,
        options,
        views: &views,
        blobs: &blobs,
        unfinished: &unfinished,
        problems: Mutex::new(None),
        progress,
        threads,
        pool: match threads {
            0 | 1 => None,
            _ => Some(
                rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .build()?,
            ),
        },
    };
    let entries = shared.tables(jobs)?;
    if let Some(problems) = shared
        .problems
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
    {
        problems.finish()?;
    }
    let mut manifest = summarise(provenance()?, options, &catalog, entries, &blobs);
    manifest.cut_off = CutOff::of(db);
    write_manifest(&options.to, &manifest)?;
    unfinished.finish()?;
    Ok(manifest)
}

fn chosen<'c>(catalog: &'c Catalog, names: &[String]) -> Result<Vec<&'c Table>, ExportError> {
    if names.is_empty() {
        return Ok(user_tables(catalog).collect());
    }
    let mut chosen: Vec<&Table> = Vec::new();
    for name in names {
        let table = table_meant(catalog, name)?;
        // One that is named twice is written once.
        if chosen.iter().all(|other| other.objid != table.objid) {
            chosen.push(table);
        }
    }
    Ok(chosen)
}

/// The tables that are exported where none is named: all but the engine's own.
pub fn user_tables(catalog: &Catalog) -> impl Iterator<Item = &Table> {
    let is_users = |table: &&Table| {
        !table.flags.contains(TableFlags::SYSTEM) && !table.name.starts_with("MSys")
    };
    catalog.tables.iter().filter(is_users)
}

/// The table that is meant by `name`.
pub fn table_meant<'c>(catalog: &'c Catalog, name: &str) -> Result<&'c Table, ExportError> {
    let table = catalog.table_meant(name);
    table.ok_or_else(|| {
        let names = catalog.tables.iter().flat_map(|table| {
            let known = catalog.known_as(table);
            known.into_iter().chain([table.name.as_str()])
        });
        ExportError::NoTable {
            name: name.to_owned(),
            near: near(name, names),
        }
    })
}

/// Makes the folder ready for a new export, or for one that goes on.
fn prepare(options: &ExportOptions) -> Result<(UnfinishedExport, Blobs), ExportError> {
    let fail = |error| ExportError::write(&options.to, error);
    fs::create_dir_all(&options.to).map_err(fail)?;
    let of = serde_json::to_value(options).map_err(|error| fail(error.into()))?;
    let mut content = fs::read_dir(&options.to).map_err(fail)?;
    let known = UnfinishedExport::known(&options.to, &of);
    let goes_on = known.is_some();
    if content.next().is_some() && !options.force && !goes_on {
        return Err(match options.to.join(unfinished::NAME).exists() {
            true => ExportError::OtherUnfinished {
                path: options.to.clone(),
            },
            false => ExportError::NotEmpty {
                path: options.to.clone(),
            },
        });
    }
    // What a former export left must not be taken for this one's.
    for name in ["manifest.json", "problems.jsonl"] {
        match fs::remove_file(options.to.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(error)),
            _ => {}
        }
    }
    let unfinished = UnfinishedExport::begin(&options.to, of, known.unwrap_or_default())?;
    Ok((unfinished, Blobs::new(&options.to, goes_on)?))
}

/// What all tables have in common.
struct Shared<'e> {
    db: &'e Database,
    catalog: &'e Catalog,
    options: &'e ExportOptions,
    views: &'e ColumnViews,
    blobs: &'e Blobs,
    unfinished: &'e UnfinishedExport,
    problems: Mutex<Option<Sink>>,
    progress: &'e dyn Progress,
    threads: usize,
    /// Makes text of rows; none where there is one thread for everything.
    pool: Option<ThreadPool>,
}

impl Shared<'_> {
    /// Exports tables, some at a time. The first error ends it.
    ///
    /// These threads do not belong to a pool: one that waits for the rows of its table must not begin another table
    /// meanwhile.
    fn tables(&self, jobs: Vec<(&Table, String)>) -> Result<Vec<TableEntry>, ExportError> {
        let threads = self.threads.clamp(1, TABLES_AT_ONCE).min(jobs.len());
        let queue = Mutex::new(jobs.into_iter().enumerate());
        let failed = AtomicBool::new(false);
        let work = || {
            let mut entries = Vec::new();
            while !failed.load(Ordering::Relaxed) {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some((number, (table, file))) = next else {
                    break;
                };
                let entry = self.table(table, file);
                failed.fetch_or(entry.is_err(), Ordering::Relaxed);
                entries.push((number, entry));
            }
            entries
        };
        let mut entries = thread::scope(|scope| {
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

    fn table(&self, table: &Table, file: String) -> Result<TableEntry, ExportError> {
        let before = Before {
            source: self.options.source_column.as_deref(),
            deleted: self.options.deleted,
        };
        let columns = layout::columns(table, self.views, before);
        if let Some(whole) = self.unfinished.whole(&table.name, &file) {
            return Ok(TableEntry {
                name: table.name.clone(),
                objid: table.objid,
                file,
                bytes: whole.bytes,
                sha256: whole.sha256.clone(),
                rows: whole.rows,
                deleted_rows: whole.deleted_rows,
                losses: whole.losses(),
                columns: columns.iter().map(ColumnEntry::of).collect(),
                known_as: self.catalog.known_as(table),
            });
        }
        let path = self.options.to.join(&file);
        let mut writer = TableWriter::create(self.options.format, &path, &columns)?;
        let job = Job {
            shared: self,
            table,
            path: &path,
            columns: &columns,
        };
        let tally = job.rows(&mut writer)?;
        let (bytes, sha256) = writer.finish()?;
        let entry = TableEntry {
            name: table.name.clone(),
            objid: table.objid,
            file,
            bytes,
            sha256,
            rows: tally.rows,
            deleted_rows: tally.deleted,
            losses: tally.losses,
            columns: columns.iter().map(ColumnEntry::of).collect(),
            known_as: self.catalog.known_as(table),
        };
        if entry.losses.is_empty() {
            self.unfinished.note(&entry)?;
        }
        Ok(entry)
    }

    /// Adds lines to the file of problems.
    fn report(&self, lines: &[u8]) -> Result<(), ExportError> {
        if lines.is_empty() {
            return Ok(());
        }
        let path = self.options.to.join("problems.jsonl");
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        let sink = match problems.as_mut() {
            Some(sink) => sink,
            None => problems.insert(Sink::create(&path)?),
        };
        sink.write_all(lines)
            .map_err(|error| ExportError::write(&path, error))
    }
}

/// A line of `problems.jsonl`.
#[derive(Serialize)]
struct ProblemLine<'p> {
    table: &'p str,
    column: &'p str,
    page: u32,
    line: usize,
    key: String,
    reason: &'p str,
    /// The bytes, or the file that holds them.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'p str>,
}

/// What happened to rows.
#[derive(Default)]
struct Tally {
    rows: u64,
    deleted: u64,
    losses: Losses,
    /// Lines of `problems.jsonl`.
    problems: Vec<u8>,
}

impl Tally {
    fn add(&mut self, part: Tally) {
        self.rows += part.rows;
        self.deleted += part.deleted;
        self.losses.add(&part.losses);
        self.problems.extend(part.problems);
    }
}

/// The first rows of some as text.
struct Part {
    text: Vec<u8>,
    taken: usize,
    tally: Tally,
}

/// The rows of a table, some at a time.
struct Batches {
    rows: Rows,
    page: Option<Pgno>,
}

impl Batches {
    /// The next rows; none at the end.
    fn next(&mut self, shared: &Shared<'_>) -> Result<Vec<Row>, ExportError> {
        let page_bytes = u64::from(shared.db.page_size().bytes());
        let threads = shared.threads.max(1);
        let (mut batch, mut pages) = (Vec::new(), 0);
        while batch.len() < PART_ROWS * PARTS * threads && pages <= PAGES * threads {
            let Some(row) = self.rows.next() else { break };
            if self.page != Some(row.place().0) {
                self.page = Some(row.place().0);
                pages += 1;
                shared.progress.advance(page_bytes);
                if shared.progress.should_stop() {
                    return Err(ExportError::Stopped);
                }
            }
            batch.push(row);
        }
        Ok(batch)
    }
}

/// One table under way.
struct Job<'j> {
    shared: &'j Shared<'j>,
    table: &'j Table,
    path: &'j Path,
    columns: &'j [OutColumn<'j>],
}

impl Job<'_> {
    fn rows(&self, writer: &mut TableWriter) -> Result<Tally, ExportError> {
        let reader = TableReader::new(self.shared.db, self.table);
        let mut batches = Batches {
            rows: match self.shared.options.deleted {
                true => reader.rows_with_deleted(),
                false => reader.rows(),
            },
            page: None,
        };
        let mut tally = Tally::default();
        let mut batch = batches.next(self.shared)?;
        while !batch.is_empty() {
            batch = match writer {
                TableWriter::Text(table) => {
                    let (parts, next) = self.parts(&batch, table, &mut batches)?;
                    for (rows, part) in batch.chunks(PART_ROWS).zip(parts) {
                        self.append(rows, part, table, &mut tally)?;
                    }
                    next
                }
                TableWriter::Parquet(table) => {
                    for row in &batch {
                        self.row(row, &mut tally, |cells| table.row(cells))?;
                    }
                    batches.next(self.shared)?
                }
            };
            self.shared.report(&tally.problems)?;
            tally.problems.clear();
        }
        tally.losses.add(batches.rows.losses());
        Ok(tally)
    }

    /// The text of `batch`, and the next one, which is read meanwhile.
    fn parts(
        &self,
        batch: &[Row],
        table: &TextTable,
        batches: &mut Batches,
    ) -> Result<(Vec<Part>, Vec<Row>), ExportError> {
        let part = |rows| self.part(rows, table);
        let pool = self.shared.pool.as_ref();
        let Some(pool) = pool.filter(|_| batch.len() > PART_ROWS) else {
            let parts: Result<_, _> = batch.chunks(PART_ROWS).map(part).collect();
            return Ok((parts?, batches.next(self.shared)?));
        };
        let mut parts = Ok(Vec::new());
        let next = pool.in_place_scope(|scope| {
            scope.spawn(|_| parts = batch.par_chunks(PART_ROWS).map(part).collect());
            batches.next(self.shared)
        });
        Ok((parts?, next?))
    }

    fn part(&self, rows: &[Row], table: &TextTable) -> Result<Part, ExportError> {
        let (mut text, mut tally) = (table.text(), Tally::default());
        let mut taken = 0;
        for row in rows {
            if text.length() + tally.problems.len() > PART_BYTES {
                break;
            }
            self.row(row, &mut tally, |cells| text.row(cells))?;
            taken += 1;
        }
        Ok(Part {
            text: text.finish().map_err(|error| self.fail(error))?,
            taken,
            tally,
        })
    }

    /// Writes the text of `rows`, and one by one those that it was too long to hold.
    fn append(
        &self,
        rows: &[Row],
        part: Part,
        table: &mut TextTable,
        tally: &mut Tally,
    ) -> Result<(), ExportError> {
        let taken = part.taken;
        let mut add = |part: Part, table: &mut TextTable| {
            tally.add(part.tally);
            table.append(&part.text).map_err(|error| self.fail(error))
        };
        add(part, table)?;
        for row in &rows[taken..] {
            add(self.part(std::slice::from_ref(row), table)?, table)?;
        }
        Ok(())
    }

    fn fail(&self, error: io::Error) -> ExportError {
        ExportError::write(self.path, error)
    }

    /// Gives the cells of a row to `write`.
    fn row(
        &self,
        row: &Row,
        tally: &mut Tally,
        write: impl FnOnce(&[Cell<'_>]) -> io::Result<()>,
    ) -> Result<(), ExportError> {
        let shared = self.shared;
        let records = RowConverter {
            columns: self.columns,
            blobs: Some(shared.blobs),
            inline_limit: shared.options.inline_limit,
            // Parquet alone decides once for a column whether it holds lists.
            lists_anywhere: shared.options.format != Format::Parquet,
            progress: shared.progress,
        };
        let written = records.take(row, |record| {
            for (place, problem) in &record.problems {
                let column = self.columns[*place].of.map_or("", |column| &column.name);
                self.problem(row, &record.key, column, problem, tally);
            }
            write(&record.cells).map_err(|error| self.fail(error))?;
            tally.rows += 1;
            tally.deleted += u64::from(record.is_deleted);
            Ok(())
        })?;
        if written.is_none() {
            tally.losses.rows += 1;
        }
        Ok(())
    }

    fn problem(
        &self,
        row: &Row,
        key: &[u8],
        column: &str,
        problem: &CellProblem,
        tally: &mut Tally,
    ) {
        tally.losses.values += 1;
        let (page, line) = row.place();
        let (bytes, file) = match &problem.kept {
            KeptBytes::Bytes(bytes) => (Some(hex::encode(bytes)), None),
            KeptBytes::File(name) => (None, Some(name.as_str())),
            KeptBytes::Nowhere => (None, None),
        };
        let line = ProblemLine {
            table: &self.table.name,
            column,
            page: page.0,
            line,
            key: hex::encode(key),
            reason: &problem.reason,
            bytes,
            file,
        };
        let written = serde_json::to_writer(&mut tally.problems, &line);
        debug_assert!(written.is_ok(), "memory takes everything");
        tally.problems.push(b'\n');
    }
}

fn summarise(
    provenance: Provenance,
    options: &ExportOptions,
    catalog: &Catalog,
    tables: Vec<TableEntry>,
    blobs: &Blobs,
) -> ExportManifest {
    let mut all = catalog.losses.clone();
    for table in &tables {
        all.add(&table.losses);
    }
    let (blob_files, blob_bytes) = blobs.totals();
    ExportManifest {
        provenance,
        identity: identity(options),
        format: options.format,
        with_deleted: options.deleted,
        decoded: options.decoded,
        inline_limit: options.inline_limit,
        rows: tables.iter().map(|table| table.rows).sum(),
        rows_lost: all.rows,
        values_lost: all.values,
        pages_lost: all.pages.keys().copied().collect(),
        cut_off: None,
        tables,
        blob_files,
        blob_bytes,
        catalog_losses: catalog.losses.clone(),
        shadow_catalog_used: catalog.shadow_used,
    }
}

#[derive(Serialize)]
struct Document<'m> {
    schema: &'static str,
    #[serde(flatten)]
    manifest: &'m ExportManifest,
}

fn write_manifest(folder: &Path, manifest: &ExportManifest) -> Result<(), ExportError> {
    let path = folder.join("manifest.json");
    let document = Document {
        schema: ExportManifest::SCHEMA,
        manifest,
    };
    let text = serde_json::to_vec_pretty(&document);
    let mut text = text.map_err(|error| ExportError::write(&path, io::Error::from(error)))?;
    text.push(b'\n');
    write_whole(&path, &text)
}
