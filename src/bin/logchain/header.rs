//! `logchain header`: the header of each log, as `eseutil /ml` prints it.

use crate::stream::{StreamArguments, check_interrupt};
use console::{Exit, Failure, Output};
use ese_format::log::{CheckpointFile, HEADER_SIZE, LogHeader, Unverified, log_header_text};
use ese_format::{JetError, Lgpos};
use ese_log::{StreamFile, StreamFiles};
use evidence::EvidenceFile;
use serde::Serialize;
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

/// Print the header of every log of a folder
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  logchain header /evidence/sg1")]
pub(crate) struct Arguments {
    #[command(flatten)]
    stream: StreamArguments,
}

/// Runs the command: a header that cannot be trusted is a finding.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let mut exit = Exit::Clean;
    for files in arguments.stream.all()? {
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
    if file.role == ese_log::FileRole::Reserve {
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
            let jet = self.jet.map(|jet| format!(" [JET {jet}]"));
            writeln!(f, "      ERROR: {problem}{}", jet.unwrap_or_default())?;
        }
        if let Some(header) = &self.header {
            write!(f, "{}", log_header_text(header.as_read(), self.checkpoint))?;
        }
        writeln!(f)
    }
}
