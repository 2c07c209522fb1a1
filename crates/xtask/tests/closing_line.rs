//! The last line of a test run: which tests were left out, since they need more than every machine has.
//!
//! Such a test says what it needs: `#[ignore = "needs nginx"]`. This target has no harness and is the last one that
//! `cargo test --workspace` runs: `xtask` is the last package, and the libraries have no doc tests.

use ese_testkit::fixtures::{files_below, repository};
use std::collections::BTreeMap;
use std::fs;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Whoever asks for single tests, or for those, knows.
    let all = std::env::args()
        .skip(1)
        .all(|argument| argument == "--nocapture");
    if !all {
        return ExitCode::SUCCESS;
    }
    let mut needs = BTreeMap::new();
    for folder in ["tests", "crates", "src"] {
        for file in files_below(&repository().join(folder)) {
            if file.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&file).expect("sources are text");
                for need in text.lines().filter_map(need) {
                    *needs.entry(need.to_owned()).or_insert(0) += 1;
                }
            }
        }
    }
    let count: usize = needs.values().sum();
    let needs: Vec<String> = needs.into_keys().collect();
    println!(
        "{count} tests need more than this machine has to have ({}): `.ci/run` runs them, and `.ci/full` those that take long",
        needs.join("; ")
    );
    ExitCode::SUCCESS
}

/// What the test that is left out by this line needs.
fn need(line: &str) -> Option<&str> {
    line.trim()
        .strip_prefix("#[ignore = \"needs ")?
        .strip_suffix("\"]")
}
