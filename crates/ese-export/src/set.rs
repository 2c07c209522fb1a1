//! Exports of several databases below one folder: a folder for each, and `databases.json` that says which is which.
//!
//! ```text
//! DIR/
//!   NAME/             what an export of one database writes
//!   databases.json    written last: a folder without it holds a set of exports that did not finish
//!   unfinished.json   only until then: which set it is
//! ```
//!
//! The same call goes on where it was stopped: exports that ended are not made again ([`finished`]).

use crate::{ExportError, ExportManifest, ExportOptions};
use ese_columns::FileNames;
use ese_format::hex;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

const MARK: &str = "unfinished.json";
const LIST: &str = "databases.json";

/// The folder of a set of exports.
#[derive(Debug)]
pub struct ExportSet {
    folder: PathBuf,
    names: FileNames,
}

impl ExportSet {
    /// Makes `folder` ready for the exports that `of` describes, or for going on with them.
    pub fn begin(folder: &Path, of: &impl Serialize, force: bool) -> Result<Self, ExportError> {
        let fail = |error| ExportError::write(folder, error);
        fs::create_dir_all(folder).map_err(fail)?;
        let is_empty = fs::read_dir(folder).map_err(fail)?.next().is_none();
        let of = serde_json::to_vec_pretty(of).map_err(|error| fail(error.into()))?;
        let mark = folder.join(MARK);
        let path = folder.to_owned();
        match fs::read(&mark) {
            Ok(known) if known == of => {}
            Ok(_) if !force => return Err(ExportError::OtherUnfinished { path }),
            Err(_) if !force && !is_empty => return Err(ExportError::NotEmpty { path }),
            _ => write_whole(&mark, &of)?,
        }
        Ok(ExportSet {
            folder: folder.to_owned(),
            names: FileNames::default(),
        })
    }

    /// The folder for the export of a database that is called `name`, by its own name.
    pub fn folder_for(&mut self, name: &str) -> String {
        self.names.give(name, "")
    }

    /// Where a folder of the set is.
    pub fn path_of(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes what there is to say of the set, and ends it.
    pub fn finish(self, list: &impl Serialize) -> Result<(), ExportError> {
        let path = self.folder.join(LIST);
        let fail = |error: serde_json::Error| ExportError::write(&path, error);
        let mut text = serde_json::to_vec_pretty(list).map_err(fail)?;
        text.push(b'\n');
        write_whole(&path, &text)?;
        let mark = self.folder.join(MARK);
        fs::remove_file(&mark).map_err(|error| ExportError::write(&mark, error))
    }
}

/// Written under another name and renamed, so that it is always whole.
pub(crate) fn write_whole(path: &Path, text: &[u8]) -> Result<(), ExportError> {
    let partial = path.with_extension("json.partial");
    let fail = |error| ExportError::write(path, error);
    fs::write(&partial, text).map_err(fail)?;
    fs::rename(&partial, path).map_err(fail)
}

/// What distinguishes an export from any other: everything that its rows depend on.
pub(crate) fn identity(options: &ExportOptions) -> String {
    let text = serde_json::to_vec(options).unwrap_or_default();
    hex::encode(Sha256::digest(text))
}

/// The manifest of this very export, if it ended in its folder and its files are there.
pub fn finished(options: &ExportOptions) -> Option<Value> {
    let text = fs::read(options.to.join("manifest.json")).ok()?;
    let manifest: Value = serde_json::from_slice(&text).ok()?;
    let same = manifest.get("schema")?.as_str()? == ExportManifest::SCHEMA
        && manifest.get("identity")?.as_str()? == identity(options);
    let is_there = |table: &Value| {
        let file = table.get("file").and_then(Value::as_str);
        let length = file.and_then(|file| fs::metadata(options.to.join(file)).ok());
        length.is_some_and(|data| Some(data.len()) == table.get("bytes").and_then(Value::as_u64))
    };
    let tables = manifest.get("tables")?.as_array()?;
    (same && tables.iter().all(is_there)).then_some(manifest)
}
