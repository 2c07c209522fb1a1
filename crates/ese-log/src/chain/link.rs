//! What is wrong between the logs of a stream, and with what stands beside them.

use super::finding::{Finding, FindingKind};
use super::survey::{CheckpointReport, LogReport};
use crate::folder::StreamFiles;
use crate::name::FileRole;
use ese_format::Generation;
use ese_format::log::{Layout, LogHeader};
use std::collections::HashMap;
use std::hash::Hash;

/// All findings that are not about one log by itself.
pub(super) fn compare(
    files: &StreamFiles,
    logs: &[LogReport],
    checkpoint: Option<&CheckpointReport>,
) -> Vec<Finding> {
    let mut found = presence(files, logs);
    found.extend(against_majority(logs));
    let headers: Vec<_> = logs.iter().filter(|log| log.header().is_some()).collect();
    for pair in headers.windows(2) {
        if let [before, after] = pair {
            found.extend(link(before, after));
        }
    }
    found.extend(circular(logs));
    found.extend(leftovers(files));
    found.extend(checkpoint_findings(files, logs, checkpoint));
    found
}

/// Gaps, duplicates and the current log.
fn presence(files: &StreamFiles, logs: &[LogReport]) -> Vec<Finding> {
    let naming = &files.naming;
    let mut found = Vec::new();
    let mut gap = |after: Generation, before: Generation| {
        let (first, last) = (Generation(after.0 + 1), Generation(before.0 - 1));
        let files = naming.range(first, last);
        found.push(Finding::general(FindingKind::Gap { first, last, files }).of(first));
    };
    let named: Vec<_> = logs.iter().filter(|log| !log.is_current()).collect();
    let number = |log: &LogReport| log.generation().unwrap_or_default();
    for pair in named.windows(2) {
        if let [before, after] = pair
            && number(after).0 > number(before).0.saturating_add(1)
        {
            gap(number(before), number(after));
        }
    }
    let current = logs.iter().find(|log| log.is_current());
    let current_number = current.and_then(LogReport::generation);
    if let (Some(last), Some(current)) = (named.last().copied().map(number), current_number)
        && current.0 > last.0.saturating_add(1)
    {
        gap(last, current);
    }
    for pair in logs.windows(2) {
        if let [one, another] = pair
            && same_place(one, another)
        {
            let other = one.name.clone();
            found.push(Finding::about(another, FindingKind::Duplicate { other }));
        }
    }
    match current {
        None => {
            let file = naming.current();
            found.push(Finding::general(FindingKind::CurrentMissing { file }));
        }
        Some(current) => {
            let same = |log: &&&LogReport| {
                log.header().map(|header| header.generation) == current_number
                    && current_number.is_some()
            };
            if let Some(same) = named.iter().find(same) {
                let other = same.name.clone();
                found.push(Finding::about(
                    current,
                    FindingKind::CurrentAlsoNamed { other },
                ));
            } else if let (Some(last), Some(number)) =
                (named.last().copied().map(number), current_number)
                && number < last
            {
                found.push(Finding::about(current, FindingKind::CurrentBehind { last }));
            }
        }
    }
    found
}

/// Whether two logs have the same generation in their names, or are both the current one.
fn same_place(one: &LogReport, other: &LogReport) -> bool {
    let named = |log: &LogReport| match log.role {
        FileRole::Generation { generation, .. } => Some(generation),
        _ => None,
    };
    named(one) == named(other)
}

/// The value that most have; the one met first among equals.
fn majority<T: Eq + Hash + Copy>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut counts: HashMap<T, (usize, usize)> = HashMap::new();
    for (index, value) in values.enumerate() {
        counts.entry(value).or_insert((0, index)).0 += 1;
    }
    let most = counts
        .into_iter()
        .max_by_key(|(_, (count, index))| (*count, std::cmp::Reverse(*index)));
    most.map(|(value, _)| value)
}

/// Logs that differ from most others in what all logs of a stream share.
fn against_majority(logs: &[LogReport]) -> Vec<Finding> {
    let headers = || logs.iter().filter_map(LogReport::header);
    let mut found = Vec::new();
    if let Some(expected) = majority(headers().map(|header| header.signature)) {
        for log in logs {
            let signature = log.header().map(|header| header.signature);
            if let Some(signature) = signature.filter(|found| *found != expected) {
                let kind = FindingKind::ForeignSignature {
                    found: signature,
                    expected,
                };
                found.push(Finding::about(log, kind));
            }
        }
    }
    let mut compare = |what: &'static str, value: &dyn Fn(&LogHeader) -> Option<u64>| {
        let Some(expected) = majority(headers().filter_map(value)) else {
            return;
        };
        for log in logs {
            let value = log.header().and_then(value);
            if let Some(value) = value.filter(|value| *value != expected) {
                let kind = FindingKind::GeometryDiffers {
                    what,
                    found: value,
                    expected,
                };
                found.push(Finding::about(log, kind));
            }
        }
    };
    compare("page size", &|header| Some(u64::from(header.page_size())));
    compare("log file size", &|header| Some(header.file_size()));
    // The newer layout always has 4096; the older one has the sector size of the disk.
    let old = |header: &LogHeader| header.version.layout() == Ok(Layout::ChecksumRecords);
    compare("sector size", &|header| {
        old(header).then_some(u64::from(header.sector_size))
    });
    found
}

/// What is wrong between a log and the one after it. Only neighbours by the generation in their headers are compared.
fn link(before: &LogReport, after: &LogReport) -> Vec<Finding> {
    let (Ok(earlier), Ok(later)) = (&before.content, &after.content) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    found.extend(other_engine(&earlier.header, &later.header));
    if later.header.generation.0 == earlier.header.generation.0.wrapping_add(1) {
        if later.header.previous_created != earlier.header.created {
            found.push(FindingKind::PreviousCreated {
                found: later.header.previous_created,
                expected: earlier.header.created,
            });
        }
        let sum = later.header.previous_accumulated_checksum;
        if sum != 0 && sum != earlier.accumulated_checksum {
            found.push(FindingKind::AccumulatedChecksum {
                found: sum,
                expected: earlier.accumulated_checksum,
            });
        }
        if later.header.version.is_behind(earlier.header.version) {
            found.push(FindingKind::VersionBackwards {
                found: later.header.version,
                before: earlier.header.version,
            });
        }
    }
    let about = |kind| Finding::about(after, kind);
    found.into_iter().map(about).collect()
}

/// Signs that another installation of the engine wrote the later log.
fn other_engine(earlier: &LogHeader, later: &LogHeader) -> Option<FindingKind> {
    let mut differences = Vec::new();
    let paths = [
        (
            "log path",
            &earlier.parameters.log_path,
            &later.parameters.log_path,
        ),
        (
            "system path",
            &earlier.parameters.system_path,
            &later.parameters.system_path,
        ),
    ];
    for (what, before, now) in paths {
        if !before.eq_ignore_ascii_case(now) {
            differences.push(format!("{what} {now}, before {before}"));
        }
    }
    if later.engine_version < earlier.engine_version {
        let (now, before) = (later.engine_version, earlier.engine_version);
        differences.push(format!("engine format version {now}, before {before}"));
    }
    if !differences.is_empty() && later.version != earlier.version {
        differences.push(format!(
            "log version {}, before {}",
            later.version, earlier.version
        ));
    }
    (!differences.is_empty()).then_some(FindingKind::OtherEngine { differences })
}

fn circular(logs: &[LogReport]) -> Option<Finding> {
    let last = logs.iter().rev().find(|log| log.header().is_some())?;
    let flags = last.header()?.flags;
    let now = flags.circular_logging();
    let kind = FindingKind::CircularLogging { now };
    (now || flags.circular_logging_before()).then(|| Finding::general(kind))
}

fn leftovers(files: &StreamFiles) -> Vec<Finding> {
    let describe = |role| match role {
        FileRole::Temporary => "temporary log, prepared to become the current one",
        _ => "reserve log, space for a full disk",
    };
    let notes = files.leftovers.iter().map(|file| {
        let what = describe(file.role);
        Finding::in_file(file.name(), FindingKind::Leftover { what })
    });
    notes.collect()
}

fn checkpoint_findings(
    files: &StreamFiles,
    logs: &[LogReport],
    checkpoint: Option<&CheckpointReport>,
) -> Vec<Finding> {
    let Some(report) = checkpoint else {
        return vec![Finding::general(FindingKind::CheckpointMissing)];
    };
    let mut kinds = report.findings();
    if let Some(checkpoint) = report.current() {
        let signatures = logs.iter().filter_map(LogReport::header);
        let expected = majority(signatures.map(|header| header.signature));
        if let Some(expected) = expected.filter(|found| *found != checkpoint.log_signature) {
            kinds.push(FindingKind::CheckpointForeign {
                found: checkpoint.log_signature,
                expected,
            });
        }
        let generation = checkpoint.checkpoint.generation;
        if !logs.iter().any(|log| log.generation() == Some(generation)) {
            kinds.push(FindingKind::CheckpointLogMissing {
                checkpoint: checkpoint.checkpoint,
                file: files.naming.generation(generation),
            });
        }
    }
    let name = report.path.file_name().unwrap_or_default();
    let name = name.to_string_lossy().into_owned();
    let findings = kinds.into_iter();
    findings
        .map(|kind| Finding::in_file(name.clone(), kind))
        .collect()
}
