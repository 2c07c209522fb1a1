//! Answers as dictionaries: the documents that the programs print with `--json`, with the same schemas.

use crate::error::{Problem, Signals, usage, work};
use answers::{Document, chain as chains, find as finds, header as headers};
use console::{Exit, Failure};
use ese_case::find::FindOptions;
use ese_log::beside::LogPlaces;
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

pub(crate) fn header_of(path: &Path, logs: &[PathBuf], base: Option<&str>) -> Result<String, Failure> {
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
#[pyo3(signature = (*paths, shadow_copies=true, trial=false, memory=512 << 20))]
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
