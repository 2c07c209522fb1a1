//! A change of a node, as rows are made of it: from redo, or from following it backwards.

use crate::event::Operation;
use crate::masked::Masked;
use ese_format::Lgpos;
use ese_format::record::{NodeOp, PageOp, Record};
use ese_replay::redo::{AddedNumber, NodeChangeKind};

/// A change of a node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowChange<'a> {
    /// The record.
    pub(crate) lgpos: Lgpos,
    /// The page, and who changed it.
    pub(crate) page: PageOp,
    /// The tree.
    pub(crate) node: NodeOp,
    /// What was done.
    pub(crate) kind: NodeChangeKind,
    /// For a record that adds to a number.
    pub(crate) added: Option<AddedNumber>,
    /// Bytes that its record takes.
    pub(crate) bytes: usize,
    /// Whether the database is as it is right after the change.
    pub(crate) is_current: bool,
    /// The whole key, as far as it is known.
    pub(crate) key: Option<&'a [u8]>,
    /// Whether the node was flagged as deleted before, so that no row changes.
    pub(crate) was_deleted: bool,
    /// The data before, as far as it is known.
    pub(crate) before: Option<&'a Masked>,
    /// The data after, likewise.
    pub(crate) after: Option<&'a Masked>,
    /// The page before and after.
    pub(crate) pages: Option<(&'a [u8], &'a [u8])>,
}

/// What a record does to a row, if it is about one.
pub(crate) fn operation_on_row(record: &Record<'_>) -> Option<Operation> {
    Some(match record {
        Record::Insert(_) | Record::FlagInsert(_) | Record::FlagInsertAndReplaceData(_) => {
            Operation::Insert
        }
        Record::Replace(_) | Record::ReplaceDelta(_) | Record::Delta(_) | Record::Delta64(_) => {
            Operation::Update
        }
        Record::FlagDelete(_) => Operation::Delete,
        _ => return None,
    })
}
