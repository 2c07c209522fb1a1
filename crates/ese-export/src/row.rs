//! One row on its way out: from the record in its page to a cell for each column.

use crate::ExportError;
use crate::blobs::Blobs;
use crate::fetch::Fetcher;
use ese_columns::{Cell, CellProblem, Fetched, Origin, OutColumn, is_long};
use ese_db::record::{Field, RawValue};
use ese_db::rows::Fields;
use ese_db::value::decode;
use ese_db::{Column, ColumnType, DbError, Row, Value};
use ese_format::Progress;
use std::borrow::Cow;

/// Makes cells of the rows of one table.
pub(crate) struct RowConverter<'r> {
    /// The columns, each after the one that it adds to.
    pub columns: &'r [OutColumn<'r>],
    /// Where values go that are too long for a row; without it they are left out.
    pub blobs: Option<&'r Blobs>,
    /// Long values of more bytes are too long for a row.
    pub inline_limit: usize,
    /// Whether the format can give several values where the catalog allows one.
    pub lists_anywhere: bool,
    pub progress: &'r dyn Progress,
}

/// What was made of one row.
pub(crate) struct ExportRow<'c> {
    /// A cell for each column.
    pub cells: Vec<Cell<'c>>,
    pub key: Vec<u8>,
    pub is_deleted: bool,
    /// What could not be read, each with the place of its column.
    pub problems: Vec<(usize, CellProblem)>,
    /// Values that were too long and are nowhere: the place of the column, and bytes.
    pub left_out: Vec<(usize, u64)>,
}

impl ExportRow<'_> {
    /// The places of the columns whose values could not be read.
    pub(crate) fn unreadable(&self) -> impl Iterator<Item = usize> {
        let lost = self.problems.iter().filter(|(_, problem)| !problem.is_cut);
        lost.map(|(place, _)| *place)
    }
}

impl RowConverter<'_> {
    /// Gives what a row comes to to `take`; nothing where its record does not decode.
    pub(crate) fn take<T>(
        &self,
        row: &Row,
        take: impl FnOnce(ExportRow<'_>) -> Result<T, ExportError>,
    ) -> Result<Option<T>, ExportError> {
        match row.fields() {
            Ok(fields) => self.take_fields(&fields, take).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// The same of a record that decodes.
    pub(crate) fn take_fields<T>(
        &self,
        fields: &Fields<'_>,
        take: impl FnOnce(ExportRow<'_>) -> Result<T, ExportError>,
    ) -> Result<T, ExportError> {
        let slots = self.slots(fields)?;
        let mut record = ExportRow {
            cells: Vec::with_capacity(self.columns.len()),
            key: fields.key(),
            is_deleted: fields.is_deleted(),
            problems: Vec::new(),
            left_out: Vec::new(),
        };
        let mut next = slots.iter();
        let (mut value, mut file) = (&Value::Null, &Cell::Null);
        let mut problems = Vec::new();
        for (place, column) in self.columns.iter().enumerate() {
            let cell = match column.origin {
                Origin::Given(given) => given.cell().clone(),
                Origin::Deleted => Cell::Bool(record.is_deleted),
                Origin::Value(_) => {
                    match next.next() {
                        None => break,
                        Some(Slot::Plain(plain)) => (value, file) = (plain, &Cell::Null),
                        Some(Slot::Fetched(fetched)) => {
                            (value, file) = (&fetched.value, &fetched.file);
                            problems.extend(fetched.problems.iter().cloned());
                            let left_out = fetched.left_out.iter();
                            record
                                .left_out
                                .extend(left_out.map(|bytes| (place, *bytes)));
                        }
                    }
                    let cell = Cell::of(value, &mut problems);
                    if !problems.is_empty() {
                        let found = problems.drain(..).map(|problem| (place, problem));
                        record.problems.extend(found);
                    }
                    cell
                }
                Origin::RawDate => Cell::raw_dates(value),
                Origin::File => file.clone(),
                Origin::View(view) => view.cell(value),
            };
            record.cells.push(cell);
        }
        take(record)
    }

    /// Gives the cells of a record to `put`, one after the other with the place of its column: no row is put together. Gives what
    /// could not be read.
    pub(crate) fn stream<'f>(
        &self,
        fields: &Fields<'f>,
        mut put: impl FnMut(usize, &Cell<'_>) -> Result<(), ExportError>,
    ) -> Result<Vec<(usize, CellProblem)>, ExportError>
    where
        Self: 'f,
    {
        let mut fetcher = Fetcher::new(self.blobs, self.inline_limit, self.progress);
        let mut slot = Slot::Plain(Value::Null);
        let (mut problems, mut found) = (Vec::new(), Vec::new());
        for (place, column) in self.columns.iter().enumerate() {
            match column.origin {
                Origin::Given(given) => put(place, given.cell())?,
                Origin::Deleted => put(place, &Cell::Bool(fields.is_deleted()))?,
                Origin::Value(source) => {
                    let stored = fields.stored(source);
                    if !self.is_needed_after(place)
                        && let Some(cell) =
                            stored.as_ref().ok().and_then(|field| number(field, source))
                    {
                        put(place, &cell)?;
                        continue;
                    }
                    slot = self.slot(column, source, stored, fields, &mut fetcher)?;
                    if let Slot::Fetched(fetched) = &mut slot {
                        problems.append(&mut fetched.problems);
                    }
                    put(place, &Cell::of(slot.value(), &mut problems))?;
                    if !problems.is_empty() {
                        found.extend(problems.drain(..).map(|problem| (place, problem)));
                    }
                }
                Origin::RawDate => put(place, &Cell::raw_dates(slot.value()))?,
                Origin::File => match &slot {
                    Slot::Plain(_) => put(place, &Cell::Null)?,
                    Slot::Fetched(fetched) => put(place, &fetched.file)?,
                },
                Origin::View(view) => put(place, &view.cell(slot.value()))?,
            }
        }
        Ok(found)
    }

    /// The values of all columns that come from the table.
    fn slots<'f>(&self, fields: &Fields<'f>) -> Result<Vec<Slot<'f>>, ExportError>
    where
        Self: 'f,
    {
        let mut fetcher = Fetcher::new(self.blobs, self.inline_limit, self.progress);
        let mut slots = Vec::with_capacity(self.columns.len());
        for column in self.columns {
            if let Origin::Value(source) = column.origin {
                let stored = fields.stored(source);
                slots.push(self.slot(column, source, stored, fields, &mut fetcher)?);
            }
        }
        Ok(slots)
    }

    /// Whether the column after this one tells something of the same value.
    fn is_needed_after(&self, place: usize) -> bool {
        let after = self.columns.get(place + 1).map(|column| &column.origin);
        matches!(
            after,
            Some(Origin::RawDate | Origin::File | Origin::View(_))
        )
    }

    fn slot<'f>(
        &self,
        column: &OutColumn<'_>,
        source: &'f Column,
        stored: Result<Field<'f>, DbError>,
        fields: &Fields<'f>,
        fetcher: &mut Fetcher<'_>,
    ) -> Result<Slot<'f>, ExportError> {
        Ok(match stored {
            Ok(Field::Null) => Slot::Plain(Value::Null),
            // Most values are bytes of the record that mean what they are.
            Ok(Field::Single(raw))
                if raw == RawValue::plain(raw.bytes)
                    && (raw.bytes.len() <= self.inline_limit || !is_long(source)) =>
            {
                let bytes = Cow::Borrowed(raw.bytes);
                Slot::Plain(decode(bytes, source.column_type, source.code_page))
            }
            _ => {
                let several = column.list || self.lists_anywhere;
                let fetched = fetcher.fetch(fields.contents(source), source, several)?;
                Slot::Fetched(Box::new(fetched))
            }
        })
    }
}

/// The value of a column.
enum Slot<'f> {
    /// It is in the record.
    Plain(Value<'f>),
    /// It had to be fetched.
    Fetched(Box<Fetched<'f>>),
}

/// The cell of a number that the record has as it is: most values are one.
fn number(field: &Field<'_>, column: &Column) -> Option<Cell<'static>> {
    let raw = match field {
        Field::Null => return Some(Cell::Null),
        Field::Single(raw) if *raw == RawValue::plain(raw.bytes) => raw.bytes,
        _ => return None,
    };
    Some(match column.column_type {
        ColumnType::UnsignedByte => Cell::Unsigned(u8::from_le_bytes(raw.try_into().ok()?).into()),
        ColumnType::Short => Cell::Integer(i16::from_le_bytes(raw.try_into().ok()?).into()),
        ColumnType::UnsignedShort => {
            Cell::Unsigned(u16::from_le_bytes(raw.try_into().ok()?).into())
        }
        ColumnType::Long => Cell::Integer(i32::from_le_bytes(raw.try_into().ok()?).into()),
        ColumnType::UnsignedLong => Cell::Unsigned(u32::from_le_bytes(raw.try_into().ok()?).into()),
        ColumnType::LongLong | ColumnType::Currency => {
            Cell::Integer(i64::from_le_bytes(raw.try_into().ok()?))
        }
        ColumnType::UnsignedLongLong => Cell::Unsigned(u64::from_le_bytes(raw.try_into().ok()?)),
        _ => return None,
    })
}

impl<'f> Slot<'f> {
    fn value(&self) -> &Value<'f> {
        match self {
            Slot::Plain(value) => value,
            Slot::Fetched(fetched) => &fetched.value,
        }
    }
}
