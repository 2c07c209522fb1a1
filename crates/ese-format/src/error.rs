//! What can be wrong with bytes.
//!
//! Every variant says what was being read, where, what was needed and what was there. The offset counts from the
//! start of the file (or of the record, page or value, where the caller knows no file), as given to
//! [`Reader::at`](crate::Reader::at).

use thiserror::Error;

/// A reading that the bytes do not allow.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FormatError {
    /// The bytes end before the thing does.
    #[error("{what} at offset {offset:#x} needs {needed} bytes, {available} are there")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Where it starts.
        offset: u64,
        /// How many bytes it takes.
        needed: u64,
        /// How many bytes are left.
        available: u64,
    },
    /// The bytes are there but cannot be this thing.
    #[error("{what} at offset {offset:#x} is {found}, expected {expected}")]
    Invalid {
        /// What was being read.
        what: &'static str,
        /// Where it starts.
        offset: u64,
        /// What was found, ready to print.
        found: String,
        /// What would have been right, ready to print.
        expected: String,
    },
}

impl FormatError {
    /// An [`Invalid`](FormatError::Invalid) error from printable parts.
    pub fn invalid(
        what: &'static str,
        offset: u64,
        found: impl ToString,
        expected: impl ToString,
    ) -> Self {
        FormatError::Invalid {
            what,
            offset,
            found: found.to_string(),
            expected: expected.to_string(),
        }
    }
}
