//! The native part of the Python package `edbkit`: what the libraries know, as Python objects and Arrow streams.
//!
//! Nothing is decided here. Answers are the documents of the programs (`answers`), errors are what the programs end with
//! (`console::Failure`), and rows are record batches (`ese_arrow`) behind the Arrow PyCapsule interface. Python's lock is
//! released while Rust works.

mod changes;
mod database;
mod documents;
mod error;
mod lock;
mod scan;
mod stream;

use pyo3::prelude::*;

#[pymodule(gil_used = false)]
mod _edbkit {
    use super::*;

    #[pymodule_export]
    use super::changes::Changes;
    #[pymodule_export]
    use super::database::{Database, Table, open};
    #[pymodule_export]
    use super::documents::{chain, find, header, plan, recover};
    #[pymodule_export]
    use super::scan::{Partition, Scan};
    #[pymodule_export]
    use super::stream::{Batch, Batches, Schema};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        console::mount();
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
