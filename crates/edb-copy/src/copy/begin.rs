//! Beginning a copy, or finding out where it goes on.

use super::{
    Arc, Begin, CopyError, CopyOptions, Disk, DiskFile, FORMAT, FileCopy, Instant, Journal,
    JournalState, Known, Loaded, Method, Outcome, Path, PathBuf, Progress, Source, TargetPaths, io,
};
use crate::delta::Older;
use crate::journal::claims;
use crate::{ChunkHash, Chunks, Condition, Glance, ManifestFile};
use jiff::Timestamp;
use std::sync::atomic::AtomicU64;

impl<'d> FileCopy<'d> {
    /// Looks at source and target, and begins the copy or finds where it goes on. Nothing of the source is copied
    /// yet, but its place is reserved.
    pub fn open(
        source: Arc<dyn Source>,
        disk: &'d dyn Disk,
        target: impl Into<PathBuf>,
        options: CopyOptions,
        progress: &dyn Progress,
    ) -> Result<Self, CopyError> {
        let started = Instant::now();
        let mut options = options;
        let paths = TargetPaths::new(target);
        not_the_source(&*source, &paths)?;
        let known = Known::read(&source, &options.read, progress)?;
        if let (Condition::Dirty { .. }, false) = (&known.condition, options.allow_dirty) {
            return Err(dirty(&*source, &known.condition));
        }
        let begin = Beginning {
            source: &*source,
            disk,
            paths: &paths,
            known: &known,
            options: &options,
        };
        let mut begun = begin.find()?;
        if let Some(manifest) = &options.manifest
            && !describes(manifest, &begun.state)
        {
            begun.remarks.push(
                "the manifest is of a source of another size, or in larger chunks: all of the source was read".into(),
            );
            options.manifest = None;
        }
        let published = begun.state.published.is_some();
        Ok(FileCopy {
            source,
            disk,
            resumed_at: begun.state.bytes_claimed(),
            journal: begun.journal,
            state: begun.state,
            partial: begun.partial,
            older: begun.older,
            remarks: begun.remarks,
            paths,
            options,
            known,
            bytes_read: AtomicU64::new(0),
            reads_retried: AtomicU64::new(0),
            outcome: if published {
                Outcome::AlreadyComplete
            } else {
                Outcome::Interrupted
            },
            started,
            seconds: None,
        })
    }
}

/// Whether the manifest is of a file like the source, cut at least as finely as the copy.
fn describes(manifest: &ManifestFile, state: &JournalState) -> bool {
    manifest.size == state.chunks.length() && manifest.chunk_size <= state.chunks.size()
}

fn not_the_source(source: &dyn Source, paths: &TargetPaths) -> Result<(), CopyError> {
    let Some(Ok(path)) = source.path().map(Path::canonicalize) else {
        return Ok(());
    };
    for own in [&paths.target, &paths.partial, &paths.journal] {
        if own.canonicalize().is_ok_and(|own| own == path) {
            return Err(CopyError::SameFile { path: own.clone() });
        }
    }
    Ok(())
}

fn dirty(source: &dyn Source, condition: &Condition) -> CopyError {
    let (state, required) = match condition {
        Condition::Dirty { state, required } => (state.clone(), *required),
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
struct Beginning<'a> {
    source: &'a dyn Source,
    disk: &'a dyn Disk,
    paths: &'a TargetPaths,
    known: &'a Known,
    options: &'a CopyOptions,
}

struct Begun {
    journal: Journal,
    state: JournalState,
    partial: Option<Box<dyn DiskFile>>,
    older: Option<Older>,
    remarks: Vec<String>,
}

/// Whether somebody changed a finished copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    /// Length, modification time and start are as they were left.
    Unchanged,
    /// One of them is another.
    Changed,
    /// There is no modification time to compare.
    Unknown,
}

impl Beginning<'_> {
    fn find(&self) -> Result<Begun, CopyError> {
        let journal_is_new = !self.exists(&self.paths.journal)?;
        let file = self.open_journal()?;
        let loaded = Loaded::read(&*file).map_err(self.journal_error("read"))?;
        let begun = match &loaded.state {
            Some(state) if !self.begins_anew(state)? => self.go_on(file, &loaded, state),
            _ => self.begin(file, &loaded),
        };
        if begun.is_err() && journal_is_new {
            // It is empty and says nothing; that it stays would only be untidy.
            let _ = self.disk.remove(&self.paths.journal);
        }
        begun
    }

    /// Whether a journal that can be read is given up. One of a finished copy is when an older copy is to be brought
    /// up to date or replaced; one of a copy under way only when that is asked for.
    fn begins_anew(&self, state: &JournalState) -> Result<bool, CopyError> {
        if self.options.restart {
            return Ok(true);
        }
        if state.published.is_none() {
            return Ok(false);
        }
        if !self.exists(&self.paths.target)? || self.since_published(state)? == Since::Changed {
            return Ok(true);
        }
        let changed = !self.differences(state).is_empty();
        Ok((self.options.delta && changed) || self.options.force)
    }

    /// Whether the finished copy that the journal tells of is still what it was.
    fn since_published(&self, state: &JournalState) -> Result<Since, CopyError> {
        let Some(published) = &state.published else {
            return Ok(Since::Unknown);
        };
        let target = &self.paths.target;
        let glance = self.disk.glance(target);
        let Glance {
            length,
            modified,
            start,
        } = glance.map_err(CopyError::target(target, "look at"))?;
        let start = ChunkHash(*blake3::hash(&start).as_bytes());
        if (length, start) != (published.length, state.begin.source.start_blake3) {
            return Ok(Since::Changed);
        }
        let modified: Option<Timestamp> = modified.and_then(|time| time.try_into().ok());
        Ok(match (modified, published.modified) {
            (Some(now), Some(then)) if now == then => Since::Unchanged,
            (Some(_), Some(_)) => Since::Changed,
            _ => Since::Unknown,
        })
    }

    /// What the journal of the older copy says of its chunks, if that is to be believed and can be.
    fn older(
        &self,
        file: &dyn DiskFile,
        loaded: &Loaded,
        remarks: &mut Vec<String>,
    ) -> Result<Option<Older>, CopyError> {
        let wanted = self.options.delta && self.options.trust_journal && !self.options.sha256;
        if !wanted || !self.exists(&self.paths.target)? {
            return Ok(None);
        }
        let finished = loaded
            .state
            .as_ref()
            .filter(|state| state.published.is_some());
        let Some(state) = finished else {
            remarks.push(
                "no journal of a finished copy lies beside the older copy: it was read".into(),
            );
            return Ok(None);
        };
        if self.since_published(state)? != Since::Unchanged {
            remarks.push(
                "the older copy was changed since its journal was written: it was read".into(),
            );
            return Ok(None);
        }
        let claims = claims(file, loaded).map_err(self.journal_error("read"))?;
        Ok(Older::new(state.chunks, claims))
    }

    fn differences(&self, state: &JournalState) -> Vec<String> {
        state.begin.source.differences(&self.known.identity)
    }

    fn begin(&self, file: Box<dyn DiskFile>, loaded: &Loaded) -> Result<Begun, CopyError> {
        let method = self.method_of_new_copy(loaded)?;
        let mut remarks = Vec::new();
        let older = self.older(&*file, loaded, &mut remarks)?;
        let size = older
            .as_ref()
            .map_or(self.options.chunk_size, Older::chunk_size);
        let length = self.known.identity.length;
        let chunks = Chunks::new(length, size).ok_or(CopyError::ChunkSize { size })?;
        let half_done = self.exists(&self.paths.partial)?;
        if half_done && (method != Method::Delta || self.exists(&self.paths.target)?) {
            self.disk
                .remove(&self.paths.partial)
                .map_err(CopyError::target(&self.paths.partial, "remove"))?;
            self.sync_folder()?;
        }
        let begin = Begin {
            format: FORMAT.into(),
            method,
            chunk_size: size,
            source: self.known.identity.clone(),
        };
        let journal = Journal::start(file, begin.clone()).map_err(self.journal_error("write"))?;
        self.sync_folder()?;
        let partial = self.make_partial(method)?;
        if self.options.delta && method != Method::Delta {
            remarks
                .push("there is no older copy to bring up to date: everything was copied".into());
        }
        Ok(Begun {
            journal,
            state: JournalState::new(begin, chunks),
            partial: Some(partial),
            older,
            remarks,
        })
    }

    /// How a copy that begins now gets its bytes, if nothing stands in its way.
    fn method_of_new_copy(&self, loaded: &Loaded) -> Result<Method, CopyError> {
        if self.exists(&self.paths.partial)? && !self.options.restart {
            if loaded.dropped > 0 {
                return Err(self.bad_journal(
                    "its first entry is damaged: what the partial copy is of cannot be told",
                ));
            }
            return Err(CopyError::TargetExists {
                path: self.paths.partial.clone(),
                why: ", and no journal says what it is of",
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
        loaded: &Loaded,
        state: &JournalState,
    ) -> Result<Begun, CopyError> {
        let differences = self.differences(state);
        if !differences.is_empty() {
            return Err(CopyError::SourceChanged {
                name: self.known.identity.name.clone(),
                differences,
            });
        }
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
        let partial = self.find_partial(state)?;
        let journal = Journal::resume(file, loaded).map_err(self.journal_error("write"))?;
        Ok(Begun {
            journal,
            state: state.clone(),
            partial,
            older: None,
            remarks,
        })
    }

    /// The partial copy as the journal says it must be there.
    fn find_partial(&self, state: &JournalState) -> Result<Option<Box<dyn DiskFile>>, CopyError> {
        let gone = |why: &str| CopyError::PartialGone {
            partial: self.paths.partial.clone(),
            why: why.into(),
        };
        let partial = self.exists(&self.paths.partial)?;
        let target = self.exists(&self.paths.target)?;
        match (partial, state.complete.is_some(), target) {
            (true, true, _) => Ok(None),
            (false, true, true) => Ok(None),
            (false, true, false) => Err(gone("it was complete, and is gone")),
            (false, false, _) if state.hashes.is_empty() => {
                self.make_partial(state.begin.method).map(Some)
            }
            (false, false, _) => Err(gone("the journal says what is in it, but it is gone")),
            (true, false, _) => self.open_partial(state, gone).map(Some),
        }
    }

    fn open_partial(
        &self,
        state: &JournalState,
        gone: impl Fn(&str) -> CopyError,
    ) -> Result<Box<dyn DiskFile>, CopyError> {
        let at = |action| CopyError::target(&self.paths.partial, action);
        let file = self.disk.open(&self.paths.partial).map_err(at("open"))?;
        let length = state.chunks.length();
        if state.hashes.is_empty() {
            self.reserve(&*file)?;
        } else if file.length().map_err(at("look at"))? != length {
            return Err(gone(
                "its length is not what it was given: somebody changed it",
            ));
        }
        Ok(file)
    }

    /// Creates the partial copy, or makes the older copy one.
    fn make_partial(&self, method: Method) -> Result<Box<dyn DiskFile>, CopyError> {
        let TargetPaths {
            target, partial, ..
        } = self.paths;
        let at = |action| CopyError::target(partial, action);
        if let (Method::Shared, Some(source)) = (method, self.source.path()) {
            // A kind of file system that can, made without: everything will differ, and be written.
            if let Ok(file) = self.disk.create_sharing(source, partial) {
                file.sync_all().map_err(at("sync"))?;
                self.sync_folder()?;
                return Ok(file);
            }
        }
        let file = match method {
            Method::Full | Method::Shared => self.disk.create(partial).map_err(at("create"))?,
            Method::Delta => {
                if self.exists(target)? {
                    self.disk.rename(target, partial).map_err(at("rename to"))?;
                    self.sync_folder()?;
                }
                self.disk.open(partial).map_err(at("open"))?
            }
        };
        self.reserve(&*file)?;
        self.sync_folder()?;
        Ok(file)
    }

    fn reserve(&self, file: &dyn DiskFile) -> Result<(), CopyError> {
        let reserved = file
            .allocate(self.known.identity.length)
            .and_then(|()| file.sync_all());
        reserved.map_err(CopyError::target(&self.paths.partial, "reserve space"))
    }

    fn open_journal(&self) -> Result<Box<dyn DiskFile>, CopyError> {
        let path = &self.paths.journal;
        self.disk
            .open_journal(path)
            .map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock => CopyError::Locked {
                    journal: path.clone(),
                },
                _ => CopyError::target(path, "open")(error),
            })
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
