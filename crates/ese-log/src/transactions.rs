//! Which transactions are open, session by session, as records go by. The one place that counts transactions: `stat`,
//! plans and recoveries all follow it.
//!
//! A session holds one transaction at a time: it begins at level 0, may nest, and ends with the commit to level 0 or the
//! rollback of its outermost level (`LRBEGIN0`, `LRCOMMIT0`, `LRROLLBACK`, `inc/logapi.hxx`). What a session does before
//! its first begin at level 0 belongs to a transaction from before the range (`PIB::FAfterFirstBT`,
//! `ese/_log/logredo.cxx`); its end is counted separately.

use ese_format::{Lgpos, ProcId, Record, RecordType};
use serde::Serialize;
use std::collections::BTreeMap;

/// A transaction that has begun and not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct OpenTransaction {
    /// Its session.
    pub procid: ProcId,
    /// The id it got when it began.
    pub trx: u32,
    /// Where it began.
    pub began: Lgpos,
    /// How deep it is nested now.
    pub level: u8,
}

/// The transactions of a range of records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Transactions {
    /// Sessions that have begun a transaction in the range; at level 0 between two of them.
    #[serde(skip)]
    sessions: BTreeMap<u16, OpenTransaction>,
    /// Transactions that began in the range and committed.
    pub committed: u64,
    /// Transactions that began in the range and were rolled back.
    pub rolled_back: u64,
    /// Commits of transactions that began before the range.
    pub began_before: u64,
}

/// What a record does to transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStep {
    /// One or more levels begin.
    Begin {
        /// The session.
        session: ProcId,
        /// The level before.
        from: u8,
        /// How many levels.
        levels: u8,
        /// The transaction's id, where it begins at level 0.
        trx: u32,
    },
    /// The session takes a new transaction id.
    Refresh {
        /// The session.
        session: ProcId,
        /// The new id.
        trx: u32,
    },
    /// Commit down to a level.
    Commit {
        /// The session.
        session: ProcId,
        /// The level after; 0 ends the transaction.
        level: u8,
    },
    /// Levels are rolled back.
    Rollback {
        /// The session.
        session: ProcId,
        /// How many.
        levels: u8,
    },
    /// An engine instance begins or ends: no session outlives that.
    EndAll,
}

impl TransactionStep {
    /// Whether records of this type matter to transactions.
    pub fn is_one(kind: RecordType) -> bool {
        matches!(
            kind,
            RecordType::Begin
                | RecordType::Begin0
                | RecordType::BeginDistributed
                | RecordType::Refresh
                | RecordType::Commit
                | RecordType::Commit0
                | RecordType::Rollback
                | RecordType::Init
                | RecordType::Init2
                | RecordType::Term
                | RecordType::Term2
                | RecordType::RecoveryQuit
                | RecordType::RecoveryQuit2
                | RecordType::RecoveryQuitKeepAttachments
        )
    }

    /// What `record` does to transactions; `None` for all records that do nothing to them.
    pub fn of(record: &Record<'_>) -> Option<Self> {
        Some(match record {
            Record::Begin(begin) | Record::Begin0(begin) | Record::BeginDistributed(begin) => {
                TransactionStep::Begin {
                    session: begin.procid,
                    from: begin.level_from,
                    levels: begin.levels,
                    trx: begin.trx.unwrap_or(0),
                }
            }
            Record::Refresh(refresh) => TransactionStep::Refresh {
                session: refresh.procid,
                trx: refresh.trx,
            },
            Record::Commit(commit) => TransactionStep::Commit {
                session: commit.procid,
                level: commit.level_to,
            },
            Record::Commit0(commit) => TransactionStep::Commit {
                session: commit.procid,
                level: commit.level_to,
            },
            Record::Rollback(rollback) => TransactionStep::Rollback {
                session: rollback.procid,
                levels: rollback.levels,
            },
            Record::Init(_)
            | Record::Init2(_)
            | Record::Term(_)
            | Record::Term2(_)
            | Record::RecoveryQuit(_)
            | Record::RecoveryQuit2(_)
            | Record::RecoveryQuitKeepAttachments(_) => TransactionStep::EndAll,
            _ => return None,
        })
    }
}

impl Transactions {
    /// Takes note of a record; whether a transaction committed with it.
    pub fn follow(&mut self, lgpos: Lgpos, record: &Record<'_>) -> bool {
        TransactionStep::of(record).is_some_and(|step| self.take(lgpos, step))
    }

    /// Takes note of a step; whether a transaction committed with it.
    pub fn take(&mut self, lgpos: Lgpos, step: TransactionStep) -> bool {
        match step {
            TransactionStep::Begin {
                session,
                from,
                levels,
                trx,
            } => self.begin(lgpos, session, from, levels, trx),
            TransactionStep::Refresh { session, trx } => {
                if let Some(open) = self.sessions.get_mut(&session.0) {
                    open.level = 1;
                    open.trx = trx;
                }
            }
            TransactionStep::Commit { session, level } => return self.commit(session, level),
            TransactionStep::Rollback { session, levels } => {
                if let Some(open) = self.open_of(session) {
                    open.level = open.level.saturating_sub(levels);
                    self.rolled_back += u64::from(open.level == 0);
                }
            }
            TransactionStep::EndAll => self.sessions.clear(),
        }
        false
    }

    fn begin(&mut self, lgpos: Lgpos, session: ProcId, from: u8, levels: u8, trx: u32) {
        if from != 0 && !self.sessions.contains_key(&session.0) {
            return;
        }
        let begun = OpenTransaction {
            procid: session,
            trx,
            began: lgpos,
            level: 0,
        };
        let open = self.sessions.entry(session.0).or_insert(begun);
        if open.level == 0 {
            *open = begun;
        }
        open.level = open.level.max(from.saturating_add(levels));
    }

    fn commit(&mut self, session: ProcId, level: u8) -> bool {
        let Some(open) = self.open_of(session) else {
            self.began_before += u64::from(level == 0);
            return false;
        };
        open.level = open.level.min(level);
        let ended = open.level == 0;
        self.committed += u64::from(ended);
        ended
    }

    fn open_of(&mut self, session: ProcId) -> Option<&mut OpenTransaction> {
        let open = self.sessions.get_mut(&session.0)?;
        (open.level > 0).then_some(open)
    }

    /// Transactions that are open now, by session.
    pub fn open(&self) -> impl Iterator<Item = &OpenTransaction> {
        self.sessions.values().filter(|open| open.level > 0)
    }

    /// The transaction that a session is in.
    pub fn of_session(&self, session: ProcId) -> Option<&OpenTransaction> {
        self.sessions.get(&session.0).filter(|open| open.level > 0)
    }
}
