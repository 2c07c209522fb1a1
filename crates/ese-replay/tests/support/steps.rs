//! One run of a standby: logs up to a generation are replayed, and nothing is undone.

use super::recover::memory;
use ese_format::Generation;
use ese_log::StreamFiles;
use ese_replay::output::{RecoveryOutput, Target};
use ese_replay::recovery::{
    DatabaseFile, GivenDatabase, RecoverOptions, RecoveryError, Until, plan, recover,
};
use std::path::{Path, PathBuf};
use target_disk::SharedDisk;

/// Replays up to `generation` without undo, into new files.
pub(crate) fn one_run(
    files: &StreamFiles,
    databases: &[PathBuf],
    generation: Generation,
    folder: &Path,
    run: usize,
) -> Result<Vec<PathBuf>, RecoveryError> {
    let opened: Vec<DatabaseFile> = databases
        .iter()
        .map(|path| DatabaseFile::open(path))
        .collect::<Result<_, _>>()?;
    let until = Until {
        generation: Some(generation),
        ..Until::default()
    };
    let plan = plan(files, None, &opened, &until, &())?;
    let mut given = Vec::new();
    let mut outputs = Vec::new();
    for (index, database) in opened.iter().enumerate() {
        let target = Target::NewFile(folder.join(format!("{run}-{index}.edb")));
        let output = RecoveryOutput::begin(&SharedDisk::default(), database, &target, false, &())
            .expect("a new file");
        let pages = output.pages();
        given.push(GivenDatabase { database, pages });
        outputs.push(output);
    }
    let options = RecoverOptions {
        until_undo: true,
        memory: memory(opened[0].page_size, 100 * opened.len()),
        ..RecoverOptions::default()
    };
    let recovered = recover(&plan, given, Vec::new(), options, &())?;
    let results = outputs.into_iter().zip(&recovered.databases);
    let commit =
        |(output, database): (RecoveryOutput, _)| output.commit(database).expect("a new file");
    Ok(results.map(commit).collect())
}
