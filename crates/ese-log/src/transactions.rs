//! Which transactions are open, session by session, as records go by.
//!
//! A session holds one transaction at a time: it begins at level 0 with an id, may nest, and ends with the commit to
//! level 0 or the rollback of its outermost level (`LRBEGIN0`, `LRCOMMIT0`, `LRROLLBACK`, `inc/logapi.hxx`).

use ese_format::{Lgpos, ProcId, Record};
use serde::Serialize;
use std::collections::BTreeMap;

/// A transaction that has begun and not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct OpenTransaction {
    /// Its session.
    pub session: ProcId,
    /// The id it got when it began.
    pub trx: u32,
    /// Where it began.
    pub begin: Lgpos,
    /// How deep it is nested now.
    pub level: u8,
}

/// The open transactions of a stream.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Transactions {
    /// Open ones by session.
    open: BTreeMap<u16, OpenTransaction>,
    /// Transactions that committed to level 0.
    pub committed: u64,
    /// Transactions that rolled back to level 0.
    pub rolled_back: u64,
    /// Ends of transactions that began before the first record.
    pub began_before: u64,
}

impl Transactions {
    /// Takes note of a record.
    pub fn follow(&mut self, lgpos: Lgpos, record: &Record<'_>) {
        match record {
            Record::Begin0(begin) | Record::BeginDistributed(begin) => {
                let transaction = OpenTransaction {
                    session: begin.procid,
                    trx: begin.trx.unwrap_or(0),
                    begin: lgpos,
                    level: begin.levels,
                };
                self.open.insert(begin.procid.0, transaction);
            }
            Record::Begin(begin) => {
                if let Some(open) = self.open.get_mut(&begin.procid.0) {
                    open.level = begin.level_from.saturating_add(begin.levels);
                }
            }
            Record::Commit(commit) => {
                if let Some(open) = self.open.get_mut(&commit.procid.0) {
                    open.level = commit.level_to;
                }
            }
            Record::Commit0(commit) => {
                self.committed += 1;
                self.began_before += u64::from(self.open.remove(&commit.procid.0).is_none());
            }
            Record::Rollback(rollback) => self.roll_back(rollback.procid, rollback.levels),
            // A new run of the engine knows nothing of the sessions before.
            Record::Init(_) | Record::Init2(_) => self.open.clear(),
            _ => {}
        }
    }

    fn roll_back(&mut self, session: ProcId, levels: u8) {
        let Some(open) = self.open.get_mut(&session.0) else {
            return;
        };
        open.level = open.level.saturating_sub(levels);
        if open.level == 0 {
            self.open.remove(&session.0);
            self.rolled_back += 1;
        }
    }

    /// Transactions that are open now, by session.
    pub fn open(&self) -> impl Iterator<Item = &OpenTransaction> {
        self.open.values()
    }

    /// The transaction that a session is in.
    pub fn of_session(&self, session: ProcId) -> Option<&OpenTransaction> {
        self.open.get(&session.0)
    }
}
