//! Little-endian numbers in bytes.

/// Little-endian numbers at an offset of bytes that may be too short.
pub(crate) trait Bytes {
    /// `N` bytes at `offset`, if they are there.
    fn array<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// The number of two bytes at `offset`.
    fn u16(&self, offset: usize) -> Option<u16> {
        self.array(offset).map(u16::from_le_bytes)
    }

    /// The number of four bytes at `offset`.
    fn u32(&self, offset: usize) -> Option<u32> {
        self.array(offset).map(u32::from_le_bytes)
    }

    /// The number of eight bytes at `offset`.
    fn u64(&self, offset: usize) -> Option<u64> {
        self.array(offset).map(u64::from_le_bytes)
    }
}

impl Bytes for [u8] {
    fn array<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.get(offset..)?.first_chunk().copied()
    }
}

/// The number of two bytes at `at`, within a structure of fixed size.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes_at(bytes, at))
}

/// The number of four bytes at `at`, likewise.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes_at(bytes, at))
}

/// The number of eight bytes at `at`, likewise.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes_at(bytes, at))
}

/// `N` bytes at `at`, likewise.
pub(crate) fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|index| bytes[at + index])
}
