//! A line of text for each change, for people.

use super::{ChangeSink, interval, sentence};
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
        let (when, what) = (interval(change), sentence(change));
        let (lgpos, database) = (change.event.lgpos, change.database.label());
        let (session, transaction) = (change.event.session, change.transaction);
        writeln!(
            self.to,
            "{when}  {lgpos}  {database}  {what}  [session {session}, transaction {transaction}]"
        )
    }

    fn finish(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
