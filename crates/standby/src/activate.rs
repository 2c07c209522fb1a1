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

mod judge;
mod logs;
mod result;

pub use crate::activation_report::{
    ActivateRefusal, ActivateReport, DatabaseProof, LastCommit, LostLogs, ReplayedLogs, SourceLook,
};
pub(crate) use logs::logs_in;

use crate::birth::{is_to_be_made, make};
use crate::clock::Clock;
use crate::config::{Configuration, CopyConfig};
use crate::copy::StandbyCopy;
use crate::error::{StandbyError, at};
use crate::place::listing_of;
use crate::replay::ReplayFailure;
use crate::source::LogSource;
use crate::state::{Activation, ActivationFacts, CopyState, StateFile};
use ese_format::explain::advise;
use ese_format::{Class, Explain, Generation, JetError, Progress};
use ese_replay::output::{InPlace, OutputError};
use ese_replay::recovery::{DatabaseFile, RecoverOptions, RecoveryError, RecoveryPlan, try_out};
use ese_scan::ScanError;
use judge::judge;
use logs::{fetch, stream_of};
use result::{bring_to_clean, finish};
use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;
use target_disk::SharedDisk;
use thiserror::Error;
use tracing::info;

/// Memory for pages of the database.
const CACHE_BYTES: u64 = 256 << 20;
/// A service lets go of a copy before its next pass, or when the step of replay that it is in has been stopped.
const PATIENCE: Duration = Duration::from_secs(60);

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
    let state = configuration.state_of(config).read()?;
    if let Some(report) = already(&state) {
        return Ok(report);
    }
    seeded(config, &state)?;
    let scratch = tempfile::tempdir().map_err(at(&std::env::temp_dir()))?;
    let mut copy = StandbyCopy::rehearse(config, state.clone(), source, scratch.path())?;
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
    let file = configuration.state_of(config);
    let state = file.read()?;
    if let Some(report) = already(&state) {
        return Ok(report);
    }
    seeded(config, &state)?;
    order(&file, config, options, clock)?;
    let service = file.serve_within(PATIENCE, clock)?;
    let mut copy = StandbyCopy::take(config, file.clone(), source, service, clock)?;
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
    if activation.finished.is_some() || recovered(file.disk(), activation).is_some_and(is_gone) {
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
    if begun
        .is_some_and(|begun| begun.database != database && recovered(file.disk(), begun).is_some())
    {
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
    let begun = state.activation.as_ref();
    let report = match begun.and_then(|begun| recovered(file.disk(), begun)) {
        Some(report) => report,
        None => {
            refuse_taken(options)?;
            InPlace::resume(&**file.disk(), &config.target.database)
                .map_err(ReplayFailure::from)?;
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
            match bring_to_clean(file.disk(), &config, &prepared, options, progress) {
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
    let report = finish(&**file.disk(), &config, report, options, progress)?;
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
fn recovered(disk: &SharedDisk, activation: &Activation) -> Option<ActivateReport> {
    let found = activation.found.as_ref()?;
    // Without a log to replay it was done before it was begun.
    let unchanged = found.report.replayed.last.is_none();
    let is_clean = |path: &PathBuf| {
        let resumed = path.exists() && InPlace::resume(&**disk, path).is_ok();
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
    if !database.exists() && !make(copy.state.disk(), &config, database, &files, all, progress)? {
        return Err(ActivateError::NotSeeded(database.clone()));
    }
    let mut prepared = judge(&config, state, &files, look, options, clock, progress)?;
    prepared.report.fetched = fetched;
    Ok(prepared)
}
