//! The walk: every file in folders, archives, images and shadow copies, by its first bytes.
//!
//! A folder is a [`SourceFolder`], wherever it is. Its files are looked at in parallel, and so are the folders below; what is
//! found is put together in the order of names. Only what is ESE's, and what is wrong, is kept: the memory of a search follows
//! from what it finds, and not from how many files it looks at.

use super::look::{self, Shown};
use super::packed::{Packed, behind_program, packed, unsearched};
use super::{Content, FindOptions, FoundFile, Looked, Origin, Problem};
use crate::Named;
use ese_format::Class;
use ese_format::Progress;
use ese_format::explain::{Explain, advise};
use ese_format::file_kind::DETECT_BYTES;
use evidence::{
    EvidenceError, EvidenceFile, FileStart, FolderEntry, Glance, Place, SourceFolder, join,
};
use jiff::Timestamp;
use rayon::prelude::*;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// So many folders may lie in each other: a server, or a damaged file system, can go round in a circle.
const DEEPEST: usize = 256;

/// What the walk keeps.
pub(super) enum Item {
    File(Box<FoundFile>),
    Problem(Problem),
}

/// Where the walk is.
#[derive(Clone)]
struct At {
    origin: Origin,
    /// Whether what is in this folder are the volumes of an image, if it holds some.
    is_container: bool,
    depth: usize,
}

pub(super) struct Walk<'w> {
    options: &'w FindOptions,
    progress: &'w dyn Progress,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    files: AtomicU64,
    folders: AtomicU64,
    containers: AtomicU64,
    shadow_copies: AtomicU64,
    shadow_copies_not_searched: AtomicU64,
    bytes: AtomicU64,
    links: AtomicU64,
    special: AtomicU64,
    unread: AtomicU64,
}

fn count(what: &AtomicU64, more: u64) {
    what.fetch_add(more, Ordering::Relaxed);
}

impl<'w> Walk<'w> {
    pub(super) fn new(options: &'w FindOptions, progress: &'w dyn Progress) -> Self {
        Walk {
            options,
            progress,
            counts: Counts::default(),
        }
    }

    pub(super) fn looked(&self) -> Looked {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let counts = &self.counts;
        Looked {
            files: of(&counts.files),
            folders: of(&counts.folders),
            containers: of(&counts.containers),
            shadow_copies: of(&counts.shadow_copies),
            shadow_copies_not_searched: of(&counts.shadow_copies_not_searched),
            bytes: of(&counts.bytes),
            links: of(&counts.links),
            special: of(&counts.special),
            unread: of(&counts.unread),
        }
    }

    /// Everything at and below `paths`, each file once, in order. None if it was asked to stop.
    pub(super) fn all(&self, paths: &[PathBuf]) -> Option<Vec<Item>> {
        let mut items: Vec<Item> = (apart(paths).par_iter())
            .flat_map_iter(|path| self.path(path))
            .collect();
        if self.progress.should_stop() {
            return None;
        }
        let mut known = HashSet::new();
        items.retain(|item| match item {
            Item::File(file) => known.insert(file.path.clone()),
            Item::Problem(_) => true,
        });
        Some(items)
    }

    /// What somebody named: a link is followed.
    fn path(&self, path: &Path) -> Vec<Item> {
        let state = evidence::shown(path);
        let at = At {
            origin: Origin {
                container: evidence::outermost_of(path),
                state: state_of(&state),
                is_shadow_copy: is_in_shadow_copy(&state),
                moment: moment_of(&state),
            },
            is_container: state.as_os_str().to_string_lossy().ends_with("::"),
            depth: 0,
        };
        match evidence::place(path) {
            Ok(Place::Folder(folder)) if at.is_container || is_volume(&*folder, &state) => {
                self.container(&*folder, &state, &at)
            }
            Ok(Place::Folder(folder)) => {
                let mut items = self.folder(&*folder, &state, &at);
                // More may have been in the archive than is known: that is said of all of it, which nobody looks at here.
                if evidence::is_within_file(path) && folder.known_entries().1.is_none() {
                    items.extend(folder.entries().err().map(|error| problem(&error, &state)));
                }
                items
            }
            Ok(Place::File(file)) => {
                let folder = evidence::folder_of(&state);
                let at = At {
                    origin: Origin {
                        state: match at.origin.container {
                            Some(_) => at.origin.state.clone(),
                            None => folder.clone(),
                        },
                        ..at.origin
                    },
                    ..at
                };
                count(&self.counts.files, 1);
                self.file(file, &folder, &at, None)
            }
            // A disk that is a device is read as an image of it.
            Err(EvidenceError::NotAFile {
                kind: "a device", ..
            }) if evidence::is_within_file(&join(&state, OsStr::new(""))) => {
                self.enter(&state, &at)
            }
            Err(error) => vec![problem(&error, &state)],
        }
    }

    fn folder(&self, folder: &dyn SourceFolder, path: &Path, at: &At) -> Vec<Item> {
        if at.depth > DEEPEST {
            return vec![Item::Problem(Problem {
                path: path.to_owned(),
                message: format!(
                    "{}: more than {DEEPEST} folders in each other are not entered",
                    path.display()
                ),
                class: Class::Io,
                jet: None,
                advice: advise("name the folder itself").map(Into::into),
            })];
        }
        count(&self.counts.folders, 1);
        let (mut entries, error) = folder.known_entries();
        entries.sort();
        let mut items = Vec::new();
        items.extend(error.map(|error| problem(&error, path)));
        let found = entries
            .par_iter()
            .flat_map_iter(|entry| self.entry(folder, path, entry, at));
        items.par_extend(found);
        items
    }

    fn entry(
        &self,
        folder: &dyn SourceFolder,
        path: &Path,
        entry: &FolderEntry,
        at: &At,
    ) -> Vec<Item> {
        if self.progress.should_stop() {
            return Vec::new();
        }
        let own_path = folder.path_of(&entry.name);
        if entry.name.to_string_lossy().contains("::") && evidence::is_within_file(path) {
            return vec![unopened(
                &own_path,
                "its name has :: in it, and so no address leads to it",
            )];
        }
        if entry.is_file {
            count(&self.counts.files, 1);
            self.progress.advance(1);
            return match folder.glance(&entry.name, DETECT_BYTES) {
                Ok(Glance::File(file)) => self.file(file, path, at, None),
                Ok(Glance::Start(file)) => self.file(file, path, at, Some((folder, &entry.name))),
                Ok(Glance::Link) => {
                    count(&self.counts.links, 1);
                    Vec::new()
                }
                Ok(Glance::Special(_)) => {
                    count(&self.counts.special, 1);
                    Vec::new()
                }
                Ok(Glance::Unread(what)) => {
                    count(&self.counts.unread, 1);
                    let named = Named::of_name(&own_path);
                    let named = named.filter(|named| *named != Named::Spare);
                    let why = named.map(|named| {
                        let promise = named.promise();
                        format!("{promise}it is {what}, which is not read here")
                    });
                    why.map(|why| unopened(&own_path, &why))
                        .into_iter()
                        .collect()
                }
                Err(error) => vec![problem(&error, &own_path)],
            };
        }
        if folder.is_link(&entry.name) {
            count(&self.counts.links, 1);
            return Vec::new();
        }
        // With a `/` an address of a network names a folder.
        let own_path = match evidence::is_address(&own_path) {
            true => own_path.join(""),
            false => own_path,
        };
        let mut below = At {
            is_container: false,
            depth: at.depth + 1,
            ..at.clone()
        };
        if at.is_container && is_part(&entry.name) {
            below.origin.state = own_path.clone();
        }
        match evidence::folder(&own_path) {
            Ok(folder) => self.folder(&*folder, &own_path, &below),
            Err(error) => vec![problem(&error, &own_path)],
        }
    }

    /// A file that was opened; with `start_of`, only the start of that entry of a folder.
    fn file(
        &self,
        file: EvidenceFile,
        folder: &Path,
        at: &At,
        start_of: Option<(&dyn SourceFolder, &OsStr)>,
    ) -> Vec<Item> {
        let path = file.path().to_owned();
        let start = match file.start(DETECT_BYTES) {
            Ok(start) => start,
            Err(error) => return vec![problem(&error, &path)],
        };
        count(&self.counts.bytes, start.len() as u64);
        let found = |file: &EvidenceFile, content| {
            vec![Item::File(Box::new(FoundFile {
                path: path.clone(),
                folder: folder.to_owned(),
                length: file.length(),
                modified: file.modified(),
                origin: at.origin.clone(),
                content,
            }))]
        };
        let first = FileStart {
            name: path.display().to_string(),
            stamp: file.source().stamp(),
            start: start.clone(),
            rest: start_of.is_none().then(|| Arc::clone(file.source())),
        };
        let first = EvidenceFile::of(path.clone(), Arc::new(first));
        let shown = match look::shown(&start, &path) {
            Some(Shown::Database) if !look::begins_well(&start) => {
                match evidence::holds_files(&first) {
                    Ok(true) => None,
                    Ok(false) => Some(Shown::Database),
                    Err(error) => return vec![problem(&error, &path)],
                }
            }
            shown => shown,
        };
        if let Some(shown) = shown {
            // All of a file that matters must be there: a member of an archive is unpacked now.
            let whole = match start_of {
                Some((folder, name)) => match folder.open(name) {
                    Ok(whole) => EvidenceFile::of(path.clone(), whole),
                    Err(error) => return vec![problem(&error, &path)],
                },
                None => file,
            };
            let content = match shown {
                Shown::Database => look::database(&whole, &start),
                Shown::Content(content) => content,
            };
            return found(&whole, content);
        }
        let inside = packed(&start, file.source());
        let why = match inside {
            Some(Packed::Ese) => Some("a file of ESE's is packed in it".to_owned()),
            Some(Packed::Container(what)) => {
                Some(format!("what is packed in it looks like {what}"))
            }
            Some(Packed::Archive | Packed::Other) | None => None,
        };
        if let Some(why) = why {
            return vec![unopened(&path, &format!("{why}, and it is no archive"))];
        }
        if inside != Some(Packed::Other) {
            match evidence::holds_files(&first) {
                Ok(true) => {
                    drop((file, first));
                    return self.enter(&path, at);
                }
                Ok(false) => {}
                Err(error) => return vec![problem(&error, &path)],
            }
            if let Some(what) = unsearched(&start, first.length()) {
                // What is in a later part is found in the image.
                if matches!(evidence::is_later_part(&first), Ok(true)) {
                    return Vec::new();
                }
                let why = format!("it looks like {what}, which is not opened here");
                return vec![unopened(&path, &why)];
            }
        }
        match behind_program(&start, &first) {
            Ok(None) => {}
            Ok(Some(what)) => {
                let why = format!("it is a program with {what} after it, which is not opened here");
                return vec![unopened(&path, &why)];
            }
            Err(error) => return vec![problem(&error, &path)],
        }
        let ruin: Option<Content> = look::ruin(&start, &path);
        ruin.map_or_else(Vec::new, |content| found(&file, content))
    }

    /// What is in the archive or image at `path`.
    fn enter(&self, path: &Path, at: &At) -> Vec<Item> {
        let root = join(path, OsStr::new(""));
        let folder = match evidence::folder(&root) {
            Ok(folder) => folder,
            Err(error) => return vec![problem(&error, path)],
        };
        let container = at.origin.container.clone();
        let below = At {
            origin: Origin {
                container: Some(container.unwrap_or_else(|| path.to_owned())),
                state: root.clone(),
                is_shadow_copy: at.origin.is_shadow_copy,
                moment: at.origin.moment,
            },
            is_container: true,
            depth: at.depth + 1,
        };
        self.container(&*folder, &root, &below)
    }

    fn container(&self, folder: &dyn SourceFolder, root: &Path, at: &At) -> Vec<Item> {
        count(&self.counts.containers, 1);
        let mut items = self.folder(folder, root, at);
        if folder.is_of_image() {
            items.extend(self.shadow_copies(folder, root, at));
        } else if is_aff4(folder) {
            let why = "it looks like an AFF4 image, which is not opened here";
            items.push(unopened(root, why));
        }
        items
    }

    /// The shadow copies of the volumes of an image: `IMAGE::vss*:` lists those of its only volume, `IMAGE::p2:vss*:` those of
    /// a partition.
    fn shadow_copies(&self, folder: &dyn SourceFolder, root: &Path, at: &At) -> Vec<Item> {
        let (entries, _) = folder.known_entries();
        let mut volumes: Vec<OsString> = entries
            .into_iter()
            .filter(|entry| !entry.is_file && is_part(&entry.name))
            .map(|entry| entry.name)
            .collect();
        volumes.sort();
        if volumes.is_empty() {
            volumes.push(OsString::new());
        }
        let mut items = Vec::new();
        for volume in volumes {
            let mut list = root.as_os_str().to_owned();
            list.push(&volume);
            list.push("vss*:");
            let list = PathBuf::from(list);
            match evidence::folder(&list) {
                Ok(copies) => items.extend(self.copies(&*copies, &list, at)),
                Err(error) if is_missing(&error) => {}
                Err(error) => items.push(problem(&error, &list)),
            }
        }
        items
    }

    fn copies(&self, copies: &dyn SourceFolder, list: &Path, at: &At) -> Vec<Item> {
        let (mut entries, error) = copies.known_entries();
        // The tenth comes after the second.
        entries.sort_by_cached_key(|entry| (entry.name.len(), entry.name.clone()));
        let mut items: Vec<Item> = error.iter().map(|error| problem(error, list)).collect();
        if !self.options.shadow_copies {
            count(
                &self.counts.shadow_copies_not_searched,
                entries.len() as u64,
            );
            return items;
        }
        for entry in entries {
            count(&self.counts.shadow_copies, 1);
            let path = copies.path_of(&entry.name);
            let below = At {
                origin: Origin {
                    container: at.origin.container.clone(),
                    state: path.clone(),
                    is_shadow_copy: true,
                    moment: moment_of(&path),
                },
                is_container: false,
                depth: at.depth + 1,
            };
            match evidence::folder(&path) {
                Ok(folder) => items.extend(self.folder(&*folder, &path, &below)),
                Err(error) => items.push(problem(&error, &path)),
            }
        }
        items
    }
}

/// Whether this is a volume of an image, or a shadow copy: `p2:`, `vss3:`.
fn is_part(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let part = name.strip_suffix(':').unwrap_or_default();
    let number = part.strip_prefix('p').or_else(|| part.strip_prefix("vss"));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// An AFF4 image is a zip that says in a member of this name what is in the others.
fn is_aff4(folder: &dyn SourceFolder) -> bool {
    let (entries, _) = folder.known_entries();
    entries
        .iter()
        .any(|entry| entry.name == "information.turtle")
}

/// Whether an address is that of a whole volume of an image: `IMAGE::p2:`.
fn is_volume(folder: &dyn SourceFolder, address: &Path) -> bool {
    let text = address.to_string_lossy();
    let last = text.rsplit("::").next().unwrap_or_default();
    let last = last.trim_matches('/');
    folder.is_of_image() && last.starts_with('p') && is_part(OsStr::new(last))
}

/// The paths without those that name what another one does, or something in its folder. What is not there stays, and so does what
/// lies within a file: only who looks knows whether it is there.
fn apart(paths: &[PathBuf]) -> Vec<&PathBuf> {
    let keys: Vec<Option<PathBuf>> = paths.iter().map(|path| path.canonicalize().ok()).collect();
    let folders: HashSet<&PathBuf> = keys.iter().flatten().filter(|key| key.is_dir()).collect();
    let is_within = |key: &Path| {
        let mut above = key.ancestors().skip(1);
        above.any(|above| folders.contains(&above.to_owned()))
    };
    let mut known = HashSet::new();
    (paths.iter().zip(&keys))
        .filter(|(path, key)| match key {
            Some(key) => !is_within(key) && known.insert(key),
            None => known.insert(path),
        })
        .map(|(path, _)| path)
        .collect()
}

/// The state that an address lies in: what ends with the last `:` that ends a file, a volume or a shadow copy.
fn state_of(address: &Path) -> PathBuf {
    if !evidence::is_within_file(address) {
        return address.to_owned();
    }
    let Some(text) = address.to_str() else {
        return address.to_owned();
    };
    let inner = text.rfind("::").map_or(0, |at| at + 2);
    let mut end = inner;
    while let Some(at) = text[end..].find(':') {
        if !is_part(OsStr::new(&text[end..=end + at])) {
            break;
        }
        end += at + 1;
    }
    PathBuf::from(&text[..end])
}

/// When the shadow copy was made that an address lies in. Where that cannot be known, reading it says why.
fn moment_of(address: &Path) -> Option<Timestamp> {
    is_in_shadow_copy(address)
        .then(|| evidence::moment_of(address).ok())?
        .flatten()
}

fn is_in_shadow_copy(address: &Path) -> bool {
    evidence::is_within_file(address)
        && state_of(address)
            .to_string_lossy()
            .rsplit(':')
            .nth(1)
            .is_some_and(|part| part.starts_with("vss"))
}

fn is_missing(error: &EvidenceError) -> bool {
    match error {
        EvidenceError::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

/// A file in which there may be others that were not searched.
fn unopened(path: &Path, why: &str) -> Item {
    Item::Problem(Problem {
        path: path.to_owned(),
        message: format!("{}: {why}", path.display()),
        class: Class::Io,
        jet: None,
        advice: advise("take it out or unpack it, and search that").map(Into::into),
    })
}

impl Problem {
    /// Nothing of ESE's was found, but it may be in so many files that were not read.
    pub(super) fn unread(paths: &[PathBuf], count: u64) -> Self {
        let path = paths.first().cloned().unwrap_or_default();
        let files = if count == 1 {
            "1 file"
        } else {
            &*format!("{count} files")
        };
        Problem {
            message: format!(
                "{}: nothing of ESE's was found, but {files} that Windows compressed for the system (CompactOS) or has in a cloud could not be read",
                path.display()
            ),
            path,
            class: Class::Io,
            jet: None,
            advice: advise("export these files with a program that reads them, and search that")
                .map(Into::into),
        }
    }
}

pub(super) fn problem(error: &EvidenceError, path: &Path) -> Item {
    Item::Problem(Problem {
        path: path.to_owned(),
        message: error.to_string(),
        class: error.class(),
        jet: error.jet(),
        advice: error.advice().map(Into::into),
    })
}
