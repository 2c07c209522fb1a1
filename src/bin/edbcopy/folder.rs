//! Copying a whole folder: databases, logs, checkpoint.

use crate::copy::{Job, Report, exit_of};
use crate::manifest::ListedFile;
use crate::plan::{Line, PlanTotals};
use crate::source::UntilInterrupted;
use crate::summary::Summary;
use console::{Bar, Exit, Failure, Output, interrupted};
use edb_copy::{
    ArrivedCopy, CopyError, CopyOutcome, CopyPlan, CopyReport, FolderPlan, SourceCondition,
};
use ese_format::{Generation, Progress};
use evidence::{ReadError, SourceFile, SourceFolder};
use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Copies every file in a safe order, and gives them their names only when all have arrived, databases last. Nothing is
/// written unless every file can be copied, as far as that can be seen before.
pub(crate) fn run(
    job: &Job<'_>,
    from: &dyn SourceFolder,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let to = job.target();
    refuse_to_write_into(from, to)?;
    if to.exists() && !to.is_dir() {
        let message = format!("{} is a file, and the source is a folder", to.display());
        return Err(Failure::new(Exit::Refused, message).advise("name a folder"));
    }
    let plan = FolderPlan::read(from, job.policy(), &UntilInterrupted)
        .map_err(|error| Failure::of(&error))?;
    stop_if_interrupted()?;
    let mut unread = Exit::Clean;
    for (name, why) in &plan.unread {
        let message = format!("{}: {}: {why}", from.name(), name.display());
        let failure = Failure::new(Exit::Io, message).advise("it is not copied; the others are");
        unread = unread.and(failure.exit);
        output.failure(&failure)?;
    }
    if plan.files.is_empty() && unread != Exit::Clean {
        return Ok(unread);
    }
    if plan.files.is_empty() {
        let message = format!("{}: there is no ESE file in this folder", from.name());
        return Err(Failure::new(Exit::NotEse, message));
    }
    for (name, why) in &plan.passed_over {
        output.remark(&format!("passed over: {}: {why}", name.display()));
    }
    let (preview, refused) = preview(job, from, &plan, output)?;
    if job.dry_run() {
        let exit = refused.unwrap_or_else(|| preview_missing(&preview.plans, &plan, output));
        output.answer("edbkit.copy-folder-plan/1", &preview.sum, &preview.sum)?;
        return Ok(exit.and(unread));
    }
    if let Some(exit) = refused {
        output.remark(&"nothing was written");
        return Ok(exit);
    }
    let made = MadeFolders::make(to)?;
    let copied = bring_over(job, from, &plan, &preview, output)?;
    made.remove_empty();
    Ok(report(job, from, &plan, copied, output)?.and(unread))
}

fn stop_if_interrupted() -> Result<(), Failure> {
    if interrupted() {
        let message = "interrupted; nothing was copied yet";
        return Err(Failure::new(Exit::Interrupted, message).advise("run the same command again"));
    }
    Ok(())
}

/// What copying the folder would do.
#[derive(Default)]
struct FolderPreview {
    plans: Vec<CopyPlan>,
    sum: PlanTotals,
}

/// Looks at every file before the first is copied. What is refused is named, and how that ends returned.
fn preview(
    job: &Job<'_>,
    from: &dyn SourceFolder,
    plan: &FolderPlan,
    output: &mut Output,
) -> Result<(FolderPreview, Option<Exit>), Failure> {
    let mut preview = FolderPreview::default();
    let mut refused: Option<Exit> = None;
    for file in &plan.files {
        stop_if_interrupted()?;
        let looked = open(job, from, &file.name)
            .and_then(|source| job.plan(source, &job.target().join(&file.name)));
        match looked {
            Ok(one) => {
                preview.sum.add(&one);
                if job.dry_run() {
                    let line = Line { plan: &one };
                    output.answer("edbkit.copy-plan/1", &one, &format_args!("{line}\n"))?;
                }
                preview.plans.push(one);
            }
            Err(failure) => {
                preview.sum.refuse();
                refused = Some(refused.map_or(failure.exit, |exit| exit.and(failure.exit)));
                output.failure(&failure)?;
            }
        }
    }
    Ok((preview, refused))
}

/// The exit code of a dry run in which nothing is refused; logs that are missing are named.
fn preview_missing(plans: &[CopyPlan], folder: &FolderPlan, output: &Output) -> Exit {
    plans.iter().fold(Exit::Clean, |exit, plan| {
        let missing = missing_logs(&plan.condition, folder);
        say_missing(&plan.source.name, &missing, output);
        let logs = if missing.is_empty() {
            Exit::Clean
        } else {
            Exit::Finding
        };
        exit.and(exit_of(&plan.condition)).and(logs)
    })
}

/// Folders that this run made.
struct MadeFolders(Vec<PathBuf>);

impl MadeFolders {
    fn make(folder: &Path) -> Result<Self, Failure> {
        let missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
        let made = folder.ancestors().take_while(missing).map(Path::to_owned);
        let made = MadeFolders(made.collect());
        fs::create_dir_all(folder).map_err(|error| Failure::io(folder, &error))?;
        Ok(made)
    }

    /// Removes those of them in which nothing is: a copy that was refused leaves nothing behind.
    fn remove_empty(self) {
        for folder in self.0 {
            if fs::remove_dir(folder).is_err() {
                return;
            }
        }
    }
}

fn open(
    job: &Job<'_>,
    from: &dyn SourceFolder,
    name: &OsStr,
) -> Result<Arc<dyn SourceFile>, Failure> {
    let open = || from.open(name).map_err(ReadError::from);
    let opened = job.policy().persist(&UntilInterrupted, open);
    opened.map_err(|error| {
        let name = format!("{}: {}", from.name(), name.display());
        Failure::of(&CopyError::Source { name, error })
    })
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
        let message = format!("{} is inside the source {}", to.display(), from.name());
        return Err(Failure::new(Exit::Refused, message)
            .advise("name a folder elsewhere: nothing is written to a source"));
    }
    Ok(())
}

/// One file of a folder, under the bar of the whole folder.
struct FileProgress<'b>(&'b Bar);

impl Progress for FileProgress<'_> {
    fn advance(&self, bytes: u64) {
        self.0.advance(bytes);
    }

    /// What had arrived before is counted where the folder begins.
    fn begin(&self, _total: u64, _done: u64) {}

    fn should_stop(&self) -> bool {
        self.0.should_stop()
    }
}

/// What happened to the files of a folder.
#[derive(Default)]
struct CopiedFiles {
    arrivals: Vec<ArrivedCopy<'static>>,
    /// The one that was interrupted.
    interrupted: Option<CopyReport>,
    /// How the command ends for files that could not be copied; they were named.
    failed: Option<Exit>,
}

impl CopiedFiles {
    fn fail(&mut self, failure: &Failure, output: &mut Output) -> Result<(), Failure> {
        self.failed = Some(
            self.failed
                .map_or(failure.exit, |exit| exit.and(failure.exit)),
        );
        output.failure(failure)
    }

    fn whole(&self) -> bool {
        self.failed.is_none() && self.interrupted.is_none()
    }
}

/// Copies in the order of the plan, and gives the names if everything has arrived. A file that is refused does not keep
/// the others from being looked at; a disk or a link that fails does.
fn bring_over(
    job: &Job<'_>,
    from: &dyn SourceFolder,
    plan: &FolderPlan,
    preview: &FolderPreview,
    output: &mut Output,
) -> Result<CopiedFiles, Failure> {
    let mut copied = CopiedFiles::default();
    let bar = output.bar(0, &from.name());
    let to_come: u64 = preview.plans.iter().map(|plan| plan.bytes_to_come).sum();
    let before: u64 = preview.plans.iter().map(|plan| plan.resumed_at).sum();
    bar.begin(before + to_come, before);
    for file in &plan.files {
        match bring(job, from, &file.name, &FileProgress(&bar)) {
            Ok(FileResult::Arrived(arrival)) => copied.arrivals.push(arrival),
            Ok(FileResult::Interrupted(report)) => {
                copied.interrupted = Some(report);
                return Ok(copied);
            }
            Err(failure) => {
                copied.fail(&failure, output)?;
                if failure.exit == Exit::Io {
                    return Ok(copied);
                }
            }
        }
    }
    if copied.whole() {
        for index in plan.order_of_names() {
            if let Err(error) = copied.arrivals[index].finish() {
                copied.fail(&Failure::of(&error), output)?;
                break;
            }
        }
    }
    Ok(copied)
}

enum FileResult {
    Arrived(ArrivedCopy<'static>),
    Interrupted(CopyReport),
}

fn bring(
    job: &Job<'_>,
    from: &dyn SourceFolder,
    name: &OsStr,
    progress: &dyn Progress,
) -> Result<FileResult, Failure> {
    let source = open(job, from, name)?;
    let mut copy = job.open(source, &job.target().join(name), progress)?;
    let arrived = copy.has_arrived() || copy.run(progress).map_err(|error| Failure::of(&error))?;
    Ok(match arrived {
        true => FileResult::Arrived(copy.wait_for_name()),
        false => FileResult::Interrupted(copy.report()),
    })
}

/// Reads back what is to be read back, and reports: the whole in one summary, and every file with which something is
/// wrong, or all with `--verbose`.
fn report(
    job: &Job<'_>,
    from: &dyn SourceFolder,
    plan: &FolderPlan,
    mut copied: CopiedFiles,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let whole = copied.whole();
    let mut summary = Summary::new(from, job.target(), plan);
    let mut exit = Exit::Clean;
    let mut listed = Vec::new();
    let arrivals = std::mem::take(&mut copied.arrivals);
    if whole
        && arrivals
            .iter()
            .any(|arrival| job.reads_back(arrival.report()))
    {
        read_back(job, &arrivals, &mut copied, output)?;
    }
    let reports = arrivals.iter().map(ArrivedCopy::report);
    for copy in reports.chain(&copied.interrupted) {
        let missing = missing_logs(&copy.condition, plan);
        say_missing(&copy.source.name, &missing, output);
        if !missing.is_empty() {
            exit = exit.and(Exit::Finding);
        }
        let report = Report::new(copy.clone());
        let waits = copy.outcome == CopyOutcome::Interrupted && !whole;
        if !waits {
            exit = exit.and(report.exit());
        }
        summary.add(copy);
        if copy.outcome != CopyOutcome::Interrupted {
            listed.push(ListedFile::new(&copy.target, copy));
        }
        if output.is_json() {
            output.document("edbkit.copy/1", &report)?;
        } else if job.verbose() || !copy.findings.is_empty() {
            output.text(&report)?;
        }
    }
    if copied.interrupted.is_some() {
        exit = exit.and(Exit::Interrupted);
    }
    exit = exit.and(copied.failed.unwrap_or(Exit::Clean));
    if whole {
        job.write_manifest(&listed)?;
    }
    summary.end(whole, copied.interrupted.is_some());
    output.answer("edbkit.copy-folder/1", &summary, &summary)?;
    Ok(exit)
}

/// Reads the finished copies back, all under one bar; those that are not what was written are named.
fn read_back(
    job: &Job<'_>,
    arrivals: &[ArrivedCopy<'_>],
    copied: &mut CopiedFiles,
    output: &mut Output,
) -> Result<(), Failure> {
    let bar = output.bar(0, &format!("reading back {}", job.target().display()));
    bar.begin(
        arrivals.iter().map(|one| one.report().source.length).sum(),
        0,
    );
    for arrival in arrivals {
        match job.read_back(arrival.report(), &FileProgress(&bar)) {
            Ok(()) => {}
            Err(failure) if failure.exit == Exit::Interrupted => return Err(failure),
            Err(failure) => copied.fail(&failure, output)?,
        }
    }
    Ok(())
}

/// Logs that a dirty database needs and the folder does not hold.
fn missing_logs(condition: &SourceCondition, plan: &FolderPlan) -> Vec<Generation> {
    match condition {
        SourceCondition::Dirty {
            required: Some((first, last)),
            ..
        } => plan.missing(*first, *last),
        _ => Vec::new(),
    }
}

fn say_missing(name: &str, missing: &[Generation], output: &Output) {
    if missing.is_empty() {
        return;
    }
    let numbers: Vec<String> = missing
        .iter()
        .map(|generation| format!("{generation} ({generation:#x})"))
        .collect();
    output.remark(&format!(
        "WARNING: {name} needs logs that are not in its folder: generation {}",
        numbers.join(", ")
    ));
}
