//! SHA-256 of what a recovery reads and writes.
//!
//! Logs are digested when they are read for the replay, by the thread that reads them; databases before and after, and
//! logs that a limit left unread, at the end, several at a time.

use super::report::FileDigest;
use console::{Exit, Failure};
use ese_format::Progress;
use ese_log::LogObserver;
use ese_scan::{Digest, DigestKind, Digests, digest_file};
use evidence::EvidenceFile;
use rayon::prelude::*;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Digests of files, as far as they are known.
pub(crate) struct FileDigests {
    kinds: &'static [DigestKind],
    known: Arc<Mutex<HashMap<PathBuf, Vec<Digest>>>>,
}

impl FileDigests {
    /// Nothing is known yet; unless `wanted`, digests are empty.
    pub(crate) fn new(wanted: bool) -> Self {
        FileDigests {
            kinds: if wanted { &[DigestKind::Sha256] } else { &[] },
            known: Arc::default(),
        }
    }

    /// Digests every log that is shown to it.
    pub(crate) fn observer(&self) -> LogObserver {
        let (kinds, known) = (self.kinds, Arc::clone(&self.known));
        Box::new(move |path, bytes| {
            let mut digests = Digests::new(kinds);
            digests.update(bytes);
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(path.to_owned(), digests.finish());
        })
    }

    /// The digests of these files, in their order.
    pub(crate) fn of(
        &self,
        paths: &[&Path],
        progress: &dyn Progress,
    ) -> Result<Vec<FileDigest>, Failure> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let of_one = |path: &&Path| {
            let digests = match known.get(*path) {
                Some(digests) => digests.clone(),
                None => self.read(path, progress)?,
            };
            let path = path.to_path_buf();
            Ok(FileDigest { path, digests })
        };
        paths.par_iter().map(of_one).collect()
    }

    fn read(&self, path: &Path, progress: &dyn Progress) -> Result<Vec<Digest>, Failure> {
        let digests =
            EvidenceFile::open(path).and_then(|file| digest_file(&file, self.kinds, progress));
        digests.map_err(|error| Failure::new(Exit::Io, error.to_string()))
    }
}
