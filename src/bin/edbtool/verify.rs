//! `edbtool verify`: whether every page of a database, and every other file of a set, is what was written.

use crate::database::ViewArguments;
use answers::files::{not_ese, why_not_ese};
use answers::verify::{Report, SCHEMA, VerifyOptions, can_be_kept, verify, verify_view};
use console::values::{number, rate};
use console::{Exit, Failure, Output};
use ese_case::Named;
use ese_format::database::HeaderCopies;
use ese_format::file_kind::DETECT_BYTES;
use ese_format::{FileKind, Progress};
use ese_scan::{Digest, DigestKind, RateLimit, digest_file};
use evidence::{EvidenceError, EvidenceFile};
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

mod folder;
mod others;
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
    view: ViewArguments,
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
    let folders = arguments.files.iter().map(|path| evidence::is_folder(path));
    let folders: Vec<Result<bool, EvidenceError>> = folders.collect();
    let single = matches!(folders.as_slice(), [Ok(false) | Err(_)]);
    if arguments.resume.is_some() && !single {
        return Err(Failure::new(
            Exit::Usage,
            "--resume keeps the place in one file: name exactly one",
        ));
    }
    if let Some(path) = &arguments.resume {
        can_be_kept(path)?;
    }
    if !arguments.view.is_plain() {
        let [path] = arguments.files.as_slice() else {
            return Err(Failure::new(
                Exit::Usage,
                "--with-logs and --overlay are for exactly one database",
            ));
        };
        let opened = arguments.view.open(path, output)?;
        let report = verify_view(path, &opened, &arguments.options())?;
        output.answer(SCHEMA, &opened.document(&report), &report)?;
        return Ok(report.exit());
    }
    let job = Job {
        arguments,
        rate: arguments.rate.map(RateLimit::new),
    };
    let mut exit = Exit::Clean;
    for (path, is_folder) in arguments.files.iter().zip(folders) {
        let ended = match is_folder {
            Ok(true) => folder::verify(path, &job, output)?,
            Ok(false) => job.file(path, output)?,
            Err(error) => failed(&Failure::of(&error), output)?,
        };
        exit = exit.and(ended);
        if ended == Exit::Interrupted {
            output.remark(&match arguments.resume {
                Some(_) => "run the same command again: it goes on from there",
                None => {
                    "a new scan begins at the start; with --resume FILE an interrupted one goes on"
                }
            });
            break;
        }
    }
    Ok(exit)
}

/// What is asked for, and what all files share.
struct Job<'a> {
    arguments: &'a Arguments,
    rate: Option<RateLimit>,
}

/// The result of looking at one file.
enum FileCheck {
    /// It is one of ESE's, or should be.
    At(Box<Report>),
    /// Neither its content nor its name is one of ESE's: why it is passed over.
    Past(String),
}

impl Job<'_> {
    /// Verifies one file that was named.
    fn file(&self, path: &Path, output: &mut Output) -> Result<Exit, Failure> {
        match self.look(path, output) {
            Ok(FileCheck::At(report)) => report.print(output),
            Ok(FileCheck::Past(why)) => failed(&not_ese(path, &why), output),
            Err(failure) => failed_or_refused(failure, output),
        }
    }

    /// Looks at one file, whatever it is.
    fn look(&self, path: &Path, output: &Output) -> Result<FileCheck, Failure> {
        let arguments = self.arguments;
        let file = EvidenceFile::open(path).map_err(|error| Failure::of(&error))?;
        let start = file
            .start(DETECT_BYTES)
            .map_err(|error| Failure::of(&error))?;
        let (kind, named) = (FileKind::detect(&start), Named::of(path));
        let bar = output.bar(file.length(), &path.display().to_string());
        if kind == FileKind::Database {
            let headers = HeaderCopies::read(&start);
            others::refuse_streaming_file(path, &headers)?;
            let threads = output.threads();
            let mut report = verify(
                &file,
                &headers,
                &arguments.options(),
                self.rate.as_ref(),
                threads,
                &bar,
            )?;
            report.problems.extend(others::misnamed(kind, named));
            return Ok(FileCheck::At(Box::new(report)));
        }
        let Some(found) = others::problems(&file, &start, kind, named, &bar)? else {
            return Ok(FileCheck::Past(why_not_ese(kind, &start)));
        };
        let mut remarks = arguments.without_effect(kind);
        remarks.extend(found.remarks);
        Ok(FileCheck::At(Box::new(Report {
            path: path.to_owned(),
            kind,
            file_size: file.length(),
            page_size: None,
            pages: None,
            temporary: false,
            checked: found.checked,
            problems: found.problems,
            findings: Vec::new(),
            owners: BTreeMap::new(),
            findings_omitted: 0,
            digests: digests(&file, arguments, &bar)?,
            remarks,
            interrupted_at: None,
        })))
    }
}

/// Says why a file could not be verified; the others are, all the same.
fn failed(failure: &Failure, output: &mut Output) -> Result<Exit, Failure> {
    output.failure(failure)?;
    Ok(failure.exit)
}

/// A refusal ends the command.
fn failed_or_refused(failure: Failure, output: &mut Output) -> Result<Exit, Failure> {
    match failure.exit {
        Exit::Refused => Err(failure),
        _ => failed(&failure, output),
    }
}

fn digests(
    file: &EvidenceFile,
    arguments: &Arguments,
    progress: &dyn Progress,
) -> Result<Vec<Digest>, Failure> {
    let kinds = arguments.digest_kinds();
    digest_file(file, &kinds, progress).map_err(|error| Failure::of(&error))
}

impl Arguments {
    fn digest_kinds(&self) -> Vec<DigestKind> {
        self.hash.iter().copied().map(DigestKind::from).collect()
    }

    fn options(&self) -> VerifyOptions {
        VerifyOptions {
            pages: self.pages.clone(),
            flush_map: self.flush_map.clone(),
            digests: self.digest_kinds(),
            resume: self.resume.clone(),
            owners: self.owners,
            max_findings: self.max_findings,
        }
    }

    /// Says which options do nothing for a file that is not a database.
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
