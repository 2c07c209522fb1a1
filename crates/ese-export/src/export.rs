//! The export itself: tables in parallel, rows one by one.

use crate::blobs::Blobs;
use crate::cell::{Cell, Kept, Problem, hex};
use crate::fetch::{Fetched, Fetcher};
use crate::layout::{self, Origin, OutColumn};
use crate::manifest::{ColumnEntry, Manifest, SourceEntry, TableEntry};
use crate::names::FileNames;
use crate::sink::Sink;
use crate::view::Views;
use crate::writer::{self, TableWriter};
use crate::{ExportError, Format};
use ese_db::catalog::TableFlags;
use ese_db::rows::Fields;
use ese_db::{Catalog, Database, Losses, Row, Table, TableReader, Value};
use ese_format::Progress;
use rayon::prelude::*;
use serde::Serialize;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The usual longest value inside a table file: memory stays small whatever the database holds.
pub const INLINE_LIMIT: usize = 256 << 10;

/// Tables that are exported at the same time at most: each has buffers of its own.
const TABLES_AT_ONCE: usize = 8;

/// What to export, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Names of tables; none means all but the engine's own.
    pub tables: Vec<String>,
    /// The format of table files.
    pub format: Format,
    /// The folder to write to.
    pub to: PathBuf,
    /// Write although the folder holds something; files of the same name are replaced.
    pub force: bool,
    /// Long values of more bytes than this, as stored, become files; see [`INLINE_LIMIT`].
    pub inline_limit: usize,
    /// Also give rows that are deleted but still in their pages.
    pub deleted: bool,
    /// Add decoded views of well-known schemas.
    pub decoded: bool,
}

/// Exports tables of `db`, whose identity is `source`; writes the manifest and returns it.
///
/// `progress` advances by the bytes of every leaf page read.
pub fn export(
    db: &Database,
    source: SourceEntry,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Manifest, ExportError> {
    let catalog = db.catalog()?;
    let tables = chosen(&catalog, &options.tables)?;
    prepare(options)?;
    let views = match options.decoded {
        true => Views::for_database(db, &catalog),
        false => Views::none(),
    };
    let mut names = FileNames::default();
    let jobs: Vec<(&Table, String)> = tables
        .into_iter()
        .map(|table| (table, names.give(&table.name, options.format.extension())))
        .collect();
    let blobs = Blobs::new(&options.to);
    let shared = Shared {
        db,
        options,
        views: &views,
        blobs: &blobs,
        problems: Mutex::new(None),
        progress,
    };
    let threads = rayon::current_num_threads().min(TABLES_AT_ONCE);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()?;
    let one_table = |(table, file)| shared.table(table, file);
    let entries: Result<Vec<TableEntry>, ExportError> =
        pool.install(|| jobs.into_par_iter().map(one_table).collect());
    let entries = entries?;
    if let Some(problems) = shared
        .problems
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
    {
        problems.finish()?;
    }
    let manifest = summarise(source, options, &catalog, entries, &blobs);
    write_manifest(&options.to, &manifest)?;
    Ok(manifest)
}

fn chosen<'c>(catalog: &'c Catalog, names: &[String]) -> Result<Vec<&'c Table>, ExportError> {
    if names.is_empty() {
        let own = |table: &&Table| {
            !table.flags.contains(TableFlags::SYSTEM) && !table.name.starts_with("MSys")
        };
        return Ok(catalog.tables.iter().filter(own).collect());
    }
    names
        .iter()
        .map(|name| {
            let table = catalog.table(name);
            table.ok_or_else(|| ExportError::NoTable { name: name.clone() })
        })
        .collect()
}

fn prepare(options: &Options) -> Result<(), ExportError> {
    let fail = |error| ExportError::write(&options.to, error);
    fs::create_dir_all(&options.to).map_err(fail)?;
    let mut content = fs::read_dir(&options.to).map_err(fail)?;
    if content.next().is_some() && !options.force {
        return Err(ExportError::NotEmpty {
            path: options.to.clone(),
        });
    }
    // What a former export left must not be taken for this one's.
    for name in ["manifest.json", "problems.jsonl"] {
        match fs::remove_file(options.to.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(fail(error)),
            _ => {}
        }
    }
    Ok(())
}

/// What all tables have in common.
struct Shared<'e> {
    db: &'e Database,
    options: &'e Options,
    views: &'e Views,
    blobs: &'e Blobs,
    problems: Mutex<Option<Sink>>,
    progress: &'e dyn Progress,
}

impl Shared<'_> {
    fn table(&self, table: &Table, file: String) -> Result<TableEntry, ExportError> {
        let columns = layout::columns(table, self.views, self.options.deleted);
        let path = self.options.to.join(&file);
        let mut writer = writer::create(self.options.format, &path, &columns)?;
        let mut job = Job {
            shared: self,
            path: &path,
            columns: &columns,
            rows: 0,
            deleted: 0,
            losses: Losses::default(),
        };
        job.rows(table, writer.as_mut())?;
        let (bytes, sha256) = writer.finish()?;
        Ok(TableEntry {
            name: table.name.clone(),
            objid: table.objid,
            file,
            bytes,
            sha256,
            rows: job.rows,
            deleted_rows: job.deleted,
            losses: job.losses,
            columns: columns.iter().map(column_entry).collect(),
        })
    }

    fn problem(&self, line: &ProblemLine<'_>) -> Result<(), ExportError> {
        let path = self.options.to.join("problems.jsonl");
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        let sink = match problems.as_mut() {
            Some(sink) => sink,
            None => problems.insert(Sink::create(&path)?),
        };
        let fail = |error| ExportError::write(&path, error);
        serde_json::to_writer(&mut *sink, line).map_err(|error| fail(error.into()))?;
        sink.write_all(b"\n").map_err(fail)
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

/// One table under way.
struct Job<'j> {
    shared: &'j Shared<'j>,
    path: &'j Path,
    columns: &'j [OutColumn<'j>],
    rows: u64,
    deleted: u64,
    losses: Losses,
}

impl Job<'_> {
    fn rows(&mut self, table: &Table, writer: &mut dyn TableWriter) -> Result<(), ExportError> {
        let reader = TableReader::new(self.shared.db, table);
        let mut rows = match self.shared.options.deleted {
            true => reader.rows_with_deleted(),
            false => reader.rows(),
        };
        let page_bytes = u64::from(self.shared.db.page_size().bytes());
        let mut page = None;
        for row in &mut rows {
            if page != Some(row.place().0) {
                page = Some(row.place().0);
                self.shared.progress.advance(page_bytes);
                if self.shared.progress.should_stop() {
                    return Err(ExportError::Stopped);
                }
            }
            self.row(table, &row, writer)?;
        }
        self.losses.add(rows.losses());
        Ok(())
    }

    fn row(
        &mut self,
        table: &Table,
        row: &Row<'_>,
        writer: &mut dyn TableWriter,
    ) -> Result<(), ExportError> {
        let Ok(fields) = row.fields() else {
            self.losses.rows += 1;
            return Ok(());
        };
        let fetched = self.fetch(&fields)?;
        let mut next = fetched.iter();
        let (mut value, mut file) = (&Value::Null, &Cell::Null);
        let mut cells: Vec<Cell<'_>> = Vec::with_capacity(self.columns.len());
        let mut problems = Vec::new();
        for column in self.columns {
            let cell = match column.origin {
                Origin::Deleted => Cell::Bool(fields.is_deleted()),
                Origin::Value(source) => {
                    let Some(fetched) = next.next() else { break };
                    (value, file) = (&fetched.value, &fetched.file);
                    let cell = Cell::of(value, &mut problems);
                    for problem in fetched.problems.iter().chain(&problems) {
                        self.report(table, row, &fields.key(), &source.name, problem)?;
                    }
                    problems.clear();
                    cell
                }
                Origin::RawDate => Cell::raw_dates(value),
                Origin::File => file.clone(),
                Origin::View(view) => view.cell(value),
            };
            cells.push(cell);
        }
        writer
            .row(&cells)
            .map_err(|error| ExportError::write(self.path, error))?;
        self.rows += 1;
        self.deleted += u64::from(fields.is_deleted());
        Ok(())
    }

    /// The values of all columns that come from the table.
    fn fetch<'f>(&self, fields: &Fields<'f>) -> Result<Vec<Fetched<'f>>, ExportError>
    where
        Self: 'f,
    {
        let shared = self.shared;
        let mut fetcher = Fetcher::new(shared.blobs, shared.options.inline_limit, shared.progress);
        // Parquet alone decides once for a column whether it holds lists.
        let lists_anywhere = shared.options.format != Format::Parquet;
        let mut fetched = Vec::with_capacity(self.columns.len());
        for column in self.columns {
            if let Origin::Value(source) = column.origin {
                let several = column.list || lists_anywhere;
                fetched.push(fetcher.fetch(fields.contents(source), source, several)?);
            }
        }
        Ok(fetched)
    }

    fn report(
        &mut self,
        table: &Table,
        row: &Row<'_>,
        key: &[u8],
        column: &str,
        problem: &Problem,
    ) -> Result<(), ExportError> {
        self.losses.values += 1;
        let (page, line) = row.place();
        let (bytes, file) = match &problem.kept {
            Kept::Bytes(bytes) => (Some(hex(bytes)), None),
            Kept::File(name) => (None, Some(name.as_str())),
        };
        self.shared.problem(&ProblemLine {
            table: &table.name,
            column,
            page: page.0,
            line,
            key: hex(key),
            reason: &problem.reason,
            bytes,
            file,
        })
    }
}

fn column_entry(column: &OutColumn<'_>) -> ColumnEntry {
    let source = match column.origin {
        Origin::Value(source) => Some(source),
        _ => None,
    };
    ColumnEntry {
        name: column.name.clone(),
        column_type: source.map(|source| source.column_type.name().into_owned()),
        id: source.map(|source| source.id),
        code_page: source
            .filter(|source| source.column_type.is_text())
            .map(|source| source.code_page),
        list: column.list,
    }
}

fn summarise(
    source: SourceEntry,
    options: &Options,
    catalog: &Catalog,
    tables: Vec<TableEntry>,
    blobs: &Blobs,
) -> Manifest {
    let mut all = catalog.losses.clone();
    for table in &tables {
        all.add(&table.losses);
    }
    let (blob_files, blob_bytes) = blobs.totals();
    Manifest {
        source,
        format: options.format,
        with_deleted: options.deleted,
        decoded: options.decoded,
        inline_limit: options.inline_limit,
        rows: tables.iter().map(|table| table.rows).sum(),
        rows_lost: all.rows,
        values_lost: all.values,
        pages_lost: all.pages.keys().copied().collect(),
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
    manifest: &'m Manifest,
}

/// Written under another name and renamed, so that a manifest is always whole.
fn write_manifest(folder: &Path, manifest: &Manifest) -> Result<(), ExportError> {
    let path = folder.join("manifest.json");
    let partial = folder.join("manifest.json.partial");
    let fail = |error| ExportError::write(&path, error);
    let document = Document {
        schema: Manifest::SCHEMA,
        manifest,
    };
    let mut text = serde_json::to_vec_pretty(&document).map_err(|error| fail(error.into()))?;
    text.push(b'\n');
    fs::write(&partial, text).map_err(fail)?;
    fs::rename(&partial, &path).map_err(fail)
}
