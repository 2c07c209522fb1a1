//! Scenes that nobody has seen: random work of the testkit's writer on a clean database of an engine, ended by a crash.
//!
//! The writer's tree is in no catalog, so its rows are read from the pages.

use super::scene::Scene;
use crate::fixtures;
use crate::ledger::{Change, Commit, Ledger};
use crate::random::Random;
use crate::work::{Work, read_tree};
use crate::writer::crash::{Base, Tear, WrittenPages};
use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// The database, as the ledger names it.
const DATABASE: &str = "written.edb";

/// The databases that the work begins with.
static BASES: LazyLock<Vec<Base>> = LazyLock::new(|| {
    let all = ["clean-p4k", "clean-p8k", "clean-p16k"];
    let sets = fixtures::either(&all[..], &["clean-p4k", "clean-p16k"]).iter();
    let states = sets.map(|set| Base::read(&fixtures::engine_set(set).join("state")));
    states.collect()
});

/// A scene of random work, the same for the same `random`.
pub fn scene(random: &mut Random) -> Scene {
    let base = &BASES[random.below(BASES.len())];
    let mut work = Work::begin(base);
    for _ in 0..60 + random.below(600) {
        work.step(random);
    }
    let count = work.writer().records().len();
    let cut = count - random.below(count / 4);
    let disk = match random.below(3) {
        0 => WrittenPages::Clean,
        _ => WrittenPages::Flushed {
            slack: random.below(2) as u32,
        },
    };
    let segments = base.segments();
    let crash = base.crash(work.writer(), cut, segments, Tear::None, disk);
    let records = crash.records;
    let committed = work.committed().iter().cloned();
    let committed = committed.filter(|(last, _)| *last < records);
    let (lasts, changes): (Vec<usize>, Vec<Vec<Change>>) = committed.unzip();
    let commits = lasts.into_iter().map(|last| {
        Commit::new(
            crash.places[last],
            work.writer().records()[last].len(),
            false,
        )
    });
    let commits = commits.collect();
    let tree = work.tree();
    let size = base.page_size().as_usize();
    let reader = move |path: &Path| {
        let bytes = fs::read(path).expect("a result can be read");
        read_tree(&bytes, size, tree)
    };
    let ledger = Ledger::of_work(DATABASE, changes, commits, Box::new(reader));
    let kind = match disk {
        WrittenPages::Clean => "written at random, clean copy",
        WrittenPages::Flushed { .. } => "written at random, dirty",
    };
    let folder = crash.folder.path().to_owned();
    let databases = vec![(crash.database(), DATABASE.to_owned(), Arc::new(ledger))];
    let name = format!("written/{count}-{cut}-{disk:?}");
    let mut scene = Scene::new(name, kind, folder, databases);
    scene.keep = Some(Arc::new(crash.folder));
    scene
}
