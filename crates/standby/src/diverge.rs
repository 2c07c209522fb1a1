//! A source that diverged: it lost its newest logs and wrote others under the same generations.
//!
//! ```text
//! copy     ... 24  25 | 26  27  28        the copy has what the source has lost
//! source   ... 24  25 | 26' 27'           a lossy failover, or a volume restored to an earlier state
//!                  ^ last common log
//! ```
//!
//! This is found by links and signatures, and where these do not decide, by the bytes. As long as none of the logs
//! after the last common one was replayed (that is what the delay of 50 logs is for), they are put aside, the newest
//! first, and the source's are fetched. Otherwise the database holds changes that the source does not know: it needs a
//! new seed.

use crate::aside::{folder_of, put_aside};
use crate::copy::StandbyCopy;
use crate::error::StandbyError;
use crate::inspect::{ExpectedLog, LogLink, continues, inspect};
use crate::listing::{Listing, header_of};
use crate::obstacle::Obstacle;
use crate::place::database_header;
use crate::source::LogSource;
use crate::source::view::SourceView;
use crate::state::{CopyState, ReachedLog, Resync, TroubleKind};
use ese_format::log::PreviousChecksum;
use ese_format::{Generation, JetError};
use jiff::Timestamp;
use std::fs;
use std::path::{Path, PathBuf};
use tracing::warn;

/// What looking for the last common log came to.
enum Common {
    /// This is the last one.
    Last(Box<LogLink>),
    /// The source's stream has another signature.
    Foreign(String),
    /// None of the logs here is at the source any more.
    None,
    /// A log at the source that would decide cannot be read now.
    Unread(PathBuf),
}

impl StandbyCopy {
    /// Goes back to the last log that the source has too, if it diverged; `false` if it did not. With `drop`
    /// unset nothing is changed and a divergence is an obstacle.
    pub(crate) fn resynchronize(
        &mut self,
        view: &SourceView,
        drop: bool,
        now: Timestamp,
    ) -> Result<Result<bool, Obstacle>, StandbyError> {
        let Some(newest) = self.place.link.clone() else {
            return Ok(Ok(false));
        };
        let here = self.here()?;
        let common = match last_common(&*self.source, &view.listing, &here, &newest) {
            Common::Last(common) if common.generation == newest.generation => return Ok(Ok(false)),
            Common::Last(common) => common,
            Common::Foreign(found) => return Ok(Err(foreign(&newest, &found))),
            Common::None => return Ok(Err(nothing_common(&newest))),
            Common::Unread(path) => return Ok(Err(unread(&path))),
        };
        let first = common.generation.next();
        if !drop {
            return Ok(Err(diverged(first, newest.generation)));
        }
        let logs = self.logs.clone();
        let _unread = logs.lock();
        let replayed = self.replayed_until()?;
        if replayed > common.generation {
            return Ok(Err(reseed(first, replayed)));
        }
        let made = self.state.read()?.made;
        for (&generation, path) in here.named.range(first..) {
            if !made.owns(generation, header_of(path).as_ref()) {
                return Ok(Err(in_the_way(path, generation)));
            }
        }
        self.put_aside(&here, &common, newest.generation, now)?;
        Ok(Ok(true))
    }

    /// The newest log whose changes the database may hold.
    fn replayed_until(&self) -> Result<Generation, StandbyError> {
        let replayed = self
            .state
            .read()?
            .replayed
            .map(|replayed| replayed.generation);
        let header = database_header(&self.config.target.database);
        let in_header = header.map(|header| match header.state.needs_recovery() {
            true => header.max_required,
            false => header.last_consistent.generation,
        });
        // Without a database nothing was replayed, whatever is remembered.
        Ok(in_header.map_or(Generation(0), |known| {
            known.max(replayed.unwrap_or_default())
        }))
    }

    fn put_aside(
        &mut self,
        here: &Listing,
        common: &LogLink,
        newest: Generation,
        now: Timestamp,
    ) -> Result<(), StandbyError> {
        let first = common.generation.next();
        let state = self
            .state
            .update(|state| begin(state, first, newest, &self.config.target.logs, now))?;
        let Some(resync) = state.resync else {
            return Ok(());
        };
        let folder = &resync.kept_in;
        for (_, path) in here.named.range(first..).rev() {
            put_aside(&**self.state.disk(), path, folder)?;
        }
        self.place.link = Some(common.clone());
        self.place.next = Some(first);
        self.state.update(|state| {
            let reached = ReachedLog {
                generation: common.generation,
                at: now,
            };
            (state.copied, state.inspected) = (Some(reached), Some(reached));
            state.proofs.forget_from(first);
        })?;
        warn!(
            copy = self.config.name,
            first = first.0,
            last = newest.0,
            "the source has lost these logs and wrote others; they were not replayed, are in {} now, and are fetched again",
            folder.display()
        );
        Ok(())
    }
}

/// Notes a resynchronization, or goes on with the one that is noted.
fn begin(state: &mut CopyState, first: Generation, last: Generation, logs: &Path, now: Timestamp) {
    let resync = state.resync.get_or_insert_with(|| Resync {
        first,
        last,
        since: now,
        kept_in: folder_of(logs, now),
    });
    resync.first = resync.first.min(first);
    resync.last = resync.last.max(last);
}

/// The newest log here that the source has too.
fn last_common(
    source: &dyn LogSource,
    listing: &Listing,
    here: &Listing,
    newest: &LogLink,
) -> Common {
    for (&generation, path) in here.named.range(..=newest.generation).rev() {
        let Some(theirs) = listing.find(generation) else {
            continue;
        };
        let Some(header) = source.header(theirs) else {
            return Common::Unread(theirs.to_owned());
        };
        let expected = ExpectedLog {
            generation,
            ..ExpectedLog::default()
        };
        let Ok(ours) = inspect(path, expected) else {
            continue;
        };
        if header.signature != ours.signature || header.created != ours.created {
            continue;
        }
        let after = listing.find(generation.next());
        let same = match after.and_then(|path| source.header(path)) {
            // It may still be growing there.
            None => true,
            Some(after) => {
                let follows = continues(&after, Some(&ours)).is_ok();
                let kept = after.version.previous_checksum();
                let tells = kept == PreviousChecksum::Accumulated;
                (follows && tells) || has_same_bytes(source, theirs, path)
            }
        };
        if same {
            return Common::Last(Box::new(ours));
        }
    }
    let highest = listing.named.values().next_back();
    let current = listing.current.as_ref().map(|(path, _)| path).or(highest);
    let header = current.and_then(|path| source.header(path));
    match header.map(|header| header.signature) {
        Some(signature) if signature != newest.signature => Common::Foreign(signature.to_string()),
        _ => Common::None,
    }
}

fn has_same_bytes(source: &dyn LogSource, theirs: &Path, ours: &Path) -> bool {
    let mut bytes = Vec::new();
    source.fetch(theirs, &mut bytes).is_ok() && fs::read(ours).is_ok_and(|ours| ours == bytes)
}

fn unread(path: &Path) -> Obstacle {
    Obstacle {
        kind: TroubleKind::Locked,
        reason: format!("{}: its header cannot be read now", path.display()),
        jet: Some(JetError::FILE_ACCESS_DENIED),
        generation: None,
    }
}

/// The source has lost a log that this copy did not write.
fn in_the_way(path: &Path, generation: Generation) -> Obstacle {
    Obstacle {
        kind: TroubleKind::Occupied,
        reason: format!(
            "{}: the source has lost this log and went on with others; the copy did not make it, so it stays: move it \
             away",
            path.display()
        ),
        jet: Some(JetError::INVALID_LOG_SEQUENCE),
        generation: Some(generation),
    }
}

fn diverged(first: Generation, last: Generation) -> Obstacle {
    Obstacle {
        kind: TroubleKind::Diverged,
        reason: format!(
            "the source has lost generations {first}-{last} ({first:#x}-{last:#x}), which are here, and went on with others"
        ),
        jet: Some(JetError::INVALID_LOG_SEQUENCE),
        generation: Some(first),
    }
}

fn reseed(first: Generation, replayed: Generation) -> Obstacle {
    Obstacle {
        kind: TroubleKind::Reseed,
        reason: format!(
            "the source has lost its logs from generation {first} ({first:#x}) on and wrote others, but the database holds changes up to generation {replayed} ({replayed:#x}): it needs a new seed (`scr update --delete-existing-files`)"
        ),
        jet: Some(JetError::INVALID_LOG_SEQUENCE),
        generation: Some(first),
    }
}

fn nothing_common(newest: &LogLink) -> Obstacle {
    let last = newest.generation;
    Obstacle {
        kind: TroubleKind::Reseed,
        reason: format!(
            "the source has no log in common with the copy, which has logs up to generation {last} ({last:#x}): it needs a new seed (`scr update --delete-existing-files`)"
        ),
        jet: Some(JetError::INVALID_LOG_SEQUENCE),
        generation: Some(last.next()),
    }
}

fn foreign(newest: &LogLink, found: &str) -> Obstacle {
    Obstacle {
        kind: TroubleKind::Foreign,
        reason: format!(
            "the source has another log stream now: its signature is {found}, the copy has {}",
            newest.signature
        ),
        jet: Some(JetError::BAD_LOG_SIGNATURE),
        generation: Some(newest.generation.next()),
    }
}
