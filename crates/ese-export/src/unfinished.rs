//! `unfinished.jsonl`: what an export that is under way has finished, so that the same command goes on after it was stopped.
//!
//! Its first line says which export it is, each other one a table whose file is whole. Only tables of which nothing was
//! lost are noted: the others are read again, and report their losses again. The manifest takes its place at the end.

use crate::ExportError;
use crate::manifest::TableEntry;
use ese_db::Losses;
use ese_format::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The name of the file.
pub(crate) const NAME: &str = "unfinished.jsonl";
const SCHEMA: &str = "edbkit.export-unfinished/2";

/// The first line.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct ExportHead {
    schema: String,
    /// Everything that the rows of the files depend on.
    of: serde_json::Value,
}

/// The file of a table that is whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FinishedTable {
    name: String,
    file: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    pub(crate) rows: u64,
    pub(crate) deleted_rows: u64,
    deleted_without_data: u64,
    leaves_off_path: u64,
}

/// An export under way.
pub(crate) struct UnfinishedExport {
    path: PathBuf,
    file: Mutex<File>,
    whole: HashMap<String, FinishedTable>,
}

impl UnfinishedExport {
    /// The tables of this very export that are finished in `folder`; none if it was not begun there.
    pub(crate) fn known(folder: &Path, of: &serde_json::Value) -> Option<Vec<FinishedTable>> {
        let (head, whole) = read(folder)?;
        (head.schema == SCHEMA && head.of == *of).then_some(whole)
    }

    /// Begins an export, or goes on with it: with the tables whose files are still what they were.
    pub(crate) fn begin(
        folder: &Path,
        of: serde_json::Value,
        known: Vec<FinishedTable>,
    ) -> Result<Self, ExportError> {
        let path = folder.join(NAME);
        let fail = |error| ExportError::write(&path, error);
        let kept = known.into_iter().filter(|whole| whole.is_there(folder));
        let kept: Vec<FinishedTable> = kept.collect();
        let head = ExportHead {
            schema: SCHEMA.to_owned(),
            of,
        };
        let mut text = line(&head).map_err(fail)?;
        for whole in &kept {
            text.extend(line(whole).map_err(fail)?);
        }
        let partial = folder.join(format!("{NAME}.partial"));
        fs::write(&partial, text).map_err(fail)?;
        fs::rename(&partial, &path).map_err(fail)?;
        let file = File::options().append(true).open(&path).map_err(fail)?;
        Ok(UnfinishedExport {
            whole: kept
                .into_iter()
                .map(|whole| (whole.name.clone(), whole))
                .collect(),
            file: Mutex::new(file),
            path,
        })
    }

    /// The file of a table, if it is whole already.
    pub(crate) fn whole(&self, table: &str, file: &str) -> Option<&FinishedTable> {
        self.whole.get(table).filter(|whole| whole.file == file)
    }

    /// Notes that the file of a table is whole.
    pub(crate) fn note(&self, entry: &TableEntry) -> Result<(), ExportError> {
        let whole = FinishedTable {
            name: entry.name.clone(),
            file: entry.file.clone(),
            bytes: entry.bytes,
            sha256: entry.sha256.clone(),
            rows: entry.rows,
            deleted_rows: entry.deleted_rows,
            deleted_without_data: entry.losses.deleted_without_data,
            leaves_off_path: entry.losses.leaves_off_path,
        };
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let written = line(&whole).and_then(|line| file.write_all(&line));
        written.map_err(|error| ExportError::write(&self.path, error))
    }

    /// Ends it.
    pub(crate) fn finish(self) -> Result<(), ExportError> {
        fs::remove_file(&self.path).map_err(|error| ExportError::write(&self.path, error))
    }
}

impl FinishedTable {
    /// What its reading had to work around; nothing was lost.
    pub(crate) fn losses(&self) -> Losses {
        Losses {
            deleted_without_data: self.deleted_without_data,
            leaves_off_path: self.leaves_off_path,
            ..Losses::default()
        }
    }

    /// Whether the file holds what was written to it.
    fn is_there(&self, folder: &Path) -> bool {
        let Ok((bytes, sha256)) = identify(&folder.join(&self.file)) else {
            return false;
        };
        bytes == self.bytes && sha256 == self.sha256
    }
}

/// The length of a file and its SHA-256.
fn identify(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let (mut hash, mut length) = (Sha256::new(), 0);
    let mut buffer = vec![0; 1 << 18];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok((length, hex::encode(hash.finalize())));
        }
        hash.update(&buffer[..count]);
        length += count as u64;
    }
}

/// What the file in `folder` says; a last line that was cut off counts for nothing.
fn read(folder: &Path) -> Option<(ExportHead, Vec<FinishedTable>)> {
    let mut lines = BufReader::new(File::open(folder.join(NAME)).ok()?).lines();
    let head = serde_json::from_str(&lines.next()?.ok()?).ok()?;
    let whole = lines.map_while(|line| serde_json::from_str(&line.ok()?).ok());
    Some((head, whole.collect()))
}

fn line(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}
