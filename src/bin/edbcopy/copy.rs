//! `edbcopy copy`: a file, or a folder of databases and logs.

use crate::finding::WithJet;
use crate::folder;
use crate::manifest::{self, ListedFile};
use crate::plan::{Line, PlanTotals};
use crate::source::{NamedSource, ReadArguments, UntilInterrupted, parse_chunk};
use console::{Exit, Failure, Output};
use edb_copy::{
    BadPages, CopyOptions, CopyOutcome, CopyPlan, CopyReport, FileCopy, ReadPolicy, SourceCondition,
};
use ese_format::{JetError, Progress};
use evidence::SourceFile;
use serde::Serialize;
use std::ffi::OsString;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use target_disk::LocalDisk;

/// Copy a database, a log, or a whole folder of them; the same command goes on after an interruption
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  edbcopy copy /mnt/exb/mailbox.edb /data/mailbox.edb\n  edbcopy copy /mnt/exb/sg1 /data/sg1 --allow-dirty\n  edbcopy copy sftp://exb/d/sg1/ /data/sg1 --rate 50MiB/s"
)]
pub(crate) struct Arguments {
    /// What to copy: a file, a folder (its databases, logs, checkpoint and flush maps), or the address of one, a folder
    /// with / at its end: sftp://, s3://, azblob://, gcs://, webdav://, http://
    source: PathBuf,
    /// Where to: a file, or a folder
    target: PathBuf,
    /// Copy in chunks of this size
    #[arg(long, value_name = "BYTES", default_value = "16MiB", value_parser = parse_chunk)]
    chunk: u64,
    /// Bring the older copy at the target up to date: only pages that differ are written
    #[arg(long)]
    delta: bool,
    /// With --delta: the manifest of the source, a file or an address; only what it says has changed is read
    #[arg(long, value_name = "FILE", requires = "delta")]
    source_manifest: Option<PathBuf>,
    /// With --delta: trust the journal of the older copy instead of reading what it lists, if nobody changed the copy
    /// since
    #[arg(long, requires = "delta", conflicts_with = "manifest")]
    trust_journal: bool,
    /// Forget what was copied before, and start over
    #[arg(long)]
    restart: bool,
    /// Replace what is at the target
    #[arg(long)]
    force: bool,
    /// Say what would be copied, overwritten and deleted, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// For a folder: print the report of every file, not only of those with something wrong
    #[arg(long, short)]
    verbose: bool,
    /// Stop at a damaged page, or copy it as it is and list it
    #[arg(long, value_name = "WHAT", default_value = "fail")]
    bad_pages: BadPagesName,
    /// Copy a database that is in use or was not shut down; it needs its logs at the target too
    #[arg(long)]
    allow_dirty: bool,
    /// Write a manifest of the copy to this file, and for `sha256sum -c` to this name with .sha256 added
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Read the finished copy back from the disk, and compare
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    read: ReadArguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum BadPagesName {
    Fail,
    Keep,
}

/// Runs the command. Exit 0: complete; 1: complete, with something wrong in the data; 6: interrupted.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    if let Some(path) = &arguments.manifest {
        manifest::refuse_to_overwrite(path, arguments.force)?;
    }
    let (policy, _control) = arguments.read.policy()?;
    let mut options = arguments.options(&policy);
    if let Some(path) = &arguments.source_manifest {
        let manifest = manifest::load_from(path, &arguments.read, &policy)?;
        let file = manifest
            .find(&arguments.source)
            .map_err(|error| Failure::new(Exit::Refused, format!("{}: {error}", path.display())))?;
        options.manifest = Some(Arc::new(file.clone()));
    }
    let job = Job { arguments, options };
    refuse_streams(arguments)?;
    let source = match NamedSource::open(&arguments.source, &arguments.read, &policy)? {
        NamedSource::Folder(folder) => return folder::run(&job, &*folder, output),
        NamedSource::File(file) => file,
    };
    let target = file_target(&arguments.source, &arguments.target)?;
    if arguments.dry_run {
        return dry_run(&job, source, &target, output);
    }
    let bar = output.bar(source.stamp().length, &source.name());
    let mut copy = job.open(source, &target, &bar)?;
    if copy.run(&bar).map_err(|error| Failure::of(&error))? {
        copy.finish().map_err(|error| Failure::of(&error))?;
    }
    drop(bar);
    let report = copy.report();
    if job.reads_back(&report) {
        let what = format!("reading back {}", target.display());
        let bar = output.bar(report.bytes_arrived, &what);
        job.read_back(&report, &bar)?;
    }
    let report = Report::new(report);
    if report.copy.outcome != CopyOutcome::Interrupted {
        job.write_manifest(&[ListedFile::new(&target, &report.copy)])?;
    }
    output.answer("edbkit.copy/1", &report, &report)?;
    Ok(report.exit())
}

/// Neither side of a copy can be a stream: both are read and written at any place.
fn refuse_streams(arguments: &Arguments) -> Result<(), Failure> {
    for (path, what) in [
        (&arguments.source, "standard input cannot be the source"),
        (&arguments.target, "a copy cannot go to standard output"),
    ] {
        if path.as_os_str() == "-" {
            let advice = "name a file; a file called - is written ./-";
            return Err(Failure::new(Exit::Usage, format!("-: {what}")).advise(advice));
        }
    }
    Ok(())
}

/// Says what would be done.
fn dry_run(
    job: &Job<'_>,
    source: Arc<dyn SourceFile>,
    target: &Path,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let plan = job.plan(source, target)?;
    let mut totals = PlanTotals::default();
    totals.add(&plan);
    let line = Line { plan: &plan };
    output.answer(
        "edbkit.copy-plan/1",
        &plan,
        &format_args!("{line}\n{totals}"),
    )?;
    Ok(exit_of(&plan.condition))
}

/// A folder as target means a file of the same name in it. The folder has to be there: a path that is misspelt is not
/// made.
fn file_target(source: &Path, target: &Path) -> Result<PathBuf, Failure> {
    if let Some(name) = file_name(source)
        && target.is_dir()
    {
        return Ok(target.join(name));
    }
    let ends_as_folder = target
        .as_os_str()
        .as_encoded_bytes()
        .last()
        .is_some_and(|last| std::path::is_separator(char::from(*last)));
    let folder = match ends_as_folder {
        true => target,
        false => target.parent().unwrap_or(target),
    };
    if ends_as_folder || !(folder.as_os_str().is_empty() || folder.is_dir()) {
        let message = format!("{}: there is no such folder", folder.display());
        return Err(Failure::new(Exit::Io, message)
            .advise("make the folder first, or name another target")
            .jet(JetError::FILE_NOT_FOUND));
    }
    Ok(target.to_owned())
}

/// What the file of a source is called here.
fn file_name(source: &Path) -> Option<OsString> {
    #[cfg(feature = "remote")]
    if let Some(address) = source
        .to_str()
        .filter(|text| crate::remote::is_address(text))
    {
        return evidence_remote::RemotePlace::file_name(address).map(OsString::from);
    }
    evidence::shown(source).file_name().map(OsString::from)
}

impl Arguments {
    fn options(&self, policy: &ReadPolicy) -> CopyOptions {
        CopyOptions {
            chunk_size: self.chunk,
            jobs: self.read.jobs(self.chunk, if self.delta { 2 } else { 1 }),
            delta: self.delta,
            trust_journal: self.trust_journal,
            restart: self.restart,
            force: self.force,
            bad_pages: match self.bad_pages {
                BadPagesName::Fail => BadPages::Fail,
                BadPagesName::Keep => BadPages::Keep,
            },
            allow_dirty: self.allow_dirty,
            sha256: self.manifest.is_some(),
            manifest: None,
            read: policy.clone(),
        }
    }
}

/// What is to be done for every file.
pub(crate) struct Job<'a> {
    arguments: &'a Arguments,
    options: CopyOptions,
}

impl Job<'_> {
    pub(crate) fn policy(&self) -> &ReadPolicy {
        &self.options.read
    }

    pub(crate) fn target(&self) -> &Path {
        &self.arguments.target
    }

    pub(crate) fn dry_run(&self) -> bool {
        self.arguments.dry_run
    }

    pub(crate) fn verbose(&self) -> bool {
        self.arguments.verbose
    }

    /// What copying a file would do.
    pub(crate) fn plan(
        &self,
        source: Arc<dyn SourceFile>,
        target: &Path,
    ) -> Result<CopyPlan, Failure> {
        let options = self.options.clone();
        CopyPlan::of(source, &LocalDisk, target, options, &UntilInterrupted)
            .map_err(|error| Failure::of(&error))
    }

    /// Begins a copy, or finds where it goes on.
    pub(crate) fn open<'d>(
        &self,
        source: Arc<dyn SourceFile>,
        target: &Path,
        progress: &dyn Progress,
    ) -> Result<FileCopy<'d>, Failure> {
        let disk: &'d LocalDisk = &LocalDisk;
        FileCopy::open(source, disk, target, self.options.clone(), progress)
            .map_err(|error| Failure::of(&error))
    }

    /// Whether a copy is to be read back.
    pub(crate) fn reads_back(&self, report: &CopyReport) -> bool {
        self.arguments.verify && report.outcome != CopyOutcome::Interrupted
    }

    pub(crate) fn read_back(
        &self,
        report: &CopyReport,
        progress: &dyn Progress,
    ) -> Result<(), Failure> {
        crate::verify::read_back(&report.target, &self.options, progress)
    }

    pub(crate) fn write_manifest(&self, files: &[ListedFile]) -> Result<(), Failure> {
        match &self.arguments.manifest {
            Some(path) => manifest::write(path, files),
            None => Ok(()),
        }
    }
}

/// A copied file, as it is shown.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    #[serde(flatten)]
    pub(crate) copy: CopyReport,
    bytes_saved: u64,
}

impl Report {
    pub(crate) fn new(copy: CopyReport) -> Self {
        Report {
            bytes_saved: copy.bytes_saved(),
            copy,
        }
    }

    /// A dirty database that was allowed is what was asked for; damaged pages are a finding.
    pub(crate) fn exit(&self) -> Exit {
        match self.copy.outcome {
            CopyOutcome::Interrupted => Exit::Interrupted,
            _ if !self.copy.findings.is_empty() => Exit::Finding,
            _ => exit_of(&self.copy.condition),
        }
    }
}

pub(crate) fn exit_of(condition: &SourceCondition) -> Exit {
    match condition {
        SourceCondition::Unknown => Exit::Finding,
        SourceCondition::Clean | SourceCondition::Dirty { .. } | SourceCondition::NotADatabase => {
            Exit::Clean
        }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let copy = &self.copy;
        writeln!(f, "Copy: {} -> {}", copy.source.name, copy.target.display())?;
        writeln!(
            f,
            "       Kind: {}{}",
            copy.source.kind,
            ConditionText(&copy.condition)
        )?;
        let state = match copy.outcome {
            CopyOutcome::Complete => "complete",
            CopyOutcome::AlreadyComplete => {
                "already complete; the source is the same, nothing was done"
            }
            CopyOutcome::Interrupted => "INTERRUPTED; the same command goes on",
        };
        writeln!(f, "      State: {state}")?;
        writeln!(
            f,
            "    Arrived: {} of {} bytes",
            copy.bytes_arrived, copy.source.length
        )?;
        if copy.resumed_at > 0 {
            writeln!(f, "    Resumed: at {} bytes", copy.resumed_at)?;
        }
        writeln!(
            f,
            "       Read: {} bytes in {:.1} seconds ({}/s)",
            copy.bytes_read,
            copy.seconds,
            bytesize::ByteSize((copy.bytes_read as f64 / copy.seconds.max(1e-3)) as u64)
        )?;
        if copy.reads_retried > 0 {
            writeln!(f, "    Retried: {} reads", copy.reads_retried)?;
        }
        if let (edb_copy::Method::Delta, Some(pages)) = (copy.method, copy.pages) {
            writeln!(
                f,
                "      Delta: {} pages compared, {} changed, {} bytes written, {} saved",
                pages.compared, pages.changed, copy.bytes_written, self.bytes_saved
            )?;
        }
        if copy.bytes_trusted > 0 {
            writeln!(
                f,
                "    Trusted: {} bytes of the older copy, by its journal",
                copy.bytes_trusted
            )?;
        }
        for finding in &copy.findings {
            writeln!(f, "ERROR: {}", WithJet(finding))?;
        }
        if copy.findings_omitted > 0 {
            writeln!(f, "... and {} damaged pages more", copy.findings_omitted)?;
        }
        if let Some(pages) = &copy.pages {
            write!(f, "{}", pages.counts)?;
        }
        for remark in &copy.remarks {
            writeln!(f, "NOTE: {remark}")?;
        }
        if let Some(hash) = &copy.blake3 {
            writeln!(f, "BLAKE3 ({}) = {hash}", copy.target.display())?;
        }
        if let Some(hash) = &copy.sha256 {
            writeln!(f, "SHA256 ({}) = {hash}", copy.target.display())?;
        }
        writeln!(f)
    }
}

/// A condition after the kind or the name of a file, and in a line of its own what the file needs.
pub(crate) struct ConditionText<'a>(pub(crate) &'a SourceCondition);

impl Display for ConditionText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            SourceCondition::Clean => f.write_str(", Clean Shutdown"),
            SourceCondition::Dirty { state, required } => {
                write!(f, ", {state}")?;
                match required {
                    Some((first, last)) => write!(
                        f,
                        "\n      Needs: log generations {first}-{last} ({first:#x}-{last:#x})"
                    ),
                    None => Ok(()),
                }
            }
            SourceCondition::Unknown => f.write_str(", neither copy of its header can be trusted"),
            SourceCondition::NotADatabase => Ok(()),
        }
    }
}
