//! Activation: the copy becomes the database that people work with.
//!
//! ```text
//! order in the state -> service lets go -> rest of the logs -> chain -> recovery -> other name -> proof -> done
//!                        |---------- may be taken back ----------|------ is gone through with ------|
//! ```
//!
//! The order comes first, so that no step of replay begins from then on; the lock of the service comes next, so that none
//! is under way. Everything is found out before the database is recovered: a refusal, or a recovery that fails, takes the
//! order back, and the copy is served again. What was found out is written into the state before the recovery begins,
//! since the database does not show it afterwards; so the answer is the same whether the activation was killed or not.
//!
//! | killed | what is left | the same command |
//! |---|---|---|
//! | before the recovery | an order; inspected logs that were fetched | does all of it, and fetches what is not here |
//! | during the recovery | the database as it was, or a finished journal | recovers it, or finishes the journal |
//! | before the other name | a clean database under its old name | renames it |
//! | before the end of the proof | a clean database in its place | reads all of it again |
//! | after the end | the answer in the state | gives the answer |
//!
//! That the recovery is done is not noted anywhere: the database says so. It is the one that was found, clean, and last
//! consistent at another place in the logs ("Lgpos" in `docs/concepts.md`) than before, unless there was nothing to
//! replay. From then on it differs from the source, since new work in it is in no log of the source: `scr resume` does
//! not take the order back after logs were replayed or the file was renamed.

mod report;

pub use report::{
    ActivateRefusal, ActivateReport, DatabaseProof, LastCommit, LostLogs, ReplayedLogs, SourceLook,
};

use crate::birth::{is_to_be_made, make};
use crate::clock::Clock;
use crate::config::{Configuration, CopyConfig};
use crate::copy::StandbyCopy;
use crate::error::{StandbyError, at};
use crate::place::{database_header, listing_of};
use crate::proofs::ProvedRange;
use crate::replay::ReplayFailure;
use crate::source::{LogSource, header_of};
use crate::state::{Activation, ActivationFacts, CopyState, StateFile, sync_folder};
use ese_format::database::{DatabaseHeader, HEADERS_MAX, HeaderCopies};
use ese_format::explain::advise;
use ese_format::{Class, Explain, Generation, JetError, Progress};
use ese_log::chain::verify;
use ese_log::{FileRole, LogError, Naming, StreamFile, StreamFiles};
use ese_replay::output::{InPlace, OutputError, RecoveryOutput, Target};
use ese_replay::recovery::{
    DatabaseFile, GivenDatabase, RecoverOptions, RecoveryError, RecoveryPlan, ReplaySummary, Until,
    plan, recover, try_out,
};
use ese_scan::{ScanError, ScanOptions, scan};
use evidence::EvidenceFile;
use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;
use tracing::info;

/// Memory for pages of the database.
const CACHE_BYTES: u64 = 256 << 20;
/// A service lets go of a copy before its next pass, or when the step of replay that it is in has been stopped.
const PATIENCE: Duration = Duration::from_secs(60);
/// Findings about pages that are kept for the report; all are counted.
const FINDINGS_KEPT: usize = 100;

/// How a copy is to be activated.
#[derive(Debug, Clone, Default)]
pub struct ActivateOptions {
    /// Accept that the source is lost and, with it, what never came here.
    pub force: bool,
    /// With `force`: still take from the source what it can give.
    pub try_source: bool,
    /// With `force`: the first generation that is given up though later logs are here.
    pub give_up: Option<Generation>,
    /// Where the database is to be afterwards; in its place if not given.
    pub to: Option<PathBuf>,
    /// How many threads may read pages for the proof.
    pub threads: usize,
}

/// Why a copy was not activated.
#[derive(Debug, Error)]
pub enum ActivateError {
    /// The copy cannot be worked on.
    #[error(transparent)]
    Standby(#[from] StandbyError),
    /// It would lose what need not be lost, or could not be mounted: the report says which. Nothing was changed but that
    /// logs were fetched.
    #[error("{}", .0.refusal.as_ref().map_or("", |refusal| &refusal.reason))]
    Refused(Box<ActivateReport>),
    /// The copy has no database yet.
    #[error("{} is not there: the copy has not been seeded", .0.display())]
    NotSeeded(PathBuf),
    /// Recovery failed.
    #[error(transparent)]
    Replay(#[from] ReplayFailure),
    /// The result could not be read.
    #[error(transparent)]
    Proof(#[from] ScanError),
    /// It was asked to stop; the same command goes on.
    #[error("stopped as asked")]
    Interrupted,
}

impl Explain for ActivateError {
    fn class(&self) -> Class {
        match self {
            ActivateError::Standby(error) => error.class(),
            ActivateError::Refused(_) | ActivateError::NotSeeded(_) => Class::Refused,
            ActivateError::Replay(error) => error.class(),
            ActivateError::Proof(error) => error.class(),
            ActivateError::Interrupted => Class::Interrupted,
        }
    }

    fn jet(&self) -> Option<JetError> {
        match self {
            ActivateError::Standby(error) => error.jet(),
            ActivateError::NotSeeded(_) => Some(JetError::FILE_NOT_FOUND),
            ActivateError::Replay(error) => error.jet(),
            ActivateError::Proof(error) => error.jet(),
            // The report of a refusal says it.
            ActivateError::Refused(_) | ActivateError::Interrupted => None,
        }
    }

    fn advice(&self) -> Option<Cow<'static, str>> {
        match self {
            ActivateError::Standby(error) => error.advice(),
            ActivateError::Refused(_) => None,
            ActivateError::NotSeeded(_) => advise("`scr update` brings its database"),
            ActivateError::Replay(error) => error.advice(),
            ActivateError::Proof(error) => error.advice(),
            ActivateError::Interrupted => advise("run the same command again: it goes on"),
        }
    }
}

impl From<RecoveryError> for ActivateError {
    fn from(error: RecoveryError) -> Self {
        match error {
            RecoveryError::Interrupted => ActivateError::Interrupted,
            other => ReplayFailure::from(other).into(),
        }
    }
}

/// What an activation rests on.
struct PreparedActivation {
    database: DatabaseFile,
    plan: RecoveryPlan,
    report: ActivateReport,
}

/// Says what an activation would do; nothing is changed. Logs that only the source has are read into a
/// temporary folder.
pub fn preview(
    configuration: &Configuration,
    config: &CopyConfig,
    source: Box<dyn LogSource>,
    options: &ActivateOptions,
    clock: &dyn Clock,
    progress: &dyn Progress,
) -> Result<ActivateReport, ActivateError> {
    let state = StateFile::new(&configuration.state, config.file_name()).read()?;
    if let Some(report) = already(&state) {
        return Ok(report);
    }
    seeded(config, &state)?;
    let scratch = tempfile::tempdir().map_err(at(&std::env::temp_dir()))?;
    let mut copy = StandbyCopy::rehearse(config, &configuration.state, source, scratch.path())?;
    let mut prepared = prepare(&mut copy, &state, options, clock, progress)?;
    if prepared.report.refusal.is_none() {
        try_it(&mut prepared, progress)?;
    }
    prepared.report.dry_run = true;
    prepared.report.database = options
        .to
        .clone()
        .unwrap_or_else(|| config.target.database.clone());
    Ok(prepared.report)
}

/// Carries the recovery out without a result, so that a preview says what the activation itself will say.
fn try_it(prepared: &mut PreparedActivation, progress: &dyn Progress) -> Result<(), ActivateError> {
    let databases = std::slice::from_ref(&prepared.database);
    let memory = usize::try_from(CACHE_BYTES).unwrap_or(usize::MAX);
    let options = RecoverOptions::default();
    let tried = try_out(&mut prepared.plan, databases, memory, options, progress)?;
    if let Some(problem) = &tried.problem {
        prepared.report.refuse(problem);
    }
    let summary = tried.recovered.map(|recovered| recovered.summary);
    prepared.report.replayed.last_commit = summary.as_ref().and_then(LastCommit::of);
    Ok(())
}

/// Activates the copy, or goes on with an activation that was begun.
pub fn activate(
    configuration: &Configuration,
    config: &CopyConfig,
    source: Box<dyn LogSource>,
    options: &ActivateOptions,
    clock: &dyn Clock,
    progress: &dyn Progress,
) -> Result<ActivateReport, ActivateError> {
    let file = StateFile::new(&configuration.state, config.file_name());
    let state = file.read()?;
    if let Some(report) = already(&state) {
        return Ok(report);
    }
    seeded(config, &state)?;
    order(&file, config, options, clock)?;
    let service = file.serve_within(PATIENCE)?;
    let mut copy = StandbyCopy::take(config, &configuration.state, source, service, clock)?;
    let result = carry_out(&mut copy, &file, options, clock, progress);
    if let Err(ActivateError::Refused(_) | ActivateError::Replay(_)) = &result {
        take_back(&file, &config.name)?;
    }
    result
}

/// An activation that was begun may have moved the database already; before that it has to be there.
fn seeded(config: &CopyConfig, state: &CopyState) -> Result<(), ActivateError> {
    let database = &config.target.database;
    let has_first_log = || {
        let here = listing_of(config).unwrap_or_default();
        is_to_be_made(config, state, here.oldest())
    };
    if state.activation.is_some() || database.exists() || has_first_log() {
        return Ok(());
    }
    Err(ActivateError::NotSeeded(database.clone()))
}

/// Takes an order back that was not carried out, so that the copy is served again. Refused when the database has been
/// recovered: from then on it differs from the source.
pub fn take_back(file: &StateFile, name: &str) -> Result<(), StandbyError> {
    let state = file.read()?;
    let Some(activation) = &state.activation else {
        return Ok(());
    };
    let is_gone =
        |report: ActivateReport| report.replayed.last.is_some() || !activation.from.exists();
    if activation.finished.is_some() || recovered(activation).is_some_and(is_gone) {
        return Err(StandbyError::NotNow {
            name: name.to_owned(),
            problem: "was activated: its database has changes of its own now",
        });
    }
    file.update(|state| state.activation = None).map(drop)
}

/// Writes the order into the state, where the service sees it.
fn order(
    file: &StateFile,
    config: &CopyConfig,
    options: &ActivateOptions,
    clock: &dyn Clock,
) -> Result<(), StandbyError> {
    let from = config.target.database.clone();
    let database = options.to.clone().unwrap_or_else(|| from.clone());
    let state = file.read()?;
    let begun = state.activation.as_ref();
    if begun.is_some_and(|begun| begun.database != database && recovered(begun).is_some()) {
        return Err(StandbyError::NotNow {
            name: config.name.clone(),
            problem: "was recovered for another place already: give the same --to as before",
        });
    }
    let now = clock.now();
    file.update(|state| {
        let activation = state.activation.get_or_insert(Activation {
            begun: now,
            finished: None,
            from,
            database: database.clone(),
            found: None,
        });
        activation.database = database;
    })?;
    Ok(())
}

fn carry_out(
    copy: &mut StandbyCopy,
    file: &StateFile,
    options: &ActivateOptions,
    clock: &dyn Clock,
    progress: &dyn Progress,
) -> Result<ActivateReport, ActivateError> {
    let config = copy.config().clone();
    let state = file.read()?;
    let report = match state.activation.as_ref().and_then(recovered) {
        Some(report) => report,
        None => {
            refuse_taken(options)?;
            InPlace::resume(&config.target.database).map_err(ReplayFailure::from)?;
            let prepared = prepare(copy, &state, options, clock, progress)?;
            if prepared.report.refusal.is_some() {
                return Err(ActivateError::Refused(Box::new(prepared.report)));
            }
            let found = found(&prepared);
            file.update(|state| {
                if let Some(activation) = &mut state.activation {
                    activation.found = Some(found);
                }
            })?;
            let mut report = prepared.report.clone();
            match bring_to_clean(&config, &prepared, options, progress) {
                Ok(summary) => report.replayed.last_commit = LastCommit::of(&summary),
                Err(ActivateError::Replay(ReplayFailure::Recovery(problem))) => {
                    report.refuse(&problem);
                    return Err(ActivateError::Refused(Box::new(report)));
                }
                Err(other) => return Err(other),
            }
            report
        }
    };
    let report = finish(&config, report, options, progress)?;
    if report.mountable {
        let now = clock.now();
        file.update(|state| {
            if let Some(activation) = &mut state.activation {
                activation.finished = Some(now);
                if let Some(found) = &mut activation.found {
                    found.report = report.clone();
                }
            }
        })?;
        info!(copy = config.name, "activated");
    }
    Ok(report)
}

/// The other name must be free: nothing is ever replaced.
fn refuse_taken(options: &ActivateOptions) -> Result<(), ActivateError> {
    match &options.to {
        Some(to) if to.exists() => {
            let error = OutputError::Exists { path: to.clone() };
            Err(ReplayFailure::from(error).into())
        }
        _ => Ok(()),
    }
}

fn found(prepared: &PreparedActivation) -> ActivationFacts {
    let header = &prepared.database.header;
    let clean = header.state == ese_format::database::DatabaseState::CLEAN_SHUTDOWN;
    ActivationFacts {
        signature: header.signature.to_string(),
        stream: Some(header.log_signature.to_string()),
        clean_at: clean.then(|| header.last_consistent.to_string()),
        report: prepared.report.clone(),
    }
}

/// The answer of an activation that is done.
fn already(state: &CopyState) -> Option<ActivateReport> {
    let activation = state.activation.as_ref()?;
    activation.finished?;
    Some(activation.found.as_ref()?.report.clone())
}

/// What was found out by an activation that was killed after its recovery: the database is clean where it was or where
/// it was to go.
fn recovered(activation: &Activation) -> Option<ActivateReport> {
    let found = activation.found.as_ref()?;
    // Without a log to replay it was done before it was begun.
    let unchanged = found.report.replayed.last.is_none();
    let is_clean = |path: &PathBuf| {
        let resumed = path.exists() && InPlace::resume(path).is_ok();
        let header = DatabaseFile::open(path).ok().filter(|_| resumed)?.header;
        let clean = header.state == ese_format::database::DatabaseState::CLEAN_SHUTDOWN;
        let changed = found.clean_at.as_ref() != Some(&header.last_consistent.to_string());
        let is_it = header.signature.to_string() == found.signature;
        (clean && (changed || unchanged) && is_it).then_some(())
    };
    let places = [&activation.database, &activation.from];
    places.into_iter().find_map(is_clean)?;
    Some(found.report.clone())
}

/// Fetches the rest of the logs, and finds out what is possible with them.
fn prepare(
    copy: &mut StandbyCopy,
    state: &CopyState,
    options: &ActivateOptions,
    clock: &dyn Clock,
    progress: &dyn Progress,
) -> Result<PreparedActivation, ActivateError> {
    let config = copy.config().clone();
    let (look, fetched, current) = fetch(copy, state, options, clock)?;
    let files = stream_of(copy, current)?;
    let database = &config.target.database;
    let all = Generation(u32::MAX);
    if !database.exists() && !make(&config, database, &files, all, progress)? {
        return Err(ActivateError::NotSeeded(database.clone()));
    }
    let mut prepared = judge(&config, state, &files, look, options, clock, progress)?;
    prepared.report.fetched = fetched;
    Ok(prepared)
}

/// Takes what the source still has, if that is wished: what was found there, how many logs came, and where its current log
/// lies now.
fn fetch(
    copy: &mut StandbyCopy,
    state: &CopyState,
    options: &ActivateOptions,
    clock: &dyn Clock,
) -> Result<(SourceLook, u32, Option<PathBuf>), ActivateError> {
    let seen = state.generated.map(|generated| generated.generation);
    let mut look = SourceLook {
        asked: !options.force || options.try_source,
        newest_closed: seen,
        ..SourceLook::default()
    };
    if !look.asked {
        return Ok((look, 0, None));
    }
    let view = match copy.view() {
        Ok(view) if view.is_empty() => {
            look.problem = Some("there is no log".to_owned());
            return Ok((look, 0, None));
        }
        Ok(view) => view,
        Err(error) => {
            look.problem = Some(error.to_string());
            return Ok((look, 0, None));
        }
    };
    look.reached = true;
    look.newest_closed = view.newest_closed.max(seen);
    let (fetched, obstacle) = copy.fetch_rest(clock)?;
    let current = match obstacle {
        Some(obstacle) => Err(obstacle),
        None => copy.fetch_current(),
    };
    match current {
        Ok(current) => {
            look.current = Some(current.generation);
            Ok((look, fetched, Some(current.path)))
        }
        Err(obstacle) => {
            look.problem = Some(obstacle.message());
            Ok((look, fetched, None))
        }
    }
}

/// The logs of the copy, with the current log that was fetched, or else one that a person put there. Logs of other streams
/// that lie among them are left out.
fn stream_of(copy: &StandbyCopy, current: Option<PathBuf>) -> Result<StreamFiles, ActivateError> {
    let config = copy.config();
    let target = &config.target;
    let base = &config.source.base;
    let mut files = logs_in(&target.logs, base).map_err(RecoveryError::Log)?;
    if let Some(folder) = copy.rehearsed_in() {
        let fetched = logs_in(folder, base).map_err(RecoveryError::Log)?.logs;
        let is_fetched = |file: &StreamFile| fetched.iter().any(|other| other.role == file.role);
        files.logs.retain(|file| !is_fetched(file));
        files.logs.extend(fetched);
        files.logs.sort_by_key(|file| file.role);
    }
    files.checkpoints.clear();
    let stream = database_header(&target.database).map(|header| header.log_signature);
    let is_of_it = |file: &StreamFile| {
        let found = header_of(&file.path).map(|header| header.signature);
        // What is damaged is reported as that.
        found.is_none() || stream.is_none_or(|stream| stream.is_null() || found == Some(stream))
    };
    files.logs.retain(is_of_it);
    if let Some(path) = current {
        let role = FileRole::Current;
        files.current = vec![StreamFile { path, role }];
        return Ok(files);
    }
    // An earlier attempt may have left a current log that has been closed since.
    let after = newest(&files).map(|newest| newest.0.saturating_add(1));
    files.current.retain(|file| {
        let generation = header_of(&file.path).map(|header| header.generation.0);
        is_of_it(file) && (after.is_none() || generation == after)
    });
    Ok(files)
}

/// The files of the stream `base` in a folder that may be missing, or have none.
pub(crate) fn logs_in(folder: &Path, base: &str) -> Result<StreamFiles, LogError> {
    match StreamFiles::find(folder, Some(base)) {
        Err(LogError::NoStream { .. }) => {}
        Err(LogError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
        files => return files,
    }
    Ok(StreamFiles {
        folder: folder.to_owned(),
        naming: Naming {
            base: base.to_owned(),
            digits: 8,
            extension: ".log".to_owned(),
        },
        logs: Vec::new(),
        current: Vec::new(),
        leftovers: Vec::new(),
        checkpoints: Vec::new(),
    })
}

/// Finds out what a recovery with these logs comes to, and whether it is to be done.
fn judge(
    config: &CopyConfig,
    state: &CopyState,
    files: &StreamFiles,
    look: SourceLook,
    options: &ActivateOptions,
    clock: &dyn Clock,
    progress: &dyn Progress,
) -> Result<PreparedActivation, ActivateError> {
    let database = DatabaseFile::open(&config.target.database)?;
    let databases = [database];
    let planned = |until: &Until| plan(files, None, &databases, until, progress);
    let mut plan = planned(&Until::default())?;
    let gap = Gap::of(files, &plan);
    // What the database requires cannot be given up.
    let required = databases[0].header.max_required;
    let gap = gap.filter(|gap| options.force && gap.missing > required);
    let is_ordered = |gap: &Gap| options.give_up == Some(gap.missing);
    if let Some(gap) = gap.as_ref().filter(|gap| is_ordered(gap)) {
        plan = planned(&Until {
            generation: Some(gap.missing.previous()),
            ..Until::default()
        })?;
    }
    let [database] = databases;
    let rolled_back = plan.open_at_end();
    let refusal = match gap.as_ref().filter(|gap| !is_ordered(gap)) {
        Some(gap) => Some(gap.refusal()),
        None => refusal(config, &database.header, &plan, &look, options),
    };
    let last = plan.last();
    let reach = plan.reach.as_ref();
    let report = ActivateReport {
        copy: config.name.clone(),
        source: config.source.machine.clone(),
        target: config.target.machine.clone(),
        dry_run: false,
        mountable: refusal.is_none(),
        refusal,
        reasons: {
            // What is given up on order comes first.
            let given_up = gap.map(|gap| gap.words());
            let reasons = plan.databases.iter().flat_map(|plan| &plan.verdict.reasons);
            let doubts = doubts(state, reach.map(|reach| reach.start.generation));
            given_up
                .into_iter()
                .chain(reasons.cloned())
                .chain(doubts)
                .collect()
        },
        database: options
            .to
            .clone()
            .unwrap_or_else(|| config.target.database.clone()),
        fetched: 0,
        replayed: ReplayedLogs {
            first: reach.map(|reach| reach.start.generation),
            last,
            end: reach.and_then(|reach| reach.end).map(|end| end.to_string()),
            last_commit: None,
        },
        loss: loss(
            files,
            &plan,
            &database.header,
            &look,
            state,
            clock,
            progress,
        )?,
        rolled_back,
        proof: None,
        source_look: look,
    };
    Ok(PreparedActivation {
        database,
        plan,
        report,
    })
}

/// Logs that were replayed before and that nothing proved complete.
fn doubts(state: &CopyState, first: Option<Generation>) -> Vec<String> {
    let replayed = state
        .proofs
        .not_proved()
        .filter(|range| first.is_none_or(|first| range.last < first));
    let words = |range: &ProvedRange| {
        let because = range.because.as_deref().unwrap_or_default();
        format!("replayed before: generation {}: {because}", range.span())
    };
    replayed.map(words).collect()
}

/// Why the activation is not done.
fn refusal(
    config: &CopyConfig,
    header: &DatabaseHeader,
    plan: &RecoveryPlan,
    look: &SourceLook,
    options: &ActivateOptions,
) -> Option<ActivateRefusal> {
    if let Some(blocked) = plan.obstacle(options.force) {
        let advice = match (!blocked.is_lossy, owed(header, plan, look)) {
            (true, Some(owed)) => advice_on_owed(config, owed),
            (true, None) if !blocked.advice.is_empty() => blocked.advice.join("; "),
            (true, None) => "the database cannot become consistent with these logs: look for those that are missing".to_owned(),
            (false, _) => "look for the lost logs first; --force gives up what they hold".to_owned(),
        };
        return Some(ActivateRefusal {
            reason: blocked.reasons,
            jet: Some(blocked.jet.into()),
            advice,
        });
    }
    let problem = look.problem.as_ref().filter(|_| !options.force)?;
    Some(ActivateRefusal {
        reason: format!("not all logs of the source could be fetched: {problem}"),
        jet: None,
        advice: "bring the source back; if it is lost, --force does without it, and --force --try-source takes what it can get".to_owned(),
    })
}

/// A log that recovery cannot get past though later ones are here.
struct Gap {
    missing: Generation,
    newest: Generation,
    stop: String,
    jet: JetError,
}

impl Gap {
    fn of(files: &StreamFiles, plan: &RecoveryPlan) -> Option<Self> {
        let stop = plan.reach.as_ref()?.stop.as_ref()?;
        let current = files.current.first().and_then(|file| header_of(&file.path));
        let current = current.map(|header| header.generation);
        let newest = newest(files).max(current)?;
        (newest > stop.generation).then(|| Gap {
            missing: stop.generation,
            newest,
            stop: stop.to_string(),
            jet: stop.jet,
        })
    }

    /// What is said of it, whether it is given up or not.
    fn words(&self) -> String {
        let (first, newest) = (Generation(self.missing.0 + 1), self.newest);
        format!(
            "{}; generations {first}-{newest} ({first:#x}-{newest:#x}) are here, and this alone makes them useless",
            self.stop
        )
    }

    fn refusal(&self) -> ActivateRefusal {
        let (missing, newest) = (self.missing, self.newest);
        ActivateRefusal {
            reason: self.words(),
            jet: Some(self.jet.into()),
            advice: format!(
                "find it first: that saves generations {missing} to {newest}; --give-up {missing} does without them"
            ),
        }
    }
}

/// The log that a seeding left at the source ([`crate::seed::OwedLog`]): the last one that the database requires, if it is
/// all that is missing and was never seen closed.
fn owed(header: &DatabaseHeader, plan: &RecoveryPlan, look: &SourceLook) -> Option<Generation> {
    let required = header.max_required;
    let stop = plan.reach.as_ref().and_then(|reach| reach.stop.as_ref());
    let only = stop.is_none_or(|stop| stop.generation == required && !stop.is_corruption);
    let open = look.newest_closed.is_some_and(|closed| closed < required);
    (only && open && plan.last() < Some(required)).then_some(required)
}

fn advice_on_owed(config: &CopyConfig, owed: Generation) -> String {
    format!(
        "generation {owed} ({owed:#x}) was the current log of {} when the copy was seeded, and never came here: bring the \
         source back, or put a copy of its {}.log into {}",
        config.source.machine,
        config.source.base,
        config.target.logs.display()
    )
}

/// What is lost: everything after the last log, unless that was the current log of the source.
fn loss(
    files: &StreamFiles,
    plan: &RecoveryPlan,
    header: &DatabaseHeader,
    look: &SourceLook,
    state: &CopyState,
    clock: &dyn Clock,
    progress: &dyn Progress,
) -> Result<Option<LostLogs>, ActivateError> {
    let last = plan.last();
    if look.current.is_some() && look.current == last {
        return Ok(None);
    }
    let last = last.or_else(|| newest(files));
    // Without any log, all that was written since the database was shut down is lost.
    let first = last.map_or(header.last_consistent.generation, Generation::next);
    let kept = last.unwrap_or_default();
    let begun = state.activation.as_ref().map(|activation| activation.begun);
    Ok(Some(LostLogs {
        first,
        // After the newest closed log there was a current one.
        last_known: look
            .newest_closed
            .map(|closed| closed.next().max(look.current.unwrap_or_default())),
        after: last_write(files, kept, progress)?,
        until: begun.unwrap_or_else(|| clock.now()),
        last_seen: state.generated.map(|generated| generated.at),
    }))
}

fn newest(files: &StreamFiles) -> Option<Generation> {
    let generation = |file: &StreamFile| match file.role {
        FileRole::Generation { generation, .. } => Some(generation),
        _ => None,
    };
    files.logs.iter().filter_map(generation).max()
}

/// When the log of this generation was last written to, as it says; in the older layout, when it was begun.
fn last_write(
    files: &StreamFiles,
    generation: Generation,
    progress: &dyn Progress,
) -> Result<Option<String>, ActivateError> {
    let mut one = files.clone();
    one.current.clear();
    one.logs.retain(|file| {
        matches!(file.role, FileRole::Generation { generation: found, .. } if found == generation)
    });
    let report = verify(&one, None, progress).map_err(RecoveryError::Log)?;
    let content = report.and_then(|report| report.logs.into_iter().next()?.content.ok());
    Ok(content.and_then(|content| {
        let begun = || content.header.created.rfc3339();
        content.last_write.rfc3339().or_else(begun)
    }))
}

/// Brings the database to Clean Shutdown, in its place or, across file systems, at the new one.
fn bring_to_clean(
    config: &CopyConfig,
    prepared: &PreparedActivation,
    options: &ActivateOptions,
    progress: &dyn Progress,
) -> Result<ReplaySummary, ActivateError> {
    let source = &prepared.database;
    let path = &config.target.database;
    let target = match &options.to {
        Some(to) if !on_same_file_system(path, to) => Target::NewFile(to.clone()),
        _ => Target::InPlace,
    };
    let output =
        RecoveryOutput::begin(source, &target, false, progress).map_err(ReplayFailure::from)?;
    let recovered = run(source, output, &prepared.plan, options, progress);
    if recovered.is_err() && target == Target::InPlace {
        // The journal goes, unless the database has changed already: then this finishes what it holds, or tries to.
        let _ = InPlace::resume(path);
    }
    recovered
}

fn run(
    source: &DatabaseFile,
    output: RecoveryOutput,
    plan: &RecoveryPlan,
    options: &ActivateOptions,
    progress: &dyn Progress,
) -> Result<ReplaySummary, ActivateError> {
    let given = GivenDatabase {
        database: source,
        pages: output.pages(),
    };
    let options = RecoverOptions {
        lossy: options.force,
        memory: Some(CACHE_BYTES),
        ..RecoverOptions::default()
    };
    let recovered = recover(plan, vec![given], Vec::new(), options, progress)?;
    if let Some(database) = recovered.databases.first() {
        output.commit(database).map_err(ReplayFailure::from)?;
    }
    Ok(recovered.summary)
}

/// Gives the database its name, and proves it.
fn finish(
    config: &CopyConfig,
    mut report: ActivateReport,
    options: &ActivateOptions,
    progress: &dyn Progress,
) -> Result<ActivateReport, ActivateError> {
    let (from, to) = (&config.target.database, &report.database);
    if from != to && from.exists() && on_same_file_system(from, to) {
        if to.symlink_metadata().is_ok() {
            let path = to.clone();
            return Err(ReplayFailure::from(OutputError::Exists { path }).into());
        }
        fs::rename(from, to).map_err(at(to))?;
        if let Some(folder) = to.parent() {
            sync_folder(folder).map_err(at(folder))?;
        }
    }
    let proof = prove(to, options, progress)?;
    report.mountable = proof.holds();
    if !report.mountable {
        report
            .reasons
            .push("the database does not pass its proof".to_owned());
    }
    report.proof = Some(proof);
    Ok(report)
}

fn prove(
    path: &Path,
    options: &ActivateOptions,
    progress: &dyn Progress,
) -> Result<DatabaseProof, ActivateError> {
    let file = EvidenceFile::open(path).map_err(RecoveryError::from)?;
    let start = file.start(HEADERS_MAX).map_err(RecoveryError::from)?;
    let headers = HeaderCopies::read(&start);
    let state = headers
        .good()
        .map_or("Unreadable", |header| header.fields.state.name());
    let options = ScanOptions {
        threads: options.threads.max(1),
        keep_findings: FINDINGS_KEPT,
        ..ScanOptions::default()
    };
    let outcome = scan(&file, &headers, &options, progress)?;
    if outcome.interrupted_at.is_some() {
        return Err(ActivateError::Interrupted);
    }
    Ok(DatabaseProof {
        state: state.to_owned(),
        pages: outcome.counts,
        findings: outcome.findings,
    })
}

/// Whether a file can be renamed from one path to the other.
#[cfg(unix)]
fn on_same_file_system(from: &Path, to: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| Some(fs::metadata(path.parent()?).ok()?.dev());
    device(from).is_some() && device(from) == device(to)
}

#[cfg(not(unix))]
fn on_same_file_system(from: &Path, to: &Path) -> bool {
    let drive = |path: &Path| {
        path.components()
            .next()
            .map(|first| first.as_os_str().to_owned())
    };
    drive(from) == drive(to)
}
