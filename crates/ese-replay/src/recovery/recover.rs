//! The one recovery. `edbreplay`, `scr`, `--with-logs`, plans and tests all go through here.
//!
//! ```text
//! plan allows it? -> offer databases -> redo -> checks -> undo, clean header   or   dirty header with its range
//!                                                 -> changed pages written -> nothing cut off? -> Recovered
//! ```
//!
//! Redo alone proves nothing: it can come to the end of the logs without an error and have passed over what it should
//! have applied. Each check finds one way in which that happens, and is made here once, whoever asks for the recovery
//! ("Required range" and "Version and rceid" in `docs/concepts.md` say why they can be found):
//!
//! | check | without it |
//! |---|---|
//! | every database that the logs leave attached is there | one is silently left behind |
//! | the database was attached, and no record for it went past before that | an older copy is called recovered |
//! | redo came to the end of the required range | a mix of old and new pages is called consistent |
//! | a shrink or trim explains each page that redo skipped as missing or too old | lost writes stay |
//! | no page is newer than everything that the logs know of | a last log without its end passes for complete |
//! | every change of an open transaction can be undone | uncommitted rows stay |
//! | the file has the pages that the database owns, or the logs hold them | what was cut off is lost without a report |
//!
//! With `until_undo` other logs may follow: they may explain a page, and bring the end of the required range. Redo is then
//! held where the oldest open transaction began ([`RecoveryPlan::hold_at`]); later records are only noted, for the checks.
//!
//! What has passed all of them is a [`RecoveredDatabase`]; no output takes anything else
//! ([`RecoveryOutput::commit`](crate::output::RecoveryOutput::commit)), so that nothing gets the name of a result that was not proved to
//! be one. A recovery that fails or is killed before that has not changed its source.

use super::cut_off::{LostEnd, cut_off_files, lost_end};
use super::finish::{finish_clean, finish_dirty, settle_all};
use super::replay::replay;
use super::{DatabaseFile, DatabasePlan, PlanRefusal, RecoveryError, RecoveryPlan, ReplaySummary};
use crate::database::ReplayDatabase;
use crate::error::Problem;
use crate::pages::{PageCounts, PageFile, Pages};
use crate::redo::{NewDatabase, PageDivergence, Redo, RedoCounts, RedoObserver};
use crate::undo::UndoneOperation;
use ese_format::record::CreateDb;
use ese_format::{DatabaseHeader, JetError, Pgno, Progress, Signature};
use ese_log::{LogObserver, StreamRecords, Until};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A database that is given, and where its changed pages go.
pub struct GivenDatabase<'d> {
    /// The database; it is only read.
    pub database: &'d DatabaseFile,
    /// Through which its pages are read and written.
    pub pages: Box<dyn PageFile>,
}

/// An empty file for a database that the logs create.
pub struct EmptyFile {
    /// The database's signature.
    pub signature: Signature,
    /// The file.
    pub file: NewDatabase,
}

/// How a plan is to be carried out.
#[derive(Default)]
pub struct RecoverOptions<'o> {
    /// Roll nothing back: leave the databases dirty, for the logs that come after these.
    pub until_undo: bool,
    /// Go on where the plan says that committed work is given up.
    pub lossy: bool,
    /// Go on where the end of a database's file is missing and the logs do not hold it.
    pub accept_cut_off: bool,
    /// Leave out databases that the logs change and that were not given.
    pub ignore_missing: bool,
    /// Bytes that the pages of all databases may take; all that they need if not given.
    pub memory: Option<u64>,
    /// Read logs ahead on another thread.
    pub read_ahead: bool,
    /// Have the time measured that each type of record takes.
    pub measure_time: bool,
    /// Sees every log when it is read.
    pub observer: Option<LogObserver>,
    /// Sees what redo does to nodes.
    pub changes: Option<Box<dyn RedoObserver>>,
    /// Sees the databases as redo leaves them, before anything is rolled back.
    pub after_redo: Option<AfterRedo<'o>>,
}

/// See [`RecoverOptions::after_redo`].
pub type AfterRedo<'o> = Box<dyn FnMut(&mut BTreeMap<u8, ReplayDatabase>) + 'o>;

/// How long the steps took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timing {
    /// Reading logs, or waiting for them.
    pub logs: Duration,
    /// Redo, logs apart.
    pub redo: Duration,
    /// Undo, and writing changed pages.
    pub finish: Duration,
}

/// A recovery that passed all its checks.
#[non_exhaustive]
pub struct Recovered {
    /// How far it went.
    pub summary: ReplaySummary,
    /// Records by type, and what was done with them.
    pub counts: RedoCounts,
    /// Pages that are not what the writing machine saw when it scanned them.
    pub divergences: Vec<PageDivergence>,
    /// Transactions that were rolled back at the end.
    pub transactions_undone: usize,
    /// Their operations, newest first.
    pub undone: Vec<UndoneOperation>,
    /// Databases that lost pages with the end of their files.
    pub lost_ends: Vec<LostEnd>,
    /// How long it took.
    pub timing: Timing,
    /// The databases: those that were given, in their order, then those that the logs created.
    pub databases: Vec<RecoveredDatabase>,
}

/// A database as a recovery left it: all its changed pages are written, its header is not.
#[non_exhaustive]
pub struct RecoveredDatabase {
    database: ReplayDatabase,
    created: bool,
}

impl RecoveredDatabase {
    /// The header that it shall have.
    pub fn header(&self) -> &DatabaseHeader {
        &self.database.header
    }

    /// Which database it is.
    pub fn signature(&self) -> Signature {
        self.database.header.signature
    }

    /// Whether the logs created it in the range that was replayed.
    pub fn is_created(&self) -> bool {
        self.created
    }

    /// Whether the logs attached or created it in the range that was replayed.
    pub fn is_touched(&self) -> bool {
        self.database.touched
    }

    /// Its last page.
    pub fn last_page(&self) -> Pgno {
        self.database.pages.last()
    }

    /// What happened to its pages.
    pub fn page_counts(&self) -> PageCounts {
        self.database.pages.counts()
    }

    /// Its pages.
    pub fn into_pages(self) -> Pages {
        self.database.pages
    }
}

/// Carries out a plan.
///
/// `given` are the databases that the plan was made for; `created` are files for those that the logs create, any of
/// [`RecoveryPlan::created`]. Those that are not there are left out, and missing if they are attached at the end.
pub fn recover(
    plan: &RecoveryPlan,
    given: Vec<GivenDatabase<'_>>,
    created: Vec<EmptyFile>,
    mut options: RecoverOptions<'_>,
    progress: &dyn Progress,
) -> Result<Recovered, RecoveryError> {
    let refusal = match options.until_undo {
        true => plan.obstacle_to_redo(options.lossy),
        false => plan.obstacle(options.lossy),
    };
    if let Some(refusal) = refusal {
        return Err(RecoveryError::Refused(Box::new(refusal)));
    }
    let sources: Vec<&DatabaseFile> = given.iter().map(|given| given.database).collect();
    let cut_off = cut_off_files(&sources);
    let mut redo = Redo::new();
    if let Some(memory) = options.memory {
        redo.share_memory(memory);
    }
    for one in given {
        redo.offer(one.database.database(one.pages, usize::MAX));
    }
    let made: Vec<Signature> = created.iter().map(|given| given.signature).collect();
    redo.create_with(creator(created));
    if options.measure_time {
        redo.measure_time();
    }
    if let Some(observer) = options.changes.take() {
        redo.show_to(observer);
    }
    let mut until = *plan.until();
    if options.until_undo {
        until.before = [until.before, plan.hold_at()].into_iter().flatten().min();
    }
    let mut records = records_of(plan, options.observer.take(), options.read_ahead);
    progress.begin(plan.log_bytes, 0);
    let begun = Instant::now();
    let summary = replay(&mut redo, &mut records, &until, progress);
    let summary = summary.map_err(|error| with_path(error, &sources))?;
    let (total, logs) = (begun.elapsed(), records.waited());
    let mut owed = redo.owed_undo_info();
    if options.until_undo {
        // What is noted of later transactions must not count for the range that is left to do.
        let kept = redo.keep_sessions();
        note_rest(&mut redo, &mut records, plan.until())?;
        owed = redo.owed_undo_info();
        redo.resume_sessions(kept);
        let names = plan.missing_at_end(&made);
        if !names.is_empty() && !options.ignore_missing {
            return Err(RecoveryError::Missing { names });
        }
    }
    drop(records);
    check(&redo, &summary, &sources, plan, &options)?;
    refuse_unexplained(&mut redo, &summary, plan, options.until_undo)?;
    refuse_newer_pages(&redo, plan, &sources)?;
    let required = sources.iter().map(|source| source.header.max_required);
    if required
        .max()
        .is_none_or(|required| required <= plan.range_end())
    {
        owed.map_err(RecoveryError::End)?;
    }
    if let Some(after_redo) = &mut options.after_redo {
        after_redo(redo.databases_mut());
    }
    let begun = Instant::now();
    let open = redo.sessions().values();
    // What is attached nowhere is not rolled back.
    let open = open.filter(|session| session.level > 0 && !redo.databases().is_empty());
    let open = open.count();
    let (undone, transactions_undone) = if options.until_undo {
        finish_dirty(&mut redo, &summary, plan);
        (Vec::new(), 0)
    } else {
        (finish_clean(&mut redo, &summary)?, open)
    };
    let mut databases = redo.take_databases();
    settle_all(&mut databases, &summary)?;
    let mut lost_ends = Vec::new();
    for (signature, path, cut_off) in cut_off {
        let mut own = databases.iter_mut();
        // What redo is to do later may bring them.
        let is_done =
            |own: &&mut ReplayDatabase| !options.until_undo || summary.covers(own.required_until);
        let own = own.find(|own| own.header.signature == signature);
        if let Some(own) = own.filter(is_done) {
            lost_ends.extend(lost_end(own, path, cut_off));
        }
    }
    if let Some(lost) = lost_ends.first().filter(|_| !options.accept_cut_off) {
        return Err(RecoveryError::CutOff(Box::new(lost.clone())));
    }
    Ok(Recovered {
        lost_ends,
        databases: in_order(databases, &sources, &made),
        counts: redo.counts().clone(),
        divergences: redo.divergences().to_vec(),
        transactions_undone,
        undone,
        timing: Timing {
            logs,
            redo: total.saturating_sub(logs),
            finish: begun.elapsed(),
        },
        summary,
    })
}

fn records_of(
    plan: &RecoveryPlan,
    observer: Option<LogObserver>,
    read_ahead: bool,
) -> StreamRecords {
    let mut records = plan.records();
    if let Some(observer) = observer {
        records = records.shown_to(observer);
    }
    match read_ahead {
        true => records.ahead(),
        false => records,
    }
}

/// Takes note of the records after the place at which redo was held, up to the limit: pages may hold what they say.
fn note_rest(
    redo: &mut Redo,
    records: &mut StreamRecords,
    until: &Until,
) -> Result<(), RecoveryError> {
    let mut next = records.current().map(|raw| raw.lgpos);
    while let Some(lgpos) = next {
        let is_late = records
            .image()
            .is_some_and(|image| until.is_late(image, lgpos));
        if until.is_past(lgpos) || is_late {
            break;
        }
        if let Some(raw) = records.current() {
            redo.note_only(&raw)?;
        }
        next = records.next_record()?.map(|raw| raw.lgpos);
    }
    Ok(())
}

/// Gives each database that the log creates the file that was made for it.
fn creator(mut given: Vec<EmptyFile>) -> crate::redo::Creator {
    Box::new(move |record: &CreateDb<'_>| {
        let place = (given.iter()).position(|given| given.signature == record.signature)?;
        Some(given.swap_remove(place).file)
    })
}

/// Whether what was replayed makes the databases consistent, and nothing of them was passed over.
fn check(
    redo: &Redo,
    summary: &ReplaySummary,
    sources: &[&DatabaseFile],
    plan: &RecoveryPlan,
    options: &RecoverOptions<'_>,
) -> Result<(), RecoveryError> {
    let names: Vec<String> = redo
        .missing()
        .map(|missing| missing.logged.name.clone())
        .collect();
    if !names.is_empty() && !options.ignore_missing {
        return Err(RecoveryError::Missing { names });
    }
    for source in sources {
        let path = || source.path().to_owned();
        let header = &source.header;
        let signature = header.signature;
        if let Some(passed) = redo
            .lost_records()
            .find(|passed| passed.signature == signature)
        {
            return Err(RecoveryError::PassedOver {
                path: path(),
                known: passed.known,
                first: passed.first,
                records: passed.records,
            });
        }
        if !header.state.needs_recovery() {
            if !options.until_undo && plan.ends_before_consistent(header) {
                return Err(RecoveryError::LimitBeforeConsistent {
                    path: path(),
                    consistent: header.last_consistent,
                });
            }
            continue;
        }
        if !options.until_undo && !summary.covers(header.max_required) {
            let needed = header.max_required;
            return Err(match plan.until().is_limited() {
                true => RecoveryError::LimitTooEarly {
                    path: path(),
                    needed,
                },
                false => RecoveryError::TooShort {
                    path: path(),
                    last: summary.last,
                    needed,
                },
            });
        }
        if summary.logs == 0 {
            // A limit before the first log that it needs: it stays as it is.
            continue;
        }
        let waiting = redo.waiting().iter();
        let mut waiting = waiting.filter(|other| other.header.signature == signature);
        if waiting.any(|waiting| !waiting.touched) {
            return Err(RecoveryError::NeverAttached {
                path: path(),
                from: summary.first,
            });
        }
    }
    Ok(())
}

/// A page that missed changes and that no later record explained. With logs to come, one may still do so; but none after those
/// that the database requires, which are all that its file can be ahead of. Where redo was held before their end, the
/// rest of them was read all the same.
fn refuse_unexplained(
    redo: &mut Redo,
    summary: &ReplaySummary,
    plan: &RecoveryPlan,
    until_undo: bool,
) -> Result<(), RecoveryError> {
    for database in redo.databases_mut().values_mut() {
        let required = database.required_until;
        if (!until_undo || summary.covers(required) || plan.reads_all_of(required))
            && let Some(skipped) = database.take_unexplained()
        {
            return Err(skipped.into_error().into());
        }
    }
    Ok(())
}

/// No page that redo met may be newer than everything that the logs know of, and no page at all where nothing proves that the
/// last log is whole.
///
/// The newest log has no other that proves it whole. Where a database requires it, or one that nothing proves, no page of
/// the file may be newer than everything that the logs know of: what made it so was lost.
fn refuse_newer_pages(
    redo: &Redo,
    plan: &RecoveryPlan,
    sources: &[&DatabaseFile],
) -> Result<(), RecoveryError> {
    // A limit before what a database requires leaves out what its newest pages hold.
    let all_of_it = |database: &&ReplayDatabase| database.required_until <= plan.range_end();
    for database in redo.databases().values().filter(all_of_it) {
        database.refuse_newer_page().map_err(RecoveryError::End)?;
    }
    for (source, planned) in sources.iter().zip(&plan.databases) {
        let header = &source.header;
        let (needed, end) = (header.max_required, plan.range_end());
        let is_proved = needed < end && planned.verdict.not_proved.is_empty();
        if !header.state.needs_recovery() || is_proved || needed > end {
            continue;
        }
        let attached = redo.databases().values().chain(redo.waiting());
        let mut own = attached.filter(|own| own.header.signature == header.signature);
        let Some(highest) = own.next().map(ReplayDatabase::highest_logged) else {
            continue;
        };
        if let Some((found, pgno)) = source.newest_page_above(highest)? {
            return Err(RecoveryError::End(Problem::DbtimeBeyondLogs {
                pgno,
                found,
                highest,
            }));
        }
    }
    Ok(())
}

/// Names the database of an error that knows only its signature.
fn with_path(error: RecoveryError, sources: &[&DatabaseFile]) -> RecoveryError {
    match error {
        RecoveryError::LostAttach {
            signature, lost, ..
        } => {
            let mut own = sources.iter();
            let own = own.find(|source| source.header.signature == signature);
            RecoveryError::LostAttach {
                path: own
                    .map(|source| source.path().to_owned())
                    .unwrap_or_default(),
                signature,
                lost,
            }
        }
        other => other,
    }
}

fn in_order(
    databases: Vec<ReplayDatabase>,
    sources: &[&DatabaseFile],
    made: &[Signature],
) -> Vec<RecoveredDatabase> {
    let given: Vec<Signature> = sources
        .iter()
        .map(|source| source.header.signature)
        .collect();
    let place = |database: &RecoveredDatabase| {
        let signature = database.signature();
        let given = given.iter().position(|other| *other == signature);
        let made = || made.iter().position(|other| *other == signature);
        given.or_else(|| made().map(|place| sources.len() + place))
    };
    let databases = databases.into_iter().map(|database| RecoveredDatabase {
        created: !given.contains(&database.header.signature),
        database,
    });
    let mut databases: Vec<RecoveredDatabase> = databases.collect();
    databases.sort_by_key(place);
    databases
}

/// What keeps a plan from being carried out.
impl RecoveryPlan {
    /// The first database that cannot become consistent, or, unless `lossy`, would lose committed work. Without a
    /// database, what keeps the logs from being replayed to their end.
    pub fn obstacle(&self, lossy: bool) -> Option<PlanRefusal> {
        self.obstacle_among(self.databases.iter(), lossy)
    }

    /// The same for redo alone: logs that are only not there yet can still come.
    pub fn obstacle_to_redo(&self, lossy: bool) -> Option<PlanRefusal> {
        let can_come = |plan: &&DatabasePlan| {
            let reach = plan.verdict.reach.as_ref();
            plan.is_lossy() && reach.is_some_and(|reach| reach.stop.is_none())
        };
        self.obstacle_among(self.databases.iter().filter(|plan| !can_come(plan)), lossy)
    }

    fn obstacle_among<'a>(
        &self,
        plans: impl Iterator<Item = &'a DatabasePlan>,
        lossy: bool,
    ) -> Option<PlanRefusal> {
        let plans: Vec<&DatabasePlan> = plans.collect();
        let blocked = plans.iter().find(|plan| plan.is_blocked());
        let giving_up = plans.iter().find(|plan| plan.is_lossy() && !lossy);
        let blocked = blocked.or(giving_up).map(|plan| PlanRefusal::of(plan));
        blocked.or_else(|| self.stop_of_logs(lossy))
    }

    /// Logs that create no database need one.
    fn nothing_to_replay_into(&self) -> PlanRefusal {
        let needed: Vec<&str> = self.needed().iter().map(|one| one.path.as_str()).collect();
        let needed = match needed.is_empty() {
            true => String::new(),
            false => format!("; they need {}", needed.join(", ")),
        };
        PlanRefusal {
            path: self.folder().to_owned(),
            reasons: format!("no database is given, and these logs create none{needed}"),
            advice: vec!["name the database, or add the logs from its creation on".to_owned()],
            jet: JetError::ATTACHED_DATABASE_MISMATCH,
            is_lossy: false,
        }
    }

    /// What logs alone, without a database, cannot be replayed past.
    fn stop_of_logs(&self, lossy: bool) -> Option<PlanRefusal> {
        let reach = self.reach.as_ref().filter(|_| self.databases.is_empty())?;
        if self.created().is_empty() {
            return Some(self.nothing_to_replay_into());
        }
        let stop = reach.stop.as_ref()?;
        let is_lossy = !stop.is_mendable && reach.last.is_some();
        if self.until().leaves_out(stop.generation) || (lossy && is_lossy) {
            return None;
        }
        Some(PlanRefusal {
            path: self.folder().to_owned(),
            reasons: stop.to_string(),
            advice: stop.advice.clone().into_iter().collect(),
            jet: stop.jet,
            is_lossy,
        })
    }
}
