//! The sums behind the ECC checksum, computed over whole vectors.
//!
//! A block is cut into rows of `N` 64-bit lanes. XORing all rows leaves one row of column parities, from which the
//! index bits inside a row follow. The index bits above come from XORing only the rows whose number has that bit
//! set. Rows are taken eight at a time, so that the three lowest of those sums share their work; what is left costs
//! about two XORs a row.
//!
//! The same generic code is compiled once for the baseline processor and once for each wider vector unit; which one
//! runs is decided at run time. On AArch64 the baseline already is NEON.

/// What one pass over a block yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parity {
    /// XOR of all 64-bit words.
    columns: u64,
    /// XOR of the indexes of all set bits, without its six lowest bits.
    positions: u32,
}

/// Index bits inside a 64-bit word: for each, the columns whose number has it set.
const COLUMN_MASKS: [u64; 6] = [
    0xaaaa_aaaa_aaaa_aaaa,
    0xcccc_cccc_cccc_cccc,
    0xf0f0_f0f0_f0f0_f0f0,
    0xff00_ff00_ff00_ff00,
    0xffff_0000_ffff_0000,
    0xffff_ffff_0000_0000,
];

/// The largest block is 8 KiB: 32 groups of eight 32-byte rows.
const GROUP_BITS: usize = 5;

/// Completes a checksum from one pass over the block; `own` is the stored checksum in it, which counts as zero.
pub(crate) fn assemble(parity: Parity, own: u64, size: usize, salt: u32) -> u64 {
    let columns = parity.columns ^ own;
    let mut positions = parity.positions;
    for (bit, mask) in COLUMN_MASKS.iter().enumerate() {
        positions |= odd(columns & mask) << bit;
    }
    let complement = positions ^ (0xffff * odd(columns));
    let mask = (size as u32) * 8 - 1;
    let ecc = (complement & mask) << 16 | positions;
    let xor = (columns ^ (columns >> 32)) as u32 ^ salt;
    u64::from(ecc) << 32 | u64::from(xor)
}

fn odd(word: u64) -> u32 {
    word.count_ones() & 1
}

/// XOR of all whole little-endian 32-bit words.
pub(crate) fn xor_words(bytes: &[u8]) -> u32 {
    let (qwords, rest) = bytes.as_chunks::<8>();
    let wide = qwords
        .iter()
        .fold(0, |sum, qword| sum ^ u64::from_le_bytes(*qword));
    let tail = rest
        .first_chunk()
        .map_or(0, |word| u32::from_le_bytes(*word));
    (wide ^ (wide >> 32)) as u32 ^ tail
}

/// One pass over a block of 1 to 8 KiB.
pub(crate) fn position_parity(block: &[u8]) -> Parity {
    dispatch::position_parity(block)
}

type Row<const N: usize> = [u64; N];

#[inline(always)]
fn xor<const N: usize>(a: Row<N>, b: Row<N>) -> Row<N> {
    let mut sum = a;
    for (lane, other) in sum.iter_mut().zip(b) {
        *lane ^= other;
    }
    sum
}

#[inline(always)]
fn load<const N: usize>(bytes: &[u8]) -> Row<N> {
    let mut row = [0; N];
    for (lane, qword) in row.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *lane = u64::from_le_bytes(*qword);
    }
    row
}

/// The plain algorithm for rows of `N` lanes, to be compiled for several vector units.
#[inline(always)]
fn fold_rows<const N: usize>(block: &[u8]) -> Parity {
    let row_bytes = N * 8;
    let mut all = [0; N];
    let mut low = [[0; N]; 3];
    let mut high = [[0; N]; GROUP_BITS];
    for (number, group) in block.chunks_exact(row_bytes * 8).enumerate() {
        let row = |index: usize| load::<N>(&group[index * row_bytes..(index + 1) * row_bytes]);
        let (row1, row3, row5, row7) = (row(1), row(3), row(5), row(7));
        let pair0 = xor(row(0), row1);
        let pair1 = xor(row(2), row3);
        let pair2 = xor(row(4), row5);
        let pair3 = xor(row(6), row7);
        low[0] = xor(low[0], xor(xor(row1, row3), xor(row5, row7)));
        low[1] = xor(low[1], xor(pair1, pair3));
        let upper = xor(pair2, pair3);
        low[2] = xor(low[2], upper);
        let whole = xor(xor(pair0, pair1), upper);
        all = xor(all, whole);
        for (bit, sum) in high.iter_mut().enumerate() {
            if number >> bit & 1 == 1 {
                *sum = xor(*sum, whole);
            }
        }
    }

    let row_bits = row_bytes.trailing_zeros() + 3;
    let mut positions = 0;
    for (lane, word) in all.iter().enumerate() {
        positions ^= (lane as u32 * odd(*word)) << 6;
    }
    for (bit, sum) in (0..).zip(low.iter().chain(&high)) {
        let total = sum.iter().fold(0, |total, word| total ^ word);
        positions |= odd(total) << (row_bits + bit);
    }
    Parity {
        columns: all.iter().fold(0, |total, word| total ^ word),
        positions,
    }
}

#[cfg(target_arch = "x86_64")]
mod dispatch {
    use super::{Parity, fold_rows};

    #[target_feature(enable = "avx2")]
    fn avx2(block: &[u8]) -> Parity {
        fold_rows::<4>(block)
    }

    #[target_feature(enable = "avx512f")]
    fn avx512(block: &[u8]) -> Parity {
        fold_rows::<8>(block)
    }

    /// The only unsafe code: a function compiled for a vector unit may only be called where that unit exists, and
    /// the line above each call has just asked the processor.
    #[allow(unsafe_code)]
    pub(super) fn position_parity(block: &[u8]) -> Parity {
        if is_x86_feature_detected!("avx512f") {
            return unsafe { avx512(block) };
        }
        if is_x86_feature_detected!("avx2") {
            return unsafe { avx2(block) };
        }
        fold_rows::<4>(block)
    }

    #[cfg(test)]
    #[allow(unsafe_code)]
    pub(super) fn every_variant(block: &[u8]) -> Vec<Parity> {
        let mut variants = vec![fold_rows::<4>(block), fold_rows::<8>(block)];
        if is_x86_feature_detected!("avx2") {
            variants.push(unsafe { avx2(block) });
        }
        if is_x86_feature_detected!("avx512f") {
            variants.push(unsafe { avx512(block) });
        }
        variants
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod dispatch {
    use super::{Parity, fold_rows};

    pub(super) fn position_parity(block: &[u8]) -> Parity {
        fold_rows::<4>(block)
    }

    #[cfg(test)]
    pub(super) fn every_variant(block: &[u8]) -> Vec<Parity> {
        vec![fold_rows::<4>(block), fold_rows::<8>(block)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, bit by bit.
    fn by_definition(block: &[u8]) -> (u32, u32) {
        let mut positions = 0;
        let mut set = 0;
        for (index, byte) in block.iter().enumerate() {
            for bit in 0..8 {
                if byte >> bit & 1 == 1 {
                    positions ^= (index * 8 + bit) as u32;
                    set ^= 1;
                }
            }
        }
        (positions, set)
    }

    fn blocks() -> impl Strategy<Value = Vec<u8>> {
        prop::sample::select(vec![1024usize, 2048, 4096, 8192])
            .prop_flat_map(|size| prop::collection::vec(any::<u8>(), size))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_vector_variant_equals_the_definition(block in blocks()) {
            let (positions, set) = by_definition(&block);
            for parity in dispatch::every_variant(&block) {
                let checksum = assemble(parity, 0, block.len(), 0);
                let ecc = (checksum >> 32) as u32;
                prop_assert_eq!(ecc & 0xffff, positions);
                let mask = block.len() as u32 * 8 - 1;
                prop_assert_eq!(ecc >> 16, (positions ^ (0xffff * set)) & mask);
                prop_assert_eq!(checksum as u32, xor_words(&block));
            }
        }

        #[test]
        fn the_stored_checksum_counts_as_zero(block in blocks(), own in any::<[u8; 8]>()) {
            let mut zeroed = block.clone();
            zeroed[..8].fill(0);
            let expected = assemble(position_parity(&zeroed), 0, block.len(), 7);
            let mut marked = block;
            marked[..8].copy_from_slice(&own);
            let actual = assemble(
                position_parity(&marked),
                u64::from_le_bytes(own),
                marked.len(),
                7,
            );
            prop_assert_eq!(actual, expected);
        }
    }
}
