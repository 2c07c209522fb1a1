//! What is in the way of a copy, and what happens to it: a trouble that is tried again, or that a person must end.

use crate::config::{CopyConfig, Service};
use crate::inspect::Rejection;
use crate::source::FetchError;
use crate::source::view::{CurrentLog, SourceView};
use crate::trouble::{Trouble, TroubleKind};
use ese_format::{Explain, Generation, JetError, JetSuffix, Signature};
use ese_log::LogError;
use evidence::EvidenceError;
use jiff::Timestamp;
use std::io;
use std::path::{Path, PathBuf};

/// Why the next step was not done.
#[derive(Debug)]
pub(crate) struct Obstacle {
    pub(crate) kind: TroubleKind,
    pub(crate) reason: String,
    pub(crate) jet: Option<JetError>,
    pub(crate) generation: Option<Generation>,
}

impl Obstacle {
    /// The reason with the engine's error, unless it names that already.
    pub(crate) fn message(&self) -> String {
        let named = |jet: &JetError| self.reason.contains(&jet.to_string());
        let jet = self.jet.filter(|jet| !named(jet));
        format!("{}{}", self.reason, JetSuffix(jet))
    }

    /// The trouble it makes, after what was there before.
    pub(crate) fn trouble(
        &self,
        before: Option<&Trouble>,
        service: &Service,
        now: Timestamp,
    ) -> Trouble {
        let same =
            |trouble: &&Trouble| trouble.kind == self.kind && trouble.generation == self.generation;
        let before = before.filter(same);
        let attempts = before.map_or(0, |before| before.attempts).saturating_add(1);
        let again = self
            .kind
            .patience()
            .is_none_or(|patience| attempts < patience);
        let next = now
            .saturating_add(service.retry.duration())
            .unwrap_or(Timestamp::MAX);
        Trouble {
            kind: self.kind,
            reason: self.message(),
            jet: self.jet.map(Into::into),
            generation: self.generation,
            since: before.map_or(now, |before| before.since),
            attempts,
            next_try: again.then_some(next),
        }
    }
}

/// Whether trouble lets the copy be worked on now.
pub(crate) fn is_due(trouble: Option<&Trouble>, service: &Service, now: Timestamp) -> bool {
    let Some(trouble) = trouble else { return true };
    let Some(next) = trouble.next_try else {
        return false;
    };
    // A clock that went back must not make the wait longer than it ever is.
    next <= now || next.duration_since(now) > service.retry.duration()
}

pub(crate) fn unreachable(error: &LogError) -> Obstacle {
    Obstacle {
        kind: TroubleKind::SourceUnreachable,
        reason: format!("the source cannot be listed: {error}"),
        jet: error.jet(),
        generation: None,
    }
}

/// The folder of the source is there, and has no log of the stream.
pub(crate) fn empty(folder: &Path, base: &str) -> Obstacle {
    Obstacle {
        kind: TroubleKind::SourceUnreachable,
        reason: format!(
            "{} has no log of the stream {base}: perhaps its volume is not mounted",
            folder.display()
        ),
        jet: Some(JetError::FILE_NOT_FOUND),
        generation: None,
    }
}

/// No log of the source belongs to the stream of the copy's database.
pub(crate) fn another_stream(config: &CopyConfig, stream: Signature) -> Obstacle {
    Obstacle {
        kind: TroubleKind::Foreign,
        reason: format!(
            "the logs in {} belong to another stream than the copy, which has the signature {stream}",
            config.source.logs.display()
        ),
        jet: Some(JetError::BAD_LOG_SIGNATURE),
        generation: None,
    }
}

/// Logs of another stream lie in the log folder of the copy.
pub(crate) fn strangers(found: &[PathBuf]) -> Obstacle {
    Obstacle {
        kind: TroubleKind::Foreign,
        reason: strangers_reason(found),
        jet: Some(JetError::BAD_LOG_SIGNATURE),
        generation: None,
    }
}

/// The same in words.
pub(crate) fn strangers_reason(found: &[PathBuf]) -> String {
    let first = found.first().map(|path| path.display().to_string());
    let first = first.unwrap_or_default();
    let more = match found.len() {
        0 | 1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    format!(
        "{first}{more}: logs of another stream lie in the log folder of the copy, which did not make them: they may exist \
         only there"
    )
}

/// A file that the copy did not make has the name of the next log.
pub(crate) fn occupied(path: &Path, generation: Generation, rejection: &Rejection) -> Obstacle {
    Obstacle {
        kind: TroubleKind::Occupied,
        reason: format!(
            "{} has the name of the next log, was not made by this copy and is not that log ({rejection}): move it away",
            path.display()
        ),
        jet: None,
        generation: Some(generation),
    }
}

pub(crate) fn gap(generation: Generation, view: &SourceView) -> Obstacle {
    let naming = view.listing.naming.as_ref();
    let name = naming.map(|naming| naming.generation(generation));
    let newest = view.newest_closed.unwrap_or_default();
    let newest = newest.max(view.current_generation().unwrap_or_default());
    Obstacle {
        kind: TroubleKind::Gap,
        reason: format!(
            "generation {generation} ({generation:#x}, {}) is missing at the source, which has logs up to {newest} ({newest:#x})",
            name.unwrap_or_default()
        ),
        jet: Some(JetError::MISSING_LOG_FILE),
        generation: Some(generation),
    }
}

pub(crate) fn rejected(path: &Path, generation: Generation, rejection: &Rejection) -> Obstacle {
    let reason = match rejection {
        Rejection::Unreadable(error) => format!("fetched from {}: {error}", path.display()),
        _ => format!("{}: {rejection}", path.display()),
    };
    Obstacle {
        kind: rejection.kind(),
        reason,
        jet: Some(rejection.jet()),
        generation: Some(generation),
    }
}

pub(crate) fn target_write(path: &Path, generation: Generation, error: &io::Error) -> Obstacle {
    Obstacle {
        kind: TroubleKind::TargetWrite,
        reason: format!("{}: {error}", path.display()),
        jet: None,
        generation: Some(generation),
    }
}

pub(crate) fn not_fetched(
    path: &Path,
    raw: &Path,
    generation: Generation,
    error: FetchError,
) -> Obstacle {
    let kind = match &error {
        FetchError::Target { source } => return target_write(raw, generation, source),
        FetchError::TooLarge { .. }
        | FetchError::Source(EvidenceError::Shrank { .. } | EvidenceError::NotAFile { .. }) => {
            TroubleKind::Damaged
        }
        FetchError::Source(EvidenceError::Io { source, .. }) => match source.kind() {
            // It was listed a moment ago.
            io::ErrorKind::NotFound => TroubleKind::Gap,
            _ if is_locked(source) => TroubleKind::Locked,
            _ => TroubleKind::SourceUnreachable,
        },
    };
    let jet = match kind {
        TroubleKind::Gap => JetError::FILE_NOT_FOUND,
        TroubleKind::Locked => JetError::FILE_ACCESS_DENIED,
        TroubleKind::Damaged => JetError::LOG_FILE_CORRUPT,
        _ => JetError::DISK_IO,
    };
    Obstacle {
        kind,
        reason: format!("{} cannot be fetched: {error}", path.display()),
        jet: Some(jet),
        generation: Some(generation),
    }
}

/// Whether another program has the file for itself, as programs do that look for viruses.
pub(crate) fn is_locked(error: &io::Error) -> bool {
    /// `ERROR_SHARING_VIOLATION` and `ERROR_LOCK_VIOLATION`.
    const SHARING: [i32; 2] = [32, 33];
    let kinds = [
        io::ErrorKind::PermissionDenied,
        io::ErrorKind::WouldBlock,
        io::ErrorKind::ResourceBusy,
    ];
    kinds.contains(&error.kind())
        || (cfg!(windows)
            && error
                .raw_os_error()
                .is_some_and(|code| SHARING.contains(&code)))
}

impl SourceView {
    /// What is wrong with the current log, so that the last work of the source cannot be obtained.
    pub(crate) fn without_current(&self) -> Option<Obstacle> {
        let generation = self.current_generation();
        let number =
            generation.map_or_else(String::new, |at| format!(" (generation {at}, {at:#x})"));
        let name = |path: &Path| path.file_name().unwrap_or_default().display().to_string();
        let missing = JetError::MISSING_LOG_FILE;
        let (why, jet) = match &self.current {
            CurrentLog::Goes(_) => return None,
            CurrentLog::Missing => {
                let naming = self.listing.naming.as_ref();
                let current = naming.map_or_else(String::new, ese_log::Naming::current);
                (format!("there is no {current}"), missing)
            }
            CurrentLog::Repeats(path, closed) => {
                let numbered = self.listing.named.get(closed);
                let numbered = numbered.map_or_else(|| "another".to_owned(), |path| name(path));
                let why = format!(
                    "{} is a copy of {numbered}, generation {closed} ({closed:#x})",
                    name(path)
                );
                (why, missing)
            }
            CurrentLog::Foreign(path) => {
                let why = format!("{} belongs to another log stream", name(path));
                (why, JetError::BAD_LOG_SIGNATURE)
            }
            CurrentLog::Continues(path, _) => {
                let why = format!("{} does not continue the log before it", name(path));
                (why, JetError::INVALID_LOG_SEQUENCE)
            }
            CurrentLog::Unreadable(path) => {
                let why = format!("the header of {} is damaged or cannot be read", name(path));
                (why, JetError::LOG_FILE_CORRUPT)
            }
        };
        Some(Obstacle {
            kind: TroubleKind::CurrentMissing,
            reason: format!("the current log of the source{number} is missing: {why}"),
            jet: Some(jet),
            generation,
        })
    }

    /// Logs of other streams that lie among those of the source.
    pub(crate) fn stranger(&self) -> Option<Obstacle> {
        let first = self.strangers.last()?;
        let more = self.strangers.len() - 1;
        let and = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        Some(Obstacle {
            kind: TroubleKind::Foreign,
            reason: format!(
                "{}{and}: the log belongs to another stream than the source's",
                first.display()
            ),
            jet: Some(JetError::BAD_LOG_SIGNATURE),
            generation: None,
        })
    }
}
