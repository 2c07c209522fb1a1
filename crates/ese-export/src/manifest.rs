//! `manifest.json`: what was exported from what, and what is missing.

use crate::Format;
use ese_columns::{Origin, OutColumn};
use ese_db::Losses;
use ese_db::space::CutOff;
use ese_format::database::DatabaseHeader;
use ese_format::{Lgpos, LogTime, Pgno};
use jiff::Timestamp;
use serde::Serialize;
use std::path::PathBuf;

/// The account of an export.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct ExportManifest {
    /// Where the rows come from.
    #[serde(flatten)]
    pub provenance: Provenance,
    /// A digest of everything that the rows depend on: the source, and what was asked for.
    pub identity: String,
    /// Format of the table files.
    pub format: Format,
    /// Whether rows that are deleted but still in their pages were exported too.
    pub with_deleted: bool,
    /// Whether decoded views were added.
    pub decoded: bool,
    /// Longest value inside the table files, in stored bytes; longer ones are files in `blobs/`.
    pub inline_limit: usize,
    /// The tables, in the order of their names.
    pub tables: Vec<TableEntry>,
    /// Files in `blobs/`.
    pub blob_files: u64,
    /// Bytes in `blobs/`.
    pub blob_bytes: u64,
    /// What was lost of the catalog.
    pub catalog_losses: Losses,
    /// Whether the shadow catalog had to help out.
    pub shadow_catalog_used: bool,
    /// Rows exported.
    pub rows: u64,
    /// Rows that could not be read.
    pub rows_lost: u64,
    /// Values that could not be read; each is in `problems.jsonl`.
    pub values_lost: u64,
    /// Pages that could not be read. What they hold is in none of these counts.
    pub pages_lost: Vec<Pgno>,
    /// Pages that the database owns and that its file does not have.
    pub cut_off: Option<CutOff>,
}

/// Where an export comes from: the chain of custody.
#[derive(Debug, Clone, Serialize)]
pub struct Provenance {
    /// The database.
    pub source: SourceEntry,
    /// What brought it forward, where it was not exported as its file is.
    pub recovery: Option<RecoveryEntry>,
    /// What exported it, and when.
    pub run: Option<RunEntry>,
}

/// A program that was run.
#[derive(Debug, Clone, Serialize)]
pub struct RunEntry {
    /// Its name.
    pub program: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Its command line, word for word.
    pub command: Vec<String>,
    /// When it was started.
    pub started: Timestamp,
}

/// How a database was brought forward before it was read; nothing was written.
#[derive(Debug, Clone, Serialize)]
pub struct RecoveryEntry {
    /// The logs that were replayed, in their order.
    pub logs: Vec<FileEntry>,
    /// The overlay that an earlier recovery left, and that was read instead of logs.
    pub overlay: Option<FileEntry>,
    /// Where in the logs the rows stand.
    pub as_of: Option<Lgpos>,
    /// When the log was there.
    pub as_of_time: Option<LogTime>,
    /// The moment that was asked for.
    pub moment: Option<MomentEntry>,
    /// The last page of the recovered database.
    pub last_page: Pgno,
    /// The fields of the header that recovery gives it.
    pub header: Option<DatabaseHeader>,
}

/// A moment of the logs at which a database is shown.
#[derive(Debug, Clone, Serialize)]
pub struct MomentEntry {
    /// The last record that counts.
    pub lgpos: Lgpos,
    /// When the segment was begun that holds it.
    pub from: LogTime,
    /// When the next one was; null if that is not known.
    pub until: LogTime,
    /// Transactions that were open there and are rolled back.
    pub rolled_back: usize,
}

/// The identity of a file.
#[derive(Debug, Clone, Serialize)]
pub struct FileEntry {
    /// Where it was.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of it, unless that was not wanted.
    pub sha256: Option<String>,
    /// When it was last modified, as far as the file system knows.
    pub modified: Option<Timestamp>,
}

/// The identity of a database: of its file, as it is.
#[derive(Debug, Clone, Serialize)]
pub struct SourceEntry {
    /// The file.
    #[serde(flatten)]
    pub file: FileEntry,
    /// The bytes of its pages.
    pub page_size: u32,
    /// Its last page.
    pub last_page: Pgno,
    /// Whether its state is dirty: without its logs (see [`Provenance::recovery`]) the rows are those that its pages held.
    pub dirty: bool,
    /// The fields of its header (the good copy), unless both copies are damaged.
    pub header: Option<DatabaseHeader>,
}

/// One table of an export.
#[derive(Debug, Serialize)]
pub struct TableEntry {
    /// Its name in the database.
    pub name: String,
    /// What people call it, where its own name is a GUID; its file has this name.
    pub known_as: Option<&'static str>,
    /// Its object id.
    pub objid: ese_format::ObjId,
    /// Its file.
    pub file: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Rows in the file, deleted ones included.
    pub rows: u64,
    /// Rows of these that are deleted.
    pub deleted_rows: u64,
    /// Rows that another state of the database has, too, and that are written there.
    #[serde(skip)]
    pub elsewhere: u64,
    /// The columns of the file, in order.
    pub columns: Vec<ColumnEntry>,
    /// What was lost.
    pub losses: Losses,
}

/// One column of a table file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnEntry {
    /// Its name in the file.
    pub name: String,
    /// The name of the column in the database that it is, or that it adds to; `None` for one of the export's own.
    pub column: Option<String>,
    /// The database's type; `None` for a column that the export adds.
    #[serde(rename = "type")]
    pub column_type: Option<String>,
    /// Column id in the database.
    pub id: Option<u16>,
    /// Code page of the bytes in files; `None` for a column that is not text.
    pub code_page: Option<u32>,
    /// Whether it holds arrays.
    pub list: bool,
}

impl ColumnEntry {
    pub(crate) fn of(column: &OutColumn<'_>) -> Self {
        let source = match column.origin {
            Origin::Value(source) => Some(source),
            _ => None,
        };
        ColumnEntry {
            name: column.name.clone(),
            column: column.of.map(|source| source.name.clone()),
            column_type: source.map(|source| source.column_type.name().into_owned()),
            id: source.map(|source| source.id),
            code_page: source
                .filter(|source| source.column_type.is_text())
                .map(|source| source.code_page),
            list: column.list,
        }
    }
}

impl FileEntry {
    /// A file of which nothing but its path and length is known.
    pub fn new(path: PathBuf, bytes: u64) -> Self {
        FileEntry {
            path,
            bytes,
            sha256: None,
            modified: None,
        }
    }
}

impl From<SourceEntry> for Provenance {
    /// A database that was exported as its file is, by whom is not said.
    fn from(source: SourceEntry) -> Self {
        Provenance {
            source,
            recovery: None,
            run: None,
        }
    }
}

impl ExportManifest {
    /// The schema of `manifest.json`.
    pub const SCHEMA: &str = "edbkit.export/2";

    /// Whether everything could be read.
    pub fn is_complete(&self) -> bool {
        self.rows_lost == 0
            && self.values_lost == 0
            && self.pages_lost.is_empty()
            && self.catalog_losses.is_empty()
            && self.cut_off.is_none()
    }
}
