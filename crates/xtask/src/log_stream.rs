//! A stream of any length for measurements: logs of 1 MiB, full of real records, chained as the engine chains them.

use ese_testkit::growing::GrowingStream;
use std::fs;
use std::path::Path;

const LOG_SIZE: usize = 1 << 20;

/// Writes a stream `E00` of `count` finished logs to the new folder `folder`.
pub(crate) fn write(folder: &Path, count: &str) -> Result<(), String> {
    let count: u32 = count
        .parse()
        .map_err(|error| format!("{count:?}: {error}"))?;
    fs::create_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut stream = GrowingStream::begin(folder, LOG_SIZE);
    stream.roll_many(count);
    fs::remove_file(stream.current()).map_err(|error| error.to_string())
}
