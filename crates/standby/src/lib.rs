//! Continuous replication of ESE log streams: a standby copy of a storage group, kept current by shipping closed logs.
//!
//! [`StandbyCopy`] is one copy and the machine that serves it: every [`pass`](StandbyCopy::pass) brings it as far as it can be brought
//! now and returns; its other half, the [`Replayer`], does the same step by step for what was inspected. All that a pass does is idempotent and its order is such that a process may be killed anywhere: logs
//! come under their names by one rename, after they are on disk, and the state only says what files already show.
//!
//! What the documents of Exchange's Standby Continuous Replication call rules is in [`rules`], as pure functions.
//!
//! How the copies of a configuration stand:
//!
//! ```no_run
//! use standby::config::Configuration;
//! use standby::source::{Variables, logs_of};
//!
//! let configuration = Configuration::load("/etc/scr/scr.toml".as_ref())?;
//! let variables: Variables = |name| std::env::var(name).ok();
//! for copy in &configuration.copies {
//!     let logs = logs_of(&copy.source, &configuration.service.remote, variables);
//!     println!("{}: {} logs at the source", copy.name, logs.list()?.named.len());
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod activate;
mod activation_report;
mod aside;
mod birth;
mod bring;
pub mod clock;
pub mod config;
mod copy;
mod diverge;
pub mod enable;
mod error;
pub mod failback;
pub mod inspect;
pub mod lag;
mod listing;
mod lost_rows;
pub mod metrics;
mod obstacle;
mod own_files;
mod pass;
mod place;
pub mod product;
pub mod proofs;
pub mod replay;
mod replay_failure;
pub mod rules;
pub mod runbook;
pub mod seed;
pub mod service;
pub mod source;
pub mod state;
pub mod status;
pub mod target_view;
mod trouble;
pub mod truncate;
mod unreplayed;

pub use bring::BringError;
pub use copy::{Pass, StandbyCopy};
pub use error::StandbyError;
pub use replay::{ReplayStep, Replayer};
