//! What the files of generations are called, whether they are there or not.

use super::proof::{Proof, Unproved};
use super::ranges::LogNeed;
use super::{ChainReport, LogReport};
use crate::name::FileRole;
use ese_format::Generation;
use std::ops::RangeInclusive;

/// The most gaps that are named one by one.
const RANGES_MAX: usize = 20;

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

    /// The files that a database needs.
    pub fn files_needed(&self, need: LogNeed) -> String {
        let files = self.files_of(need.min_required, need.max_required);
        match self.may_be_current(need.max_required, need.max_committed) {
            true => format!("{files} (or {})", self.naming.current()),
            false => files,
        }
    }

    /// The files of generations from `first` to `last`: the current log by the name that it has here.
    pub fn files_of(&self, first: Generation, last: Generation) -> String {
        let current = self.logs.iter().find(|log| log.is_current());
        let number = current.and_then(LogReport::generation);
        if number == Some(last) && !self.has_number(last) {
            let current = self.naming.current();
            return match first < last {
                true => {
                    let before = self.naming.range(first, last.previous());
                    format!("{before} and {current}")
                }
                false => current,
            };
        }
        self.naming.range(first, last)
    }

    fn has_number(&self, generation: Generation) -> bool {
        let named = |log: &LogReport| matches!(log.role, FileRole::Generation { generation: named, .. } if named == generation);
        self.logs.iter().any(named)
    }

    /// The logs of generations from `first` to `last` that the log after them does not prove complete, and why.
    pub fn not_proved(
        &self,
        first: Generation,
        last: Generation,
    ) -> impl Iterator<Item = (&LogReport, Unproved)> {
        let logs = self.logs.iter().filter_map(|log| match log.proof {
            Proof::NotProved(why) => Some((log, why)),
            _ => None,
        });
        logs.filter(move |(log, _)| {
            log.generation()
                .is_some_and(|generation| (first..=last).contains(&generation))
        })
    }

    /// Those of the generations from `first` to `last` that are not there, as ranges, and whether there are more.
    pub(super) fn missing(
        &self,
        first: Generation,
        last: Generation,
    ) -> (Vec<RangeInclusive<Generation>>, bool) {
        let mut there: Vec<u32> = (self.logs.iter())
            .filter_map(LogReport::generation)
            .map(|generation| generation.0)
            .filter(|number| (first.0..=last.0).contains(number))
            .collect();
        there.sort_unstable();
        let mut missing = Vec::new();
        let mut next = u64::from(first.0);
        let end = u64::from(last.0) + 1;
        for number in there.into_iter().map(u64::from).chain([end]) {
            if number > next {
                missing.push(Generation(next as u32)..=Generation((number - 1) as u32));
            }
            next = number + 1;
        }
        let more = missing.len() > RANGES_MAX;
        missing.truncate(RANGES_MAX);
        (missing, more)
    }

    /// Whether the current log of the machine that wrote the stream may be this generation: no log of it or of a later
    /// one is here, and none is known of.
    pub(super) fn may_be_current(&self, generation: Generation, committed: Generation) -> bool {
        let highest = self.logs.iter().filter_map(LogReport::generation).max();
        generation >= committed && highest < Some(generation)
    }
}
