//! Opening a database for the commands that look inside, and what they all say about losses.

use crate::files::unreadable;
use console::{Exit, Failure};
use ese_db::{Catalog, Database, DbError, Losses};
use serde::Serialize;
use std::fmt::{self, Display, Formatter};
use std::path::Path;

/// Opens the database at `path`.
pub(crate) fn open(path: &Path) -> Result<Database, Failure> {
    Database::open(path).map_err(|error| failure(path, &error))
}

/// Reads its catalog.
pub(crate) fn catalog(path: &Path, db: &Database) -> Result<Catalog, Failure> {
    db.catalog().map_err(|error| {
        failure(path, &error).advise(
            "check the pages with `edbtool verify`; a temporary database of the engine has no catalog",
        )
    })
}

/// An error of reading as the program reports it.
pub(crate) fn failure(path: &Path, error: &DbError) -> Failure {
    let failure = match error {
        DbError::Evidence(error) => return unreadable(error),
        DbError::NotADatabase { .. } => Failure::new(Exit::NotEse, error.to_string())
            .jet(ese_format::JetError::FILE_INVALID_TYPE),
        _ => Failure::new(Exit::Finding, format!("{}: {error}", path.display())),
    };
    match error.jet() {
        Some(jet) => failure.jet(jet),
        None => failure,
    }
}

/// Whether the header says that logs may hold more than the file.
pub(crate) fn is_dirty(db: &Database) -> bool {
    let header = db.headers().and_then(|headers| headers.good());
    header.is_some_and(|header| header.fields.state.needs_recovery())
}

/// Said by every command that shows the content of a dirty database.
pub(crate) const DIRTY: &str = "the database is dirty: this is what its pages hold; logs may hold more or take it back (see `edbreplay`)";

/// What was lost, one line per page.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Lost<'l>(pub &'l Losses);

impl Display for Lost<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for lost in self.0.pages.values() {
            write!(f, "lost: {}", lost.reason)?;
            match lost.jet {
                Some(jet) => writeln!(f, " [JET {jet}]")?,
                None => writeln!(f)?,
            }
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

/// The exit code that follows from losses.
pub(crate) fn exit_of(losses: &Losses) -> Exit {
    match losses.is_empty() {
        true => Exit::Clean,
        false => Exit::Finding,
    }
}
