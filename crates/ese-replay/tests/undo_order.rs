//! Undo against the engine's own: the undo records in the log that its recovery wrote name session, operation, page,
//! line and dbtime of every step; ours must be the same, in the same order. The pages must then be the recovered ones.

mod support;

use ese_format::record::{Operation, Record};
use ese_format::{Dbtime, Generation, Pgno, ProcId};
use rayon::prelude::*;
use std::path::Path;
use support::history::{History, Snapshots};
use support::streams;

/// Sets whose stream does not begin with the creation of its databases, or whose recovery gave logs up.
const LEFT_OUT: [&str; 3] = ["backup-p8k", "circ-p4k", "lossy-p8k"];

type Step = (ProcId, u32, Operation, Pgno, usize, Dbtime);

#[test]
fn rows_are_undone_in_the_engine_s_order() {
    let names = ese_testkit::fixtures::engine_set_names();
    let names: Vec<&String> = names
        .iter()
        .filter(|name| !LEFT_OUT.contains(&name.as_str()))
        .collect();
    let results: Vec<(usize, Vec<String>)> = names.par_iter().map(|name| undo_set(name)).collect();
    let steps: usize = results.iter().map(|(steps, _)| steps).sum();
    let problems: Vec<String> = results
        .into_iter()
        .flat_map(|(_, problems)| problems)
        .collect();
    println!("{} sets, {steps} operations undone", names.len());
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    let least = ese_testkit::fixtures::either(10_000, 2_000);
    assert!(steps > least, "only {steps} operations were undone");
}

fn undo_set(name: &str) -> (usize, Vec<String>) {
    let folder = ese_testkit::fixtures::engine_set(name);
    let mut history = History::new(Snapshots::of(&folder));
    let mut redo = history.redo(streams::open(&folder.join("state")).records(Generation(1)));
    let undone = match redo.roll_back_open() {
        Ok(undone) => undone,
        Err(error) => return (0, vec![format!("{name}: {error}")]),
    };
    let ours: Vec<Step> = (undone.iter())
        .map(|step| {
            (
                step.procid,
                step.rceid,
                step.operation,
                step.pgno,
                step.line,
                step.dbtime,
            )
        })
        .collect();
    let engine = engine_steps(&folder);
    let mut problems: Vec<String> = history
        .error
        .iter()
        .map(|error| format!("{name}: {error}"))
        .collect();
    if let Some(at) = (0..ours.len().max(engine.len())).find(|at| ours.get(*at) != engine.get(*at))
    {
        let (ours, engine) = (ours.get(at), engine.get(at));
        problems.push(format!(
            "{name}: step {at} is {ours:x?}, the engine's is {engine:x?}"
        ));
    }
    if !engine.is_empty() {
        history.look_at_end(&mut redo);
        problems.extend(
            history
                .end
                .iter()
                .take(3)
                .map(|what| format!("{name}: {what}")),
        );
    }
    (ours.len(), problems)
}

/// The undo records after the last record that says that undo begins.
fn engine_steps(set: &Path) -> Vec<Step> {
    let folder = streams::recovered_logs(set);
    let mut records = streams::open(folder.path()).records(Generation(1));
    let mut steps = Vec::new();
    let mut began = false;
    while let Some(raw) = records
        .next_record()
        .expect("the recovered stream is whole")
    {
        match raw.decode().expect("a record") {
            Record::RecoveryUndo(_) | Record::RecoveryUndo2(_) => {
                began = true;
                steps.clear();
            }
            Record::Undo(undo) if began => {
                let (page, node) = (undo.page, undo.node);
                let line = usize::from(page.iline);
                steps.push((
                    page.procid,
                    node.rceid,
                    undo.operation,
                    page.pgno,
                    line,
                    page.dbtime,
                ));
            }
            _ => {}
        }
    }
    steps
}
