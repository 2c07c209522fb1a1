//! A table as a stream of record batches.

use crate::condition::{Condition, keys_of, leading_column};
use crate::leaves::{LeafRows, RowPlace};
use crate::{BatchBuilder, FetchValue, schema_of};
use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use ese_columns::{Before, Cell, CellProblem, ColumnViews, Fetched, KeptBytes, OutColumn, columns};
use ese_db::btree::Leaves;
use ese_db::rows::{Content, Contents, Separated};
use ese_db::value::decode;
use ese_db::{
    Catalog, Column, ColumnType, Database, KeyRange, Losses, Page, Table, TableReader, Value,
};
use ese_format::hex;
use std::convert::Infallible;
use std::sync::Arc;

/// Bytes of the leaves that are decoded at a time.
const LEAVES_BYTES: usize = 1 << 20;
/// Bytes of values after which a batch ends.
const BATCH_BYTES: usize = 4 << 20;
/// No batch has more rows.
const BATCH_ROWS: usize = 1 << 16;
/// Values that could not be read of which a scan says which they are; more are counted only.
const TOLD: usize = 1000;

/// What of a table is wanted.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ScanOptions {
    /// The columns, by the names that they have in the batches; all if none are named. Only these are decoded.
    pub columns: Option<Vec<String>>,
    /// The part of the table: one of those of [`Tables::partitions`]. All of it by default.
    pub partition: Partition,
    /// What rows must meet: conditions on the first column of the primary key, which [`Tables::leading_column`] names. Leaves on
    /// which no such row can be are not read.
    pub conditions: Vec<Condition>,
    /// At most so many rows.
    pub rows: Option<u64>,
    /// Also rows that are deleted but still in their pages, marked in a column `$deleted`.
    pub deleted: bool,
    /// So many bytes of long values of one row are read; a value for which there is no room is null, and is counted.
    pub longest: usize,
}

impl Default for ScanOptions {
    fn default() -> Self {
        ScanOptions {
            columns: None,
            partition: Partition::default(),
            conditions: Vec::new(),
            rows: None,
            deleted: false,
            longest: 256 << 20,
        }
    }
}

/// A part of a table: the leaves between two places of its tree. It is the same for whoever opens the same database.
pub type Partition = KeyRange;

/// Why a table cannot be scanned.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// It has no column of this name.
    #[error("the table {table} has no column {column}; it has {}", there.join(", "))]
    NoColumn {
        /// The table.
        table: String,
        /// The name.
        column: String,
        /// The names that there are.
        there: Vec<String>,
    },
    /// Rows cannot be asked for by this column.
    #[error("the rows of {table} are not in the order of numbers or GUIDs in {column}")]
    NoKey {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// The column is compared with a value of another type.
    #[error("the column {column} holds values of the type {column_type:?}")]
    OtherType {
        /// The column.
        column: String,
        /// Its type.
        column_type: ColumnType,
    },
}

/// A database whose tables are scanned: its views are found once.
#[derive(Debug, Clone)]
pub struct Tables {
    db: Database,
    catalog: Arc<Catalog>,
    views: Arc<ColumnViews>,
}

impl Tables {
    /// The tables of a database, with decoded views of well-known schemas or without.
    pub fn new(db: &Database, decoded: bool) -> Result<Self, ese_db::DbError> {
        let catalog = db.catalog()?;
        let views = match decoded {
            true => ColumnViews::for_database(db, &catalog),
            false => ColumnViews::none(),
        };
        Ok(Tables {
            db: db.clone(),
            catalog: Arc::new(catalog),
            views: Arc::new(views),
        })
    }

    /// The catalog.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Parts of `table` that are even by their number of leaves: `count` of them, fewer if the table has not that many leaves, one if
    /// the upper levels of its tree are damaged. Their rows, one part after the other, are those of the table.
    pub fn partitions(&self, table: &Table, count: usize) -> Vec<Partition> {
        table.tree().split(&self.db, count)
    }

    /// The column that conditions may be about, if `table` has one.
    pub fn leading_column<'t>(&self, table: &'t Table) -> Option<&'t Column> {
        leading_column(table).map(|(column, ..)| column)
    }

    /// A stream of the rows of `table`, which comes from the catalog, in the order of its primary index.
    pub fn scan(&self, table: &Table, options: ScanOptions) -> Result<TableScan, ScanError> {
        let reader = TableReader::new(&self.db, table);
        let wanted = wanted(table, &self.views, &options)?;
        let schema = schema_of(&wanted);
        let keys = keys_of(table, &options.conditions)?;
        Ok(TableScan {
            leaves: reader.leaves_in(&options.partition, &keys),
            keys,
            page_bytes: self.db.page_size().as_usize(),
            reader,
            views: Arc::clone(&self.views),
            left: options.rows.unwrap_or(u64::MAX),
            options,
            schema,
            pages: Vec::new(),
            next: None,
            losses: Losses::default(),
            problems: Vec::new(),
            values_left_out: 0,
        })
    }
}

/// The columns that are asked for.
fn wanted<'t>(
    table: &'t Table,
    views: &'t ColumnViews,
    options: &ScanOptions,
) -> Result<Vec<OutColumn<'t>>, ScanError> {
    let before = Before {
        deleted: options.deleted,
        ..Before::default()
    };
    let mut all = columns(table, views, before);
    // Nothing is in a file here.
    all.retain(|column| !matches!(column.origin, ese_columns::Origin::File));
    let Some(names) = &options.columns else {
        return Ok(all);
    };
    for name in names {
        if !all.iter().any(|column| column.name == *name) {
            return Err(ScanError::NoColumn {
                table: table.name.clone(),
                column: name.clone(),
                there: all.into_iter().map(|column| column.name).collect(),
            });
        }
    }
    all.retain(|column| names.contains(&column.name));
    Ok(all)
}

/// A value that could not be read, or not to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanProblem {
    /// Its column.
    pub column: String,
    /// The page of the row.
    pub page: u32,
    /// The node of the row.
    pub node: usize,
    /// The key of the row, in hexadecimal.
    pub key: String,
    /// Why.
    pub reason: String,
    /// Whether the batch holds all of it that there is: a text of which the engine cut the last character in two.
    pub is_cut: bool,
    /// Its bytes, in hexadecimal, as far as there are any.
    pub bytes: Option<String>,
}

/// The rows of a table as record batches. It owns all that it needs.
pub struct TableScan {
    reader: TableReader,
    views: Arc<ColumnViews>,
    options: ScanOptions,
    schema: SchemaRef,
    leaves: Leaves,
    /// What conditions leave of the rows on them.
    keys: KeyRange,
    page_bytes: usize,
    /// Leaves under way, and where the next row on them is.
    pages: Vec<Page>,
    next: Option<RowPlace>,
    /// Rows that are still wanted.
    left: u64,
    losses: Losses,
    problems: Vec<ScanProblem>,
    values_left_out: u64,
}

impl TableScan {
    /// What could not be read so far.
    pub fn losses(&self) -> Losses {
        let mut losses = self.losses.clone();
        losses.add(&self.leaves.losses);
        losses
    }

    /// The first values that could not be read, and why.
    pub fn problems(&self) -> &[ScanProblem] {
        &self.problems
    }

    /// Values that were too long, and are null.
    pub fn values_left_out(&self) -> u64 {
        self.values_left_out
    }

    fn batch(&mut self) -> Option<Result<RecordBatch, ArrowError>> {
        if self.left == 0 {
            return None;
        }
        let table = self.reader.table();
        let wanted = match wanted(table, &self.views, &self.options) {
            Ok(wanted) => wanted,
            Err(error) => return Some(Err(ArrowError::ExternalError(Box::new(error)))),
        };
        let schema = Arc::clone(&self.schema);
        let mut builder = BatchBuilder::with_schema(&wanted, schema, self.options.longest);
        while builder.rows() == 0 {
            let from = match self.next.take() {
                Some(next) => next,
                None => {
                    let count = (LEAVES_BYTES / self.page_bytes).max(1);
                    self.pages = self.leaves.by_ref().take(count).collect();
                    if self.pages.is_empty() {
                        return None;
                    }
                    RowPlace::default()
                }
            };
            let rows = LeafRows {
                reader: &self.reader,
                leaves: &self.pages,
                keys: &self.keys,
                deleted: self.options.deleted,
                batch_bytes: BATCH_BYTES,
                batch_rows: BATCH_ROWS.min(usize::try_from(self.left).unwrap_or(usize::MAX)),
            };
            let (problems, left_out) = (&mut self.problems, &mut self.values_left_out);
            let mut values = 0;
            let added = rows.add_to(
                &mut builder,
                from,
                &mut self.losses,
                || InMemory {
                    room: self.options.longest,
                },
                |(page, node), fields, remarks| {
                    *left_out += remarks.left_out.drain(..).count() as u64;
                    for (place, problem) in remarks.problems.drain(..) {
                        values += u64::from(!problem.is_cut);
                        if problems.len() < TOLD {
                            problems.push(ScanProblem {
                                column: wanted[place].name.clone(),
                                page: page.0,
                                node,
                                key: hex::encode(fields.key()),
                                reason: problem.reason,
                                is_cut: problem.is_cut,
                                bytes: match problem.kept {
                                    KeptBytes::Bytes(bytes) => Some(hex::encode(bytes)),
                                    _ => None,
                                },
                            });
                        }
                    }
                },
            );
            self.losses.values += values;
            match added {
                Ok(next) => self.next = next,
                Err(never) => match never {},
            }
        }
        self.left -= builder.rows() as u64;
        Some(builder.finish())
    }
}

impl Iterator for TableScan {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batch()
    }
}

impl RecordBatchReader for TableScan {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

/// Brings the values of one row into memory, each whole or not at all.
struct InMemory {
    /// Bytes of long values that there is room for.
    room: usize,
}

impl InMemory {
    fn one<'a>(
        &mut self,
        content: Content<'a>,
        column: &Column,
        fetched: &mut Fetched<'a>,
    ) -> Value<'a> {
        let bytes = match content {
            Content::Undecoded(bytes, reason) => return Value::Undecoded { bytes, reason },
            Content::Bytes(bytes) => bytes,
            Content::Separated(long) => match self.long(long) {
                Ok(Some(bytes)) => bytes.into(),
                Ok(None) => {
                    let claimed = long.pieces().map_or(0, |pieces| pieces.claimed_size());
                    fetched.left_out.push(claimed.into());
                    return Value::Null;
                }
                Err(problem) => {
                    fetched.problems.push(problem);
                    return Value::Null;
                }
            },
        };
        decode(bytes, column.column_type, column.code_page)
    }

    /// The bytes of a long value; nothing if there is no room for it.
    fn long(&mut self, long: Separated<'_>) -> Result<Option<Vec<u8>>, CellProblem> {
        let problem = |bytes: Vec<u8>, reason| CellProblem::new(KeptBytes::Bytes(bytes), reason);
        let mut pieces = match long.pieces() {
            Ok(pieces) => pieces,
            Err(error) => return Err(problem(long.reference().to_vec(), error.to_string())),
        };
        let mut bytes = Vec::new();
        for piece in &mut pieces {
            if bytes.len() + piece.len() > self.room {
                return Ok(None);
            }
            bytes.extend_from_slice(&piece);
        }
        self.room -= bytes.len();
        match pieces.problem() {
            None => Ok(Some(bytes)),
            Some(reason) => Err(problem(bytes, reason)),
        }
    }
}

impl FetchValue for InMemory {
    type Error = Infallible;

    fn fetch<'a>(
        &mut self,
        contents: Contents<'a>,
        column: &Column,
        several: bool,
    ) -> Result<Fetched<'a>, Infallible> {
        let mut fetched = Fetched {
            value: Value::Null,
            file: Cell::Null,
            problems: Vec::new(),
            left_out: Vec::new(),
        };
        fetched.value = match contents {
            Contents::Null => Value::Null,
            Contents::One(content) => self.one(content, column, &mut fetched),
            Contents::Several(contents) if several => {
                let values = contents.into_iter();
                let values = values.map(|content| self.one(content, column, &mut fetched));
                Value::Multi(values.collect())
            }
            Contents::Several(contents) => {
                let reason = "one of several values in a column that holds one";
                for content in contents {
                    let bytes = match content {
                        Content::Bytes(bytes) | Content::Undecoded(bytes, _) => bytes.into_owned(),
                        Content::Separated(long) => match self.long(long) {
                            Ok(bytes) => bytes.unwrap_or_default(),
                            Err(problem) => {
                                fetched.problems.push(problem);
                                continue;
                            }
                        },
                    };
                    let kept = KeptBytes::Bytes(bytes);
                    (fetched.problems).push(CellProblem::new(kept, reason.to_owned()));
                }
                Value::Null
            }
        };
        Ok(fetched)
    }
}
