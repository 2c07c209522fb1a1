//! What transactions mean for rows: a map of key to data for each tree. It knows no pages and no records.

use std::collections::{BTreeMap, BTreeSet};

/// A row by its tree and its name: the key, with the data after it where keys are not unique.
pub(crate) type Row = (usize, Vec<u8>);
/// The rows of all trees.
pub(crate) type Rows = BTreeMap<Row, Vec<u8>>;

/// A change of a row.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// It has this data from now on.
    Put(Vec<u8>),
    /// It is gone.
    Delete,
    /// This is added to the number at an offset of its data: 64 bits wide, or 32.
    Add(u16, i64, bool),
}

impl Change {
    fn apply(&self, rows: &mut Rows, row: &Row) {
        match self {
            Change::Put(data) => drop(rows.insert(row.clone(), data.clone())),
            Change::Delete => drop(rows.remove(row)),
            Change::Add(offset, delta, wide) => {
                let data = rows.get_mut(row).expect("the row is there");
                let place = &mut data[usize::from(*offset)..];
                let mut number = [0; 8];
                let width = if *wide { 8 } else { 4 };
                number[..width].copy_from_slice(&place[..width]);
                let sum = i64::from_le_bytes(number)
                    .wrapping_add(*delta)
                    .to_le_bytes();
                place[..width].copy_from_slice(&sum[..width]);
            }
        }
    }
}

struct Done {
    level: u8,
    row: Row,
    change: Change,
    before: Option<Vec<u8>>,
}

/// Transactions side by side.
#[derive(Default)]
pub(crate) struct Model {
    /// The rows as all transactions see them together.
    pub(crate) now: Rows,
    open: BTreeMap<u16, Vec<Done>>,
    /// Who changed a row that is not committed yet, and whether all of them only added to it.
    held: BTreeMap<Row, (BTreeSet<u16>, bool)>,
    /// Each commit: after how many records, and what it made true.
    commits: Vec<(usize, Vec<(Row, Change)>)>,
}

impl Model {
    /// Whether this transaction may make such a change now: rows that others changed are left alone, but for additions
    /// to what others added to.
    pub(crate) fn allows(&self, session: u16, row: &Row, adds: bool) -> bool {
        self.held.get(row).is_none_or(|(holders, only_added)| {
            holders.iter().all(|holder| *holder == session) || adds && *only_added
        })
    }

    /// Makes a change that is allowed.
    pub(crate) fn change(&mut self, session: u16, level: u8, row: Row, change: Change) {
        let adds = matches!(change, Change::Add(..));
        let held = self
            .held
            .entry(row.clone())
            .or_insert((BTreeSet::new(), true));
        held.0.insert(session);
        held.1 &= adds;
        let before = self.now.get(&row).cloned();
        change.apply(&mut self.now, &row);
        self.open.entry(session).or_default().push(Done {
            level,
            row,
            change,
            before,
        });
    }

    /// The innermost level commits; `records` is how many records say so.
    pub(crate) fn commit(&mut self, session: u16, level: u8, records: usize) {
        let done = self.open.entry(session).or_default();
        if level > 1 {
            for done in done {
                done.level = done.level.min(level - 1);
            }
            return;
        }
        let changes = self.open.remove(&session).unwrap_or_default();
        let changes = changes.into_iter().map(|done| (done.row, done.change));
        self.commits.push((records, changes.collect()));
        self.release(session);
    }

    /// The innermost level is rolled back.
    pub(crate) fn roll_back(&mut self, session: u16, level: u8) {
        let open = self.open.entry(session).or_default();
        while let Some(done) = open.pop_if(|done| done.level >= level) {
            match (&done.change, done.before) {
                (Change::Add(offset, delta, wide), _) => {
                    let back = Change::Add(*offset, delta.wrapping_neg(), *wide);
                    back.apply(&mut self.now, &done.row);
                }
                (_, Some(before)) => drop(self.now.insert(done.row, before)),
                (_, None) => drop(self.now.remove(&done.row)),
            }
        }
        if level == 1 {
            self.release(session);
        }
    }

    fn release(&mut self, session: u16) {
        self.held.retain(|_, (holders, _)| {
            holders.remove(&session);
            !holders.is_empty()
        });
    }

    /// The rows that are committed after this many records.
    pub(crate) fn committed(&self, records: usize) -> Rows {
        let mut rows = Rows::new();
        for (_, changes) in self.commits.iter().filter(|(at, _)| *at <= records) {
            for (row, change) in changes {
                change.apply(&mut rows, row);
            }
        }
        rows
    }
}
