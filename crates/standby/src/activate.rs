//! Activation: the copy becomes the database that people work with.
//!
//! ```text
//! order in the state -> service lets go -> rest of the logs -> chain -> recovery -> other name -> proof -> done
//!                        |---------- may be taken back ----------|------ is gone through with ------|
//! ```
//!
//! Every step may be done again: what a killed activation has fetched is there, what it has recovered is clean, and
//! recovery itself goes through a journal. What it found out before it changed the database stands in the state, so
//! that the answer is the same whether it was killed or not.

mod report;

pub use report::{LastCommit, Loss, Proof, Refusal, Replayed, Report, SourceLook};

use crate::clock::Clock;
use crate::config::{Configuration, CopyConfig};
use crate::copy::{Copy, chain_end, database_header, listing_of};
use crate::error::{StandbyError, at};
use crate::replay::ReplayFailure;
use crate::source::{LogSource, header_of};
use crate::state::{Activation, Found, State, StateFile, sync_folder};
use ese_format::database::{DatabaseHeader, HEADERS_MAX, HeaderCopies};
use ese_format::{Generation, Progress};
use ese_log::chain::verify;
use ese_log::{FileRole, StreamFile, StreamFiles};
use ese_replay::output::{InPlace, Output, OutputError, Target};
use ese_replay::recovery::{
    DatabaseFile, Offer, Plan, Ran, RecoverOptions, RecoveryError, Until, plan, recover, try_out,
};
use ese_scan::{ScanError, ScanOptions, scan};
use evidence::EvidenceFile;
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
pub struct Wish {
    /// Accept that the source is lost and, with it, what never came here.
    pub force: bool,
    /// With `force`: take from the source what can be had all the same.
    pub try_source: bool,
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
    Refused(Box<Report>),
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

impl From<RecoveryError> for ActivateError {
    fn from(error: RecoveryError) -> Self {
        match error {
            RecoveryError::Interrupted => ActivateError::Interrupted,
            other => ReplayFailure::from(other).into(),
        }
    }
}

/// What an activation rests on.
struct Basis {
    database: DatabaseFile,
    plan: Plan,
    report: Report,
}

/// Tells what an activation would come to; nothing is changed. Logs that only the source has are read into a
/// temporary folder.
pub fn preview(
    configuration: &Configuration,
    config: &CopyConfig,
    source: &dyn LogSource,
    wish: &Wish,
    clock: &dyn Clock,
    progress: &dyn Progress,
) -> Result<Report, ActivateError> {
    let state = StateFile::new(&configuration.state, config.file_name()).read()?;
    if let Some(report) = already(&state) {
        return Ok(report);
    }
    seeded(config, &state)?;
    let scratch = tempfile::tempdir().map_err(at(&std::env::temp_dir()))?;
    let here = listing_of(config)?;
    let mut look = look(source, &state, wish);
    let mut files = stream_of(config)?;
    let mut fetched = 0;
    if look.reached {
        let header = database_header(&config.target.database);
        let next = chain_end(header.as_ref(), &here);
        let fetch = fetch_to(scratch.path(), source, next, progress);
        match fetch {
            Ok(rest) => {
                fetched = rest.0.len() as u32;
                look.current = rest.1.as_ref().map(|(generation, _)| *generation);
                files.logs.extend(rest.0);
                files.current = rest.1.into_iter().map(|(_, file)| file).collect();
            }
            Err(problem) => look.problem = Some(problem),
        }
    }
    let mut basis = judge(config, &state, &files, look, wish, clock, progress)?;
    if basis.report.refusal.is_none() {
        try_it(&mut basis, progress)?;
    }
    basis.report.fetched = fetched;
    basis.report.dry_run = true;
    Ok(basis.report)
}

/// Carries the recovery out without a result, so that a preview says what the activation itself will say.
fn try_it(basis: &mut Basis, progress: &dyn Progress) -> Result<(), ActivateError> {
    let databases = std::slice::from_ref(&basis.database);
    let memory = usize::try_from(CACHE_BYTES).unwrap_or(usize::MAX);
    let options = RecoverOptions::default();
    let tried = try_out(&mut basis.plan, databases, memory, options, progress)?;
    if let Some(problem) = &tried.problem {
        basis.report.refuse(problem);
    }
    let ran = tried.recovered.map(|recovered| recovered.ran);
    basis.report.replayed.last_commit = ran.as_ref().and_then(LastCommit::of);
    Ok(())
}

/// Activates the copy, or goes on with an activation that was begun.
pub fn activate(
    configuration: &Configuration,
    config: &CopyConfig,
    source: Box<dyn LogSource>,
    wish: &Wish,
    clock: &dyn Clock,
    progress: &dyn Progress,
) -> Result<Report, ActivateError> {
    let file = StateFile::new(&configuration.state, config.file_name());
    let state = file.read()?;
    if let Some(report) = already(&state) {
        return Ok(report);
    }
    seeded(config, &state)?;
    order(&file, config, wish, clock)?;
    let service = file.serve_within(PATIENCE)?;
    let mut copy = Copy::take(config, &configuration.state, source, service, clock)?;
    let result = carry_out(&mut copy, &file, wish, clock, progress);
    if let Err(ActivateError::Refused(_) | ActivateError::Replay(_)) = &result {
        take_back(&file)?;
    }
    result
}

/// An activation that was begun may have moved the database already; before that it has to be there.
fn seeded(config: &CopyConfig, state: &State) -> Result<(), ActivateError> {
    let database = &config.target.database;
    if state.activation.is_some() || database.exists() {
        return Ok(());
    }
    Err(ActivateError::NotSeeded(database.clone()))
}

/// Takes an order back that was not carried out, so that the copy is served again. Refused when the database has been
/// recovered: it goes its own way then.
pub fn take_back(file: &StateFile) -> Result<(), StandbyError> {
    let state = file.read()?;
    let Some(activation) = &state.activation else {
        return Ok(());
    };
    if activation.finished.is_some() || recovered(activation).is_some() {
        return Err(StandbyError::NotNow {
            name: file.name().to_owned(),
            problem: "was activated: its database goes its own way now",
        });
    }
    file.update(|state| state.activation = None).map(drop)
}

/// Writes the order into the state, where the service sees it.
fn order(
    file: &StateFile,
    config: &CopyConfig,
    wish: &Wish,
    clock: &dyn Clock,
) -> Result<(), StandbyError> {
    let from = config.target.database.clone();
    let database = wish.to.clone().unwrap_or_else(|| from.clone());
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
    copy: &mut Copy,
    file: &StateFile,
    wish: &Wish,
    clock: &dyn Clock,
    progress: &dyn Progress,
) -> Result<Report, ActivateError> {
    let config = copy.config().clone();
    let state = file.read()?;
    let report = match state.activation.as_ref().and_then(recovered) {
        Some(report) => report,
        None => {
            refuse_taken(wish)?;
            let basis = prepare(copy, &state, wish, clock, progress)?;
            let found = found(&basis);
            file.update(|state| {
                if let Some(activation) = &mut state.activation {
                    activation.found = Some(found);
                }
            })?;
            let mut report = basis.report.clone();
            match bring_to_clean(&config, &basis, wish, progress) {
                Ok(ran) => report.replayed.last_commit = LastCommit::of(&ran),
                Err(ActivateError::Replay(ReplayFailure::Recovery(problem))) => {
                    report.refuse(&problem);
                    return Err(ActivateError::Refused(Box::new(report)));
                }
                Err(other) => return Err(other),
            }
            report
        }
    };
    let report = finish(&config, report, wish, progress)?;
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
fn refuse_taken(wish: &Wish) -> Result<(), ActivateError> {
    match &wish.to {
        Some(to) if to.exists() => {
            let error = OutputError::Exists { path: to.clone() };
            Err(ReplayFailure::from(error).into())
        }
        _ => Ok(()),
    }
}

fn found(basis: &Basis) -> Found {
    let header = &basis.database.header;
    let clean = header.state == ese_format::database::State::CLEAN_SHUTDOWN;
    Found {
        signature: header.signature.to_string(),
        clean_at: clean.then(|| header.last_consistent.to_string()),
        report: basis.report.clone(),
    }
}

/// The answer of an activation that is done.
fn already(state: &State) -> Option<Report> {
    let activation = state.activation.as_ref()?;
    activation.finished?;
    Some(activation.found.as_ref()?.report.clone())
}

/// What was found out by an activation that was killed behind its recovery: the database is clean where it was or where
/// it was to go.
fn recovered(activation: &Activation) -> Option<Report> {
    let found = activation.found.as_ref()?;
    let is_clean = |path: &PathBuf| {
        let resumed = path.exists() && InPlace::resume(path).is_ok();
        let header = DatabaseFile::open(path).ok().filter(|_| resumed)?.header;
        let clean = header.state == ese_format::database::State::CLEAN_SHUTDOWN;
        let changed = found.clean_at.as_ref() != Some(&header.last_consistent.to_string());
        (clean && changed && header.signature.to_string() == found.signature).then_some(())
    };
    let places = [&activation.database, &activation.from];
    places.into_iter().find_map(is_clean)?;
    Some(found.report.clone())
}

/// Fetches the rest of the logs and finds out what comes of it; takes the order back if that is refused.
fn prepare(
    copy: &mut Copy,
    state: &State,
    wish: &Wish,
    clock: &dyn Clock,
    progress: &dyn Progress,
) -> Result<Basis, ActivateError> {
    let config = copy.config().clone();
    let mut look = look(copy.source(), state, wish);
    let mut fetched = 0;
    if look.reached {
        let (count, problem) = copy.fetch_rest(clock)?;
        fetched = count;
        let current = match problem {
            Some(problem) => Err(problem),
            None => copy.fetch_current(),
        };
        match current {
            Ok(current) => look.current = current,
            Err(obstacle) => look.problem = Some(obstacle.message()),
        }
    }
    InPlace::resume(&config.target.database).map_err(ReplayFailure::from)?;
    let files = stream_of(&config)?;
    let mut basis = judge(&config, state, &files, look, wish, clock, progress)?;
    basis.report.fetched = fetched;
    match basis.report.refusal {
        None => Ok(basis),
        Some(_) => Err(ActivateError::Refused(Box::new(basis.report))),
    }
}

/// Looks whether the source is there, if that is wished.
fn look(source: &dyn LogSource, state: &State, wish: &Wish) -> SourceLook {
    let seen = state.generated.map(|generated| generated.generation);
    let mut look = SourceLook {
        asked: !wish.force || wish.try_source,
        newest_closed: seen,
        ..SourceLook::default()
    };
    if !look.asked {
        return look;
    }
    match source.list() {
        Ok(listing) if listing.named.is_empty() && listing.current.is_none() => {
            look.problem = Some("there is no log".to_owned());
        }
        Ok(listing) => {
            look.reached = true;
            look.newest_closed = listing.newest_closed().max(seen);
            if listing.current.is_none() {
                look.problem = Some("there is no current log that can be read".to_owned());
            }
        }
        Err(error) => look.problem = Some(error.to_string()),
    }
    look
}

/// The logs of the copy, with a current log that was fetched.
fn stream_of(config: &CopyConfig) -> Result<StreamFiles, ActivateError> {
    let files = StreamFiles::find(&config.target.logs, Some(&config.source.base));
    let mut files = files.map_err(RecoveryError::Log)?;
    files.checkpoints.clear();
    // An earlier attempt may have left a current log that has been closed since.
    let after = newest(&files).map(|newest| newest.0.saturating_add(1));
    files.current.retain(|file| {
        let generation = header_of(&file.path).map(|header| header.generation.0);
        after.is_none() || generation == after
    });
    Ok(files)
}

type Fetched = (Vec<StreamFile>, Option<(Generation, StreamFile)>);

/// Reads the closed logs from `next` on and the current log into `folder`.
fn fetch_to(
    folder: &Path,
    source: &dyn LogSource,
    next: Option<Generation>,
    progress: &dyn Progress,
) -> Result<Fetched, String> {
    let listing = source.list().map_err(|error| error.to_string())?;
    let next = next.or(listing.oldest()).unwrap_or_default();
    let fetch = |path: &Path| -> Result<PathBuf, String> {
        let to = folder.join(path.file_name().unwrap_or_default());
        let mut file = fs::File::create(&to).map_err(|error| error.to_string())?;
        let fetched = source.fetch(path, &mut file);
        let size = fetched.map_err(|error| format!("{}: {error}", path.display()))?;
        progress.advance(size);
        Ok(to)
    };
    let mut logs = Vec::new();
    let newest = listing.newest_closed().unwrap_or_default();
    let digits = listing.naming.as_ref().map_or(8, |naming| naming.digits);
    for (&generation, path) in listing.named.range(next..).filter(|(at, _)| **at <= newest) {
        if progress.should_stop() {
            return Err("stopped as asked".to_owned());
        }
        let role = FileRole::Generation { generation, digits };
        let path = fetch(path)?;
        logs.push(StreamFile { path, role });
    }
    let current = match &listing.current {
        Some((path, header)) if header.generation >= next => {
            let file = StreamFile {
                path: fetch(path)?,
                role: FileRole::Current,
            };
            Some((header.generation, file))
        }
        _ => None,
    };
    Ok((logs, current))
}

/// Finds out what a recovery with these logs comes to, and whether it is to be done.
fn judge(
    config: &CopyConfig,
    state: &State,
    files: &StreamFiles,
    look: SourceLook,
    wish: &Wish,
    clock: &dyn Clock,
    progress: &dyn Progress,
) -> Result<Basis, ActivateError> {
    let database = DatabaseFile::open(&config.target.database)?;
    let until = Until::default();
    let databases = [database];
    let plan = plan(files, None, &databases, &until, progress)?;
    let [database] = databases;
    let rolled_back = plan.open_at_end();
    let refusal = refusal(config, &database.header, &plan, &look, wish);
    let last = plan.last();
    let reach = plan.reach.as_ref();
    let report = Report {
        copy: config.name.clone(),
        source: config.source.machine.clone(),
        target: config.target.machine.clone(),
        dry_run: false,
        mountable: refusal.is_none(),
        refusal,
        reasons: plan
            .databases
            .iter()
            .flat_map(|plan| plan.verdict.reasons.clone())
            .collect(),
        database: wish
            .to
            .clone()
            .unwrap_or_else(|| config.target.database.clone()),
        fetched: 0,
        replayed: Replayed {
            first: reach.map(|reach| reach.start.generation),
            last,
            end: reach.and_then(|reach| reach.end).map(|end| end.to_string()),
            last_commit: None,
        },
        loss: loss(files, &plan, &look, state, clock, progress)?,
        rolled_back,
        proof: None,
        source_look: look,
    };
    Ok(Basis {
        database,
        plan,
        report,
    })
}

/// Why the activation is not done.
fn refusal(
    config: &CopyConfig,
    header: &DatabaseHeader,
    plan: &Plan,
    look: &SourceLook,
    wish: &Wish,
) -> Option<Refusal> {
    if let Some(blocked) = plan.obstacle(wish.force) {
        let advice = match (!blocked.is_lossy, owed(header, plan, look)) {
            (true, Some(owed)) => advice_on_owed(config, owed),
            (true, None) if !blocked.advice.is_empty() => blocked.advice.join("; "),
            (true, None) => "the database cannot become consistent with these logs: look for those that are missing".to_owned(),
            (false, _) => "look for the lost logs first; --force gives up what they hold".to_owned(),
        };
        return Some(Refusal {
            reason: blocked.reasons,
            jet: Some(blocked.jet.into()),
            advice,
        });
    }
    let problem = look.problem.as_ref().filter(|_| !wish.force)?;
    Some(Refusal {
        reason: format!("not all logs of the source could be had: {problem}"),
        jet: None,
        advice: "bring the source back; if it is lost, --force does without it, and --force --try-source takes what can be had".to_owned(),
    })
}

/// The log that a seeding left at the source ([`crate::seed::Owed`]): the last one that the database requires, if it is
/// all that is missing and was never seen closed.
fn owed(header: &DatabaseHeader, plan: &Plan, look: &SourceLook) -> Option<Generation> {
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

/// What is lost: everything behind the last log, unless that was the current log of the source.
fn loss(
    files: &StreamFiles,
    plan: &Plan,
    look: &SourceLook,
    state: &State,
    clock: &dyn Clock,
    progress: &dyn Progress,
) -> Result<Option<Loss>, ActivateError> {
    let last = plan.last();
    if look.current.is_some() && look.current == last {
        return Ok(None);
    }
    let kept = last.or_else(|| newest(files)).unwrap_or_default();
    let begun = state.activation.as_ref().map(|activation| activation.begun);
    Ok(Some(Loss {
        first: Generation(kept.0.saturating_add(1)),
        // Behind the newest closed log there was a current one.
        last_known: look.newest_closed.map(|closed| {
            Generation(closed.0.saturating_add(1)).max(look.current.unwrap_or_default())
        }),
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
    basis: &Basis,
    wish: &Wish,
    progress: &dyn Progress,
) -> Result<Ran, ActivateError> {
    let source = &basis.database;
    let path = &config.target.database;
    let target = match &wish.to {
        Some(to) if !on_same_file_system(path, to) => Target::NewFile(to.clone()),
        _ => Target::InPlace,
    };
    let output = Output::begin(source, &target, false, progress).map_err(ReplayFailure::from)?;
    let recovered = run(source, output, &basis.plan, wish, progress);
    if recovered.is_err() && target == Target::InPlace {
        // The journal goes, unless the database has changed already: then this finishes what it holds, or tries to.
        let _ = InPlace::resume(path);
    }
    recovered
}

fn run(
    source: &DatabaseFile,
    output: Output,
    plan: &Plan,
    wish: &Wish,
    progress: &dyn Progress,
) -> Result<Ran, ActivateError> {
    let offer = Offer {
        database: source,
        pages: output.pages(),
    };
    let options = RecoverOptions {
        lossy: wish.force,
        memory: Some(CACHE_BYTES),
        ..RecoverOptions::default()
    };
    let recovered = recover(plan, vec![offer], Vec::new(), options, progress)?;
    if let Some(database) = recovered.databases.first() {
        output.commit(database).map_err(ReplayFailure::from)?;
    }
    Ok(recovered.ran)
}

/// Gives the database its name, and proves it.
fn finish(
    config: &CopyConfig,
    mut report: Report,
    wish: &Wish,
    progress: &dyn Progress,
) -> Result<Report, ActivateError> {
    let (from, to) = (&config.target.database, &report.database);
    if from != to && !to.exists() {
        fs::rename(from, to).map_err(at(to))?;
        if let Some(folder) = to.parent() {
            sync_folder(folder).map_err(at(folder))?;
        }
    }
    let proof = prove(to, wish, progress)?;
    report.mountable = proof.holds();
    if !report.mountable {
        report
            .reasons
            .push("the database does not pass its proof".to_owned());
    }
    report.proof = Some(proof);
    Ok(report)
}

fn prove(path: &Path, wish: &Wish, progress: &dyn Progress) -> Result<Proof, ActivateError> {
    let file = EvidenceFile::open(path).map_err(RecoveryError::from)?;
    let start = file.start(HEADERS_MAX).map_err(RecoveryError::from)?;
    let headers = HeaderCopies::read(&start);
    let state = headers
        .good()
        .map_or("Unreadable", |header| header.fields.state.name());
    let options = ScanOptions {
        threads: wish.threads.max(1),
        keep_findings: FINDINGS_KEPT,
        ..ScanOptions::default()
    };
    let outcome = scan(&file, &headers, &options, progress)?;
    if outcome.interrupted_at.is_some() {
        return Err(ActivateError::Interrupted);
    }
    Ok(Proof {
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
