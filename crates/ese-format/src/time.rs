//! Wall-clock times as logs and headers store them.
//!
//! `LOGTIME` (`inc/daedef.hxx`) takes eight bytes:
//!
//! ```text
//! 0        1        2      3     4       5            6                        7
//! | second | minute | hour | day | month | year-1900  | bit 0: UTC             | bit 0: OS snapshot
//!                                                     | bits 1-7: ms, low 7    | bits 1-3: ms, high 3
//! ```
//!
//! Times are what the writing machine's clock said: they may be local (`UTC` bit clear), wrong, or go backwards.

use crate::hex::Hex;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use std::fmt;

/// A stored time, kept as its raw bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct LogTime(pub [u8; 8]);

impl LogTime {
    /// Bytes that a time takes on disk.
    pub const SIZE: usize = 8;

    /// Whether every byte is zero: the time was never set.
    pub fn is_null(self) -> bool {
        self.0 == [0; Self::SIZE]
    }

    /// Whether the time is in UTC; otherwise it is in the unknown local zone of the machine that wrote it.
    pub fn is_utc(self) -> bool {
        self.0[6] & 1 != 0
    }

    /// Whether the flag of an operating-system snapshot (volume shadow copy) is on a backup time.
    pub fn is_os_snapshot(self) -> bool {
        self.0[7] & 1 != 0
    }

    /// Milliseconds, 0 to 1023 as stored.
    pub fn milliseconds(self) -> u16 {
        u16::from(self.0[6] >> 1) | u16::from((self.0[7] >> 1) & 7) << 7
    }

    /// The calendar time, without its zone; `None` if unset or if the fields name no time that exists.
    pub fn civil(self) -> Option<jiff::civil::DateTime> {
        let [second, minute, hour, day, month, year, ..] = self.0;
        let part = |byte: u8| i8::try_from(byte).ok();
        jiff::civil::DateTime::new(
            i16::from(year) + 1900,
            part(month)?,
            part(day)?,
            part(hour)?,
            part(minute)?,
            part(second)?,
            i32::from(self.milliseconds()) * 1_000_000,
        )
        .ok()
    }

    /// The instant, if the time is valid and in UTC.
    pub fn timestamp(self) -> Option<jiff::Timestamp> {
        let zoned = self.civil().filter(|_| self.is_utc())?;
        Some(zoned.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    }

    /// The time as the engine would store the instant `at`.
    pub fn from_timestamp(at: jiff::Timestamp) -> Self {
        let civil = at.to_zoned(jiff::tz::TimeZone::UTC).datetime();
        let part = |value: i8| u8::try_from(value).unwrap_or(0);
        let milliseconds = civil.millisecond().unsigned_abs();
        LogTime([
            part(civil.second()),
            part(civil.minute()),
            part(civil.hour()),
            part(civil.day()),
            part(civil.month()),
            u8::try_from(civil.year() - 1900).unwrap_or(0),
            1 | u8::try_from(milliseconds & 0x7f).unwrap_or(0) << 1,
            u8::try_from(milliseconds >> 7).unwrap_or(0) << 1,
        ])
    }

    /// RFC 3339 where the zone is known (`2026-11-22T04:59:16.549Z`), the same without a zone where it is not;
    /// `None` if unset or invalid. Whole seconds where no milliseconds are stored.
    pub fn rfc3339(self) -> Option<String> {
        let digits = if self.milliseconds() == 0 { 0 } else { 3 };
        match self.timestamp() {
            Some(timestamp) => Some(format!("{timestamp:.digits$}")),
            None => self.civil().map(|civil| format!("{civil:.digits$}")),
        }
    }

    /// The time for messages: RFC 3339, or what else is known of it.
    pub fn shown(self) -> impl fmt::Display {
        match self.rfc3339() {
            Some(text) if self.is_utc() => text,
            Some(text) => format!("{text} (zone unknown)"),
            None if self.is_null() => "never".to_owned(),
            None => "at no valid time".to_owned(),
        }
    }
}

/// As header dumps write it: `11/22/2026 04:59:16.549 UTC`, or `LOC` when the zone is unknown
/// (`DUMPPrintLogTime`, `inc/daedef.hxx`). An unset time shows as `00/00/1900 00:00:00.000 LOC`.
impl fmt::Display for LogTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_fields(f, *self)?;
        f.write_str(if self.is_utc() { " UTC" } else { " LOC" })
    }
}

/// The fields without the zone, as signatures show them.
pub(crate) fn write_fields(f: &mut fmt::Formatter<'_>, time: LogTime) -> fmt::Result {
    let [second, minute, hour, day, month, year, ..] = time.0;
    write!(
        f,
        "{month:02}/{day:02}/{:04} {hour:02}:{minute:02}:{second:02}.{:03}",
        u16::from(year) + 1900,
        time.milliseconds()
    )
}

/// `{"time": RFC 3339 or null, "utc": bool, "raw": hex}`.
impl Serialize for LogTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("LogTime", 3)?;
        fields.serialize_field("time", &self.rfc3339())?;
        fields.serialize_field("utc", &self.is_utc())?;
        fields.serialize_field("raw", &Hex(&self.0))?;
        fields.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_round_trips() {
        let at: jiff::Timestamp = "2026-11-22T04:59:16.549Z".parse().unwrap();
        let time = LogTime::from_timestamp(at);
        assert_eq!(time.timestamp(), Some(at));
        assert_eq!(time.to_string(), "11/22/2026 04:59:16.549 UTC");
        assert_eq!(time.rfc3339().unwrap(), "2026-11-22T04:59:16.549Z");
    }

    #[test]
    fn unset_and_impossible_times_have_no_instant() {
        assert_eq!(
            LogTime::default().to_string(),
            "00/00/1900 00:00:00.000 LOC"
        );
        assert_eq!(LogTime::default().rfc3339(), None);
        let mut impossible = LogTime::from_timestamp("2026-02-01T00:00:00Z".parse().unwrap());
        impossible.0[3] = 31;
        assert_eq!(impossible.civil(), None);
        assert_eq!(impossible.to_string(), "02/31/2026 00:00:00.000 UTC");
    }

    #[test]
    fn a_local_time_has_no_zone() {
        let mut time = LogTime::from_timestamp("2007-03-04T05:06:07Z".parse().unwrap());
        time.0[6] &= !1;
        assert_eq!(time.rfc3339().unwrap(), "2007-03-04T05:06:07");
        assert_eq!(time.timestamp(), None);
    }
}
