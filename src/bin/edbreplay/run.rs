//! `edbreplay run`: recovers databases.

use crate::digests::FileDigests;
use crate::input::{Input, failure, file_name, name_of, output_failure};
use crate::profile::{Step, Stopwatch};
use crate::report::{DatabaseReport, Report};
use console::values::bytes;
use console::{Bar, Exit, Failure, Output};
use ese_format::record::CreateDb;
use ese_format::{LogTime, Progress, Signature};
use ese_log::StreamRecords;
use ese_replay::output::{InPlace, NewFile, Output as Outcome, OutputError, Target};
use ese_replay::recovery::{
    DatabaseFile, Finished, Plan, Ran, RecoveryError, Until, finish_clean, finish_dirty, plan,
    replay, survey,
};
use ese_replay::redo::NewDatabase;
use ese_replay::{Database, Redo};
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

const USAGE: &str = "\
edbreplay run --logs <FOLDER> --to <OUT> [OPTIONS] [DATABASE]...
       edbreplay run --logs <FOLDER> --overlay <FILE> [OPTIONS] <DATABASE>
       edbreplay run --logs <FOLDER> --in-place [OPTIONS] <DATABASE>...";

/// Recover databases: replay the logs, roll back what was not committed, and write the result
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("target").required(true).args(["to", "overlay", "in_place"]))]
#[command(override_usage = USAGE, after_help = "Examples:\n  edbreplay run state/db.edb --logs state --to new.edb\n  edbreplay run a.edb b.edb --logs state --to folder\n  edbreplay run copy/db.edb --logs copy --in-place")]
pub(crate) struct Arguments {
    #[command(flatten)]
    input: Input,
    /// Write the recovered database here; a folder for several
    #[arg(long, value_name = "OUT")]
    to: Option<PathBuf>,
    /// Write only the pages that change, to this file
    #[arg(long, value_name = "FILE")]
    overlay: Option<PathBuf>,
    /// Change the database itself, through a journal beside it
    #[arg(long)]
    in_place: bool,
    /// Replace a result that is there already
    #[arg(long)]
    force: bool,
    /// Roll nothing back: leave the database dirty, ready for the logs that come after these
    #[arg(long)]
    until_undo: bool,
    /// Give up committed work whose logs are lost or damaged, where the database becomes consistent without it
    #[arg(long)]
    lossy: bool,
    /// Leave out databases that the logs change and that are not named
    #[arg(long)]
    ignore_missing: bool,
    /// Write a database that the logs create as OLD to NEW; OLD is its path in the logs or its file name
    #[arg(long, value_name = "OLD=NEW", value_parser = parse_map)]
    map: Vec<(String, PathBuf)>,
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

/// Databases that the log creates, as they are being written.
type Created = Arc<Mutex<Vec<Making>>>;

/// A database that the log creates, as it is being written.
struct Making {
    signature: Signature,
    path: PathBuf,
    file: NewFile,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let input = &arguments.input;
    check(arguments)?;
    if arguments.in_place {
        for path in &input.databases {
            if InPlace::resume(path).map_err(|error| output_failure(&error))? {
                let path = path.display();
                output.remark(&format!(
                    "{path}: finished an earlier recovery that was interrupted"
                ));
            }
        }
    }
    let mut watch = Stopwatch::start();
    let databases = input.open()?;
    let stream = input.stream()?;
    let mut until = input.until();
    let bar = output.bar(0, "Reading logs");
    let plan = plan(
        &stream,
        input.checkpoint.as_deref(),
        &databases,
        &until,
        &bar,
    );
    let plan = plan.map_err(|error| failure(&error))?;
    let losses = allowed_losses(&plan, arguments)?;
    if arguments.until_undo {
        bar.begin(plan.log_bytes, 0);
        let survey = survey(&mut plan.records(), &until, &bar).map_err(|error| failure(&error))?;
        until.before = survey.hold_at();
    }
    drop(bar);
    distinct_targets(arguments, &databases)?;
    let bar = output.bar(plan.log_bytes, "Recovering");
    watch.lap(Step::Plan);
    let digests = FileDigests::new(!arguments.no_hash);
    let mut records = plan.records().shown_to(digests.witness());
    if output.threads() > 1 {
        records = records.ahead();
    }
    let done = recover(
        arguments, &databases, &plan, records, &until, &bar, &mut watch,
    )?;
    drop(bar);
    let bar = output.bar(0, "Hashing");
    let mut report = report(&databases, &plan, losses, done, &digests, &bar)?;
    watch.lap(Step::Digests);
    report.profile = arguments.profile.then(|| watch.laps());
    drop(bar);
    output.answer("edbkit.replay-run/1", &report, &report)?;
    Ok(
        match report.losses.is_empty() && report.divergences.is_empty() {
            true => Exit::Clean,
            false => Exit::Finding,
        },
    )
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
    if let Some(to) = arguments.to.as_ref().filter(|to| several && !to.is_dir()) {
        let message = format!("{} is not a folder", to.display());
        return Err(Failure::new(Exit::Usage, message).advise("make a folder for several results"));
    }
    Ok(())
}

/// No two databases may be written to the same file.
fn distinct_targets(arguments: &Arguments, databases: &[DatabaseFile]) -> Result<(), Failure> {
    let targets: Vec<Target> = databases
        .iter()
        .map(|database| target(arguments, database))
        .collect();
    for (index, target) in targets.iter().enumerate() {
        if let Target::NewFile(path) = target
            && targets[..index].contains(target)
        {
            let message = format!("two databases would be written to {}", path.display());
            let advice = "recover them in two runs, each with --ignore-missing and its own --to";
            return Err(Failure::new(Exit::Usage, message).advise(advice));
        }
    }
    Ok(())
}

/// What is given up, if that is allowed; otherwise why nothing is done.
fn allowed_losses(plan: &Plan, arguments: &Arguments) -> Result<Vec<String>, Failure> {
    if let Some((database, jet)) = plan.obstacle(arguments.lossy || arguments.until_undo) {
        let reasons = database.verdict.reasons.join("; ");
        let message = format!("{}: {reasons}", database.path.display());
        let advice = match database.is_blocked() {
            true => database.verdict.advice.join("; "),
            false => {
                "find the logs first; --lossy gives up what they hold, and that cannot be undone"
                    .to_owned()
            }
        };
        let failure = Failure::new(Exit::Refused, message).jet(jet);
        return Err(if advice.is_empty() {
            failure
        } else {
            failure.advise(advice)
        });
    }
    if arguments.until_undo {
        return Ok(Vec::new());
    }
    let lossy = plan.databases.iter().filter(|database| database.is_lossy());
    Ok(lossy
        .map(|database| {
            let path = database.path.display();
            match &database.verdict.loss {
                Some(loss) => format!(
                    "{path}: generations {}-{}, written after {}",
                    loss.first, loss.last, loss.after
                ),
                None => format!("{path}: {}", database.verdict.reasons.join("; ")),
            }
        })
        .collect())
}

/// A recovery that is done.
struct Done {
    ran: Ran,
    redo: Redo,
    transactions_undone: usize,
    finished: Vec<(Option<PathBuf>, PathBuf, Database)>,
    undone: Vec<ese_replay::undo::Undone>,
    seconds: f64,
}

fn recover(
    arguments: &Arguments,
    databases: &[DatabaseFile],
    plan: &Plan,
    mut records: StreamRecords,
    until: &Until,
    bar: &Bar,
    watch: &mut Stopwatch,
) -> Result<Done, Failure> {
    let mut redo = Redo::new();
    redo.share_memory(arguments.memory);
    let mut outputs = Vec::new();
    for database in databases {
        let target = target(arguments, database);
        let result = Outcome::begin(database, &target, arguments.force, bar);
        let result = result.map_err(|error| output_failure(&error))?;
        redo.offer(database.database(result.pages(), usize::MAX));
        outputs.push((database, result));
    }
    let created = Created::default();
    let problem = create_where_mapped(arguments, plan, &mut redo, &created);
    if arguments.profile {
        redo.measure_time();
    }
    watch.lap(Step::Copy);
    let start = Instant::now();
    bar.begin(plan.log_bytes, 0);
    let ran = replay(&mut redo, &mut records, until, bar).map_err(|error| failure(&error))?;
    watch.lap_with(Step::Redo, Step::Logs, records.waited());
    drop(records);
    if let Some(problem) = problem
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take()
    {
        return Err(problem);
    }
    judge(arguments, &redo, &ran, databases).map_err(|error| failure(&error))?;
    let transactions_undone = redo
        .sessions()
        .values()
        .filter(|session| session.level > 0)
        .count();
    let now = LogTime::from_timestamp(Timestamp::now());
    let finished = match arguments.until_undo {
        true => finish_dirty(&mut redo, &ran, plan.last().unwrap_or_default(), now),
        false => finish_clean(&mut redo, &ran, now),
    };
    let Finished {
        databases: results,
        undone,
    } = finished.map_err(|error| failure(&error))?;
    let seconds = start.elapsed().as_secs_f64();
    watch.lap(Step::Finish);
    let mut finished = Vec::new();
    for database in results {
        let signature = database.header.signature;
        let offered = outputs
            .iter()
            .position(|(source, _)| source.header.signature == signature);
        let (source, path) = if let Some(at) = offered {
            let (source, result) = outputs.swap_remove(at);
            (
                Some(source.path().to_owned()),
                result.commit(&database.header),
            )
        } else {
            let mut created = created.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(at) = created.iter().position(|made| made.signature == signature) else {
                continue;
            };
            (None, created.swap_remove(at).file.commit(&database.header))
        };
        let path = path.map_err(|error| output_failure(&error))?;
        finished.push((source, path, database));
    }
    watch.lap(Step::Commit);
    Ok(Done {
        ran,
        redo,
        transactions_undone: if arguments.until_undo {
            0
        } else {
            transactions_undone
        },
        finished,
        undone,
        seconds,
    })
}

fn target(arguments: &Arguments, database: &DatabaseFile) -> Target {
    match (&arguments.to, &arguments.overlay) {
        (Some(to), _) if to.is_dir() => Target::NewFile(to.join(name_of(database.path()))),
        (Some(to), _) => Target::NewFile(to.clone()),
        (None, Some(overlay)) => Target::Overlay(overlay.clone()),
        (None, None) => Target::InPlace,
    }
}

/// Has databases that the log creates made where the command line says; those it says nothing of stay out. What goes
/// wrong in that is found in the result.
fn create_where_mapped(
    arguments: &Arguments,
    plan: &Plan,
    redo: &mut Redo,
    created: &Created,
) -> Arc<Mutex<Option<Failure>>> {
    let problem = Arc::new(Mutex::new(None));
    let (noted, created) = (Arc::clone(&problem), Arc::clone(created));
    let map = arguments.map.clone();
    // The only name given for a result is for the database that the logs create, if none is given to recover.
    let to = arguments.to.clone();
    let to = to.filter(|to| to.is_dir() || arguments.input.databases.is_empty());
    let force = arguments.force;
    let page_size = plan.page_size();
    redo.create_with(Box::new(move |record: &CreateDb<'_>| {
        let logged = record.names.first();
        let path = place_for(&logged, &map, to.as_deref())?;
        let mut created = created.lock().unwrap_or_else(PoisonError::into_inner);
        let page_size = page_size?;
        let made = if created.iter().any(|created| created.path == path) {
            Err(one_name_for_two(&path, &logged))
        } else if path.exists() && !force {
            Err(output_failure(&OutputError::Exists { path: path.clone() }))
        } else {
            NewFile::create(&path, page_size.bytes()).map_err(|error| output_failure(&error))
        };
        match made {
            Ok(file) => {
                let pages = file.pages();
                created.push(Making {
                    signature: record.signature,
                    path,
                    file,
                });
                Some(NewDatabase {
                    file: Box::new(pages),
                    page_size,
                    cache_pages: usize::MAX,
                })
            }
            Err(error) => {
                let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
                noted.get_or_insert(error);
                None
            }
        }
    }));
    problem
}

fn one_name_for_two(path: &Path, logged: &str) -> Failure {
    let message = format!(
        "the logs create several databases that would be written to {}; {logged} is the second",
        path.display()
    );
    let advice = "name a folder that exists with --to, or a file for each with --map";
    Failure::new(Exit::Refused, message).advise(advice)
}

/// Where a database goes that the log creates under the name `logged`.
fn place_for(logged: &str, map: &[(String, PathBuf)], to: Option<&Path>) -> Option<PathBuf> {
    let mapped = map.iter().find(|(old, _)| {
        old.eq_ignore_ascii_case(logged) || old.eq_ignore_ascii_case(file_name(logged))
    });
    if let Some((_, new)) = mapped {
        return Some(new.clone());
    }
    let to = to?;
    match to.is_dir() {
        // The name comes from the log: only its last part is used, and nothing that leads elsewhere.
        true => {
            let name = file_name(logged);
            (!matches!(name, "" | "." | "..")).then(|| to.join(name))
        }
        false => Some(to.to_owned()),
    }
}

/// Whether what was replayed makes the databases consistent.
fn judge(
    arguments: &Arguments,
    redo: &Redo,
    ran: &Ran,
    databases: &[DatabaseFile],
) -> Result<(), RecoveryError> {
    let names: Vec<String> = redo
        .missing()
        .map(|missing| missing.logged.name.clone())
        .collect();
    if !names.is_empty() && !arguments.ignore_missing {
        return Err(RecoveryError::Missing { names });
    }
    for database in databases {
        let header = &database.header;
        let waiting = redo
            .waiting()
            .iter()
            .find(|other| other.header.signature == header.signature);
        if header.state.needs_recovery() && waiting.is_some_and(|waiting| !waiting.touched) {
            return Err(RecoveryError::NeverAttached {
                path: database.path().to_owned(),
                from: ran.first,
            });
        }
        if !arguments.until_undo
            && header.state.needs_recovery()
            && !ran.covers(header.max_required)
        {
            return Err(RecoveryError::LimitTooEarly {
                path: database.path().to_owned(),
                needed: header.max_required,
            });
        }
    }
    Ok(())
}

fn report(
    databases: &[DatabaseFile],
    plan: &Plan,
    losses: Vec<String>,
    done: Done,
    digests: &FileDigests,
    progress: &dyn Progress,
) -> Result<Report, Failure> {
    let mut paths = Vec::new();
    for (source, path, _) in &done.finished {
        // A database recovered in place is no longer what it was.
        paths.extend(source.as_deref().filter(|source| *source != path));
        paths.push(path);
    }
    paths.extend(plan.logs.iter().map(PathBuf::as_path));
    let mut all = digests.of(&paths, progress)?.into_iter().peekable();
    let mut reports = Vec::new();
    for (_, path, database) in &done.finished {
        let header = &database.header;
        let source = all.next_if(|digest| digest.path != *path);
        let Some(result) = all.next() else { break };
        reports.push(DatabaseReport {
            source,
            result,
            signature: header.signature,
            state: header.state,
            last_consistent: header.last_consistent,
            min_required: header.min_required,
            max_required: header.max_required,
            last_page: database.pages.last(),
            pages: database.pages.counts(),
            touched: database.touched,
        });
    }
    let order = |report: &DatabaseReport| {
        databases
            .iter()
            .position(|database| database.header.signature == report.signature)
    };
    reports.sort_by_key(order);
    Ok(Report {
        log_bytes_per_second: done.ran.log_bytes as f64 / done.seconds.max(1e-9),
        redo: done.redo.counts().clone(),
        transactions_undone: done.transactions_undone,
        undone: done.undone,
        divergences: done.redo.divergences().to_vec(),
        databases: reports,
        logs: all.collect(),
        losses,
        seconds: done.seconds,
        profile: None,
        ran: done.ran,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_the_log_stay_below_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let to = Some(folder.path());
        let place = |logged: &str| place_for(logged, &[], to);
        assert_eq!(
            place("D:\\data\\mail.edb"),
            Some(folder.path().join("mail.edb"))
        );
        assert_eq!(
            place("..\\..\\mail.edb"),
            Some(folder.path().join("mail.edb"))
        );
        assert_eq!(place("D:\\data\\.."), None);
        assert_eq!(place(""), None);
        let map = [("MAIL.edb".to_owned(), PathBuf::from("/tmp/x.edb"))];
        assert_eq!(
            place_for("D:\\mail.edb", &map, None),
            Some("/tmp/x.edb".into())
        );
        assert_eq!(place_for("D:\\other.edb", &map, None), None);
    }
}
