//! Where a reading of records ends if the logs go on.

use crate::image::LogImage;
use crate::moment::segment_time;
use ese_format::log::Layout;
use ese_format::{Generation, Lgpos, LogTime};
use jiff::Timestamp;
use serde::Serialize;

/// Where a replay ends if the logs go on: at whichever of these comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Until {
    /// The last generation.
    pub generation: Option<Generation>,
    /// The last record.
    pub lgpos: Option<Lgpos>,
    /// The record that is the first not to be replayed.
    pub before: Option<Lgpos>,
    /// No segment that was begun after this; in the older layout, no log that was. A segment stays open for up to
    /// some seconds, so that later records of the same moment may be in or out.
    pub time: Option<Timestamp>,
}

impl Until {
    /// Whether there is any limit.
    pub fn is_limited(&self) -> bool {
        *self != Until::default()
    }

    /// Whether no record of this generation is to be replayed, whatever its time.
    pub fn leaves_out(&self, generation: Generation) -> bool {
        self.generation.is_some_and(|last| generation > last)
            || self.lgpos.is_some_and(|last| generation > last.generation)
            || (self.before).is_some_and(|first_out| generation > first_out.generation)
    }

    /// Whether there are places before `lgpos` of which no record is to be replayed, apart from its time.
    pub fn leaves_out_before(&self, lgpos: Lgpos) -> bool {
        let after = |generation: Generation| Lgpos::new(generation.next().0, 0, 0);
        let is_end = |last: &Lgpos| last.segment == u16::MAX && last.byte == u16::MAX;
        let by_lgpos = self.lgpos.map(|last| match is_end(&last) {
            true => after(last.generation),
            false => last,
        });
        let limits = [self.generation.map(after), by_lgpos, self.before];
        limits.into_iter().flatten().any(|limit| limit < lgpos)
    }

    /// Whether the record at `lgpos` is no longer to be replayed, apart from its time.
    pub fn is_past(&self, lgpos: Lgpos) -> bool {
        self.generation.is_some_and(|last| lgpos.generation > last)
            || self.lgpos.is_some_and(|last| lgpos > last)
            || self.before.is_some_and(|first_out| lgpos >= first_out)
    }

    /// Whether the record at `lgpos` of this log was written too late.
    pub fn is_late(&self, image: &LogImage, lgpos: Lgpos) -> bool {
        let Some(limit) = self.time else { return false };
        let begun = time_of(image, lgpos).timestamp();
        begun.is_some_and(|begun| begun > limit)
    }
}

/// When the segment of `lgpos` was begun, by the clock of the machine that wrote it; in the older layout, which keeps no
/// such time, when the log was.
pub fn time_of(image: &LogImage, lgpos: Lgpos) -> LogTime {
    let begun = match image.layout {
        Layout::Segments => segment_time(image, lgpos.segment),
        Layout::ChecksumRecords => None,
    };
    begun.unwrap_or(image.header.created)
}
