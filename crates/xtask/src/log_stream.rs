//! A stream of any length for measurements: logs of 1 MiB, full of real records, chained as the engine chains them.

use ese_format::LogTime;
use ese_format::log::{LogHeader, SEGMENT_SIZE, SegmentHeader};
use ese_log::LogImage;
use ese_testkit::fixtures;
use ese_testkit::logs::{records_of, write_segments};
use std::fs;
use std::path::Path;

const LOG_SIZE: usize = 1 << 20;

/// Writes a stream `E00` of `count` finished logs to the new folder `folder`.
pub(crate) fn write(folder: &Path, count: &str) -> Result<(), String> {
    let count: u32 = count
        .parse()
        .map_err(|error| format!("{count:?}: {error}"))?;
    let state = fixtures::testdata_set("crash-p8k").join("state");
    fs::create_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let logs = fixtures::files_below(&state).into_iter();
    let images: Vec<LogImage> = logs.filter_map(|path| LogImage::read(&path).ok()).collect();
    let first = images.first().ok_or("the test data holds no log")?;
    let mut room = LOG_SIZE - 4 * SEGMENT_SIZE;
    let records: Vec<Vec<u8>> = images
        .iter()
        .cycle()
        .flat_map(records_of)
        .take_while(|record| {
            // Headers of segments and what is left free at their ends take about this much.
            room = room.saturating_sub(record.len() * 51 / 50);
            room > 0
        })
        .collect();
    let mut header = first.bytes[..SEGMENT_SIZE].to_vec();
    header[12..14].copy_from_slice(&((LOG_SIZE / SEGMENT_SIZE) as u16).to_le_bytes());
    let (mut before, mut sum) = (LogTime::default(), 0u64);
    for generation in 1..=count {
        let seconds = jiff::SignedDuration::from_secs(i64::from(generation));
        let created = LogTime::from_timestamp(jiff::Timestamp::UNIX_EPOCH + seconds);
        header[4..8].copy_from_slice(&generation.to_le_bytes());
        header[16..24].copy_from_slice(&created.0);
        header[24..32].copy_from_slice(&before.0);
        header[653..661].copy_from_slice(&sum.to_le_bytes());
        let log = write_segments(&header, &records);
        (before, sum) = (created, accumulated(&log));
        let path = folder.join(format!("E00{generation:08X}.log"));
        fs::write(&path, log).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// The exclusive or of the checksums of all segments that hold records.
fn accumulated(log: &[u8]) -> u64 {
    let header = LogHeader::read(log).expect("a whole header");
    let generation = header.as_read().generation;
    let segments = log.chunks_exact(SEGMENT_SIZE).enumerate().skip(1);
    let headers = segments.filter_map(|(number, segment)| {
        let segment = SegmentHeader::read(segment, 0).ok()?;
        let own =
            segment.lgpos.generation == generation && usize::from(segment.lgpos.segment) == number;
        own.then_some(segment.checksum)
    });
    headers.fold(0, |sum, checksum| sum ^ checksum)
}
