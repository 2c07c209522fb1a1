//! Whether a copy could be activated with what is here: asked of its files, whether a service runs or not.

use crate::config::CopyConfig;
use crate::obstacle::{Obstacle, empty, unreachable};
use crate::place::{database_header, listing_of};
use crate::source::LogSource;
use crate::source::view::{View, look};
use crate::state::{Jet, State, TroubleKind};
use ese_format::{Generation, JetError};
use serde::Serialize;

/// Why a copy could not be activated now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Why not.
    pub reason: String,
    /// The error that an activation would end with.
    pub jet: Option<Jet>,
    /// The log that it is about.
    pub generation: Option<Generation>,
    /// Whether shipping brings what is missing.
    pub passes: bool,
}

impl Problem {
    fn new(reason: String, jet: JetError) -> Self {
        Problem {
            reason,
            jet: Some(jet.into()),
            generation: None,
            passes: false,
        }
    }
}

/// What keeps the copy from being activated; none before the service has looked after it for the first time, and for one
/// that is being seeded or was activated.
pub(crate) fn problem(config: &CopyConfig, state: &State) -> Option<Problem> {
    match state.is_out_of_service() || state.served.is_none() {
        true => None,
        false => missing(config, state),
    }
}

/// What is missing for an activation of the copy, as its files tell.
pub fn missing(config: &CopyConfig, state: &State) -> Option<Problem> {
    let path = &config.target.database;
    if path.symlink_metadata().is_err() {
        return without_database(config, state);
    }
    let Some(header) = database_header(path) else {
        let reason = format!("{}: both copies of its header are damaged", path.display());
        return Some(Problem::new(reason, JetError::READ_VERIFY_FAILURE));
    };
    if !header.state.needs_recovery() {
        return None;
    }
    let here = listing_of(config).unwrap_or_default();
    let (first, last) = (header.min_required, header.max_required);
    let mut needed = (first.0..=last.0).map(Generation);
    let missing = needed.find(|generation| !here.named.contains_key(generation))?;
    let open = here.current.as_ref().map(|(_, header)| header.generation);
    if open == Some(missing) && missing == last {
        return None;
    }
    let closed = state.generated.map(|generated| generated.generation);
    let passes = closed >= Some(missing) && state.trouble.is_none();
    let reason = if missing == last && closed.is_none_or(|closed| closed < missing) {
        format!(
            "the copy cannot be activated without generation {missing} ({missing:#x}), which is still the current log of the source"
        )
    } else {
        format!(
            "the database needs generations {first}-{last} ({first:#x}-{last:#x}), and {missing} ({missing:#x}) is not here{}",
            if passes { " yet" } else { "" }
        )
    };
    Some(Problem {
        generation: Some(missing),
        passes,
        ..Problem::new(reason, JetError::REQUIRED_LOG_FILES_MISSING)
    })
}

/// Why not all of the source's logs could be had now, if so.
pub fn source_problem(config: &CopyConfig, source: &dyn LogSource) -> Option<String> {
    let view = match look(source, None, None) {
        Ok(view) if view.is_empty() => {
            return Some(empty(&config.source.logs, &config.source.base).message());
        }
        Ok(view) => view,
        Err(error) => return Some(unreachable(&error).message()),
    };
    let current = view.without_current().filter(|_| !config.source.closed_logs_only);
    let obstacle = view.stranger().or(current).or_else(|| required_beyond(config, &view));
    obstacle.map(|obstacle| obstacle.message())
}

/// The database at the source needs a log that comes after its current one: that one was renamed, or is gone.
pub(crate) fn required_beyond(config: &CopyConfig, view: &View) -> Option<Obstacle> {
    let header = database_header(&config.source.database)?;
    let current = view.current_generation()?;
    let of_stream = view.stream.is_none_or(|stream| stream == header.log_signature);
    let needed = match header.state.needs_recovery() {
        true => header.max_required.max(header.max_committed),
        false => header.last_consistent.generation,
    };
    (of_stream && needed > current).then(|| Obstacle {
        kind: TroubleKind::CurrentMissing,
        reason: format!(
            "the current log of the source is generation {current} ({current:#x}), but its database needs {needed} ({needed:#x}): \
             that log is missing"
        ),
        jet: Some(JetError::MISSING_LOG_FILE),
        generation: Some(needed),
    })
}

fn without_database(config: &CopyConfig, state: &State) -> Option<Problem> {
    let path = config.target.database.display();
    let reason = if state.made.has_written_database(&config.target.database) {
        format!("the database of the copy is gone: {path}; `scr update` seeds it anew")
    } else if state.oldest == Some(Generation(1)) {
        // It is made from its logs, whenever it is needed.
        return None;
    } else {
        format!("the copy has no database: {path} is not there; `scr update` seeds it")
    };
    Some(Problem::new(reason, JetError::FILE_NOT_FOUND))
}
