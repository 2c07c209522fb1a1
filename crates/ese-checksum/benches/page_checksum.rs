//! The page checksum against a plain XOR pass over the same warm buffer, on one core.
//!
//! Prints both through criterion and, at the end, their ratio.

use criterion::{Criterion, Throughput};
use ese_checksum::{PageBytes, header_checksum, seal_page, verify_page};
use std::hint::black_box;
use std::time::Instant;

/// Larger than the caches of most cores, small enough to stay resident.
const BUFFER: usize = 64 << 20;

fn plain_xor(buffer: &[u8], page_size: usize) -> u32 {
    buffer
        .chunks_exact(page_size)
        .fold(0, |sum, page| sum ^ header_checksum(page))
}

fn checked(buffer: &[u8], page_size: usize) -> usize {
    buffer
        .chunks_exact(page_size)
        .enumerate()
        .filter(|(index, page)| {
            let page = PageBytes::new(page).expect("a page size");
            verify_page(page, *index as u32 + 1) != ese_checksum::ChecksumVerdict::Good
        })
        .count()
}

fn filled(page_size: usize) -> Vec<u8> {
    let mut buffer: Vec<u8> = (0..BUFFER as u32)
        .map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for (index, page) in buffer.chunks_exact_mut(page_size).enumerate() {
        assert!(seal_page(page, index as u32 + 1));
    }
    buffer
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for page_size in [4096, 8192, 32768] {
        let buffer = filled(page_size);
        assert_eq!(checked(&buffer, page_size), 0);
        let mut group = criterion.benchmark_group(format!("{} KiB pages", page_size >> 10));
        group.throughput(Throughput::Bytes(BUFFER as u64));
        group.bench_function("plain XOR", |bencher| {
            bencher.iter(|| black_box(plain_xor(black_box(&buffer), page_size)));
        });
        group.bench_function("verify", |bencher| {
            bencher.iter(|| black_box(checked(black_box(&buffer), page_size)));
        });
        group.finish();
        print_ratio(&buffer, page_size);
    }
    criterion.final_summary();
}

/// Alternates both sides so that a change of the machine's speed meets them alike.
fn print_ratio(buffer: &[u8], page_size: usize) {
    let mut ratios: Vec<f64> = (0..21)
        .map(|_| {
            let start = Instant::now();
            black_box(plain_xor(black_box(buffer), page_size));
            let plain = start.elapsed();
            let start = Instant::now();
            black_box(checked(black_box(buffer), page_size));
            plain.as_secs_f64() / start.elapsed().as_secs_f64()
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    println!(
        "{} KiB pages: verify runs at {:.2} of the plain XOR pass (median of {})",
        page_size >> 10,
        ratios[ratios.len() / 2],
        ratios.len()
    );
}
