//! Opening a database for the commands that look inside, and what they all say about losses.

use answers::view::View;
pub(crate) use answers::view::{
    DIRTY, MEMORY, OpenedDatabase, RecoveredBy, RecoveredInput, failure, is_dirty, own_stream,
};
use console::{Bar, Exit, Failure, Output};
use ese_db::{Catalog, Database, Losses};
use ese_export::ExportError;
use ese_format::JetSuffix;
use ese_log::Moment;
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

    /// The same without a command line.
    fn view(&self) -> View {
        View {
            logs: self.with_logs.clone(),
            base: self.base.clone(),
            ignore_missing: self.ignore_missing,
            as_of: self.as_of,
            overlay: self.overlay.clone(),
        }
    }

    /// Opens the database at `path`, and says what is wrong with its file.
    pub(crate) fn look_at(&self, path: &Path, output: &Output) -> Result<OpenedDatabase, Failure> {
        let bar = self.bar(output);
        let opened = self.view().look_at(path, &bar);
        drop(bar);
        Ok(self.remark(opened?, output))
    }

    /// Whether it is an overlay, which belongs to one database.
    pub(crate) fn is_of_one(&self) -> bool {
        self.overlay.is_some()
    }

    /// Opens the database at `path`.
    pub(crate) fn open(&self, path: &Path, output: &Output) -> Result<OpenedDatabase, Failure> {
        let bar = self.bar(output);
        let opened = self.view().open(path, &bar);
        drop(bar);
        Ok(self.remark(opened?, output))
    }

    /// Progress of what takes time.
    fn bar(&self, output: &Output) -> Bar {
        match self.with_logs.is_empty() {
            true => Bar::hidden(),
            false => output.bar(0, "Recovering"),
        }
    }

    fn remark(&self, opened: OpenedDatabase, output: &Output) -> OpenedDatabase {
        for remark in &opened.remarks {
            output.remark(&format_args!("{}{remark}", self.side));
        }
        opened
    }
}

/// Reads its catalog.
pub(crate) fn catalog(path: &Path, db: &Database) -> Result<Catalog, Failure> {
    db.catalog().map_err(|error| failure(path, &error))
}

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
