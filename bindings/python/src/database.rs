//! A database and its tables.

use crate::changes::Changes;
use crate::documents::{Places, header_of, verified};
use crate::error::{Problem, usage, warn, work};
use crate::scan::{Partition, Scan};
use crate::stream::{Schema, schema_capsule};
use answers::view::{DIRTY, View, failure, is_dirty};
use console::{Exit, Failure};
use ese_arrow::{Comparison, Condition, KeyValue, ScanOptions, Tables};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use std::path::PathBuf;

/// Opens a database: a path, a member of an archive (`case.zip::dir/SRUDB.dat`), a file in a disk image
/// (`disk.E01::/Windows/NTDS/ntds.dit`).
///
/// It is read as its file is, with `logs` (a folder, a log, or a list of them) as it will be after recovery, with `as_of` (a
/// generation, a log position or a time) as it was then, with `overlay` through a file of `edbreplay run --overlay`. Nothing is
/// written. With `decoded`, tables of well-known programs have columns that say what raw values mean.
#[pyfunction]
#[pyo3(signature = (path, logs=None, as_of=None, base=None, overlay=None, decoded=true, *, ignore_missing=false))]
#[expect(clippy::too_many_arguments, reason = "they are Python's, with names")]
pub(crate) fn open(
    py: Python<'_>,
    path: PathBuf,
    logs: Option<Places>,
    as_of: Option<Moment>,
    base: Option<String>,
    overlay: Option<PathBuf>,
    decoded: bool,
    ignore_missing: bool,
) -> PyResult<Database> {
    let logs = Places::list(logs);
    if overlay.is_some() && !logs.is_empty() {
        return Err(usage("logs and overlay exclude each other").into());
    }
    let given = [
        ("as_of", as_of.is_some()),
        ("base", base.is_some()),
        ("ignore_missing", ignore_missing),
    ];
    if let Some((name, _)) = given.iter().find(|(_, given)| *given && logs.is_empty()) {
        return Err(usage(format!("{name} needs logs")).into());
    }
    let view = View {
        logs,
        base,
        ignore_missing,
        as_of: as_of.map(|Moment(moment)| moment),
        overlay,
    };
    let (opened, tables) = work(py, |signals| {
        let opened = view.look_at(&path, signals)?;
        let tables = Tables::new(&opened.database, decoded);
        let tables = tables.map_err(|error| failure(&path, &error))?;
        Ok((opened, tables))
    })?;
    if opened.found != Exit::Clean {
        for remark in &opened.remarks {
            warn(py, "LossWarning", &format!("{}: {remark}", path.display()))?;
        }
    }
    if view.is_plain() && is_dirty(&opened.database) {
        warn(py, "DirtyWarning", &format!("{}: {DIRTY}", path.display()))?;
    }
    Ok(Database {
        path,
        view,
        tables,
        decoded,
    })
}

/// A moment in the logs, as text or as the number of a generation.
pub(crate) struct Moment(pub(crate) ese_log::Moment);

impl<'py> FromPyObject<'_, 'py> for Moment {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let text: String = match given.hasattr("isoformat")? {
            true => given.call_method0("isoformat")?.extract()?,
            false => given.str()?.extract()?,
        };
        let moment = text.parse().map_err(|problem: String| usage(problem))?;
        Ok(Moment(moment))
    }
}

/// A database that was opened for reading. `db["NAME"]` is one of its tables, also by what people call it.
#[pyclass(frozen, module = "edbkit")]
pub(crate) struct Database {
    path: PathBuf,
    view: View,
    tables: Tables,
    decoded: bool,
}

#[pymethods]
impl Database {
    /// The path or address, as it was given.
    #[getter]
    fn path(&self) -> String {
        self.path.display().to_string()
    }

    /// The names of the tables, in the order of the catalog.
    #[getter]
    fn tables(&self) -> Vec<String> {
        let tables = self.tables.catalog().tables.iter();
        tables.map(|table| table.name.clone()).collect()
    }

    /// Which program's database it is, judged by its tables: `"SRUM"`, `"NTDS"`, `"Windows Search"` ... or `None`.
    #[getter]
    fn kind(&self) -> Option<&'static str> {
        self.tables.catalog().kind()
    }

    fn __getitem__(&self, name: &str) -> PyResult<Table> {
        let table = ese_export::table_meant(self.tables.catalog(), name);
        let table = table.map_err(|error| Problem::Failure(Failure::of(&error)))?;
        Ok(Table {
            tables: self.tables.clone(),
            table: table.clone(),
            known_as: self.tables.catalog().known_as(table).map(str::to_owned),
        })
    }

    fn __contains__(&self, name: &str) -> bool {
        self.tables.catalog().table_meant(name).is_some()
    }

    fn __len__(&self) -> usize {
        self.tables.catalog().tables.len()
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.tables().into_pyobject(py)?.call_method0("__iter__")
    }

    /// The header of the file, and what it means: as `edbtool header --json` (`edbkit.header/1`).
    fn header<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let text = work(py, |_| {
            header_of(&self.path, &self.view.logs, self.view.base.as_deref())
        })?;
        py.import("json")?.call_method1("loads", (text,))
    }

    /// Whether every page is what was written, by checksums: as `edbtool verify --json` (`edbkit.verify/1`).
    fn verify<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let text = work(py, |signals| verified(&self.path, &self.view, signals))?;
        py.import("json")?.call_method1("loads", (text,))
    }

    /// Changes of rows that logs hold, one row for each: what `logchain timeline --format parquet` writes. Without `logs`
    /// those with which the database was opened.
    #[pyo3(signature = (logs=None, *, base=None, tables=None, since=None, until=None, committed=false, system=false, order="commit", inline_limit=4096))]
    #[expect(clippy::too_many_arguments, reason = "they are Python's, with names")]
    fn changes(
        &self,
        logs: Option<Places>,
        base: Option<String>,
        tables: Option<Vec<String>>,
        since: Option<Moment>,
        until: Option<Moment>,
        committed: bool,
        system: bool,
        order: &str,
        inline_limit: usize,
    ) -> PyResult<Changes> {
        let logs = match logs {
            Some(logs) => Places::list(Some(logs)),
            None => self.view.logs.clone(),
        };
        if logs.is_empty() {
            return Err(usage("changes come from logs: name their folder with logs").into());
        }
        let base = base.or_else(|| self.view.base.clone());
        let databases = vec![self.path.clone()];
        Ok(Changes::new(
            databases,
            logs,
            base,
            crate::changes::filter(tables, since, until, committed, system)?,
            order,
            inline_limit,
        )?)
    }

    fn __repr__(&self) -> String {
        let decoded = if self.decoded { "" } else { ", not decoded" };
        format!(
            "<edbkit.Database {:?}, {} tables{decoded}>",
            self.path(),
            self.__len__()
        )
    }
}

/// A table of a database. It is an Arrow stream of all its rows for whoever takes one.
#[pyclass(frozen, module = "edbkit")]
pub(crate) struct Table {
    tables: Tables,
    table: ese_db::Table,
    known_as: Option<String>,
}

/// A condition, as Python writes it.
type Where<'py> = (String, String, Bound<'py, PyAny>);

impl Table {
    fn condition(&self, condition: Where<'_>) -> PyResult<Condition> {
        let (mut column, comparison, value) = condition;
        let comparison = match comparison.as_str() {
            "=" | "==" => Comparison::Equal,
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterOrEqual,
            other => return Err(usage(format!("{other:?} is not =, <, <=, > or >=")).into()),
        };
        let value = match value.extract::<i128>() {
            Ok(number) => KeyValue::Integer(number),
            Err(_) => KeyValue::Guid(guid(&value)?),
        };
        // In a scan, dots of its name are written otherwise.
        let key = self.key_column().unwrap_or_default();
        if key.replace('.', "_") == column {
            column = key.to_owned();
        }
        Ok(Condition {
            column,
            comparison,
            value,
        })
    }

    /// A scan of all of it.
    fn whole(&self) -> Result<Scan, Problem> {
        Scan::new(
            self.tables.clone(),
            self.table.clone(),
            ScanOptions::default(),
        )
    }
}

#[pymethods]
impl Table {
    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        &self.table.name
    }

    /// What people call it, where its name is a GUID, or `None`.
    #[getter]
    fn known_as(&self) -> Option<&str> {
        self.known_as.as_deref()
    }

    /// The names of its columns, as they are in a scan.
    #[getter]
    fn columns(&self) -> PyResult<Vec<String>> {
        Ok(self.whole()?.schema_names())
    }

    /// Its columns and their types, without reading a row.
    #[getter]
    fn schema(&self) -> PyResult<Schema> {
        Ok(self.whole()?.the_schema())
    }

    /// The schema as an Arrow PyCapsule.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        schema_capsule(py, &self.whole()?.the_schema().schema)
    }

    /// All rows as an Arrow PyCapsule. Each call begins a new stream.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        drop(requested_schema);
        self.whole()?.stream(py)
    }

    /// All rows as a `pyarrow.Table`.
    fn to_arrow<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("pyarrow")?.call_method1("table", (slf,))
    }

    /// The column by which `where` may ask for rows: the first of the primary key, if it holds numbers or GUIDs. Or `None`.
    #[getter]
    fn key_column(&self) -> Option<&str> {
        let column = self.tables.leading_column(&self.table);
        column.map(|column| column.name.as_str())
    }

    /// Even parts of the table, `count` of them or fewer; their rows, one part after the other, are those of the table. They can
    /// be pickled, and are the same for whoever opens the same database.
    fn partitions(&self, py: Python<'_>, count: usize) -> PyResult<Vec<Partition>> {
        if count == 0 {
            return Err(usage("a table has at least one part").into());
        }
        let parts = work(py, |_| Ok(self.tables.partitions(&self.table, count)))?;
        Ok(parts.into_iter().map(Partition).collect())
    }

    /// Some of it: these `columns`, at most so many `rows`, one `partition` of it; with `where` rows that meet all conditions, each
    /// a column, a comparison (`"="`, `"<"`, `"<="`, `">"`, `">="`) and a number or GUID; the column must be `key_column`. With
    /// `deleted` also rows that are deleted but still in their pages (marked in a column `$deleted`).
    #[pyo3(signature = (columns=None, rows=None, partition=None, r#where=None, deleted=false))]
    fn scan(
        &self,
        columns: Option<Vec<String>>,
        rows: Option<u64>,
        partition: Option<PyRef<'_, Partition>>,
        r#where: Option<Vec<Where<'_>>>,
        deleted: bool,
    ) -> PyResult<Scan> {
        let mut options = ScanOptions::default();
        options.columns = columns;
        options.rows = rows;
        options.deleted = deleted;
        options.partition = partition.map(|part| part.0.clone()).unwrap_or_default();
        for condition in r#where.unwrap_or_default() {
            options.conditions.push(self.condition(condition)?);
        }
        Ok(Scan::new(self.tables.clone(), self.table.clone(), options)?)
    }

    fn __repr__(&self) -> String {
        let known = self.known_as.as_ref();
        let known = known.map_or(String::new(), |known| format!(" ({known})"));
        format!("<edbkit.Table {:?}{known}>", self.table.name)
    }
}

/// The bytes of a GUID as the database stores them, of a `uuid.UUID` or its text.
fn guid(value: &Bound<'_, PyAny>) -> PyResult<[u8; 16]> {
    let problem = || usage(format!("{value} is neither a number nor a GUID"));
    let guid = match value.hasattr("bytes_le")? {
        true => value.clone(),
        false => {
            let uuid = value.py().import("uuid")?.getattr("UUID")?;
            uuid.call1((value.str()?,)).map_err(|_| problem())?
        }
    };
    let bytes: Vec<u8> = guid.getattr("bytes_le")?.extract()?;
    Ok(bytes.try_into().map_err(|_| problem())?)
}
