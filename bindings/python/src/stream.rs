//! The Arrow PyCapsule interface: a schema, and a stream of record batches.

use crate::error::{Problem, error, warn};
use crate::lock;
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{RecordBatch, RecordBatchIterator, RecordBatchReader};
use arrow_schema::ffi::FFI_ArrowSchema;
use arrow_schema::{ArrowError, SchemaRef};
use console::Failure;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use std::fmt::{self, Display, Formatter};
use std::sync::{Mutex, PoisonError};

/// A capsule that owns a stream. Whoever takes the stream out of it leaves a released one behind.
pub(crate) fn stream_capsule<'py>(
    py: Python<'py>,
    reader: impl RecordBatchReader + Send + 'static,
) -> PyResult<Bound<'py, PyCapsule>> {
    let stream = FFI_ArrowArrayStream::new(Box::new(Detached(reader)));
    PyCapsule::new_with_value(py, stream, c"arrow_array_stream")
}

/// A capsule that owns a schema.
pub(crate) fn schema_capsule<'py>(
    py: Python<'py>,
    schema: &SchemaRef,
) -> PyResult<Bound<'py, PyCapsule>> {
    let schema = FFI_ArrowSchema::try_from(schema.as_ref());
    let schema = schema.map_err(|error| PyValueError::new_err(error.to_string()))?;
    PyCapsule::new_with_value(py, schema, c"arrow_schema")
}

/// Why a stream ends before its end. Whoever reads may ask for its text without Python's lock: so there is nothing of Python in it.
#[derive(Debug)]
pub(crate) enum StreamError {
    /// The work failed.
    Failure(Failure),
    /// There are losses, and a filter of Python makes errors of warnings.
    Loss(String),
}

impl StreamError {
    fn raised(self, py: Python<'_>) -> PyErr {
        match self {
            StreamError::Failure(failure) => Problem::Failure(failure).into(),
            StreamError::Loss(words) => error(py, "LossWarning", &words),
        }
    }
}

impl Display for StreamError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            StreamError::Failure(failure) => failure.fmt(f),
            StreamError::Loss(words) => words.fmt(f),
        }
    }
}

impl std::error::Error for StreamError {}

impl From<StreamError> for ArrowError {
    fn from(error: StreamError) -> Self {
        ArrowError::ExternalError(Box::new(error))
    }
}

/// Warns of losses; an error where a filter makes one of it. Where there is no Python any more, nobody listens.
pub(crate) fn warn_of_losses(words: &str) -> Result<(), StreamError> {
    let warned = lock::with(|py| warn(py, "LossWarning", words).is_ok());
    match warned {
        Some(false) => Err(StreamError::Loss(words.to_owned())),
        _ => Ok(()),
    }
}

/// A reader that works with Python's lock released, whether whoever reads holds it or not.
struct Detached<R>(R);

impl<R: RecordBatchReader + Send> Iterator for Detached<R> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let reader = &mut self.0;
        match lock::with(|py| py.detach(|| reader.next())) {
            Some(next) => next,
            // There is no Python any more, and nobody holds its lock.
            None => self.0.next(),
        }
    }
}

impl<R: RecordBatchReader + Send> RecordBatchReader for Detached<R> {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }
}

/// The columns of a table or stream, through the Arrow PyCapsule interface: `pyarrow.schema(it)`.
#[pyclass(frozen, module = "edbkit")]
pub(crate) struct Schema {
    pub(crate) schema: SchemaRef,
}

#[pymethods]
impl Schema {
    /// The schema as an Arrow PyCapsule.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        schema_capsule(py, &self.schema)
    }

    /// The names of the columns.
    #[getter]
    pub(crate) fn names(&self) -> Vec<String> {
        let fields = self.schema.fields().iter();
        fields.map(|field| field.name().clone()).collect()
    }

    fn __len__(&self) -> usize {
        self.schema.fields().len()
    }

    fn __repr__(&self) -> String {
        let fields = self.schema.fields().iter();
        let fields = fields.map(|field| format!("{}: {}", field.name(), field.data_type()));
        format!("<edbkit.Schema {}>", fields.collect::<Vec<_>>().join(", "))
    }
}

/// Some rows of a stream. It is an Arrow stream of its own, which can be taken several times.
#[pyclass(frozen, module = "edbkit")]
pub(crate) struct Batch(RecordBatch);

#[pymethods]
impl Batch {
    /// The columns.
    #[getter]
    fn schema(&self) -> Schema {
        Schema {
            schema: self.0.schema(),
        }
    }

    /// The schema as an Arrow PyCapsule.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        schema_capsule(py, &self.0.schema())
    }

    /// The rows as an Arrow PyCapsule.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        drop(requested_schema);
        let batches = RecordBatchIterator::new([Ok(self.0.clone())], self.0.schema());
        stream_capsule(py, batches)
    }

    /// How many rows there are.
    fn __len__(&self) -> usize {
        self.0.num_rows()
    }
}

/// The batches of a stream, one after the other.
#[pyclass(frozen, module = "edbkit")]
pub(crate) struct Batches(pub(crate) Mutex<Box<dyn RecordBatchReader + Send>>);

#[pymethods]
impl Batches {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Batch>> {
        let next = || self.0.lock().unwrap_or_else(PoisonError::into_inner).next();
        match py.detach(next) {
            None => Ok(None),
            Some(Ok(batch)) => Ok(Some(Batch(batch))),
            Some(Err(ArrowError::ExternalError(error))) => match error.downcast::<StreamError>() {
                Ok(error) => Err(error.raised(py)),
                Err(error) => Err(PyValueError::new_err(error.to_string())),
            },
            Some(Err(error)) => Err(PyValueError::new_err(error.to_string())),
        }
    }
}
