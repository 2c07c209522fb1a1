//! What is said of one change, before it is known how its transaction ends.

use crate::layout::TableLayout;
use ese_format::{Dbtime, Lgpos, LogTime, ObjId, Pgno, ProcId};
use serde::{Deserialize, Serialize};

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// A row came.
    Insert,
    /// A row changed.
    Update,
    /// A row went.
    Delete,
    /// A table came.
    CreateTable,
    /// A table went.
    DropTable,
    /// A table has another name.
    RenameTable,
    /// A column came.
    AddColumn,
    /// A column went; what rows hold of it stays in them.
    DeleteColumn,
    /// A column has another name.
    RenameColumn,
    /// An index came.
    CreateIndex,
    /// An index went.
    DropIndex,
}

impl Operation {
    /// All of them.
    pub const ALL: [Operation; 11] = [
        Operation::Insert,
        Operation::Update,
        Operation::Delete,
        Operation::CreateTable,
        Operation::DropTable,
        Operation::RenameTable,
        Operation::AddColumn,
        Operation::DeleteColumn,
        Operation::RenameColumn,
        Operation::CreateIndex,
        Operation::DropIndex,
    ];

    /// Its name in every format.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Insert => "insert",
            Operation::Update => "update",
            Operation::Delete => "delete",
            Operation::CreateTable => "create_table",
            Operation::DropTable => "drop_table",
            Operation::RenameTable => "rename_table",
            Operation::AddColumn => "add_column",
            Operation::DeleteColumn => "delete_column",
            Operation::RenameColumn => "rename_column",
            Operation::CreateIndex => "create_index",
            Operation::DropIndex => "drop_index",
        }
    }

    /// Whether a row was changed, and not the schema.
    pub fn is_of_row(self) -> bool {
        matches!(
            self,
            Operation::Insert | Operation::Update | Operation::Delete
        )
    }
}

/// How a change ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Its transaction committed.
    Committed,
    /// It was taken back: by itself, or with its transaction.
    RolledBack,
    /// The logs end before its transaction does.
    OpenAtEnd,
    /// How its transaction ended stands in a log that is missing or cannot be read.
    EndNotKnown,
}

impl Status {
    /// Its name in every format.
    pub fn name(self) -> &'static str {
        match self {
            Status::Committed => "committed",
            Status::RolledBack => "rolled_back",
            Status::OpenAtEnd => "open_at_end",
            Status::EndNotKnown => "end_not_known",
        }
    }
}

/// How much of a row is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowState {
    /// There was no row.
    #[default]
    Absent,
    /// All of it.
    Complete,
    /// Not all of its columns.
    Partial,
    /// Nothing.
    Unknown,
}

impl RowState {
    /// Its name in every format.
    pub fn name(self) -> &'static str {
        match self {
            RowState::Absent => "absent",
            RowState::Complete => "complete",
            RowState::Partial => "partial",
            RowState::Unknown => "unknown",
        }
    }
}

/// A row at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowImage {
    /// How much of it is known.
    pub state: RowState,
    /// Its columns that are not null, as a JSON object; empty where nothing is known.
    pub json: String,
    /// Columns of which it is not known what they held, and why.
    pub unknown: Vec<(String, String)>,
}

impl RowImage {
    /// A row of which nothing is known.
    pub fn unknown() -> Self {
        RowImage {
            state: RowState::Unknown,
            ..RowImage::default()
        }
    }
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The record.
    pub lgpos: Lgpos,
    /// What was done.
    pub operation: Operation,
    /// The database, by its place in the list of them.
    pub database: usize,
    /// The table's layout, likewise.
    pub layout: usize,
    /// The log, likewise.
    pub log: usize,
    /// The session.
    pub session: ProcId,
    /// The page that was changed.
    pub page: Pgno,
    /// Its dbtime after.
    pub dbtime: Dbtime,
    /// The tree.
    pub objid: ObjId,
    /// Bytes of log that the record takes.
    pub bytes: usize,
    /// The columns of the primary key, as a JSON object; empty where they are not known.
    pub key: String,
    /// The bookmark: the key as the tree has it.
    pub bookmark: Option<Vec<u8>>,
    /// The row before.
    pub before: RowImage,
    /// The row after.
    pub after: RowImage,
    /// Names of the columns that are known to differ.
    pub changed: Vec<String>,
    /// The object of the schema that was changed, and its name before if that differs.
    pub object: Option<(String, Option<String>)>,
}

impl Event {
    /// About how much memory it takes.
    pub(crate) fn size(&self) -> usize {
        let image = |image: &RowImage| image.json.len() + 80 * image.unknown.len();
        let changed: usize = self.changed.iter().map(|name| name.len() + 24).sum();
        let bookmark = self.bookmark.as_ref().map_or(0, Vec::len);
        size_of::<Event>()
            + image(&self.before)
            + image(&self.after)
            + changed
            + bookmark
            + self.key.len()
    }
}

/// A database, as events name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceDatabase {
    /// Its file name.
    pub name: String,
    /// Its path on the machine that wrote the logs.
    pub path: String,
    /// Whether another database has the same name.
    pub shares_name: bool,
}

impl SourceDatabase {
    /// What tells it from the others: its name, or its path if others have that name.
    pub fn label(&self) -> &str {
        match self.shares_name {
            true => &self.path,
            false => &self.name,
        }
    }
}

/// A log, as events name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLog {
    /// Its file name.
    pub name: String,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

/// Which times bound a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeSource {
    /// When segments of the log were begun.
    Segments,
    /// When logs were created: the older layout knows no more.
    Logs,
}

/// A change with all that is known of it, for whoever writes it down.
#[derive(Debug)]
pub struct Change<'a> {
    /// The change itself.
    pub event: &'a Event,
    /// The database.
    pub database: &'a SourceDatabase,
    /// The table.
    pub table: &'a TableLayout,
    /// The log.
    pub log: &'a SourceLog,
    /// How it ended.
    pub status: Status,
    /// The transaction, by the id it got when it began.
    pub transaction: u32,
    /// Where that began; not known if it began before the logs.
    pub began: Option<Lgpos>,
    /// Where it ended.
    pub ended: Option<Lgpos>,
    /// The change's place among those of its transaction, from 1 on.
    pub place: u64,
    /// How many changes the transaction made.
    pub count: u64,
    /// It was made at this time or later.
    pub earliest: LogTime,
    /// It was made at this time or earlier; null if the logs end with it.
    pub latest: LogTime,
    /// Where the times come from.
    pub times: TimeSource,
}
