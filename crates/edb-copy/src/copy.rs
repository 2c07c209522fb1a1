//! The copy of one file: begin or go on, bring the chunks over, close, give it its name.
//!
//! Every step can be stopped at any point and done again (`docs/format/copy-journal.md`, "Order of writing").

use crate::commit::ChunkCommit;
use crate::delta::{self, Blocks, OlderCopy};
use crate::digest::{OrderedSha256, Sha256Sum};
use crate::identity::KnownSource;
use crate::journal::{
    ArrivedEntry, BeginEntry, Claim, CompleteEntry, FINDINGS_KEPT, FORMAT, Journal, JournalEntry,
    JournalState, LoadedJournal,
};
use crate::{
    Chunks, CopiedPages, CopyError, CopyOutcome, CopyReport, DEFAULT_CHUNK, ManifestFile,
    ReadPolicy, SourceCondition, SourceReader, TargetPaths,
};
use ese_format::{Class, Explain, Progress};
use ese_scan::{Buffer, PageChecker, PageFinding, PageFindings};
use evidence::SourceFile;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

mod begin;
mod begun;
mod plan;

pub use begun::undo_begun;
pub(crate) use begun::{Begun, undo};
pub use plan::{Action, CopyPlan, ExistingFile};
use target_disk::{Disk, DiskFile, NewAttributes};

/// How the bytes get to the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// All of them are written.
    Full,
    /// An older copy is brought up to date.
    Delta,
    /// The copy shares the blocks of the source, and is compared with it: only what differs is written.
    Shared,
}

/// What to do when a page of the source is damaged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BadPages {
    /// Stop, while there is perhaps another copy.
    #[default]
    Fail,
    /// Copy it as it is, and list it.
    Keep,
}

/// How a copy is made.
#[derive(Debug, Clone)]
pub struct CopyOptions {
    /// Bytes in a chunk; a copy that goes on keeps the size it began with.
    pub chunk_size: u64,
    /// How many chunks are under way at once.
    pub jobs: NonZeroUsize,
    /// Bring an older copy up to date instead of writing everything.
    pub delta: bool,
    /// Trust the journal of the older copy, if nobody changed that since: what it says is equal is not read there.
    /// Not together with `sha256`, which needs every byte.
    pub trust_journal: bool,
    /// Forget what was copied before, and start over.
    pub restart: bool,
    /// Replace what is at the target.
    pub force: bool,
    /// What to do about damaged pages.
    pub bad_pages: BadPages,
    /// Copy a database that is in use or was not shut down.
    pub allow_dirty: bool,
    /// Compute SHA-256 too.
    pub sha256: bool,
    /// What a manifest says of the source: a delta reads only blocks that it says have changed.
    pub manifest: Option<Arc<ManifestFile>>,
    /// How the source is read.
    pub read: ReadPolicy,
}

impl Default for CopyOptions {
    fn default() -> Self {
        CopyOptions {
            chunk_size: DEFAULT_CHUNK,
            jobs: NonZeroUsize::MIN.saturating_add(3),
            delta: false,
            trust_journal: false,
            restart: false,
            force: false,
            bad_pages: BadPages::Fail,
            allow_dirty: false,
            sha256: false,
            manifest: None,
            read: ReadPolicy::default(),
        }
    }
}

/// A copy of one file under way. Its journal is locked as long as this exists.
pub struct FileCopy<'d> {
    source: Arc<dyn SourceFile>,
    disk: &'d dyn Disk,
    paths: TargetPaths,
    options: CopyOptions,
    known: KnownSource,
    journal: Journal,
    state: JournalState,
    /// `None` when the copy has its name already.
    partial: Option<Box<dyn DiskFile>>,
    begun: Begun<'d>,
    /// What is known of the older copy without reading it.
    older: Option<OlderCopy>,
    resumed_at: u64,
    bytes_read: AtomicU64,
    reads_retried: AtomicU64,
    outcome: CopyOutcome,
    remarks: Vec<String>,
    started: Instant,
    /// How long it took, once it is over.
    seconds: Option<f64>,
}

/// Bytes in a page of a database, and what counts as one in other files.
const PAGE_OF_OTHERS: u32 = 4096;

impl<'d> FileCopy<'d> {
    /// What the source is.
    pub fn condition(&self) -> &SourceCondition {
        &self.known.condition
    }

    /// Whether all chunks have arrived and the source was found unchanged after that.
    pub fn has_arrived(&self) -> bool {
        self.state.arrived.is_some()
    }

    /// Brings over what is missing. Returns whether all of it has arrived; it has not when `progress` said to stop.
    /// A copy that is refused before anything has arrived leaves the target as it was.
    pub fn run(&mut self, progress: &dyn Progress) -> Result<bool, CopyError> {
        if self.has_arrived() {
            progress.advance(self.state.chunks.length());
            return Ok(true);
        }
        progress.begin(self.state.chunks.length(), self.state.bytes_claimed());
        let ran = self.transfer_and_prove(progress);
        if ran
            .as_ref()
            .is_err_and(|error| error.class() == Class::Refused)
            && !self.begun.is_final()
        {
            self.partial = None;
            self.begun.take_back();
        }
        ran
    }

    fn transfer_and_prove(&mut self, progress: &dyn Progress) -> Result<bool, CopyError> {
        self.transfer(progress)?;
        self.seconds = Some(self.started.elapsed().as_secs_f64());
        if (self.state.hashes.len() as u64) < self.state.chunks.count() {
            self.outcome = CopyOutcome::Interrupted;
            return Ok(false);
        }
        self.prove()?;
        Ok(true)
    }

    /// Gives the copy that has arrived its name.
    pub fn finish(&mut self) -> Result<(), CopyError> {
        if self.state.complete.is_some() {
            return Ok(());
        }
        self.outcome = CopyOutcome::Complete;
        // Windows renames no file that is open.
        self.partial = None;
        let attributes = attributes_of(&*self.source);
        let length = self.state.chunks.length();
        let complete = give_name(
            self.disk,
            &self.paths,
            &attributes,
            length,
            &mut self.journal,
        )?;
        self.state.complete = Some(complete);
        Ok(())
    }

    /// Closes every file of a copy that has arrived, so that thousands of them can wait for their names.
    pub fn wait_for_name(self) -> ArrivedCopy<'d> {
        ArrivedCopy {
            disk: self.disk,
            paths: self.paths.clone(),
            attributes: attributes_of(&*self.source),
            report: self.report(),
        }
    }

    /// What the copy came to.
    pub fn report(self) -> CopyReport {
        let totals = self.state.totals;
        let pages = self.known.headers.is_some().then(|| CopiedPages {
            counts: totals.counts.unwrap_or_default(),
            compared: totals.pages_compared,
            changed: totals.pages_changed,
        });
        let claimed = self.state.chunks.bytes_in(self.state.hashes.len() as u64);
        CopyReport {
            outcome: self.outcome,
            source: self.known.identity,
            condition: self.known.condition,
            target: self.paths.target,
            method: self.state.begin.method,
            chunk_size: self.state.chunks.size(),
            resumed_at: self.resumed_at,
            bytes_arrived: claimed,
            bytes_read: self.bytes_read.into_inner(),
            reads_retried: self.reads_retried.into_inner(),
            bytes_written: totals.written,
            bytes_trusted: totals.trusted,
            pages,
            findings: totals.findings,
            findings_omitted: totals.findings_omitted,
            blake3: self.state.arrived.as_ref().map(|arrived| arrived.blake3),
            sha256: self.state.arrived.and_then(|arrived| arrived.sha256),
            seconds: self.seconds.unwrap_or_default(),
            remarks: self.remarks,
        }
    }

    /// Runs the jobs until every chunk is claimed, one fails, or `progress` says to stop.
    fn transfer(&mut self, progress: &dyn Progress) -> Result<(), CopyError> {
        let sha256 = self.sha256_so_far()?;
        let Some(partial) = &self.partial else {
            return Ok(());
        };
        let chunks = self.state.chunks;
        let next = AtomicU64::new(self.state.hashes.len() as u64);
        let method = self.state.begin.method;
        let first = self.state.hashes.len() as u64;
        let digest = sha256.map(|sum| OrderedSha256::new(first, sum));
        let commit = ChunkCommit::new(
            &self.paths,
            &**partial,
            &self.begun,
            &mut self.journal,
            &mut self.state,
        );
        let work = Work {
            source: &self.source,
            known: &self.known,
            paths: &self.paths,
            partial: &**partial,
            options: &self.options,
            chunks,
            method,
            older: self.older.as_ref(),
            digest: digest.as_ref(),
            checker: self
                .known
                .headers
                .as_ref()
                .map(|headers| PageChecker::new(headers, chunks.length(), None)),
            commit: &commit,
            next: &next,
            bytes_read: &self.bytes_read,
            reads_retried: &self.reads_retried,
            begun: &self.begun,
            progress,
            stop: AtomicBool::new(false),
        };
        let failure = Mutex::new(None);
        std::thread::scope(|scope| {
            for _ in 0..self.options.jobs.get() {
                scope.spawn(|| {
                    if let Err(error) = work.run() {
                        let mut first = failure.lock().unwrap_or_else(PoisonError::into_inner);
                        first.get_or_insert(error);
                    }
                });
            }
        });
        let failure = failure.into_inner().unwrap_or_else(PoisonError::into_inner);
        failure.map_or(Ok(()), Err)
    }

    /// SHA-256 of what has arrived. A copy that began without it reads that part of the target again.
    fn sha256_so_far(&mut self) -> Result<Option<Sha256Sum>, CopyError> {
        if !self.options.sha256 {
            return Ok(None);
        }
        if self.state.hashes.is_empty() {
            return Ok(Some(Sha256Sum::default()));
        }
        let kept = self
            .state
            .sha256_state
            .as_deref()
            .and_then(Sha256Sum::resume);
        let (None, Some(partial)) = (&kept, &self.partial) else {
            return Ok(kept);
        };
        self.remarks.push(
            "the copy was begun without SHA-256: what had arrived was read again for it".into(),
        );
        let mut sum = Sha256Sum::default();
        let mut buffer = Buffer::default();
        for number in 0..self.state.hashes.len() as u64 {
            let range = self.state.chunks.range(number);
            buffer.resize((range.end - range.start) as usize);
            partial
                .read_exact_at(&mut buffer, range.start)
                .map_err(CopyError::target(&self.paths.partial, "read back"))?;
            sum.update(&buffer);
        }
        Ok(Some(sum))
    }

    /// Makes sure that the source is what it was, and enters that all of it has arrived.
    fn prove(&mut self) -> Result<(), CopyError> {
        let mut reader = SourceReader::new(Arc::clone(&self.source), self.options.read.clone());
        let now = reader
            .stamp_now(&())?
            .unwrap_or_else(|| self.source.stamp());
        let mut differences = self.known.identity.stamp_differences(&now);
        if differences.is_empty() {
            let again = KnownSource::read(&self.source, &self.options.read, &())?;
            differences = self.known.identity.differences(&again.identity);
        }
        if !differences.is_empty() {
            return Err(CopyError::SourceChanged {
                name: self.source.name(),
                differences,
            });
        }
        let sha256 = match self.state.sha256_state.as_deref() {
            Some(state) if self.options.sha256 => Sha256Sum::resume(state),
            None if self.options.sha256 => Some(Sha256Sum::default()),
            _ => None,
        };
        let Some(blake3) = self.state.chunks.file_hash(&self.state.hashes) else {
            return Ok(());
        };
        self.begun.make_final()?;
        self.give_length()?;
        let arrived = ArrivedEntry {
            blake3,
            sha256: sha256.map(Sha256Sum::finish),
        };
        self.journal
            .append(&[JournalEntry::Arrived(arrived.clone())])
            .map_err(CopyError::target(&self.paths.journal, "write"))?;
        self.state.arrived = Some(arrived);
        Ok(())
    }
}

impl FileCopy<'_> {
    /// Cuts off what an older copy has more than the source. A process that was killed may have done so, and not have made
    /// sure that it lasts.
    fn give_length(&self) -> Result<(), CopyError> {
        let Some(partial) = &self.partial else {
            return Ok(());
        };
        let length = self.state.chunks.length();
        let given = match partial.length() {
            Ok(there) if there == length => Ok(()),
            Ok(_) => partial.set_length(length),
            Err(error) => Err(error),
        };
        let given = given.and_then(|()| partial.sync_all());
        given.map_err(CopyError::target(&self.paths.partial, "set the length of"))
    }
}

/// A copy that has arrived, and has its name already or waits for it.
pub struct ArrivedCopy<'d> {
    disk: &'d dyn Disk,
    paths: TargetPaths,
    attributes: NewAttributes,
    report: CopyReport,
}

impl ArrivedCopy<'_> {
    /// Gives the copy its name, if it does not have it.
    pub fn finish(&mut self) -> Result<(), CopyError> {
        if self.report.outcome != CopyOutcome::Interrupted {
            return Ok(());
        }
        let journal = &self.paths.journal;
        let opened = self.disk.open_locked(journal);
        let file = opened.map_err(|error| begin::not_opened(journal, error))?;
        let loaded = LoadedJournal::read(&*file).map_err(CopyError::target(journal, "read"))?;
        let arrived = loaded
            .state
            .as_ref()
            .and_then(|state| state.arrived.as_ref());
        if arrived.map(|arrived| arrived.blake3) != self.report.blake3 {
            return Err(CopyError::BadJournal {
                journal: journal.clone(),
                why: "it was changed while the copy waited for its name".into(),
            });
        }
        let mut journal =
            Journal::resume(file, &loaded).map_err(CopyError::target(journal, "write"))?;
        let length = self.report.source.length;
        give_name(
            self.disk,
            &self.paths,
            &self.attributes,
            length,
            &mut journal,
        )?;
        self.report.outcome = CopyOutcome::Complete;
        Ok(())
    }

    /// What the copy came to.
    pub fn report(&self) -> &CopyReport {
        &self.report
    }
}

/// The attributes of a source; of one that is not of this machine, what its store says.
fn attributes_of(source: &dyn SourceFile) -> NewAttributes {
    let metadata = source.path().and_then(|path| std::fs::metadata(path).ok());
    NewAttributes {
        modified: source.stamp().modified.map(SystemTime::from),
        accessed: metadata.as_ref().and_then(|known| known.accessed().ok()),
        permissions: metadata.map(|known| known.permissions()),
    }
}

/// Gives a partial copy that is whole its name, and enters that.
fn give_name(
    disk: &dyn Disk,
    paths: &TargetPaths,
    attributes: &NewAttributes,
    length: u64,
    entries: &mut Journal,
) -> Result<CompleteEntry, CopyError> {
    let TargetPaths {
        partial,
        target,
        journal,
        new_journal: _,
    } = paths;
    let at = |path: &Path, action| CopyError::target(path.to_owned(), action);
    // Without it, the crash came between the renaming and the last entry.
    if disk.exists(partial).map_err(at(partial, "look at"))? {
        disk.set_attributes(partial, attributes)
            .map_err(at(partial, "set times and permissions of"))?;
        disk.rename(partial, target)
            .map_err(at(target, "rename to"))?;
    }
    disk.sync_folder_of(target)
        .map_err(at(target, "sync the folder of"))?;
    let stamp = disk.stamp(target).map_err(at(target, "look at"))?;
    let complete = CompleteEntry {
        length,
        at: Timestamp::now(),
        modified: stamp.modified.and_then(|time| time.try_into().ok()),
    };
    entries
        .append(&[JournalEntry::Complete(complete.clone())])
        .map_err(at(journal, "write"))?;
    Ok(complete)
}

/// What a job reads into.
#[derive(Default)]
struct Buffers {
    new: Buffer,
    /// What is in the older copy.
    old: Buffer,
}

/// What the jobs of a copy share.
struct Work<'a> {
    source: &'a Arc<dyn SourceFile>,
    known: &'a KnownSource,
    paths: &'a TargetPaths,
    partial: &'a dyn DiskFile,
    options: &'a CopyOptions,
    chunks: Chunks,
    method: Method,
    older: Option<&'a OlderCopy>,
    digest: Option<&'a OrderedSha256>,
    checker: Option<PageChecker<'a>>,
    commit: &'a ChunkCommit<'a>,
    next: &'a AtomicU64,
    bytes_read: &'a AtomicU64,
    reads_retried: &'a AtomicU64,
    begun: &'a Begun<'a>,
    progress: &'a dyn Progress,
    stop: AtomicBool,
}

impl Progress for Work<'_> {
    fn advance(&self, bytes: u64) {
        self.progress.advance(bytes);
    }

    fn should_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.progress.should_stop()
    }
}

impl Work<'_> {
    /// One job: chunk after chunk.
    fn run(&self) -> Result<(), CopyError> {
        let mut reader = SourceReader::new(Arc::clone(self.source), self.options.read.clone());
        let result = self.chunk_by_chunk(&mut reader);
        self.reads_retried
            .fetch_add(reader.retried(), Ordering::Relaxed);
        result
    }

    fn chunk_by_chunk(&self, reader: &mut SourceReader) -> Result<(), CopyError> {
        let mut buffers = Buffers::default();
        while !self.should_stop() {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.chunks.count() {
                break;
            }
            let done = self.bring(number, reader, &mut buffers);
            if !matches!(done, Ok(true)) {
                // Nobody must wait for this chunk, and no further one must be begun.
                self.stop.store(true, Ordering::Relaxed);
                self.commit.end();
                if let Some(digest) = self.digest {
                    digest.end();
                }
                return done.map(drop);
            }
        }
        self.commit.flush()
    }

    /// Brings one chunk all the way to its claim; `false` when the copy ended before that.
    fn bring(
        &self,
        number: u64,
        reader: &mut SourceReader,
        buffers: &mut Buffers,
    ) -> Result<bool, CopyError> {
        let range = self.chunks.range(number);
        if let Some(claim) = self.known_equal(number)? {
            self.commit.put(claim);
            self.advance(range.end - range.start);
            return Ok(true);
        }
        let buffer = std::mem::take(&mut buffers.new);
        let buffer = match (self.method, &self.options.manifest) {
            (Method::Delta, Some(manifest)) => self.assemble(number, manifest, reader, buffer)?,
            _ => self.read(range.clone(), reader, buffer)?,
        };
        if buffer.len() as u64 != range.end - range.start {
            return Ok(false);
        }
        let mut claim = self.check(number, &buffer)?;
        if let Some(digest) = self.digest {
            claim.sha256_state = digest.add(number, &buffer);
            if claim.sha256_state.is_none() {
                return Ok(false);
            }
        }
        self.write(&mut claim, &buffer, range.start, &mut buffers.old)?;
        let claimed = self.commit.claim(claim)?;
        if claimed {
            self.advance(buffer.len() as u64);
        }
        buffers.new = buffer;
        Ok(claimed)
    }

    /// The claim of a chunk that manifest and journal say is equal on both sides: nothing of it is read.
    fn known_equal(&self, number: u64) -> Result<Option<Claim>, CopyError> {
        let (Method::Delta, Some(manifest), Some(older)) =
            (self.method, &self.options.manifest, self.older)
        else {
            return Ok(None);
        };
        let hash = manifest
            .cut()
            .and_then(|cut| cut.hash_of(self.chunks, number, &manifest.chunks));
        let Some(before) = hash.and_then(|hash| older.equal(self.chunks, number, hash)) else {
            return Ok(None);
        };
        self.judge(&before.findings)?;
        let mut claim = Claim {
            chunk: number,
            written: 0,
            ..before.clone()
        };
        self.trust(&mut claim);
        Ok(Some(claim))
    }

    /// Enters in a claim that the older copy has the chunk, by its journal.
    fn trust(&self, claim: &mut Claim) {
        let range = self.chunks.range(claim.chunk);
        claim.trusted = range.end - range.start;
        claim.pages_compared = claim.trusted.div_ceil(self.page_size() as u64);
        claim.pages_changed = 0;
    }

    /// Reads a chunk, and makes sure that the source did not change before that.
    fn read(
        &self,
        range: Range<u64>,
        reader: &mut SourceReader,
        buffer: Buffer,
    ) -> Result<Buffer, CopyError> {
        let buffer = reader.read(range.clone(), buffer, self)?;
        self.bytes_read
            .fetch_add(buffer.len() as u64, Ordering::Relaxed);
        reader.forget(range);
        if self.source.path().is_some()
            && let Some(now) = reader.stamp_now(self)?
        {
            let differences = self.known.identity.stamp_differences(&now);
            if !differences.is_empty() {
                let name = self.source.name();
                return Err(CopyError::SourceChanged { name, differences });
            }
        }
        Ok(buffer)
    }

    /// Puts a chunk together from the older copy and those blocks of the source that differ from it, by the manifest
    /// of the source. What is read must be what the manifest says.
    fn assemble(
        &self,
        number: u64,
        manifest: &ManifestFile,
        reader: &mut SourceReader,
        mut buffer: Buffer,
    ) -> Result<Buffer, CopyError> {
        let range = self.chunks.range(number);
        buffer.resize((range.end - range.start) as usize);
        let there = self
            .partial
            .read_at(&mut buffer, range.start)
            .map_err(CopyError::target(&self.paths.partial, "read"))?;
        buffer[there..].fill(0);
        let blocks = Blocks {
            manifest,
            start: range.start,
        };
        for run in blocks.to_read(&buffer) {
            let wanted = range.start + run.start as u64..range.start + run.end as u64;
            let length = run.len();
            let part = self.read(wanted, reader, Buffer::default())?;
            if part.len() != length {
                buffer.truncate(run.start);
                return Ok(buffer);
            }
            buffer[run].copy_from_slice(&part);
        }
        if blocks.unlike(&buffer).is_empty() {
            return Ok(buffer);
        }
        Err(CopyError::SourceChanged {
            name: self.source.name(),
            differences: vec!["its manifest does not describe it any more".into()],
        })
    }

    /// Hashes a chunk and checks its pages.
    fn check(&self, number: u64, bytes: &[u8]) -> Result<Claim, CopyError> {
        let mut claim = Claim {
            chunk: number,
            blake3: self.chunks.hash(number, bytes),
            ..Claim::default()
        };
        let Some(checker) = &self.checker else {
            return Ok(claim);
        };
        let mut found = PageFindings::default();
        checker.check(bytes, self.chunks.range(number).start, &mut found);
        self.judge(&found.findings)?;
        claim.findings_omitted = found.findings.len().saturating_sub(FINDINGS_KEPT) as u64;
        found.findings.truncate(FINDINGS_KEPT);
        claim.findings = found.findings;
        claim.counts = Some(found.counts);
        Ok(claim)
    }

    /// Whether damaged pages end the copy.
    fn judge(&self, findings: &[PageFinding]) -> Result<(), CopyError> {
        if findings.is_empty() || self.options.bad_pages == BadPages::Keep {
            return Ok(());
        }
        Err(CopyError::BadPages {
            name: self.source.name(),
            findings: findings.to_vec(),
        })
    }

    fn write(
        &self,
        claim: &mut Claim,
        bytes: &[u8],
        offset: u64,
        old: &mut Buffer,
    ) -> Result<(), CopyError> {
        let known = |older: &OlderCopy| {
            older
                .equal(self.chunks, claim.chunk, claim.blake3)
                .is_some()
        };
        if self.method == Method::Delta && self.older.is_some_and(known) {
            self.trust(claim);
            return Ok(());
        }
        let at = |action| CopyError::target(&self.paths.partial, action);
        if self.method == Method::Full {
            self.partial
                .write_all_at(bytes, offset)
                .map_err(at("write"))?;
            claim.written = bytes.len() as u64;
            return Ok(());
        }
        let page_size = self.page_size();
        let differing =
            delta::compare(self.partial, bytes, offset, page_size, old).map_err(at("read"))?;
        if self.method == Method::Delta && !differing.is_empty() {
            self.begun.make_final()?;
        }
        let changed = delta::update(self.partial, bytes, offset, page_size, &differing)
            .map_err(at("write"))?;
        claim.written = changed.written;
        claim.pages_compared = changed.compared;
        claim.pages_changed = changed.pages;
        Ok(())
    }

    fn page_size(&self) -> usize {
        let headers = self.known.headers.as_ref();
        headers.map_or(PAGE_OF_OTHERS, |headers| headers.page_size) as usize
    }
}
