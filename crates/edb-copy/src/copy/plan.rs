//! What a copy would do, found out without changing anything.

use super::begin::{CopyCandidate, CopyStart, Look, PartialCopy, names_can_be_used};
use super::{CopyOptions, JournalState, Method};
use crate::{CopyError, SourceCondition, SourceIdentity, TargetPaths};
use ese_format::Progress;
use evidence::SourceFile;
use serde::Serialize;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use target_disk::{Disk, PathKind};

/// What is done for one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is copied to where nothing stands.
    Copy,
    /// What is at the target is replaced.
    Replace,
    /// An older copy is brought up to date.
    Update,
    /// A copy that was interrupted goes on.
    GoOn,
    /// All of it has arrived; it gets its name.
    Finish,
    /// It is complete already.
    Nothing,
}

/// A file that is at the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExistingFile {
    /// Its path.
    pub path: PathBuf,
    /// Bytes in it, if that is known.
    pub bytes: Option<u64>,
}

/// What a copy would do. Damaged pages, and changes of the source meanwhile, it cannot foresee.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct CopyPlan {
    /// What is done.
    pub action: Action,
    /// From what.
    pub source: SourceIdentity,
    /// Whether the source can be used as it is.
    pub condition: SourceCondition,
    /// To where.
    pub target: PathBuf,
    /// How.
    pub method: Method,
    /// Bytes that have arrived before.
    pub resumed_at: u64,
    /// Bytes still to come. An update may read and write less of them: only what differs is written.
    pub bytes_to_come: u64,
    /// What is under the target's name now, and will be gone.
    pub overwrites: Option<ExistingFile>,
    /// A partial copy that is given up.
    pub deletes: Option<ExistingFile>,
}

impl CopyPlan {
    /// Looks at source and target as [`FileCopy::open`](crate::FileCopy::open) does, with the same refusals, and changes
    /// nothing.
    pub fn of(
        source: Arc<dyn SourceFile>,
        disk: &dyn Disk,
        target: impl Into<PathBuf>,
        options: CopyOptions,
        progress: &dyn Progress,
    ) -> Result<Self, CopyError> {
        let paths = TargetPaths::new(target);
        names_can_be_used(&*source, disk, &paths, &options)?;
        let candidate = CopyCandidate::of(source, disk, paths, options, progress)?;
        let Look {
            start,
            loaded,
            at_target,
        } = candidate.context().look()?;
        let (paths, length) = (candidate.paths, candidate.known.identity.length);
        let overwrites = match &at_target.target {
            Some(place) => ExistingFile::of(&paths.target, disk.place(place), place)?,
            None => None,
        };
        let partial = ExistingFile::of(&paths.partial, Ok(at_target.partial), &paths.partial)?;
        let state = loaded.state.as_ref();
        let (action, method, resumed_at) = match start {
            CopyStart::Begin(method) => {
                let action = match (method, &overwrites) {
                    (Method::Delta, _) => Action::Update,
                    (_, Some(_)) => Action::Replace,
                    (_, None) => Action::Copy,
                };
                (action, method, 0)
            }
            CopyStart::GoOn(there) => {
                let complete = state.is_some_and(|state| state.complete.is_some());
                let action = match there {
                    PartialCopy::NotNeeded if complete => Action::Nothing,
                    PartialCopy::NotNeeded => Action::Finish,
                    PartialCopy::There => Action::GoOn,
                };
                let method = state.map_or(Method::Full, |state| state.begin.method);
                (action, method, state.map_or(0, JournalState::bytes_claimed))
            }
        };
        // A delta that was given up left the older copy under the partial one's name, and takes it up again.
        let given_up = match (&overwrites, action) {
            (None, Action::Update) => false,
            _ => matches!(action, Action::Copy | Action::Replace | Action::Update),
        };
        Ok(CopyPlan {
            action,
            source: candidate.known.identity,
            condition: candidate.known.condition,
            target: paths.target,
            method,
            resumed_at,
            bytes_to_come: length - resumed_at.min(length),
            overwrites: overwrites.filter(|_| action != Action::Nothing),
            deletes: partial.filter(|_| given_up),
        })
    }
}

impl ExistingFile {
    /// What is at `place` now and belongs under `path`.
    fn of(
        path: &Path,
        found: io::Result<PathKind>,
        place: &Path,
    ) -> Result<Option<Self>, CopyError> {
        let path = path.to_owned();
        Ok(match found.map_err(CopyError::target(place, "look at"))? {
            PathKind::Free => None,
            PathKind::File { length, .. } => Some(ExistingFile {
                path,
                bytes: length,
            }),
            PathKind::Folder | PathKind::Link | PathKind::Other => {
                Some(ExistingFile { path, bytes: None })
            }
        })
    }
}
