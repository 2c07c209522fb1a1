//! The rows of a table by ranges of its leaves: each range is read, decoded and made into pieces of the file by itself, on any
//! thread, and the pieces are written in order.
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
use ese_db::{KeyRange, Page, Table, TableReader};
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

    /// The next piece; none at the end of the range.
    fn next(&mut self) -> Result<Option<Self::Piece>, ExportError>;
}

/// A range under way, and its pieces that wait for those before them.
struct UnderWay<P: Pieces> {
    range: P,
    ready: VecDeque<P::Piece>,
    ended: bool,
}

/// Gives the pieces of all ranges to `append`, in order.
pub(crate) fn in_order<P: Pieces>(
    pool: Option<(&ThreadPool, usize)>,
    mut ranges: impl Iterator<Item = P>,
    mut append: impl FnMut(P::Piece) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let Some((pool, threads)) = pool else {
        for mut range in ranges {
            while let Some(piece) = range.next()? {
                append(piece)?;
            }
        }
        return Ok(());
    };
    let mut under_way: VecDeque<UnderWay<P>> = VecDeque::new();
    let mut ready = Vec::new();
    loop {
        under_way.extend(
            ranges
                .by_ref()
                .take(threads.saturating_sub(under_way.len()))
                .map(|range| UnderWay {
                    range,
                    ready: VecDeque::new(),
                    ended: false,
                }),
        );
        if under_way.is_empty() && ready.is_empty() {
            return Ok(());
        }
        let mut made: Result<(), ExportError> = Ok(());
        pool.in_place_scope(|scope| {
            scope.spawn(|_| {
                made = under_way.par_iter_mut().try_for_each(|under_way| {
                    // No range gets far ahead of those before it.
                    if under_way.ended || !under_way.ready.is_empty() {
                        return Ok(());
                    }
                    let piece = under_way.range.next()?;
                    under_way.ended = piece.is_none();
                    under_way.ready.extend(piece);
                    Ok(())
                });
            });
            ready.drain(..).try_for_each(&mut append)
        })?;
        made?;
        while let Some(first) = under_way.front_mut() {
            ready.extend(first.ready.drain(..));
            if !first.ended {
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
    /// The ranges of the table that have about so many bytes in leaves and long values.
    pub(crate) fn ranges(self, bytes: u64) -> impl Iterator<Item = LeafRange<'r>> {
        let parts = self.reader.parts(bytes).into_iter();
        parts.map(move |keys| self.range(keys))
    }

    fn range(self, keys: KeyRange) -> LeafRange<'r> {
        LeafRange {
            reader: self,
            leaves: self.reader.leaves_in(keys),
            page: None,
            ended: false,
        }
    }

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

/// The rows of a range, some at a time.
pub(crate) struct LeafRange<'r> {
    pub(crate) reader: RangeReader<'r>,
    leaves: Leaves,
    /// The leaf under way, and the node of its next row.
    page: Option<(Page, usize)>,
    ended: bool,
}

impl LeafRange<'_> {
    /// Gives the next rows to `take`, each with its page and node, until that has enough. Whether there may be more.
    pub(crate) fn rows(
        &mut self,
        tally: &mut Tally,
        mut take: impl FnMut(&mut Tally, (Pgno, usize), &Fields<'_>) -> Result<bool, ExportError>,
    ) -> Result<bool, ExportError> {
        let shared = self.reader.shared;
        let page_bytes = u64::from(shared.db.page_size().bytes());
        loop {
            let (page, from) = match self.page.take() {
                Some(under_way) => under_way,
                None => {
                    let Some(page) = self.leaves.next() else {
                        if !self.ended {
                            tally.losses.add(&self.leaves.losses);
                        }
                        self.ended = true;
                        return Ok(false);
                    };
                    shared.progress.advance(page_bytes);
                    if shared.progress.should_stop() {
                        return Err(ExportError::Stopped);
                    }
                    (page, 0)
                }
            };
            let mut losses = ese_db::Losses::default();
            let mut has_enough = false;
            let pgno = page.pgno();
            let deleted = shared.rows.deleted;
            let left = (self.reader.reader).rows_on(
                &page,
                from,
                deleted,
                &mut losses,
                |node, fields| {
                    has_enough = !take(tally, (pgno, node), fields)?;
                    Ok::<_, ExportError>(!has_enough)
                },
            )?;
            tally.losses.add(&losses);
            if let Some(node) = left {
                self.page = Some((page, node));
                return Ok(true);
            }
            if has_enough {
                return Ok(true);
            }
        }
    }

    /// Whether all rows were given, and what was lost told.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended
    }
}
