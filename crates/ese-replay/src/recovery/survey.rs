//! What a range of a log stream holds, without any database: transactions, and which of them never end.

use super::{Ran, RecoveryError, Until, replay};
use crate::redo::Redo;
use ese_format::{Lgpos, ProcId, Progress};
use ese_log::StreamRecords;
use serde::Serialize;

/// A transaction that is open at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct OpenTransaction {
    /// Its session.
    pub procid: ProcId,
    /// Where it began.
    pub began: Lgpos,
    /// How deeply it is nested.
    pub level: u8,
}

/// What a range of logs holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Survey {
    /// How far it goes.
    #[serde(flatten)]
    pub ran: Ran,
    /// Transactions that committed.
    pub committed: u64,
    /// Transactions that the engine rolled back itself.
    pub rolled_back: u64,
    /// Transactions that a recovery would roll back.
    pub open: Vec<OpenTransaction>,
    /// Names of the databases that are attached at the end, on the machine that wrote the logs.
    pub attached: Vec<String>,
}

impl Survey {
    /// The place up to which a replay may go that leaves a database for later logs: where the oldest transaction
    /// began that is still open. What it did from there on must stay possible to undo, and a page on disk does not
    /// tell what was there before. `None` if nothing is open.
    pub fn hold_at(&self) -> Option<Lgpos> {
        self.open.iter().map(|open| open.began).min()
    }
}

/// Reads `records` and looks at their transactions.
pub fn survey(
    records: &mut StreamRecords,
    until: &Until,
    progress: &dyn Progress,
) -> Result<Survey, RecoveryError> {
    let mut redo = Redo::new();
    let ran = replay(&mut redo, records, until, progress)?;
    let open = redo
        .sessions()
        .iter()
        .filter(|(_, session)| session.level > 0);
    Ok(Survey {
        ran,
        committed: redo.counts().committed,
        rolled_back: redo.counts().rolled_back,
        open: open
            .map(|(procid, session)| OpenTransaction {
                procid: *procid,
                began: session.began,
                level: session.level,
            })
            .collect(),
        attached: redo
            .missing()
            .map(|missing| missing.logged.name.clone())
            .collect(),
    })
}
