//! What a record holds after its type, declared by one table: its fixed part, and what follows.
//!
//! ```text
//! record! {
//!     /// What the record says.
//!     Name<'a> [START..END] {
//!         OFFSET field: Type = "What the field means.";
//!     }
//!     later {
//!         OFFSET field: Type = "What the field means.";
//!     }
//!     parts {
//!         LENGTH(OFFSET) field: Type = "What the part is.";
//!     }
//! }
//! ```
//!
//! - The first block is a fixed layout as in [`layout!`](crate::layout). Offsets count from the record's type byte, so that
//!   `START` is 1, and 5 in records that open with their length ([`RecordType::is_ignorable`]).
//! - `later`, if there, are fields at the end of the fixed part that only newer types have. In the struct they are an
//!   `Option`. Which types have them follows from the size of the fixed part that the table of all types gives
//!   ([`kind`](super::kind)).
//! - `parts`, if there, are what follows the fixed part, in the order in which they follow. `LENGTH(OFFSET)` is where the
//!   length is, and how it is stored: a [`Part`]. A condition after the meaning, `, unicode if CONDITION`, is told to the
//!   part as its mark.
//!
//! Fields and lengths must fill the fixed part without a gap: a wrong offset does not compile. The table gives the
//! struct, and a [`Body`]: reading, writing, and the lengths by which a reader steps from record to record.

use super::{RecordFormat, RecordType};
use crate::layout::{LayoutField, LayoutTable, Stored};
use crate::{FormatError, Reader};
use std::any::Any;

/// Type byte and length, which all ignorable records open with (`LRIGNORED`).
pub(super) const IGNORABLE_HEAD: usize = 5;

/// A record after its type byte, or after the length that an ignorable one opens with.
pub(super) trait Body<'a>: Sized {
    /// Where the fixed part begins.
    const START: usize = 1;
    /// Where the fixed part ends: first that of the oldest form, then those of newer ones.
    const ENDS: &'static [usize];
    /// Whether there is no newer form.
    const ONE_FORM: bool = all_equal(Self::ENDS);
    /// What follows the fixed part.
    const PARTS: &'static [Part] = &[];
    /// Where the fields are; none where no table says it.
    const LAYOUT: Option<LayoutTable> = None;

    fn read(reader: &mut Reader<'a>, form: Form) -> Result<Self, FormatError>;

    fn write(&self, writer: &mut Writer);

    /// The field of this type.
    fn head<T: 'static>(&self) -> Option<&T> {
        None
    }
}

const fn all_equal(ends: &[usize]) -> bool {
    let mut index = 1;
    while index < ends.len() {
        if ends[index] != ends[0] {
            return false;
        }
        index += 1;
    }
    true
}

/// What tells apart the types that share a struct, and the versions of one type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    pub(super) record_type: RecordType,
    pub(super) format: RecordFormat,
}

/// What follows the fixed part, by where in the fixed part its length is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// As many bytes as the `u16` at this offset says.
    U16(usize),
    /// As many bytes as the lower 15 bits of the `u16` at this offset say; the upper bit is the part's mark.
    U15(usize),
    /// As many bytes as the `u32` at this offset says.
    U32(usize),
    /// This many bytes (the third) if the byte at this offset (the first) has the bit (the second).
    IfBit(usize, u8, usize),
    /// A page image. Its flags, a `u32` at this offset, are its mark; the `u32` after them is its length. Not there where
    /// the fixed part ends before.
    Image(usize),
}

impl Part {
    const WIDE: u16 = 0x8000;

    /// Offset and size of what the fixed part holds for it alone.
    pub(super) const fn head(self) -> (usize, usize) {
        match self {
            Part::U16(at) | Part::U15(at) => (at, 2),
            Part::U32(at) => (at, 4),
            Part::IfBit(at, ..) => (at, 0),
            Part::Image(at) => (at, 8),
        }
    }

    /// Its row in the table of the fixed part.
    pub(super) const fn row(self, name: &'static str, meaning: &'static str) -> LayoutField {
        let (offset, size) = self.head();
        LayoutField {
            offset,
            size,
            name,
            meaning,
        }
    }

    /// Where the oldest fixed part with it ends; `oldest` is where the oldest of all does.
    pub(super) const fn form_end(self, oldest: usize) -> usize {
        match self {
            Part::Image(at) => at + 8,
            _ => oldest,
        }
    }

    /// Length and mark; `None` where the part is not there. The bytes are the fixed part from `start` on.
    #[inline]
    pub(super) fn find(self, fixed: &[u8], start: usize) -> Option<(usize, u32)> {
        fn at<T: Stored>(fixed: &[u8], offset: usize) -> Option<T> {
            fixed.get(offset..offset + T::SIZE).map(T::load)
        }
        Some(match self {
            Part::U16(offset) => (at::<u16>(fixed, offset - start)?.into(), 0),
            Part::U15(offset) => {
                let length = at::<u16>(fixed, offset - start)?;
                let mark = u32::from(length & Self::WIDE != 0);
                ((length & !Self::WIDE).into(), mark)
            }
            Part::U32(offset) => (at::<u32>(fixed, offset - start)? as usize, 0),
            Part::IfBit(offset, bit, length) => {
                let flags = at::<u8>(fixed, offset - start)?;
                return (flags & bit != 0).then_some((length, 0));
            }
            Part::Image(offset) => {
                let length = at::<u32>(fixed, offset + 4 - start)?;
                (length as usize, at(fixed, offset - start)?)
            }
        })
    }
}

/// Something of variable length in a record.
pub(super) trait Variable<'a>: Sized {
    /// Bytes of one item: the length is a multiple of it.
    const UNIT: usize = 1;

    /// The part with these bytes and this mark; `None` where the record has none.
    fn read(found: Option<(&'a [u8], u32)>) -> Self;

    /// Appends the bytes and gives the mark; `None` where the record has none.
    fn append(&self, bytes: &mut Vec<u8>) -> Option<u32>;
}

impl<'a> Variable<'a> for &'a [u8] {
    fn read(found: Option<(&'a [u8], u32)>) -> Self {
        found.map_or(&[], |(bytes, _)| bytes)
    }

    fn append(&self, bytes: &mut Vec<u8>) -> Option<u32> {
        bytes.extend_from_slice(self);
        Some(0)
    }
}

/// The fixed part of a record that is being read.
pub(super) struct FixedPart<'a> {
    start: usize,
    bytes: &'a [u8],
}

impl<'a> FixedPart<'a> {
    /// Takes the fixed part of `T` from the reader, which stands at its start.
    #[inline]
    pub(super) fn take<T: Body<'a>>(
        reader: &mut Reader<'a>,
        form: Form,
    ) -> Result<Self, FormatError> {
        let oldest = T::ENDS[0];
        let end = match T::ONE_FORM {
            true => oldest,
            false => form.record_type.fixed_size().unwrap_or(oldest).max(oldest),
        };
        Ok(FixedPart {
            start: T::START,
            bytes: reader.take(end - T::START, "log record")?,
        })
    }

    /// What every form has.
    #[inline]
    pub(super) fn oldest<const N: usize>(&self) -> &'a [u8; N] {
        self.bytes.first_chunk().unwrap_or(&[0; N])
    }

    /// A later field.
    #[inline]
    pub(super) fn later<T: Stored>(&self, offset: usize) -> Option<T> {
        let offset = offset - self.start;
        self.bytes.get(offset..offset + T::SIZE).map(T::load)
    }

    /// The next of the parts that follow; `names` are those of the part and of its length, for errors.
    #[inline]
    pub(super) fn part<T: Variable<'a>>(
        &self,
        part: Part,
        reader: &mut Reader<'a>,
        names: [&'static str; 2],
        condition: bool,
    ) -> Result<T, FormatError> {
        let Some((length, mark)) = part.find(self.bytes, self.start) else {
            return Ok(T::read(None));
        };
        if !length.is_multiple_of(T::UNIT) {
            let expected = format!("a multiple of {}", T::UNIT);
            return Err(FormatError::invalid(
                names[1],
                reader.offset(),
                length,
                expected,
            ));
        }
        let bytes = reader.take(length, names[0])?;
        Ok(T::read(Some((bytes, mark | u32::from(condition)))))
    }
}

/// The bytes of a record that is being written.
pub(super) struct Writer {
    /// What it is; decides the form where types share a struct.
    pub(super) record_type: RecordType,
    bytes: Vec<u8>,
    /// Where the fixed part ends.
    fixed_end: usize,
    problem: Option<FormatError>,
}

impl Writer {
    pub(super) fn new(record_type: RecordType) -> Self {
        let mut bytes = vec![record_type.number()];
        if record_type.is_ignorable() {
            bytes.resize(IGNORABLE_HEAD, 0);
        }
        Writer {
            record_type,
            fixed_end: bytes.len(),
            bytes,
            problem: None,
        }
    }

    /// Makes room for the fixed part of `T`.
    pub(super) fn fixed_part<'a, T: Body<'a>>(&mut self) {
        let size = self.record_type.fixed_size().unwrap_or(0);
        self.fixed_end = size.max(T::ENDS[0]);
        self.bytes.resize(self.fixed_end, 0);
    }

    /// Stores a field of the fixed part.
    pub(super) fn field<T: Stored>(&mut self, offset: usize, value: &T) {
        value.store(&mut self.bytes[offset..offset + T::SIZE]);
    }

    /// Stores a later field: it has to be there in the types that have room for it, and in no other.
    pub(super) fn later<T: Stored>(
        &mut self,
        what: &'static str,
        offset: usize,
        value: Option<&T>,
    ) {
        let room = self.bytes.get_mut(offset..offset + T::SIZE);
        match (value, room) {
            (Some(value), Some(room)) => value.store(room),
            (None, None) => {}
            (Some(_), None) => self.refuse(what, "a field that only newer types have"),
            (None, Some(_)) => self.refuse(what, "no value"),
        }
    }

    /// Appends a part and stores its length; the part has to be there in the types that have room for its length, and in
    /// no other.
    pub(super) fn part<'a, T: Variable<'a>>(&mut self, what: &'static str, part: Part, value: &T) {
        let start = self.bytes.len();
        let mark = value.append(&mut self.bytes);
        let length = self.bytes.len() - start;
        let (offset, size) = part.head();
        let has_room = offset + size <= self.fixed_end;
        match (part, mark) {
            (Part::IfBit(at, bit, _), mark) if mark.is_some() == (self.bytes[at] & bit != 0) => {}
            (Part::Image(_), None) if !has_room => {}
            (_, Some(mark)) if has_room => self.length(what, part, length, mark),
            _ => self.refuse(what, length),
        }
    }

    fn length(&mut self, what: &'static str, part: Part, length: usize, mark: u32) {
        let small = u16::try_from(length).ok();
        let large = u32::try_from(length).ok();
        match (part, small, large) {
            (Part::U16(at), Some(length), _) => self.field(at, &length),
            (Part::U15(at), Some(length), _) if length & Part::WIDE == 0 => {
                let wide = if mark != 0 { Part::WIDE } else { 0 };
                self.field(at, &(length | wide));
            }
            (Part::U32(at), _, Some(length)) => self.field(at, &length),
            (Part::Image(at), _, Some(length)) => {
                self.field(at, &mark);
                self.field(at + 4, &length);
            }
            _ => self.refuse(what, length),
        }
    }

    /// Appends a value of fixed size.
    pub(super) fn value<T: Stored>(&mut self, value: &T) {
        let start = self.bytes.len();
        self.bytes.resize(start + T::SIZE, 0);
        value.store(&mut self.bytes[start..]);
    }

    /// Appends bytes.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Notes that a value does not fit into its place.
    pub(super) fn refuse(&mut self, what: &'static str, value: impl ToString) {
        let offset = self.bytes.len() as u64;
        self.problem = Some(FormatError::invalid(
            what,
            offset,
            value,
            "a value that fits",
        ));
    }

    /// The record, or why it cannot be stored.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, FormatError> {
        if self.record_type.is_ignorable() {
            let length = self.bytes.len() - IGNORABLE_HEAD;
            let length = u32::try_from(length)
                .map_err(|error| FormatError::invalid("log record", 0, length, error))?;
            self.field(1, &length);
        }
        self.problem.map_or(Ok(self.bytes), Err)
    }
}

/// The field, if it is of this type.
pub(super) fn of_type<T: 'static>(field: &dyn Any) -> Option<&T> {
    field.downcast_ref()
}

/// Stops the compiler unless the fields and lengths of the table, in any order, fill the fixed part from its start to the
/// end of its newest form, and one of them ends at each end of a form.
pub(super) const fn check_record<'a, T: Body<'a>>() {
    let fields = match T::LAYOUT {
        Some(table) => table.fields,
        None => &[],
    };
    let mut unplaced = 0;
    let mut index = 0;
    while index < fields.len() {
        unplaced += (fields[index].size > 0) as usize;
        index += 1;
    }
    let mut unmet = T::ENDS.len();
    let mut at = T::START;
    loop {
        let mut ends_here = 0;
        let mut end = 0;
        while end < T::ENDS.len() {
            ends_here += (T::ENDS[end] == at) as usize;
            end += 1;
        }
        unmet -= ends_here;
        let mut size = 0;
        index = 0;
        while index < fields.len() {
            if fields[index].offset == at && fields[index].size > 0 {
                assert!(size == 0, "two fields are at the same offset");
                size = fields[index].size;
                unplaced -= 1;
            }
            index += 1;
        }
        if size == 0 {
            assert!(unplaced == 0, "a field is not where another one ends");
            assert!(unmet == 0, "the fields do not fill the fixed part");
            assert!(ends_here > 0, "the fields go on past the fixed part");
            return;
        }
        at += size;
    }
}

/// Declares the struct of a record by its table; the head of this module says how.
macro_rules! record {
    (
        $(#[$attribute:meta])*
        $name:ident $(<$life:lifetime>)? [$start:literal..$end:literal] {
            $($(#[$field_attribute:meta])* $offset:literal $field:ident: $type:ty = $meaning:literal;)*
        }
        $(later {
            $($(#[$later_attribute:meta])* $later_offset:literal $later:ident: $later_type:ty = $later_meaning:literal;)*
        })?
        $(parts {
            $(
                $(#[$part_attribute:meta])*
                $length:ident($($at:tt)*) $part:ident: $part_type:ty = $part_meaning:literal
                $(, $mark:ident if $condition:expr)?;
            )*
        })?
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
        pub struct $name $(<$life>)? {
            $($(#[$field_attribute])* #[doc = $meaning] pub $field: $type,)*
            $($($(#[$later_attribute])* #[doc = $later_meaning] pub $later: Option<$later_type>,)*)?
            $($($(#[$part_attribute])* #[doc = $part_meaning] pub $part: $part_type,)*)?
        }

        const _: () = {
            use $crate::layout::LayoutTable;
            use $crate::record::body::{Body, FixedPart, Form, Part, Writer, check_record};
            use $crate::{FormatError, Reader};

            check_record::<$name>();

            impl<'a> Body<'a> for $name $(<$life>)? {
                const START: usize = $start;
                const ENDS: &'static [usize] = &[
                    $end,
                    $($($later_offset + <$later_type as $crate::layout::Stored>::SIZE,)*)?
                    $($(Part::$length($($at)*).form_end($end),)*)?
                ];
                const PARTS: &'static [Part] = &[$($(Part::$length($($at)*)),*)?];
                const LAYOUT: Option<LayoutTable> = Some(LayoutTable {
                    name: stringify!($name),
                    bytes: ($start, $end),
                    fields: &[
                        $($crate::layout::LayoutField::of::<$type>($offset, stringify!($field), $meaning),)*
                        $($($crate::layout::LayoutField::of::<$later_type>(
                            $later_offset,
                            stringify!($later),
                            $later_meaning,
                        ),)*)?
                        $($(Part::$length($($at)*).row(
                            concat!("length of ", stringify!($part)),
                            $part_meaning,
                        ),)*)?
                    ],
                });

                #[inline]
                fn read(reader: &mut Reader<'a>, form: Form) -> Result<Self, FormatError> {
                    let fixed = FixedPart::take::<Self>(reader, form)?;
                    $(let $field = <$type as $crate::layout::Stored>::load(
                        &fixed.oldest::<{ $end - $start }>()[$offset - $start..]
                            [..<$type as $crate::layout::Stored>::SIZE],
                    );)*
                    Ok($name {
                        $($($later: fixed.later($later_offset),)*)?
                        $($($part: fixed.part(
                            Part::$length($($at)*),
                            reader,
                            [
                                concat!(stringify!($name), ".", stringify!($part)),
                                concat!(stringify!($name), ".", stringify!($part), " length"),
                            ],
                            false $(|| $condition)?,
                        )?,)*)?
                        $($field,)*
                    })
                }

                #[allow(unused_variables)]
                fn write(&self, writer: &mut Writer) {
                    let $name { $($field,)* .. } = self;
                    writer.fixed_part::<Self>();
                    $(writer.field($offset, &self.$field);)*
                    $($(writer.later(stringify!($later), $later_offset, self.$later.as_ref());)*)?
                    $($(writer.part(
                        concat!("length of ", stringify!($part)),
                        Part::$length($($at)*),
                        &self.$part,
                    );
                    $(if self.$part.$mark != $condition {
                        writer.refuse(
                            concat!(stringify!($part), " ", stringify!($mark)),
                            self.$part.$mark,
                        );
                    })?)*)?
                }

                #[inline]
                fn head<T: 'static>(&self) -> Option<&T> {
                    None $(.or_else(|| $crate::record::body::of_type(&self.$field)))*
                }
            }
        };
    };
}
pub(super) use record;
