//! What a recovery will do, before anything is changed.
//!
//! 1. Of the files, those are taken that can matter: from the first generation that a database needs, or from the
//!    checkpoint where that is earlier, up to the limit; and one log before them. Without a database, all.
//! 2. Each is read once: its checksums, its link to the log before, its transactions, and what it creates, attaches and
//!    detaches.
//! 3. Replay starts where the first of the databases needs it. One pass through the logs serves all databases of the
//!    stream; starting too early for one of them does no harm ("Dbtime" in `docs/concepts.md`).
//! 4. It reaches to the end of the logs, or to the first one that is missing, damaged or foreign. What stops one database
//!    stops all. Each gets a verdict: ready, ready with a loss, or not ready.
//! 5. Transactions that are open at the end will be rolled back. A replay that leaves the database for later logs is held
//!    where the oldest of them began: from there on the logs are replayed again together with those that follow.
//!
//! What a database needs and how far recovery comes is decided by [`ese_log::chain`], which `logchain verify --db` asks
//! too. A plan reads logs and headers, and no page; whether the pages allow it, only a [`trial`](super::trial()) shows.
//! Files may change after it: [`recover`](super::recover()) reads the logs again, and ends at one that has become unfit.

use super::{DatabaseFile, RecoveryError};
use ese_format::log::{HEADER_SIZE, LogHeader};
use ese_format::page::PageSize;
use ese_format::{DatabaseHeader, Generation, JetError, Lgpos, LogTime, Progress, Signature};
use ese_log::chain::ranges::{
    Reach, first_position, reach, reach_of_all, replay_files, replay_start,
};
use ese_log::chain::{
    ChainReport, CheckpointReport, DatabaseEvent, DatabaseEventKind, DatabaseVerdict, LogContent,
    LogReport, Readiness, TransactionsAt, verdict_until, verify_from,
};
use ese_log::{
    FileRole, Interval, LogError, LogImage, RecordCursor, StreamFile, StreamFiles, StreamRecords,
    Until, begun_after, logged, trusted_header,
};
use evidence::EvidenceFile;
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

/// What a recovery will do.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct RecoveryPlan {
    /// Where it starts, and how far the logs go; none if there is nothing to replay.
    pub reach: Option<Reach>,
    /// Bytes of the logs that are read.
    pub log_bytes: u64,
    /// The logs in order.
    pub logs: Vec<PathBuf>,
    /// One for each database, in the order given.
    pub databases: Vec<DatabasePlan>,
    /// Databases that the logs create in the range and that were not given.
    created: Vec<CreatedDatabase>,
    /// Databases that the logs change, and that were neither given nor created in the range.
    needed: Vec<NeededDatabase>,
    /// Transactions as they stand where the replay ends.
    #[serde(skip)]
    transactions: TransactionsAt,
    /// Whether a given database is attached there.
    #[serde(skip)]
    given_attached: bool,
    #[serde(skip)]
    files: Vec<StreamFile>,
    /// Page size of the stream's databases.
    #[serde(skip)]
    page_size: Option<PageSize>,
    #[serde(skip)]
    until: Until,
    /// When each log was created.
    #[serde(skip)]
    log_times: BTreeMap<Generation, LogTime>,
    /// Where the logs are.
    #[serde(skip)]
    folder: PathBuf,
}

/// What a recovery will do to one database.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct DatabasePlan {
    /// The database.
    pub path: PathBuf,
    /// What is needed and what will be lost.
    pub verdict: DatabaseVerdict,
}

/// A database that the logs create.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CreatedDatabase {
    /// Its signature.
    pub signature: Signature,
    /// Its path on the machine that wrote the logs.
    pub path: String,
    /// Where it is created.
    pub lgpos: Lgpos,
    /// Whether the logs create another one under the same path later: this one was deleted.
    pub replaced: bool,
    /// Whether it is attached where the replay ends.
    pub attached_at_end: bool,
}

/// A database that the logs change, and that has to be there before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NeededDatabase {
    /// Its signature.
    pub signature: Signature,
    /// Its path on the machine that wrote the logs.
    pub path: String,
    /// Whether it is attached where the replay ends, so that it cannot be left out unnoticed.
    pub attached_at_end: bool,
}

/// Where a log ends.
pub(crate) struct LogEnd {
    /// Its last record; without any, where the first would be.
    pub(crate) lgpos: Lgpos,
    /// When that was logged; of a log without any, not before it was created.
    pub(crate) logged: Interval,
}

/// Why a plan is not carried out.
#[derive(Debug, Clone)]
pub struct PlanRefusal {
    /// The database.
    pub path: PathBuf,
    /// Why, in one line.
    pub reasons: String,
    /// What to do.
    pub advice: Vec<String>,
    /// The engine's error.
    pub jet: JetError,
    /// Whether it can be done by giving up committed work.
    pub is_lossy: bool,
}

impl PlanRefusal {
    /// Why the plan for this database is not carried out.
    pub(super) fn of(plan: &DatabasePlan) -> Self {
        let verdict = &plan.verdict;
        PlanRefusal {
            path: plan.path.clone(),
            reasons: verdict.reasons.join("; "),
            advice: verdict.advice.clone(),
            jet: verdict.jet.unwrap_or(JetError::REQUIRED_LOG_FILES_MISSING),
            is_lossy: plan.is_lossy(),
        }
    }
}

impl DatabasePlan {
    /// Whether recovery is impossible.
    pub fn is_blocked(&self) -> bool {
        self.verdict.readiness == Readiness::NotReady
    }

    /// Whether recovery gives up committed work, so that it must be allowed to.
    pub fn is_lossy(&self) -> bool {
        self.verdict.readiness == Readiness::ReadyWithLoss
    }
}

impl RecoveryPlan {
    /// The records that are to be replayed.
    pub fn records(&self) -> StreamRecords {
        StreamRecords::new(self.files.iter().cloned())
    }

    /// The last generation that can be replayed, whatever the limit.
    pub fn last(&self) -> Option<Generation> {
        self.reach.as_ref()?.last
    }

    /// Page size of the databases that the logs create.
    pub fn page_size(&self) -> Option<PageSize> {
        self.page_size
    }

    /// Where the logs are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where it ends if the logs go on.
    pub fn until(&self) -> &Until {
        &self.until
    }

    /// Databases that the logs create in the range and that were not given, in the order of their creation.
    pub fn created(&self) -> &[CreatedDatabase] {
        &self.created
    }

    /// Databases that the logs change, and that were neither given nor created in the range.
    pub fn needed(&self) -> &[NeededDatabase] {
        &self.needed
    }

    /// Databases that the logs leave attached and that are neither given nor `made`, by their paths.
    pub(super) fn missing_at_end(&self, made: &[Signature]) -> Vec<String> {
        let needed = self.needed.iter().filter(|one| one.attached_at_end);
        let created = self.created.iter();
        let created = created.filter(|one| one.attached_at_end && !made.contains(&one.signature));
        let names = needed
            .map(|one| &one.path)
            .chain(created.map(|one| &one.path));
        names.cloned().collect()
    }

    /// Makes the verdicts say that databases are missing which the logs leave attached, as trying it would.
    pub fn refuse_missing(&mut self) {
        let names = self.missing_at_end(&[]);
        if !names.is_empty() {
            self.refuse(&RecoveryError::Missing { names });
        }
    }

    /// Makes the verdicts say that the limit is too early for a database, as trying it would.
    pub fn refuse_early_limit(&mut self, databases: &[DatabaseFile]) {
        let too_early = |database: &DatabaseFile| {
            let (path, header) = (database.path().to_owned(), &database.header);
            let needed = header.max_required;
            match header.state.needs_recovery() {
                true => {
                    (!self.covers(needed)).then_some(RecoveryError::LimitTooEarly { path, needed })
                }
                false => self.ends_before_consistent(header).then_some(
                    RecoveryError::LimitBeforeConsistent {
                        path,
                        consistent: header.last_consistent,
                    },
                ),
            }
        };
        if self.until.is_limited()
            && let Some(problem) = databases.iter().find_map(too_early)
        {
            self.refuse(&problem);
        }
    }

    /// Whether the replay takes all of the logs up to the end of `needed`.
    pub(crate) fn covers(&self, needed: Generation) -> bool {
        // A log without records has no first one that is left out.
        let is_in = self.range_end() >= needed && !self.until.leaves_out(needed);
        let first_out = self.limited_before();
        is_in && first_out.is_none_or(|first_out| first_out.generation > needed)
    }

    /// How many transactions are open where the replay ends, and will be rolled back: none in databases that the logs do not
    /// bring there.
    pub fn open_at_end(&self) -> usize {
        match self.given_attached || self.databases.is_empty() {
            true => self.begun_in_range().count(),
            false => 0,
        }
    }

    fn begun_in_range(&self) -> impl Iterator<Item = Lgpos> {
        // What began before the replay does was complete on disk by then.
        let start = self.reach.as_ref().map(|reach| reach.start);
        let begun = self.transactions.open.iter().map(|open| open.began);
        begun.filter(move |begin| start.is_some_and(|start| *begin >= start))
    }

    /// The place up to which a replay may go that leaves a database for later logs: where the oldest transaction
    /// began that is still open. What it did from there on must stay possible to undo, and a page on disk does not
    /// tell what was there before. `None` if nothing is open.
    pub fn hold_at(&self) -> Option<Lgpos> {
        self.begun_in_range().min()
    }

    /// Whether all of a generation is in what is replayed or read: a limit inside it leaves out the rest.
    pub(super) fn reads_all_of(&self, generation: Generation) -> bool {
        let limit = self.transactions.limited_before;
        let is_cut = limit.is_some_and(|before| {
            before.generation == generation && !self.until.leaves_out(generation)
        });
        generation <= self.range_end() && !is_cut
    }

    /// The first record that a limit leaves out; none if it leaves out nothing that is there.
    pub(crate) fn limited_before(&self) -> Option<Lgpos> {
        self.transactions.limited_before
    }

    /// Whether the limit leaves out a record before the place where the clean database with this header was last consistent:
    /// one that was read; where the logs do not reach back far enough, one that there must have been, by place or by the
    /// time in the header.
    pub(crate) fn ends_before_consistent(&self, header: &DatabaseHeader) -> bool {
        let place = header.last_consistent;
        let start = self.reach.as_ref().map(|reach| reach.start.generation);
        let start = start.filter(|start| *start <= place.generation);
        let first_out = self.limited_before().filter(|_| start.is_some());
        let read_from = start.map_or(place, |start| Lgpos::new(start.0, 0, 0));
        let then = header.last_consistent_time.timestamp();
        let limit = self.until.time.zip(then);
        first_out.is_some_and(|first_out| first_out < place)
            || self.until.leaves_out_before(read_from)
            || first_out.is_none() && limit.is_some_and(|(limit, then)| limit < then)
    }

    /// The log of a generation that is replayed, and when the one after it was begun.
    fn log_of(&self, generation: Generation) -> Result<Option<(LogImage, LogTime)>, LogError> {
        let start = self.reach.as_ref().map(|reach| reach.start.generation);
        let place = start.and_then(|start| generation.0.checked_sub(start.0));
        let Some(place) = place.and_then(|place| usize::try_from(place).ok()) else {
            return Ok(None);
        };
        let Some(file) = self.files.get(place) else {
            return Ok(None);
        };
        let image = LogImage::read(&file.path)?;
        let next = place.checked_add(1).and_then(|next| self.files.get(next));
        let next = next.map(|next| begun_after(&image.header, &next.path));
        let next = next.transpose()?.flatten().unwrap_or_default();
        let is_it = image.header.generation == generation;
        Ok(is_it.then_some((image, next)))
    }

    /// When a record that is replayed was logged.
    pub(crate) fn logged(&self, lgpos: Lgpos) -> Result<Interval, LogError> {
        let log = self.log_of(lgpos.generation)?;
        Ok(log.map_or_else(Interval::default, |(image, next)| {
            logged(&image, lgpos, next)
        }))
    }

    /// Where a generation that is replayed ends.
    pub(crate) fn end_of(&self, generation: Generation) -> Result<Option<LogEnd>, LogError> {
        let Some((image, next)) = self.log_of(generation)? else {
            return Ok(None);
        };
        let mut cursor = RecordCursor::new();
        let mut last = None;
        while let Ok(true) = cursor.advance(&image) {
            last = Some(cursor.lgpos());
        }
        // What comes into an empty log is not logged before it is created.
        let empty = || Interval {
            from: image.header.created,
            ..Interval::default()
        };
        Ok(Some(LogEnd {
            lgpos: last.unwrap_or_else(|| image.end()),
            logged: last.map_or_else(empty, |last| logged(&image, last, next)),
        }))
    }

    /// The last generation of what is replayed, limits considered.
    pub(super) fn range_end(&self) -> Generation {
        let limit = self.transactions.limited_before;
        // A limit before the first record of a log leaves nothing of it.
        let limit = limit.map(|before| match self.until.leaves_out(before.generation) {
            true => before.generation.previous(),
            false => before.generation,
        });
        let last = self.last().unwrap_or_default();
        limit.map_or(last, |limit| limit.min(last))
    }

    /// When the log of this generation was created.
    pub(super) fn log_created(&self, generation: Generation) -> Option<LogTime> {
        self.log_times.get(&generation).copied()
    }
}

/// Plans the recovery of `databases` with the logs of a stream; without a database, the replay of the whole stream.
pub fn plan(
    files: &StreamFiles,
    checkpoint: Option<&Path>,
    databases: &[DatabaseFile],
    until: &Until,
    progress: &dyn Progress,
) -> Result<RecoveryPlan, RecoveryError> {
    let needed = needed_files(files, checkpoint, databases, until);
    // Transactions are followed from where the replay starts, which names and headers of databases tell.
    let from = first_generation(files, checkpoint, databases);
    let report = verify_from(&needed, checkpoint, from, until, progress)?;
    let report = report.ok_or(RecoveryError::Interrupted)?;
    Ok(plan_of(&report, &needed, databases, until))
}

/// The same for a stream that was checked already; its transactions were followed from its first log on.
pub fn plan_of(
    report: &ChainReport,
    files: &StreamFiles,
    databases: &[DatabaseFile],
    until: &Until,
) -> RecoveryPlan {
    let lowest = || {
        let generations = report.logs.iter().filter_map(LogReport::generation);
        generations
            .min()
            .map(|lowest| first_position(report, lowest))
    };
    let reach = match databases {
        [] => lowest().map(|start| reach_of_all(report, start)),
        _ => common_start(report, databases).map(|start| reach(report, start)),
    };
    let files = reach
        .as_ref()
        .map(|reach| replay_files(report, files, reach))
        .unwrap_or_default();
    let names: HashSet<String> = files.iter().map(StreamFile::name).collect();
    let replayed = || report.logs.iter().filter(|log| names.contains(&log.name));
    let contents = || replayed().filter_map(|log| log.content.as_ref().ok());
    let page_size = contents()
        .map(|content| LogHeader::page_size(&content.header))
        .next();
    let transactions = contents()
        .next_back()
        .map(|content| content.transactions.clone())
        .unwrap_or_default();
    // No generation is known to be after a time, as long as its log is not read: it is after the first record that is too late.
    let until = &Until {
        before: [
            until.before,
            transactions.limited_before.filter(|_| until.time.is_some()),
        ]
        .into_iter()
        .flatten()
        .min(),
        ..*until
    };
    let attachments = Attachments::of(contents(), databases);
    let stop = reach.as_ref().and_then(|reach| reach.stop.as_ref());
    let stop = stop.filter(|stop| !until.leaves_out(stop.generation));
    RecoveryPlan {
        databases: databases
            .iter()
            .map(|database| {
                let mut verdict = verdict_until(report, &database.header, until);
                // All are recovered together, so that what stops one of them stops all.
                if let Some(stop) = stop {
                    verdict.stop_at(report, stop);
                }
                DatabasePlan {
                    path: database.path().to_owned(),
                    verdict,
                }
            })
            .collect(),
        created: attachments.created,
        needed: attachments.needed,
        given_attached: attachments.given_attached,
        transactions,
        log_bytes: replayed().map(|log| log.size).sum(),
        reach,
        logs: files.iter().map(|file| file.path.clone()).collect(),
        files,
        page_size: page_size.and_then(PageSize::new),
        until: *until,
        log_times: contents()
            .map(|content| (content.header.generation, content.header.created))
            .collect(),
        folder: report.folder.clone(),
    }
}

/// Where the replay of all databases starts: where the first of them needs it. A clean one that the logs cannot bring
/// forward, because one is missing before those that the others need, does not hold these up.
fn common_start(report: &ChainReport, databases: &[DatabaseFile]) -> Option<Lgpos> {
    let start = |database: &DatabaseFile| replay_start(report, &database.header);
    let of_all = databases.iter().filter_map(start).min()?;
    let dirty = databases
        .iter()
        .filter(|database| database.header.state.needs_recovery());
    let Some(of_dirty) = dirty.filter_map(start).min() else {
        return Some(of_all);
    };
    let stop = reach(report, of_all).stop;
    match stop.is_some_and(|stop| stop.generation < of_dirty.generation) {
        true => Some(of_dirty),
        false => Some(of_all),
    }
}

/// What logs do to databases as a whole.
#[derive(Default)]
struct Attachments {
    created: Vec<CreatedDatabase>,
    needed: Vec<NeededDatabase>,
    /// Databases that are attached, and where that was, by the number that the logs give them.
    attached: BTreeMap<u8, (Signature, Lgpos)>,
    /// Whether one of the given databases is.
    given_attached: bool,
}

impl Attachments {
    /// Follows the logs in their order. Databases that were given are left out at the end.
    fn of<'l>(logs: impl Iterator<Item = &'l LogContent>, given: &[DatabaseFile]) -> Self {
        let mut found = Attachments::default();
        for (number, log) in logs.enumerate() {
            if number == 0 {
                for listed in &log.header.attachments.databases {
                    let place = listed.last_attach;
                    found.attach(listed.dbid, listed.database_signature, &listed.path, place);
                }
            }
            log.databases.iter().for_each(|event| found.follow(event));
        }
        let is_given = |signature| {
            given
                .iter()
                .any(|given| given.header.signature == signature)
        };
        let Attachments {
            created,
            needed,
            attached,
            given_attached,
        } = &mut found;
        let is_attached = |signature| {
            attached
                .values()
                .any(|(attached, _)| *attached == signature)
        };
        created.retain(|one| !is_given(one.signature));
        needed.retain(|one| !is_given(one.signature));
        for one in created {
            one.attached_at_end = is_attached(one.signature);
        }
        for one in needed {
            one.attached_at_end = is_attached(one.signature);
        }
        *given_attached = given.iter().map(|given| &given.header).any(|given| {
            // A clean database is brought forward only from a record after its place.
            let is_later = |place| given.state.needs_recovery() || place > given.last_consistent;
            let mut attached = attached.values();
            attached.any(|(signature, place)| *signature == given.signature && is_later(*place))
        });
        found
    }

    fn follow(&mut self, event: &DatabaseEvent) {
        match &event.kind {
            DatabaseEventKind::Created {
                dbid,
                signature,
                path,
            } => {
                for earlier in &mut self.created {
                    earlier.replaced |= earlier.path.eq_ignore_ascii_case(path);
                }
                self.created.push(CreatedDatabase {
                    signature: *signature,
                    path: path.clone(),
                    lgpos: event.lgpos,
                    replaced: false,
                    attached_at_end: false,
                });
                self.attached.insert(*dbid, (*signature, event.lgpos));
            }
            DatabaseEventKind::Attached {
                dbid,
                signature,
                path,
                ..
            } => self.attach(*dbid, *signature, path, event.lgpos),
            DatabaseEventKind::Detached { dbid } => {
                self.attached.remove(dbid);
            }
            DatabaseEventKind::AllDetached => self.attached.clear(),
        }
    }

    fn attach(&mut self, dbid: u8, signature: Signature, path: &str, place: Lgpos) {
        self.attached.insert(dbid, (signature, place));
        let is_known = self.needed.iter().any(|known| known.signature == signature)
            || self
                .created
                .iter()
                .any(|known| known.signature == signature);
        if !is_known {
            self.needed.push(NeededDatabase {
                signature,
                path: path.to_owned(),
                attached_at_end: false,
            });
        }
    }
}

/// The first generation that the databases need; 0, without a database, for all.
fn first_generation(
    files: &StreamFiles,
    checkpoint: Option<&Path>,
    databases: &[DatabaseFile],
) -> Generation {
    let floor = databases
        .iter()
        .map(|database| match database.header.state.needs_recovery() {
            true => database.header.min_required,
            false => database.header.last_consistent.generation,
        });
    let Some(floor) = floor.min() else {
        return Generation(0);
    };
    let path = checkpoint.or_else(|| Some(&*files.checkpoints.first()?.path));
    let checkpoint = path.map(CheckpointReport::read);
    let checkpoint = checkpoint.as_ref().and_then(|report| report.current());
    checkpoint.map_or(floor, |checkpoint| {
        floor.min(checkpoint.checkpoint.generation)
    })
}

/// The generation that an intact header names.
fn header_generation(path: &Path) -> Option<Generation> {
    let start = EvidenceFile::open(path).ok()?.start(HEADER_SIZE).ok()?;
    let (header, _) = trusted_header(&start).ok()?;
    Some(header.generation)
}

/// The files that can matter: none before what the databases need, none after the limit.
fn needed_files(
    files: &StreamFiles,
    checkpoint: Option<&Path>,
    databases: &[DatabaseFile],
    until: &Until,
) -> StreamFiles {
    let mut needed = files.clone();
    if databases.is_empty() {
        return needed;
    }
    let floor = first_generation(files, checkpoint, databases);
    let required = databases
        .iter()
        .map(|database| database.header.max_required)
        .max();
    let ceiling = until
        .generation
        .map(|last| last.max(required.unwrap_or_default()));
    let ceiling = ceiling.unwrap_or(Generation(u32::MAX));
    let generation = |file: &StreamFile| match file.role {
        FileRole::Generation { generation, .. } => Some(generation),
        _ => None,
    };
    // One from before shows that the stream does not begin with what is needed.
    let before = needed.logs.iter().filter_map(generation);
    let before = before.filter(|generation| *generation < floor).max();
    let first = before.unwrap_or(floor);
    // Where nothing is left before the limit, the first log after it shows whether that is a gap.
    let needed_there = needed.logs.iter().filter_map(generation);
    let lowest = needed_there.filter(|generation| *generation >= floor).min();
    let ceiling = ceiling.max(lowest.unwrap_or_default());
    // What a log is, its header says; one under a wrong name may be what is missing.
    let is_misnamed = |file: &StreamFile| {
        let found = header_generation(&file.path);
        found.is_some() && found != generation(file) && found >= Some(floor)
    };
    needed.logs.retain(|file| {
        generation(file).is_none_or(|generation| (first..=ceiling).contains(&generation))
            || is_misnamed(file)
    });
    needed
}
