//! What `edbreplay run` says at its end.

use super::profile::{self, Lap};
use console::Exit;
use ese_format::database::DatabaseState;
use ese_format::{Generation, Lgpos, Pgno, Signature};
use ese_replay::pages::PageCounts;
use ese_replay::recovery::{Interval, RecoveredDatabase, ReplaySummary};
use ese_replay::redo::{PageDivergence, RedoCounts, TypeCounts};
use ese_replay::undo::UndoneOperation;
use ese_scan::Digest;
use serde::Serialize;
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

/// What a recovery did.
#[derive(Debug, Serialize)]
pub struct Report {
    /// How far it went.
    #[serde(flatten)]
    pub summary: ReplaySummary,
    /// Records by type, and what was done with them.
    pub redo: RedoCounts,
    /// Transactions that were rolled back at the end.
    pub transactions_undone: usize,
    /// Their operations, newest first.
    pub undone: Vec<UndoneOperation>,
    /// Pages that are not what the writing machine saw when it scanned them.
    pub divergences: Vec<PageDivergence>,
    /// The results.
    pub databases: Vec<DatabaseReport>,
    /// The logs that were read.
    pub logs: Vec<FileDigest>,
    /// What was given up, in words.
    pub losses: Vec<String>,
    /// Seconds of redo and undo.
    pub seconds: f64,
    /// Bytes of log in a second of that.
    pub log_bytes_per_second: f64,
    /// How long each step took; only with `--profile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Vec<Lap>>,
}

/// The result of one database.
#[derive(Debug, Serialize)]
pub struct DatabaseReport {
    /// The file before; none for a database that the logs created.
    pub source: Option<FileDigest>,
    /// The file after.
    pub result: FileDigest,
    /// Which database it is.
    pub signature: Signature,
    /// Its state.
    pub state: DatabaseState,
    /// Where it is consistent.
    pub last_consistent: Lgpos,
    /// What a later recovery needs, if it is not.
    pub min_required: Generation,
    /// The same.
    pub max_required: Generation,
    /// Its last page.
    pub last_page: Pgno,
    /// What happened to its pages.
    pub pages: PageCounts,
    /// Whether the logs had anything for it.
    pub touched: bool,
    /// Whether the logs created it.
    pub created: bool,
}

impl DatabaseReport {
    /// The report about a database, with the digests of the file it was made from and of the result.
    pub(super) fn of(
        database: &RecoveredDatabase,
        source: Option<FileDigest>,
        result: FileDigest,
    ) -> Self {
        let header = database.header();
        DatabaseReport {
            source,
            result,
            signature: header.signature,
            state: header.state,
            last_consistent: header.last_consistent,
            min_required: header.min_required,
            max_required: header.max_required,
            last_page: database.last_page(),
            pages: database.page_counts(),
            touched: database.is_touched(),
            created: database.is_created(),
        }
    }
}

/// A file and its digests.
#[derive(Debug, Serialize)]
pub struct FileDigest {
    /// The file.
    pub path: PathBuf,
    /// Its digests; none with `--no-hash`.
    pub digests: Vec<Digest>,
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (summary, redo) = (&self.summary, &self.redo);
        if summary.logs > 0 {
            let total = redo.total();
            writeln!(
                f,
                "Replayed generations {}-{} ({0:#x}-{1:#x}): {} bytes in {:.2} s, {:.0} MB/s",
                summary.first,
                summary.last,
                summary.log_bytes,
                self.seconds,
                self.log_bytes_per_second / 1e6
            )?;
            write_records(f, summary, &total)?;
            writeln!(
                f,
                "Transactions: {} committed, {} rolled back in the logs, {} rolled back now ({} operations)",
                redo.transactions.committed,
                redo.transactions.rolled_back,
                self.transactions_undone,
                self.undone.len()
            )?;
            write_last_commit(f, summary)?;
        }
        if let Some(limit) = summary.limited_before {
            writeln!(f, "Left out: everything from {limit} on")?;
        }
        for loss in &self.losses {
            writeln!(f, "LOST: {loss}")?;
        }
        for divergence in &self.divergences {
            writeln!(
                f,
                "WARNING: page {} of database {} at {}: {}",
                divergence.pgno, divergence.dbid, divergence.lgpos, divergence.what
            )?;
        }
        for database in &self.databases {
            writeln!(f, "{database}")?;
        }
        if let Some(laps) = &self.profile {
            profile::write(f, laps, &self.redo)?;
        }
        self.write_next(f)
    }
}

impl Report {
    /// The exit code that follows.
    pub fn exit(&self) -> Exit {
        match self.losses.is_empty() && self.divergences.is_empty() {
            true => Exit::Clean,
            false => Exit::Finding,
        }
    }

    /// What to do with the results.
    fn write_next(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let brought = |database: &&DatabaseReport| database.touched;
        let (clean, dirty): (Vec<_>, Vec<_>) = (self.databases.iter().filter(brought))
            .partition(|database| database.state == DatabaseState::CLEAN_SHUTDOWN);
        if !clean.is_empty() {
            writeln!(f, "{NEXT}")?;
        }
        match dirty.is_empty() {
            true => Ok(()),
            false => writeln!(
                f,
                "Next: replay the logs that come after these, then recover without --until-undo."
            ),
        }
    }
}

/// Said after every recovery to Clean Shutdown.
const NEXT: &str = "Next: before the database is mounted, move the old logs, the checkpoint (.chk) and the flush map (.jfm) out of \
                    its folders. Beside them the engine refuses it (-1216).";

/// How many records there were, and what happened to them.
pub(super) fn write_records(
    f: &mut Formatter<'_>,
    summary: &ReplaySummary,
    total: &TypeCounts,
) -> fmt::Result {
    write!(
        f,
        "Records: {} read: {} applied, {} already in the pages, {} not for these databases, {} that change no page",
        summary.records, total.applied, total.in_pages, total.elsewhere, total.no_page
    )?;
    match total.deferred {
        0 => writeln!(f),
        parts => writeln!(f, ", {parts} parts of splits and merges"),
    }
}

/// Up to what moment the result reaches.
pub(super) fn write_last_commit(f: &mut Formatter<'_>, summary: &ReplaySummary) -> fmt::Result {
    let Some(lgpos) = summary.last_commit else {
        return writeln!(f, "Last commit: none in these logs");
    };
    let Interval { from, until } = summary.committed_at;
    match (from.rfc3339(), until.rfc3339()) {
        (Some(from), Some(until)) => {
            writeln!(f, "Last commit: {lgpos}, between {from} and {until}")
        }
        (Some(from), None) => writeln!(f, "Last commit: {lgpos}, at {from} or later"),
        _ => writeln!(f, "Last commit: {lgpos}, at an unknown time"),
    }
}

impl Display for DatabaseReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.result.path.display(), self.state)?;
        match self.state {
            DatabaseState::CLEAN_SHUTDOWN => write!(f, " as of {}", self.last_consistent)?,
            _ => write!(
                f,
                ", needs generations {}-{} ({0:#x}-{1:#x})",
                self.min_required, self.max_required
            )?,
        }
        write!(
            f,
            ", {} pages, {} written",
            self.last_page, self.pages.written
        )?;
        if !self.touched {
            write!(f, " (the logs hold nothing for it)")?;
        }
        for digest in &self.result.digests {
            write!(f, "\n  {} = {}", digest.algorithm, digest.hex)?;
        }
        Ok(())
    }
}
