//! A chain report as text, with the labels of `eseutil /ml`.

use super::{ChainFinding, ChainFindingKind, ChainReport, LogReport, Proof, Severity};
use std::fmt::{self, Display, Formatter};

impl ChainReport {
    fn of(&self, log: &LogReport) -> impl Iterator<Item = &ChainFinding> {
        let findings = self.findings.iter();
        findings.filter(|finding| finding.file.as_deref() == Some(&log.name))
    }
}

impl ChainReport {
    /// What is wrong with a log that recovery cannot use: not each is damaged.
    fn what_is_wrong(&self, log: &LogReport) -> &'static str {
        let errors = self
            .of(log)
            .filter(|finding| finding.severity == Severity::Error);
        let words = errors.map(|finding| match finding.kind {
            ChainFindingKind::ForeignSignature { .. }
            | ChainFindingKind::GeometryDiffers { .. } => "OF ANOTHER STREAM",
            ChainFindingKind::NameMismatch { .. } => "WRONG NAME",
            ChainFindingKind::CopyOf { .. } => "COPY",
            ChainFindingKind::NewerVersion { .. } => "TOO NEW",
            ChainFindingKind::PreviousCreated { .. }
            | ChainFindingKind::NotContinued { .. }
            | ChainFindingKind::OutOfPlace { .. }
            | ChainFindingKind::CurrentAlsoNamed { .. } => "OUT OF SEQUENCE",
            _ => "DAMAGED",
        });
        let words: Vec<&str> = words.collect();
        match words.first() {
            Some(word) if !words.contains(&"DAMAGED") => word,
            _ => "DAMAGED",
        }
    }

    /// How many closed logs are proved, in words; none where there is none.
    fn proofs(&self) -> Option<String> {
        let closed = || self.logs.iter().filter(|log| !log.is_current());
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
}

impl Display for ChainReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "Verifying log files...")?;
        writeln!(f, "     Base name: {}\n", self.naming.base)?;
        if self.logs.is_empty() {
            return writeln!(f, "There is no log file of this stream.");
        }
        for log in &self.logs {
            let worst = self.of(log).map(|finding| finding.severity).max();
            let state = match worst {
                Some(Severity::Error) => self.what_is_wrong(log),
                Some(Severity::Warning) => "OK, with warnings",
                _ => "OK",
            };
            writeln!(f, "      Log file: {} - {state}", log.name)?;
            for finding in self.of(log) {
                write_finding(f, finding, "                ")?;
            }
        }
        let named = |file: &str| self.logs.iter().any(|log| log.name == file);
        let general = self
            .findings
            .iter()
            .filter(|finding| !finding.file.as_deref().is_some_and(named));
        writeln!(f)?;
        for finding in general {
            write_finding(f, finding, "      ")?;
        }
        if let Some(proofs) = self.proofs() {
            writeln!(f, "   Closed logs: {proofs}")?;
        }
        let newest = self.logs.iter().max_by_key(|log| log.generation());
        if let Some(newest) = newest.filter(|log| log.proof == Proof::None) {
            let name = &newest.name;
            writeln!(
                f,
                "    Newest log: {name}; no later log can prove it complete"
            )?;
        }
        match self.count(Severity::Error) {
            0 => writeln!(f, "\nNo damaged log files were found."),
            1 => writeln!(f, "\n1 error was found."),
            count => writeln!(f, "\n{count} errors were found."),
        }
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
