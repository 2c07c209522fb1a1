//! A chain report as text, with the labels of `eseutil /ml`.

use super::{ChainReport, Finding, LogReport, Severity};
use std::fmt::{self, Display, Formatter};

impl ChainReport {
    fn of(&self, log: &LogReport) -> impl Iterator<Item = &Finding> {
        let findings = self.findings.iter();
        findings.filter(|finding| finding.file.as_deref() == Some(&log.name))
    }
}

impl Display for ChainReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "Verifying log files...")?;
        writeln!(f, "     Base name: {}\n", self.naming.base)?;
        for log in &self.logs {
            let worst = self.of(log).map(|finding| finding.severity).max();
            let state = match worst {
                Some(Severity::Error) => "DAMAGED",
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
        match self.count(Severity::Error) {
            0 => writeln!(f, "\nNo damaged log files were found."),
            1 => writeln!(f, "\n1 error was found."),
            count => writeln!(f, "\n{count} errors were found."),
        }
    }
}

fn write_finding(f: &mut Formatter<'_>, finding: &Finding, indent: &str) -> fmt::Result {
    let label = match finding.severity {
        Severity::Note => "note",
        Severity::Warning => "WARNING",
        Severity::Error => "ERROR",
    };
    writeln!(f, "{indent}{label}: {finding}")?;
    if finding.severity > Severity::Note {
        writeln!(f, "{indent}    {}", finding.kind.consequence())?;
    }
    Ok(())
}
