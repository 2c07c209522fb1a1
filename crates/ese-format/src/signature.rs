//! Signatures: the identity of a database, a log stream or one flush of a header.
//!
//! `SIGNATURE` (`inc/daedef.hxx`) takes 28 bytes:
//!
//! ```text
//! 0        4                12                          28
//! | random | creation time  | computer name (obsolete)  |
//!   u32      LogTime          16 bytes
//! ```

use crate::LogTime;
use crate::layout::layout;
use crate::time::write_fields;
use serde::Serialize;
use std::fmt;

layout! {
    /// A signature as stored. Two things belong together when all 28 bytes are equal.
    #[derive(Copy, Default, Hash)]
    Signature [0..28] {
        0 random: u32 = "The random number that distinguishes signatures of the same time.";
        4 created: LogTime = "When the signed thing was created.";
        12 computer_bytes: [u8; 16] = "The computer name as stored (obsolete).";
    }
}

impl Signature {
    /// A signature from its parts, without a computer name.
    pub fn new(random: u32, created: LogTime) -> Self {
        Signature {
            random,
            created,
            computer_bytes: [0; 16],
        }
    }

    /// The signature for messages: its random number, which distinguishes it from others, and when it was made.
    pub fn shown(&self) -> impl fmt::Display {
        format!("{} created {}", self.random, self.created.shown())
    }

    /// Whether every byte is zero. A log signature of a database is zeroed by repair (`esentutl /p`).
    pub fn is_null(self) -> bool {
        self == Signature::default()
    }

    /// The random number that distinguishes signatures of the same time.
    pub fn random(self) -> u32 {
        self.random
    }

    /// The computer name up to its terminating zero; bytes outside printable ASCII are escaped.
    pub fn computer(&self) -> String {
        let name = self
            .computer_bytes
            .split(|byte| *byte == 0)
            .next()
            .unwrap_or(&[]);
        name.escape_ascii().to_string()
    }
}

/// As header dumps write it (`SigToSz`, `inc/daedef.hxx`).
impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Create time:")?;
        write_fields(f, self.created)?;
        write!(f, " Rand:{} Computer:{}", self.random, self.computer())
    }
}

impl Serialize for Signature {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut fields = serializer.serialize_struct("Signature", 3)?;
        fields.serialize_field("created", &self.created)?;
        fields.serialize_field("random", &self.random())?;
        fields.serialize_field("computer", &self.computer())?;
        fields.end()
    }
}
