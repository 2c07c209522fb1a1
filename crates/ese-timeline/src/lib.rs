//! What transaction logs say of rows: every insert, update and delete, with the row before and after, in its transaction.
//!
//! A timeline is a recovery that is watched ([`ese_replay::redo::RedoObserver`]) and whose result is thrown away. It
//! starts with nothing, where the logs create the database, or with a database that they bring forward. A database that has the
//! changes in its pages already is followed backwards. Every change of a row is decoded with the catalog as it is at that
//! moment of the log, and told when its transaction ends.
//!
//! ```
//! use ese_log::StreamFiles;
//! use ese_timeline::sink::JsonlSink;
//! use ese_timeline::{TimelineOptions, tell};
//! # let folder = ese_testkit::fixtures::testdata_set("clean-p4k").join("state");
//!
//! let files = StreamFiles::find(&folder, None)?;
//! let sink = Box::new(JsonlSink::new(std::io::stdout()));
//! let told = tell(&files, &[], 64 << 20, TimelineOptions::default(), sink, &())?;
//! println!("{} changes", told.summary.changes());
//! # assert!(told.summary.changes() > 500);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | room | what |
//! |---|---|
//! | `watcher` | follows a redo and makes changes of rows of what it does to nodes |
//! | `schema`, `layout` | the catalog as of a moment; rows as JSON |
//! | `long_values`, `escrow` | what rows refer to; numbers to which several transactions add |
//! | `transactions`, `store` | what is open, and its changes until it ends |
//! | `spill` | what would take too much memory |
//! | `history` | the way back through logs that the database has in its pages |
//! | `tally` | changes of rows counted by table, from records alone |
//! | [`sink`] | the formats |

#![forbid(unsafe_code)]

mod change;
mod escrow;
mod event;
mod filter;
mod history;
mod layout;
mod logs;
mod long_values;
mod masked;
mod schema;
pub mod sink;
mod spill;
mod store;
mod summary;
mod tally;
mod timeline;
mod told;
mod transactions;
mod trees;
mod watcher;

pub use event::{
    Change, Event, Operation, RowImage, RowState, SourceDatabase, SourceLog, Status, TimeSource,
};
pub use filter::Filter;
pub use layout::{LongValues, TableLayout};
pub use sink::ChangeSink;
pub use summary::{ChangeCounts, TimelineSummary};
pub use tally::{RowTally, TableTally, Tally, tally};
pub use timeline::tell;
pub use told::{TellError, Told};
pub use watcher::{Order, TimelineOptions};
