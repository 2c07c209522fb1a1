//! The folder of a case, on its way to be one.
//!
//! ```text
//! CASE/
//!   table=NAME/host=NAME/part-ID.FORMAT    the dataset
//!   blobs/ab/<SHA-256>                     values too long for a row
//!   blobs/part-ID.txt                      which of them are of one database
//!   manifest.json                          written last
//!   unfinished.jsonl                       only until then: which case it is, and what is done
//!   unfinished-ID-N.partial                files of a database that is under way
//! ```
//!
//! The files of a database get their names one after the other when all of them are whole, and then the journal gets a line with
//! their lengths and digests. What a killed run leaves is thus one of three: files under names of work, which the next run
//! removes; parts without a line, which the next run replaces by equal ones; and parts with a line, which stay, if they are what
//! the line says ([`kept`](super::kept)). So nothing has to be synced before the end: a part that a loss of power took is made again.
//!
//! A journal and a manifest are both there only between two steps: when a run begins to change a complete case, or has just
//! completed it. In both the manifest is true.

use super::CollectError;
use super::record::{ColumnRecord, DatabaseRecord, Line, PartRecord, RunRecord, SearchRecord};
use ese_export::ExportError;
use ese_format::hex;
use jiff::Timestamp;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use target_disk::{DiskFile, PathKind, SharedDisk};

const JOURNAL: &str = "unfinished.jsonl";
pub(super) const MANIFEST: &str = "manifest.json";
const WORK: &str = "unfinished-";
const BLOBS: &str = "blobs";
/// What the names of parts end with.
const ENDINGS: [&str; 4] = ["csv", "jsonl", "parquet", "txt"];
const SCHEMA: &str = "edbkit.case-unfinished/1";
/// No journal or manifest of a case is longer.
const LONGEST: u64 = 4 << 30;
/// Files that are synced at the same time: the disk puts them together.
const SYNCS: usize = 16;

#[derive(Serialize, Deserialize)]
struct Head {
    schema: String,
    of: serde_json::Value,
}

/// What a manifest says of what is done.
#[derive(Deserialize)]
struct KnownManifest {
    schema: String,
    of: serde_json::Value,
    runs: Vec<RunRecord>,
    finished: Timestamp,
    databases: Vec<DatabaseRecord>,
    layouts: BTreeMap<String, Vec<ColumnRecord>>,
    own_parts: Vec<PartRecord>,
    #[serde(flatten)]
    search: SearchRecord,
}

/// How an earlier run ended.
pub(super) struct Ended {
    pub(super) finished: Timestamp,
    pub(super) own_parts: Vec<PartRecord>,
    pub(super) search: SearchRecord,
}

/// The folder.
pub(super) struct CaseFolder {
    disk: SharedDisk,
    path: PathBuf,
    journal: Mutex<Journal>,
    /// What earlier runs have done, by the ids of the databases.
    pub(super) known: HashMap<String, DatabaseRecord>,
    /// What a run that came to its end has left.
    pub(super) ended: Option<Ended>,
    pub(super) runs: Vec<RunRecord>,
    /// Files of values that are not what their names say. They go when the next run begins to write.
    pub(super) wrong_values: BTreeSet<PathBuf>,
}

/// What has been written down, and where the next line goes.
#[derive(Default)]
struct Journal {
    file: Option<Box<dyn DiskFile>>,
    end: u64,
    layouts: BTreeMap<String, Vec<ColumnRecord>>,
}

impl CaseFolder {
    /// Makes the folder ready for the case that `of` describes, or for going on with it. With `force` a case that is there goes.
    pub(super) fn open(
        disk: &SharedDisk,
        path: &Path,
        of: &serde_json::Value,
        force: bool,
    ) -> Result<Self, CollectError> {
        let fail = |error: io::Error| ExportError::write(path, error);
        let mut case = CaseFolder {
            disk: disk.clone(),
            path: path.to_owned(),
            journal: Mutex::default(),
            known: HashMap::new(),
            ended: None,
            runs: Vec::new(),
            wrong_values: BTreeSet::new(),
        };
        let content = match disk.place(path).map_err(fail)? {
            PathKind::Free => Vec::new(),
            PathKind::Folder => disk.list(path).map_err(fail)?,
            _ => return Err(not_empty(path)),
        };
        let has = |name: &str| content.contains(&path.join(name));
        let manifest = match has(MANIFEST) {
            true => Some(case.manifest()?),
            false => None,
        };
        if has(JOURNAL) {
            case.lock()?;
        }
        match manifest {
            Some(manifest) if force => drop(manifest),
            Some(manifest) if manifest.of != *of => return Err(case.other_case()),
            Some(manifest) => {
                case.take(manifest);
                return Ok(case);
            }
            None if has(JOURNAL) => case.read_journal(of, content.len() == 1, force)?,
            None if content.is_empty() => {}
            None => return Err(not_empty(path)),
        }
        if force {
            case.forget()?;
        }
        Ok(case)
    }

    fn other_case(&self) -> CollectError {
        CollectError::OtherCase {
            path: self.path.clone(),
        }
    }

    fn own_journal(&mut self) -> &mut Journal {
        let journal = self.journal.get_mut();
        journal.unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps other runs out.
    fn lock(&mut self) -> Result<(), CollectError> {
        let path = self.path.join(JOURNAL);
        if self.own_journal().file.is_none() {
            let file = match self.disk.open_locked(&path) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let path = self.path.clone();
                    return Err(CollectError::Locked { path });
                }
                opened => opened.map_err(|error| ExportError::write(&path, error))?,
            };
            self.own_journal().file = Some(file);
        }
        Ok(())
    }

    /// Takes what the journal says; a last line that was cut off counts for nothing.
    fn read_journal(
        &mut self,
        of: &serde_json::Value,
        is_alone: bool,
        force: bool,
    ) -> Result<(), CollectError> {
        let path = self.path.join(JOURNAL);
        let fail = |error: io::Error| ExportError::write(&path, error);
        let journal = self.journal.get_mut();
        let journal = journal.unwrap_or_else(PoisonError::into_inner);
        let bytes = journal.file.as_ref();
        let bytes = bytes.map_or(Ok(Vec::new()), |file| file.read_all(LONGEST));
        let bytes = bytes.map_err(fail)?;
        let mut end = 0;
        let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
        let mut whole = || {
            let line = lines.next().filter(|line| line.ends_with(b"\n"))?;
            end += line.len() as u64;
            Some(line)
        };
        let head: Option<Head> = whole().and_then(|line| serde_json::from_slice(line).ok());
        match head {
            Some(head) if head.schema == SCHEMA && (force || head.of == *of) => {}
            Some(head) if head.schema == SCHEMA => return Err(self.other_case()),
            // It was stopped before it had begun.
            None if is_alone || bytes.is_empty() => return Ok(()),
            _ => return Err(not_empty(&self.path)),
        }
        while let Some(line) = whole() {
            match serde_json::from_slice(line) {
                Ok(Line::Run(run)) => self.runs.push(run),
                Ok(Line::Layout(name, columns)) => {
                    journal.layouts.insert(name, columns);
                }
                Ok(Line::Database(record)) => {
                    self.known.insert(record.id.clone(), *record);
                }
                Err(_) => break,
            }
        }
        journal.end = end;
        Ok(())
    }

    /// What the manifest of a case says that came to its end.
    fn manifest(&self) -> Result<KnownManifest, CollectError> {
        let path = self.path.join(MANIFEST);
        let bytes = self.disk.read(&path, LONGEST);
        let bytes = bytes.map_err(|error| ExportError::write(&path, error))?;
        let manifest: Option<KnownManifest> = serde_json::from_slice(&bytes).ok();
        let is_case = |manifest: &KnownManifest| manifest.schema == super::CaseManifest::SCHEMA;
        manifest
            .filter(is_case)
            .ok_or_else(|| not_empty(&self.path))
    }

    fn take(&mut self, manifest: KnownManifest) {
        self.ended = Some(Ended {
            finished: manifest.finished,
            own_parts: manifest.own_parts,
            search: manifest.search,
        });
        self.runs = manifest.runs;
        let databases = manifest.databases.into_iter();
        self.known = databases
            .map(|record| (record.id.clone(), record))
            .collect();
        self.own_journal().layouts = manifest.layouts;
    }

    /// Removes the case that is there. What says that it is one goes last, so that this can be stopped at any time.
    fn forget(&mut self) -> Result<(), CollectError> {
        let fail = |path: &Path, error: io::Error| ExportError::write(path, error);
        self.known.clear();
        self.runs.clear();
        self.ended = None;
        self.remove_dataset()?;
        let journal = self.own_journal();
        (journal.end, journal.layouts) = (0, BTreeMap::new());
        if let Some(file) = &journal.file {
            let emptied = file.set_length(0);
            emptied.map_err(|error| fail(&self.path.join(JOURNAL), error))?;
        }
        Ok(())
    }

    /// Leaves a complete case as it is.
    pub(super) fn leave(&mut self) -> Result<(), CollectError> {
        let journal = self.path.join(JOURNAL);
        match self.own_journal().file.take() {
            Some(_) => self.discard(&journal),
            None => Ok(()),
        }
    }

    /// Removes the files that a case is made of, the manifest at last, and nothing else.
    fn remove_dataset(&self) -> Result<(), CollectError> {
        let remove = |path: &Path| {
            let removed = self.disk.remove(path);
            removed.map_err(|error| ExportError::write(path, error))
        };
        let blobs = self.blobs()?;
        for file in self.dataset()?.into_iter().chain(blobs) {
            remove(&file)?;
        }
        let manifest = self.path.join(MANIFEST);
        if self.is_file(&manifest)? {
            remove(&manifest)?;
        }
        Ok(())
    }

    fn is_file(&self, path: &Path) -> Result<bool, CollectError> {
        let place = self.disk.place(path);
        let place = place.map_err(|error| ExportError::write(path, error))?;
        Ok(matches!(place, PathKind::File { .. }))
    }

    /// The parts that are there, whoever wrote them.
    fn dataset(&self) -> Result<Vec<PathBuf>, CollectError> {
        let mut parts = Vec::new();
        for table in self.listed(&self.path, |name| name.starts_with("table="))? {
            for host in self.listed(&table, |name| name.starts_with("host="))? {
                parts.extend(self.listed(&host, is_part)?);
            }
        }
        for blobs in self.listed(&self.path, |name| name == BLOBS)? {
            parts.extend(self.listed(&blobs, is_part)?);
        }
        parts.sort();
        Ok(parts)
    }

    /// The files of long values that are there.
    fn blobs(&self) -> Result<Vec<PathBuf>, CollectError> {
        let mut files = Vec::new();
        for blobs in self.listed(&self.path, |name| name == BLOBS)? {
            for shard in self.listed(&blobs, |name| is_hex(name, 2))? {
                files.extend(self.listed(&shard, |name| is_hex(name, 64))?);
            }
        }
        Ok(files)
    }

    /// What is in a folder under names that are meant.
    fn listed(
        &self,
        folder: &Path,
        is_meant: impl Fn(&str) -> bool,
    ) -> Result<Vec<PathBuf>, CollectError> {
        let there = match self.disk.list(folder) {
            // A file that is called like a folder of the case is none.
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => Vec::new(),
            there => there.map_err(|error| ExportError::write(folder, error))?,
        };
        let name = |path: &PathBuf| path.file_name()?.to_str().map(&is_meant);
        Ok(there
            .into_iter()
            .filter(|path| name(path) == Some(true))
            .collect())
    }

    /// Begins to write: the journal says which case it is, and which run is at work.
    pub(super) fn begin(
        &mut self,
        of: &serde_json::Value,
        run: RunRecord,
    ) -> Result<(), CollectError> {
        let path = self.path.join(JOURNAL);
        let fail = |error: io::Error| ExportError::write(&path, error);
        self.disk.create_folders(&self.path).map_err(fail)?;
        self.disk.sync_folder_of(&self.path).map_err(fail)?;
        self.lock()?;
        let journal = self.journal.get_mut();
        let journal = journal.unwrap_or_else(PoisonError::into_inner);
        let is_new = journal.end == 0;
        let mut text = Vec::new();
        if is_new {
            let head = Head {
                schema: SCHEMA.to_owned(),
                of: of.clone(),
            };
            add_line(&mut text, &head).map_err(fail)?;
            for run in &self.runs {
                add_line(&mut text, &Line::Run(run.clone())).map_err(fail)?;
            }
            for (name, columns) in &journal.layouts {
                let line = Line::Layout(name.clone(), columns.clone());
                add_line(&mut text, &line).map_err(fail)?;
            }
            for record in self.known.values() {
                let line = Line::Database(Box::new(record.clone()));
                add_line(&mut text, &line).map_err(fail)?;
            }
        }
        add_line(&mut text, &Line::Run(run.clone())).map_err(fail)?;
        self.runs.push(run);
        let file = journal.file.as_ref();
        // A line that was cut off, or the journal of a case that had just been completed.
        let cut = file.map_or(Ok(()), |file| file.set_length(journal.end));
        cut.map_err(fail)?;
        journal.append(&text).map_err(fail)?;
        let file = journal.file.as_ref();
        file.map_or(Ok(()), |file| file.sync_all()).map_err(fail)?;
        self.disk.sync_folder(&self.path).map_err(fail)?;
        // What was under way when a run was killed, and an account that is not true any more.
        for left in self.disk.list(&self.path).map_err(fail)? {
            let name = left.file_name().unwrap_or_default().to_string_lossy();
            if is_work(&name) || name == MANIFEST {
                self.disk.remove(&left).map_err(fail)?;
            }
        }
        for wrong in std::mem::take(&mut self.wrong_values) {
            self.discard(&wrong)?;
        }
        Ok(())
    }

    pub(super) fn disk(&self) -> &SharedDisk {
        &self.disk
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What the names of files begin with while the database of this id is under way.
    pub(super) fn work_prefix(&self, id: &str) -> String {
        format!("{WORK}{id}-")
    }

    /// Gives a file its name in the dataset.
    pub(super) fn publish(&self, work: &Path, part: &str) -> Result<(), CollectError> {
        let to = self.path.join(part);
        let named = self.disk.create_folders(target_disk::folder_of(&to));
        let named = named.and_then(|()| self.disk.rename(work, &to));
        Ok(named.map_err(|error| ExportError::write(&to, error))?)
    }

    /// Writes the list of the values of a database that are files.
    pub(super) fn list_values(
        &self,
        id: &str,
        names: &BTreeSet<String>,
    ) -> Result<PartRecord, CollectError> {
        let mut text = String::new();
        for name in names {
            text.push_str(name);
            text.push('\n');
        }
        let work = self
            .path
            .join(format!("{}values.partial", self.work_prefix(id)));
        let written = self.disk.create(&work);
        let written = written.and_then(|file| file.write_all_at(text.as_bytes(), 0));
        written.map_err(|error| ExportError::write(&work, error))?;
        let part = PartRecord {
            file: format!("{BLOBS}/part-{}.txt", &id[..16]),
            rows: names.len() as u64,
            bytes: text.len() as u64,
            sha256: hex::encode(Sha256::digest(&text)),
        };
        self.publish(&work, &part.file)?;
        Ok(part)
    }

    /// Where a value lies that is a file.
    pub(super) fn value(&self, name: &str) -> PathBuf {
        self.path.join(BLOBS).join(&name[..2]).join(name)
    }

    /// Removes a file of work.
    pub(super) fn discard(&self, work: &Path) -> Result<(), CollectError> {
        if self.is_file(work)? {
            let removed = self.disk.remove(work);
            removed.map_err(|error| ExportError::write(work, error))?;
        }
        Ok(())
    }

    /// Notes that a database is done, with the columns of its tables.
    pub(super) fn note(
        &self,
        record: &DatabaseRecord,
        layouts: BTreeMap<String, Vec<ColumnRecord>>,
    ) -> Result<(), CollectError> {
        let fail = |error| ExportError::write(self.path.join(JOURNAL), error);
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = Vec::new();
        for (name, columns) in layouts {
            if let Entry::Vacant(entry) = journal.layouts.entry(name) {
                let line = Line::Layout(entry.key().clone(), columns.clone());
                add_line(&mut text, &line).map_err(fail)?;
                entry.insert(columns);
            }
        }
        let line = Line::Database(Box::new(record.clone()));
        add_line(&mut text, &line).map_err(fail)?;
        Ok(journal.append(&text).map_err(fail)?)
    }

    /// The columns of all tables so far.
    pub(super) fn layouts(&self) -> BTreeMap<String, Vec<ColumnRecord>> {
        let journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        journal.layouts.clone()
    }

    /// Makes the case one: its parts are on the disk, no part is there that is not of it, the manifest is written, and the journal
    /// goes.
    pub(super) fn finish<'p>(
        &self,
        manifest: &impl Serialize,
        parts: impl Iterator<Item = &'p PartRecord>,
    ) -> Result<(), CollectError> {
        let own: BTreeSet<PathBuf> = parts.map(|part| self.path.join(&part.file)).collect();
        let left = self.dataset()?.into_iter();
        for other in left.filter(|path| !own.contains(path)) {
            self.discard(&other)?;
        }
        self.sync(&own)?;
        let path = self.path.join(MANIFEST);
        let fail = |error: io::Error| ExportError::write(&path, error);
        let text = serde_json::to_vec_pretty(manifest);
        let mut text = text.map_err(|error| fail(error.into()))?;
        text.push(b'\n');
        self.disk.replace(&path, &text, WORK).map_err(fail)?;
        let journal = self.path.join(JOURNAL);
        let removed = self.disk.remove(&journal);
        let removed = removed.and_then(|()| self.disk.sync_folder(&self.path));
        Ok(removed.map_err(|error| ExportError::write(&journal, error))?)
    }

    /// Waits until files and their names are on the disk.
    fn sync(&self, files: &BTreeSet<PathBuf>) -> Result<(), CollectError> {
        let mut folders: BTreeSet<&Path> = files
            .iter()
            .map(|path| target_disk::folder_of(path))
            .collect();
        folders.extend(
            folders
                .clone()
                .iter()
                .map(|folder| target_disk::folder_of(folder)),
        );
        folders.insert(&self.path);
        let blobs = self.path.join(BLOBS);
        if self.disk.exists(&blobs).is_ok_and(|exists| exists) {
            folders.insert(&blobs);
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(SYNCS).build();
        let pool = pool.map_err(ExportError::from)?;
        let sync_file = |path: &PathBuf| {
            let synced = self.disk.open(path).and_then(|file| file.sync_all());
            synced.map_err(|error| ExportError::write(path, error))
        };
        let sync_folder = |path: &&Path| {
            let synced = self.disk.sync_folder(path);
            synced.map_err(|error| ExportError::write(*path, error))
        };
        pool.install(|| {
            files.par_iter().try_for_each(sync_file)?;
            folders.par_iter().try_for_each(sync_folder)
        })?;
        Ok(())
    }
}

impl Journal {
    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        if let Some(file) = &self.file {
            file.write_all_at(text, self.end)?;
            self.end += text.len() as u64;
        }
        Ok(())
    }
}

fn add_line(text: &mut Vec<u8>, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *text, line)?;
    text.push(b'\n');
    Ok(())
}

fn not_empty(path: &Path) -> CollectError {
    let path = path.to_owned();
    ExportError::NotEmpty { path }.into()
}

/// Whether a file in a folder of the dataset is called as a case calls its own.
fn is_part(name: &str) -> bool {
    let part = name
        .strip_prefix("part-")
        .and_then(|name| name.split_once('.'));
    part.is_some_and(|(of, ending)| {
        (is_hex(of, 16) || of == "search" || of == "sources") && ENDINGS.contains(&ending)
    })
}

/// Whether a file is called as a case calls what is under way: `unfinished-ID-N.partial`, with what belongs to it.
fn is_work(name: &str) -> bool {
    let work = name
        .strip_prefix(WORK)
        .and_then(|name| name.split_once(".partial"));
    work.is_some_and(|(of, _)| {
        let id = of.split_once('-').map_or(of, |(id, _)| id);
        is_hex(id, 32) || is_hex(id, 16) || id == "search" || id == "sources"
    })
}

pub(super) fn is_hex(name: &str, length: usize) -> bool {
    name.len() == length && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}
