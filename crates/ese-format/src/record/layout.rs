//! How a record's fixed part is read: field by field, little-endian, without padding.
//!
//! Every fixed layout is declared once with [`fixed_layout!`], which makes the struct, its reading and writing, and a
//! compile-time check of its size against the reference's `sizeof` (all of `inc/logapi.hxx` is packed to one byte).
//! The type byte that opens every record is read before and is not part of these sizes.

use super::RecordType;
use crate::layout::Stored;
use crate::{FormatError, Reader};
use serde::{Serialize, Serializer};
use std::fmt;

/// Reads a value of fixed size; `what` names it in errors.
pub(super) fn fixed<T: Stored>(
    reader: &mut Reader<'_>,
    what: &'static str,
) -> Result<T, FormatError> {
    Ok(T::load(reader.take(T::SIZE, what)?))
}

/// Type byte and length, which all ignorable records open with (`LRIGNORED`).
const IGNORABLE_HEAD: usize = 5;

/// The bytes of a record that is being written.
pub(super) struct Writer {
    /// What it is; decides the form where two types share a struct.
    pub(super) record_type: RecordType,
    bytes: Vec<u8>,
    problem: Option<FormatError>,
}

/// A record as it is written, after its type byte.
pub(super) trait Write {
    fn write(&self, writer: &mut Writer);
}

impl Writer {
    pub(super) fn new(record_type: RecordType) -> Self {
        let mut bytes = vec![record_type.number()];
        if record_type.is_ignorable() {
            bytes.resize(IGNORABLE_HEAD, 0);
        }
        Writer {
            record_type,
            bytes,
            problem: None,
        }
    }

    pub(super) fn fixed<T: Stored>(&mut self, value: &T) {
        let start = self.bytes.len();
        self.bytes.resize(start + T::SIZE, 0);
        value.store(&mut self.bytes[start..]);
    }

    /// A length in as many bytes as `T` has.
    pub(super) fn length<T: Stored + TryFrom<usize>>(&mut self, what: &'static str, length: usize) {
        match T::try_from(length) {
            Ok(fits) => self.fixed(&fits),
            Err(_) => self.refuse(what, length),
        }
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

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The record, or why it cannot be stored.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, FormatError> {
        if self.record_type.is_ignorable() {
            let length = self.bytes.len() - IGNORABLE_HEAD;
            let length = u32::try_from(length)
                .map_err(|error| FormatError::invalid("log record", 0, length, error))?;
            length.store(&mut self.bytes[1..IGNORABLE_HEAD]);
        }
        self.problem.map_or(Ok(self.bytes), Err)
    }
}

/// The fields of a fixed layout that are still to be read.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    /// The next field; [`Stored::load`] is given as many bytes as it needs by the check of the layout's size.
    pub(super) fn next<T: Stored>(&mut self) -> T {
        let (field, rest) = self.0.split_at_checked(T::SIZE).unwrap_or_default();
        self.0 = rest;
        T::load(field)
    }
}

/// Writes a field to the first of `bytes`; returns the rest.
pub(super) fn store_first<'b, T: Stored>(field: &T, bytes: &'b mut [u8]) -> &'b mut [u8] {
    let (first, rest) = bytes.split_at_mut(T::SIZE);
    field.store(first);
    rest
}

/// Declares a struct of [`Stored`] fields that is `$size` bytes on disk.
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

        impl crate::layout::Stored for $name {
            const SIZE: usize = $size;

            fn load(bytes: &[u8]) -> Self {
                let mut fields = crate::record::layout::Fields(bytes);
                $name { $($field: fields.next(),)* }
            }

            fn store(&self, bytes: &mut [u8]) {
                let mut rest = bytes;
                $(rest = crate::record::layout::store_first(&self.$field, rest);)*
                debug_assert!(rest.is_empty());
            }
        }

        impl crate::record::layout::Write for $name {
            fn write(&self, writer: &mut crate::record::layout::Writer) {
                writer.fixed(self);
            }
        }

        const _: () = assert!($size == 0 $(+ <$type as crate::layout::Stored>::SIZE)*);
    };
}
pub(super) use fixed_layout;

/// Declares a set of flags that is stored as one `$bits`; bits without a name are kept and shown.
///
/// Serialized as a list of the names in lower case, the other bits as one hexadecimal number at its end.
macro_rules! stored_flags {
    (
        $(#[$meta:meta])*
        pub struct $name:ident: $bits:ty {
            $($(#[$($flag_meta:tt)*])* const $flag:ident = $value:expr;)*
        }
    ) => {
        bitflags::bitflags! {
            $(#[$meta])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            pub struct $name: $bits {
                $($(#[$($flag_meta)*])* const $flag = $value;)*
                /// Bits without a known meaning.
                const _ = !0;
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut names = self.iter_names();
                let mut list: Vec<String> =
                    names.by_ref().map(|(name, _)| name.to_ascii_lowercase()).collect();
                let nameless = names.remaining().bits();
                if nameless != 0 {
                    list.push(format!("{nameless:#x}"));
                }
                list.serialize(serializer)
            }
        }

        impl crate::layout::Stored for $name {
            const SIZE: usize = size_of::<$bits>();

            fn load(bytes: &[u8]) -> Self {
                Self::from_bits_retain(<$bits as crate::layout::Stored>::load(bytes))
            }

            fn store(&self, bytes: &mut [u8]) {
                crate::layout::Stored::store(&self.bits(), bytes);
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

        impl crate::layout::Stored for $name {
            const SIZE: usize = size_of::<$repr>();

            fn load(bytes: &[u8]) -> Self {
                Self::from(<$repr as crate::layout::Stored>::load(bytes))
            }

            fn store(&self, bytes: &mut [u8]) {
                crate::layout::Stored::store(&<$repr>::from(*self), bytes);
            }
        }
    };
}
pub(super) use stored_choice;

/// Serializes bytes as one string of lowercase hex digits.
pub(super) fn hex<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Hex(bytes))
}

/// Bytes as lowercase hex digits.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl Serialize for Hex<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

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
