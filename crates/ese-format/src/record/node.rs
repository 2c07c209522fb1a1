//! Records that change one node, or one page without changing the tree: insert, replace, delete, delta, undo, scrub.
//!
//! Each opens with [`PageOp`] and [`NodeOp`]; sizes of the variable parts follow, then the parts themselves in the
//! order of the struct's slices. Source: `inc/logapi.hxx`; the order of the parts as `ese/_log/logredo.cxx`
//! (`ErrLGRIRedoNodeOperation`) takes them.

use super::RecordType;
use super::diff::Diff;
use super::layout::{Write, Writer, fixed, fixed_layout, hex, stored_choice, stored_flags};
use super::page::{NodeOp, PageOp};
use crate::{FormatError, Reader};
use serde::Serialize;

/// A node was inserted at `page.iline` (`LRINSERT`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Insert<'a> {
    /// The page.
    #[serde(flatten)]
    pub page: PageOp,
    /// The tree.
    #[serde(flatten)]
    pub node: NodeOp,
    /// The first part of the node's key: what it shares with the page's prefix, in full.
    #[serde(serialize_with = "hex")]
    pub key_prefix: &'a [u8],
    /// The rest of the key.
    #[serde(serialize_with = "hex")]
    pub key_suffix: &'a [u8],
    /// The node's data.
    #[serde(serialize_with = "hex")]
    pub data: &'a [u8],
}

impl<'a> Insert<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        let page = fixed(reader, "Insert.page")?;
        let node = fixed(reader, "Insert.node")?;
        let suffix = reader.u16("Insert.key_suffix length")?;
        let prefix = reader.u16("Insert.key_prefix length")?;
        let data = reader.u16("Insert.data length")?;
        Ok(Insert {
            page,
            node,
            key_prefix: reader.take(prefix.into(), "Insert.key_prefix")?,
            key_suffix: reader.take(suffix.into(), "Insert.key_suffix")?,
            data: reader.take(data.into(), "Insert.data")?,
        })
    }
}

impl Write for Insert<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.fixed(&self.page);
        writer.fixed(&self.node);
        writer.length::<u16>("length of key_suffix", self.key_suffix.len());
        writer.length::<u16>("length of key_prefix", self.key_prefix.len());
        writer.length::<u16>("length of data", self.data.len());
        writer.bytes(self.key_prefix);
        writer.bytes(self.key_suffix);
        writer.bytes(self.data);
    }
}

/// A node that was flagged as deleted is alive again, its data unchanged (`LRFLAGINSERT`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FlagInsert<'a> {
    /// The page.
    #[serde(flatten)]
    pub page: PageOp,
    /// The tree.
    #[serde(flatten)]
    pub node: NodeOp,
    /// The node's whole key.
    #[serde(serialize_with = "hex")]
    pub key: &'a [u8],
    /// The node's data.
    #[serde(serialize_with = "hex")]
    pub data: &'a [u8],
}

impl<'a> FlagInsert<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        let page = fixed(reader, "FlagInsert.page")?;
        let node = fixed(reader, "FlagInsert.node")?;
        let key = reader.u16("FlagInsert.key length")?;
        let data = reader.u16("FlagInsert.data length")?;
        Ok(FlagInsert {
            page,
            node,
            key: reader.take(key.into(), "FlagInsert.key")?,
            data: reader.take(data.into(), "FlagInsert.data")?,
        })
    }
}

impl Write for FlagInsert<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.fixed(&self.page);
        writer.fixed(&self.node);
        writer.length::<u16>("length of key", self.key.len());
        writer.length::<u16>("length of data", self.data.len());
        writer.bytes(self.key);
        writer.bytes(self.data);
    }
}

/// A node that was flagged as deleted is alive again with new data (`LRFLAGINSERTANDREPLACEDATA`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FlagInsertAndReplaceData<'a> {
    /// The page.
    #[serde(flatten)]
    pub page: PageOp,
    /// The tree; its `rceid` is that of the insert.
    #[serde(flatten)]
    pub node: NodeOp,
    /// What [`NodeOp::rceid`] is to the insert, for the replace.
    pub rceid_replace: u32,
    /// The node's whole key.
    #[serde(serialize_with = "hex")]
    pub key: &'a [u8],
    /// The new data.
    #[serde(serialize_with = "hex")]
    pub data: &'a [u8],
}

impl<'a> FlagInsertAndReplaceData<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        let page = fixed(reader, "FlagInsertAndReplaceData.page")?;
        let node = fixed(reader, "FlagInsertAndReplaceData.node")?;
        let key = reader.u16("FlagInsertAndReplaceData.key length")?;
        let data = reader.u16("FlagInsertAndReplaceData.data length")?;
        Ok(FlagInsertAndReplaceData {
            page,
            node,
            rceid_replace: reader.u32("FlagInsertAndReplaceData.rceid_replace")?,
            key: reader.take(key.into(), "FlagInsertAndReplaceData.key")?,
            data: reader.take(data.into(), "FlagInsertAndReplaceData.data")?,
        })
    }
}

impl Write for FlagInsertAndReplaceData<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.fixed(&self.page);
        writer.fixed(&self.node);
        writer.length::<u16>("length of key", self.key.len());
        writer.length::<u16>("length of data", self.data.len());
        writer.fixed(&self.rceid_replace);
        writer.bytes(self.key);
        writer.bytes(self.data);
    }
}

fixed_layout! {
    /// A node was flagged as deleted (`LRFLAGDELETE`).
    pub struct FlagDelete: 43 {
        /// The page.
        #[serde(flatten)]
        pub page: PageOp,
        /// The tree.
        #[serde(flatten)]
        pub node: NodeOp,
    }
}

fixed_layout! {
    /// A node was removed from its page (`LRDELETE`).
    pub struct Delete: 43 {
        /// The page.
        #[serde(flatten)]
        pub page: PageOp,
        /// The tree.
        #[serde(flatten)]
        pub node: NodeOp,
    }
}

/// A node's data was replaced; all of the new data is here (`LRREPLACE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Replace<'a> {
    /// The page.
    #[serde(flatten)]
    pub page: PageOp,
    /// The tree.
    #[serde(flatten)]
    pub node: NodeOp,
    /// Length of the data before; 0 where the writer did not say.
    pub old_data_len: u16,
    /// Length of the data after, as stored; `data` has it too.
    pub new_data_len: u16,
    /// The new data.
    #[serde(serialize_with = "hex")]
    pub data: &'a [u8],
}

/// A node's data was replaced; only the difference is here (`LRREPLACE` under `lrtypReplaceD`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ReplaceDelta<'a> {
    /// The page.
    #[serde(flatten)]
    pub page: PageOp,
    /// The tree.
    #[serde(flatten)]
    pub node: NodeOp,
    /// Length of the data before.
    pub old_data_len: u16,
    /// Length of the data after.
    pub new_data_len: u16,
    /// How to make the new data from the old.
    pub diff: Diff<'a>,
}

/// Writes the length field that both forms of a replace have.
fn write_replace_length(writer: &mut Writer, bytes: &[u8], form: u16) {
    match u16::try_from(bytes.len()) {
        Ok(length) if length & WIDE_DIFF == 0 => writer.fixed(&(length | form)),
        _ => writer.refuse("length of data", bytes.len()),
    }
}

/// The bit of the length field that says which form of [`Diff`] follows (`LRREPLACE::fDiff2`).
const WIDE_DIFF: u16 = 0x8000;

impl<'a> Replace<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        let delta = ReplaceDelta::read(reader)?;
        Ok(Replace {
            page: delta.page,
            node: delta.node,
            old_data_len: delta.old_data_len,
            new_data_len: delta.new_data_len,
            data: delta.diff.bytes,
        })
    }
}

impl Write for Replace<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.fixed(&self.page);
        writer.fixed(&self.node);
        write_replace_length(writer, self.data, 0);
        writer.fixed(&self.old_data_len);
        writer.fixed(&self.new_data_len);
        writer.bytes(self.data);
    }
}

impl<'a> ReplaceDelta<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        let page = fixed(reader, "Replace.page")?;
        let node = fixed(reader, "Replace.node")?;
        let length = reader.u16("Replace.data length")?;
        Ok(ReplaceDelta {
            page,
            node,
            old_data_len: reader.u16("Replace.old_data_len")?,
            new_data_len: reader.u16("Replace.new_data_len")?,
            diff: Diff {
                wide: length & WIDE_DIFF != 0,
                bytes: reader.take((length & !WIDE_DIFF).into(), "Replace.data")?,
            },
        })
    }
}

impl Write for ReplaceDelta<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.fixed(&self.page);
        writer.fixed(&self.node);
        let form = if self.diff.wide { WIDE_DIFF } else { 0 };
        writer.length::<u16>("length of diff", usize::from(form) + self.diff.bytes.len());
        writer.fixed(&self.old_data_len);
        writer.fixed(&self.new_data_len);
        writer.bytes(self.diff.bytes);
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

/// The before image of a versioned operation, logged because the page was about to reach the disk before its
/// transaction ended (`LRUNDOINFO`). It changes no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct UndoInfo<'a> {
    /// The page; dbtimes are not filled in.
    #[serde(flatten)]
    pub page: PageOp,
    /// The tree; `rceid` names the operation.
    #[serde(flatten)]
    pub node: NodeOp,
    /// What would be undone.
    pub operation: Operation,
    /// For a replace: the largest size that the node's data had in the transaction.
    pub max_size: i16,
    /// For a replace: by how much the data grew or shrank.
    pub size_delta: i16,
    /// Key of the node's bookmark.
    #[serde(serialize_with = "hex")]
    pub bookmark_key: &'a [u8],
    /// Data of the node's bookmark, in trees without unique keys.
    #[serde(serialize_with = "hex")]
    pub bookmark_data: &'a [u8],
    /// For a replace: the data before.
    #[serde(serialize_with = "hex")]
    pub data: &'a [u8],
}

impl<'a> UndoInfo<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        let page = fixed(reader, "UndoInfo.page")?;
        let node = fixed(reader, "UndoInfo.node")?;
        let key = reader.u16("UndoInfo.bookmark_key length")?;
        let bookmark_data = reader.u16("UndoInfo.bookmark_data length")?;
        let operation = fixed(reader, "UndoInfo.operation")?;
        let max_size = fixed(reader, "UndoInfo.max_size")?;
        let size_delta = fixed(reader, "UndoInfo.size_delta")?;
        let data = reader.u16("UndoInfo.data length")?;
        Ok(UndoInfo {
            page,
            node,
            operation,
            max_size,
            size_delta,
            bookmark_key: reader.take(key.into(), "UndoInfo.bookmark_key")?,
            bookmark_data: reader.take(bookmark_data.into(), "UndoInfo.bookmark_data")?,
            data: reader.take(data.into(), "UndoInfo.data")?,
        })
    }
}

impl Write for UndoInfo<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.fixed(&self.page);
        writer.fixed(&self.node);
        writer.length::<u16>("length of bookmark_key", self.bookmark_key.len());
        writer.length::<u16>("length of bookmark_data", self.bookmark_data.len());
        writer.fixed(&self.operation);
        writer.fixed(&self.max_size);
        writer.fixed(&self.size_delta);
        writer.length::<u16>("length of data", self.data.len());
        writer.bytes(self.bookmark_key);
        writer.bytes(self.bookmark_data);
        writer.bytes(self.data);
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

impl<'a> Delta<'a> {
    pub(super) fn read_32(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        Self::read(reader, |reader| reader.i32("Delta.delta").map(i64::from))
    }

    pub(super) fn read_64(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        Self::read(reader, |reader| reader.i64("Delta64.delta"))
    }

    fn read(
        reader: &mut Reader<'a>,
        delta: impl FnOnce(&mut Reader<'a>) -> Result<i64, FormatError>,
    ) -> Result<Self, FormatError> {
        let page = fixed(reader, "Delta.page")?;
        let node = fixed(reader, "Delta.node")?;
        let key = reader.u16("Delta.bookmark_key length")?;
        let bookmark_data = reader.u16("Delta.bookmark_data length")?;
        Ok(Delta {
            page,
            node,
            delta: delta(reader)?,
            offset: reader.u16("Delta.offset")?,
            bookmark_key: reader.take(key.into(), "Delta.bookmark_key")?,
            bookmark_data: reader.take(bookmark_data.into(), "Delta.bookmark_data")?,
        })
    }
}

impl Write for Delta<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.fixed(&self.page);
        writer.fixed(&self.node);
        writer.length::<u16>("length of bookmark_key", self.bookmark_key.len());
        writer.length::<u16>("length of bookmark_data", self.bookmark_data.len());
        match (writer.record_type, i32::try_from(self.delta)) {
            (RecordType::Delta64, _) => writer.fixed(&self.delta),
            (_, Ok(delta)) => writer.fixed(&delta),
            (_, Err(_)) => writer.refuse("32-bit delta", self.delta),
        }
        writer.fixed(&self.offset);
        writer.bytes(self.bookmark_key);
        writer.bytes(self.bookmark_data);
    }
}

/// An operation was undone in a rollback (`LRUNDO`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Undo<'a> {
    /// The page on which the node was found.
    #[serde(flatten)]
    pub page: PageOp,
    /// The tree; `rceid` names the operation.
    #[serde(flatten)]
    pub node: NodeOp,
    /// What was undone.
    pub operation: Operation,
    /// The transaction level of the operation that was undone; `page.level` is that of the rollback.
    pub operation_level: u8,
    /// Key of the node's bookmark.
    #[serde(serialize_with = "hex")]
    pub bookmark_key: &'a [u8],
    /// Data of the node's bookmark, in trees without unique keys.
    #[serde(serialize_with = "hex")]
    pub bookmark_data: &'a [u8],
}

impl<'a> Undo<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        let page = fixed(reader, "Undo.page")?;
        let node = fixed(reader, "Undo.node")?;
        let key = reader.u16("Undo.bookmark_key length")?;
        let bookmark_data = reader.u16("Undo.bookmark_data length")?;
        Ok(Undo {
            page,
            node,
            operation: fixed(reader, "Undo.operation")?,
            operation_level: reader.u8("Undo.operation_level")?,
            bookmark_key: reader.take(key.into(), "Undo.bookmark_key")?,
            bookmark_data: reader.take(bookmark_data.into(), "Undo.bookmark_data")?,
        })
    }
}

impl Write for Undo<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.fixed(&self.page);
        writer.fixed(&self.node);
        writer.length::<u16>("length of bookmark_key", self.bookmark_key.len());
        writer.length::<u16>("length of bookmark_data", self.bookmark_data.len());
        writer.fixed(&self.operation);
        writer.fixed(&self.operation_level);
        writer.bytes(self.bookmark_key);
        writer.bytes(self.bookmark_data);
    }
}

/// A page's external header was set; the page is `page.pgno`, `page.iline` means nothing (`LRSETEXTERNALHEADER`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SetExternalHeader<'a> {
    /// The page.
    #[serde(flatten)]
    pub page: PageOp,
    /// The tree.
    #[serde(flatten)]
    pub node: NodeOp,
    /// The new external header.
    #[serde(serialize_with = "hex")]
    pub data: &'a [u8],
}

impl<'a> SetExternalHeader<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        let page = fixed(reader, "SetExternalHeader.page")?;
        let node = fixed(reader, "SetExternalHeader.node")?;
        let data = reader.u16("SetExternalHeader.data length")?;
        Ok(SetExternalHeader {
            page,
            node,
            data: reader.take(data.into(), "SetExternalHeader.data")?,
        })
    }
}

impl Write for SetExternalHeader<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.fixed(&self.page);
        writer.fixed(&self.node);
        writer.length::<u16>("length of data", self.data.len());
        writer.bytes(self.data);
    }
}

stored_flags! {
    /// What was scrubbed (`m_fLRScrub*`).
    pub struct ScrubFlags: u32 {
        /// The page is not in use: all of it was overwritten.
        const UNUSED_PAGE = 0x1;
    }
}

/// Deleted data on a page was overwritten (`LRSCRUB`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Scrub<'a> {
    /// The page.
    #[serde(flatten)]
    pub page: PageOp,
    /// The tree.
    #[serde(flatten)]
    pub node: NodeOp,
    /// What was scrubbed.
    pub scrub_flags: ScrubFlags,
    /// How many nodes `operations` is about.
    pub operation_count: u32,
    /// One byte per node of the page: 0 leave it, 1 overwrite its data, 2 overwrite it as a long value chunk
    /// (`scrubOper*`, `inc/node.hxx`).
    #[serde(serialize_with = "hex")]
    pub operations: &'a [u8],
}

impl<'a> Scrub<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        let page = fixed(reader, "Scrub.page")?;
        let node = fixed(reader, "Scrub.node")?;
        let scrub_flags = fixed(reader, "Scrub.scrub_flags")?;
        let operation_count = reader.u32("Scrub.operation_count")?;
        let data = reader.u16("Scrub.operations length")?;
        Ok(Scrub {
            page,
            node,
            scrub_flags,
            operation_count,
            operations: reader.take(data.into(), "Scrub.operations")?,
        })
    }
}

impl Write for Scrub<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.fixed(&self.page);
        writer.fixed(&self.node);
        writer.fixed(&self.scrub_flags);
        writer.fixed(&self.operation_count);
        writer.length::<u16>("length of operations", self.operations.len());
        writer.bytes(self.operations);
    }
}
