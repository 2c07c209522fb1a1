//! Records about transactions and macro operations: their begin, their end, and what clients note about a commit.
//!
//! Source: `LRTRX_` and what derives from it, `LRMACROINFO`, `LRMACROINFO2`, `LRCOMMITCTX`, `LRCOMMITCTXOLD`
//! (`inc/logapi.hxx`).

use super::layout::{Write, Writer, fixed, fixed_layout, hex, stored_flags};
use super::{RecordFormat, RecordType};
use crate::{Dbtime, FormatError, Pgno, ProcId, Reader};
use serde::{Serialize, Serializer};

/// A transaction began, or one or more levels of it (`LRBEGIN`, `LRBEGIN0`, `LRBEGINDT`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Begin {
    /// The session.
    pub procid: ProcId,
    /// The level that it stood at before.
    pub level_from: u8,
    /// How many levels began; the transaction is at the sum of both.
    pub levels: u8,
    /// The transaction's id; only where it began at level 0.
    pub trx: Option<u32>,
}

impl Begin {
    /// Reads the form of levels above 0.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, FormatError> {
        let procid = fixed(reader, "Begin.procid")?;
        let levels = reader.u8("Begin.levels")?;
        Ok(Begin {
            procid,
            level_from: levels & 0x0f,
            levels: levels >> 4,
            trx: None,
        })
    }

    /// Reads the form of level 0.
    pub(super) fn read_outer(reader: &mut Reader<'_>) -> Result<Self, FormatError> {
        let mut begin = Self::read(reader)?;
        begin.trx = Some(reader.u32("Begin.trx")?);
        Ok(begin)
    }
}

impl Write for Begin {
    fn write(&self, writer: &mut Writer) {
        writer.fixed(&self.procid);
        writer.fixed(&((self.level_from & 0x0f) | (self.levels << 4)));
        if let Some(trx) = &self.trx {
            writer.fixed(trx);
        }
    }
}

fixed_layout! {
    /// A transaction committed down to a level above 0 (`LRCOMMIT`).
    pub struct Commit: 3 {
        /// The session.
        pub procid: ProcId,
        /// The level that it is at after.
        pub level_to: u8,
    }
}

fixed_layout! {
    /// A transaction committed to level 0 (`LRCOMMIT0`).
    pub struct Commit0: 7 {
        /// The session.
        pub procid: ProcId,
        /// The level that it is at after: 0.
        pub level_to: u8,
        /// The id that orders this commit among all.
        pub trx: u32,
    }
}

fixed_layout! {
    /// A transaction rolled back (`LRROLLBACK`).
    pub struct Rollback: 3 {
        /// The session.
        pub procid: ProcId,
        /// How many levels were rolled back.
        pub levels: u8,
    }
}

fixed_layout! {
    /// A session took a new transaction id (`LRREFRESH`).
    pub struct Refresh: 6 {
        /// The session.
        pub procid: ProcId,
        /// The new id.
        pub trx: u32,
    }
}

fixed_layout! {
    /// The log was flushed by force, for this session (`LRFORCEWRITELOG`).
    pub struct ForceWriteLog: 2 {
        /// The session.
        pub procid: ProcId,
    }
}

fixed_layout! {
    /// A macro operation began or ended (`LRMACROBEGIN`, `LRMACROEND`).
    pub struct Macro: 10 {
        /// The session.
        pub procid: ProcId,
        /// The dbtime that names the macro: all of its records carry it.
        pub dbtime: Dbtime,
    }
}

/// A distributed transaction was prepared (`LRPREPCOMMIT`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PrepareCommit<'a> {
    /// The session.
    pub procid: ProcId,
    /// What the coordinator gave.
    #[serde(serialize_with = "hex")]
    pub data: &'a [u8],
}

impl<'a> PrepareCommit<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        let procid = fixed(reader, "PrepareCommit.procid")?;
        let length = reader.u32("PrepareCommit.data length")?;
        Ok(PrepareCommit {
            procid,
            data: reader.take(length as usize, "PrepareCommit.data")?,
        })
    }
}

impl Write for PrepareCommit<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.fixed(&self.procid);
        writer.length::<u32>("length of data", self.data.len());
        writer.bytes(self.data);
    }
}

/// The pages that a macro operation touched; informs, changes no page (`LRMACROINFO`, `LRMACROINFO2`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MacroInfo<'a> {
    /// The database. The older form has none and is about database 1.
    pub dbid: u8,
    /// The pages.
    pub pages: Pgnos<'a>,
}

/// A list of page numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pgnos<'a> {
    /// The list as stored, four bytes each.
    pub bytes: &'a [u8],
}

impl<'a> MacroInfo<'a> {
    pub(super) fn read_old(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        Ok(MacroInfo {
            dbid: 1,
            pages: Pgnos {
                bytes: reader.take(reader.remaining().len(), "MacroInfo.pages")?,
            },
        })
    }

    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        let dbid = reader.u8("MacroInfo.dbid")?;
        let count = reader.u32("MacroInfo.pages count")?;
        let length = (count as usize).saturating_mul(size_of::<Pgno>());
        Ok(MacroInfo {
            dbid,
            pages: Pgnos {
                bytes: reader.take(length, "MacroInfo.pages")?,
            },
        })
    }
}

impl Write for MacroInfo<'_> {
    fn write(&self, writer: &mut Writer) {
        if writer.record_type == RecordType::MacroInfo2 {
            writer.fixed(&self.dbid);
            writer.length::<u32>("count of pages", self.pages.iter().count());
        }
        writer.bytes(self.pages.bytes);
    }
}

impl<'a> Pgnos<'a> {
    /// The page numbers.
    pub fn iter(self) -> impl Iterator<Item = Pgno> + use<'a> {
        let (pages, _) = self.bytes.as_chunks();
        pages.iter().map(|bytes| Pgno(u32::from_le_bytes(*bytes)))
    }
}

impl Serialize for Pgnos<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

stored_flags! {
    /// What is to happen with a commit context (`fCommitCtx*`).
    pub struct CommitContextFlags: u8 {
        /// Recovery calls the client back with it.
        const CALLBACK_NEEDED = 0x1;
        /// It may hold personal data.
        const CUSTOMER_DATA = 0x2;
        /// Recovery calls the client back before it applies the commit.
        const PRE_COMMIT_CALLBACK_NEEDED = 0x4;
    }
}

/// What a client attached to the commit that follows; informs, changes no page (`LRCOMMITCTX`, `LRCOMMITCTXOLD`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CommitContext<'a> {
    /// The session.
    pub procid: ProcId,
    /// `None` in logs older than the flags (see [`RecordFormat`]).
    pub context_flags: Option<CommitContextFlags>,
    /// The context.
    #[serde(serialize_with = "hex")]
    pub data: &'a [u8],
}

impl<'a> CommitContext<'a> {
    pub(super) fn read(reader: &mut Reader<'a>, format: RecordFormat) -> Result<Self, FormatError> {
        let procid = fixed(reader, "CommitContext.procid")?;
        let context_flags = format
            .has_commit_context_flags
            .then(|| fixed(reader, "CommitContext.context_flags"))
            .transpose()?;
        Ok(CommitContext {
            procid,
            context_flags,
            data: reader.take(reader.remaining().len(), "CommitContext.data")?,
        })
    }
}

impl Write for CommitContext<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.fixed(&self.procid);
        if let Some(flags) = &self.context_flags {
            writer.fixed(flags);
        }
        writer.bytes(self.data);
    }
}
