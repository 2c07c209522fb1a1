//! Random cases by the thousand, each of which follows from its number alone.
//!
//! | variable | what |
//! |---|---|
//! | `EDBKIT_CASES` | how many |
//! | `EDBKIT_SEED` | the number of the first (1) |
//! | `EDBKIT_CASE` | plays the case of this number alone |

use crate::random::Random;
use rayon::prelude::*;
use std::any::Any;
use std::ops::AddAssign;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// Failures that are told; the others are counted.
const TOLD: usize = 20;

/// What a variable says, if it is set.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

/// Plays `usual` cases, or as many as are asked for, and adds up what they came to. Fails with the number and the words of
/// those that went wrong, also by a panic.
pub fn play<T: Default + AddAssign + Send>(
    usual: u64,
    case: impl Fn(u64) -> Result<T, String> + Sync,
) -> T {
    let (first, count) = match number("EDBKIT_CASE") {
        Some(alone) => (alone, 1),
        None => {
            let count = number("EDBKIT_CASES").unwrap_or(usual);
            (number("EDBKIT_SEED").unwrap_or(1), count)
        }
    };
    let begun = Instant::now();
    let played: Vec<(u64, Result<T, String>)> = (first..first + count)
        .into_par_iter()
        .map(|number| {
            let played = catch_unwind(AssertUnwindSafe(|| case(number)));
            (number, played.unwrap_or_else(|panic| Err(words(&*panic))))
        })
        .collect();
    let mut sum = T::default();
    let mut failures = Vec::new();
    for (number, played) in played {
        match played {
            Ok(came_to) => sum += came_to,
            Err(what) => failures.push(format!("EDBKIT_CASE={number}: {what}")),
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("{count} cases from {first} on in {seconds:.0} s");
    let told = failures.iter().take(TOLD).cloned().collect::<Vec<_>>();
    assert!(
        failures.is_empty(),
        "{} of {count} cases failed:\n{}",
        failures.len(),
        told.join("\n")
    );
    sum
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("a panic: {}", text.unwrap_or("without words"))
}

/// How a run is cut off.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    /// The call at which it is.
    pub call: u64,
    /// Whether the machine runs on, so that nothing is lost. Else the power goes.
    pub only_killed: bool,
}

/// Runs of a command that are cut off one after the other, at most.
const CUT_OFF_MOST: usize = 5;

/// The first run is cut off at this call; perhaps the next one is, too, and the one after that.
pub fn cuts_from(call: u64, random: &mut Random) -> Vec<Cut> {
    let mut cuts = Vec::new();
    let mut next = Some(call);
    while let Some(call) = next {
        let only_killed = random.below(5) == 0;
        cuts.push(Cut { call, only_killed });
        let again = random.below(3) == 0 && cuts.len() < CUT_OFF_MOST;
        next = again.then(|| 1 + random.below(60) as u64);
    }
    cuts
}

/// The process is killed at one call, and the power goes at another one of the next run: what the first had not synced
/// goes with it.
pub fn killed_then_cut_off(killed: u64, cut_off: u64) -> [Cut; 2] {
    [(killed, true), (cut_off, false)].map(|(call, only_killed)| Cut { call, only_killed })
}
