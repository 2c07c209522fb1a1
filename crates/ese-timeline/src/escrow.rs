//! Numbers to which several transactions add at the same time (escrow columns).
//!
//! Such a number is on its page with all that was added, committed or not. A transaction sees it without what others have
//! added and not committed; so does a row of the timeline (`ErrVERAccess`, `ese/ver.cxx`). Where transactions may be open
//! whose records are not in the logs, such a number is not known.

use crate::change::RowChange;
use crate::masked::Masked;
use ese_format::{ObjId, ProcId};
use ese_replay::redo::AddedNumber;
use rustc_hash::FxHashMap;

#[derive(Debug)]
struct OpenAddition {
    session: ProcId,
    rceid: u32,
    added: AddedNumber,
}

/// What was added and not committed, by the row.
#[derive(Debug, Default)]
pub(crate) struct Escrow {
    /// Whether the records of all open transactions are known.
    knows_all: bool,
    rows: FxHashMap<(u8, ObjId, Vec<u8>), Vec<OpenAddition>>,
}

impl Escrow {
    /// The data of a node as the session of `change` sees it.
    pub(crate) fn seen(&self, change: &RowChange<'_>, data: &Masked, added: AddedNumber) -> Masked {
        if !self.knows_all {
            let start = usize::from(added.offset);
            let without = data.without(start..start + added.width);
            return without.unwrap_or_else(|| data.clone());
        }
        let mut data = data.clone();
        let others = self.additions(change).iter();
        for other in others.filter(|other| other.session != change.page.procid) {
            let AddedNumber {
                offset,
                amount,
                width,
            } = other.added;
            let less = data.add(usize::from(offset), amount.wrapping_neg(), width);
            data = less.unwrap_or(data);
        }
        data
    }

    fn additions(&self, change: &RowChange<'_>) -> &[OpenAddition] {
        let additions = key(change).and_then(|key| self.rows.get(&key));
        additions.map_or(&[], Vec::as_slice)
    }

    /// Takes note of an addition.
    pub(crate) fn note(&mut self, change: &RowChange<'_>, added: AddedNumber) {
        if let Some(key) = key(change).filter(|_| change.page.is_versioned()) {
            self.rows.entry(key).or_default().push(OpenAddition {
                session: change.page.procid,
                rceid: change.node.rceid,
                added,
            });
        }
    }

    /// An addition was taken back.
    pub(crate) fn undo(&mut self, session: ProcId, rceid: u32) {
        self.keep(|open| open.session != session || open.rceid != rceid);
    }

    /// An instance of the engine begins or ends: no transaction is open.
    pub(crate) fn end_all(&mut self) {
        self.rows.clear();
        self.knows_all = true;
    }

    /// Records are missing here: transactions may be open that nobody knows.
    pub(crate) fn forget(&mut self) {
        self.rows.clear();
        self.knows_all = false;
    }

    /// A session ended its transaction.
    pub(crate) fn end(&mut self, session: ProcId) {
        self.keep(|open| open.session != session);
    }

    fn keep(&mut self, is_kept: impl Fn(&OpenAddition) -> bool) {
        self.rows.retain(|_, additions| {
            additions.retain(&is_kept);
            !additions.is_empty()
        });
    }
}

fn key(change: &RowChange<'_>) -> Option<(u8, ObjId, Vec<u8>)> {
    let bookmark = change.key?.to_vec();
    Some((change.page.dbid, change.node.objid, bookmark))
}
