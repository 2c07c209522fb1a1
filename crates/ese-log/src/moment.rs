//! Moments of a log stream: how people name them, and when a record was logged.

use crate::error::LogError;
use crate::image::LogImage;
use crate::limit::{Until, time_of};
use ese_format::log::{Layout, LogHeader, SEGMENT_SIZE, SegmentHeader};
use ese_format::{Generation, Lgpos, LogTime};
use evidence::EvidenceFile;
use jiff::Timestamp;
use serde::Serialize;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// A moment of a log stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A record, by its position.
    Lgpos(Lgpos),
    /// A generation, all of it.
    Generation(Generation),
    /// A time, by the clock of the machine that wrote the logs.
    Time(Timestamp),
}

impl Moment {
    /// Where it begins, unless it is a time.
    pub fn first(self) -> Option<Lgpos> {
        match self {
            Moment::Lgpos(lgpos) => Some(lgpos),
            Moment::Generation(generation) => Some(Lgpos {
                generation,
                ..Lgpos::NULL
            }),
            Moment::Time(_) => None,
        }
    }

    /// The last position that belongs to it, unless it is a time.
    pub fn last(self) -> Option<Lgpos> {
        match self {
            Moment::Lgpos(lgpos) => Some(lgpos),
            Moment::Generation(generation) => Some(Lgpos {
                generation,
                segment: u16::MAX,
                byte: u16::MAX,
            }),
            Moment::Time(_) => None,
        }
    }

    /// The time, if it is one.
    pub fn time(self) -> Option<Timestamp> {
        match self {
            Moment::Time(time) => Some(time),
            Moment::Lgpos(_) | Moment::Generation(_) => None,
        }
    }

    /// A reading that ends with it, all of it included.
    pub fn until(self) -> Until {
        Until {
            lgpos: self.last(),
            time: self.time(),
            ..Until::default()
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Moment::Lgpos(lgpos) => write!(f, "{lgpos}"),
            Moment::Generation(generation) => {
                write!(f, "generation {generation} ({generation:#x})")
            }
            Moment::Time(time) => write!(f, "{time}"),
        }
    }
}

/// Reads a generation (`42`, `0x2A`), a position (`0000002A:0010:01F4`) or a time with its zone (`2024-05-01T12:00:00Z`).
impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if let Ok(time) = text.parse() {
            return Ok(Moment::Time(time));
        }
        let problem = || {
            format!(
                "{text:?} is not a moment; write a generation as 42 or 0x2A, a position as 0000002A:0010:01F4, a time with its zone \
                 as 2024-05-01T12:00:00Z"
            )
        };
        if text.contains([':', ',']) {
            return text.parse().map(Moment::Lgpos).map_err(|_| problem());
        }
        let hexadecimal = text.strip_prefix("0x").or(text.strip_prefix("0X"));
        let number = match hexadecimal {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => text.parse(),
        };
        number
            .map(|number| Moment::Generation(Generation(number)))
            .map_err(|_| problem())
    }
}

/// When something happened, as far as the logs know: they keep the time of each segment, in the older layout of each log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Interval {
    /// The segment that holds it was begun then.
    pub from: LogTime,
    /// The next segment was begun then; null if there is none.
    pub until: LogTime,
}

/// When the record at `lgpos` of this log was logged; `next` is when the next log was [begun](begun_after).
pub fn logged(image: &LogImage, lgpos: Lgpos, next: LogTime) -> Interval {
    let from = time_of(image, lgpos);
    let following = Lgpos {
        segment: lgpos.segment.saturating_add(1),
        byte: 0,
        ..lgpos
    };
    let until = match image.layout {
        Layout::Segments if following < image.end() => segment_time(image, following.segment),
        Layout::Segments | Layout::ChecksumRecords => Some(next),
    };
    Interval {
        from,
        until: until.unwrap_or_default(),
    }
}

/// When the first segment of the log at `path` was begun; in the older layout, when the log was created. None if it does not
/// follow the log with the header `before`. Reads no more of it than that takes.
pub fn begun_after(before: &LogHeader, path: &Path) -> Result<Option<LogTime>, LogError> {
    let start = EvidenceFile::open(path)?.start(2 * SEGMENT_SIZE)?;
    let image = LogImage::from_bytes(path, start)?;
    let header = &image.header;
    if header.generation != before.generation.next()
        || header.signature != before.signature
        || header.previous_created != before.created
    {
        return Ok(None);
    }
    let is_there = image.layout == Layout::Segments && image.body.end > SEGMENT_SIZE;
    let first = is_there.then(|| segment_time(&image, 1)).flatten();
    Ok(Some(first.unwrap_or(header.created)))
}

/// When a segment was begun, if that is a time.
pub(crate) fn segment_time(image: &LogImage, segment: u16) -> Option<LogTime> {
    let bytes = image.bytes.get(usize::from(segment) * SEGMENT_SIZE..)?;
    let header = SegmentHeader::read(bytes, 0).ok()?;
    Some(header.started).filter(|started| started.timestamp().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_people_write_them() {
        let lgpos = Lgpos::new(0x2a, 0x10, 0x1f4);
        assert_eq!("0000002A:0010:01F4".parse(), Ok(Moment::Lgpos(lgpos)));
        assert_eq!("(0x2A,10,1F4)".parse(), Ok(Moment::Lgpos(lgpos)));
        for text in ["42", "0x2A", "0x2a"] {
            assert_eq!(text.parse(), Ok(Moment::Generation(Generation(42))));
        }
        let noon: Timestamp = "2024-05-01T12:00:00Z".parse().unwrap();
        assert_eq!("2024-05-01T14:00:00+02:00".parse(), Ok(Moment::Time(noon)));
    }

    #[test]
    fn what_is_no_moment_is_answered_with_how_to_write_one() {
        for text in ["", "noon", "2024-05-01T12:00:00", "1:2", "4294967296", "-1"] {
            let said = text.parse::<Moment>().unwrap_err();
            assert!(said.contains("2024-05-01T12:00:00Z"), "{said}");
        }
    }

    #[test]
    fn a_generation_is_all_of_its_records() {
        let moment = Moment::Generation(Generation(42));
        let until = moment.until();
        assert!(!until.is_past(Lgpos::new(42, u16::MAX, 7)));
        assert!(until.is_past(Lgpos::new(43, 1, 0)));
        assert!(until.leaves_out(Generation(43)));
        assert!(moment.first() <= Some(Lgpos::new(42, 1, 0)));
    }
}
