//! Numbers to which several transactions add at the same time (escrow columns).
//!
//! Such a number is on its page with all that was added, committed or not. A transaction sees it without what others have
//! added and not committed; so does a row of the timeline (`ErrVERAccess`, `ese/ver.cxx`).

use ese_format::{ObjId, ProcId};
use ese_replay::redo::{AddedNumber, NodeChange};
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
    rows: FxHashMap<(u8, ObjId, Vec<u8>), Vec<OpenAddition>>,
}

impl Escrow {
    /// The data of a node as the session of `change` sees it.
    pub(crate) fn seen(&self, change: &NodeChange<'_>, data: &[u8]) -> Vec<u8> {
        let mut data = data.to_vec();
        let others = self.additions(change).iter();
        for other in others.filter(|other| other.session != change.page.procid) {
            let AddedNumber {
                offset,
                amount,
                width,
            } = other.added;
            let start = usize::from(offset);
            let Some(number) = data.get_mut(start..start + width) else {
                continue;
            };
            let mut wide = [0; 8];
            wide[..width].copy_from_slice(number);
            let less = u64::from_le_bytes(wide).wrapping_sub(amount.cast_unsigned());
            number.copy_from_slice(&less.to_le_bytes()[..width]);
        }
        data
    }

    fn additions(&self, change: &NodeChange<'_>) -> &[OpenAddition] {
        let additions = key(change).and_then(|key| self.rows.get(&key));
        additions.map_or(&[], Vec::as_slice)
    }

    /// Takes note of an addition.
    pub(crate) fn note(&mut self, change: &NodeChange<'_>, added: AddedNumber) {
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

fn key(change: &NodeChange<'_>) -> Option<(u8, ObjId, Vec<u8>)> {
    let bookmark = change.key?.to_vec();
    Some((change.page.dbid, change.node.objid, bookmark))
}
