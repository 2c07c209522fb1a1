//! What the fuzzers found worth keeping, and scripts of chance, against every target.
//!
//! `EDBKIT_SCRIPTS=100000` asks for as many scripts per target as you like.

use attack::{TARGETS, attack};
use ese_testkit::fixtures::{read_zst, repository};
use ese_testkit::random::Random;
use rayon::prelude::*;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest that any input may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The inputs in `fuzz/corpus.tar.zst`: target and bytes.
fn kept_inputs() -> Vec<(String, Vec<u8>)> {
    let archive = read_zst(&repository().join("fuzz/corpus.tar.zst"));
    let mut archive = tar::Archive::new(&archive[..]);
    let mut inputs = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        if entry.header().entry_type().is_file() {
            let target = path.parent().and_then(Path::file_name).unwrap();
            inputs.push((target.to_str().unwrap().to_owned(), bytes));
        }
    }
    inputs
}

#[test]
fn every_kept_input_gives_an_answer() {
    let inputs = kept_inputs();
    for (target, _) in TARGETS {
        let some = inputs.iter().any(|(of, _)| of == target);
        assert!(some, "{target} has no corpus");
    }
    inputs.par_iter().for_each(|(target, bytes)| {
        let begun = Instant::now();
        attack(target, bytes);
        assert!(begun.elapsed() < PATIENCE, "{target}: {bytes:02x?}");
    });
}

#[test]
fn scripts_of_chance_give_an_answer() {
    let asked = std::env::var("EDBKIT_SCRIPTS").ok();
    let scripts: u64 = asked.and_then(|text| text.parse().ok()).unwrap_or(100);
    for (target, _) in TARGETS {
        (0..scripts).into_par_iter().for_each(|seed| {
            let mut random = Random(seed);
            let words = 1 + random.number() % 24;
            let script: Vec<u8> = (0..words)
                .flat_map(|_| random.number().to_le_bytes())
                .collect();
            attack(target, &script);
        });
    }
}
