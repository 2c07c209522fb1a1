//! Simulated histories.
//!
//! | variable | what |
//! |---|---|
//! | `EDBKIT_HISTORIES` | how many (100) |
//! | `EDBKIT_SEED` | the first number |
//! | `EDBKIT_HISTORY` | lives through the history of this number alone, and tells all about it |

use rayon::prelude::*;
use standby_sim::history::{Outcome, live};
use std::time::Instant;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Histories in which everything goes wrong have even numbers, calm ones odd numbers that three divides.
fn is_calm(seed: u64) -> bool {
    seed % 6 == 3
}

#[test]
fn no_history_breaks_a_law() {
    if let Some(seed) = number("EDBKIT_HISTORY") {
        let lived = live(seed, is_calm(seed));
        if let Err(violation) = &lived {
            violation
                .events
                .iter()
                .for_each(|event| println!("{event}"));
            panic!("{seed}: {}", violation.what);
        }
        println!("{lived:?}");
        return;
    }
    let count = number("EDBKIT_HISTORIES").unwrap_or(100);
    let first = number("EDBKIT_SEED").unwrap_or(1);
    let begun = Instant::now();
    let lived: Vec<(u64, Result<Outcome, String>)> = (first..first + count)
        .into_par_iter()
        .map(|seed| {
            let lived = std::panic::catch_unwind(|| live(seed, is_calm(seed)));
            let lived = match lived {
                Ok(lived) => lived.map_err(|violation| violation.what),
                Err(_) => Err("a panic".to_owned()),
            };
            (seed, lived)
        })
        .collect();
    let mut sum = Outcome::default();
    let mut failures = Vec::new();
    for (seed, lived) in &lived {
        match lived {
            Ok(outcome) => {
                sum.time += outcome.time;
                sum.killed += outcome.killed;
                sum.activated += outcome.activated;
                sum.failed_back += outcome.failed_back;
                sum.seeded += outcome.seeded;
                sum.left += outcome.left;
            }
            Err(what) => failures.push(format!("{seed}: {what}")),
        }
    }
    println!(
        "{count} histories from {first} on in {:.0} s: {} simulated days, {} killed, {} seeded, {} activated, {} failed back, {} sources went \
         another way; {} failed",
        begun.elapsed().as_secs_f64(),
        sum.time.as_hours() / 24,
        sum.killed,
        sum.seeded,
        sum.activated,
        sum.failed_back,
        sum.left,
        failures.len()
    );
    let told: Vec<String> = failures.iter().take(20).cloned().collect();
    assert!(
        failures.is_empty(),
        "EDBKIT_HISTORY=NUMBER lives through one of them again\n{}",
        told.join("\n")
    );
}
