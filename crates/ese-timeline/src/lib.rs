//! What transaction logs say of rows: every insert, update and delete, with the row before and after, in its transaction.
//!
//! A timeline is a recovery that is watched ([`ese_replay::redo::RedoObserver`]) and whose result is thrown away. It
//! starts with nothing, where the logs create the database, or with a database that they bring forward. Every change of a
//! row is decoded with the catalog as it is at that moment of the log, and told when its transaction ends.

#![forbid(unsafe_code)]

mod change;
mod escrow;
mod event;
mod filter;
mod history;
mod layout;
mod long_values;
mod masked;
mod schema;
pub mod sink;
mod store;
mod summary;
mod timeline;
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
pub use timeline::{TellError, Told, tell};
pub use watcher::{Order, TimelineOptions};
