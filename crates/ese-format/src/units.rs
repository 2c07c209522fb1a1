//! The numbers of ESE as types, so that a page number is never passed where an object id belongs.
//!
//! Widths are those of the reference (`inc/daedef.hxx`, `inc/_jet.hxx`): `PGNO`, `OBJID` and `LONG lGeneration` are
//! 32 bits, `DBTIME` 64, `PROCID` 16.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::LowerHex for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::LowerHex::fmt(&self.0, f)
            }
        }

        impl fmt::UpperHex for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::UpperHex::fmt(&self.0, f)
            }
        }
    };
}

unit! {
    /// A database page number. Page 1 is the first page after the two header pages; 0 is "none".
    Pgno(u32)
}
unit! {
    /// An object id: the id of the father data page tree that owns a page.
    ObjId(u32)
}
unit! {
    /// A database time: the counter that every change of a page advances. 0 is "never changed".
    Dbtime(u64)
}
unit! {
    /// A log generation number, 1 and up. 0 is "none".
    Generation(u32)
}
unit! {
    /// The id of a session within a log stream.
    ProcId(u16)
}

impl Pgno {
    /// No page.
    pub const NULL: Pgno = Pgno(0);

    /// Whether this is [`Pgno::NULL`].
    pub fn is_null(self) -> bool {
        self == Self::NULL
    }

    /// Byte offset of the page in a database of pages of `page_size` bytes.
    ///
    /// Two pages hold the header and its shadow, so page 1 is at `2 * page_size` (`OffsetOfPgno`,
    /// `inc/daedef.hxx`). `Pgno(0)` has no place of its own and yields the offset of the shadow header.
    pub fn file_offset(self, page_size: u32) -> u64 {
        (u64::from(self.0) + 1) * u64::from(page_size)
    }

    /// The page whose bytes start at `offset`; [`Pgno::NULL`] for both header pages.
    pub fn at_file_offset(offset: u64, page_size: u32) -> Pgno {
        Pgno(u32::try_from((offset / u64::from(page_size)).saturating_sub(1)).unwrap_or(u32::MAX))
    }
}

impl Generation {
    /// The generation after this one; the highest stays what it is.
    #[must_use]
    pub fn next(self) -> Generation {
        Generation(self.0.saturating_add(1))
    }

    /// The generation before this one; 0 stays what it is.
    #[must_use]
    pub fn previous(self) -> Generation {
        Generation(self.0.saturating_sub(1))
    }
}

impl Dbtime {
    /// "No dbtime": what a record carries where it has none (`dbtimeNil`, `inc/daedef.hxx`).
    pub const NIL: Dbtime = Dbtime(u64::MAX);
    /// A dbtime that was not filled in (`dbtimeInvalid`).
    pub const INVALID: Dbtime = Dbtime(u64::MAX - 1);
    /// The dbtime of a page that a shrink cut off (`dbtimeShrunk`).
    pub const SHRUNK: Dbtime = Dbtime(u64::MAX - 2);
    /// The dbtime that a revert gives a page it zeroed (`dbtimeRevert`).
    pub const REVERT: Dbtime = Dbtime(u64::MAX - 3);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_one_follows_both_headers() {
        assert_eq!(Pgno(1).file_offset(8192), 2 * 8192);
        assert_eq!(Pgno::at_file_offset(2 * 8192, 8192), Pgno(1));
        assert_eq!(Pgno::at_file_offset(8192, 8192), Pgno::NULL);
        assert_eq!(Pgno(u32::MAX).file_offset(32768), 0x1_0000_0000 * 32768);
    }
}
