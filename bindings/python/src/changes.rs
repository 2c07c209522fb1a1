//! Changes of rows from logs, as an Arrow stream.
//!
//! A timeline pushes, a stream is pulled: the timeline runs in a thread of its own, a few batches ahead of whoever reads.

use crate::database::Moment;
use crate::documents::{Places, to_python};
use crate::error::{Problem, usage};
use crate::stream::{Batches, Schema, StreamError, schema_capsule, stream_capsule, warn_of_losses};
use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use console::Failure;
use ese_format::Progress;
use ese_log::{StreamChoice, StreamFiles};
use ese_replay::recovery::DatabaseFile;
use ese_timeline::sink::{BatchSink, change_schema};
use ese_timeline::{Filter, LongValues, Order, Status, TimelineOptions, tell};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use serde::Serialize;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// As in `logchain timeline`.
const MEMORY: usize = 128 << 20;
/// Batches that wait for whoever reads.
const AHEAD: usize = 4;

/// Which changes are wanted.
pub(crate) fn filter(
    tables: Option<Vec<String>>,
    since: Option<Moment>,
    until: Option<Moment>,
    committed: bool,
    system: bool,
) -> Result<Filter, Problem> {
    let (since, until) = (since.map(|moment| moment.0), until.map(|moment| moment.0));
    Ok(Filter {
        tables: tables.unwrap_or_default(),
        since: since.and_then(ese_log::Moment::first),
        until: until.and_then(ese_log::Moment::last),
        since_time: since.and_then(ese_log::Moment::time),
        until_time: until.and_then(ese_log::Moment::time),
        status: committed.then_some(Status::Committed),
        with_system: system,
        ..Filter::default()
    })
}

/// Changes of rows that logs hold. A consumer of Arrow streams takes it as it is; each takes a stream of its own.
#[pyclass(frozen, module = "edbkit")]
pub(crate) struct Changes {
    question: Question,
    /// What the last stream did not tell.
    account: Mutex<Arc<Mutex<Account>>>,
}

#[derive(Clone)]
struct Question {
    databases: Vec<PathBuf>,
    logs: Vec<PathBuf>,
    base: Option<String>,
    filter: Filter,
    order: Order,
    inline_limit: usize,
}

/// What a timeline came to.
#[derive(Debug, Clone, Default, Serialize)]
struct Account {
    complete: bool,
    changes: u64,
    findings: Vec<String>,
}

impl Changes {
    pub(crate) fn new(
        databases: Vec<PathBuf>,
        logs: Vec<PathBuf>,
        base: Option<String>,
        filter: Filter,
        order: &str,
        inline_limit: usize,
    ) -> Result<Self, Problem> {
        let order = match order {
            "commit" => Order::Commit,
            "log" => Order::Log,
            other => {
                return Err(usage(format!(
                    "{other:?} is no order: \"commit\" or \"log\""
                )));
            }
        };
        Ok(Changes {
            question: Question {
                databases,
                logs,
                base,
                filter,
                order,
                inline_limit,
            },
            account: Mutex::default(),
        })
    }

    /// Begins a stream, whose account becomes that of the changes.
    fn begin(&self, py: Python<'_>) -> PyResult<ChangeReader> {
        let question = self.question.clone();
        let prepared = crate::error::work(py, |_| question.prepare())?;
        let account = Arc::<Mutex<Account>>::default();
        *self.account.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&account);
        Ok(prepared.begin(account))
    }
}

#[pymethods]
impl Changes {
    /// Changes of rows that the logs of a place hold, of databases that the logs create.
    #[new]
    #[pyo3(signature = (logs, databases=None, *, base=None, tables=None, since=None, until=None, committed=false, system=false, order="commit", inline_limit=4096))]
    #[expect(clippy::too_many_arguments, reason = "they are Python's, with names")]
    fn of_logs(
        logs: Places,
        databases: Option<Places>,
        base: Option<String>,
        tables: Option<Vec<String>>,
        since: Option<Moment>,
        until: Option<Moment>,
        committed: bool,
        system: bool,
        order: &str,
        inline_limit: usize,
    ) -> PyResult<Self> {
        let filter = filter(tables, since, until, committed, system)?;
        let (logs, databases) = (Places::list(Some(logs)), Places::list(databases));
        Ok(Changes::new(
            databases,
            logs,
            base,
            filter,
            order,
            inline_limit,
        )?)
    }

    /// The columns of the stream.
    #[getter]
    fn schema(&self) -> Schema {
        Schema {
            schema: change_schema(),
        }
    }

    /// The schema as an Arrow PyCapsule.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        schema_capsule(py, &change_schema())
    }

    /// The changes as an Arrow PyCapsule. Each call begins a new stream.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        drop(requested_schema);
        stream_capsule(py, self.begin(py)?)
    }

    /// Begins a stream, and gives its batches one after the other.
    fn __iter__(&self, py: Python<'_>) -> PyResult<Batches> {
        Ok(Batches(Mutex::new(Box::new(self.begin(py)?))))
    }

    /// What the stream that was begun last did not tell: `findings` in sentences, the number of `changes`, and `complete`, whether
    /// it came to its end.
    #[getter]
    fn losses<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        let account = account
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        to_python(py, &account)
    }

    /// All changes as a `pyarrow.Table`.
    fn to_arrow<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("pyarrow")?.call_method1("table", (slf,))
    }
}

impl Question {
    /// Opens what is asked about, so that what is not there is said at once.
    fn prepare(self) -> Result<Prepared, Failure> {
        let open = |path: &PathBuf| DatabaseFile::open(path).map_err(|error| Failure::of(&error));
        let databases: Vec<DatabaseFile> =
            self.databases.iter().map(open).collect::<Result<_, _>>()?;
        let choice = StreamChoice {
            base: self.base.as_deref(),
            signatures: databases
                .iter()
                .map(|database| database.header.log_signature)
                .collect(),
        };
        let stream = StreamFiles::gather(&self.logs, &choice);
        let stream = stream.map_err(|error| Failure::of(&error))?;
        Ok(Prepared {
            databases,
            stream,
            options: TimelineOptions {
                filter: self.filter,
                long_values: LongValues {
                    inline_limit: self.inline_limit,
                    blobs: None,
                },
                order: self.order,
                memory: MEMORY,
                ..TimelineOptions::default()
            },
        })
    }
}

struct Prepared {
    databases: Vec<DatabaseFile>,
    stream: StreamFiles,
    options: TimelineOptions,
}

/// What the thread sends.
enum Sent {
    Batch(RecordBatch),
    /// It is over: what was left out, or why it failed.
    End(Result<Vec<String>, Failure>),
}

impl Prepared {
    fn begin(self, account: Arc<Mutex<Account>>) -> ChangeReader {
        let (to, from) = sync_channel(AHEAD);
        let stop = Arc::new(Stop::default());
        let stopped = Arc::clone(&stop);
        // It ends by itself when nobody takes what it sends.
        thread::spawn(move || {
            let ended = self.tell(&to, &stopped);
            let _ = to.send(Sent::End(ended));
        });
        ChangeReader {
            from: Some(from),
            stop,
            account,
        }
    }

    fn tell(self, to: &SyncSender<Sent>, stop: &Stop) -> Result<Vec<String>, Failure> {
        let sender = to.clone();
        let sink = BatchSink::new(move |batch| {
            let sent = sender.send(Sent::Batch(batch));
            sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
        });
        let Prepared {
            databases,
            stream,
            options,
        } = self;
        let told = tell(&stream, &databases, MEMORY, options, Box::new(sink), stop);
        let told = told.map_err(|error| Failure::of(&error))?;
        told.check_names().map_err(|error| Failure::of(&error))?;
        match &told.problem {
            Some(problem) => Err(Failure::of(problem)),
            None => Ok(told.findings()),
        }
    }
}

/// Set when whoever reads goes away.
#[derive(Default)]
struct Stop(AtomicBool);

impl Progress for Stop {
    fn advance(&self, _bytes: u64) {}

    fn should_stop(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The pulled end of a timeline.
struct ChangeReader {
    /// None after the end.
    from: Option<Receiver<Sent>>,
    stop: Arc<Stop>,
    account: Arc<Mutex<Account>>,
}

impl ChangeReader {
    fn account(&self) -> std::sync::MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Iterator for ChangeReader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.from.as_ref()?.recv() {
            Ok(Sent::Batch(batch)) => {
                self.account().changes += batch.num_rows() as u64;
                Some(Ok(batch))
            }
            Ok(Sent::End(Ok(findings))) => {
                self.from = None;
                let words = findings.join("; ");
                let mut account = self.account();
                account.complete = true;
                account.findings = findings;
                drop(account);
                if words.is_empty() {
                    return None;
                }
                let warned = warn_of_losses(&words).err();
                warned.map(|error| Err(error.into()))
            }
            Ok(Sent::End(Err(failure))) => {
                self.from = None;
                Some(Err(StreamError::Failure(failure).into()))
            }
            Err(_) => {
                self.from = None;
                let problem = "the thread that reads logs is gone";
                Some(Err(ArrowError::ComputeError(problem.to_owned())))
            }
        }
    }
}

impl RecordBatchReader for ChangeReader {
    fn schema(&self) -> SchemaRef {
        change_schema()
    }
}

impl Drop for ChangeReader {
    fn drop(&mut self) {
        self.stop.0.store(true, Ordering::Relaxed);
    }
}
