//! Several databases in one run: each into a folder of its own, and one account of all.

use super::{Arguments, ExportOutcome, Job};
use crate::database::DIRTY;
use crate::files::{Listing, directory_refused, is_file};
use console::{Exit, Failure, Output};
use ese_export::{ExportManifest, ExportSet, Format};
use ese_format::FileKind;
use ese_format::database::HeaderCopies;
use ese_format::file_kind::DETECT_BYTES;
use evidence::{EvidenceFile, Place};
use serde::Serialize;
use serde_json::Value;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

/// What the folder of a set that goes on has to be of.
#[derive(Serialize)]
struct SetIdentity<'a> {
    schema: &'static str,
    databases: &'a [PathBuf],
    recursive: bool,
    tables: &'a [String],
    format: Format,
    inline_limit: usize,
    deleted: bool,
    decoded: bool,
}

/// What happened to all of them.
#[derive(Debug, Default, Serialize)]
struct SetReport {
    databases: Vec<DatabaseResult>,
    exported: usize,
    failed: usize,
    tables: u64,
    rows: u64,
    rows_lost: u64,
    values_lost: u64,
    pages_lost: u64,
}

/// What happened to one database.
#[derive(Debug, Serialize)]
struct DatabaseResult {
    path: PathBuf,
    /// Its folder, below that of the set; none where it was not even begun.
    folder: Option<String>,
    exit: Exit,
    /// How many tables and rows were exported; nothing where that failed.
    tables: Option<u64>,
    rows: Option<u64>,
    /// Why it was not exported.
    failure: Option<Failure>,
    /// Whether an earlier run of the same command had exported it.
    from_before: bool,
}

/// The schema of the account, and of `databases.json`.
const SCHEMA: &str = "edbkit.export-set/1";

/// Runs the command.
pub(super) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    if arguments.view.is_of_one() {
        let message = "--overlay belongs to one database";
        return Err(Failure::new(Exit::Usage, message).advise("export that one alone"));
    }
    let mut exit = Exit::Clean;
    let (mut found, mut set) = (Vec::new(), SetReport::default());
    for place in &arguments.databases {
        for database in databases_of(place, arguments) {
            match database {
                Ok(database) => found.push(database),
                Err((path, failure)) => {
                    exit = exit.and(failure.exit);
                    output.failure(&failure)?;
                    set.fail(DatabaseResult::failed(&path, None, failure));
                }
            }
        }
    }
    if found.is_empty() {
        let message = "there is no database to export";
        return match exit {
            Exit::Clean => Err(Failure::new(Exit::NotEse, message)),
            exit => Ok(exit),
        };
    }
    let of = SetIdentity {
        schema: "edbkit.export-set-unfinished/1",
        databases: &arguments.databases,
        recursive: arguments.recursive,
        tables: &arguments.tables,
        format: arguments.format.into(),
        inline_limit: arguments.inline_limit,
        deleted: arguments.deleted,
        decoded: arguments.decoded,
    };
    let mut place = ExportSet::begin(&arguments.to, &of, arguments.force)
        .map_err(|error| Failure::of(&error))?;
    let mut dirty = 0;
    for (path, name) in found {
        let folder = place.folder_for(&name);
        let job = Job {
            to: place.path_of(&folder),
            source_column: Some(path.display().to_string()),
            path: &path,
        };
        let entry = match job.run(arguments, !arguments.force, output) {
            Ok(ExportOutcome::Made(manifest, ending)) => {
                dirty += usize::from(ending.dirty);
                if output.is_json() {
                    output.document(ExportManifest::SCHEMA, &*manifest)?;
                }
                let value = serde_json::to_value(&*manifest).unwrap_or_default();
                set.add(&value);
                DatabaseResult::made(&path, folder, ending.exit, &value, false)
            }
            Ok(ExportOutcome::Known(mut manifest)) => {
                set.add(&manifest);
                let is_dirty =
                    manifest["source"]["dirty"] == true && manifest["recovery"].is_null();
                dirty += usize::from(is_dirty);
                let lost = ["rows_lost", "values_lost"].map(|name| count(&manifest, name));
                let lost =
                    lost != [0, 0] || pages_lost(&manifest) > 0 || !manifest["cut_off"].is_null();
                let exit = if lost || is_dirty {
                    Exit::Finding
                } else {
                    Exit::Clean
                };
                let entry = DatabaseResult::made(&path, folder, exit, &manifest, true);
                if let Some(fields) = manifest.as_object_mut().filter(|_| output.is_json()) {
                    fields.remove("schema");
                    output.document(ExportManifest::SCHEMA, fields)?;
                }
                entry
            }
            Err(failure) if failure.exit == Exit::Interrupted => return Err(failure),
            Err(failure) => {
                output.failure(&failure)?;
                exit = exit.and(failure.exit);
                set.fail(DatabaseResult::failed(&path, Some(folder), failure));
                continue;
            }
        };
        exit = exit.and(entry.exit);
        if !output.is_json() {
            output.text(&entry)?;
        }
        output.flush()?;
        set.databases.push(entry);
    }
    #[derive(Serialize)]
    struct Document<'s> {
        schema: &'static str,
        #[serde(flatten)]
        set: &'s SetReport,
    }
    let document = Document {
        schema: SCHEMA,
        set: &set,
    };
    place
        .finish(&document)
        .map_err(|error| Failure::of(&error))?;
    output.answer(SCHEMA, &set, &set)?;
    output.flush()?;
    if dirty > 0 {
        output.remark(&format_args!("{dirty} of them: {DIRTY}"));
    }
    Ok(exit)
}

/// A database with the name of its folder, or what cannot be read, and why.
type FoundDatabase = Result<(PathBuf, String), (PathBuf, Failure)>;

/// The databases that a path stands for.
fn databases_of(place: &Path, arguments: &Arguments) -> Vec<FoundDatabase> {
    let failed = |failure| vec![Err((place.to_owned(), failure))];
    let is_folder = match evidence::place(place) {
        Ok(found) => matches!(found, Place::Folder(_)),
        Err(error) => {
            let failure = Failure::of(&error);
            return failed(match arguments.databases.first() {
                Some(first) if first != place => {
                    failure.advise_too("a table is named with --table")
                }
                _ => failure,
            });
        }
    };
    if !is_folder {
        let name = place.file_name().unwrap_or(place.as_os_str());
        return vec![Ok((place.to_owned(), name.to_string_lossy().into_owned()))];
    }
    if !arguments.recursive {
        return failed(directory_refused(place));
    }
    let target = arguments.to.canonicalize().ok();
    let is_result = |file: &Path| {
        let target = target.as_ref();
        target.is_some_and(|target| {
            file.canonicalize()
                .is_ok_and(|file| file.starts_with(target))
        })
    };
    let files = Listing::of(place, true).files.into_iter();
    let databases = files.filter_map(|file| {
        let file = match file {
            Ok(file) => file,
            Err(failure) => return Some(Err((place.to_owned(), failure))),
        };
        if is_result(&file) || !is_file(&file) {
            return None;
        }
        match is_database(&file) {
            Ok(false) => None,
            Ok(true) => {
                let name = file.strip_prefix(place).unwrap_or(&file);
                let name = name.to_string_lossy().into_owned();
                Some(Ok((file, name)))
            }
            Err(failure) => Some(Err((file, failure))),
        }
    });
    databases.collect()
}

/// Whether the content of a file is that of a database with rows: a temporary database and a streaming file have none.
fn is_database(path: &Path) -> Result<bool, Failure> {
    let file = EvidenceFile::open(path).map_err(|error| Failure::of(&error))?;
    let start = file
        .start(DETECT_BYTES)
        .map_err(|error| Failure::of(&error))?;
    if FileKind::detect(&start) != FileKind::Database {
        return Ok(false);
    }
    let copies = HeaderCopies::read(&start);
    let header = copies.good().map(|copy| &copy.fields);
    Ok(header.is_none_or(|header| !header.is_temporary() && !header.is_streaming_file()))
}

fn count(manifest: &Value, name: &str) -> u64 {
    manifest[name].as_u64().unwrap_or(0)
}

fn pages_lost(manifest: &Value) -> u64 {
    manifest["pages_lost"].as_array().map_or(0, Vec::len) as u64
}

fn tables(manifest: &Value) -> u64 {
    manifest["tables"].as_array().map_or(0, Vec::len) as u64
}

impl SetReport {
    fn add(&mut self, manifest: &Value) {
        self.exported += 1;
        self.tables += tables(manifest);
        self.rows += count(manifest, "rows");
        self.rows_lost += count(manifest, "rows_lost");
        self.values_lost += count(manifest, "values_lost");
        self.pages_lost += pages_lost(manifest);
    }

    fn fail(&mut self, entry: DatabaseResult) {
        self.failed += 1;
        self.databases.push(entry);
    }
}

impl DatabaseResult {
    fn made(path: &Path, folder: String, exit: Exit, manifest: &Value, from_before: bool) -> Self {
        DatabaseResult {
            path: path.to_owned(),
            folder: Some(folder),
            exit,
            tables: Some(tables(manifest)),
            rows: Some(count(manifest, "rows")),
            failure: None,
            from_before,
        }
    }

    fn failed(path: &Path, folder: Option<String>, failure: Failure) -> Self {
        DatabaseResult {
            path: path.to_owned(),
            folder,
            exit: failure.exit,
            tables: None,
            rows: None,
            failure: Some(failure),
            from_before: false,
        }
    }
}

impl Display for DatabaseResult {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (tables, rows) = (self.tables.unwrap_or(0), self.rows.unwrap_or(0));
        let folder = self.folder.as_deref().unwrap_or_default();
        write!(f, "{rows:>10} rows of {tables:>3} tables  {folder}")?;
        writeln!(
            f,
            "{}",
            if self.from_before {
                "  (from before)"
            } else {
                ""
            }
        )
    }
}

impl Display for SetReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} database{}: {} exported, {} failed; {} rows of {} tables; {} rows, {} values and {} pages could not be read",
            self.databases.len(),
            if self.databases.len() == 1 { "" } else { "s" },
            self.exported,
            self.failed,
            self.rows,
            self.tables,
            self.rows_lost,
            self.values_lost,
            self.pages_lost
        )
    }
}
