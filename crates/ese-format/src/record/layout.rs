//! How a record's fixed part is read: field by field, little-endian, without padding.
//!
//! Every fixed layout is declared once with [`fixed_layout!`], which makes the struct, its reading and a compile-time
//! check of its size against the reference's `sizeof` (all of `inc/logapi.hxx` is packed to one byte). The type byte
//! that opens every record is read before and is not part of these sizes.

use crate::{
    Dbtime, FormatError, Generation, Lgpos, LogTime, ObjId, Pgno, ProcId, Reader, Signature,
};
use serde::{Serialize, Serializer};
use std::fmt;
use zerocopy::FromBytes;

/// A value of fixed size that stands in a record.
pub(super) trait Field<'a>: Sized {
    /// Bytes that it takes.
    const SIZE: usize;

    /// Reads it; `what` names it in errors.
    fn read(reader: &mut Reader<'a>, what: &'static str) -> Result<Self, FormatError>;
}

macro_rules! integer_field {
    ($($type:ty)*) => {$(
        impl Field<'_> for $type {
            const SIZE: usize = size_of::<$type>();

            #[inline]
            fn read(reader: &mut Reader<'_>, what: &'static str) -> Result<Self, FormatError> {
                Ok(<$type>::from_le_bytes(reader.array(what)?))
            }
        }
    )*};
}

macro_rules! unit_field {
    ($($unit:ident($inner:ty))*) => {$(
        impl Field<'_> for $unit {
            const SIZE: usize = size_of::<$inner>();

            #[inline]
            fn read(reader: &mut Reader<'_>, what: &'static str) -> Result<Self, FormatError> {
                <$inner as Field>::read(reader, what).map($unit)
            }
        }
    )*};
}

macro_rules! zerocopy_field {
    ($($type:ty)*) => {$(
        impl Field<'_> for $type {
            const SIZE: usize = <$type>::SIZE;

            #[inline]
            fn read(reader: &mut Reader<'_>, what: &'static str) -> Result<Self, FormatError> {
                let offset = reader.offset();
                let bytes = reader.take(Self::SIZE, what)?;
                Self::read_from_bytes(bytes)
                    .map_err(|_| FormatError::invalid(what, offset, bytes.len(), Self::SIZE))
            }
        }
    )*};
}

integer_field!(u8 u16 u32 u64 i16 i32 i64);
unit_field!(Pgno(u32) ObjId(u32) Dbtime(u64) ProcId(u16) Generation(u32));
zerocopy_field!(Signature LogTime);

impl Field<'_> for Lgpos {
    const SIZE: usize = Lgpos::SIZE;

    #[inline]
    fn read(reader: &mut Reader<'_>, what: &'static str) -> Result<Self, FormatError> {
        Ok(Lgpos::from_bytes(reader.array(what)?))
    }
}

impl<const N: usize> Field<'_> for [u64; N] {
    const SIZE: usize = 8 * N;

    #[inline]
    fn read(reader: &mut Reader<'_>, what: &'static str) -> Result<Self, FormatError> {
        let mut words = [0; N];
        for word in &mut words {
            *word = reader.u64(what)?;
        }
        Ok(words)
    }
}

/// Declares a struct of [`Field`]s that is `$size` bytes on disk.
macro_rules! fixed_layout {
    (
        $(#[$meta:meta])*
        pub struct $name:ident: $size:literal {
            $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
        }

        impl crate::record::layout::Field<'_> for $name {
            const SIZE: usize = 0 $(+ <$type as crate::record::layout::Field<'static>>::SIZE)*;

            #[inline]
            fn read(
                reader: &mut crate::Reader<'_>,
                _what: &'static str,
            ) -> Result<Self, crate::FormatError> {
                Ok($name {
                    $($field: crate::record::layout::Field::read(
                        reader,
                        concat!(stringify!($name), ".", stringify!($field)),
                    )?,)*
                })
            }
        }

        const _: () = assert!(<$name as crate::record::layout::Field<'static>>::SIZE == $size);
    };
}
pub(super) use fixed_layout;

/// Declares a set of flags that is stored as one `$bits`; bits without a name are kept and shown.
macro_rules! stored_flags {
    (
        $(#[$meta:meta])*
        pub struct $name:ident: $bits:ty {
            $($(#[$($flag_meta:tt)*])* const $flag:ident = $value:expr;)*
        }
    ) => {
        bitflags::bitflags! {
            $(#[$meta])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
            #[serde(transparent)]
            pub struct $name: $bits {
                $($(#[$($flag_meta)*])* const $flag = $value;)*
                /// Bits without a known meaning.
                const _ = !0;
            }
        }

        impl crate::record::layout::Field<'_> for $name {
            const SIZE: usize = size_of::<$bits>();

            #[inline]
            fn read(
                reader: &mut crate::Reader<'_>,
                what: &'static str,
            ) -> Result<Self, crate::FormatError> {
                <$bits as crate::record::layout::Field>::read(reader, what).map(Self::from_bits_retain)
            }
        }
    };
}
pub(super) use stored_flags;

/// Declares an enumeration that is stored as one `$repr`; a value without a name is kept as `Other`.
macro_rules! stored_choice {
    (
        $(#[$meta:meta])*
        pub enum $name:ident: $repr:ty {
            $($(#[$choice_meta:meta])* $choice:ident = $value:literal,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$choice_meta])* $choice,)*
            /// A value that the reference gives no meaning.
            Other($repr),
        }

        impl From<$repr> for $name {
            fn from(value: $repr) -> Self {
                match value {
                    $($value => $name::$choice,)*
                    other => $name::Other(other),
                }
            }
        }

        impl From<$name> for $repr {
            fn from(choice: $name) -> Self {
                match choice {
                    $($name::$choice => $value,)*
                    $name::Other(other) => other,
                }
            }
        }

        impl crate::record::layout::Field<'_> for $name {
            const SIZE: usize = size_of::<$repr>();

            #[inline]
            fn read(
                reader: &mut crate::Reader<'_>,
                what: &'static str,
            ) -> Result<Self, crate::FormatError> {
                <$repr as crate::record::layout::Field>::read(reader, what).map(Self::from)
            }
        }
    };
}
pub(super) use stored_choice;

/// Serializes bytes as one string of lowercase hex digits.
pub(super) fn hex<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Hex(bytes))
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Text of one byte per character: printable ASCII as it is, everything else as `\xNN`, up to the first zero byte.
///
/// The code page of such text is not stored, so nothing beyond ASCII can be decoded with certainty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ascii<'a>(pub &'a [u8]);

impl fmt::Display for Ascii<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.iter().copied().take_while(|byte| *byte != 0) {
            match byte {
                b' '..=b'~' => write!(f, "{}", char::from(byte))?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        Ok(())
    }
}

impl Serialize for Ascii<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
