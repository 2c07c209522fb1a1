//! Fixed layouts, written once as a table.
//!
//! The [`layout!`] macro turns a table of `offset name: type "meaning"` into a struct with typed fields, a function
//! that reads it from bytes and one that writes it back. A wrong offset does not compile: each must be where the
//! fields before it end.

use crate::{Dbtime, Generation, Lgpos, LogTime, ObjId, Pgno, ProcId, Signature};

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

macro_rules! stored_unit {
    ($($unit:ident($inner:ty)),*) => {$(
        impl Stored for $unit {
            const SIZE: usize = <$inner>::SIZE;
            fn load(bytes: &[u8]) -> Self {
                $unit(<$inner>::load(bytes))
            }
            fn store(&self, bytes: &mut [u8]) {
                self.0.store(bytes);
            }
        }
    )*};
}
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

/// Bytes that mean nothing today. They are kept so that a structure is written back as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserved<const N: usize>(pub [u8; N]);

/// Hexadecimal where something is in them; null where they are zero as they should be.
impl<const N: usize> serde::Serialize for Reserved<N> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let used = self.0.iter().any(|byte| *byte != 0);
        used.then(|| self.0.map(|byte| format!("{byte:02x}")).concat())
            .serialize(serializer)
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

impl Stored for Signature {
    const SIZE: usize = Signature::SIZE;
    fn load(bytes: &[u8]) -> Self {
        zerocopy::FromBytes::read_from_bytes(bytes).unwrap_or_default()
    }
    fn store(&self, bytes: &mut [u8]) {
        bytes.copy_from_slice(zerocopy::IntoBytes::as_bytes(self));
    }
}

/// Defines a struct from a table of its stored fields.
macro_rules! layout {
    (
        $(#[$attribute:meta])*
        $name:ident [$size:literal] {
            $($offset:literal $field:ident: $type:ty = $meaning:literal;)*
        }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
        pub struct $name {
            $(#[doc = $meaning] pub $field: $type,)*
        }

        const _: () = {
            let mut end = 0;
            $(
                assert!($offset == end, concat!(stringify!($field), " does not follow its predecessor"));
                end += <$type as $crate::layout::Stored>::SIZE;
            )*
            assert!(end == $size, "the fields do not fill the layout");
        };

        impl $name {
            /// Bytes the structure takes.
            pub const SIZE: usize = $size;

            /// Name of the field that the byte at `offset` belongs to.
            pub fn field_at(offset: usize) -> Option<&'static str> {
                [$(($offset, stringify!($field)),)*]
                    .into_iter()
                    .rev()
                    .find(|(start, _)| *start <= offset && offset < $size)
                    .map(|(_, name)| name)
            }

            /// Reads the structure; every pattern of bytes is one.
            pub fn from_bytes(bytes: &[u8; $size]) -> Self {
                $name {
                    $($field: <$type as $crate::layout::Stored>::load(
                        &bytes[$offset..$offset + <$type as $crate::layout::Stored>::SIZE],
                    ),)*
                }
            }

            /// Writes the structure back; what was read comes out the same.
            pub fn to_bytes(&self) -> [u8; $size] {
                let mut bytes = [0; $size];
                $($crate::layout::Stored::store(
                    &self.$field,
                    &mut bytes[$offset..$offset + <$type as $crate::layout::Stored>::SIZE],
                );)*
                bytes
            }
        }
    };
}
pub(crate) use layout;
