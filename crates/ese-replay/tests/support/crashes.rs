//! Recovery of a crash that the testkit's writer made up: after redo every page is as the writer has it.

use super::compare::difference;
use super::model::Rows;
use super::recover::{Left, memory, recover_with};
use super::steps::one_run;
use ese_format::page::{PageFlags, PageView};
use ese_format::{Generation, Pgno};
use ese_log::StreamFiles;
use ese_replay::output::{RecoveryOutput, Target};
use ese_replay::pages::Pages;
use ese_replay::recovery::{self, DatabaseFile, GivenDatabase, RecoverOptions, Until, plan};
use ese_replay::redo::{PageDivergence, RedoCounts};
use ese_testkit::writer::crash::Crash;
use ese_testkit::writer::{Tree, Writer};
use std::fmt::Display;
use std::path::Path;
use target_disk::SharedDisk;

/// What a recovery left.
pub(crate) struct Recovered {
    pub(crate) database: Left,
    pub(crate) counts: RedoCounts,
    pub(crate) divergences: Vec<PageDivergence>,
    /// Operations rolled back.
    pub(crate) undone: usize,
    /// Pages compared with the writer's.
    pub(crate) pages: usize,
}

/// Recovers a crash; what is wrong then, if anything.
pub(crate) fn recover(writer: &Writer, crash: &Crash) -> Result<Recovered, String> {
    recover_file(writer, crash, &crash.database())
}

/// The same as a standby does it: one run for each log, and the recovery at the end. How many runs, too.
pub(crate) fn recover_in_steps(
    writer: &Writer,
    crash: &Crash,
) -> Result<(Recovered, usize), String> {
    let files = StreamFiles::find(crash.folder.path(), None).map_err(text)?;
    let folder = tempfile::tempdir().map_err(text)?;
    let mut databases = vec![crash.database()];
    let mut generations: Vec<Generation> = crash.places[..crash.records]
        .iter()
        .map(|place| place.generation)
        .collect();
    generations.dedup();
    for (run, generation) in generations.iter().enumerate() {
        databases = one_run(&files, &databases, *generation, folder.path(), run).map_err(text)?;
    }
    let recovered = recover_file(writer, crash, &databases[0])?;
    Ok((recovered, generations.len() + 1))
}

fn recover_file(writer: &Writer, crash: &Crash, path: &Path) -> Result<Recovered, String> {
    let databases = [DatabaseFile::open(path).map_err(text)?];
    let page_size = databases[0].page_size;
    let files = StreamFiles::find(crash.folder.path(), None).map_err(text)?;
    let mut compared = Ok(0);
    let options = RecoverOptions {
        memory: memory(page_size, 64),
        // Records come from this thread or from another one, which must make no difference.
        read_ahead: crash.records.is_multiple_of(2),
        after_redo: Some(Box::new(|databases| {
            if let Some(database) = databases.values_mut().next() {
                compared = compare_pages(writer, crash.records, &mut database.pages);
            }
        })),
        ..RecoverOptions::default()
    };
    let finished = recover_with(&files, &databases, page_size, &Until::default(), options);
    let mut finished = finished.map_err(|error| super::recover::text(&error))?;
    Ok(Recovered {
        database: finished.databases.pop().ok_or("the database is lost")?,
        counts: finished.counts,
        divergences: finished.divergences,
        undone: finished.undone.len(),
        pages: compared?,
    })
}

/// Recovers a database into an overlay in a temporary file, with few pages in memory.
pub(crate) fn replay_small(database: &Path, logs: &Path) -> Result<(), String> {
    let database = DatabaseFile::open(database).map_err(text)?;
    let files = StreamFiles::find(logs, None).map_err(text)?;
    let folder = tempfile::tempdir().map_err(text)?;
    let target = Target::Overlay(folder.path().join("overlay"));
    let output = RecoveryOutput::begin(&SharedDisk::default(), &database, &target, false, &())
        .map_err(text)?;
    let databases = [database];
    let plan = plan(&files, None, &databases, &Until::default(), &()).map_err(text)?;
    let given = GivenDatabase {
        database: &databases[0],
        pages: output.pages(),
    };
    let options = RecoverOptions {
        memory: memory(databases[0].page_size, 256),
        ..RecoverOptions::default()
    };
    let recovered = recovery::recover(&plan, vec![given], Vec::new(), options, &());
    let recovered = recovered.map_err(text)?;
    output.commit(&recovered.databases[0]).map_err(text)?;
    Ok(())
}

fn text(error: impl Display) -> String {
    error.to_string()
}

/// Compares pages with those that the writer had after this many records: how many.
pub(crate) fn compare_pages(
    writer: &Writer,
    records: usize,
    pages: &mut Pages,
) -> Result<usize, String> {
    let mut compared = 0;
    for page in writer.pages_at(records) {
        let pgno = Pgno(page.pgno);
        let ours = pages.get(pgno).map_err(text)?;
        if let Some(what) = difference(pgno, ours.bytes(), &page.to_bytes()) {
            return Err(format!("page {pgno}: {what}").replace("engine", "writer"));
        }
        compared += 1;
    }
    Ok(compared)
}

/// Reads the rows of a tree along its leaves. Every leaf is where its first key leads to, and keys ascend.
pub(crate) fn read_tree(
    pages: &mut Pages,
    index: usize,
    tree: Tree,
    rows: &mut Rows,
) -> Result<(), String> {
    let mut leaf = descend(pages, tree, None)?;
    let (mut before, mut last) = (0, None::<Vec<u8>>);
    while leaf != 0 {
        let bytes = page(pages, leaf)?;
        let view = PageView::new(Pgno(leaf), &bytes).unwrap();
        if view.header().previous().0 != before || view.header().objid().0 != tree.objid {
            return Err(format!("leaf {leaf} of tree {index} is linked wrongly"));
        }
        let next = view.header().next().0;
        for node in view.nodes().map(Result::unwrap) {
            let key = node.key().to_vec();
            let name = if tree.unique {
                key
            } else {
                [key, node.data.to_vec()].concat()
            };
            if last.as_ref().is_some_and(|last| *last >= name) {
                return Err(format!("keys of leaf {leaf} of tree {index} do not ascend"));
            }
            if descend(pages, tree, Some(&name))? != leaf {
                return Err(format!(
                    "{name:02x?} is not found where it is, on page {leaf}"
                ));
            }
            if !node.is_deleted() {
                rows.insert((index, name.clone()), node.data.to_vec());
            }
            last = Some(name);
        }
        (before, leaf) = (leaf, next);
    }
    Ok(())
}

/// The leaf on which a row of this name would be; without one the first leaf.
fn descend(pages: &mut Pages, tree: Tree, name: Option<&[u8]>) -> Result<u32, String> {
    let mut pgno = tree.root;
    for _ in 0..10 {
        let bytes = page(pages, pgno)?;
        let view = PageView::new(Pgno(pgno), &bytes).unwrap();
        if view.flags().contains(PageFlags::LEAF) {
            return Ok(pgno);
        }
        let nodes: Vec<_> = view.nodes().map(Result::unwrap).collect();
        let leads = |key: Vec<u8>| key.is_empty() || name.is_none_or(|name| name < &key[..]);
        let node = nodes.iter().find(|node| leads(node.key().to_vec()));
        let node = node
            .or(nodes.last())
            .ok_or(format!("page {pgno} points nowhere"))?;
        pgno = node.child().map_err(|error| error.to_string())?.0;
    }
    Err("a tree is too deep".to_owned())
}

fn page(pages: &mut Pages, pgno: u32) -> Result<Vec<u8>, String> {
    let page = pages.get(Pgno(pgno)).map_err(|error| error.to_string())?;
    Ok(page.bytes().to_vec())
}
