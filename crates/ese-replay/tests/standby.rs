//! A standby replays each log as it arrives and stops before undo. However many runs that takes, the recovery at the
//! end leaves the pages that one run would leave: the engine's.

mod support;

use ese_format::{Generation, LogTime};
use ese_log::StreamFiles;
use ese_replay::Redo;
use ese_replay::page_files::MemoryFile;
use ese_replay::recovery::{DatabaseFile, RecoveryError, Until, finish_clean, plan, replay};
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use support::cases::{Case, case, recovered_databases};
use support::compare::compare_files;
use support::steps::one_run;

#[test]
fn a_thousand_runs_leave_what_one_run_leaves() {
    let wanted = std::env::var("EDBKIT_SETS").unwrap_or_default();
    let names = ese_testkit::fixtures::engine_set_names();
    let names: Vec<&String> = names.iter().filter(|name| name.contains(&wanted)).collect();
    let results: Vec<(usize, Vec<String>)> = names.par_iter().map(|name| check_set(name)).collect();
    let runs: usize = results.iter().map(|(runs, _)| runs).sum();
    let problems: Vec<String> = results
        .into_iter()
        .flat_map(|(_, problems)| problems)
        .collect();
    println!("{} sets, {runs} runs", names.len());
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    if wanted.is_empty() && !names.is_empty() {
        assert!(runs > 300, "only {runs} runs");
    }
}

fn check_set(name: &str) -> (usize, Vec<String>) {
    let set = ese_testkit::fixtures::engine_set(name).expect("the set is listed");
    let case = case(&set, name);
    if case.databases.is_empty() || case.lossy {
        return (0, Vec::new());
    }
    match step_by_step(&set, &case) {
        Ok((runs, problems)) => (
            runs,
            problems
                .iter()
                .map(|what| format!("{name}: {what}"))
                .collect(),
        ),
        Err(error) => (0, vec![format!("{name}: {error}")]),
    }
}

/// One run for each log, then the recovery; what differs from the engine's result.
fn step_by_step(set: &Path, case: &Case) -> Result<(usize, Vec<String>), RecoveryError> {
    let folder = tempfile::tempdir().unwrap();
    let files = StreamFiles::find(&case.logs, None)?;
    let mut databases = case.databases.clone();
    let mut runs = 0;
    let headers = || {
        case.databases
            .iter()
            .map(|path| DatabaseFile::open(path).unwrap().header)
    };
    let first = headers().map(|header| match header.state.needs_recovery() {
        true => header.min_required,
        false => header.last_consistent.generation,
    });
    let first = first.min().unwrap();
    let last = Generation(files.logs.len() as u32 + 1000);
    let highest = files.logs.iter().filter_map(|log| match log.role {
        ese_log::FileRole::Generation { generation, .. } => Some(generation.0),
        _ => None,
    });
    for generation in first.0..=highest.max().unwrap() {
        databases = one_run(
            &files,
            &databases,
            Generation(generation),
            folder.path(),
            runs,
        )?;
        runs += 1;
    }
    let problems = last_run(set, &files, &databases, last)?;
    Ok((runs + 1, problems))
}

/// Recovers what the runs left, and compares.
fn last_run(
    set: &Path,
    files: &StreamFiles,
    databases: &[PathBuf],
    last: Generation,
) -> Result<Vec<String>, RecoveryError> {
    let opened: Vec<DatabaseFile> = databases
        .iter()
        .map(|path| DatabaseFile::open(path))
        .collect::<Result<_, _>>()?;
    let until = Until {
        generation: Some(last),
        ..Until::default()
    };
    let plan = plan(files, None, &opened, &until, &())?;
    let mut problems = Vec::new();
    if let Some((database, jet)) = plan.obstacle(false) {
        problems.push(format!("{jet}: {:?}", database.verdict.reasons));
    }
    let mut redo = Redo::new();
    for database in &opened {
        let pages = MemoryFile::over(Box::new(database.pages()), database.last);
        redo.offer(database.database(Box::new(pages), 100));
    }
    let ran = replay(&mut redo, &mut plan.records(), &until, &())?;
    let finished = finish_clean(&mut redo, &ran, LogTime::default())?;
    let engine = recovered_databases(set);
    for mut database in finished.databases {
        let engine = engine
            .iter()
            .find(|(header, _)| header.signature == database.header.signature);
        let (header, bytes) = engine.expect("the engine has this database");
        let (_, found) = compare_files(&mut database.pages, bytes);
        problems.extend(found.into_iter().take(3));
        if (header.dbtime, header.last_objid)
            != (database.header.dbtime, database.header.last_objid)
        {
            problems.push(format!(
                "dbtime {}, the engine has {}",
                database.header.dbtime, header.dbtime
            ));
        }
    }
    Ok(problems)
}
