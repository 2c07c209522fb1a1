//! What follows from a finding, and what to do about it.

use super::finding::{ChainFinding, ChainFindingKind as Kind, Severity};
use super::proof::Unproved;
use crate::image::Damage;
use crate::name::FileRole;
use std::path::PathBuf;

/// Where a log that is needed may be found.
pub(super) const PLACES: &str = "in backups or on the standby copy";

impl Kind {
    /// What follows from it, in one line.
    pub fn consequence(&self) -> &'static str {
        match self {
            Kind::Gap { .. } => "recovery that must pass here fails",
            Kind::CurrentMissing { .. } => {
                "what was logged last is lost, unless the file is found; a stream that was shipped elsewhere never has one"
            }
            Kind::CopyOf { .. } => "recovery stops where it mistakes it for another log",
            Kind::CurrentAlsoNamed { .. } => {
                "the engine reads the numbered file first, and stops at this one"
            }
            Kind::CurrentBehind { .. } => {
                "logs with higher numbers are not part of what this log ends, or it is an old copy"
            }
            Kind::Duplicate { .. } => "the engine opens one of them",
            Kind::NameMismatch { .. } => "the engine finds the wrong log under this name and stops",
            Kind::ForeignSignature { .. } => "recovery refuses it: it belongs to another stream",
            Kind::PreviousCreated { .. } | Kind::NotContinued { .. } | Kind::OutOfPlace { .. } => {
                "these logs were not written one after the other; recovery stops between them"
            }
            Kind::AccumulatedChecksum { .. } => {
                "one of the two is not what it was when the other was written; recovery stops between them"
            }
            Kind::Incomplete { .. } => "what stood at its end is lost, and recovery stops here",
            Kind::NotProved {
                why: Unproved::Forced(_) | Unproved::Restart(_) | Unproved::NextEmpty,
            } => "it may have ended early on purpose; nothing shows that its end is not missing",
            Kind::NotProved { .. } => "nothing shows that its end is not missing",
            Kind::NewerVersion { .. } => "it cannot be read here",
            Kind::VersionBackwards { .. } => {
                "an older engine, or another machine, wrote this log after a newer one"
            }
            Kind::GeometryDiffers { .. } => "the engine refuses logs that differ within a stream",
            Kind::OtherEngine { .. } => {
                "written from another place or by another installation of the engine"
            }
            Kind::FileSize { .. } => "the engine refuses the file; it was cut off or grew",
            Kind::Empty => "nothing in it can be replayed",
            Kind::Blank => {
                "nothing in it can be replayed; a log that was only prepared begins like this"
            }
            Kind::Header { .. } | Kind::Unreadable { .. } => "recovery that needs this log fails",
            Kind::AttachList { .. } => "databases attached at this point may be overlooked",
            Kind::Damage {
                damage,
                fatal,
                followed,
                ..
            } => of_damage(damage, *fatal, *followed),
            Kind::BadRecord { .. } => {
                "the checksum fits but the record makes no sense; recovery stops here"
            }
            Kind::UnfinishedRecords { .. } => {
                "being written when the machine stopped; never committed, recovery passes over it"
            }
            Kind::MadeFromReserve => "the disk was full when this log was begun",
            Kind::CircularLogging { .. } => {
                "logs are deleted once checkpointed: a copy of the database from before cannot be rolled forward"
            }
            Kind::Leftover { .. } => "not part of the chain",
            Kind::CheckpointMissing | Kind::CheckpointUnusable { .. } => {
                "nothing is lost by that: the engine begins at the lowest log that is there, edbreplay at the first that is needed"
            }
            Kind::CheckpointForeign { .. } => {
                "it is not used: the engine begins at the lowest log that is there, edbreplay at the first that is needed"
            }
            Kind::CheckpointCopy { .. } => "the other copy is used",
            Kind::CheckpointLogMissing { .. } => "the engine's recovery fails at once",
        }
    }

    /// What to do about it, where something is to be done. `file` is the file it is about.
    pub(super) fn advice(&self, file: &str) -> Option<String> {
        let another = || Some(format!("find an undamaged {file}: {PLACES}"));
        match self {
            Kind::Gap { first, last, files } => {
                let which = if first == last { "it" } else { "them" };
                Some(format!(
                    "find {files}: {PLACES}, or in the folder that logs were moved to; put {which} beside the others"
                ))
            }
            Kind::CurrentMissing { file } => {
                Some(format!("find {file} on the machine that wrote the logs"))
            }
            Kind::CopyOf { other, same: true } => {
                Some(format!("{file} is a copy of {other}: take it away"))
            }
            Kind::CopyOf { other, same: false } => Some(format!(
                "{file} is an earlier state of {other}: take it away"
            )),
            Kind::CurrentAlsoNamed { other } => Some(format!(
                "keep the one of {file} and {other} that belongs to the stream"
            )),
            Kind::CurrentBehind { .. } => Some(format!(
                "take {file} away if it is an old copy, and find the one that was written last"
            )),
            Kind::Duplicate { other } => Some(format!(
                "keep the right one of {file} and {other}, and take the other away"
            )),
            Kind::NameMismatch {
                rename: Some(name), ..
            } => Some(format!("rename {file} to {name}: the chain holds with it")),
            Kind::NameMismatch {
                holder: Some(holder),
                ..
            } => Some(format!(
                "put the names right: what should be called {file} is there as {holder}"
            )),
            Kind::NameMismatch { .. } => Some(format!(
                "take {file} away, and find the log that should have this name: {PLACES}"
            )),
            Kind::ForeignSignature { .. } => Some(format!(
                "take {file} away, and find the {file} of this stream: {PLACES}"
            )),
            Kind::PreviousCreated { before, .. } => {
                Some(format!("take {before} and {file} from the same place"))
            }
            Kind::NotContinued { after, .. } => {
                Some(format!("take {file} and {after} from the same place"))
            }
            Kind::OutOfPlace { .. } => Some(format!(
                "{file} belongs to another life of the stream: find the one that was written between the two, {PLACES}"
            )),
            Kind::AccumulatedChecksum { next, .. } => Some(format!(
                "find another {file}: {PLACES}; or take {file} and {next} from the same place"
            )),
            Kind::NewerVersion { .. } => Some(
                "recover with the engine that wrote it, or with a version of edbkit that knows it"
                    .to_owned(),
            ),
            Kind::OtherEngine { .. } => Some(format!(
                "make sure that {file} belongs here before it is replayed"
            )),
            Kind::Damage {
                damage: Damage::Corrected { .. },
                ..
            } => Some("see what is failing: the disk, or a copy of the file".to_owned()),
            Kind::Damage {
                damage: Damage::LastWriteLost { .. },
                ..
            } => another(),
            Kind::Damage { fatal: false, .. }
            | Kind::MadeFromReserve
            | Kind::CheckpointMissing
            | Kind::CheckpointUnusable { .. }
            | Kind::CheckpointForeign { .. }
            | Kind::CheckpointCopy { .. } => Some("nothing needs to be done".to_owned()),
            Kind::Incomplete { .. }
            | Kind::Empty
            | Kind::Blank
            | Kind::Header { .. }
            | Kind::Unreadable { .. }
            | Kind::FileSize { .. }
            | Kind::AttachList { .. }
            | Kind::BadRecord { .. }
            | Kind::Damage { .. } => another(),
            Kind::GeometryDiffers { .. } | Kind::VersionBackwards { .. } => {
                Some(format!("make sure that {file} belongs to this stream"))
            }
            Kind::CheckpointLogMissing { file: log, .. } => Some(format!(
                "find {log}: {PLACES}; or recover without the checkpoint"
            )),
            Kind::NotProved { .. }
            | Kind::UnfinishedRecords { .. }
            | Kind::CircularLogging { .. }
            | Kind::Leftover { .. } => None,
        }
    }
}

fn of_damage(damage: &Damage, fatal: bool, followed: bool) -> &'static str {
    match (damage, fatal) {
        (Damage::Corrected { .. }, _) => {
            "one flipped bit, corrected by the checksum; recovery does the same"
        }
        (Damage::LastWriteLost { .. }, _) => {
            "recovery ends before it without an error; what was committed by that write alone is lost to it"
        }
        (Damage::Torn { .. }, false) if followed => {
            "the copy of the write that follows it is used instead, as in recovery"
        }
        (Damage::Torn { .. }, false) => {
            "the last write was torn; recovery puts it right, nothing that was committed is lost"
        }
        _ => "recovery stops here; everything after it is lost to it",
    }
}

/// That these files may be what is looked for.
pub(super) fn nearby(paths: &[PathBuf]) -> Option<String> {
    let paths: Vec<String> = (paths.iter())
        .map(|path| path.display().to_string())
        .collect();
    (!paths.is_empty()).then(|| format!("{} may be what is looked for", paths.join(", ")))
}

impl ChainFinding {
    /// What to do about it, where something is to be done.
    pub fn advice(&self) -> Option<String> {
        let file = self.file.as_deref().unwrap_or_default();
        let advice = self.kind.advice(file)?;
        Some(match nearby(&self.nearby) {
            Some(nearby) => format!("{advice}; {nearby}"),
            None => advice,
        })
    }

    /// Whether a file of this name elsewhere may be what is looked for.
    pub(super) fn wants(&self, role: FileRole) -> bool {
        let numbered = match role {
            FileRole::Generation { generation, .. } => Some(generation),
            _ => None,
        };
        match &self.kind {
            Kind::Gap { first, last, .. } => {
                numbered.is_some_and(|number| (*first..=*last).contains(&number))
            }
            Kind::CurrentMissing { .. } => role == FileRole::Current,
            Kind::CopyOf { .. } | Kind::NewerVersion { .. } => false,
            _ => {
                self.severity == Severity::Error
                    && numbered.is_some()
                    && numbered == self.generation
            }
        }
    }
}
