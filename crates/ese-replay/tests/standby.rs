//! A standby replays each log as it arrives and stops before undo. However many runs that takes, the recovery at the
//! end leaves the pages that one run would leave: the engine's.

mod support;

use ese_format::Generation;
use ese_log::StreamFiles;
use ese_replay::recovery::{DatabaseFile, RecoverOptions, RecoveryError, Until};
use rayon::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use support::cases::{Case, case, recovered_databases};
use support::compare::compare_files;
use support::recover::{memory, recover_with};
use support::steps::one_run;
use tempfile::TempDir;

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
    if wanted.is_empty() {
        let least = ese_testkit::fixtures::either(300, 60);
        assert!(runs > least, "only {runs} runs");
    }
}

/// A page that redo passes over in the required range, because a later record may explain it, is owed until the end of
/// that range, however many runs it takes to come there: the range keeps beginning where the page was met first.
#[test]
fn a_page_that_is_owed_is_not_forgotten_between_two_runs() {
    let state = ese_testkit::fixtures::testdata_set("crash-p8k").join("state");
    let files = StreamFiles::find(&state, None).unwrap();
    let bytes = fs::read(state.join("db.edb")).unwrap();
    let blanked: Vec<Owed> = (2..bytes.len() / PAGE)
        .into_par_iter()
        .filter_map(|number| Owed::new(&files, &bytes, number))
        .collect();
    println!("{} pages are missed by a single run", blanked.len());
    assert!(blanked.len() > 20);
    let whole = Owed::without_damage(&bytes);
    let undisturbed = whole.run_in_steps(&files).expect("nothing is missing").0;
    let held: usize = (blanked.par_iter().step_by(blanked.len() / 10))
        .map(|owed| owed.check(&files, &undisturbed))
        .sum();
    println!("{held} runs were held back");
    assert!(held > 10);
}

const PAGE: usize = 8192;
/// Where the runs of a standby stop; the database requires generations 13 to 23.
const STOPS: [u32; 4] = [14, 16, 19, 22];

/// A database with a blank page that redo misses in the required range.
struct Owed {
    folder: TempDir,
    problem: String,
}

impl Owed {
    fn without_damage(bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("db.edb"), bytes).unwrap();
        Owed {
            folder,
            problem: String::new(),
        }
    }

    /// Blanks the page at this place; none if a single run passes without it.
    fn new(files: &StreamFiles, bytes: &[u8], number: usize) -> Option<Self> {
        let mut bytes = bytes.to_vec();
        bytes[number * PAGE..][..PAGE].fill(0);
        let mut owed = Owed::without_damage(&bytes);
        owed.problem = recover(files, &owed.database()).err()?.to_string();
        owed.problem.contains("log record").then_some(owed)
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("db.edb")
    }

    /// Where the required range begins after each run, and what the recovery at the end comes to.
    fn run_in_steps(
        &self,
        files: &StreamFiles,
    ) -> Result<(Vec<Generation>, String), RecoveryError> {
        let mut databases = vec![self.database()];
        let mut begins = Vec::new();
        for stop in STOPS {
            let folder = self.folder.path();
            databases = one_run(files, &databases, Generation(stop), folder, stop as usize)?;
            begins.push(DatabaseFile::open(&databases[0])?.header.min_required);
        }
        let end = recover(files, &databases[0]);
        Ok((
            begins,
            end.err()
                .map_or_else(String::new, |error| error.to_string()),
        ))
    }

    /// The end is that of a single run; how many runs were held back.
    fn check(&self, files: &StreamFiles, undisturbed: &[Generation]) -> usize {
        let (begins, end) = self
            .run_in_steps(files)
            .expect("the page may yet be explained");
        assert_eq!(end, self.problem, "{begins:?}");
        let pairs = begins.iter().zip(undisturbed);
        let held: Vec<&Generation> = pairs
            .filter(|(begin, undisturbed)| begin < undisturbed)
            .map(|(begin, _)| begin)
            .collect();
        assert!(held.windows(2).all(|pair| pair[0] == pair[1]), "{begins:?}");
        held.len()
    }
}

/// Recovers a database in memory.
fn recover(files: &StreamFiles, path: &Path) -> Result<(), RecoveryError> {
    let databases = [DatabaseFile::open(path)?];
    let page_size = databases[0].page_size;
    let options = RecoverOptions {
        memory: memory(page_size, 100),
        ..RecoverOptions::default()
    };
    recover_with(files, &databases, page_size, &Until::default(), options).map(drop)
}

fn check_set(name: &str) -> (usize, Vec<String>) {
    let set = ese_testkit::fixtures::engine_set(name);
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
    let page_size = opened[0].page_size;
    let options = RecoverOptions {
        memory: memory(page_size, 100),
        ..RecoverOptions::default()
    };
    let mut problems = Vec::new();
    let finished = recover_with(files, &opened, page_size, &until, options)?;
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
