//! Verifying a folder: every ESE file in it, each log stream as a whole, and an account of the rest.

use super::streams::Streams;
use super::{FileCheck, Job, failed, failed_or_refused};
use crate::files::{Listing, is_file};
use console::{Exit, Failure, Output};
use ese_case::Named;
use serde::Serialize;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

/// Names of files and folders that are listed as text; all are counted, and in JSON all are listed.
const NAMES_SHOWN: usize = 20;

/// Verifies what is in `folder`.
pub(super) fn verify(folder: &Path, job: &Job<'_>, output: &mut Output) -> Result<Exit, Failure> {
    let listing = Listing::of(folder, job.arguments.recursive);
    let mut account = FolderSummary {
        path: folder.to_owned(),
        checked: 0,
        ruins: 0,
        passed_over: Vec::new(),
        not_entered: listing.not_entered,
    };
    let mut streams = Streams::default();
    let mut exit = Exit::Clean;
    for path in listing.files {
        let path = match path {
            Ok(path) => path,
            Err(failure) => {
                exit = exit.and(failed(&failure, output)?);
                continue;
            }
        };
        exit = exit.and(streams.verify_beside(&path, output)?);
        if streams.covers(&path) {
            account.checked += u64::from(Named::of(&path) != Some(Named::Spare));
            if job.arguments.hash.is_empty() {
                continue;
            }
        }
        if !is_file(&path) && Named::of(&path).is_none() {
            account.pass_over(path, "not a file");
            continue;
        }
        let ended = match job.look(&path, output) {
            Ok(FileCheck::Past(why)) => {
                account.pass_over(path, &why);
                continue;
            }
            Ok(FileCheck::At(report)) => {
                let counted = streams.covers(&path) || report.is_unneeded();
                let count = match report.checked.is_empty() {
                    true => &mut account.ruins,
                    false => &mut account.checked,
                };
                *count += u64::from(!counted);
                report.print(output)?
            }
            Err(failure) => failed_or_refused(failure, output)?,
        };
        exit = exit.and(ended);
        if ended == Exit::Interrupted {
            return Ok(exit);
        }
    }
    output.answer("edbkit.verify-folder/1", &account, &account)?;
    if account.checked == 0 && exit == Exit::Clean {
        return failed(&account.nothing_checked(), output);
    }
    Ok(exit)
}

/// What happened to everything in a folder.
#[derive(Debug, Serialize)]
struct FolderSummary {
    path: PathBuf,
    /// Files that were checked, each alone or with its stream.
    checked: u64,
    /// Files whose names say that they are of ESE's, and in which nothing of the kind was found.
    ruins: u64,
    /// Files that are not ESE files, by content and by name.
    passed_over: Vec<PassedOver>,
    /// Folders whose files were not looked at.
    not_entered: Vec<PathBuf>,
}

#[derive(Debug, Serialize)]
struct PassedOver {
    path: PathBuf,
    reason: String,
}

impl FolderSummary {
    fn pass_over(&mut self, path: PathBuf, reason: &str) {
        let reason = reason.to_owned();
        self.passed_over.push(PassedOver { path, reason });
    }

    fn nothing_checked(&self) -> Failure {
        let folder = self.path.display();
        let message = format!("{folder}: nothing was checked: no ESE file was found there");
        let failure = Failure::new(Exit::NotEse, message);
        match self.not_entered.is_empty() {
            true => failure,
            false => failure.advise("--recursive enters the folders below"),
        }
    }

    /// `Folders not entered: 2 (a, b)`.
    fn write_names<'p>(
        &self,
        f: &mut Formatter<'_>,
        label: &str,
        paths: impl ExactSizeIterator<Item = &'p PathBuf>,
    ) -> fmt::Result {
        let count = paths.len();
        if count == 0 {
            return Ok(());
        }
        let names = paths.take(NAMES_SHOWN).map(|path| {
            let name = path.strip_prefix(&self.path).unwrap_or(path);
            name.display().to_string()
        });
        let names = names.collect::<Vec<_>>().join(", ");
        let more = if count > NAMES_SHOWN { ", ..." } else { "" };
        writeln!(f, "{label}: {count} ({names}{more})")
    }
}

impl Display for FolderSummary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "Folder: {}\n", self.path.display())?;
        writeln!(f, "Files checked: {}", self.checked)?;
        if self.ruins > 0 {
            writeln!(f, "Files that are not what their names say: {}", self.ruins)?;
        }
        let passed_over = self.passed_over.iter().map(|other| &other.path);
        self.write_names(f, "Other files, passed over", passed_over)?;
        let not_entered = self.not_entered.iter();
        self.write_names(f, "Folders not entered", not_entered)?;
        writeln!(f)
    }
}
