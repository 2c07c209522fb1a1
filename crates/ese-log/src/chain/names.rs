//! What the files of generations are called, whether they are there or not.

use super::{ChainReport, LogReport};
use crate::name::FileRole;
use ese_format::Generation;

/// The most missing files that are named one by one.
const NAMED_MAX: usize = 20;

impl ChainReport {
    /// Whether a file for this generation is there, by its name.
    pub fn has(&self, generation: Generation) -> bool {
        self.logs.iter().any(|log| match log.role {
            FileRole::Generation {
                generation: named, ..
            } => named == generation,
            _ => log.generation() == Some(generation),
        })
    }

    /// The files of generations from `first` to `last`: the current log by the name that it has here.
    pub fn files_of(&self, first: Generation, last: Generation) -> String {
        let current = self.logs.iter().find(|log| log.is_current());
        let number = current.and_then(LogReport::generation);
        if number == Some(last) && !self.has_number(last) {
            let current = self.naming.current();
            return match last.0 - first.0 {
                0 => current,
                _ => {
                    let before = self.naming.range(first, Generation(last.0 - 1));
                    format!("{before} and {current}")
                }
            };
        }
        self.naming.range(first, last)
    }

    fn has_number(&self, generation: Generation) -> bool {
        let named = |log: &LogReport| matches!(log.role, FileRole::Generation { generation: named, .. } if named == generation);
        self.logs.iter().any(named)
    }

    /// Those of the generations from `first` to `last` that are not there, as names, and whether there are more.
    pub(super) fn missing(&self, first: Generation, last: Generation) -> (Vec<Generation>, bool) {
        let numbers = (first.0..=last.0).map(Generation);
        let mut missing: Vec<Generation> = numbers
            .filter(|generation| !self.has(*generation))
            .take(NAMED_MAX + 1)
            .collect();
        let more = missing.len() > NAMED_MAX;
        missing.truncate(NAMED_MAX);
        (missing, more)
    }

    /// Whether the current log of the machine that wrote the stream may be this generation: no log of it or of a later
    /// one is here, and none is known of.
    pub(super) fn may_be_current(&self, generation: Generation, committed: Generation) -> bool {
        let highest = self.logs.iter().filter_map(LogReport::generation).max();
        generation >= committed && highest < Some(generation)
    }
}
