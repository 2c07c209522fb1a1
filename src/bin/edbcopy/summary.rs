//! What happened to a folder, in one answer.

use crate::copy::ConditionText;
use crate::words::count;
use edb_copy::{CopyOutcome, CopyReport, FolderPlan, FolderRole, SourceCondition};
use evidence::SourceFolder;
use serde::Serialize;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

/// How the copy of a folder ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum FolderOutcome {
    /// All files have their names.
    Complete,
    /// They had them before.
    AlreadyComplete,
    /// The same command goes on.
    Interrupted,
    /// Files could not be copied; they were named.
    Failed,
}

/// The sum over the files of a folder.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    outcome: FolderOutcome,
    source: String,
    target: PathBuf,
    /// Files to be copied.
    files: u64,
    databases: u64,
    logs: u64,
    /// Files that are complete; none before all of them have arrived.
    complete: u64,
    /// Of these, complete before.
    complete_before: u64,
    arrived: u64,
    passed_over: u64,
    /// Files that could not be read; they were named.
    unread: u64,
    bytes_arrived: u64,
    bytes_read: u64,
    bytes_written: u64,
    bytes_trusted: u64,
    reads_retried: u64,
    bad_pages: u64,
    seconds: f64,
    #[serde(skip)]
    conditions: Vec<(String, SourceCondition)>,
    #[serde(skip)]
    bytes: u64,
}

impl Summary {
    pub(crate) fn new(from: &dyn SourceFolder, to: &Path, plan: &FolderPlan) -> Self {
        let of = |wanted: fn(&FolderRole) -> bool| {
            plan.files.iter().filter(|file| wanted(&file.role)).count() as u64
        };
        Summary {
            outcome: FolderOutcome::Complete,
            source: from.name(),
            target: to.to_owned(),
            files: plan.files.len() as u64,
            databases: of(|role| matches!(role, FolderRole::Database)),
            logs: of(|role| matches!(role, FolderRole::Log(_) | FolderRole::CurrentLog)),
            complete: 0,
            complete_before: 0,
            arrived: 0,
            passed_over: plan.passed_over.len() as u64,
            unread: plan.unread.len() as u64,
            bytes_arrived: 0,
            bytes_read: 0,
            bytes_written: 0,
            bytes_trusted: 0,
            reads_retried: 0,
            bad_pages: 0,
            seconds: 0.0,
            conditions: Vec::new(),
            bytes: 0,
        }
    }

    pub(crate) fn add(&mut self, copy: &CopyReport) {
        self.complete += u64::from(copy.outcome != CopyOutcome::Interrupted);
        self.complete_before += u64::from(copy.outcome == CopyOutcome::AlreadyComplete);
        self.arrived += u64::from(copy.bytes_arrived == copy.source.length);
        self.bytes_arrived += copy.bytes_arrived;
        self.bytes += copy.source.length;
        self.bytes_read += copy.bytes_read;
        self.bytes_written += copy.bytes_written;
        self.bytes_trusted += copy.bytes_trusted;
        self.reads_retried += copy.reads_retried;
        self.bad_pages += copy.findings.len() as u64 + copy.findings_omitted;
        self.seconds += copy.seconds;
        if copy.condition != SourceCondition::NotADatabase {
            let name = copy.target.file_name().unwrap_or_default();
            let name = name.to_string_lossy().into_owned();
            self.conditions.push((name, copy.condition.clone()));
        }
    }

    /// Says how it ended.
    pub(crate) fn end(&mut self, whole: bool, interrupted: bool) {
        self.outcome = match (whole, interrupted) {
            (true, _) if self.complete_before == self.files => FolderOutcome::AlreadyComplete,
            (true, _) => FolderOutcome::Complete,
            (false, true) => FolderOutcome::Interrupted,
            (false, false) => FolderOutcome::Failed,
        };
    }
}

impl Display for Summary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "Folder: {} -> {}", self.source, self.target.display())?;
        let state = match self.outcome {
            FolderOutcome::Complete => "complete",
            FolderOutcome::AlreadyComplete => "already complete; nothing was done",
            FolderOutcome::Interrupted => "INTERRUPTED; the same command goes on",
            FolderOutcome::Failed => "NOT complete: files failed",
        };
        writeln!(f, "      State: {state}")?;
        writeln!(
            f,
            "      Files: {} of {} arrived, {} already complete\n             {}, {}",
            self.arrived,
            self.files,
            self.complete_before,
            count(self.databases, "database", "databases"),
            count(self.logs, "log", "logs"),
        )?;
        for (name, condition) in &self.conditions {
            writeln!(f, "   Database: {name}{}", ConditionText(condition))?;
        }
        if self.passed_over > 0 {
            writeln!(
                f,
                "Passed over: {}",
                count(self.passed_over, "file", "files")
            )?;
        }
        if self.unread > 0 {
            let files = count(self.unread, "file", "files");
            writeln!(f, "   NOT READ: {files}")?;
        }
        writeln!(f, "    Arrived: {} bytes", self.bytes_arrived)?;
        let rate = (self.bytes_read as f64 / self.seconds.max(1e-3)) as u64;
        writeln!(
            f,
            "       Read: {} bytes in {:.1} seconds ({}/s)",
            self.bytes_read,
            self.seconds,
            bytesize::ByteSize(rate)
        )?;
        if self.bytes_written != self.bytes_arrived {
            writeln!(f, "    Written: {} bytes", self.bytes_written)?;
        }
        if self.bytes_trusted > 0 {
            writeln!(
                f,
                "    Trusted: {} bytes of older copies, by their journals",
                self.bytes_trusted
            )?;
        }
        if self.reads_retried > 0 {
            writeln!(
                f,
                "    Retried: {}",
                count(self.reads_retried, "read", "reads")
            )?;
        }
        if self.bad_pages > 0 {
            writeln!(f, "  Bad pages: {}", self.bad_pages)?;
        }
        if self.complete > 0 {
            writeln!(
                f,
                "   Journals: beside the copies; `edbcopy clean` removes them"
            )?;
        }
        writeln!(f)
    }
}
