//! Whether a copy may be set up as it is configured: what is at its target already, and what its source says.
//!
//! Asked before anything is written. What is refused would harm somebody's files or could never work; what is only a
//! remark is reported, and may be what a person wants.

use crate::bring::BringError;
use crate::config::CopyConfig;
use crate::obstacle::{empty, strangers_reason, unreachable};
use crate::place::{database_header, strangers_here};
use crate::source::LogSource;
use crate::source::view::look;
use crate::state::StateFile;
use ese_format::{DatabaseHeader, Generation, JetError, Signature};

/// What was found out about a copy that may be set up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EnableCheck {
    /// Why nothing can be copied now, if so: the source is not there, or has no log.
    pub source_problem: Option<String>,
    /// Whether the source has the first log of its stream, so that the database can be made from the logs.
    pub begins: bool,
}

/// Looks at source and target of a copy that is to be set up with this state.
pub fn check(
    config: &CopyConfig,
    state: &StateFile,
    source: &dyn LogSource,
) -> Result<EnableCheck, BringError> {
    let seen = look(source, None, None);
    let own = database_header(&config.source.database);
    let source_problem = match &seen {
        Ok(view) if view.is_empty() => {
            Some(empty(&config.source.logs, &config.source.base).message())
        }
        Ok(_) => None,
        Err(error) => Some(unreachable(error).message()),
    };
    let begins = seen.as_ref().is_ok_and(|view| {
        let first = view.listing.oldest().or(view.current_generation());
        first == Some(Generation(1))
    });
    let stream = seen.ok().and_then(|view| view.stream);
    let own_stream = own.as_ref().map(|header| header.log_signature);
    let stream = stream.or(own_stream.filter(|stream| !stream.is_null()));
    target_is_free(config, state, stream)?;
    if let Some(there) = database_header(&config.target.database) {
        belongs(config, &there, own.as_ref(), stream)?;
    }
    Ok(EnableCheck {
        source_problem,
        begins,
    })
}

/// Refuses a log folder with logs of another stream.
fn target_is_free(
    config: &CopyConfig,
    state: &StateFile,
    stream: Option<Signature>,
) -> Result<(), BringError> {
    let mut made = state.read()?.made;
    made.settle_in(&config.target.logs);
    let found = strangers_here(config, &made, stream)?;
    if found.is_empty() {
        return Ok(());
    }
    Err(BringError::Refused {
        reason: strangers_reason(&found),
        advice: "move them away, or give the copy another folder".into(),
        jet: Some(JetError::BAD_LOG_SIGNATURE),
    })
}

/// Refuses a database at the target that logs of the source cannot bring forward.
fn belongs(
    config: &CopyConfig,
    there: &DatabaseHeader,
    own: Option<&DatabaseHeader>,
    stream: Option<Signature>,
) -> Result<(), BringError> {
    let path = config.target.database.display();
    let refused = |reason: String, jet: JetError| {
        Err(BringError::Refused {
            reason,
            advice: "move it away: it may exist only there".into(),
            jet: Some(jet),
        })
    };
    if own.is_some_and(|own| own.signature != there.signature) {
        let reason =
            format!("{path} is there already, and is another database than that of the source");
        return refused(reason, JetError::ATTACHED_DATABASE_MISMATCH);
    }
    let foreign = |stream: Signature| stream != there.log_signature;
    if stream.is_some_and(foreign) {
        let reason = format!(
            "{path} is there already, and was used with another log stream than that of the source"
        );
        return refused(reason, JetError::BAD_LOG_SIGNATURE);
    }
    Ok(())
}
