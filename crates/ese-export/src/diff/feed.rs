//! The rows of one table in the order of their keys, read ahead by a thread of their own where the table is large.
//!
//! Each row says whether rows may be missing before it. That is so where something was lost since the row before, and where
//! leaves had to be found without their parents: then whole leaves may be missing between any two.
//!
//! A walk can only take rows whose keys grow. What a crash left, or damage, may break that: a row of an older leaf stands in two
//! places, or a leaf where it does not belong. A row whose key is not greater than all before it is astray. Nobody may say of its
//! key that this database does not have it, nor which of two rows of that key counts; and the row of the other database may have
//! gone by when it comes. So keys that are astray are looked for before the walk begins.

use crate::ExportError;
use ese_db::rows::Rows;
use ese_db::{Database, Losses, Row, Table, TableReader};
use ese_format::page::Key;
use ese_format::{Pgno, Progress};
use std::collections::HashSet;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;
use std::vec;

/// Rows that go from thread to thread at once.
const BATCH_ROWS: usize = 512;
/// Pages that they keep in memory, at most.
const BATCH_PAGES: usize = 16;
/// Batches that wait.
const BATCHES: usize = 2;

/// Keys that are astray and kept, at most.
const ASTRAY: usize = 1 << 16;

/// A row, and whether rows may be missing before it.
pub(super) struct Entry {
    pub row: Row,
    pub after_gap: bool,
}

impl Entry {
    pub(super) fn key(&self) -> Option<Key<'_>> {
        key_of(&self.row)
    }
}

fn key_of(row: &Row) -> Option<Key<'_>> {
    row.node().ok().map(|node| node.key())
}

/// The keys of rows that are astray.
#[derive(Default)]
pub(super) struct Astray {
    keys: HashSet<Vec<u8>>,
    /// There are more of them.
    more: bool,
}

impl Astray {
    /// Reads all keys of a table.
    pub(super) fn of(
        db: &Database,
        table: &Table,
        progress: &dyn Progress,
    ) -> Result<Self, ExportError> {
        let mut astray = Astray::default();
        let (mut page, mut last): (_, Option<Row>) = (None, None);
        for row in TableReader::new(db, table).rows() {
            if page != Some(row.place().0) {
                page = Some(row.place().0);
                if progress.should_stop() {
                    return Err(ExportError::Stopped);
                }
            }
            let key = key_of(&row);
            if last.as_ref().is_none_or(|last| key_of(last) < key) {
                last = Some(row);
                continue;
            }
            astray.more = astray.keys.len() == ASTRAY;
            if astray.more {
                break;
            }
            astray.keys.extend(key.map(|key| key.to_vec()));
        }
        Ok(astray)
    }

    /// Whether a row of this key may be among them.
    pub(super) fn may_hold(&self, key: Option<Key<'_>>) -> bool {
        let holds = |key: Key<'_>| self.keys.contains(&key.to_vec());
        self.more || !self.keys.is_empty() && key.is_none_or(holds)
    }
}

/// The rows of a table as they are read.
pub(super) struct TableRows<'p> {
    rows: Rows,
    page_bytes: u64,
    page: Option<Pgno>,
    last: Option<Row>,
    /// How much was lost when that row was read.
    lost: u64,
    out_of_order: u64,
    progress: &'p dyn Progress,
}

/// What there is to say when no row is left.
struct FeedEnd {
    losses: Losses,
    out_of_order: u64,
    in_gap: bool,
}

/// Some rows, and the end if they are the last ones.
struct Batch {
    entries: Vec<Entry>,
    end: Option<FeedEnd>,
}

impl<'p> TableRows<'p> {
    pub(super) fn new(db: &Database, table: &Table, progress: &'p dyn Progress) -> Self {
        TableRows {
            rows: TableReader::new(db, table).rows(),
            page_bytes: db.page_size().bytes().into(),
            page: None,
            last: None,
            lost: 0,
            out_of_order: 0,
            progress,
        }
    }

    fn batch(&mut self) -> Result<Batch, ExportError> {
        let (mut entries, mut pages) = (Vec::new(), 0);
        while entries.len() < BATCH_ROWS && pages < BATCH_PAGES {
            let Some(row) = self.rows.next() else {
                let end = FeedEnd {
                    losses: self.rows.losses().clone(),
                    out_of_order: self.out_of_order,
                    in_gap: self.is_gap(true),
                };
                return Ok(Batch {
                    entries,
                    end: Some(end),
                });
            };
            let new_page = self.page != Some(row.place().0);
            if new_page {
                pages += 1;
                self.page = Some(row.place().0);
                self.progress.advance(self.page_bytes);
                if self.progress.should_stop() {
                    return Err(ExportError::Stopped);
                }
            }
            let in_order = match &self.last {
                Some(last) => key_of(last) < key_of(&row),
                None => true,
            };
            if !in_order {
                self.out_of_order += 1;
                continue;
            }
            let after_gap = self.is_gap(new_page);
            self.last = Some(row.clone());
            entries.push(Entry { row, after_gap });
        }
        Ok(Batch { entries, end: None })
    }

    fn is_gap(&mut self, new_page: bool) -> bool {
        let losses = self.rows.losses();
        let lost = losses.pages.len() as u64 + losses.rows;
        let more = lost > self.lost;
        self.lost = lost;
        more || new_page && lost > 0 && losses.leaves_off_path > 0
    }
}

/// The rows of a table as they are compared.
pub(super) struct Feed<'p> {
    entries: vec::IntoIter<Entry>,
    end: Option<FeedEnd>,
    more: More<'p>,
}

/// Where further rows come from.
enum More<'p> {
    Nowhere,
    /// They are read when they are wanted.
    Here(Box<TableRows<'p>>),
    /// A thread reads them ahead.
    Ahead(Receiver<Result<Batch, ExportError>>),
}

impl<'p> Feed<'p> {
    /// Begins to read; without a table there are no rows, and if that is `doubtful`, there may be some.
    pub(super) fn begin(
        scope: &'p Scope<'p, '_>,
        rows: Option<TableRows<'p>>,
        doubtful: bool,
    ) -> Result<Self, ExportError> {
        let none = FeedEnd {
            losses: Losses::default(),
            out_of_order: 0,
            in_gap: doubtful,
        };
        let Some(mut rows) = rows else {
            return Ok(Feed {
                entries: Vec::new().into_iter(),
                end: Some(none),
                more: More::Nowhere,
            });
        };
        let first = rows.batch()?;
        let more = match first.end {
            Some(_) => More::Nowhere,
            None if rayon::current_num_threads() < 2 => More::Here(Box::new(rows)),
            None => {
                let (sender, receiver) = sync_channel(BATCHES);
                scope.spawn(move || {
                    loop {
                        let batch = rows.batch();
                        let is_last = batch.as_ref().map_or(true, |batch| batch.end.is_some());
                        // Nobody takes it where the comparison has ended early.
                        if sender.send(batch).is_err() || is_last {
                            break;
                        }
                    }
                });
                More::Ahead(receiver)
            }
        };
        Ok(Feed {
            entries: first.entries.into_iter(),
            end: first.end,
            more,
        })
    }

    /// The next row.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, ExportError> {
        loop {
            if let Some(entry) = self.entries.next() {
                return Ok(Some(entry));
            }
            if self.end.is_some() {
                return Ok(None);
            }
            let batch = match &mut self.more {
                More::Nowhere => return Ok(None),
                More::Here(rows) => rows.batch()?,
                // The thread ends without its last batch only if it panics, which the end of the scope passes on.
                More::Ahead(batches) => batches.recv().unwrap_or(Err(ExportError::Stopped))?,
            };
            self.entries = batch.entries.into_iter();
            self.end = batch.end;
        }
    }

    /// Whether rows before `next`, which comes next, may be missing.
    pub(super) fn may_lack(&self, next: &Option<Entry>) -> bool {
        match (next, &self.end) {
            (Some(next), _) => next.after_gap,
            (None, Some(end)) => end.in_gap,
            (None, None) => true,
        }
    }

    /// What was lost, and how many rows were not given since their keys are not greater than the one before. It is known
    /// when no row is left.
    pub(super) fn into_losses(self) -> (Losses, u64) {
        let end = self.end.map(|end| (end.losses, end.out_of_order));
        end.unwrap_or_default()
    }
}
