//! An export into a folder of its own: its tables, and the manifest of what was written and what was lost.

use crate::blobs::Blobs;
use crate::manifest::{ExportManifest, Provenance, TableEntry};
use crate::near::near;
use crate::set::{identity, write_whole};
use crate::tables::{ProblemFiles, TableJob, TableRows, write_tables};
use crate::unfinished::{self, UnfinishedExport};
use crate::{ExportError, Format};
use ese_columns::ColumnViews;
use ese_columns::FileNames;
use ese_columns::GivenColumn;
use ese_db::catalog::TableFlags;
use ese_db::space::CutOff;
use ese_db::{Catalog, Database, Table};
use ese_format::Progress;
use serde::Serialize;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use target_disk::LocalDisk;

/// The usual longest value inside a table file: memory stays small whatever the database holds.
pub const INLINE_LIMIT: usize = 256 << 10;

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
    let jobs = tables.into_iter().map(|table| {
        let name = catalog.known_as(table).unwrap_or(&table.name);
        let file = names.give(name, options.format.extension());
        TableJob { table, file }
    });
    let source = options.source_column.iter();
    let given = source.map(|source| GivenColumn::text("$source", Some(source.clone())));
    let rows = TableRows {
        format: options.format,
        inline_limit: options.inline_limit,
        deleted: options.deleted,
        given: given.collect(),
        reserved: &[],
        seen: None,
    };
    let entries = write_tables(
        db,
        &catalog,
        &views,
        &rows,
        jobs.collect(),
        &crate::tables::Target {
            disk: &LocalDisk,
            folder: &options.to,
            blobs: &blobs,
            unfinished: Some(&unfinished),
            problems: ProblemFiles::One("problems.jsonl"),
            threads: rayon::current_num_threads(),
        },
        progress,
    )?;
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
