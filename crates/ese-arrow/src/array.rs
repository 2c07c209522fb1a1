//! The array of one column while it grows.

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Float32Builder, Float64Builder, Int16Builder, Int32Builder,
    Int64Builder, StringBuilder, TimestampMicrosecondBuilder, UInt8Builder, UInt16Builder,
    UInt32Builder, UInt64Builder,
};
use arrow_array::{ArrayRef, ListArray};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, TimeUnit};
use ese_columns::{Cell, Kind};
use std::sync::Arc;

/// The time zone of all times.
const UTC: &str = "UTC";

/// What values of this kind are called in Arrow.
pub(crate) fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Bool => DataType::Boolean,
        Kind::I16 => DataType::Int16,
        Kind::I32 => DataType::Int32,
        Kind::I64 => DataType::Int64,
        Kind::U8 => DataType::UInt8,
        Kind::U16 => DataType::UInt16,
        Kind::U32 => DataType::UInt32,
        Kind::U64 | Kind::Bits => DataType::UInt64,
        Kind::F32 => DataType::Float32,
        Kind::F64 => DataType::Float64,
        Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
        Kind::Text => DataType::Utf8,
        Kind::Bytes => DataType::Binary,
    }
}

/// A column of lists, or of values.
pub(crate) fn field(name: &str, kind: Kind, list: bool) -> Field {
    let item = data_type(kind);
    let whole = match list {
        true => DataType::List(Arc::new(Field::new_list_field(item, true))),
        false => item,
    };
    Field::new(name, whole, true)
}

/// An array of values of one kind, or of lists of them.
pub(crate) enum Growing {
    Bool(BooleanBuilder),
    I16(Int16Builder),
    I32(Int32Builder),
    I64(Int64Builder),
    U8(UInt8Builder),
    U16(UInt16Builder),
    U32(UInt32Builder),
    U64(UInt64Builder),
    F32(Float32Builder),
    F64(Float64Builder),
    Time(TimestampMicrosecondBuilder),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    List(Box<Lists>),
}

/// An array of lists.
pub(crate) struct Lists {
    kind: Kind,
    values: Growing,
    /// How many values there are before each list, and after the last.
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl Lists {
    fn new(kind: Kind) -> Self {
        Lists {
            kind,
            values: Growing::new(kind, false),
            offsets: vec![0],
            nulls: NullBufferBuilder::new(0),
        }
    }

    /// Appends a list of some cells, or none; whether all are of the array's kind. Others become null.
    fn append(&mut self, cells: Option<&[Cell<'_>]>) -> bool {
        let mut fits = true;
        for cell in cells.unwrap_or_default() {
            // Each has its place, or the next list would begin at a wrong one.
            if !self.values.cell(cell) {
                self.values.null();
                fits = false;
            }
        }
        let more = i32::try_from(cells.map_or(0, <[_]>::len)).unwrap_or(i32::MAX);
        let last = self.offsets.last().copied().unwrap_or(0);
        self.offsets.push(last.saturating_add(more));
        self.nulls.append(cells.is_some());
        fits
    }

    fn finish(&mut self) -> ListArray {
        let item = Arc::new(Field::new_list_field(data_type(self.kind), true));
        let offsets = std::mem::replace(&mut self.offsets, vec![0]);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        ListArray::new(item, offsets, self.values.finish(), self.nulls.finish())
    }
}

impl Growing {
    pub(crate) fn new(kind: Kind, list: bool) -> Self {
        if list {
            return Growing::List(Box::new(Lists::new(kind)));
        }
        // A table may have 64,994 columns with few values in each: an array takes room when values come.
        match kind {
            Kind::Bool => Growing::Bool(BooleanBuilder::with_capacity(0)),
            Kind::I16 => Growing::I16(Int16Builder::with_capacity(0)),
            Kind::I32 => Growing::I32(Int32Builder::with_capacity(0)),
            Kind::I64 => Growing::I64(Int64Builder::with_capacity(0)),
            Kind::U8 => Growing::U8(UInt8Builder::with_capacity(0)),
            Kind::U16 => Growing::U16(UInt16Builder::with_capacity(0)),
            Kind::U32 => Growing::U32(UInt32Builder::with_capacity(0)),
            Kind::U64 | Kind::Bits => Growing::U64(UInt64Builder::with_capacity(0)),
            Kind::F32 => Growing::F32(Float32Builder::with_capacity(0)),
            Kind::F64 => Growing::F64(Float64Builder::with_capacity(0)),
            Kind::Time => {
                Growing::Time(TimestampMicrosecondBuilder::with_capacity(0).with_timezone(UTC))
            }
            Kind::Text => Growing::Text(StringBuilder::with_capacity(0, 0)),
            Kind::Bytes => Growing::Bytes(BinaryBuilder::with_capacity(0, 0)),
        }
    }

    pub(crate) fn null(&mut self) {
        match self {
            Growing::Bool(array) => array.append_null(),
            Growing::I16(array) => array.append_null(),
            Growing::I32(array) => array.append_null(),
            Growing::I64(array) => array.append_null(),
            Growing::U8(array) => array.append_null(),
            Growing::U16(array) => array.append_null(),
            Growing::U32(array) => array.append_null(),
            Growing::U64(array) => array.append_null(),
            Growing::F32(array) => array.append_null(),
            Growing::F64(array) => array.append_null(),
            Growing::Time(array) => array.append_null(),
            Growing::Text(array) => array.append_null(),
            Growing::Bytes(array) => array.append_null(),
            Growing::List(lists) => drop(lists.append(None)),
        }
    }

    /// Appends a cell; whether it is of the array's kind.
    pub(crate) fn cell(&mut self, cell: &Cell<'_>) -> bool {
        /// A number in the width of the array.
        macro_rules! number {
            ($array:expr, $number:expr) => {
                match (*$number).try_into() {
                    Ok(number) => $array.append_value(number),
                    Err(_) => return false,
                }
            };
        }
        match (self, cell) {
            (Growing::List(lists), Cell::Null) => return lists.append(None),
            (Growing::List(lists), Cell::List(cells)) => return lists.append(Some(cells)),
            (Growing::List(lists), cell) => return lists.append(Some(std::slice::from_ref(cell))),
            (array, Cell::Null) => array.null(),
            (Growing::Bool(array), Cell::Bool(bit)) => array.append_value(*bit),
            (Growing::I16(array), Cell::Integer(number)) => number!(array, number),
            (Growing::I32(array), Cell::Integer(number)) => number!(array, number),
            (Growing::I64(array), Cell::Integer(number)) => array.append_value(*number),
            (Growing::U8(array), Cell::Unsigned(number)) => number!(array, number),
            (Growing::U16(array), Cell::Unsigned(number)) => number!(array, number),
            (Growing::U32(array), Cell::Unsigned(number)) => number!(array, number),
            (Growing::U64(array), Cell::Unsigned(number)) => array.append_value(*number),
            (Growing::F32(array), Cell::Single(number)) => array.append_value(*number),
            (Growing::F64(array), Cell::Double(number)) => array.append_value(*number),
            (Growing::Time(array), Cell::Time(time)) => array.append_value(*time),
            (Growing::Text(array), Cell::Text(text)) => array.append_value(text),
            (Growing::Bytes(array), Cell::Bytes(bytes)) => array.append_value(bytes),
            _ => return false,
        }
        true
    }

    /// The array so far; the next one begins empty.
    pub(crate) fn finish(&mut self) -> ArrayRef {
        match self {
            Growing::Bool(array) => Arc::new(array.finish()),
            Growing::I16(array) => Arc::new(array.finish()),
            Growing::I32(array) => Arc::new(array.finish()),
            Growing::I64(array) => Arc::new(array.finish()),
            Growing::U8(array) => Arc::new(array.finish()),
            Growing::U16(array) => Arc::new(array.finish()),
            Growing::U32(array) => Arc::new(array.finish()),
            Growing::U64(array) => Arc::new(array.finish()),
            Growing::F32(array) => Arc::new(array.finish()),
            Growing::F64(array) => Arc::new(array.finish()),
            Growing::Time(array) => Arc::new(array.finish()),
            Growing::Text(array) => Arc::new(array.finish()),
            Growing::Bytes(array) => Arc::new(array.finish()),
            Growing::List(array) => Arc::new(array.finish()),
        }
    }
}
