//! JSON Lines for Timesketch: `message`, `datetime`, `timestamp`, `timestamp_desc` and `data_type` on every line, and the
//! parts of the change as fields of their own. The moment is the earliest possible one.

use super::{ChangeSink, Object, rfc3339, sentence, unknown_columns};
use crate::event::Change;
use jiff::tz::TimeZone;
use std::io::{self, Write};

/// Writes changes for Timesketch.
pub struct TimesketchSink<W> {
    to: W,
    line: Vec<u8>,
}

impl<W: Write + Send> TimesketchSink<W> {
    /// A sink that writes to `to`.
    pub fn new(to: W) -> Self {
        TimesketchSink {
            to,
            line: Vec::new(),
        }
    }
}

impl<W: Write + Send> ChangeSink for TimesketchSink<W> {
    fn change(&mut self, change: &Change<'_>) -> io::Result<()> {
        self.line.clear();
        let event = change.event;
        let at = change.earliest.timestamp();
        let local = change.earliest.civil();
        let as_utc = local.and_then(|local| local.to_zoned(TimeZone::UTC).ok());
        let moment = at.or(as_utc.map(|zoned| zoned.timestamp()));
        let mut line = Object::begin(&mut self.line);
        line.text("message", &sentence(change));
        let datetime = match at {
            Some(_) => rfc3339(change.earliest),
            None => moment.map(|moment| moment.to_string()),
        };
        line.text("datetime", &datetime.unwrap_or_default());
        let stamp = moment.map_or(0, jiff::Timestamp::as_microsecond);
        line.number("timestamp", stamp);
        let desc = match (at, moment) {
            (Some(_), _) => "Change Logged (earliest)",
            (None, Some(_)) => {
                "Change Logged (earliest; local time of an unknown zone, written as UTC)"
            }
            (None, None) => "Change Logged (time not known)",
        };
        line.text("timestamp_desc", desc);
        line.text("data_type", "windows:ese:change");
        line.text("operation", event.operation.name());
        line.text("status", change.status.name());
        line.text("database", &change.database.path);
        line.text("table", &change.table.name);
        line.text("key", &event.key);
        line.text("before", &event.before.json);
        line.text("after", &event.after.json);
        line.text("before_state", event.before.state.name());
        line.text("after_state", event.after.state.name());
        line.texts("unknown_columns", &unknown_columns(event));
        line.texts("changed", &event.changed);
        line.text("latest", &rfc3339(change.latest).unwrap_or_default());
        line.number("session", event.session);
        line.number("transaction", change.transaction);
        line.text("log", &change.log.name);
        line.text("lgpos", &event.lgpos.to_string());
        line.number("dbtime", event.dbtime);
        line.number("page", event.page);
        line.end();
        self.line.push(b'\n');
        self.to.write_all(&self.line)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
