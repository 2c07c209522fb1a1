//! Which copies a command line means, and errors in the words of the program.

use console::{Exit, Failure};
use edb_copy::CopyError;
use jiff::Timestamp;
use standby::config::{Configuration, CopyConfig};
use standby::source::{self, LogSource};
use standby::state::StateFile;
use standby::status::{CopyStatus, status};
use standby::{BringError, StandbyError};
use std::io::ErrorKind;
use std::path::Path;

/// Reads the configuration.
pub(crate) fn load(path: &Path) -> Result<Configuration, Failure> {
    Configuration::load(path).map_err(|error| match error {
        StandbyError::Io { source, .. } if source.kind() == ErrorKind::NotFound => Failure::new(
            Exit::Io,
            format!("{}: there is no configuration", path.display()),
        )
        .advise("`scr enable` writes one; --config names another"),
        error => failure(&error),
    })
}

/// Reads the configuration, and finds the copy that a command is about.
pub(crate) fn load_copy(path: &Path, name: &str) -> Result<(Configuration, CopyConfig), Failure> {
    let configuration = load(path)?;
    let copy = configuration.copy(name).map_err(|error| failure(&error))?;
    let copy = copy.clone();
    Ok((configuration, copy))
}

/// The state of a copy.
pub(crate) fn state_of(configuration: &Configuration, copy: &CopyConfig) -> StateFile {
    StateFile::new(&configuration.state, copy.file_name())
}

/// The logs that a copy is made of.
pub(crate) fn logs_of(configuration: &Configuration, copy: &CopyConfig) -> Box<dyn LogSource> {
    source::logs_of(&copy.source, &configuration.service.remote, variable)
}

/// Where credentials of stores are looked up.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// How the copies with these names stand; all of them, if no name is given.
pub(crate) fn statuses(
    configuration: &Configuration,
    names: &[String],
) -> Result<Vec<CopyStatus>, Failure> {
    let chosen: Result<Vec<&CopyConfig>, StandbyError> = match names {
        [] => Ok(configuration.copies.iter().collect()),
        names => names.iter().map(|name| configuration.copy(name)).collect(),
    };
    let one = |copy: &CopyConfig| {
        let state = state_of(configuration, copy).read()?;
        Ok(status(
            copy,
            state,
            &configuration.service,
            Timestamp::now(),
        ))
    };
    let statuses = chosen.and_then(|copies| copies.into_iter().map(one).collect());
    statuses.map_err(|error| failure(&error))
}

/// A database that was not brought to its place, as the program reports it.
pub(crate) fn not_brought(error: &BringError) -> Failure {
    let message = error.to_string();
    match error {
        BringError::Standby(error) => failure(error),
        BringError::Copy(error) => not_copied(error),
        BringError::Refused { advice, jet, .. } => {
            let failure = Failure::new(Exit::Refused, message).advise(advice);
            match jet {
                Some(jet) => failure.jet(*jet),
                None => failure,
            }
        }
        BringError::NotProved { .. } => Failure::new(Exit::Finding, message).advise(
            "the disk or what is between loses data: do not mount it; the old logs are still there",
        ),
        BringError::Interrupted => {
            Failure::new(Exit::Interrupted, message).advise("the same command goes on")
        }
    }
}

/// A database that could not be copied.
fn not_copied(error: &CopyError) -> Failure {
    let (exit, advice) = match error {
        CopyError::Read { .. } | CopyError::Source { .. } | CopyError::Target { .. } => (
            Exit::Io,
            "what has arrived is kept: the same command goes on when that is mended",
        ),
        CopyError::BadPages { .. } => (
            Exit::Finding,
            "take another copy of the database while there is one",
        ),
        CopyError::SourceChanged { .. } => (
            Exit::Refused,
            "somebody writes to it: dismount it, and run the same command again",
        ),
        _ => (Exit::Refused, "`edbcopy status` tells what lies there"),
    };
    let failure = Failure::new(exit, error.to_string()).advise(advice);
    match error.jet() {
        Some(jet) => failure.jet(jet),
        None => failure,
    }
}

/// An error of the library, as the program reports it.
pub(crate) fn failure(error: &StandbyError) -> Failure {
    let message = error.to_string();
    match error {
        StandbyError::Io { path, source } => Failure::io(path, source),
        StandbyError::Configuration { .. } | StandbyError::Copy { .. } => {
            Failure::new(Exit::Usage, message).advise("docs/scr.md describes the configuration")
        }
        StandbyError::NoCopy { .. } => {
            Failure::new(Exit::Usage, message).advise("`scr status` lists the copies; `scr enable` adds one")
        }
        StandbyError::Exists { .. } => {
            Failure::new(Exit::Refused, message).advise("choose another name, or disable that copy first")
        }
        StandbyError::State { .. } => Failure::new(Exit::Refused, message)
            .advise("a later version may have written it; move it away to begin anew, logs and database stay"),
        StandbyError::Served { .. } => {
            Failure::new(Exit::Refused, message).advise("stop `scr run` first; two cannot work on one copy")
        }
        StandbyError::NotNow { .. } => Failure::new(Exit::Refused, message),
    }
}
