//! The records of every log of the fixtures, against the reference engine's own listing of them.

use ese_format::Generation;
use ese_log::{LogStream, StreamRecords};
use ese_testkit::fixtures;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What a verbose dump says of one log.
struct Dump {
    /// Position and type name of each record it lists.
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
    let records = text.lines().filter_map(|line| {
        let (position, rest) = line.strip_prefix('>')?.split_once(' ')?;
        let name = rest.get(..9)?.trim_end();
        // The line that closes a run of filling has no position.
        (!position.is_empty()).then(|| (position.replace(',', ":"), name.to_owned()))
    });
    Dump {
        records: records.collect(),
        last_lgpos: field("Last Lgpos:"),
        accumulated: field("Accumulated segment checksum:"),
    }
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
        record.decode().unwrap();
        let entry = (record.lgpos.to_string(), record.kind.dump_name().to_owned());
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
    for (path, ours) in &logs {
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
        let folder = fixtures::engine_set(&set).unwrap();
        let stream = LogStream::open(&folder.join("state"), None).unwrap();
        let dumps = dumps(&folder.join("expected/records"), "mlv-");
        let compared = compare(stream.records(Generation(0)), &dumps);
        println!("{set}: {compared:?}");
        total = (total.0 + compared.0, total.1 + compared.1);
    }
    println!("{total:?}");
    if fixtures::shared().is_some() {
        assert!(total.0 >= 700 && total.1 >= 1_000_000, "{total:?}");
    }
}

#[test]
fn every_record_of_the_streams_of_windows_stands_where_the_engine_finds_it() {
    let Some(real) = fixtures::real() else { return };
    let win10 = "museum/SRUM/Win10/APTSimulatorVM/Clean";
    let win11 = "museum/SRUM/Win11/RathbunVM/Dirty";
    for (files, texts, logs) in [
        ("xp-catroot2", "xp-catroot2".to_owned(), 6),
        (win10, format!("{win10}/logs"), 8),
        (win11, format!("{win11}/logs"), 4),
    ] {
        let stream = LogStream::open(&real.join(files), None).unwrap();
        let dumps = dumps(&real.join("expected").join(texts), "ml-v-").into_iter();
        // The engine looked at copies named with eight digits.
        let dumps = dumps.map(|(name, path)| (name.replacen("000", "", 1), path));
        let compared = compare(stream.records(Generation(0)), &dumps.collect());
        println!("{files}: {compared:?}");
        assert_eq!(compared.0, logs, "{files}");
    }
}
