//! What the records of a stream do to transactions and to databases as a whole, found out while the chain is checked, so
//! that no log has to be read again for it.
//!
//! Logs are surveyed several at a time; each gives the few records that matter here. They are followed in the order of
//! the logs, from the first generation that is asked for up to a limit.

use super::LogReport;
use crate::image::LogImage;
use crate::limit::Until;
use crate::records::RawRecord;
use crate::transactions::{OpenTransaction, TransactionStep, Transactions};
use ese_format::{Generation, Lgpos, Record, RecordType, Signature};
use serde::Serialize;

/// A database is created, attached or detached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DatabaseEvent {
    /// The record.
    pub lgpos: Lgpos,
    /// What happens.
    #[serde(flatten)]
    pub kind: DatabaseEventKind,
}

/// What happens to a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum DatabaseEventKind {
    /// It is created.
    Created {
        /// The number it has from here on.
        dbid: u8,
        /// Its signature.
        signature: Signature,
        /// Its path on the machine that wrote the log.
        path: String,
    },
    /// It is attached.
    Attached {
        /// The number it has from here on.
        dbid: u8,
        /// Its signature.
        signature: Signature,
        /// Where it had last been consistent.
        consistent: Lgpos,
        /// Its path on the machine that wrote the log.
        path: String,
    },
    /// It is detached.
    Detached {
        /// The number it had.
        dbid: u8,
    },
    /// All databases are detached: the engine instance ends.
    AllDetached,
}

impl DatabaseEventKind {
    /// What `record` does to a database as a whole.
    pub fn of(record: &Record<'_>) -> Option<Self> {
        Some(match record {
            Record::CreateDb(record) => DatabaseEventKind::Created {
                dbid: record.dbid,
                signature: record.signature,
                path: record.names.first(),
            },
            Record::AttachDb(record) => DatabaseEventKind::Attached {
                dbid: record.dbid,
                signature: record.db_signature,
                consistent: record.lgpos_consistent,
                path: record.names.first(),
            },
            Record::DetachDb(record) => DatabaseEventKind::Detached { dbid: record.dbid },
            Record::Term(_)
            | Record::Term2(_)
            | Record::RecoveryQuit(_)
            | Record::RecoveryQuit2(_) => DatabaseEventKind::AllDetached,
            _ => return None,
        })
    }

    /// The database that is created or attached, if one is.
    pub fn signature(&self) -> Option<Signature> {
        match self {
            DatabaseEventKind::Created { signature, .. }
            | DatabaseEventKind::Attached { signature, .. } => Some(*signature),
            DatabaseEventKind::Detached { .. } | DatabaseEventKind::AllDetached => None,
        }
    }
}

/// What one log holds of that.
#[derive(Debug, Clone, Default)]
pub(super) struct Steps {
    pub(super) transactions: Vec<(Lgpos, TransactionStep)>,
    pub(super) databases: Vec<DatabaseEvent>,
    /// The first record that a limit leaves out.
    pub(super) limited_before: Option<Lgpos>,
}

impl Steps {
    /// Takes note of a record.
    pub(super) fn note(&mut self, raw: &RawRecord<'_>, image: &LogImage, until: &Until) {
        if self.limited_before.is_some() {
            return;
        }
        if until.is_limited() && (until.is_past(raw.lgpos) || until.is_late(image, raw.lgpos)) {
            self.limited_before = Some(raw.lgpos);
            return;
        }
        let is_about_database = matches!(
            raw.kind,
            RecordType::CreateDb
                | RecordType::AttachDb
                | RecordType::DetachDb
                | RecordType::Term
                | RecordType::Term2
                | RecordType::RecoveryQuit
                | RecordType::RecoveryQuit2
        );
        if !is_about_database && !TransactionStep::is_one(raw.kind) {
            return;
        }
        let Ok(record) = raw.decode() else { return };
        if let Some(step) = TransactionStep::of(&record) {
            self.transactions.push((raw.lgpos, step));
        }
        if let Some(kind) = DatabaseEventKind::of(&record) {
            let lgpos = raw.lgpos;
            self.databases.push(DatabaseEvent { lgpos, kind });
        }
    }
}

/// Transactions as they stand at the end of a log, or where a limit ends it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TransactionsAt {
    /// Transactions that are open and began in the first log that was followed, or later.
    pub open: Vec<OpenTransaction>,
    /// The first record that a limit left out, in this log or before.
    pub limited_before: Option<Lgpos>,
}

/// Follows the steps of logs in their order.
pub(super) struct Follower {
    from: Generation,
    transactions: Transactions,
    limited_before: Option<Lgpos>,
}

impl Follower {
    /// Transactions are followed from the generation `from` on.
    pub(super) fn new(from: Generation) -> Self {
        Follower {
            from,
            transactions: Transactions::default(),
            limited_before: None,
        }
    }

    /// Takes the steps out of the next log, and writes down in it how things stand at its end.
    pub(super) fn take(&mut self, log: &mut LogReport) {
        let generation = log.generation().unwrap_or_default();
        let Ok(content) = &mut log.content else {
            return;
        };
        let steps = std::mem::take(&mut content.steps);
        if self.limited_before.is_none() && generation >= self.from {
            for (lgpos, step) in steps.transactions {
                self.transactions.take(lgpos, step);
            }
            self.limited_before = steps.limited_before;
        }
        content.databases = steps.databases;
        content.transactions = TransactionsAt {
            open: self.transactions.open().copied().collect(),
            limited_before: self.limited_before,
        };
    }
}
