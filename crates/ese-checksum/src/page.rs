//! The checksum of a whole database page, or of anything laid out like one (log segments, flush map pages).
//!
//! ```text
//! offset   0            36             40 .. 64                64
//!          | checksum   | page flags   | checksums of blocks   | page number |
//!            8 bytes      bit 13: ECC    2, 3, 4 (16/32 KiB)     (16/32 KiB)
//! ```

use crate::{block_checksum, flipped_bit, header_checksum};

/// Largest page that is covered by one block.
const SMALL_PAGE_MAX: usize = 8192;
/// Where the page flags stand.
const FLAGS_OFFSET: usize = 36;
/// The flag that says that the page uses ECC (`fPageNewChecksumFormat`).
const ECC_FLAG: u32 = 0x2000;
/// The bit of the block that holds that flag. A correction never flips it: it decides how to check.
const ECC_FLAG_BIT: usize = FLAGS_OFFSET * 8 + 13;
/// Where the checksums of the second to fourth block of a large page stand.
const MORE_CHECKSUMS_OFFSET: usize = 40;

/// How a page is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChecksumScheme {
    /// XOR and page number: the format before ECC.
    Xor,
    /// XOR and ECC over the whole page.
    Ecc,
    /// XOR and ECC over each of four blocks.
    FourBlockEcc,
}

/// The checksum of a page: eight bytes for each block; the last three are zero unless the page has four blocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PageChecksum(pub [u64; 4]);

/// As dumps print it: one or four 64-bit numbers.
impl std::fmt::Display for PageChecksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#018x}", self.0[0])?;
        if self.0[1..].iter().any(|sum| *sum != 0) {
            for sum in &self.0[1..] {
                write!(f, ":{sum:#018x}")?;
            }
        }
        Ok(())
    }
}

/// What checking a page says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChecksumVerdict {
    /// The checksum fits.
    Good,
    /// Single flipped bits explain the difference; [`correct`] flips them back.
    Correctable {
        /// Bit offsets from the start of the page, ascending.
        bits: Vec<usize>,
        /// What the page says.
        stored: PageChecksum,
        /// What its bytes give.
        computed: PageChecksum,
    },
    /// The page is damaged, or is another page.
    Bad {
        /// What the page says.
        stored: PageChecksum,
        /// What its bytes give.
        computed: PageChecksum,
        /// The page number under which the bytes would be a good page, where there is one.
        fits_page: Option<u32>,
    },
}

/// A page image of a size that ESE knows: 2, 4, 8, 16 or 32 KiB.
#[derive(Debug, Clone, Copy)]
pub struct PageBytes<'a>(&'a [u8]);

impl<'a> PageBytes<'a> {
    /// Takes `bytes` as a page; `None` if no page has that size.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        (bytes.len().is_power_of_two() && (2048..=32768).contains(&bytes.len()))
            .then_some(PageBytes(bytes))
    }

    /// How the page is checked, by its size and its flags.
    pub fn scheme(self) -> ChecksumScheme {
        let flags = u32_at(self.0, FLAGS_OFFSET);
        match (flags & ECC_FLAG != 0, self.0.len() > SMALL_PAGE_MAX) {
            (false, _) => ChecksumScheme::Xor,
            (true, false) => ChecksumScheme::Ecc,
            (true, true) => ChecksumScheme::FourBlockEcc,
        }
    }

    /// The checksum that the page carries.
    pub fn stored(self) -> PageChecksum {
        let mut sums = [u64_at(self.0, 0), 0, 0, 0];
        if self.0.len() > SMALL_PAGE_MAX {
            for (index, sum) in sums[1..].iter_mut().enumerate() {
                *sum = u64_at(self.0, MORE_CHECKSUMS_OFFSET + index * 8);
            }
        }
        PageChecksum(sums)
    }

    /// The checksum that the page should carry as page `pgno`.
    pub fn computed(self, pgno: u32) -> PageChecksum {
        if self.scheme() == ChecksumScheme::Xor {
            let sum = u64::from(pgno) << 32 | u64::from(header_checksum(self.0));
            return PageChecksum([sum, 0, 0, 0]);
        }
        let mut sums = [0; 4];
        for (index, (sum, block)) in sums.iter_mut().zip(self.blocks()).enumerate() {
            *sum = block_checksum(block, pgno, index == 0);
        }
        PageChecksum(sums)
    }

    fn blocks(self) -> std::slice::ChunksExact<'a, u8> {
        self.0.chunks_exact(block_size(self.0.len()))
    }
}

fn block_size(page_size: usize) -> usize {
    if page_size > SMALL_PAGE_MAX {
        page_size / 4
    } else {
        page_size
    }
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    bytes[offset..]
        .first_chunk()
        .map_or(0, |word| u32::from_le_bytes(*word))
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    bytes[offset..]
        .first_chunk()
        .map_or(0, |qword| u64::from_le_bytes(*qword))
}

/// Whether every byte is zero: the page was never initialised.
pub fn is_blank(page: &[u8]) -> bool {
    let (blocks, rest) = page.as_chunks::<64>();
    blocks.iter().all(|block| *block == [0; 64]) && rest.iter().all(|byte| *byte == 0)
}

/// Checks a page that was read as page `pgno` (0 for what has no number, such as a log segment).
pub fn verify_page(page: PageBytes<'_>, pgno: u32) -> ChecksumVerdict {
    let stored = page.stored();
    let computed = page.computed(pgno);
    if page.scheme() == ChecksumScheme::Xor {
        // Large pages of the old format would not carry the sums of further blocks.
        if stored.0[0] == computed.0[0] {
            return ChecksumVerdict::Good;
        }
        let same_sum = stored.0[0] as u32 == computed.0[0] as u32;
        return ChecksumVerdict::Bad {
            stored,
            computed,
            fits_page: same_sum.then_some((stored.0[0] >> 32) as u32),
        };
    }
    if stored == computed {
        return ChecksumVerdict::Good;
    }
    match flipped_bits(page.0.len(), stored, computed) {
        Some(bits) => ChecksumVerdict::Correctable {
            bits,
            stored,
            computed,
        },
        None => ChecksumVerdict::Bad {
            stored,
            computed,
            fits_page: other_page(page, stored, computed, pgno),
        },
    }
}

/// The single bit of each block that explains the difference; `None` when some block has no such bit.
///
/// A flipped bit in the stored sum of a later block shows in the header block, which covers those sums: it is taken
/// back there before that block is judged (`TryFixPage`, `ese/_osu/checksumu.cxx`).
fn flipped_bits(
    page_size: usize,
    mut stored: PageChecksum,
    computed: PageChecksum,
) -> Option<Vec<usize>> {
    let size = block_size(page_size);
    let mut bits = Vec::new();
    for index in 0..page_size / size {
        if stored.0[index] == computed.0[index] {
            continue;
        }
        let bit = flipped_bit(size, stored.0[index], computed.0[index])?;
        if index == 0 {
            if bit == ECC_FLAG_BIT {
                return None;
            }
            let in_sums = bit.wrapping_sub(MORE_CHECKSUMS_OFFSET * 8);
            if page_size > SMALL_PAGE_MAX && in_sums < 3 * 64 {
                stored.0[1 + in_sums / 64] ^= 1 << (in_sums % 64);
            }
        }
        bits.push(index * size * 8 + bit);
    }
    Some(bits)
}

/// The page number that would make every block right: the ECC halves all fit and the XOR halves differ alike.
fn other_page(
    page: PageBytes<'_>,
    stored: PageChecksum,
    computed: PageChecksum,
    pgno: u32,
) -> Option<u32> {
    let difference = stored.0[0] ^ computed.0[0];
    let blocks = page.blocks().len();
    let alike = (0..blocks).all(|index| stored.0[index] ^ computed.0[index] == difference);
    (alike && difference >> 32 == 0).then_some(pgno ^ difference as u32)
}

/// Flips back the bits that [`verify_page`] found.
pub fn correct(page: &mut [u8], bits: &[usize]) {
    for bit in bits {
        if let Some(byte) = page.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
        }
    }
}

/// Writes the right checksum into a page that is to be stored as page `pgno`, in the ECC format.
///
/// Returns `false`, and changes nothing, when no page has that size.
pub fn seal_page(page: &mut [u8], pgno: u32) -> bool {
    if PageBytes::new(page).is_none() {
        return false;
    }
    page[FLAGS_OFFSET + 1] |= (ECC_FLAG >> 8) as u8;
    if page.len() > SMALL_PAGE_MAX {
        // The header block covers the sums of the others: they come first.
        let size = block_size(page.len());
        for index in 1..4 {
            let sum = block_checksum(&page[index * size..(index + 1) * size], pgno, false);
            let at = MORE_CHECKSUMS_OFFSET + (index - 1) * 8;
            page[at..at + 8].copy_from_slice(&sum.to_le_bytes());
        }
    }
    let size = block_size(page.len());
    let sum = block_checksum(&page[..size], pgno, true);
    page[..8].copy_from_slice(&sum.to_le_bytes());
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sealed_pages() -> impl Strategy<Value = (Vec<u8>, u32)> {
        (
            prop::sample::select(vec![2048usize, 4096, 8192, 16384, 32768]),
            any::<u64>(),
            1..u32::MAX,
        )
            .prop_map(|(size, seed, pgno)| {
                let mut state = seed | 1;
                let mut page: Vec<u8> = (0..size)
                    .map(|_| {
                        state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
                        (state >> 56) as u8
                    })
                    .collect();
                assert!(seal_page(&mut page, pgno));
                (page, pgno)
            })
    }

    fn verdict(page: &[u8], pgno: u32) -> ChecksumVerdict {
        verify_page(PageBytes::new(page).unwrap(), pgno)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn a_sealed_page_is_good_under_its_own_number_only((page, pgno) in sealed_pages(), other in 1..u32::MAX) {
            prop_assert_eq!(verdict(&page, pgno), ChecksumVerdict::Good);
            prop_assume!(other != pgno);
            // A number that differs in one bit looks like a flipped bit to no half of the code.
            match verdict(&page, other) {
                ChecksumVerdict::Bad { fits_page, .. } => prop_assert_eq!(fits_page, Some(pgno)),
                verdict => prop_assert!(false, "page {pgno} read as {other} is {verdict:?}"),
            }
        }

        #[test]
        fn one_flipped_bit_is_found_and_corrected((page, pgno) in sealed_pages(), at in any::<prop::sample::Index>()) {
            let bit = at.index(page.len() * 8);
            let mut damaged = page.clone();
            correct(&mut damaged, &[bit]);
            match verdict(&damaged, pgno) {
                ChecksumVerdict::Correctable { bits, .. } => {
                    prop_assert!(bits.contains(&bit));
                    correct(&mut damaged, &bits);
                    prop_assert_eq!(damaged, page);
                }
                // The bits of a sum itself, and the flag that chooses the scheme, cannot be distinguished from worse
                // damage.
                ChecksumVerdict::Bad { .. } => prop_assert!(bit < 64 || bit == ECC_FLAG_BIT, "bit {bit}"),
                ChecksumVerdict::Good => prop_assert!(false, "bit {bit} went unnoticed"),
            }
        }

        #[test]
        fn two_flipped_bits_in_a_block_are_never_good((page, pgno) in sealed_pages(), a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>()) {
            let size = page.len().min(4096) * 8;
            let (a, b) = (a.index(size), b.index(size));
            prop_assume!(a != b);
            let mut damaged = page;
            correct(&mut damaged, &[a, b]);
            prop_assert_ne!(verdict(&damaged, pgno), ChecksumVerdict::Good);
        }
    }
}
