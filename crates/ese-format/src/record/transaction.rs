//! Records about transactions and macro operations: their begin, their end, and what clients note about a commit.
//!
//! Source: `LRTRX_` and what derives from it, `LRMACROINFO`, `LRMACROINFO2`, `LRCOMMITCTX`, `LRCOMMITCTXOLD`
//! (`inc/logapi.hxx`).

use super::RecordType;
use super::body::{Body, Form, IGNORABLE_HEAD, Writer, record};
use super::values::{hex, stored_flags};
use crate::layout::{LayoutTable, Stored};
use crate::{Dbtime, FormatError, Pgno, ProcId, Reader};
use byteorder::{ByteOrder, LittleEndian};
use serde::{Serialize, Serializer};
use stored::StoredBegin;

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

/// How a [`Begin`] is stored.
#[expect(unreachable_pub, reason = "the table makes it public")]
mod stored {
    use super::*;

    record! {
        /// A [`Begin`](super::Begin) as stored.
        StoredBegin [1..4] {
            1 procid: ProcId = "The session.";
            3 levels: u8 = "The level that it stood at before in the low half, how many levels began in the high half.";
        }
        later {
            4 trx: u32 = "The transaction's id; only where it began at level 0.";
        }
    }
}

impl<'a> Body<'a> for Begin {
    const ENDS: &'static [usize] = StoredBegin::ENDS;
    const LAYOUT: Option<LayoutTable> = StoredBegin::LAYOUT;

    fn read(reader: &mut Reader<'a>, form: Form) -> Result<Self, FormatError> {
        let StoredBegin {
            procid,
            levels,
            trx,
        } = Body::read(reader, form)?;
        Ok(Begin {
            procid,
            level_from: levels & 0x0f,
            levels: levels >> 4,
            trx,
        })
    }

    fn write(&self, writer: &mut Writer) {
        let stored = StoredBegin {
            procid: self.procid,
            levels: (self.level_from & 0x0f) | (self.levels << 4),
            trx: self.trx,
        };
        stored.write(writer);
    }
}

record! {
    /// A transaction committed down to a level above 0 (`LRCOMMIT`).
    Commit [1..4] {
        1 procid: ProcId = "The session.";
        3 level_to: u8 = "The level that it is at after.";
    }
}

record! {
    /// A transaction committed to level 0 (`LRCOMMIT0`).
    Commit0 [1..8] {
        1 procid: ProcId = "The session.";
        3 level_to: u8 = "The level that it is at after: 0.";
        4 trx: u32 = "The id that orders this commit among all.";
    }
}

record! {
    /// A transaction rolled back (`LRROLLBACK`).
    Rollback [1..4] {
        1 procid: ProcId = "The session.";
        3 levels: u8 = "How many levels were rolled back.";
    }
}

record! {
    /// A session took a new transaction id (`LRREFRESH`).
    Refresh [1..7] {
        1 procid: ProcId = "The session.";
        3 trx: u32 = "The new id.";
    }
}

record! {
    /// The log was flushed by force, for this session (`LRFORCEWRITELOG`).
    ForceWriteLog [1..3] {
        1 procid: ProcId = "The session.";
    }
}

record! {
    /// A macro operation began or ended (`LRMACROBEGIN`, `LRMACROEND`).
    Macro [1..11] {
        1 procid: ProcId = "The session.";
        3 dbtime: Dbtime = "The dbtime that names the macro: all of its records carry it.";
    }
}

record! {
    /// A distributed transaction was prepared (`LRPREPCOMMIT`).
    PrepareCommit<'a> [1..7] {
        1 procid: ProcId = "The session.";
    }
    parts {
        #[serde(serialize_with = "hex")]
        U32(3) data: &'a [u8] = "What the coordinator gave.";
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

/// By hand, since the older form has no field at all, and since the list is counted in pages.
impl<'a> Body<'a> for MacroInfo<'a> {
    const START: usize = IGNORABLE_HEAD;
    const ENDS: &'static [usize] = &[IGNORABLE_HEAD];

    fn read(reader: &mut Reader<'a>, form: Form) -> Result<Self, FormatError> {
        let (dbid, length) = if form.record_type == RecordType::MacroInfo2 {
            let dbid = reader.u8("MacroInfo.dbid")?;
            let count = reader.u32("MacroInfo.pages count")?;
            (dbid, (count as usize).saturating_mul(Pgno::SIZE))
        } else {
            (1, reader.remaining().len())
        };
        Ok(MacroInfo {
            dbid,
            pages: Pgnos {
                bytes: reader.take(length, "MacroInfo.pages")?,
            },
        })
    }

    fn write(&self, writer: &mut Writer) {
        if writer.record_type == RecordType::MacroInfo2 {
            writer.value(&self.dbid);
            let count = self.pages.iter().count();
            match u32::try_from(count) {
                Ok(count) => writer.value(&count),
                Err(_) => writer.refuse("count of pages", count),
            }
        }
        writer.bytes(self.pages.bytes);
    }
}

impl<'a> Pgnos<'a> {
    /// The page numbers.
    pub fn iter(self) -> impl Iterator<Item = Pgno> + use<'a> {
        let pages = self.bytes.chunks_exact(4);
        pages.map(LittleEndian::read_u32).map(Pgno)
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
    /// `None` in logs older than the flags (see [`RecordFormat`](super::RecordFormat)).
    pub context_flags: Option<CommitContextFlags>,
    /// The context.
    #[serde(serialize_with = "hex")]
    pub data: &'a [u8],
}

/// By hand, since the version of the log says whether there are flags.
impl<'a> Body<'a> for CommitContext<'a> {
    const START: usize = IGNORABLE_HEAD;
    const ENDS: &'static [usize] = &[IGNORABLE_HEAD];

    fn read(reader: &mut Reader<'a>, form: Form) -> Result<Self, FormatError> {
        let procid = ProcId(reader.u16("CommitContext.procid")?);
        let context_flags = match form.format.has_commit_context_flags {
            true => Some(reader.u8("CommitContext.context_flags")?),
            false => None,
        };
        Ok(CommitContext {
            procid,
            context_flags: context_flags.map(CommitContextFlags::from_bits_retain),
            data: reader.take(reader.remaining().len(), "CommitContext.data")?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.value(&self.procid);
        if let Some(flags) = &self.context_flags {
            writer.value(flags);
        }
        writer.bytes(self.data);
    }
}
