//! One database: opened in its best state, and its tables written.

use super::folder::CaseFolder;
use super::names::TablePartitions;
use super::problems::{ProblemPart, ProblemRow, What};
use super::record::{
    ColumnRecord, DatabaseRecord, PartRecord, ProblemRecord, ReadState, TableRecord, layout_name,
};
use super::states::{AllStates, KnownRows, StateRows, States};
use super::{CollectError, CollectOptions};
use crate::find::{Content, FoundDatabase};
use ese_db::{Database, DbError};
use ese_export::blobs::Blobs;
use ese_export::{
    ExportError, FIRST_SEEN, GivenColumn, LAST_SEEN, SeenRows, TableRows, TablesOptions,
    TablesWritten, digest_rows, export_tables, problems_in,
};
use ese_format::{Class, Explain, Progress, hex};
use ese_replay::output::InPlace;
use ese_replay::recovery::DatabaseFile;
use ese_replay::view::{RecoveredView, ViewError, ViewOptions};
use ese_scan::{DigestKind, digest_file};
use evidence::EvidenceFile;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

/// Names that mean something to whoever reads a dataset.
pub(super) const RESERVED: [&str; 7] = [
    "table",
    "host",
    "_source",
    "_state",
    "_snapshot",
    FIRST_SEEN,
    LAST_SEEN,
];

/// What all databases have in common.
pub(super) struct Collector<'c> {
    pub(super) case: &'c CaseFolder,
    pub(super) blobs: &'c Blobs,
    pub(super) options: &'c CollectOptions,
    pub(super) progress: &'c dyn Progress,
    /// All databases, and which of them are states of one.
    pub(super) found: &'c [&'c FoundDatabase],
    pub(super) states: AllStates,
}

/// The columns of the tables of one database, by the names of their layouts.
pub(super) type Layouts = BTreeMap<String, Vec<ColumnRecord>>;

/// A database as it is read.
struct Opened {
    database: Database,
    state: ReadState,
    as_of: Option<String>,
    /// Why it is not in a better state.
    unrecovered: Option<ProblemRecord>,
}

/// How much is done for progress: bytes of sources are, pages that are read again are not.
struct Quietly<'p>(&'p dyn Progress);

impl Progress for Quietly<'_> {
    fn advance(&self, _bytes: u64) {}

    fn begin(&self, _total: u64, _done: u64) {}

    fn should_stop(&self) -> bool {
        self.0.should_stop()
    }
}

/// A source with its digest, kept open so that a member of an archive is unpacked once.
pub(super) struct HashedSource {
    _file: EvidenceFile,
}

impl Collector<'_> {
    /// Digests a database, and the logs that it needs; notes what tells it from all others.
    pub(super) fn identify(
        &self,
        found: &FoundDatabase,
        record: &mut DatabaseRecord,
        progress: &dyn Progress,
    ) -> Result<Option<HashedSource>, CollectError> {
        let (file, sha256) = match self.digest(&found.file.path, progress) {
            Ok(opened) => opened,
            Err(Stop::Failed(problem)) => {
                record.failure = Some(problem);
                return Ok(None);
            }
            Err(Stop::Ended(error)) => return Err(error),
        };
        let mut content = Sha256::new();
        content.update(&sha256);
        record.sha256 = Some(sha256);
        if needs_recovery(found) {
            for (path, log) in found.logs.paths.iter().zip(&mut record.logs) {
                log.sha256 = match self.digest(path, &Quietly(progress)) {
                    Ok((_, sha256)) => Some(sha256),
                    // Recovery says what that means.
                    Err(Stop::Failed(_)) => None,
                    Err(Stop::Ended(error)) => return Err(error),
                };
                content.update(log.sha256.as_deref().unwrap_or(&log.path));
            }
        }
        record.content = Some(hex::encode(content.finalize()));
        Ok(Some(HashedSource { _file: file }))
    }

    fn digest(&self, path: &Path, progress: &dyn Progress) -> Result<(EvidenceFile, String), Stop> {
        let digest = || {
            let file = EvidenceFile::open(path)?;
            let digests = digest_file(&file, &[DigestKind::Sha256], progress)?;
            let sha256 = digests.into_iter().next().map(|digest| digest.hex);
            Ok((file, sha256.unwrap_or_default()))
        };
        let opened = digest().map_err(|error: evidence::EvidenceError| {
            Stop::Failed(ProblemRecord::of(path, &error))
        })?;
        match progress.should_stop() {
            true => Err(Stop::Ended(ExportError::Stopped.into())),
            false => Ok(opened),
        }
    }

    /// Writes all tables of a database, and what is wrong with it; its record says what came of it.
    pub(super) fn collect(
        &self,
        number: usize,
        record: &mut DatabaseRecord,
        threads: usize,
    ) -> Result<Layouts, CollectError> {
        let mut written = None;
        let mut unrecovered = None;
        let blobs = self.blobs.of_one();
        if record.failure.is_none() {
            match self.write(number, record, threads, &blobs) {
                Ok((tables, problem)) => {
                    written = Some(tables);
                    unrecovered = problem;
                }
                Err(Stop::Failed(problem)) => {
                    record.state = ReadState::NotRead;
                    record.failure = Some(problem);
                }
                Err(Stop::Ended(error)) => return Err(error),
            }
        }
        let problems = self.problems(number, record, written.as_ref(), unrecovered)?;
        let (layouts, files) = match written {
            Some(written) => take_tables(record, written, self.options.format.extension()),
            None => (Layouts::new(), Vec::new()),
        };
        for (file, part) in files {
            self.case.publish(&self.case.path().join(file), &part)?;
        }
        let used = blobs.used();
        if !used.is_empty() && !layouts.is_empty() {
            record.long_values = Some(self.case.list_values(&record.id, &used)?);
        }
        if let Some((work, part)) = problems {
            self.case.publish(&work, &part.file)?;
            record.problems = Some(part);
        }
        Ok(layouts)
    }

    fn write(
        &self,
        number: usize,
        record: &mut DatabaseRecord,
        threads: usize,
        blobs: &Blobs,
    ) -> Result<(TablesWritten, Option<ProblemRecord>), Stop> {
        let found = self.found[number];
        let states = self.states(number)?;
        if let Some(states) = &states
            && let Some(problem) = states.known.unread.get(&states.own)
        {
            return Err(Stop::Failed(problem.clone()));
        }
        let opened = self.open(found)?;
        record.state = opened.state;
        record.as_of = opened.as_of;
        let text = |name, text| GivenColumn::text(name, text);
        let given = vec![
            text("_source", Some(record.source.clone())),
            text("_state", Some(record.state.words().to_owned())),
            text("_snapshot", record.snapshot.clone()),
            GivenColumn::time(FIRST_SEEN, record.snapshot_made),
            GivenColumn::time(LAST_SEEN, record.snapshot_made),
        ];
        let prefix = self.case.work_prefix(&record.id);
        let options = TablesOptions {
            rows: TableRows {
                format: self.options.format,
                inline_limit: self.options.inline_limit,
                deleted: self.options.deleted,
                given,
                reserved: &RESERVED,
                seen: states.as_ref().map(|states| states as &dyn SeenRows),
            },
            decoded: true,
            folder: self.case.path(),
            prefix: &prefix,
            threads,
        };
        let written = export_tables(
            &opened.database,
            &options,
            &**self.case.disk(),
            blobs,
            &Quietly(self.progress),
        );
        let written = written.map_err(|error| match error {
            ExportError::Database(error) => Stop::failed(&found.file.path, &error),
            error => Stop::Ended(error.into()),
        })?;
        Ok((written, opened.unrecovered))
    }

    /// Which rows of a database other states of it have, too; none if it is alone, or if there are more of them than fit into
    /// memory.
    fn states(&self, number: usize) -> Result<Option<StateRows>, Stop> {
        let Some((states, own)) = self.states.states_of(number) else {
            return Ok(None);
        };
        let mut slot = states.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = match &*slot {
            Some(known) => Arc::clone(known),
            None => Arc::clone(slot.insert(Arc::new(self.rows_of(states)?))),
        };
        Ok((!known.is_full).then(|| StateRows {
            known,
            own,
            times: states.times.clone(),
        }))
    }

    fn has_too_many_rows(&self, number: usize) -> bool {
        self.states.states_of(number).is_some_and(|(states, _)| {
            let known = states.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.as_ref().is_some_and(|known| known.is_full)
        })
    }

    /// Reads all states of a database, the oldest first, but those that cannot be read to their end.
    fn rows_of(&self, states: &States) -> Result<KnownRows, Stop> {
        let mut unread = HashMap::new();
        loop {
            let mut known = KnownRows::new();
            match self.add_rows(states, &unread, &mut known)? {
                Some((state, problem)) => unread.insert(state, problem),
                None => {
                    known.unread = unread;
                    return Ok(known);
                }
            };
        }
    }

    /// Adds the rows of all states but those that are known to be unreadable. Gives the first that turns out to be one.
    fn add_rows(
        &self,
        states: &States,
        unread: &HashMap<u16, ProblemRecord>,
        known: &mut KnownRows,
    ) -> Result<Option<(u16, ProblemRecord)>, Stop> {
        let quietly = Quietly(self.progress);
        let mut contents: Vec<Option<String>> = vec![None; states.members.len()];
        for (state, number) in (0..).zip(&states.members) {
            if known.is_full || unread.contains_key(&state) {
                continue;
            }
            let found = self.found[*number];
            let mut record = DatabaseRecord::begin(found);
            let source = self.identify(found, &mut record, &quietly);
            let _source = source.map_err(Stop::Ended)?;
            if let Some(problem) = record.failure {
                return Ok(Some((state, problem)));
            }
            contents[usize::from(state)] = record.content;
            let opened = match self.open(found) {
                Ok(opened) => opened,
                Err(Stop::Failed(problem)) => return Ok(Some((state, problem))),
                Err(stop) => return Err(stop),
            };
            let rows = TableRows {
                format: self.options.format,
                inline_limit: self.options.inline_limit,
                deleted: self.options.deleted,
                given: Vec::new(),
                reserved: &RESERVED,
                seen: None,
            };
            let mut take = |row| known.add(state, row);
            let (database, blobs) = (&opened.database, self.blobs);
            match digest_rows(database, &rows, true, blobs, &quietly, &mut take) {
                Ok(()) => {}
                Err(ExportError::Database(error)) => {
                    return Ok(Some((state, ProblemRecord::of(&found.file.path, &error))));
                }
                Err(error) => return Err(Stop::Ended(error.into())),
            }
        }
        // Of equal ones the first is read, and has the rows of all.
        let writer = |state: usize| {
            let equal = (0..contents.len())
                .filter(|other| contents[*other].is_some() && contents[*other] == contents[state]);
            let first = equal.min_by_key(|other| states.members[*other]);
            u16::try_from(first.unwrap_or(state)).unwrap_or(u16::MAX)
        };
        known.writers = (0..contents.len()).map(writer).collect();
        Ok(None)
    }

    /// Opens a database as recovery leaves it, or as it lies.
    fn open(&self, found: &FoundDatabase) -> Result<Opened, Stop> {
        let path = &found.file.path;
        let mut unrecovered = None;
        let half_written = InPlace::refuse_interrupted(path).err();
        if let Some(error) = &half_written {
            unrecovered = Some(ProblemRecord::of(path, error));
        }
        if needs_recovery(found) && half_written.is_none() {
            match self.recover(found) {
                Ok(opened) => return Ok(opened),
                Err(Stop::Failed(problem)) if !problem.may_pass => unrecovered = Some(problem),
                Err(stop) => return Err(stop),
            }
        }
        let database = Database::open(path).map_err(|error| Stop::failed(path, &error))?;
        let header = database.headers().and_then(|headers| headers.good());
        let state = header.map(|header| header.fields.state);
        let state = match state {
            Some(state) if state.needs_recovery() => ReadState::Dirty,
            Some(ese_format::database::DatabaseState::CLEAN_SHUTDOWN) => ReadState::Clean,
            _ => ReadState::NotKnown,
        };
        Ok(Opened {
            database,
            state,
            as_of: None,
            unrecovered,
        })
    }

    fn recover(&self, found: &FoundDatabase) -> Result<Opened, Stop> {
        let path = &found.file.path;
        let Some(stream) = &found.logs.stream else {
            return Err(Stop::Failed(ProblemRecord {
                path: path.display().to_string(),
                message: format!("read as it lies: {}", found.verdict.words),
                advice: None,
                jet: None,
                may_pass: false,
            }));
        };
        let failed = |error: &ViewError| match error.class() {
            Class::Interrupted => Stop::Ended(ExportError::Stopped.into()),
            _ => Stop::failed(path, error),
        };
        let file = DatabaseFile::open(path).map_err(|error| failed(&error.into()))?;
        let options = ViewOptions {
            memory: self.options.memory / self.options.threads.max(1),
            ignore_missing: true,
            as_of: None,
        };
        let progress = Quietly(self.progress);
        let recovered = RecoveredView::after_recovery(&file, stream, options, &progress);
        let (view, _) = recovered.map_err(|error| failed(&error))?;
        let database = Database::new(view);
        let header = database.headers().and_then(|headers| headers.good());
        let as_of = header.map(|header| header.fields.last_consistent.to_string());
        Ok(Opened {
            database,
            state: ReadState::Recovered,
            as_of,
            unrecovered: None,
        })
    }

    /// Writes down what is wrong.
    fn problems(
        &self,
        number: usize,
        record: &DatabaseRecord,
        written: Option<&TablesWritten>,
        unrecovered: Option<ProblemRecord>,
    ) -> Result<Option<(PathBuf, PartRecord)>, CollectError> {
        let found = self.found[number];
        let mut part = ProblemPart::of(self.case, self.options.format, record);
        if let Content::Database(look) = &found.file.content {
            for finding in &look.findings {
                let message = finding.clone();
                part.row(
                    What::Header,
                    ProblemRow {
                        message,
                        ..ProblemRow::default()
                    },
                )?;
            }
        }
        if let Some(failure) = &record.failure {
            part.row(What::Database, failure.into())?;
        }
        if let Some(problem) = &unrecovered {
            part.row(What::Recovery, problem.into())?;
        }
        if self.has_too_many_rows(number) {
            let message = "the rows that other shadow copies have, too, were not put together: there are more than memory holds";
            part.row(
                What::Rows,
                ProblemRow {
                    message: message.to_owned(),
                    ..ProblemRow::default()
                },
            )?;
        }
        if record.state == ReadState::NotKnown {
            let message = "whether it is clean is not known; it was read as it lies".to_owned();
            part.row(
                What::Header,
                ProblemRow {
                    message,
                    ..ProblemRow::default()
                },
            )?;
        }
        let Some(written) = written else {
            return part.finish();
        };
        if let Some(cut_off) = &written.cut_off {
            let row = ProblemRow {
                message: cut_off.to_string(),
                count: Some(cut_off.missing().into()),
                ..ProblemRow::default()
            };
            part.row(What::Header, row)?;
        }
        if written.shadow_catalog_used {
            let message = "the catalog cannot be read in full; its shadow was used".to_owned();
            part.row(
                What::Catalog,
                ProblemRow {
                    message,
                    ..ProblemRow::default()
                },
            )?;
        }
        part.losses(None, &written.catalog_losses)?;
        for table in &written.tables {
            part.losses(Some(&table.name), &table.losses)?;
            part.values(&problems_in(&self.case.path().join(&table.file)))?;
        }
        part.finish()
    }
}

/// Notes the tables in the record; gives the columns, and each file of work with the part that it becomes.
fn take_tables(
    record: &mut DatabaseRecord,
    written: TablesWritten,
    extension: &str,
) -> (Layouts, Vec<(String, String)>) {
    let (mut layouts, mut files) = (Layouts::new(), Vec::new());
    let mut partitions = TablePartitions::new();
    let mut all = written.catalog_losses.clone();
    for table in written.tables {
        all.add(&table.losses);
        // As the export of a single database calls its file.
        let known_as = table.known_as.map(|name| name.replace(' ', "_"));
        let partition = partitions.give(known_as.as_deref().unwrap_or(&table.name));
        let columns: Vec<ColumnRecord> = table.columns.iter().map(ColumnRecord::from).collect();
        let layout = layout_name(&columns);
        layouts.insert(layout.clone(), columns);
        let (host, id) = (&record.host, &record.id[..16]);
        let file = format!("table={partition}/host={host}/part-{id}.{extension}");
        files.push((table.file, file.clone()));
        record.rows += table.rows;
        record.tables.push(TableRecord {
            name: table.name,
            table: partition,
            part: PartRecord {
                file,
                rows: table.rows,
                bytes: table.bytes,
                sha256: table.sha256,
            },
            deleted_rows: table.deleted_rows,
            rows_in_newer: table.elsewhere,
            rows_lost: table.losses.rows,
            values_lost: table.losses.values,
            pages_lost: table.losses.pages.len() as u64,
            layout,
        });
    }
    record.rows_lost = all.rows;
    record.values_lost = all.values;
    record.pages_lost = all.pages.len() as u64;
    let cut_off = written.cut_off.map(|cut_off| u64::from(cut_off.missing()));
    record.pages_beyond_end = cut_off.unwrap_or(0);
    (layouts, files)
}

fn needs_recovery(found: &FoundDatabase) -> bool {
    match &found.file.content {
        Content::Database(look) => {
            let header = look.header.as_ref();
            header.is_some_and(|header| header.state.needs_recovery())
        }
        _ => false,
    }
}

/// Why something did not come to its end.
enum Stop {
    /// It is a matter of the database.
    Failed(ProblemRecord),
    /// It is a matter of the case, or the caller wanted to stop.
    Ended(CollectError),
}

impl Stop {
    fn failed(path: &Path, error: &dyn Explain) -> Self {
        Stop::Failed(ProblemRecord::of(path, error))
    }
}

impl From<DbError> for Stop {
    fn from(error: DbError) -> Self {
        Stop::Ended(CollectError::Write(ExportError::Database(error)))
    }
}
