//! Redo against the engine's own pages: each stream is replayed from nothing, and whenever a page reaches the dbtime
//! that the same page has in one of the engine's files, the two must be the same page.

mod support;

use rayon::prelude::*;
use support::history::{History, Snapshots};

/// Sets whose stream does not begin with the creation of its databases.
const NOT_FROM_NOTHING: [&str; 2] = ["backup-p8k", "circ-p4k"];

#[test]
fn every_page_of_every_set_has_the_engine_s_history() {
    let only = std::env::var("EDBKIT_SETS").unwrap_or_default();
    let names: Vec<String> = ese_testkit::fixtures::engine_set_names()
        .into_iter()
        .filter(|name| !NOT_FROM_NOTHING.contains(&name.as_str()) && name.contains(&only))
        .collect();
    let results: Vec<_> = names
        .par_iter()
        .map(|name| (name, replay_set(name)))
        .collect();
    let mut failed = Vec::new();
    let (mut met, mut missed, mut end) = (0, 0, 0);
    for (name, result) in results {
        println!("{name}: {result}");
        met += result.met;
        missed += result.unmet.len();
        end += result.compared_at_end;
        if !result.is_good() {
            failed.push(name);
        }
    }
    println!("{met} pages of the engine met, {missed} not; {end} compared at the end of recovery");
    if only.is_empty() {
        // Pages in use in all of the engine's files of these sets, each counted once per file; pages of all recovered ones.
        let (in_use, recovered) = ese_testkit::fixtures::either((41_369, 16_694), (9_241, 3_904));
        assert!(met >= in_use, "only {met} pages were met");
        assert!(
            end >= recovered,
            "only {end} pages were compared at the end"
        );
    }
    assert!(failed.is_empty(), "sets with differences: {failed:?}");
}

fn replay_set(name: &str) -> History {
    let folder = ese_testkit::fixtures::engine_set(name);
    let snapshots = Snapshots::of(&folder);
    let mut history = History::new(snapshots);
    history.replay(&folder);
    history
}
