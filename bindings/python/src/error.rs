//! Errors as exceptions, findings as warnings.
//!
//! The classes are written in Python (`edbkit._errors`): so they can be pickled, which Spark does with what its workers raise.

use console::{Exit, Failure};
use ese_format::{Explain, Progress};
use pyo3::exceptions::PyUserWarning;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::ffi::CString;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What a call ends with.
pub(crate) enum Problem {
    /// A program would end with this.
    Failure(Failure),
    /// Python has raised something, as on Ctrl-C.
    Raised(PyErr),
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Problem::Failure(failure)
    }
}

impl From<PyErr> for Problem {
    fn from(error: PyErr) -> Self {
        Problem::Raised(error)
    }
}

impl From<&dyn Explain> for Problem {
    fn from(error: &dyn Explain) -> Self {
        Problem::Failure(Failure::of(error))
    }
}

impl From<Problem> for PyErr {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Failure(failure) => Python::attach(|py| match raised(py, &failure) {
                Ok(error) | Err(error) => error,
            }),
            Problem::Raised(error) => error,
        }
    }
}

/// A wrong argument.
pub(crate) fn usage(message: impl Into<String>) -> Problem {
    Failure::new(Exit::Usage, message).into()
}

fn raised(py: Python<'_>, failure: &Failure) -> PyResult<PyErr> {
    let class = match failure.exit {
        Exit::Clean | Exit::Finding => "FindingError",
        Exit::Usage => "UsageError",
        Exit::Io => "ReadError",
        Exit::NotEse => "NotEseError",
        Exit::Refused => "RefusedError",
        Exit::Interrupted => "InterruptedError",
    };
    let class = py.import("edbkit._errors")?.getattr(class)?;
    let fields = PyDict::new(py);
    fields.set_item("message", &failure.message)?;
    fields.set_item("advice", &failure.advice)?;
    fields.set_item("jet", failure.jet.map(|jet| jet.code))?;
    fields.set_item("jet_name", failure.jet.map(|jet| jet.name))?;
    fields.set_item("reason", failure.reason)?;
    Ok(PyErr::from_value(class.call((), Some(&fields))?))
}

/// An exception of a class of `edbkit` that takes a message.
pub(crate) fn error(py: Python<'_>, class: &str, message: &str) -> PyErr {
    let class = py
        .import("edbkit._errors")
        .and_then(|errors| errors.getattr(class));
    match class.and_then(|class| class.call1((message,))) {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}

/// Gives a Python warning of a class of `edbkit`. It may be made an error by a filter.
pub(crate) fn warn(py: Python<'_>, class: &str, message: &str) -> PyResult<()> {
    let class = py.import("edbkit._errors")?.getattr(class);
    let class = class.unwrap_or_else(|_| py.get_type::<PyUserWarning>().into_any());
    // A NUL would end the text: it is left out.
    let message = CString::new(message.replace('\0', "")).unwrap_or_default();
    PyErr::warn(py, &class, &message, 1)
}

/// Ends what takes long when Python has a signal to handle, as on Ctrl-C.
pub(crate) struct Signals {
    state: Mutex<(Instant, Option<PyErr>)>,
}

/// Time between two questions to Python.
const PATIENCE: Duration = Duration::from_millis(200);

impl Default for Signals {
    fn default() -> Self {
        Signals {
            state: Mutex::new((Instant::now(), None)),
        }
    }
}

impl Signals {
    /// What the work came to; what Python raised comes first.
    pub(crate) fn ended<T>(&self, worked: Result<T, Failure>) -> Result<T, Problem> {
        let mut state = self.state.lock().map_err(|_| usage("a thread panicked"))?;
        match state.1.take() {
            Some(raised) => Err(raised.into()),
            None => Ok(worked?),
        }
    }
}

impl Progress for Signals {
    fn advance(&self, _bytes: u64) {}

    fn should_stop(&self) -> bool {
        // Whoever does not get the lock sees the answer next time.
        let Ok(mut state) = self.state.try_lock() else {
            return false;
        };
        if state.1.is_none() && state.0.elapsed() >= PATIENCE {
            state.1 = Python::attach(|py| py.check_signals()).err();
            state.0 = Instant::now();
        }
        state.1.is_some()
    }
}

/// Does work of Rust with Python's lock released, and ends it on Ctrl-C.
pub(crate) fn work<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&Signals) -> Result<T, Failure> + Send,
) -> Result<T, Problem> {
    py.detach(|| {
        let signals = Signals::default();
        let worked = work(&signals);
        signals.ended(worked)
    })
}
