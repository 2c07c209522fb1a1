//! How far a copy is.

use crate::journal::{JournalState, LoadedJournal, MAX_LENGTH};
use crate::{CopyError, Method, SourceIdentity, TargetPaths};
use serde::Serialize;
use std::io;
use std::path::{Path, PathBuf};
use target_disk::Disk;

/// How far a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetState {
    /// There is no journal: no copy was begun here.
    NoJournal,
    /// There is a journal without a first entry that can be trusted.
    Unreadable,
    /// It was begun.
    UnderWay,
    /// All of it has arrived; it does not have its name yet.
    Arrived,
    /// It is finished.
    Complete,
    /// It was finished, and nothing has its name any more.
    Gone,
}

impl TargetState {
    pub(crate) fn of(state: &JournalState) -> Self {
        match state {
            state if state.complete.is_some() => TargetState::Complete,
            state if state.arrived.is_some() => TargetState::Arrived,
            _ => TargetState::UnderWay,
        }
    }
}

/// How far a copy is.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct TargetStatus {
    /// The copy.
    pub target: PathBuf,
    /// How far it is.
    pub state: TargetState,
    /// Whether a program is at work on it.
    pub running: bool,
    /// Whether the copy is under its name.
    pub target_exists: bool,
    /// Whether there is a partial copy.
    pub partial_exists: bool,
    /// From what.
    pub source: Option<SourceIdentity>,
    /// How.
    pub method: Option<Method>,
    /// Bytes in a chunk.
    pub chunk_size: u64,
    /// Bytes that have arrived.
    pub bytes_arrived: u64,
    /// Bytes of the whole.
    pub length: u64,
    /// Pages with which something is wrong, of those that have arrived.
    pub bad_pages: u64,
    /// BLAKE3 of the whole, when it is complete.
    pub blake3: Option<crate::ChunkHash>,
    /// Bytes of the journal that cannot be trusted.
    pub journal_dropped: u64,
}

/// Looks at the copy `target`; changes nothing.
pub fn status(disk: &dyn Disk, target: &Path) -> Result<TargetStatus, CopyError> {
    let paths = TargetPaths::new(target);
    let bytes = journal_bytes(disk, &paths.journal)?;
    let exists = |path: &Path| {
        let looked = disk.exists(path);
        looked.map_err(CopyError::target(path, "look at"))
    };
    let loaded = bytes.as_deref().map(LoadedJournal::parse);
    let journal = loaded.as_ref().and_then(|loaded| loaded.state.as_ref());
    let target_exists = exists(&paths.target)?;
    Ok(TargetStatus {
        target: paths.target.clone(),
        state: match (&loaded, journal) {
            (None, _) => TargetState::NoJournal,
            (Some(_), None) => TargetState::Unreadable,
            (Some(_), Some(state)) => match TargetState::of(state) {
                TargetState::Complete if !target_exists => TargetState::Gone,
                found => found,
            },
        },
        running: bytes.is_some() && is_locked(disk, &paths.journal)?,
        target_exists,
        partial_exists: exists(&paths.partial)?,
        source: journal.map(|state| state.begin.source.clone()),
        method: journal.map(|state| state.begin.method),
        chunk_size: journal.map_or(0, |state| state.chunks.size()),
        bytes_arrived: journal.map_or(0, JournalState::bytes_claimed),
        length: journal.map_or(0, |state| state.chunks.length()),
        bad_pages: journal.map_or(0, |state| {
            state.totals.findings.len() as u64 + state.totals.findings_omitted
        }),
        blake3: journal.and_then(|state| Some(state.arrived.as_ref()?.blake3)),
        journal_dropped: loaded.as_ref().map_or(0, |loaded| loaded.dropped),
    })
}

fn is_locked(disk: &dyn Disk, journal: &Path) -> Result<bool, CopyError> {
    let locked = disk.is_locked(journal);
    locked.map_err(CopyError::target(journal, "look at the lock of"))
}

fn journal_bytes(disk: &dyn Disk, journal: &Path) -> Result<Option<Vec<u8>>, CopyError> {
    match disk.read(journal, MAX_LENGTH) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CopyError::target(journal, "read")(error)),
    }
}

/// The journal of the copy `target`, if there is one with a first entry that can be trusted.
pub(crate) fn journal_of(
    disk: &dyn Disk,
    target: &Path,
) -> Result<Option<JournalState>, CopyError> {
    let bytes = journal_bytes(disk, &TargetPaths::new(target).journal)?;
    Ok(bytes.and_then(|bytes| LoadedJournal::parse(&bytes).state))
}
