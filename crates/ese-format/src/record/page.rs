//! What every change of one page says first: who did it, to which page, at which dbtime.
//!
//! ```text
//! 0      1        3      4      8        16              24    28      29      31
//! | type | procid | dbid | pgno | dbtime | dbtime before | trx | level | iline | flags |   LRPAGE_
//! 32      36         40
//! | rceid | pgno FDP | objid |                                                             LRNODE_
//! ```
//!
//! Source: `LRPAGE_` and `LRNODE_` (`inc/logapi.hxx`).

use super::values::stored_flags;
use crate::layout::layout;
use crate::{Dbtime, ObjId, Pgno, ProcId};
use serde::Serialize;

stored_flags! {
    /// What a change of a page says about its tree and its maker (`fLRPage*`).
    pub struct PageOpFlags: u8 {
        /// The operation made a version: it can be rolled back.
        const VERSIONED = 0x01;
        /// The node was flagged as deleted (no longer logged).
        const DELETED = 0x02;
        /// The tree has unique keys.
        const UNIQUE = 0x04;
        /// The page belongs to a space tree.
        const SPACE = 0x08;
        /// The operation came from an index being built while others write.
        const CONCURRENT_INDEX = 0x10;
        /// A background task of the engine did it, not the user.
        const SYSTEM_TASK = 0x20;
    }
}

layout! {
    /// A change of one page.
    #[derive(Copy, Serialize)]
    PageOp [1..32] {
        1 procid: ProcId = "The session that did it.";
        3 dbid: u8 = "The database, as numbered within the log stream.";
        4 pgno: Pgno = "The page.";
        8 dbtime: Dbtime = "The dbtime that the page has after the change.";
        16 dbtime_before: Dbtime = "The dbtime that the page had before; the condition of redo.";
        24 trx: u32 = "The transaction, by the id it got when it began at level 0.";
        28 level: u8 = "The transaction level.";
        29 iline: u16 = "The node's place on the page, external header not counted.";
        31 flags: PageOpFlags = "More about the operation.";
    }
}

layout! {
    /// What a change of a node adds to [`PageOp`].
    #[derive(Copy, Serialize)]
    NodeOp [32..44] {
        32 rceid: u32 = "Joins the operation with its before image in a later [`UndoInfo`](super::UndoInfo).";
        36 pgno_fdp: Pgno = "The root of the tree.";
        40 objid: ObjId = "The tree.";
    }
}

impl PageOp {
    /// Whether the operation made a version and will be rolled back with its transaction.
    pub fn is_versioned(&self) -> bool {
        self.flags.contains(PageOpFlags::VERSIONED)
    }

    /// Whether the tree has unique keys.
    pub fn is_unique(&self) -> bool {
        self.flags.contains(PageOpFlags::UNIQUE)
    }

    /// Whether the page belongs to a space tree.
    pub fn is_space(&self) -> bool {
        self.flags.contains(PageOpFlags::SPACE)
    }
}
