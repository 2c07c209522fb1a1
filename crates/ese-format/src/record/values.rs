//! Values in records that are not numbers: sets of flags, choices, text, and how bytes are shown.

use super::body::Variable;
use crate::hex::Hex;
use serde::{Serialize, Serializer};
use std::fmt;

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
    Hex(bytes).serialize(serializer)
}

/// Text of one byte per character: printable ASCII as it is, everything else as `\xNN`, up to the first zero byte.
///
/// The code page of such text is not stored, so nothing beyond ASCII can be decoded with certainty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ascii<'a>(pub &'a [u8]);

impl<'a> Variable<'a> for Ascii<'a> {
    fn read(found: Option<(&'a [u8], u32)>) -> Self {
        Ascii(Variable::read(found))
    }

    fn append(&self, bytes: &mut Vec<u8>) -> Option<u32> {
        self.0.append(bytes)
    }
}

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
