//! What is wrong between the logs of a stream, and with what is beside them.

use super::finding::{ChainFinding, ChainFindingKind, Geometry};
use super::ranges::find;
use super::survey::{CheckpointReport, LogReport, LogState};
use crate::folder::StreamFiles;
use crate::name::{FileRole, Naming};
use ese_format::log::{Layout, LogHeader};
use ese_format::{Generation, LogTime, Signature};
use std::collections::HashMap;
use std::hash::Hash;

/// All findings that are not about one log by itself.
pub(super) fn compare(
    files: &StreamFiles,
    logs: &[LogReport],
    checkpoint: Option<&CheckpointReport>,
) -> Vec<ChainFinding> {
    let naming = &files.naming;
    let mut found = presence(naming, logs);
    found.extend(misnamed(naming, logs));
    found.extend(against_majority(logs));
    found.extend(links(logs));
    found.extend(other_engines(logs));
    found.extend(circular(logs));
    found.extend(leftovers(files));
    found.extend(checkpoint_findings(files, logs, checkpoint));
    found
}

/// The generation that a log stands for: that of its name, or that of its header where it only has the wrong name.
fn number(naming: &Naming, logs: &[LogReport], log: &LogReport) -> Generation {
    let header = log.header().map(|header| header.generation);
    match right_name(naming, logs, log) {
        Some(_) => header.unwrap_or_default(),
        None => log.generation().unwrap_or_default(),
    }
}

/// Gaps, duplicates and the current log.
fn presence(naming: &Naming, logs: &[LogReport]) -> Vec<ChainFinding> {
    let mut found = Vec::new();
    let named = logs.iter().filter(|log| !log.is_current());
    let mut numbers: Vec<Generation> = named.map(|log| number(naming, logs, log)).collect();
    numbers.sort_unstable();
    let current = logs.iter().find(|log| log.is_current());
    // That of another stream counts for nothing in this one.
    let own = stream_signature(logs);
    let header = current.and_then(LogReport::header);
    let header = header.filter(|header| Some(header.signature) == own);
    let current_number = header.map(|header| header.generation);
    let last = numbers.last().copied();
    numbers.extend(current_number.filter(|number| last.is_some_and(|last| *number > last)));
    for pair in numbers.windows(2) {
        if let [before, after] = pair
            && after.0 > before.0.saturating_add(1)
        {
            let (first, last) = (Generation(before.0 + 1), Generation(after.0 - 1));
            let files = naming.range(first, last);
            found.push(
                ChainFinding::general(ChainFindingKind::Gap { first, last, files }).of(first),
            );
        }
    }
    for pair in logs.windows(2) {
        if let [one, another] = pair
            && same_place(one, another)
        {
            let other = one.name.clone();
            found.push(ChainFinding::about(
                another,
                ChainFindingKind::Duplicate { other },
            ));
        }
    }
    let Some(current) = current else {
        let file = naming.current();
        found.push(ChainFinding::general(ChainFindingKind::CurrentMissing {
            file,
        }));
        return found;
    };
    let twin = logs.iter().find(|log| {
        !log.is_current()
            && current_number.is_some()
            && log.header().map(|header| header.generation) == current_number
    });
    let finding = match (twin, last, current_number) {
        (Some(twin), ..) => match current.state_of(twin) {
            Some(LogState::Same) => copy_of(current, twin, true),
            Some(LogState::Earlier) => copy_of(current, twin, false),
            Some(LogState::Later) => copy_of(twin, current, false),
            None => {
                let other = twin.name.clone();
                ChainFinding::about(current, ChainFindingKind::CurrentAlsoNamed { other })
            }
        },
        (None, Some(last), Some(number)) if number < last => {
            ChainFinding::about(current, ChainFindingKind::CurrentBehind { last })
        }
        _ => return found,
    };
    found.push(finding);
    found
}

fn copy_of(log: &LogReport, other: &LogReport, same: bool) -> ChainFinding {
    let other = other.name.clone();
    ChainFinding::about(log, ChainFindingKind::CopyOf { other, same })
}

/// Logs whose header has another generation than their name.
fn misnamed(naming: &Naming, logs: &[LogReport]) -> Vec<ChainFinding> {
    let found = logs.iter().filter_map(|log| {
        let found = log.header()?.generation;
        let named = log.generation().filter(|named| *named != found)?;
        let rename = right_name(naming, logs, log);
        let mut others = logs.iter().filter(|other| !other.is_current());
        let holder =
            others.find(|other| other.header().map(|header| header.generation) == Some(named));
        let kind = ChainFindingKind::NameMismatch {
            named,
            found,
            rename,
            holder: holder.map(|holder| holder.name.clone()),
        };
        Some(ChainFinding::about(log, kind))
    });
    found.collect()
}

/// The name that a log should have, where it has another one, no file has the right one, and the log before it is not
/// against it.
pub(super) fn right_name(naming: &Naming, logs: &[LogReport], log: &LogReport) -> Option<String> {
    let header = log.header()?;
    let generation = header.generation;
    if log.generation() == Some(generation) || find(logs, generation).is_some() {
        return None;
    }
    let before = find(logs, Generation(generation.0.checked_sub(1)?));
    let before = before.and_then(LogReport::header);
    let holds = before.is_none_or(|before| {
        before.created == header.previous_created && before.signature == header.signature
    });
    let twins = logs.iter().filter_map(LogReport::header);
    let twins = twins.filter(|other| other.generation == generation);
    (holds && twins.count() == 1).then(|| naming.generation(generation))
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
fn against_majority(logs: &[LogReport]) -> Vec<ChainFinding> {
    let headers = || logs.iter().filter_map(LogReport::header);
    let mut found = Vec::new();
    if let Some(expected) = stream_signature(logs) {
        for log in logs {
            let signature = log.header().map(|header| header.signature);
            if let Some(signature) = signature.filter(|found| *found != expected) {
                let kind = ChainFindingKind::ForeignSignature {
                    found: signature,
                    expected,
                };
                found.push(ChainFinding::about(log, kind));
            }
        }
    }
    let mut compare = |what: Geometry, value: &dyn Fn(&LogHeader) -> Option<u64>| {
        let Some(expected) = majority(headers().filter_map(value)) else {
            return;
        };
        for log in logs {
            let value = log.header().and_then(value);
            if let Some(value) = value.filter(|value| *value != expected) {
                let kind = ChainFindingKind::GeometryDiffers {
                    what,
                    found: value,
                    expected,
                };
                found.push(ChainFinding::about(log, kind));
            }
        }
    };
    compare(Geometry::PageSize, &|header| {
        Some(u64::from(header.page_size()))
    });
    compare(Geometry::LogFileSize, &|header| Some(header.file_size()));
    // The newer layout always has 4096; the older one has the sector size of the disk.
    let old = |header: &LogHeader| header.version.layout() == Ok(Layout::ChecksumRecords);
    compare(Geometry::SectorSize, &|header| {
        old(header).then_some(u64::from(header.sector_size))
    });
    found
}

/// The signature of the stream: that of most of its logs.
pub(super) fn stream_signature(logs: &[LogReport]) -> Option<Signature> {
    let headers = logs.iter().filter_map(LogReport::header);
    majority(headers.map(|header| header.signature))
}

/// A log and the next one that is there.
struct LogPair<'a> {
    before: &'a LogReport,
    after: &'a LogReport,
    /// Creation times: what `after` names for `before`, and what `before` has.
    times: (LogTime, LogTime),
}

impl LogPair<'_> {
    fn holds(&self) -> bool {
        self.times.0 == self.times.1
    }
}

/// What is wrong between logs that follow each other by number. Of two that do not belong together, the one is named
/// that fewer others go with.
fn links(logs: &[LogReport]) -> Vec<ChainFinding> {
    let own = stream_signature(logs);
    let mut genuine: Vec<(&LogReport, &LogHeader)> = (logs.iter())
        .filter_map(|log| Some((log, log.header()?)))
        .filter(|(log, header)| {
            Some(header.signature) == own
                && find(logs, header.generation).is_some_and(|found| std::ptr::eq(found, *log))
        })
        .collect();
    genuine.sort_by_key(|(_, header)| header.generation);
    let pairs = genuine.windows(2).filter_map(|pair| match pair {
        [(before, earlier), (after, later)]
            if later.generation.0 == earlier.generation.0.wrapping_add(1) =>
        {
            Some(LogPair {
                before,
                after,
                times: (later.previous_created, earlier.created),
            })
        }
        _ => None,
    });
    let pairs: Vec<LogPair<'_>> = pairs.collect();
    let mut found = Vec::new();
    for (place, link) in pairs.iter().enumerate() {
        if !link.holds() {
            found.extend(culprit(&pairs, place));
        }
        let (Some(earlier), Some(later)) = (link.before.header(), link.after.header()) else {
            continue;
        };
        if later.version.is_behind(earlier.version) {
            let kind = ChainFindingKind::VersionBackwards {
                found: later.version,
                before: earlier.version,
            };
            found.push(ChainFinding::about(link.after, kind));
        }
    }
    found
}

/// The finding about the link at `place`, which does not hold; none where it is said at another link.
fn culprit(links: &[LogPair<'_>], place: usize) -> Option<ChainFinding> {
    let link = &links[place];
    let adjoins = |one: &LogPair<'_>, other: &LogPair<'_>| std::ptr::eq(one.after, other.before);
    let (left, right) = links.split_at(place);
    let right = &right[1..];
    let before = left.last().filter(|before| adjoins(before, link));
    let after = right.first().filter(|after| adjoins(link, after));
    if let Some(after) = after.filter(|after| !after.holds()) {
        let kind = ChainFindingKind::OutOfPlace {
            before: link.before.name.clone(),
            after: after.after.name.clone(),
        };
        return Some(ChainFinding::about(link.after, kind));
    }
    if before.is_some_and(|before| !before.holds()) {
        return None;
    }
    let mut end = link;
    let left = left.iter().rev().take_while(|before| {
        let goes_on = before.holds() && adjoins(before, end);
        end = before;
        goes_on
    });
    let left = left.count();
    let mut end = link;
    let right = right.iter().take_while(|after| {
        let goes_on = after.holds() && adjoins(end, after);
        end = after;
        goes_on
    });
    let (found, expected) = link.times;
    Some(if left < right.count() {
        let after = link.after.name.clone();
        let kind = ChainFindingKind::NotContinued {
            after,
            found,
            expected,
        };
        ChainFinding::about(link.before, kind)
    } else {
        let before = link.before.name.clone();
        let kind = ChainFindingKind::PreviousCreated {
            before,
            found,
            expected,
        };
        ChainFinding::about(link.after, kind)
    })
}

/// Logs that another installation of the engine wrote than those before them. Those that go on with it are not named
/// again, nor is the first one that it is at home again.
fn other_engines(logs: &[LogReport]) -> Vec<ChainFinding> {
    let own = stream_signature(logs);
    let mut headers = logs.iter().filter_map(|log| {
        let header = log.header()?;
        (Some(header.signature) == own).then_some((log, header))
    });
    let Some((_, mut home)) = headers.next() else {
        return Vec::new();
    };
    let mut guest: Option<&LogHeader> = None;
    let mut found = Vec::new();
    for (log, header) in headers {
        if let Some(kind) = other_engine(home, header) {
            let before = guest.replace(header);
            if before.is_none_or(|before| other_engine(before, header).is_some()) {
                found.push(ChainFinding::about(log, kind));
            }
        } else {
            (home, guest) = (header, None);
        }
    }
    found
}

/// Signs that another installation of the engine wrote the later log.
fn other_engine(earlier: &LogHeader, later: &LogHeader) -> Option<ChainFindingKind> {
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
    (!differences.is_empty()).then_some(ChainFindingKind::OtherEngine { differences })
}

fn circular(logs: &[LogReport]) -> Option<ChainFinding> {
    let last = logs.iter().rev().find(|log| log.header().is_some())?;
    let flags = last.header()?.flags;
    let now = flags.circular_logging();
    let kind = ChainFindingKind::CircularLogging { now };
    (now || flags.circular_logging_before()).then(|| ChainFinding::general(kind))
}

fn leftovers(files: &StreamFiles) -> Vec<ChainFinding> {
    let describe = |role| match role {
        FileRole::Temporary => "temporary log, prepared to become the current one",
        _ => "reserve log, space for a full disk",
    };
    let notes = files.leftovers.iter().map(|file| {
        let what = describe(file.role);
        ChainFinding::in_file(file.name(), ChainFindingKind::Leftover { what })
    });
    notes.collect()
}

fn checkpoint_findings(
    files: &StreamFiles,
    logs: &[LogReport],
    checkpoint: Option<&CheckpointReport>,
) -> Vec<ChainFinding> {
    let Some(report) = checkpoint else {
        return vec![ChainFinding::general(ChainFindingKind::CheckpointMissing)];
    };
    let mut kinds = report.findings();
    if let Some(checkpoint) = report.current() {
        let expected = stream_signature(logs);
        if let Some(expected) = expected.filter(|found| *found != checkpoint.log_signature) {
            kinds.push(ChainFindingKind::CheckpointForeign {
                found: checkpoint.log_signature,
                expected,
            });
        }
        let generation = checkpoint.checkpoint.generation;
        if !logs.iter().any(|log| log.generation() == Some(generation)) {
            kinds.push(ChainFindingKind::CheckpointLogMissing {
                checkpoint: checkpoint.checkpoint,
                file: files.naming.generation(generation),
            });
        }
    }
    let name = report.path.file_name().unwrap_or_default();
    let name = name.to_string_lossy().into_owned();
    let findings = kinds.into_iter();
    findings
        .map(|kind| ChainFinding::in_file(name.clone(), kind))
        .collect()
}
