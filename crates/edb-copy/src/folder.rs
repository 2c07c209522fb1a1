//! A folder of databases, logs and a checkpoint (a storage group), and the order in which it is copied.
//!
//! Copied in this order, the copy can be recovered even if something still wrote to the folder: the checkpoint first,
//! because an old one only makes recovery begin earlier, where a new one would make it skip pages that were copied
//! before they were written; then databases; then logs from the oldest to the current one, which hold what happened
//! to the databases meanwhile.
//!
//! The files get their names in another order, databases last: until everything else is there, nothing can be mounted.

use ese_format::file_kind::DETECT_BYTES;
use ese_format::log::LogHeader;
use ese_format::{FileKind, Generation};
use ese_log::{FileRole, LogFileName};
use evidence::EvidenceFile;
use serde::Serialize;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::TargetPaths;

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
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub role: FolderRole,
}

/// What is copied of a folder, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FolderPlan {
    /// The files, in the order of copying.
    pub files: Vec<PlannedFile>,
    /// What is not copied, each with the reason.
    pub passed_over: Vec<(PathBuf, String)>,
    /// Log generations that are there.
    pub generations: BTreeSet<u32>,
}

impl FolderPlan {
    /// Looks at every file of `folder`; folders in it are not entered.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let mut plan = FolderPlan::default();
        let mut entries = std::fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            plan.take(entry.path());
        }
        plan.files
            .sort_by(|a, b| (a.role, &a.path).cmp(&(b.role, &b.path)));
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

    fn take(&mut self, path: PathBuf) {
        if TargetPaths::is_own(&path) {
            let why = "a partial copy or a journal of edbcopy".to_owned();
            return self.passed_over.push((path, why));
        }
        let start = EvidenceFile::open(&path).and_then(|file| file.start(DETECT_BYTES));
        match start {
            Ok(start) => match self.role(&path, &start) {
                Some(role) => self.files.push(PlannedFile { path, role }),
                None => self.passed_over.push((path, "not an ESE file".into())),
            },
            Err(error) => self.passed_over.push((path, error.to_string())),
        }
    }

    fn role(&mut self, path: &Path, start: &[u8]) -> Option<FolderRole> {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.and_then(LogFileName::parse);
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
