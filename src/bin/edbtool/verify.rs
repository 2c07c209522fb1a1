//! `edbtool verify`: whether every page of a database, and every other file of a set, is what was written.

use crate::database::Lens;
use crate::files::{Directories, expand, not_ese};
use console::values::{number, rate};
use console::{Exit, Failure, Output};
use ese_format::database::HeaderCopies;
use ese_format::file_kind::DETECT_BYTES;
use ese_format::{FileKind, Progress};
use ese_scan::{Counts, Digest, DigestKind, Finding, Position, RateLimit, digest_file};
use evidence::EvidenceFile;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use streams::Streams;

mod database;
mod others;
mod resume;
mod streams;

/// Check every page of databases, and every other ESE file, for damage
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  edbtool verify mailbox.edb\n  edbtool verify mailbox.edb --resume place.json\n  edbtool verify /evidence/sg1 --hash sha256"
)]
pub(crate) struct Arguments {
    /// Files or folders; a folder stands for all ESE files in it
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Enter the folders below, too
    #[arg(long, short)]
    recursive: bool,
    /// Check only these pages of a database
    #[arg(long, value_name = "A-B", value_parser = parse_pages)]
    pages: Option<RangeInclusive<u32>>,
    /// Find lost writes with the flush map: the .jfm file beside the database, or this one
    #[arg(
        long, value_name = "FILE", num_args = 0..=1, require_equals = true,
        conflicts_with_all = ["with_logs", "overlay"]
    )]
    #[expect(
        clippy::option_option,
        reason = "absent, without a value, with a value"
    )]
    flush_map: Option<Option<PathBuf>>,
    /// Print digests of each file, computed in the same read, as `sha256sum --tag` does
    #[arg(long, value_name = "ALGORITHM", value_delimiter = ',', conflicts_with_all = ["pages", "resume", "with_logs", "overlay"])]
    hash: Vec<HashName>,
    /// Read at most this much a second, as in 50MiB/s
    #[arg(long, alias = "rate-limit", value_name = "BYTES", value_parser = rate)]
    rate: Option<NonZeroU64>,
    /// Keep the place in this file: an interrupted scan goes on from there (one database only)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["with_logs", "overlay"])]
    resume: Option<PathBuf>,
    #[command(flatten)]
    lens: Lens,
    /// Say which table, index or long-value tree each damaged page belongs to
    #[arg(long, conflicts_with_all = ["with_logs", "overlay"])]
    owners: bool,
    /// List at most this many findings for each file; all are counted
    #[arg(long, value_name = "N", default_value = "1000", value_parser = number::<usize>)]
    max_findings: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum HashName {
    Sha256,
    Blake3,
}

impl From<HashName> for DigestKind {
    fn from(name: HashName) -> Self {
        match name {
            HashName::Sha256 => DigestKind::Sha256,
            HashName::Blake3 => DigestKind::Blake3,
        }
    }
}

fn parse_pages(text: &str) -> Result<RangeInclusive<u32>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (u32, u32) = (number(first)?, number(last)?);
    if first == 0 || last < first {
        return Err("write the first and the last page, as in 1-100; pages count from 1".into());
    }
    Ok(first..=last)
}

/// Runs the command: the exit code is the worst of all files.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let directories = match arguments.recursive {
        true => Directories::EnterRecursively,
        false => Directories::Enter,
    };
    let single = matches!(arguments.files.as_slice(), [only] if !only.is_dir());
    if arguments.resume.is_some() && !single {
        return Err(Failure::new(
            Exit::Usage,
            "--resume keeps the place in one file: name exactly one",
        ));
    }
    if let Some(path) = &arguments.resume {
        resume::can_be_kept(path)?;
    }
    if !arguments.lens.is_plain() {
        let [path] = arguments.files.as_slice() else {
            return Err(Failure::new(
                Exit::Usage,
                "--with-logs and --overlay are for exactly one database",
            ));
        };
        let database = arguments.lens.open(path, output)?;
        let report = database::verify_view(path, &database, arguments)?;
        output.answer("edbkit.verify/1", &report, &report)?;
        return Ok(report.exit());
    }
    let rate = arguments.rate.map(RateLimit::new);
    let mut streams = Streams::default();
    let named: Vec<&Path> = arguments.files.iter().map(PathBuf::as_path).collect();
    let mut exit = Exit::Clean;
    for path in expand(&arguments.files, directories) {
        let in_directory = path
            .as_ref()
            .is_ok_and(|path| !named.contains(&path.as_path()));
        if in_directory && let Ok(path) = &path {
            exit = exit.and(streams.verify_beside(path, output)?);
            if streams.covers(path) && arguments.hash.is_empty() {
                continue;
            }
        }
        match path.and_then(|path| verify(&path, arguments, rate.as_ref(), output)) {
            Err(failure) if in_directory && failure.exit == Exit::NotEse => {
                output.remark(&format!("passed over: {failure}"));
            }
            Err(failure) if failure.exit == Exit::Refused => return Err(failure),
            Err(failure) => {
                exit = exit.and(failure.exit);
                output.failure(&failure)?;
            }
            Ok(report) => {
                exit = exit.and(report.exit());
                output.answer("edbkit.verify/1", &report, &report)?;
                output.flush()?;
                if report.exit() == Exit::Interrupted {
                    output.remark(&match arguments.resume {
                        Some(_) => "run the same command again: it goes on from there",
                        None => "a new scan begins at the start; with --resume FILE an interrupted one goes on",
                    });
                    return Ok(exit);
                }
            }
        }
    }
    Ok(exit)
}

fn verify(
    path: &Path,
    arguments: &Arguments,
    rate: Option<&RateLimit>,
    output: &Output,
) -> Result<Report, Failure> {
    let file = EvidenceFile::open(path).map_err(|error| Failure::unreadable(&error))?;
    let start = file
        .start(DETECT_BYTES)
        .map_err(|error| Failure::unreadable(&error))?;
    let kind = FileKind::detect(&start);
    let bar = output.bar(file.length(), &path.display().to_string());
    if kind == FileKind::Database {
        let headers = HeaderCopies::read(&start);
        return database::verify(&file, &headers, arguments, rate, output.threads(), &bar);
    }
    let problems = match kind {
        FileKind::Log => others::log_problems(&file)?,
        FileKind::Checkpoint => others::checkpoint_problems(&start),
        FileKind::FlushMap => others::flush_map_problems(&file)?,
        FileKind::Blank => Vec::new(),
        _ => return Err(not_ese(path, kind)),
    };
    Ok(Report {
        path: path.to_owned(),
        kind,
        file_size: file.length(),
        page_size: None,
        pages: None,
        problems,
        findings: Vec::new(),
        owners: BTreeMap::new(),
        findings_omitted: 0,
        digests: digests(&file, arguments, &bar)?,
        remarks: arguments.without_effect(kind),
        interrupted_at: None,
    })
}

fn digests(
    file: &EvidenceFile,
    arguments: &Arguments,
    progress: &dyn Progress,
) -> Result<Vec<Digest>, Failure> {
    let kinds = arguments.digest_kinds();
    digest_file(file, &kinds, progress).map_err(|error| Failure::unreadable(&error))
}

impl Arguments {
    fn digest_kinds(&self) -> Vec<DigestKind> {
        self.hash.iter().copied().map(DigestKind::from).collect()
    }

    /// Says which options do nothing for a file that is no database.
    fn without_effect(&self, kind: FileKind) -> Vec<String> {
        let given = [
            ("--pages", self.pages.is_some()),
            ("--resume", self.resume.is_some()),
        ];
        let given = given.into_iter().filter(|(_, given)| *given);
        given
            .map(|(option, _)| format!("{option} is for databases; all of the {kind} was checked"))
            .collect()
    }
}

/// What was found in one file.
#[derive(Debug, Serialize)]
struct Report {
    path: PathBuf,
    kind: FileKind,
    file_size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    page_size: Option<u32>,
    /// Counts over all pages of a database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pages: Option<Counts>,
    /// What is wrong with the file as a whole.
    problems: Vec<String>,
    /// What is wrong with single pages.
    findings: Vec<Finding>,
    /// With --owners: the trees that damaged pages belong to, by page number.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    owners: BTreeMap<u32, String>,
    findings_omitted: u64,
    digests: Vec<Digest>,
    /// What was not checked, and why.
    remarks: Vec<String>,
    /// Byte offset at which the scan was interrupted.
    interrupted_at: Option<u64>,
}

impl Report {
    fn is_clean(&self) -> bool {
        self.problems.is_empty() && self.findings.is_empty() && self.findings_omitted == 0
    }

    fn exit(&self) -> Exit {
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
        for finding in &self.findings {
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
            match finding.jet() {
                Some(jet) => writeln!(f, " [JET {jet}]")?,
                None => writeln!(f)?,
            }
        }
        if self.findings_omitted > 0 {
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
            (None, true) => writeln!(f, "No damage was found.\n"),
            (None, false) => writeln!(f, "DAMAGE was found.\n"),
        }
    }
}
