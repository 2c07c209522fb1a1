//! The older layout, tested on the same records as the newer one: every engine-made stream is repacked.

use ese_format::{Generation, RecordType};
use ese_log::chain::{Readiness, Severity, verdict, verify};
use ese_log::{LogImage, LogStream, StreamFiles, StreamRecords};
use ese_testkit::fixtures;
use ese_testkit::logs::{records_of, repack, write_segments};
use rayon::prelude::*;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// The next record that is neither filling nor a checksum record, as type and bytes.
fn next(records: &mut StreamRecords) -> Option<(RecordType, Vec<u8>)> {
    while let Some(record) = records.next_record().unwrap() {
        if !matches!(record.kind, RecordType::Nop | RecordType::Checksum) {
            return Some((record.kind, record.bytes.to_vec()));
        }
    }
    None
}

fn open(folder: &Path) -> StreamRecords {
    let stream = LogStream::open(folder, None).unwrap();
    stream.records(Generation(0))
}

fn compare(set: &str) -> usize {
    let state = fixtures::engine_set(set).join("state");
    let repacked = TempDir::new().unwrap();
    repack(&state, repacked.path());
    let files = StreamFiles::find(repacked.path(), None).unwrap();
    let report = verify(&files, None, &()).unwrap().unwrap();
    let worse = report.findings.iter();
    let worse: Vec<String> = worse
        .filter(|finding| finding.severity > Severity::Note)
        .map(ToString::to_string)
        .collect();
    let expected: &[&str] = match set {
        "lossy-p8k" => &["there is no current log edb.log"],
        _ => &[],
    };
    assert_eq!(worse, expected, "{set}");
    let (mut ours, mut theirs) = (open(&state), open(repacked.path()));
    let mut count = 0;
    loop {
        let (one, other) = (next(&mut ours), next(&mut theirs));
        assert_eq!(one, other, "{set}: record {count}");
        if one.is_none() {
            return count;
        }
        count += 1;
    }
}

#[test]
fn a_repacked_stream_holds_the_same_records_and_verifies() {
    let counts: Vec<usize> = fixtures::engine_set_names()
        .par_iter()
        .map(|set| compare(set))
        .collect();
    let least = fixtures::either(1_200_000, 200_000);
    assert!(counts.iter().sum::<usize>() > least, "{counts:?}");
}

#[test]
fn a_database_is_as_ready_with_the_repacked_stream() {
    let set = fixtures::engine_set("crash-p8k");
    let repacked = TempDir::new().unwrap();
    repack(&set.join("state"), repacked.path());
    let database = fs::read(set.join("state/db.edb")).unwrap();
    let copies = ese_format::database::HeaderCopies::read(&database);
    let header = &copies.good().unwrap().fields;
    let judge = || {
        let files = StreamFiles::find(repacked.path(), None).unwrap();
        verdict(&verify(&files, None, &()).unwrap().unwrap(), header)
    };
    let whole = judge();
    assert_eq!(whole.readiness, Readiness::Ready, "{whole:#?}");
    assert_eq!(whole.reach.unwrap().start.to_string(), "0000000D:0008:0000");
    fs::remove_file(repacked.path().join("edb00010.log")).unwrap();
    assert_eq!(judge().jet.map(|jet| jet.code), Some(-515));
}

#[test]
fn our_own_segments_read_back() {
    let set = fixtures::engine_set("names8-log-p32k");
    let path = set.join("state/E0000000002.log");
    let original = LogImage::read(&path).unwrap();
    let records = records_of(&original);
    let written = write_segments(&original.bytes, &records);
    let image = LogImage::from_bytes(&path, written).unwrap();
    assert_eq!(image.body.damage, []);
    assert_eq!(records_of(&image), records);
}
