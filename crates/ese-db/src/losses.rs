//! The account of what could not be read.

use crate::DbError;
use ese_format::{Explain, JetError, Pgno};
use serde::Serialize;
use std::collections::BTreeMap;

/// Why a page was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LostPage {
    /// What is wrong with it, as a sentence.
    pub reason: String,
    /// The error the engine would raise.
    pub jet: Option<JetError>,
}

/// What a reading left out, and what it had to work around. All zero means nothing was lost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Losses {
    /// Pages that could not be used.
    pub pages: BTreeMap<Pgno, LostPage>,
    /// Nodes or records that do not decode.
    pub rows: u64,
    /// Values that do not decode; their bytes are given instead, where there are any.
    pub values: u64,
    /// Deleted rows whose data was cleared before they were removed; no loss of this reading.
    pub deleted_without_data: u64,
    /// Leaves that were found by sibling links or object id because their parent does not lead to them.
    pub leaves_off_path: u64,
}

impl Losses {
    /// Whether everything could be read.
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty() && self.rows == 0 && self.values == 0
    }

    /// Notes a page that could not be used.
    pub fn page(&mut self, pgno: Pgno, error: &DbError) {
        self.pages.entry(pgno).or_insert_with(|| LostPage {
            reason: error.to_string(),
            jet: error.jet(),
        });
    }

    /// Adds another account to this one.
    pub fn add(&mut self, other: &Losses) {
        for (pgno, lost) in &other.pages {
            self.pages.entry(*pgno).or_insert_with(|| lost.clone());
        }
        self.rows += other.rows;
        self.values += other.values;
        self.deleted_without_data += other.deleted_without_data;
        self.leaves_off_path += other.leaves_off_path;
    }
}
