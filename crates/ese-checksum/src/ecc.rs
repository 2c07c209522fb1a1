//! The sums of the ECC checksum, computed over whole vectors.
//!
//! A block is cut into rows as wide as a vector register. XORing all rows leaves one row of column parities, from which the
//! index bits inside a row follow. The index bits above come from XORing only the rows whose number has that bit
//! set. Rows are taken eight at a time, so that the three lowest of those sums share their work; what is left costs
//! about two XORs a row.
//!
//! The same generic code is compiled once for any processor and once for each wider vector unit; which one runs is
//! decided at run time. On AArch64 the code for any processor already uses NEON.

/// What a checksum is computed of besides the bytes of the block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// The stored checksum in the first eight bytes, which counts as zero; 0 where the block holds none.
    pub(crate) own: u64,
    /// The page number.
    pub(crate) salt: u32,
}

/// What one pass over a block yields.
#[derive(Clone, Copy)]
struct Parity {
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
const GROUPS_MAX: usize = 32;

/// Completes a checksum after one pass over a block of `size` bytes.
#[inline(always)]
fn assemble(parity: Parity, size: usize, terms: Terms) -> u64 {
    let columns = parity.columns ^ terms.own;
    let mut positions = parity.positions;
    for (bit, mask) in COLUMN_MASKS.iter().enumerate() {
        positions |= odd(columns & mask) << bit;
    }
    let complement = positions ^ (0xffff * odd(columns));
    let mask = (size as u32) * 8 - 1;
    let ecc = (complement & mask) << 16 | positions;
    let xor = (columns ^ (columns >> 32)) as u32 ^ terms.salt;
    u64::from(ecc) << 32 | u64::from(xor)
}

#[inline(always)]
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

/// What a vector unit can do with a row of `BYTES` bytes.
trait Lanes<const BYTES: usize> {
    /// A row in the unit's registers.
    type Row: Copy;
    /// A row of zeros.
    fn zero(&self) -> Self::Row;
    /// The row in some bytes.
    fn load(&self, bytes: &[u8; BYTES]) -> Self::Row;
    /// The XOR of two rows.
    fn xor(&self, a: Self::Row, b: Self::Row) -> Self::Row;
    /// The bytes of a row.
    fn store(&self, row: Self::Row) -> [u8; BYTES];
}

/// The plain algorithm, to be inlined into a function that is compiled for the vector unit of `lanes`.
#[inline(always)]
fn checksum_by_rows<const BYTES: usize, L: Lanes<BYTES>>(
    lanes: &L,
    block: &[u8],
    terms: Terms,
) -> u64 {
    let rows = block.as_chunks::<BYTES>().0;
    let mut sums = [lanes.zero(); GROUPS_MAX];
    let mut low = [lanes.zero(); 3];
    for (sum, group) in sums.iter_mut().zip(rows.as_chunks::<8>().0) {
        *sum = add_eight(lanes, &mut low, |index| lanes.load(&group[index]));
    }
    let mut tops = [lanes.zero(); GROUPS_MAX / 8];
    let mut middle = [lanes.zero(); 3];
    for (top, group) in tops.iter_mut().zip(sums.as_chunks::<8>().0) {
        *top = add_eight(lanes, &mut middle, |index| group[index]);
    }
    let [top0, top1, top2, top3] = tops;
    let high = [lanes.xor(top1, top3), lanes.xor(top2, top3)];
    let all = lanes.xor(lanes.xor(top0, top1), high[1]);

    let words = |row: L::Row| lanes.store(row);
    let mut positions = 0;
    for (lane, word) in qwords(&words(all)).enumerate() {
        positions ^= (lane as u32 * odd(word)) << 6;
    }
    let row_bits = BYTES.trailing_zeros() + 3;
    for (bit, sum) in (row_bits..).zip(low.into_iter().chain(middle).chain(high)) {
        positions |= odd(fold(&words(sum))) << bit;
    }
    let columns = fold(&words(all));
    assemble(Parity { columns, positions }, block.len(), terms)
}

/// Adds eight rows to the sums by the three bits of their index, and returns the sum of them all.
#[inline(always)]
fn add_eight<const BYTES: usize, L: Lanes<BYTES>>(
    lanes: &L,
    sums: &mut [L::Row; 3],
    row: impl Fn(usize) -> L::Row,
) -> L::Row {
    let xor = |a, b| lanes.xor(a, b);
    let (row1, row3, row5, row7) = (row(1), row(3), row(5), row(7));
    let pair1 = xor(row(2), row3);
    let pair3 = xor(row(6), row7);
    let upper = xor(xor(row(4), row5), pair3);
    sums[0] = xor(sums[0], xor(xor(row1, row3), xor(row5, row7)));
    sums[1] = xor(sums[1], xor(pair1, pair3));
    sums[2] = xor(sums[2], upper);
    xor(xor(xor(row(0), row1), pair1), upper)
}

#[inline(always)]
fn qwords(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let (qwords, _) = bytes.as_chunks::<8>();
    qwords.iter().map(|qword| u64::from_le_bytes(*qword))
}

#[inline(always)]
fn fold(bytes: &[u8]) -> u64 {
    qwords(bytes).fold(0, |sum, qword| sum ^ qword)
}

/// Any processor: two 64-bit lanes, which the compiler puts into the vector registers that every x86-64 and AArch64
/// has.
struct Portable;

impl Lanes<32> for Portable {
    type Row = [u64; 4];
    #[inline(always)]
    fn zero(&self) -> Self::Row {
        [0; 4]
    }
    #[inline(always)]
    fn load(&self, bytes: &[u8; 32]) -> Self::Row {
        let (qwords, _) = bytes.as_chunks::<8>();
        [0, 1, 2, 3].map(|lane| u64::from_le_bytes(qwords[lane]))
    }
    #[inline(always)]
    fn xor(&self, a: Self::Row, b: Self::Row) -> Self::Row {
        [a[0] ^ b[0], a[1] ^ b[1], a[2] ^ b[2], a[3] ^ b[3]]
    }
    #[inline(always)]
    fn store(&self, row: Self::Row) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (bytes, lane) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(row) {
            *bytes = lane.to_le_bytes();
        }
        bytes
    }
}

/// The only unsafe code of edbkit's libraries: vector registers.
///
/// A value of [`Avx2`](x86::Avx2) or [`Avx512`](x86::Avx512) exists only after the check that the processor has the
/// unit, so its methods may use the unit's instructions. Loads and stores are unaligned and go through references to
/// arrays of just the size of a register.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod x86 {
    use super::{Lanes, Portable, Terms, checksum_by_rows};
    use std::arch::x86_64::{
        __m256i, __m512i, _MM_HINT_T0, _mm_prefetch, _mm256_loadu_si256, _mm256_setzero_si256,
        _mm256_storeu_si256, _mm256_xor_si256, _mm512_loadu_si512, _mm512_setzero_si512,
        _mm512_storeu_si512, _mm512_xor_si512,
    };

    /// Asks for the memory a page further on. While one block's sums are put together at its end nothing is read, and
    /// the next block would wait for its first bytes. A prefetch of an address that is not there does nothing.
    #[inline(always)]
    fn prefetch_behind(bytes: &[u8]) {
        let ahead = bytes.as_ptr().wrapping_add(4096);
        unsafe { _mm_prefetch::<_MM_HINT_T0>(ahead.cast()) }
    }

    /// Proof that the processor has AVX2 and POPCNT.
    pub(super) struct Avx2(());

    impl Avx2 {
        pub(super) fn detect() -> Option<Self> {
            let there = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt");
            there.then_some(Avx2(()))
        }

        pub(super) fn checksum(&self, block: &[u8], terms: Terms) -> u64 {
            #[target_feature(enable = "avx2,popcnt")]
            fn compiled(lanes: &Avx2, block: &[u8], terms: Terms) -> u64 {
                checksum_by_rows(lanes, block, terms)
            }
            unsafe { compiled(self, block, terms) }
        }
    }

    impl Lanes<32> for Avx2 {
        type Row = __m256i;
        #[inline(always)]
        fn zero(&self) -> __m256i {
            unsafe { _mm256_setzero_si256() }
        }
        #[inline(always)]
        fn load(&self, bytes: &[u8; 32]) -> __m256i {
            prefetch_behind(bytes);
            unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
        }
        #[inline(always)]
        fn xor(&self, a: __m256i, b: __m256i) -> __m256i {
            unsafe { _mm256_xor_si256(a, b) }
        }
        #[inline(always)]
        fn store(&self, row: __m256i) -> [u8; 32] {
            let mut bytes = [0; 32];
            unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), row) };
            bytes
        }
    }

    /// Proof that the processor has AVX-512F and POPCNT.
    pub(super) struct Avx512(());

    impl Avx512 {
        pub(super) fn detect() -> Option<Self> {
            let there = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("popcnt");
            there.then_some(Avx512(()))
        }

        pub(super) fn checksum(&self, block: &[u8], terms: Terms) -> u64 {
            #[target_feature(enable = "avx512f,popcnt")]
            fn compiled(lanes: &Avx512, block: &[u8], terms: Terms) -> u64 {
                checksum_by_rows(lanes, block, terms)
            }
            unsafe { compiled(self, block, terms) }
        }
    }

    impl Lanes<64> for Avx512 {
        type Row = __m512i;
        #[inline(always)]
        fn zero(&self) -> __m512i {
            unsafe { _mm512_setzero_si512() }
        }
        #[inline(always)]
        fn load(&self, bytes: &[u8; 64]) -> __m512i {
            prefetch_behind(bytes);
            unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
        }
        #[inline(always)]
        fn xor(&self, a: __m512i, b: __m512i) -> __m512i {
            unsafe { _mm512_xor_si512(a, b) }
        }
        #[inline(always)]
        fn store(&self, row: __m512i) -> [u8; 64] {
            let mut bytes = [0; 64];
            unsafe { _mm512_storeu_si512(bytes.as_mut_ptr().cast(), row) };
            bytes
        }
    }

    pub(super) fn checksum(block: &[u8], terms: Terms) -> u64 {
        if let Some(unit) = Avx512::detect() {
            return unit.checksum(block, terms);
        }
        if let Some(unit) = Avx2::detect() {
            return unit.checksum(block, terms);
        }
        checksum_by_rows(&Portable, block, terms)
    }
}

/// The XOR + ECC checksum of a block of 1 to 8 KiB, a power of two, by the widest vector unit there is.
pub(crate) fn checksum(block: &[u8], terms: Terms) -> u64 {
    #[cfg(target_arch = "x86_64")]
    return x86::checksum(block, terms);
    #[cfg(not(target_arch = "x86_64"))]
    checksum_by_rows(&Portable, block, terms)
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

    fn every_variant(block: &[u8], terms: Terms) -> Vec<u64> {
        let mut checksums = vec![checksum_by_rows(&Portable, block, terms)];
        #[cfg(target_arch = "x86_64")]
        {
            checksums.extend(x86::Avx2::detect().map(|unit| unit.checksum(block, terms)));
            checksums.extend(x86::Avx512::detect().map(|unit| unit.checksum(block, terms)));
        }
        checksums
    }

    fn blocks() -> impl Strategy<Value = Vec<u8>> {
        prop::sample::select(vec![1024usize, 2048, 4096, 8192])
            .prop_flat_map(|size| prop::collection::vec(any::<u8>(), size))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_vector_variant_equals_the_definition(block in blocks(), salt in any::<u32>()) {
            let (positions, set) = by_definition(&block);
            let mask = block.len() as u32 * 8 - 1;
            let ecc = ((positions ^ (0xffff * set)) & mask) << 16 | positions;
            let expected = u64::from(ecc) << 32 | u64::from(xor_words(&block) ^ salt);
            for checksum in every_variant(&block, Terms { own: 0, salt }) {
                prop_assert_eq!(checksum, expected);
            }
        }

        #[test]
        fn the_stored_checksum_counts_as_zero(block in blocks(), own in any::<[u8; 8]>()) {
            let mut zeroed = block.clone();
            zeroed[..8].fill(0);
            let mut marked = block;
            marked[..8].copy_from_slice(&own);
            let own = u64::from_le_bytes(own);
            prop_assert_eq!(
                checksum(&marked, Terms { own, salt: 7 }),
                checksum(&zeroed, Terms { own: 0, salt: 7 })
            );
        }
    }
}
