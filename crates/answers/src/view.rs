//! A database as its file holds it, as recovery will leave it, or as it was at a moment.

use console::{Exit, Failure, shell_word};
use ese_db::space::CutOff;
use ese_db::{Database, DbError};
use ese_format::{DatabaseHeader, Pgno, Progress};
use ese_log::{LogError, Moment, StreamChoice, StreamFiles};
use ese_replay::Problem;
use ese_replay::as_of::AsOf;
use ese_replay::output::{InPlace, OutputError, journal_path};
use ese_replay::recovery::{DatabaseFile, RecoveryError};
use ese_replay::view::{RecoveredView, Recovery, ViewError, ViewOptions};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What a database is looked at through. By default nothing: its file is read as it is.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// Folders of logs, or logs: the database is shown as it will be after recovery with them.
    pub logs: Vec<PathBuf>,
    /// Base name of the logs, where the folders hold several streams.
    pub base: Option<String>,
    /// With logs: other databases that they change are left out.
    pub ignore_missing: bool,
    /// With logs: the database is shown as it was then.
    pub as_of: Option<Moment>,
    /// An overlay that a recovery wrote.
    pub overlay: Option<PathBuf>,
}

/// A database that was opened for reading.
pub struct OpenedDatabase {
    /// The database, as it is read.
    pub database: Database,
    /// The exit code that follows from the state in which its file was found.
    pub found: Exit,
    /// What the file does not hold.
    pub cut_off: Option<CutOff>,
    /// What there is to say about how it is read, and what is wrong with its file.
    pub remarks: Vec<String>,
    /// How it is read, where that is not as its file is.
    pub recovered: Option<RecoveredInput>,
}

impl OpenedDatabase {
    /// The moment at which it is shown, if one was asked for.
    pub fn as_of(&self) -> Option<AsOf> {
        match &self.recovered.as_ref()?.by {
            RecoveredBy::Logs(recovery) => recovery.as_of,
            RecoveredBy::Overlay(_) => None,
        }
    }

    /// A document about the database, with the moment at which that is shown.
    pub fn document<'d, D: Serialize>(&self, document: &'d D) -> Shown<'d, D> {
        Shown {
            document,
            as_of: self.as_of(),
        }
    }
}

/// A document about a database that is shown at some moment.
#[derive(Serialize)]
pub struct Shown<'d, D> {
    #[serde(flatten)]
    document: &'d D,
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<AsOf>,
}

/// What makes a database readable as recovery leaves it.
pub struct RecoveredInput {
    /// The header of the file, as it is.
    pub file_header: DatabaseHeader,
    /// The last page of the file.
    pub file_last_page: Pgno,
    /// What brought it forward.
    pub by: RecoveredBy,
}

/// What brought a database forward.
pub enum RecoveredBy {
    /// These logs, in memory.
    Logs(Box<Recovery>),
    /// An overlay that a recovery left.
    Overlay(PathBuf),
}

/// Changed pages up to this many bytes stay in memory; more go to a temporary file.
pub const MEMORY: usize = 128 << 20;

impl View {
    /// Whether the file is read as it is.
    pub fn is_plain(&self) -> bool {
        self.logs.is_empty() && self.overlay.is_none()
    }

    /// Opens the database at `path`, and finds what is wrong with its file.
    pub fn look_at(&self, path: &Path, progress: &dyn Progress) -> Result<OpenedDatabase, Failure> {
        let mut opened = self.open(path, progress)?;
        opened.cut_off = CutOff::of(&opened.database);
        let mut problems = Vec::new();
        if self.is_plain() {
            problems.extend(half_written(path));
            let headerless = opened.database.is_headerless();
            problems.extend(headerless.then(|| HEADERLESS.to_owned()));
        }
        problems.extend(opened.cut_off.map(|cut_off| cut_off.to_string()));
        if !problems.is_empty() {
            opened.found = Exit::Finding;
        }
        opened.remarks.append(&mut problems);
        Ok(opened)
    }

    /// Opens the database at `path`.
    pub fn open(&self, path: &Path, progress: &dyn Progress) -> Result<OpenedDatabase, Failure> {
        let journal = self.overlay.as_ref() == Some(&journal_path(path));
        if !self.is_plain()
            && !journal
            && let Some(problem) = half_written(path)
        {
            return Err(Failure::new(Exit::Refused, problem));
        }
        let opened = |database, recovered, remarks| OpenedDatabase {
            database,
            found: Exit::Clean,
            cut_off: None,
            remarks,
            recovered,
        };
        if self.is_plain() {
            let database = Database::open(path).map_err(|error| failure(path, &error))?;
            return Ok(opened(database, None, Vec::new()));
        }
        let file = DatabaseFile::open(path).map_err(|error| view_failure(path, &error.into()))?;
        let mut remarks = Vec::new();
        let (view, by) = match &self.overlay {
            Some(overlay) => (
                RecoveredView::through_overlay(&file, overlay),
                RecoveredBy::Overlay(overlay.clone()),
            ),
            None => {
                let stream = self.stream(path, &file)?;
                let options = ViewOptions {
                    memory: MEMORY,
                    ignore_missing: self.ignore_missing,
                    as_of: self.as_of,
                };
                let recovered = RecoveredView::after_recovery(&file, &stream, options, progress);
                let (view, recovery) = recovered.map_err(|error| view_failure(path, &error))?;
                let as_of = recovery.as_of.as_ref();
                remarks.extend(as_of.map(|as_of| format!("{}: as of {as_of}", path.display())));
                (Ok(view), RecoveredBy::Logs(Box::new(recovery)))
            }
        };
        let view = view.map_err(|error| view_failure(path, &error))?;
        let recovered = RecoveredInput {
            file_header: file.header.clone(),
            file_last_page: file.last,
            by,
        };
        Ok(opened(Database::new(view), Some(recovered), remarks))
    }

    /// The logs of the database; none, so that what is missing is said, where no log is there.
    fn stream(&self, path: &Path, file: &DatabaseFile) -> Result<StreamFiles, Failure> {
        match own_stream(&self.logs, self.base.as_deref(), file) {
            Err(LogError::NoStream { folder, base }) => {
                Ok(StreamFiles::none(&folder, base.as_deref()))
            }
            found => found.map_err(|error| view_failure(path, &RecoveryError::from(error).into())),
        }
    }
}

/// The logs in these places that are the database's own.
pub fn own_stream(
    places: &[PathBuf],
    base: Option<&str>,
    database: &DatabaseFile,
) -> Result<StreamFiles, LogError> {
    let choice = StreamChoice {
        base,
        signatures: vec![database.header.log_signature],
    };
    StreamFiles::gather(places, &choice)
}

/// What is wrong with the database at `path` if a recovery in place did not come to its end.
pub fn half_written(path: &Path) -> Option<String> {
    let problem = InPlace::refuse_interrupted(path).err()?;
    let OutputError::Interrupted { journal, .. } = problem else {
        return Some(problem.to_string());
    };
    Some(format!(
        "a recovery in place was interrupted while it wrote the database, so some of its pages are old and some are new: finish it with \
         `edbreplay run --in-place` and the same logs, or look at the result with `edbtool tables {} --overlay {}`",
        shell_word(path),
        shell_word(&journal)
    ))
}

fn view_failure(path: &Path, error: &ViewError) -> Failure {
    let problem = match error {
        ViewError::Recovery(RecoveryError::Replay(error)) => Some(&error.problem),
        ViewError::Recovery(RecoveryError::End(problem)) => Some(problem),
        _ => None,
    };
    let mut failure = Failure::of(error);
    if let Some(pgno) = problem.and_then(page_of) {
        let path = shell_word(path);
        failure = failure.advise_too(&format!(
            "`edbtool page {path} {pgno}` says which table the page belongs to"
        ));
    }
    match failure.exit {
        Exit::Refused => failure.advise_too(AS_IT_IS),
        _ => failure,
    }
}

/// What can be done where logs do not help.
const AS_IT_IS: &str = "without logs the file is read as it is";

/// The page of the database at which a replay stopped.
fn page_of(problem: &Problem) -> Option<Pgno> {
    match problem {
        Problem::DbtimeTooOld { pgno, .. }
        | Problem::DbtimeTooNew { pgno, .. }
        | Problem::DbtimeBeyondRequired { pgno, .. }
        | Problem::BadChecksum { pgno }
        | Problem::Blank { pgno }
        | Problem::Divergence { pgno, .. } => Some(*pgno),
        _ => None,
    }
}

/// Whether the header says that logs may hold more than the file.
pub fn is_dirty(db: &Database) -> bool {
    let header = db.headers().and_then(|headers| headers.good());
    header.is_some_and(|header| header.fields.state.needs_recovery())
}

/// Said where neither copy of the header can be trusted.
const HEADERLESS: &str = "neither copy of the header can be trusted: whether the database is dirty is not known, and its page size \
                          is a guess; `edbtool header` shows both";

/// Said by every command that shows the content of a dirty database.
pub const DIRTY: &str = "the database is dirty: this is what its pages hold; logs may hold more or take it back (see `edbreplay`)";

/// An error of reading as the program reports it.
pub fn failure(path: &Path, error: &DbError) -> Failure {
    match error {
        // They name their file themselves.
        DbError::Evidence(_) | DbError::NotADatabase { .. } => Failure::of(error),
        _ => Failure::of_file(path, error),
    }
}
