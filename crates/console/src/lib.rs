//! The common behaviour of edbkit's programs: how they start, report, stop and exit.
//!
//! Data goes to standard output, everything else to standard error. A program's `main` is one call of [`run`]; its
//! commands return an [`Exit`] or a [`Failure`], and never end the process themselves.

#![forbid(unsafe_code)]

mod colour;
mod exit;
pub mod files;
mod habits;
mod interrupt;
mod manual;
mod markdown;
mod output;
mod progress;
mod shell;
mod topics;
mod usage;
pub mod values;

pub use exit::{Exit, Failure};
pub use interrupt::{interrupted, watch_interrupts};
pub use output::{COMMON, Output, RunOptions, Stream, complain};
pub use progress::Bar;
pub use shell::{ShellCommand, arguments, mount, run, shell_word};
