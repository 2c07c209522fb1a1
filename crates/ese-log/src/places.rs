//! The log stream that a person means: in one folder, in several, or in single files.
//!
//! Evidence cannot be copied into one folder: logs of one stream are in a backup, in the folder of the server and in
//! that of the standby. They are combined by name, as if they were in one folder. Where there are several streams, the
//! log signature in the header of a database says which one is meant.

use crate::error::LogError;
use crate::folder::{StreamFile, StreamFiles, group_paths};
use crate::image::{read_opened, trusted_header};
use crate::name::LogFileName;
use ese_format::Signature;
use ese_format::log::HEADER_SIZE;
use evidence::{EvidenceFile, Place};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Which stream is meant where several are.
#[derive(Debug, Clone, Default)]
pub struct StreamChoice<'c> {
    /// Its base name; case does not matter.
    pub base: Option<&'c str>,
    /// Log signatures of the databases that are to be recovered.
    pub signatures: Vec<Signature>,
}

impl StreamFiles {
    /// The stream in these folders and files.
    pub fn gather(places: &[PathBuf], choice: &StreamChoice<'_>) -> Result<Self, LogError> {
        let mut streams = Self::gather_all(places, choice.base)?;
        let wanted = |stream: &StreamFiles| choice.signatures.iter().any(|own| stream.is_of(own));
        if streams.len() > 1 && streams.iter().filter(|stream| wanted(stream)).count() == 1 {
            streams.retain(wanted);
        }
        let folder = folder_of(places);
        match (streams.len(), streams.pop()) {
            (1, Some(stream)) => Ok(stream),
            (_, None) => Err(LogError::NoStream {
                folder,
                base: choice.base.map(str::to_owned),
            }),
            (_, Some(last)) => {
                let all = streams.iter().chain([&last]);
                let bases = all.map(|stream| stream.naming.base.clone()).collect();
                Err(LogError::SeveralStreams { folder, bases })
            }
        }
    }

    /// All streams in these folders and files, by base name.
    pub fn gather_all(places: &[PathBuf], base: Option<&str>) -> Result<Vec<Self>, LogError> {
        let mut paths = Vec::new();
        for place in places {
            // Whether it can be read is a matter of whoever needs it.
            if !evidence::is_elsewhere(place) && place.is_file() {
                paths.push(place.clone());
                continue;
            }
            match evidence::place(place).map_err(LogError::unlisted)? {
                Place::File(file) => paths.push(file.path().to_owned()),
                Place::Folder(folder) => {
                    paths.extend(evidence::paths_in(&*folder).map_err(LogError::unlisted)?);
                }
            }
        }
        let mut streams = group_paths(&folder_of(places), paths);
        match base {
            Some(base) => streams.retain(|stream| stream.naming.base.eq_ignore_ascii_case(base)),
            None => streams.retain(StreamFiles::looks_real),
        }
        if places.len() > 1 {
            streams.iter_mut().for_each(StreamFiles::drop_copies);
        }
        Ok(streams)
    }

    /// The signature that the newest log with an intact header has.
    pub fn signature(&self) -> Option<Signature> {
        let newest = self.current.iter().chain(self.logs.iter().rev());
        let mut signatures = newest.filter_map(|file| {
            let start = EvidenceFile::open(&file.path)
                .ok()?
                .start(HEADER_SIZE)
                .ok()?;
            let (header, _) = trusted_header(&start).ok()?;
            Some(header.signature)
        });
        signatures.next()
    }

    /// Leaves out files that another one of the same name equals byte for byte.
    fn drop_copies(&mut self) {
        for files in [&mut self.logs, &mut self.current, &mut self.checkpoints] {
            let mut kept: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
            files.retain(|file: &StreamFile| {
                let same_name = kept.entry(file.name().to_ascii_lowercase()).or_default();
                let is_copy = same_name.iter().any(|other| are_equal(other, &file.path));
                if !is_copy {
                    same_name.push(file.path.clone());
                }
                !is_copy
            });
        }
    }
}

/// The folder that stands for all places.
pub(crate) fn folder_of(places: &[PathBuf]) -> PathBuf {
    let first = places.first().map(PathBuf::as_path);
    let first = evidence::shown(first.unwrap_or(Path::new(".")));
    // Nothing is asked of a network for this.
    let is_file = match evidence::is_elsewhere(&first) {
        true => is_called_like_a_log(&first),
        false => first.is_file(),
    };
    match is_file {
        true => evidence::folder_of(&first),
        false => first,
    }
}

fn is_called_like_a_log(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.and_then(LogFileName::parse).is_some()
}

/// Whether two logs hold the same bytes.
fn are_equal(one: &Path, other: &Path) -> bool {
    let (Ok(one), Ok(other)) = (EvidenceFile::open(one), EvidenceFile::open(other)) else {
        return false;
    };
    if one.length() != other.length() {
        return false;
    }
    let bytes = |file: &EvidenceFile| {
        let mut bytes = Vec::new();
        read_opened(file, &mut bytes).ok().map(|()| bytes)
    };
    bytes(&one).is_some_and(|content| bytes(&other) == Some(content))
}
