//! Answers as dictionaries: the documents that the programs print with `--json`, with the same schemas.

use crate::database::Moment;
use crate::error::{Signals, usage, work};
use answers::replay::{Input, plan as plans, run as runs};
use answers::verify::VerifyOptions;
use answers::view::View;
use answers::{Document, chain as chains, find as finds, header as headers};
use console::{Exit, Failure};
use ese_case::find::FindOptions;
use ese_format::Progress;
use ese_format::database::HeaderCopies;
use ese_format::file_kind::DETECT_BYTES;
use ese_log::beside::LogPlaces;
use ese_replay::recovery::Until;
use evidence::EvidenceFile;
use pyo3::prelude::*;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Places of logs: one path, or several.
#[derive(FromPyObject)]
pub(crate) enum Places {
    One(PathBuf),
    Several(Vec<PathBuf>),
}

impl Places {
    pub(crate) fn list(places: Option<Self>) -> Vec<PathBuf> {
        match places {
            None => Vec::new(),
            Some(Places::One(path)) => vec![path],
            Some(Places::Several(paths)) => paths,
        }
    }
}

/// Anything that is serialised, as Python's own types. It goes through JSON, so it is what a program would print.
pub(crate) fn to_python<'py>(
    py: Python<'py>,
    value: &impl Serialize,
) -> PyResult<Bound<'py, PyAny>> {
    let text = serde_json::to_string(value).map_err(|error| usage(error.to_string()))?;
    py.import("json")?.call_method1("loads", (text,))
}

/// A document as text, made while Python's lock is released.
pub(crate) fn document(schema: &str, body: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string(&Document { schema, body });
    text.map_err(|error| Failure::new(Exit::Finding, error.to_string()))
}

fn loads<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("json")?.call_method1("loads", (text,))
}

/// What one call of a program answers with one document.
fn answer<'py>(
    py: Python<'py>,
    make: impl FnOnce(&Signals) -> Result<String, Failure> + Send,
) -> PyResult<Bound<'py, PyAny>> {
    let text = work(py, make)?;
    loads(py, &text)
}

pub(crate) fn header_of(
    path: &Path,
    logs: &[PathBuf],
    base: Option<&str>,
) -> Result<String, Failure> {
    let places = LogPlaces { logs, base };
    match headers::read(path, &places)? {
        headers::Read::Report(report) => document(headers::SCHEMA, &report),
        headers::Read::Other(why) => Err(answers::files::not_ese(path, &why)),
    }
}

/// The header of a database, log, checkpoint or flush map, and what it means: as `edbtool header --json` (`edbkit.header/1`).
#[pyfunction]
#[pyo3(signature = (path, *, logs=None, base=None))]
pub(crate) fn header<'py>(
    py: Python<'py>,
    path: PathBuf,
    logs: Option<Places>,
    base: Option<String>,
) -> PyResult<Bound<'py, PyAny>> {
    let logs = Places::list(logs);
    answer(py, |_| header_of(&path, &logs, base.as_deref()))
}

/// Whether the logs of a folder are complete, genuine and undamaged, and what databases can be recovered with them: as
/// `logchain verify --json` (`edbkit.log-verify/1`).
#[pyfunction]
#[pyo3(signature = (logs, db=None, *, base=None, checkpoint=None, ignore_missing=false, quick=false))]
pub(crate) fn chain<'py>(
    py: Python<'py>,
    logs: PathBuf,
    db: Option<Places>,
    base: Option<String>,
    checkpoint: Option<PathBuf>,
    ignore_missing: bool,
    quick: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let question = chains::Question {
        folder: logs,
        base,
        databases: Places::list(db),
        checkpoint,
        ignore_missing,
        quick,
    };
    answer(py, |signals| {
        if question.base.is_none() && question.databases.is_empty() {
            let streams = chains::streams_of(&question.folder, None)?;
            if streams.len() > 1 {
                let bases: Vec<&str> = (streams.iter())
                    .map(|stream| stream.naming.base.as_str())
                    .collect();
                let message = format!("the folder holds several streams: {}", bases.join(", "));
                return Err(Failure::new(Exit::Usage, message).advise("choose one with base"));
            }
        }
        let mut reports = chains::reports(&question, signals)?;
        let report = reports.next();
        let none = || Err(Failure::new(Exit::NotEse, "no stream of logs was verified"));
        let report = report.unwrap_or_else(none)?;
        document(chains::SCHEMA, &report)
    })
}

/// Databases in folders, archives and disk images, by content, and what belongs to them: the documents of `edbtool find --json`
/// (`edbkit.failure/1` of what could not be read, `edbkit.find/1`, and at the end `edbkit.find-totals/1`).
#[pyfunction]
#[pyo3(signature = (*paths, shadow_copies=true, trial=false, memory=536870912))]
pub(crate) fn find<'py>(
    py: Python<'py>,
    paths: Vec<PathBuf>,
    shadow_copies: bool,
    trial: bool,
    memory: usize,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    if paths.is_empty() {
        return Err(usage("name a file, folder, archive or image").into());
    }
    let documents = work(py, |signals| {
        let mut options = FindOptions::default();
        options.shadow_copies = shadow_copies;
        options.trial_memory = trial.then_some(memory);
        let found = ese_case::find::find(&paths, &options, signals);
        let stopped = || Failure::new(Exit::Interrupted, "stopped before the search ended");
        let found = found.ok_or_else(stopped)?;
        let mut documents = Vec::new();
        for problem in &found.problems {
            documents.push(document(answers::FAILURE, &finds::failure(problem))?);
        }
        for find in finds::finds(&found) {
            documents.push(document(finds::SCHEMA, &find)?);
        }
        let totals = finds::Totals::of(&found, trial);
        documents.push(document(finds::TOTALS_SCHEMA, &totals)?);
        Ok(documents)
    })?;
    documents.iter().map(|text| loads(py, text)).collect()
}

/// Where a recovery stops: a generation or position, all of it included, or a time.
fn input(
    databases: Option<Places>,
    logs: Option<Places>,
    base: Option<String>,
    checkpoint: Option<PathBuf>,
    until: Option<Moment>,
) -> Input {
    let until = until.map(|Moment(moment)| match moment {
        ese_log::Moment::Generation(generation) => Until {
            generation: Some(generation),
            ..Until::default()
        },
        ese_log::Moment::Lgpos(lgpos) => Until {
            lgpos: Some(lgpos),
            ..Until::default()
        },
        ese_log::Moment::Time(time) => Until {
            time: Some(time),
            ..Until::default()
        },
    });
    Input {
        databases: Places::list(databases),
        logs: Places::list(logs),
        base,
        checkpoint,
        until: until.unwrap_or_default(),
    }
}

/// What a recovery would do, tried out with its result thrown away: as `edbreplay plan --json` (`edbkit.replay-plan/1`).
#[pyfunction]
#[pyo3(signature = (db, logs=None, *, base=None, checkpoint=None, until=None, ignore_missing=false, quick=false))]
#[expect(clippy::too_many_arguments, reason = "they are Python's, with names")]
pub(crate) fn plan<'py>(
    py: Python<'py>,
    db: Option<Places>,
    logs: Option<Places>,
    base: Option<String>,
    checkpoint: Option<PathBuf>,
    until: Option<Moment>,
    ignore_missing: bool,
    quick: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let input = input(db, logs, base, checkpoint, until);
    let options = plans::PlanOptions {
        ignore_missing,
        quick,
        ..plans::PlanOptions::default()
    };
    answer(py, |signals| {
        let subjects = input.subjects(true).map_err(Failure::as_finding)?;
        let report = plans::report(&input, &subjects, &options, signals)?;
        document(plans::SCHEMA, &report)
    })
}

/// Recovers databases into a new file (`to`; a folder for several), or writes the pages that change to a new file (`overlay`): as
/// `edbreplay run --json` (`edbkit.replay-run/1`). The source stays as it is. Nothing is replaced without `force`, and no committed
/// work given up without `lossy`.
#[pyfunction]
#[pyo3(signature = (db, logs=None, to=None, *, overlay=None, base=None, checkpoint=None, until=None, force=false, lossy=false, ignore_missing=false, hash=true))]
#[expect(clippy::too_many_arguments, reason = "they are Python's, with names")]
pub(crate) fn recover<'py>(
    py: Python<'py>,
    db: Places,
    logs: Option<Places>,
    to: Option<PathBuf>,
    overlay: Option<PathBuf>,
    base: Option<String>,
    checkpoint: Option<PathBuf>,
    until: Option<Moment>,
    force: bool,
    lossy: bool,
    ignore_missing: bool,
    hash: bool,
) -> PyResult<Bound<'py, PyAny>> {
    if to.is_some() == overlay.is_some() {
        return Err(usage("a recovery is written to one place: to or overlay").into());
    }
    let options = runs::RunOptions {
        input: input(Some(db), logs, base, checkpoint, until),
        to,
        overlay,
        force,
        lossy,
        ignore_missing,
        no_hash: !hash,
        ..runs::RunOptions::default()
    };
    answer(py, |signals| {
        let report = runs::run(&options, &Quiet(signals))?;
        document(runs::SCHEMA, &report)
    })
}

/// Tells nobody of progress, and hears of Ctrl-C.
struct Quiet<'s>(&'s Signals);

impl runs::Watcher for Quiet<'_> {
    fn step(&self, _total: u64, _what: &str) -> Box<dyn Progress + '_> {
        Box::new(Quiet(self.0))
    }

    fn remark(&self, _line: &str) {}
}

impl Progress for Quiet<'_> {
    fn advance(&self, _bytes: u64) {}

    fn should_stop(&self) -> bool {
        self.0.should_stop()
    }
}

pub(crate) fn verified(path: &Path, view: &View, signals: &Signals) -> Result<String, Failure> {
    let options = VerifyOptions::default();
    if !view.is_plain() {
        let opened = view.open(path, signals)?;
        let report = answers::verify::verify_view(path, &opened, &options)?;
        return document(answers::verify::SCHEMA, &opened.document(&report));
    }
    let file = EvidenceFile::open(path).map_err(|error| Failure::of(&error))?;
    let start = file
        .start(DETECT_BYTES)
        .map_err(|error| Failure::of(&error))?;
    let headers = HeaderCopies::read(&start);
    let threads = std::thread::available_parallelism().map_or(1, Into::into);
    let report = answers::verify::verify(&file, &headers, &options, None, threads, signals)?;
    document(answers::verify::SCHEMA, &report)
}
