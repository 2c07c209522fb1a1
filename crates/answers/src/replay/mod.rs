//! Recoveries: what one would do ([`plan`]), and doing it ([`run`]).

mod digests;
mod input;
pub mod plan;
mod profile;
mod report;
pub mod run;
mod targets;

pub use input::{Input, Subjects};
pub use profile::{Lap, Step};
pub use report::{DatabaseReport, FileDigest, Report};
