//! Tables of ESE databases as Arrow record batches.
//!
//! The rows on a leaf go straight into the arrays of their columns ([`BatchBuilder`]): no row is put together in between.
//! Columns, names and types are those of an export ([`ese_columns`]).

#![forbid(unsafe_code)]

mod array;
mod builder;

pub use builder::{BatchBuilder, CellBuilder, FetchValue, Remarks};
