//! Soft recovery of ESE databases on any operating system: what is needed, redo, undo, and where the result goes.
//!
//! A database is recovered into a new file; the one that is given is only read:
//!
//! ```
//! use ese_format::database::DatabaseState;
//! use ese_log::StreamFiles;
//! use ese_replay::output::{RecoveryOutput, Target};
//! use ese_replay::recovery::{DatabaseFile, GivenDatabase, RecoverOptions, Until, plan, recover};
//! use target_disk::SharedDisk;
//! # let folder = ese_testkit::fixtures::testdata_set("crash-p8k").join("state");
//! # let new = tempfile::tempdir()?;
//! # let to = new.path().join("recovered.edb");
//!
//! let files = StreamFiles::find(&folder, None)?;
//! let databases = [DatabaseFile::open(&folder.join("db.edb"))?];
//! let plan = plan(&files, None, &databases, &Until::default(), &())?;
//! println!("{}", plan.databases[0].verdict.readiness);
//!
//! let (disk, target) = (SharedDisk::default(), Target::NewFile(to));
//! let output = RecoveryOutput::begin(&disk, &databases[0], &target, false, &())?;
//! let pages = output.pages();
//! let given = vec![GivenDatabase { database: &databases[0], pages }];
//! let recovered = recover(&plan, given, Vec::new(), RecoverOptions::default(), &())?;
//! let written = output.commit(&recovered.databases[0])?;
//! assert_eq!(DatabaseFile::open(&written)?.header.state, DatabaseState::CLEAN_SHUTDOWN);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod as_of;
pub mod database;
pub mod error;
pub mod output;
pub mod page_edit;
pub mod page_files;
pub mod pages;
pub mod recovery;
pub mod redo;
pub mod session;
pub mod tree;
pub mod undo;
pub mod view;

pub use database::ReplayDatabase;
pub use error::{Problem, ReplayError};
pub use redo::Redo;
