//! Rows of a table, in the order of its primary index.

use crate::btree::{Leaves, Tree};
use crate::catalog::{Column, ColumnFlags, Table};
use crate::long_value::{LongValues, Pieces};
use crate::record::{DataRecord, Field, RawValue, Tagged};
use crate::value::{Value, decode};
use crate::{Database, DbError, KeyRange, Losses, Page, compression};
use ese_format::page::{Node, NodeFlags, PageSize};
use std::borrow::Cow;
use std::sync::Arc;

/// Reads one table. Clones read the same table; nothing borrows from the database or its catalog.
#[derive(Debug, Clone)]
pub struct TableReader(Arc<OpenedTable>);

#[derive(Debug)]
struct OpenedTable {
    db: Database,
    table: Table,
    long_values: Option<LongValues>,
}

impl TableReader {
    /// A reader of `table`, which comes from the catalog of `db`.
    pub fn new(db: &Database, table: &Table) -> Self {
        TableReader(Arc::new(OpenedTable {
            db: db.clone(),
            table: table.clone(),
            long_values: LongValues::new(db, table),
        }))
    }

    /// The table.
    pub fn table(&self) -> &Table {
        &self.0.table
    }

    /// The columns that are not deleted.
    pub fn columns(&self) -> impl Iterator<Item = &Column> {
        let columns = self.0.table.columns.iter();
        columns.filter(|column| !column.is_deleted())
    }

    /// The rows that are not deleted.
    pub fn rows(&self) -> Rows {
        Rows {
            reader: self.clone(),
            leaves: self.0.table.tree().leaves(&self.0.db),
            page: None,
            with_deleted: false,
        }
    }

    /// The leaves, in the order of the primary index, for those who take the rows of a page at a time: [`TableReader::rows_on`].
    pub fn leaves(&self) -> Leaves {
        self.0.table.tree().leaves(&self.0.db)
    }

    /// How many leaves have about so many bytes, with their share of the long values; more where the table would come to more than
    /// `most` times as many.
    pub fn leaves_of(&self, bytes: u64, most: u64) -> usize {
        let OpenedTable { db, table, .. } = &*self.0;
        let long_values = table.long_values.as_ref();
        let long_values = long_values.map(|tree| Tree::new(tree.root, tree.objid).leaf_count(db));
        let leaves = table.tree().leaf_count(db);
        let all = leaves.saturating_add(long_values.unwrap_or(0));
        let pages = bytes / u64::from(db.page_size().bytes());
        let share = pages.saturating_mul(leaves) / all.max(1);
        let share = share.max(leaves.div_ceil(most.max(1))).max(1);
        usize::try_from(share).unwrap_or(usize::MAX)
    }

    /// The leaves of a part of the table, one of those of [`TableReader::parts`], on which keys of a range may stand.
    pub fn leaves_in(&self, part: &KeyRange, keys: &KeyRange) -> Leaves {
        self.0.table.tree().leaves_in(&self.0.db, part, keys)
    }

    /// The table in `count` parts that are even by their number of leaves, or in fewer; see [`Tree::split`].
    pub fn parts(&self, count: usize) -> Vec<KeyRange> {
        self.0.table.tree().split(&self.0.db, count)
    }

    /// Gives the rows on a leaf of the table to `take`, each with the number of its node, from the node `from` on, until it says
    /// that it has enough. Gives the node after the last row that it took; none if there is no other.
    pub fn rows_on<E>(
        &self,
        page: &Page,
        from: usize,
        with_deleted: bool,
        losses: &mut Losses,
        mut take: impl FnMut(usize, &Fields<'_>) -> Result<bool, E>,
    ) -> Result<Option<usize>, E> {
        let page_size = self.0.db.page_size();
        let long_values = self.0.long_values.as_ref();
        let view = page.view();
        let mut tagged = Vec::new();
        for line in from..view.node_count() {
            let node = match view.node(line) {
                Ok(node) if node.is_deleted() && !with_deleted => continue,
                Ok(node) => node,
                Err(_) => {
                    losses.rows += 1;
                    continue;
                }
            };
            let Ok(fields) = Fields::read(node, page_size, long_values, tagged) else {
                match node.is_deleted() {
                    true => losses.deleted_without_data += 1,
                    false => losses.rows += 1,
                }
                tagged = Vec::new();
                continue;
            };
            let goes_on = take(line, &fields)?;
            tagged = fields.tagged;
            if !goes_on {
                return Ok(Some(line + 1).filter(|line| *line < view.node_count()));
            }
        }
        Ok(None)
    }

    /// The rows, and those that are deleted but still in their pages.
    pub fn rows_with_deleted(&self) -> Rows {
        Rows {
            with_deleted: true,
            ..self.rows()
        }
    }
}

/// The rows of a table; see [`TableReader::rows`].
pub struct Rows {
    reader: TableReader,
    leaves: Leaves,
    page: Option<(Page, usize)>,
    with_deleted: bool,
}

impl Rows {
    /// What was lost so far.
    pub fn losses(&self) -> &Losses {
        &self.leaves.losses
    }
}

impl Iterator for Rows {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        loop {
            let Some((page, line)) = &mut self.page else {
                self.page = Some((self.leaves.next()?, 0));
                continue;
            };
            if *line >= page.view().node_count() {
                self.page = None;
                continue;
            }
            let row = Row {
                reader: self.reader.clone(),
                page: page.clone(),
                line: *line,
            };
            *line += 1;
            let page_size = self.reader.0.db.page_size();
            match row.node() {
                Ok(node) if node.is_deleted() && !self.with_deleted => {}
                Ok(node) if DataRecord::parse(node.data, page_size).is_ok() => {
                    return Some(row);
                }
                Ok(node) if node.is_deleted() => self.leaves.losses.deleted_without_data += 1,
                _ => self.leaves.losses.rows += 1,
            }
        }
    }
}

/// One row: a record on a page that is kept in memory as long as the row is. It can go to another thread.
#[derive(Debug, Clone)]
pub struct Row {
    reader: TableReader,
    page: Page,
    line: usize,
}

impl Row {
    /// The node that holds the record.
    pub fn node(&self) -> Result<Node<'_>, DbError> {
        Ok(self.page.view().node(self.line)?)
    }

    /// The page, and the number of the node on it.
    pub fn place(&self) -> (ese_format::Pgno, usize) {
        (self.page.pgno(), self.line)
    }

    /// The fields, ready to be read column by column.
    pub fn fields(&self) -> Result<Fields<'_>, DbError> {
        let page_size = self.reader.0.db.page_size();
        let long_values = self.reader.0.long_values.as_ref();
        Fields::read(self.node()?, page_size, long_values, Vec::new())
    }
}

/// Bytes that are not the value, and why.
type Undecoded<'a> = (Cow<'a, [u8]>, String);

/// The bytes of one value, before its type is looked at.
#[derive(Debug)]
pub enum Content<'a> {
    /// The bytes, unpacked.
    Bytes(Cow<'a, [u8]>),
    /// A long value in the table's tree, as long as it likes; see [`Separated::pieces`].
    Separated(Separated<'a>),
    /// Bytes that are not the value, and why.
    Undecoded(Cow<'a, [u8]>, String),
}

/// What a record holds of one column.
#[derive(Debug)]
pub enum Contents<'a> {
    /// No value.
    Null,
    /// One value.
    One(Content<'a>),
    /// Several values, in order.
    Several(Vec<Content<'a>>),
}

/// A long value that a record refers to; nothing of it is read yet.
#[derive(Debug, Clone, Copy)]
pub struct Separated<'a> {
    values: Option<&'a LongValues>,
    reference: &'a [u8],
}

impl<'a> Separated<'a> {
    /// The value, piece by piece.
    pub fn pieces(&self) -> Result<Pieces<'a>, DbError> {
        match self.values {
            Some(values) => values.pieces_of(self.reference),
            None => Err(DbError::Catalog {
                what: "the table has no tree of long values".into(),
            }),
        }
    }

    /// The id of the value as the record holds it.
    pub fn reference(&self) -> &'a [u8] {
        self.reference
    }

    /// The whole value in memory.
    fn read(self) -> Result<Cow<'a, [u8]>, Undecoded<'a>> {
        let mut pieces = self
            .pieces()
            .map_err(|error| (self.reference.into(), error.to_string()))?;
        let mut bytes = Vec::new();
        for piece in &mut pieces {
            bytes.extend_from_slice(&piece);
        }
        match pieces.problem() {
            None => Ok(bytes.into()),
            Some(problem) => Err((bytes.into(), problem)),
        }
    }
}

/// The fields of one row.
#[derive(Debug)]
pub struct Fields<'a> {
    long_values: Option<&'a LongValues>,
    node: Node<'a>,
    record: DataRecord<'a>,
    /// In the order of [`Tagged::name`]: a record can hold thousands of them.
    tagged: Vec<Tagged<'a>>,
    /// Why there are no tagged columns, when they could not be read.
    problem: Option<String>,
}

impl<'a> Fields<'a> {
    /// The fields of the record with this data, wherever it is from. Its long values are given as references only.
    pub fn of_record(key: &'a [u8], data: &'a [u8], page_size: PageSize) -> Result<Self, DbError> {
        let node = Node {
            pgno: ese_format::Pgno::NULL,
            itag: 0,
            flags: NodeFlags::empty(),
            prefix: key,
            suffix: &[],
            data,
        };
        Fields::read(node, page_size, None, Vec::new())
    }

    fn read(
        node: Node<'a>,
        page_size: PageSize,
        long_values: Option<&'a LongValues>,
        mut tagged: Vec<Tagged<'a>>,
    ) -> Result<Self, DbError> {
        let record = DataRecord::parse(node.data, page_size)?;
        let problem = record.tagged_into(&mut tagged).err();
        if problem.is_some() {
            tagged.clear();
        }
        let problem = problem.map(|error| error.to_string());
        if !tagged.is_sorted_by_key(Tagged::name) {
            tagged.sort_by_key(Tagged::name);
        }
        Ok(Fields {
            long_values,
            node,
            record,
            tagged,
            problem,
        })
    }

    /// Key of the row in the primary index.
    pub fn key(&self) -> Vec<u8> {
        self.node.key().to_vec()
    }

    /// Whether its key is in the range.
    pub fn is_in(&self, keys: &KeyRange) -> bool {
        keys.contains(self.node.key())
    }

    /// Whether the row is deleted.
    pub fn is_deleted(&self) -> bool {
        self.node.is_deleted()
    }

    /// The value of `column`: stored, default, or null. What cannot be read is [`Value::Undecoded`].
    ///
    /// Long values are read whole: see [`Fields::contents`] for values of any length.
    pub fn value(&self, column: &'a Column) -> Value<'a> {
        let value = |content| {
            let bytes = match content {
                Content::Bytes(bytes) => Ok(bytes),
                Content::Undecoded(bytes, reason) => Err((bytes, reason)),
                Content::Separated(long) => long.read(),
            };
            match bytes {
                Ok(bytes) => decode(bytes, column.column_type, column.code_page),
                Err((bytes, reason)) => Value::Undecoded { bytes, reason },
            }
        };
        match self.contents(column) {
            Contents::Null => Value::Null,
            Contents::One(content) => value(content),
            Contents::Several(contents) => Value::Multi(contents.into_iter().map(value).collect()),
        }
    }

    /// The bytes of `column`: stored, default, or null. Long values in the table's tree are not read yet.
    pub fn contents(&self, column: &'a Column) -> Contents<'a> {
        match self.stored(column) {
            Ok(Field::Null) => Contents::Null,
            Ok(Field::Absent) => default(column),
            Ok(Field::Single(raw)) => Contents::One(self.content(raw)),
            Ok(Field::Multi(values)) => {
                let contents = values.into_iter().map(|raw| self.content(raw));
                Contents::Several(contents.collect())
            }
            Err(error) => Contents::One(Content::Undecoded(Cow::Borrowed(&[]), error.to_string())),
        }
    }

    /// Whether the record refers to long values in the table's tree. Only these can change while its bytes stay the same.
    pub fn has_separated(&self) -> bool {
        let is_separated = |field: Result<Field<'_>, DbError>| match field {
            Ok(Field::Single(raw)) => raw.separated,
            Ok(Field::Multi(values)) => values.iter().any(|raw| raw.separated),
            Ok(Field::Absent | Field::Null) => false,
            Err(_) => true,
        };
        self.problem.is_some()
            || self
                .tagged
                .iter()
                .any(|tagged| is_separated(tagged.field()))
    }

    /// What the record itself says of `column`.
    #[inline]
    pub fn stored(&self, column: &Column) -> Result<Field<'a>, DbError> {
        if column.is_fixed() {
            let offset = usize::from(column.record_offset);
            return self.record.fixed(column.id, offset, column.fixed_size());
        }
        if !column.is_tagged() {
            return self.record.variable(column.id);
        }
        // Records of derived tables mark columns of a template, but not those of the oldest templates.
        let derived = column.of_template && column.flags.contains(ColumnFlags::TEMPLATE);
        let name = (derived, column.id);
        let first = self.tagged.partition_point(|tagged| tagged.name() < name);
        let tagged = self
            .tagged
            .get(first)
            .filter(|tagged| tagged.name() == name);
        match (tagged, &self.problem) {
            (Some(tagged), _) => tagged.field(),
            (None, None) => Ok(Field::Absent),
            (None, Some(problem)) => Err(DbError::Catalog {
                what: problem.clone(),
            }),
        }
    }

    /// The bytes of a value as far as the record has them.
    fn content(&self, raw: RawValue<'a>) -> Content<'a> {
        let stored = Cow::Borrowed(raw.bytes);
        if raw.separated {
            return Content::Separated(Separated {
                values: self.long_values,
                reference: raw.bytes,
            });
        }
        if raw.encrypted {
            return Content::Undecoded(stored, "the value is encrypted".into());
        }
        if !raw.compressed {
            return Content::Bytes(stored);
        }
        match compression::decompress(raw.bytes) {
            Ok(bytes) => Content::Bytes(bytes.into()),
            Err(error) => Content::Undecoded(stored, error.to_string()),
        }
    }
}

fn default(column: &Column) -> Contents<'_> {
    match &column.default_value {
        Some(bytes) if column.flags.contains(ColumnFlags::DEFAULT) => {
            Contents::One(Content::Bytes(bytes.into()))
        }
        _ => Contents::Null,
    }
}
