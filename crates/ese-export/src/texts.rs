//! The rows of a table into CSV or JSON Lines: those of a range become text, on any thread.

use crate::ExportError;
use crate::ranges::{LeafRange, Pieces, RangeReader, Ranges, in_order};
use crate::tables::{Job, Tally};
use crate::writer::{TextRows, TextTable};
use ese_columns::Cell;
use ese_db::TableReader;

/// Bytes of the leaves and long values of a range, about.
const RANGE_BYTES: u64 = 256 << 10;
/// Bytes of text after which a piece ends: a few rows with long values can be as much as thousands without.
const PIECE_BYTES: usize = 2 << 20;

/// Writes all rows of a table.
pub(crate) fn write_text_of(
    job: &mut Job<'_>,
    table: &mut TextTable,
) -> Result<Tally, ExportError> {
    let shared = job.shared;
    let reader = TableReader::new(shared.db, job.table);
    let reader = RangeReader {
        shared,
        table: job.table,
        reader: &reader,
        columns: job.columns,
        path: job.path,
    };
    let rows = table.rows();
    let mut ranges = Ranges::new(reader, RANGE_BYTES, u64::MAX);
    let texts = ranges.by_ref().map(|range| {
        Ok(Texts {
            range: range?,
            rows: rows.clone(),
        })
    });
    let mut tally = Tally::default();
    in_order(shared.pool(), texts, |(text, part): (Vec<u8>, Tally)| {
        job.report(&part.problems)?;
        tally.add(part);
        table.append(&text).map_err(|error| reader.fail(error))
    })?;
    tally.losses.add(ranges.losses());
    Ok(tally)
}

/// Makes text of the rows of a range.
struct Texts<'t> {
    range: LeafRange<'t>,
    rows: TextRows,
}

impl Pieces for Texts<'_> {
    type Piece = (Vec<u8>, Tally);

    fn is_ended(&self) -> bool {
        self.range.is_ended()
    }

    fn next(&mut self) -> Result<Self::Piece, ExportError> {
        let reader = self.range.reader;
        let converter = reader.converter();
        let (mut text, mut tally) = (self.rows.text(), Tally::default());
        self.range.rows(&mut tally, |tally, at, fields| {
            match reader.shared.rows.seen {
                None => {
                    text.begin_row();
                    let put = |place, cell: &Cell<'_>| {
                        text.cell(place, cell).map_err(|error| reader.fail(error))
                    };
                    let problems = converter.stream(fields, put)?;
                    text.end_row().map_err(|error| reader.fail(error))?;
                    reader.note(tally, at, fields, &problems);
                }
                Some(_) => reader.cells(tally, at, fields, |cells| text.row(cells))?,
            }
            Ok(text.length() + tally.problems.len() < PIECE_BYTES)
        })?;
        let text = text.finish().map_err(|error| reader.fail(error))?;
        Ok((text, tally))
    }
}
