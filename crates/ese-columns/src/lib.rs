//! The columns of a table on its way out: which there are, how they are called, of which type they are, and what the values of a
//! row come to in them.
//!
//! Exports, DataFrames and reports have the same columns with the same values because all of them ask here.

#![forbid(unsafe_code)]

mod cell;
mod layout;
mod names;
mod view;

pub use cell::{Cell, CellProblem, Fetched, KeptBytes, guid, microseconds, rfc3339};
pub use layout::{Before, GivenColumn, Kind, Origin, OutColumn, columns, is_long};
pub use names::{ColumnNames, FileNames};
pub use view::{ColumnView, ColumnViews};
