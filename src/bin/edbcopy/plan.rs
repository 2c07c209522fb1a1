//! What a copy would do, as it is shown.

use crate::words::count;
use edb_copy::{Action, CopyPlan};
use serde::Serialize;
use std::fmt::{self, Display, Formatter};

/// What would be done for one file, in one line; and what would be lost by it.
pub(crate) struct Line<'p> {
    pub(crate) plan: &'p CopyPlan,
}

impl Display for Line<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let plan = self.plan;
        let word = match plan.action {
            Action::Copy => "copy",
            Action::Replace => "replace",
            Action::Update => "update",
            Action::GoOn => "go on",
            Action::Finish => "finish",
            Action::Nothing => "nothing",
        };
        write!(
            f,
            "{word:<8}{:>16}  {}",
            plan.bytes_to_come,
            plan.target.display()
        )?;
        if let Some(deletes) = &plan.deletes {
            let bytes = deletes.bytes.unwrap_or_default();
            write!(f, "\ndelete  {bytes:>16}  {}", deletes.path.display())?;
        }
        Ok(())
    }
}

/// What would be done for all of them.
#[derive(Debug, Default, Serialize)]
pub(crate) struct PlanTotals {
    dry_run: DryRun,
    files: u64,
    bytes: u64,
    files_to_come: u64,
    bytes_to_come: u64,
    overwritten: u64,
    bytes_overwritten: u64,
    deleted: u64,
    bytes_deleted: u64,
    refused: u64,
    #[serde(skip)]
    updates: bool,
}

/// Always `true`.
#[derive(Debug, Default)]
struct DryRun;

impl Serialize for DryRun {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(true)
    }
}

impl PlanTotals {
    pub(crate) fn add(&mut self, plan: &CopyPlan) {
        self.files += 1;
        self.bytes += plan.source.length;
        if plan.action != Action::Nothing {
            self.files_to_come += 1;
            self.bytes_to_come += plan.bytes_to_come;
        }
        self.updates |= plan.action == Action::Update;
        if let Some(overwrites) = &plan.overwrites {
            self.overwritten += 1;
            self.bytes_overwritten += overwrites.bytes.unwrap_or_default();
        }
        if let Some(deletes) = &plan.deletes {
            self.deleted += 1;
            self.bytes_deleted += deletes.bytes.unwrap_or_default();
        }
    }

    pub(crate) fn refuse(&mut self) {
        self.files += 1;
        self.refused += 1;
    }
}

impl Display for PlanTotals {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let most = if self.updates { "at most " } else { "" };
        writeln!(
            f,
            "Dry run: {} of {} to be copied ({most}{} bytes)",
            self.files_to_come,
            count(self.files, "file", "files"),
            self.bytes_to_come
        )?;
        if self.overwritten > 0 {
            let files = count(self.overwritten, "file", "files");
            writeln!(
                f,
                "         {files} overwritten ({} bytes)",
                self.bytes_overwritten
            )?;
        }
        if self.deleted > 0 {
            let files = count(self.deleted, "partial file", "partial files");
            writeln!(f, "         {files} deleted ({} bytes)", self.bytes_deleted)?;
        }
        if self.refused > 0 {
            writeln!(
                f,
                "         {} refused: none would be copied",
                count(self.refused, "file", "files")
            )?;
        }
        writeln!(f, "Nothing was written.\n")
    }
}
