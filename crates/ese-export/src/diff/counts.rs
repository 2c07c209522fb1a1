//! The counts of tables as CSV.

use super::{DiffSummary, MatchedBy, Place, TableDiff};
use std::io::{self, Write};

const NAMES: [&str; 19] = [
    "table",
    "in",
    "matched_by",
    "rows_a",
    "rows_b",
    "same",
    "deleted",
    "inserted",
    "changed",
    "unknown",
    "in_doubt",
    "out_of_order_a",
    "out_of_order_b",
    "pages_lost_a",
    "pages_lost_b",
    "rows_lost_a",
    "rows_lost_b",
    "values_lost_a",
    "values_lost_b",
];

impl DiffSummary {
    /// Writes a line for each table.
    pub fn write_csv(&self, out: impl Write) -> io::Result<()> {
        let mut lines = csv::Writer::from_writer(out);
        lines.write_record(NAMES)?;
        for table in &self.tables {
            lines.write_record(fields(table))?;
        }
        lines.flush()
    }
}

fn fields(table: &TableDiff) -> [String; NAMES.len()] {
    let place = match table.place {
        Place::Both => "both",
        Place::A => "a",
        Place::B => "b",
    };
    let matched_by = match table.matched_by {
        MatchedBy::PrimaryIndex => "primary_index",
        MatchedBy::Dbk => "dbk",
        MatchedBy::Nothing => "nothing",
    };
    let losses = &table.losses;
    [
        // The name is one of the file, and no field of a file holds a NUL.
        table.name.replace('\0', "\\0"),
        place.to_owned(),
        matched_by.to_owned(),
        table.rows.a.to_string(),
        table.rows.b.to_string(),
        table.same.to_string(),
        table.deleted.to_string(),
        table.inserted.to_string(),
        table.changed.to_string(),
        table.unknown.to_string(),
        table.in_doubt.to_string(),
        table.out_of_order.a.to_string(),
        table.out_of_order.b.to_string(),
        losses.a.pages.len().to_string(),
        losses.b.pages.len().to_string(),
        losses.a.rows.to_string(),
        losses.b.rows.to_string(),
        losses.a.values.to_string(),
        losses.b.values.to_string(),
    ]
}
