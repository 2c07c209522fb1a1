//! What both commands take: databases, logs and limits.

use console::values::number;
use console::{Exit, Failure};
use ese_format::file_kind::DETECT_BYTES;
use ese_format::{FileKind, Generation, JetError, Lgpos};
use ese_log::{LogError, StreamFiles};
use ese_replay::output::{InPlace, OutputError};
use ese_replay::recovery::{DatabaseFile, Ran, RecoveryError, Until};
use ese_replay::{Problem, ReplayError};
use evidence::EvidenceFile;
use jiff::Timestamp;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Databases and the log stream that serves them.
#[derive(Debug, clap::Args)]
pub(crate) struct Input {
    /// Databases to recover; without any, those that the logs create
    #[arg(value_name = "DATABASE")]
    pub(crate) databases: Vec<PathBuf>,
    /// Folder with the logs
    #[arg(long, value_name = "FOLDER")]
    logs: PathBuf,
    /// Base name of the logs, as in E00; needed only if the folder holds several streams
    #[arg(long, value_name = "NAME")]
    base: Option<String>,
    /// Checkpoint file in place of the one beside the logs
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// Replay no generation after this one, as in 42 or 0x2A
    #[arg(long, value_name = "GENERATION", value_parser = parse_generation)]
    until: Option<Generation>,
    /// Replay no record after this position, as in 0000002A:0010:01F4
    #[arg(long, value_name = "LGPOS")]
    until_lgpos: Option<Lgpos>,
    /// Replay nothing that was logged after this time, as in 2024-05-01T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until_time: Option<Timestamp>,
}

fn parse_generation(text: &str) -> Result<Generation, String> {
    number(text).map(Generation)
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    let said = "is no time with its zone; write it as 2024-05-01T12:00:00Z";
    text.parse().map_err(|_| format!("{text:?} {said}"))
}

impl Input {
    /// The files of the stream. A checkpoint that was named has to be one.
    pub(crate) fn stream(&self) -> Result<StreamFiles, Failure> {
        if let Some(path) = &self.checkpoint {
            let start = EvidenceFile::open(path).and_then(|file| file.start(DETECT_BYTES));
            let start = start.map_err(|error| Failure::unreadable(&error))?;
            if FileKind::detect(&start) != FileKind::Checkpoint {
                let message = format!("{}: not an ESE checkpoint", path.display());
                return Err(Failure::new(Exit::NotEse, message)
                    .jet(JetError::FILE_INVALID_TYPE)
                    .advise("name the .chk file of the stream, or leave --checkpoint out"));
            }
        }
        StreamFiles::find(&self.logs, self.base.as_deref()).map_err(|error| log_failure(&error))
    }

    /// The databases, opened.
    pub(crate) fn open(&self) -> Result<Vec<DatabaseFile>, Failure> {
        for path in &self.databases {
            InPlace::refuse_interrupted(path).map_err(|error| output_failure(&error))?;
        }
        let databases: Vec<DatabaseFile> = (self.databases.iter())
            .map(|path| DatabaseFile::open(path).map_err(|error| failure(&error)))
            .collect::<Result<_, _>>()?;
        for (index, database) in databases.iter().enumerate() {
            let signature = &database.header.signature;
            let twin = databases[..index]
                .iter()
                .find(|other| other.header.signature == *signature);
            if let Some(twin) = twin {
                let (one, other) = (twin.path().display(), database.path().display());
                let message = format!("{one} and {other} are copies of the same database");
                return Err(
                    Failure::new(Exit::Usage, message).advise("recover one of them at a time")
                );
            }
        }
        Ok(databases)
    }

    /// The first database that is not consistent yet where a replay that went as `ran` did stops.
    pub(crate) fn too_early(&self, databases: &[DatabaseFile], ran: &Ran) -> Option<RecoveryError> {
        let limited =
            self.until.is_some() || self.until_lgpos.is_some() || self.until_time.is_some();
        let early = databases.iter().find(|database| {
            let header = &database.header;
            header.state.needs_recovery() && !ran.covers(header.max_required)
        });
        early
            .filter(|_| limited)
            .map(|database| RecoveryError::LimitTooEarly {
                path: database.path().to_owned(),
                needed: database.header.max_required,
            })
    }

    /// Where to stop.
    pub(crate) fn until(&self) -> Until {
        Until {
            generation: self.until,
            lgpos: self.until_lgpos,
            before: None,
            time: self.until_time,
        }
    }
}

/// A recovery that failed, as the program reports it.
pub(crate) fn failure(error: &RecoveryError) -> Failure {
    let exit = match error {
        RecoveryError::Log(error) => return log_failure(error),
        RecoveryError::Evidence(error) => return Failure::unreadable(error),
        // Its header is lost, which is damage.
        RecoveryError::NotADatabase { jet, .. } if *jet == JetError::READ_VERIFY_FAILURE => {
            Exit::Finding
        }
        RecoveryError::NotADatabase { .. } => Exit::NotEse,
        RecoveryError::Interrupted => {
            return Failure::new(Exit::Interrupted, "interrupted; nothing was written")
                .advise("run the same command again");
        }
        RecoveryError::Missing { .. }
        | RecoveryError::NeverAttached { .. }
        | RecoveryError::LimitTooEarly { .. } => Exit::Refused,
        RecoveryError::Replay(ReplayError {
            problem: Problem::Io { .. },
            ..
        })
        | RecoveryError::End(Problem::Io { .. }) => Exit::Io,
        RecoveryError::Replay(_) | RecoveryError::End(_) => Exit::Finding,
    };
    let failure = Failure::new(exit, error.to_string());
    let failure = match advice(error) {
        Some(advice) => failure.advise(advice),
        None => failure,
    };
    match error.jet() {
        Some(jet) => failure.jet(jet),
        None => failure,
    }
}

fn advice(error: &RecoveryError) -> Option<&'static str> {
    match error {
        RecoveryError::Missing { .. } => {
            Some("name those databases too, or leave them out with --ignore-missing")
        }
        RecoveryError::NotADatabase { jet, .. } if *jet == JetError::FILE_INVALID_TYPE => {
            Some("name the database; --logs names the folder of its logs")
        }
        RecoveryError::Replay(ReplayError {
            problem: Problem::Io { error, .. },
            ..
        })
        | RecoveryError::End(Problem::Io { error, .. })
            if error.kind() == ErrorKind::StorageFull =>
        {
            Some("make room where the result goes, and run the same command again")
        }
        RecoveryError::NeverAttached { .. } => Some("look for the logs of this database's stream"),
        RecoveryError::LimitTooEarly { .. } => {
            Some("raise the limit, begin with an older copy of the database, or add --until-undo")
        }
        _ => jet_advice(error.jet()?),
    }
}

/// What to do about errors that say little by themselves.
fn jet_advice(jet: JetError) -> Option<&'static str> {
    Some(match jet {
        JetError::DB_TIME_TOO_OLD => {
            "a write to this page was lost, or logs are from another copy: verify the database, use an older copy"
        }
        JetError::DB_TIME_TOO_NEW => {
            "the page was changed by something that these logs do not hold: look for the right logs"
        }
        JetError::READ_VERIFY_FAILURE => {
            "it is damaged on disk: use another copy of the database with the same logs"
        }
        JetError::CONSISTENT_TIME_MISMATCH => {
            "this copy is not the one that the logs go on with: use one from before, or the one they name"
        }
        _ => return None,
    })
}

/// A log that cannot be read, as the program reports it.
pub(crate) fn log_failure(error: &LogError) -> Failure {
    let (exit, advice) = match error {
        LogError::Io { path, source } => return Failure::io(path, source),
        LogError::File(error) => return Failure::unreadable(error),
        LogError::NoStream { .. } => (Exit::NotEse, "name the folder that holds the logs"),
        LogError::TooLarge { .. } => (Exit::NotEse, "this is no transaction log"),
        LogError::SeveralStreams { .. } => (Exit::Usage, "choose one with --base"),
        _ => (Exit::Finding, "`logchain verify` tells more about the logs"),
    };
    let failure = Failure::new(exit, error.to_string()).advise(advice);
    match error.jet() {
        Some(jet) => failure.jet(jet),
        None => failure,
    }
}

/// A result that cannot be written, as the program reports it.
pub(crate) fn output_failure(error: &OutputError) -> Failure {
    let (exit, advice) = match error {
        OutputError::Source(error) => return failure(error),
        OutputError::Io { path, error } => return Failure::io(path, error),
        OutputError::Exists { .. } => (Exit::Refused, "choose another name, or add --force"),
        OutputError::IsSource { .. } => (Exit::Refused, "choose another name, or use --in-place"),
        OutputError::InUse { .. } => (Exit::Refused, "stop the program that uses it"),
        OutputError::Interrupted { .. } => (
            Exit::Refused,
            "finish it with `edbreplay run --in-place` and the same logs",
        ),
        OutputError::Journal { .. } => (
            Exit::Refused,
            "the database was changed since that journal was begun: look into it before removing the journal",
        ),
    };
    Failure::new(exit, error.to_string()).advise(advice)
}

/// The name of a file on the machine that wrote the logs, whatever its system's separator.
pub(crate) fn file_name(logged: &str) -> &str {
    logged.rsplit(['\\', '/']).next().unwrap_or(logged)
}

/// The name of a file here.
pub(crate) fn name_of(path: &Path) -> PathBuf {
    path.file_name().map(PathBuf::from).unwrap_or_default()
}
