//! What verification found in a log stream as text, with the labels of `eseutil /ml`.

use ese_log::chain::{ChainFinding, ChainFindingKind, ChainReport, LogReport, Proof, Severity};
use std::fmt::{self, Display, Formatter};

/// What verification found: each log with what is wrong with it, what is wrong with the stream, and what is proved.
pub fn chain(report: &ChainReport) -> impl Display {
    fmt::from_fn(move |f| write_chain(f, report))
}

/// The findings about one log.
fn findings_of<'r>(
    report: &'r ChainReport,
    log: &LogReport,
) -> impl Iterator<Item = &'r ChainFinding> {
    let findings = report.findings.iter();
    findings.filter(|finding| finding.file.as_deref() == Some(&log.name))
}

/// What is wrong with a log that recovery cannot use: not each is damaged.
fn what_is_wrong(report: &ChainReport, log: &LogReport) -> &'static str {
    let errors = findings_of(report, log).filter(|finding| finding.severity == Severity::Error);
    let words = errors.map(|finding| match finding.kind {
        ChainFindingKind::ForeignSignature { .. } | ChainFindingKind::GeometryDiffers { .. } => {
            "OF ANOTHER STREAM"
        }
        ChainFindingKind::NameMismatch { .. } => "WRONG NAME",
        ChainFindingKind::CopyOf { .. } => "COPY",
        ChainFindingKind::NewerVersion { .. } => "TOO NEW",
        ChainFindingKind::PreviousCreated { .. }
        | ChainFindingKind::NotContinued { .. }
        | ChainFindingKind::OutOfPlace { .. }
        | ChainFindingKind::CurrentAlsoNamed { .. } => "OUT OF SEQUENCE",
        ChainFindingKind::Gap { .. }
        | ChainFindingKind::CurrentMissing { .. }
        | ChainFindingKind::CurrentBehind { .. }
        | ChainFindingKind::Duplicate { .. }
        | ChainFindingKind::AccumulatedChecksum { .. }
        | ChainFindingKind::Incomplete { .. }
        | ChainFindingKind::NotProved { .. }
        | ChainFindingKind::VersionBackwards { .. }
        | ChainFindingKind::OtherEngine { .. }
        | ChainFindingKind::FileSize { .. }
        | ChainFindingKind::Empty
        | ChainFindingKind::Blank
        | ChainFindingKind::Header { .. }
        | ChainFindingKind::Unreadable { .. }
        | ChainFindingKind::AttachList { .. }
        | ChainFindingKind::Damage { .. }
        | ChainFindingKind::BadRecord { .. }
        | ChainFindingKind::UnfinishedRecords { .. }
        | ChainFindingKind::MadeFromReserve
        | ChainFindingKind::CircularLogging { .. }
        | ChainFindingKind::Leftover { .. }
        | ChainFindingKind::CheckpointMissing
        | ChainFindingKind::CheckpointUnusable { .. }
        | ChainFindingKind::CheckpointCopy { .. }
        | ChainFindingKind::CheckpointForeign { .. }
        | ChainFindingKind::CheckpointLogMissing { .. } => "DAMAGED",
    });
    let words: Vec<&str> = words.collect();
    match words.first() {
        Some(word) if !words.contains(&"DAMAGED") => word,
        _ => "DAMAGED",
    }
}

/// How many closed logs are proved, in words; none where there is none.
fn proofs(report: &ChainReport) -> Option<String> {
    let closed = || report.logs.iter().filter(|log| !log.is_current());
    let count = |wanted: fn(&Proof) -> bool| closed().filter(|log| wanted(&log.proof)).count();
    let parts = [
        (
            count(|proof| *proof == Proof::NextHeader),
            "proved complete by the header of the next log",
        ),
        (
            count(|proof| *proof == Proof::Full),
            "proved complete: full when the next log was begun",
        ),
        (
            count(|proof| matches!(proof, Proof::NotProved(_))),
            "not proved complete",
        ),
        (
            count(|proof| *proof == Proof::None),
            "with no next log that could show it",
        ),
        (count(|proof| !proof.is_sound()), "incomplete or damaged"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn write_chain(f: &mut Formatter<'_>, report: &ChainReport) -> fmt::Result {
    writeln!(f, "Verifying log files...")?;
    writeln!(f, "     Base name: {}\n", report.naming.base)?;
    if report.logs.is_empty() {
        return writeln!(f, "There is no log file of this stream.");
    }
    for log in &report.logs {
        let worst = findings_of(report, log)
            .map(|finding| finding.severity)
            .max();
        let state = match worst {
            Some(Severity::Error) => what_is_wrong(report, log),
            Some(Severity::Warning) => "OK, with warnings",
            _ => "OK",
        };
        writeln!(f, "      Log file: {} - {state}", log.name)?;
        for finding in findings_of(report, log) {
            write_finding(f, finding, "                ")?;
        }
    }
    let named = |file: &str| report.logs.iter().any(|log| log.name == file);
    let general = report
        .findings
        .iter()
        .filter(|finding| !finding.file.as_deref().is_some_and(named));
    writeln!(f)?;
    for finding in general {
        write_finding(f, finding, "      ")?;
    }
    if let Some(proofs) = proofs(report) {
        writeln!(f, "   Closed logs: {proofs}")?;
    }
    let newest = report.logs.iter().max_by_key(|log| log.generation());
    if let Some(newest) = newest.filter(|log| log.proof == Proof::None) {
        let name = &newest.name;
        writeln!(
            f,
            "    Newest log: {name}; no later log can prove it complete"
        )?;
    }
    match report.count(Severity::Error) {
        0 => writeln!(f, "\nNo damaged log files were found."),
        1 => writeln!(f, "\n1 error was found."),
        count => writeln!(f, "\n{count} errors were found."),
    }
}

fn write_finding(f: &mut Formatter<'_>, finding: &ChainFinding, indent: &str) -> fmt::Result {
    let label = match finding.severity {
        Severity::Note => "note",
        Severity::Warning => "WARNING",
        Severity::Error => "ERROR",
    };
    writeln!(f, "{indent}{label}: {finding}")?;
    if finding.severity > Severity::Note {
        writeln!(f, "{indent}    {}", finding.kind.consequence())?;
    }
    if let Some(advice) = finding.advice() {
        writeln!(f, "{indent}    advice: {advice}")?;
    }
    Ok(())
}
