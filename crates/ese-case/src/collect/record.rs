//! What is known of a case: lines of its journal while it is being made, and its manifest at the end.

use crate::find::{FoundDatabase, Origin, Problem};
use ese_export::{ColumnEntry, Format};
use ese_format::{Class, Explain, JetError, hex};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

/// The account of a case: the chain of custody of its rows.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct CaseManifest {
    /// The schema of this document.
    pub schema: &'static str,
    /// What the rows depend on besides the sources.
    pub of: serde_json::Value,
    /// The runs that made it, first to last.
    pub runs: Vec<RunRecord>,
    /// When the last of them had written everything.
    pub finished: Timestamp,
    /// Sums.
    pub totals: CaseTotals,
    /// The databases that were found, in the order of the search.
    pub databases: Vec<DatabaseRecord>,
    /// The tables of the dataset.
    pub tables: Vec<CaseTable>,
    /// The columns of parts, by the names that [`TableRecord::layout`] gives them.
    pub layouts: BTreeMap<String, Vec<ColumnRecord>>,
    /// Parts that are of no single database.
    pub own_parts: Vec<PartRecord>,
    /// What the search says of what is no database.
    #[serde(flatten)]
    pub search: SearchRecord,
    /// Files of values that were too long for a row.
    pub blob_files: u64,
    /// Bytes of them.
    pub blob_bytes: u64,
}

impl CaseManifest {
    /// The schema of `manifest.json`.
    pub const SCHEMA: &'static str = "edbkit.case/1";
}

/// What a search says of what is no database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SearchRecord {
    /// What it could not look at.
    pub search_problems: Vec<ProblemRecord>,
    /// Logs of streams that belong to none of the databases.
    pub streams: Vec<StreamRecord>,
    /// Other ESE files that belong to none of the databases, and databases that are temporary.
    pub others: Vec<String>,
}

/// Sums over a case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CaseTotals {
    /// Databases that were found.
    pub databases: u64,
    /// Of these, read, and all tables written.
    pub collected: u64,
    /// Equal to another one, byte for byte, and not read again.
    pub equal_to_others: u64,
    /// Those that could not be read.
    pub failed: u64,
    /// Of those that were read, brought forward by their logs.
    pub recovered: u64,
    /// Read as they lie, though their logs may hold more.
    pub dirty: u64,
    /// Tables of them.
    pub tables: u64,
    /// Rows that were written.
    pub rows: u64,
    /// Rows that do not decode.
    pub rows_lost: u64,
    /// Values that do not decode.
    pub values_lost: u64,
    /// Pages that could not be read.
    pub pages_lost: u64,
    /// Rows of the table of problems.
    pub problems: u64,
    /// Bytes of the databases that were read.
    pub bytes: u64,
}

/// A run of the program that worked at a case.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunRecord {
    /// The program.
    pub program: String,
    /// Its version.
    pub version: String,
    /// Its command line, word for word.
    pub command: Vec<String>,
    /// When it was started.
    pub started: Timestamp,
}

/// In which state a database was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadState {
    /// It was shut down cleanly.
    Clean,
    /// It was dirty, and its logs brought it forward, in memory.
    Recovered,
    /// It is dirty, and was read as it lies.
    Dirty,
    /// Its header does not say whether it is clean; it was read as it lies.
    NotKnown,
    /// It could not be read.
    NotRead,
}

impl ReadState {
    /// What the column `_state` says.
    pub fn words(self) -> &'static str {
        match self {
            ReadState::Clean => "clean",
            ReadState::Recovered => "recovered",
            ReadState::Dirty => "dirty",
            ReadState::NotKnown => "not known",
            ReadState::NotRead => "not read",
        }
    }
}

/// What the name of a host comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostFrom {
    /// The signatures of the database or its logs.
    Signature,
    /// The name of the archive or the image that holds it.
    Container,
    /// Nothing: it is not known.
    Nothing,
}

/// One database of a case.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DatabaseRecord {
    /// Its path or address.
    pub source: String,
    /// What its parts are called after.
    pub id: String,
    /// The host, as the partition says it.
    pub host: String,
    /// What that comes from.
    pub host_from: HostFrom,
    /// The program that it belongs to.
    pub kind: Option<String>,
    /// The archive or the image that holds it.
    pub container: Option<String>,
    /// The shadow copy that holds it.
    pub snapshot: Option<String>,
    /// When that was made.
    pub snapshot_made: Option<Timestamp>,
    /// Its bytes.
    pub bytes: u64,
    /// When it was last modified, as its place says.
    pub modified: Option<Timestamp>,
    /// SHA-256 of it.
    pub sha256: Option<String>,
    /// What its header says of its state.
    pub header_state: String,
    /// The logs that belong to it.
    pub logs: Vec<FileRecord>,
    /// What recovery with them would come to.
    pub verdict: String,
    /// In which state it was read.
    pub state: ReadState,
    /// Where in the logs its rows stand, if they brought it forward.
    pub as_of: Option<String>,
    /// What tells its content, and that of its logs, from all others.
    pub content: Option<String>,
    /// What tells its series, and whether that has grown, if there are other states of it.
    pub series: Option<String>,
    /// The database that it equals, byte for byte, whose rows stand for its own.
    pub same_as: Option<String>,
    /// Its tables.
    pub tables: Vec<TableRecord>,
    /// Rows that were written.
    pub rows: u64,
    /// Rows that do not decode.
    pub rows_lost: u64,
    /// Values that do not decode.
    pub values_lost: u64,
    /// Pages that could not be read; what they held is in none of these counts.
    pub pages_lost: u64,
    /// Pages that are beyond the end of its file.
    pub pages_beyond_end: u64,
    /// The part of the table of problems that is about it.
    pub problems: Option<PartRecord>,
    /// The list of its values that are files, if there are any.
    pub long_values: Option<PartRecord>,
    /// Why it could not be read.
    pub failure: Option<ProblemRecord>,
}

/// A file of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Its path or address.
    pub path: String,
    /// Its bytes, as the search found them.
    pub bytes: Option<u64>,
    /// When it was last modified, likewise.
    pub modified: Option<Timestamp>,
    /// SHA-256 of it; not known of a file that was not needed, or could not be read.
    pub sha256: Option<String>,
}

/// A table of a database.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TableRecord {
    /// Its name in the database.
    pub name: String,
    /// The table of the dataset that it is part of.
    pub table: String,
    /// Its part.
    #[serde(flatten)]
    pub part: PartRecord,
    /// Rows of these that are deleted and still in their pages.
    pub deleted_rows: u64,
    /// Rows that a newer state of the same database has, too, and that are written there.
    pub rows_in_newer: u64,
    /// Rows that do not decode.
    pub rows_lost: u64,
    /// Values that do not decode.
    pub values_lost: u64,
    /// Pages that could not be read.
    pub pages_lost: u64,
    /// Its columns: one of the manifest's layouts.
    pub layout: String,
}

/// A file of the dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRecord {
    /// Its path below the folder of the case.
    pub file: String,
    /// Rows in it.
    pub rows: u64,
    /// Its bytes.
    pub bytes: u64,
    /// SHA-256 of it.
    pub sha256: String,
}

/// A column of a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnRecord {
    /// Its name in the part.
    pub name: String,
    /// The column of the database that it is, or adds to.
    pub column: Option<String>,
    /// The type there.
    #[serde(rename = "type")]
    pub column_type: Option<String>,
    /// Code page of the bytes in files of long values.
    pub code_page: Option<u32>,
    /// Whether it holds lists.
    pub list: bool,
}

impl From<&ColumnEntry> for ColumnRecord {
    fn from(column: &ColumnEntry) -> Self {
        ColumnRecord {
            name: column.name.clone(),
            column: column.column.clone(),
            column_type: column.column_type.clone(),
            code_page: column.code_page,
            list: column.list,
        }
    }
}

/// The name of a layout: a digest of it.
pub(super) fn layout_name(columns: &[ColumnRecord]) -> String {
    let text = serde_json::to_vec(columns).unwrap_or_default();
    let digest = hex::encode(Sha256::digest(text));
    digest[..16].to_owned()
}

/// A table of the dataset.
#[derive(Debug, Clone, Serialize)]
pub struct CaseTable {
    /// Its name.
    pub table: String,
    /// Its parts.
    pub parts: u64,
    /// Rows in them.
    pub rows: u64,
    /// The layouts of its parts.
    pub layouts: Vec<String>,
    /// Columns that are of one type in some parts and of another in others.
    pub types_differ: Vec<String>,
}

/// A stream of logs that belongs to none of the databases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamRecord {
    /// The logs.
    pub logs: Vec<String>,
    /// The databases that they speak of, by their paths on the machine that wrote them.
    pub databases: Vec<String>,
}

/// Something that could not be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemRecord {
    /// Where.
    pub path: String,
    /// What was said.
    pub message: String,
    /// What can be done about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// The engine's number, and its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jet: Option<String>,
    /// Whether it was a matter of this machine, so that it may be different the next time.
    pub may_pass: bool,
}

impl ProblemRecord {
    pub(super) fn of(path: &Path, error: &dyn Explain) -> Self {
        ProblemRecord {
            path: path.display().to_string(),
            message: error.to_string(),
            advice: error.advice().map(Into::into),
            jet: error.jet().map(jet_text),
            may_pass: error.class() == Class::Io,
        }
    }

    pub(super) fn found(problem: &Problem) -> Self {
        ProblemRecord {
            path: problem.path.display().to_string(),
            message: problem.message.clone(),
            advice: problem.advice.clone(),
            jet: problem.jet.map(jet_text),
            may_pass: problem.class == Class::Io,
        }
    }
}

/// A number of the engine with its name.
pub(super) fn jet_text(jet: JetError) -> String {
    ese_format::JetSuffix(Some(jet))
        .to_string()
        .trim()
        .to_owned()
}

/// What is written to the journal of a case.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    Run(RunRecord),
    Layout(String, Vec<ColumnRecord>),
    Database(Box<DatabaseRecord>),
}

/// What the rows of a case depend on besides its sources.
#[derive(Debug, Serialize)]
pub(super) struct CaseIdentity {
    pub(super) version: &'static str,
    pub(super) paths: Vec<String>,
    pub(super) format: Format,
    pub(super) inline_limit: usize,
    pub(super) deleted: bool,
    pub(super) shadow_copies: bool,
}

impl DatabaseRecord {
    /// What is known before it is opened.
    pub(super) fn begin(found: &FoundDatabase) -> Self {
        let file = &found.file;
        let (host, host_from) = host_of(found.host.as_deref(), &file.origin);
        let (kind, header_state) = match &file.content {
            crate::find::Content::Database(look) => {
                (look.kind.kind.map(str::to_owned), look.state.clone())
            }
            _ => (None, String::new()),
        };
        let shadow = &file.origin;
        DatabaseRecord {
            source: file.path.display().to_string(),
            id: super::names::id_of(&file.path),
            host,
            host_from,
            kind,
            container: shadow
                .container
                .as_ref()
                .map(|path| path.display().to_string()),
            snapshot: shadow
                .is_shadow_copy
                .then(|| shadow.state.display().to_string()),
            snapshot_made: shadow.moment,
            bytes: file.length,
            modified: file.modified,
            sha256: None,
            header_state,
            logs: logs_of(found),
            verdict: found.verdict.words.clone(),
            state: ReadState::NotRead,
            as_of: None,
            content: None,
            series: None,
            same_as: None,
            tables: Vec::new(),
            rows: 0,
            rows_lost: 0,
            values_lost: 0,
            pages_lost: 0,
            pages_beyond_end: 0,
            problems: None,
            long_values: None,
            failure: None,
        }
    }

    /// The same, as one of which another one's rows are the rows. `begun` is what is known of it without having read it.
    pub(super) fn giving_way(self, begun: DatabaseRecord, to: &str) -> Self {
        DatabaseRecord {
            bytes: self.bytes,
            sha256: self.sha256,
            logs: self.logs,
            content: self.content,
            same_as: Some(to.to_owned()),
            ..begun
        }
    }

    /// What differs between two looks at one source: nothing, if what was made of it is still right.
    pub(super) fn difference(&self, now: &DatabaseRecord) -> Option<String> {
        let differs = |what: &str, then: String, now: String| {
            (then != now).then(|| format!("{what} was {then} and is {now}"))
        };
        let time = |time: Option<Timestamp>| time.map_or("not known".into(), |t| t.to_string());
        differs("its length", self.bytes.to_string(), now.bytes.to_string())
            .or_else(|| differs("its time", time(self.modified), time(now.modified)))
            .or_else(|| {
                differs(
                    "the state in its header",
                    self.header_state.clone(),
                    now.header_state.clone(),
                )
            })
            .or_else(|| {
                let pairs = self.logs.iter().zip(&now.logs);
                let mut other = pairs.filter(|(then, now)| !then.looks_like(now));
                match (self.logs.len() == now.logs.len(), other.next()) {
                    (true, None) => None,
                    (true, Some((then, now))) if then.path == now.path => {
                        Some(format!("its log {} is not what it was", now.path))
                    }
                    _ => Some("other logs belong to it now".to_owned()),
                }
            })
    }

    /// The files of the case that are its own.
    pub(super) fn parts(&self) -> impl Iterator<Item = &PartRecord> {
        let tables = self.tables.iter().map(|table| &table.part);
        tables.chain(&self.problems).chain(&self.long_values)
    }

    /// Whether nothing is wrong with it, and all of it was read in the state in which it should be.
    pub fn is_whole(&self) -> bool {
        self.problems.is_none() && self.failure.is_none()
    }
}

impl FileRecord {
    /// Whether two looks at a file show the same.
    fn looks_like(&self, other: &FileRecord) -> bool {
        (&self.path, self.bytes, self.modified) == (&other.path, other.bytes, other.modified)
    }
}

fn logs_of(found: &FoundDatabase) -> Vec<FileRecord> {
    let stamps = found.logs.stamps.iter().copied();
    let logs = found
        .logs
        .paths
        .iter()
        .zip(stamps.chain(std::iter::repeat(None)));
    let logs = logs.map(|(path, stamp)| FileRecord {
        path: path.display().to_string(),
        bytes: stamp.map(|(bytes, _)| bytes),
        modified: stamp.and_then(|(_, modified)| modified),
        sha256: None,
    });
    logs.collect()
}

/// The host of a database: that of its signatures, or else what its collection is called after.
fn host_of(signed: Option<&str>, origin: &Origin) -> (String, HostFrom) {
    if let Some(host) = signed.filter(|host| !host.is_empty()) {
        return (super::names::partition(host), HostFrom::Signature);
    }
    let Some(container) = &origin.container else {
        return (super::names::UNKNOWN_HOST.to_owned(), HostFrom::Nothing);
    };
    // The innermost file: `uploads.zip::/host1.zip::` holds what is of host1.
    let state = origin.state.to_string_lossy();
    let inner = state.rsplit("::").find_map(|name| {
        let name = name.rsplit(['/', '\\']).next()?;
        let extension = Path::new(name).extension()?;
        (extension.len() <= 4).then(|| stem(name))
    });
    let outer = container
        .file_name()
        .map(|name| stem(&name.to_string_lossy()));
    let name = inner.or(outer).unwrap_or_default();
    match name.is_empty() {
        true => (super::names::UNKNOWN_HOST.to_owned(), HostFrom::Nothing),
        false => (super::names::partition(&name), HostFrom::Container),
    }
}

/// The name of a file without what says its kind.
fn stem(name: &str) -> String {
    let lower = name.to_lowercase();
    for ending in [".tar.gz", ".tar.zst", ".tgz"] {
        if lower.ends_with(ending) && lower.len() == name.len() {
            return name[..name.len() - ending.len()].to_owned();
        }
    }
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem.to_owned(),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_called_as_its_signature_or_its_collection() {
        let origin = |container: &str, state: &str| Origin {
            container: (!container.is_empty()).then(|| container.into()),
            state: state.into(),
            is_shadow_copy: false,
            moment: None,
        };
        let zip = origin("c/PC-1.zip", "c/PC-1.zip::");
        assert_eq!(host_of(Some("SRV"), &zip).0, "SRV");
        for (container, state, host) in [
            ("c/PC-1.zip", "c/PC-1.zip::", "PC-1"),
            ("c/PC-2.tar.gz", "c/PC-2.tar.gz::", "PC-2"),
            ("c/all.zip", "c/all.zip::up/PC-3.zip::", "PC-3"),
            ("c/PC-4.E01", "c/PC-4.E01::vss2:", "PC-4"),
            ("", "c", "__unknown__"),
        ] {
            assert_eq!(host_of(None, &origin(container, state)).0, host, "{state}");
        }
    }
}
