//! What the fuzzers found worth keeping, and scripts of chance, against every target.
//!
//! `EDBKIT_SCRIPTS=100000` asks for as many scripts per target as you like.

use attack::{TARGETS, attack};
use ese_testkit::fixtures::{files_below, repository};
use rayon::prelude::*;
use std::fs;

/// A generator of numbers that is the same everywhere (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

#[test]
fn every_kept_input_gives_an_answer() {
    let corpus = repository().join("fuzz/corpus");
    for (target, _) in TARGETS {
        let files = files_below(&corpus.join(target));
        assert!(!files.is_empty(), "{target} has no corpus");
        files.par_iter().for_each(|file| {
            attack(target, &fs::read(file).unwrap());
        });
    }
}

#[test]
fn scripts_of_chance_give_an_answer() {
    let asked = std::env::var("EDBKIT_SCRIPTS").ok();
    let scripts: u64 = asked.and_then(|text| text.parse().ok()).unwrap_or(100);
    for (target, _) in TARGETS {
        (0..scripts).into_par_iter().for_each(|seed| {
            let mut random = Random(seed);
            let words = 1 + random.next() % 24;
            let script: Vec<u8> = (0..words)
                .flat_map(|_| random.next().to_le_bytes())
                .collect();
            attack(target, &script);
        });
    }
}
