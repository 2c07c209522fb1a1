//! What a timeline came to, in numbers.

use crate::event::{Change, Operation, RowState, Status};
use ese_format::Generation;
use serde::Serialize;
use std::collections::BTreeMap;

/// Changes of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ChangeCounts {
    /// How many.
    pub changes: u64,
    /// Bytes of log that they take.
    pub bytes: u64,
}

/// What a timeline came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TimelineSummary {
    /// Logs that were read.
    pub logs: u64,
    /// Their bytes.
    pub log_bytes: u64,
    /// Records in them.
    pub records: u64,
    /// Changes by path of the database, table, operation and status.
    pub counts: BTreeMap<(String, String, Operation, Status), ChangeCounts>,
    /// Changes of which all is known.
    pub complete: u64,
    /// Changes of which a part of the row is known.
    pub partial: u64,
    /// Changes of which is known only that they were made.
    pub unknown: u64,
    /// Catalogs that cannot be read, or only in part: the name of the database and what is wrong.
    pub catalogs: Vec<(String, String)>,
    /// Changes of trees that the catalog does not know (any more): of what is not known.
    pub of_unknown_trees: u64,
    /// Changes of the schema of which is not known what they were about.
    pub of_unknown_objects: u64,
    /// Pieces of long values that changed without a record of the row that owns them.
    pub long_values_without_row: u64,
    /// Generations that are missing between logs: the first and the last of each gap.
    pub missing: Vec<(Generation, Generation)>,
    /// Tables that were asked for and that no database had.
    pub tables_not_met: Vec<String>,
    /// Columns that were asked for and that no such table had.
    pub columns_not_met: Vec<String>,
    /// The most bytes of events that waited in a temporary file.
    pub spilled_bytes: u64,
}

impl TimelineSummary {
    /// How many changes were told.
    pub fn changes(&self) -> u64 {
        self.counts.values().map(|counts| counts.changes).sum()
    }

    pub(crate) fn count(&mut self, change: &Change<'_>) {
        let event = change.event;
        let kind = (
            change.database.path.clone(),
            change.table.name.clone(),
            event.operation,
            change.status,
        );
        let counts = self.counts.entry(kind).or_default();
        counts.changes += 1;
        counts.bytes += event.bytes as u64;
        let states = [event.before.state, event.after.state];
        if states.contains(&RowState::Unknown) {
            self.unknown += 1;
        } else if states.contains(&RowState::Partial) {
            self.partial += 1;
        } else {
            self.complete += 1;
        }
    }
}
