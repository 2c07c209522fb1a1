//! One run of a standby: logs up to a generation are replayed, and nothing is undone.

use ese_format::{Generation, LogTime};
use ese_log::StreamFiles;
use ese_replay::Redo;
use ese_replay::output::{Output, Target};
use ese_replay::recovery::{
    DatabaseFile, RecoveryError, Until, finish_dirty, plan, replay, survey,
};
use std::path::{Path, PathBuf};

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
    let mut until = Until {
        generation: Some(generation),
        ..Until::default()
    };
    let plan = plan(files, None, &opened, &until, &())?;
    until.before = survey(&mut plan.records(), &until, &())?.hold_at();
    let mut redo = Redo::new();
    let mut outputs = Vec::new();
    for (index, database) in opened.iter().enumerate() {
        let target = Target::NewFile(folder.join(format!("{run}-{index}.edb")));
        let output = Output::begin(database, &target, false, &()).expect("a new file");
        redo.offer(database.database(output.pages(), 100));
        outputs.push((database.header.signature, output));
    }
    let ran = replay(&mut redo, &mut plan.records(), &until, &())?;
    let finished = finish_dirty(&mut redo, &ran, generation, LogTime::default())?;
    let mut paths = Vec::new();
    for database in finished.databases {
        let at = outputs
            .iter()
            .position(|(signature, _)| *signature == database.header.signature);
        let (_, output) = outputs.swap_remove(at.expect("an output"));
        paths.push(output.commit(&database.header).expect("a new file"));
    }
    Ok(paths)
}
