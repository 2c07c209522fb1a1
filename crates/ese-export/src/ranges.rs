//! The rows of a table by ranges of its leaves: one thread reads the leaves, each range is decoded and made into pieces of the file on
//! any thread, and the pieces are written in order.
//!
//! ```text
//!    range 1 | range 2 | range 3 | range 4          as many at a time as there are threads
//!      a b   |    c    |    d    |   e f            a piece for each, two for one with much in it
//!    file: a b c d e f
//! ```
//!
//! Invariant: ranges and pieces follow from the table alone, so that the file is the same for any number of threads.

use crate::ExportError;
use crate::Format;
use crate::row::{ExportRow, RowConverter};
use crate::seen::{FIRST_SEEN, LAST_SEEN, digest};
use crate::tables::{Shared, Tally, value_problem};
use ese_columns::{Cell, CellProblem, Origin, OutColumn};
use ese_db::btree::Leaves;
use ese_db::rows::Fields;
use ese_db::{Losses, Page, Table, TableReader};
use ese_format::Pgno;
use rayon::ThreadPool;
use rayon::prelude::*;
use std::collections::VecDeque;
use std::io;
use std::path::Path;

/// What makes the pieces of one range.
pub(crate) trait Pieces: Send {
    /// A piece of the file.
    type Piece: Send;

    /// The next piece.
    fn next(&mut self) -> Result<Self::Piece, ExportError>;

    /// Whether that was the last one. A range has one at least.
    fn is_ended(&self) -> bool;
}

/// A range under way, and its pieces that wait for those before them.
struct UnderWay<P: Pieces> {
    range: P,
    ready: Option<P::Piece>,
}

/// Gives the pieces of all ranges to `append`, in order.
pub(crate) fn in_order<P: Pieces>(
    pool: Option<(&ThreadPool, usize)>,
    mut ranges: impl Iterator<Item = Result<P, ExportError>>,
    mut append: impl FnMut(P::Piece) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let Some((pool, threads)) = pool else {
        for range in ranges {
            let mut range = range?;
            append(range.next()?)?;
            while !range.is_ended() {
                append(range.next()?)?;
            }
        }
        return Ok(());
    };
    let mut under_way: VecDeque<UnderWay<P>> = VecDeque::new();
    let (mut ready, mut read) = (Vec::new(), VecDeque::new());
    loop {
        while under_way.len() < threads {
            let next = read.pop_front().map(Ok).or_else(|| ranges.next());
            let Some(range) = next.transpose()? else {
                break;
            };
            under_way.push_back(UnderWay { range, ready: None });
        }
        if under_way.is_empty() && ready.is_empty() {
            return Ok(());
        }
        let mut made: Result<(), ExportError> = Ok(());
        pool.in_place_scope(|scope| {
            scope.spawn(|_| {
                made = under_way.par_iter_mut().try_for_each(|under_way| {
                    // No range gets far ahead of those before it.
                    if under_way.ready.is_none() {
                        under_way.ready = Some(under_way.range.next()?);
                    }
                    Ok(())
                });
            });
            ready.drain(..).try_for_each(&mut append)?;
            // Those of the next round are read meanwhile.
            let more = threads.saturating_sub(read.len());
            for range in ranges.by_ref().take(more) {
                read.push_back(range?);
            }
            Ok::<_, ExportError>(())
        })?;
        made?;
        while let Some(first) = under_way.front_mut() {
            ready.extend(first.ready.take());
            if !first.range.is_ended() {
                break;
            }
            under_way.pop_front();
        }
    }
}

/// What is read of a table, and how.
#[derive(Clone, Copy)]
pub(crate) struct RangeReader<'r> {
    pub(crate) shared: &'r Shared<'r>,
    pub(crate) table: &'r Table,
    pub(crate) reader: &'r TableReader,
    pub(crate) columns: &'r [OutColumn<'r>],
    /// The file that is written.
    pub(crate) path: &'r Path,
}

impl<'r> RangeReader<'r> {
    pub(crate) fn fail(self, error: io::Error) -> ExportError {
        ExportError::write(self.path, error)
    }

    /// Notes a row that is written, and what could not be read of it.
    pub(crate) fn note<'p>(
        self,
        tally: &mut Tally,
        at: (Pgno, usize),
        fields: &Fields<'_>,
        problems: impl IntoIterator<Item = &'p (usize, CellProblem)>,
    ) {
        tally.rows += 1;
        tally.deleted += u64::from(fields.is_deleted());
        for (place, problem) in problems {
            let column = self.columns[*place].of.map_or("", |column| &column.name);
            let key = fields.key();
            tally.problem(&value_problem(self.table, column, at, &key, problem));
        }
    }

    /// What makes cells of a row.
    pub(crate) fn converter(self) -> RowConverter<'r> {
        let shared = self.shared;
        RowConverter {
            columns: self.columns,
            blobs: Some(shared.to.blobs),
            inline_limit: shared.rows.inline_limit,
            // Parquet alone decides once for a column whether it holds lists.
            lists_anywhere: shared.rows.format != Format::Parquet,
            progress: shared.progress,
        }
    }

    /// Gives the cells of a row to `write`, unless another state of the database writes it.
    pub(crate) fn cells(
        self,
        tally: &mut Tally,
        at: (Pgno, usize),
        fields: &Fields<'_>,
        write: impl FnOnce(&[Cell<'_>]) -> io::Result<()>,
    ) -> Result<(), ExportError> {
        self.converter().take_fields(fields, |mut record| {
            if !self.is_written_here(&mut record) {
                tally.elsewhere += 1;
                return Ok(());
            }
            self.note(tally, at, fields, &record.problems);
            write(&record.cells).map_err(|error| self.fail(error))
        })
    }

    /// Whether a row is not left to another state of the database; says in it when it was seen.
    fn is_written_here(self, record: &mut ExportRow<'_>) -> bool {
        let Some(seen) = self.shared.rows.seen else {
            return true;
        };
        let Some(between) = seen.seen(digest(&self.table.name, self.columns, record)) else {
            return false;
        };
        for (column, cell) in self.columns.iter().zip(&mut record.cells) {
            let time = match (&column.origin, column.name.as_str()) {
                (Origin::Given(_), FIRST_SEEN) => between.first,
                (Origin::Given(_), LAST_SEEN) => between.last,
                _ => continue,
            };
            *cell = time.map_or(Cell::Null, |time| Cell::Time(time.as_microsecond()));
        }
        true
    }
}

/// The leaves of a table, range by range.
pub(crate) struct Ranges<'r> {
    reader: RangeReader<'r>,
    leaves: Leaves,
    /// Leaves of a range.
    count: usize,
}

impl<'r> Ranges<'r> {
    /// Ranges that have about so many bytes each in leaves and long values, but no more than `most` of them.
    pub(crate) fn new(reader: RangeReader<'r>, bytes: u64, most: u64) -> Self {
        Ranges {
            reader,
            leaves: reader.reader.leaves(),
            count: reader.reader.leaves_of(bytes, most),
        }
    }

    /// What was lost on the way.
    pub(crate) fn losses(&self) -> &Losses {
        &self.leaves.losses
    }
}

impl<'r> Iterator for Ranges<'r> {
    type Item = Result<LeafRange<'r>, ExportError>;

    fn next(&mut self) -> Option<Self::Item> {
        let shared = self.reader.shared;
        let page_bytes = u64::from(shared.db.page_size().bytes());
        let mut pages = VecDeque::new();
        for leaf in self.leaves.by_ref().take(self.count) {
            shared.progress.advance(page_bytes);
            if shared.progress.should_stop() {
                return Some(Err(ExportError::Stopped));
            }
            pages.push_back(leaf);
        }
        (!pages.is_empty()).then_some(Ok(LeafRange {
            reader: self.reader,
            pages,
            next: 0,
        }))
    }
}

/// The rows of a range, some at a time.
pub(crate) struct LeafRange<'r> {
    pub(crate) reader: RangeReader<'r>,
    /// The leaves that are left, and the node of the next row on the first.
    pages: VecDeque<Page>,
    next: usize,
}

impl LeafRange<'_> {
    /// Gives the next rows to `take`, each with its page and node, until that has enough. Whether there may be more.
    pub(crate) fn rows(
        &mut self,
        tally: &mut Tally,
        mut take: impl FnMut(&mut Tally, (Pgno, usize), &Fields<'_>) -> Result<bool, ExportError>,
    ) -> Result<bool, ExportError> {
        let reader = self.reader.reader;
        let deleted = self.reader.shared.rows.deleted;
        let mut has_enough = false;
        while !has_enough && let Some(page) = self.pages.front() {
            let mut losses = Losses::default();
            let pgno = page.pgno();
            let left = reader.rows_on(page, self.next, deleted, &mut losses, |node, fields| {
                has_enough = !take(tally, (pgno, node), fields)?;
                Ok::<_, ExportError>(!has_enough)
            })?;
            tally.losses.add(&losses);
            self.next = left.unwrap_or(0);
            if left.is_none() {
                self.pages.pop_front();
            }
        }
        Ok(!self.pages.is_empty())
    }

    /// Whether all rows were given.
    pub(crate) fn is_ended(&self) -> bool {
        self.pages.is_empty()
    }
}
