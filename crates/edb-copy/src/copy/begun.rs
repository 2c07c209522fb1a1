//! A copy that has begun, and of which nothing has arrived.
//!
//! It may still be refused (the disk is full, the first pages are damaged) or killed, and then all is to be as it was.
//! So it leaves alone what is there: an older copy keeps its name, its bytes and its journal, and the journal of the
//! new copy begins beside that one, as `DST.edbcopy-new`. Just before a byte of the older copy changes, or the first
//! chunk is claimed, the copy becomes *final* in two steps:
//!
//! 1. A delta renames the older copy from `DST` to `DST.partial`.
//! 2. The new journal is renamed over the old one, which is gone with that.
//!
//! As long as there is a new journal, nothing has arrived. Whoever finds one takes the copy back before anything else,
//! and it is removed last, so that this can be done again after a crash:
//!
//! | the new journal | what was done besides | how it is taken back |
//! |---|---|---|
//! | empty, or torn while it was written | nothing | it is removed |
//! | says full or shared | perhaps `DST.partial` was made | that is removed, then the journal |
//! | says delta, and `DST` is there | space was reserved | the space is given back, the journal removed |
//! | says delta, and `DST` was renamed | step 1, not step 2 | `DST.partial` is renamed to `DST`, then as above |
//! | is none that a copy left | | it stays, and no copy begins |
//!
//! Where nothing has to be kept (there is no journal, and no older copy is changed) the journal begins under its own
//! name. Such a copy is taken back by removing the partial copy, then what is in the journal.

use super::{
    Arc, BeginEntry, CopyError, Disk, DiskFile, LoadedJournal, Method, Path, PathBuf, TargetPaths,
    io,
};
use std::sync::{Mutex, MutexGuard, PoisonError};
use target_disk::PathKind;

/// Longest new journal that is read: it has one entry.
const MAX_LENGTH: u64 = 1 << 20;

/// A copy that has begun.
pub(crate) struct Begun<'d> {
    disk: &'d dyn Disk,
    paths: TargetPaths,
    /// The file that has the name of the journal. Its lock is that of the copy until that is final.
    locked: Arc<dyn DiskFile>,
    kept: Mutex<Kept>,
}

/// What is kept of what was there before the copy began.
pub(super) enum Kept {
    /// All of it.
    All {
        new_journal: Arc<dyn DiskFile>,
        /// Whether an older copy at `DST` has to become the partial copy.
        renames: bool,
    },
    /// There was nothing to keep.
    Nothing,
    /// The copy is final.
    NotAnyMore,
}

impl<'d> Begun<'d> {
    /// A copy whose journal is to have the name that `locked` has.
    pub(super) fn new(
        disk: &'d dyn Disk,
        paths: &TargetPaths,
        locked: Arc<dyn DiskFile>,
        kept: Kept,
    ) -> Self {
        Begun {
            disk,
            paths: paths.clone(),
            locked,
            kept: Mutex::new(kept),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // It says at any time what was done.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the journal is written.
    pub(super) fn journal(&self) -> Arc<dyn DiskFile> {
        match &*self.kept() {
            Kept::All { new_journal, .. } => Arc::clone(new_journal),
            Kept::Nothing | Kept::NotAnyMore => Arc::clone(&self.locked),
        }
    }

    /// Makes the copy final, if it is not. Files that are open are renamed: Windows allows that for those that Rust
    /// opens.
    pub(crate) fn make_final(&self) -> Result<(), CopyError> {
        let TargetPaths {
            target,
            partial,
            journal,
            new_journal,
        } = &self.paths;
        let mut kept = self.kept();
        if let Kept::All {
            new_journal: file,
            renames,
        } = &mut *kept
        {
            if *renames {
                let renamed = self.disk.rename(target, partial);
                renamed.map_err(CopyError::target(partial, "rename to"))?;
                *renames = false;
                self.sync_folder()?;
            }
            file.try_lock()
                .map_err(CopyError::target(new_journal, "lock"))?;
            let renamed = self.disk.rename(new_journal, journal);
            renamed.map_err(CopyError::target(journal, "rename to"))?;
            self.sync_folder()?;
        }
        *kept = Kept::NotAnyMore;
        Ok(())
    }

    /// Makes all as it was, unless the copy is final. What cannot be taken back now, the next copy takes back.
    pub(super) fn take_back(&self) {
        if !self.is_final() {
            let _ = undo(self.disk, &self.paths, &*self.locked)
                .and_then(|()| remove_if_empty(self.disk, &self.paths.journal, &*self.locked));
        }
    }

    pub(super) fn is_final(&self) -> bool {
        matches!(*self.kept(), Kept::NotAnyMore)
    }

    fn sync_folder(&self) -> Result<(), CopyError> {
        let target = &self.paths.target;
        let synced = self.disk.sync_folder_of(target);
        synced.map_err(CopyError::target(target, "sync the folder of"))
    }
}

/// What a copy that has begun left in a journal.
enum Left {
    Nothing,
    Torn,
    Begun(Box<BeginEntry>),
    /// It is none, or one of a copy of which something has arrived.
    Other,
}

impl Left {
    fn of(loaded: &LoadedJournal) -> Self {
        match &loaded.state {
            None if loaded.is_empty() => Left::Nothing,
            None if loaded.torn => Left::Torn,
            Some(state) if state.has_only_begun() && loaded.dropped == 0 => {
                Left::Begun(Box::new(state.begin.clone()))
            }
            _ => Left::Other,
        }
    }

    /// Looks at a new journal, if there is one.
    fn at(disk: &dyn Disk, new_journal: &Path) -> io::Result<Option<Self>> {
        match disk.place(new_journal)? {
            PathKind::Free => return Ok(None),
            PathKind::File { .. } => {}
            PathKind::Folder | PathKind::Link | PathKind::Other => return Ok(Some(Left::Other)),
        }
        match disk.read(new_journal, MAX_LENGTH) {
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Ok(Some(Left::Other)),
            bytes => Ok(Some(Left::of(&LoadedJournal::parse(&bytes?)))),
        }
    }

    /// Whether it says that the copy is written to a partial copy of its own.
    fn writes_anew(&self) -> bool {
        matches!(self, Left::Begun(begin) if begin.method != Method::Delta)
    }
}

/// What is at the target, once a copy that had only begun is taken back.
pub(super) struct AtTarget {
    /// Where the bytes of what belongs under the target's name are, if there is something.
    pub(super) target: Option<PathBuf>,
    /// What is under the name of the partial copy.
    pub(super) partial: PathKind,
    /// Whether something that no copy left has the name of the new journal.
    pub(super) foreign_journal: bool,
}

impl AtTarget {
    /// Looks; changes nothing. `loaded` is the journal.
    pub(super) fn look(
        disk: &dyn Disk,
        paths: &TargetPaths,
        loaded: &LoadedJournal,
    ) -> Result<Self, CopyError> {
        let TargetPaths {
            target,
            partial,
            journal: _,
            new_journal,
        } = paths;
        let place = |path| disk.place(path).map_err(CopyError::target(path, "look at"));
        let found =
            Left::at(disk, new_journal).map_err(CopyError::target(new_journal, "look at"))?;
        let mut at_target = AtTarget {
            target: (place(target)? != PathKind::Free).then(|| target.clone()),
            partial: place(partial)?,
            foreign_journal: matches!(found, Some(Left::Other)),
        };
        if found.as_ref().is_some_and(Left::writes_anew) || Left::of(loaded).writes_anew() {
            at_target.partial = PathKind::Free;
        }
        if let Some(Left::Begun(begin)) = found
            && begin.from_target
            && at_target.target.is_none()
            && at_target.partial != PathKind::Free
        {
            at_target.target = Some(partial.clone());
            at_target.partial = PathKind::Free;
        }
        Ok(at_target)
    }
}

/// Takes back a copy to `target` that was killed before anything of it had arrived, unless a program is at work on it.
/// [`FileCopy::open`](crate::FileCopy::open) does so itself; this is for who looks at the target before that.
pub fn undo_begun(disk: &dyn Disk, target: &Path) -> Result<(), CopyError> {
    let paths = TargetPaths::new(target);
    let TargetPaths {
        journal,
        new_journal,
        ..
    } = &paths;
    let exists = |path| {
        let exists = disk.exists(path);
        exists.map_err(CopyError::target(path, "look at"))
    };
    if !exists(journal)? && !exists(new_journal)? {
        return Ok(());
    }
    let locked = match disk.open_locked(journal) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
        opened => opened.map_err(CopyError::target(journal, "open"))?,
    };
    undo(disk, &paths, &*locked)
        .and_then(|()| remove_if_empty(disk, journal, &*locked))
        .map_err(CopyError::target(new_journal, "take back the copy of"))
}

/// The same for who has the journal locked.
pub(crate) fn undo(disk: &dyn Disk, paths: &TargetPaths, locked: &dyn DiskFile) -> io::Result<()> {
    undo_beside_another(disk, paths)?;
    undo_alone(disk, paths, locked)
}

fn undo_beside_another(disk: &dyn Disk, paths: &TargetPaths) -> io::Result<()> {
    let TargetPaths {
        target,
        partial,
        journal: _,
        new_journal,
    } = paths;
    match Left::at(disk, new_journal)? {
        None | Some(Left::Other) => return Ok(()),
        Some(Left::Nothing | Left::Torn) => {}
        Some(Left::Begun(begin)) if begin.method == Method::Delta => {
            if begin.from_target && !disk.exists(target)? && disk.exists(partial)? {
                disk.rename(partial, target)?;
                disk.sync_folder_of(target)?;
            }
            let older = if begin.from_target { target } else { partial };
            // It is only space.
            let _ = disk.open(older).and_then(|file| file.release_reserved());
        }
        Some(Left::Begun(_)) => remove_if_there(disk, partial)?,
    }
    disk.remove(new_journal)?;
    disk.sync_folder_of(new_journal)
}

/// Takes back a copy whose journal is under its own name already. A delta there may have changed the older copy.
fn undo_alone(disk: &dyn Disk, paths: &TargetPaths, locked: &dyn DiskFile) -> io::Result<()> {
    if locked.length()? > MAX_LENGTH {
        return Ok(());
    }
    let partial = &paths.partial;
    match Left::of(&LoadedJournal::read(locked)?) {
        Left::Begun(begin) if begin.method != Method::Delta => remove_if_there(disk, partial)?,
        // Nothing was made before its first entry was whole: a partial copy that is there is another one's.
        Left::Torn if !disk.exists(partial)? => {}
        Left::Nothing | Left::Torn | Left::Begun(_) | Left::Other => return Ok(()),
    }
    locked.set_length(0)?;
    locked.sync_all()
}

/// Makes sure that there is no such file. One that is not there may have been removed by a process that was killed, and come
/// back.
fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    if disk.exists(path)? {
        disk.remove(path)?;
    }
    disk.sync_folder_of(path)
}

/// Removes a journal that says nothing: it was made for its lock.
pub(super) fn remove_if_empty(
    disk: &dyn Disk,
    journal: &Path,
    locked: &dyn DiskFile,
) -> io::Result<()> {
    match locked.length()? {
        0 => disk.remove(journal)?,
        _ => return Ok(()),
    }
    disk.sync_folder_of(journal)
}
