//! The journal of a copy: the only truth about which bytes have arrived.
//!
//! One entry a line, each with the CRC-32 of everything up to it; only ever written at its end. The layout and the
//! order of writing are described in `docs/format/copy-journal.md`.
//!
//! An entry is written when what it says is true on the disk already, and synced before anything builds on it. So a
//! journal can know too little, but not too much: it is safe to trust it up to the last line that fits, and to copy the
//! rest again.
//!
//! | its last good entry | what is true | after a crash |
//! |---|---|---|
//! | none | it made no partial copy | the copy begins |
//! | `begin` | the source is known; the partial copy may not be there yet | it is made, if need be |
//! | `chunk` *n* | chunks 0 to *n* are in the partial copy; they were synced before this line was written | the others are copied |
//! | `arrived` | all chunks are, and the source was found unchanged after the last | times are set and it is renamed, again |
//! | `complete` | the copy has its name | nothing is left to do |
//!
//! Chunks are claimed in order, so that one number says how far a copy is. Every sum continues the one before it: a line
//! that was torn, left over from an older journal, moved or repeated does not fit, and nothing after it is trusted.
//! Before the next line is written, what did not fit is cut off and the cut is synced, so that no old bytes follow the
//! new lines. What a crash leaves is a torn end; where whole lines follow the first that does not fit, it is reported as
//! damage.

use crate::{ChunkHash, Chunks, Method, SourceIdentity};
use ese_scan::{Counts, PageFinding};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::Arc;
use target_disk::DiskFile;

/// What the first entry calls this format.
pub(crate) const FORMAT: &str = "edbkit.copy-journal/2";

/// Longest journal that is read: that of a copy of over 100 TB.
pub(crate) const MAX_LENGTH: u64 = 1 << 30;

/// An entry of a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum JournalEntry {
    /// What is copied; always the first.
    Begin(BeginEntry),
    /// A chunk is in the partial copy, on the disk.
    Chunk(Claim),
    /// All chunks do, and the source did not change meanwhile.
    Arrived(ArrivedEntry),
    /// The partial copy was renamed.
    Complete(CompleteEntry),
}

/// What is copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeginEntry {
    /// Always `edbkit.copy-journal/2`.
    pub format: String,
    /// How.
    pub method: Method,
    /// Bytes in a chunk.
    pub chunk_size: u64,
    /// From what.
    pub source: SourceIdentity,
    /// Of a delta: that the older copy had the name of the copy. Else it was a partial copy already.
    #[serde(default, skip_serializing_if = "is_false")]
    pub from_target: bool,
}

/// That a chunk has arrived.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Its number, from 0.
    pub chunk: u64,
    /// Its hash.
    pub blake3: ChunkHash,
    /// Bytes of it that had to be written.
    pub written: u64,
    /// Bytes of it that the older copy has by its journal: they were not read there.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub trusted: u64,
    /// Pages of it that were compared with an older copy.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pages_compared: u64,
    /// Pages of it that differed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pages_changed: u64,
    /// Its pages by what was found in them, if it is of a database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// Pages of it with which something is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<PageFinding>,
    /// How many more there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub findings_omitted: u64,
    /// The state of SHA-256 after this chunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256_state: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// That all chunks have arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrivedEntry {
    /// BLAKE3 of the file.
    pub blake3: ChunkHash,
    /// SHA-256 of the file, if it was asked for.
    pub sha256: Option<String>,
}

/// That the copy has its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompleteEntry {
    /// Its length.
    pub length: u64,
    /// When.
    pub at: Timestamp,
    /// Its modification time, which shows whether somebody has changed it since.
    #[serde(default)]
    pub modified: Option<Timestamp>,
}

/// What the entries of a journal come to.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalState {
    /// The first entry.
    pub begin: BeginEntry,
    /// How the source is cut.
    pub chunks: Chunks,
    /// Hashes of the chunks that have arrived, from the first.
    pub hashes: Vec<ChunkHash>,
    /// Sums over them.
    pub totals: Totals,
    /// The state of SHA-256 after the last of them.
    pub sha256_state: Option<String>,
    /// That all have arrived.
    pub arrived: Option<ArrivedEntry>,
    /// That the copy has its name.
    pub complete: Option<CompleteEntry>,
}

/// Sums over claimed chunks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Totals {
    /// Bytes that had to be written.
    pub written: u64,
    /// Bytes that the older copy has by its journal.
    pub trusted: u64,
    /// Pages compared with an older copy.
    pub pages_compared: u64,
    /// Pages that differed.
    pub pages_changed: u64,
    /// Pages by what was found in them.
    pub counts: Option<Counts>,
    /// Pages with which something is wrong.
    pub findings: Vec<PageFinding>,
    /// How many more there are.
    pub findings_omitted: u64,
}

/// Findings kept for one file; the others are counted.
pub(crate) const FINDINGS_KEPT: usize = 1000;

impl Totals {
    pub(crate) fn add(&mut self, claim: &Claim) {
        self.written += claim.written;
        self.trusted += claim.trusted;
        self.pages_compared += claim.pages_compared;
        self.pages_changed += claim.pages_changed;
        if let Some(counts) = &claim.counts {
            self.counts.get_or_insert_default().add(counts);
        }
        let room = FINDINGS_KEPT.saturating_sub(self.findings.len());
        let kept = claim.findings.len().min(room);
        self.findings.extend_from_slice(&claim.findings[..kept]);
        self.findings_omitted += claim.findings_omitted + (claim.findings.len() - kept) as u64;
    }
}

/// A journal as it was found.
#[derive(Debug)]
pub struct LoadedJournal {
    /// What its entries come to; `None` if there is no first entry that can be trusted.
    pub state: Option<JournalState>,
    /// Bytes after the last entry that can be trusted.
    pub dropped: u64,
    /// Whether there are whole lines among those: not a torn end, but damage.
    pub damaged: bool,
    /// Whether it is what a crash leaves of a first entry: nothing, or a part of it.
    pub(crate) torn: bool,
    end: u64,
    sum: u32,
}

impl LoadedJournal {
    /// Reads a journal; never fails on what is in it.
    pub fn read(file: &dyn DiskFile) -> io::Result<LoadedJournal> {
        Ok(Self::parse(&file.read_all(MAX_LENGTH)?))
    }

    pub(crate) fn parse(bytes: &[u8]) -> LoadedJournal {
        let mut loaded = LoadedJournal {
            state: None,
            dropped: 0,
            damaged: false,
            torn: false,
            end: 0,
            sum: 0,
        };
        let mut rest = bytes;
        while let Some(newline) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, behind) = rest.split_at(newline + 1);
            if loaded.take(&line[..newline]).is_none() {
                break;
            }
            loaded.end += line.len() as u64;
            rest = behind;
        }
        loaded.dropped = rest.len() as u64;
        // The end of a torn write has no complete line after the first one that does not fit.
        loaded.damaged = rest.iter().filter(|byte| **byte == b'\n').count() > 1;
        loaded.torn = loaded.state.is_none() && !loaded.damaged && begins_as_an_entry(rest);
        loaded
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.end == 0 && self.dropped == 0
    }

    /// Takes in one line; `None` if it does not fit.
    fn take(&mut self, line: &[u8]) -> Option<()> {
        let (sum, text) = (line.get(..8)?, line.get(9..)?);
        let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
        if line[8] != b' ' || sum != continued_sum(self.sum, text) {
            return None;
        }
        let entry: JournalEntry = serde_json::from_slice(text).ok()?;
        match (&mut self.state, entry) {
            (state @ None, JournalEntry::Begin(begin)) if begin.format == FORMAT => {
                let chunks = Chunks::new(begin.source.length, begin.chunk_size)?;
                *state = Some(JournalState::new(begin, chunks));
            }
            (Some(state), entry) => state.apply(entry)?,
            (None, _) => return None,
        }
        self.sum = sum;
        Some(())
    }
}

/// All chunks that a journal claims; none of what is after the last entry that can be trusted.
pub(crate) fn claims(file: &dyn DiskFile, loaded: &LoadedJournal) -> io::Result<Vec<Claim>> {
    let mut bytes = vec![0; usize::try_from(loaded.end).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, 0)?;
    let entry = |line: &[u8]| match serde_json::from_slice(line.get(9..)?).ok()? {
        JournalEntry::Chunk(claim) => Some(Claim {
            sha256_state: None,
            ..claim
        }),
        _ => None,
    };
    Ok(bytes
        .split(|byte| *byte == b'\n')
        .filter_map(entry)
        .collect())
}

/// Whether bytes begin as the first entry of any journal, as far as they are there: a crash can leave zeros for some.
fn begins_as_an_entry(bytes: &[u8]) -> bool {
    const AFTER_SUM: &[u8] = b" {\"entry\":\"begin\",";
    let (sum, text) = bytes.split_at(bytes.len().min(8));
    let is_text = text
        .iter()
        .zip(AFTER_SUM)
        .all(|(byte, fits)| matches!(*byte, 0) || byte == fits);
    is_text
        && sum
            .iter()
            .all(|byte| matches!(byte, 0 | b'0'..=b'9' | b'a'..=b'f'))
}

fn continued_sum(sum: u32, text: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(sum);
    hasher.update(text);
    hasher.finalize()
}

impl JournalState {
    /// Before any chunk has arrived.
    pub(crate) fn new(begin: BeginEntry, chunks: Chunks) -> Self {
        JournalState {
            begin,
            chunks,
            hashes: Vec::new(),
            totals: Totals::default(),
            sha256_state: None,
            arrived: None,
            complete: None,
        }
    }

    /// Bytes that have arrived.
    pub fn bytes_claimed(&self) -> u64 {
        self.chunks.bytes_in(self.hashes.len() as u64)
    }

    /// Whether nothing has arrived.
    pub(crate) fn has_only_begun(&self) -> bool {
        self.hashes.is_empty() && self.arrived.is_none()
    }

    fn apply(&mut self, entry: JournalEntry) -> Option<()> {
        let next = self.hashes.len() as u64;
        let all = next == self.chunks.count();
        match entry {
            JournalEntry::Chunk(claim) if claim.chunk == next && !all => {
                self.hashes.push(claim.blake3);
                self.totals.add(&claim);
                self.sha256_state = claim.sha256_state;
            }
            JournalEntry::Arrived(arrived) if all && self.arrived.is_none() => {
                self.arrived = Some(arrived);
            }
            JournalEntry::Complete(complete) if self.arrived.is_some() => {
                self.complete = Some(complete);
            }
            _ => return None,
        }
        Some(())
    }
}

/// A journal being written.
pub struct Journal {
    file: Arc<dyn DiskFile>,
    end: u64,
    sum: u32,
}

impl Journal {
    /// Goes on after the last entry that can be trusted; what is after it is cut off, on the disk too. A process that was
    /// killed may have written entries and not synced them: what is built on them must not outlive them.
    pub fn resume(file: impl Into<Arc<dyn DiskFile>>, loaded: &LoadedJournal) -> io::Result<Self> {
        let file = file.into();
        if loaded.dropped > 0 {
            file.set_length(loaded.end)?;
        }
        file.sync_all()?;
        Ok(Journal {
            file,
            end: loaded.end,
            sum: loaded.sum,
        })
    }

    /// A journal that is about to [`start`](Self::start): nothing of the file is changed yet.
    pub fn new(file: impl Into<Arc<dyn DiskFile>>) -> Self {
        Journal {
            file: file.into(),
            end: 0,
            sum: 0,
        }
    }

    /// Begins anew: everything in the journal is cut off, on the disk too.
    pub fn start(&mut self, begin: BeginEntry) -> io::Result<()> {
        self.file.set_length(0)?;
        self.file.sync_all()?;
        (self.end, self.sum) = (0, 0);
        self.append(&[JournalEntry::Begin(begin)])
    }

    /// Writes entries and syncs them. What they say must be true on the disk already.
    pub fn append(&mut self, entries: &[JournalEntry]) -> io::Result<()> {
        use io::Write;
        let mut lines = Vec::new();
        let mut sum = self.sum;
        for entry in entries {
            let text = serde_json::to_vec(entry).map_err(io::Error::other)?;
            sum = continued_sum(sum, &text);
            write!(lines, "{sum:08x} ")?;
            lines.extend_from_slice(&text);
            lines.push(b'\n');
        }
        self.file.write_all_at(&lines, self.end)?;
        self.file.sync_all()?;
        self.end += lines.len() as u64;
        self.sum = sum;
        Ok(())
    }
}
