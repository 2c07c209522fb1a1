//! A stream of any length for measurements: logs of 1 MiB, full of real records, chained as the engine chains them.

use ese_testkit::growing::GrowingStream;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const LOG_SIZE: usize = 1 << 20;

/// Writes a stream `E00` of `count` finished logs to the new folder `folder`.
pub(crate) fn write(folder: &Path, count: &str) -> Result<(), String> {
    let count = number(count)?;
    fs::create_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut stream = GrowingStream::begin(folder, LOG_SIZE);
    stream.roll_many(count);
    fs::remove_file(stream.current()).map_err(|error| error.to_string())
}

/// Closes `count` logs of a stream in `folder` while others watch, `rate` of them a second; as fast as they can be
/// written for 0.
pub(crate) fn grow(folder: &Path, count: &str, rate: &str) -> Result<(), String> {
    let (count, rate) = (number(count)?, number(rate)?);
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut stream = GrowingStream::begin(folder, LOG_SIZE);
    let begun = Instant::now();
    for closed in 1..=count {
        stream.roll();
        let due = Duration::from_secs_f64(f64::from(closed) / f64::from(rate.max(1)));
        if rate > 0 {
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
        }
    }
    Ok(())
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|error| format!("{text:?}: {error}"))
}
