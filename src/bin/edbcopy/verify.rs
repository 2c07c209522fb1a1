//! `edbcopy verify`: whether a copy is its source, or what its journal or manifest says.

use crate::finding::WithJet;
use crate::manifest;
use crate::source::{ReadArguments, open, open_local};
use console::{Exit, Failure, Output};
use edb_copy::{
    ChunkHash, Chunks, CopyOptions, VerifyReport, hashes_of, verify_against, verify_with_source,
};
use ese_format::Progress;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};
use target_disk::LocalDisk;

const USAGE: &str = "\
edbcopy verify [OPTIONS] <SOURCE> <COPY>
       edbcopy verify [OPTIONS] <COPY>
       edbcopy verify [OPTIONS] --manifest <FILE> <COPY>";

/// Read a copy back, and compare it with its source, or with the hashes in its journal or a manifest
#[derive(Debug, clap::Args)]
#[command(
    override_usage = USAGE,
    after_help = "Examples:\n  edbcopy verify /mnt/exb/mailbox.edb /data/mailbox.edb\n  edbcopy verify /data/mailbox.edb"
)]
pub(crate) struct Arguments {
    /// The source and its copy; a copy alone is compared with its journal (COPY.edbcopy), or with --manifest
    #[arg(required = true, num_args = 1..=2)]
    files: Vec<PathBuf>,
    /// Compare with this manifest
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    #[command(flatten)]
    read: ReadArguments,
}

/// Runs the command. Exit 0: the copy is what it should be and its pages are good; 1: it is not.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let (policy, _control) = arguments.read.policy()?;
    let as_failure = |error| Failure::of(&error);
    let report = match (arguments.files.as_slice(), &arguments.manifest) {
        ([_, _], Some(_)) => {
            return Err(Failure::new(
                Exit::Usage,
                "a copy is compared with its source or with a manifest, not with both: leave one out",
            ));
        }
        ([source, copy], None) => {
            let (source, copy) = (open(source, &arguments.read, &policy)?, open_local(copy)?);
            let jobs = arguments.read.jobs(edb_copy::DEFAULT_CHUNK, 2);
            let bar = output.bar(copy.stamp().length, &copy.name());
            verify_with_source(&copy, source, jobs, &policy, &bar).map_err(as_failure)?
        }
        ([copy, ..], manifest) => {
            let (chunks, hashes) = expected(copy, manifest.as_deref())?;
            let copy = open_local(copy)?;
            let jobs = arguments.read.jobs(chunks.size(), 1);
            let bar = output.bar(copy.stamp().length, &copy.name());
            verify_against(&copy, chunks, hashes, jobs, &policy, &bar).map_err(as_failure)?
        }
        ([], _) => return Err(Failure::new(Exit::Usage, "no file was named")),
    };
    output.answer("edbkit.copy-verify/1", &report, &Shown(&report))?;
    Ok(exit(&report))
}

fn expected(copy: &Path, manifest: Option<&Path>) -> Result<(Chunks, Vec<ChunkHash>), Failure> {
    let Some(path) = manifest else {
        let found = hashes_of(&LocalDisk, copy).map_err(|error| Failure::of(&error))?;
        return found.ok_or_else(|| {
            let message = format!("{}: there is no journal of a finished copy", copy.display());
            Failure::new(Exit::Refused, message)
                .advise("name the source too, or a manifest with --manifest")
        });
    };
    let manifest = manifest::load(path)?;
    let refused = |why: String| Failure::new(Exit::Refused, format!("{}: {why}", path.display()));
    let file = manifest
        .find(copy)
        .map_err(|error| refused(error.to_string()))?;
    let chunks = file
        .cut()
        .ok_or_else(|| refused("a chunk size that cannot be".into()))?;
    Ok((chunks, file.chunks.clone()))
}

/// Reads a finished copy back from the disk and compares it with its journal.
pub(crate) fn read_back(
    target: &Path,
    options: &CopyOptions,
    progress: &dyn Progress,
) -> Result<(), Failure> {
    let (chunks, hashes) = expected(target, None)?;
    let copy = open_local(target)?;
    let report = verify_against(&copy, chunks, hashes, options.jobs, &options.read, progress)
        .map_err(|error| Failure::of(&error))?;
    match (report.interrupted, report.matches()) {
        (true, _) => Err(Failure::new(
            Exit::Interrupted,
            "the copy is complete; reading it back was interrupted",
        )
        .advise("`edbcopy verify` reads it back")),
        (false, true) => Ok(()),
        (false, false) => Err(Failure::new(
            Exit::Finding,
            format!(
                "{}: what was read back is not what was written",
                target.display()
            ),
        )
        .advise("the disk, or something on the way to it, loses data: do not use it")),
    }
}

fn exit(report: &VerifyReport) -> Exit {
    if report.interrupted {
        Exit::Interrupted
    } else if report.matches() && report.findings.is_empty() {
        Exit::Clean
    } else {
        Exit::Finding
    }
}

struct Shown<'a>(&'a VerifyReport);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let report = self.0;
        writeln!(f, "Copy: {}\n", report.target)?;
        if report.length != report.expected_length {
            writeln!(
                f,
                "ERROR: it has {} bytes, {} are expected",
                report.length, report.expected_length
            )?;
        }
        for mismatch in &report.mismatches {
            writeln!(
                f,
                "ERROR: {} bytes at offset {:#x} are not what was copied",
                mismatch.length, mismatch.offset
            )?;
        }
        if report.mismatches_omitted > 0 {
            writeln!(f, "... and {} places more", report.mismatches_omitted)?;
        }
        for finding in &report.findings {
            writeln!(f, "ERROR: {}", WithJet(finding))?;
        }
        if let Some(pages) = &report.pages {
            write!(f, "{}", pages.counts)?;
        }
        if let Some(hash) = &report.blake3 {
            writeln!(f, "BLAKE3 ({}) = {hash}", report.target)?;
        }
        match (report.interrupted, report.matches()) {
            (true, _) => writeln!(f, "INTERRUPTED: the rest was not read\n"),
            (false, true) => writeln!(f, "The copy is what it should be.\n"),
            (false, false) => writeln!(f, "The copy is NOT what it should be.\n"),
        }
    }
}
