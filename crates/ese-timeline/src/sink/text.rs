//! A line of text for each change, for people.

use super::{ChangeSink, rfc3339, sentence};
use crate::event::Change;
use std::io::{self, Write};

/// Writes a line for each change.
pub struct TextSink<W> {
    to: W,
}

impl<W: Write + Send> TextSink<W> {
    /// A sink that writes to `to`.
    pub fn new(to: W) -> Self {
        TextSink { to }
    }
}

impl<W: Write + Send> ChangeSink for TextSink<W> {
    fn change(&mut self, change: &Change<'_>) -> io::Result<()> {
        let time = rfc3339(change.earliest).unwrap_or_else(|| "-".to_owned());
        let (lgpos, database) = (change.event.lgpos, &change.database.name);
        writeln!(self.to, "{time}  {lgpos}  {database}  {}", sentence(change))
    }

    fn finish(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
