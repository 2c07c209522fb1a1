//! What a copy has made at its target: the only files there that `scr` ever replaces or deletes.
//!
//! The log folder of a copy is a folder of a server: people and other programs put files there, under the names of logs
//! too. So the state keeps which generations of which stream were written there by this copy. A file is the copy's own
//! when its generation is among them *and* its header says that it is that log of that stream; whatever else lies there
//! is somebody's, and stays.
//!
//! The record is made before the first log of a pass gets its name (`placing`) and settled when the pass is done, or by
//! the next process if this one died.

use crate::listing::{Listing, header_of};
use ese_format::database::DatabaseHeader;
use ese_format::log::LogHeader;
use ese_format::{Generation, Signature};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// What a copy has made in its target's folders.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnFiles {
    /// The folder of the logs that this is about; with another one it is forgotten.
    logs: PathBuf,
    /// Ends the names of files under way, so that they are nobody else's.
    tag: String,
    /// The logs that were written there, by stream. More than one stream as long as logs of an older one are there.
    streams: Vec<OwnLogs>,
    /// The generations that are getting their names now.
    placing: Option<Placing>,
    /// The current log of the source that an activation has put there.
    #[serde(default)]
    current: Option<OwnLog>,
    /// The database.
    #[serde(default)]
    database: Option<OwnDatabase>,
    /// The database onto which logs are replayed.
    #[serde(default)]
    replays: Option<PathBuf>,
    /// The database that a seeding began to bring and did not finish.
    #[serde(default)]
    seeds: Option<PathBuf>,
}

/// Logs of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct OwnLogs {
    stream: String,
    /// First and last generation, in ascending order, with gaps between.
    ranges: Vec<(Generation, Generation)>,
}

/// Generations of a stream that are about to get their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Placing {
    stream: String,
    first: Generation,
    last: Generation,
}

/// One log of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct OwnLog {
    stream: String,
    generation: Generation,
}

/// A state of a database that this copy knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct OwnDatabase {
    path: PathBuf,
    mark: String,
    signature: String,
    stream: String,
}

impl OwnFiles {
    /// Makes the record be about this folder; what was known of another one is not true here.
    pub(crate) fn settle_in(&mut self, logs: &Path) {
        if self.logs != logs {
            *self = OwnFiles {
                logs: logs.to_owned(),
                ..OwnFiles::default()
            };
        }
        if self.tag.is_empty() {
            self.tag = new_tag();
        }
    }

    /// Says that a seeding brings this database from now on, or that it does not any more.
    pub(crate) fn set_seeding(&mut self, database: Option<&Path>) {
        self.seeds = database.map(Path::to_owned);
    }

    /// Whether what lies half copied beside this database is of a seeding that did not finish.
    pub(crate) fn seeds(&self, database: &Path) -> bool {
        self.seeds.as_deref() == Some(database)
    }

    /// What ends the names of files under way.
    pub(crate) fn tag(&self) -> &str {
        &self.tag
    }

    /// Whether a file is one of this copy that did not get its name.
    pub(crate) fn is_under_way(&self, path: &Path) -> bool {
        let extension = path.extension().and_then(|extension| extension.to_str());
        !self.tag.is_empty() && extension == Some(&*self.tag)
    }

    /// Says that these generations get their names now.
    pub(crate) fn begin_placing(&mut self, stream: Signature, first: Generation, last: Generation) {
        let stream = stream.to_string();
        self.placing = Some(Placing {
            stream,
            first,
            last,
        });
    }

    /// Enters generations that were placed.
    pub(crate) fn placed(&mut self, stream: Signature, generations: &[Generation]) {
        self.placing = None;
        for &generation in generations {
            self.logs_of(&stream.to_string()).insert(generation);
        }
    }

    /// Enters what a process that died had placed.
    pub(crate) fn settle_placing(&mut self, here: &Listing) {
        let Some(placing) = self.placing.take() else {
            return;
        };
        let named = here.named.range(placing.first..=placing.last);
        let is_it = |(generation, path): &(&Generation, &PathBuf)| {
            header_of(path).is_some_and(|header| {
                header.generation == **generation && header.signature.to_string() == placing.stream
            })
        };
        let placed: Vec<Generation> = named.filter(is_it).map(|(at, _)| *at).collect();
        let logs = self.logs_of(&placing.stream);
        placed.into_iter().for_each(|at| logs.insert(at));
    }

    /// Whether this copy has written a log of this generation, of whatever stream. It may be damaged since.
    pub(crate) fn has_written(&self, generation: Generation) -> bool {
        self.streams.iter().any(|logs| logs.has(generation))
    }

    /// Whether the log with this generation in its name and this header is the copy's own.
    pub(crate) fn owns(&self, generation: Generation, header: Option<&LogHeader>) -> bool {
        let Some(header) = header.filter(|header| header.generation == generation) else {
            return false;
        };
        let stream = header.signature.to_string();
        let mut streams = self.streams.iter();
        streams.any(|logs| logs.stream == stream && logs.has(generation))
    }

    /// The copy's own logs of a listing.
    pub(crate) fn own_logs(&self, here: &Listing) -> Vec<(Generation, PathBuf)> {
        let named = here.named.iter();
        let named = named.filter(|(generation, _)| self.has_written(**generation));
        let own =
            named.filter(|(generation, path)| self.owns(**generation, header_of(path).as_ref()));
        own.map(|(at, path)| (*at, path.clone())).collect()
    }

    /// The header of the newest log of a listing that is the copy's own.
    pub(crate) fn newest_own(&self, here: &Listing) -> Option<LogHeader> {
        let named = here.named.iter().rev();
        let mut named = named.filter(|(generation, _)| self.has_written(**generation));
        named.find_map(|(generation, path)| {
            header_of(path).filter(|header| self.owns(*generation, Some(header)))
        })
    }

    /// Forgets logs that are gone, or that are not under their names any more.
    pub(crate) fn forget(&mut self, gone: RangeInclusive<Generation>) {
        for logs in &mut self.streams {
            logs.remove(&gone);
        }
        self.streams.retain(|logs| !logs.ranges.is_empty());
    }

    /// Forgets all logs: they are gone.
    pub(crate) fn forget_logs(&mut self) {
        self.streams.clear();
        (self.placing, self.current) = (None, None);
    }

    /// Notes the current log that an activation puts there.
    pub(crate) fn set_current(&mut self, header: &LogHeader) {
        self.current = Some(OwnLog {
            stream: header.signature.to_string(),
            generation: header.generation,
        });
    }

    /// Whether a current log with this header was put there by an activation.
    pub(crate) fn owns_current(&self, header: Option<&LogHeader>) -> bool {
        let Some(header) = header else { return false };
        self.current.as_ref().is_some_and(|own| {
            own.generation == header.generation && own.stream == header.signature.to_string()
        })
    }

    /// Notes the state in which this copy leaves a database.
    pub(crate) fn set_database(&mut self, path: &Path, header: &DatabaseHeader) {
        self.database = Some(OwnDatabase {
            path: path.to_owned(),
            mark: mark(header),
            signature: header.signature.to_string(),
            stream: header.log_signature.to_string(),
        });
    }

    /// Whether the database at `path` holds nothing but what this copy has put into it: it is as this copy left it, or a
    /// later step of replay, whose process died before it could say so.
    pub(crate) fn owns_database(
        &self,
        path: &Path,
        header: &DatabaseHeader,
        inspected: Option<Generation>,
    ) -> bool {
        let Some(own) = self.database.as_ref().filter(|own| own.path == path) else {
            return false;
        };
        // Whoever mounts it makes it need a log beyond those that came from the source, or shuts it down.
        let is_replayed = header.state.needs_recovery()
            && header.max_required <= inspected.unwrap_or_default()
            && own.signature == header.signature.to_string()
            && own.stream == header.log_signature.to_string();
        own.mark == mark(header) || is_replayed
    }

    /// Notes that logs are replayed onto the database at `path`, so that a journal beside it is this copy's.
    pub(crate) fn begin_replay(&mut self, path: &Path) {
        self.replays = Some(path.to_owned());
    }

    /// Whether this copy has replayed logs onto the database at `path`.
    pub(crate) fn replays(&self, path: &Path) -> bool {
        self.replays.as_deref() == Some(path)
    }

    fn logs_of(&mut self, stream: &str) -> &mut OwnLogs {
        let known = self.streams.iter().position(|logs| logs.stream == stream);
        let place = known.unwrap_or_else(|| {
            self.streams.push(OwnLogs {
                stream: stream.to_owned(),
                ranges: Vec::new(),
            });
            self.streams.len() - 1
        });
        &mut self.streams[place]
    }
}

/// What distinguishes one state of a database from another: everything that a mount, a replay or a recovery changes.
pub(crate) fn mark(header: &DatabaseHeader) -> String {
    format!(
        "{} {} dbtime {} consistent {} attach {} needs {}-{} of {}",
        header.signature,
        header.state,
        header.dbtime.0,
        header.last_consistent,
        header.last_attach,
        header.min_required,
        header.max_required,
        header.log_signature,
    )
}

impl OwnLogs {
    fn has(&self, generation: Generation) -> bool {
        let mut ranges = self.ranges.iter();
        ranges.any(|(first, last)| (*first..=*last).contains(&generation))
    }

    fn insert(&mut self, generation: Generation) {
        self.ranges.push((generation, generation));
        self.ranges.sort_unstable();
        let mut merged: Vec<(Generation, Generation)> = Vec::with_capacity(self.ranges.len());
        for &(first, last) in &self.ranges {
            match merged.last_mut() {
                Some((_, end)) if first.0 <= end.0.saturating_add(1) => *end = last.max(*end),
                _ => merged.push((first, last)),
            }
        }
        self.ranges = merged;
    }

    fn remove(&mut self, gone: &RangeInclusive<Generation>) {
        let before = gone.start().previous();
        let after = gone.end().next();
        let ranges = std::mem::take(&mut self.ranges);
        for (first, last) in ranges {
            let parts = [(first, last.min(before)), (first.max(after), last)];
            let left = |(first, last): &(Generation, Generation)| {
                first <= last && !gone.contains(first) && !gone.contains(last)
            };
            self.ranges.extend(parts.into_iter().filter(left));
        }
        self.ranges.dedup();
    }
}

/// Letters that no other copy has: from the clock and the process, which need not be secret.
fn new_tag() -> String {
    let now = jiff::Timestamp::now().as_nanosecond().unsigned_abs();
    let number = now ^ (u128::from(std::process::id()) << 64);
    format!("scr-{number:x}")
}
