//! The envelope of Debezium: `before`, `after`, `op`, `source`, `ts_ms`, `transaction`. Only changes of rows have one.

use super::{ChangeSink, Object};
use crate::event::{Change, Operation};
use std::io::{self, Write};

/// Writes changes in the envelope of Debezium.
pub struct DebeziumSink<W> {
    to: W,
    line: Vec<u8>,
}

impl<W: Write + Send> DebeziumSink<W> {
    /// A sink that writes to `to`.
    pub fn new(to: W) -> Self {
        DebeziumSink {
            to,
            line: Vec::new(),
        }
    }
}

impl<W: Write + Send> ChangeSink for DebeziumSink<W> {
    fn change(&mut self, change: &Change<'_>) -> io::Result<()> {
        let event = change.event;
        let op = match event.operation {
            Operation::Insert => "c",
            Operation::Update => "u",
            Operation::Delete => "d",
            _ => return Ok(()),
        };
        self.line.clear();
        let at = change.earliest.timestamp();
        let at = at.map_or("null".to_owned(), |at| at.as_millisecond().to_string());
        let mut line = Object::begin(&mut self.line);
        line.json("before", &event.before.json);
        line.json("after", &event.after.json);
        let mut source = line.object("source");
        source.text("version", env!("CARGO_PKG_VERSION"));
        source.text("connector", "ese");
        source.text("name", &change.database.name);
        source.json("ts_ms", &at);
        source.text("snapshot", "false");
        source.text("db", &change.database.name);
        source.text("table", &change.table.name);
        source.text("log", &change.log.name);
        source.text("lgpos", &event.lgpos.to_string());
        source.number("dbtime", event.dbtime);
        source.text("path", &change.database.path);
        source.text("before_state", event.before.state.name());
        source.text("after_state", event.after.state.name());
        source.text("status", change.status.name());
        source.end();
        line.text("op", op);
        line.json("ts_ms", &at);
        let mut transaction = line.object("transaction");
        let began = change.began.map_or(String::new(), |at| format!(":{at}"));
        transaction.text("id", &format!("{}{began}", change.transaction));
        transaction.number("total_order", change.place);
        transaction.number("data_collection_order", change.place);
        transaction.end();
        line.end();
        self.line.push(b'\n');
        self.to.write_all(&self.line)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
