//! `logchain verify`: everything that is wrong with a stream, and whether a database can be activated with it.

use crate::stream::{StreamArguments, failure};
use console::{Exit, Failure, Output};
use ese_format::{JetError, Progress};
use ese_log::StreamFiles;
use ese_log::chain::{self, ChainReport, DatabaseVerdict, Readiness, Severity};
use ese_replay::output::{InPlace, OutputError};
use ese_replay::recovery::{DatabaseFile, RecoverOptions, RecoveryError, Until, plan_of, try_out};
use evidence::EvidenceFile;
use serde::Serialize;
use std::collections::HashSet;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

/// What the pages of databases may take in memory while a recovery is tried.
const MEMORY: usize = 256 << 20;

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
    /// With --db: leave out other databases that the logs change
    #[arg(long, requires = "databases")]
    ignore_missing: bool,
    /// With --db: read headers and logs only, and do not try whether the pages allow it
    #[arg(long, requires = "databases")]
    quick: bool,
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
    let chain = chain.ok_or_else(stopped)?;
    let databases = judge(arguments, &chain, files, &bar)?;
    Ok(Report { databases, chain })
}

fn stopped() -> Failure {
    Failure::new(Exit::Interrupted, "interrupted; the rest was not checked")
        .advise("run the same command again")
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

/// The verdicts on all databases, in the order in which they are named. They are recovered together, as the engine does
/// it, unless one of them is a copy of another.
fn judge(
    arguments: &Arguments,
    chain: &ChainReport,
    files: &StreamFiles,
    progress: &dyn Progress,
) -> Result<Vec<DatabaseReport>, Failure> {
    let mut reports: Vec<DatabaseReport> = Vec::new();
    let mut opened: Vec<(usize, DatabaseFile)> = Vec::new();
    for (place, path) in arguments.databases.iter().enumerate() {
        let (report, database) = open(path);
        reports.push(report);
        opened.extend(database.map(|database| (place, database)));
    }
    let signatures: HashSet<_> = opened
        .iter()
        .map(|(_, database)| database.header.signature)
        .collect();
    let groups: Vec<Vec<(usize, DatabaseFile)>> = match signatures.len() == opened.len() {
        true => vec![opened],
        false => opened.into_iter().map(|one| vec![one]).collect(),
    };
    for group in groups.into_iter().filter(|group| !group.is_empty()) {
        let (places, databases): (Vec<usize>, Vec<DatabaseFile>) = group.into_iter().unzip();
        let mut plan = plan_of(chain, files, &databases, &Until::default());
        if !arguments.quick {
            let options = RecoverOptions {
                ignore_missing: arguments.ignore_missing,
                ..RecoverOptions::default()
            };
            match try_out(&mut plan, &databases, MEMORY, options, progress) {
                Err(RecoveryError::Interrupted) => return Err(stopped()),
                Err(error) => return Err(Failure::new(Exit::Io, error.to_string())),
                Ok(_) => {}
            }
        } else if !arguments.ignore_missing {
            plan.refuse_missing();
        }
        for (place, judged) in places.into_iter().zip(plan.databases) {
            let report = &mut reports[place];
            let ready = judged.verdict.readiness <= Readiness::Ready;
            report.exit = if ready { Exit::Clean } else { Exit::Finding };
            report.verdict = Some(judged.verdict);
        }
    }
    Ok(reports)
}

/// Opens a database; why there will be no verdict, if it cannot be opened.
fn open(path: &Path) -> (DatabaseReport, Option<DatabaseFile>) {
    let mut report = DatabaseReport {
        path: path.to_owned(),
        problem: None,
        jet: None,
        verdict: None,
        exit: Exit::Finding,
    };
    // Its header is that from before, and would be judged as if its pages were, too.
    if let Err(interrupted @ OutputError::Interrupted { .. }) = InPlace::refuse_interrupted(path) {
        report.problem = Some(interrupted.to_string());
        return (report, None);
    }
    match DatabaseFile::open(path) {
        Ok(database) => return (report, Some(database)),
        Err(RecoveryError::NotADatabase { reason, jet, .. }) => {
            let is_damage = jet == JetError::READ_VERIFY_FAILURE;
            report.exit = if is_damage {
                Exit::Finding
            } else {
                Exit::NotEse
            };
            report.problem = Some(reason);
            report.jet = Some(jet);
        }
        Err(error) => {
            report.exit = Exit::Io;
            report.problem = Some(error.to_string());
        }
    }
    (report, None)
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
