//! Work that an activation lost and that its source still has.

use crate::lost_rows::LostRows;
use ese_format::Generation;
use serde::{Deserialize, Serialize};

/// Work of the first server that was never replayed here: what the activation lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreplayedWork {
    /// The first generation that holds some of it.
    pub first: Generation,
    /// The last one.
    pub last: Generation,
    /// Its logs that are there.
    pub logs: u32,
    /// Transactions in them that were committed.
    pub committed: u64,
    /// Transactions in them that were rolled back.
    pub rolled_back: u64,
    /// Transactions that never ended.
    pub open: u32,
    /// What those that committed did to rows.
    #[serde(default)]
    pub rows: LostRows,
    /// Where reading them ended before their end, and why.
    pub stopped: Option<String>,
}
