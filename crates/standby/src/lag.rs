//! Lag times as the cmdlets take them: `Days.Hours:Minutes:Seconds`, from nothing to seven days.
//!
//! The form is that of .NET's `TimeSpan`: `D`, `HH:MM`, `HH:MM:SS` and `D.HH:MM:SS` are read, the last is written. The
//! limits are those of `ReplayLagTime` and `TruncationLagTime` ("Enabling Standby Continuous Replication", Exchange
//! 2007 SP1).

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

const MINUTE: u32 = 60;
const HOUR: u32 = 60 * MINUTE;
const DAY: u32 = 24 * HOUR;

/// A wait of whole seconds, at most [`Lag::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Lag {
    seconds: u32,
}

/// Why a text is no lag.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LagError {
    /// It is not of the form.
    #[error(
        "{0:?} is not a time: it is written Days.Hours:Minutes:Seconds, as in 1.00:00:00 or 0.06:30:00, or 90s, 30m, 24h, 1d"
    )]
    Form(String),
    /// A part is larger than it can be.
    #[error("{text:?} is not a time: {value} {part} are more than {most}")]
    Part {
        /// The text.
        text: String,
        /// Which part.
        part: &'static str,
        /// Its value.
        value: u32,
        /// The most it can be.
        most: u32,
    },
    /// It is longer than seven days.
    #[error("{0:?} is more than seven days (7.00:00:00)")]
    TooLong(String),
}

impl Lag {
    /// No lag. Replay still keeps the newest logs back.
    pub const ZERO: Lag = Lag { seconds: 0 };
    /// What `ReplayLagTime` is unless it is given: 24 hours.
    pub const DEFAULT_REPLAY: Lag = Lag { seconds: DAY };
    /// The longest lag: seven days.
    pub const MAX: Lag = Lag { seconds: 7 * DAY };

    /// A lag of so many seconds, or the longest.
    pub fn from_seconds(seconds: u32) -> Self {
        Lag { seconds }.min(Lag::MAX)
    }

    /// As a duration.
    pub fn duration(self) -> SignedDuration {
        SignedDuration::from_secs(self.seconds.into())
    }
}

impl FromStr for Lag {
    type Err = LagError;

    fn from_str(text: &str) -> Result<Self, LagError> {
        let form = || LagError::Form(text.to_owned());
        if let Some(lag) = short(text) {
            let lag = lag.filter(|lag| *lag <= Lag::MAX);
            return lag.ok_or_else(|| LagError::TooLong(text.to_owned()));
        }
        let (days, clock) = match (text.split_once('.'), text.contains(':')) {
            (Some((days, clock)), true) => (days, clock),
            (None, true) => ("0", text),
            (_, false) => (text, "0:0:0"),
        };
        let mut parts = clock.split(':');
        let parts = [
            parts.next(),
            parts.next(),
            parts.next().or(Some("0")),
            parts.next(),
        ];
        let [Some(hours), Some(minutes), Some(seconds), None] = parts else {
            return Err(form());
        };
        let number = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            let number = digits.then(|| part.parse::<u32>().ok()).flatten();
            number.ok_or_else(form)
        };
        let limited = |part: &'static str, value: &str, most: u32| {
            let value = number(value)?;
            let text = || text.to_owned();
            let too_large = || LagError::Part {
                text: text(),
                part,
                value,
                most,
            };
            (value <= most).then_some(value).ok_or_else(too_large)
        };
        let days = number(days)?;
        let within = limited("hours", hours, 23)? * HOUR
            + limited("minutes", minutes, 59)? * MINUTE
            + limited("seconds", seconds, 59)?;
        let seconds = days
            .checked_mul(DAY)
            .and_then(|days| days.checked_add(within));
        let lag = seconds.map(|seconds| Lag { seconds });
        lag.filter(|lag| *lag <= Lag::MAX)
            .ok_or_else(|| LagError::TooLong(text.to_owned()))
    }
}

/// `90s`, `30m`, `24h`, `1d`: none if it is not of that form, and an inner one if it is longer than can be counted.
fn short(text: &str) -> Option<Option<Lag>> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => MINUTE,
        "h" => HOUR,
        "d" => DAY,
        _ => return None,
    };
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| number.parse::<u32>().ok())?;
    let seconds = number.and_then(|number| number.checked_mul(unit));
    Some(seconds.map(|seconds| Lag { seconds }))
}

impl fmt::Display for Lag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let within = self.seconds % DAY;
        let days = self.seconds / DAY;
        let (hours, minutes) = (within / HOUR, within % HOUR / MINUTE);
        write!(f, "{days}.{hours:02}:{minutes:02}:{:02}", within % MINUTE)
    }
}

impl From<Lag> for String {
    fn from(lag: Lag) -> Self {
        lag.to_string()
    }
}

impl TryFrom<String> for Lag {
    type Error = LagError;

    fn try_from(text: String) -> Result<Self, LagError> {
        text.parse()
    }
}
