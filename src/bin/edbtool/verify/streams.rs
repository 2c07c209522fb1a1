//! Verifying the log streams of a folder, each as a whole: a log may be intact and still be the wrong one.

use console::{Exit, Failure, Output};
use ese_log::StreamFiles;
use ese_log::chain::{self, Severity};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// The streams met so far, and the files that belong to them.
#[derive(Default)]
pub(super) struct Streams {
    folders: HashSet<PathBuf>,
    members: HashSet<PathBuf>,
}

impl Streams {
    /// Verifies the streams in the folder of `file`, once for each folder.
    pub(super) fn verify_beside(
        &mut self,
        file: &Path,
        output: &mut Output,
    ) -> Result<Exit, Failure> {
        let folder = &evidence::folder_of(file);
        if !self.folders.insert(folder.clone()) {
            return Ok(Exit::Clean);
        }
        let failure = |error: ese_log::LogError| Failure::new(Exit::Io, error.to_string());
        let mut exit = Exit::Clean;
        for stream in StreamFiles::find_all(folder).map_err(failure)? {
            let files = stream.in_order().chain(&stream.leftovers);
            // Of several checkpoints the stream is judged by one; the others are looked at alone.
            let files = files.chain(stream.checkpoints.first());
            self.members.extend(files.map(|file| file.path.clone()));
            let bar = output.bar(0, "Checking logs");
            let Some(report) = chain::verify(&stream, None, &bar).map_err(failure)? else {
                return Err(Failure::new(
                    Exit::Interrupted,
                    "interrupted; the rest was not checked",
                )
                .advise("run the same command again"));
            };
            if report.count(Severity::Warning) > 0 {
                exit = Exit::Finding;
            }
            output.answer("edbkit.log-verify/1", &report, &ese_text::chain(&report))?;
        }
        Ok(exit)
    }

    /// Whether `file` was verified as part of a stream.
    pub(super) fn covers(&self, file: &Path) -> bool {
        self.members.contains(file)
    }
}
