//! The chain of custody of an export: what was read, as of when, and by which command.

use crate::database::{OpenedDatabase, RecoveredBy, RecoveredInput, is_dirty};
use console::{Failure, Output};
use ese_export::{
    ExportError, FileEntry, MomentEntry, Provenance, RecoveryEntry, RunEntry, SourceEntry,
};
use ese_format::Progress;
use ese_scan::{DigestKind, digest_file};
use evidence::EvidenceFile;
use jiff::Timestamp;
use std::path::{Path, PathBuf};

/// What is known of an export before it begins.
pub(super) struct Custody<'a> {
    /// The database.
    pub(super) path: &'a Path,
    /// How it is read.
    pub(super) opened: &'a OpenedDatabase,
    /// Whether files are digested.
    pub(super) hash: bool,
    /// When the command was started.
    pub(super) started: Timestamp,
}

/// What the rows come from, so that no other source has the same words: the files with their sizes, times and checksums of
/// their headers, and the program.
pub(super) fn identity(path: &Path, opened: &OpenedDatabase) -> Result<String, Failure> {
    let mut paths = vec![path];
    match opened.recovered.as_ref().map(|recovered| &recovered.by) {
        Some(RecoveredBy::Logs(recovery)) => {
            paths.extend(recovery.plan.logs.iter().map(PathBuf::as_path));
        }
        Some(RecoveredBy::Overlay(overlay)) => paths.push(overlay),
        None => {}
    }
    let moment = opened
        .as_of()
        .map(|as_of| format!("; as of {}", as_of.place.lgpos));
    let mut identity = concat!(env!("CARGO_BIN_NAME"), " ", env!("CARGO_PKG_VERSION")).to_owned();
    for path in paths {
        let file = EvidenceFile::open(path).map_err(|error| Failure::of(&error))?;
        let start = file.start(4096).map_err(|error| Failure::of(&error))?;
        let checksum = start
            .first_chunk()
            .map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let modified = file.modified();
        identity += &format!("; {} {} {checksum:08x}", path.display(), file.length());
        identity.extend(modified.map(|time| format!(" {time}")));
    }
    identity.extend(moment);
    Ok(identity)
}

impl Custody<'_> {
    /// Identifies every file that was read, with digests where they are wanted: so all of them are read once more.
    pub(super) fn provenance(&self, output: &Output) -> Result<Provenance, ExportError> {
        let db = &self.opened.database;
        let recovered = self.opened.recovered.as_ref();
        let header = match recovered {
            Some(recovered) => Some(recovered.file_header.clone()),
            None => db
                .headers()
                .and_then(|headers| headers.good())
                .map(|copy| copy.fields.clone()),
        };
        let source = SourceEntry {
            file: self.file(self.path, output)?,
            page_size: db.page_size().bytes(),
            last_page: recovered.map_or(db.last_page(), |recovered| recovered.file_last_page),
            dirty: recovered.map_or(is_dirty(db), |recovered| {
                recovered.file_header.state.needs_recovery()
            }),
            header,
        };
        let recovery = recovered.map(|recovered| self.recovery(recovered, output));
        Ok(Provenance {
            source,
            recovery: recovery.transpose()?,
            run: Some(RunEntry {
                program: env!("CARGO_BIN_NAME"),
                version: env!("CARGO_PKG_VERSION"),
                command: console::arguments()
                    .iter()
                    .map(|word| word.to_string_lossy().into_owned())
                    .collect(),
                started: self.started,
            }),
        })
    }

    /// What brought the database forward, and how far: as its recovered header says.
    fn recovery(
        &self,
        recovered: &RecoveredInput,
        output: &Output,
    ) -> Result<RecoveryEntry, ExportError> {
        let db = &self.opened.database;
        let header = db.headers().and_then(|headers| headers.good());
        let header = header.map(|copy| copy.fields.clone());
        let (logs, overlay) = match &recovered.by {
            RecoveredBy::Logs(recovery) => (&*recovery.plan.logs, None),
            RecoveredBy::Overlay(path) => (&[][..], Some(path)),
        };
        let logs = logs.iter().map(|log| self.file(log, output));
        Ok(RecoveryEntry {
            logs: logs.collect::<Result<_, _>>()?,
            overlay: overlay.map(|path| self.file(path, output)).transpose()?,
            as_of: header.as_ref().map(|header| header.last_consistent),
            as_of_time: header.as_ref().map(|header| header.last_consistent_time),
            moment: match &recovered.by {
                RecoveredBy::Logs(recovery) => recovery.as_of.map(|moment| MomentEntry {
                    lgpos: moment.place.lgpos,
                    from: moment.place.logged.from,
                    until: moment.place.logged.until,
                    rolled_back: moment.rolled_back,
                }),
                RecoveredBy::Overlay(_) => None,
            },
            last_page: db.last_page(),
            header,
        })
    }

    fn file(&self, path: &Path, output: &Output) -> Result<FileEntry, ExportError> {
        let identify = || {
            let file = EvidenceFile::open(path)?;
            let bar = output.bar(file.length(), &format!("Hashing {}", path.display()));
            let kinds: &[DigestKind] = if self.hash {
                &[DigestKind::Sha256]
            } else {
                &[]
            };
            let digests = digest_file(&file, kinds, &bar)?;
            Ok((file, digests, bar.should_stop()))
        };
        let (file, digests, stop) = identify()
            .map_err(|error: evidence::EvidenceError| ExportError::Database(error.into()))?;
        if stop {
            return Err(ExportError::Stopped);
        }
        let modified = file.modified();
        Ok(FileEntry {
            sha256: digests.into_iter().next().map(|digest| digest.hex),
            modified,
            ..FileEntry::new(path.to_owned(), file.length())
        })
    }
}
