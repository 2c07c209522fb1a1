//! Cases: `edbtool collect`, and what it leaves.

use crate::common::{command, documents, exit, stderr};
use ese_testkit::fixtures;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Runs `edbtool collect`; its exit code and its answer.
pub(crate) fn collect(paths: &[&Path], to: &Path, more: &[&str]) -> (i32, Value) {
    let mut run = command("edbtool");
    run.args(["collect", "--json"])
        .args(paths)
        .arg("--to")
        .arg(to)
        .args(more);
    let output = run.output().unwrap();
    let answer = documents(&output).pop();
    let answer = answer.unwrap_or_else(|| panic!("no answer: {}", stderr(&output)));
    (exit(&output), answer)
}

pub(crate) fn manifest(case: &Path) -> Value {
    serde_json::from_slice(&fs::read(case.join("manifest.json")).unwrap()).unwrap()
}

/// The files of a case but its manifest, by digest; the manifest without what tells of runs.
pub(crate) fn content(case: &Path) -> (BTreeMap<PathBuf, String>, Value) {
    let files = fixtures::files_below(case).into_iter();
    let files = files.filter(|path| !path.ends_with("manifest.json"));
    let files = files.map(|path| {
        let digest = Sha256::digest(fs::read(&path).unwrap());
        let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        (path.strip_prefix(case).unwrap().to_owned(), digest)
    });
    let mut account = manifest(case);
    for of_runs in ["runs", "finished"] {
        account.as_object_mut().unwrap().remove(of_runs).unwrap();
    }
    (files.collect(), account)
}

pub(crate) fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
