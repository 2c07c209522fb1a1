//! `edbreplay run`: recovers databases.

use crate::digests::FileDigests;
use crate::input::{Input, Subjects};
use crate::profile::{Step, Stopwatch};
use crate::report::{DatabaseReport, Report};
use crate::targets::{Targets, is_folder, targets};
use console::values::bytes;
use console::{Exit, Failure, Output};
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

const USAGE: &str = "\
edbreplay run [--logs <PLACE>]... --to <OUT> [OPTIONS] [DATABASE]...
       edbreplay run [--logs <PLACE>]... --overlay <FILE> [OPTIONS] <DATABASE>
       edbreplay run [--logs <PLACE>]... --in-place [OPTIONS] <DATABASE>...";

/// Recover databases: replay the logs, roll back what was not committed, and write the result
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("target").required(true).args(["to", "overlay", "in_place"]))]
#[command(override_usage = USAGE, after_help = "Examples:\n  edbreplay run state/db.edb --logs state --to new.edb\n  edbreplay run a.edb b.edb --logs state --to folder\n  edbreplay run copy/db.edb --logs copy --in-place")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) input: Input,
    /// Write the recovered database here; a folder for several, which is made if it is not there
    #[arg(long, value_name = "OUT")]
    pub(crate) to: Option<PathBuf>,
    /// Write only the pages that change, to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) overlay: Option<PathBuf>,
    /// Change the database itself, through a journal beside it
    #[arg(long)]
    in_place: bool,
    /// Replace a result that is there already
    #[arg(long)]
    force: bool,
    /// Roll nothing back: leave the database dirty, ready for the logs that come after these
    #[arg(long)]
    until_undo: bool,
    /// Give up committed work whose logs are lost or damaged, where the database becomes consistent without it, and pages that
    /// were lost with the end of its file
    #[arg(long)]
    lossy: bool,
    /// Leave out databases that the logs change and that are not named
    #[arg(long)]
    ignore_missing: bool,
    /// Write a database that the logs create as OLD to NEW; OLD is its path in the logs or its file name
    #[arg(long, value_name = "OLD=NEW", value_parser = parse_map)]
    pub(crate) map: Vec<(String, PathBuf)>,
    /// Also write databases that the logs create and delete again, each under a name with its signature
    #[arg(long)]
    pub(crate) deleted: bool,
    /// Hold this much of the databases in memory
    #[arg(long, value_name = "BYTES", default_value = "512MiB", value_parser = bytes::<u64>)]
    memory: u64,
    /// Compute no SHA-256 of what is read and written
    #[arg(long)]
    no_hash: bool,
    /// Say how long each step and each type of record took
    #[arg(long)]
    profile: bool,
}

fn parse_map(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((old, new)) if !old.is_empty() && !new.is_empty() => Ok((old.to_owned(), new.into())),
        _ => Err("write the old and the new name, as in 'D:\\db\\mail.edb=mail.edb'".to_owned()),
    }
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let input = &arguments.input;
    check(arguments)?;
    if arguments.in_place {
        for path in &input.databases {
            if InPlace::resume(&LocalDisk, path).map_err(|error| Failure::of(&error))? {
                let path = path.display();
                output.remark(&format!(
                    "{path}: finished an earlier recovery that was interrupted"
                ));
            }
        }
    }
    let mut watch = Stopwatch::start();
    let subjects = input.subjects(wants_to_find(arguments))?;
    subjects.name_found(output);
    if subjects.stream.is_empty() {
        let folder = subjects.stream.folder.display();
        output.remark(&format!("{folder}: there is no log"));
    }
    let bar = output.bar(0, "Reading logs");
    let plan = plan(
        &subjects.stream,
        input.checkpoint.as_deref(),
        &subjects.databases,
        &input.until(),
        &bar,
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
    let done = write(arguments, &subjects, &plan, &targets, output, &mut watch);
    if let (Err(_), Some(folder)) = (&done, made) {
        // Only an empty one goes: it was made for results that there are not.
        let _ = fs::remove_dir(folder);
    }
    let report = done?;
    output.answer("edbkit.replay-run/1", &report, &report)?;
    Ok(
        match report.losses.is_empty() && report.divergences.is_empty() {
            true => Exit::Clean,
            false => Exit::Finding,
        },
    )
}

/// Whether databases are to be looked for beside the logs: none is named, and there is a folder for what is found.
fn wants_to_find(arguments: &Arguments) -> bool {
    let to = arguments.to.as_deref();
    arguments.input.databases.is_empty() && to.is_some_and(|to| is_folder(to, 0))
}

/// Makes the folder of the results, if there is none; gives the one that was made.
fn make_folder(arguments: &Arguments) -> Result<Option<&Path>, Failure> {
    let named = arguments.input.databases.len();
    let folder = arguments.to.as_deref();
    let folder = folder.filter(|to| is_folder(to, named) && !to.exists());
    if let Some(folder) = folder {
        fs::create_dir_all(folder).map_err(|error| Failure::io(folder, &error))?;
    }
    Ok(folder)
}

fn check(arguments: &Arguments) -> Result<(), Failure> {
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
    arguments: &Arguments,
    subjects: &Subjects,
    plan: &RecoveryPlan,
    targets: &Targets,
    output: &mut Output,
    watch: &mut Stopwatch,
) -> Result<Report, Failure> {
    let bar = output.bar(plan.log_bytes, "Recovering");
    let disk = SharedDisk::default();
    let mut outputs = Vec::new();
    let mut given = Vec::new();
    for (database, target) in subjects.databases.iter().zip(&targets.given) {
        let result = RecoveryOutput::begin(&disk, database, target, arguments.force, &bar);
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
        read_ahead: output.threads() > 1,
        measure_time: arguments.profile,
        observer: Some(digests.observer()),
        ..RecoverOptions::default()
    };
    let recovered = recover(plan, given, created, options, &bar);
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
    let bar = output.bar(0, "Hashing");
    let mut losses = losses(plan, arguments);
    losses.extend(recovered.lost_ends.iter().map(ToString::to_string));
    let mut report = report(
        &subjects.databases,
        plan,
        losses,
        recovered,
        &results,
        &digests,
        &bar,
    )?;
    drop(bar);
    watch.lap(Step::Digests);
    report.profile = arguments.profile.then(|| watch.laps());
    Ok(report)
}

/// What is given up, in words.
fn losses(plan: &RecoveryPlan, arguments: &Arguments) -> Vec<String> {
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
