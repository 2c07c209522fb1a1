//! Bringing a database to its place, with `edb-copy`: what seeding and failback have in common.

use crate::error::{StandbyError, at};
use edb_copy::{CopyError, CopyOptions, CopyReport, FileCopy, Mismatch, undo_begun};
use ese_format::explain::advise;
use ese_format::{Class, Explain, JetError, Progress};
use evidence::SourceFile;
use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use target_disk::Disk;
use thiserror::Error;

/// A service lets go of a copy before its next pass.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Why a database is not brought to its place.
#[derive(Debug, Error)]
pub enum BringError {
    /// Configuration or state stand against it, or a file of ours cannot be handled.
    #[error(transparent)]
    Standby(#[from] StandbyError),
    /// The database cannot be copied.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// It is not done, and nothing was changed.
    #[error("{reason}")]
    Refused {
        /// Why not.
        reason: String,
        /// What to do.
        advice: String,
        /// The engine's error, where it has one.
        jet: Option<JetError>,
    },
    /// What was read back at the first server is not what was written. Its old logs are still there.
    #[error("{}: what was read back is not what was written, first at offset {:#x}", path.display(), first.offset)]
    NotProved {
        /// The database at the first server.
        path: PathBuf,
        /// The first place.
        first: Mismatch,
    },
    /// It was interrupted; the same call goes on.
    #[error("interrupted")]
    Interrupted,
}

impl Explain for BringError {
    fn class(&self) -> Class {
        match self {
            BringError::Standby(error) => error.class(),
            BringError::Copy(error) => error.class(),
            BringError::Refused { .. } => Class::Refused,
            BringError::NotProved { .. } => Class::Io,
            BringError::Interrupted => Class::Interrupted,
        }
    }

    fn jet(&self) -> Option<JetError> {
        match self {
            BringError::Standby(error) => error.jet(),
            BringError::Copy(error) => error.jet(),
            BringError::Refused { jet, .. } => *jet,
            BringError::NotProved { .. } => Some(JetError::DISK_IO),
            BringError::Interrupted => None,
        }
    }

    fn advice(&self) -> Option<Cow<'static, str>> {
        match self {
            BringError::Standby(error) => error.advice(),
            // Its own words name options of `edbcopy`.
            BringError::Copy(error) => advise(match error {
                CopyError::Read { .. } | CopyError::Source { .. } | CopyError::Target { .. } => {
                    "what has arrived is kept: the same command goes on when that is fixed"
                }
                CopyError::BadPages { .. } => {
                    "take another copy of the database while there is one"
                }
                CopyError::SourceChanged { .. } => {
                    "something writes to it: dismount it, and run the same command again"
                }
                _ => "`edbcopy status` says what is there",
            }),
            BringError::Refused { advice, .. } => Some(advice.clone().into()),
            BringError::NotProved { .. } => advise(
                "the disk, or something on the way to it, loses data: do not mount it; the old logs are still there",
            ),
            BringError::Interrupted => {
                advise("the same command goes on; until then the copy is not served")
            }
        }
    }
}

/// Copies a database to `to`, or goes on with that; an older one there is brought up to date by pages that differ.
pub(crate) fn bring(
    disk: &dyn Disk,
    source: &Arc<dyn SourceFile>,
    to: &Path,
    options: CopyOptions,
    progress: &dyn Progress,
) -> Result<CopyReport, BringError> {
    if let Some(folder) = to.parent() {
        disk.create_folders(folder).map_err(at(folder))?;
    }
    undo_begun(disk, to)?;
    let options = CopyOptions {
        delta: disk.exists(to).map_err(at(to))?,
        ..options
    };
    let open = |options| FileCopy::open(Arc::clone(source), disk, to, options, progress);
    let mut copy = match open(options.clone()) {
        // What an interrupted call had brought is of another state of the source.
        Err(CopyError::SourceChanged { .. } | CopyError::OtherSource { .. }) => {
            open(CopyOptions {
                restart: true,
                ..options
            })?
        }
        other => other?,
    };
    if !copy.run(progress)? {
        return Err(BringError::Interrupted);
    }
    copy.finish()?;
    Ok(copy.report())
}

/// Removes a file; whether there was one.
pub(crate) fn remove(disk: &dyn Disk, path: &Path) -> Result<bool, StandbyError> {
    match disk.remove(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(at(path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ese_testkit::disk::FaultyDisk;
    use evidence::LocalFile;

    #[test]
    fn an_update_that_is_killed_at_any_call_goes_on() {
        let newer = ese_testkit::fixtures::testdata_set("clean-p4k").join("state/db.edb");
        let bytes = std::fs::read(&newer).expect("a fixture can be read");
        let mut older = bytes.clone();
        older[20 * 4096 + 200] ^= 1;
        let source: Arc<dyn SourceFile> = Arc::new(LocalFile::open(&newer).expect("a fixture"));
        let to = Path::new("/copies/db.edb");
        for calls in 1.. {
            let disk = FaultyDisk::new(calls);
            disk.put(to, older.clone());
            disk.kill_after(calls);
            let brought = bring(&disk, &source, to, CopyOptions::default(), &());
            if !disk.is_killed() {
                brought.expect("nothing is in its way");
                assert!(calls > 40, "{calls} calls");
                break;
            }
            disk.crash();
            bring(&disk, &source, to, CopyOptions::default(), &()).expect("the same call goes on");
            assert!(disk.get(to).as_ref() == Some(&bytes), "killed at {calls}");
        }
    }
}
