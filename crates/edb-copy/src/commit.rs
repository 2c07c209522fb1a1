//! Chunks become claims here, in order and only once they are on the disk.
//!
//! Several jobs bring chunks that they have written. One of them, whoever finds nobody else at it, syncs the data for
//! all chunks that form an unbroken row after the last claim, and enters them in the journal; the others wait. So one
//! sync serves several chunks, and no job holds more than the one chunk it waits for: after a crash at most one chunk
//! for each job is read again.

use crate::copy::Begun;
use crate::journal::{Claim, Journal, JournalEntry, JournalState};
use crate::{CopyError, TargetPaths};
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use target_disk::DiskFile;

/// The one place where chunks are claimed.
pub(crate) struct ChunkCommit<'a> {
    paths: &'a TargetPaths,
    data: &'a dyn DiskFile,
    begun: &'a Begun<'a>,
    queue: Mutex<Queue<'a>>,
    changed: Condvar,
}

struct Queue<'a> {
    /// Written, not claimed.
    written: BTreeMap<u64, Claim>,
    /// Who claims has it; `None` meanwhile, and for good once a sync or a journal entry failed: what is on the disk
    /// then, nobody knows.
    claiming: Option<Claiming<'a>>,
    /// Number of the next chunk to be claimed.
    next_claimed: u64,
    /// Nobody brings the chunks that are missing.
    ended: bool,
}

struct Claiming<'a> {
    journal: &'a mut Journal,
    state: &'a mut JournalState,
}

impl<'a> ChunkCommit<'a> {
    /// Claims go on after those in `state`.
    pub(crate) fn new(
        paths: &'a TargetPaths,
        data: &'a dyn DiskFile,
        begun: &'a Begun<'a>,
        journal: &'a mut Journal,
        state: &'a mut JournalState,
    ) -> Self {
        let next = state.hashes.len() as u64;
        ChunkCommit {
            paths,
            data,
            begun,
            queue: Mutex::new(Queue {
                written: BTreeMap::new(),
                claiming: Some(Claiming { journal, state }),
                next_claimed: next,
                ended: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Takes a chunk that was written. Returns `true` when it is claimed, `false` when it will not be because the copy
    /// ended.
    pub(crate) fn claim(&self, claim: Claim) -> Result<bool, CopyError> {
        let number = claim.chunk;
        let mut queue = self.lock();
        queue.written.insert(number, claim);
        loop {
            if queue.next_claimed > number {
                return Ok(true);
            }
            let row = queue.written.contains_key(&queue.next_claimed);
            if let Some(claiming) = queue.claiming.take_if(|_| row) {
                queue = self.claim_row(queue, claiming)?;
            } else if queue.ended {
                return Ok(false);
            } else {
                queue = self.wait(queue);
            }
        }
    }

    /// Takes a chunk of which nothing had to be read or written, and waits for nothing: it is claimed with those that
    /// come after it, or by [`Self::flush`]. So one sync serves many of them.
    pub(crate) fn put(&self, claim: Claim) {
        self.lock().written.insert(claim.chunk, claim);
        self.changed.notify_all();
    }

    /// Claims what was put and can be claimed: after a chunk that another job is bringing, nothing can.
    pub(crate) fn flush(&self) -> Result<(), CopyError> {
        let mut queue = self.lock();
        while queue.written.contains_key(&queue.next_claimed) {
            if let Some(claiming) = queue.claiming.take() {
                queue = self.claim_row(queue, claiming)?;
            } else if queue.ended {
                break;
            } else {
                queue = self.wait(queue);
            }
        }
        Ok(())
    }

    /// Says that a job ends without the chunk it took: nobody is to wait for that one.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    fn claim_row<'q>(
        &'q self,
        mut queue: MutexGuard<'q, Queue<'a>>,
        claiming: Claiming<'a>,
    ) -> Result<MutexGuard<'q, Queue<'a>>, CopyError> {
        let mut row = Vec::new();
        let mut next = queue.next_claimed;
        while let Some(claim) = queue.written.remove(&next) {
            row.push(claim);
            next += 1;
        }
        drop(queue);
        let done = self.sync_and_enter(row, &mut *claiming.journal, &mut *claiming.state);
        let mut queue = self.lock();
        self.changed.notify_all();
        if let Err(error) = done {
            queue.ended = true;
            return Err(error);
        }
        queue.next_claimed = next;
        queue.claiming = Some(claiming);
        Ok(queue)
    }

    fn sync_and_enter(
        &self,
        row: Vec<Claim>,
        journal: &mut Journal,
        state: &mut JournalState,
    ) -> Result<(), CopyError> {
        // Also when nothing was written now: what a delta found equal may have been written just before a crash.
        let failed = CopyError::target(&self.paths.partial, "sync");
        self.data.sync_data().map_err(failed)?;
        for claim in &row {
            let range = state.chunks.range(claim.chunk);
            self.data.forget(range.start, range.end - range.start);
            state.hashes.push(claim.blake3);
            state.totals.add(claim);
            state.sha256_state.clone_from(&claim.sha256_state);
        }
        self.begun.make_final()?;
        let entries: Vec<JournalEntry> = row.into_iter().map(JournalEntry::Chunk).collect();
        let failed = CopyError::target(&self.paths.journal, "write");
        journal.append(&entries).map_err(failed)
    }

    fn lock(&self) -> MutexGuard<'_, Queue<'a>> {
        // No code that holds the lock can panic between two changes that belong together.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'q>(&self, queue: MutexGuard<'q, Queue<'a>>) -> MutexGuard<'q, Queue<'a>> {
        self.changed
            .wait(queue)
            .unwrap_or_else(PoisonError::into_inner)
    }
}
