//! Copying a whole folder: databases, logs, checkpoint.

use crate::copy::{Job, Report};
use crate::manifest::Listed;
use crate::source::UntilInterrupted;
use console::{Exit, Failure, Output, interrupted};
use edb_copy::{Condition, CopyError, FileCopy, FolderPlan, Outcome, SourceFolder};
use ese_format::Generation;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Copies every file in a safe order, and gives them their names only when all have arrived, databases last.
pub(crate) fn run(
    job: &Job<'_>,
    from: &dyn SourceFolder,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let to = job.target();
    refuse_to_write_into(from, to)?;
    let plan = FolderPlan::read(from, job.policy(), &UntilInterrupted)
        .map_err(|error| Failure::of(&error))?;
    if interrupted() {
        let message = "interrupted; nothing was copied yet";
        return Err(Failure::new(Exit::Interrupted, message).advise("run the same command again"));
    }
    if plan.files.is_empty() {
        let message = format!("{}: no ESE file is in this folder", from.name());
        return Err(Failure::new(Exit::NotEse, message));
    }
    for (name, why) in &plan.passed_over {
        output.remark(&format!("passed over: {}: {why}", name.display()));
    }
    fs::create_dir_all(to).map_err(|error| Failure::io(to, &error))?;
    let (mut copies, whole) = bring_over(job, from, &plan, output)?;
    if whole {
        for index in plan.order_of_names() {
            let published = copies[index].publish();
            published.map_err(|error| Failure::of(&error))?;
        }
    }
    let mut exit = if whole {
        Exit::Clean
    } else {
        Exit::Interrupted
    };
    let mut listed = Vec::new();
    for copy in copies {
        let missing = missing_logs(&copy, &plan);
        let report = Report::new(job.finished(copy, output)?);
        exit = exit.and(report.exit());
        if !missing.is_empty() {
            exit = exit.and(Exit::Finding);
            say_missing(&report, &missing, output);
        }
        if report.copy.outcome != Outcome::Interrupted {
            listed.push(Listed::new(&report.copy.target, &report.copy));
        }
        output.answer("edbkit.copy/1", &report, &report)?;
    }
    if whole {
        job.write_manifest(&listed)?;
    }
    Ok(exit)
}

/// A copy of a folder never goes into that folder: the source stays as it is.
fn refuse_to_write_into(from: &dyn SourceFolder, to: &Path) -> Result<(), Failure> {
    let Ok(source) = fs::canonicalize(from.name()) else {
        return Ok(());
    };
    // The folders at the end of the target may not be there yet, and `..` may lead out of them again.
    let to = std::path::absolute(to).unwrap_or_else(|_| to.to_owned());
    let mut place = PathBuf::new();
    for part in to.components() {
        match part {
            Component::ParentDir => drop(place.pop()),
            part => place.push(part),
        }
        place = fs::canonicalize(&place).unwrap_or(place);
    }
    if place.starts_with(&source) {
        let message = format!("{} lies in the source {}", to.display(), from.name());
        return Err(Failure::new(Exit::Refused, message)
            .advise("name a folder elsewhere: nothing is written to a source"));
    }
    Ok(())
}

/// Copies in the order of the plan. Returns whether everything has arrived.
fn bring_over(
    job: &Job<'_>,
    from: &dyn SourceFolder,
    plan: &FolderPlan,
    output: &Output,
) -> Result<(Vec<FileCopy<'static>>, bool), Failure> {
    let mut copies = Vec::new();
    for file in &plan.files {
        let opened = job
            .policy()
            .persist(&UntilInterrupted, || from.open(&file.name));
        let source = opened.map_err(|error| {
            let name = format!("{}: {}", from.name(), file.name.display());
            Failure::of(&CopyError::Source { name, error })
        })?;
        let bar = output.bar(source.stamp().length, &source.name());
        let copy = job.copy(source, &job.target().join(&file.name), &bar, false)?;
        let whole = copy.is_complete();
        copies.push(copy);
        if !whole {
            return Ok((copies, false));
        }
    }
    Ok((copies, true))
}

/// Logs that a dirty database needs and the folder does not hold.
fn missing_logs(copy: &FileCopy<'_>, plan: &FolderPlan) -> Vec<Generation> {
    match copy.condition() {
        Condition::Dirty {
            required: Some((first, last)),
            ..
        } => plan.missing(*first, *last),
        _ => Vec::new(),
    }
}

fn say_missing(report: &Report, missing: &[Generation], output: &Output) {
    let numbers: Vec<String> = missing
        .iter()
        .map(|generation| format!("{generation} ({generation:#x})"))
        .collect();
    output.remark(&format!(
        "WARNING: {} needs logs that are not in its folder: generation {}",
        report.copy.source.name,
        numbers.join(", ")
    ));
}
