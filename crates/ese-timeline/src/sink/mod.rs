//! How changes are written down.

#[cfg(feature = "arrow")]
mod batch;
mod csv;
mod debezium;
mod jsonl;
mod life;
#[cfg(feature = "parquet")]
mod parquet;
mod text;
mod timesketch;

#[cfg(feature = "arrow")]
pub use batch::{BatchSink, change_schema};
pub use csv::CsvSink;
pub use debezium::DebeziumSink;
pub use jsonl::JsonlSink;
pub use life::LifeSink;
#[cfg(feature = "parquet")]
pub use parquet::ParquetSink;
pub use text::TextSink;
pub use timesketch::TimesketchSink;

use crate::event::{Change, Event};
use ese_export::json::write_text;
use ese_format::LogTime;
use std::io;

/// Takes changes in the order in which they are told.
pub trait ChangeSink: Send {
    /// Takes a change.
    fn change(&mut self, change: &Change<'_>) -> io::Result<()>;

    /// Nothing more comes.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An object of JSON that is written piece by piece.
struct Object<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

impl<'o> Object<'o> {
    fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Object {
            out,
            is_empty: true,
        }
    }

    fn name(&mut self, name: &str) -> &mut Vec<u8> {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    fn text(&mut self, name: &str, text: &str) {
        write_text(self.name(name), text);
    }

    fn number(&mut self, name: &str, number: impl std::fmt::Display) {
        let number = number.to_string();
        self.name(name).extend_from_slice(number.as_bytes());
    }

    /// JSON as it is; null where there is none.
    fn json(&mut self, name: &str, json: &str) {
        let json = if json.is_empty() { "null" } else { json };
        self.name(name).extend_from_slice(json.as_bytes());
    }

    fn texts(&mut self, name: &str, texts: &[String]) {
        write_texts(self.name(name), texts);
    }

    fn object(&mut self, name: &str) -> Object<'_> {
        Object::begin(self.name(name))
    }

    fn end(self) {
        self.out.push(b'}');
    }
}

/// A list of JSON.
fn write_texts(out: &mut Vec<u8>, texts: &[String]) {
    out.push(b'[');
    for (index, text) in texts.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(out, text);
    }
    out.push(b']');
}

/// A time as RFC 3339 in UTC, or as the local time of an unknown zone; nothing if there is none.
fn rfc3339(time: LogTime) -> Option<String> {
    time.rfc3339()
        .or_else(|| (!time.is_null()).then(|| time.shown().to_string()))
}

/// When it happened, as an interval of ISO 8601; `..` is an end that is not known.
fn interval(change: &Change<'_>) -> String {
    let end = |time| rfc3339(time).unwrap_or_else(|| "..".to_owned());
    format!("{}/{}", end(change.earliest), end(change.latest))
}

/// Columns of which it is not known what they held before or after.
fn unknown_columns(event: &Event) -> Vec<String> {
    let unknown = event.before.unknown.iter().chain(&event.after.unknown);
    let mut names: Vec<String> = unknown.map(|(column, _)| column.clone()).collect();
    names.sort();
    names.dedup();
    names
}

/// What happened, in words.
fn sentence(change: &Change<'_>) -> String {
    use crate::event::{Operation, Status};
    let event = change.event;
    let table = &change.table.name;
    let object = event.object.as_ref();
    let name = object.map_or("", |(name, _)| name);
    let old = object.and_then(|(_, old)| old.as_deref()).unwrap_or("");
    let key = || match (event.key.is_empty(), &event.bookmark) {
        (false, _) if event.key != "{}" => format!("row {}", event.key),
        (_, Some(bookmark)) => format!("row with key {}", ese_format::hex::encode(bookmark)),
        _ => "row whose key is not known".to_owned(),
    };
    let what = match event.operation {
        Operation::Insert => format!("{table}: {} inserted", key()),
        Operation::Update => {
            let changed = event.changed.join(", ");
            match changed.is_empty() {
                true => format!("{table}: {} updated", key()),
                false => format!("{table}: {} updated ({changed})", key()),
            }
        }
        Operation::Delete => format!("{table}: {} deleted", key()),
        Operation::CreateTable => format!("table {name} created"),
        Operation::DropTable => format!("table {name} dropped"),
        Operation::RenameTable => format!("table {old} renamed to {name}"),
        Operation::AddColumn => format!("{table}: column {name} added"),
        Operation::DeleteColumn => format!("{table}: column {name} deleted"),
        Operation::RenameColumn => format!("{table}: column {old} renamed to {name}"),
        Operation::CreateIndex => format!("{table}: index {name} created"),
        Operation::DropIndex => format!("{table}: index {name} dropped"),
    };
    match change.status {
        Status::Committed => what,
        Status::RolledBack => format!("{what}, and rolled back"),
        Status::OpenAtEnd => format!("{what}, not committed when the logs end"),
        Status::EndNotKnown => {
            format!("{what}, and a log is missing that says whether it was committed")
        }
    }
}
