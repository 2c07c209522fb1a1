//! Opening a database for the commands that look inside, and what they all say about losses.

use console::{Exit, Failure, Output, shell_word};
use ese_db::space::CutOff;
use ese_db::{Catalog, Database, DbError, Losses};
use ese_export::ExportError;
use ese_format::{DatabaseHeader, JetSuffix, Pgno};
use ese_log::{LogError, Moment, StreamChoice, StreamFiles};
use ese_replay::Problem;
use ese_replay::as_of::AsOf;
use ese_replay::output::{InPlace, OutputError, journal_path};
use ese_replay::recovery::{DatabaseFile, RecoveryError};
use ese_replay::view::{RecoveredView, Recovery, ViewError, ViewOptions};
use serde::Serialize;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

/// A database, as its file holds it or as recovery will leave it.
#[derive(Debug, clap::Args)]
pub(crate) struct DatabaseArgument {
    /// The database
    #[arg(value_name = "DATABASE")]
    pub(crate) path: PathBuf,
    #[command(flatten)]
    view: ViewArguments,
}

impl DatabaseArgument {
    /// Opens the database, and says what is wrong with its file.
    pub(crate) fn open(&self, output: &Output) -> Result<OpenedDatabase, Failure> {
        self.view.look_at(&self.path, output)
    }
}

/// A database that was opened for reading.
pub(crate) struct OpenedDatabase {
    /// The database, as it is read.
    pub(crate) database: Database,
    /// The exit code that follows from the state in which its file was found.
    pub(crate) found: Exit,
    /// What the file does not hold.
    pub(crate) cut_off: Option<CutOff>,
    /// How it is read, where that is not as its file is.
    pub(crate) recovered: Option<RecoveredInput>,
}

impl OpenedDatabase {
    /// The moment at which it is shown, if one was asked for.
    pub(crate) fn as_of(&self) -> Option<AsOf> {
        match &self.recovered.as_ref()?.by {
            RecoveredBy::Logs(recovery) => recovery.as_of,
            RecoveredBy::Overlay(_) => None,
        }
    }

    /// A document about the database, with the moment at which that is shown.
    pub(crate) fn document<'d, D: Serialize>(&self, document: &'d D) -> Shown<'d, D> {
        Shown {
            document,
            as_of: self.as_of(),
        }
    }
}

/// A document about a database that is shown at some moment.
#[derive(Serialize)]
pub(crate) struct Shown<'d, D> {
    #[serde(flatten)]
    document: &'d D,
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<AsOf>,
}

/// What makes a database readable as recovery leaves it.
pub(crate) struct RecoveredInput {
    /// The header of the file, as it is.
    pub(crate) file_header: DatabaseHeader,
    /// The last page of the file.
    pub(crate) file_last_page: Pgno,
    /// What brought it forward.
    pub(crate) by: RecoveredBy,
}

/// What brought a database forward.
pub(crate) enum RecoveredBy {
    /// These logs, in memory.
    Logs(Box<Recovery>),
    /// An overlay that a recovery left.
    Overlay(PathBuf),
}

/// What a database is looked at through.
#[derive(Debug, clap::Args)]
pub(crate) struct ViewArguments {
    /// Read the database as it will be after recovery with the logs of this folder, or with this log; nothing is written. May
    /// be given several times
    #[arg(long, value_name = "PLACE", conflicts_with = "overlay")]
    with_logs: Vec<PathBuf>,
    /// Base name of the logs, as in E00; needed only if the folder holds several streams
    #[arg(long, value_name = "NAME", requires = "with_logs")]
    base: Option<String>,
    /// With --with-logs: leave out other databases that the logs change
    #[arg(long, requires = "with_logs")]
    ignore_missing: bool,
    /// With --with-logs: read the database as it was at this moment. A generation, as in 42 or 0x2A, or a position, as in
    /// 0000002A:0010:01F4, all of it included, or a time, as in 2024-05-01T12:00:00Z
    #[arg(long, value_name = "MOMENT", requires = "with_logs")]
    as_of: Option<Moment>,
    /// Read the database through an overlay that `edbreplay run --overlay` made
    #[arg(long, value_name = "FILE")]
    overlay: Option<PathBuf>,
    /// What remarks begin with where several databases are looked at.
    #[arg(skip)]
    side: &'static str,
}

/// The logs through which one of several databases is looked at.
pub(crate) struct SideLogs<'l> {
    pub(crate) places: &'l [PathBuf],
    pub(crate) base: Option<&'l str>,
    pub(crate) ignore_missing: bool,
    pub(crate) as_of: Option<Moment>,
}

/// Changed pages up to this many bytes stay in memory; more go to a temporary file.
pub(crate) const MEMORY: usize = 128 << 20;

impl ViewArguments {
    /// A database as it will be after recovery with logs, or as it was at a moment of them; as its file is if there are none.
    pub(crate) fn of_side(side: &'static str, logs: SideLogs<'_>) -> Self {
        ViewArguments {
            with_logs: logs.places.to_vec(),
            base: logs.base.map(str::to_owned),
            ignore_missing: logs.ignore_missing,
            as_of: logs.as_of,
            overlay: None,
            side,
        }
    }

    /// Whether the file is read as it is.
    pub(crate) fn is_plain(&self) -> bool {
        self.with_logs.is_empty() && self.overlay.is_none()
    }

    /// Opens the database at `path`, and says what is wrong with its file.
    pub(crate) fn look_at(&self, path: &Path, output: &Output) -> Result<OpenedDatabase, Failure> {
        let mut opened = self.open(path, output)?;
        opened.cut_off = CutOff::of(&opened.database);
        let mut problems = Vec::new();
        if self.is_plain() {
            problems.extend(half_written(path));
            let headerless = opened.database.is_headerless();
            problems.extend(headerless.then(|| HEADERLESS.to_owned()));
        }
        problems.extend(opened.cut_off.map(|cut_off| cut_off.to_string()));
        for problem in &problems {
            output.remark(&format_args!("{}{problem}", self.side));
            opened.found = Exit::Finding;
        }
        Ok(opened)
    }

    /// Whether it is an overlay, which belongs to one database.
    pub(crate) fn is_of_one(&self) -> bool {
        self.overlay.is_some()
    }

    /// Opens the database at `path`.
    pub(crate) fn open(&self, path: &Path, output: &Output) -> Result<OpenedDatabase, Failure> {
        let journal = self.overlay.as_ref() == Some(&journal_path(path));
        if !self.is_plain()
            && !journal
            && let Some(problem) = half_written(path)
        {
            return Err(Failure::new(Exit::Refused, problem));
        }
        let opened = |database, recovered| OpenedDatabase {
            database,
            found: Exit::Clean,
            cut_off: None,
            recovered,
        };
        if self.is_plain() {
            let database = Database::open(path).map_err(|error| failure(path, &error))?;
            return Ok(opened(database, None));
        }
        let file = DatabaseFile::open(path).map_err(|error| view_failure(path, &error.into()))?;
        let (view, by) = match &self.overlay {
            Some(overlay) => (
                RecoveredView::through_overlay(&file, overlay),
                RecoveredBy::Overlay(overlay.clone()),
            ),
            None => {
                let stream = self.stream(path, &file)?;
                let bar = output.bar(0, "Recovering");
                let options = ViewOptions {
                    memory: MEMORY,
                    ignore_missing: self.ignore_missing,
                    as_of: self.as_of,
                };
                let recovered = RecoveredView::after_recovery(&file, &stream, options, &bar);
                drop(bar);
                let (view, recovery) = recovered.map_err(|error| view_failure(path, &error))?;
                if let Some(as_of) = &recovery.as_of {
                    let (side, path) = (self.side, path.display());
                    output.remark(&format_args!("{side}{path}: as of {as_of}"));
                }
                (Ok(view), RecoveredBy::Logs(Box::new(recovery)))
            }
        };
        let view = view.map_err(|error| view_failure(path, &error))?;
        let recovered = RecoveredInput {
            file_header: file.header.clone(),
            file_last_page: file.last,
            by,
        };
        Ok(opened(Database::new(view), Some(recovered)))
    }
}

impl ViewArguments {
    /// The logs of the database; none, so that what is missing is said, where no log is there.
    fn stream(&self, path: &Path, file: &DatabaseFile) -> Result<StreamFiles, Failure> {
        match own_stream(&self.with_logs, self.base.as_deref(), file) {
            Err(LogError::NoStream { folder, base }) => {
                Ok(StreamFiles::none(&folder, base.as_deref()))
            }
            found => found.map_err(|error| view_failure(path, &RecoveryError::from(error).into())),
        }
    }
}

/// The logs in these places that are the database's own.
pub(crate) fn own_stream(
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
pub(crate) fn half_written(path: &Path) -> Option<String> {
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

/// Reads its catalog.
pub(crate) fn catalog(path: &Path, db: &Database) -> Result<Catalog, Failure> {
    db.catalog().map_err(|error| failure(path, &error))
}

/// Whether the header says that logs may hold more than the file.
pub(crate) fn is_dirty(db: &Database) -> bool {
    let header = db.headers().and_then(|headers| headers.good());
    header.is_some_and(|header| header.fields.state.needs_recovery())
}

/// Said where neither copy of the header can be trusted.
const HEADERLESS: &str = "neither copy of the header can be trusted: whether the database is dirty is not known, and its page size \
                          is a guess; `edbtool header` shows both";

/// Said by every command that shows the content of a dirty database.
pub(crate) const DIRTY: &str = "the database is dirty: this is what its pages hold; logs may hold more or take it back (see `edbreplay`)";

/// Said of every loss of pages.
pub(crate) const UNCOUNTED: &str = "what lost pages hold is not counted";

/// What was lost, one line per page.
struct LossLines<'l>(&'l Losses);

impl Display for LossLines<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for lost in self.0.pages.values() {
            writeln!(f, "lost: {}{}", lost.reason, JetSuffix(lost.jet))?;
        }
        if !self.0.pages.is_empty() {
            writeln!(f, "{UNCOUNTED}")?;
        }
        if self.0.rows > 0 {
            writeln!(f, "lost: {} records that do not decode", self.0.rows)?;
        }
        if self.0.values > 0 {
            writeln!(f, "lost: {} values that do not decode", self.0.values)?;
        }
        Ok(())
    }
}

/// Says what was lost, if anything was.
pub(crate) fn tell_losses(losses: &Losses, output: &Output) {
    if !losses.is_empty() {
        output.remark(&LossLines(losses).to_string().trim_end());
    }
}

/// The exit code that follows from losses.
pub(crate) fn exit_of(losses: &Losses) -> Exit {
    match losses.is_empty() {
        true => Exit::Clean,
        false => Exit::Finding,
    }
}

/// An error of an export as the program reports it.
pub(crate) fn export_failure(path: &Path, error: &ExportError) -> Failure {
    match error {
        ExportError::Database(error) => failure(path, error),
        error => Failure::of(error),
    }
}

/// The same of rows that go to standard output: there is nothing to go on with.
pub(crate) fn stream_failure(path: &Path, error: &ExportError) -> Failure {
    match error {
        ExportError::Stopped => Failure::new(Exit::Interrupted, "stopped before the last row"),
        error => export_failure(path, error),
    }
}

/// An error of reading as the program reports it.
pub(crate) fn failure(path: &Path, error: &DbError) -> Failure {
    match error {
        // They name their file themselves.
        DbError::Evidence(_) | DbError::NotADatabase { .. } => Failure::of(error),
        _ => Failure::of_file(path, error),
    }
}
