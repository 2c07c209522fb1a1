//! Rows into record batches.
//!
//! Most values are a few bytes of the record that mean what they are: these go into their arrays at once ([`Simple`]). All others,
//! long values, several values, compressed and damaged ones, take the way of a [`Fetched`] value and its cells, as in every other
//! format.

use crate::array::{Growing, field};
use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use ese_columns::{
    Cell, CellProblem, ColumnView, Fetched, KeptBytes, Kind, Origin, OutColumn, guid, is_long,
    microseconds,
};
use ese_db::record::{Field, RawValue};
use ese_db::rows::{Contents, Fields};
use ese_db::value::DateTime;
use ese_db::{Column, ColumnType, compression};
use std::collections::HashMap;
use std::sync::Arc;

/// Who brings values that are not simply there into memory.
pub trait FetchValue {
    /// Why nothing more can be read.
    type Error;

    /// The value of `column`. Several values where there is no room for them (`!several`) are problems, each.
    fn fetch<'a>(
        &mut self,
        contents: Contents<'a>,
        column: &Column,
        several: bool,
    ) -> Result<Fetched<'a>, Self::Error>;
}

/// What there is to say of the values of a row.
#[derive(Debug, Default)]
pub struct Remarks {
    /// Values that could not be read, each with the place of its column.
    pub problems: Vec<(usize, CellProblem)>,
    /// Values that are too long and are nowhere: the place of the column, and bytes.
    pub left_out: Vec<(usize, u64)>,
}

/// Makes record batches of rows of cells.
pub struct CellBuilder {
    schema: SchemaRef,
    arrays: Vec<Growing>,
    rows: usize,
    bytes: usize,
}

/// Makes record batches of the rows of a table.
pub struct BatchBuilder<'t> {
    cells: CellBuilder,
    sources: Vec<Source<'t>>,
    /// Long values of more bytes do not come from the record.
    inline_limit: usize,
    text: String,
}

/// Where the cells of some arrays come from, and which arrays those are.
enum Source<'t> {
    Given(&'t Cell<'static>, usize),
    Deleted(usize),
    Column(ColumnSource<'t>),
}

/// A column of the table, and the arrays that tell of it.
struct ColumnSource<'t> {
    column: &'t Column,
    list: bool,
    simple: Option<Simple<'t>>,
    value: Option<usize>,
    raw: Option<usize>,
    file: Option<usize>,
    views: Vec<(usize, &'t ColumnView)>,
}

/// How bytes become a value at once.
enum Simple<'t> {
    Bool,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F32,
    F64,
    Date,
    Guid,
    Utf16,
    /// A code page in which the bytes of ASCII mean ASCII.
    Ascii,
    Bytes,
    /// A number of 32 bits that has a name.
    Named(&'t HashMap<i64, String>),
}

impl<'t> Simple<'t> {
    fn of(column: &Column, views: &[(usize, &'t ColumnView)]) -> Option<Self> {
        let names = match views {
            [] => None,
            [(_, view)] if column.column_type == ColumnType::Long => Some(view.names()?),
            _ => return None,
        };
        let simple = match (column.column_type, names) {
            (_, Some(names)) => Simple::Named(names),
            (ColumnType::Bit, _) => Simple::Bool,
            (ColumnType::UnsignedByte, _) => Simple::U8,
            (ColumnType::Short, _) => Simple::I16,
            (ColumnType::UnsignedShort, _) => Simple::U16,
            (ColumnType::Long, _) => Simple::I32,
            (ColumnType::UnsignedLong, _) => Simple::U32,
            (ColumnType::Currency | ColumnType::LongLong, _) => Simple::I64,
            (ColumnType::UnsignedLongLong, _) => Simple::U64,
            (ColumnType::Single, _) => Simple::F32,
            (ColumnType::Double, _) => Simple::F64,
            (ColumnType::DateTime, _) => Simple::Date,
            (ColumnType::Guid, _) => Simple::Guid,
            (ColumnType::Text | ColumnType::LongText, _) => match column.code_page {
                1200 => Simple::Utf16,
                page if is_like_ascii(page) => Simple::Ascii,
                _ => return None,
            },
            (
                ColumnType::Binary
                | ColumnType::LongBinary
                | ColumnType::Slv
                | ColumnType::Deleted
                | ColumnType::Other(_),
                _,
            ) => Simple::Bytes,
        };
        Some(simple)
    }
}

/// Whether ASCII is the same in a code page. 0 stands for 1252.
fn is_like_ascii(page: u32) -> bool {
    let number = u16::try_from(page).ok().filter(|number| *number != 0);
    let encoding = codepage::to_encoding(number.unwrap_or(1252));
    encoding.is_some_and(encoding_rs::Encoding::is_ascii_compatible)
}

/// The schema of batches with these columns.
pub fn schema_of(columns: &[OutColumn<'_>]) -> SchemaRef {
    let columns = columns.iter();
    let fields = columns.map(|column| field(&column.name, column.kind, column.list));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

impl CellBuilder {
    /// Batches with these columns.
    pub fn new(columns: &[OutColumn<'_>]) -> Self {
        let kinds = columns.iter().map(|column| (column.kind, column.list));
        Self::with_schema(schema_of(columns), kinds)
    }

    /// Batches with a schema that was made before ([`schema_of`]): the kind of each column, and whether it holds lists.
    pub fn with_schema(schema: SchemaRef, kinds: impl Iterator<Item = (Kind, bool)>) -> Self {
        CellBuilder {
            schema,
            arrays: kinds.map(|(kind, list)| Growing::new(kind, list)).collect(),
            rows: 0,
            bytes: 0,
        }
    }

    /// The schema of all batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows since the last batch.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of their values, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a row of cells, one for each column. Gives back the first that is not of its column's kind.
    pub fn row<'c, 'v>(&mut self, cells: &'c [Cell<'v>]) -> Result<(), &'c Cell<'v>> {
        for (array, cell) in self.arrays.iter_mut().zip(cells) {
            self.bytes += size(cell);
            if !array.cell(cell) {
                return Err(cell);
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// The batch of all rows since the last one.
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let arrays = self.arrays.iter_mut().map(Growing::finish).collect();
        let rows = RecordBatchOptions::new().with_row_count(Some(self.rows));
        (self.rows, self.bytes) = (0, 0);
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &rows)
    }

    /// Adds a cell; one that is not of the column's kind is null, and a problem.
    fn put(&mut self, place: usize, cell: &Cell<'_>, remarks: &mut Remarks) {
        self.bytes += size(cell);
        let array = &mut self.arrays[place];
        if array.cell(cell) {
            return;
        }
        if !matches!(array, Growing::List(_)) {
            array.null();
        }
        let reason = "the value is not of the type of its column".to_owned();
        let problem = CellProblem::new(KeptBytes::Nowhere, reason);
        remarks.problems.push((place, problem));
    }
}

impl<'t> BatchBuilder<'t> {
    /// Batches with these columns, which are all or some of [`ese_columns::columns`], in that order. Long values of more than
    /// `inline_limit` bytes are left to [`FetchValue`].
    pub fn new(columns: &[OutColumn<'t>], inline_limit: usize) -> Self {
        Self::with_schema(columns, schema_of(columns), inline_limit)
    }

    /// The same with the schema that [`schema_of`] made of these columns before.
    pub fn with_schema(columns: &[OutColumn<'t>], schema: SchemaRef, inline_limit: usize) -> Self {
        let kinds = columns.iter().map(|column| (column.kind, column.list));
        BatchBuilder {
            cells: CellBuilder::with_schema(schema, kinds),
            sources: sources(columns),
            inline_limit,
            text: String::new(),
        }
    }

    /// The schema of all batches.
    pub fn schema(&self) -> &SchemaRef {
        self.cells.schema()
    }

    /// Rows since the last batch.
    pub fn rows(&self) -> usize {
        self.cells.rows()
    }

    /// Bytes of their values, about.
    pub fn bytes(&self) -> usize {
        self.cells.bytes()
    }

    /// The batch of all rows since the last one.
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        self.cells.finish()
    }

    /// Adds a row. What there is to say of it is added to `remarks`.
    pub fn row<F: FetchValue>(
        &mut self,
        fields: &Fields<'_>,
        fetch: &mut F,
        remarks: &mut Remarks,
    ) -> Result<(), F::Error> {
        self.cells.bytes += 8 * self.cells.arrays.len();
        self.cells.rows += 1;
        let sources = std::mem::take(&mut self.sources);
        let mut added = Ok(());
        for source in &sources {
            match source {
                Source::Given(cell, place) => {
                    self.cells.arrays[*place].cell(cell);
                }
                Source::Deleted(place) => {
                    self.cells.arrays[*place].cell(&Cell::Bool(fields.is_deleted()));
                }
                Source::Column(source) => {
                    added = self.column(source, fields, fetch, remarks);
                    if added.is_err() {
                        break;
                    }
                }
            }
        }
        self.sources = sources;
        added
    }

    fn column<F: FetchValue>(
        &mut self,
        source: &ColumnSource<'_>,
        fields: &Fields<'_>,
        fetch: &mut F,
        remarks: &mut Remarks,
    ) -> Result<(), F::Error> {
        let done = match (fields.stored(source.column), &source.simple) {
            (Ok(Field::Null), _) => {
                self.null(source);
                true
            }
            (Ok(Field::Absent), _) if source.column.default_value.is_none() => {
                self.null(source);
                true
            }
            (Ok(Field::Single(raw)), Some(simple)) => self.raw(source, simple, raw),
            _ => false,
        };
        if done {
            return Ok(());
        }
        let fetched = fetch.fetch(fields.contents(source.column), source.column, source.list)?;
        self.fetched(source, fetched, remarks);
        Ok(())
    }

    fn null(&mut self, source: &ColumnSource<'_>) {
        let places = [source.value, source.raw, source.file];
        let views = source.views.iter().map(|(place, _)| *place);
        for place in places.into_iter().flatten().chain(views) {
            self.cells.arrays[place].null();
        }
    }

    /// Adds a value as the record has it; whether it could be.
    fn raw(&mut self, source: &ColumnSource<'_>, simple: &Simple<'_>, raw: RawValue<'_>) -> bool {
        if raw.separated || raw.encrypted {
            return false;
        }
        let unpacked;
        let bytes = match raw.compressed {
            false => raw.bytes,
            true => {
                let Ok(bytes) = compression::decompress(raw.bytes) else {
                    return false;
                };
                unpacked = bytes;
                &unpacked
            }
        };
        if bytes.len() > self.inline_limit && is_long(source.column) {
            return false;
        }
        self.simple(source, simple, bytes)
    }

    fn simple(&mut self, source: &ColumnSource<'_>, simple: &Simple<'_>, bytes: &[u8]) -> bool {
        /// The value as a number of this type, in the array of that.
        macro_rules! number {
            ($kind:ident, $number:ty) => {{
                let Ok(bytes) = bytes.try_into() else {
                    return false;
                };
                if let Some(Growing::$kind(array)) =
                    source.value.map(|at| &mut self.cells.arrays[at])
                {
                    array.append_value(<$number>::from_le_bytes(bytes));
                }
            }};
        }
        match simple {
            Simple::Bool => {
                let [byte] = bytes else { return false };
                if let Some(Growing::Bool(array)) =
                    source.value.map(|at| &mut self.cells.arrays[at])
                {
                    array.append_value(*byte != 0);
                }
            }
            Simple::U8 => number!(U8, u8),
            Simple::I16 => number!(I16, i16),
            Simple::U16 => number!(U16, u16),
            Simple::I32 => number!(I32, i32),
            Simple::U32 => number!(U32, u32),
            Simple::I64 => number!(I64, i64),
            Simple::U64 => number!(U64, u64),
            Simple::F32 => number!(F32, f32),
            Simple::F64 => number!(F64, f64),
            Simple::Named(names) => {
                number!(I32, i32);
                let number = bytes.try_into().map(i32::from_le_bytes).unwrap_or_default();
                let name = names.get(&number.into());
                if let [(place, _)] = source.views[..]
                    && let Growing::Text(array) = &mut self.cells.arrays[place]
                {
                    self.cells.bytes += name.map_or(0, String::len);
                    array.append_option(name);
                }
            }
            Simple::Date => {
                let Ok(bytes) = bytes.try_into() else {
                    return false;
                };
                let bits = u64::from_le_bytes(bytes);
                if let Some(Growing::Time(array)) =
                    source.value.map(|at| &mut self.cells.arrays[at])
                {
                    array.append_option(microseconds(DateTime(bits)));
                }
                if let Some(Growing::U64(array)) = source.raw.map(|at| &mut self.cells.arrays[at]) {
                    array.append_value(bits);
                }
            }
            Simple::Guid => {
                let Ok(bytes) = bytes.try_into() else {
                    return false;
                };
                if let Some(Growing::Text(array)) =
                    source.value.map(|at| &mut self.cells.arrays[at])
                {
                    array.append_value(guid(bytes));
                }
            }
            Simple::Utf16 => {
                if !utf16(bytes, &mut self.text) {
                    return false;
                }
                if let Some(Growing::Text(array)) =
                    source.value.map(|at| &mut self.cells.arrays[at])
                {
                    array.append_value(&self.text);
                }
            }
            Simple::Ascii => {
                let Some(text) = ascii(bytes) else {
                    return false;
                };
                if let Some(Growing::Text(array)) =
                    source.value.map(|at| &mut self.cells.arrays[at])
                {
                    array.append_value(text);
                }
            }
            Simple::Bytes => {
                if let Some(Growing::Bytes(array)) =
                    source.value.map(|at| &mut self.cells.arrays[at])
                {
                    array.append_value(bytes);
                }
            }
        }
        self.cells.bytes += bytes.len();
        if let Some(place) = source.file {
            self.cells.arrays[place].null();
        }
        true
    }

    /// Adds a value that had to be fetched, and what follows from it.
    fn fetched(&mut self, source: &ColumnSource<'_>, fetched: Fetched<'_>, remarks: &mut Remarks) {
        let mut problems = fetched.problems;
        let own = Cell::of(&fetched.value, &mut problems);
        let places = [source.value, source.raw, source.file];
        let views = source.views.iter().map(|(place, _)| *place);
        let place = places.into_iter().flatten().chain(views).next();
        let place = place.unwrap_or(0);
        if let Some(at) = source.raw {
            let cell = Cell::raw_dates(&fetched.value);
            self.cells.put(at, &cell, remarks);
        }
        for (at, view) in &source.views {
            let cell = view.cell(&fetched.value);
            self.cells.put(*at, &cell, remarks);
        }
        if let Some(at) = source.value {
            self.cells.put(at, &own, remarks);
        }
        if let Some(at) = source.file {
            self.cells.put(at, &fetched.file, remarks);
        }
        let problems = problems.into_iter().map(|problem| (place, problem));
        remarks.problems.extend(problems);
        let left_out = fetched.left_out.into_iter().map(|bytes| (place, bytes));
        remarks.left_out.extend(left_out);
    }
}

/// The sources of columns: what follows a column of the table tells of it.
fn sources<'t>(columns: &[OutColumn<'t>]) -> Vec<Source<'t>> {
    let mut sources: Vec<Source<'t>> = Vec::new();
    for (place, out) in columns.iter().enumerate() {
        match out.origin {
            Origin::Given(given) => sources.push(Source::Given(given.cell(), place)),
            Origin::Deleted => sources.push(Source::Deleted(place)),
            Origin::Value(_) | Origin::RawDate | Origin::File | Origin::View(_) => {
                let Some(column) = out.of else { continue };
                let known = match sources.last_mut() {
                    Some(Source::Column(known)) if std::ptr::eq(known.column, column) => known,
                    _ => {
                        sources.push(Source::Column(ColumnSource {
                            column,
                            list: out.list,
                            simple: None,
                            value: None,
                            raw: None,
                            file: None,
                            views: Vec::new(),
                        }));
                        let Some(Source::Column(new)) = sources.last_mut() else {
                            continue;
                        };
                        new
                    }
                };
                match out.origin {
                    Origin::RawDate => known.raw = Some(place),
                    Origin::File => known.file = Some(place),
                    Origin::View(view) => known.views.push((place, view)),
                    _ => known.value = Some(place),
                }
            }
        }
    }
    for source in &mut sources {
        if let Source::Column(source) = source
            && !source.list
        {
            source.simple = Simple::of(source.column, &source.views);
        }
    }
    sources
}

fn size(cell: &Cell<'_>) -> usize {
    match cell {
        Cell::Text(text) => text.len(),
        Cell::Bytes(bytes) => bytes.len(),
        Cell::List(cells) => cells.iter().map(size).sum(),
        _ => 8,
    }
}

/// Text of UTF-16 in place of what is in `text`; whether it is some.
fn utf16(bytes: &[u8], text: &mut String) -> bool {
    let (units, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return false;
    }
    text.clear();
    if units.iter().all(|[low, high]| *high == 0 && *low < 0x80) {
        text.extend(units.iter().map(|[low, _]| char::from(*low)));
        return true;
    }
    let units = units.iter().map(|unit| u16::from_le_bytes(*unit));
    for char in char::decode_utf16(units) {
        let Ok(char) = char else { return false };
        text.push(char);
    }
    true
}

/// Text if all of it is ASCII.
fn ascii(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok();
    text.filter(|text| text.is_ascii())
}
