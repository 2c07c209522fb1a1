//! Reads one database: pages, B-trees, catalog, rows, long values, space.
//!
//! Everything starts with a [`PageSource`] (a file, bytes in memory, an overlay over a base), so a database that
//! exists only as "base file plus logs applied" is read by the same code as one on disk. Nothing here writes.
//!
//! Damage costs what it hits and no more: a page that cannot be read is left out, the walk goes on by the parents, the
//! sibling links or the object id, and what was lost is counted in a [`Losses`].
//!
//! The rows of a table:
//!
//! ```
//! use ese_db::{Database, TableReader};
//! # let path = ese_testkit::fixtures::testdata_set("clean-p4k").join("state/db.edb");
//!
//! let db = Database::open(path)?;
//! let catalog = db.catalog()?;
//! let table = catalog.table("MSysObjects").ok_or("no such table")?;
//! let reader = TableReader::new(&db, table);
//! for row in reader.rows() {
//!     let fields = row.fields()?;
//!     for column in reader.columns() {
//!         println!("{} = {:?}", column.name, fields.value(column));
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod btree;
pub mod catalog;
pub mod compression;
mod database;
mod error;
pub mod key;
mod key_range;
mod known;
pub mod long_value;
mod losses;
pub mod record;
pub mod rows;
pub mod source;
pub mod space;
pub mod value;

pub use catalog::{Catalog, Column, ColumnType, Index, Table};
pub use database::{Database, Page};
pub use error::DbError;
pub use key_range::KeyRange;
pub use known::{SRUM_MAP, may_mean};
pub use losses::{Losses, LostPage};
pub use rows::{Row, TableReader};
pub use source::{FileSource, MemorySource, OverlaySource, PageSource};
pub use value::{Text, Value};
