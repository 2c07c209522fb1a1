//! The table of problems: everything of a case that could not be read, a row for each.

use super::CollectError;
use super::folder::CaseFolder;
use super::names::PROBLEMS;
use super::record::{DatabaseRecord, PartRecord, ProblemRecord, jet_text};
use ese_db::Losses;
use ese_export::{ExportError, Format, PlainKind, PlainTable, PlainValue, ValueProblem};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use target_disk::DiskFile;

const COLUMNS: [(&str, PlainKind); 15] = [
    ("_source", PlainKind::Text),
    ("_state", PlainKind::Text),
    ("_snapshot", PlainKind::Text),
    ("what", PlainKind::Text),
    ("message", PlainKind::Text),
    ("advice", PlainKind::Text),
    ("jet", PlainKind::Text),
    ("in_table", PlainKind::Text),
    ("in_column", PlainKind::Text),
    ("page", PlainKind::Number),
    ("node", PlainKind::Number),
    ("key", PlainKind::Text),
    ("count", PlainKind::Number),
    ("bytes", PlainKind::Text),
    ("file", PlainKind::Text),
];

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// Something that could not be searched.
    Search,
    /// A database that could not be read.
    Database,
    /// A recovery that could not be done, so that the database was read as it lies.
    Recovery,
    /// What headers and length show.
    Header,
    /// The catalog.
    Catalog,
    /// A page of a table.
    Page,
    /// Rows of a table.
    Rows,
    /// A value.
    Value,
}

impl What {
    fn word(self) -> &'static str {
        match self {
            What::Search => "search",
            What::Database => "database",
            What::Recovery => "recovery",
            What::Header => "header",
            What::Catalog => "catalog",
            What::Page => "page",
            What::Rows => "rows",
            What::Value => "value",
        }
    }
}

/// A row.
#[derive(Debug, Default)]
pub(super) struct ProblemRow {
    pub(super) message: String,
    pub(super) advice: Option<String>,
    pub(super) jet: Option<String>,
    pub(super) in_table: Option<String>,
    pub(super) in_column: Option<String>,
    pub(super) page: Option<u64>,
    pub(super) node: Option<u64>,
    pub(super) key: Option<String>,
    pub(super) count: Option<u64>,
    pub(super) bytes: Option<String>,
    pub(super) file: Option<String>,
}

impl From<&ProblemRecord> for ProblemRow {
    fn from(problem: &ProblemRecord) -> Self {
        ProblemRow {
            message: problem.message.clone(),
            advice: problem.advice.clone(),
            jet: problem.jet.clone(),
            ..ProblemRow::default()
        }
    }
}

/// A part of the table, which is made when there is a first row.
pub(super) struct ProblemPart<'c> {
    case: &'c CaseFolder,
    format: Format,
    host: String,
    name: String,
    work: PathBuf,
    about: [PlainValue; 3],
    table: Option<PlainTable>,
    rows: u64,
}

impl<'c> ProblemPart<'c> {
    /// The part about one database.
    pub(super) fn of(case: &'c CaseFolder, format: Format, record: &DatabaseRecord) -> Self {
        let text = |text: &str| PlainValue::from(text);
        ProblemPart {
            case,
            format,
            host: record.host.clone(),
            name: record.id[..16].to_owned(),
            work: work(case, &record.id),
            about: [
                text(&record.source),
                text(record.state.words()),
                PlainValue::Text(record.snapshot.clone()),
            ],
            table: None,
            rows: 0,
        }
    }

    /// The part about the search.
    pub(super) fn of_search(case: &'c CaseFolder, format: Format) -> Self {
        ProblemPart {
            case,
            format,
            host: super::names::UNKNOWN_HOST.to_owned(),
            name: "search".to_owned(),
            work: work(case, "search"),
            about: [
                PlainValue::Text(None),
                PlainValue::Text(None),
                PlainValue::Text(None),
            ],
            table: None,
            rows: 0,
        }
    }

    /// The rows that follow are about this source.
    pub(super) fn about(&mut self, source: &str) {
        self.about[0] = PlainValue::from(source);
    }

    pub(super) fn row(&mut self, what: What, row: ProblemRow) -> Result<(), CollectError> {
        let table = match &mut self.table {
            Some(table) => table,
            none => {
                let disk = self.case.disk();
                none.insert(PlainTable::create(
                    self.format,
                    &**disk,
                    &self.work,
                    &COLUMNS,
                )?)
            }
        };
        let [source, state, snapshot] = self.about.clone();
        table.row(&[
            source,
            state,
            snapshot,
            PlainValue::from(what.word()),
            PlainValue::Text(Some(row.message)),
            PlainValue::Text(row.advice),
            PlainValue::Text(row.jet),
            PlainValue::Text(row.in_table),
            PlainValue::Text(row.in_column),
            PlainValue::Number(row.page),
            PlainValue::Number(row.node),
            PlainValue::Text(row.key),
            PlainValue::Number(row.count),
            PlainValue::Text(row.bytes),
            PlainValue::Text(row.file),
        ])?;
        self.rows += 1;
        Ok(())
    }

    /// What was lost in the catalog, or in a table.
    pub(super) fn losses(
        &mut self,
        in_table: Option<&str>,
        losses: &Losses,
    ) -> Result<(), CollectError> {
        let of_table = in_table.map(str::to_owned);
        for (pgno, lost) in &losses.pages {
            let what = if in_table.is_some() {
                What::Page
            } else {
                What::Catalog
            };
            let row = ProblemRow {
                message: lost.reason.clone(),
                jet: lost.jet.map(jet_text),
                in_table: of_table.clone(),
                page: Some(pgno.0.into()),
                ..ProblemRow::default()
            };
            self.row(what, row)?;
        }
        if losses.rows > 0 {
            let what = if in_table.is_some() {
                What::Rows
            } else {
                What::Catalog
            };
            let row = ProblemRow {
                message: format!("{} records do not decode", losses.rows),
                in_table: of_table,
                count: Some(losses.rows),
                ..ProblemRow::default()
            };
            self.row(what, row)?;
        }
        Ok(())
    }

    /// The values of a table that could not be read, as its export wrote them down; that file is removed.
    pub(super) fn values(&mut self, written: &Path) -> Result<(), CollectError> {
        let fail = |error: io::Error| ExportError::write(written, error);
        let disk = self.case.disk();
        if !disk.exists(written).map_err(fail)? {
            return Ok(());
        }
        let file = disk.open_to_read(written).map_err(fail)?;
        let file: Arc<dyn DiskFile> = file.into();
        for line in BufReader::new(FromStart { file, offset: 0 }).lines() {
            let line = line.map_err(fail)?;
            let value: ValueProblem =
                serde_json::from_str(&line).map_err(|error| fail(error.into()))?;
            let row = ProblemRow {
                message: value.reason,
                in_table: Some(value.table),
                in_column: Some(value.column),
                page: Some(value.page.into()),
                node: Some(value.line as u64),
                key: Some(value.key),
                bytes: value.bytes,
                file: value.file,
                ..ProblemRow::default()
            };
            self.row(What::Value, row)?;
        }
        self.case.discard(written)
    }

    /// Ends it: the file of work and the part, if there is any row.
    pub(super) fn finish(self) -> Result<Option<(PathBuf, PartRecord)>, CollectError> {
        let Some(table) = self.table else {
            return Ok(None);
        };
        let (bytes, sha256) = table.finish()?;
        let extension = self.format.extension();
        let (host, name) = (self.host, self.name);
        let part = PartRecord {
            file: format!("table={PROBLEMS}/host={host}/part-{name}.{extension}"),
            rows: self.rows,
            bytes,
            sha256,
        };
        Ok(Some((self.work, part)))
    }
}

fn work(case: &CaseFolder, id: &str) -> PathBuf {
    let prefix = case.work_prefix(id);
    case.path().join(format!("{prefix}problems.partial"))
}

/// A file of a disk, from its start on.
struct FromStart {
    file: Arc<dyn DiskFile>,
    offset: u64,
}

impl Read for FromStart {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}
