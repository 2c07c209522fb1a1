//! A thing read from bytes whose checksum has been computed but not yet checked.

use serde::Serialize;

/// A decoded header together with both checksums. Dumps show it even when it is damaged; everything that acts on it
/// calls [`trusted`](Unverified::trusted) first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unverified<T> {
    /// The checksum that is in the header.
    pub stored_checksum: u32,
    /// The checksum of the bytes that were read.
    pub computed_checksum: u32,
    value: T,
}

impl<T> Unverified<T> {
    pub(super) fn new(stored_checksum: u32, computed_checksum: u32, value: T) -> Self {
        Unverified {
            stored_checksum,
            computed_checksum,
            value,
        }
    }

    /// Whether the checksum holds.
    pub fn is_intact(&self) -> bool {
        self.stored_checksum == self.computed_checksum
    }

    /// The value, if its checksum holds.
    pub fn trusted(&self) -> Option<&T> {
        self.is_intact().then_some(&self.value)
    }

    /// The value whatever its checksum, for showing.
    pub fn as_read(&self) -> &T {
        &self.value
    }

    /// The value by itself, if its checksum holds; otherwise the whole again.
    pub fn into_trusted(self) -> Result<T, Self> {
        if self.is_intact() {
            Ok(self.value)
        } else {
            Err(self)
        }
    }
}
