//! The life of one row, for people: each change, and the row as it was after it.

use super::{ChangeSink, interval, sentence};
use crate::event::{Change, Operation, RowState};
use serde_json::{Map, Value};
use std::io::{self, Write};

/// Writes each change with the row after it; of an update, the columns that changed with what they were before.
pub struct LifeSink<W> {
    to: W,
}

impl<W: Write + Send> LifeSink<W> {
    /// A sink that writes to `to`.
    pub fn new(to: W) -> Self {
        LifeSink { to }
    }
}

impl<W: Write + Send> ChangeSink for LifeSink<W> {
    fn change(&mut self, change: &Change<'_>) -> io::Result<()> {
        let event = change.event;
        let (when, what, lgpos) = (interval(change), sentence(change), event.lgpos);
        let (session, transaction) = (event.session, change.transaction);
        writeln!(
            self.to,
            "{when}  {lgpos}  {what}  [session {session}, transaction {transaction}]"
        )?;
        let row =
            |json: &str| -> Map<String, Value> { serde_json::from_str(json).unwrap_or_default() };
        let (before, after) = (row(&event.before.json), row(&event.after.json));
        let shown = if event.operation == Operation::Delete {
            &before
        } else {
            &after
        };
        for (column, value) in shown {
            if event.operation == Operation::Update && !event.changed.contains(column) {
                continue;
            }
            match before
                .get(column)
                .filter(|_| event.operation == Operation::Update)
            {
                Some(before) => writeln!(
                    self.to,
                    "    {column}: {} -> {}",
                    short(before),
                    short(value)
                )?,
                None => writeln!(self.to, "    {column}: {}", short(value))?,
            }
        }
        let gone = event
            .changed
            .iter()
            .filter(|column| !after.contains_key(*column));
        for column in gone {
            if let Some(before) = before.get(column) {
                writeln!(self.to, "    {column}: {} -> null", short(before))?;
            }
        }
        let states = [("before", &event.before), ("after", &event.after)];
        for (when, image) in states {
            match image.state {
                RowState::Unknown => writeln!(self.to, "    the row {when} is not known")?,
                RowState::Partial => {
                    let columns = image.unknown.iter().map(|(column, _)| column.as_str());
                    let columns = columns.collect::<Vec<_>>().join(", ");
                    writeln!(self.to, "    not known {when}: {columns}")?;
                }
                RowState::Absent | RowState::Complete => {}
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// The most characters of a value that are shown.
const SHOWN: usize = 200;

/// A value as JSON, cut off where it is long.
fn short(value: &Value) -> String {
    let whole = value.to_string();
    match whole.char_indices().nth(SHOWN) {
        None => whole,
        Some((end, _)) => format!(
            "{}... ({} characters)",
            &whole[..end],
            whole.chars().count()
        ),
    }
}
