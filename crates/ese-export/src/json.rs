//! Values as JSON, in the form that exports give them.

use ese_columns::Kind;
use ese_columns::{Cell, KeptBytes};
use ese_db::Value;

pub use crate::writer::write_text;

/// A value, or a part of one, that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Why.
    pub reason: String,
}

/// Adds the JSON of `value`; what cannot be read is null and returned. A text that is cut is there as far as it goes.
pub fn write_value(out: &mut Vec<u8>, value: &Value<'_>) -> Vec<Unreadable> {
    let mut problems = Vec::new();
    let cell = Cell::of(value, &mut problems);
    crate::writer::write_json(out, &cell, Kind::Text);
    let lost = problems.into_iter().filter(|problem| !problem.is_cut);
    let unreadable = lost.map(|problem| Unreadable {
        bytes: match problem.kept {
            KeptBytes::Bytes(bytes) => bytes,
            KeptBytes::File(_) | KeptBytes::Nowhere => Vec::new(),
        },
        reason: problem.reason,
    });
    unreadable.collect()
}

/// Adds the JSON of the raw bits of dates.
pub fn write_raw_dates(out: &mut Vec<u8>, value: &Value<'_>) {
    crate::writer::write_json(out, &Cell::raw_dates(value), Kind::Bits);
}
