//! Records that change one node, or one page without changing the tree: insert, replace, delete, delta, undo, scrub.
//!
//! Each opens with [`PageOp`] and [`NodeOp`]; sizes of the variable parts follow, then the parts themselves in the
//! order of the struct's slices. Source: `inc/logapi.hxx`; the order of the parts as `ese/_log/logredo.cxx`
//! (`ErrLGRIRedoNodeOperation`) takes them.

use super::RecordType;
use super::body::{Body, Form, Part, Writer, of_type, record};
use super::diff::Diff;
use super::page::{NodeOp, PageOp};
use super::values::{hex, stored_choice, stored_flags};
use crate::layout::LayoutTable;
use crate::{FormatError, Reader};
use serde::Serialize;
use stored::{Delta32, Delta64};

record! {
    /// A node was inserted at `page.iline` (`LRINSERT`).
    Insert<'a> [1..50] {
        #[serde(flatten)]
        1 page: PageOp = "The page.";
        #[serde(flatten)]
        32 node: NodeOp = "The tree.";
    }
    parts {
        #[serde(serialize_with = "hex")]
        U16(46) key_prefix: &'a [u8] = "The first part of the node's key: what it shares with the page's prefix, in full.";
        #[serde(serialize_with = "hex")]
        U16(44) key_suffix: &'a [u8] = "The rest of the key.";
        #[serde(serialize_with = "hex")]
        U16(48) data: &'a [u8] = "The node's data.";
    }
}

record! {
    /// A node that was flagged as deleted is alive again, its data unchanged (`LRFLAGINSERT`).
    FlagInsert<'a> [1..48] {
        #[serde(flatten)]
        1 page: PageOp = "The page.";
        #[serde(flatten)]
        32 node: NodeOp = "The tree.";
    }
    parts {
        #[serde(serialize_with = "hex")]
        U16(44) key: &'a [u8] = "The node's whole key.";
        #[serde(serialize_with = "hex")]
        U16(46) data: &'a [u8] = "The node's data.";
    }
}

record! {
    /// A node that was flagged as deleted is alive again with new data (`LRFLAGINSERTANDREPLACEDATA`).
    FlagInsertAndReplaceData<'a> [1..52] {
        #[serde(flatten)]
        1 page: PageOp = "The page.";
        #[serde(flatten)]
        32 node: NodeOp = "The tree; its `rceid` is that of the insert.";
        48 rceid_replace: u32 = "What [`NodeOp::rceid`] is to the insert, for the replace.";
    }
    parts {
        #[serde(serialize_with = "hex")]
        U16(44) key: &'a [u8] = "The node's whole key.";
        #[serde(serialize_with = "hex")]
        U16(46) data: &'a [u8] = "The new data.";
    }
}

record! {
    /// A node was flagged as deleted (`LRFLAGDELETE`).
    FlagDelete [1..44] {
        #[serde(flatten)]
        1 page: PageOp = "The page.";
        #[serde(flatten)]
        32 node: NodeOp = "The tree.";
    }
}

record! {
    /// A node was removed from its page (`LRDELETE`).
    Delete [1..44] {
        #[serde(flatten)]
        1 page: PageOp = "The page.";
        #[serde(flatten)]
        32 node: NodeOp = "The tree.";
    }
}

record! {
    /// A node's data was replaced; all of the new data is here (`LRREPLACE`).
    Replace<'a> [1..50] {
        #[serde(flatten)]
        1 page: PageOp = "The page.";
        #[serde(flatten)]
        32 node: NodeOp = "The tree.";
        46 old_data_len: u16 = "Length of the data before; 0 where the writer did not say.";
        48 new_data_len: u16 = "Length of the data after, as stored; `data` has it too.";
    }
    parts {
        #[serde(serialize_with = "hex")]
        U15(44) data: &'a [u8] = "The new data.";
    }
}

record! {
    /// A node's data was replaced; only the difference is here (`LRREPLACE` under `lrtypReplaceD`).
    ReplaceDelta<'a> [1..50] {
        #[serde(flatten)]
        1 page: PageOp = "The page.";
        #[serde(flatten)]
        32 node: NodeOp = "The tree.";
        46 old_data_len: u16 = "Length of the data before.";
        48 new_data_len: u16 = "Length of the data after.";
    }
    parts {
        U15(44) diff: Diff<'a> = "How to make the new data from the old.";
    }
}

stored_choice! {
    /// An operation on a node that can be undone (`OPER`, `inc/ver.hxx`; only those that are logged).
    pub enum Operation: u16 {
        /// A node was inserted.
        Insert = 1,
        /// A node's data was replaced.
        Replace = 2,
        /// A node was flagged as deleted.
        FlagDelete = 3,
        /// A 32-bit number in a node was added to.
        Delta = 4,
        /// A 64-bit number in a node was added to.
        Delta64 = 9,
    }
}

record! {
    /// The before image of a versioned operation, logged because the page was about to reach the disk before its
    /// transaction ended (`LRUNDOINFO`). It changes no page.
    UndoInfo<'a> [1..56] {
        #[serde(flatten)]
        1 page: PageOp = "The page; dbtimes are not filled in.";
        #[serde(flatten)]
        32 node: NodeOp = "The tree; `rceid` names the operation.";
        48 operation: Operation = "What would be undone.";
        50 max_size: i16 = "For a replace: the largest size that the node's data had in the transaction.";
        52 size_delta: i16 = "For a replace: by how much the data grew or shrank.";
    }
    parts {
        #[serde(serialize_with = "hex")]
        U16(44) bookmark_key: &'a [u8] = "Key of the node's bookmark.";
        #[serde(serialize_with = "hex")]
        U16(46) bookmark_data: &'a [u8] = "Data of the node's bookmark, in trees without unique keys.";
        #[serde(serialize_with = "hex")]
        U16(54) data: &'a [u8] = "For a replace: the data before.";
    }
}

/// A number within a node's data was added to (`LRDELTA32`, `LRDELTA64`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Delta<'a> {
    /// The page.
    #[serde(flatten)]
    pub page: PageOp,
    /// The tree.
    #[serde(flatten)]
    pub node: NodeOp,
    /// What was added. The number itself is 32 bits wide in a `Delta` and 64 in a `Delta64` record.
    pub delta: i64,
    /// Where the number is in the node's data.
    pub offset: u16,
    /// Key of the node's bookmark.
    #[serde(serialize_with = "hex")]
    pub bookmark_key: &'a [u8],
    /// Data of the node's bookmark, in trees without unique keys.
    #[serde(serialize_with = "hex")]
    pub bookmark_data: &'a [u8],
}

/// The two forms in which a [`Delta`] is stored.
#[expect(unreachable_pub, reason = "the table makes it public")]
mod stored {
    use super::*;

    record! {
        /// A [`Delta`](super::Delta) whose number is 32 bits wide, as stored (`LRDELTA32`).
        Delta32<'a> [1..54] {
            1 page: PageOp = "The page.";
            32 node: NodeOp = "The tree.";
            48 delta: i32 = "What was added.";
            52 offset: u16 = "Where the number is in the node's data.";
        }
        parts {
            U16(44) bookmark_key: &'a [u8] = "Key of the node's bookmark.";
            U16(46) bookmark_data: &'a [u8] = "Data of the node's bookmark.";
        }
    }

    record! {
        /// A [`Delta`](super::Delta) whose number is 64 bits wide, as stored (`LRDELTA64`).
        Delta64<'a> [1..58] {
            1 page: PageOp = "The page.";
            32 node: NodeOp = "The tree.";
            48 delta: i64 = "What was added.";
            56 offset: u16 = "Where the number is in the node's data.";
        }
        parts {
            U16(44) bookmark_key: &'a [u8] = "Key of the node's bookmark.";
            U16(46) bookmark_data: &'a [u8] = "Data of the node's bookmark.";
        }
    }
}

/// Makes one form of a delta from another one, with this number.
macro_rules! delta {
    ($name:ident, $other:expr, $delta:expr) => {
        $name {
            page: $other.page,
            node: $other.node,
            delta: $delta,
            offset: $other.offset,
            bookmark_key: $other.bookmark_key,
            bookmark_data: $other.bookmark_data,
        }
    };
}

/// The tables of both forms of a [`Delta`].
pub(super) const DELTA_LAYOUTS: [Option<LayoutTable>; 2] = [Delta32::LAYOUT, Delta64::LAYOUT];

impl<'a> Body<'a> for Delta<'a> {
    const ENDS: &'static [usize] = &[Delta32::ENDS[0], Delta64::ENDS[0]];
    const PARTS: &'static [Part] = Delta32::PARTS;

    fn read(reader: &mut Reader<'a>, form: Form) -> Result<Self, FormatError> {
        if form.record_type == RecordType::Delta64 {
            let wide = Delta64::read(reader, form)?;
            return Ok(delta!(Delta, wide, wide.delta));
        }
        let narrow = Delta32::read(reader, form)?;
        Ok(delta!(Delta, narrow, narrow.delta.into()))
    }

    fn write(&self, writer: &mut Writer) {
        match (writer.record_type, i32::try_from(self.delta)) {
            (RecordType::Delta64, _) => delta!(Delta64, self, self.delta).write(writer),
            (_, Ok(delta)) => delta!(Delta32, self, delta).write(writer),
            (_, Err(_)) => writer.refuse("32-bit delta", self.delta),
        }
    }

    fn head<T: 'static>(&self) -> Option<&T> {
        of_type(&self.page).or_else(|| of_type(&self.node))
    }
}

record! {
    /// An operation was undone in a rollback (`LRUNDO`).
    Undo<'a> [1..51] {
        #[serde(flatten)]
        1 page: PageOp = "The page on which the node was found.";
        #[serde(flatten)]
        32 node: NodeOp = "The tree; `rceid` names the operation.";
        48 operation: Operation = "What was undone.";
        50 operation_level: u8 = "The transaction level of the operation that was undone; `page.level` is that of the rollback.";
    }
    parts {
        #[serde(serialize_with = "hex")]
        U16(44) bookmark_key: &'a [u8] = "Key of the node's bookmark.";
        #[serde(serialize_with = "hex")]
        U16(46) bookmark_data: &'a [u8] = "Data of the node's bookmark, in trees without unique keys.";
    }
}

record! {
    /// A page's external header was set; the page is `page.pgno`, `page.iline` means nothing (`LRSETEXTERNALHEADER`).
    SetExternalHeader<'a> [1..46] {
        #[serde(flatten)]
        1 page: PageOp = "The page.";
        #[serde(flatten)]
        32 node: NodeOp = "The tree.";
    }
    parts {
        #[serde(serialize_with = "hex")]
        U16(44) data: &'a [u8] = "The new external header.";
    }
}

stored_flags! {
    /// What was scrubbed (`m_fLRScrub*`).
    pub struct ScrubFlags: u32 {
        /// The page is not in use: all of it was overwritten.
        const UNUSED_PAGE = 0x1;
    }
}

record! {
    /// Deleted data on a page was overwritten (`LRSCRUB`).
    Scrub<'a> [1..54] {
        #[serde(flatten)]
        1 page: PageOp = "The page.";
        #[serde(flatten)]
        32 node: NodeOp = "The tree.";
        44 scrub_flags: ScrubFlags = "What was scrubbed.";
        48 operation_count: u32 = "How many nodes `operations` is about.";
    }
    parts {
        #[serde(serialize_with = "hex")]
        U16(52) operations: &'a [u8] = "One byte per node of the page: 0 leave it, 1 overwrite its data, 2 overwrite it as a long value chunk (`scrubOper*`, `inc/node.hxx`).";
    }
}
