//! Beginning a copy, or finding out where it goes on.

use super::{
    Arc, BeginEntry, CopyError, CopyOptions, CopyOutcome, Disk, DiskFile, FORMAT, FileCopy,
    Instant, Journal, JournalState, KnownSource, LoadedJournal, Method, Path, PathBuf, Progress,
    TargetPaths, io,
};
use crate::copy_change::CopyChange;
use crate::delta::OlderCopy;
use crate::journal::{MAX_LENGTH, claims};
use crate::{Chunks, ManifestFile, SourceCondition};
use evidence::SourceFile;
use std::sync::atomic::AtomicU64;
use target_disk::{NewAttributes, PathKind};

impl<'d> FileCopy<'d> {
    /// Looks at source and target, and begins the copy or finds where it goes on. Nothing of the source is copied
    /// yet, but its place is reserved.
    pub fn open(
        source: Arc<dyn SourceFile>,
        disk: &'d dyn Disk,
        target: impl Into<PathBuf>,
        options: CopyOptions,
        progress: &dyn Progress,
    ) -> Result<Self, CopyError> {
        let started = Instant::now();
        let candidate = CopyCandidate::at(source, disk, target.into(), options, progress)?;
        let mut opened = candidate.context().find()?;
        let CopyCandidate {
            source,
            paths,
            known,
            mut options,
            ..
        } = candidate;
        if let Some(manifest) = &options.manifest
            && !describes(manifest, &opened.state)
        {
            opened.remarks.push(
                "the manifest describes a source of another size, or has larger chunks: all of the source was read".into(),
            );
            options.manifest = None;
        }
        let complete = opened.state.complete.is_some();
        Ok(FileCopy {
            source,
            disk,
            resumed_at: opened.state.bytes_claimed(),
            journal: opened.journal,
            state: opened.state,
            partial: opened.partial,
            take_back: opened.take_back,
            older: opened.older,
            remarks: opened.remarks,
            paths,
            options,
            known,
            bytes_read: AtomicU64::new(0),
            reads_retried: AtomicU64::new(0),
            outcome: if complete {
                CopyOutcome::AlreadyComplete
            } else {
                CopyOutcome::Interrupted
            },
            started,
            seconds: None,
        })
    }
}

/// A source and a target that can be one copy, by what can be seen without changing anything.
pub(super) struct CopyCandidate<'d> {
    source: Arc<dyn SourceFile>,
    disk: &'d dyn Disk,
    pub(super) paths: TargetPaths,
    pub(super) known: KnownSource,
    pub(super) options: CopyOptions,
}

impl<'d> CopyCandidate<'d> {
    pub(super) fn at(
        source: Arc<dyn SourceFile>,
        disk: &'d dyn Disk,
        target: PathBuf,
        options: CopyOptions,
        progress: &dyn Progress,
    ) -> Result<Self, CopyError> {
        let paths = TargetPaths::new(target);
        not_the_source(&*source, disk, &paths)?;
        can_be_written(disk, &paths, &options)?;
        let known = KnownSource::read(&source, &options.read, progress)?;
        if let (SourceCondition::Dirty { .. }, false) = (&known.condition, options.allow_dirty) {
            return Err(dirty(&*source, &known.condition));
        }
        Ok(CopyCandidate {
            source,
            disk,
            paths,
            known,
            options,
        })
    }

    pub(super) fn context(&self) -> CopyContext<'_> {
        CopyContext {
            source: &*self.source,
            disk: self.disk,
            paths: &self.paths,
            known: &self.known,
            options: &self.options,
        }
    }
}

/// Whether the manifest is of a file like the source, cut at least as finely as the copy.
fn describes(manifest: &ManifestFile, state: &JournalState) -> bool {
    manifest.size == state.chunks.length() && manifest.chunk_size <= state.chunks.size()
}

fn own_names(paths: &TargetPaths) -> [&PathBuf; 4] {
    [
        &paths.target,
        &paths.partial,
        &paths.journal,
        &paths.old_journal,
    ]
}

fn not_the_source(
    source: &dyn SourceFile,
    disk: &dyn Disk,
    paths: &TargetPaths,
) -> Result<(), CopyError> {
    let Some(path) = source.path() else {
        return Ok(());
    };
    for own in own_names(paths) {
        if disk.is_same_file(path, own) {
            return Err(CopyError::SameFile { path: own.clone() });
        }
    }
    Ok(())
}

/// Why a journal cannot be opened.
pub(super) fn not_opened(journal: &Path, error: io::Error) -> CopyError {
    match error.kind() {
        io::ErrorKind::WouldBlock => CopyError::Locked {
            journal: journal.to_owned(),
        },
        _ => CopyError::target(journal, "open")(error),
    }
}

/// Whether the names are free, or hold files that may be changed or replaced.
fn can_be_written(
    disk: &dyn Disk,
    paths: &TargetPaths,
    options: &CopyOptions,
) -> Result<(), CopyError> {
    for own in own_names(paths) {
        let refused = |what| CopyError::NotAFile {
            path: own.clone(),
            what,
        };
        let place = disk.place(own).map_err(CopyError::target(own, "look at"))?;
        match place {
            PathKind::Free => {}
            // A link is replaced as a whole; what it leads to is never written.
            PathKind::Link if *own == paths.target && options.force && !options.delta => {}
            PathKind::Link => return Err(refused("a symbolic link")),
            PathKind::Folder => return Err(refused("a folder")),
            PathKind::Other => return Err(refused("not a file, but a device or a pipe")),
            PathKind::File { names, .. }
                if names > 1 && (options.delta || *own != paths.target) =>
            {
                return Err(CopyError::SeveralNames {
                    path: own.clone(),
                    names,
                });
            }
            PathKind::File { .. } => {}
        }
    }
    Ok(())
}

fn dirty(source: &dyn SourceFile, condition: &SourceCondition) -> CopyError {
    let (state, required) = match condition {
        SourceCondition::Dirty { state, required } => (state.clone(), *required),
        _ => (String::new(), None),
    };
    CopyError::Dirty {
        name: source.name(),
        state,
        required: required.map_or_else(String::new, |(first, last)| {
            format!("; it needs log generations {first} to {last} ({first:#x} to {last:#x})")
        }),
    }
}

/// What is needed to find out.
pub(super) struct CopyContext<'a> {
    source: &'a dyn SourceFile,
    disk: &'a dyn Disk,
    paths: &'a TargetPaths,
    known: &'a KnownSource,
    options: &'a CopyOptions,
}

struct OpenedCopy {
    journal: Journal,
    state: JournalState,
    partial: Option<Box<dyn DiskFile>>,
    take_back: Option<TakeBack>,
    older: Option<OlderCopy>,
    remarks: Vec<String>,
}

/// What opening a copy does; found out by looking only.
pub(super) enum CopyStart {
    /// It goes on where the journal ends, or is finished.
    GoOn(PartialCopy),
    /// It begins, and what the journal held is given up.
    Begin(Method),
}

/// The partial copy of a copy that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PartialCopy {
    /// All of it has arrived.
    NotNeeded,
    /// It is to be made: the copy was stopped before that.
    ToBeMade(Method),
    /// It is there.
    There,
}

/// How a copy of which nothing has arrived is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TakeBack {
    /// There is no partial copy of this run.
    Nothing,
    /// The partial copy is of this run.
    Remove,
    /// The partial copy is the older copy, unchanged; it gets its name back.
    Rename,
    /// The same, but it had the name of the partial copy before.
    Leave,
}

impl TakeBack {
    /// Leaves target and journal as they were. What cannot be taken back stays; the same command goes on from there.
    ///
    /// The journal comes last: as long as it says that the copy began, any step of this can be missing.
    pub(super) fn go(self, disk: &dyn Disk, paths: &TargetPaths) {
        // What a crash brings back of this is what the same command goes on from.
        let _ = self
            .give_partial_back(disk, paths)
            .and_then(|()| give_journal_back(disk, paths));
    }

    fn give_partial_back(self, disk: &dyn Disk, paths: &TargetPaths) -> io::Result<()> {
        match self {
            TakeBack::Nothing => return Ok(()),
            TakeBack::Remove => match disk.exists(&paths.partial)? {
                true => disk.remove(&paths.partial)?,
                false => return Ok(()),
            },
            TakeBack::Rename => {
                disk.open(&paths.partial)?.release_reserved()?;
                disk.rename(&paths.partial, &paths.target)?;
            }
            TakeBack::Leave => return disk.open(&paths.partial)?.release_reserved(),
        }
        disk.sync_folder_of(&paths.target)
    }
}

/// Makes the journal what it was before the copy began.
fn give_journal_back(disk: &dyn Disk, paths: &TargetPaths) -> io::Result<()> {
    match disk.exists(&paths.old_journal)? {
        true => disk.rename(&paths.old_journal, &paths.journal)?,
        false => disk.remove(&paths.journal)?,
    }
    disk.sync_folder_of(&paths.target)
}

/// Removes what the journal held before the copy began: from here on the copy is not taken back.
pub(crate) fn forget_old_journal(disk: &dyn Disk, paths: &TargetPaths) -> Result<(), CopyError> {
    let old = &paths.old_journal;
    let there = disk
        .exists(old)
        .map_err(CopyError::target(old, "look at"))?;
    match there {
        true => disk.remove(old).map_err(CopyError::target(old, "remove")),
        false => Ok(()),
    }
}

impl CopyContext<'_> {
    fn find(&self) -> Result<OpenedCopy, CopyError> {
        let journal_is_new = !self.exists(&self.paths.journal)?;
        let file = self.open_journal()?;
        let looked = LoadedJournal::read(&*file)
            .map_err(self.journal_error("read"))
            .and_then(|loaded| Ok((self.copy_start(&loaded)?, loaded)));
        match looked {
            Ok((CopyStart::Begin(method), loaded)) => self.begin(file, &loaded, method),
            Ok((CopyStart::GoOn(partial), loaded)) => self.go_on(file, &loaded, partial),
            Err(error) => {
                drop(file);
                if journal_is_new {
                    // It is empty and says nothing; that it stays would only be untidy.
                    let _ = self.disk.remove(&self.paths.journal);
                }
                Err(error)
            }
        }
    }

    /// What opening the copy would do; nothing is changed.
    pub(super) fn look(&self) -> Result<(CopyStart, LoadedJournal), CopyError> {
        let journal = &self.paths.journal;
        let loaded = match self.exists(journal)? {
            false => LoadedJournal::parse(&[]),
            true => {
                let opened = self.disk.look_at(journal);
                let file = opened.map_err(|error| not_opened(journal, error))?;
                LoadedJournal::read(&*file).map_err(self.journal_error("read"))?
            }
        };
        Ok((self.copy_start(&loaded)?, loaded))
    }

    fn copy_start(&self, loaded: &LoadedJournal) -> Result<CopyStart, CopyError> {
        match &loaded.state {
            Some(state) if !self.begins_anew(state)? => {
                let differences = self.differences(state);
                if !differences.is_empty() {
                    return Err(state.begin.source.refuse(&self.known.identity, differences));
                }
                self.partial_copy(state).map(CopyStart::GoOn)
            }
            _ => self.method_of_new_copy(loaded).map(CopyStart::Begin),
        }
    }

    /// Whether a journal that can be read is given up. One of a finished copy is when an older copy is to be brought
    /// up to date or replaced; one of a copy under way only when that is asked for.
    fn begins_anew(&self, state: &JournalState) -> Result<bool, CopyError> {
        if self.options.restart {
            return Ok(true);
        }
        if state.complete.is_none() {
            return Ok(false);
        }
        if !self.exists(&self.paths.target)? || self.since_finished(state)? == CopyChange::Changed {
            return Ok(true);
        }
        let changed = !self.differences(state).is_empty();
        Ok((self.options.delta && changed) || self.options.force)
    }

    fn since_finished(&self, state: &JournalState) -> Result<CopyChange, CopyError> {
        CopyChange::finished(self.disk, &self.paths.target, state)
    }

    /// What the journal of the older copy says about its chunks, if it should and can be trusted.
    fn older(
        &self,
        file: &dyn DiskFile,
        loaded: &LoadedJournal,
        remarks: &mut Vec<String>,
    ) -> Result<Option<OlderCopy>, CopyError> {
        let wanted = self.options.delta && self.options.trust_journal && !self.options.sha256;
        if !wanted || !self.exists(&self.paths.target)? {
            return Ok(None);
        }
        let finished = loaded
            .state
            .as_ref()
            .filter(|state| state.complete.is_some());
        let Some(state) = finished else {
            remarks.push(
                "there is no journal of a finished copy beside the older copy: it was read".into(),
            );
            return Ok(None);
        };
        if self.since_finished(state)? != CopyChange::Unchanged {
            remarks.push(
                "the older copy was changed since its journal was written: it was read".into(),
            );
            return Ok(None);
        }
        let claims = claims(file, loaded).map_err(self.journal_error("read"))?;
        Ok(OlderCopy::new(state.chunks, claims))
    }

    fn differences(&self, state: &JournalState) -> Vec<String> {
        state.begin.source.differences(&self.known.identity)
    }

    fn begin(
        &self,
        file: Box<dyn DiskFile>,
        loaded: &LoadedJournal,
        method: Method,
    ) -> Result<OpenedCopy, CopyError> {
        let mut remarks = Vec::new();
        let older = self.older(&*file, loaded, &mut remarks)?;
        let size = older
            .as_ref()
            .map_or(self.options.chunk_size, OlderCopy::chunk_size);
        let length = self.known.identity.length;
        let chunks = Chunks::new(length, size).ok_or(CopyError::ChunkSize { size })?;
        let half_done = self.exists(&self.paths.partial)?;
        if half_done && (method != Method::Delta || self.exists(&self.paths.target)?) {
            // Its space may be needed. Without it, what the journal says of it is of no use.
            self.disk
                .remove(&self.paths.partial)
                .map_err(CopyError::target(&self.paths.partial, "remove"))?;
            forget_old_journal(self.disk, self.paths)?;
            self.sync_folder()?;
        } else {
            self.keep_journal(&*file)?;
        }
        let begin = BeginEntry {
            format: FORMAT.into(),
            method,
            chunk_size: size,
            source: self.known.identity.clone(),
        };
        let mut journal = Journal::new(file);
        let started = journal
            .start(begin.clone())
            .map_err(self.journal_error("write"))
            .and_then(|()| self.sync_folder());
        if let Err(error) = started {
            TakeBack::Nothing.go(self.disk, self.paths);
            return Err(error);
        }
        let (partial, take_back) = self.make_partial(method)?;
        if self.options.delta && method != Method::Delta {
            remarks
                .push("there is no older copy to bring up to date: everything was copied".into());
        }
        Ok(OpenedCopy {
            journal,
            state: JournalState::new(begin, chunks),
            partial: Some(partial),
            take_back: Some(take_back),
            older,
            remarks,
        })
    }

    /// Keeps what the journal holds beside it, until the copy is not taken back any more.
    fn keep_journal(&self, file: &dyn DiskFile) -> Result<(), CopyError> {
        let old = &self.paths.old_journal;
        forget_old_journal(self.disk, self.paths)?;
        let bytes = file
            .read_all(MAX_LENGTH)
            .map_err(self.journal_error("read"))?;
        if !bytes.is_empty() {
            let kept = self.disk.create(old).and_then(|kept| {
                kept.write_all_at(&bytes, 0)?;
                kept.sync_all()
            });
            if let Err(error) = kept {
                // What a full disk takes of it is of no use, and its being there would only be untidy.
                let _ = self.disk.remove(old);
                return Err(CopyError::target(old, "write")(error));
            }
        }
        self.sync_folder()
    }

    /// How a copy that begins now gets its bytes, if nothing is in its way.
    fn method_of_new_copy(&self, loaded: &LoadedJournal) -> Result<Method, CopyError> {
        if self.exists(&self.paths.partial)? && !self.options.restart {
            if loaded.dropped > 0 {
                return Err(self.bad_journal(
                    "its first entry is damaged, or of another version: which source the partial copy was made from is not known",
                ));
            }
            return Err(CopyError::TargetExists {
                path: self.paths.partial.clone(),
                why: ", and no journal says what it is a copy of",
            });
        }
        // A delta that was given up left the older copy, half brought up to date, under the name of the partial one.
        let older = self.exists(&self.paths.target)?
            || (self.options.delta && self.exists(&self.paths.partial)?);
        match (older, self.options.delta, self.options.force) {
            (true, true, _) => Ok(Method::Delta),
            (false, ..) | (true, false, true) => {
                let shared = self
                    .source
                    .path()
                    .is_some_and(|path| self.disk.can_share(path, &self.paths.partial));
                Ok(if shared { Method::Shared } else { Method::Full })
            }
            (true, false, false) => Err(CopyError::TargetExists {
                path: self.paths.target.clone(),
                why: "",
            }),
        }
    }

    fn go_on(
        &self,
        file: Box<dyn DiskFile>,
        loaded: &LoadedJournal,
        partial: PartialCopy,
    ) -> Result<OpenedCopy, CopyError> {
        let Some(state) = &loaded.state else {
            return Err(self.bad_journal("its first entry is damaged"));
        };
        let mut remarks = Vec::new();
        if loaded.damaged {
            remarks.push(format!(
                "the journal was damaged: its last {} bytes were dropped, and what they claimed is copied again",
                loaded.dropped
            ));
        }
        if state.chunks.size() != self.options.chunk_size {
            remarks.push(format!(
                "the copy goes on in chunks of {} bytes, as it began",
                state.chunks.size()
            ));
        }
        let (partial, take_back) = match partial {
            PartialCopy::NotNeeded => (None, None),
            PartialCopy::ToBeMade(method) => {
                let (partial, take_back) = self.make_partial(method)?;
                (Some(partial), Some(take_back))
            }
            PartialCopy::There => (Some(self.open_partial(state)?), None),
        };
        let journal = Journal::resume(file, loaded).map_err(self.journal_error("write"))?;
        if !state.hashes.is_empty() {
            forget_old_journal(self.disk, self.paths)?;
        }
        Ok(OpenedCopy {
            journal,
            state: state.clone(),
            partial,
            take_back,
            older: None,
            remarks,
        })
    }

    /// The partial copy as the journal says it must be there.
    fn partial_copy(&self, state: &JournalState) -> Result<PartialCopy, CopyError> {
        let target = self.exists(&self.paths.target)?;
        let at = CopyError::target(&self.paths.partial, "look at");
        let partial = self.disk.place(&self.paths.partial).map_err(at)?;
        match (partial, state.arrived.is_some()) {
            (PathKind::Free, true) if !target => {
                Err(self.gone("all of it had arrived, but it is gone"))
            }
            (PathKind::Free, true) => Ok(PartialCopy::NotNeeded),
            // Whatever it is, it came there after the copy began, or the same command says --force.
            (_, arrived)
                if target && !self.options.force && (arrived || partial != PathKind::Free) =>
            {
                Err(CopyError::TargetExists {
                    path: self.paths.target.clone(),
                    why: ", and an interrupted copy would replace it",
                })
            }
            (_, true) => Ok(PartialCopy::NotNeeded),
            (PathKind::Free, false) if state.hashes.is_empty() => {
                Ok(PartialCopy::ToBeMade(state.begin.method))
            }
            (PathKind::Free, false) => {
                Err(self.gone("the journal says what is in it, but it is gone"))
            }
            (
                PathKind::File {
                    length: Some(length),
                    ..
                },
                false,
            ) => {
                self.check_length(state, length)?;
                Ok(PartialCopy::There)
            }
            (_, false) => Ok(PartialCopy::There),
        }
    }

    fn check_length(&self, state: &JournalState, length: u64) -> Result<(), CopyError> {
        let fits = match state.begin.method {
            // An older copy is given its length when all has arrived.
            Method::Delta => length >= state.bytes_claimed(),
            Method::Full | Method::Shared => length == state.chunks.length(),
        };
        match state.hashes.is_empty() || fits {
            true => Ok(()),
            false => Err(self.gone("its length is not the one that it was given: it was changed")),
        }
    }

    fn gone(&self, why: &str) -> CopyError {
        CopyError::PartialGone {
            partial: self.paths.partial.clone(),
            why: why.into(),
        }
    }

    fn open_partial(&self, state: &JournalState) -> Result<Box<dyn DiskFile>, CopyError> {
        let at = |action| CopyError::target(&self.paths.partial, action);
        let file = self.disk.open(&self.paths.partial).map_err(at("open"))?;
        if state.hashes.is_empty() {
            self.reserve(&*file, state.begin.method)?;
        } else {
            self.check_length(state, file.length().map_err(at("look at"))?)?;
        }
        Ok(file)
    }

    /// Creates the partial copy, or makes the older copy one; and how that is taken back. Nothing of it stays when
    /// that fails.
    fn make_partial(&self, method: Method) -> Result<(Box<dyn DiskFile>, TakeBack), CopyError> {
        let mut take_back = TakeBack::Nothing;
        match self.try_to_make_partial(method, &mut take_back) {
            Ok(file) => Ok((file, take_back)),
            Err(error) => {
                take_back.go(self.disk, self.paths);
                Err(error)
            }
        }
    }

    fn try_to_make_partial(
        &self,
        method: Method,
        take_back: &mut TakeBack,
    ) -> Result<Box<dyn DiskFile>, CopyError> {
        let TargetPaths {
            target, partial, ..
        } = self.paths;
        let at = |action| CopyError::target(partial, action);
        if method != Method::Delta {
            *take_back = TakeBack::Remove;
        }
        if let (Method::Shared, Some(source)) = (method, self.source.path()) {
            // A kind of file system that can, made without: everything will differ, and be written.
            if let Ok(file) = self.disk.create_sharing(source, partial) {
                self.close_to_others()?;
                file.sync_all().map_err(at("sync"))?;
                self.sync_folder()?;
                return Ok(file);
            }
        }
        let file = match method {
            Method::Full | Method::Shared => {
                let file = self.disk.create(partial).map_err(at("create"))?;
                self.close_to_others()?;
                file
            }
            Method::Delta => {
                let renames = self.exists(target)?;
                let older = if renames { target } else { partial };
                // Whether it can be written; Windows renames no file that is open.
                drop(self.disk.open(older).map_err(at("open"))?);
                if renames {
                    self.disk.rename(target, partial).map_err(at("rename to"))?;
                    *take_back = TakeBack::Rename;
                    self.sync_folder()?;
                } else {
                    *take_back = TakeBack::Leave;
                }
                self.disk.open(partial).map_err(at("open"))?
            }
        };
        self.reserve(&*file, method)?;
        self.sync_folder()?;
        Ok(file)
    }

    /// Whoever may not read the source is not to read what arrives of it.
    fn close_to_others(&self) -> Result<(), CopyError> {
        let partial = &self.paths.partial;
        let attributes = self.source.path().and_then(NewAttributes::under_way);
        attributes.map_or(Ok(()), |attributes| {
            let set = self.disk.set_attributes(partial, &attributes);
            set.map_err(CopyError::target(partial, "set permissions of"))
        })
    }

    fn reserve(&self, file: &dyn DiskFile, method: Method) -> Result<(), CopyError> {
        let length = self.known.identity.length;
        let reserved = match method {
            Method::Delta => file.reserve(length),
            Method::Full | Method::Shared => file.allocate(length),
        };
        let reserved = reserved.and_then(|()| file.sync_all());
        reserved.map_err(CopyError::target(&self.paths.partial, "reserve space"))
    }

    fn open_journal(&self) -> Result<Box<dyn DiskFile>, CopyError> {
        let path = &self.paths.journal;
        self.disk
            .open_locked(path)
            .map_err(|error| not_opened(path, error))
    }

    fn exists(&self, path: &Path) -> Result<bool, CopyError> {
        self.disk
            .exists(path)
            .map_err(CopyError::target(path, "look at"))
    }

    fn sync_folder(&self) -> Result<(), CopyError> {
        self.disk
            .sync_folder_of(&self.paths.target)
            .map_err(CopyError::target(&self.paths.target, "sync the folder of"))
    }

    fn journal_error(&self, action: &'static str) -> impl FnOnce(io::Error) -> CopyError {
        CopyError::target(&self.paths.journal, action)
    }

    fn bad_journal(&self, why: &str) -> CopyError {
        CopyError::BadJournal {
            journal: self.paths.journal.clone(),
            why: why.into(),
        }
    }
}
