//! The form of single fields in header dumps, where it is not that of messages.

use ese_format::Lgpos;
use std::fmt::{self, Display};

/// A position: `(0x10,2,78E)`.
pub fn lgpos(lgpos: Lgpos) -> impl Display {
    let Lgpos {
        generation,
        segment,
        byte,
    } = lgpos;
    fmt::from_fn(move |f| write!(f, "(0x{generation:X},{segment:X},{byte:X})"))
}
