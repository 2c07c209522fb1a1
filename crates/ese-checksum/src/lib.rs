//! The checksums of ESE: headers, database pages, log segments, flush map pages.
//!
//! Three schemes exist (`checksum/checksum.cxx`, `ese/_osu/checksumu.cxx` of the reference); none of them is a CRC:
//!
//! | scheme | where | covers | can correct |
//! |---|---|---|---|
//! | XOR | headers of databases, logs, checkpoints; pages before the ECC format | 4 bytes; a page adds its number in the next 4 | nothing |
//! | XOR + ECC | pages up to 8 KiB, log segments, flush map pages | 8 bytes | one flipped bit |
//! | four blocks of XOR + ECC | 16 and 32 KiB pages | 8 bytes for each quarter | one flipped bit in each quarter |
//!
//! The sums are at the start of what they cover and leave themselves out. A page says in bit 13 of its flags (byte
//! offset 36) whether it uses ECC; the page number is mixed into the XOR half, so that a page read from the wrong
//! place fails.
//!
//! The ECC half is a position code. For every set bit of the block take its index (bit 0 of byte 0 is 0) and XOR
//! these indexes: that is the low 16 bits. The high 16 bits are the XOR of the complemented indexes. When one bit
//! flips, both halves change by that bit's index and its complement, and so point at it.
//!
//! ```
//! use ese_checksum::{ChecksumVerdict, PageBytes, seal_page, verify_page};
//!
//! let mut page = vec![0; 8192];
//! page[100] = 7;
//! seal_page(&mut page, 42);
//! let verdict = |page: &[u8], pgno| verify_page(PageBytes::new(page).unwrap(), pgno);
//! assert_eq!(verdict(&page, 42), ChecksumVerdict::Good);
//! // Read from the wrong place, it fails; so it does with a changed bit.
//! assert_ne!(verdict(&page, 43), ChecksumVerdict::Good);
//! page[100] ^= 1;
//! assert_ne!(verdict(&page, 42), ChecksumVerdict::Good);
//! ```

#![deny(unsafe_code)]

mod ecc;
mod page;

pub use page::{
    ChecksumScheme, ChecksumVerdict, PageBytes, PageChecksum, correct, is_blank, seal_page,
    verify_page,
};

/// The seed of the XOR checksum (`ChecksumOldFormat`).
const XOR_SEED: u32 = 0x89ab_cdef;

/// The XOR checksum of a header or old-format page: all 32-bit words but the first, seeded.
///
/// The length should be a multiple of four; an incomplete last word is not covered.
pub fn header_checksum(bytes: &[u8]) -> u32 {
    XOR_SEED ^ ecc::xor_words(bytes.get(4..).unwrap_or(&[]))
}

/// The checksum stored in the first four bytes of a header; 0 when there are none.
pub fn stored_header_checksum(bytes: &[u8]) -> u32 {
    bytes
        .first_chunk()
        .map_or(0, |word| u32::from_le_bytes(*word))
}

/// The XOR + ECC checksum of one block (`ChecksumNewFormat`).
///
/// `salt` is the page number (0 for none). `holds_checksum` says that the first eight bytes of the block are the
/// place of the checksum itself and count as zero. Blocks are 1 to 8 KiB and a power of two in size.
///
/// # Panics
///
/// When the block has another size.
pub fn block_checksum(block: &[u8], salt: u32, holds_checksum: bool) -> u64 {
    assert!(
        block.len().is_power_of_two() && (1024..=8192).contains(&block.len()),
        "a checksum block is 1 to 8 KiB and a power of two, not {} bytes",
        block.len()
    );
    let own = if holds_checksum {
        block
            .first_chunk()
            .map_or(0, |qword| u64::from_le_bytes(*qword))
    } else {
        0
    };
    ecc::checksum(block, ecc::Terms { own, salt })
}

/// The bit whose flip alone explains the difference between two checksums of a block of `size` bytes.
///
/// `None` when no single bit does (`FECCErrorIsCorrectable`): the XOR half must differ in exactly one bit too.
pub fn flipped_bit(size: usize, stored: u64, computed: u64) -> Option<usize> {
    let difference = stored ^ computed;
    let (ecc, xor) = ((difference >> 32) as u32, difference as u32);
    let mask = (size as u32).wrapping_shl(3).wrapping_sub(1);
    let complementary = ((ecc >> 16) ^ ecc) & mask & 0xffff == mask & 0xffff;
    let bit = (ecc & 0xffff) as usize;
    (xor.count_ones() == 1 && complementary && bit < size * 8).then_some(bit)
}
