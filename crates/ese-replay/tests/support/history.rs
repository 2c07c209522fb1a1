//! Replays a stream from nothing and holds every page against the engine's at the same dbtime.

use super::compare::{compare_files, difference};
use super::streams;
use ese_format::database::HeaderCopies;
use ese_format::page::{PageSize, PageView};
use ese_format::record::CreateDb;
use ese_format::{Dbtime, Generation, Pgno, Signature};
use ese_log::StreamRecords;
use ese_replay::Redo;
use ese_replay::page_files::MemoryFile;
use ese_replay::redo::NewDatabase;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// A page in one of the engine's files.
struct Snapshot {
    file: String,
    bytes: Vec<u8>,
    met: bool,
}

/// The pages in all of the engine's files of one set.
#[derive(Default)]
pub(crate) struct Snapshots {
    page_size: Option<PageSize>,
    /// By database signature, page and dbtime.
    pages: HashMap<(Vec<u8>, Pgno, Dbtime), Vec<Snapshot>>,
    /// The recovered files, by database signature.
    recovered: BTreeMap<Vec<u8>, PathBuf>,
}

impl Snapshots {
    /// The databases in the parts of a set: at the crash, early copies, after redo, after recovery.
    pub(crate) fn of(set: &Path) -> Self {
        let mut snapshots = Snapshots::default();
        for part in ["state", "state1", "redo-only", "recovered"] {
            let Ok(entries) = fs::read_dir(set.join(part)) else {
                continue;
            };
            for path in entries.map(|entry| entry.expect("a folder entry").path()) {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                if name.ends_with(".edb") || name.contains(".edb.old") || name.ends_with(".old1") {
                    snapshots.add(part, &name, &path);
                }
            }
        }
        snapshots
    }

    fn add(&mut self, part: &str, name: &str, path: &Path) {
        let bytes = fs::read(path).unwrap();
        let headers = HeaderCopies::read(&bytes);
        let Some(header) = headers.good() else { return };
        let signature = signature_of(&header.fields.signature);
        let size = PageSize::new(headers.page_size).unwrap();
        self.page_size = Some(size);
        if part == "recovered" {
            self.recovered.insert(signature.clone(), path.to_owned());
        }
        for (index, page) in bytes.chunks_exact(size.as_usize()).enumerate().skip(2) {
            let pgno = Pgno(index as u32 - 1);
            let view = PageView::new(pgno, page).unwrap();
            if view.is_blank() || view.header().dbtime() >= Dbtime::REVERT {
                continue;
            }
            let place = (signature.clone(), pgno, view.header().dbtime());
            let snapshot = Snapshot {
                file: format!("{part}/{name}"),
                bytes: page.to_vec(),
                met: false,
            };
            self.pages.entry(place).or_default().push(snapshot);
        }
    }
}

fn signature_of(signature: &Signature) -> Vec<u8> {
    format!("{signature:?}").into_bytes()
}

/// What a replay of a set met.
pub(crate) struct History {
    snapshots: Snapshots,
    /// Pages of the engine's files that the replay came by.
    pub met: usize,
    /// Pages of the engine's files that it did not come by.
    pub unmet: Vec<String>,
    /// Pages that differ.
    pub different: Vec<String>,
    /// What is not as in the recovered files at the end.
    pub end: Vec<String>,
    /// What stopped the replay.
    pub error: Option<String>,
    /// Pages compared with the recovered files.
    pub(crate) compared_at_end: usize,
    divergences: usize,
    records: u64,
}

impl History {
    pub(crate) fn new(snapshots: Snapshots) -> Self {
        History {
            snapshots,
            met: 0,
            unmet: Vec::new(),
            different: Vec::new(),
            end: Vec::new(),
            error: None,
            compared_at_end: 0,
            divergences: 0,
            records: 0,
        }
    }

    pub(crate) fn is_good(&self) -> bool {
        let lists = [&self.unmet, &self.different, &self.end];
        self.error.is_none() && self.divergences == 0 && lists.iter().all(|list| list.is_empty())
    }

    /// Replays the set's stream, through the log in which the engine recorded its own recovery.
    pub(crate) fn replay(&mut self, set: &Path) {
        let folder = streams::recovered_logs(set);
        let mut redo = self.redo(streams::open(folder.path()).records(Generation(1)));
        self.divergences = redo.divergences().len();
        for divergence in redo.divergences().iter().take(3) {
            self.different.push(format!("{divergence:?}"));
        }
        for ((_, pgno, dbtime), snapshots) in &self.snapshots.pages {
            for snapshot in snapshots.iter().filter(|snapshot| !snapshot.met) {
                (self.unmet).push(format!("{} page {pgno} at {dbtime:#x}", snapshot.file));
            }
        }
        if self.error.is_none() {
            self.look_at_end(&mut redo);
        }
    }

    /// Replays these records from nothing.
    pub(crate) fn redo(&mut self, mut records: StreamRecords) -> Redo {
        let mut redo = Redo::new();
        let page_size = self.snapshots.page_size.expect("a set has a database");
        redo.create_with(Box::new(move |_: &CreateDb<'_>| {
            Some(NewDatabase {
                file: Box::new(MemoryFile::new()),
                page_size,
                cache_pages: 100_000,
            })
        }));
        loop {
            let raw = match records.next_record() {
                Ok(Some(raw)) => raw,
                Ok(None) => return redo,
                Err(error) => {
                    self.error = Some(error.to_string());
                    return redo;
                }
            };
            self.records += 1;
            if let Err(error) = redo.apply(&raw) {
                self.error = Some(error.to_string());
                return redo;
            }
            self.look_at_changes(&mut redo);
        }
    }

    fn look_at_changes(&mut self, redo: &mut Redo) {
        for database in redo.databases_mut().values_mut() {
            database.pages.watch();
            let mut changed = database.pages.take_changed();
            changed.sort_unstable();
            changed.dedup();
            let signature = signature_of(&database.header.signature);
            for pgno in changed {
                let Ok(page) = database.pages.get(pgno) else {
                    continue;
                };
                let place = (signature.clone(), pgno, page.dbtime());
                for snapshot in self.snapshots.pages.get_mut(&place).into_iter().flatten() {
                    self.met += usize::from(!snapshot.met);
                    snapshot.met = true;
                    if let Some(difference) = difference(pgno, page.bytes(), &snapshot.bytes) {
                        let (file, lgpos) = (&snapshot.file, database.header.last_attach);
                        self.different.push(format!(
                            "{file} page {pgno} (attached at {lgpos}): {difference}"
                        ));
                    }
                }
            }
        }
    }

    /// At the end every page, and the number of pages, are as in the recovered files.
    pub(crate) fn look_at_end(&mut self, redo: &mut Redo) {
        let mut recovered = std::mem::take(&mut self.snapshots.recovered);
        for mut database in redo.take_databases() {
            let signature = signature_of(&database.header.signature);
            let Some(path) = recovered.remove(&signature) else {
                continue;
            };
            let bytes = fs::read(&path).unwrap();
            let (compared, found) = compare_files(&mut database.pages, &bytes);
            self.compared_at_end += compared;
            self.end.extend(found);
        }
        for path in recovered.values() {
            self.end
                .push(format!("{} was not replayed", path.display()));
        }
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} records, {} pages met, {} not",
            self.records,
            self.met,
            self.unmet.len()
        )?;
        if let Some(error) = &self.error {
            write!(f, "\n    {error}")?;
        }
        for list in [&self.different, &self.end, &self.unmet] {
            for line in list.iter().take(4) {
                write!(f, "\n    {}", line.chars().take(300).collect::<String>())?;
            }
            if list.len() > 4 {
                write!(f, "\n    ... and {} more", list.len() - 4)?;
            }
        }
        Ok(())
    }
}
