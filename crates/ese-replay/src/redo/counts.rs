//! What redo did, by type of record.

use ese_format::record::RecordType;
use ese_log::transactions::Transactions;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::time::Duration;

/// What happened to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedoOutcome {
    /// It changed pages or a database.
    Applied,
    /// The pages, or the whole database, had the change already.
    InPlace,
    /// It is about a database that is not replayed.
    Elsewhere,
    /// It waits for its macro operation to commit.
    Deferred,
    /// It changes no page: a begin, a commit, a note.
    NoPage,
}

impl From<bool> for RedoOutcome {
    fn from(applied: bool) -> Self {
        if applied {
            RedoOutcome::Applied
        } else {
            RedoOutcome::InPlace
        }
    }
}

/// Records of one type. Each that was read counts once more under what happened to it; one of a macro operation counts
/// as deferred, and the operation as a whole with its commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TypeCounts {
    /// Read from the log.
    pub read: u64,
    /// Applied: they changed pages or a database.
    pub applied: u64,
    /// Passed over: the pages had the change already.
    pub in_pages: u64,
    /// Passed over: about a database that is not replayed.
    pub elsewhere: u64,
    /// Change no page.
    pub no_page: u64,
    /// Kept for the commit of their macro operation.
    pub deferred: u64,
    /// What all of that took, if it was measured. A macro operation is done, and counts, at its commit.
    #[serde(rename = "seconds", skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "in_seconds")]
    pub time: Option<Duration>,
}

/// What redo did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RedoCounts {
    /// By type of record.
    #[serde(serialize_with = "by_name")]
    pub types: BTreeMap<RecordType, TypeCounts>,
    /// Transactions that ended in the range.
    #[serde(flatten)]
    pub transactions: Transactions,
}

impl RedoCounts {
    pub(crate) fn add(
        &mut self,
        record_type: RecordType,
        outcome: RedoOutcome,
        time: Option<Duration>,
    ) {
        let counts = self.types.entry(record_type).or_default();
        counts.read += 1;
        if let Some(time) = time {
            *counts.time.get_or_insert_default() += time;
        }
        match outcome {
            RedoOutcome::Applied => counts.applied += 1,
            RedoOutcome::InPlace => counts.in_pages += 1,
            RedoOutcome::Elsewhere => counts.elsewhere += 1,
            RedoOutcome::Deferred => counts.deferred += 1,
            RedoOutcome::NoPage => counts.no_page += 1,
        }
    }

    /// All types together.
    pub fn total(&self) -> TypeCounts {
        let mut total = TypeCounts::default();
        for counts in self.types.values() {
            total.read += counts.read;
            total.applied += counts.applied;
            total.in_pages += counts.in_pages;
            total.elsewhere += counts.elsewhere;
            total.no_page += counts.no_page;
            total.deferred += counts.deferred;
            if let Some(time) = counts.time {
                *total.time.get_or_insert_default() += time;
            }
        }
        total
    }
}

fn by_name<S: Serializer>(
    types: &BTreeMap<RecordType, TypeCounts>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(
        types
            .iter()
            .map(|(record_type, counts)| (record_type.dump_name(), counts)),
    )
}

fn in_seconds<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs_f64()).serialize(serializer)
}
