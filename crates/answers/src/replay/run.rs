//! Recoveries that are written: into a new file, an overlay, or the database itself.

use super::digests::FileDigests;
use super::profile::{Step, Stopwatch};
use super::report::{DatabaseReport, Report};
use super::targets::{Targets, is_folder, targets};
use super::{Input, Subjects};
use console::{Exit, Failure};
use ese_format::Progress;
use ese_replay::output::{InPlace, RecoveryOutput};
use ese_replay::recovery::{
    DatabaseFile, EmptyFile, GivenDatabase, RecoverOptions, Recovered, RecoveryError, RecoveryPlan,
    plan, recover,
};
use ese_replay::redo::NewDatabase;
use std::fs;
use std::path::{Path, PathBuf};
use target_disk::{LocalDisk, SharedDisk};

/// The schema of a [`Report`].
pub const SCHEMA: &str = "edbkit.replay-run/1";

/// What is recovered, and where the result goes: `to`, `overlay` or `in_place`, exactly one of them.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// What is recovered.
    pub input: Input,
    /// A new file; a folder for several results.
    pub to: Option<PathBuf>,
    /// A new file for the pages that change.
    pub overlay: Option<PathBuf>,
    /// The databases themselves are changed, through a journal beside them.
    pub in_place: bool,
    /// A result that is there already is replaced.
    pub force: bool,
    /// Nothing is rolled back.
    pub until_undo: bool,
    /// Committed work whose logs are lost or damaged is given up, and pages that were lost with the end of a file.
    pub lossy: bool,
    /// Databases that the logs change and that are not named are left out.
    pub ignore_missing: bool,
    /// Where databases go that the logs create: the old name and the new one.
    pub map: Vec<(String, PathBuf)>,
    /// Also databases that the logs create and delete again.
    pub deleted: bool,
    /// So much of the databases is held in memory.
    pub memory: u64,
    /// No digests are computed.
    pub no_hash: bool,
    /// The time of each step is taken.
    pub profile: bool,
    /// Whether a second thread reads ahead.
    pub read_ahead: bool,
}

impl Default for RunOptions {
    fn default() -> Self {
        RunOptions {
            input: Input::default(),
            to: None,
            overlay: None,
            in_place: false,
            force: false,
            until_undo: false,
            lossy: false,
            ignore_missing: false,
            map: Vec::new(),
            deleted: false,
            memory: 512 << 20,
            no_hash: false,
            profile: false,
            read_ahead: true,
        }
    }
}

/// Who is told of what a recovery does.
pub trait Watcher {
    /// A step begins.
    fn step(&self, total: u64, what: &str) -> Box<dyn Progress + '_>;

    /// A line for a person.
    fn remark(&self, line: &str);
}

/// Recovers, and says what was done.
pub fn run(arguments: &RunOptions, watcher: &dyn Watcher) -> Result<Report, Failure> {
    let input = &arguments.input;
    check(arguments)?;
    if arguments.in_place {
        for path in &input.databases {
            if InPlace::resume(&LocalDisk, path).map_err(|error| Failure::of(&error))? {
                let path = path.display();
                watcher.remark(&format!(
                    "{path}: finished an earlier recovery that was interrupted"
                ));
            }
        }
    }
    let mut watch = Stopwatch::start();
    let subjects = input.subjects(wants_to_find(arguments))?;
    for found in subjects.names_found() {
        watcher.remark(&found);
    }
    if subjects.stream.is_empty() {
        let folder = subjects.stream.folder.display();
        watcher.remark(&format!("{folder}: there is no log"));
    }
    let bar = watcher.step(0, "Reading logs");
    let plan = plan(
        &subjects.stream,
        input.checkpoint.as_deref(),
        &subjects.databases,
        &input.until,
        &*bar,
    );
    let plan = plan.map_err(|error| Failure::of(&error))?;
    let refusal = match arguments.until_undo {
        true => plan.obstacle_to_redo(arguments.lossy),
        false => plan.obstacle(arguments.lossy),
    };
    if let Some(refusal) = refusal {
        return Err(Failure::of(&RecoveryError::Refused(Box::new(refusal))));
    }
    let targets = targets(arguments, &subjects.databases, subjects.found, &plan)?;
    drop(bar);
    watch.lap(Step::Plan);
    let made = make_folder(arguments)?;
    let done = write(arguments, &subjects, &plan, &targets, watcher, &mut watch);
    if let (Err(_), Some(folder)) = (&done, made) {
        // Only an empty one goes: it was made for results that there are not.
        let _ = fs::remove_dir(folder);
    }
    done
}

/// Whether databases are to be looked for beside the logs: none is named, and there is a folder for what is found.
fn wants_to_find(arguments: &RunOptions) -> bool {
    let to = arguments.to.as_deref();
    arguments.input.databases.is_empty() && to.is_some_and(|to| is_folder(to, 0))
}

/// Makes the folder of the results, if there is none; gives the one that was made.
fn make_folder(arguments: &RunOptions) -> Result<Option<&Path>, Failure> {
    let named = arguments.input.databases.len();
    let folder = arguments.to.as_deref();
    let folder = folder.filter(|to| is_folder(to, named) && !to.exists());
    if let Some(folder) = folder {
        fs::create_dir_all(folder).map_err(|error| Failure::io(folder, &error))?;
    }
    Ok(folder)
}

fn check(arguments: &RunOptions) -> Result<(), Failure> {
    let several = arguments.input.databases.len() > 1;
    if arguments.overlay.is_some() && arguments.input.databases.len() != 1 {
        return Err(Failure::new(
            Exit::Usage,
            "--overlay is for exactly one database",
        ));
    }
    if arguments.in_place && arguments.input.databases.is_empty() {
        return Err(Failure::new(Exit::Usage, "--in-place needs a database"));
    }
    if let Some(to) = arguments.to.as_ref().filter(|to| several && to.is_file()) {
        let message = format!("{} is not a folder", to.display());
        return Err(Failure::new(Exit::Usage, message).advise("name a folder for several results"));
    }
    Ok(())
}

/// Recovers, and writes the results.
fn write(
    arguments: &RunOptions,
    subjects: &Subjects,
    plan: &RecoveryPlan,
    targets: &Targets,
    watcher: &dyn Watcher,
    watch: &mut Stopwatch,
) -> Result<Report, Failure> {
    let bar = watcher.step(plan.log_bytes, "Recovering");
    let disk = SharedDisk::default();
    let mut outputs = Vec::new();
    let mut given = Vec::new();
    for (database, target) in subjects.databases.iter().zip(&targets.given) {
        let result = RecoveryOutput::begin(&disk, database, target, arguments.force, &*bar);
        let result = result.map_err(|error| Failure::of(&error))?;
        let pages = result.pages();
        given.push(GivenDatabase { database, pages });
        outputs.push(result);
    }
    let mut created = Vec::new();
    for (creation, path) in &targets.created {
        let Some(page_size) = plan.page_size() else {
            break;
        };
        let signature = creation.signature;
        let result =
            RecoveryOutput::create(&disk, signature, path, page_size.bytes(), arguments.force);
        let result = result.map_err(|error| Failure::of(&error))?;
        created.push(EmptyFile {
            signature,
            file: NewDatabase {
                file: result.pages(),
                page_size,
                cache_pages: usize::MAX,
            },
        });
        outputs.push(result);
    }
    watch.lap(Step::Copy);
    let digests = FileDigests::new(!arguments.no_hash);
    let options = RecoverOptions {
        until_undo: arguments.until_undo,
        lossy: arguments.lossy,
        accept_cut_off: arguments.lossy,
        ignore_missing: arguments.ignore_missing,
        memory: Some(arguments.memory),
        read_ahead: arguments.read_ahead,
        measure_time: arguments.profile,
        observer: Some(digests.observer()),
        ..RecoverOptions::default()
    };
    let recovered = recover(plan, given, created, options, &*bar);
    let recovered = recovered.map_err(|error| Failure::of(&error))?;
    watch.recovered(recovered.timing);
    let mut results = Vec::new();
    for database in &recovered.databases {
        let signature = database.signature();
        let place = (outputs.iter()).position(|output| output.signature() == signature);
        let place = place.ok_or_else(|| {
            let message = format!("no file was begun for the database {}", signature.shown());
            Failure::new(Exit::Refused, message)
        })?;
        let path = outputs.swap_remove(place).commit(database);
        results.push(path.map_err(|error| Failure::of(&error))?);
    }
    watch.lap(Step::Commit);
    drop(bar);
    let bar = watcher.step(0, "Hashing");
    let mut losses = losses(plan, arguments);
    losses.extend(recovered.lost_ends.iter().map(ToString::to_string));
    let mut report = report(
        &subjects.databases,
        plan,
        losses,
        recovered,
        &results,
        &digests,
        &*bar,
    )?;
    drop(bar);
    watch.lap(Step::Digests);
    report.profile = arguments.profile.then(|| watch.laps());
    Ok(report)
}

/// What is given up, in words.
fn losses(plan: &RecoveryPlan, arguments: &RunOptions) -> Vec<String> {
    let refused = match arguments.until_undo {
        true => plan.obstacle_to_redo(false),
        false => plan.obstacle(false),
    };
    if arguments.until_undo || plan.databases.is_empty() {
        let words = refused.map(|one| format!("{}: {}", one.path.display(), one.reasons));
        return words.into_iter().collect();
    }
    let lossy = plan.databases.iter().filter(|database| database.is_lossy());
    lossy
        .map(|database| {
            let path = database.path.display();
            match &database.verdict.loss {
                Some(loss) => format!(
                    "{path}: generations {}-{}, written after {}",
                    loss.first,
                    loss.last,
                    loss.after.shown()
                ),
                None => format!("{path}: {}", database.verdict.reasons.join("; ")),
            }
        })
        .collect()
}

fn report(
    given: &[DatabaseFile],
    plan: &RecoveryPlan,
    losses: Vec<String>,
    recovered: Recovered,
    results: &[PathBuf],
    digests: &FileDigests,
    progress: &dyn Progress,
) -> Result<Report, Failure> {
    let source_of = |signature| {
        let mut given = given.iter();
        given.find(|given| given.header.signature == signature)
    };
    let mut paths: Vec<&Path> = Vec::new();
    for (database, path) in recovered.databases.iter().zip(results) {
        // A database recovered in place is no longer what it was.
        let source = source_of(database.signature()).map(DatabaseFile::path);
        paths.extend(source.filter(|source| source != path));
        paths.push(path);
    }
    paths.extend(plan.logs.iter().map(PathBuf::as_path));
    let mut all = digests.of(&paths, progress)?.into_iter().peekable();
    let mut databases = Vec::new();
    for (database, path) in recovered.databases.iter().zip(results) {
        let source = all.next_if(|digest| digest.path != *path);
        let Some(result) = all.next() else { break };
        databases.push(DatabaseReport::of(database, source, result));
    }
    let timing = recovered.timing;
    let seconds = (timing.logs + timing.redo + timing.finish).as_secs_f64();
    Ok(Report {
        log_bytes_per_second: recovered.summary.log_bytes as f64 / seconds.max(1e-9),
        redo: recovered.counts,
        transactions_undone: recovered.transactions_undone,
        undone: recovered.undone,
        divergences: recovered.divergences,
        databases,
        logs: all.collect(),
        losses,
        seconds,
        profile: None,
        summary: recovered.summary,
    })
}
