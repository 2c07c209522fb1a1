//! A stream of any length for measurements of replay: every record of it applies.

use ese_log::{LogImage, LogStream};
use ese_testkit::{fixtures, scaled};
use std::fs;
use std::path::Path;

const LOG_SIZE: usize = 1 << 20;

/// Writes a stream `E00` of `mebibytes` MiB to the new folder `folder`.
pub(crate) fn write(folder: &Path, mebibytes: &str) -> Result<(), String> {
    let mebibytes: u64 = mebibytes
        .parse()
        .map_err(|error| format!("{mebibytes:?}: {error}"))?;
    let at = |error: std::io::Error| format!("{}: {error}", folder.display());
    fs::create_dir(folder).map_err(at)?;
    let largest = fixtures::either("big-p8k", "exchange-standby-p8k");
    let set = fixtures::engine_set(largest);
    scaled::write(&recovered_stream(&set)?, folder, LOG_SIZE, mebibytes << 20).map_err(at)
}

/// The logs of a crash, the last one as the engine's recovery left it.
fn recovered_stream(set: &Path) -> Result<Vec<LogImage>, String> {
    let stream = LogStream::open(&set.join("state"), None).map_err(|error| error.to_string())?;
    let files = stream.files().in_order().map(|file| {
        let recovered = set.join("recovered").join(file.name());
        let path = if recovered.exists() {
            &recovered
        } else {
            &file.path
        };
        LogImage::read(path).map_err(|error| error.to_string())
    });
    files.collect()
}
