//! What a look at a source shows: which of its logs are closed, and whether its current log goes on from them.
//!
//! ```text
//! E0000000001.log ... E0000000009.log  E000000000A.log | E00.log
//! closed: it has a number                       newest | of the generation after the newest, in the same stream
//! ```
//!
//! An engine closes a log, gives it its number, and then gives the log that it has prepared the name of the current one
//! (`ErrLGNewLogFile`, `ese/_log/logstream.cxx`). So a log with a number is complete, whatever lies beside it; and a
//! listing that was made between the two renames shows no current log, or one that is two ahead: it is made again.

use super::LogSource;
use crate::inspect::{LogLink, continues};
use crate::listing::Listing;
use ese_format::log::LogHeader;
use ese_format::{Generation, Signature};
use ese_log::LogError;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

/// How often a listing that looks odd is made again before it is trusted, and the wait between.
const LOOKS_AGAIN: u32 = 3;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
/// Logs of other streams that are passed over to find the newest one of this stream.
const MOST_STRANGERS: usize = 64;

/// A source as it was seen.
#[derive(Debug, Clone)]
pub(crate) struct SourceView {
    pub(crate) listing: Listing,
    /// The stream that it is about.
    pub(crate) stream: Option<Signature>,
    /// The newest generation that the source has closed, whether its log is there or not.
    pub(crate) newest_closed: Option<Generation>,
    /// The current log.
    pub(crate) current: CurrentLog,
    /// Logs with numbers, the newest first, that belong to other streams.
    pub(crate) strangers: Vec<PathBuf>,
    /// Whether the source closed logs while it was looked at: then it is no wonder that no look met it at rest.
    pub(crate) moves: bool,
}

/// What the current log of a source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CurrentLog {
    /// It is the one that goes on.
    Goes(Generation),
    /// There is none.
    Missing,
    /// Its header cannot be trusted.
    Unreadable(PathBuf),
    /// It is of a generation that has a number already: a copy of a closed log.
    Repeats(PathBuf, Generation),
    /// It belongs to another stream.
    Foreign(PathBuf),
    /// It does not continue the newest closed log.
    Continues(PathBuf, Generation),
}

/// Looks at a source. The stream is that of the copy, if that is known.
pub(crate) fn look(
    source: &dyn LogSource,
    stream: Option<Signature>,
    seen_before: Option<&CurrentLog>,
) -> Result<SourceView, LogError> {
    let mut view = look_once(source, stream)?;
    let first = view.newest_closed;
    for _ in 0..LOOKS_AGAIN {
        if !view.is_odd() || seen_before == Some(&view.current) {
            break;
        }
        sleep(BETWEEN_LOOKS);
        view = look_once(source, stream)?;
    }
    view.moves = view.newest_closed > first;
    Ok(view)
}

fn look_once(source: &dyn LogSource, stream: Option<Signature>) -> Result<SourceView, LogError> {
    let listing = source.list()?;
    let stream = stream.or_else(|| stream_of(source, &listing));
    let mut strangers = Vec::new();
    let mut newest = None;
    for (&generation, path) in listing.named.iter().rev().take(MOST_STRANGERS) {
        let header = source.header(path);
        let signature = header.as_ref().map(|header| header.signature);
        if signature.is_some() && stream.is_some() && signature != stream {
            strangers.push(path.clone());
            continue;
        }
        newest = Some((generation, header));
        break;
    }
    let current = current_of(&listing, stream, newest.as_ref());
    let highest = newest.map(|(generation, _)| generation);
    let before_current = match &current {
        CurrentLog::Goes(generation) => Some(generation.previous()),
        _ => None,
    };
    Ok(SourceView {
        newest_closed: highest.max(before_current.filter(|before| before.0 > 0)),
        listing,
        stream,
        current,
        strangers,
        moves: false,
    })
}

/// The stream that most of the current log, the newest and the oldest belong to; in doubt that of the oldest.
pub(crate) fn stream_of(source: &dyn LogSource, listing: &Listing) -> Option<Signature> {
    let named = || listing.named.values();
    let signature = |path: Option<&PathBuf>| Some(source.header(path?)?.signature);
    let oldest = signature(named().next());
    let newest = signature(named().next_back());
    let current = listing.current.as_ref().map(|(_, header)| header.signature);
    match (oldest, newest, current) {
        (_, Some(newest), Some(current)) if newest == current => Some(newest),
        (oldest, newest, current) => oldest.or(newest).or(current),
    }
}

fn current_of(
    listing: &Listing,
    stream: Option<Signature>,
    newest: Option<&(Generation, Option<LogHeader>)>,
) -> CurrentLog {
    let Some((path, header)) = &listing.current else {
        return match &listing.current_file {
            Some(path) => CurrentLog::Unreadable(path.clone()),
            None => CurrentLog::Missing,
        };
    };
    let generation = header.generation;
    if stream.is_some_and(|stream| stream != header.signature) {
        return CurrentLog::Foreign(path.clone());
    }
    let Some((highest, before)) = newest else {
        return CurrentLog::Goes(generation);
    };
    if generation <= *highest {
        return CurrentLog::Repeats(path.clone(), generation);
    }
    let follows = generation.0 == highest.0.saturating_add(1);
    match before {
        Some(before) if follows && header.previous_created != before.created => {
            CurrentLog::Continues(path.clone(), generation)
        }
        _ => CurrentLog::Goes(generation),
    }
}

impl SourceView {
    /// Whether it may be of the moment between two renames.
    fn is_odd(&self) -> bool {
        let CurrentLog::Goes(generation) = self.current else {
            return true;
        };
        let highest = self.listing.named.keys().next_back();
        highest.is_some_and(|highest| generation > highest.next())
    }

    /// The generations of the closed logs that are there, those of other streams left out.
    pub(crate) fn closed(&self) -> Vec<Generation> {
        let named = self.listing.named.iter();
        let own = named.filter(|(_, path)| !self.strangers.contains(path));
        own.map(|(generation, _)| *generation).collect()
    }

    /// Whether there is no log at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.listing.named.is_empty() && self.listing.current_file.is_none()
    }

    /// The generation that the current log of the source has or should have.
    pub(crate) fn current_generation(&self) -> Option<Generation> {
        match self.current {
            CurrentLog::Goes(generation) => Some(generation),
            _ => Some(self.newest_closed?.next()),
        }
    }
}

/// Whether the source looks as if it had diverged from the log of `link`: it has nothing beyond that, or what it
/// has does not continue it.
pub(crate) fn is_suspicious(listing: &Listing, link: &LogLink) -> bool {
    let current = listing.current.as_ref().map(|(_, header)| header);
    let named = listing.named.keys().next_back().copied();
    let Some(highest) = named.max(current.map(|header| header.generation)) else {
        return false;
    };
    let next = link.generation.next();
    let broken = current
        .filter(|header| header.generation == next)
        .is_some_and(|header| continues(header, Some(link)).is_err());
    highest <= link.generation || broken
}
