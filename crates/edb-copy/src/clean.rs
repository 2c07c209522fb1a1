//! Removing journals that their copies no longer need.
//!
//! After the copy a journal serves three things: `verify` compares the copy with it, a delta trusts it about the older
//! copy, and it shows the same copy command that there is nothing to do. What it holds is nowhere else, so it goes
//! only when somebody says so, and only while the copy that it describes is there, complete and unchanged.

use crate::copy::undo;
use crate::copy_change::CopyChange;
use crate::journal::LoadedJournal;
use crate::status::TargetState;
use crate::{CopyError, TargetPaths};
use serde::Serialize;
use std::io;
use std::path::{Path, PathBuf};
use target_disk::{Disk, PathKind};

/// Why a journal stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptReason {
    /// There is none.
    NoJournal,
    /// A program is at work on the copy.
    Running,
    /// The copy goes on from it.
    UnderWay,
    /// It cannot be read: which copy it belongs to is not known.
    Unreadable,
    /// The copy that it describes is gone.
    CopyGone,
    /// The copy was changed since.
    CopyChanged,
}

/// What happened to a journal.
#[derive(Debug, Clone, Serialize)]
pub struct Cleaned {
    /// The copy.
    pub target: PathBuf,
    /// Its journal.
    pub journal: PathBuf,
    /// Bytes in the journal.
    pub bytes: u64,
    /// Why it stays; `None` if it was removed, or would be.
    pub kept: Option<KeptReason>,
}

/// Removes the journal of the finished copy `target`. With `changed_too`, also of one that was changed since; with
/// `look_only` nothing is removed.
pub fn clean(
    disk: &dyn Disk,
    target: &Path,
    changed_too: bool,
    look_only: bool,
) -> Result<Cleaned, CopyError> {
    let paths = TargetPaths::new(target);
    let journal = &paths.journal;
    let at = |action| CopyError::target(journal, action);
    let mut cleaned = Cleaned {
        target: paths.target.clone(),
        journal: journal.clone(),
        bytes: 0,
        kept: None,
    };
    let keep = |mut cleaned: Cleaned, why| {
        cleaned.kept = Some(why);
        Ok(cleaned)
    };
    match disk.place(journal).map_err(at("look at"))? {
        PathKind::Free => return keep(cleaned, KeptReason::NoJournal),
        PathKind::File { .. } => {}
        PathKind::Folder | PathKind::Link | PathKind::Other => {
            return keep(cleaned, KeptReason::Unreadable);
        }
    }
    let opened = match look_only {
        true => disk.look_at(journal),
        false => disk.open_locked(journal),
    };
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return keep(cleaned, KeptReason::Running);
        }
        Err(error) => return Err(at("open")(error)),
    };
    cleaned.bytes = file.length().map_err(at("look at"))?;
    let loaded = LoadedJournal::read(&*file).map_err(at("read"))?;
    let Some(state) = &loaded.state else {
        return keep(cleaned, KeptReason::Unreadable);
    };
    if TargetState::of(state) != TargetState::Complete {
        return keep(cleaned, KeptReason::UnderWay);
    }
    let there = disk.place(&paths.target);
    if !matches!(there, Ok(PathKind::File { .. })) {
        return keep(cleaned, KeptReason::CopyGone);
    }
    if !changed_too && CopyChange::finished(disk, &paths.target, state)? != CopyChange::Unchanged {
        return keep(cleaned, KeptReason::CopyChanged);
    }
    if !look_only {
        undo(disk, &paths, &*file).map_err(CopyError::target(
            &paths.new_journal,
            "take back the copy of",
        ))?;
        disk.remove(journal).map_err(at("remove"))?;
        disk.sync_folder_of(journal)
            .map_err(at("sync the folder of"))?;
    }
    Ok(cleaned)
}
