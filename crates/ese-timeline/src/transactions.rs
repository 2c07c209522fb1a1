//! Transactions that are open, with their events, and those that ended and wait to be told.

use crate::store::Kept;
use ese_format::record::PageOp;
use ese_format::{Lgpos, ProcId};
use std::collections::BTreeMap;

/// What was known of an event when it came, for what may happen to it later.
#[derive(Debug, Clone, Copy)]
struct Mark {
    rceid: u32,
    level: u8,
    undone: bool,
}

/// A transaction and its events.
#[derive(Debug)]
pub(crate) struct Transaction<E = Kept> {
    /// Its session.
    pub(crate) session: ProcId,
    /// The id it got when it began.
    pub(crate) id: u32,
    /// Where it began, if that is in the logs.
    pub(crate) began: Option<Lgpos>,
    /// The first thing that is known of it.
    pub(crate) first: Lgpos,
    level: u8,
    marks: Vec<Mark>,
    /// Its events by their places; those that nobody wants are not kept.
    events: Vec<(u32, E)>,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It committed here.
    Committed(Lgpos),
    /// It was rolled back; here, or by the end of its session.
    RolledBack(Option<Lgpos>),
    /// The logs end first.
    Open,
    /// A log is missing.
    NotKnown,
}

/// A transaction that ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) transaction: Transaction,
    pub(crate) end: End,
}

impl<E> Transaction<E> {
    fn new(session: ProcId, id: u32, began: Option<Lgpos>, first: Lgpos) -> Self {
        Transaction {
            session,
            id,
            began,
            first,
            level: 0,
            marks: Vec::new(),
            events: Vec::new(),
        }
    }

    /// How many changes it made.
    pub(crate) fn count(&self) -> u64 {
        self.marks.len() as u64
    }

    /// Adds a change, with its event if somebody wants it.
    pub(crate) fn add(&mut self, rceid: u32, level: u8, event: Option<E>) {
        let place = self.marks.len();
        self.marks.push(Mark {
            rceid,
            level: level.min(self.level.max(1)),
            undone: false,
        });
        if let (Some(event), Ok(place)) = (event, u32::try_from(place)) {
            self.events.push((place, event));
        }
    }

    /// Its events with their places, and whether each was taken back.
    pub(crate) fn take_events(&mut self) -> Vec<(u64, bool, E)> {
        let marks = &self.marks;
        let events = std::mem::take(&mut self.events).into_iter();
        let events = events.map(|(place, event)| {
            let undone = marks.get(place as usize).is_some_and(|mark| mark.undone);
            (u64::from(place) + 1, undone, event)
        });
        events.collect()
    }

    /// Whether it made nothing that is to be told.
    pub(crate) fn is_silent(&self) -> bool {
        self.events.is_empty()
    }
}

/// The transactions that are open.
#[derive(Debug)]
pub(crate) struct Open<E = Kept>(BTreeMap<ProcId, Transaction<E>>);

impl<E> Default for Open<E> {
    fn default() -> Self {
        Open(BTreeMap::new())
    }
}

impl<E> Open<E> {
    /// Levels begin. What the session had open before is given back: it cannot go on.
    pub(crate) fn begin(
        &mut self,
        session: ProcId,
        (from, levels): (u8, u8),
        id: u32,
        lgpos: Lgpos,
    ) -> Option<Transaction<E>> {
        let mut old = None;
        if from == 0 {
            let begun = Transaction::new(session, id, Some(lgpos), lgpos);
            old = self.0.insert(session, begun);
        }
        if let Some(open) = self.0.get_mut(&session) {
            open.level = open.level.max(from.saturating_add(levels));
        }
        old
    }

    /// The session's transaction gets another id.
    pub(crate) fn refresh(&mut self, session: ProcId, id: u32) {
        if let Some(open) = self.0.get_mut(&session) {
            open.id = id;
        }
    }

    /// The session's transaction, which changes a page here; one that began before the logs if none began in them.
    pub(crate) fn of(&mut self, page: &PageOp, lgpos: Lgpos) -> &mut Transaction<E> {
        let open = self.0.entry(page.procid);
        open.or_insert_with(|| Transaction {
            level: page.level,
            ..Transaction::new(page.procid, page.trx, None, lgpos)
        })
    }

    /// Commits down to `level`; the transaction, if that ends it.
    pub(crate) fn commit(&mut self, session: ProcId, level: u8) -> Option<Transaction<E>> {
        if level == 0 {
            return self.0.remove(&session);
        }
        let open = self.0.get_mut(&session)?;
        open.level = open.level.min(level);
        for mark in open.marks.iter_mut().rev() {
            if mark.level <= level {
                break;
            }
            mark.level = level;
        }
        None
    }

    /// Ends `levels` levels, whose changes are taken back; the transaction, if that ends it.
    pub(crate) fn roll_back(&mut self, session: ProcId, levels: u8) -> Option<Transaction<E>> {
        let open = self.0.get_mut(&session)?;
        open.level = open.level.saturating_sub(levels);
        let level = open.level;
        for mark in open.marks.iter_mut().rev() {
            if mark.level <= level {
                break;
            }
            mark.undone = true;
        }
        match level {
            0 => self.0.remove(&session),
            _ => None,
        }
    }

    /// An operation is taken back by itself.
    pub(crate) fn undo(&mut self, session: ProcId, rceid: u32) {
        let Some(open) = self.0.get_mut(&session) else {
            return;
        };
        let mut marks = open.marks.iter_mut().rev();
        if rceid != 0
            && let Some(mark) = marks.find(|mark| mark.rceid == rceid)
        {
            mark.undone = true;
        }
    }

    /// All of them, oldest first: nothing goes on.
    pub(crate) fn take_all(&mut self) -> Vec<Transaction<E>> {
        let mut all: Vec<Transaction<E>> = std::mem::take(&mut self.0).into_values().collect();
        all.sort_by_key(|transaction| transaction.first);
        all
    }

    /// The first thing that is known of any that is open.
    pub(crate) fn oldest(&self) -> Option<Lgpos> {
        self.0.values().map(|transaction| transaction.first).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ese_format::record::PageOpFlags;
    use ese_format::{Dbtime, Pgno};

    #[test]
    fn a_transaction_seen_first_inside_a_level_goes_on_when_only_that_level_is_rolled_back() {
        let session = ProcId(3);
        let page = PageOp {
            procid: session,
            dbid: 1,
            pgno: Pgno(4),
            dbtime: Dbtime(9),
            dbtime_before: Dbtime(8),
            trx: 7,
            level: 2,
            iline: 0,
            flags: PageOpFlags::VERSIONED,
        };
        let lgpos = Lgpos::new(5, 1, 0);
        let mut open: Open = Open::default();
        open.of(&page, lgpos).add(1, page.level, None);
        assert!(open.roll_back(session, 1).is_none());
        open.of(&page, lgpos).add(2, 1, None);
        let transaction = open.commit(session, 0).unwrap();
        let undone = transaction.marks.iter().map(|mark| mark.undone);
        assert_eq!(undone.collect::<Vec<_>>(), [true, false]);
    }
}
