//! What redo did, by type of record.

use ese_format::record::RecordType;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::time::Duration;

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It changed pages, a database or a transaction.
    Applied,
    /// The pages had the change already, or do not belong to a database that is replayed.
    Skipped,
    /// It waits for its macro operation to commit.
    Deferred,
    /// It says nothing that changes a database.
    Nothing,
}

impl From<bool> for Outcome {
    fn from(applied: bool) -> Self {
        if applied {
            Outcome::Applied
        } else {
            Outcome::Skipped
        }
    }
}

/// Records of one type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TypeCounts {
    /// Read from the log.
    pub read: u64,
    /// Applied.
    pub applied: u64,
    /// Skipped.
    pub skipped: u64,
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
    /// Transactions that committed to level 0.
    pub committed: u64,
    /// Transactions that the log rolled back.
    pub rolled_back: u64,
}

impl RedoCounts {
    pub(crate) fn add(
        &mut self,
        record_type: RecordType,
        outcome: Outcome,
        time: Option<Duration>,
    ) {
        let counts = self.types.entry(record_type).or_default();
        counts.read += 1;
        if let Some(time) = time {
            *counts.time.get_or_insert_default() += time;
        }
        match outcome {
            Outcome::Applied => counts.applied += 1,
            Outcome::Skipped => counts.skipped += 1,
            Outcome::Deferred => counts.deferred += 1,
            Outcome::Nothing => {}
        }
    }

    /// All types together.
    pub fn total(&self) -> TypeCounts {
        let mut total = TypeCounts::default();
        for counts in self.types.values() {
            total.read += counts.read;
            total.applied += counts.applied;
            total.skipped += counts.skipped;
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
