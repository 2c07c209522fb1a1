//! What two databases do not have in common: tables, columns, and rows by their key.
//!
//! Both trees of a table are in the order of its primary index, so one walk through both tells all, with one row of each in
//! hand. The smaller key is a row that only its database has; rows of equal keys are compared, column by column:
//!
//! ```text
//! A   1  2  3     5  6            2 is in A alone: deleted       3 has other values: changed
//! B   1     3  4  5  (lost) 9     4 is in B alone: inserted      6 may be on the page that is lost: unknown
//! ```
//!
//! Nothing is claimed that is not so. Where pages or rows of one database are lost, rows that only the other one has are not
//! called inserted or deleted, if they may have been among those; where a value cannot be read, its row is not called
//! changed for it; and of a row whose key is out of order in a database that has it nothing is said. All are `unknown`, and with
//! anything lost the verdict is never that nothing differs.
//!
//! Most rows are the same, so that has to be quick: rows of equal bytes are the same where both catalogs describe the table alike.
//! Long values in the table's tree are the exception, which can change while the row does not: they are compared as they are
//! stored, and unpacked only where they are stored differently.

mod compare;
mod counts;
mod feed;
mod tables;
mod writer;

use crate::ExportError;
use crate::sink::Stream;
use compare::{RowOutcome, RowRules};
use ese_columns::ColumnViews;
use ese_db::space::CutOff;
use ese_db::{Catalog, Database, Losses, Row, Table};
use ese_format::Progress;
use feed::{Astray, Entry, Feed, TableRows};
use serde::Serialize;
use std::cmp::Ordering;
use std::thread;
use tables::TablePair;
pub use tables::{ColumnDefinition, ColumnDifference, MatchedBy, Place};
pub use writer::DiffForm;
use writer::{Change, Op, TableText, Writer};

/// Rows that differ and wait to be written, at most: each keeps its pages in memory.
const PENDING: usize = 256;

/// Something of each of the two databases.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sides<T> {
    /// Of the first, from which the differences lead.
    pub a: T,
    /// Of the second, to which they lead.
    pub b: T,
}

impl<T> Sides<T> {
    /// The same made of each.
    pub fn map<U>(self, mut make: impl FnMut(T) -> U) -> Sides<U> {
        Sides {
            a: make(self.a),
            b: make(self.b),
        }
    }

    /// References to both.
    pub fn as_ref(&self) -> Sides<&T> {
        Sides {
            a: &self.a,
            b: &self.b,
        }
    }

    /// Whether it holds of one of them at least.
    pub fn any(&self, holds: impl Fn(&T) -> bool) -> bool {
        holds(&self.a) || holds(&self.b)
    }
}

/// A database that is compared.
#[derive(Debug, Clone, Copy)]
pub struct DiffSide<'d> {
    /// The database.
    pub db: &'d Database,
    /// Its catalog.
    pub catalog: &'d Catalog,
}

/// What to compare, and how to give it.
#[derive(Debug, Clone)]
pub struct DiffOptions {
    /// Names of tables; none means all but the engine's own.
    pub tables: Vec<String>,
    /// Long values of more bytes than this are compared, but left out of the rows that are given.
    pub inline_limit: usize,
}

/// What was found.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct DiffSummary {
    /// What may be said of both databases.
    pub verdict: DiffVerdict,
    /// The tables, in the order of their names.
    pub tables: Vec<TableDiff>,
    /// Rows that only the second database has.
    pub inserted: u64,
    /// Rows that only the first database has.
    pub deleted: u64,
    /// Rows that both have, with other values.
    pub changed: u64,
    /// Rows that may differ: something that could not be read decides.
    pub unknown: u64,
    /// Long values that were left out of the rows that were given, because of their length.
    pub values_left_out: u64,
    /// What was lost of the catalogs.
    pub catalog_losses: Sides<Losses>,
    /// Whether the shadow catalog had to help out.
    pub shadow_catalog_used: Sides<bool>,
    /// Pages that a database owns and that its file does not have.
    pub cut_off: Sides<Option<CutOff>>,
    /// Whether neither copy of its header can be trusted.
    pub headerless: Sides<bool>,
}

/// What may be said of two databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiffVerdict {
    /// Everything was compared, and nothing differs.
    Same,
    /// Something differs.
    Different,
    /// Nothing is known to differ, but not everything could be read.
    Unknown,
}

/// What was found of one table.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct TableDiff {
    /// Its name, as the first database that has it writes it.
    pub name: String,
    /// What people call it, where its own name is a GUID.
    pub known_as: Option<&'static str>,
    /// Which database has it.
    #[serde(rename = "in")]
    pub place: Place,
    /// What made two rows one.
    pub matched_by: MatchedBy,
    /// The columns of the primary index.
    pub key_columns: Vec<String>,
    /// Columns that are not the same.
    pub columns: Vec<ColumnDifference>,
    /// Whether what one database does not have of the table, or has in another form, may be what was lost of its catalog.
    pub in_doubt: bool,
    /// Rows that were read.
    pub rows: Sides<u64>,
    /// Rows that are the same in both.
    pub same: u64,
    /// Rows that only the second database has.
    pub inserted: u64,
    /// Rows that only the first database has.
    pub deleted: u64,
    /// Rows that both have, with other values.
    pub changed: u64,
    /// Rows that may differ.
    pub unknown: u64,
    /// Long values that were left out of the rows that were given.
    pub values_left_out: u64,
    /// Rows that were not compared because they are not in the order of their keys: rows of these keys are unknown.
    pub out_of_order: Sides<u64>,
    /// What could not be read.
    pub losses: Sides<Losses>,
}

impl TableDiff {
    /// Whether something is known to differ.
    pub fn is_different(&self) -> bool {
        let described_alike = self.place == Place::Both
            && self.matched_by != MatchedBy::Nothing
            && self.columns.is_empty();
        self.inserted + self.deleted + self.changed > 0 || !described_alike && !self.in_doubt
    }

    /// Whether everything could be read and compared.
    pub fn is_complete(&self) -> bool {
        self.unknown == 0
            && !self.in_doubt
            && !self.out_of_order.any(|rows| *rows > 0)
            && !self.losses.any(|losses| !losses.is_empty())
    }
}

impl DiffSummary {
    /// Whether everything could be read and compared.
    pub fn is_complete(&self) -> bool {
        self.tables.iter().all(TableDiff::is_complete)
            && !self.catalog_losses.any(|losses| !losses.is_empty())
            && !self.cut_off.any(Option::is_some)
            && !self.headerless.any(|headerless| *headerless)
    }

    /// Everything that was lost of one database.
    pub fn losses(&self) -> Sides<Losses> {
        let mut all = self.catalog_losses.clone();
        for table in &self.tables {
            all.a.add(&table.losses.a);
            all.b.add(&table.losses.b);
        }
        all
    }
}

/// Compares two databases; rows that differ go to `rows`, in order, if it is there.
///
/// `progress` advances by the bytes of every leaf page read of either.
pub fn diff(
    sides: Sides<DiffSide<'_>>,
    options: &DiffOptions,
    rows: Option<(DiffForm, Stream)>,
    progress: &dyn Progress,
) -> Result<DiffSummary, ExportError> {
    let catalogs = sides.map(|side| side.catalog);
    let pairs = tables::pairs(catalogs, &options.tables)?;
    let writer = rows.map(|(form, stream)| Writer::new(form, stream));
    let mut comparison = Comparison {
        sides,
        doubtful: catalogs.map(|catalog| !catalog.losses.is_empty()),
        options,
        progress,
        views: ColumnViews::none(),
        writer: writer.transpose()?,
    };
    let mut tables = Vec::with_capacity(pairs.len());
    for pair in &pairs {
        tables.push(comparison.table(pair)?);
    }
    if let Some(writer) = comparison.writer {
        writer.finish()?;
    }
    let sum = |count: fn(&TableDiff) -> u64| tables.iter().map(count).sum();
    let mut summary = DiffSummary {
        verdict: DiffVerdict::Different,
        inserted: sum(|table| table.inserted),
        deleted: sum(|table| table.deleted),
        changed: sum(|table| table.changed),
        unknown: sum(|table| table.unknown),
        values_left_out: sum(|table| table.values_left_out),
        tables,
        catalog_losses: catalogs.map(|catalog| catalog.losses.clone()),
        shadow_catalog_used: catalogs.map(|catalog| catalog.shadow_used),
        cut_off: sides.map(|side| CutOff::of(side.db)),
        headerless: sides.map(|side| side.db.is_headerless()),
    };
    if !summary.tables.iter().any(TableDiff::is_different) {
        summary.verdict = match summary.is_complete() {
            true => DiffVerdict::Same,
            false => DiffVerdict::Unknown,
        };
    }
    Ok(summary)
}

/// What all tables have in common.
struct Comparison<'d> {
    sides: Sides<DiffSide<'d>>,
    /// What is missing in a catalog that has lost something may be what was lost.
    doubtful: Sides<bool>,
    options: &'d DiffOptions,
    progress: &'d dyn Progress,
    views: ColumnViews,
    writer: Option<Writer>,
}

impl<'d> Comparison<'d> {
    fn table(&mut self, pair: &TablePair<'d>) -> Result<TableDiff, ExportError> {
        let catalogs = self.sides.map(|side| side.catalog);
        let doubtful = self.doubtful;
        let mut found = pair.describe(catalogs, doubtful);
        let limit = self.options.inline_limit;
        let progress = self.progress;
        let keys = |side: DiffSide<'d>, table: Option<&Table>| match table {
            Some(table) if found.place == Place::Both => Astray::of(side.db, table, progress),
            _ => Ok(Astray::default()),
        };
        let (a, b) = rayon::join(
            || keys(self.sides.a, pair.tables.a),
            || keys(self.sides.b, pair.tables.b),
        );
        let astray = Sides { a: a?, b: b? };
        let rows = |side: DiffSide<'d>, table: Option<&Table>| {
            table.map(|table| TableRows::new(side.db, table, progress))
        };
        thread::scope(|scope| {
            let mut feeds = Sides {
                a: Feed::begin(scope, rows(self.sides.a, pair.tables.a), doubtful.a)?,
                b: Feed::begin(scope, rows(self.sides.b, pair.tables.b), doubtful.b)?,
            };
            let mut job = Job {
                rules: RowRules::new(pair, self.sides, doubtful, progress),
                astray,
                writer: self.writer.as_mut().map(|writer| {
                    let views = &self.views;
                    let text = TableText::new(pair, &found, catalogs, views, limit, progress);
                    (text, writer)
                }),
                pending: Vec::new(),
                found: &mut found,
            };
            job.merge(&mut feeds)?;
            job.write()?;
            let (a, b) = (feeds.a.into_losses(), feeds.b.into_losses());
            found.losses.a.add(&a.0);
            found.losses.b.add(&b.0);
            found.out_of_order = Sides { a: a.1, b: b.1 };
            found.rows.a += a.1;
            found.rows.b += b.1;
            Ok(found)
        })
    }
}

/// One table under way.
struct Job<'j, 't> {
    rules: RowRules<'t>,
    astray: Sides<Astray>,
    /// Where rows go that differ, if anywhere.
    writer: Option<(TableText<'t>, &'j mut Writer)>,
    /// Rows that wait to be written.
    pending: Vec<Change>,
    found: &'j mut TableDiff,
}

impl Job<'_, '_> {
    fn merge(&mut self, feeds: &mut Sides<Feed<'_>>) -> Result<(), ExportError> {
        let Sides { a, b } = feeds;
        let (mut one, mut other) = (a.next()?, b.next()?);
        let matched = self.found.matched_by != MatchedBy::Nothing;
        loop {
            let order = match (&one, &other) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(one), Some(other)) => one.key().cmp(&other.key()),
            };
            // Where no row is matched with any, all are only counted.
            let (first, second) = match (order, &one, &other) {
                (Ordering::Less, Some(row), _) if matched => {
                    let astray = Sides {
                        a: false,
                        b: self.astray.b.may_hold(row.key()),
                    };
                    self.alone(Sides::of_a(row), b.may_lack(&other), astray)?;
                    (true, false)
                }
                (Ordering::Greater, _, Some(row)) if matched => {
                    let astray = Sides {
                        a: self.astray.a.may_hold(row.key()),
                        b: false,
                    };
                    self.alone(Sides::of_b(row), a.may_lack(&one), astray)?;
                    (false, true)
                }
                (Ordering::Equal, Some(one), Some(other)) if matched => {
                    self.both(one, other)?;
                    (true, true)
                }
                (order, ..) => (order.is_le(), order.is_ge()),
            };
            if first {
                self.found.rows.a += 1;
                one = a.next()?;
            }
            if second {
                self.found.rows.b += 1;
                other = b.next()?;
            }
        }
    }

    /// A row that was found in one database only.
    fn alone(
        &mut self,
        row: Sides<Option<&Row>>,
        in_doubt: bool,
        astray: Sides<bool>,
    ) -> Result<(), ExportError> {
        let op = match row.a {
            _ if in_doubt || astray.any(|astray| *astray) => Op::Unknown,
            Some(_) => Op::Deleted,
            None => Op::Inserted,
        };
        self.give(op, row, RowOutcome::default(), astray)
    }

    fn both(&mut self, one: &Entry, other: &Entry) -> Result<(), ExportError> {
        let outcome = self.rules.compare(&one.row, &other.row)?;
        let astray = self
            .astray
            .as_ref()
            .map(|astray| astray.may_hold(one.key()));
        let op = match &outcome {
            _ if astray.any(|astray| *astray) => Op::Unknown,
            outcome if !outcome.changed.is_empty() => Op::Changed,
            outcome if !outcome.undecided.is_empty() => Op::Unknown,
            _ => {
                self.found.same += 1;
                return Ok(());
            }
        };
        let rows = Sides {
            a: Some(&one.row),
            b: Some(&other.row),
        };
        self.give(op, rows, outcome, astray)
    }

    fn give(
        &mut self,
        op: Op,
        rows: Sides<Option<&Row>>,
        outcome: RowOutcome,
        astray: Sides<bool>,
    ) -> Result<(), ExportError> {
        let found = &mut *self.found;
        *match op {
            Op::Inserted => &mut found.inserted,
            Op::Deleted => &mut found.deleted,
            Op::Changed => &mut found.changed,
            Op::Unknown => &mut found.unknown,
        } += 1;
        if self.writer.is_none() {
            let lost = outcome.lost();
            found.losses.a.values += lost.a;
            found.losses.b.values += lost.b;
            return Ok(());
        }
        self.pending.push(Change {
            op,
            rows: rows.map(Option::<&Row>::cloned),
            outcome,
            astray,
        });
        match self.pending.len() < PENDING {
            true => Ok(()),
            false => self.write(),
        }
    }

    /// Writes the rows that wait.
    fn write(&mut self) -> Result<(), ExportError> {
        let changes = std::mem::take(&mut self.pending);
        let Some((text, writer)) = &mut self.writer else {
            return Ok(());
        };
        let given = text.give(&changes, writer)?;
        self.found.losses.a.values += given.lost.a;
        self.found.losses.b.values += given.lost.b;
        self.found.values_left_out += given.left_out;
        Ok(())
    }
}

impl<'r> Sides<Option<&'r Row>> {
    fn of_a(entry: &'r Entry) -> Self {
        Sides {
            a: Some(&entry.row),
            b: None,
        }
    }

    fn of_b(entry: &'r Entry) -> Self {
        Sides {
            a: None,
            b: Some(&entry.row),
        }
    }
}
