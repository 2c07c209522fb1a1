//! Every log record of every engine-made set and of the real streams decodes to what the reference prints for it:
//! position, type and each field, none missing and none extra.

use ese_format::log::{Layout, LogHeader};
use ese_format::{Lgpos, Record, RecordFormat};
use ese_testkit::fixtures;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// One record of a dump: its position and its text, further lines included.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    lgpos: Lgpos,
    text: String,
}

/// How many records of each type were compared.
type Counts = BTreeMap<String, usize>;

#[test]
fn engine_made_records() {
    let mut counts = Counts::new();
    for name in fixtures::engine_set_names() {
        let set = fixtures::engine_set(&name).unwrap();
        let dumps = dumps_in(&set.join("expected/records"), "mlv-");
        assert_eq!(dumps.is_empty(), name == "lossy-p8k", "{name}");
        for dump in dumps {
            compare(&dump, &set.join("state"), &mut counts);
        }
    }
    report("engine-made", &counts);
}

#[test]
fn real_records() {
    let mut counts = Counts::new();
    let Some(real) = fixtures::real() else { return };
    for folder in [
        "museum/SRUM/Win10/APTSimulatorVM/Clean",
        "museum/SRUM/Win11/RathbunVM/Dirty",
    ] {
        let dumps = dumps_in(&real.join("expected").join(folder).join("logs"), "ml-v-");
        assert!(!dumps.is_empty());
        for dump in dumps {
            compare(&dump, &real.join(folder), &mut counts);
        }
    }
    for dump in dumps_in(&real.join("expected/xp-catroot2"), "ml-v-") {
        compare(&dump, &real.join("xp-catroot2"), &mut counts);
    }
    report("real", &counts);
}

fn report(what: &str, counts: &Counts) {
    println!(
        "{what}: {} records agree: {counts:?}",
        counts.values().sum::<usize>()
    );
}

fn dumps_in(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_dump = |path: &PathBuf| {
        path.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with(prefix)
    };
    paths.filter(is_dump).collect()
}

/// Compares the log that `dump` is about, found by its generation in `folder`, with the dump.
fn compare(dump: &Path, folder: &Path, counts: &mut Counts) {
    let text = fs::read_to_string(dump).unwrap();
    let expected = expected_lines(&text);
    let log = log_of(&text, folder);
    let header = LogHeader::read(&log).unwrap().into_trusted().unwrap();
    let decoded = match header.version.layout().unwrap() {
        Layout::Segments => segment_lines(&log, &header),
        Layout::ChecksumRecords => sector_lines(&log, &header, end_of(&text)),
    };
    for (expected, decoded) in expected.iter().zip(&decoded) {
        assert_eq!(expected, decoded, "{}", dump.display());
    }
    assert_eq!(expected.len(), decoded.len(), "{}", dump.display());
    for line in &expected {
        *counts
            .entry(line.text[..9].trim_end().to_owned())
            .or_default() += 1;
    }
}

/// The records of a dump. Lines of records open with `>`, further lines of the same record with blanks.
fn expected_lines(dump: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut open = false;
    for line in dump.lines() {
        let filling_ends = line.starts_with(">     ");
        if let Some(rest) = line.strip_prefix('>').filter(|_| !filling_ends) {
            let (position, text) = rest.split_once(' ').unwrap();
            let lgpos = position.parse().unwrap();
            lines.push(Line {
                lgpos,
                text: text.to_owned(),
            });
            open = true;
        } else if line.is_empty() || line.starts_with("Segment Checksum") || line.starts_with("===")
        {
            open = false;
        } else if open {
            let last = lines.last_mut().unwrap();
            last.text.push('\n');
            last.text.push_str(line);
        }
    }
    lines
}

fn log_of(dump: &str, folder: &Path) -> Vec<u8> {
    let value = |label: &str| {
        dump.lines()
            .find_map(|line| line.trim().strip_prefix(label))
            .unwrap()
    };
    let generation: u32 = value("lGeneration: ")
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let named = folder.join(value("Log file: "));
    if let Ok(log) = fs::read(&named) {
        return log;
    }
    let logs = fixtures::files_below(folder)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|ext| ext == "log"));
    let mut contents = logs.map(|path| fs::read(path).unwrap());
    contents
        .find(|log| LogHeader::read(log).unwrap().as_read().generation.0 == generation)
        .unwrap_or_else(|| panic!("no log of generation {generation} in {}", folder.display()))
}

fn format_of(header: &LogHeader) -> RecordFormat {
    RecordFormat::of_log_version(header.version.update_major, header.version.update_minor)
}

/// Records of a segment-checksummed log. A record's position is where the one before it ended, filling not counted.
fn segment_lines(log: &[u8], header: &LogHeader) -> Vec<Line> {
    const SEGMENT: usize = 4096;
    const SEGMENT_HEADER: usize = 40;
    let format = format_of(header);
    let mut lines = Vec::new();
    let mut filled_from = None;
    let mut fragments: Option<(Lgpos, usize, Vec<u8>)> = None;
    for (index, segment) in log.chunks_exact(SEGMENT).enumerate().skip(1) {
        let start = Lgpos::new(header.generation.0, index as u16, 0);
        if Lgpos::from_bytes(segment[8..16].try_into().unwrap()) != start {
            break;
        }
        let mut at = SEGMENT_HEADER;
        while at < SEGMENT {
            let byte = if at == SEGMENT_HEADER { 0 } else { at as u16 };
            let lgpos = filled_from.take().unwrap_or(Lgpos { byte, ..start });
            let (record, size) = Record::decode(&segment[at..], at as u64, format).unwrap();
            at += size;
            match record {
                Record::FragmentBegin(begin) => {
                    fragments = Some((lgpos, begin.total_size as usize, begin.data.to_vec()));
                }
                Record::Fragment(more) => {
                    let (lgpos, total, bytes) = fragments.as_mut().unwrap();
                    bytes.extend_from_slice(more.data);
                    if bytes.len() < *total {
                        continue;
                    }
                    let (record, size) = Record::decode(bytes, 0, format).unwrap();
                    assert_eq!(size, *total);
                    lines.push(Line {
                        lgpos: *lgpos,
                        text: record.dump().to_string(),
                    });
                    fragments = None;
                }
                Record::Nop(_) => filled_from = Some(lgpos),
                record => lines.push(Line {
                    lgpos,
                    text: record.dump().to_string(),
                }),
            }
        }
    }
    if lines.is_empty() {
        // A log without records: the reference takes its first unwritten byte, a zero, for filling.
        let lgpos = Lgpos::new(header.generation.0, 1, 0);
        let text = format!("{:<9}", "NOP");
        lines.push(Line { lgpos, text });
    }
    lines
}

/// Where the dump says that the log ends.
fn end_of(dump: &str) -> Lgpos {
    let position = dump
        .lines()
        .find_map(|line| line.trim().strip_prefix("Last Lgpos: "));
    position.unwrap().parse().unwrap()
}

/// The records of a log in the older layout up to `end`, where they follow each other without joints.
fn sector_lines(log: &[u8], header: &LogHeader, end: Lgpos) -> Vec<Line> {
    let sector = u32::from(header.sector_size);
    let log = &log[..end.file_offset(sector) as usize];
    let sector = sector as usize;
    let mut at = usize::from(header.header_sectors) * sector;
    let mut lines = Vec::new();
    while at < log.len() {
        let (record, size) = Record::decode(&log[at..], at as u64, format_of(header)).unwrap();
        lines.push(Line {
            lgpos: Lgpos::new(
                header.generation.0,
                (at / sector) as u16,
                (at % sector) as u16,
            ),
            text: record.dump().to_string(),
        });
        at += size;
    }
    // The reference counts filling when it comes to the record after it; there is none at the end.
    if let Some(last) = lines
        .last_mut()
        .filter(|last| last.text.starts_with("NOP "))
    {
        last.text.truncate("NOP      ".len());
    }
    lines
}
