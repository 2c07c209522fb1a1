//! A search that knows no more than is needed until the real one is there.

use super::*;
use ese_format::database::HeaderCopies;
use ese_format::file_kind::DETECT_BYTES;
use ese_format::{Explain, FileKind};
use ese_log::{StreamChoice, StreamFiles};
use evidence::{EvidenceFile, Place};
use std::ffi::OsStr;
use std::path::Path;

pub(super) fn find(paths: &[PathBuf], progress: &dyn Progress) -> Option<Found> {
    let mut search = Search {
        found: Found::default(),
        progress,
        stopped: false,
    };
    for path in paths {
        let origin = Origin {
            container: None,
            state: path.clone(),
            is_shadow_copy: false,
        };
        search.place(path, &origin);
    }
    (!search.stopped).then_some(search.found)
}

struct Search<'s> {
    found: Found,
    progress: &'s dyn Progress,
    stopped: bool,
}

impl Search<'_> {
    fn problem(&mut self, path: &Path, error: &dyn Explain) {
        self.found.problems.push(Problem {
            path: path.to_owned(),
            message: error.to_string(),
            class: error.class(),
            jet: error.jet(),
            advice: error.advice().map(Into::into),
        });
    }

    fn place(&mut self, path: &Path, origin: &Origin) {
        self.stopped |= self.progress.should_stop();
        if self.stopped {
            return;
        }
        match evidence::place(path) {
            Err(error) => self.problem(path, &error),
            Ok(Place::Folder(folder)) => match folder.entries() {
                Err(error) => self.problem(path, &error),
                Ok(mut entries) => {
                    entries.sort();
                    for entry in entries {
                        self.place(&folder.path_of(&entry.name), origin);
                    }
                }
            },
            Ok(Place::File(file)) => self.file(&file, origin),
        }
    }

    fn file(&mut self, file: &EvidenceFile, origin: &Origin) {
        self.found.looked.files += 1;
        self.progress.advance(1);
        let path = file.path().to_owned();
        if matches!(evidence::holds_files(file), Ok(true)) {
            self.found.looked.containers += 1;
            let inner = evidence::join(&path, OsStr::new(""));
            let origin = Origin {
                container: Some(origin.container.clone().unwrap_or(path)),
                state: inner.clone(),
                is_shadow_copy: false,
            };
            return self.place(&inner, &origin);
        }
        let start = match file.start(DETECT_BYTES) {
            Ok(start) => start,
            Err(error) => return self.problem(&path, &error),
        };
        if FileKind::detect(&start) != FileKind::Database {
            return;
        }
        let copies = HeaderCopies::read(&start);
        let header = copies.good().map(|copy| copy.fields.clone());
        if header
            .as_ref()
            .is_some_and(|header| header.is_temporary() || header.is_streaming_file())
        {
            return;
        }
        let folder = evidence::folder_of(&path);
        let signature = header.as_ref().map(|header| header.log_signature);
        let choice = StreamChoice {
            base: None,
            signatures: signature.into_iter().collect(),
        };
        let needs = header
            .as_ref()
            .is_some_and(|header| header.state.needs_recovery());
        let stream = match needs {
            true => StreamFiles::gather(std::slice::from_ref(&folder), &choice).ok(),
            false => None,
        };
        let paths = stream.iter().flat_map(|stream| stream.in_order());
        let paths: Vec<PathBuf> = paths.map(|file| file.path.clone()).collect();
        let host = header.as_ref().map(|header| header.signature.computer());
        let words = if stream.is_some() {
            "logs are there"
        } else if needs {
            "no logs"
        } else {
            "clean"
        };
        let look = DatabaseLook {
            headers: copies.status,
            state: header
                .as_ref()
                .map_or("unknown".into(), |header| header.state.to_string()),
            format: None,
            page_size: copies.page_size,
            kind: DatabaseKind {
                kind: None,
                kind_unknown_because: None,
            },
            findings: Vec::new(),
            header,
        };
        self.found.databases.push(FoundDatabase {
            file: FoundFile {
                folder,
                length: file.length(),
                modified: file.modified(),
                origin: origin.clone(),
                content: Content::Database(Box::new(look)),
                path,
            },
            logs: DatabaseLogs {
                needs: None,
                there: 0,
                missing: Vec::new(),
                from: LogsFrom::SameFolder,
                folders: Vec::new(),
                stream,
                paths,
            },
            checkpoint: None,
            flush_map: None,
            copies: Vec::new(),
            verdict: Verdict {
                words: words.into(),
                plan: None,
                tried: false,
                problem: None,
                jet: None,
            },
            host: host.filter(|host| !host.is_empty()),
        });
    }
}
