//! Errors of the library as this program reports them.

use console::{Exit, Failure};
use edb_copy::{CopyError, ReadErrorKind};
use ese_scan::Finding;
use std::fmt::{self, Display, Formatter};

/// A damaged page with the engine's number, where it has one.
pub(crate) struct WithJet<'f>(pub(crate) &'f Finding);

impl Display for WithJet<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        match self.0.jet() {
            Some(jet) => write!(f, " [JET {jet}]"),
            None => Ok(()),
        }
    }
}

/// The failure with its exit code and what to do about it.
pub(crate) fn failure(error: &CopyError) -> Failure {
    let failure = Failure::new(exit(error), error.to_string());
    let failure = match advice(error) {
        Some(advice) => failure.advise(advice),
        None => failure,
    };
    match error.jet() {
        Some(jet) => failure.jet(jet),
        None => failure,
    }
}

fn exit(error: &CopyError) -> Exit {
    match error {
        CopyError::Read { .. } | CopyError::Source { .. } | CopyError::Target { .. } => Exit::Io,
        CopyError::BadPages { .. } => Exit::Finding,
        CopyError::ChunkSize { .. } => Exit::Usage,
        CopyError::SourceChanged { .. }
        | CopyError::Dirty { .. }
        | CopyError::Locked { .. }
        | CopyError::BadJournal { .. }
        | CopyError::TargetExists { .. }
        | CopyError::PartialGone { .. }
        | CopyError::SameFile { .. } => Exit::Refused,
    }
}

fn advice(error: &CopyError) -> Option<&'static str> {
    Some(match error {
        CopyError::Read { .. } => {
            "what has arrived is kept: run the same command again to go on, or use another copy of the source"
        }
        CopyError::Source { error, .. } => match error.kind {
            ReadErrorKind::InUse => "dismount the database, or stop the service that uses it",
            ReadErrorKind::Vanished => {
                "check the path or address; run the same command again when it is back"
            }
            ReadErrorKind::Passing => {
                "run the same command again; --retries says how often that is done by itself"
            }
            ReadErrorKind::Permanent | ReadErrorKind::Changed => {
                "check the path or address, and that you may read it"
            }
        },
        CopyError::Target { error, .. } => match error.kind() {
            std::io::ErrorKind::StorageFull => {
                "make room, and run the same command again; it goes on where it stopped"
            }
            std::io::ErrorKind::NotFound => "make the folder first, or name another target",
            _ => "run the same command again when that is mended; it goes on where it stopped",
        },
        CopyError::SourceChanged { .. } => {
            "dismount the database; then --restart copies all of it, --delta brings a finished older copy up to date"
        }
        CopyError::Dirty { .. } => {
            "dismount it, or recover it first; --allow-dirty copies it as it is, and it needs its logs at the target too"
        }
        CopyError::BadPages { .. } => {
            "use another copy while there is one; --bad-pages keep copies them as they are and lists them"
        }
        CopyError::Locked { .. } => "wait for the other copy to end, or end it",
        CopyError::BadJournal { .. } => {
            "--restart removes the partial copy and the journal, and begins anew"
        }
        CopyError::TargetExists { .. } => {
            "--delta brings an older copy up to date, --force replaces it, --restart removes a partial one"
        }
        CopyError::PartialGone { .. } => "--restart begins anew",
        CopyError::SameFile { .. } => "name another target",
        CopyError::ChunkSize { .. } => return None,
    })
}
