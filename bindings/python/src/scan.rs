//! Rows of a table: a scan, its streams, and what they could not read.

use crate::error::Problem;
use crate::stream::{Batches, Schema, StreamError, schema_capsule, stream_capsule, warn_of_losses};
use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use console::{Exit, Failure};
use ese_arrow::{ScanError, ScanOptions, ScanProblem, TableScan, Tables};
use ese_db::{Losses, Table};
use ese_format::{JetError, hex};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict};
use serde::Serialize;
use std::sync::{Arc, Mutex, PoisonError};

/// Rows of a table. A consumer of Arrow streams takes it as it is; each takes a stream of its own.
#[pyclass(frozen, module = "edbkit")]
pub(crate) struct Scan {
    tables: Tables,
    table: Table,
    options: ScanOptions,
    schema: SchemaRef,
    /// What the last stream could not read.
    account: Mutex<Arc<Mutex<Account>>>,
}

/// What a stream could not read so far.
#[derive(Debug, Clone, Default, Serialize)]
struct Account {
    /// Whether the stream came to its end.
    complete: bool,
    rows_read: u64,
    #[serde(flatten)]
    losses: Losses,
    values_left_out: u64,
    #[serde(skip)]
    problems: Vec<ScanProblem>,
}

impl Account {
    fn is_clean(&self) -> bool {
        self.losses.is_empty() && self.values_left_out == 0
    }

    /// One line.
    fn words(&self, table: &str) -> String {
        let losses = &self.losses;
        let counts = [
            (losses.pages.len() as u64, "pages that cannot be read"),
            (losses.rows, "rows that do not decode"),
            (losses.values, "values that do not decode"),
            (self.values_left_out, "values that are too long"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let counts: Vec<String> = counts
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let first = losses.pages.values().next();
        let first = first.map_or(String::new(), |page| format!(" (first: {})", page.reason));
        format!(
            "{table}: lost {}{first}; `losses` and `problems` of a Scan say more",
            counts.join(", ")
        )
    }
}

/// What is asked for cannot be had from this table.
fn refused(error: &ScanError) -> Failure {
    let failure = Failure::new(Exit::Usage, error.to_string());
    match error {
        ScanError::NoColumn { .. } => failure.jet(JetError::COLUMN_NOT_FOUND),
        _ => failure,
    }
}

/// A part of a table, as `Table.partitions` gives it.
#[pyclass(frozen, eq, module = "edbkit")]
#[derive(Clone, PartialEq)]
pub(crate) struct Partition(pub(crate) ese_arrow::Partition);

#[pymethods]
impl Partition {
    /// The part between two places of the tree: keys, or `None` for its start and its end.
    #[new]
    #[pyo3(signature = (begin=None, end=None))]
    fn new(begin: Option<Vec<u8>>, end: Option<Vec<u8>>) -> Self {
        Partition(ese_arrow::Partition {
            from: begin,
            until: end,
        })
    }

    /// The first key of it, or `None`.
    #[getter]
    fn begin(&self) -> Option<&[u8]> {
        self.0.from.as_deref()
    }

    /// The first key after it, or `None`.
    #[getter]
    fn end(&self) -> Option<&[u8]> {
        self.0.until.as_deref()
    }

    fn __getnewargs__(&self) -> (Option<&[u8]>, Option<&[u8]>) {
        (self.begin(), self.end())
    }

    fn __repr__(&self) -> String {
        let key = |key: Option<&[u8]>| key.map_or("None".to_owned(), hex::encode);
        format!(
            "<edbkit.Partition {} to {}>",
            key(self.begin()),
            key(self.end())
        )
    }
}

impl Scan {
    pub(crate) fn new(tables: Tables, table: Table, options: ScanOptions) -> Result<Self, Problem> {
        let scan = tables
            .scan(&table, options.clone())
            .map_err(|error| refused(&error))?;
        let schema = scan.schema();
        Ok(Scan {
            tables,
            table,
            options,
            schema,
            account: Mutex::default(),
        })
    }

    pub(crate) fn schema_names(&self) -> Vec<String> {
        self.the_schema().names()
    }

    pub(crate) fn the_schema(&self) -> Schema {
        Schema {
            schema: Arc::clone(&self.schema),
        }
    }

    pub(crate) fn stream<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        stream_capsule(py, self.begin()?)
    }

    /// Begins a stream, whose account becomes that of the scan.
    fn begin(&self) -> Result<AccountedScan, Problem> {
        let scan = self.tables.scan(&self.table, self.options.clone());
        let scan = scan.map_err(|error| refused(&error))?;
        let account = Arc::<Mutex<Account>>::default();
        *self.account.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&account);
        Ok(AccountedScan {
            scan,
            table: self.table.name.clone(),
            account,
            told: false,
        })
    }

    fn account(&self) -> Account {
        let account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        let account = account.lock().unwrap_or_else(PoisonError::into_inner);
        account.clone()
    }
}

#[pymethods]
impl Scan {
    /// The columns of the stream.
    #[getter]
    fn schema(&self) -> Schema {
        self.the_schema()
    }

    /// The schema as an Arrow PyCapsule.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        schema_capsule(py, &self.schema)
    }

    /// The rows as an Arrow PyCapsule. Each call begins a new stream.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // The interface lets a producer give its own types.
        drop(requested_schema);
        self.stream(py)
    }

    /// What the stream that was begun last could not read: `pages` (number to reason), `rows` and `values` that do not
    /// decode, `values_left_out` (too long), `rows_read`, and `complete`, whether it came to its end.
    #[getter]
    fn losses<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        crate::documents::to_python(py, &self.account())
    }

    /// The first thousand values that could not be read: `column`, `page`, `node`, `key`, `reason`, `bytes`.
    #[getter]
    fn problems<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let account = self.account();
        let problem = |problem: &ScanProblem| {
            let fields = PyDict::new(py);
            fields.set_item("column", &problem.column)?;
            fields.set_item("page", problem.page)?;
            fields.set_item("node", problem.node)?;
            fields.set_item("key", &problem.key)?;
            fields.set_item("reason", &problem.reason)?;
            fields.set_item("bytes", &problem.bytes)?;
            Ok(fields)
        };
        account.problems.iter().map(problem).collect()
    }

    /// Begins a stream, and gives its batches one after the other.
    fn __iter__(&self) -> PyResult<Batches> {
        Ok(Batches(Mutex::new(Box::new(self.begin()?))))
    }

    /// All rows as a `pyarrow.Table`.
    fn to_arrow<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let pyarrow = slf.py().import("pyarrow")?;
        pyarrow.call_method1("table", (slf,))
    }

    fn __repr__(&self) -> String {
        format!("<edbkit.Scan of {:?}>", self.table.name)
    }
}

/// A scan that keeps its account, and warns of losses when it ends.
struct AccountedScan {
    scan: TableScan,
    table: String,
    account: Arc<Mutex<Account>>,
    /// Whether losses were told.
    told: bool,
}

impl AccountedScan {
    /// Writes down what was read so far.
    fn note(&self, rows: u64, complete: bool) -> Account {
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        account.rows_read += rows;
        account.complete |= complete;
        account.losses = self.scan.losses();
        account.values_left_out = self.scan.values_left_out();
        let known = account.problems.len();
        account
            .problems
            .extend_from_slice(&self.scan.problems()[known..]);
        account.clone()
    }

    /// Warns of losses, once.
    fn tell(&mut self, account: &Account) -> Result<(), StreamError> {
        if self.told || account.is_clean() {
            return Ok(());
        }
        self.told = true;
        warn_of_losses(&account.words(&self.table))
    }
}

impl Iterator for AccountedScan {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.scan.next();
        let rows = next.as_ref().and_then(|batch| batch.as_ref().ok());
        let rows = rows.map_or(0, |batch| batch.num_rows() as u64);
        let account = self.note(rows, next.is_none());
        if next.is_some() {
            return next;
        }
        // A filter that makes errors of warnings ends the stream with one.
        let told = self.tell(&account).err();
        told.map(|error| Err(error.into()))
    }
}

impl RecordBatchReader for AccountedScan {
    fn schema(&self) -> SchemaRef {
        self.scan.schema()
    }
}

/// Who stops before the end is told what was lost up to there.
impl Drop for AccountedScan {
    fn drop(&mut self) {
        let account = self.note(0, false);
        // There is nobody any more who could take an error.
        let _ = self.tell(&account);
    }
}
