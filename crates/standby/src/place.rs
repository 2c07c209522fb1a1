//! Where the chain in the log folder of a copy ends, and what is there.

use crate::config::CopyConfig;
use crate::error::StandbyError;
use crate::inspect::{ExpectedLog, LogLink, inspect};
use crate::listing::{Listing, header_of, list};
use crate::obstacle::{Obstacle, another_stream, empty};
use crate::own_files::OwnFiles;
use crate::source::LogSource;
use crate::source::view::SourceView;
use ese_format::database::{DatabaseHeader, HEADERS_MAX, HeaderCopies};
use ese_format::{Generation, Signature};
use ese_log::LogError;
use ese_log::chain::Opening;
use evidence::EvidenceFile;
use std::io;
use std::path::{Path, PathBuf};
use tracing::warn;

/// Where the chain in the log folder ends.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    /// The generation that comes next; none until the first log is known.
    pub(crate) next: Option<Generation>,
    /// The log before it.
    pub(crate) link: Option<LogLink>,
    /// The signature of the stream, if the database of the copy names it, or the logs that the copy has written.
    pub(crate) signature: Option<Signature>,
}

impl Place {
    /// Goes along the names in the log folder, from what the database needs on, up to the first that is missing, and
    /// back to the last log that passes inspection.
    pub(crate) fn find(
        config: &CopyConfig,
        made: &OwnFiles,
        here: &Listing,
    ) -> Result<Place, StandbyError> {
        let header = database_header(&config.target.database);
        let signature = header.as_ref().map(|header| header.log_signature);
        let signature = signature.filter(|signature| !signature.is_null());
        let signature = signature.or_else(|| made.newest_own(here).map(|header| header.signature));
        let Some(mut next) = chain_end(header.as_ref(), here) else {
            return Ok(Place {
                next: None,
                link: None,
                signature,
            });
        };
        loop {
            let last = next.previous();
            let Some(path) = here.named.get(&last) else {
                return Ok(Place {
                    next: Some(next),
                    link: None,
                    signature,
                });
            };
            let expected = ExpectedLog {
                generation: last,
                signature,
                ..ExpectedLog::default()
            };
            match inspect(path, expected) {
                Ok(link) => {
                    return Ok(Place {
                        next: Some(next),
                        link: Some(link),
                        signature,
                    });
                }
                Err(rejection) => {
                    warn!(
                        copy = config.name,
                        "{}: {rejection}; it is fetched again",
                        path.display()
                    );
                    next = last;
                }
            }
        }
    }

    /// What keeps every log of the source from coming.
    pub(crate) fn keeps_all_out(&self, config: &CopyConfig, view: &SourceView) -> Option<Obstacle> {
        if view.is_empty() {
            let source = &config.source;
            return Some(empty(&source.logs, &source.base));
        }
        let all_strange = view.newest_closed.is_none() && !view.strangers.is_empty();
        let stream = view.stream.filter(|_| all_strange && self.link.is_none());
        stream.map(|stream| another_stream(config, stream))
    }
}

/// How the log begins that continues this generation at the source. One of another stream says nothing.
pub(crate) fn opening_after(
    source: &dyn LogSource,
    generation: Generation,
    view: &SourceView,
) -> Option<Opening> {
    let next = generation.next();
    let current = view.listing.current.as_ref();
    let current = current.filter(|(_, header)| header.generation == next);
    let places = [view.listing.named.get(&next), current.map(|(path, _)| path)];
    let places = places.into_iter().flatten();
    let mut openings = places.filter_map(|path| source.opening(path));
    openings.find(|opening| {
        view.stream
            .is_none_or(|stream| stream == opening.signature())
    })
}

/// Logs in the log folder that belong to another stream and were not made by this copy.
pub(crate) fn strangers_here(
    config: &CopyConfig,
    made: &OwnFiles,
    stream: Option<Signature>,
) -> Result<Vec<PathBuf>, StandbyError> {
    let Some(stream) = stream else {
        return Ok(Vec::new());
    };
    if !config.target.logs.exists() {
        return Ok(Vec::new());
    }
    let here = listing_of(config)?;
    let of_another = |path: &Path| {
        let header = header_of(path)?;
        (header.signature != stream).then_some(header)
    };
    let mut found = Vec::new();
    for (&generation, path) in &here.named {
        let other = of_another(path);
        if other.is_some() && !made.owns(generation, other.as_ref()) {
            found.push(path.clone());
        }
    }
    if let Some(path) = &here.current_file {
        let other = of_another(path);
        if other.is_some() && !made.owns_current(other.as_ref()) {
            found.push(path.clone());
        }
    }
    Ok(found)
}

/// The oldest log of the unbroken chain before `next`.
pub(crate) fn oldest_of_chain(here: &Listing, next: Option<Generation>) -> Option<Generation> {
    let mut oldest = None;
    let mut at = next?.0;
    while let Some(before) = at.checked_sub(1).map(Generation) {
        if !here.named.contains_key(&before) {
            break;
        }
        oldest = Some(before);
        at = before.0;
    }
    oldest
}

/// The logs in the log folder of a copy.
pub(crate) fn listing_of(config: &CopyConfig) -> Result<Listing, StandbyError> {
    let folder = &config.target.logs;
    list(folder, &config.source.base).map_err(|error| match error {
        LogError::Io { path, source } => StandbyError::Io { path, source },
        other => StandbyError::Io {
            path: folder.clone(),
            source: io::Error::other(other),
        },
    })
}

/// The generation after the unbroken chain of logs that are here, from the first that the database needs on; none if it
/// is not known which log is the first.
pub(crate) fn chain_end(header: Option<&DatabaseHeader>, here: &Listing) -> Option<Generation> {
    let mut next = header.map(first_needed).or(here.oldest())?;
    while here.named.contains_key(&next) {
        next = next.next();
    }
    Some(next)
}

/// The header of the database at `path`, if there is one and a copy of its header is intact.
pub(crate) fn database_header(path: &Path) -> Option<DatabaseHeader> {
    let start = EvidenceFile::open(path)
        .and_then(|file| file.start(HEADERS_MAX))
        .ok()?;
    Some(HeaderCopies::read(&start).good()?.fields.clone())
}

/// The first generation that a database needs to be brought forward: below it lies its checkpoint.
pub(crate) fn first_needed(header: &DatabaseHeader) -> Generation {
    let needed = match header.state.needs_recovery() {
        true => header.min_required,
        false => header.last_consistent.generation,
    };
    needed.max(Generation(1))
}
