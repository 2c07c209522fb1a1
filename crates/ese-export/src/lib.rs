//! Rows of a database as files that other programs read: CSV, JSON Lines or Parquet.
//!
//! A table becomes one file; rows stream through, so that memory does not grow with the table. What cannot be read of
//! a value is in `problems.jsonl` with its bytes, and what is lost is counted in `manifest.json`, which is written
//! last: a folder without one holds an export that did not finish; the same call continues it.
//! [`look`] gives rows of one table to a stream instead, [`diff()`] those in which two databases differ.
//!
//! ```
//! use ese_db::Database;
//! use ese_export::{Form, Format, Selection, look};
//! # let path = ese_testkit::fixtures::testdata_set("clean-p4k").join("state/db.edb");
//!
//! let db = Database::open(path)?;
//! let selection = Selection {
//!     table: "MSysObjects".into(),
//!     columns: vec!["Id".into(), "Name".into()],
//!     conditions: Vec::new(),
//!     limit: Some(10),
//!     inline_limit: ese_export::INLINE_LIMIT,
//!     deleted: false,
//!     decoded: false,
//! };
//! let stream = Box::new(std::io::stdout());
//! look(&db, &selection, Form::File(Format::Jsonl), stream, &())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod blobs;
#[cfg(feature = "parquet")]
mod columns;
mod diff;
mod error;
mod export;
mod fetch;
pub mod json;
mod look;
mod manifest;
mod near;
mod plain;
mod ranges;
mod row;
mod seen;
mod set;
mod sink;
mod tables;
mod texts;
mod unfinished;
mod writer;

pub use diff::{
    ColumnDefinition, ColumnDifference, DiffForm, DiffOptions, DiffSide, DiffSummary, DiffVerdict,
    MatchedBy, Place, Sides, TableDiff, diff,
};
pub use error::ExportError;
pub use ese_columns::GivenColumn;
pub use export::{ExportOptions, INLINE_LIMIT, export, table_meant, user_tables};
pub use look::{Form, LookSummary, Selection, look};
pub use manifest::{
    ColumnEntry, ExportManifest, FileEntry, MomentEntry, Provenance, RecoveryEntry, RunEntry,
    SourceEntry, TableEntry,
};
pub use plain::{PlainKind, PlainTable, PlainValue};
pub use seen::{FIRST_SEEN, LAST_SEEN, RowDigest, SeenBetween, SeenRows, digest_rows};
pub use set::{ExportSet, finished};
pub use sink::Stream;
pub use tables::{
    TableRows, TablesOptions, TablesWritten, ValueProblem, export_tables, problems_in,
};
pub use writer::Format;
