//! What verification says of one file.

use console::{Exit, Failure, Output};
use ese_format::{FileKind, JetSuffix};
use ese_scan::{Counts, Digest, PageFinding, Position};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

/// What verification looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Checked {
    /// Both copies of a database's header, or the header of another file.
    Headers,
    /// The checksum of every page, segment or copy.
    Checksums,
    /// Whether every page is where its number says.
    PageNumbers,
    /// Whether the file is as long as its content says.
    Size,
    /// Whether the last write of every page is there, by the flush map.
    LostWrites,
}

/// The schema of a [`Report`].
pub const SCHEMA: &str = "edbkit.verify/1";

/// What was found in one file.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The file.
    pub path: PathBuf,
    /// What it is.
    pub kind: FileKind,
    /// Its length.
    pub file_size: u64,
    /// The size of the pages of a database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_size: Option<u32>,
    /// Counts over all pages of a database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pages: Option<Counts>,
    /// Whether it is a temporary database, which nobody needs.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub temporary: bool,
    /// What was looked at, and nothing else; empty for a file in which nothing is needed.
    pub checked: Vec<Checked>,
    /// What is wrong with the file as a whole.
    pub problems: Vec<String>,
    /// What is wrong with single pages.
    pub findings: Vec<PageFinding>,
    /// With --owners: the trees that damaged pages belong to, by page number.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub owners: BTreeMap<u32, String>,
    /// How many more of them there are.
    pub findings_omitted: u64,
    /// Digests of the file.
    pub digests: Vec<Digest>,
    /// What was not checked, and why.
    pub remarks: Vec<String>,
    /// Byte offset at which the scan was interrupted.
    pub interrupted_at: Option<u64>,
}

impl Report {
    /// Prints it, and says how the command ends.
    pub fn print(&self, output: &mut Output) -> Result<Exit, Failure> {
        output.answer(SCHEMA, self, self)?;
        output.flush()?;
        Ok(self.exit())
    }

    /// What can be said where nothing was found: no more than was looked at.
    fn good_word(&self) -> &'static str {
        match self.kind {
            _ if self.is_unneeded() => "Nothing in it is needed; nothing was checked.",
            FileKind::Database => {
                "No damage was found by checksums. (Links, keys and indexes were not checked.)"
            }
            FileKind::Log => {
                "No damage was found by checksums. (Its place among the other logs was not checked.)"
            }
            _ => "No damage was found by checksums.",
        }
    }

    /// Whether nothing in the file matters, so that nothing was checked.
    pub fn is_unneeded(&self) -> bool {
        self.checked.is_empty() && self.is_clean()
    }

    fn is_clean(&self) -> bool {
        self.problems.is_empty() && self.findings.is_empty() && self.findings_omitted == 0
    }

    /// The exit code that follows.
    pub fn exit(&self) -> Exit {
        match (self.interrupted_at, self.is_clean()) {
            (Some(_), _) => Exit::Interrupted,
            (None, true) => Exit::Clean,
            (None, false) => Exit::Finding,
        }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "File: {} ({})\n", self.path.display(), self.kind)?;
        for problem in &self.problems {
            writeln!(f, "ERROR: {problem}")?;
        }
        // Nobody needs the pages of a temporary database: those that are bad are counted below.
        let listed = self.findings.iter().filter(|_| !self.temporary);
        for finding in listed {
            let severity = if finding.is_correctable() {
                "WARNING"
            } else {
                "ERROR"
            };
            write!(f, "{severity}: {finding}")?;
            if let Position::Page(pgno) = finding.position
                && let Some(owner) = self.owners.get(&pgno)
            {
                write!(f, "; it belongs to {owner}")?;
            }
            writeln!(f, "{}", JetSuffix(finding.jet()))?;
        }
        if self.findings_omitted > 0 && !self.temporary {
            writeln!(
                f,
                "... and {} findings more (raise --max-findings to list them)",
                self.findings_omitted
            )?;
        }
        if let Some(pages) = &self.pages {
            write!(f, "{pages}")?;
        }
        for remark in &self.remarks {
            writeln!(f, "NOTE: {remark}")?;
        }
        for digest in &self.digests {
            let path = self.path.display();
            writeln!(f, "{} ({path}) = {}", digest.algorithm, digest.hex)?;
        }
        match (self.interrupted_at, self.is_clean()) {
            (Some(offset), _) => writeln!(
                f,
                "INTERRUPTED at offset {offset:#x} of {:#x}; what is beyond was not checked\n",
                self.file_size
            ),
            (None, true) => writeln!(f, "{}\n", self.good_word()),
            (None, false) if self.temporary => {
                writeln!(f, "DAMAGE was found, in a database that nobody needs.\n")
            }
            (None, false) => writeln!(f, "DAMAGE was found.\n"),
        }
    }
}
