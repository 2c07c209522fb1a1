//! Everything that is wrong with a stream of logs, and whether databases can be recovered with it.

use console::{Exit, Failure};
use ese_format::{Explain, JetError, JetSuffix, Progress};
use ese_log::chain::{
    self, ChainFinding, ChainFindingKind, ChainReport, DatabaseVerdict, Proof, Readiness, Severity,
};
use ese_log::{LogError, StreamFiles};
use ese_replay::output::{InPlace, OutputError};
use ese_replay::recovery::{DatabaseFile, RecoverOptions, RecoveryError, Until, plan_of, try_out};
use evidence::EvidenceFile;
use serde::Serialize;
use std::collections::HashSet;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

/// The schema of a [`Report`].
pub const SCHEMA: &str = "edbkit.log-verify/1";

/// What the pages of databases may take in memory while a recovery is tried.
const MEMORY: usize = 256 << 20;

/// What is asked of a folder of logs.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// The folder.
    pub folder: PathBuf,
    /// Base name of the logs; without it, all streams of the folder are meant.
    pub base: Option<String>,
    /// Databases that are to be judged.
    pub databases: Vec<PathBuf>,
    /// Checkpoint file in place of the one beside the logs.
    pub checkpoint: Option<PathBuf>,
    /// Other databases that the logs change are left out.
    pub ignore_missing: bool,
    /// Only headers and logs are read: no recovery is tried.
    pub quick: bool,
}

/// What a script asks for. The last is that the log after each closed log that is needed proves it complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Require {
    /// Ready.
    Ready,
    /// Ready, also with loss.
    ReadyWithLoss,
    /// Ready, and every log that is needed is proved complete.
    Proved,
}

impl Require {
    fn is_met_by(self, verdict: &DatabaseVerdict) -> bool {
        let worst = match self {
            Require::Ready | Require::Proved => Readiness::Ready,
            Require::ReadyWithLoss => Readiness::ReadyWithLoss,
        };
        let proved = self != Require::Proved || verdict.not_proved.is_empty();
        verdict.readiness <= worst && proved
    }
}

/// The streams of a folder that are meant, verified one after the other.
pub fn reports(
    question: &Question,
    progress: &dyn Progress,
) -> Result<impl Iterator<Item = Result<Report, Failure>>, Failure> {
    if let Some(path) = &question.checkpoint {
        EvidenceFile::open(path).map_err(|error| Failure::of(&error))?;
    }
    let databases = question.databases.iter();
    let databases: Vec<Database> = databases.map(|path| Database::open(path)).collect();
    let streams = streams(question, databases.is_empty())?;
    let stream_of = |database: &Database| database.stream_of(&question.folder, &streams);
    let places: Result<Vec<usize>, LogError> = databases.iter().map(stream_of).collect();
    let places = places.map_err(|error| Failure::of(&error))?;
    let wanted = (0..streams.len())
        .filter(|place| databases.is_empty() || places.contains(place))
        .collect::<Vec<_>>();
    Ok(wanted.into_iter().map(move |place| {
        let own = databases.iter().zip(&places);
        let own = own.filter(|(_, stream)| **stream == place);
        let own: Vec<&Database> = own.map(|(database, _)| database).collect();
        verify(question, &streams[place], &own, &streams, progress)
    }))
}

/// The streams that are meant: all of the folder, if no base name is given.
pub fn streams_of(folder: &Path, base: Option<&str>) -> Result<Vec<StreamFiles>, Failure> {
    let found = match base {
        Some(base) => StreamFiles::find(folder, Some(base)).map(|files| vec![files]),
        None => StreamFiles::find_all(folder),
    };
    match found {
        Ok(streams) if streams.iter().all(StreamFiles::is_empty) => {
            Err(Failure::of(&LogError::NoStream {
                folder: folder.to_owned(),
                base: base.map(str::to_owned),
            }))
        }
        Ok(streams) => Ok(streams),
        Err(error) => Err(Failure::of(&error)),
    }
}

/// The streams of the folder. Where it holds none, but a database is named, the stream that it has none of.
fn streams(question: &Question, logs_alone: bool) -> Result<Vec<StreamFiles>, Failure> {
    let (folder, base) = (&question.folder, question.base.as_deref());
    let streams = match streams_of(folder, base) {
        Err(failure) if failure.exit == Exit::NotEse && !logs_alone => {
            vec![StreamFiles::none(folder, base)]
        }
        streams => streams?,
    };
    if streams.len() > 1 && question.checkpoint.is_some() {
        let bases: Vec<_> = streams.iter().map(|files| &*files.naming.base).collect();
        return Err(Failure::new(
            Exit::Usage,
            format!("the folder holds several streams: {}", bases.join(", ")),
        )
        .advise("with --checkpoint, choose one with --base"));
    }
    Ok(streams)
}

fn verify(
    question: &Question,
    files: &StreamFiles,
    databases: &[&Database],
    streams: &[StreamFiles],
    progress: &dyn Progress,
) -> Result<Report, Failure> {
    let checkpoint = question.checkpoint.as_deref();
    let chain = chain::verify(files, checkpoint, progress).map_err(|error| Failure::of(&error))?;
    let chain = chain.ok_or_else(stopped)?;
    let others = streams.iter().filter(|other| other.naming != files.naming);
    Ok(Report {
        databases: judge(question, &chain, files, databases, progress)?,
        other_streams: match databases.is_empty() {
            true => Vec::new(),
            false => others.map(|other| other.naming.base.clone()).collect(),
        },
        chain,
    })
}

fn stopped() -> Failure {
    Failure::new(Exit::Interrupted, "interrupted; the rest was not checked")
        .advise("run the same command again")
}

/// What was found in a stream.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The chain.
    #[serde(flatten)]
    pub chain: ChainReport,
    /// What was made of each database.
    pub databases: Vec<DatabaseReport>,
    /// Base names of streams in the folder that no database belongs to. They were not verified.
    pub other_streams: Vec<String>,
}

/// A database and what was made of it.
#[derive(Debug, Serialize)]
pub struct DatabaseReport {
    /// Its file.
    pub path: PathBuf,
    /// Why there is no verdict.
    pub problem: Option<String>,
    /// The number of the engine for that.
    pub jet: Option<JetError>,
    /// Whether it can be recovered.
    pub verdict: Option<DatabaseVerdict>,
    /// The exit code where there is no verdict.
    #[serde(skip)]
    unreadable: Exit,
}

/// A database that is named, or why it cannot be judged.
struct Database {
    path: PathBuf,
    file: Result<DatabaseFile, Unreadable>,
}

struct Unreadable {
    problem: String,
    jet: Option<JetError>,
    exit: Exit,
}

impl Database {
    fn open(path: &Path) -> Self {
        Database {
            path: path.to_owned(),
            file: open(path),
        }
    }

    /// Which of the streams the database belongs to. It must be one, as for a recovery.
    fn stream_of(&self, folder: &Path, streams: &[StreamFiles]) -> Result<usize, LogError> {
        let Ok(file) = &self.file else { return Ok(0) };
        if streams.len() == 1 {
            return Ok(0);
        }
        let is_own = |(_, stream): &(usize, &StreamFiles)| stream.is_of(&file.header.log_signature);
        let own: Vec<usize> = streams
            .iter()
            .enumerate()
            .filter(is_own)
            .map(|(at, _)| at)
            .collect();
        match own[..] {
            [one] => Ok(one),
            _ => Err(LogError::SeveralStreams {
                folder: folder.to_owned(),
                bases: streams
                    .iter()
                    .map(|stream| stream.naming.base.clone())
                    .collect(),
            }),
        }
    }
}

fn open(path: &Path) -> Result<DatabaseFile, Unreadable> {
    // Its header is that from before, and would be judged as if its pages were, too.
    if let Err(interrupted @ OutputError::Interrupted { .. }) = InPlace::refuse_interrupted(path) {
        return Err(Unreadable {
            problem: interrupted.to_string(),
            jet: None,
            exit: Exit::Finding,
        });
    }
    DatabaseFile::open(path).map_err(|error| match error {
        RecoveryError::NotADatabase { reason, jet, .. } => Unreadable {
            problem: reason,
            jet: Some(jet),
            exit: match jet == JetError::READ_VERIFY_FAILURE {
                true => Exit::Finding,
                false => Exit::NotEse,
            },
        },
        error => Unreadable {
            problem: error.to_string(),
            jet: error.jet(),
            exit: Exit::Io,
        },
    })
}

/// The verdicts on databases, in their order. They are recovered together, as the engine does it, unless one of them is a
/// copy of another.
fn judge(
    question: &Question,
    chain: &ChainReport,
    files: &StreamFiles,
    databases: &[&Database],
    progress: &dyn Progress,
) -> Result<Vec<DatabaseReport>, Failure> {
    let mut reports = Vec::new();
    let mut opened: Vec<(usize, DatabaseFile)> = Vec::new();
    for (place, database) in databases.iter().enumerate() {
        let unreadable = database.file.as_ref().err();
        reports.push(DatabaseReport {
            path: database.path.clone(),
            problem: unreadable.map(|unreadable| unreadable.problem.clone()),
            jet: unreadable.and_then(|unreadable| unreadable.jet),
            verdict: None,
            unreadable: unreadable.map_or(Exit::Clean, |unreadable| unreadable.exit),
        });
        opened.extend(
            database
                .file
                .as_ref()
                .ok()
                .map(|file| (place, file.clone())),
        );
    }
    let signatures: HashSet<_> = opened
        .iter()
        .map(|(_, file)| file.header.signature)
        .collect();
    let groups: Vec<Vec<(usize, DatabaseFile)>> = match signatures.len() == opened.len() {
        true => vec![opened],
        false => opened.into_iter().map(|one| vec![one]).collect(),
    };
    for group in groups.into_iter().filter(|group| !group.is_empty()) {
        let (places, files_of_group): (Vec<usize>, Vec<DatabaseFile>) = group.into_iter().unzip();
        let mut plan = plan_of(chain, files, &files_of_group, &Until::default());
        if !question.quick {
            let options = RecoverOptions {
                ignore_missing: question.ignore_missing,
                ..RecoverOptions::default()
            };
            match try_out(&mut plan, &files_of_group, MEMORY, options, progress) {
                Err(RecoveryError::Interrupted) => return Err(stopped()),
                Err(error) => return Err(Failure::new(Exit::Io, error.to_string())),
                Ok(_) => {}
            }
        } else if !question.ignore_missing {
            plan.refuse_missing();
        }
        for (place, judged) in places.into_iter().zip(plan.databases) {
            reports[place].verdict = Some(judged.verdict);
        }
    }
    Ok(reports)
}

impl DatabaseReport {
    fn exit(&self, require: Require) -> Exit {
        match &self.verdict {
            None => self.unreadable,
            Some(verdict) if require.is_met_by(verdict) => Exit::Clean,
            Some(_) => Exit::Finding,
        }
    }
}

impl Report {
    /// Remarks on the stream are no findings where databases are judged; with `--require` nothing but the verdicts
    /// counts.
    pub fn exit(&self, require: Option<Require>) -> Exit {
        let lowest = match (require, self.databases.is_empty()) {
            (Some(_), false) => None,
            (None, false) => Some(Severity::Error),
            (_, true) => Some(Severity::Warning),
        };
        let found = lowest.is_some_and(|lowest| self.chain.count(lowest) > 0);
        let unproved = || {
            let mut logs = self.chain.logs.iter();
            logs.any(|log| matches!(log.proof, Proof::NotProved(_)))
        };
        let unproved = self.databases.is_empty() && require == Some(Require::Proved) && unproved();
        let chain = match found || unproved {
            true => Exit::Finding,
            false => Exit::Clean,
        };
        let newer =
            |finding: &ChainFinding| matches!(finding.kind, ChainFindingKind::NewerVersion { .. });
        let chain = match self.chain.findings.iter().any(newer) {
            true if lowest.is_some() => Exit::NotEse,
            _ => chain,
        };
        let databases = self.databases.iter();
        let databases = databases.map(|database| database.exit(require.unwrap_or(Require::Ready)));
        databases.fold(chain, Exit::and)
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", ese_text::chain(&self.chain))?;
        if !self.other_streams.is_empty() {
            let others = self.other_streams.join(", ");
            writeln!(f, "Other streams in the folder, not verified: {others}")?;
        }
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
            return writeln!(
                f,
                "\nDatabase: {path}\n       Verdict: NOT READY{}\n        Reason: {problem}",
                JetSuffix(self.jet)
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
        if let Some(files) = &verdict.needed_files {
            writeln!(f, " Required Logs: {files}")?;
        }
        if let Some(reach) = &verdict.reach {
            writeln!(f, "      Recovery: {reach}")?;
        }
        writeln!(
            f,
            "       Verdict: {}{}",
            verdict.readiness,
            JetSuffix(verdict.jet)
        )?;
        if let Some(loss) = verdict.loss {
            let until = match loss.until.rfc3339() {
                Some(time) => format!(", begun by {time}"),
                None => String::new(),
            };
            let after = loss.after.rfc3339().unwrap_or_else(|| "unknown".into());
            writeln!(
                f,
                "          Lost: generations {0}-{1} ({0:#x}-{1:#x}){until};\n                kept up to {after}",
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
