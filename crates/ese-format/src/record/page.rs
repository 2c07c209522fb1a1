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

use super::layout::{fixed_layout, stored_flags};
use crate::{Dbtime, ObjId, Pgno, ProcId};

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

fixed_layout! {
    /// A change of one page.
    pub struct PageOp: 31 {
        /// The session that did it.
        pub procid: ProcId,
        /// The database, as numbered within the log stream.
        pub dbid: u8,
        /// The page.
        pub pgno: Pgno,
        /// The dbtime that the page has after the change.
        pub dbtime: Dbtime,
        /// The dbtime that the page had before; the condition of redo.
        pub dbtime_before: Dbtime,
        /// The transaction, by the id it got when it began at level 0.
        pub trx: u32,
        /// The transaction level.
        pub level: u8,
        /// The node's place on the page, external header not counted.
        pub iline: u16,
        /// More about the operation.
        pub flags: PageOpFlags,
    }
}

fixed_layout! {
    /// What a change of a node adds to [`PageOp`].
    pub struct NodeOp: 12 {
        /// Joins the operation with its before image in a later [`UndoInfo`](super::UndoInfo).
        pub rceid: u32,
        /// The root of the tree.
        pub pgno_fdp: Pgno,
        /// The tree.
        pub objid: ObjId,
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
