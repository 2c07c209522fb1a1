//! `logchain verify`: everything that is wrong with a stream, and whether a database can be activated with it.

use crate::stream::{StreamArguments, failure};
use console::{Exit, Failure, Output};
use ese_format::database::{HEADERS_MAX, HeaderCopies, looks_like_database};
use ese_format::{FileKind, JetError};
use ese_log::StreamFiles;
use ese_log::chain::{self, ChainReport, DatabaseVerdict, Readiness, Severity, verdict};
use ese_replay::output::InPlace;
use evidence::EvidenceFile;
use serde::Serialize;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

/// Check a whole stream of logs, and whether databases can be recovered with it
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  logchain verify /evidence/sg1\n  logchain verify /evidence/sg1 --db mailbox.edb"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    stream: StreamArguments,
    /// A database of the stream: say whether it can be recovered; may be given several times
    #[arg(long = "db", value_name = "FILE")]
    databases: Vec<PathBuf>,
    /// Checkpoint file in place of the one beside the logs
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let streams = arguments.stream.all()?;
    let names_files = !arguments.databases.is_empty() || arguments.checkpoint.is_some();
    if streams.len() > 1 && names_files {
        let bases: Vec<_> = streams.iter().map(|files| &*files.naming.base).collect();
        return Err(Failure::new(
            Exit::Usage,
            format!("the folder holds several streams: {}", bases.join(", ")),
        )
        .advise("with --db or --checkpoint, choose one with --base"));
    }
    if let Some(path) = &arguments.checkpoint {
        EvidenceFile::open(path).map_err(|error| Failure::unreadable(&error))?;
    }
    let mut exit = Exit::Clean;
    for files in &streams {
        let report = verify(arguments, files, output)?;
        exit = exit.and(report.exit());
        output.answer("edbkit.log-verify/1", &report, &report)?;
    }
    Ok(exit)
}

fn verify(
    arguments: &Arguments,
    files: &StreamFiles,
    output: &mut Output,
) -> Result<Report, Failure> {
    let bar = output.bar(0, "Checking logs");
    let checkpoint = arguments.checkpoint.as_deref();
    let chain = chain::verify(files, checkpoint, &bar).map_err(|error| failure(&error))?;
    let Some(chain) = chain else {
        return Err(
            Failure::new(Exit::Interrupted, "interrupted; the rest was not checked")
                .advise("run the same command again"),
        );
    };
    let databases = arguments.databases.iter().map(|path| judge(&chain, path));
    Ok(Report {
        databases: databases.collect(),
        chain,
    })
}

#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    chain: ChainReport,
    databases: Vec<DatabaseReport>,
}

/// A database and what was made of it.
#[derive(Debug, Serialize)]
struct DatabaseReport {
    path: PathBuf,
    /// Why there is no verdict.
    problem: Option<String>,
    jet: Option<JetError>,
    verdict: Option<DatabaseVerdict>,
    #[serde(skip)]
    exit: Exit,
}

fn judge(chain: &ChainReport, path: &Path) -> DatabaseReport {
    let mut report = DatabaseReport {
        path: path.to_owned(),
        problem: None,
        jet: None,
        verdict: None,
        exit: Exit::Finding,
    };
    match EvidenceFile::open(path).and_then(|file| file.start(HEADERS_MAX)) {
        Err(problem) => {
            report.problem = Some(problem.to_string());
            report.exit = Exit::Io;
        }
        Ok(start) if !looks_like_database(&start) => {
            report.problem = Some(FileKind::detect(&start).why_no_database());
            report.jet = Some(JetError::FILE_INVALID_TYPE);
            report.exit = Exit::NotEse;
        }
        // Its header is that from before, and would be judged as if its pages were, too.
        Ok(_) if let Err(interrupted) = InPlace::refuse_interrupted(path) => {
            report.problem = Some(interrupted.to_string());
        }
        Ok(start) => match HeaderCopies::read(&start).good() {
            Some(copy) => report.verdict = Some(verdict(chain, &copy.fields)),
            None => {
                report.problem = Some("neither copy of the database header can be trusted".into());
                report.jet = Some(JetError::READ_VERIFY_FAILURE);
            }
        },
    }
    let ready = |verdict: &DatabaseVerdict| verdict.readiness <= Readiness::Ready;
    if report.verdict.as_ref().is_some_and(ready) {
        report.exit = Exit::Clean;
    }
    report
}

impl Report {
    fn exit(&self) -> Exit {
        let found = self.chain.count(Severity::Warning) > 0;
        let chain = if found { Exit::Finding } else { Exit::Clean };
        let databases = self.databases.iter().map(|database| database.exit);
        databases.fold(chain, Exit::and)
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.chain)?;
        self.databases
            .iter()
            .try_for_each(|database| database.fmt(f))
    }
}

impl Display for DatabaseReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        let Some(verdict) = &self.verdict else {
            let problem = self.problem.as_deref().unwrap_or_default();
            let jet = self.jet.map(|jet| format!(" [JET {jet}]"));
            return writeln!(
                f,
                "\nDatabase: {path}\n       Verdict: NOT READY{}\n        Reason: {problem}",
                jet.unwrap_or_default()
            );
        };
        writeln!(f, "\nDatabase: {path}")?;
        writeln!(f, "         State: {}", verdict.state)?;
        if let Some(need) = verdict.need {
            writeln!(
                f,
                "  Log Required: {0}-{1} ({0:#x}-{1:#x})\n Log Committed: {0}-{2} ({0:#x}-{2:#x})",
                need.min_required, need.max_required, need.max_committed
            )?;
        }
        if let Some(reach) = &verdict.reach {
            writeln!(f, "      Recovery: {reach}")?;
        }
        let jet = verdict.jet.map(|jet| format!(" [JET {jet}]"));
        writeln!(
            f,
            "       Verdict: {}{}",
            verdict.readiness,
            jet.unwrap_or_default()
        )?;
        if let Some(loss) = verdict.loss {
            let until = match loss.until.rfc3339() {
                Some(time) => format!(", begun by {time} at the latest"),
                None => String::new(),
            };
            let after = loss.after.rfc3339().unwrap_or_else(|| "unknown".into());
            writeln!(
                f,
                "          Lost: generations {0}-{1} ({0:#x}-{1:#x}){until}; kept up to {after}",
                loss.first, loss.last
            )?;
        }
        for reason in &verdict.reasons {
            writeln!(f, "        Reason: {reason}")?;
        }
        for advice in &verdict.advice {
            writeln!(f, "        Advice: {advice}")?;
        }
        Ok(())
    }
}
