//! Copying a whole folder: databases, logs, checkpoint.

use crate::copy::{Job, Report};
use crate::manifest::Listed;
use crate::source::open_local;
use console::{Exit, Failure, Output};
use edb_copy::{Condition, FileCopy, FolderPlan, Outcome};
use ese_format::Generation;
use std::fs;

/// Copies every file in a safe order, and gives them their names only when all have arrived, databases last.
pub(crate) fn run(job: &Job<'_>, output: &mut Output) -> Result<Exit, Failure> {
    let (from, to) = (job.source(), job.target());
    let plan = FolderPlan::read(from).map_err(|error| Failure::io(from, &error))?;
    if plan.files.is_empty() {
        let message = format!("{}: no ESE file is in this folder", from.display());
        return Err(Failure::new(Exit::NotEse, message));
    }
    for (path, why) in &plan.passed_over {
        output.remark(&format!("passed over: {}: {why}", path.display()));
    }
    fs::create_dir_all(to).map_err(|error| Failure::io(to, &error))?;
    let (mut copies, whole) = bring_over(job, &plan, output)?;
    if whole {
        for index in plan.order_of_names() {
            let published = copies[index].publish();
            published.map_err(|error| crate::failure::failure(&error))?;
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

/// Copies in the order of the plan. Returns whether everything has arrived.
fn bring_over(
    job: &Job<'_>,
    plan: &FolderPlan,
    output: &Output,
) -> Result<(Vec<FileCopy<'static>>, bool), Failure> {
    let mut copies = Vec::new();
    for file in &plan.files {
        let source = open_local(&file.path)?;
        let Some(name) = file.path.file_name() else {
            continue;
        };
        let bar = output.bar(source.stamp().length, &source.name());
        let copy = job.copy(source, &job.target().join(name), &bar, false)?;
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
