//! Tables of ESE databases as Arrow record batches.
//!
//! The rows on a leaf go straight into the arrays of their columns ([`BatchBuilder`]): no row is put together in between.
//! Columns, names and types are those of an export ([`ese_columns`]).
//!
//! ```
//! use arrow_array::RecordBatchReader;
//! use ese_arrow::{ScanOptions, Tables};
//! use ese_db::Database;
//! # let path = ese_testkit::fixtures::testdata_set("clean-p4k").join("state/db.edb");
//!
//! let db = Database::open(path)?;
//! let tables = Tables::new(&db, true)?;
//! let table = tables.catalog().table("MSysObjects").ok_or("no such table")?;
//! let mut options = ScanOptions::default();
//! options.columns = Some(vec!["Id".into(), "Name".into()]);
//! let scan = tables.scan(table, options)?;
//! assert_eq!(scan.schema().fields().len(), 2);
//! for batch in scan {
//!     assert!(batch?.num_rows() > 0);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod array;
mod builder;
mod condition;
mod leaves;
mod scan;

pub use builder::{BatchBuilder, CellBuilder, FetchValue, Remarks, schema_of};
pub use condition::{Comparison, Condition, KeyValue};
pub use scan::{Partition, ScanError, ScanOptions, ScanProblem, TableScan, Tables};
