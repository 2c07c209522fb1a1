//! `logchain header`: the header of each log, as `eseutil /ml` prints it.

use crate::stream::{StreamArguments, check_interrupt};
use console::{Exit, Failure, Output};
use ese_format::log::{CheckpointFile, FILE_TYPE_LOG, HEADER_SIZE, LogHeader, Unverified};
use ese_format::{JetError, JetSuffix, Lgpos};
use ese_log::{FileRole, LogFileName, StreamFile, StreamFiles};
use evidence::{EvidenceFile, Place};
use serde::Serialize;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

/// Print the header of one log, or of every log of a folder
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  logchain header /evidence/sg1/E000000000D.log\n  logchain header /evidence/sg1"
)]
pub(crate) struct Arguments {
    /// A log, or the folder of the logs
    place: PathBuf,
    /// Base name of the logs, as in E00; needed only if the folder holds several streams
    #[arg(long, value_name = "NAME")]
    base: Option<String>,
}

/// Runs the command: a header that cannot be trusted is a finding.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let base = arguments.base.clone();
    let place = evidence::place(&arguments.place).map_err(|error| Failure::of(&error))?;
    if let Place::File(file) = place {
        let report = one(file.path(), base)?;
        output.answer("edbkit.log-header/1", &report, &report)?;
        return Ok(report.exit);
    }
    let folder = arguments.place.clone();
    let mut exit = Exit::Clean;
    for files in (StreamArguments { folder, base }).all()? {
        let checkpoint = checkpoint(&files);
        for file in files.in_order().chain(&files.leftovers) {
            check_interrupt(output)?;
            let Some(report) = read(&files, file, checkpoint) else {
                continue;
            };
            exit = exit.and(report.exit);
            output.answer("edbkit.log-header/1", &report, &report)?;
        }
    }
    Ok(exit)
}

#[derive(Debug, Serialize)]
struct Report {
    path: PathBuf,
    base: String,
    name: String,
    file_size: Option<u64>,
    /// Position in the checkpoint file beside the log.
    checkpoint: Option<Lgpos>,
    header: Option<Box<Unverified<LogHeader>>>,
    problem: Option<String>,
    jet: Option<JetError>,
    #[serde(skip)]
    exit: Exit,
}

/// The header of a log that is named itself, so that its name need not be one of a log.
fn one(path: &Path, base: Option<String>) -> Result<Report, Failure> {
    let path = &*evidence::shown(path);
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.and_then(LogFileName::parse);
    let folder = &evidence::folder_of(path);
    let named = name.as_ref().map(|name| name.base.clone());
    let base = base.or(named).unwrap_or_default();
    let files = StreamFiles::find(folder, Some(&base));
    let files = files.unwrap_or_else(|_| StreamFiles::none(folder, Some(&base)));
    let role = name.as_ref().map_or(FileRole::Current, |name| name.role);
    let file = StreamFile::named(path.to_owned(), role);
    let other = |what: &str| {
        Failure::new(Exit::NotEse, format!("{}: {what}", path.display()))
            .jet(JetError::FILE_INVALID_TYPE)
    };
    let is_named_so = matches!(
        name.map(|name| name.role),
        Some(FileRole::Generation { .. } | FileRole::Current | FileRole::Temporary)
    );
    match read(&files, &file, checkpoint(&files)) {
        Some(report) if is_named_so || report.exit == Exit::Io || report.is_of_a_log() => {
            Ok(report)
        }
        Some(_) => {
            Err(other("not a transaction log")
                .advise("`edbtool header` says what kind of file it is"))
        }
        None => Err(other("reserved space, which has no header")),
    }
}

/// The header of a file; `None` for reserved space, which has none.
fn read(files: &StreamFiles, file: &StreamFile, checkpoint: Option<Lgpos>) -> Option<Report> {
    let mut report = Report {
        path: file.path.clone(),
        base: files.naming.base.clone(),
        name: file.name(),
        file_size: None,
        checkpoint,
        header: None,
        problem: None,
        jet: None,
        exit: Exit::Finding,
    };
    let start = EvidenceFile::open(&file.path).and_then(|file| {
        report.file_size = Some(file.length());
        file.start(HEADER_SIZE)
    });
    let start = match start {
        Ok(start) => start,
        Err(error) => {
            report.problem = Some(error.to_string());
            report.exit = Exit::Io;
            return Some(report);
        }
    };
    if file.role == FileRole::Reserve {
        return None;
    }
    match ese_log::trusted_header(&start) {
        Ok(_) => report.exit = Exit::Clean,
        Err((problem, jet)) => {
            report.problem = Some(problem.to_string());
            report.jet = Some(jet);
        }
    }
    report.header = LogHeader::read(&start).ok().map(Box::new);
    Some(report)
}

impl Report {
    /// Whether the header, which may be damaged, is one of a log.
    fn is_of_a_log(&self) -> bool {
        self.header.as_ref().is_some_and(|header| {
            let fields = header.as_read();
            let typed = fields.file_type == FILE_TYPE_LOG;
            fields.version.layout().is_ok() && (typed || header.is_intact())
        })
    }
}

fn checkpoint(files: &StreamFiles) -> Option<Lgpos> {
    let file = EvidenceFile::open(&files.checkpoints.first()?.path).ok()?;
    let bytes = file.start(CheckpointFile::SIZE).ok()?;
    let copies = CheckpointFile::read(&bytes);
    let (checkpoint, _) = copies.current().ok()?;
    Some(checkpoint.checkpoint)
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "      Base name: {}", self.base)?;
        writeln!(f, "      Log file: {}", self.name)?;
        if let Some(problem) = &self.problem {
            writeln!(f, "      ERROR: {problem}{}", JetSuffix(self.jet))?;
        }
        if let Some(header) = &self.header {
            write!(
                f,
                "{}",
                ese_text::log_header(header.as_read(), self.checkpoint)
            )?;
        }
        writeln!(f)
    }
}
