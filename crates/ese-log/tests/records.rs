//! The records of every log of the fixtures, against the reference engine's own listing of them: position, type and
//! every field that it prints, no record missing and none extra. Each record is also written back from its fields, byte for
//! byte: no field is missed that the listing does not print.

use ese_format::Generation;
use ese_log::{LogImage, LogStream, RecordCursor, StreamRecords};
use ese_testkit::fixtures;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What a verbose dump says of one log.
struct Dump {
    /// Position and text of each record it lists.
    records: Vec<(String, String)>,
    last_lgpos: Option<String>,
    accumulated: Option<String>,
}

fn dump(path: &Path) -> Dump {
    let text = fs::read(path).unwrap();
    let text = String::from_utf8_lossy(&text);
    let field = |label: &str| {
        let mut lines = text.lines();
        let line = lines.find_map(|line| line.trim().strip_prefix(label));
        line.map(|value| value.trim().to_owned())
    };
    Dump {
        records: listed_records(&text),
        last_lgpos: field("Last Lgpos:"),
        accumulated: field("Accumulated segment checksum:"),
    }
}

/// Position and text of the records that a dump lists: lines that open with `>` and a position, and the indented ones
/// that go on with a record.
fn listed_records(dump: &str) -> Vec<(String, String)> {
    let mut records: Vec<(String, String)> = Vec::new();
    let mut listing = false;
    for line in dump.lines() {
        let position_and_text = line.strip_prefix('>').and_then(|rest| rest.split_once(' '));
        match position_and_text.filter(|(position, _)| !position.is_empty()) {
            Some((position, text)) => {
                records.push((position.replace(',', ":"), text.to_owned()));
                listing = true;
            }
            None if line.is_empty() || line.starts_with("Segment") || line.starts_with("===") => {
                listing = false;
            }
            None if listing => {
                let (_, text) = records.last_mut().unwrap();
                text.push('\n');
                text.push_str(line);
            }
            None => {}
        }
    }
    records
}

/// What we read of one log.
#[derive(Default)]
struct Read {
    records: Vec<(String, String)>,
    last_lgpos: String,
    accumulated: String,
}

/// Reads the whole stream and compares each log with its dump, found by file name. Returns logs and records compared.
fn compare(mut records: StreamRecords, dumps: &BTreeMap<String, PathBuf>) -> (usize, usize) {
    let mut logs: BTreeMap<PathBuf, Read> = BTreeMap::new();
    while let Some(record) = records.next_record().unwrap() {
        let decoded = record.decode().unwrap();
        assert_eq!(decoded.encode().unwrap(), record.bytes, "{}", record.lgpos);
        let text = ese_text::record(&decoded).to_string();
        let entry = (record.lgpos.to_string(), text);
        let image = records.image().unwrap();
        let log = logs.entry(image.path.clone()).or_insert_with(|| {
            let end = image.end();
            Read {
                records: Vec::new(),
                last_lgpos: format!("(0x{:x},{:X},{:X})", end.generation, end.segment, end.byte),
                accumulated: format!("{:#018x}", image.body.accumulated_checksum),
            }
        });
        log.records.push(entry);
    }
    assert!(records.repaired.is_empty(), "{:?}", records.repaired);
    let mut count = (0, 0);
    for (path, ours) in &mut logs {
        // The length of filling is listed with the record after it; there is none at the end of a log.
        if let Some((_, text)) = ours
            .records
            .last_mut()
            .filter(|(_, text)| text.starts_with("NOP "))
        {
            text.truncate("NOP      ".len());
        }
        let name = path.file_name().unwrap().to_str().unwrap();
        let Some(text) = dumps.get(name) else {
            continue;
        };
        let (expected, text) = (dump(text), text.display());
        for (ours, expected) in ours.records.iter().zip(&expected.records) {
            assert_eq!(ours, expected, "{text}");
        }
        assert_eq!(ours.records.len(), expected.records.len(), "{text}");
        assert_eq!(
            Some(&ours.last_lgpos),
            expected.last_lgpos.as_ref(),
            "{text}"
        );
        assert_eq!(
            Some(&ours.accumulated),
            expected.accumulated.as_ref(),
            "{text}"
        );
        count = (count.0 + 1, count.1 + ours.records.len());
    }
    count
}

/// Dumps below `folder`, by the name of the log they are of.
fn dumps(folder: &Path, prefix: &str) -> BTreeMap<String, PathBuf> {
    if !folder.is_dir() {
        return BTreeMap::new();
    }
    let texts = fixtures::files_below(folder).into_iter();
    let named = texts.filter_map(|path| {
        let name = path.file_name()?.to_str()?;
        let log = name.strip_prefix(prefix)?.strip_suffix(".txt")?.to_owned();
        Some((log, path))
    });
    named.collect()
}

#[test]
fn every_record_of_every_engine_made_set_stands_where_the_engine_finds_it() {
    let mut total = (0, 0);
    for set in fixtures::engine_set_names() {
        let folder = fixtures::engine_set(&set);
        let stream = LogStream::open(&folder.join("state"), None).unwrap();
        let dumps = dumps(&folder.join("expected/records"), "mlv-");
        let compared = compare(stream.records(Generation(0)), &dumps);
        println!("{set}: {compared:?}");
        total = (total.0 + compared.0, total.1 + compared.1);
    }
    println!("{total:?}");
    let least = fixtures::either((700, 1_000_000), (150, 200_000));
    assert!(total.0 >= least.0 && total.1 >= least.1, "{total:?}");
}

#[test]
fn every_record_of_the_streams_of_windows_stands_where_the_engine_finds_it() {
    let real = fixtures::real();
    let win10 = "museum/SRUM/Win10/APTSimulatorVM/Clean";
    let win11 = "museum/SRUM/Win11/RathbunVM/Dirty";
    let streams = [
        (win10, format!("{win10}/logs"), 8),
        (win11, format!("{win11}/logs"), 4),
    ];
    let xp = fixtures::windows_xp().map(|_| ("xp-catroot2", "xp-catroot2".to_owned(), 6));
    for (files, texts, logs) in streams.into_iter().chain(xp) {
        let stream = LogStream::open(&real.join(files), None).unwrap();
        let dumps = dumps(&real.join("expected").join(texts), "ml-v-").into_iter();
        // The engine looked at copies named with eight digits.
        let dumps = dumps.map(|(name, path)| (name.replacen("000", "", 1), path));
        let dumps = dumps.collect();
        let compared = compare(stream.records(Generation(0)), &dumps);
        println!("{files}: {compared:?}");
        assert_eq!(compared.0, logs, "{files}");
        for leftover in &stream.files().leftovers {
            if dumps.contains_key(&leftover.name()) {
                let old = compare(StreamRecords::new([leftover.clone()]), &dumps);
                println!("{files}: {}: {old:?}", leftover.name());
                assert_eq!(old.0, 1);
            }
        }
    }
}

#[test]
fn logs_that_recovery_wrote_hold_nothing_unknown() {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut logs = 0;
    for set in fixtures::engine_set_names() {
        let folder = fixtures::engine_set(&set);
        let files = fixtures::files_below(&folder).into_iter();
        let is_log = |path: &PathBuf| {
            let kind = path.extension().and_then(|extension| extension.to_str());
            matches!(kind, Some("log" | "jtx")) && !path.starts_with(folder.join("state"))
        };
        for path in files.filter(is_log) {
            let image = LogImage::read(&path).unwrap();
            let mut cursor = RecordCursor::new();
            while let Some(record) = cursor.next_record(&image).unwrap() {
                let decoded = record.decode().unwrap();
                assert_eq!(decoded.encode().unwrap(), record.bytes, "{}", record.lgpos);
                *counts.entry(record.kind.dump_name()).or_default() += 1;
            }
            logs += 1;
        }
    }
    let total: usize = counts.values().sum();
    println!("{logs} logs, {total} records: {counts:?}");
    let least = fixtures::either((80, 80_000), (20, 15_000));
    assert!(
        logs >= least.0 && total >= least.1,
        "{logs} logs, {total} records"
    );
}
