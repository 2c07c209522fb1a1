//! What edbkit's programs answer, without their command lines: types whose JSON is that of `docs/json`.
//!
//! The programs print them as text or JSON; the Python package gives them as dictionaries. So both say the same, in the
//! same words. What a file, stream or recovery is, the libraries below know; here it is only put together.

#![forbid(unsafe_code)]

/// The schema of a failure.
pub const FAILURE: &str = "edbkit.failure/1";

pub mod chain;
pub mod files;
pub mod find;
pub mod header;
pub mod replay;
pub mod verify;
pub mod view;

use serde::Serialize;

/// An answer with its schema, as it is printed.
#[derive(Debug, Serialize)]
pub struct Document<'a, T> {
    /// `edbkit.WHAT/VERSION`.
    pub schema: &'a str,
    /// The answer.
    #[serde(flatten)]
    pub body: &'a T,
}
