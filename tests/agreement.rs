//! The agreement test: whatever happened to logs and databases, all programs say the same of it, and success is true.
//!
//! Accidents happen at random to copies of engine-made sets. `logchain verify --db`, `edbreplay plan`, `run --to`,
//! `run --until-undo`, `edbtool export --with-logs`, `scr restore --dry-run` and `scr restore` are asked what a recovery
//! comes to; what they say is compared with each other, and with what the bytes allow. One law holds for all of it:
//! exit 0 means that every committed transaction is in the result.
//!
//! | variable | |
//! |---|---|
//! | `EDBKIT_ACCIDENTS` | how many (200; a campaign takes 5,000) |
//! | `EDBKIT_SEED` | the first number; each trial has its own |
//! | `EDBKIT_TRIAL` | carries out the trial of this number alone, and tells all about it |

mod common;
#[path = "agreement/judge.rs"]
mod judge;
#[path = "agreement/programs.rs"]
mod programs;
#[path = "agreement/table.rs"]
mod table;

use ese_testkit::accident::Accident;
use ese_testkit::accident::scene::{Scene, scenes};
use ese_testkit::accident::written;
use ese_testkit::random::Random;
use judge::Trial;
use rayon::prelude::*;
use table::Table;

fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number")),
    )
}

/// One trial in so many is of random work.
const WRITTEN: usize = 6;

/// The trial of this number.
fn trial(scenes: &[Scene], seed: u64) -> Trial {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let scene = match random.below(WRITTEN) {
        0 => written::scene(&mut random),
        _ => choose(scenes, &mut random),
    };
    let count = [1, 1, 1, 2][random.below(4)];
    let mut accidents = Vec::new();
    while accidents.len() < count {
        accidents.extend(Accident::by_chance(&scene, &mut random));
    }
    // What renames all files comes last: the others go by the names that there were.
    accidents.sort_by_key(Accident::renames_all);
    Trial {
        scene,
        accidents,
        seed,
    }
}

fn choose(scenes: &[Scene], random: &mut Random) -> Scene {
    let weights: Vec<usize> = scenes.iter().map(weight).collect();
    let mut left = random.below(weights.iter().sum());
    let place = weights.iter().position(|weight| {
        let found = left < *weight;
        left = left.saturating_sub(*weight);
        found
    });
    scenes[place.expect("the weights add up")].clone()
}

/// How often a scene is chosen: what is large takes long, and a database that needs nothing shows little.
fn weight(scene: &Scene) -> usize {
    let size = match scene.bytes() >> 20 {
        0..6 => 12,
        6..12 => 4,
        _ => 1,
    };
    let kind = match scene.kind {
        "newer than the logs" | "recovered" => 1,
        "dirty" | "clean" | "made from the logs" => 4,
        _ => 12,
    };
    size * kind
}

#[test]
fn all_programs_agree_about_any_accident() {
    let scenes = scenes();
    if let Some(seed) = number("EDBKIT_TRIAL") {
        let trial = trial(&scenes, seed);
        println!("{trial}");
        for finding in trial.carry_out() {
            println!("{finding}");
        }
        return;
    }
    let count = number("EDBKIT_ACCIDENTS").unwrap_or(200);
    let first = number("EDBKIT_SEED").unwrap_or(1);
    let tables = (first..first + count).into_par_iter().map(|seed| {
        let trial = trial(&scenes, seed);
        Table::of(&trial, trial.carry_out())
    });
    let table = tables.reduce(Table::default, Table::and);
    println!("{table}");
    assert!(
        table.is_clean(),
        "EDBKIT_TRIAL=NUMBER carries out one of them again"
    );
}
