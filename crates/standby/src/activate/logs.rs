//! The logs of an activation: what the source still has, and what is here.

use super::{ActivateError, ActivateOptions, SourceLook};
use crate::clock::Clock;
use crate::copy::StandbyCopy;
use crate::listing::header_of;
use crate::place::database_header;
use crate::state::CopyState;
use ese_format::Generation;
use ese_log::{FileRole, LogError, StreamFile, StreamFiles};
use ese_replay::recovery::RecoveryError;
use std::path::{Path, PathBuf};

/// Takes what the source still has, if that is wished: what was found there, how many logs came, and where its current log
/// lies now.
pub(super) fn fetch(
    copy: &mut StandbyCopy,
    state: &CopyState,
    options: &ActivateOptions,
    clock: &dyn Clock,
) -> Result<(SourceLook, u32, Option<PathBuf>), ActivateError> {
    let seen = state.generated.map(|generated| generated.generation);
    let mut look = SourceLook {
        asked: !options.force || options.try_source,
        newest_closed: seen,
        ..SourceLook::default()
    };
    if !look.asked {
        return Ok((look, 0, None));
    }
    let view = match copy.view() {
        Ok(view) if view.is_empty() => {
            look.problem = Some("there is no log".to_owned());
            return Ok((look, 0, None));
        }
        Ok(view) => view,
        Err(error) => {
            look.problem = Some(error.to_string());
            return Ok((look, 0, None));
        }
    };
    look.reached = true;
    look.newest_closed = view.newest_closed.max(seen);
    let (fetched, obstacle) = copy.fetch_rest(clock)?;
    let current = match obstacle {
        Some(obstacle) => Err(obstacle),
        None => copy.fetch_current(),
    };
    match current {
        Ok(current) => {
            look.current = Some(current.generation);
            Ok((look, fetched, Some(current.path)))
        }
        Err(obstacle) => {
            look.problem = Some(obstacle.message());
            Ok((look, fetched, None))
        }
    }
}

/// The logs of the copy, with the current log that was fetched, or else one that a person put there. Logs of other streams
/// that lie among them are left out.
pub(super) fn stream_of(
    copy: &StandbyCopy,
    current: Option<PathBuf>,
) -> Result<StreamFiles, ActivateError> {
    let config = copy.config();
    let target = &config.target;
    let base = &config.source.base;
    let mut files = logs_in(&target.logs, base).map_err(RecoveryError::Log)?;
    if let Some(folder) = copy.rehearsed_in() {
        let fetched = logs_in(folder, base).map_err(RecoveryError::Log)?.logs;
        let is_fetched = |file: &StreamFile| fetched.iter().any(|other| other.role == file.role);
        files.logs.retain(|file| !is_fetched(file));
        files.logs.extend(fetched);
        files.logs.sort_by_key(|file| file.role);
    }
    files.checkpoints.clear();
    let stream = database_header(&target.database).map(|header| header.log_signature);
    let is_of_it = |file: &StreamFile| {
        let found = header_of(&file.path).map(|header| header.signature);
        // What is damaged is reported as that.
        found.is_none() || stream.is_none_or(|stream| stream.is_null() || found == Some(stream))
    };
    files.logs.retain(is_of_it);
    if let Some(path) = current {
        let role = FileRole::Current;
        files.current = vec![StreamFile::named(path, role)];
        return Ok(files);
    }
    // An earlier attempt may have left a current log that has been closed since.
    let after = newest(&files).map(Generation::next);
    files.current.retain(|file| {
        let generation = header_of(&file.path).map(|header| header.generation);
        is_of_it(file) && (after.is_none() || generation == after)
    });
    Ok(files)
}

/// The files of the stream `base` in a folder that may be missing, or have none.
pub(crate) fn logs_in(folder: &Path, base: &str) -> Result<StreamFiles, LogError> {
    match StreamFiles::find(folder, Some(base)) {
        Err(LogError::NoStream { .. }) => {}
        Err(LogError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
        files => return files,
    }
    Ok(StreamFiles::none(folder, Some(base)))
}

pub(super) fn newest(files: &StreamFiles) -> Option<Generation> {
    let generation = |file: &StreamFile| match file.role {
        FileRole::Generation { generation, .. } => Some(generation),
        _ => None,
    };
    files.logs.iter().filter_map(generation).max()
}
