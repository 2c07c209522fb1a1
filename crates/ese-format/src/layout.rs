//! Fixed layouts, written once as a table.
//!
//! Every structure of a fixed size is declared by one table, whose rows stand in the order of their bytes:
//!
//! ```text
//! layout! {
//!     /// What the structure is.
//!     Name [START..END] {
//!         OFFSET field: Type = "What the field means.";
//!         ...
//!     }
//! }
//! ```
//!
//! - `[START..END]` are the bytes that the structure takes. `START` is 0, except in a part of something larger whose
//!   offsets go on: the head of a log record is `[1..32]`, since the record's type is byte 0.
//! - `OFFSET` counts from where `START` counts. A wrong one does not compile: each field must be where the one before it
//!   ends, and the last must end at `END`.
//! - `Type` is anything that is [`Stored`]: numbers, units, times, flags, or a structure with a table of its own.
//! - Attributes go before a row and before the name, derives included; `Debug`, `Clone` and equality are there.
//!
//! The table gives a struct of these fields, `from_bytes`, `to_bytes`, `SIZE`, [`Stored`], and the [`LayoutTable`] that a test
//! compares with `docs/format`. With the words `in place` before the name it gives a view of bytes where they are, for what
//! is changed in a page buffer: one function that reads each field, and one that writes it where a row names that, too:
//!
//! ```text
//! layout! {
//!     in place Name [START..END] {
//!         OFFSET field, set_field: Type = "What the field means.";
//! ```
//!
//! A log record adds to such a table what follows its fixed part: `record!` (`record/body.rs`).

use crate::hex::Hex;
use crate::{
    Dbtime, Generation, Lgpos, LogTime, ObjId, Pgno, ProcId, Signature, database, flush_map, log,
    page, record,
};

/// Something that takes a fixed number of bytes on disk, and that any bytes of that number are.
pub(crate) trait Stored: Sized {
    /// Bytes it takes.
    const SIZE: usize;
    /// Reads it from exactly [`SIZE`](Stored::SIZE) bytes.
    fn load(bytes: &[u8]) -> Self;
    /// Writes it to exactly [`SIZE`](Stored::SIZE) bytes.
    fn store(&self, bytes: &mut [u8]);
}

macro_rules! stored_integer {
    ($($integer:ty),*) => {$(
        impl Stored for $integer {
            const SIZE: usize = size_of::<$integer>();
            fn load(bytes: &[u8]) -> Self {
                bytes.first_chunk().map_or(0, |bytes| Self::from_le_bytes(*bytes))
            }
            fn store(&self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}
stored_integer!(u8, u16, i16, u32, i32, u64, i64);

/// Makes a type that wraps a number something that is stored as that number.
macro_rules! stored_unit {
    ($($unit:ident($inner:ty)),*) => {$(
        impl $crate::layout::Stored for $unit {
            const SIZE: usize = <$inner as $crate::layout::Stored>::SIZE;
            fn load(bytes: &[u8]) -> Self {
                $unit($crate::layout::Stored::load(bytes))
            }
            fn store(&self, bytes: &mut [u8]) {
                $crate::layout::Stored::store(&self.0, bytes);
            }
        }
    )*};
}
pub(crate) use stored_unit;
stored_unit!(
    Pgno(u32),
    ObjId(u32),
    Generation(u32),
    Dbtime(u64),
    ProcId(u16)
);

impl<const N: usize> Stored for [u8; N] {
    const SIZE: usize = N;
    fn load(bytes: &[u8]) -> Self {
        bytes.first_chunk().copied().unwrap_or([0; N])
    }
    fn store(&self, bytes: &mut [u8]) {
        bytes.copy_from_slice(self);
    }
}

impl<const N: usize> Stored for [u64; N] {
    const SIZE: usize = 8 * N;
    fn load(bytes: &[u8]) -> Self {
        let (numbers, _) = bytes.as_chunks();
        std::array::from_fn(|index| {
            numbers
                .get(index)
                .map_or(0, |bytes| u64::from_le_bytes(*bytes))
        })
    }
    fn store(&self, bytes: &mut [u8]) {
        for (place, number) in bytes.chunks_exact_mut(8).zip(self) {
            number.store(place);
        }
    }
}

/// Bytes that mean nothing today. They are kept so that a structure is written back as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserved<const N: usize>(pub [u8; N]);

/// Hexadecimal where something is in them; null where they are zero as they should be.
impl<const N: usize> serde::Serialize for Reserved<N> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let used = self.0.iter().any(|byte| *byte != 0);
        used.then_some(Hex(&self.0)).serialize(serializer)
    }
}

impl<const N: usize> Stored for Reserved<N> {
    const SIZE: usize = N;
    fn load(bytes: &[u8]) -> Self {
        Reserved(<[u8; N]>::load(bytes))
    }
    fn store(&self, bytes: &mut [u8]) {
        self.0.store(bytes);
    }
}

impl Stored for Lgpos {
    const SIZE: usize = Lgpos::SIZE;
    fn load(bytes: &[u8]) -> Self {
        Lgpos::from_bytes(<[u8; Lgpos::SIZE]>::load(bytes))
    }
    fn store(&self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.to_bytes());
    }
}

impl Stored for LogTime {
    const SIZE: usize = LogTime::SIZE;
    fn load(bytes: &[u8]) -> Self {
        LogTime(<[u8; LogTime::SIZE]>::load(bytes))
    }
    fn store(&self, bytes: &mut [u8]) {
        self.0.store(bytes);
    }
}

/// The table of a fixed layout: what it is called, which bytes it takes, and where its fields are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayoutTable {
    /// Name of the structure.
    pub name: &'static str,
    /// First byte, and the one after the last.
    pub bytes: (usize, usize),
    /// The fields, in the order of the table.
    pub fields: &'static [LayoutField],
}

/// A row of a [`LayoutTable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayoutField {
    /// Where the field begins.
    pub offset: usize,
    /// Bytes that it takes.
    pub size: usize,
    /// Its name.
    pub name: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

impl LayoutField {
    /// The row of a field of type `T`.
    pub(crate) const fn of<T: Stored>(
        offset: usize,
        name: &'static str,
        meaning: &'static str,
    ) -> Self {
        LayoutField {
            offset,
            size: T::SIZE,
            name,
            meaning,
        }
    }
}

impl LayoutTable {
    /// Name of the field that the byte at `offset` belongs to.
    pub fn field_at(&self, offset: usize) -> Option<&'static str> {
        let mut fields = self.fields.iter();
        let found =
            fields.find(|field| (field.offset..field.offset + field.size).contains(&offset));
        found.map(|field| field.name)
    }
}

/// Stops the compiler unless the fields follow each other from the first byte of the table to its last.
pub(crate) const fn check_table(table: LayoutTable) {
    let (mut at, end) = table.bytes;
    let mut index = 0;
    while index < table.fields.len() {
        let field = table.fields[index];
        assert!(
            field.offset == at,
            "a field is not where the one before it ends"
        );
        at += field.size;
        index += 1;
    }
    assert!(at == end, "the fields do not fill the layout");
}

/// Declares a structure by its table; the head of this module says how.
macro_rules! layout {
    (
        $(#[$attribute:meta])*
        $name:ident [$start:literal..$end:literal] {
            $($(#[$field_attribute:meta])* $offset:literal $field:ident: $type:ty = $meaning:literal;)*
        }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name {
            $($(#[$field_attribute])* #[doc = $meaning] pub $field: $type,)*
        }

        $crate::layout::layout! { @table $name [$start..$end] { $($offset $field: $type = $meaning;)* } }

        impl $name {
            /// Reads the structure; every pattern of bytes is one.
            pub fn from_bytes(bytes: &[u8; $end - $start]) -> Self {
                $name {
                    $($field: <$type as $crate::layout::Stored>::load(
                        &bytes[$offset - $start..][..<$type as $crate::layout::Stored>::SIZE],
                    ),)*
                }
            }

            /// Writes the structure back; what was read comes out the same.
            pub fn to_bytes(&self) -> [u8; $end - $start] {
                let mut bytes = [0; $end - $start];
                $($crate::layout::Stored::store(
                    &self.$field,
                    &mut bytes[$offset - $start..][..<$type as $crate::layout::Stored>::SIZE],
                );)*
                bytes
            }
        }

        impl $crate::layout::Stored for $name {
            const SIZE: usize = $end - $start;
            fn load(bytes: &[u8]) -> Self {
                Self::from_bytes(bytes.first_chunk().unwrap_or(&[0; $end - $start]))
            }
            fn store(&self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_bytes());
            }
        }
    };
    (
        $(#[$attribute:meta])*
        in place $name:ident [$start:literal..$end:literal] {
            $($offset:literal $field:ident $(, $set:ident)?: $type:ty = $meaning:literal;)*
        }
    ) => {
        $(#[$attribute])*
        #[derive(
            Debug, Clone, zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable,
            zerocopy::KnownLayout, zerocopy::Unaligned,
        )]
        #[repr(transparent)]
        pub struct $name([u8; $end - $start]);

        $crate::layout::layout! { @table $name [$start..$end] { $($offset $field: $type = $meaning;)* } }

        impl $name {
            /// The structure at the start of `bytes`, where it is; `None` if they are too few.
            pub fn at_start_of(bytes: &[u8]) -> Option<&Self> {
                let (found, _) = zerocopy::FromBytes::ref_from_prefix(bytes).ok()?;
                Some(found)
            }

            /// The same, to be changed.
            pub fn at_start_of_mut(bytes: &mut [u8]) -> Option<&mut Self> {
                let (found, _) = zerocopy::FromBytes::mut_from_prefix(bytes).ok()?;
                Some(found)
            }

            $(
                #[doc = $meaning]
                pub fn $field(&self) -> $type {
                    let bytes = &self.0[$offset - $start..][..<$type as $crate::layout::Stored>::SIZE];
                    $crate::layout::Stored::load(bytes)
                }

                $(
                    #[doc = concat!("Sets [`", stringify!($field), "`](Self::", stringify!($field), ").")]
                    pub fn $set(&mut self, value: $type) {
                        let size = <$type as $crate::layout::Stored>::SIZE;
                        $crate::layout::Stored::store(&value, &mut self.0[$offset - $start..][..size]);
                    }
                )?
            )*
        }
    };
    (
        @table $name:ident [$start:literal..$end:literal] {
            $($offset:literal $field:ident: $type:ty = $meaning:literal;)*
        }
    ) => {
        const _: () = $crate::layout::check_table($name::LAYOUT);

        impl $name {
            /// Bytes that the structure takes.
            pub const SIZE: usize = $end - $start;

            /// Where its fields are.
            pub const LAYOUT: $crate::layout::LayoutTable = $crate::layout::LayoutTable {
                name: stringify!($name),
                bytes: ($start, $end),
                fields: &[$(
                    $crate::layout::LayoutField::of::<$type>($offset, stringify!($field), $meaning)
                ),*],
            };
        }
    };
}
pub(crate) use layout;

/// The tables of all fixed layouts: for the test that compares them with `docs/format`.
pub fn layouts() -> Vec<LayoutTable> {
    let mut tables = vec![
        Signature::LAYOUT,
        database::DatabaseHeader::LAYOUT,
        database::BackupInfo::LAYOUT,
        flush_map::FlushMapHeader::LAYOUT,
        flush_map::MapPageHeader::LAYOUT,
        log::RawLogHeader::LAYOUT,
        log::RawCheckpoint::LAYOUT,
        log::RawSystemParameters::LAYOUT,
        log::RawAttachment::LAYOUT,
        log::RawSegmentHeader::LAYOUT,
        log::ChecksumRecord::LAYOUT,
        page::PageHeader::LAYOUT,
        page::LargePageExtension::LAYOUT,
        page::RawSpaceHeader::LAYOUT,
        page::RawSplitBuffer::LAYOUT,
    ];
    tables.extend(record::layouts());
    tables
}
