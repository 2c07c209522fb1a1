//! CSV: a line of names, then one line for each change; rows, keys and lists of columns as JSON.

use super::{ChangeSink, rfc3339, unknown_columns, write_texts};
use crate::event::Change;
use csv::Writer;
use ese_format::hex;
use std::io::{self, Write};

/// The columns of a flat table of changes.
pub(super) const COLUMNS: [&str; 28] = [
    "earliest",
    "latest",
    "operation",
    "status",
    "database",
    "table",
    "object",
    "old_name",
    "key",
    "bookmark",
    "changed",
    "before",
    "before_state",
    "after",
    "after_state",
    "unknown_columns",
    "session",
    "transaction",
    "begin",
    "end",
    "place",
    "changes",
    "database_path",
    "log",
    "sha256",
    "lgpos",
    "dbtime",
    "page",
];

/// Writes changes as CSV.
pub struct CsvSink<W: Write> {
    to: Writer<W>,
}

impl<W: Write + Send> CsvSink<W> {
    /// A sink that writes to `to`, names of columns first.
    pub fn new(to: W) -> io::Result<Self> {
        let mut to = Writer::from_writer(to);
        to.write_record(COLUMNS)?;
        Ok(CsvSink { to })
    }
}

/// Names as a list of JSON: any character may be in them. Nothing where there is none.
fn list(names: &[String]) -> String {
    let mut out = Vec::new();
    if !names.is_empty() {
        write_texts(&mut out, names);
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A change as the row of a flat table.
pub(super) fn record_of(change: &Change<'_>) -> [String; 28] {
    let event = change.event;
    let lgpos =
        |lgpos: Option<ese_format::Lgpos>| lgpos.map_or(String::new(), |lgpos| lgpos.to_string());
    let (object, old_name) = event.object.clone().unwrap_or_default();
    let bookmark = event.bookmark.as_ref().map(hex::encode);
    [
        rfc3339(change.earliest).unwrap_or_default(),
        rfc3339(change.latest).unwrap_or_default(),
        event.operation.name().to_owned(),
        change.status.name().to_owned(),
        change.database.name.clone(),
        change.table.name.clone(),
        object,
        old_name.unwrap_or_default(),
        event.key.clone(),
        bookmark.unwrap_or_default(),
        list(&event.changed),
        event.before.json.clone(),
        event.before.state.name().to_owned(),
        event.after.json.clone(),
        event.after.state.name().to_owned(),
        list(&unknown_columns(event)),
        event.session.to_string(),
        change.transaction.to_string(),
        lgpos(change.began),
        lgpos(change.ended),
        change.place.to_string(),
        change.count.to_string(),
        change.database.path.clone(),
        change.log.name.clone(),
        change.log.sha256.clone(),
        event.lgpos.to_string(),
        event.dbtime.to_string(),
        event.page.to_string(),
    ]
}

impl<W: Write + Send> ChangeSink for CsvSink<W> {
    fn change(&mut self, change: &Change<'_>) -> io::Result<()> {
        Ok(self.to.write_record(record_of(change))?)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
