//! A folder of databases, logs and a checkpoint (a storage group), and the order in which it is copied.
//!
//! Copied in this order, the copy can be recovered even if something still wrote to the folder: the checkpoint first,
//! because an old one only makes recovery begin earlier, where a new one would make it skip pages that were copied
//! before they were written; then databases; then logs from the oldest to the current one, which hold what happened
//! to the databases meanwhile.
//!
//! The files get their names in another order, databases last: until everything else is there, nothing can be mounted.

use ese_format::log::LogHeader;
use ese_format::{FileKind, Generation, Progress};
use ese_log::{FileRole, LogFileName};
use serde::Serialize;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;

use crate::{CopyError, ReadPolicy, SourceReader, TargetPaths};
use ese_scan::Buffer;
use evidence::{FolderEntry, ReadError, ReadErrorKind, SourceFolder};
use target_disk::START_BYTES;

/// What a file is to the set; in the order of copying.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FolderRole {
    /// The checkpoint.
    Checkpoint,
    /// A database.
    Database,
    /// The flush map of a database.
    FlushMap,
    /// A finished log, by its generation.
    Log(u32),
    /// The current log.
    CurrentLog,
    /// A log being prepared, or reserved space.
    Spare,
}

/// A file to be copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedFile {
    /// Its name in the folder.
    pub name: OsString,
    /// What it is.
    pub role: FolderRole,
}

/// What is copied of a folder, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FolderPlan {
    /// The files, in the order of copying.
    pub files: Vec<PlannedFile>,
    /// What is not copied, each with the reason.
    pub passed_over: Vec<(OsString, String)>,
    /// What could not be read, so that nobody knows whether it should be copied; each with the reason.
    pub unread: Vec<(OsString, String)>,
    /// Log generations that are there.
    pub generations: BTreeSet<u32>,
}

impl FolderPlan {
    /// Looks at the start of every file of `folder`; folders in it are not entered. A folder that cannot be listed is
    /// an error, a file that cannot be read is named as that.
    pub fn read(
        folder: &dyn SourceFolder,
        policy: &ReadPolicy,
        progress: &dyn Progress,
    ) -> Result<Self, CopyError> {
        let mut plan = FolderPlan::default();
        let mut entries = list(folder, policy, progress)?;
        entries.sort();
        for entry in entries {
            if progress.should_stop() {
                break;
            }
            if !entry.is_file {
                plan.passed_over.push((entry.name, "a folder".into()));
                continue;
            }
            let start = || {
                let source = folder.open(&entry.name)?;
                let most = source.stamp().length.min(START_BYTES as u64);
                let mut reader = SourceReader::new(Arc::clone(&source), policy.clone());
                let read = reader.read(0..most, Buffer::default(), progress);
                read.map_err(|error| ReadError::new(ReadErrorKind::Permanent, error.to_string()))
            };
            plan.take(entry.name.clone(), start);
        }
        plan.files
            .sort_by(|a, b| (a.role, &a.name).cmp(&(b.role, &b.name)));
        Ok(plan)
    }

    /// The files in the order in which they get their names: databases last.
    pub fn order_of_names(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.files.len()).collect();
        order.sort_by_key(|index| self.files[*index].role == FolderRole::Database);
        order
    }

    /// Generations from `first` to `last` that are not there.
    pub fn missing(&self, first: u32, last: u32) -> Vec<Generation> {
        // A header may name any range; what is listed is bounded, the first ones matter.
        (first..=last)
            .filter(|generation| !self.generations.contains(generation))
            .take(64)
            .map(Generation)
            .collect()
    }

    fn take(&mut self, name: OsString, start: impl FnOnce() -> Result<Buffer, ReadError>) {
        if TargetPaths::is_own(Path::new(&name)) {
            let why = "a partial copy or a journal of edbcopy".to_owned();
            return self.passed_over.push((name, why));
        }
        match start() {
            Ok(start) => match self.role(&name, &start) {
                Some(role) => self.files.push(PlannedFile { name, role }),
                None => self.passed_over.push((name, "not an ESE file".into())),
            },
            Err(error) => self.unread.push((name, error.to_string())),
        }
    }

    fn role(&mut self, name: &OsStr, start: &[u8]) -> Option<FolderRole> {
        let name = name.to_str().and_then(LogFileName::parse);
        let by_name = name.map(|name| match name.role {
            FileRole::Generation { generation, .. } => FolderRole::Log(generation.0),
            FileRole::Current => FolderRole::CurrentLog,
            FileRole::Temporary | FileRole::Reserve => FolderRole::Spare,
            FileRole::Checkpoint => FolderRole::Checkpoint,
        });
        match (FileKind::detect(start), by_name) {
            (FileKind::Database, _) => Some(FolderRole::Database),
            (FileKind::FlushMap, _) => Some(FolderRole::FlushMap),
            (FileKind::Checkpoint, _) => Some(FolderRole::Checkpoint),
            (FileKind::Log, role) => {
                let role = role.unwrap_or(FolderRole::Spare);
                if matches!(role, FolderRole::Log(_) | FolderRole::CurrentLog)
                    && let Ok(header) = LogHeader::read(start)
                {
                    self.generations.insert(header.as_read().generation.0);
                }
                Some(role)
            }
            // Damaged or blank, it still belongs to the set.
            (FileKind::Blank | FileKind::Empty | FileKind::Unknown, role) => role,
            (FileKind::RevertSnapshot, _) => None,
        }
    }
}

/// The entries of a folder; a store that does not answer is asked again.
fn list(
    folder: &dyn SourceFolder,
    policy: &ReadPolicy,
    progress: &dyn Progress,
) -> Result<Vec<FolderEntry>, CopyError> {
    policy
        .persist(progress, || folder.entries().map_err(ReadError::from))
        .map_err(|error| CopyError::Source {
            name: folder.name(),
            error,
        })
}
