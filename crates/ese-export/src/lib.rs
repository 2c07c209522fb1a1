//! Rows of a database as files that other programs read: CSV, JSON Lines or Parquet.
//!
//! A table becomes one file; rows stream through, so that memory does not grow with the table. What cannot be read of
//! a value is in `problems.jsonl` with its bytes, and what is lost is counted in `manifest.json`, which is written
//! last: a folder without one holds an export that did not finish; the same call continues it.
//! [`look`] gives rows of one table to a stream instead.

#![forbid(unsafe_code)]

mod blobs;
mod cell;
mod error;
mod export;
mod fetch;
mod layout;
mod look;
mod manifest;
mod names;
mod near;
mod row;
mod set;
mod sink;
mod unfinished;
mod view;
mod writer;

pub use error::ExportError;
pub use export::{ExportOptions, INLINE_LIMIT, export, table_meant, user_tables};
pub use look::{Form, LookSummary, Selection, look};
pub use manifest::{
    ColumnEntry, ExportManifest, FileEntry, Provenance, RecoveryEntry, RunEntry, SourceEntry,
    TableEntry,
};
pub use set::{ExportSet, finished};
pub use sink::Stream;
pub use writer::Format;
