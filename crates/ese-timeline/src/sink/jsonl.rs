//! JSON Lines: one document `edbkit.change/1` a line.

use super::{ChangeSink, Object, rfc3339};
use crate::event::{Change, RowImage};
use ese_format::hex;
use std::io::{self, Write};

/// Writes changes as JSON Lines.
pub struct JsonlSink<W> {
    to: W,
    line: Vec<u8>,
}

impl<W: Write + Send> JsonlSink<W> {
    /// The schema of every line.
    pub const SCHEMA: &str = "edbkit.change/1";

    /// A sink that writes to `to`.
    pub fn new(to: W) -> Self {
        JsonlSink {
            to,
            line: Vec::new(),
        }
    }
}

impl<W: Write + Send> ChangeSink for JsonlSink<W> {
    fn change(&mut self, change: &Change<'_>) -> io::Result<()> {
        self.line.clear();
        let mut line = Object::begin(&mut self.line);
        line.text("schema", Self::SCHEMA);
        write_change(&mut line, change);
        line.end();
        self.line.push(b'\n');
        self.to.write_all(&self.line)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn write_change(line: &mut Object<'_>, change: &Change<'_>) {
    let event = change.event;
    line.text("operation", event.operation.name());
    line.text("status", change.status.name());
    line.text("database", &change.database.name);
    line.text("table", &change.table.name);
    if event.operation.is_of_row() {
        line.json("key", &event.key);
        if let Some(bookmark) = &event.bookmark {
            line.text("bookmark", &hex::encode(bookmark));
        }
        write_row(line, ("before", "before_state"), &event.before);
        write_row(line, ("after", "after_state"), &event.after);
        line.texts("changed", &event.changed);
        let unknown = event.before.unknown.iter().chain(&event.after.unknown);
        let unknown: std::collections::BTreeMap<_, _> = unknown
            .map(|(column, why)| (column.as_str(), why.as_str()))
            .collect();
        if !unknown.is_empty() {
            let mut columns = line.object("unknown_columns");
            for (column, why) in unknown {
                write_name(&mut columns, column);
                ese_export::json::write_text(columns.out, why);
            }
            columns.end();
        }
    }
    if let Some((name, old)) = &event.object {
        line.text("object", name);
        if let Some(old) = old {
            line.text("old_name", old);
        }
    }
    let mut transaction = line.object("transaction");
    transaction.number("session", event.session);
    transaction.number("id", change.transaction);
    for (name, lgpos) in [("begin", change.began), ("end", change.ended)] {
        match lgpos {
            Some(lgpos) => transaction.text(name, &lgpos.to_string()),
            None => transaction.json(name, ""),
        }
    }
    transaction.number("place", change.place);
    transaction.number("changes", change.count);
    transaction.end();
    let mut time = line.object("time");
    for (name, at) in [("earliest", change.earliest), ("latest", change.latest)] {
        match rfc3339(at) {
            Some(at) => time.text(name, &at),
            None => time.json(name, ""),
        }
    }
    let times = match change.times {
        crate::TimeSource::Segments => "segments",
        crate::TimeSource::Logs => "logs",
    };
    time.text("from", times);
    time.end();
    let mut source = line.object("source");
    source.text("database", &change.database.path);
    source.text("log", &change.log.name);
    source.text("sha256", &change.log.sha256);
    source.text("lgpos", &event.lgpos.to_string());
    source.number("dbtime", event.dbtime);
    source.number("page", event.page);
    source.number("objid", event.objid);
    source.end();
}

/// A name that came from a database, and may hold anything.
fn write_name(object: &mut Object<'_>, name: &str) {
    if !object.is_empty {
        object.out.push(b',');
    }
    object.is_empty = false;
    ese_export::json::write_text(object.out, name);
    object.out.push(b':');
}

fn write_row(line: &mut Object<'_>, (row, state): (&str, &str), image: &RowImage) {
    line.json(row, &image.json);
    line.text(state, image.state.name());
}
