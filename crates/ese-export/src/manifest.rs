//! `manifest.json`: what was exported from what, and what is missing.

use crate::Format;
use ese_db::Losses;
use ese_format::Pgno;
use ese_format::database::DatabaseHeader;
use serde::Serialize;
use std::path::PathBuf;

/// The account of an export.
#[derive(Debug, Serialize)]
pub struct Manifest {
    /// The database.
    pub source: SourceEntry,
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
    /// Pages that could not be read.
    pub pages_lost: Vec<Pgno>,
}

/// The identity of a database.
#[derive(Debug, Clone, Serialize)]
pub struct SourceEntry {
    /// Where it was.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// The bytes of its pages.
    pub page_size: u32,
    /// Its last page.
    pub last_page: Pgno,
    /// Whether its state is dirty: the rows are those in the file, logs may hold more.
    pub dirty: bool,
    /// The fields of its header (the good copy), unless both copies are damaged.
    pub header: Option<DatabaseHeader>,
}

/// One table of an export.
#[derive(Debug, Serialize)]
pub struct TableEntry {
    /// Its name in the database.
    pub name: String,
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
    /// The columns of the file, in order.
    pub columns: Vec<ColumnEntry>,
    /// What was lost.
    pub losses: Losses,
}

/// One column of a table file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnEntry {
    /// Its name.
    pub name: String,
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

impl Manifest {
    /// The schema of `manifest.json`.
    pub const SCHEMA: &str = "edbkit.export/1";

    /// Whether everything could be read.
    pub fn is_complete(&self) -> bool {
        self.rows_lost == 0
            && self.values_lost == 0
            && self.pages_lost.is_empty()
            && self.catalog_losses.is_empty()
    }
}
