//! Beginning a copy, or finding out where it goes on.

use super::begun::{self, AtTarget, Begun, Kept};
use super::{
    Arc, BeginEntry, CopyError, CopyOptions, CopyOutcome, Disk, DiskFile, FORMAT, FileCopy,
    Instant, Journal, JournalState, KnownSource, LoadedJournal, Method, Path, PathBuf, Progress,
    TargetPaths, io,
};
use crate::copy_change::CopyChange;
use crate::delta::OlderCopy;
use crate::journal::claims;
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
        let paths = TargetPaths::new(target);
        names_can_be_used(&*source, disk, &paths, &options)?;
        // Also where the source is refused now, all is to be as it was before the copy that was killed. What is in the
        // way of that is told when the copy is opened.
        let _ = begun::undo_begun(disk, &paths.target);
        let candidate = CopyCandidate::of(source, disk, paths, options, progress)?;
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
            begun: opened.begun,
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
    /// Looks at a source, once [`names_can_be_used`].
    pub(super) fn of(
        source: Arc<dyn SourceFile>,
        disk: &'d dyn Disk,
        paths: TargetPaths,
        options: CopyOptions,
        progress: &dyn Progress,
    ) -> Result<Self, CopyError> {
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

    pub(super) fn context(&self) -> CopyContext<'_, 'd> {
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
        &paths.new_journal,
    ]
}

/// Whether what is under the names of a copy is not the source, and may be changed or replaced.
pub(super) fn names_can_be_used(
    source: &dyn SourceFile,
    disk: &dyn Disk,
    paths: &TargetPaths,
    options: &CopyOptions,
) -> Result<(), CopyError> {
    not_the_source(source, disk, paths)?;
    can_be_written(disk, paths, options)
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

/// A copy that begins.
struct NewCopy {
    begin: BeginEntry,
    chunks: Chunks,
    older: Option<OlderCopy>,
    remarks: Vec<String>,
}

/// What is needed to find out.
pub(super) struct CopyContext<'a, 'd> {
    source: &'a dyn SourceFile,
    disk: &'d dyn Disk,
    paths: &'a TargetPaths,
    known: &'a KnownSource,
    options: &'a CopyOptions,
}

struct OpenedCopy<'d> {
    journal: Journal,
    state: JournalState,
    partial: Option<Box<dyn DiskFile>>,
    begun: Begun<'d>,
    older: Option<OlderCopy>,
    remarks: Vec<String>,
}

/// What opening a copy does; found out by looking only.
pub(super) enum CopyStart {
    /// It goes on where the journal ends, or is finished.
    GoOn(PartialCopy),
    /// It begins, and what the journal holds is given up.
    Begin(Method),
}

/// The partial copy of a copy that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PartialCopy {
    /// All of it has arrived.
    NotNeeded,
    /// It is there.
    There,
}

/// What can be seen at the target, and what follows from it.
pub(super) struct Look {
    pub(super) start: CopyStart,
    pub(super) loaded: LoadedJournal,
    pub(super) at_target: AtTarget,
}

impl<'d> CopyContext<'_, 'd> {
    fn find(&self) -> Result<OpenedCopy<'d>, CopyError> {
        let file: Arc<dyn DiskFile> = self.open_journal()?.into();
        // That a journal stays which was made for its lock only would be untidy.
        let tidy_up = |_: &CopyError| {
            let _ = begun::remove_if_empty(self.disk, &self.paths.journal, &*file);
        };
        let look = self.undo_and_look(&*file).inspect_err(tidy_up)?;
        match look.start {
            CopyStart::GoOn(partial) => self.go_on(file, &look.loaded, partial),
            CopyStart::Begin(method) => {
                let new = self.new_copy(&*file, &look, method).inspect_err(tidy_up)?;
                let kept = self.give_up(&*file, &look, &new.begin);
                let kept = kept.inspect_err(tidy_up)?;
                self.begin(file, new, kept)
            }
        }
    }

    fn undo_and_look(&self, file: &dyn DiskFile) -> Result<Look, CopyError> {
        begun::undo(self.disk, self.paths, file).map_err(CopyError::target(
            &self.paths.new_journal,
            "take back the copy of",
        ))?;
        let loaded = LoadedJournal::read(file).map_err(self.journal_error("read"))?;
        self.look_at(loaded)
    }

    /// What opening the copy would do; nothing is changed.
    pub(super) fn look(&self) -> Result<Look, CopyError> {
        let journal = &self.paths.journal;
        let loaded = match self.exists(journal)? {
            false => LoadedJournal::parse(&[]),
            true => {
                let opened = self.disk.look_at(journal);
                let file = opened.map_err(|error| not_opened(journal, error))?;
                LoadedJournal::read(&*file).map_err(self.journal_error("read"))?
            }
        };
        self.look_at(loaded)
    }

    fn look_at(&self, loaded: LoadedJournal) -> Result<Look, CopyError> {
        let at_target = AtTarget::look(self.disk, self.paths, &loaded)?;
        Ok(Look {
            start: self.copy_start(&loaded, &at_target)?,
            loaded,
            at_target,
        })
    }

    fn copy_start(
        &self,
        loaded: &LoadedJournal,
        at_target: &AtTarget,
    ) -> Result<CopyStart, CopyError> {
        match &loaded.state {
            Some(state) if !self.begins_anew(state, at_target)? => {
                let differences = self.differences(state);
                if !differences.is_empty() {
                    return Err(state.begin.source.refuse(&self.known.identity, differences));
                }
                self.partial_copy(state, at_target).map(CopyStart::GoOn)
            }
            _ => self
                .method_of_new_copy(loaded, at_target)
                .map(CopyStart::Begin),
        }
    }

    /// Whether a journal that can be read is given up. One of a finished copy is when an older copy is to be brought
    /// up to date or replaced; one of a copy under way only when that is asked for, or when nothing came of it.
    fn begins_anew(&self, state: &JournalState, at_target: &AtTarget) -> Result<bool, CopyError> {
        if self.options.restart {
            return Ok(true);
        }
        if state.complete.is_none() {
            return Ok(state.has_only_begun() && at_target.partial == PathKind::Free);
        }
        let Some(target) = &at_target.target else {
            return Ok(true);
        };
        if CopyChange::finished(self.disk, target, state)? == CopyChange::Changed {
            return Ok(true);
        }
        let changed = !self.differences(state).is_empty();
        Ok((self.options.delta && changed) || self.options.force)
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
        if CopyChange::finished(self.disk, &self.paths.target, state)? != CopyChange::Unchanged {
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

    /// What is found out before anything is changed for a copy that begins.
    fn new_copy(
        &self,
        file: &dyn DiskFile,
        look: &Look,
        method: Method,
    ) -> Result<NewCopy, CopyError> {
        let mut remarks = Vec::new();
        let older = self.older(file, &look.loaded, &mut remarks)?;
        let size = older
            .as_ref()
            .map_or(self.options.chunk_size, OlderCopy::chunk_size);
        let length = self.known.identity.length;
        let chunks = Chunks::new(length, size).ok_or(CopyError::ChunkSize { size })?;
        if self.options.delta && method != Method::Delta {
            remarks
                .push("there is no older copy to bring up to date: everything was copied".into());
        }
        let begin = BeginEntry {
            format: FORMAT.into(),
            method,
            chunk_size: size,
            source: self.known.identity.clone(),
            from_target: method == Method::Delta && look.at_target.target.is_some(),
        };
        Ok(NewCopy {
            begin,
            chunks,
            older,
            remarks,
        })
    }

    fn begin(
        &self,
        file: Arc<dyn DiskFile>,
        new: NewCopy,
        kept: Kept,
    ) -> Result<OpenedCopy<'d>, CopyError> {
        let begun = Begun::new(self.disk, self.paths, file, kept);
        let mut journal = Journal::new(begun.journal());
        let partial = journal
            .start(new.begin.clone())
            .map_err(self.journal_error("write"))
            .and_then(|()| self.sync_folder())
            .and_then(|()| self.make_partial(new.begin.method))
            .inspect_err(|_| begun.take_back())?;
        Ok(OpenedCopy {
            journal,
            state: JournalState::new(new.begin, new.chunks),
            partial: Some(partial),
            begun,
            older: new.older,
            remarks: new.remarks,
        })
    }

    /// Removes what is given up at once. The rest is kept: an older copy, and what the journal holds, unless that is of no
    /// use.
    fn give_up(
        &self,
        file: &dyn DiskFile,
        look: &Look,
        begin: &BeginEntry,
    ) -> Result<Kept, CopyError> {
        let partial = look.at_target.partial != PathKind::Free;
        let gives_up = partial && (begin.method != Method::Delta || begin.from_target);
        let of_use = match &look.loaded.state {
            Some(state) => state.complete.is_some() || (partial && !gives_up),
            None => !look.loaded.torn && !gives_up,
        };
        // A journal never says more than is there: it goes before the partial copy does.
        if !of_use && !look.loaded.is_empty() {
            file.set_length(0)
                .and_then(|()| file.sync_all())
                .map_err(self.journal_error("write"))?;
        }
        if gives_up {
            // Its space may be needed.
            self.disk
                .remove(&self.paths.partial)
                .map_err(CopyError::target(&self.paths.partial, "remove"))?;
            self.sync_folder()?;
        }
        if !of_use && begin.method != Method::Delta {
            return Ok(Kept::Nothing);
        }
        let path = &self.paths.new_journal;
        let created = self.disk.create(path);
        Ok(Kept::All {
            new_journal: created.map_err(CopyError::target(path, "create"))?.into(),
            renames: begin.from_target,
        })
    }

    /// How a copy that begins now gets its bytes, if nothing is in its way.
    fn method_of_new_copy(
        &self,
        loaded: &LoadedJournal,
        at_target: &AtTarget,
    ) -> Result<Method, CopyError> {
        if at_target.foreign_journal {
            return Err(CopyError::ForeignJournal {
                path: self.paths.new_journal.clone(),
            });
        }
        let half_done = at_target.partial != PathKind::Free;
        if half_done && !self.options.restart {
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
        let older = at_target.target.is_some() || (self.options.delta && half_done);
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
        file: Arc<dyn DiskFile>,
        loaded: &LoadedJournal,
        partial: PartialCopy,
    ) -> Result<OpenedCopy<'d>, CopyError> {
        let Some(state) = &loaded.state else {
            return Err(self.bad_journal("its first entry is damaged"));
        };
        // The names under which all of it is found may be those of a process that was killed before it synced them.
        self.sync_folder()?;
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
        let partial = match partial {
            PartialCopy::There => Some(self.open_partial(state)?),
            PartialCopy::NotNeeded => None,
        };
        let begun = Begun::new(self.disk, self.paths, file, Kept::NotAnyMore);
        let journal =
            Journal::resume(begun.journal(), loaded).map_err(self.journal_error("write"))?;
        Ok(OpenedCopy {
            journal,
            state: state.clone(),
            partial,
            begun,
            older: None,
            remarks,
        })
    }

    /// The partial copy as the journal says it must be there.
    fn partial_copy(
        &self,
        state: &JournalState,
        at_target: &AtTarget,
    ) -> Result<PartialCopy, CopyError> {
        let target = at_target.target.is_some();
        match (at_target.partial, state.arrived.is_some()) {
            (PathKind::Free, true) if !target => {
                Err(self.gone("all of it had arrived, but it is gone"))
            }
            (PathKind::Free, true) => Ok(PartialCopy::NotNeeded),
            (PathKind::Free, false) => {
                Err(self.gone("the journal says what is in it, but it is gone"))
            }
            // It came there after the copy began, unless the same command says --force.
            _ if target && !self.options.force => Err(CopyError::TargetExists {
                path: self.paths.target.clone(),
                why: ", and an interrupted copy would replace it",
            }),
            (_, true) => Ok(PartialCopy::NotNeeded),
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
        match state.has_only_begun() || fits {
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

    /// Creates the partial copy, or opens the older copy that will be it; its space is reserved.
    fn make_partial(&self, method: Method) -> Result<Box<dyn DiskFile>, CopyError> {
        let TargetPaths {
            target, partial, ..
        } = self.paths;
        let at = |action| CopyError::target(partial, action);
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
                let older = match self.exists(target)? {
                    true => target,
                    false => partial,
                };
                let opened = self.disk.open(older);
                opened.map_err(CopyError::target(older, "open"))?
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
