//! Which copies a command line means, and errors in the words of the program.

use console::{Exit, Failure};
use jiff::Timestamp;
use standby::StandbyError;
use standby::config::{Configuration, CopyConfig};
use standby::service;
use standby::source::{self, LogSource};
use standby::state::StateFile;
use standby::status::CopyStatus;
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
        error => Failure::of(&error),
    })
}

/// Reads the configuration, and finds the copy that a command is about.
pub(crate) fn load_copy(path: &Path, name: &str) -> Result<(Configuration, CopyConfig), Failure> {
    let configuration = load(path)?;
    let copy = configuration
        .copy(name)
        .map_err(|error| Failure::of(&error))?;
    let copy = copy.clone();
    Ok((configuration, copy))
}

/// The state of a copy.
pub(crate) fn state_of(configuration: &Configuration, copy: &CopyConfig) -> StateFile {
    configuration.state_of(copy)
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
    let statuses =
        chosen.and_then(|copies| service::statuses(configuration, copies, Timestamp::now()));
    statuses.map_err(|error| Failure::of(&error))
}
